//! Who asks, and what they may do.
//!
//! A [`Principal`] is made from a valid access token or session and from nothing else; a key for
//! inference never becomes one. An [`Access`] is a principal's standing in one account, and the only
//! way to an account's things: whoever holds one was checked.

use std::net::IpAddr;

use tollgate_core::{
    Account, Actor, Id, Key, Role, Timestamp, User,
    account::{AccessToken, AccountAction, ActorKind},
};
use tollgate_store::{Store, StoreError, accounts::Identity};

use crate::services::{Noun, ServiceError, Services};

/// A user who presented a valid token or session.
#[derive(Debug, Clone)]
pub struct Principal {
    user: User,
    token: Option<AccessToken>,
    address: Option<IpAddr>,
}

/// A principal's standing in one account.
#[derive(Debug, Clone)]
pub struct Access {
    /// The account.
    pub account: Account,
    role: Role,
    user: Id<User>,
}

/// The account that an operator means who names none.
pub const DEFAULT_ACCOUNT: &str = "default";

/// An account by the name or id that somebody gave.
pub(crate) async fn account_by_name(store: &Store, named: &str) -> Result<Account, StoreError> {
    // No text column takes a NUL, and no account has one in its name.
    if named.contains('\0') {
        return Err(StoreError::NotFound);
    }
    store.account_get(named).await
}

impl Principal {
    /// From what the store knows of a token or session.
    #[must_use]
    pub fn new(identity: Identity, address: Option<IpAddr>) -> Self {
        Self { user: identity.user, token: identity.token, address }
    }
    /// The user.
    #[must_use]
    pub const fn user(&self) -> &User {
        &self.user
    }
    /// The access token, where it was one.
    #[must_use]
    pub const fn token(&self) -> Option<&AccessToken> {
        self.token.as_ref()
    }
    /// Whom the audit log names.
    #[must_use]
    pub fn actor(&self) -> Actor {
        let token = self.token.as_ref().map(|token| token.id);
        Actor { kind: ActorKind::User { user: self.user.id, token }, address: self.address }
    }
    /// The one account that the token is bound to.
    #[must_use]
    pub fn bound_to(&self) -> Option<Id<Account>> {
        self.token.as_ref().and_then(|token| token.account)
    }
    /// Whether this is the operator at work: an operator's token that is bound to an account is no more than a
    /// customer's.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.user.operator && self.bound_to().is_none()
    }
    /// When the token that was used ends: nothing made with it outlives it.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.token.as_ref().and_then(|token| token.expires_at)
    }
    /// Goes on only for the operator.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`] for everybody else.
    pub fn require_operator(&self) -> Result<(), ServiceError> {
        if self.is_operator() { Ok(()) } else { Err(ServiceError::Forbidden("only operators may do this")) }
    }
    /// Goes on only for somebody who is signed in: a token manages an account's things, not its user's sign-in, or whoever
    /// found one could make it last.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`] for an access token.
    pub fn require_session(&self) -> Result<(), ServiceError> {
        let signed_in = self.token.is_none();
        if signed_in {
            Ok(())
        } else {
            Err(ServiceError::Forbidden("sign in to the console for this: no token does it"))
        }
    }

    /// The standing in the named account, or in the one that is meant where none is named: an operator's `default`, a
    /// customer's own. An account that is not the caller's does not exist for it.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`]; [`ServiceError::Forbidden`] for a user without any account; when the store fails.
    pub async fn access(&self, services: &Services, named: Option<&str>) -> Result<Access, ServiceError> {
        if self.is_operator() {
            let account = account_by_name(services.store(), named.unwrap_or(DEFAULT_ACCOUNT)).await;
            let account = account.map_err(ServiceError::of(Noun::Account))?;
            return Ok(Access { account, role: Role::Owner, user: self.user.id });
        }
        let bound = self.bound_to();
        let mut own = self.user.memberships.iter().filter(|membership| bound.is_none_or(|id| membership.account == id));
        // An operator's token that is bound to an account which it is no member of: an owner there, and no more.
        if let (Some(bound), true, None) = (bound, self.user.operator, own.clone().next()) {
            let account =
                services.store().account_get(&bound.to_string()).await.map_err(ServiceError::of(Noun::Account))?;
            let is_meant =
                named.is_none_or(|named| account.handle.as_str() == named || account.id.to_string() == named);
            return if is_meant {
                Ok(Access { account, role: Role::Owner, user: self.user.id })
            } else {
                Err(ServiceError::NotFound(Noun::Account))
            };
        }
        let membership = match named {
            None => own.next().ok_or(ServiceError::Forbidden("this user belongs to no account"))?,
            Some(named) => own
                .find(|own| own.account_handle.as_str() == named || own.account.to_string() == named)
                .ok_or(ServiceError::NotFound(Noun::Account))?,
        };
        let account = services.store().account_get(&membership.account.to_string()).await;
        Ok(Access {
            account: account.map_err(ServiceError::of(Noun::Account))?,
            role: membership.role,
            user: self.user.id,
        })
    }

    /// Within which account a thing is looked for that is named by its id: an operator's id is good everywhere, unless
    /// it names an account too.
    ///
    /// # Errors
    /// As [`Self::access`].
    pub async fn scope(&self, services: &Services, named: Option<&str>) -> Result<Option<Access>, ServiceError> {
        if self.is_operator() && named.is_none() { Ok(None) } else { self.access(services, named).await.map(Some) }
    }
}

impl Access {
    /// What the caller may do here; an operator is an owner everywhere.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }
    /// Goes on only if the role allows it.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`]
    pub fn require(&self, action: AccountAction) -> Result<(), ServiceError> {
        if self.role.may(action) {
            return Ok(());
        }
        Err(ServiceError::Forbidden(match action {
            AccountAction::KeyCreate | AccountAction::OwnKeyManage => "viewers change nothing",
            AccountAction::AnyKeyManage | AccountAction::MembersManage => "only owners of the account may do this",
            AccountAction::MembersRead | AccountAction::WebhooksManage => "only owners of the account see this",
            AccountAction::Read => "this role does not see the account",
        }))
    }
    /// Goes on only if the caller may change this key: an owner any, a member those that it made.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`]
    pub fn require_manage(&self, key: &Key) -> Result<(), ServiceError> {
        let own = key.created_by.as_ref().is_some_and(|(maker, _)| *maker == self.user);
        self.require(AccountAction::OwnKeyManage)?;
        if own || self.role.may(AccountAction::AnyKeyManage) {
            return Ok(());
        }
        Err(ServiceError::Forbidden("members change only the keys that they made"))
    }
}
