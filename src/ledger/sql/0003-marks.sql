-- How far the archive of each user who is moved to apps is known here, and whether something may be missing behind that.
CREATE TABLE mark (
  user   TEXT PRIMARY KEY,
  id     TEXT,             -- the archive's id for its last message that is here; NULL: only the time is known
  at     INTEGER NOT NULL, -- that message's time, ms since 1970
  gap_at INTEGER,          -- since when messages behind it may be missing; NULL: none is
  missed TEXT              -- JSON: what the archive could not give the last time
) WITHOUT ROWID;
INSERT INTO mark (user, at) SELECT jid, changed_at FROM user WHERE phase IN ('dual', 'mqtt');
