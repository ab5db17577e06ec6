// A whole gateway: opens the adapters in order, hands them to the inner parts, closes them in reverse.

import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import type { Element } from 'ltx';
import { type Admin, type AdminParts, startAdmin } from './admin/server.ts';
import { adminToken } from './admin-token.ts';
import { systemClock } from './clock.ts';
import type { Config } from './config.ts';
import { Core, type Outside, type Settings } from './core.ts';
import { Pressure } from './flow/pressure.ts';
import type { SkippedStanza } from './flow/to-mqtt.ts';
import { examineOver, examineQueue } from './gateway-doctor.ts';
import { openXmpp, type Xmpp } from './gateway-xmpp.ts';
import { type OpenLedger, openLedger } from './ledger/sqlite.ts';
import { Verifier } from './ledger/verifier.ts';
import type { Log } from './log.ts';
import { compile } from './mapping/compile.ts';
import { load } from './mapping/load.ts';
import { type Metrics, makeMetrics } from './metrics.ts';
import { BrokerAccess } from './mqtt/broker-access.ts';
import { encodeUser, makeTopics } from './mqtt/topic.ts';
import { drain, type Stopped } from './shutdown.ts';
import { Webhook } from './webhook.ts';
import { prepareBare } from './xmpp/jid.ts';

export interface Gateway {
  readonly adminUrl: string;
  /** Resolves, with the reason, if the gateway cannot go on and the process should end. */
  readonly failed: Promise<Error>;
  /** Takes nothing more, awaits what is out, writes down what it has, closes the links. */
  stop(): Promise<Stopped>;
}

const dayMs = 86_400_000;

