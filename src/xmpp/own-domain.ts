// Sessions for addresses of the component's own domain. XEP-0114 has no acks: the answer to a ping sent after a stanza stands for one.

import type { Component } from './component.ts';
import { NS_PING } from './namespaces.ts';
import type { SendResult, Session } from './session.ts';
import { forStream, tag } from './xml-writer.ts';

export class OwnDomain {
  readonly #component: Component;
  /** Written since the last fence. */
  #waiting: ((result: SendResult) => void)[] = [];

  constructor(component: Component) {
    this.#component = component;
  }

  /** `jid`: prepared bare JID on the component's domain. Settles `processed` on any answer to the fence, `lost` without one. */
  session(jid: string): Session {
    return { jid, send: (stanza) => this.#send(stanza) };
  }

  #send(stanza: string): Promise<SendResult> {
    return new Promise((resolve) => {
      if (!this.#component.send(forStream(stanza))) {
        resolve({ kind: 'lost' });
        return;
      }
      if (this.#waiting.length === 0) setImmediate(() => this.#fence());
      this.#waiting.push(resolve);
    });
  }

  /** The server works through a stream in order, so even an error to this ping says that all before it is processed. */
  #fence(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#component.ask(this.#component.server, 'get', tag('ping', { xmlns: NS_PING }), (answer) => {
      const result: SendResult = { kind: typeof answer === 'string' ? 'lost' : 'processed' };
      for (const resolve of waiting) resolve(result);
    });
  }
}
