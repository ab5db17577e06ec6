// What happens in one run: who is there, what they do and which faults strike, all drawn from the seed.

import { isOpenToApps } from '../../src/migration/phase.ts';
import type { Device } from './device.ts';
import type { Gateway } from './gateway.ts';
import type { LegacyServer } from './legacy-server.ts';
import type { MqttBroker } from './mqtt-broker.ts';
import type { Poison, Witness } from './witness.ts';
import type { World } from './world.ts';

export interface Scene {
  world: World;
  witness: Witness;
  server: LegacyServer;
  broker: MqttBroker;
  gateway: Gateway;
  users: readonly string[];
  contacts: readonly string[];
  devices: readonly Device[];
  /** What the operator was told or may have brought about, the last at the end. */
  moves: Map<string, { phase: string; done: boolean }[]>;
  legacyLogin: 'allow' | 'deny';
  /** There are messages that expire, and such as can come to nobody. */
  hasTrouble: boolean;
}

type Act = (scene: Scene) => void;

const phases = ['legacy', 'legacy', 'shadow', 'dual', 'dual', 'dual', 'mqtt', 'mqtt', 'mqtt'];

/** The weight beside each act is how often it happens, relative to the others. */
const acts: [number, Act][] = [
  [30, contactWrites],
  [14, appWrites],
  [6, clientWrites],
  [6, ({ world, devices }) => world.pick(devices).connect()],
  [4, ({ world, devices }) => world.pick(devices).drop()],
  [3, ({ world, devices }) => world.pick(devices).leave()],
  [5, ({ world, server, users }) => server.clientOnline(world.pick(users))],
  [5, ({ world, server, users }) => server.clientOffline(world.pick(users))],
  [8, move],
  [3, lookAfterOne],
  [
    4,
    ({ world, devices }) =>
      world.pick(devices).state(world.pick([{}, { show: 'dnd' }, { show: 'away', text: 'soon back' }])),
  ],
  [3, ({ world, server, users }) => server.link?.noise(world.pick(users), world.pick(['presence', 'ping']))],
  [3, ({ gateway }) => gateway.link.cut()],
  [3, ({ gateway, world }) => gateway.brokerLink.cut(world.pick(['publisher', 'subscriber']))],
  [2, ({ gateway }) => gateway.life.end('is killed')],
  [1, ({ server, world, users }) => server.link?.kick(world.pick(users), 'reset')],
  [0.2, ({ server, world, users }) => server.deleteAccount(world.pick(users))],
  [1, ({ server, world }) => server.restart(world.between(200, 5_000))],
  [1, ({ server, world }) => server.restart(world.between(200, 5_000), 'killed')],
  [1, expire],
  [1, ({ broker, world }) => broker.crash(world.between(1_200, 5_000))],
  [1, ({ broker, world }) => broker.restart(world.between(1_200, 5_000))],
  [1, fillDisk],
];

/** In a story with trouble these happen, too. */
const trouble: [number, Act][] = [
  [4, contactPoisons],
  [3, appPoisons],
  [8, ({ world, devices, contacts }) => world.pick(devices).send(world.pick(contacts), { expiresIn: soon(world) })],
  [3, ({ world, server, users }) => server.link?.noise(world.pick(users), 'forged')],
];

/** Something happens, and then the next thing, until `untilMs`. */
export function plan(scene: Scene, untilMs: number): void {
  const { world } = scene;
  const all = scene.hasTrouble ? [...acts, ...trouble] : acts;
  const next = () => {
    const delayMs = world.chance(0.4) ? world.between(0, 30) : world.between(50, 2_500);
    if (world.now + delayMs > untilMs) return;
    world.after(delayMs, () => {
      draw(world, all)(scene);
      next();
    });
  };
  next();
}

function draw(world: World, from: [number, Act][]): Act {
  let rest = world.random() * from.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, act] of from) {
    rest -= weight;
    if (rest < 0) return act;
  }
  return contactWrites;
}

function contactWrites({ world, witness, server, users, contacts, hasTrouble }: Scene): void {
  const to = world.pick(users);
  const from = world.chance(0.1) ? world.pick(users) : world.pick(contacts);
  if (from === to || !server.isUp || !server.accounts.get(from)?.clientOnline) return;
  for (let count = world.chance(0.3) ? world.between(2, 5) : 1; count > 0; count--) {
    // What has expired, or is dead, is known by its id.
    const message = witness.compose(`${from}/desk`, to, world.chance(0.05) && !hasTrouble ? 'none' : 'own');
    server.chat(message, world.chance(0.3) ? `${to}/${world.pick(['mqtt', 'desk'])}` : to);
  }
}

/** Whole seconds, as MQTT has them. */
function soon(world: World): number {
  return world.pick([1, 3, 10, 60]);
}

