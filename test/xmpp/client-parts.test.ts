// The parts of client sessions that need no server: SASL, messages that go back, who else was given a message.

import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { probe } from '../../src/xmpp/client-probe.ts';
import { OtherResources } from '../../src/xmpp/other-resources.ts';
import { Outgoing } from '../../src/xmpp/outgoing.ts';
import { cover, uncover } from '../../src/xmpp/returned.ts';
import { chooseMechanism } from '../../src/xmpp/sasl.ts';
import { parseStanza } from '../../src/xmpp/xml-reader.ts';

const password = { password: 'pencil' };

describe('SASL', () => {
  test.each([
    [['PLAIN', 'SCRAM-SHA-1', 'SCRAM-SHA-256'], true, 'SCRAM-SHA-256'],
    [['PLAIN', 'SCRAM-SHA-1'], false, 'SCRAM-SHA-1'],
    [['PLAIN'], true, 'PLAIN'],
    [['PLAIN'], false, undefined],
    [['SCRAM-SHA-256-PLUS', 'EXTERNAL'], true, undefined],
  ] as const)('of %j, secure %s: %s', (offered, isSecure, name) => {
    expect(chooseMechanism(offered, 'bob', password, isSecure)?.name).toBe(name);
  });

  test('a token goes by X-OAUTH2, and never in the clear', () => {
    const token = { token: 't' };
    expect(chooseMechanism(['PLAIN', 'X-OAUTH2'], 'bob', token, true)?.first()).toBe('\0bob\0t');
    expect(chooseMechanism(['X-OAUTH2'], 'bob', token, false)).toBeNull();
  });

  test.each([
    ['SCRAM-SHA-1', 'sha1'],
    ['SCRAM-SHA-256', 'sha256'],
  ])('%s proves the password, and takes only a server that has it, too', async (name, hash) => {
    const mechanism = chooseMechanism([name], 'b=o,b', password, false)!;
    const first = mechanism.first().slice(3);
    expect(first.startsWith('n=b=3Do=2Cb,r=')).toBe(true);
    const nonce = `${first.split('r=')[1]}server`;
    const challenge = `r=${nonce},s=${Buffer.from('salt').toString('base64')},i=4096`;
    const [withoutProof = '', proof = ''] = (await mechanism.answer(challenge)).split(',p=');
    // As a server does it (RFC 5802 §3): the client's key, from the proof, must be the one behind the stored key.
    const mac = (key: Buffer, text: string) => createHmac(hash, key).update(text).digest();
    const digest = (bytes: Buffer) => createHash(hash).update(bytes).digest();
    const salted = pbkdf2Sync('pencil', 'salt', 4096, digest(Buffer.of()).length, hash);
    const stored = digest(mac(salted, 'Client Key'));
    const message = `${first},${challenge},${withoutProof}`;
    const signature = mac(stored, message);
    const key = Buffer.from(Buffer.from(proof, 'base64').map((byte, at) => byte ^ signature[at]!));
    expect(digest(key)).toEqual(stored);
    const server = mac(mac(salted, 'Server Key'), message).toString('base64');
    expect([mechanism.isProved(`v=${server}`), mechanism.isProved('v=AAAA'), mechanism.isProved('')]).toEqual([
      true,
      false,
      false,
    ]);
  });

  test.each([
    ['another nonce', 'r=other,s=c2FsdA==,i=4096'],
    ['no salt', 'r=NONCEx,i=4096'],
    ['no count', 'r=NONCEx,s=c2FsdA==,i=0'],
    ['an extension that must be known', 'm=x,r=NONCEx,s=c2FsdA==,i=4096'],
    ['work for hours', 'r=NONCEx,s=c2FsdA==,i=99999999'],
    ['nothing', ''],
  ])('a challenge with %s is refused', async (_, challenge) => {
    const mechanism = chooseMechanism(['SCRAM-SHA-1'], 'bob', password, true)!;
    const nonce = mechanism.first().split('r=')[1]!;
    await expect(mechanism.answer(challenge.replace('NONCE', nonce))).rejects.toThrow(/the challenge/);
  });
});

