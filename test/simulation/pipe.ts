// One direction of a connection: what is sent arrives in order, later, or (when the connection is cut) not at all.

import type { World } from './world.ts';

export class Pipe {
  readonly #world: World;
  readonly #latencyMs: number;
  #free = 0;
  #isCut = false;

  constructor(world: World, latencyMs: number) {
    this.#world = world;
    this.#latencyMs = latencyMs;
  }

  /** `arrive` runs at the other end, unless the connection is cut before. */
  send(arrive: () => void): void {
    if (this.#isCut) return;
    const arrivesAt = Math.max(this.#free, this.#world.now + this.#world.between(0, this.#latencyMs));
    this.#free = arrivesAt;
    this.#world.after(arrivesAt - this.#world.now, () => {
      if (!this.#isCut) arrive();
    });
  }

  /** What is under way is lost: a prefix of what was sent has arrived. */
  cut(): void {
    this.#isCut = true;
  }
}

/** A connection: two pipes that live and die together; each end hears of the end once, in its own time. */
export class Connection {
  readonly #pipes: [Pipe, Pipe];
  readonly #told: (() => void)[] = [];
  /** As far as the two ends know. */
  isOpen = true;
  readonly #world: World;
  #isCut = false;

  constructor(world: World, latencyMs: number) {
    this.#world = world;
    this.#pipes = [new Pipe(world, latencyMs), new Pipe(world, latencyMs)];
  }

  up(arrive: () => void): void {
    this.#pipes[0].send(arrive);
  }

  down(arrive: () => void): void {
    this.#pipes[1].send(arrive);
  }

  onEnd(told: () => void): void {
    this.#told.push(told);
  }

  /** Nothing arrives any more; the ends find out `noticedAfterMs` later. */
  cut(noticedAfterMs = 0): void {
    if (this.#isCut) return;
    this.#isCut = true;
    for (const pipe of this.#pipes) pipe.cut();
    const notice = () => {
      this.isOpen = false;
      for (const told of this.#told.splice(0)) told();
    };
    if (noticedAfterMs === 0) notice();
    else this.#world.after(noticedAfterMs, notice);
  }
}
