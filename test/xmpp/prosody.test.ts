// The link against a real Prosody with the server module: what the fake server can only claim.

import type { Element } from 'ltx';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { AttachLink } from '../../src/xmpp/attach-link.ts';
import { Component } from '../../src/xmpp/component.ts';
import type { LinkUp } from '../../src/xmpp/link.ts';
import { OwnDomain } from '../../src/xmpp/own-domain.ts';
import type { Arrival } from '../../src/xmpp/session.ts';
import { type Prosody, startProsody } from '../harness/prosody.ts';
import { recordingLog, until } from './support.ts';

const domain = 'gw.example.com';
const secret = 'a-fake-secret';
const { log } = recordingLog();
const heard: { stanza: Element; arrival: Arrival; accepted: () => void }[] = [];
const ups: LinkUp[] = [];
let prosody: Prosody;
let component: Component;
let link: AttachLink;

beforeAll(async () => {
  prosody = await startProsody({
    accounts: { alice: 'not-secret-a', bob: 'not-secret-b' },
    components: [{ domain, secret }],
  });
  const timing = { pauseMinMs: 50, pauseMaxMs: 500 };
  const common = { clock: systemClock, log };
  component = new Component({
    host: '127.0.0.1',
    port: prosody.componentPort,
    domain,
    secret,
    server: prosody.domain,
    timing,
    ...common,
  });
  link = new AttachLink({ component, host: prosody.domain, ...common });
  link.onUp = (up) => ups.push(up);
  link.onStanza = (stanza, arrival, accepted) => {
    if (stanza.name === 'message') heard.push({ stanza, arrival, accepted });
    else accepted();
  };
  component.start();
  await until(() => link.up, 'the link');
});

afterAll(async () => {
  await component?.stop();
  await prosody?.stop();
});

test('two attached users write to each other, and an unacked message comes again after a cut', async () => {
  const request = { resource: 'mqtt', carbons: false, presence: '<presence><priority>0</priority></presence>' };
  const attached = await link.attach(['alice', 'bob', 'nobody'].map((user) => ({ user, ...request })));
  expect(attached).toMatchObject([
    { kind: 'attached', jid: 'alice@example.com/mqtt' },
    { kind: 'attached', jid: 'bob@example.com/mqtt' },
    { kind: 'refused', condition: 'item-not-found' },
  ]);
  const message = `<message to="bob@example.com" type="chat" id="m1"><body>ß😀 &lt;</body></message>`;
  expect(await link.send('alice@example.com/mqtt', message, 'k1')).toEqual({ kind: 'processed' });
  expect(await link.send('alice@example.com/mqtt', message, 'k1')).toEqual({ kind: 'processed' });
  await until(() => heard.length === 1);
  component.drop('the test cuts it');
  await until(() => ups.length === 2 && heard.length === 2);
  expect(ups[1]).toMatchObject({ resumed: true, sessions: 2 });
  const [first, again] = heard;
  expect(again?.stanza.toString()).toBe(first?.stanza.toString());
  expect(again?.arrival).toEqual(first?.arrival);
  expect(first?.stanza.attrs).toMatchObject({ from: 'alice@example.com/mqtt', to: 'bob@example.com', id: 'm1' });
  expect(first?.stanza.getChildText('body')).toBe('ß😀 <');
  again?.accepted();
  expect(await link.detach('bob@example.com/mqtt')).toMatchObject({ kind: 'detached', returned: 0 });
  expect(await link.send('bob@example.com/mqtt', message, 'k2')).toMatchObject({
    kind: 'wait',
    condition: 'item-not-found',
  });
});

test('an address of our own domain settles on its fence', async () => {
  const bot = new OwnDomain(component).session(`bot@${domain}`);
  const message = `<message from="bot@${domain}" to="alice@example.com/mqtt" type="chat" id="b1"><body>hello</body></message>`;
  expect(await bot.send(message, 'k')).toEqual({ kind: 'processed' });
  await until(() => heard.some(({ stanza }) => stanza.attrs.id === 'b1'));
});
