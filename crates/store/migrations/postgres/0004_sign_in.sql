-- Twin of ../sqlite/0004_sign_in.sql: a test compares what both make.

-- A PHC string of argon2id; its pepper is not in the store.
CREATE TABLE passwords (
    user_no BIGINT NOT NULL PRIMARY KEY REFERENCES users (no),
    hash TEXT COLLATE "C" NOT NULL,
    changed_at BIGINT NOT NULL
);
-- Whom an identity provider calls what (OpenID Connect: `iss` and `sub` name a person for ever).
CREATE TABLE identities (
    issuer TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    user_no BIGINT NOT NULL REFERENCES users (no),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_by_user ON identities (user_no);
CREATE TABLE invitations (
    no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    public_id TEXT COLLATE "C" NOT NULL UNIQUE,
    hash BYTEA NOT NULL,
    account_no BIGINT NOT NULL REFERENCES accounts (no),
    role TEXT COLLATE "C" NOT NULL,
    email TEXT COLLATE "C",
    created_by BIGINT REFERENCES users (no),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    accepted_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX invitations_by_account ON invitations (account_no);
-- Who gave a role takes it away: 'hand', or 'group' of an identity provider.
ALTER TABLE memberships ADD COLUMN source TEXT COLLATE "C" NOT NULL DEFAULT 'hand';
ALTER TABLE users ADD COLUMN operator_source TEXT COLLATE "C" NOT NULL DEFAULT 'hand';
-- Whether an operator or an identity provider vouched for the address. One that somebody typed by accepting an invitation
-- is never a reason to link an identity: it would hand that person's account to whoever typed it first.
ALTER TABLE users ADD COLUMN email_proven BIGINT NOT NULL DEFAULT 1;
-- 0 for a session of a program from before this column.
ALTER TABLE sessions ADD COLUMN last_seen_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN address TEXT COLLATE "C";
ALTER TABLE sessions ADD COLUMN agent TEXT COLLATE "C";
ALTER TABLE sessions ADD COLUMN method TEXT COLLATE "C" NOT NULL DEFAULT 'link';
CREATE INDEX sessions_by_user ON sessions (user_no);
