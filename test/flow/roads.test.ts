// The way to the broker: what each PUBACK means for an entry (DESIGN §6, §8), by rows; what is not even sent, and how much a user who is away has there.

import { beforeEach, expect, test } from 'vitest';
import type { Answer } from '../../src/flow/road.ts';
import { MqttRoad, type MqttRoadParts } from '../../src/flow/roads.ts';
import type { Entry } from '../../src/ledger/ledger.ts';
import { TurnedClock } from '../migration/stage.ts';

const bob = 'bob@example.com';
let published: string[];
let code: number;
let online: number;
let broker: { up: boolean; window: number; maximumPacketSize: number; reasonCodes: boolean };
let road: MqttRoad;

beforeEach(() => {
  [published, code, online] = [[], 0, 1];
  broker = { up: true, window: 10, maximumPacketSize: 1_000, reasonCodes: true };
  const publish = async ({ payload }: { payload: string }) => {
    published.push(payload);
    return { kind: 'acked', code };
  };
  road = new MqttRoad({
    broker: Object.assign(broker, { publish }),
    users: { isPublished: () => true, get: () => undefined },
    devices: { online: () => online },
    ...{ clock: new TurnedClock(), offlineWindow: 2 },
  } as unknown as MqttRoadParts);
  road.open = true;
});

function sends(entry: Partial<Entry> = {}): Promise<Answer> {
  const whole = { topic: 'chat/bob/in/message', channel: 'message', user: bob, payload: '{}', ...entry };
  return new Promise((answered) => road.send(whole as Entry, answered));
}

interface Row {
  code: number;
  channel?: string;
  isAway?: true;
  /** MQTT 3.1.1: a PUBACK has no reason. */
  isOld?: true;
  answer: object;
}

const rows: Row[] = [
  { code: 0, answer: { kind: 'delivered' } },
  { code: 0, isAway: true, answer: { kind: 'delivered' } },
  { code: 0, isOld: true, answer: { kind: 'delivered' } },
  { code: 0, isOld: true, isAway: true, answer: { kind: 'parked', holds: true } },
  { code: 0, isOld: true, isAway: true, channel: 'receipt', answer: { kind: 'parked', holds: false } },
  { code: 16, answer: { kind: 'parked', holds: true } },
  { code: 16, isAway: true, answer: { kind: 'parked', holds: true } },
  { code: 16, channel: 'receipt', answer: { kind: 'discarded', reason: 'no-subscriber' } },
  { code: 16, isAway: true, channel: 'receipt', answer: { kind: 'parked', holds: false } },
  { code: 128, answer: { kind: 'retry', own: { condition: 'not-acceptable' } } },
  { code: 131, answer: { kind: 'retry', own: { condition: 'not-acceptable' } } },
  // The user's queue is full, whatever the entry is.
  { code: 151, answer: { kind: 'retry', reason: 'PUBACK 151' } },
  ...[135, 144, 149, 153].map((final) => ({ code: final, answer: { kind: 'dead', condition: 'not-acceptable' } })),
];

test.each(rows)('PUBACK $code (channel $channel, away $isAway, 3.1.1 $isOld): $answer.kind', async (row) => {
  [code, online, broker.reasonCodes] = [row.code, row.isAway ? 0 : 1, !row.isOld];
  const answer = await sends(row.channel === undefined ? {} : { channel: row.channel });
  expect(answer).toMatchObject(row.answer);
  expect('own' in answer).toBe('own' in row.answer);
});

test('what is more than the broker takes, in bytes and not in characters, is dead before it is sent', async () => {
  expect(await sends({ payload: 'ä'.repeat(500) })).toMatchObject({ kind: 'dead', condition: 'policy-violation' });
  expect(published).toEqual([]);
  expect(await sends({ payload: 'a'.repeat(500) })).toEqual({ kind: 'delivered' });
});

test('of a user who is away so many are with the broker; the rest waits until a device comes, or the broker forgets', async () => {
  online = 0;
  await sends();
  expect(road.mayGo(bob)).toBe(true);
  await sends();
  expect([road.mayGo(bob), road.obstacle(bob), road.mayGo('carol@example.com')]).toEqual([
    ...[false, 'offline-window', true],
  ]);
  online = 1;
  expect(road.mayGo(bob)).toBe(true);
  road.deviceOnline(bob);
  online = 0;
  expect(road.mayGo(bob)).toBe(true);
  road.restore([{ user: bob, count: 2 }]);
  expect(road.mayGo(bob)).toBe(false);
  road.restore([]);
  expect(road.mayGo(bob)).toBe(true);
});

test('nothing goes while the broker is away, or before it is known whether it was restarted', () => {
  road.open = false;
  expect([road.mayGo(bob), road.obstacle(bob)]).toEqual([false, 'broker-unknown']);
  [road.open, broker.up] = [true, false];
  expect([road.mayGo(bob), road.obstacle(bob)]).toEqual([false, 'broker-down']);
});
