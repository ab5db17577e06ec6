// Who waits for a free place in a window: users take turns, so that one with a thousand conversations is no longer before the others than one with one.

import { Line as Turns } from '../migration/line.ts';
import type { Outbox } from './outbox.ts';

export class Line {
  /** In the order of their turns. */
  readonly #users = new Turns<string>();
  /** First come, first served within a user. */
  readonly #byUser = new Map<string, Outbox[]>();

  /** Does nothing for one that stands there already. */
  add(outbox: Outbox): void {
    if (outbox.queued) return;
    outbox.queued = true;
    const { user } = outbox.conversation;
    const ofUser = this.#byUser.get(user);
    if (ofUser) ofUser.push(outbox);
    else this.#byUser.set(user, [outbox]);
    this.#users.add(user);
  }

  /** Whose turn it is; its user goes to the end. */
  next(): Outbox | undefined {
    const user = this.#users.take();
    const ofUser = user === undefined ? undefined : this.#byUser.get(user);
    if (user === undefined || !ofUser) return undefined;
    const outbox = ofUser.shift()!;
    outbox.queued = false;
    if (ofUser.length > 0) this.#users.add(user);
    else this.#byUser.delete(user);
    return outbox;
  }
}
