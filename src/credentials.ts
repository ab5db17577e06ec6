// Where the credentials of client sessions come from (attach: client): a file, a command or an HTTP endpoint of the operator's. Never in a log.

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
  const { file, command, url, secret, timeout } = sources;
  if (file !== undefined) return fromFile(file);
  if (command.length > 0) return fromCommand(command, timeout);
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

/** Its last argument is the JID; its first line of output the password, or `token:` and a token. SIGTERM it could ignore. */
function fromCommand([program = '', ...args]: string[], timeout: number): CredentialSource {
  const call = promisify(execFile);
  const options = { timeout, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 } as const;
  return async (user) => {
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
  const headers: Record<string, string> = { 'content-type': 'application/json', 'user-agent': 'crossfade' };
  if (secret !== undefined) headers.authorization = `Bearer ${secret}`;
  return async (jid) => {
    try {
      const signal = AbortSignal.timeout(timeout);
      const request = { method: 'POST', headers, body: JSON.stringify({ jid }), redirect: 'manual', signal } as const;
      const answer = await fetch(url, request);
      // What is not read keeps its connection.
      if (!answer.ok) await answer.body?.cancel();
      if (answer.status === 404) return absent(`the endpoint for credentials does not know ${jid}`);
      if (!answer.ok) return later(`the endpoint for credentials answers with status ${answer.status}`);
      const { password, token } = (await answer.json()) as Record<string, unknown>;
      if (typeof password === 'string' && password !== '') return found({ password });
      if (typeof token === 'string' && token !== '') return found({ token });
      return later('the endpoint for credentials gives neither password nor token');
    } catch (fault) {
      const { name, cause } = fault as Error & { cause?: { code?: string } };
      return later(`the endpoint for credentials does not answer (${cause?.code ?? name})`);
    }
  };
}

const found = (credential: { password: string } | { token: string }): CredentialAnswer => ({
  kind: 'found',
  credential,
});
const absent = (text: string): CredentialAnswer => ({ kind: 'absent', text });
const later = (text: string): CredentialAnswer => ({ kind: 'later', text });
