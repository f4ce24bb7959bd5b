-- Schema version 2: registered data sets, and which of them a job uses.

CREATE TABLE datasets (
  name TEXT PRIMARY KEY,
  request TEXT NOT NULL,
  body TEXT NOT NULL,
  source BLOB NOT NULL,
  create_time INTEGER,
  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3),
  failure_message TEXT NOT NULL,
  facts BLOB NOT NULL,
  verification BLOB NOT NULL,
  blobs TEXT NOT NULL,
  finish_time INTEGER
) STRICT, WITHOUT ROWID;

ALTER TABLE jobs ADD COLUMN datasets TEXT NOT NULL DEFAULT '';
