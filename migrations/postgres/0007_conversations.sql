-- Conversations: all of what is remembered. Redis keeps the end of those in use, under the same `version`, which grows with each change. One that
-- begins anew begins with the time, in milliseconds, so that no version comes twice. `expires_at` is in the past for one that was cleared and for
-- one that has ended; `cleared_at` outlives that, since messages from before may come late. `window_is_stale`: Redis could not be told.
CREATE TABLE conversation (
    user_id         TEXT COLLATE "C" PRIMARY KEY,
    version         BIGINT NOT NULL,
    summary         TEXT,
    held            BIGINT NOT NULL DEFAULT 0,
    archived        BIGINT NOT NULL DEFAULT 0,
    last_at         BIGINT NOT NULL DEFAULT 0,
    cleared_at      BIGINT NOT NULL DEFAULT -9223372036854775808,
    expires_at      BIGINT NOT NULL DEFAULT 0,
    window_is_stale BOOLEAN NOT NULL DEFAULT FALSE
);

CREATE INDEX conversation_by_expiry ON conversation (expires_at);
CREATE INDEX conversation_with_stale_window ON conversation (user_id) WHERE window_is_stale;

-- Messages in the order of `at` and `position`. `at` is when it was said, but not before the one before it, unless it came late. `step` names what
-- was added together. `body` is JSON text as Redis has it. An archived one is no longer part of the conversation: a summary stands for it, or
-- there were too many.
CREATE TABLE conversation_message (
    user_id     TEXT COLLATE "C" NOT NULL REFERENCES conversation (user_id) ON DELETE CASCADE,
    at          BIGINT NOT NULL,
    position    BIGINT GENERATED ALWAYS AS IDENTITY,
    step        TEXT COLLATE "C" NOT NULL,
    is_system   BOOLEAN NOT NULL,
    is_archived BOOLEAN NOT NULL DEFAULT FALSE,
    characters  BIGINT NOT NULL,
    body        TEXT NOT NULL,
    PRIMARY KEY (user_id, at, position)
);

CREATE INDEX conversation_message_held ON conversation_message (user_id, at, position) WHERE NOT is_archived;
CREATE INDEX conversation_message_by_step ON conversation_message (user_id, step);

-- The row of a conversation, locked; made if it is not there.
CREATE FUNCTION conversation_locked(who TEXT, now_ms BIGINT) RETURNS conversation LANGUAGE plpgsql AS $$
DECLARE
    it conversation;
BEGIN
    INSERT INTO conversation (user_id, version) VALUES (who, now_ms) ON CONFLICT DO NOTHING;
    SELECT * INTO STRICT it FROM conversation WHERE user_id = who FOR UPDATE;
    RETURN it;
END
$$;

-- Adds the messages of a step (`[{at, is_system, characters, body}]`, oldest first), unless that was done before. Beyond `max_held` messages the oldest
-- are archived, system messages last; of an archive the newest 10,000 stay. What comes late finds its place by time, and nothing from before a
-- clearing comes back.
CREATE FUNCTION conversation_append(who TEXT, step_id TEXT, messages JSON, now_ms BIGINT, ends_at BIGINT, max_held BIGINT, is_late BOOLEAN,
    is_stale BOOLEAN, OUT held BIGINT, OUT version BIGINT, OUT has_begun BOOLEAN) LANGUAGE plpgsql AS $$
DECLARE
    it conversation := conversation_locked(who, now_ms);
    added BIGINT;
    surplus BIGINT;
