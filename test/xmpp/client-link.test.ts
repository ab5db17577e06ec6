// Client sessions (attach: client) against a server that the test turns: what they show after a broken connection, and both counts.

import type { Element } from 'ltx';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Clock, systemClock } from '../../src/clock.ts';
import { ClientLink } from '../../src/xmpp/client-link.ts';
import type { SessionMemory } from '../../src/xmpp/session-memory.ts';
import { account, FakeC2s, type FakeC2sOptions } from './fake-c2s.ts';
import { recordingLog, until } from './support.ts';

const user = 'bob@example.com';
const presence = '<presence><priority>0</priority></presence>';
const attach = { user: account.user, resource: 'mqtt', carbons: false, presence };
const original =
  '<message from="alice@example.com/pc" to="bob@example.com" type="chat" id="m1"><body>hi</body></message>';
const handBack = { to: user, key: 'k1', stamp: '2026-01-02T03:04:05.000Z', stanza: original, ends: false };

const showsIt = (text: string) => text.startsWith('<presence') && !text.startsWith('<presence type="unavailable"');

/** What a ledger would keep, in memory. */
function memory() {
  const links = new Map<string, { epoch: string; h: number }>();
  const placed = new Map<string, number>();
  const kept: SessionMemory = {
    position: async (link) => links.get(link) ?? null,
    read: async (link, epoch, h) => {
      const there = links.get(link);
      if (there?.epoch !== epoch || h > there.h) links.set(link, { epoch, h });
    },
    placed: async (_, key, n) => void placed.set(key, n),
    resolved: async (_, h) => {
      for (const [key, n] of placed) if (n > (h ?? 0)) placed.delete(key);
      for (const key of placed.keys()) placed.set(key, 0);
      return [...placed.keys()];
    },
    forgotten: (_, keys) => {
      for (const key of keys) placed.delete(key);
    },
  };
  return { kept, links, placed };
}

async function stage(options: FakeC2sOptions = {}, clock: Clock = systemClock) {
  const fake = new FakeC2s(options);
  const port = await fake.listen();
  const { log, lines } = recordingLog();
  const disk = memory();
  const linkOver = (kept: SessionMemory) =>
    new ClientLink({
      target: { host: '127.0.0.1', port, domain: account.domain, security: 'none' },
      ...{ resource: 'mqtt', perSecond: 1_000, archiveEveryMs: 60_000, limits: {}, clock, log },
      credentialOf: async () => ({ kind: 'found', credential: { password: account.password } }),
      memory: kept,
    });
  const link = linkOver(disk.kept);
  const heard: Element[] = [];
  const lost: string[] = [];
  const seen = new Map<string | undefined, boolean | undefined>();
  link.onStanza = (stanza, arrival, accepted) => {
    heard.push(stanza);
    seen.set(stanza.attrs.id, arrival.seen);
    accepted();
  };
  link.onLost = (jid) => lost.push(jid);
  const up = new Promise<void>((resolve) => {
    link.onUp = () => resolve();
  });
  link.start();
  await up;
  onTestFinished(async () => {
    await link.stop();
    await fake.close();
  });
  const session = () => [...fake.sessions.values()].at(-1)!;
  /** Every connection breaks, and the same session is asked for again. */
  const breakOff = async () => {
    const before = lost.length;
    fake.hangUp();
    await until(() => lost.length > before, 'the loss');
    return (await link.attach([attach]))[0];
  };
  /** Another process, with what is on disk. */
  const nextProcess = async () => {
    const next = linkOver(disk.kept);
    const isUp = new Promise<void>((resolve) => {
      next.onUp = () => resolve();
    });
    next.start();
    await isUp;
    onTestFinished(() => next.stop());
    return next;
  };
  return { fake, link, disk, heard, seen, lost, lines, session, breakOff, nextProcess };
}

