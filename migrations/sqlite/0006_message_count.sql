-- How many messages a conversation holds: counting them each time would take longer the more there are.
ALTER TABLE conversation ADD COLUMN message_count INTEGER NOT NULL DEFAULT 0;

UPDATE conversation SET message_count = (SELECT COUNT(*) FROM message WHERE message.user_id = conversation.user_id);

CREATE TRIGGER message_added AFTER INSERT ON message BEGIN
    UPDATE conversation SET message_count = message_count + 1 WHERE user_id = NEW.user_id;
END;

CREATE TRIGGER message_deleted AFTER DELETE ON message BEGIN
    UPDATE conversation SET message_count = message_count - 1 WHERE user_id = OLD.user_id;
END;
