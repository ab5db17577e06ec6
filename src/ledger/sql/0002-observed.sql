-- What else the legacy server keeps for a user, beside the attached session: JSON, written and read by migration/.
ALTER TABLE user ADD COLUMN observed TEXT;
ALTER TABLE user ADD COLUMN locked TEXT;
