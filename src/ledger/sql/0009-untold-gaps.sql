-- What the archive could not give, until that has been logged: a later gap, or the end of the user's mark, takes the mark's own word.
CREATE TABLE untold_gap (
  id     INTEGER PRIMARY KEY,
  user   TEXT NOT NULL,
  missed TEXT NOT NULL        -- JSON, as in mark
);
