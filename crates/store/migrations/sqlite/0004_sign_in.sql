-- Twin of ../postgres/0004_sign_in.sql: a test compares what both make.

-- A PHC string of argon2id; its pepper is not in the store.
CREATE TABLE passwords (
    user_no INTEGER NOT NULL PRIMARY KEY REFERENCES users (no),
    hash TEXT NOT NULL,
    changed_at INTEGER NOT NULL
);
-- Whom an identity provider calls what (OpenID Connect: `iss` and `sub` name a person for ever).
CREATE TABLE identities (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_no INTEGER NOT NULL REFERENCES users (no),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) WITHOUT ROWID;
CREATE INDEX identities_by_user ON identities (user_no);
CREATE TABLE invitations (
    no INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    public_id TEXT NOT NULL UNIQUE,
    hash BLOB NOT NULL,
    account_no INTEGER NOT NULL REFERENCES accounts (no),
    role TEXT NOT NULL,
    email TEXT,
    created_by INTEGER REFERENCES users (no),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    accepted_at INTEGER,
    revoked_at INTEGER
);
CREATE INDEX invitations_by_account ON invitations (account_no);
-- Who gave a role takes it away: 'hand', or 'group' of an identity provider.
ALTER TABLE memberships ADD COLUMN source TEXT NOT NULL DEFAULT 'hand';
ALTER TABLE users ADD COLUMN operator_source TEXT NOT NULL DEFAULT 'hand';
-- Whether an operator or an identity provider vouched for the address. One that somebody typed by accepting an invitation
-- is never a reason to link an identity: it would hand that person's account to whoever typed it first.
ALTER TABLE users ADD COLUMN email_proven INTEGER NOT NULL DEFAULT 1;
-- 0 for a session of a program from before this column.
ALTER TABLE sessions ADD COLUMN last_seen_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN address TEXT;
ALTER TABLE sessions ADD COLUMN agent TEXT;
ALTER TABLE sessions ADD COLUMN method TEXT NOT NULL DEFAULT 'link';
CREATE INDEX sessions_by_user ON sessions (user_no);
