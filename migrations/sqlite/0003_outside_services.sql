-- What waits to be written to a service that does not answer, in order. `bytes` is the size of `body`.
CREATE TABLE pending (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    service  TEXT NOT NULL,
    owner    TEXT NOT NULL,
    bytes    INTEGER NOT NULL,
    body     TEXT NOT NULL
);

CREATE INDEX pending_by_service ON pending (service, position, bytes);
CREATE INDEX pending_by_owner ON pending (service, owner, position);

-- Which conversations were cleared, by which operation and when: a Redis that comes back with old data is told again.
CREATE TABLE cleared (
    user_id    TEXT PRIMARY KEY,
    operation  TEXT NOT NULL,
    cleared_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX cleared_by_time ON cleared (cleared_at);

-- What this installation knows of itself and of the services, by name.
CREATE TABLE note (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- Which operation stored a message: Redis remembers it too, so that it is stored there once.
ALTER TABLE message ADD COLUMN operation TEXT;

CREATE INDEX execution_by_user_and_status ON execution (user_id, status, position);
