-- Indexes whose order is random, made anew at each start and never on disk for long: there, each entry would dirty a page of
-- its own per index, which costs three times what the entry itself does. SQLite spills them to an unlinked temporary file
-- when they outgrow their cache. They share the transactions of the entries, so they cannot differ from them.
PRAGMA temp.journal_mode = MEMORY;
PRAGMA temp.cache_size = -262144;

-- A simulation opens the same database again and again.
DROP TABLE IF EXISTS temp.known;
DROP TABLE IF EXISTS temp.open;
DROP TRIGGER IF EXISTS temp.entry_loses_request;
DROP TRIGGER IF EXISTS temp.entry_loses_keys;
DROP TRIGGER IF EXISTS temp.entry_goes;

-- Repeat keys of all kinds. The first 11 of their 22 characters are enough to find the row, which has them whole.
CREATE TEMP TABLE known (
  key TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (key, seq)
) WITHOUT ROWID;

-- Entries that have not ended, by user.
CREATE TEMP TABLE open (
  user TEXT NOT NULL,
  seq  INTEGER NOT NULL,
  PRIMARY KEY (user, seq)
) WITHOUT ROWID;

INSERT INTO known
  SELECT substr(archive_key, 1, 11) AS key, seq FROM main.entry WHERE archive_key IS NOT NULL
  UNION ALL SELECT substr(content_key, 1, 11), seq FROM main.entry WHERE content_key IS NOT NULL
  UNION ALL SELECT substr(request_key, 1, 11), seq FROM main.entry WHERE request_key IS NOT NULL
  ORDER BY key, seq;
INSERT INTO open SELECT user, seq FROM main.entry WHERE state <= 4 ORDER BY user, seq;

-- Triggers only where it is rare: on an entry's way through life they would double its cost (derived.ts does it there).
CREATE TEMP TRIGGER entry_loses_request AFTER UPDATE OF request_key ON main.entry BEGIN
  DELETE FROM known WHERE seq = old.seq AND key = substr(old.request_key, 1, 11);
END;

CREATE TEMP TRIGGER entry_loses_keys AFTER UPDATE OF archive_key, content_key ON main.entry BEGIN
  DELETE FROM known WHERE seq = old.seq AND key IN (substr(old.archive_key, 1, 11), substr(old.content_key, 1, 11));
END;

CREATE TEMP TRIGGER entry_goes AFTER DELETE ON main.entry BEGIN
  DELETE FROM known WHERE seq = old.seq
    AND key IN (substr(old.archive_key, 1, 11), substr(old.content_key, 1, 11), substr(old.request_key, 1, 11));
END;
