// Asks the running gateway's admin API, and turns its "no" into a text that says what to do.

import { CliFault, type ExitCode, exitCodes } from './exit.ts';
import type { Target } from './settings.ts';

const timeoutMs = 30_000;
const batchTimeoutMs = 600_000;
const largestPage = 1000;

/** The gateway did not answer. */
export class Unreachable extends CliFault {}

/** Something did that is no gateway. */
export class Foreign extends Unreachable {}

/** The gateway has answered, and will not do it. */
export class Refused extends CliFault {}

/** There is no such thing. */
export class NotFound extends Refused {}

export interface Answered<Body> {
  status: number;
  body: Body;
}

export class Client {
  readonly #target: Target;

  constructor(target: Target) {
    this.#target = target;
  }

  get url(): string {
    return this.#target.url;
  }

  async get<Body>(path: string): Promise<Body> {
    return (await this.#ask<Body>('GET', path)).body;
  }

  /** What takes the gateway its time to answer. */
  async getLong<Body>(path: string): Promise<Body> {
    return (await this.#ask<Body>('GET', path, undefined, batchTimeoutMs)).body;
  }

  put<Body>(path: string, body: unknown): Promise<Answered<Body>> {
    return this.#ask('PUT', path, body);
  }

  async delete<Body>(path: string): Promise<Body> {
    return (await this.#ask<Body>('DELETE', path)).body;
  }

  /** For what may take its time: a batch that waits for answers of both sides. */
  async post<Body>(path: string, body: unknown): Promise<Body> {
    return (await this.#ask<Body>('POST', path, body, batchTimeoutMs)).body;
  }

  /** The pages of a list, until its end or until there are `atMost` items; `onMore` is told if there would be more. */
  async *pages<Row>(
    path: string,
    filter: Record<string, string | undefined>,
    atMost: number,
    onMore: () => void,
  ): AsyncGenerator<Row[]> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(filter)) if (value !== undefined) query.set(name, value);
    for (let left = atMost; ; ) {
      query.set('limit', String(Math.min(left, largestPage)));
      const { items, next } = await this.get<{ items: Row[]; next: string | null }>(`${path}?${query}`);
      yield items;
      left -= items.length;
      if (next === null) return;
      if (left <= 0) return onMore();
      query.set('cursor', next);
    }
  }

  /** Needs no token. `status` 503 is an answer, too. */
  async ready(): Promise<Answered<Record<string, boolean | string>>> {
    const response = await this.#fetch('GET', '/readyz', {});
    const body = await this.#json<Record<string, boolean | string>>(response);
    if (typeof body.ready !== 'boolean') throw this.#foreign(response);
    return { status: response.status, body };
  }

  async #ask<Body>(method: string, path: string, body?: unknown, withinMs = timeoutMs): Promise<Answered<Body>> {
    const headers: Record<string, string> = { authorization: `Bearer ${await this.#token()}` };
    if (body !== undefined) headers['content-type'] = 'application/json';
    const init = { headers, body: body === undefined ? undefined : JSON.stringify(body) };
    const response = await this.#fetch(method, path, init, withinMs);
    const answer = await this.#json<Body & { detail?: string }>(response);
    if (!response.ok) throw this.#fault(response.status, answer.detail);
    return { status: response.status, body: answer };
  }

  /** Where no token can be found, the first thing to know is whether a gateway runs at all. */
  async #token(): Promise<string> {
    try {
      return this.#target.token();
    } catch (error) {
      await this.ready();
      throw error;
    }
  }

  async #fetch(method: string, path: string, init: RequestInit, withinMs = timeoutMs): Promise<Response> {
    try {
      return await fetch(this.url + path, { method, ...init, signal: AbortSignal.timeout(withinMs) });
    } catch (error) {
      const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
      const reason = cause?.code ?? cause?.message ?? (error as Error).message;
      const text = `no gateway answers at ${this.url} (${reason}). Start it with \`crossfade run\`, or name the right one with --config, --url or CROSSFADE_ADMIN_URL.`;
      throw new Unreachable(exitCodes.unavailable, text);
    }
  }

  async #json<Body>(response: Response): Promise<Body> {
    const value: unknown = await response.json().catch(() => null);
    if (typeof value !== 'object' || value === null) throw this.#foreign(response);
    return value as Body;
  }

  #foreign({ status }: Response): Foreign {
    const text = `what answers at ${this.url} is no gateway (status ${status}). Name the right one with --config, --url or CROSSFADE_ADMIN_URL.`;
    return new Foreign(exitCodes.unavailable, text);
  }

  #fault(status: number, detail = `the gateway answered with status ${status}`): CliFault {
    const { tokenFrom } = this.#target;
    if (status === 401) {
      return new CliFault(
        exitCodes.forbidden,
        `the gateway at ${this.url} does not take this admin token (${tokenFrom}).`,
      );
    }
    const code: ExitCode = status === 400 ? exitCodes.usage : exitCodes.failed;
    return status === 404 ? new NotFound(code, detail) : new Refused(code, detail);
  }
}
