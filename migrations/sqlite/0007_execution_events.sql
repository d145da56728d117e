-- The log of an execution between its plan and its end: tasks that began and tasks that ended, numbered from 3 on. That it began (1), its
-- plan (2) and its end (the last) are columns of `execution`.
ALTER TABLE execution ADD COLUMN planned_at INTEGER;

-- `kind` is `task_started` or `task_finished`; the former has no status and no duration.
CREATE TABLE execution_event (
    execution_id TEXT NOT NULL REFERENCES execution (id) ON DELETE CASCADE,
    number       INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    at           INTEGER NOT NULL,
    id           TEXT NOT NULL,
    action       TEXT NOT NULL,
    target       TEXT,
    status       TEXT,
    error        TEXT,
    query        TEXT,
    output       TEXT,
    duration_ms  INTEGER,
    PRIMARY KEY (execution_id, number)
) WITHOUT ROWID;

-- In the order of the key, so each row is put behind the last one.
INSERT INTO execution_event (execution_id, number, kind, at, id, action, target, status, error, query, output, duration_ms)
    SELECT step.execution_id, step.ordinal + 3, 'task_finished', COALESCE(execution.finished_at, execution.started_at),
        step.id, step.action, step.target, step.status, step.error, step.query, step.output, step.duration_ms
    FROM execution_step AS step CROSS JOIN execution ON execution.id = step.execution_id
    ORDER BY step.execution_id, step.ordinal;

DROP TABLE execution_step;
