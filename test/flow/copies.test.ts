// Carbons, results of the archive and observed copies: what is taken out of them, and what is refused (XEP-0280, XEP-0297, XEP-0313).

import type { Element } from 'ltx';
import { expect, test } from 'vitest';
import { archiveIdOf, isShared, unwrap, wayOf, wrapperOf } from '../../src/flow/copies.ts';
import { isRefusal } from '../../src/refusal.ts';
import { parseStanza } from '../../src/xmpp/xml-reader.ts';

const user = 'bob@example.com';
const carbons = "xmlns='urn:xmpp:carbons:2'";
const forwarded = (inside: string) => `<forwarded xmlns='urn:xmpp:forward:0'>${inside}</forwarded>`;
const inner = (attrs: string, inside = '<body>hi</body>') =>
  `<message xmlns='jabber:client' ${attrs}>${inside}</message>`;
const received = "from='alice@example.com/desk' to='bob@example.com/phone' type='chat' id='m1'";
const sent = "from='bob@example.com/phone' to='alice@example.com' type='chat' id='m1'";
const carbon = (name: string, inside: string, from = user) =>
  `<message from='${from}' to='bob@example.com/mqtt'><${name} ${carbons}>${inside}</${name}></message>`;
const result = (inside: string, attrs = "id='s1' queryid='q1'", from = user) =>
  `<message from='${from}' to='bob@example.com/mqtt'><result xmlns='urn:xmpp:mam:2' ${attrs}>${inside}</result></message>`;
const stamp = "<delay xmlns='urn:xmpp:delay' stamp='2026-01-02T03:04:05Z'/>";

function read(text: string, arrival: { dir?: 'in' | 'out'; isLate?: boolean } = {}) {
  const stanza = parseStanza(text) as Element;
  const wrapper = wrapperOf(stanza);
  const way = wayOf(stanza, wrapper, { user, seen: false, ...arrival });
  return { way, brought: wrapper ? unwrap(wrapper, way, user) : undefined };
}

test.each([
  ['received', received, 'received'],
  ['sent', sent, 'sent'],
  ['sent, to oneself', "from='bob@example.com/phone' id='m1'", 'sent'],
])('a carbon of what was %s gives the message with its own addresses', (_, attrs, direction) => {
  const { way, brought } = read(carbon(direction, forwarded(inner(attrs))));
  expect(way).toBe('carbon');
  expect(brought).toMatchObject({ way: 'carbon', direction });
  if (!brought || isRefusal(brought)) throw new Error('refused');
  const expected = parseStanza(`<message ${attrs}><body>hi</body></message>`);
  expect(brought.message.toString()).toBe(expected?.toString());
  expect(brought.message.parent).toBeNull();
});

test('a result of the archive gives the message, its id there and its time there, not that of another stamp', () => {
  const older = "<delay xmlns='urn:xmpp:delay' from='example.com' stamp='2001-01-01T00:00:00Z'/>";
  const { way, brought } = read(result(forwarded(stamp + inner(received, `<body>hi</body>${older}`))));
  expect(way).toBe('archive');
  expect(brought).toMatchObject({ direction: 'received', archived: { id: 's1', at: Date.UTC(2026, 0, 2, 3, 4, 5) } });
});

test('a result of the archive is sent where the sender is the user', () => {
  expect(read(result(forwarded(stamp + inner(sent)))).brought).toMatchObject({ direction: 'sent' });
});

test.each([
  ['without forwarded', carbon('received', inner(received))],
  ['with nothing forwarded', carbon('received', forwarded(''))],
  ['with two messages', carbon('received', forwarded(inner(received) + inner(received)))],
  ['with a presence', carbon('received', forwarded("<presence xmlns='jabber:client' from='a@b'/>"))],
  ['with a message of another namespace', carbon('received', forwarded(`<message ${received}/>`))],
  ['of a message to somebody else', carbon('received', forwarded(inner("from='a@b' to='carol@example.com'")))],
  ['of a message that somebody else sent', carbon('sent', forwarded(inner("from='carol@example.com/x' to='a@b'")))],
  ['of a carbon', carbon('received', forwarded(inner(received, `<sent ${carbons}/>`)))],
  ['of a result', carbon('received', forwarded(inner(received, "<result xmlns='urn:xmpp:mam:2'/>")))],
  ['from the archive without an id', result(forwarded(stamp + inner(received)), "queryid='q1'")],
  ['from the archive without a time', result(forwarded(inner(received)))],
  [
    'from the archive with no time',
    result(forwarded(`<delay xmlns='urn:xmpp:delay' stamp='soon'/>${inner(received)}`)),
  ],
  ['from the archive of somebody else’s message', result(forwarded(stamp + inner("from='a@b' to='c@d'")))],
])('a copy %s is refused', (_, text) => {
  expect(read(text).brought).toMatchObject({ refused: true, name: 'policy-violation' });
});

