-- What a server of schema 1 left in its database: a finished job, a running one, and everything that
-- belongs to them. Loaded by schema_migration_test.cc after the first migration; never changed.
UPDATE meta SET value = 12 WHERE name = 'last_revision';
INSERT INTO jobs VALUES ('job-1', 'default', 'old job', x'0a00ff', 3, 20, 16, 1700000000000000, 5, 2, '', 1700000001000000, 12, 'report.json	sha256:1111111111111111111111111111111111111111111111111111111111111111	7
');
INSERT INTO jobs VALUES ('job-2', 'vision', 'running job', x'0b', 4, 21, 2, 1700000002000000, 7, 1, '', NULL, 11, '');
INSERT INTO tasks VALUES ('job-1/evaluate', 'job-1', 0, 'evaluate', 'EVALUATE', x'00', 'sha256:2222222222222222222222222222222222222222222222222222222222222222', '', 'any', 'cpu', 64, 'model			sha256:3333333333333333333333333333333333333333333333333333333333333333
', 'metrics
', 4, 1, 0, 0, 0, 0, 0, 1, 'metrics	sha256:4444444444444444444444444444444444444444444444444444444444444444	9
', '', '', 0, 0, '', 0, 0, '', '', 1700000000500000, 1700000001000000, 12);
INSERT INTO tasks VALUES ('job-2/pretrain-meta', 'job-2', 0, 'pretrain-meta', 'PRETRAIN_META', x'01', '', 'meta', 'cpu-x86-avx2', '', 0, '', 'model
', 3, 2, 1, 0, 0, 0, 1, 0, '', '', 'sha256:5555555555555555555555555555555555555555555555555555555555555555', 10, 40, '', 0, 0, '', '', 1700000003000000, NULL, 11);
INSERT INTO attempts VALUES ('job-1/evaluate', 1, 'lease-a', 'host-a', 'r-a', 'set-a', 1, 2, 0, 0, '', 1700000000500000, 1700000001000000, x'07', '');
INSERT INTO attempts VALUES ('job-2/pretrain-meta', 1, 'lease-b', 'host-a', 'r-b', 'set-b', 1, 3, 1, 1, 'loss is not finite', 1700000002500000, 1700000002900000, x'', '');
INSERT INTO attempts VALUES ('job-2/pretrain-meta', 2, 'lease-c', 'host-b', 'r-c', 'set-c', 1, 1, 0, 0, '', 1700000003000000, NULL, x'', '');
INSERT INTO blobs VALUES ('sha256:4444444444444444444444444444444444444444444444444444444444444444', 9, 3, 1, 1700000001000000);
INSERT INTO lineage VALUES ('sha256:4444444444444444444444444444444444444444444444444444444444444444', 'job-1/evaluate', 1, 'metrics', 'sha256:3333333333333333333333333333333333333333333333333333333333333333
');
INSERT INTO results VALUES ('default', 'sha256:2222222222222222222222222222222222222222222222222222222222222222', 'job-1/evaluate', 'metrics	sha256:4444444444444444444444444444444444444444444444444444444444444444	9
');
INSERT INTO requests VALUES ('default', 'submit-1', '', 'job-1');
INSERT INTO requests VALUES ('vision', 'submit-2', 'sha256:6666666666666666666666666666666666666666666666666666666666666666', 'job-2');
INSERT INTO workers VALUES ('host-a', 1);
INSERT INTO events VALUES (11, 'job-2', 'pretrain-meta', 1, 3, 2, 'host-b', '', '', 1700000003000000, 1, 0, 1, 0);
INSERT INTO events VALUES (12, 'job-1', '', 2, 1, 0, '', '', '', 1700000001000000, 1, 1, 0, 0);
