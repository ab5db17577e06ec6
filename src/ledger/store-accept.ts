// The store's first verb: accept. Decides "repeat or new?" and writes the entry, in one commit (DESIGN §8).

import type { DatabaseSync } from 'node:sqlite';
import { accepted, copy, custodies, dead, lanes, sole } from './codes.ts';
import type { Derived } from './derived.ts';
import type { AcceptArgs } from './engine.ts';
import type { Draft, Outcome } from './ledger.ts';
import { repeatWindowMs } from './repeat.ts';
import type { Links } from './store-links.ts';
import type { Tally } from './tally.ts';

const isNew: Outcome = { kind: 'new' };
const isRepeat: Outcome = { kind: 'repeat' };
const isConflict: Outcome = { kind: 'conflict' };

export function acceptOperation(
  db: DatabaseSync,
  tally: Tally,
  derived: Derived,
  links: Links,
): (args: AcceptArgs) => Outcome {
  const known = lookups(db, derived);
  const insert = inserter(db, tally, derived);
  const becomeSole = db.prepare(
    `UPDATE entry SET custody = ${sole} WHERE seq = ? AND custody = ${copy} AND state <= 4 AND app_acked_at IS NULL`,
  );

  return ({ seq, at, draft, copy: second }) => {
    // Read the position also for repeats and refused ones: it says what was read, not what was kept.
    const place = links.place(draft.position);
    if (place === 'replayed') return isRepeat;
    const outcome = known.request(draft);
    if (outcome) return outcome;
    const first = known.archived(draft) ?? known.alike(draft);
    if (first !== undefined) {
      if (draft.custody === 'sole') becomeSole.run(first);
      return isRepeat;
    }
    insert(seq, at, draft, place);
    if (second) insert(seq + 1, at, second, null);
    return isNew;
  };
}

/** Rules 2 and 3 of toMqtt, and the request ids of toXmpp. */
function lookups(db: DatabaseSync, derived: Derived) {
  const byArchive = db.prepare('SELECT 1 FROM entry WHERE seq = ? AND archive_key = ?');
  // Two live direct stanzas are two messages: one of the two must have come by a way that makes second copies.
  const byContent = db.prepare(
    `SELECT 1 FROM entry WHERE seq = ? AND content_key = ? AND (late OR ?) AND abs(at - ?) <= ${repeatWindowMs}`,
  );
  const byRequest = db.prepare('SELECT request_digest FROM entry WHERE seq = ? AND request_key = ?');
  return {
    archived({ archiveKey }: Draft): number | undefined {
      if (!archiveKey) return undefined;
      return derived.known(archiveKey).find((seq) => byArchive.get(seq, archiveKey));
    },
    alike({ contentKey, late, at }: Draft): number | undefined {
      if (!contentKey) return undefined;
      return derived.known(contentKey).find((seq) => byContent.get(seq, contentKey, late ? 1 : 0, at));
    },
    request({ requestKey, requestDigest }: Draft): Outcome | undefined {
      if (!requestKey) return undefined;
      for (const seq of derived.known(requestKey)) {
        const row = byRequest.get(seq, requestKey);
        if (row) return row.request_digest === (requestDigest ?? null) ? isRepeat : isConflict;
      }
      return undefined;
    },
  };
}

function inserter(db: DatabaseSync, tally: Tally, derived: Derived) {
  const entry = db.prepare(
    `INSERT INTO entry (seq, lane, state, custody, late, at, accepted_at, ended_at, link, n, user, peer, channel, id, mapping,
       condition, text, archive_key, content_key, request_key, request_digest)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const body = db.prepare('INSERT INTO body (seq, topic, payload, original) VALUES (?, ?, ?, ?)');
  return (seq: number, at: number, draft: Draft, link: number | null) => {
    const { refused } = draft;
    // A refused one leaves no keys: what is sent again after the cause is mended must come through.
    const key = (text: string | undefined) => (refused ? null : (text ?? null));
    const lane = lanes.indexOf(draft.lane);
    const state = refused ? dead : accepted;
    entry.run(
      seq,
      lane,
      state,
      custodies.indexOf(draft.custody),
      draft.late ? 1 : 0,
      draft.at,
      at,
      refused ? at : null,
      link,
      draft.position?.n ?? null,
      draft.user,
      draft.peer,
      draft.channel,
      draft.id ?? null,
      draft.mapping ?? null,
      refused?.condition ?? null,
      refused?.text ?? null,
      key(draft.archiveKey),
      key(draft.contentKey),
      key(draft.requestKey),
      key(draft.requestDigest),
    );
    if (!refused) body.run(seq, draft.topic ?? null, draft.payload, draft.original ?? null);
    derived.opened(draft.user, seq);
    if (!refused)
      for (const key of [draft.archiveKey, draft.contentKey, draft.requestKey]) if (key) derived.learned(key, seq);
    tally.add(lane, state);
  };
}