describe('a session that hands back is unavailable meanwhile', () => {
  test('and shows itself again when its connection breaks before it would have', async () => {
    const { link, session, breakOff } = await stage();
    expect((await link.attach([attach]))[0]).toMatchObject({ kind: 'attached', resumed: false });
    expect(session().shown).toBe('available');
    expect(await link.giveBack(handBack)).toEqual({ kind: 'processed' });
    expect(session().shown).toBe('unavailable');
    expect(await breakOff()).toMatchObject({ kind: 'attached', resumed: true });
    expect(session().shown).toBe('available');
  });

  test('and does so before the gateway stops', async () => {
    const { link, session } = await stage();
    await link.attach([attach]);
    await link.giveBack(handBack);
    await link.stop();
    expect(session().shown).toBe('available');
  });

  test.each(['is about to hand back', 'has handed back and waits for the answer'])(
    'and does so before the gateway stops, which has stopped reading, even while it %s',
    async (moment) => {
      const { fake, link, disk, session } = await stage();
      await link.attach([attach]);
      const asked = Promise.withResolvers<void>();
      const onDisk = Promise.withResolvers<void>();
      const { placed } = disk.kept;
      disk.kept.placed = (name, key, n) => {
        if (key !== handBack.key) return placed(name, key, n);
        asked.resolve();
        return onDisk.promise;
      };
      if (moment === 'is about to hand back') link.pauseReading();
      const answer = link.giveBack(handBack);
      await until(() => session().shown === 'unavailable', 'the end of its presence');
      if (moment !== 'is about to hand back') {
        await asked.promise;
        link.pauseReading();
        onDisk.resolve();
        await until(() => fake.heard.some((text) => text.startsWith('<message')), 'what is handed back');
      }
      await link.stop();
      await until(() => session().shown === 'available', 'its presence');
      expect(await answer).toEqual({ kind: 'lost' });
    },
  );

  test.each(['is killed', 'is stopped while its disk takes nothing'])(
    'and shows itself when the next process finds it, if this one %s amid a hand-back, and never again after that',
    async (end) => {
      const { fake, link, disk, session, nextProcess } = await stage();
      await link.attach([attach]);
      const { placed } = disk.kept;
      const asked = Promise.withResolvers<void>();
      disk.kept.placed = (name, key, n) => {
        if (key !== handBack.key) return placed(name, key, n);
        asked.resolve();
        return new Promise(() => {});
      };
      const answer = link.giveBack(handBack);
      await asked.promise;
      if (end === 'is killed') fake.hangUp();
      await link.stop();
      expect(await answer).toEqual({ kind: 'lost' });
      expect(session().shown).toBe('unavailable');
      const next = await nextProcess();
      const shown = () => fake.heard.filter((text) => text.startsWith('<presence')).length;
      const before = shown();
      expect((await next.attach([attach]))[0]).toMatchObject({ kind: 'attached', resumed: true });
      expect([session().shown, shown() - before]).toEqual(['available', 1]);
      await next.stop();
      expect((await (await nextProcess()).attach([attach]))[0]).toMatchObject({ kind: 'attached', resumed: true });
      expect([session().shown, shown() - before]).toEqual(['available', 1]);
    },
  );

  test('and goes on with it, when the next process hands back, without being seen in between', async () => {
    const { fake, link, session, nextProcess } = await stage();
    await link.attach([attach]);
    await link.giveBack(handBack);
    fake.hangUp();
    await link.stop();
    const next = await nextProcess();
    expect(await next.giveBack({ ...handBack, key: 'k2' })).toEqual({ kind: 'processed' });
    expect(session().shown).toBe('unavailable');
    expect(fake.heard.filter(showsIt)).toHaveLength(1);
  });

  test('and is so for sure, when the next process hands back, even if it had shown itself at the stop and no answer was read', async () => {
    const { fake, link, session, nextProcess } = await stage();
    await link.attach([attach]);
    await link.giveBack(handBack);
    link.pauseReading();
    await link.stop();
    await until(() => session().shown === 'available', 'its presence');
    const next = await nextProcess();
    expect(await next.giveBack({ ...handBack, key: 'k2', ends: true })).toEqual({ kind: 'processed' });
    const sent = fake.heard.filter((text) => /^<(presence|message)/.test(text)).map((text) => text.slice(0, 30));
    expect(sent.slice(-2)).toEqual(['<presence type="unavailable"/>', expect.stringMatching(/^<message/)]);
  });

  test('and stays so, even at a stop, where it is to end behind what it hands back; until somebody wants it shown', async () => {
    const due: (() => void)[] = [];
    const clock: Clock = {
      ...systemClock,
      after(delayMs, task) {
        if (delayMs !== 2_000) return systemClock.after(delayMs, task);
        due.push(task);
        return { cancel: () => void due.splice(due.indexOf(task), 1) };
      },
    };
    const { fake, link, session, nextProcess } = await stage({}, clock);
    const passTime = async () => {
      for (const task of due.splice(0)) task();
      // Whatever it has begun is over when the next thing in line is.
      await link.giveBack({ ...handBack, stanza: '<' });
    };
    await link.attach([attach]);
    const ends = { ...handBack, ends: true };
    expect(await link.giveBack(ends)).toEqual({ kind: 'processed' });
    await passTime();
    expect(session().shown).toBe('unavailable');
    const jid = `${user}/mqtt`;
    await link.send(jid, '<presence><show>away</show></presence>', 'p1');
    expect(session().shown).toBe('available');
    await link.giveBack(handBack);
    expect(session().shown).toBe('unavailable');
    await passTime();
    expect(session().shown).toBe('available');
    await link.giveBack(ends);
    const shown = () => fake.heard.filter(showsIt).length;
    const before = shown();
    await link.stop();
    const next = await nextProcess();
    expect(await next.giveBack({ ...ends, key: 'k2' })).toEqual({ kind: 'processed' });
    expect([session().shown, shown() - before]).toEqual(['unavailable', 0]);
    await next.detach(jid);
    expect(fake.heard.at(-1)).toContain('<r ');
    expect(shown() - before).toBe(0);
  });

  test('even if the text of its presence reads like one that is', async () => {
    const { link, session } = await stage();
    const status = '<presence><status>type="unavailable"</status></presence>';
    await link.attach([{ ...attach, presence: status }]);
    await link.giveBack(handBack);
    expect(session().shown).toBe('unavailable');
  });

  test('while one that has not handed back is shown once, whatever its connection does', async () => {
    const { fake, link, breakOff } = await stage();
    await link.attach([attach]);
    await breakOff();
    expect(fake.heard.filter((text) => text.startsWith('<presence'))).toHaveLength(1);
  });
});

