-- Twin of ../postgres/0008_notices.sql: a test compares what both make.

-- The language that a user chose in the console, for what is mailed; null: the deployment's.
ALTER TABLE users ADD COLUMN language TEXT;

-- What people are to be told, as JSON; without references, so that it goes with the transaction that it tells of and costs
-- that one no look-up. spread_at: when it was decided who is told.
CREATE TABLE notices (
    no INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,
    spread_at INTEGER
);
CREATE INDEX notices_to_spread ON notices (no) WHERE spread_at IS NULL;
-- account_no null: one of the deployment. state: active, disabled (by hand), failed (given up). The secrets are sealed.
CREATE TABLE webhooks (
    no INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    account_no INTEGER REFERENCES accounts (no),
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    secret BLOB NOT NULL,
    previous_secret BLOB,
    previous_until INTEGER,
    state TEXT NOT NULL,
    state_at INTEGER NOT NULL,
    failing_since INTEGER,
    idempotency_key TEXT,
    created_at INTEGER NOT NULL,
    created_by INTEGER REFERENCES users (no),
    removed_at INTEGER,
    version INTEGER NOT NULL
);
CREATE INDEX webhooks_by_account ON webhooks (account_no, no) WHERE removed_at IS NULL;
-- One for each receiver. channel: mail (to a user), webhook. state: pending, sent, failed. Whoever sends it holds a claim for
-- a while, so that one node sends it, and another one does if that one dies.
CREATE TABLE deliveries (
    no INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    channel TEXT NOT NULL,
    user_no INTEGER REFERENCES users (no),
    webhook_no INTEGER REFERENCES webhooks (no),
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    claim TEXT,
    claimed_until INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    finished_at INTEGER
);
CREATE INDEX deliveries_due ON deliveries (next_at) WHERE state = 'pending';
CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_no, no) WHERE webhook_no IS NOT NULL;
-- What it says: one notice to an endpoint, one or several in a mail.
CREATE TABLE delivery_notices (
    delivery_no INTEGER NOT NULL,
    notice_no INTEGER NOT NULL,
    PRIMARY KEY (delivery_no, notice_no)
) WITHOUT ROWID;
CREATE INDEX delivery_notices_by_notice ON delivery_notices (notice_no);
-- status: of an endpoint's HTTP answer or a mail server's reply. error: in words; null: it arrived.
CREATE TABLE delivery_attempts (
    delivery_no INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    at INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status INTEGER,
    error TEXT,
    PRIMARY KEY (delivery_no, attempt)
) WITHOUT ROWID;
