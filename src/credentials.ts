// Where the credentials of client sessions come from (attach: client): a file, a command or an HTTP endpoint of the operator's, or
// ejabberd's own API. Never in a log.

import { type ExecFileException, execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Config } from './config.ts';
import type { CredentialAnswer } from './xmpp/client-logins.ts';

type Sources = Config['xmpp']['client']['credentials'];
export type CredentialSource = (user: string) => Promise<CredentialAnswer>;

/** sysexits(3): the user is unknown; any other code is a fault that may pass. */
const noUser = 67;

/** The one that is configured; the configuration has seen to it that there is exactly one. Rejects never. */
export function credentialSource(sources: Sources): CredentialSource {
  const { file, command, ejabberd, url, secret, timeout } = sources;
  if (file !== undefined) return fromFile(file);
  if (command.length > 0) return fromCommand(command, timeout);
  if (ejabberd !== undefined) return fromEjabberd(ejabberd, secret, timeout);
  return fromUrl(url ?? '', secret, timeout);
}

/** Lines `user:password` or `user@domain:password`; empty ones and those that begin with # are left out. Read again whenever it has changed. */
function fromFile(path: string): CredentialSource {
  let readAt = Number.NaN;
  let lines = new Map<string, string>();
  return async (user) => {
    try {
      const { mtimeMs, mode } = await stat(path);
      if (mode & 0o077) return later(`${path} can be read by others: chmod 600`);
      if (mtimeMs !== readAt) {
        lines = linesOf(await readFile(path, 'utf8'));
        readAt = mtimeMs;
      }
    } catch (fault) {
      return later(`${path} cannot be read: ${(fault as NodeJS.ErrnoException).code}`);
    }
    const password = lines.get(user) ?? lines.get(user.split('@')[0] ?? '');
    return password === undefined ? absent(`${path} has no line for ${user}`) : found({ password });
  };
}

function linesOf(text: string): Map<string, string> {
  const lines = text.split(/\r?\n/).filter((line) => line.includes(':') && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]));
}

/**
 * Its last argument is the JID; its first line of output the password, or `token:` and a token. SIGTERM it could ignore. A JID that looks
 * like an option is passed behind `--` only, and whether the program knows that, the operator says by writing it.
 */
function fromCommand([program = '', ...args]: string[], timeout: number): CredentialSource {
  const call = promisify(execFile);
  const options = { timeout, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 } as const;
  return async (user) => {
    if (user.startsWith('-') && args.at(-1) !== '--')
      return absent(
        `${program} could take ${user} for an option: end xmpp.client.credentials.command with -- if it knows that`,
      );
    try {
      const { stdout } = await call(program, [...args, user], options);
      const [line = ''] = stdout.split(/\r?\n/);
      if (line === '') return later(`${program} gave nothing for ${user}`);
      return found(line.startsWith('token:') ? { token: line.slice(6) } : { password: line });
    } catch (fault) {
      // Not its message: that holds what the program has said.
      const { code, killed, signal } = fault as ExecFileException;
      if (code === noUser) return absent(`${program} does not know ${user}`);
      return later(`${program} failed (${killed ? 'timeout' : (code ?? signal)})`);
    }
  };
}

/** POST of `{"jid"}`; answers `{"password"}` or `{"token"}`; 404: there is no such user. */
function fromUrl(url: string, secret: string | undefined, timeout: number): CredentialSource {
  const endpoint = 'the endpoint for credentials';
  return async (jid) => {
    const answer = await post({ url, body: { jid }, secret, timeout });
    if ('fault' in answer) return later(`${endpoint} does not answer (${answer.fault})`);
    if (answer.status === 404) return absent(`${endpoint} does not know ${jid}`);
    if (!answer.isOk) return later(`${endpoint} answers with status ${answer.status}`);
    const { password, token } = answer.body;
    if (typeof password === 'string' && password !== '') return found({ password });
    if (typeof token === 'string' && token !== '') return found({ token });
    return later(`${endpoint} gives neither password nor token`);
  };
}

/** It is used at once, and never again. */
const tokenSeconds = 300;

/** mod_http_api. It issues tokens for accounts that are not there, too, and lets them in (23.01), so that is asked first. */
function fromEjabberd(api: string, secret: string | undefined, timeout: number): CredentialSource {
  const call = (command: string, body: object) =>
    post({ url: `${api.replace(/\/$/, '')}/${command}`, body, secret, timeout });
  return async (jid) => {
    const [user = '', host = ''] = jid.split('@');
    const account = await call('check_account', { user, host });
    if (!('fault' in account) && account.isOk && account.body.value === 1)
      return absent(`ejabberd has no account ${jid}`);
    if ('fault' in account || account.body.value !== 0) return later(noToken('check_account', account));
    const issued = await call('oauth_issue_token', { jid, ttl: tokenSeconds, scopes: 'sasl_auth' });
    if (!('fault' in issued) && issued.isOk && typeof issued.body.token === 'string')
      return found({ token: issued.body.token });
    return later(noToken('oauth_issue_token', issued));
  };
}

/** What to do about it, by what ejabberd 23.01 says. */
const apiHints: [said: RegExp, todo: string][] = [
  [/^badpass$/, 'oauth_access must allow the user'],
  [/^unknown_command$/, 'mod_admin_extra must be loaded'],
  [/AccessRules/, 'api_permissions must let us call check_account and oauth_issue_token'],
];

function noToken(command: string, answer: Answer): string {
  if ('fault' in answer) return `ejabberd's API does not answer (${answer.fault})`;
  const { status, body } = answer;
  const said = String(body.message ?? body.value ?? '');
  const todo = apiHints.find(([pattern]) => pattern.test(said))?.[1];
  return `ejabberd's API refuses ${command}: status ${status} ${said}${todo ? ` (${todo})` : ''}`;
}

type Answer = { isOk: boolean; status: number; body: Record<string, unknown> } | { fault: string };

async function post(request: {
  url: string;
  body: object;
  secret: string | undefined;
  timeout: number;
}): Promise<Answer> {
  const { url, secret, timeout } = request;
  const headers: Record<string, string> = { 'content-type': 'application/json', 'user-agent': 'crossfade' };
  if (secret !== undefined) headers.authorization = `Bearer ${secret}`;
  const [body, signal] = [JSON.stringify(request.body), AbortSignal.timeout(timeout)];
  try {
    const answer = await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal });
    return { isOk: answer.ok, status: answer.status, body: objectIn(await answer.text()) };
  } catch (fault) {
    const { name, cause } = fault as Error & { cause?: { code?: string } };
    return { fault: cause?.code ?? name };
  }
}

/** An answer that is no object is its `value`; one that is no JSON says nothing. */
function objectIn(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : { value };
  } catch {
    return {};
  }
}

const found = (credential: { password: string } | { token: string }): CredentialAnswer => ({
  kind: 'found',
  credential,
});
const absent = (text: string): CredentialAnswer => ({ kind: 'absent', text });
const later = (text: string): CredentialAnswer => ({ kind: 'later', text });
