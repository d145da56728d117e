-- What was configured through the API, entry by entry: `body` is the JSON that the file of the section has of it, credentials included.
-- NULL: nothing is stored under the name any more. `revision` is the one in which that became so.
CREATE TABLE config_entry (
    section  TEXT COLLATE "C" NOT NULL,
    name     TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    body     TEXT,
    revision BIGINT NOT NULL,
    PRIMARY KEY (section, name)
);

CREATE INDEX config_entry_by_revision ON config_entry (revision);

-- Who changed it, and when. The numbers have no gaps.
CREATE TABLE config_revision (
    number     BIGINT PRIMARY KEY,
    at         BIGINT NOT NULL,
    author     TEXT,
    request_id TEXT,
    operation  TEXT NOT NULL
);

-- What a revision changed.
CREATE TABLE config_change (
    revision BIGINT NOT NULL REFERENCES config_revision (number) ON DELETE CASCADE,
    section  TEXT COLLATE "C" NOT NULL,
    name     TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    before   TEXT,
    after    TEXT,
    PRIMARY KEY (revision, section, name)
);

CREATE INDEX config_change_by_entry ON config_change (section, name, revision);

-- One row: the last revision, which whoever makes the next one locks; and which configuration it is that the revisions are of.
CREATE TABLE config_head (
    singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
    id        TEXT NOT NULL,
    revision  BIGINT NOT NULL
);

INSERT INTO config_head (singleton, id, revision) VALUES (1, md5(random()::text || clock_timestamp()::text), 0);
