// The keys of client sessions (attach: client).

import { duration, folder } from './node.ts';

export const client = folder('Only with `attach.kind: client`: the client sessions of moved users.', {
  host: {
    type: 'string',
    description: "The server's host. Its certificate must be for `xmpp.domain`.",
    default: '127.0.0.1',
    minLength: 1,
  },
  port: { type: 'integer', description: 'Its port for clients.', default: 5222, minimum: 1, maximum: 65535 },
  security: {
    type: 'string',
    description:
      '`starttls`, `direct` (TLS from the first byte, usually port 5223), or `none`: only to 127.0.0.1, ::1 or localhost.',
    enum: ['starttls', 'direct', 'none'],
    default: 'starttls',
  },
  ca: { type: 'string', description: "Certificate authorities to trust instead of the system's, PEM.", inFile: true },
  sessionsPerSecond: {
    type: 'integer',
    description: 'Sessions that are made in a second at most, so after a start or a restart of the server.',
    default: 20,
    minimum: 1,
    maximum: 10_000,
  },
  archiveEvery: duration(
    'How often the archive of a user in phase `shadow` is visited; each visit is a login.',
    '5m',
    '5m',
  ),
  credentials: folder('Where the passwords of moved users come from; exactly one of file, command, url and ejabberd.', {
    file: {
      type: 'string',
      description: 'A file with lines `user:password`, readable by its owner only; read again when it has changed.',
      minLength: 1,
      reads: 'path',
    },
    command: {
      type: 'array',
      description:
        'A program and its arguments, called with the JID behind them. Its first line is the password, or `token:` and a token; code 67: no such user. A JID that begins with `-` is passed only if the last argument is `--`.',
      items: { type: 'string' },
      default: [],
      hint: 'a list such as [/usr/local/bin/password-of, --chat]',
    },
    url: {
      type: 'string',
      description:
        'An endpoint that gets a POST of `{"jid": "bob@example.com"}` and answers `{"password": "…"}` or `{"token": "…"}` (X-OAUTH2, ejabberd); 404: no such user.',
      pattern: '^https?://[^\\s/]+(?:/\\S*)?$',
      hint: 'http://host:port/path or https://…',
      inFile: true,
    },
    ejabberd: {
      type: 'string',
      description:
        "ejabberd's API (mod_http_api), such as http://127.0.0.1:5281/api: it issues a token (`oauth_issue_token`, scope `sasl_auth`) for each login, which needs TLS (`security`).",
      pattern: '^https?://[^\\s/]+(?:/\\S*)?$',
      hint: 'http://host:port/api or https://…',
    },
    secret: {
      type: 'string',
      description: 'Goes along to the endpoint or the API as `Authorization: Bearer …`.',
      pattern: '^[\\x21-\\x7e](?:[\\x20-\\x7e]*[\\x21-\\x7e])?$',
      hint: 'printable ASCII',
      inFile: true,
    },
    timeout: duration('So long command, endpoint and API are waited for.', '10s', '10s'),
  }),
});
