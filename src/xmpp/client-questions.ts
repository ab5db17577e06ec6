// A client's own questions to the server (iq), and the answers to them. Only the own account is believed.

import type { Element } from 'ltx';
import { prepareBare } from './jid.ts';
import { tag } from './xml-writer.ts';

export class ClientQuestions {
  readonly #user: string;
  readonly #open = new Map<string, (answer: Element) => void>();

  /** `user`: bare JID. */
  constructor(user: string) {
    this.#user = user;
  }

  /** The finished question; `done` hears the answer, result or error. */
  ask(type: 'get' | 'set', to: string | undefined, payload: string, done: (answer: Element) => void): string {
    const id = crypto.randomUUID();
    this.#open.set(id, done);
    return tag('iq', { type, id, to }, payload);
  }

  /** True if it answers one of them. */
  isAnswer(iq: Element): boolean {
    const { type, id = '', from } = iq.attrs;
    const done = type === 'result' || type === 'error' ? this.#open.get(id) : undefined;
    if (!done || (from && prepareBare(from) !== this.#user)) return false;
    this.#open.delete(id);
    done(iq);
    return true;
  }
}
