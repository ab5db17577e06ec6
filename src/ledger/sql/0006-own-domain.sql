-- Addresses on the component's own domain: what was set for each, and those that an operator has added beside the configuration's.
CREATE TABLE own_user (
  jid           TEXT PRIMARY KEY,
  added         INTEGER NOT NULL, -- 1: by an operator; 0: the configuration declares it, or has declared it
  subscriptions TEXT,             -- ask, accept; NULL: what the configuration says
  listed        INTEGER NOT NULL, -- named in the domain's disco#items
  profile       TEXT,             -- JSON, written and read by migration/
  changed_at    INTEGER NOT NULL
) WITHOUT ROWID;

-- Their contacts: no server keeps a roster for these addresses.
CREATE TABLE own_contact (
  user       TEXT NOT NULL,
  contact    TEXT NOT NULL,
  sees       TEXT,            -- may the contact see the user: asks, approved, yes; NULL: no
  seen       TEXT,            -- may the user see the contact: asked, yes; NULL: no
  changed_at INTEGER NOT NULL,
  PRIMARY KEY (user, contact)
) WITHOUT ROWID;
