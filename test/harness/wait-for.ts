// Waits until what a test looks for is so: as patiently as `expect.poll`, which vitest.config.ts sets, and not only for vitest's one second.

import { vi } from 'vitest';

const WAIT_MS = 20_000;

/** Resolves with the first answer of `look` that is no fault; rejects with its last fault. */
export function waitFor<T>(look: () => T | Promise<T>, { interval = 50 } = {}): Promise<T> {
  return vi.waitFor(look, { timeout: WAIT_MS, interval });
}

/** Resolves once `holds` says yes. */
export async function waitUntil(holds: () => unknown): Promise<void> {
  await vi.waitUntil(holds, { timeout: WAIT_MS });
}
