// What the doctor makes of facts, by rows: each fact of a server or broker, and the finding that follows.

import { expect, test } from 'vitest';
import { brokerFindings, queueFindings } from '../../src/doctor/broker-findings.ts';
import { accountFindings, clientFindings } from '../../src/doctor/client-findings.ts';
import { serverFindings } from '../../src/doctor/server-findings.ts';
import { isBefore } from '../../src/doctor/weaknesses.ts';
import type { BrokerFacts } from '../../src/mqtt/examination.ts';
import type { ServerFacts } from '../../src/xmpp/examination.ts';

const about = {
  ...{ v: '1', name: 'Prosody', 'resume-timeout': '3600', 'max-unacked': '20000', 'stanza-limit': '1048576' },
  ...{ archive: '1', carbons: '1', offline: '1', smacks: '1', replaces: '1', announces: '1' },
};
const server: ServerFacts = {
  software: { name: 'Prosody', release: '13.0.1' },
  clockAheadMs: 100,
  features: new Set(),
  about,
};
const wantedOfServer = {
  attach: 'module' as const,
  domain: 'example.com',
  component: 'gw.example.com',
  maxStanzaBytes: 262_144,
};
const broker: BrokerFacts = {
  ...{ mqtt5: true, version: 'other version 3.1', hasUptime: true, isOpen: false, maximumPacketSize: 1_048_576 },
  gateway: { in: true, out: true, presence: true },
  app: { readsOwn: true, readsOthers: false, writesOwn: true, writesForeign: [] },
};
const wantedOfBroker = {
  ...{ url: 'mqtt://user:pw@broker.example.com', root: 'chat', username: 'crossfade' },
  ...{ maxStanzaBytes: 262_144, app: 'bob' },
};
const contains = (text: string): unknown => expect.stringContaining(text);
const notOk = (findings: { id: string; level: string }[]) =>
  findings.filter(({ level }) => level !== 'ok').map(({ id, level }) => `${level} ${id}`);

test('where all is well nothing is found but what cannot be asked', () => {
  expect(notOk(serverFindings(server, wantedOfServer))).toEqual([]);
  expect(notOk(brokerFindings(broker, wantedOfBroker))).toEqual(['unknown broker.persistence']);
});

const without = (attribute: keyof typeof about) => ({ about: { ...about, [attribute]: undefined } });
const serverRows: [change: Partial<ServerFacts>, found: string][] = [
  [{ software: undefined }, 'unknown server.software'],
  [{ software: { name: 'ejabberd', release: '23.01' } }, 'warning server.authzid, warning server.nesting'],
  [{ software: { name: 'Prosody', release: '0.12.3' } }, 'warning server.stanza-id'],
  [{ clockAheadMs: undefined }, 'unknown server.clock'],
  [{ clockAheadMs: -2_500 }, 'warning server.clock'],
  [{ about: { condition: 'forbidden', text: '' } }, 'fault server.module'],
  [{ about: { condition: 'service-unavailable', text: '' } }, 'fault server.module'],
  [{ about: { condition: 'timeout', text: 'no answer' } }, 'fault server.module'],
  [{ about: { ...about, v: '2' } }, 'fault server.module'],
  [without('carbons'), 'warning server.carbons'],
  [without('archive'), 'warning server.archive'],
  [without('offline'), 'warning server.offline'],
  [without('smacks'), 'warning server.smacks'],
  [{ about: { ...about, 'offline-limit': '100' } }, 'warning server.offline-limit'],
  [without('announces'), 'fault server.component-half'],
  [without('replaces'), 'warning server.conflict'],
  [{ about: { ...about, s2s: '1' } }, 'warning server.s2s'],
  [{ about: { ...about, 'resume-timeout': '60' } }, 'warning server.resume-timeout'],
  [{ about: { ...about, 'max-unacked': '10' } }, 'warning server.max-unacked'],
  [{ about: { ...about, 'stanza-limit': '524287' } }, 'warning server.stanza-limit'],
];
test.each(serverRows)('of a server with %j is found: %s', (change, found) => {
  expect(notOk(serverFindings({ ...server, ...change }, wantedOfServer))).toEqual(found.split(', '));
});

const app = { readsOwn: true, readsOthers: false, writesOwn: true, writesForeign: [] };
const brokerRows: [change: Partial<BrokerFacts>, found: string[]][] = [
  [{ fault: 'nothing listens there' }, ['fault broker.login']],
  [{ mqtt5: false }, ['warning broker.protocol']],
  [{ version: undefined }, ['unknown broker.software']],
  [{ version: 'mosquitto version 2.0.11' }, ['warning broker.puback']],
  [{ hasUptime: false }, ['warning broker.uptime']],
  [{ maximumPacketSize: 300_000 }, ['warning broker.packet-size']],
  [{ isOpen: true }, ['fault broker.anonymous']],
  [{ isOpen: undefined }, ['unknown broker.anonymous']],
  [{ gateway: { in: true, out: false, presence: true } }, ['fault broker.rights']],
  [{ app: undefined }, ['unknown broker.app']],
  [{ app: { ...app, fault: 'no' } }, ['fault broker.app']],
  [{ app: { ...app, readsOthers: true } }, ['fault broker.app']],
  [{ app: { ...app, writesForeign: ['chat/x/out/probe'] } }, ['fault broker.app']],
  [{ app: { ...app, readsOwn: false } }, ['fault broker.app']],
  [{ app: { ...app, writesOwn: false } }, ['fault broker.app']],
];
test.each(brokerRows)('of a broker with %j is found: %j', (change, found) => {
  const all = notOk(brokerFindings({ ...broker, ...change }, wantedOfBroker));
  expect(all.filter((one) => one !== 'unknown broker.persistence')).toEqual(found);
});

