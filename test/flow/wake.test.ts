// When the webhook is called, and with what: on a real ledger, with a clock that is turned by hand.

import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Clock, Timer } from '../../src/clock.ts';
import { type Post, Wake } from '../../src/flow/wake.ts';
import { migrate } from '../../src/ledger/schema.ts';
import { silentLog } from '../../src/log.ts';
import { makeMetrics } from '../../src/metrics.ts';
import type { AppStatus } from '../../src/migration/wanted.ts';
import { draft, localLedger } from '../ledger/bench.ts';

const bob = 'bob@example.com';
const start = Date.parse('2026-03-01T08:00:00Z');

class Setting {
  now = start;
  readonly #timers = new Set<{ at: number; task: () => void }>();
  readonly #db = new DatabaseSync(':memory:');
  readonly clock: Clock = { now: () => this.now, random: () => 1, after: (ms, task) => this.#after(ms, task) };
  readonly ledger;
  readonly metrics = makeMetrics();
  readonly warnings: Record<string, unknown>[] = [];
  readonly bodies: Record<string, unknown>[] = [];
  online = 0;
  status: AppStatus = 'away';
  isPublished = true;
  answer: Awaited<ReturnType<Post>> | Promise<Awaited<ReturnType<Post>>> = { kind: 'sent' };
  wake!: Wake;

  constructor() {
    migrate(this.#db, 'the ledger');
    this.ledger = localLedger(this.#db, undefined, { clock: this.clock });
    this.begin();
  }

  /** A gateway starts, on the same ledger. */
  begin(): void {
    this.wake = new Wake({
      post: async (body) => {
        this.bodies.push(JSON.parse(body));
        return await this.answer;
      },
      everyMs: 30_000,
      ledger: this.ledger,
      users: { isPublished: () => this.isPublished } as never,
      devices: { online: () => this.online, statusOf: () => this.status } as never,
      clock: this.clock,
      metrics: this.metrics,
      log: { ...silentLog, warn: (line) => this.warnings.push(line) },
    });
  }

  #after(ms: number, task: () => void): Timer {
    const timer = { at: this.now + ms, task };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  async turn(ms: number): Promise<void> {
    for (const end = this.now + ms; this.now < end; ) {
      this.now = Math.min(end, this.now + 500);
      for (const timer of this.#timers) {
        if (timer.at > this.now) continue;
        this.#timers.delete(timer);
        timer.task();
      }
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async message(over: Parameters<typeof draft>[0] = {}, direction = 'received'): Promise<number> {
    const { seq, outcome } = this.ledger.accept(() =>
      draft({ at: this.now, payload: JSON.stringify({ direction }), ...over }),
    );
    if ((await outcome).kind === 'new' && (over.channel ?? 'message') === 'message') this.wake.look(over.user ?? bob);
    return seq;
  }

  get told(): [unknown, unknown][] {
    return this.bodies.map(({ from, count }) => [from, count]);
  }

  async counted(result: string): Promise<number> {
    return (await this.metrics.webhooks.get()).values.find(({ labels }) => labels.result === result)?.value ?? 0;
  }
}

let on: Setting;
beforeEach(() => {
  on = new Setting();
});
afterEach(() => on.ledger.close());

test('a message that waits is told within a second: user, sender, count and time, and nothing else', async () => {
  await on.message();
  await on.turn(1_000);
  expect(on.bodies).toEqual([{ user: bob, from: 'alice@example.com', count: 1, at: '2026-03-01T08:00:00.000Z' }]);
  expect(await on.counted('sent')).toBe(1);
});

test('many messages are one call; what comes within the time is one more, with the count since, and the newest sender', async () => {
  for (let n = 0; n < 50; n++) await on.message();
  await on.turn(1_000);
  for (let n = 0; n < 7; n++) await on.message();
  await on.message({ peer: 'carol@example.com' });
  await on.turn(28_000);
  expect(on.told).toEqual([['alice@example.com', 50]]);
  await on.turn(3_000);
  expect(on.told.slice(1)).toEqual([['carol@example.com', 8]]);
  await on.turn(600_000);
  expect(on.told).toHaveLength(2);
});

test('a clock that was put back by a day holds no call back', async () => {
  await on.message();
  await on.turn(1_000);
  on.now -= 86_400_000;
  await on.message();
  await on.turn(31_000);
  expect(on.told).toHaveLength(2);
});

const noCalls: [string, () => Promise<unknown>][] = [
  [
    'while a device is online',
    async () => {
      on.online = 1;
      await on.message();
    },
  ],
  ['for a receipt', () => on.message({ channel: 'receipt' })],
  ['for what the user sent from another device', () => on.message({}, 'sent')],
  [
    'for what the app has acknowledged meanwhile',
    async () => {
      await on.message();
      const [entry] = await on.ledger.do('entries', {});
      await on.ledger.do('appAcked', { user: bob, keys: [entry!.key], at: on.now });
    },
  ],
  [
    'for what was handed back meanwhile',
    async () => on.ledger.do('returned', { seqs: [await on.message()], at: on.now }),
  ],
  [
    'for what is dead',
    async () => on.ledger.do('refused', { seq: await on.message(), at: on.now, condition: 'x', text: '' }),
  ],
  [
    'when the user was moved back meanwhile',
    async () => {
      await on.message();
      on.isPublished = false;
    },
  ],
  [
    'when a device comes before the call',
    async () => {
      await on.message();
      on.online = 1;
      on.wake.here(bob);
    },
  ],
];
test.each(noCalls)('no call %s', async (_, act) => {
  await act();
  await on.turn(120_000);
  expect(on.bodies).toEqual([]);
});

test('while nobody knows whether a device is online, the call waits', async () => {
  on.status = 'unknown';
  await on.message();
  await on.turn(60_000);
  expect(on.bodies).toEqual([]);
  on.status = 'away';
  await on.turn(1_000);
  expect(on.told).toEqual([['alice@example.com', 1]]);
});

test('what lay unacknowledged when the last device went away is told', async () => {
  on.online = 1;
  await on.message();
  await on.turn(5_000);
  on.online = 0;
  on.wake.look(bob);
  await on.turn(1_000);
  expect(on.told).toEqual([['alice@example.com', 1]]);
});

test('a server that fails is called again, after 1, 5 and 30 seconds; then it is given up, counted and logged without the address', async () => {
  on.answer = { kind: 'again', reason: 'ECONNREFUSED' };
  await on.message();
  const times: number[] = [];
  for (let s = 0; s < 120; s++) {
    const before = on.bodies.length;
    await on.turn(1_000);
    if (on.bodies.length > before) times.push(s);
  }
  expect(times).toEqual([0, 1, 6, 36]);
  expect([await on.counted('sent'), await on.counted('failed')]).toEqual([0, 1]);
  expect(on.warnings).toEqual([{ event: 'webhook.failed', user: bob, count: 1, reason: 'ECONNREFUSED', attempts: 4 }]);
  // What was not told is in the next call.
  on.answer = { kind: 'sent' };
  await on.message();
  await on.turn(1_000);
  expect(on.told.at(-1)).toEqual(['alice@example.com', 2]);
});

test('what the server refuses for good is not repeated', async () => {
  on.answer = { kind: 'never', reason: 'status 404' };
  await on.message();
  await on.turn(120_000);
  expect(on.bodies).toHaveLength(1);
  expect(await on.counted('failed')).toBe(1);
});

test('a server that hangs holds up eight users and no more calls for them; the others follow when it answers', async () => {
  const answer = Promise.withResolvers<{ kind: 'sent' }>();
  on.answer = answer.promise;
  for (let n = 0; n < 20; n++) await on.message({ user: `user${n}@example.com` });
  await on.turn(1_000);
  expect(on.bodies).toHaveLength(8);
  await on.message({ user: 'user0@example.com' });
  await on.turn(60_000);
  expect(on.bodies).toHaveLength(8);
  answer.resolve({ kind: 'sent' });
  await on.turn(31_000);
  expect(on.bodies.map(({ user }) => user)).toHaveLength(21);
  expect(on.bodies.at(-1)).toMatchObject({ user: 'user0@example.com', count: 1 });
});

test('who comes online while the call waits behind a server that hangs is not called, but for what comes afterwards', async () => {
  const answer = Promise.withResolvers<{ kind: 'sent' }>();
  on.answer = answer.promise;
  for (let n = 0; n < 11; n++) await on.message({ user: `user${n}@example.com` });
  await on.turn(1_000);
  for (const n of [9, 10]) on.wake.here(`user${n}@example.com`);
  await on.message({ user: 'user10@example.com', peer: 'carol@example.com' });
  answer.resolve({ kind: 'sent' });
  await on.turn(60_000);
  const late = on.bodies.slice(8).map(({ user, from }) => [user, from]);
  expect(late).toEqual([
    ['user8@example.com', 'alice@example.com'],
    ['user10@example.com', 'carol@example.com'],
  ]);
});

test('after a restart all that waits is told once, and not twice', async () => {
  await on.message();
  await on.message({ user: 'dave@example.com', peer: 'carol@example.com' });
  const [entry] = await on.ledger.do('entries', { user: 'dave@example.com' });
  await on.ledger.do('answered', { seq: entry!.seq, at: on.now });
  on.wake.stop();
  await on.turn(1_000);
  expect(on.bodies).toEqual([]);
  on.begin();
  await on.wake.start();
  await on.turn(120_000);
  expect(on.bodies.map(({ user, from, count }) => [user, from, count]).sort()).toEqual([
    [bob, 'alice@example.com', 1],
    ['dave@example.com', 'carol@example.com', 1],
  ]);
});
