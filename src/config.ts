// Reads crossfade.yaml and the environment into a Config, or says everything that is wrong with them at once (DESIGN §9).

import { findPackageJSON } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { Ajv, type ErrorObject } from 'ajv';
import { distanceOf } from './config/distance.ts';
import { durationMs, leaves, nodeAt } from './config/keys.ts';
import type { Schema } from './config/node.ts';
import { schema } from './config/schema.ts';
import { ConfigFault, ConfigSource, type Env, sectionOf, type Tree } from './config/source.ts';
import { encodeUser } from './mqtt/topic.ts';
import { prepareBare, prepareDomain } from './xmpp/jid.ts';

export { ConfigFault } from './config/source.ts';

/** What the keys mean: docs/configuration.md. Durations are milliseconds, paths absolute, `…File:` values read. */
export interface Config {
  xmpp: {
    domain: string;
    component: {
      host: string;
      port: number;
      domain: string;
      secret: string;
      users: string[];
      /** What becomes of a request to see one of them. */
      subscriptions: 'ask' | 'accept';
    };
    attach: { kind: 'module' | 'client'; resource: string };
    client: {
      host: string;
      port: number;
      security: 'starttls' | 'direct' | 'none';
      /** PEM text. */
      ca?: string;
      sessionsPerSecond: number;
      archiveEvery: number;
      /** `timeout` in milliseconds. */
      credentials: {
        file?: string;
        command: string[];
        url?: string;
        ejabberd?: string;
        secret?: string;
        timeout: number;
      };
    };
    maxStanzaBytes: number;
    maxInboundBytes: number;
  };
  mqtt: {
    url: string;
    username: string;
    password?: string;
    /** PEM text. */
    ca?: string;
    cert?: string;
    key?: string;
    clientId: string;
    root: string;
    shadowRoot: string;
    /** Milliseconds. */
    brokerHorizon: number;
    offlineWindow: number;
    messagesPerSecond: number;
    messagesBurst: number;
    messagesWaiting: number;
    deviceDays: number;
    embeddedPort: number;
    /** `name:password` */
    embeddedAccounts: string[];
    allowOpenBroker: boolean;
  };
  migration: { legacyLogin: 'allow' | 'notify' | 'deny'; legacyLoginText: string; attachWindow: number };
  ledger: { path: string; historyDays: number; expireAfter?: number };
  admin: { listen: { host: string; port: number }; token?: string };
  /** Milliseconds. */
  webhook: { url?: string; secret?: string; every: number; timeout: number };
  /** Milliseconds. */
  shutdown: { drainTime: number };
  /** Folders. */
  mappings: string[];
  log: { level: 'debug' | 'info' | 'warn' | 'error' };
}

const ajv = new Ajv({ allErrors: true, verbose: true, strictTypes: false });
ajv.addVocabulary(['hint', 'reads', 'inFile']);
const validate = ajv.compile(schema);

/**
 * Only these sections are looked at, so that faults of the others do not matter; nothing else may be read of the result.
 */
export function loadSections<Name extends keyof Config>(
  { file, env }: { file?: string; env: Env },
  names: readonly Name[],
): Pick<Config, Name> {
  return readSections(new ConfigSource(file, env), names);
}

/**
 * Reads `file` (none: only the environment and the defaults) and lays `CROSSFADE_…` variables over it. Throws a
 * ConfigFault. Relative paths are taken from the file's folder, or from the working folder where there is no file.
 */
export function loadConfig({ file, env }: { file?: string; env: Env }): Config {
  return configFrom(new ConfigSource(file, env));
}

/** The same, for whoever wants to know more of where it comes from. */
export function configFrom(source: ConfigSource): Config {
  return readSections(source, Object.keys(schema.properties ?? {}) as (keyof Config)[]);
}

function readSections<Name extends keyof Config>(source: ConfigSource, names: readonly Name[]): Pick<Config, Name> {
  const tree = source.read();
  if (!validate(tree)) schemaFaults(source, validate.errors ?? []);
  crossCheck(source, tree);
  const isOther = (section: string) => section in (schema.properties ?? {}) && !names.includes(section as Name);
  const faults = source.faults.filter(({ path }) => !isOther(path.split('.')[0] ?? ''));
  if (faults.length > 0) throw new ConfigFault(faults);
  for (const { path, node } of leaves()) if (!isOther(path[0] ?? '')) convert(source, tree, path, node);
  return tree as unknown as Config;
}

