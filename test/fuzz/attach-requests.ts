// Hostile words of the attach protocol: each command right, nearly right and absurd, in any order, and streams that are none.

import fc from 'fast-check';
import { NS } from '../harness/raw-component.ts';
import { escapeXml } from '../harness/xml.ts';
import { sayable as words } from './generators.ts';

/** What a gateway that lost its mind does next. FROM in a text is who says it; EPOCH and H stand for what the link is at then. */
export type Act =
  | { do: 'ask'; type: string; to: string; content: string }
  /** A stanza that is no request at all. */
  | { do: 'say'; text: string }
  /** Ends the connection: XML that is none, or without a word. */
  | { do: 'break'; text: string };

const client = 'jabber:client';
/** Users whose clients may come to harm: a gateway may lock them out, and act as them. */
const victims = ['bob', 'carol', 'erin'];
/** Whom the other gateway observes, and whom it has locked. */
const [observed, locked] = [fc.constant('frank'), fc.constant('dave')];
const users = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...victims) },
  fc.constantFrom('nobody', 'BOB', 'b@d', 'bob/mqtt', '', ' ', 'ß', '\u00ad', 'a'.repeat(1_100)),
  words,
);
const resources = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom('mqtt', 'mqtt2') },
  fc.constantFrom('', '@', '/', ' '),
  words,
);
const sessions = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...victims).map((user) => `${user}@example.com/mqtt`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'dave@example.com/mqtt',
      'alice@example.com/desk',
      'gw.example.com',
      'bob@example.com',
      '',
    ),
  },
  { weight: 1, arbitrary: words },
);
const addresses = fc.oneof(
  sessions,
  fc.constantFrom(
    'alice@example.com',
    'example.com',
    'room@conference.example.com/x',
    'a@b@c',
    '@',
    'x@elsewhere.example',
    'a'.repeat(5_000),
  ),
);
const counts = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('H', 'H-1', 'H+1', 'H-7') },
  fc.constantFrom(
    '0',
    '-1',
    '1e0',
    '0x1',
    '1.5',
    ' 1',
    '٣',
    'nan',
    'inf',
    '',
    '18446744073709551617',
    '9'.repeat(400),
    `${'0'.repeat(400)}1`,
  ),
);
const epochs = fc.oneof({ weight: 4, arbitrary: fc.constant('EPOCH') }, fc.constantFrom('', 'other', NS, "'"), words);
const keys = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('k1', 'k2', 'k3') },
  fc.constantFrom('', 'k'.repeat(70_000)),
  words,
);
const stamps = fc.oneof(
  fc.constant('2026-01-01T00:00:00Z'),
  fc.constantFrom(
    ...[
      '',
      'yesterday',
      '0000-00-00T00:00:00Z',
      '9999-99-99T99:99:99Z',
      '2026-01-01T00:00:00.999999999Z',
      '1969-12-31T23:59:59Z',
    ],
    ...['2026-01-01T00:00:00+99:99', '2026-01-01T00:00:00', '20260101T00:00:00', '2026-01-01T00:00:00Zjunk'],
  ),
);
const versions = fc.oneof(
  { weight: 5, arbitrary: fc.constant('1') },
  fc.constantFrom('', '0', '2', '1.0', '01', '1'.repeat(9_000)),
);
const flags = fc.oneof(fc.constantFrom('1', '0', 'true', ''), words);
const namespaces = fc.oneof(
  { weight: 8, arbitrary: fc.constant(NS) },
  fc.constantFrom('', client, 'urn:crossfade:attach:2', 'urn:x'),
);

type Attributes = Record<string, fc.Arbitrary<string>>;
const attribute = ([name, value]: [string, string]) => ` ${name}='${escapeXml(value)}'`;

