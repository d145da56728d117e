-- With Postgres all this is there and not here, without it what counts are the files, of which this is the history.
-- What was configured through the API, entry by entry: `body` is the JSON that the file of the section has of it, credentials included.
-- NULL: nothing is stored under the name any more. `revision` is the one in which that became so.
CREATE TABLE config_entry (
    section  TEXT NOT NULL,
    name     TEXT NOT NULL,
    position INTEGER NOT NULL,
    body     TEXT,
    revision INTEGER NOT NULL,
    PRIMARY KEY (section, name)
);

CREATE INDEX config_entry_by_revision ON config_entry (revision);

-- Who changed it, and when. The numbers have no gaps.
CREATE TABLE config_revision (
    number     INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    author     TEXT,
    request_id TEXT,
    operation  TEXT NOT NULL
);

-- What a revision changed.
CREATE TABLE config_change (
    revision INTEGER NOT NULL REFERENCES config_revision (number) ON DELETE CASCADE,
    section  TEXT NOT NULL,
    name     TEXT NOT NULL,
    position INTEGER NOT NULL,
    before   TEXT,
    after    TEXT,
    PRIMARY KEY (revision, section, name)
);

CREATE INDEX config_change_by_entry ON config_change (section, name, revision);

-- One row: the last revision.
CREATE TABLE config_head (
    singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
    revision  INTEGER NOT NULL
);

INSERT INTO config_head (singleton, revision) VALUES (1, 0);
