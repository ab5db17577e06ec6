-- The account of each lane can be checked: what was accepted is counted as it comes (part -1), and the history that was forgotten by the
-- state it ended in (parts 5, 6, 7), so that accepted = rows + forgotten holds without the tally.
CREATE TABLE account (
  lane INTEGER NOT NULL,
  part INTEGER NOT NULL,
  n    INTEGER NOT NULL,
  PRIMARY KEY (lane, part)
) WITHOUT ROWID;
INSERT INTO account SELECT lane, -1, sum(n) FROM tally GROUP BY lane;
INSERT INTO account SELECT lane, state, n - (SELECT count(*) FROM entry WHERE entry.lane = tally.lane AND entry.state = tally.state)
  FROM tally WHERE state >= 5;

-- The key spaces of this file's earlier lives, newest last: a restored ledger gives out no key again that was made after the backup.
CREATE TABLE former_space (
  up_to INTEGER PRIMARY KEY, -- the highest number whose key begins with it
  space TEXT NOT NULL
);
