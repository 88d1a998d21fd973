-- Twin of ../sqlite/0010_lists_and_lanes.sql.
-- The audit log by who acted, and the keys whose list names a model.
CREATE INDEX audit_by_actor ON audit (actor, no);
CREATE INDEX key_models_by_model ON key_models (model_no, key_no);
-- What is searched for, in lower case, as in keys; the program fills it in for rows that have none.
ALTER TABLE accounts ADD COLUMN search_text TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN search_text TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN idempotency_key TEXT COLLATE "C";
CREATE UNIQUE INDEX users_by_idempotency ON users (idempotency_key);
-- When a journal's lane was shipped wholly and deleted; nothing of lanes that ended before this column.
ALTER TABLE journals ADD COLUMN ended_at BIGINT;
