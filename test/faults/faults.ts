// The faults, a table: what is done while everybody talks, and how it heals. Each ends within a few seconds; what recovers is waited for elsewhere.

import { writeFile } from 'node:fs/promises';
import type { Stage } from '../harness/stage.ts';
import type { FaultProxy } from './proxy.ts';
import { isAck, isIqResult, isPuback, isPublishOn } from './splitters.ts';
import type { Talk } from './talk.ts';

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

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

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
  async 'moves there and back'({ stage, between }) {
    for (let count = between(1, 4); count > 0; count--) {
      await stage.gateway.move('bob@example.com', 'dual');
      await stage.gateway.move('bob@example.com', 'mqtt');
    }
  },
};

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

/** What was eaten is missed when the connection ends. */
async function eaten(
  proxy: FaultProxy,
  ms: number,
  eats: (piece: Buffer, way: 'up' | 'down') => boolean,
): Promise<void> {
  proxy.eat(eats);
  await pause(ms);
  proxy.eat(null);
  proxy.cut();
}

async function control(
  file: string,
  { clockMs = 0, commitMs = 0 }: { clockMs?: number; commitMs?: number },
): Promise<void> {
  await writeFile(file, JSON.stringify({ clockMs, commitMs }));
}
