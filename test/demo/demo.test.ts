// The demo as a person runs it: a process that tells its story, and leaves nothing behind however it ends.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Happenings } from '../harness/happenings.ts';

const script = fileURLToPath(new URL('../../demo/demo.ts', import.meta.url));
const storyTimeoutMs = 110_000;

let temporary: string;
const demos: Demo[] = [];
beforeEach(() => {
  temporary = mkdtempSync(join(tmpdir(), 'crossfade-demo-test-'));
});
afterEach(async () => {
  for (const demo of demos.splice(0)) await demo.end();
  rmSync(temporary, { recursive: true, force: true });
});

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

class Demo {
  readonly lines = new Happenings<string>();
  readonly child: ChildProcess;
  #err = '';
  readonly #closed: Promise<[number | null]>;

  constructor(args: string[], env: NodeJS.ProcessEnv = {}, stdin: 'ignore' | 'pipe' = 'ignore') {
    this.child = spawn(process.execPath, [script, ...args], {
      env: { ...process.env, TMPDIR: temporary, ...env },
      stdio: [stdin, 'pipe', 'pipe'],
    });
    createInterface({ input: this.child.stdout! }).on('line', (line) => this.lines.add(line));
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#err += text));
    this.#closed = once(this.child, 'close').finally(() => this.lines.close()) as Promise<[number | null]>;
    demos.push(this);
  }

  /** The first line with this text. */
  async says(text: string): Promise<string> {
    return await this.lines.until((lines) => lines.find((line) => line.includes(text)), text, storyTimeoutMs);
  }

  async ended(): Promise<Ended> {
    const [code] = await this.#closed;
    return { code, out: this.lines.items.join('\n'), err: this.#err };
  }

  /** What a test that failed has left running. */
  async end(): Promise<void> {
    this.child.kill();
    await this.#closed;
  }
}

/** Processes of which a path below the test's folder is an argument: servers, gateways, guards. */
function running(): string[] {
  const all = execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' }).split('\n');
  return all.filter((line) => line.includes(join(temporary, 'crossfade-demo-')));
}

/** Resolves when nothing is left; what is still there after a while is the fault. */
async function expectNothingLeft(): Promise<void> {
  const left = () => [...running(), ...readdirSync(temporary)];
  await expect.poll(left, { timeout: 10_000, interval: 50 }).toEqual([]);
}

test.each(['mosquitto', 'embedded'])(
  'the story on %s: every count is right, it ends with 0, and leaves neither processes nor files',
  async (broker) => {
    const { code, out, err } = await new Demo(['--once', '--broker', broker]).ended();
    expect({ code, err, wrong: out.split('\n').filter((line) => line.includes('✗')) }, out).toEqual({
      code: 0,
      err: '',
      wrong: [],
    });
    expect(out).toMatch(/All \d+ counts are right/);
    expect(out).toContain('300 of 300');
    expect(out).not.toContain('\x1b');
    expect(out.split('\n').length).toBeLessThanOrEqual(80);
    await expectNothingLeft();
  },
  storyTimeoutMs,
);

test(
  'after the story it stays up, the commands that it prints work, what is typed is said, and Ctrl-C ends it with 130 and nothing left',
  async () => {
    const demo = new Demo([], {}, 'pipe');
    const path = (await demo.says('export PATH=')).match(/PATH="([^:"]+):/)?.[1] ?? '';
    const setBob = (await demo.says('--reason "my turn"')).trim().slice(2);
    const publish = (await demo.says('mqtt pub')).trim().slice(2);
    const curl = (await demo.says('curl -sS')).trim().slice(2);
    const shell = (command: string) =>
      execFileSync('sh', ['-c', command], {
        encoding: 'utf8',
        env: { ...process.env, PATH: [path, process.env.PATH].join(delimiter) },
      });
    expect(shell(setBob)).toContain('bob@example.com is in phase mqtt');
    expect(JSON.parse(shell(curl))).toMatchObject({ jid: 'bob@example.com', phase: 'mqtt' });
    shell(publish);
    await demo.says("Bob's phone      ← alice@example.com/desk: You wrote: Hello");
    expect(shell('crossfade ledger show try-1')).toContain('from an app of bob@example.com to alice@example.com');
    expect(shell('crossfade user list')).toContain('bob@example.com');
    demo.child.stdin?.write('Typed here\n');
    await demo.says("Bob's phone      ← alice@example.com/desk: Typed here");

    demo.child.kill('SIGINT');
    expect((await demo.ended()).code).toBe(130);
    await expectNothingLeft();
  },
  storyTimeoutMs,
);

test('ended while it starts, it leaves nothing, and ends with the code of the signal', async () => {
  const demo = new Demo(['--once']);
  await expect.poll(() => running().length, { timeout: 20_000, interval: 10 }).toBeGreaterThan(1);
  demo.child.kill('SIGTERM');
  expect((await demo.ended()).code).toBe(143);
  await expectNothingLeft();
});

test('killed with -9 in the middle of the story, its servers end and its folder goes', async () => {
  const demo = new Demo(['--once']);
  await demo.says('Bob closes his laptop');
  expect(running().length).toBeGreaterThanOrEqual(3);
  demo.child.kill('SIGKILL');
  await expectNothingLeft();
}, 60_000);

test('without Prosody it says what to run, without a stack', async () => {
  const { code, err } = await new Demo(['--once'], {
    PATH: temporary,
  }).ended();
  expect(code).toBe(1);
  expect(err).toContain('prosody is not installed. Run `node scripts/setup.mjs --for demo`');
  expect(err).not.toContain('    at ');
  await expectNothingLeft();
});

test.each([
  { args: ['--help'], code: 0, says: '--broker <which>' },
  { args: ['--broker', 'nats'], code: 2, says: '--broker is mosquitto or embedded, not "nats".' },
  { args: ['--twice'], code: 2, says: '--twice' },
])('$args: exit code $code', async ({ args, code, says }) => {
  const ended = await new Demo(args).ended();
  expect(ended.code).toBe(code);
  expect(ended.out + ended.err).toContain(says);
  expect(readdirSync(temporary)).toEqual([]);
});
