// Which configuration a command works with, and how it finds the running gateway and its token.

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { readToken, tokenFile } from '../admin-token.ts';
import { ConfigFault, ConfigSource, type Tree } from '../config/source.ts';
import { type StrangeVariable, strangeVariables } from '../config/strange-variables.ts';
import type { Config } from '../config.ts';
import { CliFault, exitCodes } from './exit.ts';

/** Options of every command that asks the gateway. */
export interface GatewayOptions {
  config?: string;
  url?: string;
  token?: string;
}

const standardFile = 'crossfade.yaml';

/** `--config`, else CROSSFADE_CONFIG, else crossfade.yaml in this folder if there is one; none: the environment alone. */
export function configFile(given: string | undefined): string | undefined {
  return given ?? process.env.CROSSFADE_CONFIG ?? (existsSync(standardFile) ? standardFile : undefined);
}

export interface Settings {
  file: string | undefined;
  config: Config;
  /** Variables that are meant for it, and no key's. */
  strange: StrangeVariable[];
}

/** The whole configuration, and the file it came from. Throws a ConfigFault, or a CliFault where there is no file. */
export async function readConfig(given: string | undefined): Promise<Settings> {
  const file = configFile(given);
  // Loaded here: most commands do without the whole schema, and start in half the time.
  const { configFrom } = await import('../config.ts');
  try {
    const source = new ConfigSource(file, process.env);
    const config = configFrom(source);
    // Not read a second time: it may be a pipe.
    return { file, config, strange: strangeVariables(process.env, source.text) };
  } catch (error) {
    if (file !== undefined || !(error instanceof ConfigFault)) throw error;
    const text = `${error.message}\nThere is no ${standardFile} in this folder: name one with --config.`;
    throw new CliFault(exitCodes.configuration, text);
  }
}

export interface Target {
  url: string;
  token(): string;
  /** Where the token came from, for the message about a wrong one. */
  tokenFrom: string;
}

/**
 * Options come before the environment, and that before crossfade.yaml. Of the file only what concerns the admin side is
 * looked at: whoever asks the gateway need not hold the secrets it runs with. Throws a ConfigFault or a CliFault.
 */
export function findGateway(options: GatewayOptions): Target {
  const { env } = process;
  const url = options.url ?? env.CROSSFADE_ADMIN_URL;
  const token = options.token ?? env.CROSSFADE_ADMIN_TOKEN;
  if (url !== undefined && token !== undefined) return target(url, token, 'from --token or CROSSFADE_ADMIN_TOKEN');
  const source = new ConfigSource(configFile(options.config), env);
  const tree = source.read();
  const faults = source.faults.filter(({ path }) => /^admin\b|^ledger\b/.test(path));
  if (faults.length > 0) throw new ConfigFault(faults);
  const found = url ?? `http://${textAt(tree, 'admin', 'listen')}`;
  const configured = token ?? textAt(tree, 'admin', 'token');
  if (configured !== undefined) return target(found, configured, 'from --token, CROSSFADE_ADMIN_TOKEN or admin.token');
  const ledger = resolve(source.folder, textAt(tree, 'ledger', 'path') ?? '');
  return { ...target(found, '', `from ${tokenFile(ledger)}`), token: () => tokenOf(ledger) };
}

function target(url: string, token: string, tokenFrom: string): Target {
  if (!URL.canParse(url) || !/^https?:/.test(url))
    throw new CliFault(exitCodes.usage, `${url} is not the URL of a gateway, such as http://127.0.0.1:7400`);
  // Listening on all addresses, it is reached on this machine's own.
  const reachable = url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:');
  return { url: reachable.replace(/\/+$/, ''), token: () => sendable(token, tokenFrom), tokenFrom };
}

/** What a header cannot carry is no token of any gateway. */
function sendable(token: string, tokenFrom: string): string {
  if (/^[\x21-\x7e]*$/.test(token)) return token;
  throw new CliFault(exitCodes.forbidden, `the admin token (${tokenFrom}) holds characters that no token has.`);
}

function tokenOf(ledger: string): string {
  try {
    return readToken(ledger);
  } catch (error) {
    const hint =
      'It is made at the first `crossfade run`. Name the right --config, or give --token or CROSSFADE_ADMIN_TOKEN.';
    throw new CliFault(exitCodes.forbidden, `${(error as Error).message}. ${hint}`);
  }
}

function textAt(tree: Tree, section: string, key: string): string | undefined {
  const value = (tree[section] as Tree | undefined)?.[key];
  return value === undefined ? undefined : String(value);
}
