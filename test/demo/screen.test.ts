// How the demo writes on a terminal and into a file.

import { expect, test } from 'vitest';
import { Screen } from '../../demo/screen.ts';

/** What a screen writes for an act, a moving line and a count. */
function written(isTTY: boolean, env: NodeJS.ProcessEnv): string {
  let text = '';
  const screen = new Screen({ isTTY, write: (piece) => (text += piece) }, env);
  screen.act('Title');
  screen.progress('half');
  screen.count({ what: 'messages', actual: 1, expected: 2 });
  return text;
}

test('a file gets neither colours nor moving lines', () => {
  expect(written(false, {})).toBe(`\n1  Title\n   ✗ ${'messages'.padEnd(57)} 1, expected 2\n`);
});

test('a terminal gets both', () => {
  expect(written(true, {})).toContain('\x1b[31m✗\x1b[0m');
  expect(written(true, {})).toContain('\r\x1b[K   half\r\x1b[K');
});

test.each([{ NO_COLOR: '1' }, { TERM: 'dumb' }])('no colours with %j', (env) => {
  expect(written(true, env)).not.toContain('\x1b[3');
});
