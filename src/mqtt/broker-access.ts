// The way to the broker, whichever it is: starts the embedded one, refuses an open one, then connects and stays connected.

import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import type { Broker, Publish, PublishResult } from './broker.ts';
import { type BrokerClient, type BrokerOptions, connectBroker } from './client.ts';
import { startEmbeddedBroker } from './embedded-broker.ts';
import { shownUrl } from './fault.ts';
import { probeAnonymous } from './probe.ts';

const embedded = 'embedded:';
const probeAgainMs = 2_000;

/** What the parts above are told; see BrokerOptions. */
export type BrokerEvents = Pick<BrokerOptions, 'filters' | 'onMessage' | 'onUp' | 'onDown' | 'onBoot' | 'onDropped'>;

/** The broker's sender proves nothing where anybody may publish: an open broker ends the start, or the gateway. */
export class BrokerAccess implements Broker {
  readonly #config: Config['mqtt'];
  readonly #clock: Clock;
  readonly #log: Log;
  #client: BrokerClient | undefined;
  #embedded: { url: string; stop(): Promise<void> } | undefined;
  #closed = false;

  constructor(parts: { config: Config['mqtt']; clock: Clock; log: Log }) {
    this.#config = parts.config;
    this.#clock = parts.clock;
    this.#log = parts.log;
  }

  /**
   * Resolves when the connection is being kept. Where the broker cannot be reached it goes on trying, and resolves at its
   * first answer; rejects, with a text for the operator, when that answer is that the broker is open.
   */
  async open(events: BrokerEvents): Promise<void> {
    const { username, ca, cert, key, clientId } = this.#config;
    // Nobody but us has to know the embedded broker's password.
    const password = this.#config.password ?? (this.#config.url === embedded ? randomUUID() : undefined);
    const url = this.#config.url === embedded ? await this.#startEmbedded(username, password!) : this.#config.url;
    // Closed while it was starting: nobody else would end its thread, nor this process.
    if (this.#closed) return await this.#embedded?.stop();
    const tls = { ca, cert, key };
    if (!this.#embedded && !this.#config.allowOpenBroker) await this.#refuseOpen({ url, tls });
    if (this.#closed) return;
    this.#client = connectBroker({
      url,
      username,
      password,
      tls,
      clientId,
      clock: this.#clock,
      log: this.#log,
      ...events,
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#client?.close();
    await this.#embedded?.stop();
  }

  get up(): boolean {
    return this.#client?.up ?? false;
  }

  get window(): number {
    return this.#client?.window ?? 0;
  }

  get reasonCodes(): boolean {
    return this.#client?.reasonCodes ?? false;
  }

  get maximumPacketSize(): number {
    return this.#client?.maximumPacketSize ?? 0;
  }

  get heardAt(): number {
    return this.#client?.heardAt ?? 0;
  }

  publish(message: Publish): Promise<PublishResult> {
    return this.#client?.publish(message) ?? Promise.resolve({ kind: 'lost' });
  }

  pauseReading(): void {
    this.#client?.pauseReading();
  }

  resumeReading(): void {
    this.#client?.resumeReading();
  }

  /** Drops are not told until the result is called with how many of them were our own doing. */
  expectDrops(): (ours: number) => void {
    return this.#client?.expectDrops() ?? (() => {});
  }

  async #startEmbedded(username: string, password: string): Promise<string> {
    const { root, embeddedPort, embeddedAccounts } = this.#config;
    this.#embedded = await startEmbeddedBroker({
      port: embeddedPort,
      root,
      gateway: { username, password },
      accounts: Object.fromEntries(embeddedAccounts.map((account) => split(account))),
      log: this.#log,
    });
    return this.#embedded.url;
  }

  async #refuseOpen(address: Parameters<typeof probeAnonymous>[0]): Promise<void> {
    const { root } = this.#config;
    const url = shownUrl(address.url);
    while (!this.#closed) {
      let isOpen: boolean;
      try {
        isOpen = await probeAnonymous(address, root, this.#clock);
      } catch (error) {
        this.#log.warn({ event: 'broker.unreachable', url, reason: (error as Error).message });
        await new Promise<void>((resolve) => this.#clock.after(probeAgainMs, resolve));
        continue;
      }
      if (!isOpen) return;
      throw new Error(
        `the broker at ${url} takes publishes under ${root}/ from anybody, so nobody's sender could be believed. ` +
          'Set allow_anonymous false and an ACL (docs/operating.md), or mqtt.allowOpenBroker: true to try things out.',
      );
    }
  }
}

function split(account: string): [name: string, password: string] {
  const colon = account.indexOf(':');
  return [account.slice(0, colon), account.slice(colon + 1)];
}
