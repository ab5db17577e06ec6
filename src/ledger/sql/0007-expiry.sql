-- When a message that waits is of no use any more, because its sender or the operator has said so; ms since 1970, NULL: never.
ALTER TABLE entry ADD COLUMN expires_at INTEGER;
CREATE INDEX entry_expires ON entry (expires_at) WHERE expires_at IS NOT NULL AND state <= 3;
