-- attach: client. Which of our stanzas a client session's stream carries (XEP-0198 counts both ways): after a broken connection the server's
-- count says which keys it has processed. n = 0: processed, and the entry does not know yet.
CREATE TABLE outbound (
  link TEXT NOT NULL,
  key  TEXT NOT NULL,
  n    INTEGER NOT NULL,
  PRIMARY KEY (link, key)
) WITHOUT ROWID;
