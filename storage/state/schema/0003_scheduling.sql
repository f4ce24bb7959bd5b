-- Schema version 3: pausing of jobs, priorities, labels that tasks demand, quarantine and drain
-- deadlines of workers, quotas of projects.

-- Of a job whose state is 1 (running).
ALTER TABLE jobs ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 5;
ALTER TABLE tasks ADD COLUMN labels TEXT NOT NULL DEFAULT '';

ALTER TABLE workers ADD COLUMN drain_deadline INTEGER DEFAULT NULL;
ALTER TABLE workers ADD COLUMN quarantine INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN quarantine_reason TEXT NOT NULL DEFAULT '';

CREATE TABLE quotas (
  project TEXT PRIMARY KEY,
  weight INTEGER NOT NULL,
  max_slots INTEGER NOT NULL,
  max_running_tasks INTEGER NOT NULL,
  max_blob_bytes INTEGER NOT NULL,
  max_submits_per_hour INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
