-- Twin of ../sqlite/0016_begun_attempts.sql.
-- Which node wrote a lane of a journal, and how many attempts of it are counted.
ALTER TABLE journals ADD COLUMN node TEXT COLLATE "C";
ALTER TABLE journals ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
CREATE INDEX journals_by_node ON journals (node) WHERE node IS NOT NULL;
-- What a node last said: attempts begun, how many it begins at most before it says more, and lanes made.
ALTER TABLE nodes ADD COLUMN attempts_begun BIGINT NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN attempts_most BIGINT NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN lanes BIGINT NOT NULL DEFAULT 0;
-- When an operator gave up what it had not counted.
ALTER TABLE nodes ADD COLUMN written_off_at BIGINT;
