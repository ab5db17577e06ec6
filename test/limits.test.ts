// docs/limits.md tells of every limit: name, default, unit, what happens, and a metric, log line or command that there is. One that is added without its row fails here.

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { makeProgram } from '../src/cli/program.ts';
import { durationMs, leaves } from '../src/config/keys.ts';
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

/** Constants of the source that bound something, by room and name, and what their rows begin with. */
const told: Record<string, string[]> = {
  'flow maxUnanswered': ['chat states and replies of apps', 'own domain: presence and answers'],
  'flow maxUnansweredPerUser': ['chat states and replies of apps'],
  'flow maxContacts': ['own domain: contacts in one answer'],
  'flow maxBytes': [
    'own domain: contacts in one answer',
    "contacts' presence in memory, one user",
    "contacts' presence in memory, all users",
  ],
  'flow maxQueued': ['entries of a conversation in memory'],
  'flow maxDevices': ["presence of one user's devices"],
  'flow maxUsers': ['users remembered with what their webhook'],
  'flow maxDirected': ['own domain: addresses beside its contacts'],
  'flow maxUnansweredBytes': ['own domain: presence and answers'],
  'flow maxWaiting': ['own domain: what waits behind'],
  'flow maxListed': ['own domain: addresses in its disco#items'],
  'flow maxPresences': ["contacts' presence in memory, one user"],
  'admin maxKeys': ['admin API'],
  'mqtt maxDepth': ['of an app: levels of its JSON'],
  'mqtt maxIdBytes': ['of an app: `id`'],
  'mqtt maxKeyLength': ['of an app: keys in one `out/ack`'],
  'mqtt maxKeys': ['of an app: keys in one `out/ack`'],
  'mqtt maxTextBytes': ['of an app: `text`'],
  'mqtt maxClientIdBytes': ['of an app: `id`'],
  'mqtt maxLevelBytes': ['user level of a topic'],
  'mqtt maxQueuedBytes': ['chat states and presence (QoS 0)'],
  'xmpp maxIterations': ['client sessions: rounds'],
  'xmpp maxDepth': ['of an app: levels of a stanza'],
  'mapping maxIdBytes': ['of an app: `id`'],
  'mapping maxXmlBytes': ['of an app: the field `xml`'],
  'ledger maxWords': ['of anybody: id'],
  'shadow maxNames': ['shadow report'],
  'shadow maxUsers': ['shadow report'],
  'shadow maxSamples': ['shadow report'],
  'migration maxDevices': ['devices of one user'],
  'migration maxAsking': ['own domain: requests'],
  'migration maxContacts': ['own domain: contacts of one address'],
  'migration maxAvatarBytes': ['own domain: picture'],
};

/** The same that nobody can run into: pieces of work, memories that are filled again, what another standard sets, what a view shows. */
const inside: Record<string, string> = {
  'flow maxRefusals': 'how often an archive is asked before it counts as none',
  'admin maxParamLength': 'longer than any JID, percent-encoded',
  'admin maxCounted': 'a view',
  'admin maxConversations': 'a view',
  'admin maxAudit': 'a view',
  'mqtt maxTopicBytes': 'MQTT',
  'mqtt maxLengthBytes': 'MQTT',
  'mqtt maxRememberedBytes': 'a memory',
  'mqtt maxWaiting': 'whoever publishes keeps to the window',
  'xmpp maxPieces': 'a memory',
  'xmpp maxLength': 'a memory',
  'xmpp maxUnasked': 'how often is acknowledged unasked',
  'xmpp maxPartBytes': 'RFC 7622',
  'xmpp maxDomainBytes': 'RFC 1035',
  'ledger maxBatchCalls': 'a piece of work',
  'ledger maxBatchBytes': 'a piece of work',
  'ledger maxRetryMs': 'how often a commit is tried again',
  'ledger maxFaults': 'a view',
  'ledger maxKeys': 'a view',
  'ledger maxPending': 'a piece of work',
  'ledger maxAgeMs': 'a piece of work',
  'shadow maxTogether': 'what is tried one by one',
  'shadow maxDepth': 'a view',
  'shadow maxChildren': 'a view',
  'shadow maxLength': 'a view',
  'shadow maxName': 'a view',
  'shadow maxNamespace': 'a view',
  'shadow maxPath': 'a view',
  'migration maxRounds': 'rounds before the session ends anyway',
};

test('every bound in the source is told on the page, with its number, or known to be met by nobody', () => {
  const found = sources
    .filter(({ file }) => !file.startsWith('cli/'))
    .flatMap(({ file, text }) =>
      [...text.matchAll(/^(?:export )?const (max[A-Z]\w*) = ([\d_ *]+);/gm)].map(([, name, value = '']) => ({
        bound: `${file.split('/')[0]} ${name}`,
        size: value.split('*').reduce((product, factor) => product * Number(factor.replaceAll('_', '')), 1),
      })),
    );
  const bounds = [...new Set(found.map(({ bound }) => bound))];
  expect(bounds.sort()).toEqual([...Object.keys(told), ...Object.keys(inside)].sort());
  for (const { bound, size } of found) {
    const begins = told[bound];
    if (begins === undefined) continue;
    const texts = rows
      .filter(({ name }) => begins.some((begin) => name.startsWith(begin)))
      .map(({ name, value }) => `${name} ${value}`);
    const ways = [size.toLocaleString('en'), `${size / 1024} KiB`, `${size / 1024 ** 2} MiB`];
    expect(
      texts.some((text) => ways.some((way) => text.includes(way))),
      `${bound}: ${ways[0]} in the row "${begins}"`,
    ).toBe(true);
  }
});
