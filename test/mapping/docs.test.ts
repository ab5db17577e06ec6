// The generated pages: up to date, and true.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, test } from 'vitest';
import { parse } from 'yaml';
import { pages } from '../../scripts/docs.ts';
import { asyncapi } from '../../src/mapping/asyncapi.ts';
import { files, mappings } from './mappings.ts';

const root = join(import.meta.dirname, '..', '..');

test.each(Object.entries(pages()))('%s is up to date (else: node scripts/docs.ts)', (path, text) => {
  expect(readFileSync(join(root, path), 'utf8')).toBe(text);
});

it('the AsyncAPI document has a topic for each channel and direction, and every reference leads somewhere', () => {
  const document = parse(pages()['docs/asyncapi.yaml'] ?? '');
  expect(document).toEqual(JSON.parse(JSON.stringify(asyncapi(files, mappings, document.info.version))));
  const addresses = Object.values(document.channels as Record<string, { address: string }>).map(
    ({ address }) => address,
  );
  const all = [...mappings.channels.keys(), 'presence'];
  expect(addresses).toEqual(expect.arrayContaining(['chat/{user}/out/request', 'chat/{user}/in/reply']));
  for (const channel of all) {
    expect(addresses).toEqual(expect.arrayContaining([`chat/{user}/in/${channel}`, `chat/{user}/out/${channel}`]));
  }
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map((match) => match[1] ?? '');
  const lost = references.filter((path) => path.split('/').reduce((node, key) => node?.[key], document) === undefined);
  expect([references.length > 0, lost]).toEqual([true, []]);
});

it('apps are not told of fields they cannot send', () => {
  const { properties } = (
    asyncapi(files, mappings, '0') as { components: { schemas: { Sent: { properties: object } } } }
  ).components.schemas.Sent;
  expect(Object.keys(properties)).toContain('body');
  expect(Object.keys(properties)).not.toContain('stanzaId');
});
