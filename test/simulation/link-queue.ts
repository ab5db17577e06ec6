// What the modelled server has numbered for the gateway and not heard back: bounded, with a word where copies did not fit.

import type { Frame } from './frame.ts';
import type { AttachedSession } from './server-link.ts';
import type { World } from './world.ts';

export interface Queued extends Frame {
  /** None: a copy of an observer's, or nothing. */
  session: AttachedSession | null;
  at: number;
}

export interface QueueParts {
  world: World;
  epoch: string;
  maxUnacked: number;
  write(frame: Queued): void;
}

export class LinkQueue {
  n = 0;
  acked = 0;
  readonly frames = new Map<number, Queued>();
  readonly #parts: QueueParts;
  /** Users of whom copies did not fit. Empty whenever there is room. */
  readonly #missed = new Set<string>();

  constructor(parts: QueueParts) {
    this.#parts = parts;
  }

  get isFull(): boolean {
    return this.n - this.acked >= this.#parts.maxUnacked;
  }

  add(what: Omit<Queued, 'epoch' | 'n' | 'at'>): void {
    const { world, epoch, write } = this.#parts;
    const frame: Queued = { ...what, epoch, n: ++this.n, at: world.now };
    this.frames.set(frame.n, frame);
    write(frame);
  }

  miss(user: string): void {
    this.#parts.world.say('server', () => `has no room in its queue for what is ${user}'s`);
    this.#missed.add(user);
  }

  /** There is room again: an empty `<d/>` in the place of each user's missing copies, before anything new. */
  tellMissed(): void {
    for (const user of this.#missed) {
      if (this.isFull) return;
      this.#missed.delete(user);
      this.add({ user, jid: user, seen: false, load: { missed: true }, session: null });
    }
  }

  /** Cumulative. */
  ack(h: number): void {
    for (let n = this.acked + 1; n <= h; n++) this.frames.delete(n);
    this.acked = Math.max(this.acked, h);
    this.tellMissed();
  }

  /** Takes frames out; their numbers stay, as empty `<d/>`. */
  take(isTaken: (frame: Queued) => boolean): Queued[] {
    const taken: Queued[] = [];
    for (const frame of this.frames.values()) {
      if (!isTaken(frame)) continue;
      taken.push({ ...frame });
      frame.load = { taken: true };
    }
    return taken;
  }
}

/** Somebody else has it, or it is in the archive. */
export function isCopy({ load, seen, dir }: Pick<Frame, 'load' | 'seen' | 'dir'>): boolean {
  return 'chat' in load && (seen || dir !== undefined || load.carbon !== undefined || load.result !== undefined);
}