/** What the schema finds, in our words; nothing about a key that is known to be faulty, and never a value (it may be secret). */
function schemaFaults(source: ConfigSource, errors: ErrorObject[]): void {
  for (const { keyword, instancePath, params, message = '', parentSchema } of errors) {
    const path = instancePath.split('/').slice(1);
    if (keyword === 'required') {
      const child = (parentSchema as Schema | undefined)?.properties?.[params.missingProperty];
      const key = params.missingProperty as string;
      if (source.isFaulty([...path, key])) continue;
      source.fault(
        [...path, key],
        'is missing',
        child?.hint ?? (child?.inFile ? `${key}: or ${key}File:` : child?.description),
      );
    } else if (keyword === 'additionalProperties') {
      const key = params.additionalProperty as string;
      source.fault([...path, key], 'unknown key', suggestion(key, parentSchema as Schema));
    } else if (keyword === 'enum') {
      source.fault(path, `must be one of ${(params.allowedValues as string[]).join(', ')}`);
    } else {
      const node = nodeAt(path);
      if (!source.isFaulty(path)) source.fault(path, keyword === 'pattern' ? 'does not fit' : message, node?.hint);
    }
  }
}

/** What one key alone cannot show, or the schema cannot say. */
function crossCheck(source: ConfigSource, tree: Tree): void {
  const textAt = (...path: string[]) => {
    const { section, key } = sectionOf(tree, path);
    const value = source.isFaulty(path) ? undefined : section?.[key];
    return typeof value === 'string' ? value : undefined;
  };
  const [root, shadow] = [textAt('mqtt', 'root'), textAt('mqtt', 'shadowRoot')];
  const [cert, key] = [textAt('mqtt', 'cert'), textAt('mqtt', 'key')];
  if (textAt('xmpp', 'attach', 'kind') === 'client') checkClient(source, tree, textAt);
  checkAddresses(source, tree, textAt);
  checkUrl(source, ['mqtt', 'url'], textAt('mqtt', 'url'), 'use mqtt.username and mqtt.password or mqtt.passwordFile');
  checkUrl(source, ['webhook', 'url'], textAt('webhook', 'url'), 'use webhook.secret or webhook.secretFile');
  if (root && shadow && (`${root}/`.startsWith(`${shadow}/`) || `${shadow}/`.startsWith(`${root}/`))) {
    source.fault(['mqtt', 'shadowRoot'], 'lies at, above or below mqtt.root', 'such as chat-shadow');
  }
  if (
    (cert === undefined) !== (key === undefined) &&
    !source.isFaulty(['mqtt', 'cert']) &&
    !source.isFaulty(['mqtt', 'key'])
  ) {
    source.fault(['mqtt', cert === undefined ? 'cert' : 'key'], 'is missing', 'certFile and keyFile go together');
  }
  if (Number(textAt('admin', 'listen')?.split(':').at(-1) ?? 0) > 65_535) {
    source.fault(['admin', 'listen'], 'the port is above 65535', '0 lets the system choose one');
  }
}

/** What client sessions need, and cannot do. */
function checkClient(source: ConfigSource, tree: Tree, textAt: (...path: string[]) => string | undefined): void {
  const credentials = ['xmpp', 'client', 'credentials'];
  const command: unknown = sectionOf(tree, [...credentials, 'command']).section?.command;
  const ways = ['file', 'url', 'ejabberd'].filter((way) => textAt(...credentials, way) !== undefined);
  if (Array.isArray(command) && command.length > 0) ways.push('command');
  if (ways.length !== 1)
    source.fault(
      credentials,
      ways.length === 0 ? 'is missing' : 'says it twice',
      'one of file, command, url and ejabberd',
    );
  const host = textAt('xmpp', 'client', 'host') ?? '';
  if (textAt('xmpp', 'client', 'security') === 'none' && !['127.0.0.1', '::1', 'localhost'].includes(host))
    source.fault(['xmpp', 'client', 'security'], 'none is for loopback only', 'use starttls or direct');
  if (textAt('xmpp', 'client', 'security') === 'none' && ways.includes('ejabberd'))
    source.fault(['xmpp', 'client', 'security'], 'tokens are not sent in the clear', 'use starttls or direct');
  if (textAt('migration', 'legacyLogin') === 'deny')
    source.fault(['migration', 'legacyLogin'], 'only the server module can refuse logins', 'use allow or notify');
  for (const way of ['url', 'ejabberd'])
    checkUrl(source, [...credentials, way], textAt(...credentials, way), 'use secret or secretFile');
}

