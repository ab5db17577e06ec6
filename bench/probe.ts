// Loaded into the process that is measured (`node --import`): how late its event loop is and what its heap holds, which only it can tell.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread } from 'node:worker_threads';
import { answerCalls } from './child.ts';

/** How often it looks, in ms; a delay of less is not seen. */
const resolution = 5;

if (isMainThread) {
  const delay = monitorEventLoopDelay({ resolution });
  delay.enable();
  const ms = (ns: number) => Math.max(0, ns / 1e6 - resolution);
  answerCalls({
    reset: () => delay.reset(),
    /** What is left after the garbage is collected, in MB; of the main thread. V8 gives the system back what it had for the garbage. */
    heapMb() {
      setFlagsFromString('--expose-gc');
      const collect = runInNewContext('gc');
      for (let time = 0; time < 3; time += 1) collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return (heapUsed + arrayBuffers) / 1024 / 1024;
    },
    delay: () => ({ p50: ms(delay.percentile(50)), p99: ms(delay.percentile(99)), max: ms(delay.max) }),
  });
  process.channel?.unref();
}
