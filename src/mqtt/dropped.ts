// How many messages the broker has dropped because a queue was full, from `$SYS/broker/publish/messages/dropped` (Mosquitto). Its PUBACKs do not tell.

export const droppedTopic = '$SYS/broker/publish/messages/dropped';

/** Keeps the last count over all connections: what was dropped while we were away shows at the next one. */
export class DroppedCount {
  #last: number | null = null;

  /** By how much it has risen since the last time; the first count, and one that a restart has begun anew, is no rise. */
  rise(payload: Buffer): number {
    const text = payload.toString('latin1');
    if (!/^\d{1,15}$/.test(text)) return 0;
    const count = Number(text);
    const rise = this.#last === null || count < this.#last ? 0 : count - this.#last;
    this.#last = count;
    return rise;
  }
}
