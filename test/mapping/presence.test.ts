// Presence in both directions: what apps are told, and what they may say.

import { describe, expect, it, test } from 'vitest';
import { isRefusal } from '../../src/refusal.ts';
import { mappings, stanzaOf } from './mappings.ts';

const { presence } = mappings;
const attrs = `from='alice@example.com/desk' to='bob@example.com/mqtt'`;

describe('an app is told', () => {
  const rows: [string, string, string, Record<string, unknown>][] = [
    ['who is there', '', '', {}],
    ['who has gone', `type='unavailable'`, '<status>Lunch</status>', { type: 'unavailable', text: 'Lunch' }],
    ['how available somebody is', '', '<show>dnd</show><priority>-1</priority>', { show: 'dnd', priority: -1 }],
    [
      'what no mapping knows, as it is',
      '',
      `<x xmlns='vcard-temp:x:update'><photo/></x>`,
      { xml: '<x xmlns="vcard-temp:x:update"><photo/></x>' },
    ],
    ['nothing of a delay', '', `<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>`, {}],
    ['nothing of capabilities', '', `<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/>`, {}],
    [
      'a priority that is no number in xml only',
      '',
      '<priority>high</priority>',
      { xml: '<priority xmlns="jabber:client">high</priority>' },
    ],
  ];
  test.each(rows)('%s', (_, more, children, fields) => {
    const payload = presence.toPayload(stanzaOf(`<presence ${attrs} ${more}>${children}</presence>`));
    const both = { from: 'alice@example.com/desk', to: 'bob@example.com/mqtt' };
    expect(payload).toEqual({ channel: 'presence', qos: 0, mapping: 'presence', fields: { ...both, ...fields } });
  });

  test.each(['subscribe', 'subscribed', 'unsubscribe', 'unsubscribed'])('at QoS 1 that a contact says %s', (type) => {
    expect(presence.toPayload(stanzaOf(`<presence ${attrs} type='${type}'/>`))).toMatchObject({
      qos: 1,
      fields: { type },
    });
  });
});

describe('an app may say', () => {
  const to = 'alice@example.com';
  const rows: [string, Record<string, unknown>, string][] = [
    ['that it is there', { to }, '<presence to="alice@example.com"/>'],
    [
      'how available it is',
      { to, id: 'p1', show: 'away', text: 'Tea & cake' },
      '<presence to="alice@example.com" id="p1"><show>away</show><status>Tea &amp; cake</status></presence>',
    ],
    ['that it is gone', { to, type: 'unavailable' }, '<presence to="alice@example.com" type="unavailable"/>'],
    ['yes to a request', { to, type: 'subscribed' }, '<presence to="alice@example.com" type="subscribed"/>'],
  ];
  test.each(rows)('%s', (_, payload, stanza) => expect(String(presence.toStanza(payload))).toBe(stanza));

  const refused: [string, Record<string, unknown>, string][] = [
    [
      'probe',
      { to, type: 'probe' },
      "'type' must be one of unavailable, subscribe, subscribed, unsubscribe, unsubscribed",
    ],
    ['of whom it is', { to, from: 'eve@example.com' }, "'from' is stated by the server, not by an app"],
    ['a priority', { to, priority: 100 }, "'priority' is stated by the server, not by an app"],
    ['the fields of a message', { to, body: 'hi' }, "there is no field 'body'"],
    [
      'a delay',
      { to, xml: `<delay xmlns='urn:xmpp:delay'/>` },
      "<delay xmlns='urn:xmpp:delay'> in 'xml': only the server may say this",
    ],
  ];
  test.each(refused)('but not %s', (_, payload, text) => {
    const refusal = presence.toStanza(payload);
    expect(isRefusal(refusal) && refusal.text).toBe(text);
  });
});

it('message and presence have fields of their own: neither takes the other’s', () => {
  const refusal = mappings.toStanza('message', { to: 'a@example.com', body: 'x', show: 'away' });
  expect(isRefusal(refusal) && refusal.text).toBe("there is no field 'show'");
});
