// Who may log in as a client now, and with what: the pace, the pause for a user whom the server has refused, and the credential.

import type { Clock } from '../clock.ts';
import type { Closed } from './client-stream.ts';
import { parseJid } from './jid.ts';
import { Paces } from './paces.ts';
import type { Credential } from './sasl.ts';

/** `absent`: the operator has none for this user; `later`: its source does not answer. */
export type CredentialAnswer =
  | { kind: 'found'; credential: Credential }
  | { kind: 'absent'; text: string }
  | { kind: 'later'; text: string };

export interface LoginsOptions {
  /** Logins in a second. */
  perSecond: number;
  credentialOf: (user: string) => Promise<CredentialAnswer>;
  clock: Clock;
}

export interface Login {
  user: string;
  credential: Credential;
}

/** Why there is no session. */
export type Failure = { kind: 'refused' | 'wait'; condition: string; text: string } | { kind: 'lost' };

export class Logins {
  readonly #options: LoginsOptions;
  readonly #paces: Paces;

  constructor(options: LoginsOptions) {
    this.#options = options;
    this.#paces = new Paces(options);
  }

  /** Resolves when it is the turn of this user (a bare JID). Nothing of it is kept. */
  async admit(user: string): Promise<{ kind: 'admitted'; login: Login } | Failure> {
    const refusal = this.#paces.refusal(user);
    if (refusal) return refusal;
    await this.#paces.turn();
    const answer = await this.#options.credentialOf(user);
    if (answer.kind === 'absent') return this.#paces.refused(user, 'not-authorized', answer.text);
    if (answer.kind === 'later') return { kind: 'wait', condition: 'temporary-auth-failure', text: answer.text };
    return { kind: 'admitted', login: { user: parseJid(user)?.local ?? '', credential: answer.credential } };
  }

  passed(user: string): void {
    this.#paces.passed(user);
  }

  /** What the end of its stream means for a user that has asked for something. */
  failed(user: string, { by, condition, text }: Closed): Failure {
    if (by === 'auth')
      return this.#paces.refused(user, condition, `the server does not let ${user} in: ${condition} ${text}`);
    if (by === 'unreachable' || by === 'us') return { kind: 'lost' };
    return { kind: by === 'insecure' ? 'refused' : 'wait', condition, text: text || condition };
  }
}
