// Asks the legacy server in a user's name, and finds the answer among what comes: what clients ask once they are there.

import type { Element } from 'ltx';
import type { Clock, Timer } from '../clock.ts';
import { prepareBare } from '../xmpp/jid.ts';
import { writeStanza } from '../xmpp/xml-writer.ts';
import type { Sessions } from './sessions.ts';

const patienceMs = 15_000;

interface Question {
  user: string;
  answered(iq: Element | null): void;
  patience: Timer;
}

export class Asks {
  readonly #sessions: Sessions;
  readonly #clock: Clock;
  readonly #open = new Map<string, Question>();

  constructor(parts: { sessions: Sessions; clock: Clock }) {
    this.#sessions = parts.sessions;
    this.#clock = parts.clock;
  }

  /**
   * Resolves with the result or the error of this iq get or set to the own server, from the user's session; null without a
   * session, when the link closes, or after 15 s. `request` gets its id here: nobody else can guess it (FACTS: ids alone match).
   */
  async ask(user: string, request: Element): Promise<Element | null> {
    const id = crypto.randomUUID();
    request.attrs.id = id;
    const answer = new Promise<Element | null>((resolve) => {
      const answered = (iq: Element | null) => {
        this.#open.get(id)?.patience.cancel();
        this.#open.delete(id);
        resolve(iq);
      };
      this.#open.set(id, { user, answered, patience: this.#clock.after(patienceMs, () => answered(null)) });
    });
    if (!(await this.tell(user, request))) this.#open.get(id)?.answered(null);
    return await answer;
  }

  /** Sends what has no answer of its own; resolves to whether the server has processed it. */
  async tell(user: string, stanza: Element): Promise<boolean> {
    const text = writeStanza(stanza);
    const session = this.#sessions.of(user);
    if (typeof text !== 'string' || !session) return false;
    return (await session.send(text, `a${crypto.randomUUID()}`)).kind === 'processed';
  }

  /** True if this result or error answers a question: it must come from the user's own server or account (RFC 6120 §8.1.2.1). */
  take(user: string, iq: Element): boolean {
    const { id = '', type, from } = iq.attrs;
    const question = type === 'result' || type === 'error' ? this.#open.get(id) : undefined;
    if (!question || question.user !== user || (from !== undefined && prepareBare(from) !== user)) return false;
    question.answered(iq);
    return true;
  }
}
