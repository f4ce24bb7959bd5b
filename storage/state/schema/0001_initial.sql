-- Schema version 1. Times are microseconds since 1970, NULL when unset. Lists of small things are text, one a
-- line, fields separated by tabs (record_codec.h). Opaque protocol messages are BLOBs.

CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT;
INSERT INTO meta VALUES ('last_revision', 0);

CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  display_name TEXT NOT NULL,
  spec BLOB NOT NULL,
  max_user_failures INTEGER NOT NULL,
  max_infrastructure_failures INTEGER NOT NULL,
  max_bundle INTEGER NOT NULL,
  create_time INTEGER,
  create_revision INTEGER NOT NULL UNIQUE,
  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 5),
  failure_message TEXT NOT NULL,
  finish_time INTEGER,
  revision INTEGER NOT NULL,
  artifacts TEXT NOT NULL
) STRICT;
CREATE INDEX jobs_by_project ON jobs (project, create_revision);

CREATE TABLE tasks (
  id TEXT PRIMARY KEY,
  job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  plan_index INTEGER NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  spec BLOB NOT NULL,
  task_key TEXT NOT NULL,
  bundle_group TEXT NOT NULL,
  numeric_class TEXT NOT NULL,
  device_kind TEXT NOT NULL,
  memory_bytes INTEGER NOT NULL,
  inputs TEXT NOT NULL,
  outputs TEXT NOT NULL,
  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 6),
  attempts INTEGER NOT NULL,
  user_failures INTEGER NOT NULL,
  infrastructure_failures INTEGER NOT NULL,
  resource_failures INTEGER NOT NULL,
  poison_failures INTEGER NOT NULL,
  solo INTEGER NOT NULL,
  winner_attempt INTEGER NOT NULL,
  results TEXT NOT NULL,
  observations TEXT NOT NULL,
  checkpoint_digest TEXT NOT NULL,
  checkpoint_size INTEGER NOT NULL,
  checkpoint_step INTEGER NOT NULL,
  previous_checkpoint_digest TEXT NOT NULL,
  previous_checkpoint_size INTEGER NOT NULL,
  previous_checkpoint_step INTEGER NOT NULL,
  reused_from TEXT NOT NULL,
  failure_message TEXT NOT NULL,
  start_time INTEGER,
  finish_time INTEGER,
  revision INTEGER NOT NULL,
  UNIQUE (job, plan_index)
) STRICT;

CREATE TABLE attempts (
  task TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  lease_id TEXT NOT NULL,
  worker TEXT NOT NULL,
  acquire_request TEXT NOT NULL,
  lease_set TEXT NOT NULL,
  lease_set_size INTEGER NOT NULL,
  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 6),
  failure_class INTEGER NOT NULL,
  charged INTEGER NOT NULL,
  message TEXT NOT NULL,
  start_time INTEGER,
  finish_time INTEGER,
  stats BLOB NOT NULL,
  observations TEXT NOT NULL,
  PRIMARY KEY (task, number)
) STRICT;

CREATE TABLE blobs (
  digest TEXT PRIMARY KEY,
  size_bytes INTEGER NOT NULL,
  type INTEGER NOT NULL,
  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3),
  create_time INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE lineage (
  digest TEXT NOT NULL,
  task TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
  attempt INTEGER NOT NULL,
  output TEXT NOT NULL,
  inputs TEXT NOT NULL,
  PRIMARY KEY (digest, task, attempt, output)
) STRICT, WITHOUT ROWID;
CREATE INDEX lineage_by_task ON lineage (task);

CREATE TABLE results (
  project TEXT NOT NULL,
  task_key TEXT NOT NULL,
  task TEXT NOT NULL,
  outputs TEXT NOT NULL,
  PRIMARY KEY (project, task_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE requests (
  project TEXT NOT NULL,
  request TEXT NOT NULL,
  body TEXT NOT NULL,
  job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  PRIMARY KEY (project, request)
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_by_job ON requests (job);

CREATE TABLE workers (
  id TEXT PRIMARY KEY,
  draining INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  revision INTEGER PRIMARY KEY,
  job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  task TEXT NOT NULL,
  job_state INTEGER NOT NULL,
  task_state INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  worker TEXT NOT NULL,
  reused_from TEXT NOT NULL,
  message TEXT NOT NULL,
  time INTEGER,
  total INTEGER NOT NULL,
  succeeded INTEGER NOT NULL,
  running INTEGER NOT NULL,
  reused INTEGER NOT NULL
) STRICT;
CREATE INDEX events_by_job ON events (job, revision);
