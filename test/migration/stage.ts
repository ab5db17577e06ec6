// Reconcile, moves and devices on a real ledger in memory, with a clock that the test turns and a server that writes down what it is asked.

import { DatabaseSync } from 'node:sqlite';
import type { Clock } from '../../src/clock.ts';
import type { Draft, Ledger } from '../../src/ledger/ledger.ts';
import { type Log, silentLog } from '../../src/log.ts';
import { makeMetrics } from '../../src/metrics.ts';
import { Devices } from '../../src/migration/devices.ts';
import { Moves } from '../../src/migration/moves.ts';
import type { Phase } from '../../src/migration/phase.ts';
import { Reconcile } from '../../src/migration/reconcile.ts';
import type { Failed, LegacyServer } from '../../src/migration/server.ts';
import { nameOfShown } from '../../src/migration/shown.ts';
import { type User, Users } from '../../src/migration/users.ts';
import type { LegacyLogin } from '../../src/migration/wanted.ts';
import { localLedger } from '../ledger/bench.ts';

export const bob = 'bob@example.com';

export class TurnedClock implements Clock {
  #now = Date.UTC(2026, 0, 1);
  #tasks: { at: number; task: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  /** How many tasks are still to be done. */
  get planned(): number {
    return this.#tasks.length;
  }

  random(): number {
    return 0.5;
  }

  after(delayMs: number, task: () => void) {
    const entry = { at: this.#now + delayMs, task };
    this.#tasks.push(entry);
    return {
      cancel: () => {
        this.#tasks = this.#tasks.filter((other) => other !== entry);
      },
    };
  }

  /** Time goes by, and what was due is done; between two tasks every promise settles. */
  async turn(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settled();
      const [next] = this.#tasks.filter(({ at }) => at <= end).sort((one, other) => one.at - other.at);
      if (!next) break;
      this.#tasks = this.#tasks.filter((entry) => entry !== next);
      this.#now = Math.max(this.#now, next.at);
      next.task();
    }
    this.#now = end;
    await settled();
  }
}

async function settled(): Promise<void> {
  for (let round = 0; round < 20; round++) await new Promise((resolve) => setImmediate(resolve));
}

export interface Stage {
  clock: TurnedClock;
  ledger: Ledger;
  users: Users;
  devices: Devices;
  reconcile: Reconcile;
  /** What the server was asked, in order, since this was last emptied. */
  acts: string[];
  /** The next request of this kind fails so. */
  fails: Map<string, Failed>;
  /** Every request of this kind fails so. */
  alwaysFails: Map<string, Failed>;
  /** Entries towards the server that wait. */
  toSend: Set<string>;
  /** Users of whom something is between us and the broker. */
  publishing: Set<string>;
  hopeless: string[];
  server: { epoch: string; up: boolean };
  user(): User;
  /** Asks for a move, bob's unless said otherwise, and lets it come to its end. */
  move(phase: Phase, jid?: string): Promise<void>;
  /** A message that came to the session alone. */
  arrives(id: string, draft?: Partial<Draft>): Promise<string>;
  states(): Promise<string[]>;
}

interface StageOptions {
  legacyLogin?: LegacyLogin;
  attachWindow?: number;
  lacks?: LegacyServer['lacks'];
}

export async function setStage({
  legacyLogin = 'allow',
  attachWindow = 8,
  lacks = new Set(),
}: StageOptions = {}): Promise<Stage> {
  const clock = new TurnedClock();
  const ledger = localLedger(new DatabaseSync(':memory:'));
  const log: Log = silentLog;
  const users = new Users(ledger);
  await users.load({ domain: 'gw.example.com', declared: [] });
  const devices = new Devices({ clock, ledger, log, deviceDays: 30 });
  const acts: string[] = [];
  const fails = new Map<string, Failed>();
  const alwaysFails = new Map<string, Failed>();
  const toSend = new Set<string>();
  const publishing = new Set<string>();
  const hopeless: string[] = [];
  const ask = async <Answer>(kind: string, what: string, answer: Answer): Promise<Answer | Failed> => {
    acts.push(what === '' ? kind : `${kind} ${what}`);
    const failed = fails.get(kind) ?? alwaysFails.get(kind);
    fails.delete(kind);
    return failed ?? answer;
  };
  const processed = { kind: 'processed' } as const;
  const jid = `${bob}/mqtt`;
  const server: LegacyServer & { epoch: string; up: boolean } = {
    ...{ up: true, epoch: 'E1', link: 'link', hasArchive: false, jidOf: (user) => `${user}/mqtt` },
    ...{ lacks, stands: () => server.up, mayHold: (epoch) => epoch === server.epoch },
    attach: (_, shown) => ask('attach', nameOfShown(shown), { kind: 'attached', jid }),
    show: (_, shown) => ask('show', nameOfShown(shown), processed),
    detach: () => ask('detach', '', { kind: 'detached', h: 0 }),
    observe: () => ask('observe', '', processed),
    unobserve: () => ask('unobserve', '', processed),
    lock: () => ask('lock', '', processed),
    unlock: () => ask('unlock', '', processed),
    giveBack: ({ stanza }) => ask('return', stanza, processed),
  };
  const deliveries = {
    ...{
      isPublishing: (user: string) => publishing.has(user),
      sessionUp() {},
      available() {},
      left() {},
      reopened() {},
      ended() {},
    },
    hasToSend: (user: string) => toSend.has(user),
    hopeless: async (user: string) => void hopeless.push(user),
  };
  const policy = { legacyLogin, lockText: 'moved', attachWindow };
  const reconcile = new Reconcile({
    ...{ users, devices, server, ledger, deliveries, ...policy, clock, log },
    metrics: makeMetrics(),
  });
  const moves = new Moves({ users, server, clock, domain: 'example.com', poke: (user) => reconcile.poke(user) });
  devices.onStatus = (name) => {
    const user = name === null ? null : users.get(name);
    if (user !== undefined) reconcile.poke(user);
  };
  return {
    ...{ clock, ledger, users, devices, reconcile, acts, fails, alwaysFails, toSend, publishing, hopeless, server },
    user: () => users.get(bob)!,
    async move(phase, jid = bob) {
      await moves.request({ jid, phase, who: 'operator' });
      await clock.turn(100);
    },
    async arrives(id, draft) {
      const { key, outcome } = ledger.accept(() => ({
        ...{ lane: 'toMqtt', user: bob, peer: 'alice@example.com', channel: 'message', id, custody: 'sole' },
        ...{ at: clock.now(), topic: 'chat/bob/in/message', payload: '{}', original: id, ...draft },
      }));
      await outcome;
      return key;
    },
    async states() {
      const entries = await ledger.do('entries', { user: bob });
      return entries.map(({ id, state, custody }) => `${id} ${state} ${custody}`);
    },
  };
}
