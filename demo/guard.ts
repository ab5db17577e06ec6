// Ends what the demo started and removes its folder, should the demo itself die without doing so (kill -9, a crash).

import { type ChildProcess, spawn } from 'node:child_process';

/** Reads the running processes, a line each time they change; the end of input is the end of the demo. */
const script = 'pids=; while read -r line; do pids=$line; done; [ -z "$pids" ] || kill -9 $pids; rm -rf "$1"';

export class Guard {
  readonly #child: ChildProcess;

  /** In a session of its own, as a Ctrl-C in the terminal must not reach it. */
  constructor(dir: string) {
    this.#child = spawn('sh', ['-c', script, 'crossfade-demo-guard', dir], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#child.stdin!.on('error', () => {}); // somebody ended it: then the demo goes on without
    this.#child.on('error', () => {});
    this.#child.unref();
  }

  /** These, and no others, are to be ended. */
  watch(pids: (number | undefined)[]): void {
    this.#child.stdin!.write(`${pids.filter(Boolean).join(' ')}\n`);
  }

  /** All is tidied up. */
  dismiss(): void {
    this.watch([]);
    this.#child.stdin!.end();
  }
}
