// Runs one command quietly: a line before, a line after, and the end of its output only if it fails. Node ≥ 18, no packages.

import { spawn } from 'node:child_process';

const tailLines = 40;

/**
 * Resolves with true if the command ended with 0. Signals are handed on, and the command is awaited, so that what it has
 * to clean up is cleaned up. `interactive` leaves it the terminal for a password question.
 */
export function runQuietly(what, [command, ...args], { cwd, env = process.env, interactive = false }) {
  const started = Date.now();
  console.error(`setup: ${what} …`);
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env, stdio: [interactive ? 'inherit' : 'ignore', 'pipe', 'pipe'] });
    let output = '';
    const keep = (text) => {
      output = (output + text).slice(-64_000);
    };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);

    let stopped = 0;
    const forward = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };
    const listeners = Object.entries(forward).map(([signal, code]) => {
      const listener = () => {
        stopped = code;
        child.kill(signal);
      };
      process.on(signal, listener);
      return [signal, listener];
    });

    child.on('error', (fault) => keep(`${command}: ${fault.message}\n`));
    child.on('close', (code) => {
      for (const [signal, listener] of listeners) process.off(signal, listener);
      if (stopped) process.exit(stopped);
      const seconds = Math.round((Date.now() - started) / 1000);
      if (code === 0) {
        console.error(`setup: ${what}: done (${seconds} s)`);
        return resolve(true);
      }
      const tail = output.trimEnd().split('\n').slice(-tailLines);
      console.error(`setup: ${what}: failed (${command} ended with ${code}). The end of its output:`);
      console.error(tail.map((line) => `  | ${line}`).join('\n'));
      resolve(false);
    });
  });
}
