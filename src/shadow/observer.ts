// Sees what the server copies of users in phase `shadow`: compares it, counts it, and puts the copy under the shadow root.

import type { Element } from 'ltx';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Mappings } from '../mapping/compile.ts';
import type { Metrics } from '../metrics.ts';
import type { Broker } from '../mqtt/broker.ts';
import { formatAt } from '../mqtt/message.ts';
import { encodeUser } from '../mqtt/topic.ts';
import type { Arrival } from '../xmpp/session.ts';
import { delayOf } from '../xmpp/stanza.ts';
import { type Comparison, compare } from './compare.ts';
import { outlineOf } from './outline.ts';
import { type Direction, Report } from './report.ts';

export interface ObserverParts {
  /** The users' domain. */
  domain: string;
  /** First level of the copies' topics; nobody's app reads below it. */
  shadowRoot: string;
  mappings: Mappings;
  broker: Broker;
  clock: Clock;
  metrics: Metrics;
  log: Log;
}

/** Nothing of it can reach a user: no entry, no repeat key, no answer, and no topic below the apps' root. */
export class Observer {
  readonly report: Report;
  readonly #parts: ObserverParts;

  constructor(parts: ObserverParts) {
    this.#parts = parts;
    this.report = new Report(parts.clock.now());
  }

  /** Never throws. `arrival.dir` says which way the message went. */
  observe(message: Element, arrival: Arrival): void {
    const { mappings, metrics, clock, log } = this.#parts;
    const dir = arrival.dir ?? 'in';
    try {
      const comparison = compare(mappings, message, dir);
      const { user } = arrival;
      this.report.add({ comparison, user, dir, at: clock.now(), outline: () => outlineOf(message) });
      metrics.shadowCompared.inc({ dir, result: comparison.losses.length === 0 ? 'equal' : 'different' });
      this.#publish(message, comparison, user, dir);
    } catch (error) {
      this.report.failed();
      metrics.shadowCompared.inc({ dir, result: 'failed' });
      log.warn({ event: 'shadow.failed', user: arrival.user, dir, error: String(error) });
    }
  }

  /** QoS 0 and not waited for: with the broker away or slow a copy is dropped, and counted. */
  #publish(message: Element, { channel, fields }: Comparison, user: string, dir: Direction): void {
    const { broker, shadowRoot, domain, clock, metrics, log } = this.#parts;
    const topic = `${shadowRoot}/${encodeUser(user, domain)}/${dir}/${channel}`;
    const now = clock.now();
    const added = { at: formatAt(delayOf(message, domain, now) ?? now), direction: 'received', copy: true };
    const payload = JSON.stringify(dir === 'in' ? { ...fields, ...added } : fields);
    const count = (isPublished: boolean) => {
      this.report.copied(isPublished);
      metrics.shadowCopies.inc({ result: isPublished ? 'published' : 'dropped' });
    };
    broker.publish({ topic, payload, qos: 0, retain: false }).then(
      (result) => count(result.kind === 'acked' && result.code === 0),
      (error) => {
        count(false);
        log.warn({ event: 'shadow.failed', user, dir, error: String(error) });
      },
    );
  }
}
