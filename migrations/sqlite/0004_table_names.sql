-- Names by which a reader searches. Rows and indexes go along.
ALTER TABLE pending RENAME TO outbox;
ALTER TABLE cleared RENAME TO tombstone;
ALTER TABLE note RENAME TO meta;

DROP INDEX pending_by_service;
DROP INDEX pending_by_owner;
DROP INDEX cleared_by_time;
CREATE INDEX outbox_by_service ON outbox (service, position, bytes);
CREATE INDEX outbox_by_owner ON outbox (service, owner, position);
CREATE INDEX tombstone_by_time ON tombstone (cleared_at);
