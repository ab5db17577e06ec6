// The fuzz targets, bounded and with one seed: npm run fuzz takes others, for as long as it is told.

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import type { Element } from 'ltx';
import { expect, test } from 'vitest';
import { readPayload } from '../../src/mqtt/message.ts';
import { readEnvelope } from '../../src/xmpp/attach-envelope.ts';
import { escapeLocal, type Jid, parseJid } from '../../src/xmpp/jid.ts';
import { writeStanza } from '../../src/xmpp/xml-writer.ts';
import { type AdminSide, startAdminSide } from '../admin/admin-side.ts';
import { mappings } from '../mapping/mappings.ts';
import { askAdmin } from './admin-api.ts';
import { type Parts, readStream, targets, topics } from './targets.ts';

const runs: Record<string, number> = { 'mapping file': 150 };

test.each(Object.entries(targets))(
  '%s: whatever comes, nothing is thrown past it, and what it says holds',
  (name, target) => {
    fc.assert(target(), { seed: 1, numRuns: runs[name] ?? 2_000 });
  },
);

/** For each target parts that are broken on purpose: one that finds nothing wrong with them could not fail. */
const sabotages: [target: string, what: string, broken: Partial<Parts>][] = [
  [
    'xml reader',
    'a reader that forgets what came before a cut',
    { readStream: (chunks) => readStream(chunks.slice(-2)) },
  ],
  ['xml reader', 'a reader that throws', { readStream: () => JSON.parse('<') }],
  ['xml there and back', 'a writer that does not escape', { writeStanza: unescaped }],
  ['payload', 'a payload with half a character', { readPayload: (bytes) => takeAll(bytes) }],
  ['topic', 'two topics of one user', { readTopic: (topic) => topics.read(topic.replace(/%62|B/g, 'b')) }],
  ['jid', 'an address that is prepared by half', { parseJid: (text) => withCapital(parseJid(text)) }],
  [
    'jid',
    'a name that is escaped by half',
    { escapeLocal: (name) => escapeLocal(name)?.replaceAll('\\2f', '/') ?? null },
  ],
  ['path', 'a path that is empty', { parsePath: () => '' }],
  [
    'mapping file',
    'a fault without its place',
    {
      loadMappings: () => {
        throw new Error('bad mapping');
      },
    },
  ],
  ['translation', 'a writer that does not escape', { writeStanza: unescaped }],
  ['translation', 'a writer that leaves something out', { writeStanza: withoutSubject }],
  [
    'to the app',
    'a text that is cut in a character',
    {
      toPayload: (stanza) => ({
        ...mappings.toPayload(stanza),
        fields: { body: stanza.toString().replace(/[\udc00-\udfff]/g, '') },
      }),
    },
  ],
  [
    'attach envelope',
    'a number that is none',
    { readEnvelope: (d, host) => ({ ...readEnvelope(d, host), n: Number(d.attrs.n) }) },
  ],
];

test.each(sabotages)('%s: %s is found', (name, _, broken) => {
  const { failed } = fc.check(targets[name]!(broken), { seed: 1, numRuns: 5_000 });
  expect(failed).toBe(true);
});

test('of every target it is known that it can fail', () => {
  expect(new Set(sabotages.map(([name]) => name))).toEqual(new Set(Object.keys(targets)));
});

test('whatever is asked of the admin API, the answer is never a fault of the server, and it goes on', async () => {
  const side: AdminSide = await startAdminSide();
  try {
    await askAdmin(side.url, { seed: 1, count: 400 });
    const good = await fetch(`${side.url}/healthz`);
    expect(good.status).toBe(200);
  } finally {
    await side.close();
  }
});

test.each([
  { what: 'fails on some paths', answer: (url: string) => (url.includes('__proto__') ? 500 : 200) },
  { what: 'refuses without a problem', answer: (url: string) => (url.includes('limit') ? 400 : 200) },
])('an admin API that $what is found out', async ({ answer }) => {
  const server = createServer((request, response) => response.writeHead(answer(request.url ?? '')).end());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  try {
    await expect(
      askAdmin(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { seed: 1, count: 400 }),
    ).rejects.toThrow();
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

function unescaped(stanza: Element): ReturnType<typeof writeStanza> {
  const written = writeStanza(stanza);
  return typeof written === 'string' ? written.replaceAll('&lt;', '<') : written;
}

function withoutSubject(stanza: Element): ReturnType<typeof writeStanza> {
  const written = writeStanza(stanza);
  return typeof written === 'string' ? written.replace(/<subject[^>]*>[^<]*<\/subject>/, '') : written;
}

function withCapital(jid: Jid | null): Jid | null {
  return jid && { ...jid, resource: jid.resource.replace('ﬃ', '\u212b') };
}

/** As JSON.parse has it. */
function takeAll(bytes: Uint8Array): ReturnType<typeof readPayload> {
  const read = readPayload(bytes, { maxBytes: 10_000 });
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString());
    return value && typeof value === 'object' && !Array.isArray(value) ? { ...value } : read;
  } catch {
    return read;
  }
}
