// How the tests run: few at a time, as many of them start real servers; times are for slow machines, tests wait for events.

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    environment: 'node',
    // Hundreds of processes are started; without it each would compile all of src/ for itself, which takes half of a command's time.
    env: { NODE_COMPILE_CACHE: fileURLToPath(new URL('./node_modules/.cache/compiled', import.meta.url)) },
    pool: 'forks',
    maxWorkers: 2,
    // What does not come is told after 20 s: on a busy machine a program takes seconds to start, and vitest's own second is over.
    expect: { poll: { timeout: 20_000 } },
    testTimeout: 60_000,
    hookTimeout: 120_000,
    reporters: ['default', './test/totals-reporter.ts'],
  },
});
