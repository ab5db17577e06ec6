// A private ejabberd: own configuration, data, ports, node name and cookie, nothing outside its directory. For tests.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { makeCertificate } from './certificate.ts';
import { type EjabberdSettings, ejabberdConfig } from './ejabberd-config.ts';
import type { Breach, LegacyServer, LegacyServerOptions } from './legacy-server.ts';
import { freePorts } from './ports.ts';

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 30_000;

const here = fileURLToPath(new URL('.', import.meta.url));
const moduleDir = fileURLToPath(new URL('../../server-modules/ejabberd/mod_crossfade_attach', import.meta.url));

export interface Ejabberd extends LegacyServer {
  /** Runs one line of Erlang in the server; rejects when it fails. */
  eval(line: string): Promise<void>;
  /** Of its API, with `tokens`. */
  readonly tokenUrl?: string;
}

/**
 * Starts ejabberd as our own process, and resolves when both ports take connections. Rejects with the end of its log if it
 * does not come up. `bare`: our module is not even on its code path. `tokens`: its API issues them.
 */
export async function startEjabberd(
  options: LegacyServerOptions & { bare?: boolean; tokens?: boolean },
): Promise<Ejabberd> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'crossfade-ejabberd-')));
  await mkdir(join(dir, 'data'), { recursive: true });
  const ports = (await freePorts(5)) as [number, number, number, number, number];
  const [c2sPort, componentPort, nodePort, directPort, apiPort] = ports;
  const ca = options.tls ? join(dir, 'example.com.crt') : undefined;
  const { archive = false, attach = true, attachers = options.components.map(({ domain }) => domain) } = options;
  const settings: EjabberdSettings = {
    c2sPort,
    componentPort,
    components: options.components,
    archive,
    attacher: attach ? attachers[0] : undefined,
    resumeTimeout: options.resumeTimeout ?? 3600,
    maxUnacked: options.maxUnacked ?? 20_000,
    maxOffline: options.maxOffline ?? 100_000,
  };
  if (options.tokens) settings.apiPort = apiPort;
  if (ca) {
    await makeCertificate(dir);
    const pem = join(dir, 'example.com.pem');
    await writeFile(pem, (await readFile(join(dir, 'example.com.key'), 'utf8')) + (await readFile(ca, 'utf8')));
    settings.tls = { directPort, pem };
  }
  await writeFile(join(dir, 'ejabberd.yml'), ejabberdConfig(settings), { mode: 0o600 });
  const whole = await compiled(options.bare ?? false);
  const code = options.broken ? await broken(whole, dir, options.broken) : whole;
  const log = () => readFile(join(dir, 'ejabberd.log'), 'utf8').catch(() => '');
  const start = () => Node.start(dir, code, nodePort, log);

  let node = await start();
  for (const [user, password] of Object.entries(options.accounts)) {
    await node.eval(`ok = ejabberd_auth:try_register(${binary(user)}, <<"example.com">>, ${binary(password)})`);
  }
  for (const [user, others] of Object.entries(options.contacts ?? {})) {
    const add = `mod_admin_extra:add_rosteritem(${binary(user)}, H, O, H, O, <<>>, <<"both">>)`;
    await node.eval(`H = <<"example.com">>, [ok = ${add} || O <- [${others.map(binary).join(', ')}]]`);
  }
  // A server that is killed at once has its accounts nevertheless.
  await node.eval('ejabberd_control:settle()');
  const sessionOf = (jid: string) => {
    const [bare = '', resource = ''] = jid.split(/\/(.*)/s);
    return `ejabberd_sm:get_session_pid(${binary(bare.split('@')[0]!)}, <<"example.com">>, ${binary(resource)})`;
  };
  const actions = {
    load: '{ok, _} = gen_mod:start_module(<<"example.com">>, mod_crossfade_attach)',
    unload: 'ok = gen_mod:stop_module(<<"example.com">>, mod_crossfade_attach)',
  };
  return {
    domain: 'example.com',
    c2sPort,
    componentPort,
    dir,
    ...(ca && { ca, directPort }),
    ...(options.tokens && { tokenUrl: `http://127.0.0.1:${apiPort}/api` }),
    get pid() {
      return node.child.pid!;
    },
    log,
    async stop() {
      await node.stop();
      if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
    },
    kill9: () => node.kill9(),
    async restart() {
      await node.stop();
      node = await start();
    },
    deleteUser: (user) => node.eval(`ok = ejabberd_auth:remove_user(${binary(user)}, <<"example.com">>)`),
    async module(action) {
      for (const one of action === 'reload' ? (['unload', 'load'] as const) : [action]) await node.eval(actions[one]);
    },
    // The session's process may have other things to do first; a message that comes between is routed again when it ends.
    closeClient: (jid) => node.eval(`ejabberd_c2s:close(${sessionOf(jid)}), ejabberd_control:settle()`),
    async untilPending(jid) {
      await node.eval(
        `(fun F(P) -> case ejabberd_control:is_pending(P) of true -> ok; false -> timer:sleep(20), F(P) end end)(${sessionOf(jid)})`,
      );
    },
    // A component that has not said hello to our module: what ejabberd itself sends it goes to any of its connections.
    untilAway: (component) =>
      node.eval(
        `(fun F() -> case mnesia:dirty_read(route, ${binary(component)}) of [] -> ok; _ -> timer:sleep(5), F() end end)()`,
      ),
    eval: (line) => node.eval(line),
    settle: () => node.eval('ejabberd_control:settle()'),
  };
}

