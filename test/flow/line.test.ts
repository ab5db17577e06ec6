// The line for a place in the window: users take turns, whatever one of them has to send.

import { expect, test } from 'vitest';
import { Line } from '../../src/flow/line.ts';
import { Outbox } from '../../src/flow/outbox.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';

const nobody = {} as Ledger;
const outbox = (user: string, peer: string) => new Outbox({ lane: 'toMqtt', user, peer }, nobody);
const names = (line: Line) => {
  const found: string[] = [];
  for (let next = line.next(); next; next = line.next())
    found.push(`${next.conversation.user}/${next.conversation.peer}`);
  return found;
};

test("one user's thousand conversations do not go before another's one, and each user's keep their order", () => {
  const line = new Line();
  for (let n = 0; n < 1000; n++) line.add(outbox('flooder', `p${n}`));
  line.add(outbox('bob', 'alice'));
  line.add(outbox('carol', 'alice'));
  line.add(outbox('bob', 'dave'));
  const all = names(line);
  expect(all.slice(0, 6)).toEqual(['flooder/p0', 'bob/alice', 'carol/alice', 'flooder/p1', 'bob/dave', 'flooder/p2']);
  expect(all.slice(6)).toEqual(Array.from({ length: 997 }, (_, n) => `flooder/p${n + 3}`));
});

test('who stands there already does not stand there twice, and may come again after its turn', () => {
  const line = new Line();
  const one = outbox('bob', 'alice');
  line.add(one);
  line.add(one);
  expect(line.next()).toBe(one);
  expect(line.next()).toBeUndefined();
  line.add(one);
  expect(line.next()).toBe(one);
});

test('four hundred thousand users have their turns before the time of a test is over', () => {
  const line = new Line();
  // A turn that begins at the places of all that had theirs took 49 s in all.
  for (let n = 0; n < 400_000; n++) line.add({ queued: false, conversation: { user: `u${n}` } } as Outbox);
  let turns = 0;
  while (line.next()) turns++;
  expect(turns).toBe(400_000);
});
