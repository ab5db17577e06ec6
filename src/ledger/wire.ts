// A batch as it crosses to the worker thread: plain values, which clone at a third of the cost of objects.

import type { KeySpace } from './codes.ts';
import type { Call, Result } from './engine.ts';
import type { Draft, Outcome } from './ledger.ts';

const isNew: Outcome = { kind: 'new' };

type DraftRow = ReturnType<typeof draftRow>;

/**
 * A batch: for each message its two calls as a kind and their values, every other call as it is. One array for all, since each
 * object inside costs more than the values that are in it.
 */
export type WireCalls = unknown[];

/** What begins a call's values. */
const acceptKind = 1;
const acceptBothKind = 2;
const answeredKind = 3;

/** 0 is what nearly all give: an accept is new, the others give nothing. */
export type WireResult = 0 | Result;

/** What the thread begins with. */
export interface WorkerData {
  path: string;
  /** One number, which becomes 1 when the file is closed. */
  closed: Int32Array;
}

/** `copy`: to this file, which is there and empty. */
export type ToWorker = { run: WireCalls } | { copy: string } | { close: true };
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

export function packCalls(calls: Call[]): WireCalls {
  const values: WireCalls = [];
  for (const call of calls) {
    if (call.name === 'answered') values.push(answeredKind, call.args.seq, call.args.at, call.args.sender);
    else if (call.name === 'accept') {
      const { seq, at, draft, copy } = call.args;
      values.push(copy ? acceptBothKind : acceptKind, seq, at, ...draftRow(draft));
      if (copy) values.push(...draftRow(copy));
    } else values.push(call);
  }
  return values;
}

export function unpackCalls(values: WireCalls): Call[] {
  const calls: Call[] = [];
  let place = 0;
  const take = <Row extends readonly unknown[]>(count: Row['length']) => {
    place += count;
    return values.slice(place - count, place) as unknown as Row;
  };
  while (place < values.length) {
    const kind = values[place++];
    if (kind === answeredKind) {
      const [seq, at, sender] = take<[number, number, string | undefined]>(3);
      calls.push({ name: 'answered', args: { seq, at, sender } });
    } else if (kind === acceptKind || kind === acceptBothKind) {
      const [seq, at] = take<[number, number]>(2);
      const draft = draftOf(take<DraftRow>(draftValues));
      const copy = kind === acceptBothKind ? draftOf(take<DraftRow>(draftValues)) : undefined;
      calls.push({ name: 'accept', args: { seq, at, draft, copy } });
    } else calls.push(kind as Call);
  }
  return calls;
}

export function packResult(result: Result): WireResult {
  if ('fault' in result) return result;
  return result.value === undefined || (result.value as Partial<Outcome> | null)?.kind === 'new' ? 0 : result;
}

export function unpackResult(call: Call, result: WireResult): Result {
  return result === 0 ? { value: call.name === 'accept' ? isNew : undefined } : result;
}

const draftValues: DraftRow['length'] = 26;

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
