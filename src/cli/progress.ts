// Progress on a terminal: one line that changes in place; and what Ctrl-C says.

import { note } from './output.ts';

export interface Progress {
  /** Shown on a terminal only. */
  show(line: string): void;
  /** The line goes, and Ctrl-C ends the command as it does by itself. */
  end(): void;
}

/** `onInterrupt` gives what goes on without us; the command ends with 130 then. */
export function showProgress(onInterrupt: () => string): Progress {
  const { stderr } = process;
  const clear = () => {
    if (stderr.isTTY) stderr.write('\r\x1b[K');
  };
  const interrupted = () => {
    clear();
    note(onInterrupt());
    process.exit(130);
  };
  process.once('SIGINT', interrupted);
  return {
    show(line) {
      if (stderr.isTTY) stderr.write(`\r\x1b[K${line.slice(0, Math.max(20, (stderr.columns ?? 80) - 1))}`);
    },
    end() {
      process.off('SIGINT', interrupted);
      clear();
    },
  };
}
