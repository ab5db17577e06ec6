// The simulation's own physics: virtual time, chance from a seed, events in order, and the story of what happened.

import type { Timer } from '../../src/clock.ts';

interface Event {
  at: number;
  order: number;
  task: (() => void) | null;
}

/** What broke, in one sentence. */
export class Violation extends Error {}

/** The story begins here; any fixed moment will do. */
const beginning = Date.UTC(2030, 0, 1);

export class World {
  readonly story: string[] = [];
  now = beginning;
  /** False once the faults are over and everything must come right. */
  isRough = true;
  readonly #tellsStory: boolean;
  readonly #heap: Event[] = [];
  #order = 0;
  #state: number;
  #broken: Violation | null = null;

  /** `tellsStory`: keep the lines; without them a seed runs faster and is told on a second run. */
  constructor(seed: number, tellsStory: boolean) {
    this.#state = (seed * 2654435761) >>> 0;
    this.#tellsStory = tellsStory;
    for (let warm = 0; warm < 4; warm++) this.random();
  }

  /** [0, 1): mulberry32. */
  random(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.random() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.random() * from.length)]!;
  }

  /** One line of the story; `line` is made only if somebody listens. */
  say(who: string, line: () => string): void {
    if (!this.#tellsStory) return;
    const seconds = ((this.now - beginning) / 1000).toFixed(3).padStart(9);
    this.story.push(`${seconds}  ${who.padEnd(8)} ${line()}`);
  }

  /** Something that must not be has been seen: the run ends. */
  broke(what: string): void {
    this.say('BROKEN', () => what);
    this.#broken ??= new Violation(what);
  }

  after(delayMs: number, task: () => void): Timer {
    const event: Event = { at: this.now + delayMs, order: this.#order++, task };
    this.#push(event);
    return {
      cancel() {
        event.task = null;
      },
    };
  }

  /** Runs event by event, letting every promise settle between two, until `untilMs` have gone by. */
  async run(untilMs: number): Promise<void> {
    const end = this.now + untilMs;
    for (let next = this.#heap[0]; next && next.at <= end; next = this.#heap[0]) {
      this.#pop();
      if (!next.task) continue;
      this.now = next.at;
      next.task();
      await settled();
      if (this.#broken) throw this.#broken;
    }
    this.now = end;
    if (this.#broken) throw this.#broken;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let index = heap.push(event) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (isBefore(heap[parent]!, event)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (isBefore(last, heap[child]!)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}

/** A turn of the loop asks the system what there is, which takes as long as an event of ours; between two immediates of one turn promises settle, too. */
const immediatesPerTurn = 100;
let immediates = 0;
let waiting: (() => void)[] = [];

/** All microtasks have run, and promises that were rejected unheard are told: nothing but promises is in the loop. Takes no time and knows no chance. */
export function settled(): Promise<void> {
  if (immediates === 0) for (; immediates < immediatesPerTurn; immediates++) setImmediate(goOn);
  return new Promise((resolve) => waiting.push(resolve));
}

function goOn(): void {
  immediates--;
  const settled = waiting;
  waiting = [];
  for (const resolve of settled) resolve();
}
