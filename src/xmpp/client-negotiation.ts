// What a client's session begins with: the old one resumed (XEP-0198), or a new one bound (RFC 6120 §7) and made resumable.

import { Element } from 'ltx';
import type { Log } from '../log.ts';
import { isRefusal } from '../refusal.ts';
import type { ClientQuestions } from './client-questions.ts';
import type { Closed } from './client-stream.ts';
import { fullOf, parseJid } from './jid.ts';
import { NS_BIND, NS_SM } from './namespaces.ts';
import { epochOf, linkOf, readEpoch, type SessionMemory } from './session-memory.ts';
import { childOf } from './stanza.ts';
import { readError } from './stanza-error.ts';
import { onWire } from './stream-count.ts';
import { tag, writeElement } from './xml-writer.ts';

/** A session that stands, and where both counts begin. */
export interface Begun {
  /** Full JID. */
  jid: string;
  epoch: string;
  isNew: boolean;
  /** There was one before: what came between the two only the archive has. */
  isAnother: boolean;
  /** Of the server's stanzas we have so many. */
  received: number;
  /** Of ours the server has processed so many. */
  processed: number;
}

export interface NegotiationOptions {
  /** Bare JID. */
  user: string;
  resource: string;
  /** Only the old session will do. */
  mustResume: boolean;
  memory: SessionMemory;
  questions: ClientQuestions;
  log: Log;
  write: (text: string) => void;
  /** In the very turn in which the server says so: what it has not been acknowledged follows in the same chunk. */
  begun: (begun: Begun) => void;
  /** Null: there is no old session. */
  failed: (closed: Closed | null) => void;
  /** The ledger does not answer. */
  fault: (fault: unknown) => void;
}

export class ClientNegotiation {
  readonly #options: NegotiationOptions;
  readonly #link: string;
  readonly #position: ReturnType<SessionMemory['position']>;
  #stage: 'connecting' | 'resuming' | 'binding' | 'enabling' | 'done' = 'connecting';
  #old: { epoch: string; h: number } | null = null;
  #jid = '';

  constructor(options: NegotiationOptions) {
    this.#options = options;
    this.#link = linkOf(options.user);
    this.#position = options.memory.position(this.#link);
  }

  /** The server's features, behind the login. */
  features(features: Element): void {
    const { mustResume, write, failed } = this.#options;
    if (!childOf(features, 'sm', NS_SM)) return failed(noManagement('has no stream management (XEP-0198)'));
    this.#once(this.#position, (old) => {
      this.#old = old;
      if (old && old.epoch !== '') {
        this.#stage = 'resuming';
        write(tag('resume', { xmlns: NS_SM, previd: readEpoch(old.epoch).smId, h: onWire(old.h) }));
      } else if (mustResume) failed(null);
      else this.#bind();
    });
  }

  /** An answer in the namespace of XEP-0198; `h` is null where it states none. */
  answered({ name, attrs: { id, resume } }: Element, h: number | null): void {
    if (name === 'resumed' && this.#stage === 'resuming') this.#resumed(h ?? 0);
    else if (name === 'failed' && this.#stage === 'resuming') this.#notResumed(h);
    else if (name === 'enabled' && this.#stage === 'enabling')
      this.#enabled(resume === 'true' || resume === '1' ? id : undefined);
    else if (name === 'failed' && this.#stage === 'enabling')
      this.#options.failed(noManagement('refuses stream management (XEP-0198)'));
  }

  #resumed(processed: number): void {
    const { epoch, h } = this.#old!;
    const jid = `${this.#options.user}/${readEpoch(epoch).resource}`;
    this.#begin({ jid, epoch, isNew: false, isAnother: false, received: h, processed });
  }

  /** `h` null: the server has forgotten it altogether, and what was unanswered is sent again. */
  #notResumed(h: number | null): void {
    const { memory, mustResume, log, user, failed } = this.#options;
    log.info({ event: 'client.not-resumed', user, h });
    // Should this connection end now, the next one must not try it again: what it says about h it says once.
    this.#stage = 'binding';
    const written = Promise.all([memory.resolved(this.#link, h), memory.read(this.#link, '', 0)]);
    this.#once(written, () => (mustResume ? failed(null) : this.#bind()));
  }

  #bind(): void {
    this.#stage = 'binding';
    const { resource, questions, write, failed } = this.#options;
    const bind = bindTo(resource);
    if (isRefusal(bind)) return failed({ by: 'insecure', condition: bind.condition, text: bind.text });
    const question = questions.ask('set', undefined, bind, (answer) => {
      const bound = readBound(answer);
      if (typeof bound !== 'string') return failed(bound);
      this.#jid = bound;
      this.#stage = 'enabling';
      write(tag('enable', { xmlns: NS_SM, resume: 'true' }));
    });
    write(question);
  }

  /** One that cannot be resumed has a name all the same: asked for it, the server says so. */
  #enabled(smId: string | undefined): void {
    const { user } = this.#options;
    const epoch = epochOf(this.#jid.slice(user.length + 1), smId ?? crypto.randomUUID());
    this.#begin({ jid: this.#jid, epoch, isNew: true, isAnother: this.#old !== null, received: 0, processed: 0 });
  }

  #begin(begun: Begun): void {
    this.#stage = 'done';
    this.#options.begun(begun);
  }

  #once<T>(kept: Promise<T>, then: (value: T) => void): void {
    kept.then(then).catch(this.#options.fault);
  }
}

/** Without a resource the server chooses one. */
export function bindTo(resource?: string): ReturnType<typeof writeElement> {
  const bind = new Element('bind', { xmlns: NS_BIND });
  if (resource !== undefined) bind.c('resource').t(resource);
  return writeElement(bind);
}

/** The full JID that the server gives, or why it gives none. */
export function readBound(answer: Element): string | Closed {
  const jid = parseJid(childOf(answer, 'bind', NS_BIND)?.getChildText('jid') ?? '');
  if (answer.attrs.type === 'result' && jid) return fullOf(jid);
  const { condition, text } = readError(answer);
  return { by: 'connection', condition, text };
}

/** Where a session took too long to make, and not for the server. */
export const ledgerWaits: Closed = {
  by: 'connection',
  condition: 'internal-server-error',
  text: "the server has answered, but the gateway's ledger does not take it; /readyz and the log (ledger.unwritable) say why",
};

function noManagement(what: string): Closed {
  const text = `the server ${what}, without which messages could be lost: phases dual and mqtt cannot be had`;
  return { by: 'insecure', condition: 'feature-not-implemented', text };
}