describe('a message that goes back', () => {
  const stamp = '2026-01-02T03:04:05.000Z';
  const original = `<message from="alice@example.com/pc" to="bob@example.com" type="chat" id="m1"><body>hi</body></message>`;
  const covered = (text: string) => {
    const written = cover({ to: 'bob@example.com', key: 'k', stamp, stanza: text });
    return parseStanza(typeof written === 'string' ? written : '')!;
  };

  test('is readable for people, and once more the original for the gateway', () => {
    const message = covered(original);
    expect(message.getChildText('body')).toBe('alice@example.com: hi');
    expect(message.attrs).toMatchObject({ to: 'bob@example.com', type: 'chat', id: 'k' });
    message.attrs.from = 'bob@example.com/mqtt';
    const back = uncover(message, 'bob@example.com', 'example.com')!;
    expect(back.attrs).toEqual({ from: 'alice@example.com/pc', to: 'bob@example.com', type: 'chat', id: 'm1' });
    expect(back.getChild('delay')?.attrs).toMatchObject({ from: 'example.com', stamp });
  });

  test.each(['alice@example.com/pc', 'bob@example.org', undefined])(
    'is believed from the own account only, not %s',
    (from) => {
      const message = covered(original);
      if (from) message.attrs.from = from;
      expect(uncover(message, 'bob@example.com', 'example.com')).toBeNull();
    },
  );

  test('without a body says that there is something', () => {
    const message = covered(`<message from="a@b" type="chat" id="m2"><x xmlns="urn:x"/></message>`);
    expect(message.getChildText('body')).toBe('a@b: (a message that this client cannot show)');
  });
});

