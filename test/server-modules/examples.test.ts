// The requests that docs/attach-protocol.md shows, word by word as they stand there, and their answers.

import { readFileSync } from 'node:fs';
import type { Element } from 'ltx';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { servers } from '../harness/servers.ts';
import { parseXml } from '../harness/xml.ts';
import { Stage } from './stage.ts';

const page = readFileSync(new URL('../../docs/attach-protocol.md', import.meta.url), 'utf8');
const pageEpoch = /<welcome [^>]*epoch='([^']+)'/.exec(page)![1]!;

interface Example {
  id: string;
  name: string;
  request: string;
  answer: Element;
}

/** Each iq of the page that asks, and the one below it that answers. */
const examples: Example[] = [...page.matchAll(/```xml\n(.*?)```/gs)].flatMap(([, block]) => {
  const [request, answer] = [...block!.matchAll(/<iq type.*?(?:<\/iq>|\sid='[^']*'\/>)/gs)].map(([text]) => text);
  if (request === undefined) return [];
  const [asked, answered] = [parseXml(request), parseXml(answer!)];
  return [{ id: asked.attrs.id!, name: asked.getChildElements()[0]!.name, request, answer: answered }];
});

/** What does not change from one server and time to the next: names, and which attributes there are (but a text's language). */
const shape = (element: Element): unknown => ({
  name: element.name,
  attributes: Object.keys(element.attrs)
    .filter((name) => name !== 'xml:lang')
    .sort(),
  children: element.getChildElements().map(shape),
});

describe.each(servers)('$name:', (server) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open(server, ['bob', 'alice'], { archive: true });
  });
  afterAll(() => stage.close());

  test('every request that the page shows is answered as the page shows it', async () => {
    const gateway = await stage.component();
    let epoch = pageEpoch;
    for (const { id, name, request, answer } of examples) {
      // The numbers of another link's life.
      const own = request.replaceAll(pageEpoch, epoch).replace(/ h='\d+'/, " h='0'");
      const got = await gateway.answerTo(id, own);
      expect({ name, ...addressing(got) }).toEqual({ name, ...addressing(answer) });
      const child = got.getChildElements()[0];
      if (name === 'hello') epoch = child!.attrs.epoch!;
      // What a server cannot know it leaves out.
      if (name === 'about')
        expect(Object.keys(answer.getChildElements()[0]!.attrs)).toEqual(
          expect.arrayContaining(Object.keys(child!.attrs)),
        );
      else expect([name, got.getChildElements().map(shape)]).toEqual([name, answer.getChildElements().map(shape)]);
    }
  });
});

function addressing({ attrs: { id, type, from, to } }: Element) {
  return { id, type, from, to };
}

test('the page shows each kind of request', () => {
  const kinds = ['hello', 'about', 'a', 'attach', 'send', 'detach', 'observe', 'unobserve', 'lock', 'unlock', 'return'];
  expect([...new Set(examples.map(({ name }) => name))].sort()).toEqual(kinds.sort());
});
