// The component connection and its supervisor against a server that can misbehave.

import type { Element } from 'ltx';
import { describe, expect, test } from 'vitest';
import type { Skipped } from '../../src/xmpp/stanza-limits.ts';
import { pauseBefore } from '../../src/xmpp/supervisor.ts';
import { stage, until } from './support.ts';

const ids = (stanzas: Element[]) => stanzas.map(({ attrs }) => attrs.id);

test('stanzas that follow the handshake in the same chunk come after onOnline', async () => {
  const { fake, gateway } = await stage();
  const story: string[] = [];
  gateway.onOnline = () => story.push('online');
  gateway.onStanza = ({ attrs }) => story.push(attrs.id ?? '');
  fake.onHandshake = (socket) => socket.write(`<handshake/><message id='1'/><message id='2'/>`);
  gateway.start();
  await until(() => story.length === 3);
  expect(story).toEqual(['online', '1', '2']);
});

test('a handler that throws loses its own stanza, and not the rest of the chunk', async () => {
  const { fake, gateway, lines } = await stage();
  const heard: Element[] = [];
  gateway.onStanza = (stanza) => {
    if (stanza.attrs.id === '2') throw new Error('a fault of the test');
    heard.push(stanza);
  };
  gateway.onOnline = () => fake.raw(`<message id='1'/><message id='2'/><message id='3'/>`);
  gateway.start();
  await until(() => heard.length === 2);
  expect(ids(heard)).toEqual(['1', '3']);
  expect(gateway.faults).toBe(1);
  expect(lines.map(({ event }) => event)).toContain('component.fault');
});

