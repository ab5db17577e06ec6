// The gateway's process: the real core on an in-memory ledger and modelled links; it may die at any step and starts anew on what was committed.

import { Core, type Outside } from '../../src/core.ts';
import { BatchedLedger } from '../../src/ledger/batch.ts';
import type { Engine } from '../../src/ledger/engine.ts';
import type { Log } from '../../src/log.ts';
import { compile } from '../../src/mapping/compile.ts';
import { load } from '../../src/mapping/load.ts';
import type { Metrics } from '../../src/metrics.ts';
import type { LegacyLogin } from '../../src/migration/wanted.ts';
import { LocalEngine } from '../ledger/local-engine.ts';
import { AttachLink } from './attach-link.ts';
import { BrokerLink } from './broker-link.ts';
import { Disk } from './disk.ts';
import type { Frame } from './frame.ts';
import type { LegacyServer } from './legacy-server.ts';
import { Life, type Told } from './life.ts';
import type { MqttBroker } from './mqtt-broker.ts';
import type { World } from './world.ts';

export interface GatewayParts {
  world: World;
  server: LegacyServer;
  broker: MqttBroker;
  settings: {
    crashChance: number;
    commitMs: number;
    brokerWindow: number;
    offlineWindow: number;
    horizonMs: number;
    legacyLogin: LegacyLogin;
    expireAfterMs?: number;
  };
  /** Breaks something on purpose: for the tests that the simulation can fail. */
  sabotage?: (outside: Outside, core: () => Core) => Outside;
  told: Told;
  onAcknowledged(epoch: string, h: number): void;
  onMoved(user: string, phase: string): void;
  onFailed(user: string): void;
  /** The gateway says that messages of this time may be missing. */
  onGap(user: string, from: number, to: number): void;
  onStarted(): void;
  onChat(frame: Frame): void;
}

const mappings = compile(load([new URL('../../mappings', import.meta.url).pathname]));
const nothing = new Proxy({}, { get: () => ({ inc: () => {}, set: () => {} }) }) as unknown as Metrics;
const questions = [
  'conversations',
  'toSend',
  'toXmppWaiting',
  'toReturn',
  'withBroker',
  'position',
  'counts',
  'entry',
  'users',
  'devices',
  'getMeta',
  'expired',
  'mark',
];
/** Errors in the log that belong to the faults we make. */
const expectedErrors = ['ledger.unwritable', 'return.impossible'];

export class Gateway {
  readonly db = Disk.take();
  core!: Core;
  link!: AttachLink;
  brokerLink!: BrokerLink;
  life!: Life;
  isReady = false;
  diskFull = false;
  lives = 0;
  readonly #parts: GatewayParts;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
    this.#begin();
  }

  #begin(): void {
    const { world, server, broker, settings, told, onAcknowledged, onChat } = this.#parts;
    this.lives++;
    this.isReady = false;
    const life = new Life(world, settings.crashChance, told, () => {
      this.link.cut();
      this.brokerLink.cut('publisher');
      this.brokerLink.cut('subscriber');
      world.after(world.between(100, world.chance(0.2) ? 20_000 : 3_000), () => this.#begin());
    });
    this.life = life;
    world.say('gateway', () => 'starts');
    const ledger = new BatchedLedger({ engine: this.#engine(life), clock: life.clock, log: this.#log() });
    this.link = new AttachLink({
      ...{ world, server, life, onAcknowledged, onChat },
      position: () => ledger.do('position', { link: this.link.link }),
      receive: (stanza, arrival, accepted) => core.toMqtt.receive(stanza, arrival, accepted),
      onUp: (resumed) => core.linkUp(resumed),
      onMissed: (user, accepted) => core.missed(user, accepted),
      onDetached: (jid, h, reason) => core.detached(jid, h, reason),
    });
    this.brokerLink = new BrokerLink({
      ...{ world, broker, witness: server.witness, life, window: settings.brokerWindow },
      receive: (message, accepted) => core.toXmpp.receive(message, accepted),
      onUp: () => core.brokerUp(),
      onDown: () => core.brokerDown(),
      onBoot: (bootMs) => core.brokerBooted(bootMs),
    });
    const outside: Outside = {
      ...{ ledger, broker: this.brokerLink, server: this.link },
      sendAttached: (jid, stanza, key) => this.link.sendAttached(jid, stanza, key),
      ownSession: () => undefined,
    };
    const core: Core = new Core(this.#settings(), this.#parts.sabotage?.(outside, () => core) ?? outside, {
      ...{ mappings, clock: life.clock, metrics: nothing, log: this.#log() },
      fault: (error) => life.isAlive && world.broke(`the ledger failed: ${error}`),
    });
    this.core = core;
    void core.start().then(() => {
      if (!life.isAlive) return;
      this.isReady = true;
      this.#parts.onStarted();
      void this.link.connect();
      this.brokerLink.connect();
    });
  }

  #settings() {
    const { offlineWindow, horizonMs, legacyLogin, expireAfterMs } = this.#parts.settings;
    return {
      ...{
        domain: 'example.com',
        ownUsers: [],
        ownSubscriptions: 'ask' as const,
        root: 'chat',
        shadowRoot: 'chat-shadow',
        maxStanzaBytes: 262_144,
        offlineWindow,
        rate: { perSecond: 1000, burst: 1000 },
        messagesWaiting: 50_000,
        expireAfterMs,
        deviceDays: 30,
      },
      ...{ brokerHorizonMs: horizonMs, historyMs: 7 * 86_400_000, version: '0' },
      component: 'gw.example.com',
      ...{ legacyLogin, lockText: 'moved', attachWindow: 8 },
    };
  }

  /** A full disk refuses what writes; questions are answered. */
  #engine(life: Life): Engine {
    const { world, settings } = this.#parts;
    const engine = new LocalEngine(this.db, async (step) => {
      if (!life.step(step === 'commit' ? 'the commit' : 'the answer of the commit')) await new Promise(() => {});
      if (step === 'commit')
        await new Promise<void>((next) => life.clock.after(world.between(0, settings.commitMs), next));
    });
    return {
      space: engine.space,
      lastSeq: engine.lastSeq,
      run: (batch) => {
        const isFull = this.diskFull && !batch.every(({ name }) => questions.includes(name));
        return isFull ? Promise.reject(new Error('the disk is full')) : engine.run(batch);
      },
      close: () => engine.close(),
    };
  }

  #log(): Log {
    const { world, onMoved, onFailed, onGap } = this.#parts;
    const hear = (fields: { event: string; [field: string]: unknown }) => {
      world.say('gateway', () => `log ${JSON.stringify(fields)}`);
      if (fields.event === 'user.moved') onMoved(String(fields.user), String(fields.phase));
      if (fields.event === 'move.failed') onFailed(String(fields.user));
      if (fields.event === 'gateway.gap')
        onGap(String(fields.user), Date.parse(String(fields.from)), Date.parse(String(fields.to)));
    };
    const error = (fields: { event: string; [field: string]: unknown }) => {
      hear(fields);
      if (!expectedErrors.includes(fields.event)) world.broke(`the gateway logs an error: ${JSON.stringify(fields)}`);
    };
    return { debug: hear, info: hear, warn: hear, error };
  }
}
