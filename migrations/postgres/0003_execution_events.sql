-- The log of an execution between its plan and its end: tasks that began and tasks that ended, numbered from 3 on. That it began (1), its
-- plan (2) and its end (the last) are columns of `execution`.
ALTER TABLE execution ADD COLUMN planned_at BIGINT;

-- `kind` is `task_started` or `task_finished`; the former has no status and no duration.
CREATE TABLE execution_event (
    execution_id TEXT NOT NULL,
    number       BIGINT NOT NULL,
    kind         TEXT NOT NULL,
    at           BIGINT NOT NULL,
    id           TEXT NOT NULL,
    action       TEXT NOT NULL,
    target       TEXT,
    status       TEXT,
    error        TEXT,
    query        TEXT,
    output       TEXT,
    duration_ms  BIGINT
);

INSERT INTO execution_event (execution_id, number, kind, at, id, action, target, status, error, query, output, duration_ms)
    SELECT step.execution_id, step.ordinal + 3, 'task_finished', COALESCE(execution.finished_at, execution.started_at),
        step.id, step.action, step.target, step.status, step.error, step.query, step.output, step.duration_ms
    FROM execution_step AS step JOIN execution ON execution.id = step.execution_id;

DROP TABLE execution_step;

-- Made of all rows at once, which is faster than with each of them.
ALTER TABLE execution_event
    ADD PRIMARY KEY (execution_id, number),
    ADD FOREIGN KEY (execution_id) REFERENCES execution (id) ON DELETE CASCADE;
