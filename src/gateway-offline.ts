// The ledger without a gateway: to look at it, to restore it, and for the way back when the gateway itself cannot start.

import { systemClock } from './clock.ts';
import type { Config } from './config.ts';
import { Core, type Settings } from './core.ts';
import { version } from './gateway.ts';
import { openXmpp, type Xmpp } from './gateway-xmpp.ts';
import { type Inspected, inspect } from './ledger/inspect.ts';
import { type Restorable, restore } from './ledger/restore.ts';
import { openLedger } from './ledger/sqlite.ts';
import type { Log } from './log.ts';
import { compile } from './mapping/compile.ts';
import { makeMetrics } from './metrics.ts';
import { ReturnAll, type Stand, standOfAll } from './migration/return-all.ts';
import type { Broker } from './mqtt/broker.ts';
import { prepareBare } from './xmpp/jid.ts';

const dayMs = 86_400_000;
/** What is out when `ledger return --all --offline` ends has so long to be answered. */
const offlineDrainMs = 2_000;

/** Looks at a ledger that no gateway has open. Throws with a text for the operator. */
export function verifyOffline(path: string, { user, since }: { user?: string; since?: number }): Inspected {
  if (user === undefined) return inspect(path, { since });
  const bare = prepareBare(user);
  if (bare === null) throw new Error(`"${user}" is not a JID`);
  return inspect(path, { user: bare, since });
}

export { lookAtRestore } from './ledger/restore.ts';

/** Gives the name under which the old ledger is kept. */
export function restoreLedger(look: Restorable): string | null {
  return restore(look, systemClock.now());
}

/** A ledger that is open, and the way back to the legacy server. */
export interface Offline {
  /** Every user that has anything to be brought back. */
  stands(): Promise<Stand[]>;
  /** Resolves when the server has taken the link; rejects with why it has not within `patienceMs`. */
  connect(patienceMs: number): Promise<void>;
  readonly returnAll: ReturnAll;
  /** Resolves, with the reason, if the ledger ends by itself. */
  readonly failed: Promise<Error>;
  close(): Promise<void>;
}

/** Nothing is published, and nothing comes. */
const noBroker: Broker = {
  ...{ up: false, window: 0, reasonCodes: true, maximumPacketSize: 0, heardAt: 0 },
  publish: async () => ({ kind: 'lost' }),
};

/**
 * The same inner parts without broker, mappings and admin side. What the server hands to the sessions meanwhile is not
 * taken, so it takes that back itself when they are detached. Rejects where another process has the ledger.
 */
export async function openOffline(config: Pick<Config, 'xmpp' | 'ledger'>, { log }: { log: Log }): Promise<Offline> {
  const [clock, metrics] = [systemClock, makeMetrics()];
  const ledger = await openLedger({ path: config.ledger.path, clock, log });
  let isOpen = true;
  try {
    const failed = Promise.withResolvers<Error>();
    void ledger.failed.then(failed.resolve);
    const xmpp = await openXmpp(config, ledger, log);
    const common = {
      mappings: compile([]),
      clock,
      metrics,
      log,
      fault: (error: unknown) => failed.resolve(error as Error),
    };
    const core = new Core(offlineSettings(config), { ledger, broker: noBroker, ...xmpp }, common);
    const { users, moves } = core;
    await users.load({ domain: config.xmpp.component.domain, declared: config.xmpp.component.users });
    return {
      failed: failed.promise,
      returnAll: new ReturnAll({ users, moves, ledger, clock, workOn: (user) => core.workOn(user) }),
      stands: () => standOfAll({ users, ledger }),
      async connect(patienceMs) {
        await core.start();
        await connectOffline(xmpp, core, patienceMs);
      },
      async close() {
        if (!isOpen) return;
        isOpen = false;
        await core.stop(offlineDrainMs);
        await xmpp.stop();
        await ledger.close();
      },
    };
  } catch (error) {
    await ledger.close();
    throw error;
  }
}

function offlineSettings({ xmpp }: Pick<Config, 'xmpp'>): Settings {
  // No app and no broker is heard of: no device may be forgotten, nothing settled, nothing dropped from the history.
  const never = { deviceDays: 36_500, brokerHorizonMs: 100 * 365 * dayMs, historyMs: 100 * 365 * dayMs };
  const policy = { legacyLogin: 'allow' as const, lockText: '', attachWindow: 8 };
  const { domain, maxStanzaBytes, component } = xmpp;
  const own = { component: component.domain, ownUsers: component.users, ownSubscriptions: component.subscriptions };
  const rest = {
    ...own,
    root: 'offline',
    shadowRoot: 'offline',
    offlineWindow: 0,
    version,
    rate: { perSecond: 1, burst: 1 },
    messagesWaiting: 0,
  };
  return { domain, maxStanzaBytes, ...rest, ...never, ...policy };
}

function connectOffline({ component, link, start }: Xmpp, core: Core, patienceMs: number): Promise<void> {
  let reason = 'it has not answered';
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  component.onOnline = () => core.componentUp();
  component.onClosed = (why) => {
    reason = why;
  };
  link.onMissed = (user, accepted) => core.missed(user, accepted);
  link.onUp = ({ resumed, missed }) => {
    core.linkUp(resumed, missed);
    resolve();
  };
  link.onRefused = (why) => {
    reason = why;
  };
  link.onDetached = ({ jid, h }) => core.detached(jid, h);
  link.onLost = (jid) => core.sessionLost(jid);
  const late = systemClock.after(patienceMs, () =>
    reject(new Error(`the legacy server has not taken the link: ${reason}`)),
  );
  start();
  return promise.finally(() => late.cancel());
}
