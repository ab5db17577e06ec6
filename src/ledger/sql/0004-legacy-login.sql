-- Legacy clients of a moved user: what was set for this one user (NULL: what the configuration says), and when it was told that it has moved.
ALTER TABLE user ADD COLUMN legacy_login TEXT;
ALTER TABLE user ADD COLUMN notified_at INTEGER;
