// The clock of the real gateway: what its timers promise.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../src/clock.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const dayMs = 86_400_000;

test.each([0, 5, 2 ** 31 - 1, 2 ** 31, 30 * dayMs, 400 * dayMs])('a timer waits %i ms, and not less', (delayMs) => {
  let runs = 0;
  systemClock.after(delayMs, () => runs++);
  if (delayMs > 0) vi.advanceTimersByTime(delayMs - 1);
  expect(runs).toBe(0);
  vi.advanceTimersByTime(1);
  expect(runs).toBe(1);
});

test('a timer of more than setTimeout can wait is cancelled at any time', () => {
  let runs = 0;
  const timer = systemClock.after(60 * dayMs, () => runs++);
  vi.advanceTimersByTime(55 * dayMs);
  timer.cancel();
  vi.advanceTimersByTime(60 * dayMs);
  expect(runs).toBe(0);
});
