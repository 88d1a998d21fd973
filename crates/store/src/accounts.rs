//! Accounts, plans, users, memberships, access tokens, one-time sign-in links and console sessions.

use tollgate_core::{
    Account, Actor, Id, Plan, Role, Timestamp, User,
    account::AccessToken,
    name::{Email, Handle, Label},
    secret::{KeyHash, PublicId},
};

use crate::{Committed, Page, PageRequest, Result, Store};

/// An account to be made: without a plan.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Its name in addresses and commands.
    pub handle: Handle,
    /// Its name for people.
    pub name: Label,
}

/// What changes in an account; `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct AccountEdit {
    /// A new name.
    pub name: Option<Label>,
    /// Suspends it or takes it back.
    pub suspended: Option<bool>,
    /// Another plan (by handle), or none.
    pub plan: Option<Option<Handle>>,
    /// When the plan lapses; `Some(None)`: it runs on.
    pub plan_until: Option<Option<Timestamp>>,
}

/// A plan to be made.
#[derive(Debug, Clone)]
pub struct NewPlan {
    /// Its code.
    pub handle: Handle,
    /// Its name for people.
    pub name: Label,
    /// Whether accounts on it may have keys.
    pub paid: bool,
}

/// What changes in a plan.
#[derive(Debug, Clone, Default)]
pub struct PlanEdit {
    /// A new name.
    pub name: Option<Label>,
    /// Whether it is a paid one: counts at once for every account on it.
    pub paid: Option<bool>,
}

/// A user to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Its name for people.
    pub name: Label,
    /// Its mail address.
    pub email: Option<Email>,
    /// Whether it runs the deployment.
    pub operator: bool,
    /// Its accounts, by handle.
    pub memberships: Vec<(Handle, Role)>,
}

/// What changes in a user.
#[derive(Debug, Clone, Default)]
pub struct UserEdit {
    /// A new name.
    pub name: Option<Label>,
    /// A new mail address, or none.
    pub email: Option<Option<Email>>,
    /// Disables it (its tokens, sessions and keys are dead at once) or takes that back.
    pub disabled: Option<bool>,
    /// Whether it runs the deployment. The last operator cannot be taken back or disabled.
    pub operator: Option<bool>,
    /// Sets (or with `None` removes) its role in an account, by handle.
    pub memberships: Vec<(Handle, Option<Role>)>,
}

/// An access token to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Whose it is.
    pub user: Id<User>,
    /// The one account that it works for; `None` only for an operator.
    pub account: Option<Id<Account>>,
    /// What its owner calls it.
    pub name: Label,
    /// The public part of its text.
    pub public_id: PublicId,
    /// The hash of its text.
    pub hash: KeyHash,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// Who a valid token or session stands for.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user, with its memberships.
    pub user: User,
    /// The access token, where it was one.
    pub token: Option<AccessToken>,
}

/// What the first start of a new store makes.
#[derive(Debug, Clone)]
pub struct Seeded {
    /// The account `default`, on the paid plan `unlimited`, owned by the operator.
    pub account: Id<Account>,
    /// The operator.
    pub operator: Id<User>,
    /// Whether this call made them, or they were there.
    pub made_now: bool,
}

