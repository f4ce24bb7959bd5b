-- What device time went into, in microseconds; the driver that tasks demand.

ALTER TABLE tasks ADD COLUMN min_driver TEXT NOT NULL DEFAULT '';
-- What the result cost to make, whoever did.
ALTER TABLE tasks ADD COLUMN device_time INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN device_time INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN lost_time INTEGER NOT NULL DEFAULT 0;

ALTER TABLE results ADD COLUMN kind TEXT NOT NULL DEFAULT '';
ALTER TABLE results ADD COLUMN device_time INTEGER NOT NULL DEFAULT 0;
ALTER TABLE results ADD COLUMN create_time INTEGER DEFAULT NULL;
UPDATE results SET kind = COALESCE((SELECT kind FROM tasks WHERE tasks.id = results.task), '');

-- Lines of jobs, and with an empty job of whole projects, which outlive their jobs.
CREATE TABLE ledger (
  project TEXT NOT NULL,
  job TEXT NOT NULL,
  kind TEXT NOT NULL,
  entry INTEGER NOT NULL,
  count INTEGER NOT NULL,
  device_time INTEGER NOT NULL,
  PRIMARY KEY (project, job, kind, entry)
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_by_job ON ledger (job);