const account = { resumes: true, resumeSeconds: 600, archive: true };
const accountRows: [facts: Parameters<typeof accountFindings>[1], found: string[]][] = [
  [undefined, ['unknown server.account']],
  [{ fault: 'not-authorized' }, ['fault server.account']],
  [account, []],
  [{ ...account, resumeSeconds: undefined }, []],
  [{ ...account, resumeSeconds: 60 }, ['warning server.resume-timeout']],
  [{ ...account, resumes: false }, ['fault server.resume-timeout']],
  [{ ...account, archive: false }, ['warning server.archive']],
];
test.each(accountRows)('of an account with %j is found: %j', (facts, found) => {
  expect(notOk(accountFindings('bob@example.com', facts))).toEqual(found);
});

test.each([
  ['auth', 'not-authorized', 'is it the password'],
  ['insecure', 'self-signed certificate', 'xmpp.client.caFile'],
  ['unreachable', 'ECONNREFUSED', 'host and port'],
  ['stream-error', 'policy-violation Too many (20) failed authentications', 'mod_fail2ban'],
  [undefined, 'no line for bob@example.com', 'xmpp.client.credentials'],
] as const)('who cannot log in because of %s (%s) is told what to look at: %s', (by, fault, todo) => {
  expect(accountFindings('bob@example.com', { fault, by })[0]).toMatchObject({ level: 'fault', todo: contains(todo) });
  if (by === undefined) return;
  const [port] = clientFindings({ address: 'localhost:5222', by, text: fault }, { given: 'password', isSecure: true });
  expect(port).toMatchObject({ id: 'server.clients', level: 'fault', todo: contains(todo) });
});

test.each([
  ['password', true, ['PLAIN'], 'ok'],
  ['password', false, ['PLAIN'], 'fault'],
  ['password', false, ['SCRAM-SHA-1'], 'ok'],
  ['password', true, ['X-OAUTH2'], 'fault'],
  ['token', true, ['SCRAM-SHA-256', 'PLAIN'], 'fault'],
  ['token', true, ['X-OAUTH2'], 'ok'],
  ['either', true, ['X-OAUTH2'], 'ok'],
  ['either', true, ['DIGEST-MD5'], 'fault'],
  ['either', true, [], 'fault'],
] as const)('with a %s (TLS: %s) a server that offers %j is %s', (given, isSecure, mechanisms, level) => {
  const facts = { address: 'localhost:5222', mechanisms: [...mechanisms] };
  expect(clientFindings(facts, { given, isSecure })[0]).toMatchObject({ id: 'server.clients', level });
});

const queueRows: [trial: Parameters<typeof queueFindings>[0], level: string][] = [
  [{ taken: 5000, kept: 5000 }, 'ok'],
  [{ taken: 5000, kept: 1000 }, 'warning'],
  [{ taken: 5000, kept: 500 }, 'warning'],
  [{ taken: 5000, kept: 499 }, 'fault'],
  [{ taken: 5000, kept: 0 }, 'fault'],
  [{ fault: 'no answer' }, 'unknown'],
];
test.each(queueRows)('of a queue with %j is found: %s', (trial, level) => {
  const [finding] = queueFindings(trial, { offlineWindow: 500 });
  expect(finding).toMatchObject({ id: 'broker.queue', level });
  if (level === 'warning' || level === 'fault') expect(finding?.todo).toContain('max_queued_messages 100000');
});

test('who cannot log in is told where, without what stands there of a password', () => {
  const [finding] = brokerFindings({ ...broker, fault: 'nothing listens there' }, wantedOfBroker);
  expect(finding?.what).toBe('the account crossfade cannot log in at mqtt://broker.example.com: nothing listens there');
});

test('whatever is a fault or a warning says why it matters and what to do', () => {
  const all = [
    ...serverRows.flatMap(([change]) => serverFindings({ ...server, ...change }, wantedOfServer)),
    ...brokerRows.flatMap(([change]) => brokerFindings({ ...broker, ...change }, wantedOfBroker)),
    ...accountRows.flatMap(([facts]) => accountFindings('bob@example.com', facts)),
    ...queueRows.flatMap(([trial]) => queueFindings(trial, { offlineWindow: 500 })),
  ];
  const matters = all.filter(({ level }) => level === 'fault' || level === 'warning');
  expect(matters.length).toBeGreaterThan(30);
  expect(matters.filter(({ why, todo }) => !why || !todo)).toEqual([]);
});

test.each([
  ['0.12.3', '13.0', true],
  ['23.01', '26.07', true],
  ['26.07', '26.07', false],
  ['26.10.1', '26.07', false],
  ['nightly build', '26.07', false],
  ['1.2', undefined, true],
])('release %s is before %s: %s', (release, other, expected) => {
  expect(isBefore(release, other)).toBe(expected);
});
