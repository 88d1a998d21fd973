//! An account's members and the invitations into it: what its owners see and change, and how an invitation is accepted.

use std::time::Duration;

use serde::Deserialize;
use tollgate_core::{
    Id, Role, User,
    account::{AccountAction, Invitation},
    name::{Email, Label},
    seal::SecretText,
    secret::{PlainKey, Presented},
};
use tollgate_store::{
    Page, PageRequest,
    accounts::{InvitationAccepted, Member, NewInvitation},
};
use utoipa::ToSchema;

use super::{Confirmed, Noun, ServiceError, Services, Session, Visitor};
use crate::principal::{Access, Principal};

/// How long an invitation can be accepted.
pub const INVITATION_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// A member's change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberChange {
    /// `owner`, `member` or `viewer`.
    #[schema(value_type = String, example = "member")]
    pub role: Role,
}

/// An invitation to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitationInput {
    /// `owner`, `member` or `viewer`.
    #[schema(value_type = String, example = "member")]
    pub role: Role,
    /// Only whoever has this mail address may accept it; not named: whoever opens the link first.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "ada@example.com")]
    pub email: Option<Email>,
}

/// An invitation at the one moment at which its text is there.
#[derive(Debug)]
pub struct InvitationShown {
    /// Its text; [`invitation_path`] says where it leads.
    pub plain: PlainKey,
    /// What is kept of it.
    pub invitation: Invitation,
}

/// What somebody new types who accepts an invitation.
#[derive(Debug)]
pub struct Newcomer {
    /// The name for people.
    pub name: Label,
    /// The mail address; the invitation's own goes before it.
    pub email: Email,
    /// The password.
    pub password: SecretText,
}

/// The path of an invitation: `/invitations/<token>`. A secret as long as it can be accepted.
#[must_use]
pub fn invitation_path(invitation: &PlainKey) -> String {
    format!("/invitations/{}", invitation.expose())
}

impl Services {
    async fn managed(&self, principal: &Principal, account: &str) -> Result<Access, ServiceError> {
        let access = principal.access(self, Some(account)).await?;
        access.require(AccountAction::MembersManage)?;
        Ok(access)
    }

    /// The members of an account; owners only.
    ///
    /// # Errors
    /// A caller who may not, a wrong cursor, or when the store fails.
    pub async fn member_list(
        &self,
        principal: &Principal,
        account: &str,
        page: &PageRequest,
    ) -> Result<Page<Member>, ServiceError> {
        let access = principal.access(self, Some(account)).await?;
        access.require(AccountAction::MembersRead)?;
        self.store().member_list(access.account.id, page).await.map_err(ServiceError::of_list)
    }
    /// A member of an account.
    ///
    /// # Errors
    /// A caller who may not, no such member, or when the store fails.
    pub async fn member_get(
        &self,
        principal: &Principal,
        account: &str,
        user: Id<User>,
    ) -> Result<Member, ServiceError> {
        let access = principal.access(self, Some(account)).await?;
        access.require(AccountAction::MembersRead)?;
        self.store().member_get(access.account.id, user).await.map_err(ServiceError::of(Noun::Member))
    }
    /// Gives a member another role; with `if_role` only if it still has that one.
    ///
    /// # Errors
    /// A caller who may not, no such member, another role, the last owner, or when the store fails.
    pub async fn member_edit(
        &self,
        principal: &Principal,
        account: &str,
        user: Id<User>,
        change: MemberChange,
        if_role: Option<Role>,
    ) -> Result<Confirmed<Member>, ServiceError> {
        let access = self.managed(principal, account).await?;
        let edited = self.store().member_edit(&principal.actor(), access.account.id, user, change.role, if_role).await;
        Ok(Confirmed::restricting(self.store(), edited.map_err(ServiceError::of(Noun::Member))?).await)
    }
    /// Takes a member out of an account.
    ///
    /// # Errors
    /// As [`Self::member_edit`].
    pub async fn member_remove(
        &self,
        principal: &Principal,
        account: &str,
        user: Id<User>,
    ) -> Result<Confirmed<Member>, ServiceError> {
        let access = self.managed(principal, account).await?;
        let removed = self.store().member_remove(&principal.actor(), access.account.id, user).await;
        Ok(Confirmed::restricting(self.store(), removed.map_err(ServiceError::of(Noun::Member))?).await)
    }

