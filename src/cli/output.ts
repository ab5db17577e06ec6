// Standard output and error: lines, lists as tables or JSON, and a reader that went away (`| head`) is no fault.

import { type Column, printable, table } from './table.ts';
import { wrap } from './words.ts';

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** A sentence, broken at the terminal's width and indented there; on one line where there is no terminal. */
export function printText(text: string, indent = ''): void {
  const { columns } = process.stdout;
  for (const line of wrap(printable(text), columns === undefined ? undefined : columns - indent.length))
    print(`${indent}${line}`);
}

/** The same, beside a short beginning. */
export function printBeside(beginning: string, text: string): void {
  const { columns } = process.stdout;
  const lines = wrap(printable(text), columns === undefined ? undefined : columns - beginning.length);
  for (const [index, line] of lines.entries())
    print(`${index === 0 ? beginning : ' '.repeat(beginning.length)}${line}`);
}

/** For people, beside the result. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Ends the process in peace when the reader of a stream has gone. */
export function endOnClosedPipe(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      process.exit(0);
    });
  }
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** Page by page, so that a long list begins at once. JSON: one array, one item on each line. */
export async function printList<Row>(
  pages: AsyncIterable<Row[]>,
  columns: readonly Column<Row>[],
  { json = false, empty }: { json?: boolean; empty: string },
): Promise<void> {
  let rows = 0;
  for await (const page of pages) {
    if (json)
      for (const [index, row] of page.entries()) print(`${rows + index === 0 ? '[' : ','}${JSON.stringify(row)}`);
    else if (page.length > 0) for (const line of table(columns, page, rows === 0)) print(line);
    rows += page.length;
  }
  if (json) print(rows === 0 ? '[]' : ']');
  else if (rows === 0) note(empty);
}

/** `2026-03-01T09:30:00.000Z` as `2026-03-01 09:30:00Z`. */
export function shortTime(time: string | null | undefined): string | undefined {
  return time?.replace(/^(\S+)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z$/, '$1 $2Z');
}

/** Names and values under each other, for one thing. */
export function printFields(
  fields: readonly (readonly [name: string, value: string | number | boolean | null | undefined])[],
): void {
  const columns = [
    { title: 'name', cell: ([name]: readonly [string, unknown]) => name },
    {
      title: 'value',
      cell: (field: readonly [string, string | number | boolean | null | undefined]) => field[1],
    },
  ];
  for (const line of table(columns, fields, false)) print(line);
}
