-- Twin of ../sqlite/0007_leaks.sql: a test compares what both make.

-- What happens to an account's keys that are found in public: 'disable' or 'tell'.
ALTER TABLE accounts ADD COLUMN on_leak TEXT COLLATE "C" NOT NULL DEFAULT 'disable';
-- The first report of a key that nobody has called a mistake since; its place is `found_at`.
ALTER TABLE keys ADD COLUMN leak_at BIGINT;
ALTER TABLE keys ADD COLUMN leak_source TEXT COLLATE "C";
ALTER TABLE keys ADD COLUMN leak_reports BIGINT NOT NULL DEFAULT 0;
UPDATE keys SET leak_at = state_at, leak_source = 'public', leak_reports = 1 WHERE state = 'leaked';
-- An account's keys that were found in public are few among many.
CREATE INDEX keys_leaked ON keys (account_no) WHERE leak_at IS NOT NULL;
-- Reports of keys and access tokens, one row for each source and place; a few rows for each subject at most.
CREATE TABLE leak_reports (
    no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The id of the key or token.
    subject TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    -- Empty where it was not said, or where the subject has too many.
    place TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    reports BIGINT NOT NULL,
    -- When people were told of it.
    told_at BIGINT,
    -- When an owner brought the key back knowing of it.
    settled_at BIGINT
);
CREATE UNIQUE INDEX leak_reports_by_place ON leak_reports (subject, source, place);
