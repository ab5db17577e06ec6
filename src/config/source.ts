// The configuration as it stands in the file and the environment, before it is checked: where each key comes from.

import { readFileSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { leaves, nodeAt, variableOf } from './keys.ts';
import type { Schema } from './node.ts';
import { schema } from './schema.ts';

export interface ConfigFaultRow {
  /** `crossfade.yaml:7`, or the environment variable it comes from. */
  where: string;
  /** `mqtt.url`; empty for the file as a whole. */
  path: string;
  reason: string;
  hint?: string;
}

/** Thrown with all that is wrong, one line each: where, path, reason, and what to do. */
export class ConfigFault extends Error {
  readonly faults: ConfigFaultRow[];

  constructor(faults: ConfigFaultRow[]) {
    const lines = faults.map(({ where, path, reason, hint }) =>
      [where, ...(path === '' ? [] : [path]), hint === undefined ? reason : `${reason} (${hint})`].join(': '),
    );
    super(`the configuration cannot be used:\n${lines.join('\n')}`);
    this.name = 'ConfigFault';
    this.faults = faults;
  }
}

export type Tree = { [key: string]: unknown };
export type Env = Record<string, string | undefined>;

const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value);

/** The file and the environment, with the faults found on the way. */
export class ConfigSource {
  readonly file: string | undefined;
  readonly folder: string;
  readonly env: Env;
  readonly faults: ConfigFaultRow[] = [];
  /** The file, once it is read. */
  text = '';
  readonly #lines = new LineCounter();
  /** Keys that come from the environment, with the variable's name. */
  readonly #fromEnv = new Map<string, string>();
  #document: Document | undefined;

  constructor(file: string | undefined, env: Env) {
    this.file = file;
    this.folder = file === undefined ? process.cwd() : dirname(resolve(file));
    this.env = env;
  }

  /** All values: the file's, over them the environment's, under them the defaults. Throws where the file is no YAML. */
  read(): Tree {
    const raw = this.#parse();
    if (this.faults.length > 0) throw new ConfigFault(this.faults);
    const tree = this.#expand(raw, []) as Tree;
    for (const { path, node } of leaves()) this.#override(tree, path, node);
    for (const { path, node } of leaves()) {
      if (node.inFile) this.#readFile(tree, path);
    }
    return withDefaults(schema, tree) as Tree;
  }

  fault(path: string[], reason: string, hint?: string): void {
    this.faults.push({
      where: this.#where(path),
      path: path.join('.'),
      reason,
      ...(hint === undefined ? {} : { hint }),
    });
  }

  /** Whether something is known to be wrong with a key; what follows from that need not be said. */
  isFaulty(path: string[]): boolean {
    const name = path.join('.');
    return this.faults.some((fault) => fault.path === name || fault.path === `${name}File`);
  }

