// Contacts' presence on its way to the apps: whole sets, how often, how much, and what is asked of the server for them.

import { beforeEach, expect, test } from 'vitest';
import type { Timer } from '../../src/clock.ts';
import { Contacts } from '../../src/flow/contacts.ts';
import { silentLog } from '../../src/log.ts';
import { makeMetrics } from '../../src/metrics.ts';
import type { User } from '../../src/migration/users.ts';
import { parseStanza } from '../../src/xmpp/xml-reader.ts';
import { mappings } from '../mapping/mappings.ts';

const bob = 'bob@example.com';
const epoch = 'E';
type Payload = Record<string, unknown>;

/** A gateway's surroundings that only remember; time stands still until it is turned. */
class Setting {
  now = 1_000_000;
  readonly #timers = new Set<{ at: number; task: () => void }>();
  readonly published: Payload[] = [];
  readonly probed: string[] = [];
  devices = 1;
  isOnline: (user: string) => boolean = () => true;
  maximumPacketSize = 1_000_000;
  hasSession = true;
  roster: string | null = '';
  hasRosters = true;
  asked = 0;
  readonly user = { jid: bob, phase: 'mqtt', attached: { jid: `${bob}/mqtt`, epoch } } as User;
  readonly metrics = makeMetrics();
  readonly contacts = new Contacts({
    domain: 'example.com',
    users: { isPublished: () => true, get: () => this.user } as never,
    devices: { online: (user: string) => (this.isOnline(user) ? this.devices : 0) } as never,
    mappings: mappings.presence,
    topics: { toUser: () => 'chat/bob/in/presence' } as never,
    broker: Object.defineProperties(
      {
        publish: async ({ payload }: { payload: string }) => {
          this.published.push(JSON.parse(payload));
          return { kind: 'acked', code: 0 };
        },
      },
      { maximumPacketSize: { get: () => this.maximumPacketSize } },
    ) as never,
    sessions: { of: () => (this.hasSession ? {} : undefined) } as never,
    ownServer: { own: { visible: () => [] } },
    asks: {
      ask: async () => {
        this.asked++;
        if (this.roster === null) return null;
        const type = this.hasRosters ? 'result' : 'error';
        const query = `<query xmlns='jabber:iq:roster'>${this.roster}</query>`;
        return parseStanza(`<iq xmlns='jabber:client' type='${type}'>${query}</iq>`);
      },
      tell: async (_: string, { attrs }: { attrs: Record<string, string> }) => {
        this.probed.push(`${attrs.type} ${attrs.to}`);
        return true;
      },
    } as never,
    clock: { now: () => this.now, random: () => 0.5, after: (ms, task) => this.#after(ms, task) },
    metrics: this.metrics,
    log: silentLog,
  });

  #after(ms: number, task: () => void): Timer {
    const timer = { at: this.now + ms, task };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  async turn(ms: number): Promise<void> {
    this.now += ms;
    for (const timer of this.#timers) {
      if (timer.at > this.now) continue;
      this.#timers.delete(timer);
      timer.task();
    }
    await this.settled();
  }

  async settled(): Promise<void> {
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  }

  hears(from: string, content = '', attributes = `to='${bob}'`, inEpoch = epoch, user = bob): void {
    const stanza = parseStanza(`<presence xmlns='jabber:client' from='${from}' ${attributes}>${content}</presence>`)!;
    this.contacts.heard({ ...this.user, jid: user }, stanza, {
      user,
      seen: false,
      position: { link: 'L', epoch: inEpoch, n: 1 },
    });
  }

  /** How many tasks are still to be done. */
  get planned(): number {
    return this.#timers.size;
  }

  get sets(): string[][] {
    return this.published.flatMap(({ contacts }) =>
      Array.isArray(contacts) ? [contacts.map(({ from }) => from)] : [],
    );
  }
}

let on: Setting;
beforeEach(() => {
  on = new Setting();
});

test('a new session is told all by the server: no contact is probed, and the device gets one set, behind it all', async () => {
  on.roster = `<item jid='alice@example.com' subscription='both'/>`;
  const { attached } = on.user;
  on.user.attached = undefined;
  on.hears('alice@example.com/desk', '<show>away</show>');
  on.user.attached = attached;
  on.contacts.sessionUp(bob);
  await on.settled();
  expect(on.probed).toEqual([]);
  expect(on.published.map(({ contacts, from }) => from ?? contacts)).toEqual([
    'alice@example.com/desk',
    [{ from: 'alice@example.com/desk', show: 'away', at: '1970-01-01T00:16:40.000Z' }],
  ]);
});

test('in a session that stood before, the contacts that may be seen are probed, and no others', async () => {
  on.roster = ['both', 'to', 'from', 'none', 'remove']
    .map((s) => `<item jid='${s}@example.com/x' subscription='${s}'/>`)
    .join('');
  on.contacts.deviceOnline(bob);
  await on.settled();
  expect(on.probed).toEqual(['probe both@example.com', 'probe to@example.com']);
  expect(on.sets).toEqual([[]]);
  on.contacts.deviceOnline(bob);
  await on.turn(5_000);
  expect(on.probed).toHaveLength(2);
});

test('a device that comes while there is no session waits for it; one that comes while the link is down, for the link', async () => {
  on.hasSession = false;
  on.contacts.deviceOnline(bob);
  await on.settled();
  expect(on.published).toEqual([]);
  on.hasSession = true;
  on.contacts.linkResumed();
  await on.settled();
  expect(on.sets).toEqual([[]]);
});

test('a server that does not answer is asked again, more and more rarely', async () => {
  on.roster = null;
  on.contacts.deviceOnline(bob);
  await on.settled();
  expect(on.sets).toEqual([]);
  await on.turn(10_000);
  await on.turn(10_000);
  expect(on.asked).toBe(2);
  on.roster = `<item jid='alice@example.com' subscription='to'/>`;
  await on.turn(10_000);
  expect([on.asked, on.probed, on.sets]).toEqual([3, ['probe alice@example.com'], [[]]]);
});

test('a device that came before the session does not keep the server from being asked again when that does not answer', async () => {
  on.hasSession = false;
  on.contacts.deviceOnline(bob);
  await on.settled();
  on.hasSession = true;
  on.roster = null;
  on.contacts.sessionUp(bob);
  await on.settled();
  on.roster = '';
  await on.turn(10_000);
  expect([on.asked, on.sets, on.planned]).toEqual([2, [[]], 0]);
});

test('a new session is asked as if none had failed before, and a stop leaves no retry behind', async () => {
  on.roster = null;
  on.contacts.sessionUp(bob);
  await on.settled();
  await on.turn(10_000);
  await on.turn(20_000);
  expect(on.asked).toBe(3);
  on.contacts.forget(bob);
  on.contacts.sessionUp(bob);
  await on.settled();
  await on.turn(10_000);
  expect([on.asked, on.planned]).toEqual([5, 1]);
  on.contacts.stop();
  expect(on.planned).toBe(0);
});

test('with no device online nothing is published, and all is kept for the next that comes', async () => {
  on.devices = 0;
  on.contacts.sessionUp(bob);
  await on.settled();
  on.hears('alice@example.com/desk');
  on.hears('carol@example.com/desk');
  on.hears('carol@example.com/desk', '', `to='${bob}' type='unavailable'`);
  expect(on.published).toEqual([]);
  on.devices = 1;
  on.contacts.deviceOnline(bob);
  expect(on.sets).toEqual([['alice@example.com/desk']]);
});

test('what the server answers when the session has gone is not taken for what the next session knows', async () => {
  on.contacts.deviceOnline(bob);
  on.contacts.forget(bob);
  on.hasSession = false;
  await on.settled();
  on.contacts.deviceOnline(bob);
  await on.settled();
  expect(on.sets).toEqual([]);
});

test('a device that flaps ten times a second for ten seconds gets three sets, and the last has the last word', async () => {
  on.contacts.sessionUp(bob);
  on.devices = 0;
  await on.settled();
  for (let n = 0; n < 100; n++) {
    on.devices = 1;
    on.contacts.deviceOnline(bob);
    on.devices = 0;
    await on.turn(100);
  }
  on.hears('alice@example.com/desk');
  on.devices = 1;
  on.contacts.deviceOnline(bob);
  await on.turn(5_000);
  expect(on.sets.length).toBeLessThanOrEqual(4);
  expect(on.sets.at(-1)).toEqual(['alice@example.com/desk']);
});

test('a clock that was put back by a day keeps no set back', async () => {
  on.contacts.deviceOnline(bob);
  await on.settled();
  on.now -= 86_400_000;
  on.contacts.deviceOnline(bob);
  await on.turn(5_000);
  expect([on.sets.length, on.planned]).toEqual([2, 0]);
});

test('the session’s own presence, reflected, is no contact’s; that of another resource of the user is', () => {
  on.hears(`${bob}/mqtt`, '', '');
  on.hears(`${bob}/mqtt`, '', `to='${bob}/mqtt'`);
  on.hears(`${bob}/desk`, '', `to='${bob}/mqtt'`);
  expect(on.published.map(({ from }) => from)).toEqual([`${bob}/desk`]);
});

test('a new session in which nobody was heard of is not believed: the contacts are probed', async () => {
  on.roster = `<item jid='alice@example.com' subscription='both'/>`;
  on.contacts.sessionUp(bob);
  await on.settled();
  expect([on.probed, on.sets]).toEqual([['probe alice@example.com'], [[]]]);
});

test('a server without rosters is asked once', async () => {
  on.hasRosters = false;
  on.contacts.sessionUp(bob);
  await on.turn(600_000);
  expect([on.asked, on.probed, on.sets]).toEqual([1, [], [[]]]);
});

test('what an earlier session heard does not stand when a new one is made', async () => {
  on.contacts.sessionUp(bob);
  on.hears('alice@example.com/gone');
  on.hears('carol@example.com/desk', '', `to='${bob}'`, 'E2');
  on.user.attached = { jid: `${bob}/mqtt`, epoch: 'E2' };
  on.contacts.sessionUp(bob);
  await on.settled();
  expect(on.sets.at(-1)).toEqual(['carol@example.com/desk']);

  // The same server, all contacts away: nothing was heard meanwhile.
  on.contacts.sessionUp(bob);
  await on.turn(5_000);
  expect(on.sets.at(-1)).toEqual([]);
});

test('what is beyond the bounds is passed on, counted, and the set says that it is not whole', async () => {
  on.contacts.sessionUp(bob);
  await on.settled();
  for (let n = 0; n < 1003; n++) on.hears(`room@conference.example.com/${n}`);
  expect(on.published.filter(({ from }) => from !== undefined)).toHaveLength(1003);
  expect((await on.metrics.presencesNotKept.get()).values[0]?.value).toBe(3);
  on.contacts.deviceOnline(bob);
  await on.turn(5_000);
  expect(on.published.at(-1)).toMatchObject({ complete: false });
  expect(on.sets.at(-1)).toHaveLength(1000);
});

test('above 64 MiB over all, those are forgotten of whom no device is online, and asked for when one comes', async () => {
  const long = `<status>${'x'.repeat(250_000)}</status>`;
  const users = Array.from({ length: 300 }, (_, n) => `user${n}@example.com`);
  on.isOnline = (user) => user === users[0];
  for (const user of users) {
    on.contacts.sessionUp(user);
    await on.settled();
    on.hears('alice@example.com/desk', long, `to='${user}'`, epoch, user);
  }
  on.published.length = 0;
  on.asked = 0;
  on.isOnline = () => true;
  for (const user of [users[0]!, users[1]!, users.at(-1)!]) on.contacts.deviceOnline(user);
  await on.turn(5_000);
  expect(on.asked).toBe(1);
  expect(on.sets).toEqual([['alice@example.com/desk'], ['alice@example.com/desk'], []]);
});

test('a set larger than the broker takes goes in parts, and one presence that is larger not at all', async () => {
  on.contacts.sessionUp(bob);
  await on.settled();
  on.maximumPacketSize = 1_000;
  for (let n = 0; n < 20; n++) on.hears(`contact${n}@example.com/desk`);
  on.hears('alice@example.com/desk', `<status>${'x'.repeat(1_000)}</status>`);
  const before = on.published.length;
  on.contacts.deviceOnline(bob);
  await on.turn(5_000);
  const [first, ...rest] = on.published.slice(before);
  expect(first).toMatchObject({ contacts: [], complete: false });
  expect(rest.map(({ from }) => from)).toEqual(Array.from({ length: 20 }, (_, n) => `contact${n}@example.com/desk`));
});
