// The gateway's inner parts wired together; the links to the outside are handed in: real ones by gateway.ts, false ones by the simulation.

import type { Clock } from './clock.ts';
import { Answers } from './flow/answers.ts';
import { AppNotices } from './flow/app-notices.ts';
import { Asks } from './flow/asks.ts';
import { ByHand } from './flow/by-hand.ts';
import { CatchUp } from './flow/catch-up.ts';
import { Contacts } from './flow/contacts.ts';
import { Deliver, type Drained } from './flow/deliver.ts';
import { endHopeless } from './flow/hopeless.ts';
import { LegacyLogins } from './flow/legacy-logins.ts';
import { OwnServer, type OwnSettings } from './flow/own-server.ts';
import { PresencePace } from './flow/presence-pace.ts';
import type { RateLimit } from './flow/rate.ts';
import type { Holdup } from './flow/road.ts';
import { MqttRoad, XmppRoad } from './flow/roads.ts';
import { type SessionKinds, Sessions } from './flow/sessions.ts';
import { ToMqtt } from './flow/to-mqtt.ts';
import { ToXmpp } from './flow/to-xmpp.ts';
import { Upkeep } from './flow/upkeep.ts';
import { type Post, Wake } from './flow/wake.ts';
import type { Conversation, Ledger } from './ledger/ledger.ts';
import type { Log } from './log.ts';
import type { Mappings } from './mapping/compile.ts';
import type { Metrics } from './metrics.ts';
import { Devices } from './migration/devices.ts';
import { Moves } from './migration/moves.ts';
import { type Deliveries, Reconcile, type Work } from './migration/reconcile.ts';
import type { LegacyServer } from './migration/server.ts';
import { type User, Users } from './migration/users.ts';
import type { LegacyLogin } from './migration/wanted.ts';
import type { Broker } from './mqtt/broker.ts';
import { makeTopics } from './mqtt/topic.ts';
import { Observer } from './shadow/observer.ts';
import { prepareBare } from './xmpp/jid.ts';

export interface Settings extends OwnSettings {
  /** The users' domain. */
  domain: string;
  /** Bare JIDs on the component's own domain. */
  ownUsers: readonly string[];
  root: string;
  shadowRoot: string;
  maxStanzaBytes: number;
  /** What the apps of one user may send. */
  rate: RateLimit;
  /** How many of them may be open in the ledger. */
  messagesWaiting: number;
  /** What waits longer is discarded, in either direction; undefined: nothing is, but where its sender says so. */
  expireAfterMs?: number;
  offlineWindow: number;
  deviceDays: number;
  brokerHorizonMs: number;
  historyMs: number;
  legacyLogin: LegacyLogin;
  /** What a legacy client is told that may not log in, or has come although its user has moved. */
  lockText: string;
  /** Users that reconcile works on at once. */
  attachWindow: number;
  version: string;
}

/** The outside, as far as the inner parts act on it. */
export interface Outside extends SessionKinds {
  ledger: Ledger;
  broker: Broker;
  server: LegacyServer;
  /** Tells somebody that messages wait; absent where nobody wants to know. */
  webhook?: { post: Post; everyMs: number };
}

export interface Common {
  mappings: Mappings;
  clock: Clock;
  metrics: Metrics;
  log: Log;
  /** Hears of what the gateway cannot go on after: the ledger refuses what it must not refuse. */
  fault: (error: unknown) => void;
}

/** Entries toXmpp that may be unanswered at once on the link. */
const xmppWindow = 500;

/** No I/O before `start`; what the adapters hear they tell by the methods below it. */
export class Core {
  readonly users: Users;
  /** The component's own domain and its users. */
  readonly ownServer: OwnServer;
  readonly devices: Devices;
  readonly moves: Moves;
  readonly toMqtt: ToMqtt;
  readonly toXmpp: ToXmpp;
  readonly shadow: Observer;
  /** What an operator does to single entries. */
  readonly byHand: ByHand;
  readonly #settings: Settings;
  readonly #outside: Outside;
  readonly #common: Common;
  readonly #road: MqttRoad;
  readonly #deliver: Deliver;
  readonly #reconcile: Reconcile;
  readonly #upkeep: Upkeep;
  readonly #contacts: Contacts;
  readonly #pace: PresencePace;
  readonly #wake: Wake | undefined;
  readonly #catchUp: CatchUp;

