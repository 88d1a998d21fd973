-- Twin of ../postgres/0006_key_lists.sql.
-- The beginning of a key's name in lower case, by which lists are sorted; short, since it is part of an index.
ALTER TABLE keys ADD COLUMN sort_name TEXT NOT NULL DEFAULT '';
UPDATE keys SET sort_name = substr(substr(search_text, 1, instr(search_text, char(10)) - 1), 1, 64);
CREATE INDEX keys_by_name ON keys (account_no, sort_name, no);
-- The last client addresses that used a key: beside the key, never in it.
CREATE TABLE key_addresses (
    key_no INTEGER NOT NULL,
    address TEXT NOT NULL,
    last_used_at INTEGER NOT NULL,
    PRIMARY KEY (key_no, address)
) WITHOUT ROWID;
