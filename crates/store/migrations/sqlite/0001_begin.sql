-- Twin of ../postgres/0001_begin.sql: a test compares what both make. Times are Unix milliseconds.

-- One row: the identity of this store and the head of its change log.
CREATE TABLE authority (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    cluster TEXT NOT NULL,
    generation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    fingerprint BLOB
);
CREATE TABLE changes (
    seq INTEGER NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    no INTEGER NOT NULL,
    at INTEGER NOT NULL
);
CREATE TABLE nodes (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    grants INTEGER NOT NULL,
    acked INTEGER NOT NULL,
    state TEXT NOT NULL,
    joined_at INTEGER NOT NULL,
    renewed_at INTEGER NOT NULL,
    journal_bytes INTEGER NOT NULL,
    complete_until INTEGER NOT NULL,
    lease_ms INTEGER NOT NULL
) WITHOUT ROWID;
-- How many running streams a node ended for a change.
CREATE TABLE change_cuts (
    seq INTEGER NOT NULL,
    node TEXT NOT NULL,
    streams INTEGER NOT NULL,
    PRIMARY KEY (seq, node)
) WITHOUT ROWID;

CREATE TABLE plans (
    no INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    handle TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    paid INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    version INTEGER NOT NULL
);
CREATE TABLE accounts (
    no INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    handle TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    suspended_at INTEGER,
    plan_no INTEGER REFERENCES plans (no),
    plan_until INTEGER,
    created_at INTEGER NOT NULL,
    version INTEGER NOT NULL
);
CREATE INDEX accounts_by_plan ON accounts (plan_no);
CREATE TABLE users (
    no INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    email TEXT,
    -- In lower case: two spellings of one address are one address.
    email_key TEXT UNIQUE,
    operator INTEGER NOT NULL,
    disabled_at INTEGER,
    created_at INTEGER NOT NULL,
    version INTEGER NOT NULL
);
CREATE TABLE memberships (
    user_no INTEGER NOT NULL REFERENCES users (no),
    account_no INTEGER NOT NULL REFERENCES accounts (no),
    role TEXT NOT NULL,
    PRIMARY KEY (user_no, account_no)
) WITHOUT ROWID;
CREATE INDEX memberships_by_account ON memberships (account_no);
CREATE TABLE access_tokens (
    no INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    public_id TEXT NOT NULL UNIQUE,
    hash BLOB NOT NULL,
    user_no INTEGER NOT NULL REFERENCES users (no),
    account_no INTEGER REFERENCES accounts (no),
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
);
CREATE INDEX access_tokens_by_user ON access_tokens (user_no);
CREATE TABLE sign_in_links (
    public_id TEXT NOT NULL PRIMARY KEY,
    hash BLOB NOT NULL,
    user_no INTEGER NOT NULL REFERENCES users (no),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE sessions (
    public_id TEXT NOT NULL PRIMARY KEY,
    hash BLOB NOT NULL,
    user_no INTEGER NOT NULL REFERENCES users (no),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Rows of upstreams and models stay when they are removed: usage names them for ever.
CREATE TABLE upstreams (
    no INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    base_url TEXT NOT NULL,
    credential BLOB,
    engine TEXT NOT NULL,
    on_client_gone TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    removed_at INTEGER,
    version INTEGER NOT NULL
);
CREATE UNIQUE INDEX upstreams_by_name ON upstreams (name) WHERE removed_at IS NULL;
CREATE TABLE models (
    no INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    title TEXT,
    kind TEXT NOT NULL,
    context_window INTEGER,
    max_output_tokens INTEGER,
    price TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    removed_at INTEGER,
    version INTEGER NOT NULL
);
CREATE UNIQUE INDEX models_by_name ON models (name) WHERE removed_at IS NULL;
CREATE TABLE served_by (
    model_no INTEGER NOT NULL REFERENCES models (no),
    position INTEGER NOT NULL,
    upstream_no INTEGER NOT NULL REFERENCES upstreams (no),
    model TEXT NOT NULL,
    weight INTEGER NOT NULL,
    PRIMARY KEY (model_no, position)
) WITHOUT ROWID;
CREATE INDEX served_by_upstream ON served_by (upstream_no);

CREATE TABLE keys (
    no INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    public_id TEXT NOT NULL UNIQUE,
    account_no INTEGER NOT NULL REFERENCES accounts (no),
    name TEXT NOT NULL,
    all_models INTEGER NOT NULL,
    state TEXT NOT NULL,
    state_at INTEGER,
    found_at TEXT,
    expires_at INTEGER,
    created_at INTEGER NOT NULL,
    created_by INTEGER REFERENCES users (no),
    note TEXT,
    hash BLOB NOT NULL,
    previous_hash BLOB,
    previous_until INTEGER,
    idempotency_key TEXT,
    -- Name, note and public id in lower case: the engines' own functions know no letters beyond ASCII alike.
    search_text TEXT NOT NULL,
    version INTEGER NOT NULL
);
CREATE INDEX keys_by_account ON keys (account_no, no);
CREATE INDEX keys_by_creator ON keys (created_by);
CREATE UNIQUE INDEX keys_by_idempotency ON keys (account_no, idempotency_key);
CREATE TABLE key_models (
    key_no INTEGER NOT NULL REFERENCES keys (no),
    model_no INTEGER NOT NULL REFERENCES models (no),
    PRIMARY KEY (key_no, model_no)
) WITHOUT ROWID;

CREATE TABLE audit (
    no INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    token TEXT,
    address TEXT,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    account_no INTEGER,
    detail TEXT NOT NULL
);
CREATE INDEX audit_by_account ON audit (account_no, no);
CREATE INDEX audit_by_subject ON audit (subject, no);

-- Up to which record each journal has been counted.
CREATE TABLE journals (
    id TEXT NOT NULL PRIMARY KEY,
    watermark INTEGER NOT NULL
) WITHOUT ROWID;
-- One row for each attempt. No references: usage that names something unknown counts too.
CREATE TABLE usage_attempts (
    attempt BLOB NOT NULL PRIMARY KEY,
    request BLOB NOT NULL,
    account_no INTEGER NOT NULL,
    key_no INTEGER NOT NULL,
    model_no INTEGER NOT NULL,
    upstream_no INTEGER NOT NULL,
    route INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cached_input INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    audio_ms INTEGER NOT NULL,
    images INTEGER NOT NULL,
    class INTEGER NOT NULL,
    input_at_most INTEGER NOT NULL,
    output_at_most INTEGER NOT NULL,
    suspect INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    status INTEGER NOT NULL,
    first_byte_us INTEGER,
    total_us INTEGER NOT NULL,
    cost_nanos INTEGER NOT NULL,
    upstream_id TEXT
) WITHOUT ROWID;
CREATE INDEX usage_attempts_by_start ON usage_attempts (started_at);
-- Accounts that have usage: a report over all of them walks this list.
CREATE TABLE usage_accounts (
    account_no INTEGER NOT NULL PRIMARY KEY
);
-- Sums of attempts. grain: 0 minute, 1 hour, 2 day, 3 month, 4 quarter, 5 year, in UTC; bucket: its beginning.
-- cube: 1 account, 2 account and model, 3 account and key, 4 account, key and model; a number that is not part is 0.
CREATE TABLE usage_rollups (
    cube INTEGER NOT NULL,
    grain INTEGER NOT NULL,
    account_no INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    key_no INTEGER NOT NULL,
    model_no INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cached_input INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    audio_ms INTEGER NOT NULL,
    images INTEGER NOT NULL,
    cost_nanos INTEGER NOT NULL,
    exact INTEGER NOT NULL,
    partial INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    unknown INTEGER NOT NULL,
    PRIMARY KEY (cube, grain, account_no, bucket, key_no, model_no)
) WITHOUT ROWID;
CREATE INDEX usage_rollups_by_key ON usage_rollups (key_no, cube, grain, bucket) WHERE key_no <> 0;
-- Histograms of times by hour. measure: 0 first byte, 1 total; bin: place in LATENCY_LIMITS_MS.
CREATE TABLE usage_latency (
    account_no INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    model_no INTEGER NOT NULL,
    measure INTEGER NOT NULL,
    bin INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (account_no, bucket, model_no, measure, bin)
) WITHOUT ROWID;
-- Beside the key, never in it: a finished request must not be able to write to a key's record.
CREATE TABLE key_usage (
    key_no INTEGER NOT NULL PRIMARY KEY,
    last_used_at INTEGER NOT NULL,
    requests INTEGER NOT NULL
);
