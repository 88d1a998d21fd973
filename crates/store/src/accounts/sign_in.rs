//! How users prove who they are: access tokens and one-time links. Only hashes are kept.

use serde_json::json;
use sqlx::AssertSqlSafe;
use tollgate_core::{
    Account, Actor, Id, No, Timestamp, User,
    account::AccessToken,
    secret::{KeyHash, PublicId},
};

use super::{
    Identity, NewSession, NewToken, SignInMethod, auth as account_auth,
    row::{TOKEN, TOKEN_COLUMNS, TOKEN_FROM, USER_COLUMNS, read_token, read_user},
    sessions, user_no,
};
use crate::{
    PageRequest, Result, Store, StoreError,
    value::{storable, values},
    write::{Subject, Write},
};

impl Store {
    /// Makes an access token.
    ///
    /// # Errors
    /// An unknown user or account, or when the store fails.
    pub async fn token_create(&self, actor: &Actor, new: NewToken) -> Result<AccessToken> {
        self.token_create_once(actor, new, None).await
    }
    /// The same; with `idempotency_key`, a repeat for the same user makes no second one.
    ///
    /// # Errors
    /// [`crate::StoreError::AlreadyCreated`], and as [`Store::token_create`].
    pub async fn token_create_once(
        &self,
        actor: &Actor,
        new: NewToken,
        idempotency_key: Option<&str>,
    ) -> Result<AccessToken> {
        let mut write = self.write(actor).await?;
        let user_no = user_no(&mut write, new.user).await?;
        if let Some(used) = idempotency_key {
            storable(Some(used))?;
            let sql = "SELECT id FROM access_tokens WHERE user_no = $1 AND idempotency_key = $2";
            if let Some(row) = write.row(sql, values![user_no, used]).await? {
                return Err(StoreError::AlreadyCreated(row.columns().next()?));
            }
        }
        let account_no = match new.account {
            Some(account) => Some(token_account(&mut write, account, user_no).await?),
            None => {
                let sql = "SELECT no FROM users WHERE no = $1 AND operator = 1";
                if write.row(sql, values![user_no]).await?.is_none() {
                    return Err(StoreError::State("only an operator's token works without an account"));
                }
                None
            }
        };
        let (id, now) = (write.new_id::<AccessToken>(), write.now());
        write
            .execute(
                "INSERT INTO access_tokens (id, public_id, hash, user_no, account_no, name, created_at, expires_at,
                                            idempotency_key)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                values![
                    id,
                    &new.public_id,
                    new.hash,
                    user_no,
                    account_no,
                    &new.name,
                    now,
                    new.expires_at,
                    idempotency_key.map(str::to_owned),
                ],
            )
            .await?;
        let subject = Subject::new(id);
        let subject = match account_no {
            Some(account) => subject.of(account),
            None => subject,
        };
        let detail = json!({ "name": new.name, "user": new.user, "expires_at": new.expires_at });
        write.audit("token.create", subject, detail).await?;
        let token = AccessToken {
            id,
            name: new.name,
            user: new.user,
            account: new.account,
            created_at: now,
            expires_at: new.expires_at,
            revoked_at: None,
        };
        Ok(write.commit(token).await?.value)
    }
    /// A user's access tokens, newest first, at most [`PageRequest::MOST`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn token_list(&self, user: Id<User>) -> Result<Vec<AccessToken>> {
        let sql = format!("{TOKEN} WHERE u.id = $1 ORDER BY t.no DESC LIMIT $2");
        let rows = self.pools().rows(AssertSqlSafe(sql), values![user, PageRequest::MOST]).await?;
        rows.iter().map(|row| read_token(&mut row.columns())).collect()
    }
    /// Revokes an access token of this user.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], or when the store fails.
    pub async fn token_revoke(&self, actor: &Actor, user: Id<User>, id: Id<AccessToken>) -> Result<AccessToken> {
        let mut write = self.write(actor).await?;
        let sql = format!("{TOKEN} WHERE t.id = $1 AND u.id = $2");
        let row = write.row(AssertSqlSafe(sql), values![id, user]).await?.ok_or(StoreError::NotFound)?;
        let mut token = read_token(&mut row.columns())?;
        if token.revoked_at.is_some() {
            return Ok(token);
        }
        let now = write.now();
        token.revoked_at = Some(now);
        write.execute("UPDATE access_tokens SET revoked_at = $2 WHERE id = $1", values![id, now]).await?;
        let subject = match token.account {
            Some(account) => Subject::new(id).of(account_auth(&mut write, account).await?.no),
            None => Subject::new(id),
        };
        write.audit("token.revoke", subject, json!({ "name": token.name, "user": user })).await?;
        Ok(write.commit(token).await?.value)
    }
    /// Whom a presented token stands for: looked up by its public id, the hash compared in constant time. `None` for
    /// an unknown, revoked or expired one, or one of a disabled user.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn token_identity(&self, public_id: PublicId, hash: KeyHash) -> Result<Option<Identity>> {
        let sql = format!(
            "SELECT t.hash, {TOKEN_COLUMNS}, {USER_COLUMNS} {TOKEN_FROM}
             WHERE t.public_id = $1 AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $2)
               AND u.disabled_at IS NULL"
        );
        let now = self.world().now();
        let Some(row) = self.pools().row(AssertSqlSafe(sql), values![&public_id, now]).await? else { return Ok(None) };
        let mut columns = row.columns();
        if columns.next::<KeyHash>()? != hash {
            return Ok(None);
        }
        let token = read_token(&mut columns)?;
        Ok(Some(Identity { token: Some(token), user: read_user(&mut columns)? }))
    }
    /// Keeps a one-time sign-in link.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn link_create(
        &self,
        actor: &Actor,
        user: Id<User>,
        public_id: PublicId,
        hash: KeyHash,
        expires_at: Timestamp,
    ) -> Result<()> {
        let mut write = self.write(actor).await?;
        let user_no = user_no(&mut write, user).await?;
        let now = write.now();
        write.execute("DELETE FROM sign_in_links WHERE expires_at <= $1", values![now]).await?;
        write
            .execute(
                "INSERT INTO sign_in_links (public_id, hash, user_no, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
                values![&public_id, hash, user_no, now, expires_at],
            )
            .await?;
        write.audit("link.create", Subject::new(user), json!({ "expires_at": expires_at })).await?;
        write.commit(()).await.map(drop)
    }
    /// Uses a one-time sign-in link up and opens a session in the same transaction. `None` for an unknown, used or
    /// expired link, or one of a disabled user.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn link_redeem(
        &self,
        public_id: PublicId,
        hash: KeyHash,
        session: NewSession,
    ) -> Result<Option<Id<User>>> {
        let mut write = self.write(&Actor::system("sign-in")).await?;
        let now = write.now();
        let sql = "SELECT l.hash, u.no, u.id FROM sign_in_links l JOIN users u ON u.no = l.user_no
                   WHERE l.public_id = $1 AND l.expires_at > $2 AND u.disabled_at IS NULL";
        let Some(row) = write.row(sql, values![&public_id, now]).await? else { return Ok(None) };
        let mut columns = row.columns();
        if columns.next::<KeyHash>()? != hash {
            return Ok(None);
        }
        let (user_no, user): (No<User>, Id<User>) = (columns.next()?, columns.next()?);
        write.execute("DELETE FROM sign_in_links WHERE public_id = $1", values![&public_id]).await?;
        sessions::open(&mut write, user_no, user, SignInMethod::Link, session).await?;
        Ok(Some(write.commit(user).await?.value))
    }
}

/// The account of a token: one that its user is a member of, or any of them for an operator.
async fn token_account(write: &mut Write<'_>, account: Id<Account>, user: No<User>) -> Result<No<Account>> {
    let row = write.row("SELECT no FROM accounts WHERE id = $1", values![account]).await?;
    let row = row.ok_or_else(|| StoreError::Unknown { kind: "account", name: account.to_string() })?;
    let no: No<Account> = row.columns().next()?;
    let sql = "SELECT no FROM users u WHERE u.no = $1 AND (u.operator = 1 OR EXISTS (
                   SELECT 1 FROM memberships b WHERE b.user_no = u.no AND b.account_no = $2))";
    match write.row(sql, values![user, no]).await? {
        Some(_) => Ok(no),
        None => Err(StoreError::State("the user is no member of this account")),
    }
}
