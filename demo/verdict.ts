// What the story counted against what it should have counted; one wrong row makes the whole a failure. Pure.

/** One count: `actual` must be `expected`, or, where there is a limit instead, at most that. */
export interface Row {
  what: string;
  actual: number;
  expected?: number;
  atMost?: number;
  /** Of both numbers, such as ms. */
  unit?: string;
}

export interface Verdict {
  exitCode: 0 | 1;
  text: string;
}

export function isRight({ actual, expected, atMost }: Row): boolean {
  if (expected !== undefined) return actual === expected;
  return atMost !== undefined && actual <= atMost;
}

/** The number as the reader sees it: `300 of 300`, `0`, `43 ms`; with what it should have been where it is wrong. */
export function figureOf(row: Row): string {
  const { actual, expected, atMost, unit } = row;
  const withUnit = (value: number) => (unit ? `${value} ${unit}` : String(value));
  if (!isRight(row))
    return `${withUnit(actual)}, expected ${atMost === undefined ? expected : `at most ${withUnit(atMost)}`}`;
  return expected === undefined || expected === 0 || unit ? withUnit(actual) : `${actual} of ${expected}`;
}

/** Over all rows; none at all is a failure, too: then nothing has been shown. */
export function verdict(rows: readonly Row[]): Verdict {
  const wrong = rows.filter((row) => !isRight(row));
  if (rows.length === 0) return { exitCode: 1, text: 'Nothing was counted.' };
  if (wrong.length === 0) return { exitCode: 0, text: `All ${rows.length} counts are right.` };
  return { exitCode: 1, text: `${wrong.length} of ${rows.length} counts ${wrong.length === 1 ? 'is' : 'are'} wrong.` };
}