/** One life of the server's process. */
class Node {
  readonly child: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(child: ChildProcess) {
    this.child = child;
    child.stdin!.on('error', () => {}); // killed
    this.#answers = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  }

  static async start(dir: string, code: string, nodePort: number, log: () => Promise<string>): Promise<Node> {
    const cookie = randomBytes(12).toString('hex');
    const args = ['-sname', `crossfade${nodePort}@localhost`, '-setcookie', cookie, '-start_epmd', 'false'];
    args.push('-erl_epmd_port', String(nodePort), '-kernel', 'inet_dist_use_interface', '{127,0,0,1}');
    args.push('-pa', code, '-mnesia', 'dir', `"${join(dir, 'data')}"`, '+K', 'true', '-noshell');
    args.push('+sss', '8192'); // as docs/servers/ejabberd.md asks: else a stanza nested deeply enough ends the server
    args.push('-s', 'ejabberd', '-s', 'ejabberd_control');
    const env = {
      ...{ PATH: process.env.PATH, HOME: dir, ERL_LIBS: ejabberdLibs(), ERL_CRASH_DUMP_BYTES: '0' },
      ...{ EJABBERD_CONFIG_PATH: join(dir, 'ejabberd.yml'), EJABBERD_LOG_PATH: join(dir, 'ejabberd.log') },
      ...{ CONTRIB_MODULES_PATH: join(dir, 'modules'), CONTRIB_MODULES_CONF_DIR: join(dir, 'modules.d') },
    };
    const child = spawn('erl', args, { cwd: dir, env, stdio: ['pipe', 'pipe', 'ignore'] });
    await once(child, 'spawn');
    const node = new Node(child);
    const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS);
    const first = await node.#answer();
    clearTimeout(timer);
    if (first !== '=> ready') {
      await node.kill9();
      throw new Error(`ejabberd did not start (${first}):\n${(await log()).split('\n').slice(-25).join('\n')}`);
    }
    return node;
  }

  /** The next line that is an answer; the server's own log goes there, too. */
  async #answer(): Promise<string | undefined> {
    for (;;) {
      const { value, done } = await this.#answers.next();
      if (done) return undefined;
      if (/^(=>|!!) /.test(value)) return value;
    }
  }

  /** Runs one line of Erlang in the server; rejects when it fails. */
  async eval(line: string): Promise<void> {
    const turn = this.#last.then(async () => {
      this.child.stdin!.write(`${line}.\n`);
      const answer = await this.#answer();
      if (!answer?.startsWith('=> ')) throw new Error(`ejabberd: ${line}: ${answer}`);
    });
    this.#last = turn.catch(() => {});
    await turn;
  }

  stop(): Promise<void> {
    return this.#end(() => void this.child.stdin!.write('init:stop().\n'));
  }

  kill9(): Promise<void> {
    return this.#end(() => void this.child.kill('SIGKILL'));
  }

  async #end(tell: () => void): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    tell();
    const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  }
}

/** Debian keeps ejabberd outside Erlang's own folder. */
function ejabberdLibs(): string {
  const [found] = globSync('/usr/lib/*/ejabberd-*/ebin');
  return found === undefined ? '' : join(found, '..', '..');
}

/** Our control, and the module if not `bare`, compiled once for each state of their sources. */
async function compiled(bare: boolean): Promise<string> {
  const control = join(here, 'ejabberd_control.erl');
  const src = join(moduleDir, 'src');
  const sources = bare ? [] : readdirSync(src).map((name) => join(src, name));
  const hash = createHash('sha256');
  for (const file of [control, ...sources]) hash.update(file).update(readFileSync(file));
  const out = join(tmpdir(), `crossfade-ejabberd-code-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(out)) return out;
  const making = await mkdtemp(`${out}-`);
  const run = promisify(execFile);
  if (!bare) await run('sh', [join(moduleDir, 'compile.sh'), making]);
  await run('erlc', ['-o', making, control]);
  await rename(making, out).catch(() => rm(making, { recursive: true })); // another one was first
  return out;
}

/** The same code, but for one file of the module. */
async function broken(code: string, dir: string, { file, from, to }: Breach): Promise<string> {
  const [source, out] = [join(dir, 'broken'), join(dir, 'code')];
  await cp(code, out, { recursive: true });
  await cp(moduleDir, source, { recursive: true });
  const path = join(source, 'src', file);
  const text = await readFile(path, 'utf8');
  if (!text.includes(from)) throw new Error(`${file} does not say ${from}`);
  for (const name of readdirSync(join(source, 'src')))
    if (name.endsWith('.erl') && name !== file) await rm(join(source, 'src', name));
  await writeFile(
    path,
    text.replaceAll(from, () => to),
  );
  await promisify(execFile)('sh', [join(source, 'compile.sh'), out]);
  return out;
}

function binary(text: string): string {
  return `<<"${text.replace(/[\\"]/g, '\\$&')}"/utf8>>`;
}
