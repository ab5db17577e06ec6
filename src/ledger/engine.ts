// What the main thread's half (batch.ts) and the half that owns the file (store.ts) say to each other.

import type { KeySpace } from './codes.ts';
import type { Draft } from './ledger.ts';
import type { Operations } from './operations.ts';

export interface AcceptArgs {
  seq: number;
  /** When it was handed to accept; ms since 1970. */
  at: number;
  draft: Draft;
  /** Has number seq + 1; written only if the first is new. */
  copy?: Draft;
}

export type Call =
  | { name: 'accept'; args: AcceptArgs }
  | { [Name in keyof Operations]: { name: Name; args: Parameters<Operations[Name]>[0] } }[keyof Operations];

/** A fault is that of this call alone: nothing of it was written, all others of the batch were. */
export type Result = { value: unknown } | { fault: string };

export interface Engine {
  /** What the keys made from this file begin with. */
  readonly space: KeySpace;
  /** The highest number ever handed out and written. */
  readonly lastSeq: number;
  /**
   * Executes the calls in order, all in one commit, and resolves once that is on disk. Rejects when nothing was
   * written (try the same batch again), or with `EngineGone`.
   */
  run(batch: Call[]): Promise<Result[]>;
  close(): Promise<void>;
}

/** The engine has ended for good; what was under way may or may not have been written. */
export class EngineGone extends Error {}
