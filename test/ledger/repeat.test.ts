// Repeat or new, and custody: each sentence of DESIGN §8 a row, on both engines.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Draft } from '../../src/ledger/ledger.ts';
import { archiveKey, contentKey, digestOf, requestKey } from '../../src/ledger/repeat.ts';
import { accept, type Bench, engines } from './bench.ts';

const minute = 60_000;
const content = contentKey({
  user: 'bob@example.com',
  from: 'alice@example.com/phone',
  channel: 'message',
  type: 'chat',
  id: 'm1',
  children: '<body>hi</body>',
});
const archive = archiveKey({
  user: 'bob@example.com',
  by: 'bob@example.com',
  stanzaId: 's1',
  from: 'alice@example.com',
});
const otherArchive = archiveKey({
  user: 'bob@example.com',
  by: 'bob@example.com',
  stanzaId: 's2',
  from: 'alice@example.com',
});
const request = requestKey({ user: 'bob@example.com', id: 'r1' });
const at = (n: number, epoch = 'E1', link = 'L') => ({ position: { link, epoch, n } });
const out = (digest: string): Partial<Draft> => ({ lane: 'toXmpp', requestKey: request, requestDigest: digest });

interface Row {
  story: string;
  drafts: Partial<Draft>[];
  outcomes: string;
}

const rows: Row[] = [
  {
    story: 'a number of the link that was read before is skipped',
    drafts: [at(1), at(2), at(1), at(2), at(3)],
    outcomes: 'new new repeat repeat new',
  },
  { story: 'a new epoch counts anew', drafts: [at(5), at(1, 'E2'), at(1, 'E2')], outcomes: 'new new repeat' },
  { story: 'links are counted apart', drafts: [at(1, 'E', 'A'), at(1, 'E', 'B')], outcomes: 'new new' },
  {
    story: 'the number of a repeat is read, too',
    drafts: [{ archiveKey: archive, ...at(1) }, { archiveKey: archive, ...at(2) }, at(2), at(3)],
    outcomes: 'new repeat repeat new',
  },
  {
    story: 'the number of a refused one is read, too',
    drafts: [{ refused: { condition: 'bad-request', text: '' }, ...at(1) }, at(1)],
    outcomes: 'new repeat',
  },
  {
    story: 'an archive id seen is a repeat, however old',
    drafts: [{ archiveKey: archive }, { archiveKey: archive, at: 1e12 }],
    outcomes: 'new repeat',
  },
  {
    story: 'two live direct stanzas with the same words are two messages',
    drafts: [{ contentKey: content }, { contentKey: content }],
    outcomes: 'new new',
  },
  {
    story: 'a late one after a live one is a repeat',
    drafts: [{ contentKey: content }, { contentKey: content, late: true }],
    outcomes: 'new repeat',
  },
  {
    story: 'a live one after a late one is a repeat',
    drafts: [{ contentKey: content, late: true }, { contentKey: content }],
    outcomes: 'new repeat',
  },
  {
    story: 'two late ones are one',
    drafts: [
      { contentKey: content, late: true },
      { contentKey: content, late: true },
    ],
    outcomes: 'new repeat',
  },
  {
    story: 'two carbons with the same words are two messages: there is one for each',
    drafts: [
      { contentKey: content, late: true, carbon: true },
      { contentKey: content, late: true, carbon: true },
    ],
    outcomes: 'new new',
  },
  {
    story: 'a carbon and another late one are one',
    drafts: [
      { contentKey: content, late: true, carbon: true },
      { contentKey: content, late: true },
    ],
    outcomes: 'new repeat',
  },
  {
    story: 'what the archive has under two ids are two messages, whatever their words',
    drafts: [
      { contentKey: content, late: true, archiveKey: archive },
      { contentKey: content, late: true, archiveKey: otherArchive },
    ],
    outcomes: 'new new',
  },
  {
    story: 'what was found by its words is known by the archive’s id from then on',
    drafts: [
      { contentKey: content, late: true },
      { contentKey: content, late: true, archiveKey: archive },
      { archiveKey: archive, at: 1e12 },
      { contentKey: content, late: true, archiveKey: otherArchive },
    ],
    outcomes: 'new repeat repeat new',
  },
  {
    story: 'exactly 15 minutes apart is a repeat',
    drafts: [
      { contentKey: content, at: 0 },
      { contentKey: content, late: true, at: 15 * minute },
    ],
    outcomes: 'new repeat',
  },
  {
    story: 'more than 15 minutes apart, either way, is new',
    drafts: [
      { contentKey: content, at: 40 * minute },
      { contentKey: content, late: true, at: 55 * minute + 1 },
      { contentKey: content, late: true, at: 25 * minute - 1 },
    ],
    outcomes: 'new new new',
  },
  {
    story: 'one of several that lies near enough makes a repeat',
    drafts: [
      { contentKey: content, at: 0 },
      { contentKey: content, at: 40 * minute },
      { contentKey: content, late: true, at: 41 * minute },
    ],
    outcomes: 'new new repeat',
  },
  { story: 'without keys everything is new', drafts: [{ late: true }, { late: true }], outcomes: 'new new' },
  { story: 'the same id with the same payload is a repeat', drafts: [out('a'), out('a')], outcomes: 'new repeat' },
  {
    story: 'the same id with another payload is a conflict, each time',
    drafts: [out('a'), out('b'), out('b')],
    outcomes: 'new conflict conflict',
  },
  {
    story: 'a refused archive id leaves no key',
    drafts: [
      { archiveKey: archive, contentKey: content, late: true, refused: { condition: 'bad-request', text: '' } },
      { archiveKey: archive, contentKey: content, late: true },
    ],
    outcomes: 'new new',
  },
  {
    story: 'a refused request id leaves no key',
    drafts: [{ ...out('a'), refused: { condition: 'bad-request', text: '' } }, out('b')],
    outcomes: 'new new',
  },
];

