// The configuration's one source (JSON Schema): keys, types, defaults and what they mean; docs/configuration.md is made of it.

import { client } from './client-schema.ts';
import { mqtt } from './mqtt-schema.ts';
import { duration, folder, type Schema } from './node.ts';

const domain = '^[^\\s@/:]+$';
/** XML 1.0 §2.2: what may stand in a stanza. */
const xmlText = '^[\\t\\n\\r\\u0020-\\ud7ff\\ue000-\\ufffd\\u{10000}-\\u{10ffff}]+$';

const component = folder(
  'The one connection to the legacy server (XEP-0114).',
  {
    host: { type: 'string', description: "The server's host.", default: '127.0.0.1', minLength: 1 },
    port: { type: 'integer', description: 'Its port for components.', default: 5347, minimum: 1, maximum: 65535 },
    domain: {
      type: 'string',
      description: "The component's own domain.",
      pattern: domain,
      hint: 'a domain such as gw.example.com',
      reads: 'domain',
    },
    secret: { type: 'string', description: 'The secret shared with the server.', minLength: 1, inFile: true },
    users: {
      type: 'array',
      description:
        "Addresses on the component's own domain, always on MQTT; for services and users without a legacy account.",
      items: { type: 'string', pattern: '^[^\\s@/]+@[^\\s@/]+$' },
      uniqueItems: true,
      default: [],
      hint: 'a list of addresses such as bot@gw.example.com; for a/b write a\\2fb@gw.example.com (XEP-0106)',
      reads: 'users',
    },
    subscriptions: {
      type: 'string',
      description:
        'What becomes of a request to see one of these: `ask` gives it to the app, `accept` grants it at once. For one address: `crossfade user add JID --subscriptions …`.',
      enum: ['ask', 'accept'],
      default: 'ask',
      hint: 'ask or accept',
    },
  },
  ['domain', 'secret'],
);

const xmpp = folder(
  'The legacy XMPP server.',
  {
    domain: {
      type: 'string',
      description: "The users' domain.",
      pattern: domain,
      hint: 'a domain such as example.com',
      reads: 'domain',
    },
    component,
    attach: folder('How a moved user stays on the legacy server.', {
      kind: {
        type: 'string',
        description:
          '`module`: through the server module. `client`: a client session for each (docs/servers/any.md); then `xmpp.client` counts.',
        enum: ['module', 'client'],
        default: 'module',
      },
      resource: {
        type: 'string',
        description: "The attached session's resource.",
        default: 'mqtt',
        pattern: '^[^\\s/\\p{Cc}\\p{Cs}]{1,64}$',
        hint: 'a short word such as mqtt',
      },
    }),
    client,
    maxStanzaBytes: {
      type: 'integer',
      description: 'Bytes of the largest stanza an app may cause, envelope included. RFC 6120 §13.12 sets the least.',
      default: 262_144,
      minimum: 10_000,
      maximum: 16_777_216,
    },
    maxInboundBytes: {
      type: 'integer',
      description:
        'Bytes of the largest element taken from the server; a larger one is skipped and recorded as refused.',
      default: 1_048_576,
      minimum: 10_000,
      maximum: 16_777_216,
    },
  },
  ['domain', 'component'],
);

/** The keys in the order in which people should read them. */
export const schema: Schema = folder(
  'crossfade.yaml',
  {
    xmpp,
    mqtt,
    migration: folder('How users are moved.', {
      legacyLogin: {
        type: 'string',
        description:
          'Whether a user in phase `mqtt` may still log in with a legacy client. `notify`: it may, and is told once that the account has moved. `deny`: it is refused, and one that is logged in is ended; every other phase lets it in again. `crossfade user set --legacy-login` sets it for single users.',
        enum: ['allow', 'notify', 'deny'],
        default: 'allow',
      },
      legacyLoginText: {
        type: 'string',
        description:
          'What a legacy client is told with `notify` and `deny`, for example where to get the new app. A user that is locked out already keeps the text it has.',
        default: 'This account has moved to the new app.',
        pattern: xmlText,
        hint: 'a text without control characters',
      },
      attachWindow: {
        type: 'integer',
        description:
          'Users that are worked on at the same time on the legacy server, so in a mass attach: more is faster, and makes legacy clients wait longer.',
        default: 2,
        minimum: 1,
        maximum: 10_000,
      },
    }),
    ledger: folder('The ledger of accepted messages.', {
      path: {
        type: 'string',
        description: 'Its SQLite file.',
        default: './crossfade.sqlite',
        minLength: 1,
        reads: 'path',
      },
      historyDays: {
        type: 'integer',
        description: 'Days for which a line without the body stays of each message that has ended, against repeats.',
        default: 7,
        minimum: 1,
        maximum: 3650,
      },
      expireAfter: duration(
        'So long a message may wait, in either direction; then it is discarded and its sender told. Without it messages wait for ever, but those whose sender has set a time. It counts for what comes from then on.',
        '12h or 30d',
      ),
    }),
    admin: folder('The HTTP side: API, metrics, health.', {
      listen: {
        type: 'string',
        description: 'Address and port. Beyond loopback, put TLS in front.',
        default: '127.0.0.1:7400',
        pattern: '^(?:[^\\s:/\\[\\]]+|\\[[0-9A-Fa-f:.]+\\]):\\d{1,5}$',
        hint: 'host:port such as 127.0.0.1:7400 or [::1]:7400',
        reads: 'address',
      },
      token: {
        type: 'string',
        description: 'The bearer token. Without one, the first run makes one and keeps it in a file beside the ledger.',
        minLength: 16,
        pattern: '^[\\x21-\\x7e]*$',
        hint: 'at least 16 characters of printable ASCII, without blanks',
        inFile: true,
      },
    }),
    webhook: folder('"Message waiting": an HTTP POST when messages wait for a user of whom no device is online.', {
      url: {
        type: 'string',
        description: 'Where it goes. Without it nothing is called.',
        pattern: '^https?://[^\\s/]+(?:/\\S*)?$',
        hint: 'http://host:port/path or https://…',
        inFile: true,
      },
      secret: {
        type: 'string',
        description: 'Goes along as `Authorization: Bearer …`.',
        pattern: '^[\\x21-\\x7e](?:[\\x20-\\x7e]*[\\x21-\\x7e])?$',
        hint: 'printable ASCII',
        inFile: true,
      },
      every: duration(
        'At most one call for a user in this time; what comes meanwhile is in the next.',
        '30s or 5m',
        '30s',
      ),
      timeout: duration('So long an answer is waited for.', '10s', '10s'),
    }),
    shutdown: folder('How the gateway is stopped by SIGTERM or SIGINT.', {
      drainTime: duration(
        'So long the broker and the server may take to answer what is out when the gateway is stopped. What is not answered by then goes again after the next start, with the same keys. Less than the time after which your service manager kills (Docker: 10 s).',
        '2s or 500ms',
        '2s',
      ),
    }),
    mappings: {
      type: 'array',
      description:
        'Folders with mapping files, all of which are used; the word `builtin` stands for the ones that come with Crossfade.',
      items: { type: 'string', pattern: '\\S' },
      minItems: 1,
      uniqueItems: true,
      default: ['builtin'],
      hint: 'a list of folders such as [builtin, ./mappings]',
      reads: 'path',
    },
    log: folder('The log: JSON lines on standard output.', {
      level: {
        type: 'string',
        description: 'How much is logged.',
        enum: ['debug', 'info', 'warn', 'error'],
        default: 'info',
      },
    }),
  },
  ['xmpp', 'mqtt'],
);
