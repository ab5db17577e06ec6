// How the demo speaks: headings, lines, commands and counts on standard output; colours and moving lines on a terminal only.

import { figureOf, isRight, type Row } from './verdict.ts';

const figureColumn = 62;
const commandLead = '   $ ';

interface Out {
  isTTY?: boolean;
  write(text: string): unknown;
}

export class Screen {
  /** All that was counted so far. */
  readonly rows: Row[] = [];
  readonly #out: Out;
  readonly #coloured: boolean;
  #act = 0;
  #moving = false;
  #closed = false;

  /** Without colours where `NO_COLOR` is set to anything (no-color.org). */
  constructor(out: Out, env: NodeJS.ProcessEnv) {
    this.#out = out;
    this.#coloured = Boolean(out.isTTY) && !env.NO_COLOR && env.TERM !== 'dumb';
  }

  /** The next act. */
  act(title: string): void {
    this.#act++;
    this.#print(`\n${this.#paint('1', `${this.#act}  ${title}`)}`);
  }

  line(text = ''): void {
    this.#print(text && `   ${text}`);
  }

  /** Two columns. */
  fact(name: string, value: string): void {
    this.#print(`   ${this.#paint('2', name.padEnd(12))} ${value}`);
  }

  says(who: string, text: string): void {
    this.#print(`   ${this.#paint('36', who.padEnd(16))} ${text}`);
  }

  command(text: string): void {
    this.#print(`${commandLead}${this.#paint('33', text)}`);
  }

  /** What a command printed. */
  output(text: string): void {
    for (const line of text.trimEnd().split('\n')) this.#print(`     ${this.#paint('2', line)}`);
  }

  count(row: Row): void {
    this.rows.push(row);
    const mark = isRight(row) ? this.#paint('32', '✓') : this.#paint('31', '✗');
    this.#print(
      `   ${mark} ${row.what.padEnd(figureColumn - 5)} ${this.#paint(isRight(row) ? '0' : '31', figureOf(row))}`,
    );
  }

  end(text: string, good: boolean): void {
    this.#print(`\n${this.#paint(good ? '1;32' : '1;31', text)}`);
  }

  /** A line that changes in place while work goes on; the next other line takes its place. Not shown in a file. */
  progress(text: string): void {
    if (!this.#out.isTTY || this.#closed) return;
    this.#out.write(`\r\x1b[K   ${text}`);
    this.#moving = true;
  }

  /** Says nothing any more. */
  close(): void {
    this.#closed = true;
  }

  #print(text: string): void {
    if (this.#closed) return;
    if (this.#moving) this.#out.write('\r\x1b[K');
    this.#moving = false;
    this.#out.write(`${text}\n`);
  }

  #paint(code: string, text: string): string {
    return this.#coloured ? `\x1b[${code}m${text}\x1b[0m` : text;
  }
}

/** `0.84 s`, `12 s`. */
export function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(durationMs < 9_950 ? 2 : 0)} s`;
}
