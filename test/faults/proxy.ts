// A TCP proxy on one link that passes everything on until it is told otherwise: cuts, holds, or keeps back what it is shown.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Splitter } from './splitters.ts';

interface Pair {
  client: Socket;
  upstream: Socket;
}

/** Which piece, going which way, does not arrive. */
export type Eats = (piece: Buffer, way: 'up' | 'down') => boolean;

export class FaultProxy {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  readonly #port: number;
  readonly #split: () => Splitter;
  #holds = false;
  #eats: Eats | null = null;
  /** How many pieces did not arrive. */
  eaten = 0;

  private constructor(port: number, split: () => Splitter) {
    this.#port = port;
    this.#split = split;
    this.#server = createServer((client) => this.#join(client));
  }

  /** To `port` on this machine; `split` cuts its protocol into pieces. */
  static async open(port: number, split: () => Splitter): Promise<FaultProxy> {
    const proxy = new FaultProxy(port, split);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Ends every connection at once. */
  cut(): void {
    for (const { client, upstream } of this.#pairs) {
      client.destroy();
      upstream.destroy();
    }
  }

  /** Half open: the connections stand, new ones too, and nothing goes through in either direction until `release`. */
  hold(): void {
    this.#holds = true;
    for (const pair of this.#pairs) pause(pair);
  }

  release(): void {
    this.#holds = false;
    for (const { client, upstream } of this.#pairs) {
      client.resume();
      upstream.resume();
    }
  }

  /** From now on these do not arrive; null: everything does. */
  eat(eats: Eats | null): void {
    this.#eats = eats;
  }

  async close(): Promise<void> {
    this.#server.close();
    this.cut();
    await once(this.#server, 'close');
  }

  #join(client: Socket): void {
    const upstream = connect(this.#port, '127.0.0.1');
    const pair = { client, upstream };
    this.#pairs.add(pair);
    this.#pass(client, upstream, 'up');
    this.#pass(upstream, client, 'down');
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.once('close', () => {
        this.#pairs.delete(pair);
        other.destroy();
      });
    }
    if (this.#holds) pause(pair);
  }

  /** Cut into pieces from the beginning of a connection, since in the middle nobody finds where one begins. */
  #pass(from: Socket, to: Socket, way: 'up' | 'down'): void {
    const split = this.#split();
    from.on('data', (chunk: Buffer) => {
      for (const piece of split(chunk)) {
        if (this.#eats?.(piece, way)) this.eaten++;
        else to.write(piece);
      }
    });
  }
}

function pause({ client, upstream }: Pair): void {
  client.pause();
  upstream.pause();
}
