-- Times are milliseconds since 1970 (UTC); JSON is text, so that it comes back as it was.

-- `position` grows with each execution and is what a page's cursor holds. `server` is the installation that carries it out.
CREATE TABLE execution (
    position          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id                TEXT NOT NULL UNIQUE,
    server            TEXT NOT NULL,
    user_id           TEXT NOT NULL,
    status            TEXT NOT NULL,
    prompt            TEXT NOT NULL,
    intent            TEXT,
    intent_confidence DOUBLE PRECISION,
    plan              TEXT,
    answer            TEXT,
    error             TEXT,
    metadata          TEXT,
    started_at        BIGINT NOT NULL,
    finished_at       BIGINT
);

CREATE INDEX execution_by_user ON execution (user_id, position);
CREATE INDEX execution_by_status ON execution (status, position);
CREATE INDEX execution_by_user_and_status ON execution (user_id, status, position);
CREATE INDEX execution_by_server ON execution (server) WHERE status = 'running';

CREATE TABLE execution_step (
    execution_id TEXT NOT NULL REFERENCES execution (id) ON DELETE CASCADE,
    ordinal      BIGINT NOT NULL,
    id           TEXT NOT NULL,
    action       TEXT NOT NULL,
    target       TEXT,
    status       TEXT NOT NULL,
    error        TEXT,
    query        TEXT,
    output       TEXT,
    duration_ms  BIGINT NOT NULL,
    PRIMARY KEY (execution_id, ordinal)
);