BEGIN
    has_begun := it.expires_at <= now_ms;
    IF has_begun THEN
        DELETE FROM conversation_message WHERE user_id = who;
        it.summary := NULL;
        it.held := 0;
        it.archived := 0;
        it.last_at := 0;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM conversation_message WHERE user_id = who AND step = step_id) THEN
        INSERT INTO conversation_message (user_id, at, step, is_system, characters, body)
            SELECT who, CASE WHEN is_late THEN given.at ELSE GREATEST(given.at, it.last_at) END, step_id, given.is_system,
                given.characters, given.body
            FROM ROWS FROM (json_to_recordset(messages) AS (at BIGINT, is_system BOOLEAN, characters BIGINT, body TEXT))
                WITH ORDINALITY AS given (at, is_system, characters, body, nth)
            WHERE NOT is_late OR given.at > it.cleared_at ORDER BY given.nth;
        GET DIAGNOSTICS added = ROW_COUNT;
        it.held := it.held + added;
        it.last_at := GREATEST(it.last_at, (SELECT MAX(given.at) FROM json_to_recordset(messages) AS given (at BIGINT)));
        it.expires_at := CASE WHEN NOT is_late THEN ends_at WHEN added > 0 THEN GREATEST(it.expires_at, ends_at) ELSE it.expires_at END;
        surplus := it.held - max_held;
        IF surplus > 0 THEN
            UPDATE conversation_message AS oldest SET is_archived = TRUE
                FROM (SELECT m.at, m.position FROM conversation_message AS m WHERE m.user_id = who AND NOT m.is_archived
                    ORDER BY m.is_system, m.at, m.position LIMIT surplus) AS chosen
                WHERE oldest.user_id = who AND oldest.at = chosen.at AND oldest.position = chosen.position;
            it.held := it.held - surplus;
            it.archived := it.archived + surplus;
        END IF;
        IF it.archived > 11000 THEN
            DELETE FROM conversation_message AS oldest USING
                (SELECT m.at, m.position FROM conversation_message AS m WHERE m.user_id = who AND m.is_archived
                    ORDER BY m.at, m.position LIMIT it.archived - 10000) AS chosen
                WHERE oldest.user_id = who AND oldest.at = chosen.at AND oldest.position = chosen.position;
            it.archived := 10000;
        END IF;
    END IF;
    UPDATE conversation AS c SET version = it.version + 1, summary = it.summary, held = it.held, archived = it.archived,
        last_at = it.last_at, expires_at = it.expires_at, window_is_stale = c.window_is_stale OR is_stale
        WHERE c.user_id = who;
    held := it.held;
    version := it.version + 1;
END
$$;

-- Forgets a conversation. A clearing that comes late spares what was said since.
CREATE FUNCTION conversation_clear(who TEXT, cleared_ms BIGINT, now_ms BIGINT, is_late BOOLEAN, is_stale BOOLEAN) RETURNS BIGINT
    LANGUAGE plpgsql AS $$
DECLARE
    it conversation := conversation_locked(who, now_ms);
    left_over BIGINT;
BEGIN
    DELETE FROM conversation_message WHERE user_id = who AND (NOT is_late OR at <= cleared_ms);
    SELECT COUNT(*) INTO left_over FROM conversation_message WHERE user_id = who AND NOT is_archived;
    UPDATE conversation AS c SET version = it.version + 1, held = left_over,
        archived = (SELECT COUNT(*) FROM conversation_message WHERE user_id = who AND is_archived),
        summary = NULL, cleared_at = GREATEST(c.cleared_at, cleared_ms),
        expires_at = CASE WHEN left_over > 0 THEN c.expires_at ELSE 0 END,
        window_is_stale = c.window_is_stale OR is_stale
        WHERE c.user_id = who;
    RETURN it.version + 1;
END
$$;

-- Puts a summary in the place of the messages at these positions, if all of them are still held; gives the version, or NULL.
CREATE FUNCTION conversation_summarize(who TEXT, positions BIGINT[], text TEXT, now_ms BIGINT) RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE
    it conversation := conversation_locked(who, now_ms);
    found_count BIGINT;
BEGIN
    SELECT COUNT(*) INTO found_count FROM conversation_message
        WHERE user_id = who AND NOT is_archived AND position = ANY (positions);
    IF found_count < cardinality(positions) OR it.expires_at <= now_ms THEN
        RETURN NULL;
    END IF;
    UPDATE conversation_message SET is_archived = TRUE WHERE user_id = who AND NOT is_archived AND position = ANY (positions);
    UPDATE conversation AS c SET version = it.version + 1, summary = text, held = it.held - found_count,
        archived = it.archived + found_count WHERE c.user_id = who;
    RETURN it.version + 1;
END
$$;
