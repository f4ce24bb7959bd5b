-- Schema version 5: bearer tokens, which project may read a blob, and whose a data set is.

CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  secret TEXT NOT NULL,
  project TEXT NOT NULL,
  role INTEGER NOT NULL,
  description TEXT NOT NULL,
  creator TEXT NOT NULL,
  create_time INTEGER,
  expire_time INTEGER,
  revoke_time INTEGER,
  last_used_time INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE blob_owners (
  digest TEXT NOT NULL,
  project TEXT NOT NULL,
  PRIMARY KEY (digest, project)
) STRICT, WITHOUT ROWID;

-- Those that are there belong to everybody, as before.
ALTER TABLE datasets ADD COLUMN project TEXT NOT NULL DEFAULT '';