  constructor(settings: Settings, outside: Outside, common: Common) {
    const { domain, root, version, deviceDays, offlineWindow, maxStanzaBytes, brokerHorizonMs, historyMs } = settings;
    const { legacyLogin, lockText, messagesWaiting, expireAfterMs } = settings;
    const { ledger, broker, server } = outside;
    const { mappings, clock, metrics, log, fault } = common;
    const topics = makeTopics({ root, domain, prepare: prepareBare });
    const users = new Users(ledger);
    const devices = new Devices({ clock, ledger, log, deviceDays });
    const answers = new Answers({ version, clock, features: mappings.features });
    const ownParts = { settings, outside, users, devices, topics, answers, ledger };
    const ownServer = new OwnServer({ ...ownParts, clock, metrics, fault });
    const sessions = new Sessions({ users, server, metrics, kinds: ownServer.kinds });
    const notices = new AppNotices({ broker, topics, clock });

    const toMqttRoad = new MqttRoad({ broker, users, devices, clock, offlineWindow });
    const sessionGone = (user: string) => this.#sessionGone(user);
    const toXmppRoad = new XmppRoad({ sessions, sessionGone, notices, window: xmppWindow });
    const roads = { toMqtt: toMqttRoad, toXmpp: toXmppRoad };
    const hasDeviceOnline = (user: string) => devices.online(user) > 0;
    const deliver = new Deliver({ ledger, roads, hasDeviceOnline, clock, metrics, log });

    const inner = { users, ownServer, devices, topics, sessions };
    const shared = { ...common, ...inner, ledger, broker, expireAfterMs };
    const shadow = new Observer({ domain, shadowRoot: settings.shadowRoot, mappings, broker, clock, metrics, log });
    const isWorkedOn = (user: User) => this.#reconcile.workOn(user).kind === 'running';
    this.byHand = new ByHand({ ledger, users, server, deliver, notices, isWorkedOn, clock });
    const asks = new Asks({ sessions, clock });
    this.#contacts = new Contacts({ ...shared, domain, asks, mappings: mappings.presence });
    this.#wake = outside.webhook && new Wake({ ...shared, ...outside.webhook });
    this.#catchUp = new CatchUp({ ...shared, server, asks });
    const onMessage = (user: string) => this.#wake?.look(user);
    const ownSession = () => outside.ownSession(settings.component);
    const logins = new LegacyLogins({ ...shared, legacyLogin, text: lockText, ownSession });
    this.toMqtt = new ToMqtt({
      ...{ ...shared, domain, answers, asks, server, shadow, onMessage },
      ...{ contacts: this.#contacts, catchUp: this.#catchUp, logins },
    });
    const onAcked = (user: string) => this.#acked(user);
    this.#pace = new PresencePace({ clock, metrics, fault });
    const limits = { maxStanzaBytes, rate: settings.rate, messagesWaiting };
    this.toXmpp = new ToXmpp({ ...shared, ...limits, notices, onAcked, pace: this.#pace });
    const deliveries = this.#deliveries(deliver, notices);
    const policy = { legacyLogin, lockText, attachWindow: settings.attachWindow };
    const reconcile = new Reconcile({ users, devices, server, ledger, deliveries, ...policy, clock, metrics, log });
    const poke = (user: User) => {
      this.#reopened(user.jid);
      reconcile.poke(user);
    };
    this.moves = new Moves({ users, server, clock, domain, poke });
    this.#upkeep = new Upkeep({ ...shared, horizonMs: brokerHorizonMs, historyMs, deliver, road: toMqttRoad });
    this.users = users;
    this.ownServer = ownServer;
    this.devices = devices;
    this.shadow = shadow;
    this.#settings = settings;
    this.#outside = outside;
    this.#common = common;
    this.#road = toMqttRoad;
    this.#deliver = deliver;
    this.#reconcile = reconcile;
  }

  /** What reconcile needs to know of the deliveries, and to tell. */
  #deliveries(deliver: Deliver, notices: AppNotices): Deliveries {
    return {
      isPublishing: (user: string) => deliver.isOut('toMqtt', user),
      hasToSend: (user: string) => deliver.hasEntries('toXmpp', user),
      sessionUp: (user: string) => deliver.wake('toXmpp', user),
      available: (user: string) => this.#available(user),
      reopened: (user: string) => this.#reopened(user),
      hopeless: (user: string, condition: string, text: string) => {
        const { ledger } = this.#outside;
        return endHopeless(user, { condition, text }, { ledger, notices, deliver, clock: this.#common.clock });
      },
      left: (user: string) => this.#contacts.forget(user),
      ended: (user: string) => this.#ended(user),
    };
  }

  /** Reads what the last run left and takes it up; nothing is accepted before. */
  async start(): Promise<void> {
    const { users, devices } = this;
    await users.load({ domain: this.#settings.component, declared: this.#settings.ownUsers });
    await this.ownServer.own.load();
    await devices.load();
    this.#road.restore(await this.#outside.ledger.do('withBroker', {}));
    devices.onStatus = (jid) => {
      const user = jid === null ? null : users.get(jid);
      if (user !== undefined) this.#reconcile.poke(user);
      if (user === null || user?.own) this.ownServer.presence.look(jid);
      if (user && devices.statusOf(user.jid) === 'away') this.#wake?.look(user.jid);
    };
    devices.onOnline = (user) => {
      this.#upkeep.deviceOnline(user);
      this.#contacts.deviceOnline(user);
      this.#wake?.here(user);
    };
    // Something may have waited since it was here the last time.
    this.ownServer.onAdded = (user) => this.#reopened(user);
    this.ownServer.onRemoved = (user) => this.#ended(user);
    devices.onForgotten = (user) => this.#discardCopies(user);
    this.#deliver.onEntries = (lane, jid) => {
      if (lane === 'toXmpp') this.#senderChanged(jid);
    };
    await this.#catchUp.start();
    await this.#deliver.start();
    this.#upkeep.start();
    await this.#wake?.start();
    this.ownServer.start();
  }

  /** Begins nothing more, says that the own domain's users are gone, and resolves when what is out has been answered, or after `drainMs`. */
  async stop(drainMs: number): Promise<Drained> {
    this.ownServer.presence.stop();
    this.#upkeep.stop();
    this.#contacts.stop();
    this.#wake?.stop();
    this.#catchUp.stop();
    this.#reconcile.stop();
    this.#pace.stop();
    this.devices.stop();
    return await this.#deliver.stop(drainMs);
  }

  /** The link stands; `resumed`: all our sessions do; `missed`: messages of every user may have been missed. */
  linkUp(resumed: boolean, missed = !resumed): void {
    const { ledger, server } = this.#outside;
    if (resumed) {
      this.#reconcile.poke(null);
      this.#contacts.linkResumed();
      this.#catchUp.linkResumed();
    } else {
      // On disk before anything is sent in this epoch, since whatever is sent needs a commit that comes after this one.
      const began = { link: server.link, epoch: server.epoch, h: 0, at: this.#common.clock.now() };
      if (missed) ledger.do('epochBegan', began).catch(this.#common.fault);
      this.#reconcile.epochChanged();
    }
    this.#deliver.wake('toXmpp');
  }

  /** The component link stands: own-domain addresses can send. */
  componentUp(): void {
    this.#deliver.wake('toXmpp');
    this.ownServer.presence.up();
    for (const { jid } of this.ownServer.own.all()) this.#contacts.sessionUp(jid);
  }

  /** The server ended this attached session, and gave its stanzas with n > h to the user's other clients, or to offline storage. */
  detached(jid: string, h: number, reason?: string): void {
    const user = this.users.get(prepareBare(jid) ?? '');
    const { ledger, server } = this.#outside;
    if (user) {
      const took = { user: user.jid, link: server.link, epoch: server.epoch, h, at: this.#common.clock.now() };
      ledger.do('takenBack', { ...took, become: 'copy' }).catch(this.#common.fault);
    }
    // Also while the attach of that session is still being written down.
    if (user && (user.attached?.jid ?? jid) === jid) this.#sessionGone(user.jid);
    if (user && reason === 'deleted') this.moves.accountDeleted(user).catch(this.#common.fault);
  }

  /** The connection of this session is gone; whether anything was missed is known when it is attached again. */
  sessionLost(jid: string): void {
    const user = this.users.get(prepareBare(jid) ?? '');
    if (user?.attached?.jid !== jid) return;
    this.users.sessionGone(user);
    this.#reconcile.poke(user);
  }

  /** Copies of this user have ended by themselves. */
  copiesLost(jid: string): void {
    const user = this.users.get(jid);
    if (!user) return;
    this.users.copiesGone(user);
    this.#reconcile.poke(user);
  }

  /** Copies for the user did not fit into the server's queue: they are in its archive, if anywhere. */
  missed(user: string, accepted: () => void): void {
    this.#catchUp.missed(user).then(accepted, this.#common.fault);
  }

  /** What is done about a user on the legacy server, for people. */
  workOn(user: User): Work {
    return this.#reconcile.workOn(user);
  }

  /** Why entries of a conversation wait, for people. */
  holdup(conversation: Conversation): Holdup | null {
    return this.#deliver.holdup(conversation);
  }

  brokerUp(): void {
    this.devices.subscribed();
    this.#upkeep.brokerUp();
  }

  brokerDown(): void {
    this.#upkeep.brokerDown();
  }

  /** A queue of the broker was full: what it had taken is gone. */
  brokerDropped(count: number): void {
    const { log, metrics } = this.#common;
    metrics.brokerDropped.inc(count);
    log.error(
      { event: 'broker.dropped', count },
      'the broker dropped messages: raise max_queued_messages (docs/operating.md)',
    );
    this.#upkeep.brokerDropped();
  }

  brokerBooted(bootMs: number): void {
    this.#upkeep.brokerBooted(bootMs);
  }

  /** In `dual` without an app it is what waits that brings the session, and ends it. */
  #senderChanged(jid: string): void {
    const user = this.users.get(jid);
    if (user?.phase === 'dual' && this.devices.statusOf(jid) !== 'here') this.#reconcile.poke(user);
  }

  #available(user: string): void {
    this.#contacts.sessionUp(user);
    this.#catchUp.available(user);
  }

  #sessionGone(jid: string): void {
    const user = this.users.get(jid);
    if (!user || user.own) return;
    this.users.sessionGone(user);
    // Until there is another one the user's other clients get what comes.
    this.#catchUp.missed(jid).catch(this.#common.fault);
    this.#reconcile.poke(user);
  }

  /** The user's apps are published to from now on, those that are online already included. */
  #reopened(user: string): void {
    this.#deliver.reopen('toMqtt', user);
    if (this.devices.online(user) > 0) this.#upkeep.deviceOnline(user);
    else this.#deliver.unpark(user).catch(this.#common.fault);
  }

  /** The user's rollback is done: nothing of its conversations is left to send to the apps. */
  #ended(user: string): void {
    this.#deliver.forget('toMqtt', user);
    this.#contacts.forget(user);
  }

  /** No device is left that could take them, and somebody else has each of them. */
  #discardCopies(user: string): void {
    const { ledger } = this.#outside;
    const discarded = ledger.do('discardCopies', { user, at: this.#common.clock.now(), reason: 'no device' });
    discarded.then(() => this.#deliver.reopen('toMqtt', user)).catch(this.#common.fault);
  }

  /** Apps that acknowledge are there: the broker may be given more. */
  #acked(user: string): void {
    this.#road.deviceOnline(user);
    this.#deliver.wake('toMqtt', user);
  }
}
