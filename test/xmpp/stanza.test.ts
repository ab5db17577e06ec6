// Small questions to stanzas, and stanza errors both ways.

import { describe, expect, test } from 'vitest';
import { refuse } from '../../src/refusal.ts';
import { delayOf } from '../../src/xmpp/stanza.ts';
import { errorReply, readError, sendResultOf } from '../../src/xmpp/stanza-error.ts';
import { parseStanza } from '../../src/xmpp/xml-reader.ts';

const stanza = (text: string) => parseStanza(text)!;
const now = Date.UTC(2026, 5, 1);
const delayed = (attrs: string) => stanza(`<message><delay xmlns='urn:xmpp:delay' ${attrs}/></message>`);

describe('the time of a delayed message:', () => {
  test.each([
    [`from='example.com' stamp='2026-01-02T03:04:05Z'`, Date.UTC(2026, 0, 2, 3, 4, 5)],
    [`from='Example.com' stamp='2026-01-02T03:04:05.678+01:00'`, Date.UTC(2026, 0, 2, 2, 4, 5, 678)],
    [`from='elsewhere.example' stamp='2026-01-02T03:04:05Z'`, null],
    [`stamp='2026-01-02T03:04:05Z'`, null],
    [`from='example.com' stamp='yesterday'`, null],
    [`from='example.com' stamp='2026-99-99T03:04:05Z'`, null],
    [`from='example.com' stamp='1969-12-31T23:59:59Z'`, null],
    [`from='example.com' stamp='1970-01-01T00:00:00Z'`, 0],
    [`from='example.com' stamp='2026-06-01T00:01:00Z'`, now + 60_000],
    [`from='example.com' stamp='2026-06-01T00:01:00.001Z'`, null],
    [`from='example.com' stamp='9999-12-31T23:59:59Z'`, null],
  ])('%s', (attrs, at) => {
    expect(delayOf(delayed(attrs), 'example.com', now)).toBe(at);
  });

  const stamp = (at: string) => `<delay xmlns='urn:xmpp:delay' from='example.com' stamp='${at}'/>`;
  const [forged, own] = ['2026-01-01T00:00:00Z', '2026-02-02T00:00:00Z'];
  test.each([
    ['the server’s own comes last, and a forged one does not beat it', [forged, own]],
    ['a last one that is none does not hide it', [forged, own, '2030-01-01T00:00:00Z', '1950-01-01T00:00:00Z', 'x']],
  ])('%s', (_, stamps) => {
    const message = stanza(`<message>${stamps.map(stamp).join('<body>x</body>')}</message>`);
    expect(delayOf(message, 'example.com', now)).toBe(Date.parse(own));
  });
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
