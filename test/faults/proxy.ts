// A TCP proxy on one link that passes everything on until it is told otherwise: cuts, holds, or keeps back what it is shown.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Splitter } from './splitters.ts';

interface Pair {
  client: Socket;
  upstream: Socket;
  /** The first piece that came from the client. */
  hello: Buffer;
  /** Nothing arrives any more, and nobody is told. */
  isDead: boolean;
}

/** Which connections: of the gateway's two to the broker one, by the name in its CONNECT. */
export type Which = (hello: Buffer) => boolean;
const all: Which = () => true;

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

  /** Ends these connections at once. */
  cut(which = all): void {
    for (const { client, upstream, hello } of this.#pairs) {
      if (!which(hello)) continue;
      client.destroy();
      upstream.destroy();
    }
  }

  /**
   * As a cable that was pulled out: what either side sends into the connections of now is gone, and nobody hears of it; new ones are
   * good. Resolves, with how many there were, when the client has given up all of them by itself; rejects if it has not by then.
   */
  async deaden(patienceMs: number): Promise<number> {
    const dead = [...this.#pairs];
    for (const pair of dead) pair.isDead = true;
    const late = AbortSignal.timeout(patienceMs);
    await Promise.all(dead.map(({ client }) => client.destroyed || once(client, 'close', { signal: late })));
    return dead.length;
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
    const pair: Pair = { client, upstream, hello: Buffer.alloc(0), isDead: false };
    this.#pairs.add(pair);
    this.#pass(pair, client, upstream, 'up');
    this.#pass(pair, upstream, client, 'down');
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
  #pass(pair: Pair, from: Socket, to: Socket, way: 'up' | 'down'): void {
    const split = this.#split();
    from.on('data', (chunk: Buffer) => {
      if (pair.isDead) return;
      for (const piece of split(chunk)) {
        if (way === 'up' && pair.hello.length === 0) pair.hello = piece;
        if (this.#eats?.(piece, way)) this.eaten++;
        else to.write(piece);
      }
    });
  }
}

function pause({ client, upstream }: Pick<Pair, 'client' | 'upstream'>): void {
  client.pause();
  upstream.pause();
}
