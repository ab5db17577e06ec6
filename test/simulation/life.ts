// One life of the gateway's process: when it is over, nothing that belonged to it can act on the world any more.

import type { Clock } from '../../src/clock.ts';
import type { World } from './world.ts';

/** What the sim wants to hear of at once. */
export interface Told {
  /** The server processed a `<return>` of the entry with this key. */
  returned(key: string, name: string): void;
  /** The broker took a publish of the entry with this key. */
  published(key: string): void;
  /** The gateway sends what stands under this key, to either side. */
  sends(key: string): void;
}

export class Life {
  isAlive = true;
  readonly told: Told;
  readonly clock: Clock;
  readonly #world: World;
  readonly #crashChance: number;
  readonly #died: () => void;

  /** `crashChance`: at each step; `died` sees to the next life. */
  constructor(world: World, crashChance: number, told: Told, died: () => void) {
    this.#world = world;
    this.#crashChance = crashChance;
    this.#died = died;
    this.told = told;
    this.clock = {
      now: () => world.now,
      random: () => world.random(),
      after: (delayMs, task) => world.after(delayMs, () => this.isAlive && task()),
    };
  }

  /** Between any two steps the process may end. False: it has, and the step must not happen. */
  step(where: string): boolean {
    if (!this.isAlive) return false;
    if (this.#world.isRough && this.#world.chance(this.#crashChance)) this.end(`crashes before: ${where}`);
    return this.isAlive;
  }

  end(how: string): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    this.#world.say('gateway', () => how);
    this.#died();
  }
}
