-- Keys of the API. Of a key itself there is its digest only (SHA-256); `prefix` is how it begins. `scopes` is a JSON list, or NULL for all
-- that the role may do.
CREATE TABLE api_key (
    id           TEXT COLLATE "C" PRIMARY KEY,
    name         TEXT NOT NULL,
    prefix       TEXT NOT NULL,
    hash         BYTEA NOT NULL UNIQUE,
    role         TEXT NOT NULL,
    scopes       TEXT,
    owner        TEXT,
    tenant       TEXT,
    created_at   BIGINT NOT NULL,
    created_by   TEXT,
    expires_at   BIGINT,
    last_used_at BIGINT,
    revoked_at   BIGINT
);

-- One row: how often keys have changed, whoever changed them.
CREATE TABLE key_revision (
    singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
    revision  BIGINT NOT NULL
);

INSERT INTO key_revision (singleton, revision) VALUES (1, 0);

CREATE FUNCTION api_key_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE key_revision SET revision = revision + 1 WHERE singleton = 1;
    PERFORM pg_notify('orchestrator_keys', '');
    RETURN NULL;
END
$$;

CREATE TRIGGER api_key_changed
    AFTER INSERT OR DELETE OR UPDATE OF hash, role, scopes, owner, tenant, expires_at, revoked_at ON api_key
    FOR EACH ROW EXECUTE FUNCTION api_key_changed();

-- Who did what. `before` and `after` are JSON.
CREATE TABLE audit_entry (
    id         TEXT COLLATE "C" PRIMARY KEY,
    at         BIGINT NOT NULL,
    actor_user TEXT,
    actor_key  TEXT,
    actor_role TEXT NOT NULL,
    address    TEXT,
    method     TEXT NOT NULL,
    path       TEXT NOT NULL,
    operation  TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    status     BIGINT NOT NULL,
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

CREATE FUNCTION audit_entry_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END
$$;

CREATE TRIGGER audit_entry_stays BEFORE UPDATE OR TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_stays();
