// The faults, a table: what is done while everybody talks, and how it heals. What recovers is waited for elsewhere.

import { writeFile } from 'node:fs/promises';
import type { Stage } from '../harness/stage.ts';
import type { FaultProxy, Which } from './proxy.ts';
import { isAck, isIqResult, isPuback, isPublishOn } from './splitters.ts';
import { type Talk, users } from './talk.ts';

export interface Scene {
  stage: Stage;
  talk: Talk;
  /** Between the gateway and the server's component port. */
  link: FaultProxy;
  /** Between the gateway and the broker. */
  broker: FaultProxy;
  /** Between an app and the broker. */
  app: FaultProxy;
  /** Where the gateway's preload reads what it shall do. */
  controlFile: string;
  /** Between two whole numbers, by the seed. */
  between(low: number, high: number): number;
}

/** The fault did not happen, so nothing was proved. */
export class NotMade extends Error {}

const eatMs = 10_000;

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** The gateway's two connections to the broker, by their client ids. */
const publisher: Which = (connect) => connect.includes('crossfade-pub');
const subscriber: Which = (connect) => connect.includes('crossfade-sub');
/** By then the gateway must have noticed by itself that nobody is there any more. */
const noticeMs = 150_000;

/** Rejects where the fault could not be made. */
export const faults: Record<string, (scene: Scene) => Promise<void>> = {
  async 'gateway killed'({ stage }) {
    await stage.gateway.kill9();
    await stage.gateway.start();
  },
  async 'gateway stopped'({ stage }) {
    await stage.gateway.stop();
    await stage.gateway.start();
  },
  async 'gateway stalled'({ stage, between }) {
    stage.gateway.pause();
    await pause(between(500, 3_000));
    stage.gateway.resume();
  },
  async 'broker killed'({ stage }) {
    await stage.mosquitto.kill9();
    await stage.mosquitto.restart();
  },
  'broker stalled': stalled(({ stage }) => stage.mosquitto.pid),
  async 'server killed'({ stage, talk }) {
    await stage.server.kill9();
    await stage.server.restart();
    await talk.renew({ isKilled: true });
  },
  async 'server restarted'({ stage, talk }) {
    await stage.server.restart();
    await talk.renew();
  },
  'server stalled': stalled(({ stage }) => stage.server.pid),
  async 'link cut'({ link }) {
    link.cut();
  },
  async 'broker cut'({ broker }) {
    broker.cut();
  },
  async 'publisher cut'({ broker }) {
    broker.cut(publisher);
  },
  async 'subscriber cut'({ broker }) {
    broker.cut(subscriber);
  },
  async 'link dead'({ link }) {
    await link.deaden(noticeMs);
  },
  async 'broker dead'({ broker }) {
    await broker.deaden(noticeMs);
  },
  async 'app stalled'({ app, between }) {
    app.hold();
    await pause(between(500, 4_000));
    app.release();
  },
  async 'contacts stalled'({ talk, between }) {
    talk.stallContacts(true);
    await pause(between(500, 4_000));
    talk.stallContacts(false);
  },
  async 'link half open'({ link, between }) {
    await halfOpen(link, between(500, 4_000));
  },
  async 'broker half open'({ broker, between }) {
    await halfOpen(broker, between(500, 4_000));
  },
  async 'PUBACKs eaten'({ broker, between }) {
    await eaten(broker, between(300, 1_500), (piece, way) => way === 'down' && isPuback(piece));
  },
  async "the gateway's PUBACKs eaten"({ broker, between }) {
    await eaten(broker, between(300, 1_500), (piece, way) => way === 'up' && isPuback(piece));
  },
  async 'in/ack eaten'({ app, between }) {
    await eaten(app, between(300, 2_500), (piece, way) => way === 'down' && isPublishOn(piece, '/in/ack'));
  },
  async 'iq results eaten'({ link, between }) {
    await eaten(link, between(300, 1_500), (piece, way) => way === 'down' && isIqResult(piece));
  },
  async 'acks of the link eaten'({ link, between }) {
    await eaten(link, between(300, 1_500), (piece, way) => way === 'up' && isAck(piece));
  },
  async 'disk full'({ stage, between }) {
    await stage.gateway.fillDisk(true);
    await pause(between(500, 2_500));
    await stage.gateway.fillDisk(false);
  },
  async 'disk slow'({ controlFile, between }) {
    await control(controlFile, { commitMs: between(20, 300) });
    await pause(between(1_000, 3_000));
    await control(controlFile, {});
  },
  async 'clock ahead'({ controlFile, between }) {
    await control(controlFile, { clockMs: between(1_000, 7_200_000) });
    await pause(between(500, 2_000));
    await control(controlFile, {});
  },
  async 'clock behind'({ controlFile, between }) {
    await control(controlFile, { clockMs: -between(1_000, 7_200_000) });
    await pause(between(500, 2_000));
    await control(controlFile, {});
  },
  async 'moves to dual and back'(scene) {
    for (let count = scene.between(1, 4); count > 0; count--) await moves(scene, ['dual', 'mqtt']);
  },
  async 'moves to legacy and back'(scene) {
    await moves(scene, ['legacy', 'mqtt']);
  },
  async 'moves through all phases'(scene) {
    await moves(scene, ['shadow', 'dual', 'legacy', 'dual', 'shadow', 'mqtt']);
  },
};

/** Every user at once, phase by phase. */
async function moves({ stage, talk, between }: Scene, phases: string[]): Promise<void> {
  for (const phase of phases) {
    await Promise.all(users.map((user) => stage.gateway.move(`${user}@example.com`, phase)));
    await pause(between(100, 500));
    if (phase === 'legacy' || phase === 'shadow') await Promise.all(users.map((user) => talk.movedBack(user)));
  }
}

function stalled(pidOf: (scene: Scene) => number): (scene: Scene) => Promise<void> {
  return async (scene) => {
    const pid = pidOf(scene);
    process.kill(pid, 'SIGSTOP');
    await pause(scene.between(500, 3_000));
    process.kill(pid, 'SIGCONT');
  };
}

/** Nothing comes through, and nobody is told; then the connections are gone. */
async function halfOpen(proxy: FaultProxy, ms: number): Promise<void> {
  proxy.hold();
  await pause(ms);
  proxy.cut();
  proxy.release();
}

/** What was eaten is missed when the connection ends. Goes on until something was. */
async function eaten(
  proxy: FaultProxy,
  ms: number,
  eats: (piece: Buffer, way: 'up' | 'down') => boolean,
): Promise<void> {
  const before = proxy.eaten;
  proxy.eat(eats);
  await pause(ms);
  for (const deadline = Date.now() + eatMs; proxy.eaten === before && Date.now() < deadline; ) await pause(20);
  proxy.eat(null);
  if (proxy.eaten === before) throw new NotMade('nothing came by that could be eaten');
  proxy.cut();
}

export async function control(
  file: string,
  { clockMs = 0, commitMs = 0, lies = false }: { clockMs?: number; commitMs?: number; lies?: boolean },
): Promise<void> {
  await writeFile(file, JSON.stringify({ clockMs, commitMs, lies }));
}
