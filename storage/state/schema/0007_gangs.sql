-- Tasks that several trainers share, and the attempts of such a gang.
ALTER TABLE tasks ADD COLUMN gang_size INTEGER NOT NULL DEFAULT 1;
ALTER TABLE attempts ADD COLUMN gang TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN gang_rank INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN gang_size INTEGER NOT NULL DEFAULT 1;