/** Most attributes are there, some are not, and now and then one that has no business here. */
function attributesOf(own: Attributes): fc.Arbitrary<string> {
  const known = Object.entries(own).map(([name, value]) =>
    fc
      .option(value, { freq: 12, nil: undefined })
      .map((text): [string, string][] => (text === undefined ? [] : [[name, text]])),
  );
  const stray = fc.array(fc.tuple(fc.constantFrom('xml:lang', 'type', 'id', 'n', 'stanza'), words), { maxLength: 1 });
  return fc
    .tuple(...known, fc.oneof({ weight: 8, arbitrary: fc.constant<[string, string][]>([]) }, stray))
    .map((all) => [...new Map(all.flat())].map(attribute).join(''));
}

const deep = (levels: number) => `${'<a>'.repeat(levels)}x${'</a>'.repeat(levels)}`;
const extensions = fc.constantFrom(
  ...[
    '',
    '<body/>',
    '<thread/>',
    "<received xmlns='urn:xmpp:receipts'/>",
    `<d xmlns='${NS}' n='1'/>`,
    `<body>${deep(95)}</body>`,
    `<body>${deep(150)}</body>`,
    `<body>${deep(150)}</body>`,
    deep(5_000),
  ],
  ...[
    "<received xmlns='urn:xmpp:carbons:2'/>",
    "<result xmlns='urn:xmpp:mam:2'/>",
    "<delay xmlns='urn:xmpp:delay' from='example.com' stamp='x'/>",
  ],
  ...[
    "<sent xmlns='urn:xmpp:carbons:2'><forwarded/></sent>",
    '<priority>x</priority>',
    '<priority>1e9</priority>',
    '<body>a</body><body>b</body>',
  ],
  ...[
    "<query xmlns='jabber:iq:roster'><item jid='@'/></query>",
    "<query xmlns='urn:xmpp:mam:2'/>",
    "<enable xmlns='urn:xmpp:carbons:2'/>",
  ],
  ...[
    "<ping xmlns='urn:xmpp:ping'/>",
    "<query xmlns='jabber:iq:roster'/>",
    "<x xmlns='http://jabber.org/protocol/muc'/>",
  ],
  ...[
    "<error type='cancel'/>",
    "<error type='x'><x xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
    `<body>${'x'.repeat(60_000)}</body>`,
  ],
);
const stanza = fc
  .record({
    name: fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom('message', 'message', 'message', 'presence', 'iq') },
      fc.constantFrom('auth', 'r', 'stream', 'body'),
    ),
    xmlns: fc.oneof({ weight: 9, arbitrary: fc.constant(client) }, fc.constantFrom('', NS, 'jabber:server')),
    attributes: attributesOf({
      type: fc.oneof(
        fc.constantFrom(
          'chat',
          'get',
          'set',
          'result',
          'error',
          'subscribe',
          'unavailable',
          'probe',
          'groupchat',
          'normal',
        ),
        words,
      ),
      to: addresses,
      from: addresses,
      id: fc.oneof(fc.constant('i1'), words),
    }),
    inner: fc.array(fc.oneof({ weight: 4, arbitrary: extensions }, { weight: 1, arbitrary: words.map(escapeXml) }), {
      maxLength: 3,
    }),
  })
  .map(
    ({ name, xmlns, attributes, inner }) =>
      `<${name}${xmlns && ` xmlns='${xmlns}'`}${attributes}>${inner.join('')}</${name}>`,
  );
const first = fc.constant(`<presence xmlns='${client}'><priority>0</priority></presence>`);

/** A command with what belongs into it, or with what does not. */
function command(name: string, own: Attributes, content: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const odd = fc
    .array(fc.oneof(stanza, words.map(escapeXml), fc.constant(`<${name} xmlns='${NS}'/>`)), { maxLength: 3 })
    .map((all) => all.join(''));
  return fc
    .tuple(namespaces, attributesOf(own), fc.oneof({ weight: 4, arbitrary: content }, { weight: 1, arbitrary: odd }))
    .map(([xmlns, attributes, inner]) => `<${name} xmlns='${xmlns}'${attributes}>${inner}</${name}>`);
}

