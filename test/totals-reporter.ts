// The last line of a test run, for programs to read: "N passed, N failed". A file or an error outside any test counts, too.

import type { Reporter, TestModule } from 'vitest/node';

/** A test module that could not be loaded has no tests, so it counts as one failure itself. */
function countModule(module: TestModule): { passed: number; failed: number } {
  const states = [...module.children.allTests()].map((test) => test.result().state);
  const failed = states.filter((state) => state === 'failed').length;
  const passed = states.filter((state) => state === 'passed').length;
  return { passed, failed: failed === 0 && module.state() === 'failed' ? 1 : failed };
}

/** The line for what vitest reports; its exit code is 0 if and only if the second number is 0. */
export function totalsLine(modules: readonly TestModule[], otherErrors: number): string {
  const counts = modules.map(countModule);
  const passed = counts.reduce((sum, count) => sum + count.passed, 0);
  const failed = counts.reduce((sum, count) => sum + count.failed, otherErrors);
  return `${passed} passed, ${failed} failed`;
}

export default class TotalsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    process.stdout.write(`${totalsLine(modules, errors.length)}\n`);
  }
}
