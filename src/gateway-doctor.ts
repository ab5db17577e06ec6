// The doctor's way to both sides: over the gateway's own component connection, or over short ones that are made for it.

import { systemClock } from './clock.ts';
import type { Config } from './config.ts';
import { credentialSource } from './credentials.ts';
import { queueFindings } from './doctor/broker-findings.ts';
import { accountFindings, type ClientFacts, clientFindings } from './doctor/client-findings.ts';
import type { Finding } from './doctor/finding.ts';
import { serverFindings } from './doctor/server-findings.ts';
import { type Log, makeLog } from './log.ts';
import { type BrokerFacts, examineBroker } from './mqtt/examination.ts';
import { tryQueue } from './mqtt/queue-trial.ts';
import { examineAccount } from './xmpp/client-examination.ts';
import { probe } from './xmpp/client-probe.ts';
import { Component } from './xmpp/component.ts';
import { examineServer } from './xmpp/examination.ts';
import { prepareBare } from './xmpp/jid.ts';
import { NS_SASL } from './xmpp/namespaces.ts';
import { childOf, elementsOf } from './xmpp/stanza.ts';

/** What the legacy server says about itself over this connection. */
export async function examineOver(component: Component, { xmpp }: Pick<Config, 'xmpp'>): Promise<Finding[]> {
  if (!component.online)
    return [
      {
        id: 'server.login',
        level: 'fault',
        what: 'the component connection is down',
        why: 'nothing can be sent to the server, or taken from it',
        todo: "look for component.offline in the gateway's log",
      },
    ];
  const facts = await examineServer(
    (...question) => component.request(...question),
    xmpp.domain,
    () => systemClock.now(),
  );
  const { domain, maxStanzaBytes, attach } = xmpp;
  const wanted = { domain, component: xmpp.component.domain, maxStanzaBytes, attach: attach.kind };
  const found = serverFindings(facts, wanted);
  return [...found, ...(await examinePort(xmpp))];
}

/** attach: client. The port for clients, whatever becomes of the component. */
async function examinePort(xmpp: Config['xmpp']): Promise<Finding[]> {
  if (xmpp.attach.kind !== 'client') return [];
  const { credentials, security } = xmpp.client;
  const { file, ejabberd } = credentials;
  const given = file !== undefined ? 'password' : ejabberd !== undefined ? 'token' : 'either';
  return clientFindings(await examineClients(xmpp), { given, isSecure: security !== 'none' });
}

function streamOf({ domain, client, maxInboundBytes }: Config['xmpp']) {
  const { host, port, security, ca } = client;
  return { target: { host, port, security, ca, domain }, limits: { maxBytes: maxInboundBytes }, clock: systemClock };
}

/** attach: client. A login as this user, with the credential that the gateway would use; it shows no presence. */
export async function examineUser({ xmpp }: Pick<Config, 'xmpp'>, jid: string | undefined): Promise<Finding[]> {
  if (jid === undefined) return accountFindings(jid);
  const user = prepareBare(jid);
  const [name = '', domain] = user?.split('@') ?? [];
  if (user === null || domain !== xmpp.domain) return accountFindings(jid, { fault: `it is not on ${xmpp.domain}` });
  const answer = await credentialSource(xmpp.client.credentials)(user);
  if (answer.kind !== 'found') return accountFindings(user, { fault: answer.text });
  const facts = await examineAccount({ ...streamOf(xmpp), login: { user: name, credential: answer.credential } });
  if (!('closed' in facts)) return accountFindings(user, facts);
  const { by, condition, text } = facts.closed;
  return accountFindings(user, { fault: `${condition} ${text}`.trim(), by });
}

async function examineClients(xmpp: Config['xmpp']): Promise<ClientFacts> {
  const { host, port } = xmpp.client;
  const answer = await probe(streamOf(xmpp)).result;
  const address = `${host}:${port}`;
  if ('closed' in answer) {
    const { by, condition, text } = answer.closed;
    return { address, by, text: `${condition} ${text}`.trim() };
  }
  const offered = childOf(answer.features, 'mechanisms', NS_SASL);
  return { address, mechanisms: offered ? elementsOf(offered).map((one) => one.getText()) : [] };
}

/** The same where no gateway runs: over a connection that is made for it, and closed. It says no hello, so that no session ends. */
export async function examineLegacyServer(config: Pick<Config, 'xmpp'>, { log }: { log: Log }): Promise<Finding[]> {
  const { host, port, domain, secret } = config.xmpp.component;
  const component = new Component({ host, port, domain, secret, server: config.xmpp.domain, clock: systemClock, log });
  const { promise, resolve } = Promise.withResolvers<string | null>();
  component.onOnline = () => resolve(null);
  component.onClosed = resolve;
  component.start();
  try {
    const fault = await promise;
    if (fault === null) {
      const login: Finding = {
        id: 'server.login',
        level: 'ok',
        what: `the component ${domain} is in at ${host}:${port}`,
      };
      return [login, ...(await examineOver(component, config))];
    }
    return [
      {
        ...{
          id: 'server.login',
          level: 'fault',
          what: `the component ${domain} cannot log in at ${host}:${port}: ${fault}`,
        },
        why: 'nothing can be sent to the server, or taken from it',
        todo: `xmpp.component: host and port must be the server's for components, and secret the one it has for ${domain}`,
      },
      ...(await examinePort(config.xmpp)),
    ];
  } finally {
    await component.stop();
  }
}

/** What a broker does and lets do; see mqtt/examination. */
export function examineBrokerOf(
  { mqtt }: Pick<Config, 'mqtt'>,
  app?: { username: string; password: string },
): Promise<BrokerFacts> {
  const { url, username, password, ca, cert, key, root } = mqtt;
  return examineBroker({ address: { url, username, password, tls: { ca, cert, key } }, root, app, clock: systemClock });
}

/** Enough to show a queue as short as Mosquitto's default (1000), and few enough for a second. */
const triedMessages = { least: 5_000, most: 10_000 };

/**
 * How many messages the broker keeps for a client that is away. That fills a queue, so whoever counts what the broker drops has
 * to know: `expectDrops` is called before, and its result with how many were dropped for this.
 */
export async function examineQueue(
  { mqtt }: Pick<Config, 'mqtt'>,
  expectDrops: () => (ours: number) => void = () => () => {},
): Promise<Finding[]> {
  const { url, username, password, ca, cert, key, root, offlineWindow } = mqtt;
  const count = Math.min(triedMessages.most, Math.max(triedMessages.least, 2 * offlineWindow));
  const address = { url, username, password, tls: { ca, cert, key } };
  const settle = expectDrops();
  let ours = 0;
  try {
    const trial = await tryQueue({ address, root, count, clock: systemClock, log: makeLog('silent') });
    ours = trial.taken - trial.kept;
    return queueFindings(trial, { offlineWindow });
  } catch (error) {
    return queueFindings({ fault: (error as Error).message }, { offlineWindow });
  } finally {
    settle(ours);
  }
}
