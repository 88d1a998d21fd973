//! API keys: made, listed, edited, ended.
//!
//! Nothing here reads or writes usage but `last_used_at`, which comes from the usage tables. The models of a permission
//! are kept by row number, so a model made later under a withdrawn one's name is not permitted to old keys.

mod addresses;
mod exposure;
mod list;
pub(crate) mod row;

use serde_json::{Value as Json, json};
use sqlx::AssertSqlSafe;
use tollgate_core::{
    Account, Actor, ChangeKind, Id, Key, Model, No, Permission, Timestamp, User,
    account::{AccountAuth, Standing},
    key::{KeyBlock, KeyState},
    name::{Label, ModelName},
    origin::Origins,
    secret::{KeyHash, Prefix, PublicId},
};

pub use self::addresses::MOST_ADDRESSES;
pub use self::exposure::Exposed;
pub use self::list::{KeyFilter, KeyOrder, KeySort};
use self::{
    list::sort_name,
    row::{COLUMNS, FROM, key_of},
};
use crate::{
    Committed, Result, Store, StoreError, accounts,
    bulk::{self, Insert},
    leaks,
    value::{storable, values},
    write::{Difference, Subject, Write},
};

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The account that owns it.
    pub account: Id<Account>,
    /// The prefix of its text.
    pub prefix: Prefix,
    /// The public part of its text.
    pub public_id: PublicId,
    /// The hash of its text.
    pub hash: KeyHash,
    /// What its owner calls it.
    pub name: Label,
    /// What it may use.
    pub permission: Permission,
    /// The web pages that it may be used from.
    pub allowed_origins: Origins,
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
    /// Other web pages that it may be used from.
    pub allowed_origins: Option<Origins>,
    /// A new end, or none.
    pub expires_at: Option<Option<Timestamp>>,
    /// A new note, or none.
    pub note: Option<Option<String>>,
}

/// A change of a key's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyTransition {
    /// Ends it for ever. Of a revoked key: nothing changes.
    Revoke,
    /// Switches it off. Of a disabled key: nothing changes. Of a revoked or leaked one: refused.
    Disable,
    /// Switches a disabled key on (a leaked one too: a wrong report). Of an active one: its state stays. Of a revoked one,
    /// and of one whose maker is disabled or no member any more: refused. Whatever it was, reports of it are settled: what
    /// is said again of a place that was known by then changes nothing.
    Enable,
}

