// docs/architecture.md names only what there is, and every room; no page has a link that leads nowhere.

import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
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

const pages = ['*.md', 'docs/**/*.md', 'server-modules/*/*/*.md', '{bench,examples,deploy,test}/**/*.md'].flatMap(
  (pattern) => globSync(pattern, { cwd: top }),
);
/** As GitHub makes it of a heading. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\- _]/gu, '')
    .replaceAll(' ', '-');
const anchorsOf = (file: string) =>
  [...readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading));

test.each(pages)('every link of %s leads to a file, and to a heading of it', (name) => {
  const links = [...readFileSync(top + name, 'utf8').matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
  const dead = links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [path = '', anchor] = link.split('#');
    const file = path === '' ? top + name : resolve(top, dirname(name), path);
    if (!existsSync(file)) return true;
    return anchor !== undefined && file.endsWith('.md') && !anchorsOf(file).includes(anchor);
  });
  expect(dead).toEqual([]);
});
