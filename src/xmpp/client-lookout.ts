// Looks whether the server is there for clients, and as it has to be: at once, then more and more rarely until it is.

import type { Log } from '../log.ts';
import { type Probe, probe } from './client-probe.ts';
import type { ClientStreamOptions } from './client-stream.ts';
import { pauseBefore } from './supervisor.ts';

export interface LookoutOptions extends Omit<ClientStreamOptions, 'login'> {
  /** The link's name, for the log. */
  link: string;
  log: Log;
  found: () => void;
  /** It is there, and not as it has to be; it is looked for again. */
  refused: (reason: string) => void;
}

const pauses = { pauseMinMs: 250, pauseMaxMs: 30_000 };
const hint =
  'xmpp.client: host and port must be those for clients, and the certificate be for xmpp.domain (or its CA in caFile)';

export class Lookout {
  readonly #options: LookoutOptions;
  #failures = 0;
  #probe: Probe | null = null;
  #isStopped = false;

  constructor(options: LookoutOptions) {
    this.#options = options;
  }

  look(): void {
    if (this.#isStopped) return;
    const asked = probe(this.#options);
    this.#probe = asked;
    void asked.result.then((answer) => {
      this.#probe = null;
      if (this.#isStopped) return;
      if ('features' in answer) {
        this.#failures = 0;
        return this.#options.found();
      }
      const { by, condition, text } = answer.closed;
      // What answers with a stream error is no port for clients of this domain.
      if (by === 'insecure' || by === 'stream-error') this.#refuse(condition, text || condition);
      else if (this.#failures === 0) this.#unreachable(condition, text);
      this.lookLater();
    });
  }

  lookLater(): void {
    const { clock } = this.#options;
    clock.after(pauseBefore(this.#failures++, pauses, clock.random()), () => this.look());
  }

  stop(): void {
    this.#isStopped = true;
    this.#probe?.cancel();
  }

  #unreachable(condition: string, text: string): void {
    const { log, link, target } = this.#options;
    const { host, port } = target;
    log.warn({ event: 'attach.unreachable', link, host, port, condition }, `no server for clients: ${text}`);
  }

  #refuse(condition: string, text: string): void {
    const { log, link, refused } = this.#options;
    log.error({ event: 'attach.refused', link, condition, text, hint }, `attach refused: ${text}`);
    refused(`${text}; ${hint}`);
  }
}
