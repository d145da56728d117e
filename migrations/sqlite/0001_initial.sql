-- Times are milliseconds since 1970 (UTC); JSON is text.

CREATE TABLE conversation (
    user_id    TEXT PRIMARY KEY,
    summary    TEXT,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX conversation_by_expiry ON conversation (expires_at);

-- AUTOINCREMENT: an id is never used again, so a summary of messages that were cleared meanwhile can't hit new ones.
CREATE TABLE message (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id    TEXT NOT NULL REFERENCES conversation (user_id) ON DELETE CASCADE,
    role       TEXT NOT NULL,
    content    TEXT NOT NULL,
    metadata   TEXT NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE INDEX message_by_user ON message (user_id, id);

CREATE TABLE cache_entry (
    key        TEXT PRIMARY KEY,
    value      TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX cache_entry_by_expiry ON cache_entry (expires_at);

-- `position` grows with each execution and is what a page's cursor holds.
CREATE TABLE execution (
    position          INTEGER PRIMARY KEY AUTOINCREMENT,
    id                TEXT NOT NULL UNIQUE,
    user_id           TEXT NOT NULL,
    status            TEXT NOT NULL,
    prompt            TEXT NOT NULL,
    intent            TEXT,
    intent_confidence REAL,
    plan              TEXT,
    answer            TEXT,
    error             TEXT,
    metadata          TEXT,
    started_at        INTEGER NOT NULL,
    finished_at       INTEGER
);

CREATE INDEX execution_by_user ON execution (user_id, position);
CREATE INDEX execution_by_status ON execution (status, position);

CREATE TABLE execution_step (
    execution_id TEXT NOT NULL REFERENCES execution (id) ON DELETE CASCADE,
    ordinal      INTEGER NOT NULL,
    id           TEXT NOT NULL,
    action       TEXT NOT NULL,
    target       TEXT,
    status       TEXT NOT NULL,
    error        TEXT,
    output       TEXT,
    duration_ms  INTEGER NOT NULL,
    PRIMARY KEY (execution_id, ordinal)
) WITHOUT ROWID;
