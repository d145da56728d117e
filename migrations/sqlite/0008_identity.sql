-- Keys of the API. Of a key itself there is its digest only (SHA-256); `prefix` is how it begins. `scopes` is a JSON list, or NULL for all
-- that the role may do. With Postgres this is a copy of the table there.
CREATE TABLE api_key (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    prefix       TEXT NOT NULL,
    hash         BLOB NOT NULL UNIQUE,
    role         TEXT NOT NULL,
    scopes       TEXT,
    owner        TEXT,
    tenant       TEXT,
    created_at   INTEGER NOT NULL,
    created_by   TEXT,
    expires_at   INTEGER,
    last_used_at INTEGER,
    revoked_at   INTEGER
) WITHOUT ROWID;

-- One row: how often keys have changed, whoever changed them; and whether they are a copy of those in Postgres.
CREATE TABLE key_revision (
    singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
    revision  INTEGER NOT NULL,
    is_copy   BOOLEAN NOT NULL
);

INSERT INTO key_revision (singleton, revision, is_copy) VALUES (1, 0, FALSE);

CREATE TRIGGER api_key_added AFTER INSERT ON api_key BEGIN
    UPDATE key_revision SET revision = revision + 1;
END;

CREATE TRIGGER api_key_deleted AFTER DELETE ON api_key BEGIN
    UPDATE key_revision SET revision = revision + 1;
END;

CREATE TRIGGER api_key_changed AFTER UPDATE OF hash, role, scopes, owner, tenant, expires_at, revoked_at ON api_key BEGIN
    UPDATE key_revision SET revision = revision + 1;
END;

-- Who did what. `before` and `after` are JSON. With Postgres only what waits to be moved there is here.
CREATE TABLE audit_entry (
    id         TEXT NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    actor_user TEXT,
    actor_key  TEXT,
    actor_role TEXT NOT NULL,
    address    TEXT,
    method     TEXT NOT NULL,
    path       TEXT NOT NULL,
    operation  TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    status     INTEGER NOT NULL,
    target     TEXT,
    before     TEXT,
    after      TEXT,
    request_id TEXT
);

CREATE INDEX audit_entry_by_time ON audit_entry (at, id);
CREATE INDEX audit_entry_by_user ON audit_entry (actor_user, at, id) WHERE actor_user IS NOT NULL;
CREATE INDEX audit_entry_by_key ON audit_entry (actor_key, at, id) WHERE actor_key IS NOT NULL;
CREATE INDEX audit_entry_by_operation ON audit_entry (operation, at, id);
CREATE INDEX audit_entry_by_outcome ON audit_entry (outcome, at, id);
CREATE INDEX audit_entry_by_target ON audit_entry (target, at, id) WHERE target IS NOT NULL;

CREATE TRIGGER audit_entry_stays BEFORE UPDATE ON audit_entry BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