/** Starts everything; the links come up in their own time. Rejects with a text for the operator where it cannot start. */
export async function startGateway(config: Config, { log }: { log: Log }): Promise<Gateway> {
  const clock = systemClock;
  const metrics = makeMetrics();
  const mappings = compile(load(config.mappings));
  const token = adminToken({ token: config.admin.token, ledgerPath: config.ledger.path });
  const ledger = await openLedger({ path: config.ledger.path, clock, log });
  // Closed in reverse: first nothing more is taken and sent, then what was taken is written and acknowledged, then the links go.
  const closing: (() => Promise<void> | void)[] = [() => ledger.close()];
  let stopped: Stopped = null;
  const stop = async () => {
    // Whatever one of them cannot do, the others are closed all the same: a link left open would keep the process.
    const failed = (error: unknown) => log.error({ event: 'gateway.close-failed', error: String(error) });
    for (const close of closing.splice(0).reverse()) await Promise.resolve().then(close).catch(failed);
    return stopped;
  };
  try {
    const failed = Promise.withResolvers<Error>();
    void ledger.failed.then(failed.resolve);
    const failWith = (error: unknown) => failed.resolve(error instanceof Error ? error : new Error(String(error)));
    const broker = new BrokerAccess({ config: config.mqtt, clock, log });
    const xmpp = await openXmpp(config, ledger, log);
    const outside: Outside = { ledger, broker, ...xmpp, webhook: openWebhook(config, closing) };
    const core = new Core(settingsOf(config), outside, { mappings, clock, metrics, log, fault: failWith });
    closing.push(async () => void (await core.stop(0)));
    await core.start();
    const pressure = new Pressure({ ledger, clock, sources: [...xmpp.sources, broker] });

    const health = () => ({
      component: xmpp.component.online,
      attach: xmpp.server.up,
      mqtt: broker.up,
      ledger: ledger.writable,
    });
    const examine = () => examineOver(xmpp.component, config);
    const tryQueue = () => examineQueue(config, () => broker.expectDrops());
    const side = { ledger, metrics, health, token, log, clock, server: xmpp.server, examine, tryQueue };
    const admin = await openAdmin(config, core, side, closing);
    const ready = announce(health, { log, metrics, adminUrl: admin.url });

    listenToXmpp(xmpp, core, pressure, ready, log);
    closing.push(() => xmpp.stop());
    const opened = broker.open({
      filters: makeTopics({ root: config.mqtt.root, domain: config.xmpp.domain, prepare: prepareBare }),
      onMessage(message, accepted) {
        core.toXmpp.receive(message, accepted);
        pressure.check();
      },
      onUp() {
        core.brokerUp();
        ready();
      },
      onDown() {
        core.brokerDown();
        ready();
      },
      onBoot: (bootMs) => core.brokerBooted(bootMs),
      onDropped: (count) => core.brokerDropped(count),
    });
    closing.push(() => broker.close());
    closing.push(async () => {
      pressure.end(broker);
      stopped = await drain({ core, pressure, ledger, log }, config.shutdown.drainTime);
    });
    opened.catch(failWith);
    return { adminUrl: admin.url, failed: failed.promise, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

type AdminSide = Pick<
  AdminParts,
  'examine' | 'tryQueue' | 'metrics' | 'health' | 'token' | 'log' | 'clock' | 'server'
> & {
  ledger: OpenLedger;
};

async function openAdmin(
  { admin: { listen }, xmpp, mqtt }: Config,
  core: Core,
  side: AdminSide,
  closing: (() => Promise<void> | void)[],
): Promise<Admin> {
  const { users, devices, moves, byHand, shadow } = core;
  const { ledger, clock, log } = side;
  const verifier = new Verifier({ ledger, clock });
  const checks = verifier.start(log);
  closing.push(() => checks.cancel());
  const admin = await startAdmin({
    ...{ users, devices, moves, byHand, shadow, ...side, verifier, backups: ledger.backups, listen, version },
    workOn: (user) => core.workOn(user),
    holdup: (conversation) => core.holdup(conversation),
    prepare: prepareBare,
    own: core.ownServer.own,
    levelOf: (jid) => encodeUser(jid, xmpp.domain),
    isReserved: (jid) => encodeUser(jid, xmpp.domain) === mqtt.username,
  });
  closing.push(() => admin.close());
  return admin;
}

export const version: string = JSON.parse(readFileSync(findPackageJSON('..', import.meta.url)!, 'utf8')).version;

function settingsOf({ xmpp, mqtt, migration, ledger }: Config): Settings {
  return {
    domain: xmpp.domain,
    component: xmpp.component.domain,
    ownUsers: xmpp.component.users,
    ownSubscriptions: xmpp.component.subscriptions,
    root: mqtt.root,
    shadowRoot: mqtt.shadowRoot,
    maxStanzaBytes: xmpp.maxStanzaBytes,
    rate: { perSecond: mqtt.messagesPerSecond, burst: mqtt.messagesBurst },
    messagesWaiting: mqtt.messagesWaiting,
    offlineWindow: mqtt.offlineWindow,
    deviceDays: mqtt.deviceDays,
    brokerHorizonMs: mqtt.brokerHorizon,
    historyMs: ledger.historyDays * dayMs,
    expireAfterMs: ledger.expireAfter,
    legacyLogin: migration.legacyLogin,
    lockText: migration.legacyLoginText,
    attachWindow: migration.attachWindow,
    version,
  };
}

function openWebhook({ webhook }: Config, closing: (() => void)[]): Outside['webhook'] {
  const { url, secret, timeout, every } = webhook;
  if (url === undefined) return undefined;
  const hook = new Webhook({ url, secret, timeoutMs: timeout });
  closing.push(() => hook.close());
  return { post: (body) => hook.post(body), everyMs: every };
}

function listenToXmpp(
  { component, link, start }: Xmpp,
  core: Core,
  pressure: Pressure,
  ready: () => void,
  log: Log,
): void {
  link.onStanza = (stanza, arrival, accepted) => {
    core.toMqtt.receive(stanza, arrival, accepted);
    pressure.check();
  };
  link.onSkipped = ({ user, position, dir, name = 'message', ...skipped }, accepted) => {
    core.toMqtt.skipped({ name, ...skipped }, { user, position, dir, seen: false }, accepted);
  };
  link.onMissed = (user, accepted) => core.missed(user, accepted);
  link.onUp = ({ resumed, missed }) => {
    core.linkUp(resumed, missed);
    ready();
  };
  link.onDown = ready;
  link.onDetached = ({ jid, reason, h }) => {
    log.warn({ event: 'user.detached', jid, reason, h });
    core.detached(jid, h, reason);
  };
  link.onLost = (jid) => core.sessionLost(jid);
  link.onCopiesLost = (user) => core.copiesLost(user);
  component.onOnline = () => {
    core.componentUp();
    ready();
  };
  component.onOffline = ready;
  // What the link does not take is for an address on the component's own domain.
  const toOwn = (to: string | undefined) => ({ user: prepareBare(to ?? '') ?? component.domain, seen: false });
  component.onStanza = (stanza: Element) => {
    core.toMqtt.receive(stanza, toOwn(stanza.attrs.to), () => {});
    pressure.check();
  };
  component.onSkipped = ({ outline, bytes, reason }) => {
    const { from, to, id, type } = outline.attrs;
    const skipped: SkippedStanza = { name: outline.name, from, to, id, type, bytes, reason };
    core.toMqtt.skipped(skipped, toOwn(to), () => {});
  };
  start();
}

/** Keeps the gauges true, and says so in the log when all links have come up for the first time, and when one is lost. */
function announce(
  health: () => Record<string, boolean>,
  to: { log: Log; metrics: Metrics; adminUrl: string },
): () => void {
  let wasReady = false;
  return () => {
    const now = health();
    for (const link of ['component', 'attach', 'mqtt']) to.metrics.linkUp.set({ link }, now[link] ? 1 : 0);
    const isReady = Object.values(now).every(Boolean);
    if (isReady !== wasReady)
      to.log.info({ event: isReady ? 'gateway.ready' : 'gateway.not-ready', adminUrl: to.adminUrl, ...now });
    wasReady = isReady;
  };
}