test('characters cut by chunk borders arrive whole', async () => {
  const { fake, gateway } = await stage();
  const heard: Element[] = [];
  gateway.onStanza = (stanza) => heard.push(stanza);
  gateway.start();
  await until(() => gateway.online);
  const bytes = Buffer.from('<message><body>ß€😀</body></message>');
  for (const byte of bytes) {
    fake.raw(Uint8Array.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => heard.length === 1);
  expect(heard[0]?.getChildText('body')).toBe('ß€😀');
});

describe('a connection that does not come about is given up, and tried again:', () => {
  test.each([
    ['a mute server', { manners: 'mute' } as const, 'the server does not answer'],
    ['no answer to the handshake', { manners: 'half' } as const, 'the server does not answer the handshake'],
    ['a wrong secret', { secret: 'another-fake-secret' }, 'component secret refused: not-authorized'],
  ])('%s', async (_, server, text) => {
    const { fake, gateway, lines } = await stage(server);
    gateway.start();
    await until(() => lines.find((line) => line.message?.includes(text)), text);
    expect(gateway.online).toBe(false);
    fake.manners = 'all';
    fake.secret = 'a-fake-secret';
    await until(() => gateway.online);
  });

  test('nobody listening', async () => {
    const { fake, gateway, lines } = await stage();
    await fake.close();
    gateway.start();
    await until(() => lines.filter(({ event }) => event === 'component.offline').length > 2);
    expect(lines.at(-1)?.message).toContain('ECONNREFUSED');
  });
});

test('XML that is not allowed ends the connection, with the reason to the server; a new one follows', async () => {
  const { fake, gateway } = await stage();
  const reasons: string[] = [];
  const toServer: Element[] = [];
  fake.onStanza = (element) => toServer.push(element);
  gateway.onOffline = (reason) => reasons.push(reason);
  gateway.start();
  await until(() => gateway.online);
  fake.raw('<message><!-- c --></message><message/>');
  await until(() => fake.connections === 2 && gateway.online);
  expect(reasons[0]).toContain('restricted-xml');
  await until(() => toServer[0]?.getChild('restricted-xml'));
});

test('an over-limit stanza is skipped, and the connection lives', async () => {
  const { fake, gateway } = await stage({}, { limits: { maxBytes: 1000 } });
  const skipped: Skipped[] = [];
  const heard: Element[] = [];
  gateway.onSkipped = (one) => skipped.push(one);
  gateway.onStanza = (stanza) => heard.push(stanza);
  gateway.start();
  await until(() => gateway.online);
  fake.raw(`<message id='1'><body>${'x'.repeat(200_000)}</body></message><message id='2'/>`);
  await until(() => heard.length === 1);
  expect(skipped).toMatchObject([{ reason: 'bytes', outline: { attrs: { id: '1' } } }]);
  expect([ids(heard), fake.connections]).toEqual([['2'], 1]);
});

test('a stream error without a condition, and data after it, harm nobody', async () => {
  const { fake, gateway } = await stage();
  gateway.start();
  await until(() => gateway.online);
  fake.raw('<stream:error/><message/></stream:stream><message/>');
  await until(() => fake.connections === 2 && gateway.online);
});

test('what is sent in one turn goes out in one piece, in order', async () => {
  const { fake, gateway } = await stage();
  const heard: Element[] = [];
  fake.onStanza = (stanza) => heard.push(stanza);
  expect(gateway.send('<message/>')).toBe(false);
  gateway.start();
  await until(() => gateway.online);
  for (let id = 0; id < 1000; id += 1) expect(gateway.send(`<message id='${id}'/>`)).toBe(true);
  await until(() => heard.length === 1000);
  expect(ids(heard)).toEqual(Array.from({ length: 1000 }, (_, id) => String(id)));
});

describe('a question', () => {
  test('is answered once, by whom it was asked of', async () => {
    const { fake, gateway } = await stage();
    fake.answers = false;
    fake.onIq = ({ attrs: { id } }) => {
      fake.raw(
        `<iq type='result' id='${id}' from='mallory@example.com'/><iq type='error' id='${id}' from='example.com'/><iq type='result' id='${id}' from='example.com'/>`,
      );
    };
    gateway.start();
    await until(() => gateway.online);
    const answer = await gateway.request('example.com', 'get', '<x/>');
    expect(answer).toMatchObject({ attrs: { type: 'error', from: 'example.com' } });
  });

  test('without an answer times out, but not while we do not read', async () => {
    const { fake, gateway } = await stage();
    fake.answers = false;
    gateway.start();
    await until(() => gateway.online);
    gateway.pauseReading();
    const story: string[] = [];
    const answer = gateway.request('example.com', 'get', '<x/>', 20).then((what) => story.push(String(what)));
    await new Promise((resolve) => setTimeout(resolve, 60));
    story.push('resumed');
    gateway.resumeReading();
    await answer;
    expect(story).toEqual(['resumed', 'timeout']);
  });

  test('is lost with the connection, and at once without one', async () => {
    const { fake, gateway } = await stage();
    fake.answers = false;
    expect(await gateway.request('example.com', 'get', '<x/>')).toBe('lost');
    gateway.start();
    await until(() => gateway.online);
    fake.onIq = () => fake.kill();
    expect(await gateway.request('example.com', 'get', '<x/>')).toBe('lost');
  });
});

test('a connection on which pings stay unanswered is replaced', async () => {
  const { fake, gateway } = await stage({}, { timing: { pingEveryMs: 20, pingLimitMs: 50 } });
  const reasons: string[] = [];
  gateway.onOffline = (reason) => reasons.push(reason);
  gateway.start();
  let pings = 0;
  fake.onIq = (iq) => {
    pings += iq.getChild('ping', 'urn:xmpp:ping') ? 1 : 0;
    fake.answers = pings < 3;
  };
  await until(() => reasons.length > 0);
  expect([pings, reasons[0]]).toEqual([3, 'no answer to the keep-alive ping']);
  await until(() => fake.connections === 2);
});

test('stop closes the stream in order and nothing follows', async () => {
  const { fake, gateway } = await stage();
  const heard: Element[] = [];
  fake.onStanza = (stanza) => heard.push(stanza);
  gateway.start();
  await until(() => gateway.online);
  gateway.send(`<message id='last'/>`);
  await gateway.stop();
  expect([gateway.online, gateway.send('<message/>'), fake.connections]).toEqual([false, false, 1]);
  await until(() => heard.length === 1);
});

test('stop takes what the server had written before it read of the end, though reading was paused', async () => {
  const { fake, gateway } = await stage();
  const heard: string[] = [];
  gateway.onStanza = ({ attrs }) => {
    heard.push(attrs.id ?? '');
    // An answer comes too late.
    expect(gateway.send('<message/>')).toBe(false);
  };
  gateway.start();
  await until(() => gateway.online);
  gateway.pauseReading();
  const ids = Array.from({ length: 1_000 }, (_, n) => String(n));
  for (const id of ids) fake.raw(`<message from='alice@example.com' to='bot@gw.example.com' id='${id}'/>`);
  await gateway.stop();
  expect(heard).toEqual(ids);
});

test('while reading is paused nothing of what comes is handed over; when it goes on, all of it, in order', async () => {
  const { fake, gateway } = await stage();
  const heard: string[] = [];
  gateway.onStanza = ({ attrs }) => heard.push(attrs.id ?? '');
  gateway.start();
  await until(() => gateway.online);
  gateway.pauseReading();
  const ids = Array.from({ length: 1_000 }, (_, n) => String(n));
  for (const id of ids) fake.raw(`<message from='alice@example.com' to='bot@gw.example.com' id='${id}'/>`);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(heard).toEqual([]);
  gateway.resumeReading();
  await until(() => heard.length === ids.length);
  expect(heard).toEqual(ids);
  await gateway.stop();
});

test('stop leaves it to the server to close the connection, and waits as long as it still has something to say', async () => {
  const { fake, gateway } = await stage({}, { timing: { goodbyeMs: 1_000 } });
  const heard: string[] = [];
  gateway.onStanza = ({ attrs }) => heard.push(attrs.id ?? '');
  const ids = Array.from({ length: 10 }, (_, n) => String(n));
  fake.onEnd = async (socket) => {
    for (const id of ids) {
      await new Promise((resolve) => setTimeout(resolve, 150));
      socket.write(`<message from='alice@example.com' to='bot@gw.example.com' id='${id}'/>`);
    }
    expect(fake.hangUps).toBe(0);
    socket.end('</stream:stream>');
  };
  gateway.start();
  await until(() => gateway.online);
  await gateway.stop();
  expect(heard).toEqual(ids);
});

test('stop ends its stream only behind the answer to a last ping, or without one when none comes', async () => {
  for (const isAnswered of [true, false]) {
    const { fake, gateway } = await stage();
    const said: string[] = [];
    let answer = () => {};
    fake.answers = false;
    fake.onIq = ({ attrs: { id, from, to } }) => {
      said.push('ping');
      answer = () => fake.raw(`<iq type='result' id='${id}' from='${to}' to='${from}'/>`);
    };
    fake.onEnd = (socket) => {
      said.push('end');
      socket.end('</stream:stream>');
    };
    gateway.start();
    await until(() => gateway.online);
    const stopped = gateway.stop();
    await until(() => said.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(said).toEqual(['ping']);
    if (isAnswered) answer();
    await stopped;
    expect(said).toEqual(['ping', 'end']);
  }
});

test('stop leaves a server that says nothing more, and does not end', async () => {
  const { fake, gateway } = await stage({}, { timing: { goodbyeMs: 50 } });
  fake.onEnd = () => {};
  gateway.start();
  await until(() => gateway.online);
  const reasons: string[] = [];
  gateway.onOffline = (reason) => reasons.push(reason);
  await gateway.stop();
  expect(reasons).toEqual(['stopped']);
  fake.kill();
});

test('pauses double from a quarter of a second to thirty, of which at least a half is kept', () => {
  const timing = { pauseMinMs: 250, pauseMaxMs: 30_000 };
  const at = (random: number) => Array.from({ length: 10 }, (_, failures) => pauseBefore(failures, timing, random));
  expect(at(1)).toEqual([250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  expect(at(0)).toEqual(at(1).map((pause) => pause / 2));
  expect(pauseBefore(10_000, timing, 1)).toBe(30_000);
});

test('stop comes back to everybody who asks for it, and says goodbye once', async () => {
  const { fake, gateway } = await stage();
  let ends = 0;
  fake.onEnd = (socket) => {
    ends += 1;
    socket.end('</stream:stream>');
  };
  gateway.start();
  await until(() => gateway.online);
  await Promise.all([gateway.stop(), gateway.stop()]);
  expect(ends).toBe(1);
});
