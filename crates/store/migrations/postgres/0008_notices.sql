-- Twin of ../sqlite/0008_notices.sql: a test compares what both make.

-- The language that a user chose in the console, for what is mailed; null: the deployment's.
ALTER TABLE users ADD COLUMN language TEXT COLLATE "C";

-- What people are to be told, as JSON; without references, so that it goes with the transaction that it tells of and costs
-- that one no look-up. spread_at: when it was decided who is told.
CREATE TABLE notices (
    no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    at BIGINT NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    spread_at BIGINT
);
CREATE INDEX notices_to_spread ON notices (no) WHERE spread_at IS NULL;
-- account_no null: one of the deployment. state: active, disabled (by hand), failed (given up). The secrets are sealed.
CREATE TABLE webhooks (
    no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    account_no BIGINT REFERENCES accounts (no),
    name TEXT COLLATE "C" NOT NULL,
    url TEXT COLLATE "C" NOT NULL,
    secret BYTEA NOT NULL,
    previous_secret BYTEA,
    previous_until BIGINT,
    state TEXT COLLATE "C" NOT NULL,
    state_at BIGINT NOT NULL,
    failing_since BIGINT,
    idempotency_key TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    created_by BIGINT REFERENCES users (no),
    removed_at BIGINT,
    version BIGINT NOT NULL
);
CREATE INDEX webhooks_by_account ON webhooks (account_no, no) WHERE removed_at IS NULL;
-- One for each receiver. channel: mail (to a user), webhook. state: pending, sent, failed. Whoever sends it holds a claim for
-- a while, so that one node sends it, and another one does if that one dies.
CREATE TABLE deliveries (
    no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    channel TEXT COLLATE "C" NOT NULL,
    user_no BIGINT REFERENCES users (no),
    webhook_no BIGINT REFERENCES webhooks (no),
    state TEXT COLLATE "C" NOT NULL,
    attempts BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    claim TEXT COLLATE "C",
    claimed_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    finished_at BIGINT
);
CREATE INDEX deliveries_due ON deliveries (next_at) WHERE state = 'pending';
CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_no, no) WHERE webhook_no IS NOT NULL;
-- What it says: one notice to an endpoint, one or several in a mail.
CREATE TABLE delivery_notices (
    delivery_no BIGINT NOT NULL,
    notice_no BIGINT NOT NULL,
    PRIMARY KEY (delivery_no, notice_no)
);
CREATE INDEX delivery_notices_by_notice ON delivery_notices (notice_no);
-- status: of an endpoint's HTTP answer or a mail server's reply. error: in words; null: it arrived.
CREATE TABLE delivery_attempts (
    delivery_no BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    at BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    status BIGINT,
    error TEXT COLLATE "C",
    PRIMARY KEY (delivery_no, attempt)
);
