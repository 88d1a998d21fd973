//! One-time sign-in links, and the sessions that any way of signing in opens.
//!
//! A sign-in always makes a new session: one that was shown before it never becomes anybody's.

use std::{net::IpAddr, time::Duration};

use tollgate_core::{
    Id, Timestamp, User,
    secret::{PlainKey, Presented, PublicId},
};
use tollgate_store::accounts::{Identity, NewSession, SessionView};

use super::{Noun, ServiceError, Services, seeds};
use crate::principal::Principal;

/// How long a sign-in link can be used.
pub const SIGN_IN_LINK_LIFE: Duration = Duration::from_secs(24 * 3_600);
/// How much of what a browser calls itself is kept, in characters.
const LONGEST_AGENT: usize = 200;

/// A session at the one moment at which its text is there.
#[derive(Debug)]
pub struct Session {
    /// Its text, for the cookie.
    pub plain: PlainKey,
    /// Whose it is.
    pub user: Id<User>,
}

/// From where somebody signs in.
#[derive(Debug, Clone, Default)]
pub struct Visitor {
    /// The connection's address.
    pub address: Option<IpAddr>,
    /// What the browser calls itself, shortened.
    pub agent: Option<String>,
}

impl Visitor {
    /// From an address and a `User-Agent`.
    #[must_use]
    pub fn new(address: Option<IpAddr>, agent: Option<&str>) -> Self {
        let shortened = |agent: &str| {
            let seen = agent.chars().filter(|c| !c.is_control());
            seen.take(LONGEST_AGENT).collect::<String>().trim().to_owned()
        };
        Self { address, agent: agent.map(shortened).filter(|agent| !agent.is_empty()) }
    }
}

impl Services {
    fn session_presented<'a>(&self, text: &'a [u8]) -> Option<Presented<'a>> {
        Presented::parse(text).ok().filter(|presented| presented.prefix() == self.0.session_prefix)
    }
    /// A session to be opened, and its text.
    pub(super) fn session_mint(&self, visitor: &Visitor) -> Result<(PlainKey, NewSession), ServiceError> {
        let plain = PlainKey::mint(&self.0.session_prefix, &self.world);
        let presented = plain.presented().map_err(|_| ServiceError::State("a session could not be made"))?;
        let new = NewSession {
            public_id: presented.id(),
            hash: self.session_hash(&presented),
            until: self.world.now().plus(self.sign_in.session_life),
            address: visitor.address,
            agent: visitor.agent.clone(),
        };
        Ok((plain, new))
    }

    /// Makes a one-time sign-in link for a user; only operators.
    ///
    /// # Errors
    /// A caller who may not, an unknown or disabled user, or when the store fails.
    pub async fn link_create(
        &self,
        principal: &Principal,
        user: Id<User>,
    ) -> Result<(PlainKey, Timestamp), ServiceError> {
        principal.require_operator()?;
        let user = self.store().user_get(user).await.map_err(ServiceError::of(Noun::User))?;
        if user.disabled_at.is_some() {
            return Err(ServiceError::State("this user is disabled"));
        }
        let (store, actor) = (self.store(), principal.actor());
        let link = seeds::sign_in_link(store, self.master_key(), &self.prefix, &self.world, &actor, user.id).await?;
        Ok((link, self.world.now().plus(SIGN_IN_LINK_LIFE)))
    }

    /// Whether a text has the form of a sign-in link's; looks nothing up.
    #[must_use]
    pub fn link_fits(&self, text: &[u8]) -> bool {
        self.session_presented(text).is_some()
    }

    /// Uses a sign-in link up and opens a session. `None` for one that is unknown, used or expired.
    ///
    /// # Errors
    /// [`ServiceError::TooManyAttempts`], or when the store fails.
    pub async fn link_redeem(&self, text: &[u8], visitor: &Visitor) -> Result<Option<Session>, ServiceError> {
        let Some(link) = self.session_presented(text) else { return Ok(None) };
        self.attempt_from(visitor)?;
        let (plain, session) = self.session_mint(visitor)?;
        let user = self.store().link_redeem(link.id(), self.session_hash(&link), session).await?;
        Ok(user.map(|user| Session { plain, user }))
    }

    /// Whom a session stands for.
    ///
    /// # Errors
    /// [`ServiceError::InvalidToken`], or when the store fails.
    pub async fn session_identify(&self, text: &[u8]) -> Result<(Identity, PublicId), ServiceError> {
        let presented = self.session_presented(text).ok_or(ServiceError::InvalidToken)?;
        let idle = self.sign_in.session_idle;
        let identity = self.store().session_identity(presented.id(), self.session_hash(&presented), idle).await?;
        Ok((identity.ok_or(ServiceError::InvalidToken)?, presented.id()))
    }

    /// The same for a page that asks again by itself: that does not keep the session alive.
    ///
    /// # Errors
    /// [`ServiceError::InvalidToken`], or when the store fails.
    pub async fn session_peek(&self, text: &[u8]) -> Result<(Identity, PublicId), ServiceError> {
        let presented = self.session_presented(text).ok_or(ServiceError::InvalidToken)?;
        let idle = self.sign_in.session_idle;
        let identity = self.store().session_peek(presented.id(), self.session_hash(&presented), idle).await?;
        Ok((identity.ok_or(ServiceError::InvalidToken)?, presented.id()))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session_end(&self, session: PublicId) -> Result<(), ServiceError> {
        Ok(self.store().session_end(session).await?)
    }

    /// The caller's live sessions, the last seen first.
    ///
    /// # Errors
    /// A caller with an access token, or when the store fails.
    pub async fn session_list(&self, principal: &Principal) -> Result<Vec<SessionView>, ServiceError> {
        principal.require_session()?;
        Ok(self.store().session_list(principal.user().id, self.sign_in.session_idle).await?)
    }
    /// Ends one of the caller's sessions.
    ///
    /// # Errors
    /// A caller with an access token, [`ServiceError::NotFound`], or when the store fails.
    pub async fn session_revoke(&self, principal: &Principal, session: PublicId) -> Result<(), ServiceError> {
        principal.require_session()?;
        let revoked = self.store().session_revoke(&principal.actor(), principal.user().id, session).await;
        revoked.map_err(ServiceError::of(Noun::Session))
    }
    /// Signs the caller out everywhere but, where it names one, in this session; how many sessions that ended.
    ///
    /// # Errors
    /// A caller with an access token, or when the store fails.
    pub async fn session_revoke_all(&self, principal: &Principal, keep: Option<PublicId>) -> Result<u64, ServiceError> {
        principal.require_session()?;
        Ok(self.store().session_revoke_all(&principal.actor(), principal.user().id, keep).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_calls_itself_is_kept_short_and_clean() {
        let long = format!("Mozilla/5.0 \u{1b}[31m{}", "x".repeat(1_000));
        let agent = Visitor::new(None, Some(&long)).agent.unwrap();
        assert!(agent.chars().count() == LONGEST_AGENT && !agent.contains('\u{1b}'), "{agent}");
        assert_eq!(Visitor::new(None, Some(" \t ")).agent, None);
    }
}
