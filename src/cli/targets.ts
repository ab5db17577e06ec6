// Which users a command is about: named as words, in a file, on standard input, or by a pattern over the known users.

import type { Client } from './client.ts';
import { readInput } from './input.ts';
import { note } from './output.ts';
import type { UserSummary } from './user-view.ts';

export interface Named {
  /** JIDs; `-` is standard input. */
  words: readonly string[];
  file?: string;
  match?: string;
}

/** Each once, in the order in which they were named; those of a pattern by JID. */
export async function targetsOf({ words, file, match }: Named, client: Client): Promise<string[]> {
  const found = new Set<string>();
  for (const word of words) for (const jid of word === '-' ? linesOf('-') : [word]) found.add(jid);
  if (file !== undefined) for (const jid of linesOf(file)) found.add(jid);
  if (match !== undefined) {
    const pages = client.pages<UserSummary>('/api/v1/users', { match }, Number.MAX_SAFE_INTEGER, () => {});
    for await (const page of pages) for (const { jid } of page) found.add(jid);
    if (found.size === 0) note(`no known user fits ${match}; a pattern is held against users that were moved once`);
  }
  return [...found];
}

/** One JID on each line; from `#` at its beginning or behind a space on, a line is a comment. */
function linesOf(file: string): string[] {
  const lines = readInput(file)
    .replace(/^\ufeff/, '')
    .split(/\r?\n/);
  return lines.map((line) => line.replace(/(^|\s)#.*$/, '').trim()).filter((line) => line !== '');
}
