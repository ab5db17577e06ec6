// Client sessions (attach: client): what they carry over connections that break, stop and stall, and both counts.

import { describe, expect, test } from 'vitest';
import { type Clock, systemClock } from '../../src/clock.ts';
import { attach, handBack, stage, user } from './client-stage.ts';
import { until } from './support.ts';

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