impl Store {
    /// Makes, in a new store, the plan `unlimited`, the account `default` on it and the operator; else finds them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn seed(&self) -> Result<Seeded> {
        todo!()
    }
    /// Makes an account without a plan.
    ///
    /// # Errors
    /// [`crate::StoreError::Exists`], or when the store fails.
    pub async fn account_create(&self, actor: &Actor, new: NewAccount) -> Result<Committed<Account>> {
        let _ = (actor, new);
        todo!()
    }
    /// An account by id or by handle.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], or when the store fails.
    pub async fn account_get(&self, id_or_handle: &str) -> Result<Account> {
        let _ = id_or_handle;
        todo!()
    }
    /// All accounts, by handle.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn account_list(&self, page: &PageRequest) -> Result<Page<Account>> {
        let _ = page;
        todo!()
    }
    /// Edits an account.
    ///
    /// # Errors
    /// [`crate::StoreError::VersionConflict`], an unknown plan, or when the store fails.
    pub async fn account_edit(
        &self,
        actor: &Actor,
        id: Id<Account>,
        edit: AccountEdit,
        if_version: Option<i64>,
    ) -> Result<Committed<Account>> {
        let _ = (actor, id, edit, if_version);
        todo!()
    }
    /// Makes a plan.
    ///
    /// # Errors
    /// [`crate::StoreError::Exists`], or when the store fails.
    pub async fn plan_create(&self, actor: &Actor, new: NewPlan) -> Result<Plan> {
        let _ = (actor, new);
        todo!()
    }
    /// A plan by id or by handle.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], or when the store fails.
    pub async fn plan_get(&self, id_or_handle: &str) -> Result<Plan> {
        let _ = id_or_handle;
        todo!()
    }
    /// All plans, by handle.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn plan_list(&self, page: &PageRequest) -> Result<Page<Plan>> {
        let _ = page;
        todo!()
    }
    /// Edits a plan; a change of `paid` goes to every account on it, in the same transaction.
    ///
    /// # Errors
    /// [`crate::StoreError::VersionConflict`], or when the store fails.
    pub async fn plan_edit(
        &self,
        actor: &Actor,
        id: Id<Plan>,
        edit: PlanEdit,
        if_version: Option<i64>,
    ) -> Result<Committed<Plan>> {
        let _ = (actor, id, edit, if_version);
        todo!()
    }
    /// Removes a plan that no account is on.
    ///
    /// # Errors
    /// [`crate::StoreError::InUse`], or when the store fails.
    pub async fn plan_remove(&self, actor: &Actor, id: Id<Plan>) -> Result<()> {
        let _ = (actor, id);
        todo!()
    }
    /// Makes a user.
    ///
    /// # Errors
    /// [`crate::StoreError::Exists`] (the mail address), an unknown account, or when the store fails.
    pub async fn user_create(&self, actor: &Actor, new: NewUser) -> Result<User> {
        let _ = (actor, new);
        todo!()
    }
    /// A user.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], or when the store fails.
    pub async fn user_get(&self, id: Id<User>) -> Result<User> {
        let _ = id;
        todo!()
    }
    /// All users, oldest first; with `account` only its members.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn user_list(&self, account: Option<Id<Account>>, page: &PageRequest) -> Result<Page<User>> {
        let _ = (account, page);
        todo!()
    }
    /// Edits a user. Disabling one, or taking its membership away, ends what it may do at once: the keys that it made
    /// there are dead as long as that lasts.
    ///
    /// # Errors
    /// [`crate::StoreError::State`] for the last operator, or when the store fails.
    pub async fn user_edit(
        &self,
        actor: &Actor,
        id: Id<User>,
        edit: UserEdit,
        if_version: Option<i64>,
    ) -> Result<Committed<User>> {
        let _ = (actor, id, edit, if_version);
        todo!()
    }
    /// Makes an access token.
    ///
    /// # Errors
    /// An unknown user or account, or when the store fails.
    pub async fn token_create(&self, actor: &Actor, new: NewToken) -> Result<AccessToken> {
        let _ = (actor, new);
        todo!()
    }
    /// A user's access tokens, newest first, at most [`PageRequest::MOST`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn token_list(&self, user: Id<User>) -> Result<Vec<AccessToken>> {
        let _ = user;
        todo!()
    }
    /// Revokes an access token of this user.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], or when the store fails.
    pub async fn token_revoke(&self, actor: &Actor, user: Id<User>, id: Id<AccessToken>) -> Result<AccessToken> {
        let _ = (actor, user, id);
        todo!()
    }
    /// Whom a presented token stands for: looked up by its public id, the hash compared in constant time. `None` for
    /// an unknown, revoked or expired one, or one of a disabled user.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn token_identity(&self, public_id: PublicId, hash: KeyHash) -> Result<Option<Identity>> {
        let _ = (public_id, hash);
        todo!()
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
        let _ = (actor, user, public_id, hash, expires_at);
        todo!()
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
        session: (PublicId, KeyHash),
        session_until: Timestamp,
    ) -> Result<Option<Id<User>>> {
        let _ = (public_id, hash, session, session_until);
        todo!()
    }
    /// Whom a session stands for. `None` for an unknown, ended or expired one, or one of a disabled user.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session_identity(&self, public_id: PublicId, hash: KeyHash) -> Result<Option<Identity>> {
        let _ = (public_id, hash);
        todo!()
    }
    /// Ends a session.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session_end(&self, public_id: PublicId) -> Result<()> {
        let _ = public_id;
        todo!()
    }
}