/** The domains, and the addresses on the component's: each must be one, and mean the same to everybody. */
function checkAddresses(source: ConfigSource, tree: Tree, textAt: (...path: string[]) => string | undefined): void {
  const domainAt = (...path: string[]) => {
    const text = textAt(...path);
    const domain = text === undefined ? null : prepareDomain(text);
    if (text !== undefined && domain === null) source.fault(path, 'does not fit', nodeAt(path)?.hint);
    return domain;
  };
  const component = domainAt('xmpp', 'component', 'domain');
  const username = textAt('mqtt', 'username');
  const users: unknown = sectionOf(tree, ['xmpp', 'component', 'users']).section?.users;
  if (domainAt('xmpp', 'domain') === component && component !== null) {
    source.fault(
      ['xmpp', 'component', 'domain'],
      "is the users' domain",
      'a component needs its own, such as gw.example.com',
    );
  }
  for (const [index, user] of (Array.isArray(users) ? users : []).entries()) {
    const path = ['xmpp', 'component', 'users', String(index)];
    if (component === null || source.isFaulty(path)) continue;
    const address = prepareBare(String(user));
    if (address === null) source.fault(path, 'is no address', nodeAt(path)?.hint);
    else if (!address.endsWith(`@${component}`))
      source.fault(path, "is not on the component's domain", `name@${component}`);
    else if (username !== undefined && encodeUser(address, textAt('xmpp', 'domain') ?? '') === username)
      source.fault(path, "would share the gateway's own account at the broker", 'choose another mqtt.username');
  }
}

/** A URL is shown in many places, so no secret may be in it. */
function checkUrl(source: ConfigSource, path: string[], url: string | undefined, hint: string): void {
  if (url === undefined) return;
  if (!URL.canParse(url)) return source.fault(path, 'does not fit', nodeAt(path)?.hint);
  const { username, password } = new URL(url);
  if (username !== '' || password !== '') source.fault(path, 'holds a user name or password', hint);
}

/** From what is written to what the program works with. */
function convert(source: ConfigSource, tree: Tree, path: string[], node: Schema): void {
  const { section, key } = sectionOf(tree, path);
  const value = section?.[key];
  if (!section || value === undefined) return;
  const absolute = (name: string) => resolve(source.folder, name);
  if (node.reads === 'path') {
    section[key] = Array.isArray(value)
      ? value.map((name) => (name === 'builtin' ? builtinMappings() : absolute(name)))
      : absolute(value as string);
  } else if (node.reads === 'duration') {
    section[key] = durationMs(value as string);
  } else if (node.reads === 'domain') {
    section[key] = prepareDomain(value as string);
  } else if (node.reads === 'users') {
    section[key] = (value as string[]).map((address) => prepareBare(address));
  } else if (node.reads === 'address') {
    const [, host = '', port] = /^\[?(.*?)\]?:(\d+)$/.exec(value as string) ?? [];
    section[key] = { host, port: Number(port) };
  }
}

/** The known key that is at most two letters away. */
function suggestion(key: string, section: Schema): string {
  const known = Object.entries(section.properties ?? {}).flatMap(([name, { inFile }]) =>
    inFile ? [name, `${name}File`] : [name],
  );
  const near = known
    .map((name) => ({ name, distance: distanceOf(key, name) }))
    .sort((a, b) => a.distance - b.distance)[0];
  return near && near.distance <= 2 ? `did you mean ${near.name}?` : `known are ${known.join(', ')}`;
}

/** The folder that comes with the package, from source and from dist alike. */
function builtinMappings(): string {
  return join(dirname(findPackageJSON('..', import.meta.url) ?? ''), 'mappings');
}
