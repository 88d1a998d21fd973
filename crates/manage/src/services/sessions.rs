//! One-time sign-in links and the sessions that they open.

use std::time::Duration;

use tollgate_core::{
    Id, Timestamp, User,
    secret::{PlainKey, Presented, PublicId},
};
use tollgate_store::accounts::Identity;

use super::{Noun, ServiceError, Services, seeds};
use crate::principal::Principal;

/// How long a sign-in link can be used.
pub const SIGN_IN_LINK_LIFE: Duration = Duration::from_secs(24 * 3_600);
/// How long a session lasts.
pub const SESSION_LIFE: Duration = Duration::from_secs(14 * 86_400);

/// A session at the one moment at which its text is there.
#[derive(Debug)]
pub struct Session {
    /// Its text, for the cookie.
    pub plain: PlainKey,
    /// Whose it is.
    pub user: Id<User>,
}

impl Services {
    fn session_presented<'a>(&self, text: &'a [u8]) -> Option<Presented<'a>> {
        Presented::parse(text).ok().filter(|presented| presented.prefix() == self.0.session_prefix)
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
    /// When the store fails.
    pub async fn link_redeem(&self, text: &[u8]) -> Result<Option<Session>, ServiceError> {
        let Some(link) = self.session_presented(text) else { return Ok(None) };
        let plain = PlainKey::mint(&self.0.session_prefix, &self.world);
        let presented = plain.presented().map_err(|_| ServiceError::State("a session could not be made"))?;
        let (session, until) = ((presented.id(), self.session_hash(&presented)), self.world.now().plus(SESSION_LIFE));
        let user = self.store().link_redeem(link.id(), self.session_hash(&link), session, until).await?;
        Ok(user.map(|user| Session { plain, user }))
    }

    /// Whom a session stands for.
    ///
    /// # Errors
    /// [`ServiceError::InvalidToken`], or when the store fails.
    pub async fn session_identify(&self, text: &[u8]) -> Result<(Identity, PublicId), ServiceError> {
        let presented = self.session_presented(text).ok_or(ServiceError::InvalidToken)?;
        let identity = self.store().session_identity(presented.id(), self.session_hash(&presented)).await?;
        Ok((identity.ok_or(ServiceError::InvalidToken)?, presented.id()))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session_end(&self, session: PublicId) -> Result<(), ServiceError> {
        Ok(self.store().session_end(session).await?)
    }
}