test.each([
  ['a contact', 'alice@example.com'],
  ['a contact’s resource', 'alice@example.com/desk'],
  ['another resource of the user', 'bob@example.com/phone'],
  ['the server', 'example.com'],
])('a carbon or a result that %s has sent is a message of its own, forged', (_, from) => {
  for (const text of [
    carbon('received', forwarded(inner(received)), from),
    result(forwarded(stamp + inner(received)), undefined, from),
  ])
    expect(read(text)).toMatchObject({ way: 'direct', brought: { refused: true, name: 'policy-violation' } });
});

test('what comes without a sender comes from the own account', () => {
  const nameless = result(forwarded(stamp + inner(received))).replace(` from='${user}'`, '');
  expect(read(nameless)).toMatchObject({ way: 'archive', brought: { archived: { id: 's1' } } });
});

test('an observed stanza is never unwrapped: the server does not observe its own copies', () => {
  expect(read(carbon('received', forwarded(inner(received))), { dir: 'in' }).way).toBe('observed');
  expect(read(carbon('received', forwarded(inner(received))), { dir: 'in', isLate: true }).way).toBe('late');
});

test.each([
  ['in', "to='bob@example.com' type='chat'", '<body>x</body>', true],
  ['in', "to='bob@example.com'", '', true],
  ['in', "to='bob@example.com' type='chat'", `<private ${carbons}/>`, true],
  ['in', "to='bob@example.com/phone' type='chat'", '<body>x</body>', true],
  ['in', "to='bob@example.com/phone' type='chat'", `<body>x</body><private ${carbons}/>`, false],
  ['in', "to='bob@example.com/phone' type='chat'", "<body>x</body><no-copy xmlns='urn:xmpp:hints'/>", false],
  ['in', "to='bob@example.com/phone'", '<body>x</body>', true],
  ['in', "to='bob@example.com/phone'", "<event xmlns='http://jabber.org/protocol/pubsub#event'/>", false],
  [
    'in',
    "to='bob@example.com/phone'",
    "<x xmlns='urn:x'/><stanza-id xmlns='urn:xmpp:sid:0' by='bob@example.com' id='s'/>",
    true,
  ],
  ['in', "to='bob@example.com/phone' type='headline'", '<body>x</body>', false],
  ['in', "to='bob@example.com/phone' from='alice@example.com' type='error'", '', true],
  ['in', "to='bob@example.com/phone' from='alice@example.com/x' type='error'", '', false],
  ['out', "to='alice@example.com' type='chat'", '<body>x</body>', true],
  ['out', "to='alice@example.com' type='chat'", `<body>x</body><private ${carbons}/>`, false],
  ['out', "to='alice@example.com'", '', false],
] as const)('observed %s: <message %s>%s is shared: %s', (dir, attrs, inside, shared) => {
  const stanza = parseStanza(`<message ${attrs}>${inside}</message>`) as Element;
  expect(isShared(stanza, { user, dir, seen: false })).toBe(shared);
});

test('the archive’s id is the last that the own bare JID has given, else the envelope’s; others’ are hearsay', () => {
  const by = (jid: string, id: string) => `<stanza-id xmlns='urn:xmpp:sid:0' by='${jid}' id='${id}'/>`;
  const idOf = (inside: string, sid?: string) => archiveIdOf(parseStanza(`<message>${inside}</message>`)!, user, sid);
  expect(idOf(by('alice@example.com', 'a') + by(user, 'b'))).toBe('b');
  expect(idOf(by(user, 'b') + by(user, 'c') + by('room@example.com', 'd'))).toBe('c');
  expect(idOf(by('bob@example.com/phone', 'a'))).toBeUndefined();
  expect(idOf(by(user, 'b'), 'e')).toBe('b');
  expect(idOf(by('alice@example.com', 'a'), 'e')).toBe('e');
  expect(idOf("<stanza-id xmlns='urn:other' by='bob@example.com' id='x'/>")).toBeUndefined();
});
