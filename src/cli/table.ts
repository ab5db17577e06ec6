// Tables for terminals: columns as wide as their widest cell, numbers to the right, no borders.

/** What a cell shows; undefined and null show as `-`. */
export type Cell = string | number | boolean | null | undefined;

export interface Column<Row> {
  title: string;
  cell(row: Row): Cell;
}

/** Lines without line ends. Widths come from these rows alone. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], header = true): string[] {
  const cells = rows.map((row) => columns.map((column) => column.cell(row)));
  const texts = cells.map((row) => row.map(show));
  const isNumber = columns.map((_, index) => cells.length > 0 && cells.every((row) => typeof row[index] === 'number'));
  if (header) texts.unshift(columns.map((column) => column.title.toUpperCase()));
  const widths = columns.map((_, index) => Math.max(0, ...texts.map((row) => widthOf(row[index] ?? ''))));
  return texts.map((row) =>
    row
      .map((text, index) => pad(text, widths[index] ?? 0, isNumber[index]))
      .join('  ')
      .trimEnd(),
  );
}

function show(cell: Cell): string {
  if (cell === undefined || cell === null || cell === '') return '-';
  if (typeof cell === 'boolean') return cell ? 'yes' : 'no';
  return printable(String(cell));
}

/** What others wrote (ids, reasons) must not steer the terminal: control and format characters show as U+FFFD. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\ufffd');
}

function pad(text: string, width: number, right = false): string {
  const space = ' '.repeat(Math.max(0, width - widthOf(text)));
  return right ? space + text : text + space;
}

/** Columns on the terminal, as far as that can be told: wide East Asian characters and emoji take two, marks none. */
function widthOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const char of text) {
    if (/\p{M}/u.test(char)) continue;
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(
        char,
      )
        ? 2
        : 1;
  }
  return width;
}