    /// Makes an invitation and shows its link once.
    ///
    /// # Errors
    /// A caller who may not, too many that wait, or when the store fails.
    pub async fn invitation_create(
        &self,
        principal: &Principal,
        account: &str,
        input: InvitationInput,
    ) -> Result<InvitationShown, ServiceError> {
        let access = self.managed(principal, account).await?;
        let plain = PlainKey::mint(&self.prefix.for_invitations(), &self.world);
        let presented = plain.presented().map_err(|_| ServiceError::State("an invitation could not be made"))?;
        let new = NewInvitation {
            account: access.account.id,
            role: input.role,
            email: input.email,
            public_id: presented.id(),
            hash: self.session_hash(&presented),
            expires_at: self.world.now().plus(INVITATION_LIFE),
        };
        let invitation = self.store().invitation_create(&principal.actor(), new).await?;
        Ok(InvitationShown { plain, invitation })
    }
    /// An account's invitations, newest first.
    ///
    /// # Errors
    /// A caller who may not, a wrong cursor, or when the store fails.
    pub async fn invitation_list(
        &self,
        principal: &Principal,
        account: &str,
        page: &PageRequest,
    ) -> Result<Page<Invitation>, ServiceError> {
        let access = self.managed(principal, account).await?;
        self.store().invitation_list(access.account.id, page).await.map_err(ServiceError::of_list)
    }
    /// Takes an invitation back.
    ///
    /// # Errors
    /// A caller who may not, no such invitation, one that was accepted, or when the store fails.
    pub async fn invitation_revoke(
        &self,
        principal: &Principal,
        account: &str,
        id: Id<Invitation>,
    ) -> Result<Invitation, ServiceError> {
        let access = self.managed(principal, account).await?;
        let revoked = self.store().invitation_revoke(&principal.actor(), access.account.id, id).await;
        revoked.map_err(ServiceError::of(Noun::Invitation))
    }

    fn invitation_presented<'a>(&self, text: &'a [u8]) -> Option<Presented<'a>> {
        Presented::parse(text).ok().filter(|presented| presented.prefix() == self.prefix.for_invitations())
    }
    /// What an invitation's link leads to, as long as it can be accepted.
    ///
    /// # Errors
    /// [`ServiceError::TooManyAttempts`], or when the store fails.
    pub async fn invitation_find(&self, text: &[u8], visitor: &Visitor) -> Result<Option<Invitation>, ServiceError> {
        let Some(presented) = self.invitation_presented(text) else { return Ok(None) };
        self.attempt_from(visitor)?;
        Ok(self.store().invitation_find(presented.id(), self.session_hash(&presented)).await?)
    }
    /// Somebody signed in accepts an invitation. `None` for one that cannot be accepted any more.
    ///
    /// # Errors
    /// [`ServiceError::State`] for a member, or for another address than the invited one; or when the store fails.
    pub async fn invitation_accept(
        &self,
        principal: &Principal,
        text: &[u8],
    ) -> Result<Option<InvitationAccepted>, ServiceError> {
        principal.require_session()?;
        let Some(presented) = self.invitation_presented(text) else { return Ok(None) };
        let hash = self.session_hash(&presented);
        let accepted =
            self.store().invitation_accept(&principal.actor(), presented.id(), hash, principal.user().id).await?;
        match accepted {
            Some(committed) => Ok(Some(Confirmed::extending(self.store(), committed).await.value)),
            None => Ok(None),
        }
    }
    /// Somebody new accepts an invitation, becomes a user with a password and is signed in. `None` for one that cannot be
    /// accepted any more.
    ///
    /// # Errors
    /// [`ServiceError::Invalid`] for the password, [`ServiceError::Exists`] for the address,
    /// [`ServiceError::TooManyAttempts`], or when the store fails.
    pub async fn invitation_accept_new(
        &self,
        text: &[u8],
        newcomer: Newcomer,
        visitor: &Visitor,
    ) -> Result<Option<(InvitationAccepted, Session)>, ServiceError> {
        // Asked first: nobody makes this program hash passwords without an invitation.
        let Some(invitation) = self.invitation_find(text, visitor).await? else { return Ok(None) };
        let Some(presented) = self.invitation_presented(text) else { return Ok(None) };
        let email = invitation.email.unwrap_or(newcomer.email);
        let hash = self.password_first(newcomer.password, newcomer.name.as_str(), email.as_str()).await?;
        let (plain, session) = self.session_mint(visitor)?;
        let accepted = self
            .store()
            .invitation_accept_new(
                presented.id(),
                self.session_hash(&presented),
                (newcomer.name, email),
                &hash,
                session,
            )
            .await?;
        match accepted {
            Some(committed) => {
                let accepted = Confirmed::extending(self.store(), committed).await.value;
                let session = Session { plain, user: accepted.user };
                Ok(Some((accepted, session)))
            }
            None => Ok(None),
        }
    }
    /// Changes the caller's own name.
    ///
    /// # Errors
    /// A caller with an access token, or when the store fails.
    pub async fn me_rename(&self, principal: &Principal, name: Label) -> Result<(), ServiceError> {
        principal.require_session()?;
        let edit = tollgate_store::accounts::UserEdit { name: Some(name), ..Default::default() };
        // A name decides nothing: there is nothing to wait for.
        self.store().user_edit(&principal.actor(), principal.user().id, edit, None).await.map(drop)?;
        Ok(())
    }
}