test('what is handed back and comes back as an error was not handed back, even if the server counts it first', async () => {
  const { fake, link } = await stage();
  await link.attach([attach]);
  const full = "<resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>";
  fake.refuses = `<error type='wait'>${full}</error>`;
  expect(await link.giveBack(handBack)).toMatchObject({ kind: 'wait', condition: 'resource-constraint' });
  fake.refuses = undefined;
  expect(await link.giveBack({ ...handBack, key: 'k2' })).toEqual({ kind: 'processed' });
});

test('a session that was made for handing back only has carbons once it is wanted for more', async () => {
  const { fake, link } = await stage();
  await link.giveBack(handBack);
  expect((await link.attach([{ ...attach, carbons: true }]))[0]).toMatchObject({ kind: 'attached' });
  expect(fake.heard.filter((text) => text.includes('urn:xmpp:carbons:2') && text.includes('<enable'))).toHaveLength(1);
  await link.attach([{ ...attach, carbons: true }]);
  expect(fake.heard.filter((text) => text.includes('urn:xmpp:carbons:2') && text.includes('<enable'))).toHaveLength(1);
});

test('a session that was made for handing back only has them, too, if it was found again meanwhile', async () => {
  const { fake, link, lost } = await stage();
  await link.giveBack(handBack);
  fake.hangUp();
  await until(() => lost.length > 0, 'the loss');
  expect((await link.attach([{ ...attach, carbons: true }]))[0]).toMatchObject({ kind: 'attached', resumed: true });
  expect(fake.heard.filter((text) => text.includes('urn:xmpp:carbons:2') && text.includes('<enable'))).toHaveLength(1);
});

describe('a stop', () => {
  const quick: Clock = { ...systemClock, after: (delayMs, task) => systemClock.after(delayMs / 100, task) };

  test.each([
    ['does not take', () => new Promise<void>(() => {})],
    ['refuses', () => Promise.reject(new Error('the ledger is gone'))],
  ])('closes every connection, even if the disk %s what would be acknowledged', async (_, read) => {
    const { fake, link, disk, heard } = await stage({}, quick);
    await link.attach([attach]);
    fake.sendStanza(`<message from='alice@example.com' id='a1'><body>x</body></message>`);
    await until(() => heard.length === 1, 'the message');
    let asked = 0;
    disk.kept.read = () => {
      asked += 1;
      return read();
    };
    await link.stop();
    expect(asked).toBe(1);
    await until(() => fake.connections === 0, 'the end of the connection');
  });

  test('ends a login that is under way, too', async () => {
    const { fake, link } = await stage();
    fake.ignores = ({ name }) => name === 'r';
    const attached = link.attach([attach]);
    await until(() => fake.heard.some((text) => text.startsWith('<r ')), 'a session that is nearly made');
    await link.stop();
    expect((await attached)[0]).toEqual({ kind: 'lost' });
    await until(() => fake.connections === 0, 'the end of the connection');
  });

  test('leaves no time limit behind that begins again and again', async () => {
    const limits: (() => void)[] = [];
    const clock: Clock = {
      ...systemClock,
      after(delayMs, task) {
        if (delayMs === 30_000) limits.push(task);
        return systemClock.after(delayMs, task);
      },
    };
    const { fake, link } = await stage({}, clock);
    await link.attach([attach]);
    fake.ignores = ({ name }) => name === 'iq';
    const answer = link.giveBack(handBack);
    await until(() => fake.heard.some((text) => text.includes('urn:xmpp:ping')), 'the ping');
    link.pauseReading();
    await link.stop();
    expect(await answer).toEqual({ kind: 'lost' });
    for (const passed of limits.splice(0)) passed();
    expect(limits).toEqual([]);
  });
});

