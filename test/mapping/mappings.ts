// What the tests of mapping/ share: the mappings that come along, stanzas as text, and files made for one test.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Element } from 'ltx';
import { compile } from '../../src/mapping/compile.ts';
import { MappingFault } from '../../src/mapping/language.ts';
import { load } from '../../src/mapping/load.ts';
import { parseXml } from '../../src/mapping/xml.ts';

export const builtin = join(import.meta.dirname, '..', '..', 'mappings');
export const files = load([builtin]);
export const mappings = compile(files);

/** One stanza, read by the gateway's own reader. */
export function stanzaOf(xml: string): Element {
  const [stanza] = parseXml(xml) ?? [];
  if (!stanza) throw new Error(`no stanza: ${xml}`);
  return stanza;
}

/** Writes mapping files, by name, into a folder that lives as long as `use` runs. */
export function withFiles<T>(texts: Record<string, string>, use: (dir: string) => T): T {
  const dir = mkdtempSync(join(tmpdir(), 'crossfade-mappings-'));
  try {
    for (const [name, text] of Object.entries(texts)) writeFileSync(join(dir, name), text);
    return use(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** The faults of a set of files, one `file:line: reason` each, without the folder. */
export function faultsOf(texts: Record<string, string>): string[] {
  return withFiles(texts, (dir) => {
    try {
      load([dir]);
    } catch (fault) {
      if (fault instanceof MappingFault) return fault.message.replaceAll(`${dir}/`, '').split('\n').slice(1);
      throw fault;
    }
    return [];
  });
}
