-- The trace context that a job was submitted with.
ALTER TABLE jobs ADD COLUMN traceparent TEXT NOT NULL DEFAULT '';
