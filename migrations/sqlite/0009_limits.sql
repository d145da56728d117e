-- What callers have used of their limits, where no Redis counts it.
CREATE TABLE limit_counter (
    name TEXT PRIMARY KEY,
    used INTEGER NOT NULL,
    -- Milliseconds since 1970, from which on nobody asks for it.
    ends_at INTEGER NOT NULL
) STRICT;
