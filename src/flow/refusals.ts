// What cannot be taken from the legacy server: written down as dead, answered where an answer is due, and only then acknowledged.

import type { Element } from 'ltx';
import type { Clock } from '../clock.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Metrics } from '../metrics.ts';
import type { Refusal } from '../refusal.ts';
import { prepareBare } from '../xmpp/jid.ts';
import type { Arrival } from '../xmpp/session.ts';
import { delayOf } from '../xmpp/stanza.ts';
import { errorReply } from '../xmpp/stanza-error.ts';
import type { OwnServer } from './own-server.ts';
import type { Sessions } from './sessions.ts';

export interface RefusalsParts {
  /** The users' domain. */
  domain: string;
  ledger: Ledger;
  sessions: Sessions;
  ownServer: OwnServer;
  clock: Clock;
  metrics: Metrics;
  fault: (error: unknown) => void;
}

export class Refusals {
  readonly #parts: RefusalsParts;

  constructor(parts: RefusalsParts) {
    this.#parts = parts;
  }

  /** No bad stanza blocks the link. `isCopy`: somebody else has it, and is the one who answers. */
  refuse(stanza: Element, arrival: Arrival, refusal: Refusal, accepted: () => void, isCopy = false): void {
    const { ledger, metrics, clock, fault } = this.#parts;
    metrics.refused.inc({ lane: 'toMqtt', reason: refusal.name });
    const { from = '', id } = stanza.attrs;
    const answer = !isCopy && this.#isAnswered(stanza, arrival) ? errorReply(stanza, refusal) : null;
    if (!arrival.position) {
      // No link acknowledges it, so there is nothing to record it for.
      if (answer) this.#reply(arrival.user, answer);
      return accepted();
    }
    const { outcome } = ledger.accept(() => ({
      lane: 'toMqtt',
      user: arrival.user,
      peer: prepareBare(from) ?? from,
      channel: stanza.name === 'presence' ? 'presence' : 'message',
      id,
      custody: 'copy',
      at: clock.now(),
      position: arrival.position,
      payload: '',
      refused: { condition: refusal.name, text: refusal.text },
    }));
    outcome.then(({ kind }) => {
      if (answer && kind === 'new') this.#reply(arrival.user, answer);
      accepted();
    }, fault);
  }

  #reply(user: string, answer: Element): void {
    const { sessions, ownServer } = this.#parts;
    (ownServer.isOwn(user) ? ownServer : sessions).reply(user, answer);
  }

  /** Only what is live, direct, and no presence, error or room's (DESIGN §2). What comes from the own account is a copy that cannot be read. */
  #isAnswered(stanza: Element, { dir, user }: Arrival): boolean {
    const { domain, clock } = this.#parts;
    const { from = '', type } = stanza.attrs;
    if (stanza.name === 'presence' || dir || type === 'error' || type === 'groupchat') return false;
    return from !== '' && from !== user && delayOf(stanza, domain, clock.now()) === null;
  }
}