test('a session that cannot be written down is not held against the server: whoever asks is told of the ledger', async () => {
  const quick: Clock = { ...systemClock, after: (delayMs, task) => systemClock.after(delayMs / 100, task) };
  const { link, disk, lines } = await stage({}, quick);
  const { read } = disk.kept;
  disk.kept.read = () => new Promise(() => {});
  expect((await link.attach([attach]))[0]).toMatchObject({
    ...{ kind: 'wait', condition: 'internal-server-error' },
    text: expect.stringMatching(/ledger does not take it.*readyz/),
  });
  expect(lines.filter(({ event }) => event === 'attach.down')).toEqual([]);
  disk.kept.read = read;
  expect((await link.attach([attach]))[0]).toMatchObject({ kind: 'attached' });
});

test('what takes longer because nothing is read meanwhile is not held against the server', async () => {
  const quick: Clock = { ...systemClock, after: (delayMs, task) => systemClock.after(delayMs / 100, task) };
  const { fake, link, lines } = await stage({}, quick);
  link.pauseReading();
  const attached = link.attach([attach]);
  await until(() => fake.heard.some((text) => text.startsWith('<presence')), 'the presence');
  // As half a minute and more.
  await new Promise((resolve) => setTimeout(resolve, 400));
  link.resumeReading();
  expect((await attached)[0]).toMatchObject({ kind: 'attached' });
  expect(lines.filter(({ event }) => event === 'attach.down' || event === 'client.lost')).toEqual([]);
});

test('who has gone while the session was unavailable is not taken for somebody who was given a message, too', async () => {
  const quick: Clock = { ...systemClock, after: (delayMs, task) => systemClock.after(delayMs / 100, task) };
  const { fake, link, session, heard, seen } = await stage({}, quick);
  await link.attach([attach]);
  const say = (id: string) =>
    fake.sendStanza(`<message from='alice@example.com/a' to='${user}' id='${id}'><body>x</body></message>`);
  fake.sendStanza(`<presence from='${user}/desk'/>`);
  say('a1');
  await link.giveBack(handBack);
  // Of the desk's end nobody tells a resource that is unavailable.
  await until(() => session().shown === 'available', 'the session');
  say('a2');
  await until(() => heard.some(({ attrs }) => attrs.id === 'a2'), 'the message');
  expect([seen.get('a1'), seen.get('a2')]).toEqual([true, false]);
});

describe("the server's proof of the password (RFC 5802 §5)", () => {
  test.each(['success', 'challenge'] as const)('is taken in a %s', async (proofIn) => {
    const { link } = await stage({ proofIn });
    expect((await link.attach([attach]))[0]).toMatchObject({ kind: 'attached' });
  });

  test.each(['success', 'challenge'] as const)('is looked at in a %s', async (proofIn) => {
    const { link } = await stage({ proofIn, password: 'another' });
    expect((await link.attach([attach]))[0]).toMatchObject({ kind: 'refused' });
  });
});

test('both counts begin again at 0 behind 2^32 - 1 (XEP-0198 §4), and nothing is lost or taken for an error', async () => {
  const { fake, link, disk, heard, session, breakOff } = await stage();
  await link.attach([attach]);
  // As after years.
  session().counted = 2 ** 32 - 2;
  session().sent = 2 ** 32 - 2;
  const known = disk.links.get(`c2s/${user}`)!;
  disk.links.set(`c2s/${user}`, { ...known, h: 2 ** 32 - 2 });
  await breakOff();
  const message = (n: number) => `<message id="m${n}" to="alice@example.com"/>`;
  for (const n of [1, 2, 3])
    expect(await link.send(`${user}/mqtt`, message(n), `k${n}`)).toEqual({ kind: 'processed' });
  expect(session().counted).toBe(1);
  for (const n of [1, 2, 3]) fake.sendStanza(`<message from='alice@example.com' id='a${n}'><body>x</body></message>`);
  await until(() => heard.length === 3, 'the messages');
  await new Promise((resolve) => setImmediate(resolve));
  fake.send("<r xmlns='urn:xmpp:sm:3'/>");
  await until(() => fake.heard.some((text) => text.startsWith('<a ') && text.includes('h="1"')), 'the ack');
  expect(await breakOff()).toMatchObject({ kind: 'attached', resumed: true });
  expect(fake.heard.filter((text) => text.startsWith('<resume ')).at(-1)).toContain('h="1"');
});
