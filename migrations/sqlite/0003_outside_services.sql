-- What waits to be written to a service that does not answer, in order.
CREATE TABLE pending (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    service  TEXT NOT NULL,
    owner    TEXT NOT NULL,
    body     TEXT NOT NULL
);

CREATE INDEX pending_by_service ON pending (service, position);
CREATE INDEX pending_by_owner ON pending (service, owner, position);

-- What this installation knows of itself and of the services, by name.
CREATE TABLE note (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- Which operation stored a message: Redis remembers it too, so that it is stored there once.
ALTER TABLE message ADD COLUMN operation TEXT;

CREATE INDEX execution_by_user_and_status ON execution (user_id, status, position);
