// Poison: an entry that makes the peer end the connection, that fails for ever, or that cannot even be sent. Its conversation and the
// others go on, and nothing is called dead that only had bad luck.

import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Deliver } from '../../src/flow/deliver.ts';
import type { Answer, Fault, Road } from '../../src/flow/road.ts';
import type { Entry, Lane, Ledger } from '../../src/ledger/ledger.ts';
import { silentLog } from '../../src/log.ts';
import { makeMetrics } from '../../src/metrics.ts';
import { draft, localLedger } from '../ledger/bench.ts';
import { TurnedClock } from '../migration/stage.ts';
import { setCoreStage } from './core-stage.ts';

const minute = 60_000;
const day = 24 * 60 * minute;

/** A peer on one connection: what it does with each entry the test says; to end the connection loses whatever is out. */
class Peer implements Road {
  window = 100;
  isOpen = true;
  readonly sent: string[] = [];
  readonly given: { id?: string; fault: Fault }[] = [];
  /** Out at the same moment as each send of an entry, by id. */
  readonly company: Record<string, string[]> = {};
  does: (entry: Entry) => Answer | 'ends' | 'throws';
  readonly #out = new Map<Entry, (answer: Answer) => void>();

  constructor(does: Peer['does']) {
    this.does = does;
  }

  mayGo() {
    return this.isOpen;
  }

  obstacle() {
    return null;
  }