/** One that ends connections is enough: two would excuse each other (docs/decisions/expiry.md) while nothing else is said. */
function poison({ world, witness }: Scene): Poison {
  const isDeadlyThere = [...witness.messages.values()].some((message) => message.poison === 'deadly');
  return isDeadlyThere || world.chance(0.7) ? 'refused' : 'deadly';
}

function contactPoisons(scene: Scene): void {
  const { world, witness, server, users, contacts } = scene;
  const [from, to] = [world.pick(contacts), world.pick(users)];
  if (!server.isUp) return;
  server.chat(witness.compose(`${from}/desk`, to, 'own', poison(scene)), to);
}

function appPoisons(scene: Scene): void {
  const { world, devices, contacts } = scene;
  const device = world.pick(devices);
  if (device.isConnected) device.send(world.pick(contacts), { poison: poison(scene) });
}

/** The user's own legacy client. */
function clientWrites({ world, witness, server, users, contacts }: Scene): void {
  const user = world.pick(users);
  if (!server.isUp || !server.accounts.get(user)?.clientOnline) return;
  const to = world.pick(contacts);
  server.chat(witness.compose(`${user}/desk`, to, 'own'), to);
}

function appWrites({ world, devices, contacts, users }: Scene): void {
  const device = world.pick(devices);
  const to = world.chance(0.1) ? world.pick(users) : world.pick(contacts);
  if (!device.isConnected && world.chance(0.8)) return;
  for (let count = world.chance(0.3) ? world.between(2, 4) : 1; count > 0; count--) device.send(to);
}

/** The operator's request may be lost with the gateway: then it has happened or not. */
export function move(scene: Scene, phase = scene.world.pick(phases), jid = scene.world.pick(scene.users)): void {
  const { world, gateway, moves, witness } = scene;
  if (!gateway.isReady || !gateway.life.isAlive) return;
  const asked = { phase, done: false };
  const all = moves.get(jid) ?? [];
  moves.set(jid, all);
  all.push(asked);
  const { life } = gateway;
  world.say('operator', () => `moves ${jid} to ${phase}`);
  void gateway.core.moves.request({ jid, phase, who: 'operator' }).then((answer) => {
    if (!life.isAlive) return;
    if ('refused' in answer) return world.broke(`the move of ${jid} was refused: ${answer.text}`);
    asked.done = true;
    if (!isOpenToApps(answer.phase)) witness.forget(jid);
    world.say('operator', () => `is told: ${jid} is in ${phase}`);
  });
}

/** An operator tries an entry again, or hands it back: an answer that was lost says only that it should be asked again. */
function lookAfterOne(scene: Scene): void {
  const { world, gateway } = scene;
  const open = gateway.isReady ? gateway.db.prepare('SELECT seq FROM entry WHERE lane = 0 AND state <= 4').all() : [];
  if (open.length > 0) byHand(scene, Number(world.pick(open).seq), world.pick(['retry', 'return', 'return']));
}

/** What was being handed back when the gateway, or the link, went away is handed back at last. */
export function finishByHand(scene: Scene): void {
  const { gateway } = scene;
  if (!gateway.isReady) return;
  const left = gateway.db.prepare("SELECT seq FROM entry WHERE state = 4 AND condition = 'returning'").all();
  for (const { seq } of left) byHand(scene, Number(seq), 'return');
}

function byHand({ world, witness, gateway }: Scene, seq: number, act: 'retry' | 'return'): void {
  const { life, core } = gateway;
  const key = `k-${seq.toString(36)}`;
  if (act === 'return') {
    witness.byHand.add(key);
    const entry = gateway.db.prepare('SELECT user, id FROM entry WHERE seq = ?').get(seq);
    if (entry) witness.expected.get(String(entry.user))?.delete(String(entry.id));
  }
  world.say('operator', () => `wants ${key} to be ${act === 'retry' ? 'retried' : 'returned'}`);
  void core.byHand.order({ act, key, who: 'operator' }).then((done) => {
    if (life.isAlive) world.say('operator', () => `is told: ${JSON.stringify(done)}`);
  });
}

/** A user's archive forgets its oldest messages, on servers that do so. */
function expire({ world, server, users }: Scene): void {
  const archive = server.accounts.get(world.pick(users))?.archive;
  if (!archive || !server.settings.forgets) return;
  const count = world.between(1, archive.size);
  world.say('server', () => `forgets ${count} of ${archive.size} archived messages`);
  archive.trim(count);
}

function fillDisk({ world, gateway }: Scene): void {
  if (gateway.diskFull) return;
  gateway.diskFull = true;
  world.say('gateway', () => 'its disk is full');
  world.after(world.between(100, 8_000), () => {
    gateway.diskFull = false;
  });
}
