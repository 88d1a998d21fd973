//! Console sessions: opened by a sign-in of any kind, listed, ended one by one or all at once.
//!
//! Only the hash of a session's text is kept. A session ends by itself at its absolute end, or when it was not seen for
//! the idle time; a disabled user's are refused at once.

use std::time::Duration;

use serde_json::json;
use sqlx::AssertSqlSafe;
use tollgate_core::{
    Actor, Id, No, Timestamp, User,
    account::ActorKind,
    secret::{KeyHash, PublicId},
};

use super::{
    Identity,
    row::{USER_COLUMNS, read_user},
};
use crate::{
    Result, Store, StoreError,
    engine::Columns,
    value::{parsed, storable, values},
    write::{Subject, Write},
};

/// How exactly it is known when a session was last seen: it is written down at most this often.
const SEEN_EVERY: Duration = Duration::from_secs(60);
/// Most sessions of one user; the one longest not seen ends for a new one.
const MOST_SESSIONS: u32 = 100;

/// How a session was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInMethod {
    /// By a one-time link.
    Link,
    /// By e-mail and password.
    Password,
    /// By an identity provider.
    Oidc,
    /// By accepting an invitation as a new user.
    Invitation,
}

impl SignInMethod {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Password => "password",
            Self::Oidc => "oidc",
            Self::Invitation => "invitation",
        }
    }
}
impl std::str::FromStr for SignInMethod {
    type Err = &'static str;
    fn from_str(text: &str) -> std::result::Result<Self, &'static str> {
        let all = [Self::Link, Self::Password, Self::Oidc, Self::Invitation];
        all.into_iter().find(|method| method.as_str() == text).ok_or("no way to sign in")
    }
}

/// A session to be opened.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The public part of its text.
    pub public_id: PublicId,
    /// The hash of its text.
    pub hash: KeyHash,
    /// Its absolute end.
    pub until: Timestamp,
    /// Where it was opened from.
    pub address: Option<std::net::IpAddr>,
    /// What the browser calls itself, shortened.
    pub agent: Option<String>,
}

/// A session as its user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// The public part of its text.
    pub public_id: PublicId,
    /// How it was opened.
    pub method: SignInMethod,
    /// When.
    pub created_at: Timestamp,
    /// When it was last seen, exact to a minute.
    pub last_seen_at: Timestamp,
    /// Its absolute end.
    pub expires_at: Timestamp,
    /// Where it was opened from.
    pub address: Option<String>,
    /// What the browser called itself.
    pub agent: Option<String>,
}