  /** The line of a key, or of the nearest section around it that is there. */
  #where(path: string[]): string {
    const variable = this.#fromEnv.get(path.join('.'));
    if (variable !== undefined) return variable;
    if (this.file === undefined) return variableOf(path);
    let line = 1;
    let node: unknown = this.#document?.contents;
    for (const key of path) {
      const pair = isMap(node) ? node.items.find((item) => isScalar(item.key) && item.key.value === key) : undefined;
      const next: unknown = isSeq(node) ? node.items[Number(key)] : pair?.key;
      const offset = isNode(next) ? next.range?.[0] : undefined;
      if (offset === undefined) break;
      line = this.#lines.linePos(offset).line;
      node = isSeq(node) ? next : pair?.value;
    }
    return `${basename(this.file)}:${line}`;
  }

  #parse(): Tree {
    if (this.file === undefined) return {};
    try {
      this.text = readFileSync(this.file, 'utf8');
    } catch (error) {
      const reason = `cannot be read (${(error as NodeJS.ErrnoException).code})`;
      this.faults.push({ where: this.file, path: '', reason, hint: 'start from crossfade.example.yaml' });
      return {};
    }
    this.#document = parseDocument(this.text, { lineCounter: this.#lines, prettyErrors: false });
    for (const { message, pos } of this.#document.errors) {
      const where = `${basename(this.file)}:${this.#lines.linePos(pos[0]).line}`;
      this.faults.push({ where, path: '', reason: `no YAML: ${message}` });
    }
    const value: unknown = this.faults.length > 0 ? {} : this.#document.toJS();
    if (isTree(value) || value === null) return value ?? {};
    this.fault([], 'must be a map of sections', 'start from crossfade.example.yaml');
    return {};
  }

  /** Puts environment variables in the place of `${NAME}`; `$${` stands for a plain `${`. */
  #expand(value: unknown, path: string[]): unknown {
    if (Array.isArray(value)) return value.map((item, index) => this.#expand(item, [...path, String(index)]));
    if (isTree(value)) {
      return Object.fromEntries(
        Object.entries(value).map(([key, child]) => [key, this.#expand(child, [...path, key])]),
      );
    }
    const variable = variableOf(path);
    const isOverridden = this.env[variable] !== undefined || this.env[`${variable}_FILE`] !== undefined;
    if (typeof value !== 'string' || !value.includes('${') || isOverridden) return value;
    const text = value.replace(/\$(\$?)\{([^}]*)\}/g, (all, escaped: string, name: string) => {
      if (escaped !== '') return all.slice(1);
      const found = this.env[name];
      if (found === undefined) this.fault(path, `the environment variable ${name} is not set`, 'set it, or use …File');
      return found ?? '';
    });
    if (this.isFaulty(path)) return undefined;
    return fromText(text, nodeAt(path));
  }

  #override(tree: Tree, path: string[], node: Schema): void {
    const variable = variableOf(path);
    const text = this.env[variable];
    const fileText = node.inFile ? this.env[`${variable}_FILE`] : undefined;
    if (text === undefined && fileText === undefined) return;
    const { section, key } = sectionOf(tree, path);
    if (!section) return;
    // The environment replaces what the file says, whichever of the two forms either of them uses.
    delete section[key];
    delete section[`${key}File`];
    if (text !== undefined) section[key] = fromText(text, node);
    if (fileText !== undefined) section[`${key}File`] = fileText;
    this.#fromEnv.set(path.join('.'), text === undefined ? `${variable}_FILE` : variable);
  }

  #readFile(tree: Tree, path: string[]): void {
    const { section, key } = sectionOf(tree, path);
    const name = section?.[`${key}File`];
    if (!section || name === undefined) return;
    delete section[`${key}File`];
    if (section[key] !== undefined) {
      this.fault(path, `both ${key} and ${key}File are given`, 'keep one of them');
      return;
    }
    const filePath = [...path.slice(0, -1), `${key}File`];
    if (this.#fromEnv.has(path.join('.'))) this.#fromEnv.set(filePath.join('.'), `${variableOf(path)}_FILE`);
    if (typeof name !== 'string') this.fault(filePath, 'must be a string', 'the name of a file');
    else section[key] = this.#contents(filePath, name);
  }

  #contents(path: string[], name: string): string | undefined {
    try {
      return readFileSync(resolve(this.folder, name), 'utf8').replace(/\r?\n$/, '');
    } catch (error) {
      this.fault(path, `the file ${name} cannot be read (${(error as NodeJS.ErrnoException).code})`);
      return undefined;
    }
  }
}

/** The section that holds a key, made where it is absent; none where something else stands in its place. */
export function sectionOf(tree: Tree, path: string[]): { section: Tree | undefined; key: string } {
  let section: Tree | undefined = tree;
  for (const name of path.slice(0, -1)) {
    section[name] ??= {};
    const next: unknown = section[name];
    if (!isTree(next)) return { section: undefined, key: '' };
    section = next;
  }
  return { section, key: path.at(-1) ?? '' };
}

/** Text from the environment, as the type the schema wants; what does not fit stays text, and the schema says so. */
function fromText(text: string, node: Schema | undefined): unknown {
  if (node?.type === 'integer' && /^-?\d+$/.test(text)) return Number(text);
  if (node?.type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  if (node?.type === 'array')
    return text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
  return text;
}

function withDefaults(node: Schema, value: unknown): unknown {
  if (!node.properties) return value === undefined ? structuredClone(node.default) : value;
  if (value !== undefined && value !== null && !isTree(value)) return value;
  const full: Tree = { ...value };
  for (const [key, child] of Object.entries(node.properties)) {
    const filled = withDefaults(child, full[key]);
    if (filled !== undefined) full[key] = filled;
  }
  return full;
}
