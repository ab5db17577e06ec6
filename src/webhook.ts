// The webhook: one HTTP POST to where the operator says, and whether it was taken. Never says where in a log: a URL may be a secret.

/** `again`: may be taken later; `never`: not by repeating it. The reason is a status or the name of a fault. */
export type Posted = { kind: 'sent' } | { kind: 'again' | 'never'; reason: string };

export interface WebhookOptions {
  url: string;
  /** Goes along as `Authorization: Bearer …`. */
  secret?: string;
  timeoutMs: number;
}

/** Answers that ask to be tried again, besides 5xx (RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4). */
const transient = [408, 425, 429];

export class Webhook {
  readonly #options: WebhookOptions;
  readonly #closing = new AbortController();

  constructor(options: WebhookOptions) {
    this.#options = options;
  }

  /** Resolves, always. A redirect is not followed: the secret is for one place only. */
  async post(body: string): Promise<Posted> {
    const { url, secret, timeoutMs } = this.#options;
    const headers: Record<string, string> = { 'content-type': 'application/json', 'user-agent': 'crossfade' };
    if (secret !== undefined) headers.authorization = `Bearer ${secret}`;
    const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), this.#closing.signal]);
    try {
      const {
        ok,
        status,
        body: answer,
      } = await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal });
      await answer?.cancel();
      if (ok) return { kind: 'sent' };
      return { kind: status >= 500 || transient.includes(status) ? 'again' : 'never', reason: `status ${status}` };
    } catch (fault) {
      const { name, cause } = fault as Error & { cause?: { code?: string } };
      return { kind: 'again', reason: cause?.code ?? name };
    }
  }

  /** What is under way ends at once, as `again`. */
  close(): void {
    this.#closing.abort();
  }
}
