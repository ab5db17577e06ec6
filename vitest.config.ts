// How the tests run: few at a time, as many of them start real servers; times are for slow machines, tests wait for events.

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    environment: 'node',
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ['default', './test/totals-reporter.ts'],
  },
});
