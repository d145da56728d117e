-- What a step asked a data source.
ALTER TABLE execution_step ADD COLUMN query TEXT;
