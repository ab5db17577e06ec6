// What holds a conversation up: a ledger that does not answer, an entry that is parked; and what does not.

import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { Deliver } from '../../src/flow/deliver.ts';
import type { Answer, Road } from '../../src/flow/road.ts';
import type { Entry, Ledger } from '../../src/ledger/ledger.ts';
import { silentLog } from '../../src/log.ts';
import { makeMetrics } from '../../src/metrics.ts';
import { localLedger } from '../ledger/bench.ts';
import { bob, TurnedClock } from '../migration/stage.ts';

/** A road that keeps what was sent, and answers as `does` says. */
function roadWith(does: (entry: Entry) => Answer) {
  const sent: string[] = [];
  const road: Road = {
    window: 10,
    mayGo: () => true,
    obstacle: () => null,
    gaveUp: () => {},
    send(entry: Entry, answered: (answer: Answer) => void) {
      sent.push(entry.payload);
      queueMicrotask(() => answered(does(entry)));
    },
  };
  return { road, sent };
}

const conversation = { lane: 'toMqtt', user: bob, peer: 'alice@example.com' } as const;

function accepting(ledger: Ledger) {
  return async (id: string, channel = 'message') => {
    const { seq, outcome } = ledger.accept(() => ({
      ...{ ...conversation, channel, id, custody: 'sole' },
      ...{ at: 1, topic: `chat/bob/in/${channel}`, payload: id },
    }));
    await outcome;
    return seq;
  };
}

async function started(ledger: Ledger, road: Road) {
  const clock = new TurnedClock();
  const deliver = new Deliver({
    ...{ ledger, roads: { toMqtt: road, toXmpp: road }, hasDeviceOnline: () => true },
    ...{ clock, metrics: makeMetrics(), log: silentLog },
  });
  await deliver.start();
  return { deliver, clock };
}

test('a page that cannot be read is read again after a while, and what comes meanwhile stays behind it', async () => {
  const ledger = localLedger(new DatabaseSync(':memory:'));
  const accept = accepting(ledger);
  await accept('m1');
  const ask = ledger.do.bind(ledger);
  let pages = 0;
  ledger.do = ((...call: Parameters<typeof ask>) =>
    call[0] === 'toSend' && ++pages === 1 ? Promise.reject(new Error('the engine died')) : ask(...call)) as typeof ask;
  const { road, sent } = roadWith(() => ({ kind: 'delivered' }));
  const { deliver, clock } = await started(ledger, road);
  await clock.turn(100);
  await accept('m2');
  await clock.turn(100);
  expect(sent).toEqual([]);
  await clock.turn(1_000);
  expect(sent).toEqual(['m1', 'm2']);
  await deliver.stop(0);
});

test('the end of a parked entry that holds nothing back lets nothing go past one that does', async () => {
  const ledger = localLedger(new DatabaseSync(':memory:'));
  const accept = accepting(ledger);
  const { road, sent } = roadWith(({ channel }) => ({ kind: 'parked', holds: channel === 'message' }));
  const { deliver, clock } = await started(ledger, road);
  const receipt = await accept('r1', 'receipt');
  const first = await accept('m1');
  await accept('m2');
  await clock.turn(100);
  expect(sent).toEqual(['r1', 'm1']);
  const end = (seq: number) =>
    deliver.apart(conversation, 100, async () => {
      await ledger.do('discard', { seqs: [seq], at: 1, reason: 'expired' });
      return { value: true, freed: [seq] };
    });
  await end(receipt);
  await clock.turn(100);
  expect(sent).toEqual(['r1', 'm1']);
  await end(first);
  await clock.turn(100);
  expect(sent).toEqual(['r1', 'm1', 'm2']);
  await deliver.stop(0);
});

test('what stood in line when its conversation was ended elsewhere is not sent when its turn comes, and what comes later is sent once', async () => {
  const ledger = localLedger(new DatabaseSync(':memory:'));
  const accept = accepting(ledger);
  const answers: (() => void)[] = [];
  const { road, sent } = roadWith(() => ({ kind: 'delivered' }));
  const slow: Road = {
    ...road,
    window: 1,
    send(entry, answered) {
      sent.push(entry.payload);
      answers.push(() => answered({ kind: 'delivered' }));
    },
  };
  const { deliver, clock } = await started(ledger, slow);
  const other = { ...conversation, user: 'carol@example.com', channel: 'message', custody: 'sole', at: 1 } as const;
  await ledger.accept(() => ({ ...other, id: 'first', payload: 'first' })).outcome;
  const m1 = await accept('m1');
  await ledger.do('discard', { seqs: [m1], at: 1, reason: 'rolled back' });
  deliver.forget('toMqtt', bob);
  await accept('m2');
  for (let turn = 0; turn < 4; turn++) {
    answers.shift()?.();
    await clock.turn(100);
  }
  expect(sent).toEqual(['first', 'm2']);
  await deliver.stop(0);
});

test('what is out when its conversation is ended elsewhere is not sent again, and nothing overtakes it', async () => {
  const ledger = localLedger(new DatabaseSync(':memory:'));
  const accept = accepting(ledger);
  const { road, sent } = roadWith(() => ({ kind: 'delivered' }));
  const answers: ((answer: Answer) => void)[] = [];
  const slow: Road = {
    ...road,
    send(entry, answered) {
      sent.push(entry.payload);
      answers.push(answered);
    },
  };
  const { deliver, clock } = await started(ledger, slow);
  const m1 = await accept('m1');
  await clock.turn(10);
  await ledger.do('discard', { seqs: [m1], at: 1, reason: 'no account' });
  deliver.forget('toMqtt', bob);
  await accept('m2');
  await clock.turn(10);
  expect(sent).toEqual(['m1']);
  answers[0]!({ kind: 'lost' });
  await clock.turn(5_000);
  expect(sent).toEqual(['m1', 'm2']);
  answers[1]!({ kind: 'delivered' });
  await deliver.stop(0);
});

test('an operator who asks in vain again and again does not keep an entry from being found deadly', async () => {
  const ledger = localLedger(new DatabaseSync(':memory:'));
  const accept = accepting(ledger);
  const { road, sent } = roadWith(({ payload }) => ({ kind: payload === 'm1' ? 'lost' : 'delivered' }));
  const { deliver, clock } = await started(ledger, road);
  await accept('m1');
  await accept('m2');
  for (let times = 0; times < 400 && sent.at(-1) !== 'm2'; times++) {
    await clock.turn(5_000);
    await deliver.apart(conversation, 1_000, async () => ({ value: null, freed: [] }));
  }
  expect(sent.at(-1)).toBe('m2');
  expect((await ledger.do('entries', {})).map(({ id, state }) => `${id} ${state}`)).toEqual(['m1 dead', 'm2 acked']);
  await deliver.stop(0);
});
