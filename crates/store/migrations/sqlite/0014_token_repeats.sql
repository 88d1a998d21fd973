-- Twin of ../postgres/0014_token_repeats.sql.
-- What a caller named a creation of an access token, so that a repeat makes no second one.
ALTER TABLE access_tokens ADD COLUMN idempotency_key TEXT;
CREATE UNIQUE INDEX access_tokens_by_idempotency ON access_tokens (user_no, idempotency_key);
