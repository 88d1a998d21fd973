//! API keys: made, listed, edited, ended.

use tollgate_core::{
    Account, Actor, Id, Key, KeyStatus, No, Permission, Timestamp, User,
    name::Label,
    secret::{KeyHash, PublicId},
};

use crate::{Committed, Page, PageRequest, Result, Store};

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The account that owns it.
    pub account: Id<Account>,
    /// The public part of its text.
    pub public_id: PublicId,
    /// The hash of its text.
    pub hash: KeyHash,
    /// What its owner calls it.
    pub name: Label,
    /// What it may use.
    pub permission: Permission,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Its owner's remark.
    pub note: Option<String>,
    /// The user who makes it.
    pub created_by: Option<Id<User>>,
    /// The caller's `Idempotency-Key`, unique in the account.
    pub idempotency_key: Option<String>,
}

/// What changes in an edit; `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct KeyEdit {
    /// A new name.
    pub name: Option<Label>,
    /// A new permission.
    pub permission: Option<Permission>,
    /// A new end, or none.
    pub expires_at: Option<Option<Timestamp>>,
    /// A new note, or none.
    pub note: Option<Option<String>>,
}

/// Which keys to list: newest first.
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    /// Only with this status (at the world's now).
    pub status: Option<KeyStatus>,
    /// Only those whose name, note or public id contains this, without regard to case.
    pub search: Option<String>,
    /// Only those made by this user.
    pub created_by: Option<Id<User>>,
}

/// A change of a key's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyTransition {
    /// Ends it for ever. Of a revoked key: nothing changes.
    Revoke,
    /// Switches it off. Of a disabled key: nothing changes. Of a revoked or leaked one: refused.
    Disable,
    /// Switches a disabled key on (a leaked one too: a wrong report). Of an active one: nothing changes. Of a revoked one: refused.
    Enable,
    /// It was found in public. Of a revoked or leaked one: nothing changes.
    Leak {
        /// Where.
        found_at: Option<String>,
    },
}

impl Store {
    /// Makes a key. The account must be on a running paid plan ([`crate::StoreError::PlanRequired`]) and not suspended;
    /// every named model must exist. An idempotency key used before in the account: [`crate::StoreError::AlreadyCreated`].
    ///
    /// # Errors
    /// As said, or when the store fails.
    pub async fn key_create(&self, actor: &Actor, new: NewKey) -> Result<Committed<Key>> {
        let _ = (actor, new);
        todo!()
    }
    /// A key of the account (`None`: of any account).
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], or when the store fails.
    pub async fn key_get(&self, account: Option<Id<Account>>, id: Id<Key>) -> Result<Key> {
        let _ = (account, id);
        todo!()
    }
    /// A key by its row number, for the data plane's `GET key`.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], or when the store fails.
    pub async fn key_by_no(&self, no: No<Key>) -> Result<Key> {
        let _ = no;
        todo!()
    }
    /// Keys of the account, newest first.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn key_list(&self, account: Id<Account>, filter: &KeyFilter, page: &PageRequest) -> Result<Page<Key>> {
        let _ = (account, filter, page);
        todo!()
    }
    /// Edits a key that is not revoked. `if_version`: only if it still has this version. An edit that changes nothing
    /// leaves version, log and audit as they are.
    ///
    /// # Errors
    /// [`crate::StoreError::VersionConflict`], [`crate::StoreError::State`], an unknown model, or when the store fails.
    pub async fn key_edit(
        &self,
        actor: &Actor,
        account: Id<Account>,
        id: Id<Key>,
        edit: KeyEdit,
        if_version: Option<i64>,
    ) -> Result<Committed<Key>> {
        let _ = (actor, account, id, edit, if_version);
        todo!()
    }
    /// Moves a key along its life.
    ///
    /// # Errors
    /// [`crate::StoreError::State`] where the transition is refused, or when the store fails.
    pub async fn key_transition(
        &self,
        actor: &Actor,
        account: Id<Account>,
        id: Id<Key>,
        transition: KeyTransition,
    ) -> Result<Committed<Key>> {
        let _ = (actor, account, id, transition);
        todo!()
    }
    /// Gives an active or disabled key a new text under the same id and public id; the old text works until `grace_until`
    /// (an older one from a rotation before stops at once).
    ///
    /// # Errors
    /// [`crate::StoreError::State`] of a revoked or leaked key, or when the store fails.
    pub async fn key_rotate(
        &self,
        actor: &Actor,
        account: Id<Account>,
        id: Id<Key>,
        hash: KeyHash,
        grace_until: Timestamp,
    ) -> Result<Committed<Key>> {
        let _ = (actor, account, id, hash, grace_until);
        todo!()
    }
}
