// Upgrade in place: a ledger as each older version left it, with messages on their way, opened by this one.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openLedger } from '../../src/ledger/sqlite.ts';
import { Verifier } from '../../src/ledger/verifier.ts';
import { silentLog } from '../../src/log.ts';
import { accept } from './bench.ts';

const sql = new URL('../../src/ledger/sql/', import.meta.url);
const migrations = readdirSync(sql).sort();
const bob = 'bob@example.com';
const requestKey = 'request-key-of-22-char';
const contentKey = 'content-key-of-22-char';
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'crossfade-upgrade-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** As the version with the first `count` migrations wrote it, before it was killed. */
function oldLedger(path: string, count: number): void {
  const db = new DatabaseSync(path);
  db.exec('PRAGMA auto_vacuum = INCREMENTAL');
  for (const name of migrations.slice(0, count)) db.exec(readFileSync(new URL(name, sql), 'utf8'));
  db.exec(`PRAGMA user_version = ${count}`);
  db.exec(`
    UPDATE file SET space = 'aaaabbbbccccdddd', last_seq = 4;
    INSERT INTO link (name, epoch, n) VALUES ('gw.example.com/example.com', 'E', 17);
    INSERT INTO user (jid, phase, version, changed_at) VALUES ('${bob}', 'mqtt', 3, 1000);
    INSERT INTO acking VALUES ('${bob}');
    INSERT INTO device VALUES ('${bob}', 'phone', 1, 2000, NULL);
    INSERT INTO entry (seq, lane, state, custody, late, at, accepted_at, link, n, user, peer, channel, id, content_key)
      VALUES (1, 0, 0, 0, 0, 5, 5, 1, 16, '${bob}', 'alice@example.com', 'message', 'm1', '${contentKey}'),
             (2, 0, 3, 0, 0, 6, 6, 1, 17, '${bob}', 'alice@example.com', 'message', 'm2', NULL);
    INSERT INTO entry (seq, lane, state, custody, late, at, accepted_at, user, peer, channel, id, request_key, request_digest)
      VALUES (3, 1, 1, 1, 0, 7, 7, '${bob}', 'alice@example.com', 'message', 'o1', '${requestKey}', 'digest');
    INSERT INTO entry (seq, lane, state, custody, late, at, accepted_at, ended_at, user, peer, channel, id)
      VALUES (4, 1, 5, 1, 0, 8, 8, 9, '${bob}', 'alice@example.com', 'message', 'o0');
    INSERT INTO body (seq, topic, payload, original) VALUES (1, 'chat/bob/in/message', '{"n":1}', '<m1/>'),
      (2, 'chat/bob/in/message', '{"n":2}', '<m2/>'), (3, NULL, '<o1/>', NULL);
    INSERT INTO tally VALUES (0, 0, 1), (0, 3, 1), (1, 1, 1), (1, 5, 1);
    INSERT INTO audit (at, who, what, user, detail) VALUES (1000, 'admin', 'user.move', '${bob}', 'mqtt');`);
  if (count >= 3) db.exec(`INSERT INTO mark (user, at) VALUES ('${bob}', 1000)`);
  if (count >= 5) db.exec('INSERT INTO account VALUES (0, -1, 2), (1, -1, 2)');
  db.close();
}

test.each(migrations.map((name, index) => [index + 1, name] as const))(
  'a ledger of schema %i (%s) goes on: what waits is there with its keys, users, devices and positions, and the account adds up',
  async (count) => {
    const path = join(dir, 'ledger.sqlite');
    oldLedger(path, count);
    const ledger = await openLedger({ path, clock: systemClock, log: silentLog });
    try {
      const page = { user: bob, peer: 'alice@example.com', after: 0, limit: 9 };
      expect(await ledger.do('toSend', { lane: 'toMqtt', ...page })).toMatchObject([
        { key: 'aaaabbbbccccdddd-1', payload: '{"n":1}' },
      ]);
      expect(await ledger.do('toSend', { lane: 'toXmpp', ...page })).toMatchObject([{ id: 'o1', payload: '<o1/>' }]);
      expect(await ledger.do('toReturn', { user: bob, limit: 9 })).toHaveLength(2);
      expect(await ledger.do('users', { after: '', limit: 9 })).toMatchObject([
        { jid: bob, phase: 'mqtt', version: 3, acks: true },
      ]);
      expect(await ledger.do('devices', {})).toMatchObject([{ user: bob, client: 'phone', online: true }]);
      expect(await ledger.do('position', { link: 'gw.example.com/example.com' })).toEqual({ epoch: 'E', h: 17 });
      expect(await ledger.do('mark', { user: bob })).toMatchObject({ at: 1000 });
      const again = { lane: 'toXmpp', id: 'o1', requestKey, requestDigest: 'digest', topic: undefined } as const;
      expect((await accept(ledger, again)).kind).toBe('repeat');
      expect((await accept(ledger, { id: 'm1', contentKey, late: true, at: 5 })).kind).toBe('repeat');
      expect((await accept(ledger)).key).toBe('aaaabbbbccccdddd-7');
      expect((await new Verifier({ ledger, clock: systemClock }).verify()).faults).toEqual([]);
    } finally {
      await ledger.close();
    }
  },
);
