// docs/limits.md tells of every limit: name, default, unit, what happens, and a metric, log line or command that there is. One that is added without its row fails here.

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { makeProgram } from '../src/cli/program.ts';
import { durationMs, leaves } from '../src/config-keys.ts';
import { makeMetrics } from '../src/metrics.ts';

const top = fileURLToPath(new URL('..', import.meta.url));
const page = readFileSync(`${top}docs/limits.md`, 'utf8');
const rows = [...page.matchAll(/^\| (?!limit |-)(.+?) \| (.+?) \| (.+?) \| (.+?) \|$/gm)].map(
  ([, name = '', value = '', what = '', shown = '']) => ({ name, value, what, shown }),
);
const sources = readdirSync(`${top}src`, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file, text: readFileSync(`${top}src/${file}`, 'utf8') }));
const metrics = (await makeMetrics().registry.getMetricsAsJSON()).map(({ name }) => name);

/** Numbers and durations of crossfade.yaml, but the addresses. */
const configured = leaves()
  .map(({ path, node }) => ({ key: path.join('.'), node }))
  .filter(({ key, node }) => (node.type === 'integer' || node.reads === 'duration') && !/port$/i.test(key));

const inWords = (ms: number) =>
  ms % 3_600_000 === 0 ? `${ms / 3_600_000} hour` : ms % 60_000 === 0 ? `${ms / 60_000} min` : `${ms / 1000} s`;

test.each(configured.map(({ key, node }) => [key, node] as const))(
  '%s has its row, with default, unit and metric',
  (key, node) => {
    const row = rows.find(({ name }) => name.startsWith(`\`${key}\``));
    expect(row, `a row in docs/limits.md that begins with \`${key}\``).toBeDefined();
    const { default: value } = node;
    if (value === undefined) expect(row?.value).toBe('none');
    else if (node.reads === 'duration') expect(row?.value).toBe(inWords(durationMs(String(value))!));
    else expect(row?.value).toMatch(new RegExp(`^${Number(value).toLocaleString('en')} [a-z]`));
    expect(metrics.filter((metric) => row?.shown.includes(`\`${metric}`))).not.toEqual([]);
  },
);

test('no row names a key that the configuration does not have', () => {
  const keys = rows.flatMap(
    ({ name }) => /^`((?:xmpp|mqtt|migration|ledger|webhook|shutdown)\.[\w.]+)`/.exec(name)?.[1] ?? [],
  );
  expect(keys.sort()).toEqual(configured.map(({ key }) => key).sort());
});

