// The gateway's inner parts wired together; the links to the outside are handed in: real ones by gateway.ts, false ones by the simulation.

import type { Clock } from './clock.ts';
import { Answers } from './flow/answers.ts';
import { AppNotices } from './flow/app-notices.ts';
import { Deliver } from './flow/deliver.ts';
import { MqttRoad, XmppRoad } from './flow/roads.ts';
import { type SessionKinds, Sessions } from './flow/sessions.ts';
import { ToMqtt } from './flow/to-mqtt.ts';
import { ToXmpp } from './flow/to-xmpp.ts';
import { Upkeep } from './flow/upkeep.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { Log } from './log.ts';
import type { Mappings } from './mapping/compile.ts';
import type { Metrics } from './metrics.ts';
import { Devices } from './migration/devices.ts';
import { Moves } from './migration/moves.ts';
import { Reconcile } from './migration/reconcile.ts';
import type { LegacyServer } from './migration/server.ts';
import { type User, Users } from './migration/users.ts';
import type { Broker } from './mqtt/broker.ts';
import { makeTopics } from './mqtt/topic.ts';
import { prepareBare } from './xmpp/jid.ts';

export interface Settings {
  /** The users' domain. */
  domain: string;
  /** Bare JIDs on the component's own domain. */
  ownUsers: readonly string[];
  root: string;
  maxStanzaBytes: number;
  offlineWindow: number;
  deviceDays: number;
  brokerHorizonMs: number;
  historyMs: number;
  version: string;
}

/** The outside, as far as the inner parts act on it. */
export interface Outside extends SessionKinds {
  ledger: Ledger;
  broker: Broker;
  server: LegacyServer;
}

export interface Common {
  mappings: Mappings;
  clock: Clock;
  metrics: Metrics;
  log: Log;
}

/** Entries toXmpp that may be unanswered at once on the link. */
const xmppWindow = 500;

/** No I/O before `start`; what the adapters hear they tell by the methods below it. */
export class Core {
  readonly users: Users;
  readonly devices: Devices;
  readonly moves: Moves;
  readonly toMqtt: ToMqtt;
  readonly toXmpp: ToXmpp;
  readonly #settings: Settings;
  readonly #outside: Outside;
  readonly #road: MqttRoad;
  readonly #deliver: Deliver;
  readonly #reconcile: Reconcile;
  readonly #upkeep: Upkeep;

  constructor(settings: Settings, outside: Outside, common: Common) {
    const { domain, root, version, deviceDays, offlineWindow, maxStanzaBytes, brokerHorizonMs, historyMs } = settings;
    const { ledger, broker, server } = outside;
    const { mappings, clock, metrics, log } = common;
    const topics = makeTopics({ root, domain, prepare: prepareBare });
    const users = new Users(ledger);
    const devices = new Devices({ clock, ledger, log, deviceDays });
    const sessions = new Sessions({ domain, users, server, kinds: outside });
    const notices = new AppNotices({ broker, topics, clock });
    const answers = new Answers({ version, clock, features: mappings.features });

    const toMqttRoad = new MqttRoad({ broker, users, devices, offlineWindow });
    const sessionGone = (user: string) => this.#sessionGone(user);
    const toXmppRoad = new XmppRoad({ sessions, sessionGone, notices, window: xmppWindow });
    const roads = { toMqtt: toMqttRoad, toXmpp: toXmppRoad };
    const hasDeviceOnline = (user: string) => devices.online(user) > 0;
    const deliver = new Deliver({ ledger, roads, hasDeviceOnline, clock, metrics, log });

    const shared = { users, devices, mappings, topics, ledger, broker, sessions, clock, metrics, log };
    const toMqtt = new ToMqtt({ ...shared, domain, answers });
    const onAcked = (user: string) => this.#acked(user);
    this.toXmpp = new ToXmpp({ ...shared, notices, onAcked, maxStanzaBytes });
    const deliveries = {
      published: (user: string) => deliver.landed('toMqtt', user),
      sessionUp: (user: string) => deliver.wake('toXmpp', user),
      reopened: (user: string) => this.#reopened(user),
      arrivals: (user: string) => toMqtt.arrivals(user),
    };
    const reconcile = new Reconcile({ users, devices, server, ledger, deliveries, clock, log });
    const poke = (user: User) => {
      this.#reopened(user.jid);
      reconcile.poke(user);
    };
    this.moves = new Moves({ users, clock, domain, poke });
    const road = toMqttRoad;
    this.#upkeep = new Upkeep({
      ledger,
      users,
      devices,
      deliver,
      road,
      clock,
      log,
      horizonMs: brokerHorizonMs,
      historyMs,
    });
    this.users = users;
    this.devices = devices;
    this.toMqtt = toMqtt;
    this.#settings = settings;
    this.#outside = outside;
    this.#road = road;
    this.#deliver = deliver;
    this.#reconcile = reconcile;
  }

  /** Reads what the last run left and takes it up; nothing is accepted before. */
  async start(): Promise<void> {
    const { users, devices } = this;
    await users.load(this.#settings.ownUsers);
    await devices.load();
    this.#road.restore(await this.#outside.ledger.do('withBroker', {}));
    devices.onStatus = (jid) => {
      const user = jid === null ? null : users.get(jid);
      if (user !== undefined) this.#reconcile.poke(user);
    };
    devices.onOnline = (user) => void this.#upkeep.deviceOnline(user);
    await this.#deliver.start();
    this.#upkeep.start();
  }

  stop(): void {
    this.#upkeep.stop();
    this.#reconcile.stop();
    this.#deliver.stop();
    this.devices.stop();
  }

  /** The attach link stands; `resumed`: the server still has all our sessions. */
  linkUp(resumed: boolean): void {
    if (resumed) this.#reconcile.poke(null);
    else this.#reconcile.epochChanged();
    this.#deliver.wake('toXmpp');
  }

  /** The component link stands: own-domain addresses can send. */
  componentUp(): void {
    this.#deliver.wake('toXmpp');
  }

  /** The server ended this attached session. */
  detached(jid: string): void {
    const user = this.users.get(prepareBare(jid) ?? '');
    // Also while the attach of that session is still being written down.
    if (user && (user.attached?.jid ?? jid) === jid) this.#sessionGone(user.jid);
  }

  brokerUp(): void {
    this.devices.subscribed();
    this.#upkeep.brokerUp();
  }

  brokerDown(): void {
    this.#upkeep.brokerDown();
  }

  brokerBooted(bootMs: number): void {
    void this.#upkeep.brokerBooted(bootMs);
  }

  #sessionGone(jid: string): void {
    const user = this.users.get(jid);
    if (!user || user.own) return;
    this.users.sessionGone(user);
    this.#reconcile.poke(user);
  }

  /** The user's apps are published to from now on, those that are online already included. */
  #reopened(user: string): void {
    this.#deliver.reopen('toMqtt', user);
    if (this.devices.online(user) > 0) void this.#upkeep.deviceOnline(user);
  }

  /** Apps that acknowledge are there: the broker may be given more. */
  #acked(user: string): void {
    this.#road.deviceOnline(user);
    this.#deliver.wake('toMqtt', user);
  }
}
