// A batch as it crosses to the worker thread: rows of plain values, which clone at a third of the cost of objects.

import type { KeySpace } from './codes.ts';
import type { AcceptArgs, Call, Result } from './engine.ts';
import type { Draft, Outcome } from './ledger.ts';

const isNew: Outcome = { kind: 'new' };

type DraftRow = ReturnType<typeof draftRow>;
type AcceptRow = [seq: number, at: number, draft: DraftRow, copy?: DraftRow];

type AnsweredRow = [answered: 'answered', seq: number, at: number];

/** The two calls that each message makes are arrays, every other goes as it is. */
export type WireCall = AcceptRow | AnsweredRow | Exclude<Call, { name: 'accept' | 'answered' }>;

/** 0 is what nearly all give: an accept is new, the others give nothing. */
export type WireResult = 0 | Result;

/** `copy`: to this file, which is there and empty. */
/** What the thread begins with. */
export interface WorkerData {
  path: string;
  /** One number, which becomes 1 when the file is closed. */
  closed: Int32Array;
}

export type ToWorker = { run: WireCall[] } | { copy: string } | { close: true };
export interface Opened {
  space: KeySpace;
  lastSeq: number;
  /** It was a backup until now, made at this time (ms). */
  restored: number | undefined;
}

export type FromWorker =
  | { opened: Opened }
  | { copied: { done: number; of: number } | 'all' | { fault: string } }
  | { refused: string }
  | { results: WireResult[] }
  | { failed: string };

export function packCall(call: Call): WireCall {
  if (call.name === 'answered') return ['answered', call.args.seq, call.args.at];
  if (call.name !== 'accept') return call;
  const { seq, at, draft, copy } = call.args;
  return copy ? [seq, at, draftRow(draft), draftRow(copy)] : [seq, at, draftRow(draft)];
}

export function unpackCall(call: WireCall): Call {
  if (!Array.isArray(call)) return call;
  if (call[0] === 'answered') return { name: 'answered', args: { seq: call[1], at: call[2] } };
  const [seq, at, draft, copy] = call;
  const args: AcceptArgs = { seq, at, draft: draftOf(draft), copy: copy && draftOf(copy) };
  return { name: 'accept', args };
}

export function packResult(result: Result): WireResult {
  if ('fault' in result) return result;
  return result.value === undefined || (result.value as Partial<Outcome> | null)?.kind === 'new' ? 0 : result;
}

export function unpackResult(call: Call, result: WireResult): Result {
  return result === 0 ? { value: call.name === 'accept' ? isNew : undefined } : result;
}

function draftRow(draft: Draft) {
  const { position, refused } = draft;
  return [
    draft.lane,
    draft.user,
    draft.peer,
    draft.channel,
    draft.id,
    draft.custody,
    draft.at,
    draft.late,
    draft.carbon,
    draft.place?.id,
    draft.place?.at,
    position?.link,
    position?.epoch,
    position?.n,
    draft.archiveKey,
    draft.contentKey,
    draft.requestKey,
    draft.requestDigest,
    draft.topic,
    draft.payload,
    draft.original,
    draft.mapping,
    refused?.condition,
    refused?.text,
    draft.maxOpen,
    draft.expiresAt,
  ] as const;
}

function draftOf(row: DraftRow): Draft {
  const [lane, user, peer, channel, id, custody, at, late, carbon, placeId, placeAt, link, epoch, n, ...rest] = row;
  const [
    archiveKey,
    contentKey,
    requestKey,
    requestDigest,
    topic,
    payload,
    original,
    mapping,
    condition,
    text,
    maxOpen,
    expiresAt,
  ] = rest;
  return {
    lane,
    user,
    peer,
    channel,
    id,
    custody,
    at,
    late,
    carbon,
    place: placeAt === undefined ? undefined : { id: placeId, at: placeAt },
    position: link === undefined ? undefined : { link, epoch: epoch!, n: n! },
    archiveKey,
    contentKey,
    requestKey,
    requestDigest,
    topic,
    payload,
    original,
    mapping,
    maxOpen,
    expiresAt,
    refused: condition === undefined ? undefined : { condition, text: text ?? '' },
  };
}
