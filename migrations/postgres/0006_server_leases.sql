-- Servers that are alive. `generation` names a lease, and is never used again; who lets it run out is taken for dead, and has another one when it
-- comes back. Times are of the database's own clock: those of the servers differ.
CREATE TABLE server_lease (
    generation BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    server     TEXT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);

-- The lease under which an execution runs; NULL for servers that have none, being of an earlier version.
ALTER TABLE execution ADD COLUMN generation BIGINT;

CREATE INDEX execution_by_generation ON execution (generation) WHERE status = 'running';

-- Work that one server does for all, and until when it has the time to.
CREATE TABLE work_claim (
    name       TEXT COLLATE "C" PRIMARY KEY,
    generation BIGINT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);