impl Store {
    /// Whom a session stands for; notes that it was seen. `None` for an unknown, ended or expired one, one that was not
    /// seen for `idle`, or one of a disabled user.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session_identity(
        &self,
        public_id: PublicId,
        hash: KeyHash,
        idle: Duration,
    ) -> Result<Option<Identity>> {
        let Some((identity, seen)) = self.session_read(public_id, hash, idle).await? else { return Ok(None) };
        let now = self.world().now();
        if seen.plus(SEEN_EVERY) <= now
            && let Err(error) = self.session_seen(public_id, seen, now).await
        {
            // The next request tries again; nobody is signed out for it but by the idle time.
            tracing::warn!(%error, "a session's use was not written down");
        }
        Ok(Some(identity))
    }
    /// The same without noting that it was seen: nobody is there, a page asks again by itself.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session_peek(&self, public_id: PublicId, hash: KeyHash, idle: Duration) -> Result<Option<Identity>> {
        Ok(self.session_read(public_id, hash, idle).await?.map(|(identity, _)| identity))
    }
    /// Whom a session stands for, and when it was last seen.
    async fn session_read(
        &self,
        public_id: PublicId,
        hash: KeyHash,
        idle: Duration,
    ) -> Result<Option<(Identity, Timestamp)>> {
        let sql = format!(
            "SELECT e.hash, e.last_seen_at, {USER_COLUMNS} FROM sessions e JOIN users u ON u.no = e.user_no
             WHERE e.public_id = $1 AND e.expires_at > $2 AND u.disabled_at IS NULL
               AND (e.last_seen_at > $3 OR e.created_at > $3)"
        );
        let now = self.world().now();
        let values = values![&public_id, now, now.minus(idle)];
        let Some(row) = self.pools().row(AssertSqlSafe(sql), values).await? else { return Ok(None) };
        let mut columns = row.columns();
        if columns.next::<KeyHash>()? != hash {
            return Ok(None);
        }
        let seen = columns.next()?;
        Ok(Some((Identity { user: read_user(&mut columns)?, token: None }, seen)))
    }
    /// No write in the sense of the audit log: it changes nothing that anybody may do.
    async fn session_seen(&self, public_id: PublicId, before: Timestamp, now: Timestamp) -> Result<()> {
        let mut tx = self.pools().begin().await?;
        let sql = "UPDATE sessions SET last_seen_at = $3 WHERE public_id = $1 AND last_seen_at = $2";
        tx.execute(sql, values![&public_id, before, now]).await?;
        tx.commit().await
    }
    /// A user's live sessions, the last seen first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session_list(&self, user: Id<User>, idle: Duration) -> Result<Vec<SessionView>> {
        let sql = "SELECT e.public_id, e.method, e.created_at, e.last_seen_at, e.expires_at, e.address, e.agent
                   FROM sessions e JOIN users u ON u.no = e.user_no
                   WHERE u.id = $1 AND e.expires_at > $2 AND (e.last_seen_at > $3 OR e.created_at > $3)
                   ORDER BY e.last_seen_at DESC, e.created_at DESC, e.public_id LIMIT $4";
        let now = self.world().now();
        let rows = self.pools().rows(sql, values![user, now, now.minus(idle), MOST_SESSIONS]).await?;
        rows.iter().map(|row| read_session(&mut row.columns())).collect()
    }
    /// Ends a session, whoever's it is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session_end(&self, public_id: PublicId) -> Result<()> {
        let mut write = self.write(&Actor::system("sign-in")).await?;
        let sql = "SELECT u.id FROM sessions e JOIN users u ON u.no = e.user_no WHERE e.public_id = $1";
        let Some(row) = write.row(sql, values![&public_id]).await? else { return Ok(()) };
        let user: Id<User> = row.columns().next()?;
        write.execute("DELETE FROM sessions WHERE public_id = $1", values![&public_id]).await?;
        write.act_as(Actor { kind: ActorKind::User { user, token: None }, address: None });
        write.audit("session.end", Subject::new(user), json!({})).await?;
        write.commit(()).await.map(drop)
    }
    /// Ends one of a user's sessions.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the store fails.
    pub async fn session_revoke(&self, actor: &Actor, user: Id<User>, public_id: PublicId) -> Result<()> {
        let mut write = self.write(actor).await?;
        let sql = "DELETE FROM sessions WHERE public_id = $1 AND user_no = (SELECT no FROM users WHERE id = $2)";
        if write.execute(sql, values![&public_id, user]).await? == 0 {
            return Err(StoreError::NotFound);
        }
        write.audit("session.revoke", Subject::new(user), json!({ "session": public_id.as_str() })).await?;
        write.commit(()).await.map(drop)
    }
    /// Ends all sessions of a user but `keep`; how many. Sign-in links that wait go too.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session_revoke_all(&self, actor: &Actor, user: Id<User>, keep: Option<PublicId>) -> Result<u64> {
        let mut write = self.write(actor).await?;
        let no = super::user_no(&mut write, user).await?;
        let ended = end_all(&mut write, no, keep).await?;
        write.audit("session.revoke_all", Subject::new(user), json!({ "sessions": ended })).await?;
        Ok(write.commit(ended).await?.value)
    }
}

/// Ends all of a user's sessions but `keep`, and the links that would open another; how many sessions.
pub(super) async fn end_all(write: &mut Write<'_>, user: No<User>, keep: Option<PublicId>) -> Result<u64> {
    write.execute("DELETE FROM sign_in_links WHERE user_no = $1", values![user]).await?;
    let keep = keep.as_ref().map_or("", PublicId::as_str);
    write.execute("DELETE FROM sessions WHERE user_no = $1 AND public_id <> $2", values![user, keep]).await
}

/// Opens a session, as that user from here on.
pub(super) async fn open(
    write: &mut Write<'_>,
    user_no: No<User>,
    user: Id<User>,
    method: SignInMethod,
    new: NewSession,
) -> Result<()> {
    storable(new.agent.as_deref())?;
    let now = write.now();
    write.execute("DELETE FROM sessions WHERE expires_at <= $1", values![now]).await?;
    let sql = "DELETE FROM sessions WHERE public_id IN (
                   SELECT public_id FROM sessions WHERE user_no = $1
                   ORDER BY last_seen_at DESC, public_id LIMIT 1000 OFFSET $2)";
    write.execute(sql, values![user_no, MOST_SESSIONS - 1]).await?;
    let address = new.address.map(|address| address.to_string());
    write
        .execute(
            "INSERT INTO sessions (public_id, hash, user_no, created_at, expires_at, last_seen_at, address, agent, method)
             VALUES ($1, $2, $3, $4, $5, $4, $6, $7, $8)",
            values![&new.public_id, new.hash, user_no, now, new.until, address, new.agent, method.as_str()],
        )
        .await?;
    write.act_as(Actor { kind: ActorKind::User { user, token: None }, address: new.address });
    let detail = json!({ "method": method.as_str(), "expires_at": new.until });
    write.audit("session.create", Subject::new(user), detail).await
}

fn read_session(columns: &mut Columns<'_>) -> Result<SessionView> {
    let public_id = columns.next()?;
    let method = parsed(&columns.next::<String>()?)?;
    let (created_at, seen): (Timestamp, Timestamp) = (columns.next()?, columns.next()?);
    Ok(SessionView {
        public_id,
        method,
        created_at,
        last_seen_at: seen.max(created_at),
        expires_at: columns.next()?,
        address: columns.next()?,
        agent: columns.next()?,
    })
}
