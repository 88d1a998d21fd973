-- Twin of ../sqlite/0001_begin.sql: a test compares what both make. Times are Unix milliseconds.

-- One row: the identity of this store and the head of its change log.
CREATE TABLE authority (
    one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    cluster TEXT COLLATE "C" NOT NULL,
    generation BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    fingerprint BYTEA
);
CREATE TABLE changes (
    seq BIGINT NOT NULL PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    no BIGINT NOT NULL,
    at BIGINT NOT NULL
);
CREATE TABLE nodes (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    grants BIGINT NOT NULL,
    acked BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    joined_at BIGINT NOT NULL,
    renewed_at BIGINT NOT NULL,
    journal_bytes BIGINT NOT NULL,
    complete_until BIGINT NOT NULL,
    lease_ms BIGINT NOT NULL
);
-- How many running streams a node ended for a change.
CREATE TABLE change_cuts (
    seq BIGINT NOT NULL,
    node TEXT COLLATE "C" NOT NULL,
    streams BIGINT NOT NULL,
    PRIMARY KEY (seq, node)
);

CREATE TABLE plans (
    no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    handle TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    paid BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE TABLE accounts (
    no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    handle TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    suspended_at BIGINT,
    plan_no BIGINT REFERENCES plans (no),
    plan_until BIGINT,
    created_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX accounts_by_plan ON accounts (plan_no);
CREATE TABLE users (
    no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    email TEXT COLLATE "C",
    -- In lower case: two spellings of one address are one address.
    email_key TEXT COLLATE "C" UNIQUE,
    operator BIGINT NOT NULL,
    disabled_at BIGINT,
    created_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE TABLE memberships (
    user_no BIGINT NOT NULL REFERENCES users (no),
    account_no BIGINT NOT NULL REFERENCES accounts (no),
    role TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (user_no, account_no)
);
CREATE INDEX memberships_by_account ON memberships (account_no);
CREATE TABLE access_tokens (
    no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    public_id TEXT COLLATE "C" NOT NULL UNIQUE,
    hash BYTEA NOT NULL,
    user_no BIGINT NOT NULL REFERENCES users (no),
    account_no BIGINT REFERENCES accounts (no),
    name TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX access_tokens_by_user ON access_tokens (user_no);
CREATE TABLE sign_in_links (
    public_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    hash BYTEA NOT NULL,
    user_no BIGINT NOT NULL REFERENCES users (no),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE TABLE sessions (
    public_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    hash BYTEA NOT NULL,
    user_no BIGINT NOT NULL REFERENCES users (no),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- Rows of upstreams and models stay when they are removed: usage names them for ever.
CREATE TABLE upstreams (
    no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    base_url TEXT COLLATE "C" NOT NULL,
    credential BYTEA,
    engine TEXT COLLATE "C" NOT NULL,
    on_client_gone TEXT COLLATE "C" NOT NULL,
    enabled BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    removed_at BIGINT,
    version BIGINT NOT NULL
);
CREATE UNIQUE INDEX upstreams_by_name ON upstreams (name) WHERE removed_at IS NULL;
CREATE TABLE models (
    no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    title TEXT COLLATE "C",
    kind TEXT COLLATE "C" NOT NULL,
    context_window BIGINT,
    max_output_tokens BIGINT,
    price TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    removed_at BIGINT,
    version BIGINT NOT NULL
);
CREATE UNIQUE INDEX models_by_name ON models (name) WHERE removed_at IS NULL;
CREATE TABLE served_by (
    model_no BIGINT NOT NULL REFERENCES models (no),
    position BIGINT NOT NULL,
    upstream_no BIGINT NOT NULL REFERENCES upstreams (no),
    model TEXT COLLATE "C" NOT NULL,
    weight BIGINT NOT NULL,
    PRIMARY KEY (model_no, position)
);
CREATE INDEX served_by_upstream ON served_by (upstream_no);

CREATE TABLE keys (
    no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    public_id TEXT COLLATE "C" NOT NULL UNIQUE,
    account_no BIGINT NOT NULL REFERENCES accounts (no),
    name TEXT COLLATE "C" NOT NULL,
    all_models BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    state_at BIGINT,
    found_at TEXT COLLATE "C",
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    created_by BIGINT REFERENCES users (no),
    note TEXT COLLATE "C",
    hash BYTEA NOT NULL,
    previous_hash BYTEA,
    previous_until BIGINT,
    idempotency_key TEXT COLLATE "C",
    -- Name, note and public id in lower case: the engines' own functions know no letters beyond ASCII alike.
    search_text TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX keys_by_account ON keys (account_no, no);
CREATE INDEX keys_by_creator ON keys (created_by);
CREATE UNIQUE INDEX keys_by_idempotency ON keys (account_no, idempotency_key);
CREATE TABLE key_models (
    key_no BIGINT NOT NULL REFERENCES keys (no),
    model_no BIGINT NOT NULL REFERENCES models (no),
    PRIMARY KEY (key_no, model_no)
);

CREATE TABLE audit (
    no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    at BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    token TEXT COLLATE "C",
    address TEXT COLLATE "C",
    action TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    account_no BIGINT,
    detail TEXT COLLATE "C" NOT NULL
);
CREATE INDEX audit_by_account ON audit (account_no, no);
CREATE INDEX audit_by_subject ON audit (subject, no);

-- Up to which record each journal has been counted.
CREATE TABLE journals (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    watermark BIGINT NOT NULL
);
-- One row for each attempt. No references: usage that names something unknown counts too.
CREATE TABLE usage_attempts (
    attempt BYTEA NOT NULL PRIMARY KEY,
    request BYTEA NOT NULL,
    account_no BIGINT NOT NULL,
    key_no BIGINT NOT NULL,
    model_no BIGINT NOT NULL,
    upstream_no BIGINT NOT NULL,
    route BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    input BIGINT NOT NULL,
    output BIGINT NOT NULL,
    cached_input BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    audio_ms BIGINT NOT NULL,
    images BIGINT NOT NULL,
    class BIGINT NOT NULL,
    input_at_most BIGINT NOT NULL,
    output_at_most BIGINT NOT NULL,
    suspect BIGINT NOT NULL,
    outcome BIGINT NOT NULL,
    status BIGINT NOT NULL,
    first_byte_us BIGINT,
    total_us BIGINT NOT NULL,
    cost_nanos BIGINT NOT NULL,
    upstream_id TEXT COLLATE "C"
);
CREATE INDEX usage_attempts_by_start ON usage_attempts (started_at);
-- Accounts that have usage: a report over all of them walks this list.
CREATE TABLE usage_accounts (
    account_no BIGINT NOT NULL PRIMARY KEY
);
-- Sums of attempts. grain: 0 minute, 1 hour, 2 day, 3 month, 4 quarter, 5 year, in UTC; bucket: its beginning.
-- cube: 1 account, 2 account and model, 3 account and key, 4 account, key and model; a number that is not part is 0.
CREATE TABLE usage_rollups (
    cube BIGINT NOT NULL,
    grain BIGINT NOT NULL,
    account_no BIGINT NOT NULL,
    bucket BIGINT NOT NULL,
    key_no BIGINT NOT NULL,
    model_no BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    input BIGINT NOT NULL,
    output BIGINT NOT NULL,
    cached_input BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    audio_ms BIGINT NOT NULL,
    images BIGINT NOT NULL,
    cost_nanos BIGINT NOT NULL,
    exact BIGINT NOT NULL,
    partial BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    unknown BIGINT NOT NULL,
    PRIMARY KEY (cube, grain, account_no, bucket, key_no, model_no)
);
CREATE INDEX usage_rollups_by_key ON usage_rollups (key_no, cube, grain, bucket) WHERE key_no <> 0;
-- Histograms of times by hour. measure: 0 first byte, 1 total; bin: place in LATENCY_LIMITS_MS.
CREATE TABLE usage_latency (
    account_no BIGINT NOT NULL,
    bucket BIGINT NOT NULL,
    model_no BIGINT NOT NULL,
    measure BIGINT NOT NULL,
    bin BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    PRIMARY KEY (account_no, bucket, model_no, measure, bin)
);
-- Beside the key, never in it: a finished request must not be able to write to a key's record.
CREATE TABLE key_usage (
    key_no BIGINT NOT NULL PRIMARY KEY,
    last_used_at BIGINT NOT NULL,
    requests BIGINT NOT NULL
);
