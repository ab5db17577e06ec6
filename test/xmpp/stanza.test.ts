// Small questions to stanzas, and stanza errors both ways.

import { describe, expect, test } from 'vitest';
import { refuse } from '../../src/refusal.ts';
import { delayOf, messageType, stanzaIdBy } from '../../src/xmpp/stanza.ts';
import { errorReply, readError, sendResultOf } from '../../src/xmpp/stanza-error.ts';
import { parseStanza } from '../../src/xmpp/xml-reader.ts';

const stanza = (text: string) => parseStanza(text)!;
const delayed = (attrs: string) => stanza(`<message><delay xmlns='urn:xmpp:delay' ${attrs}/></message>`);

describe('the time of a delayed message:', () => {
  test.each([
    [`from='example.com' stamp='2026-01-02T03:04:05Z'`, Date.UTC(2026, 0, 2, 3, 4, 5)],
    [`from='Example.com' stamp='2026-01-02T03:04:05.678+01:00'`, Date.UTC(2026, 0, 2, 2, 4, 5, 678)],
    [`from='elsewhere.example' stamp='2026-01-02T03:04:05Z'`, null],
    [`stamp='2026-01-02T03:04:05Z'`, null],
    [`from='example.com' stamp='yesterday'`, null],
    [`from='example.com' stamp='2026-99-99T03:04:05Z'`, null],
  ])('%s', (attrs, at) => {
    expect(delayOf(delayed(attrs), 'example.com')).toBe(at);
  });
});

test('an archive’s id counts only from whom it is asked of', () => {
  const message = stanza(
    `<message><stanza-id xmlns='urn:xmpp:sid:0' by='mallory@example.com' id='1'/><stanza-id xmlns='urn:xmpp:sid:0' by='Bob@example.com' id='2'/></message>`,
  );
  expect([stanzaIdBy(message, 'bob@example.com'), stanzaIdBy(message, 'eve@example.com')]).toEqual(['2', null]);
});

test('a message without a known type is normal', () => {
  expect(
    [`<message/>`, `<message type='x'/>`, `<message type='chat'/>`].map((text) => messageType(stanza(text))),
  ).toEqual(['normal', 'normal', 'chat']);
});

test('a refusal goes back to the sender, with its id', () => {
  const reply = errorReply(
    stanza(`<message from='a@x' to='b@y' id='7' type='chat'><body/></message>`),
    refuse('policy-violation'),
  );
  expect(reply?.toString()).toBe(
    '<message type="error" from="b@y" to="a@x" id="7"><error type="modify"><policy-violation xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/><text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">this is larger than the limit</text></error></message>',
  );
  expect(readError(reply!)).toEqual({
    type: 'modify',
    condition: 'policy-violation',
    text: 'this is larger than the limit',
  });
});

test.each([['error'], ['result']])('a stanza of type %s is never answered', (type) => {
  expect(errorReply(stanza(`<iq type='${type}'/>`), refuse('bad-request'))).toBeNull();
});

describe('what the answer to a send means:', () => {
  const error = (type: string, condition: string) =>
    `<iq type='error'><error type='${type}'><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`;
  test.each([
    [`<iq type='result'/>`, 'processed'],
    [error('wait', 'resource-constraint'), 'wait'],
    [error('cancel', 'item-not-found'), 'wait'],
    [error('cancel', 'service-unavailable'), 'refused'],
    [error('modify', 'bad-request'), 'refused'],
    [`<iq type='error'/>`, 'refused'],
  ])('%s', (text, kind) => {
    expect(sendResultOf(stanza(text)).kind).toBe(kind);
  });
});
