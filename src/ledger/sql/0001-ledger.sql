-- The ledger, first schema. Never edited once released: what changes comes as the next number.
PRAGMA application_id = 0x58464144; -- "XFAD": tells a ledger from any other SQLite file

-- One row for the file. `space` begins every key made from it; no number up to `last_seq` is handed out again, whatever was pruned.
CREATE TABLE file (
  space    TEXT NOT NULL,
  last_seq INTEGER NOT NULL
);
INSERT INTO file VALUES (lower(hex(randomblob(8))), 0);

-- Links to legacy servers and how far each has been read. A new epoch replaces the row and gets a new id, so an id means link and epoch.
CREATE TABLE link (
  id    INTEGER PRIMARY KEY AUTOINCREMENT,
  name  TEXT NOT NULL UNIQUE,
  epoch TEXT NOT NULL,
  n     INTEGER NOT NULL
);

-- The slim life of an entry. Codes: codes.ts. Times in ms since 1970.
CREATE TABLE entry (
  seq            INTEGER PRIMARY KEY,
  lane           INTEGER NOT NULL,
  state          INTEGER NOT NULL,
  custody        INTEGER NOT NULL,
  late           INTEGER NOT NULL,
  app_has        INTEGER NOT NULL DEFAULT 0, -- acknowledged by the app, or (apps that never do) a device was online after the PUBACK
  attempts       INTEGER NOT NULL DEFAULT 0,
  at             INTEGER NOT NULL,
  accepted_at    INTEGER NOT NULL,
  sent_at        INTEGER,
  acked_at       INTEGER,
  app_acked_at   INTEGER,
  ended_at       INTEGER,
  link           INTEGER,
  n              INTEGER,
  user           TEXT NOT NULL,
  peer           TEXT NOT NULL,
  channel        TEXT NOT NULL,
  id             TEXT,
  mapping        TEXT,
  condition      TEXT,
  text           TEXT,
  archive_key    TEXT,
  content_key    TEXT,
  request_key    TEXT,
  request_digest TEXT
);
-- Each index has its reader; the literals must stand in the query as they stand here.
CREATE INDEX entry_to_send ON entry (lane, user, peer, seq) WHERE state <= 1;
CREATE INDEX entry_acked   ON entry (app_has, acked_at) WHERE state = 2;
CREATE INDEX entry_parked  ON entry (user) WHERE state = 3;
CREATE INDEX entry_dead    ON entry (ended_at) WHERE state = 4;
CREATE INDEX entry_ended   ON entry (ended_at) WHERE state >= 5;
-- By repeat key and by user: derived.ts, in memory.

-- Apart from the entry, so that a change of state writes no body again and settling is a deletion here.
CREATE TABLE body (
  seq      INTEGER PRIMARY KEY,
  topic    TEXT,
  payload  TEXT NOT NULL,
  original TEXT
);

-- How many entries are, or ended, in each state; forgotten history stays counted, so the sum is all that was ever accepted.
CREATE TABLE tally (
  lane  INTEGER NOT NULL,
  state INTEGER NOT NULL,
  n     INTEGER NOT NULL,
  PRIMARY KEY (lane, state)
) WITHOUT ROWID;

CREATE TABLE user (
  jid        TEXT PRIMARY KEY,
  phase      TEXT NOT NULL,
  version    INTEGER NOT NULL,
  moving     TEXT,
  attached   TEXT,
  changed_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Users whose apps have acknowledged once; apart from `user`, because addresses on the own domain have no row there.
CREATE TABLE acking (user TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE device (
  user           TEXT NOT NULL,
  client         TEXT NOT NULL,
  online         INTEGER NOT NULL,
  seen_at        INTEGER NOT NULL,
  last_online_at INTEGER, -- end of its last time online
  PRIMARY KEY (user, client)
) WITHOUT ROWID;

CREATE TABLE audit (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  at     INTEGER NOT NULL,
  who    TEXT NOT NULL,
  what   TEXT NOT NULL,
  user   TEXT,
  reason TEXT,
  detail TEXT
);
CREATE INDEX audit_user ON audit (user, id);

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