const nothing = fc.constant('');
const attach = command(
  'attach',
  { user: users, resource: resources, carbons: flags },
  fc.oneof(first, nothing, stanza),
);
const commands: Record<string, fc.Arbitrary<string>> = {
  hello: command('hello', { v: versions, epoch: epochs, h: counts }, nothing),
  a: command('a', { epoch: epochs, h: counts }, nothing),
  attach,
  attaches: fc.array(attach, { minLength: 2, maxLength: 6 }).map((all) => all.join('')),
  detach: command('detach', { jid: sessions }, nothing),
  send: command('send', { from: sessions, key: keys }, stanza),
  return: command('return', { to: addresses, key: keys, stamp: stamps }, stanza),
  observe: command('observe', { user: fc.oneof(users, observed) }, nothing),
  unobserve: command('unobserve', { user: fc.oneof(users, observed) }, nothing),
  lock: command('lock', { user: fc.oneof(users, locked), kick: flags }, words.map(escapeXml)),
  unlock: command('unlock', { user: fc.oneof(users, locked) }, nothing),
  about: command('about', {}, nothing),
};

/** Several in one, and names that the protocol has only the other way round. (On none at all Prosody 0.12's own mod_iq fails.) */
const muddle = fc.oneof(
  fc.array(fc.oneof(...Object.values(commands)), { minLength: 1, maxLength: 3 }).map((all) => all.join('')),
  fc
    .constantFrom('welcome', 'd', 'detached', 'attached', 'refused', 'x')
    .map((name) => `<${name} xmlns='${NS}' n='1'/>`),
);
const around = (contents: fc.Arbitrary<string>) =>
  fc.record({
    do: fc.constant('ask' as const),
    type: fc.oneof({ weight: 12, arbitrary: fc.constant('set') }, fc.constant('get')),
    to: fc.oneof(
      { weight: 12, arbitrary: fc.constant('example.com') },
      fc.constantFrom('bob@example.com', 'EXAMPLE.com'),
    ),
    content: contents,
  });
const anything = fc.oneof(
  { weight: 12, arbitrary: fc.oneof(...Object.values(commands)) },
  { weight: 2, arbitrary: muddle },
);
const say = fc.oneof(
  anything.map((content) => ({
    do: 'say' as const,
    text: `<message to='example.com' from='FROM'>${content}</message>`,
  })),
  fc.tuple(fc.constantFrom('result', 'error'), anything).map(([type, content]) => ({
    do: 'say' as const,
    text: `<iq type='${type}' to='example.com' from='FROM' id='x'>${content}</iq>`,
  })),
);
const noXml = fc.constantFrom(
  '',
  `<iq type='set' to='example.com' from='FROM' id='x'><a xmlns='${NS}' h='1' h='2'/></iq>`,
  `<iq type='set' to='example.com' from='FROM' id='x'><a xmlns='${NS}'></iq>`,
  `<iq type='set' to='example.com' from='FROM' id='x'><attach xmlns='${NS}' user='&nbsp;'/></iq>`,
  `<iq type='set' to='example.com' from='FROM' id='x'><send xmlns='${NS}'>\u0001</send></iq>`,
  `<iq type='set' to='example.com' from='FROM' id='x'><lock xmlns='${NS}' user='bob'>${'x'.repeat(1_100_000)}`,
  '</stream:stream>',
);

/** Plays of some acts each; `only` of these commands, or of all and of whatever else may come. */
export function plays(only?: string[]): fc.Arbitrary<Act[]> {
  const act: fc.Arbitrary<Act> = only
    ? around(fc.oneof(...only.map((name) => commands[name]!)))
    : fc.oneof(
        { weight: 40, arbitrary: around(anything) },
        { weight: 4, arbitrary: say },
        { weight: 1, arbitrary: noXml.map((text) => ({ do: 'break' as const, text })) },
      );
  return fc.array(act, { minLength: 1, maxLength: 12 });
}
