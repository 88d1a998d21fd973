-- Twin of ../postgres/0016_begun_attempts.sql.
-- Which node wrote a lane of a journal, and how many attempts of it are counted.
ALTER TABLE journals ADD COLUMN node TEXT;
ALTER TABLE journals ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
CREATE INDEX journals_by_node ON journals (node) WHERE node IS NOT NULL;
-- What a node last said: attempts begun, how many it begins at most before it says more, and lanes made.
ALTER TABLE nodes ADD COLUMN attempts_begun INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN attempts_most INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN lanes INTEGER NOT NULL DEFAULT 0;
-- When an operator gave up what it had not counted.
ALTER TABLE nodes ADD COLUMN written_off_at INTEGER;