let bench: Bench;

describe.each(Object.keys(engines))('on %s', (engine) => {
  beforeEach(async () => {
    bench = await engines[engine]!();
  });
  afterEach(() => bench.end());

  test.each(rows)('$story, in one commit', async ({ drafts, outcomes }) => {
    const results = await Promise.all(drafts.map((over) => accept(bench.ledger, over)));
    expect(results.map(({ kind }) => kind).join(' ')).toBe(outcomes);
  });

  test.each(rows)('$story, across a restart', async ({ drafts, outcomes }) => {
    const kinds: string[] = [];
    for (const over of drafts) {
      kinds.push((await accept(bench.ledger, over)).kind);
      await bench.reopen();
    }
    expect(kinds.join(' ')).toBe(outcomes);
  });

  test('the position is what was read last, whatever became of it', async () => {
    await accept(bench.ledger, { archiveKey: archive, ...at(7) });
    await accept(bench.ledger, { archiveKey: archive, ...at(8) });
    expect(await bench.ledger.do('position', { link: 'L' })).toEqual({ epoch: 'E1', h: 8 });
    expect(await bench.ledger.do('position', { link: 'unknown' })).toBeNull();
  });

  test.each([
    ['copy', 'sole', 'sole'],
    ['copy', 'copy', 'copy'],
    ['sole', 'copy', 'sole'],
    ['sole', 'sole', 'sole'],
  ] as const)('a %s entry with a %s repeat is %s', async (first, second, result) => {
    const { seq, key } = await accept(bench.ledger, { contentKey: content, late: true, custody: first });
    await accept(bench.ledger, { contentKey: content, late: true, custody: second, payload: 'other' });
    const [entry] = await bench.ledger.do('entry', { key });
    expect(entry).toMatchObject({ seq, custody: result, state: 'accepted' });
    const [toSend] = await bench.ledger.do('toSend', {
      lane: 'toMqtt',
      user: 'bob@example.com',
      peer: 'alice@example.com',
      after: 0,
      limit: 9,
    });
    expect(toSend).toMatchObject({ key, payload: '{"body":"hi"}' });
  });

  test('a sole repeat leaves an entry the app has as it is', async () => {
    const { key } = await accept(bench.ledger, { archiveKey: archive, custody: 'copy' });
    await bench.ledger.do('appAcked', { user: 'bob@example.com', keys: [key], at: 1 });
    await accept(bench.ledger, { archiveKey: archive, custody: 'sole' });
    expect((await bench.ledger.do('entry', { key }))[0]?.custody).toBe('copy');
  });

  test('a replayed number does not change the custody', async () => {
    const { key } = await accept(bench.ledger, { archiveKey: archive, custody: 'copy', ...at(1) });
    await accept(bench.ledger, { archiveKey: archive, custody: 'sole', ...at(1) });
    expect((await bench.ledger.do('entry', { key }))[0]?.custody).toBe('copy');
  });

  test.each(['returned', 'discard'] as const)(
    'an entry that ends by %s loses its keys, so the message may come again',
    async (end) => {
      const keys = { archiveKey: archive, contentKey: content, late: true };
      const { seq } = await accept(bench.ledger, keys);
      const asked = await accept(bench.ledger, out('a'));
      const seqs = [seq, asked.seq];
      if (end === 'returned') await bench.ledger.do('returned', { seqs, at: 1 });
      else await bench.ledger.do('discard', { seqs, at: 1, reason: 'test' });
      expect((await accept(bench.ledger, { archiveKey: archive })).kind).toBe('new');
      expect((await accept(bench.ledger, { contentKey: content, late: true })).kind).toBe('new');
      expect((await accept(bench.ledger, out('b'))).kind).toBe('new');
    },
  );

  test.each(['returned', 'discardRest'] as const)(
    'an entry that an app has acknowledged keeps its keys when it ends by %s, so that the server’s copies of it are repeats',
    async (end) => {
      const { seq, key } = await accept(bench.ledger, { archiveKey: archive, contentKey: content, late: true });
      await bench.ledger.do('appAcked', { user: 'bob@example.com', keys: [key], at: 1 });
      if (end === 'returned') await bench.ledger.do('returned', { seqs: [seq], at: 2 });
      else await bench.ledger.do('discardRest', { user: 'bob@example.com', at: 2, reason: 'test' });
      expect((await accept(bench.ledger, { archiveKey: archive })).kind).toBe('repeat');
      expect((await accept(bench.ledger, { contentKey: content, late: true })).kind).toBe('repeat');
    },
  );

  test('a settled entry keeps its keys until it is forgotten', async () => {
    const { seq } = await accept(bench.ledger, out('a'));
    await bench.ledger.do('answered', { seq, at: 10 });
    expect((await accept(bench.ledger, out('a'))).kind).toBe('repeat');
    expect(await bench.ledger.do('forget', { before: 10, limit: 9 })).toBe(0);
    expect(await bench.ledger.do('forget', { before: 11, limit: 9 })).toBe(1);
    expect((await accept(bench.ledger, out('b'))).kind).toBe('new');
  });

  test('an id the legacy server refused may be used again, while its stanza stays as dead', async () => {
    const { seq } = await accept(bench.ledger, out('a'));
    await bench.ledger.do('refused', { seq, at: 1, condition: 'forbidden', text: '' });
    expect((await accept(bench.ledger, out('b'))).kind).toBe('new');
  });

  test('a dead entry towards the app keeps its keys, and a sole repeat of it is to be returned', async () => {
    const { seq, key } = await accept(bench.ledger, { archiveKey: archive, custody: 'copy' });
    await bench.ledger.do('refused', { seq, at: 1, condition: 'policy-violation', text: '' });
    expect((await accept(bench.ledger, { archiveKey: archive, custody: 'sole' })).kind).toBe('repeat');
    expect((await bench.ledger.do('toReturn', { user: 'bob@example.com', limit: 9 })).map((row) => row.key)).toEqual([
      key,
    ]);
  });

  test('the copy is written in the same commit if the first is new, and not otherwise', async () => {
    const asked = () =>
      bench.ledger.accept(
        () =>
          ({
            ...out('a'),
            user: 'bob@example.com',
            peer: 'alice@example.com',
            channel: 'message',
            custody: 'sole',
            at: 1,
            payload: '<message/>',
          }) as Draft,
        (key) => ({
          lane: 'toMqtt',
          user: 'bob@example.com',
          peer: 'alice@example.com',
          channel: 'message',
          custody: 'copy',
          at: 1,
          contentKey: content,
          topic: 't',
          payload: key,
        }),
      );
    const first = asked();
    const second = asked();
    expect([await first.outcome, await second.outcome]).toEqual([{ kind: 'new' }, { kind: 'repeat' }]);
    expect(bench.committed.map(({ seq, lane }) => [seq, lane])).toEqual([
      [1, 'toXmpp'],
      [2, 'toMqtt'],
    ]);
    expect(bench.committed[1]?.payload).toBe(bench.committed[1]?.key);
    expect(second.seq).toBe(3);
    // What the archive gives back later of it is a repeat.
    expect((await accept(bench.ledger, { contentKey: content, late: true, at: 2 })).kind).toBe('repeat');
  });
});

describe('keys', () => {
  const parts = { user: 'u', from: 'f', channel: 'c', type: 't', id: 'i', children: 'x' };
  test.each(Object.keys(parts))('another %s makes another content key', (part) => {
    expect(contentKey({ ...parts, [part]: 'other' })).not.toBe(contentKey(parts));
  });
  test.each(['user', 'by', 'stanzaId', 'from'])('another %s makes another archive key', (part) => {
    const ids = { user: 'u', by: 'b', stanzaId: 's', from: 'f' };
    expect(archiveKey({ ...ids, [part]: 'other' })).not.toBe(archiveKey(ids));
  });
  test('parts cannot run into each other', () => {
    expect(requestKey({ user: 'a', id: 'bc' })).not.toBe(requestKey({ user: 'ab', id: 'c' }));
  });
  test('a message without an id has no content key', () => {
    expect(contentKey({ ...parts, id: undefined })).toBeUndefined();
    expect(contentKey({ ...parts, id: '' })).toBeUndefined();
  });
  test('a key is 22 characters of base64url and the same each time', () => {
    expect(digestOf('{}')).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(digestOf('{}')).toBe(digestOf('{}'));
  });
});
