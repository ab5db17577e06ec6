// Time and chance as things that are handed in, so that the simulation can turn them.

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall clock, milliseconds since 1970. */
  now(): number;
  /** Runs `task` once after `delayMs`. */
  after(delayMs: number, task: () => void): Timer;
  /** A number in [0, 1), for jitter. */
  random(): number;
}

/** What setTimeout is asked to wait beyond this (24.8 days) it does not wait at all. */
const longestMs = 2 ** 31 - 1;

/** A timer of it keeps no process alive: what has closed its links and files ends at once, whatever was still planned. */
export const systemClock: Clock = {
  now: Date.now,
  after(delayMs, task) {
    let handle: NodeJS.Timeout;
    const wait = (leftMs: number) => {
      const rest = leftMs - longestMs;
      handle = (rest > 0 ? setTimeout(wait, longestMs, rest) : setTimeout(task, leftMs)).unref();
    };
    wait(delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
  random: Math.random,
};

/** Runs `task` again and again, `periodMs` after the end of the run before; `failed` hears of a run that threw. */
export function every(
  clock: Clock,
  periodMs: number,
  task: () => void | Promise<void>,
  failed: (error: unknown) => void,
): Timer {
  let timer: Timer;
  let cancelled = false;
  const turn = async () => {
    try {
      await task();
    } catch (error) {
      failed(error);
    }
    if (!cancelled) timer = clock.after(periodMs, turn);
  };
  timer = clock.after(periodMs, turn);
  return {
    cancel() {
      cancelled = true;
      timer.cancel();
    },
  };
}