test.each([
  ['example.com', 'example.com'],
  ['b\u00fccher.example', 'xn--bcher-kva.example'],
])('TLS is asked for %s as certificates name it: %s', async (domain, wanted) => {
  const asked = Promise.withResolvers<string>();
  const server = createServer({
    SNICallback(name, done) {
      asked.resolve(name);
      done(new Error('there is no certificate'));
    },
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const target = { host: '127.0.0.1', port, domain, security: 'direct' } as const;
  const asking = probe({ target, limits: {}, clock: systemClock });
  expect(await asked.promise).toBe(wanted);
  expect(await asking.result).toMatchObject({ closed: { by: expect.any(String) } });
  server.close();
});

describe('what a session sends', () => {
  const stanza = (n: number) => `<message id="m${n}"/>`;
  const asked = '<r xmlns="urn:xmpp:sm:3"/>';

  /** On a disk that the test turns. */
  function stage(processed: string[] = []) {
    const written: string[] = [];
    const onDisk: (() => void)[] = [];
    const forgotten: string[] = [];
    const confirmed: (() => void)[] = [];
    const out = new Outgoing({
      link: 'c2s/bob',
      memory: {
        placed: () => new Promise((resolve) => onDisk.push(resolve)),
        resolved: async () => processed,
        forgotten: (_, keys) => void forgotten.push(...keys),
      },
      write: (text) => void written.push(text),
      confirm: (done) => void confirmed.push(done),
    });
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    return { out, written, onDisk, forgotten, confirmed, turn };
  }

  test.each([
    ['what is not on disk yet', 1],
    ['more than there is', 3],
    ['what is far beyond that, and looks like one less than nothing', -1],
  ])('is not believed to be counted by a server that counts %s', async (_, h) => {
    const { out, onDisk, forgotten, turn } = stage();
    await out.begin(0);
    let result: unknown;
    void out.send(stanza(1), 'k1').then((answer) => (result = answer));
    if (h > 1) onDisk[0]!();
    await turn();
    expect(out.acknowledged(h)).toBe(false);
    await turn();
    expect([result, forgotten]).toEqual([undefined, []]);
  });

  test('goes out once its key is on disk, in order, and is processed when the server has counted it', async () => {
    const { out, written, onDisk, forgotten, turn } = stage();
    await out.begin(0);
    const results = [out.send(stanza(1), 'k1'), out.send(stanza(2), 'k2')];
    onDisk[1]!();
    await turn();
    expect(written).toEqual([]);
    onDisk[0]!();
    await turn();
    expect(written).toEqual([stanza(1) + stanza(2), asked]);
    out.acknowledged(1);
    expect(await results[0]).toEqual({ kind: 'processed' });
    out.lost();
    expect(await results[1]).toEqual({ kind: 'lost' });
    await turn();
    expect(forgotten).toEqual(['k1']);
  });

  test('what was written behind a question is asked for when that is answered', async () => {
    const { out, written, onDisk, turn } = stage();
    await out.begin(0);
    const results = [out.send(stanza(1), 'k1'), out.send(stanza(2), 'k2')];
    for (const ready of onDisk) {
      ready();
      await turn();
    }
    expect(written).toEqual([stanza(1), asked, stanza(2)]);
    out.acknowledged(1);
    expect(written.at(-1)).toBe(asked);
    out.acknowledged(2);
    expect(await Promise.all(results)).toEqual([{ kind: 'processed' }, { kind: 'processed' }]);
  });

  test('a key that the server has processed before is not sent again', async () => {
    const { out, written } = stage(['k1']);
    await out.begin(7);
    expect(await out.send(stanza(1), 'k1')).toEqual({ kind: 'processed' });
    expect(written).toEqual([]);
  });

  test('but one that is handed back is: its error may come behind the count', async () => {
    const { out, written, onDisk, turn } = stage(['k1']);
    await out.begin(7);
    const result = out.send(stanza(1), 'k1', true);
    onDisk[0]?.();
    await turn();
    expect(written).toEqual([stanza(1), asked]);
    expect(out.refused('k1', { type: 'wait', condition: 'resource-constraint', text: 'full' })).toBe(true);
    expect(await result).toMatchObject({ kind: 'wait' });
  });

  test('an error with the key of what was handed back is its answer', async () => {
    const { out } = stage();
    await out.begin(0);
    const result = out.send(stanza(1), 'k1', true);
    const error = { type: 'wait', condition: 'resource-constraint', text: 'full' };
    expect([out.refused('k2', error), out.refused('k1', error)]).toEqual([false, true]);
    expect(await result).toEqual({ kind: 'wait', condition: 'resource-constraint', text: 'full' });
  });

  test('what was handed back is processed, and its key forgotten, when no error has come behind the count', async () => {
    const { out, onDisk, forgotten, confirmed, turn } = stage();
    await out.begin(0);
    let result: unknown;
    void out.send(stanza(1), 'k1', true).then((answer) => (result = answer));
    onDisk[0]!();
    await turn();
    expect(out.acknowledged(1)).toBe(true);
    await turn();
    expect([result, forgotten]).toEqual([undefined, []]);
    confirmed[0]!();
    await turn();
    expect([result, forgotten]).toEqual([{ kind: 'processed' }, ['k1']]);
  });
});

describe('who else was given a message', () => {
  const presence = (from: string, inner = '', type = '') =>
    parseStanza(`<presence from="${from}"${type && ` type="${type}"`}>${inner}</presence>`)!;
  const to = (jid: string) => parseStanza(`<message to="${jid}"/>`)!;
  const zero = presence('bob@example.com/pc');
  test.each([
    ['one with our priority', [zero], 'bob@example.com', true],
    ['one that has gone', [zero, presence('bob@example.com/pc', '', 'unavailable')], 'bob@example.com', false],
    ['one that wants none', [presence('bob@example.com/pc', '<priority>-1</priority>')], 'bob@example.com', false],
    ['our own', [presence('bob@example.com/mqtt')], 'bob@example.com', false],
    ['a contact', [presence('alice@example.com/pc')], 'bob@example.com', false],
    ['one, but it was for us alone', [zero], 'bob@example.com/mqtt', false],
  ])('%s', (_, heard, jid, seen) => {
    const others = new OtherResources('bob@example.com');
    for (const each of heard) others.heard(each, 'bob@example.com/mqtt');
    expect(others.haveSeen(to(jid))).toBe(seen);
  });
});
