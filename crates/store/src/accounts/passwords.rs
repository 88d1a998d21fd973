//! Passwords: one PHC string a user. What a password is, and whether one fits, is not known here.

use serde_json::json;
use sqlx::AssertSqlSafe;
use tollgate_core::{Actor, Id, No, Timestamp, User, name::Email, secret::PublicId};

use super::{
    NewSession, SignInMethod,
    row::{USER_COLUMNS, read_user},
    sessions, user_no,
    users::email_key,
};
use crate::{
    Result, Store, StoreError,
    value::values,
    write::{Subject, Write},
};

/// A user and its password's hash.
#[derive(Debug, Clone)]
pub struct StoredPassword {
    /// Whose.
    pub user: User,
    /// The PHC string; absent for a user who signs in by other ways.
    pub hash: Option<String>,
    /// When it was set.
    pub changed_at: Option<Timestamp>,
}

impl Store {
    /// The user of a mail address, in any spelling, and its password's hash; disabled ones too.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn password_of_email(&self, email: &Email) -> Result<Option<StoredPassword>> {
        self.password_where("u.email_key = $1", email_key(email)).await
    }
    /// A user's password.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the store fails.
    pub async fn password_of(&self, user: Id<User>) -> Result<StoredPassword> {
        self.password_where("u.id = $1", user.to_string()).await?.ok_or(StoreError::NotFound)
    }
    async fn password_where(&self, condition: &str, value: String) -> Result<Option<StoredPassword>> {
        let sql = format!(
            "SELECT s.hash, s.changed_at, {USER_COLUMNS} FROM users u LEFT JOIN passwords s ON s.user_no = u.no
             WHERE {condition}"
        );
        let Some(row) = self.pools().row(AssertSqlSafe(sql), values![value]).await? else { return Ok(None) };
        let mut columns = row.columns();
        let (hash, changed_at) = (columns.next()?, columns.next()?);
        Ok(Some(StoredPassword { user: read_user(&mut columns)?, hash, changed_at }))
    }
    /// Sets a user's password. All its sessions but `keep` end, and sign-in links that wait.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn password_set(&self, actor: &Actor, user: Id<User>, hash: &str, keep: Option<PublicId>) -> Result<()> {
        let mut write = self.write(actor).await?;
        let no = user_no(&mut write, user).await?;
        set(&mut write, no, hash).await?;
        let ended = sessions::end_all(&mut write, no, keep).await?;
        write.audit("password.set", Subject::new(user), json!({ "sessions_ended": ended })).await?;
        write.commit(()).await.map(drop)
    }
    /// Removes a user's password. All its sessions but `keep` end, and sign-in links that wait.
    ///
    /// # Errors
    /// [`StoreError::State`] where no identity provider knows the user, who could not sign in again; or when the store
    /// fails.
    pub async fn password_remove(&self, actor: &Actor, user: Id<User>, keep: Option<PublicId>) -> Result<()> {
        let mut write = self.write(actor).await?;
        let no = user_no(&mut write, user).await?;
        if write.row("SELECT subject FROM identities WHERE user_no = $1 LIMIT 1", values![no]).await?.is_none() {
            return Err(StoreError::State("without a password this user could not sign in again"));
        }
        if write.execute("DELETE FROM passwords WHERE user_no = $1", values![no]).await? == 0 {
            return Ok(());
        }
        let ended = sessions::end_all(&mut write, no, keep).await?;
        write.audit("password.remove", Subject::new(user), json!({ "sessions_ended": ended })).await?;
        write.commit(()).await.map(drop)
    }
    /// The same password under newer parameters: only if nobody has set another meanwhile.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn password_rehash(&self, user: Id<User>, before: &str, after: &str) -> Result<()> {
        let mut write = self.write(&Actor::system("sign-in")).await?;
        let no = user_no(&mut write, user).await?;
        let sql = "UPDATE passwords SET hash = $3 WHERE user_no = $1 AND hash = $2";
        if write.execute(sql, values![no, before, after]).await? == 0 {
            return Ok(());
        }
        write.audit("password.rehash", Subject::new(user), json!({})).await?;
        write.commit(()).await.map(drop)
    }
    /// Opens a session for a user whose password was found right: only if it still is that one, and the user is not
    /// disabled. Whether it did.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn password_session(&self, user: Id<User>, hash: &str, session: NewSession) -> Result<bool> {
        let mut write = self.write(&Actor::system("sign-in")).await?;
        let sql = "SELECT u.no FROM users u JOIN passwords s ON s.user_no = u.no
                   WHERE u.id = $1 AND s.hash = $2 AND u.disabled_at IS NULL";
        let Some(row) = write.row(sql, values![user, hash]).await? else { return Ok(false) };
        let no: No<User> = row.columns().next()?;
        sessions::open(&mut write, no, user, SignInMethod::Password, session).await?;
        write.commit(true).await.map(|committed| committed.value)
    }
}

pub(super) async fn set(write: &mut Write<'_>, user: No<User>, hash: &str) -> Result<()> {
    let now = write.now();
    let sql = "INSERT INTO passwords (user_no, hash, changed_at) VALUES ($1, $2, $3)
               ON CONFLICT (user_no) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at";
    write.execute(sql, values![user, hash, now]).await.map(drop)
}