  send(entry: Entry, answered: (answer: Answer) => void): void {
    const done = this.does(entry);
    if (done === 'throws') throw new Error('this cannot be written');
    this.sent.push(entry.id!);
    this.company[entry.id!] = [...this.#out.keys()].map(({ id }) => id!);
    this.#out.set(entry, answered);
    // Answers are on their way for a moment, so that entries can be out together.
    clock.after(5, () => {
      if (done === 'ends') this.end();
      else if (this.#out.delete(entry)) answered(done);
    });
  }

  gaveUp({ id }: Entry, fault: Fault): void {
    this.given.push({ id, fault });
  }

  end(): void {
    const lost = [...this.#out.values()];
    this.#out.clear();
    for (const answered of lost) answered({ kind: 'lost' });
  }
}

let clock: TurnedClock;
let ledger: Ledger;
let deliver: Deliver;
const delivered: Answer = { kind: 'delivered' };
const accept = async (id: string, peer: string, lane: Lane = 'toMqtt') =>
  void (await ledger.accept(() => draft({ lane, id, peer })).outcome);
const dead = () => ledger.do('entries', { state: 'dead' });
const poisonIs = (id: string) => (entry: Entry) => (entry.id === id ? 'ends' : delivered);

const begin = async (peer: Peer) => {
  deliver = new Deliver({
    ...{ ledger, roads: { toMqtt: peer, toXmpp: peer }, hasDeviceOnline: () => true },
    ...{ clock, metrics: makeMetrics(), log: silentLog },
  });
  await deliver.start();
};
/** A little traffic of others for so long. */
const traffic = async (ms: number, everyMs = 10_000) => {
  for (let at = 0, n = 0; at < ms; at += everyMs, n++) {
    await accept(`other ${clock.now()}`, `other${n % 5}`);
    await clock.turn(everyMs);
  }
};

beforeEach(() => {
  clock = new TurnedClock();
  ledger = localLedger(new DatabaseSync(':memory:'));
});
afterEach(() => deliver?.stop(0));

describe('an entry that ends the connection', () => {
  test('is called dead after a while, its sender is told, and its conversation goes on; the others were never held up for long', async () => {
    const peer = new Peer(poisonIs('poison'));
    await begin(peer);
    await accept('poison', 'alice');
    await accept('behind', 'alice');
    await traffic(5 * minute);
    expect(await dead()).toEqual([]);
    await traffic(60 * minute);
    expect(await dead()).toMatchObject([{ id: 'poison', condition: 'undefined-condition' }]);
    expect((await dead())[0]!.text).toMatch(/ended each time .* nothing else/);
    expect(peer.given.map(({ id }) => id)).toEqual(['poison']);
    expect(peer.sent).toContain('behind');
    expect(peer.sent.filter((id) => id === 'poison').length).toBeLessThan(20);
    expect(await ledger.do('conversations', {})).toEqual([]);
  });

  test('goes with nothing else out once it is suspected, however busy the lane', async () => {
    const peer = new Peer(poisonIs('poison'));
    peer.window = 3;
    await begin(peer);
    await accept('poison', 'alice');
    for (let n = 0; n < 40; n++) {
      for (let one = 0; one < 20; one++) await accept(`n${n}.${one}`, `peer${one}`);
      await clock.turn(500);
    }
    expect(peer.sent.filter((id) => id === 'poison').length).toBeGreaterThan(5);
    expect(peer.company.poison).toEqual([]);
    expect(new Set(peer.sent.filter((id) => id !== 'poison')).size).toBe(800);
  });

  test('is not blamed where the connection ends whatever is sent', async () => {
    const peer = new Peer(() => 'ends');
    await begin(peer);
    for (const id of ['a', 'b', 'c']) await accept(id, id);
    await clock.turn(120 * minute);
    expect(await dead()).toEqual([]);
    peer.does = () => delivered;
    await clock.turn(11 * minute);
    expect(new Set(peer.sent)).toEqual(new Set(['a', 'b', 'c']));
    expect(await ledger.do('conversations', {})).toEqual([]);
  });

  test('and waits to go alone lets the others go as soon as its road is closed', async () => {
    const closed = new Set<string>();
    const peer = new Peer(poisonIs('poison'));
    peer.mayGo = ((user: string) => !closed.has(user)) as never;
    await begin(peer);
    await accept('poison', 'alice');
    await clock.turn(10_000);
    // Something long is out when its turn comes, so it waits, and the next ones behind it; then its user is away.
    let answer: (answer: Answer) => void = () => {};
    const send = peer.send.bind(peer);
    peer.send = (entry, answered) => {
      if (entry.id === 'long') answer = answered;
      else send(entry, answered);
    };
    await ledger.accept(() => draft({ id: 'long', peer: 'x', user: 'carol@example.com' })).outcome;
    await clock.turn(minute);
    await ledger.accept(() => draft({ id: 'next', peer: 'y', user: 'carol@example.com' })).outcome;
    await clock.turn(minute);
    expect(peer.sent).not.toContain('next');
    closed.add('bob@example.com');
    await clock.turn(2_000);
    expect(peer.sent).toContain('next');
    answer(delivered);
  });

  test('many that were lost together by chance are all delivered', async () => {
    const peer = new Peer(() => delivered);
    await begin(peer);
    let ends = 6;
    peer.does = () => (ends-- > 0 ? 'ends' : delivered);
    for (let n = 0; n < 50; n++) await accept(`m${n}`, `peer${n}`);
    await clock.turn(10 * minute);
    expect(new Set(peer.sent).size).toBe(50);
    expect(await dead()).toEqual([]);
    expect(await ledger.do('conversations', {})).toEqual([]);
  });
});

test('what is refused for now is dead after a day if others get through and the reason may be its own; else it waits', async () => {
  const own = { condition: 'resource-constraint', text: 'never' };
  const answers: Record<string, Answer> = {
    poison: { kind: 'retry', reason: 'wait', own },
    unlucky: { kind: 'retry', reason: 'the queue of its user is full' },
    // Alone on its lane, where nothing gets through.
    'one of all': { kind: 'retry', reason: 'wait', own },
  };
  const peer = new Peer(({ id }) => answers[id!] ?? delivered);
  await begin(peer);
  await accept('poison', 'alice');
  await accept('behind', 'alice');
  await accept('unlucky', 'bert');
  await accept('one of all', 'alice', 'toXmpp');
  await traffic(day - 10 * minute, 10 * minute);
  expect(await dead()).toEqual([]);
  await traffic(30 * minute, 10 * minute);
  expect(await dead()).toMatchObject([{ id: 'poison', condition: 'resource-constraint' }]);
  expect(peer.given.map(({ id }) => id)).toEqual(['poison']);
  expect(peer.sent).toContain('behind');
  expect((await ledger.do('conversations', {})).map(({ peer: name }) => name).sort()).toEqual(['alice', 'bert']);
}, 30_000);

test('an entry that its road cannot send is dead, its sender is told, and the next one goes', async () => {
  const peer = new Peer(({ id }) => (id === 'poison' ? 'throws' : delivered));
  await begin(peer);
  await accept('poison', 'alice');
  await accept('behind', 'alice');
  await clock.turn(1_000);
  expect(await dead()).toMatchObject([{ id: 'poison', condition: 'internal-server-error' }]);
  expect(peer.given).toMatchObject([{ id: 'poison', fault: { condition: 'internal-server-error' } }]);
  expect(peer.sent).toEqual(['behind']);
});

test('a publish on which the gateway fails is refused, its sender is told, and it is acknowledged so that it does not come again', async () => {
  const stage = await setCoreStage();
  try {
    const get = stage.core.users.get.bind(stage.core.users);
    stage.core.users.get = () => {
      throw new Error('a fault in the program');
    };
    await stage.says({ id: 'm1', to: 'alice@example.com', body: 'hi' });
    stage.core.users.get = get;
    const errors = stage.published.filter(({ topic }) => topic === 'chat/bob/in/error');
    expect(errors.map(({ payload }) => JSON.parse(payload))).toMatchObject([
      { id: 'm1', condition: 'internal-server-error' },
    ]);
  } finally {
    await stage.end();
  }
});