test('every row has a number with its unit, what happens at it, and shows somewhere that there is', () => {
  const commands = makeProgram().commands.flatMap((command) => [
    command.name(),
    ...command.commands.map((child) => `${command.name()} ${child.name()}`),
  ]);
  const isThere = (word: string) =>
    metrics.includes(word.replace(/\{.*/, '')) ||
    commands.includes(word.replace('crossfade ', '')) ||
    sources.some(({ text }) => text.includes(`event: '${word}'`) || text.includes(`'${word}'`));
  for (const { name, value, what, shown } of rows) {
    expect(value, name).toMatch(/^none$|\d(?:[\d,.]*) ?(?:[a-zA-Z]+)/);
    expect(what.length, name).toBeGreaterThan(3);
    const words = [...shown.matchAll(/`([^`]+)`/g)]
      .map(([, word = '']) => word)
      .filter((word) => word !== 'resumed: false');
    expect(words.length, name).toBeGreaterThan(0);
    expect(
      words.filter((word) => !isThere(word)),
      name,
    ).toEqual([]);
  }
});

/** Constants of the source that bound something, by what their row begins with. */
const told: Record<string, string> = {
  'flow/sessions.ts maxUnanswered': 'chat states and replies of apps',
  'flow/sessions.ts maxUnansweredPerUser': 'chat states and replies of apps',
  'flow/own-requests.ts maxContacts': 'own domain: contacts in one answer',
  'flow/own-requests.ts maxBytes': 'own domain: contacts in one answer',
  'flow/outbox.ts maxQueued': 'entries of a conversation in memory',
  'flow/wake.ts maxUsers': 'users remembered with what their webhook',
  'flow/own-presence.ts maxDirected': 'own domain: addresses beside its contacts',
  'flow/own-outbox.ts maxUnansweredBytes': 'own domain: presence and answers',
  'flow/own-outbox.ts maxUnanswered': 'own domain: presence and answers',
  'flow/own-outbox.ts maxWaiting': 'own domain: what waits behind',
  'flow/own-answers.ts maxListed': 'own domain: addresses in its disco#items',
  'flow/contact-view.ts maxPresences': "contacts' presence in memory, one user",
  'flow/contact-view.ts maxBytes': "contacts' presence in memory, one user",
  'flow/contacts.ts maxBytes': "contacts' presence in memory, all users",
  'admin/ledger-acts-api.ts maxKeys': 'admin API',
  'mqtt/message.ts maxDepth': 'of an app: levels of its JSON',
  'mqtt/message.ts maxIdBytes': 'of an app: `id`',
  'mqtt/message.ts maxKeyLength': 'of an app: keys in one `out/ack`',
  'mqtt/message.ts maxKeys': 'of an app: keys in one `out/ack`',
  'mqtt/message.ts maxTextBytes': 'of an app: `text`',
  'mqtt/topic.ts maxClientIdBytes': 'of an app: `id`',
  'mqtt/topic.ts maxLevelBytes': 'user level of a topic',
  'mqtt/publisher.ts maxQueuedBytes': 'chat states and presence (QoS 0)',
  'xmpp/sasl.ts maxIterations': 'client sessions: rounds',
  'xmpp/xml-writer.ts maxDepth': 'of an app: levels of a stanza',
  'mapping/to-stanza.ts maxIdBytes': 'of an app: `id`',
  'mapping/xml.ts maxXmlBytes': 'of an app: the field `xml`',
  'shadow/report.ts maxNames': 'shadow report',
  'shadow/report.ts maxUsers': 'shadow report',
  'shadow/report.ts maxSamples': 'shadow report',
  'migration/devices.ts maxDevices': 'devices of one user',
  'migration/own-users.ts maxAsking': 'own domain: requests',
  'migration/own-users.ts maxContacts': 'own domain: contacts of one address',
  'migration/profile.ts maxAvatarBytes': 'own domain: picture',
};

/** The same that nobody can run into: pieces of work, memories that are filled again, what another standard sets, what a view shows. */
const inside: Record<string, string> = {
  'flow/catch-up.ts maxRefusals': 'how often an archive is asked before it counts as none',
  'admin/server.ts maxParamLength': 'longer than any JID, percent-encoded',
  'admin/user-view.ts maxCounted': 'a view',
  'admin/user-view.ts maxConversations': 'a view',
  'admin/user-view.ts maxAudit': 'a view',
  'mqtt/packet.ts maxTopicBytes': 'MQTT',
  'mqtt/topic.ts maxRememberedBytes': 'a memory',
  'mqtt/publisher.ts maxWaiting': 'whoever publishes keeps to the window',
  'xmpp/tag-forms.ts maxPieces': 'a memory',
  'xmpp/tag-forms.ts maxLength': 'a memory',
  'xmpp/client-session.ts maxUnasked': 'how often is acknowledged unasked',
  'xmpp/jid.ts maxPartBytes': 'RFC 7622',
  'xmpp/jid.ts maxDomainBytes': 'RFC 1035',
  'ledger/batch.ts maxBatchCalls': 'a piece of work',
  'ledger/batch.ts maxBatchBytes': 'a piece of work',
  'ledger/batch.ts maxRetryMs': 'how often a commit is tried again',
  'ledger/store-verify.ts maxFaults': 'a view',
  'ledger/store-verify.ts maxKeys': 'a view',
  'ledger/store-marks.ts maxPending': 'a piece of work',
  'ledger/store-marks.ts maxAgeMs': 'a piece of work',
  'shadow/compare.ts maxTogether': 'what is tried one by one',
  'shadow/outline.ts maxDepth': 'a view',
  'shadow/outline.ts maxChildren': 'a view',
  'shadow/outline.ts maxLength': 'a view',
  'shadow/outline.ts maxName': 'a view',
  'shadow/outline.ts maxNamespace': 'a view',
  'shadow/report.ts maxPath': 'a view',
  'migration/own-users.ts maxCounted': 'a view',
  'migration/hand-back.ts maxRounds': 'rounds before the session ends anyway',
};

test('every bound in the source is told on the page, with its number, or known to be met by nobody', () => {
  const found = sources
    .filter(({ file }) => !file.startsWith('cli/'))
    .flatMap(({ file, text }) =>
      [...text.matchAll(/^(?:export )?const (max[A-Z]\w*) = ([\d_ *]+);/gm)].map(([, name, value = '']) => ({
        bound: `${file} ${name}`,
        size: value.split('*').reduce((product, factor) => product * Number(factor.replaceAll('_', '')), 1),
      })),
    );
  expect(found.map(({ bound }) => bound).sort()).toEqual([...Object.keys(told), ...Object.keys(inside)].sort());
  for (const { bound, size } of found) {
    const begins = told[bound];
    if (begins === undefined) continue;
    const row = rows.find(({ name }) => name.startsWith(begins));
    const ways = [size.toLocaleString('en'), `${size / 1024} KiB`, `${size / 1024 ** 2} MiB`];
    expect(
      ways.some((way) => `${row?.name} ${row?.value}`.includes(way)),
      `${bound}: ${ways[0]} in the row "${begins}"`,
    ).toBe(true);
  }
});
