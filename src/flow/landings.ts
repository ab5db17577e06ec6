// Who waits until what is out has its answer: a stop, an operator's act on one conversation.

import type { Clock } from '../clock.ts';

export class Landings {
  readonly #clock: Clock;
  #waiting: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** An answer has come, or a page. */
  tell(): void {
    if (this.#waiting.length === 0) return;
    for (const look of this.#waiting.splice(0)) look();
  }

  /** Resolves when this is so, which is looked at after each answer, or after `patienceMs`. */
  async until(isSo: () => boolean, patienceMs: number): Promise<void> {
    let isLate = false;
    const late = this.#clock.after(patienceMs, () => {
      isLate = true;
      this.tell();
    });
    while (!isSo() && !isLate) await new Promise<void>((look) => this.#waiting.push(look));
    late.cancel();
  }
}
