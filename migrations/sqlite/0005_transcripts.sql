-- Conversations of the chat page as it shows them, whatever the memory still knows of them.
CREATE TABLE transcript (
    id              TEXT PRIMARY KEY,
    title           TEXT NOT NULL,
    user_id         TEXT,
    model_id        TEXT,
    routing_profile TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX transcript_by_update ON transcript (updated_at, id);
CREATE INDEX transcript_by_user ON transcript (user_id, updated_at, id);

-- `model`, `routing_profile`, `succeeded` and `latency_ms` are of answers.
CREATE TABLE transcript_message (
    position        INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    transcript_id   TEXT NOT NULL REFERENCES transcript (id) ON DELETE CASCADE,
    role            TEXT NOT NULL,
    content         TEXT NOT NULL,
    metadata        TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    model           TEXT,
    routing_profile TEXT,
    succeeded       BOOLEAN,
    latency_ms      INTEGER
);

CREATE INDEX transcript_message_by_transcript ON transcript_message (transcript_id, position);
CREATE INDEX transcript_message_by_time ON transcript_message (created_at) WHERE succeeded IS NOT NULL;

-- Instructions to the model for all that is sent from the chat page; the active one counts.
CREATE TABLE prompt_profile (
    name          TEXT PRIMARY KEY,
    id            TEXT NOT NULL,
    description   TEXT,
    system_prompt TEXT NOT NULL,
    is_active     BOOLEAN NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX prompt_profile_active ON prompt_profile (is_active) WHERE is_active;