impl Store {
    /// Makes a key. The account must be on a running paid plan ([`crate::StoreError::PlanRequired`]) and not suspended;
    /// every named model must exist. An idempotency key used before in the account: [`crate::StoreError::AlreadyCreated`].
    ///
    /// # Errors
    /// As said, or when the store fails.
    pub async fn key_create(&self, actor: &Actor, new: NewKey) -> Result<Committed<Key>> {
        storable(new.note.as_deref())?;
        storable(new.idempotency_key.as_deref())?;
        let mut write = self.write(actor).await?;
        let account = accounts::auth(&mut write, new.account).await?;
        if let Some(used) = &new.idempotency_key {
            let sql = "SELECT id FROM keys WHERE account_no = $1 AND idempotency_key = $2";
            if let Some(row) = write.row(sql, values![account.no, used.as_str()]).await? {
                return Err(StoreError::AlreadyCreated(row.columns().next()?));
            }
        }
        match account.standing(write.now()) {
            Standing::Good => {}
            Standing::PlanRequired => return Err(StoreError::PlanRequired),
            Standing::Suspended => return Err(StoreError::Suspended),
        }
        let (no, id) = insert(&mut write, &account, &new).await?;
        permit(&mut write, no, &new.permission).await?;
        write.change(ChangeKind::Key(no));
        let mut detail = json!({
            "name": new.name, "public_id": new.public_id.as_str(), "models": new.permission, "expires_at": new.expires_at,
        });
        if let Some(detail) = detail.as_object_mut()
            && !new.allowed_origins.is_empty()
        {
            detail.insert("allowed_origins".to_owned(), json!(new.allowed_origins));
        }
        write.audit("key.create", Subject::new(id).of(account.no), detail).await?;
        let key = read(&mut write, None, id).await?;
        write.commit(key).await
    }
    /// A key of the account (`None`: of any account).
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], or when the store fails.
    pub async fn key_get(&self, account: Option<Id<Account>>, id: Id<Key>) -> Result<Key> {
        let sql = format!("SELECT {COLUMNS} {FROM} WHERE k.id = $1");
        let row = self.pools().row(AssertSqlSafe(sql), values![id]).await?;
        let key = key_of(&row.ok_or(StoreError::NotFound)?, self.world().now())?;
        if account.is_some_and(|account| account != key.account) { Err(StoreError::NotFound) } else { Ok(key) }
    }
    /// A key by its row number, for the data plane's `GET key`.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], or when the store fails.
    pub async fn key_by_no(&self, no: No<Key>) -> Result<Key> {
        let sql = format!("SELECT {COLUMNS} {FROM} WHERE k.no = $1");
        let row = self.pools().row(AssertSqlSafe(sql), values![no]).await?;
        key_of(&row.ok_or(StoreError::NotFound)?, self.world().now())
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
        storable(edit.note.as_ref().and_then(Option::as_deref))?;
        let mut write = self.write(actor).await?;
        let mut key = read(&mut write, Some(account), id).await?;
        if if_version.is_some_and(|version| version != key.version) {
            return Err(StoreError::VersionConflict);
        }
        if matches!(key.state, KeyState::Revoked { .. }) {
            return Err(StoreError::State("the key is revoked"));
        }
        let mut difference = Difference::default();
        difference.take("name", &mut key.name, edit.name, |name| json!(name));
        difference.take("expires_at", &mut key.expires_at, edit.expires_at, |at| json!(at));
        difference.take("note", &mut key.note, edit.note, |note| json!(note));
        difference.take("allowed_origins", &mut key.allowed_origins, edit.allowed_origins, |origins| json!(origins));
        let permission = edit.permission.map(sorted);
        if difference.take("models", &mut key.permission, permission, |models| json!(models)) {
            write.execute("DELETE FROM key_models WHERE key_no = $1", values![key.no]).await?;
            permit(&mut write, key.no, &key.permission).await?;
        }
        if difference.is_empty() {
            return write.unchanged(key).await;
        }
        write
            .execute(
                "UPDATE keys SET name = $2, expires_at = $3, note = $4, all_models = $5, search_text = $6, sort_name = $7,
                    allowed_origins = $8, version = version + 1
                 WHERE no = $1",
                values![
                    key.no,
                    &key.name,
                    key.expires_at,
                    key.note.as_deref(),
                    key.permission == Permission::All,
                    search_text(&key.name, key.note.as_deref(), key.public_id),
                    sort_name(&key.name),
                    key.allowed_origins.to_string(),
                ],
            )
            .await?;
        finish(write, "key.edit", account, id, difference.into_detail()).await
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
        let mut write = self.write(actor).await?;
        let key = read(&mut write, Some(account), id).await?;
        if transition == KeyTransition::Enable
            && !matches!(key.state, KeyState::Revoked { .. })
            && let Some(refusal) = key.blocked_by.and_then(creator_refusal)
        {
            return Err(StoreError::State(refusal));
        }
        let settled = key.leak.as_ref().filter(|_| transition == KeyTransition::Enable);
        let state = match (next_state(&key.state, &transition, write.now())?, settled) {
            (Some(state), _) => state,
            (None, Some(_)) => key.state.clone(),
            (None, None) => return write.unchanged(key).await,
        };
        let (word, at) = row::state_parts(&state);
        write
            .execute(
                "UPDATE keys SET state = $2, state_at = $3, version = version + 1 WHERE no = $1",
                values![key.no, word, at],
            )
            .await?;
        let mut detail = json!({ "from": row::state_parts(&key.state).0, "to": word });
        if settled.is_some()
            && let Some(detail) = detail.as_object_mut()
        {
            detail.insert("reported".to_owned(), leaks::settle(&mut write, key.no, id).await?);
        }
        let action = match transition {
            KeyTransition::Revoke => "key.revoke",
            KeyTransition::Disable => "key.disable",
            KeyTransition::Enable => "key.enable",
        };
        finish(write, action, account, id, detail).await
    }
    /// Gives an active or disabled key a new text under the same id and public id, with this prefix and hash; the old text
    /// works until `grace_until` (an older one from a rotation before stops at once). `if_version`: only if it still has this
    /// version.
    ///
    /// # Errors
    /// [`crate::StoreError::VersionConflict`], [`crate::StoreError::State`] of a revoked or leaked key, or when the store
    /// fails.
    pub async fn key_rotate(
        &self,
        actor: &Actor,
        key: (Id<Account>, Id<Key>),
        prefix: Prefix,
        hash: KeyHash,
        grace_until: Timestamp,
        if_version: Option<i64>,
    ) -> Result<Committed<Key>> {
        let mut write = self.write(actor).await?;
        let (account, id) = key;
        let key = read(&mut write, Some(account), id).await?;
        if if_version.is_some_and(|version| version != key.version) {
            return Err(StoreError::VersionConflict);
        }
        match key.state {
            KeyState::Active | KeyState::Disabled => {}
            KeyState::Revoked { .. } => return Err(StoreError::State("the key is revoked")),
            KeyState::Leaked { .. } => return Err(StoreError::State("the key is leaked")),
        }
        write
            .execute(
                "UPDATE keys SET previous_hash = hash, previous_until = $2, hash = $3, prefix = $4,
                    version = version + 1
                 WHERE no = $1",
                values![key.no, grace_until, hash, &prefix],
            )
            .await?;
        // What strangers saw was the old text.
        write.execute("DELETE FROM key_exposure WHERE key_no = $1", values![key.no]).await?;
        finish(write, "key.rotate", account, id, json!({ "grace_until": grace_until })).await
    }
}

