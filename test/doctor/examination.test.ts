// What is made of a server's answers: the time of one that has no XEP-0202, and silence.

import { Element } from 'ltx';
import { expect, test } from 'vitest';
import { examineServer, type Request } from '../../src/xmpp/examination.ts';
import { NS_ATTACH, NS_TIME } from '../../src/xmpp/namespaces.ts';

const now = () => Date.parse('2026-03-01T08:00:00Z');
const result = (child: Element): Element => new Element('iq', { type: 'result' }).cnode(child).up();
const about = new Element('about', { xmlns: NS_ATTACH, v: '1', at: '2026-03-01T08:00:05Z' });
const time = new Element('time', { xmlns: NS_TIME }).c('utc').t('2026-03-01T07:59:57Z').up();

const answers =
  (...known: Element[]): Request =>
  async (_to, _type, payload) => {
    const child = known.find(({ attrs }) => payload.includes(attrs.xmlns!));
    return child ? result(child) : 'timeout';
  };

test.each([
  ['XEP-0202', [time, about], -3000],
  ['the module, where there is no XEP-0202', [about], 5000],
  ['nobody', [], undefined],
])('the server’s clock is told by %s', async (_, known, ahead) => {
  expect((await examineServer(answers(...known), 'example.com', now)).clockAheadMs).toBe(ahead);
});

test('a server that answers nothing is a fact, and no throw', async () => {
  const facts = await examineServer(answers(), 'example.com', now);
  expect(facts).toEqual({ features: new Set(), about: { condition: 'timeout', text: 'no answer' } });
});
