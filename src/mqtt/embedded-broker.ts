// The embedded broker (`mqtt.url: embedded:`): aedes in a thread of its own, for trying Crossfade out.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Log } from '../log.ts';

export interface EmbeddedBrokerOptions {
  /** 0 or none: any free port. */
  port?: number;
  host?: string;
  root: string;
  /** The account that may read and write everything. */
  gateway: { username: string; password: string };
  /** Passwords of apps by user name (= the user level of their topics); each gets the rights of that user alone. */
  accounts?: Record<string, string>;
  log: Log;
}

export interface EmbeddedBroker {
  readonly url: string;
  readonly port: number;
  /** Ends all connections and the thread; what the broker held is gone. */
  stop(): Promise<void>;
}

/** What the thread is given. */
export type ThreadOptions = Required<Omit<EmbeddedBrokerOptions, 'log'>>;

/** What the thread tells. */
export type ThreadMessage =
  | { kind: 'listening'; port: number }
  | { kind: 'failed'; reason: string }
  | { kind: 'denied'; username: string; topic: string };

/**
 * Starts a broker for MQTT 3.1.1 that holds everything in memory and answers QoS 1 before it stores: what it has
 * acknowledged is gone when it ends. Anonymous clients are refused. Rejects if it cannot listen.
 */
export async function startEmbeddedBroker(options: EmbeddedBrokerOptions): Promise<EmbeddedBroker> {
  const { log, port = 0, host = '127.0.0.1', root, gateway, accounts = {} } = options;
  const workerData: ThreadOptions = { port, host, root, gateway, accounts };
  // .ts when run from the sources, .js when compiled
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'));
  const worker = new Worker(new URL(`./embedded-broker-thread${extension}`, import.meta.url), { workerData });
  let stopping = false;
  worker.on('error', (error) => log.error({ event: 'broker.embedded-failed', err: error }));
  worker.on('exit', () => {
    if (!stopping) log.error({ event: 'broker.embedded-ended' }, 'the embedded broker has ended');
  });
  const [first] = (await once(worker, 'message')) as [ThreadMessage];
  if (first.kind !== 'listening') {
    stopping = true;
    await worker.terminate();
    throw new Error(`the embedded broker cannot listen: ${first.kind === 'failed' ? first.reason : first.kind}`);
  }
  worker.on('message', (message: ThreadMessage) => {
    if (message.kind === 'denied')
      log.warn({ event: 'broker.embedded-denied', username: message.username, topic: message.topic });
  });
  const url = `mqtt://${host}:${first.port}`;
  log.warn(
    { event: 'broker.embedded', url },
    'the embedded broker is for trying out: MQTT 3.1.1 only, all in memory, and it acknowledges before it stores; use Mosquitto or another broker for real work',
  );
  return {
    url,
    port: first.port,
    async stop() {
      stopping = true;
      await worker.terminate();
    },
  };
}
