// The store's first verb: accept. Decides "repeat or new?" and writes the entry, in one commit (DESIGN §8).

import type { DatabaseSync } from 'node:sqlite';
import { accepted, custodies, dead, lanes, sole, words } from './codes.ts';
import type { Derived } from './derived.ts';
import type { AcceptArgs } from './engine.ts';
import type { Draft, Outcome } from './ledger.ts';
import { repeatWindowMs } from './repeat.ts';
import type { Links } from './store-links.ts';
import type { Marks } from './store-marks.ts';
import type { Tally } from './tally.ts';

const isNew: Outcome = { kind: 'new' };
const isRepeat: Outcome = { kind: 'repeat' };
const isConflict: Outcome = { kind: 'conflict' };
const isFull: Outcome = { kind: 'full' };

export interface AcceptParts {
  tally: Tally;
  derived: Derived;
  links: Links;
  marks: Marks;
}

export function acceptOperation(db: DatabaseSync, parts: AcceptParts): (args: AcceptArgs) => Outcome {
  const { tally, derived, links, marks } = parts;
  const known = lookups(db, derived);
  const insert = inserter(db, tally, derived);
  // With its new place on the link: what the server takes back, and under which key it is returned, goes by where it came last.
  const becomeSole = db.prepare(
    `UPDATE entry SET custody = ${sole}, link = ?, n = ? WHERE seq = ? AND state <= 4 AND app_acked_at IS NULL`,
  );
  // What a user's app has sent to the user itself: now there is a stanza that can be returned.
  const keepOriginal = db.prepare('UPDATE body SET original = ? WHERE seq = ? AND original IS NULL');

  // Found by its words, it is found by the archive's id from now on, and no second message with the same words by this one.
  const learn = db.prepare('UPDATE entry SET archive_key = ? WHERE seq = ? AND archive_key IS NULL');

  return ({ seq, at, draft, copy: second }) => {
    // Read the position also for repeats and refused ones: it says what was read, not what was kept.
    const place = links.place(draft.position);
    if (place === 'replayed') return isRepeat;
    if (draft.place) marks.moved(draft.user, draft.place, at);
    const outcome = known.request(draft);
    if (outcome) return outcome;
    const first = known.archived(draft) ?? known.alike(draft);
    if (first !== undefined) {
      if (draft.custody === 'sole' && becomeSole.run(place, draft.position?.n ?? null, first).changes > 0)
        keepOriginal.run(draft.original ?? null, first);
      if (draft.archiveKey && learn.run(draft.archiveKey, first).changes > 0) derived.learned(draft.archiveKey, first);
      return isRepeat;
    }
    if (draft.maxOpen !== undefined && derived.openOfApps(draft.user) >= draft.maxOpen) return isFull;
    insert(seq, at, draft, place);
    if (second) insert(seq + 1, at, second, null);
    return isNew;
  };
}

/** How `late` stands in the file. */
const lateByCarbon = 2;

function lateOf({ late, carbon }: Draft): number {
  return carbon ? lateByCarbon : late ? 1 : 0;
}

/** Rules 2 and 3 of toMqtt, and the request ids of toXmpp. */
function lookups(db: DatabaseSync, derived: Derived) {
  const byArchive = db.prepare('SELECT 1 FROM entry WHERE seq = ? AND archive_key = ?');
  // Two live direct stanzas are two messages: one of the two must have come by a way that makes second copies. So are two carbons,
  // and what the archive has under two ids.
  const byContent = db.prepare(
    `SELECT 1 FROM entry WHERE seq = ?1 AND content_key = ?2 AND (late OR ?3) AND NOT (late = ${lateByCarbon} AND ?3 = ${lateByCarbon})
       AND abs(at - ?4) <= ${repeatWindowMs} AND (archive_key IS NULL OR ?5 IS NULL)`,
  );
  const byRequest = db.prepare('SELECT request_digest FROM entry WHERE seq = ? AND request_key = ?');
  return {
    archived({ archiveKey }: Draft): number | undefined {
      if (!archiveKey) return undefined;
      return derived.known(archiveKey).find((seq) => byArchive.get(seq, archiveKey));
    },
    alike(draft: Draft): number | undefined {
      const { contentKey, archiveKey = null, at } = draft;
      if (!contentKey) return undefined;
      return derived.known(contentKey).find((seq) => byContent.get(seq, contentKey, lateOf(draft), at, archiveKey));
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
       condition, text, archive_key, content_key, request_key, request_digest, expires_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
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
      lateOf(draft),
      draft.at,
      at,
      refused ? at : null,
      link,
      draft.position?.n ?? null,
      draft.user,
      draft.peer,
      draft.channel,
      draft.id === undefined ? null : words(draft.id),
      draft.mapping ?? null,
      refused?.condition ?? null,
      refused ? words(refused.text) : null,
      key(draft.archiveKey),
      key(draft.contentKey),
      key(draft.requestKey),
      key(draft.requestDigest),
      draft.expiresAt ?? null,
    );
    if (!refused) body.run(seq, draft.topic ?? null, draft.payload, draft.original ?? null);
    derived.opened(draft.user, seq, lane);
    if (!refused)
      for (const key of [draft.archiveKey, draft.contentKey, draft.requestKey]) if (key) derived.learned(key, seq);
    tally.accepted(lane, state);
  };
}
