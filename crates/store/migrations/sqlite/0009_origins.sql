-- Twin of ../postgres/0009_origins.sql.
-- The web pages that a key may be used from, with a blank between them.
ALTER TABLE keys ADD COLUMN allowed_origins TEXT NOT NULL DEFAULT '';
-- Requests of web pages that a key does not allow, since its text was made: beside the key, never in it.
CREATE TABLE key_exposure (
    key_no INTEGER NOT NULL PRIMARY KEY,
    browser_requests INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    last_origin TEXT
);
