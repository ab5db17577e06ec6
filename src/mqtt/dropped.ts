// How many messages the broker has dropped because a queue was full, from `$SYS/broker/publish/messages/dropped` (Mosquitto). Its PUBACKs do not tell.

export const droppedTopic = '$SYS/broker/publish/messages/dropped';

/** Keeps the last count over all connections: what was dropped while we were away shows at the next one. */
export class DroppedCount {
  #last: number | null = null;
  /** Trials under way, each of which fills a queue on purpose; what has risen meanwhile is judged behind the last. */
  #trials = 0;
  #risen = 0;
  /** What trials had dropped and the broker has not counted yet. */
  #owed = 0;

  /** By how much it has risen since the last time, through others than us; the first count, and one that a restart has begun anew, is no rise. */
  rise(payload: Buffer): number {
    const text = payload.toString('latin1');
    if (!/^\d{1,15}$/.test(text)) return 0;
    const count = Number(text);
    const isNew = this.#last === null || count < this.#last;
    if (isNew) this.#risen = this.#owed = 0;
    else this.#risen += count - this.#last!;
    this.#last = count;
    return this.#trials > 0 ? 0 : this.#judge();
  }

  /** Tells no rise until the result is called with how many messages our own trial had dropped: that returns what is left to tell. */
  expect(): (ours: number) => number {
    this.#trials++;
    return (ours) => {
      this.#trials--;
      this.#owed += ours;
      return this.#trials > 0 ? 0 : this.#judge();
    };
  }

  #judge(): number {
    const ours = Math.min(this.#risen, this.#owed);
    const rise = this.#risen - ours;
    this.#owed -= ours;
    this.#risen = 0;
    return rise;
  }
}
