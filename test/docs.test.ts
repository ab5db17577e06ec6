// docs/architecture.md names only what there is, and every room.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const top = fileURLToPath(new URL('..', import.meta.url));
const page = readFileSync(`${top}docs/architecture.md`, 'utf8');
const rooms = readdirSync(`${top}src`, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? entry.name : [],
);

/** Every word in code or in a diagram that begins with a room of src/, or with `test/`. */
const named = [...page.matchAll(/[\w.-]+\/[\w./-]*/g)]
  .map(([name]) => name.replace(/[.,]$/, ''))
  .filter((name) => [...rooms, 'test'].includes(name.split('/')[0] ?? ''));
const placesOf = (name: string) => (name.startsWith('test/') ? [name] : [`src/${name}`, `src/${name}.ts`]);

test('every file and folder that is named exists', () => {
  expect(named.length).toBeGreaterThan(30);
  expect(named.filter((name) => !placesOf(name).some((place) => existsSync(top + place)))).toEqual([]);
});

test('every room of src/ is named', () => {
  expect(rooms.filter((room) => !page.includes(`\`${room}/\``))).toEqual([]);
});
