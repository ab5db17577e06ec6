// Who waits for a free place in a window: users take turns, so that one with a thousand conversations is no longer before the others than one with one.

import type { Outbox } from './outbox.ts';

export class Line {
  /** In the order of their turns; first come, first served within a user. */
  readonly #byUser = new Map<string, Outbox[]>();

  /** Does nothing for one that stands there already. */
  add(outbox: Outbox): void {
    if (outbox.queued) return;
    outbox.queued = true;
    const { user } = outbox.conversation;
    const ofUser = this.#byUser.get(user);
    if (ofUser) ofUser.push(outbox);
    else this.#byUser.set(user, [outbox]);
  }

  /** Whose turn it is; its user goes to the end. */
  next(): Outbox | undefined {
    const [first] = this.#byUser;
    if (!first) return undefined;
    const [user, ofUser] = first;
    const outbox = ofUser.shift()!;
    outbox.queued = false;
    this.#byUser.delete(user);
    if (ofUser.length > 0) this.#byUser.set(user, ofUser);
    return outbox;
  }
}