/// Why a key of this maker is not switched on.
const fn creator_refusal(block: KeyBlock) -> Option<&'static str> {
    match block {
        KeyBlock::CreatorDisabled => Some("the user who made the key is disabled; make a new key"),
        KeyBlock::CreatorRemoved => {
            Some("the user who made the key is no member of the account any more; make a new key")
        }
        KeyBlock::Plan | KeyBlock::Suspended => None,
    }
}

/// Where a transition leads: `None` where nothing changes.
fn next_state(state: &KeyState, transition: &KeyTransition, now: Timestamp) -> Result<Option<KeyState>> {
    use KeyState::{Active, Disabled, Leaked, Revoked};
    Ok(match (state, transition) {
        (Revoked { .. }, KeyTransition::Revoke)
        | (Disabled, KeyTransition::Disable)
        | (Active, KeyTransition::Enable) => None,
        (_, KeyTransition::Revoke) => Some(Revoked { at: now }),
        (Active, KeyTransition::Disable) => Some(Disabled),
        (Disabled | Leaked { .. }, KeyTransition::Enable) => Some(Active),
        (Revoked { .. }, KeyTransition::Disable | KeyTransition::Enable) => {
            return Err(StoreError::State("the key is revoked"));
        }
        (Leaked { .. }, KeyTransition::Disable) => return Err(StoreError::State("the key is leaked")),
    })
}

async fn insert(write: &mut Write<'_>, account: &AccountAuth, new: &NewKey) -> Result<(No<Key>, Id<Key>)> {
    let id = write.new_id();
    let creator = match new.created_by {
        Some(user) => Some(accounts::user_no(write, user).await?),
        None => None,
    };
    let now = write.now();
    let row = write
        .row(
            "INSERT INTO keys (id, public_id, account_no, name, all_models, state, expires_at, created_at, created_by, note,
                               hash, idempotency_key, search_text, prefix, sort_name, allowed_origins, version)
             VALUES ($1, $2, $3, $4, $5, 'active', $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 1) RETURNING no",
            values![
                id,
                &new.public_id,
                account.no,
                &new.name,
                new.permission == Permission::All,
                new.expires_at,
                now,
                creator,
                new.note.as_deref(),
                new.hash,
                new.idempotency_key.as_deref(),
                search_text(&new.name, new.note.as_deref(), new.public_id),
                &new.prefix,
                sort_name(&new.name),
                new.allowed_origins.to_string(),
            ],
        )
        .await?;
    let no = row.ok_or_else(|| StoreError::Failed("a key was not made".into()))?.columns().next()?;
    Ok((no, id))
}

/// Writes the models of a permission, by their row numbers of today.
async fn permit(write: &mut Write<'_>, key: No<Key>, permission: &Permission) -> Result<()> {
    let Permission::Models(names) = permission else { return Ok(()) };
    if names.len() > Permission::MOST_MODELS {
        return Err(StoreError::State("a key has at most 1000 models"));
    }
    let Permission::Models(names) = sorted(Permission::Models(names.clone())) else { return Ok(()) };
    let mut rows = Vec::with_capacity(names.len());
    for name in &names {
        rows.push(values![key, model_no(write, name).await?]);
    }
    let insert = Insert { head: "INSERT INTO key_models (key_no, model_no) VALUES ", columns: 2, tail: "" };
    bulk::execute(write, &insert, rows).await.map(drop)
}

async fn model_no(write: &mut Write<'_>, name: &ModelName) -> Result<No<Model>> {
    let row = write.row("SELECT no FROM models WHERE name = $1 AND removed_at IS NULL", values![name]).await?;
    match row {
        Some(row) => row.columns().next(),
        None => Err(StoreError::Unknown { kind: "model", name: name.as_str().to_owned() }),
    }
}

/// A list in the one order that it is kept in.
fn sorted(permission: Permission) -> Permission {
    match permission {
        Permission::All => Permission::All,
        Permission::Models(mut names) => {
            names.sort();
            names.dedup();
            Permission::Models(names)
        }
    }
}

fn search_text(name: &Label, note: Option<&str>, public_id: PublicId) -> String {
    format!("{name}\n{public_id}\n{}", note.unwrap_or_default()).to_lowercase()
}

async fn read(write: &mut Write<'_>, account: Option<Id<Account>>, id: Id<Key>) -> Result<Key> {
    let sql = format!("SELECT {COLUMNS} {FROM} WHERE k.id = $1");
    let row = write.row(AssertSqlSafe(sql), values![id]).await?;
    let key = key_of(&row.ok_or(StoreError::NotFound)?, write.now())?;
    if account.is_some_and(|account| account != key.account) { Err(StoreError::NotFound) } else { Ok(key) }
}

/// Logs, audits and commits a change of a key.
async fn finish(
    mut write: Write<'_>,
    action: &str,
    account: Id<Account>,
    id: Id<Key>,
    detail: Json,
) -> Result<Committed<Key>> {
    let account = accounts::auth(&mut write, account).await?.no;
    write.audit(action, Subject::new(id).of(account), detail).await?;
    let key = read(&mut write, None, id).await?;
    write.change(ChangeKind::Key(key.no));
    write.commit(key).await
}
