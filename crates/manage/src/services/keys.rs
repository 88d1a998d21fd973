//! API keys for inference: made, listed, edited, ended.
//!
//! The text of a key exists here between its making and its answer, as a [`PlainKey`], and nowhere else.

use std::time::Duration;

use serde::Deserialize;
use tollgate_core::{Id, Key, Origins, Permission, Timestamp, account::AccountAction, name::Label, secret::PlainKey};
use tollgate_store::{
    Page, PageRequest,
    keys::{KeyEdit, KeyFilter, KeyTransition, NewKey},
};
use utoipa::ToSchema;

use super::{Confirmed, Noun, ServiceError, Services, check_idempotency_key};
use crate::{
    extract::present,
    principal::{Access, Principal},
    span,
};

/// The longest time for which the text from before a rotation may go on working.
pub const LONGEST_GRACE: Duration = Duration::from_secs(30 * 86_400);

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyInput {
    /// What you call it.
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "nightly-batch")]
    pub name: Label,
    /// The models that it may use: a list of names, or `"all"` for all of the account's, today's and tomorrow's.
    #[schema(schema_with = permission_schema)]
    pub models: Permission,
    /// When it ends by itself.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, example = "2030-01-31T12:00:00Z")]
    pub expires_at: Option<Timestamp>,
    /// A remark, at most 2,000 characters.
    #[serde(default)]
    #[schema(max_length = 2000, example = "runs on the build server")]
    pub note: Option<String>,
    /// The web pages that it may be used from; not named: none. Whoever opens such a page can read the key: give it few
    /// models and an end.
    #[serde(default)]
    #[schema(schema_with = origins_schema)]
    pub allowed_origins: Origins,
    /// Not supported yet: anything but null is refused.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub limits: Option<serde_json::Value>,
    /// Not supported yet: anything but null is refused.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub budget: Option<serde_json::Value>,
    /// Operators: the account that owns it, by name or id; else `default`.
    #[serde(default)]
    #[schema(example = "default")]
    pub account: Option<String>,
}

/// What changes in a key; what is not named stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyChange {
    /// A new name.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200, example = "nightly-batch")]
    pub name: Option<Label>,
    /// Other models.
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = permission_schema, required = false)]
    pub models: Option<Permission>,
    /// Another end; null: none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = DateTime, example = "2030-01-31T12:00:00Z")]
    pub expires_at: Option<Option<Timestamp>>,
    /// Another remark; null: none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 2000, example = "runs on the build server")]
    pub note: Option<Option<String>>,
    /// The web pages that it may be used from, in place of those of before; an empty list: none.
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = origins_schema, required = false)]
    pub allowed_origins: Option<Origins>,
    /// Not supported yet: anything but null is refused.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub limits: Option<serde_json::Value>,
    /// Not supported yet: anything but null is refused.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub budget: Option<serde_json::Value>,
}

/// How to rotate a key.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateInput {
    /// How long the old text goes on working: `"90s"`, `"1h"`, `"7d"` or a number of seconds; at most 30 days. Not
    /// named: it stops at once.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "1h")]
    pub grace: Option<Grace>,
}

/// A length of time: a text such as `"1h"`, or seconds.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "grace is a text such as \"1h\" or a whole number of seconds")]
pub enum Grace {
    /// Seconds.
    Seconds(u64),
    /// A text with its unit.
    Text(String),
}

/// The length of time that a field says.
pub(crate) fn grace_of(field: &str, grace: Grace) -> Result<Duration, ServiceError> {
    match grace {
        Grace::Seconds(seconds) => Ok(Duration::from_secs(seconds)),
        Grace::Text(text) => span::parse(&text).map_err(|error| ServiceError::invalid(field, error)),
    }
}

/// A key at the one moment at which its text is there.
#[derive(Debug)]
pub struct KeyShown {
    /// Its text, to be shown once.
    pub plain: PlainKey,
    /// What is kept of it.
    pub key: Key,
}

pub(crate) fn permission_schema() -> utoipa::openapi::schema::Schema {
    use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
    let name = || ObjectBuilder::new().schema_type(Type::String);
    OneOfBuilder::new()
        .description(Some("The models that it may use: `\"all\"` or a list of names."))
        .item(name().enum_values(Some(["all"])))
        .item(ArrayBuilder::new().items(name()).max_items(Some(Permission::MOST_MODELS)))
        .examples([serde_json::json!(["qwen3-32b"])])
        .build()
        .into()
}

pub(crate) fn origins_schema() -> utoipa::openapi::schema::Schema {
    use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
    let origin = ObjectBuilder::new().schema_type(Type::String).max_length(Some(tollgate_core::Origin::LONGEST));
    ArrayBuilder::new()
        .description(Some(
            "The web pages that it may be used from, as browsers name them: scheme, host and port. Whoever opens such a \
             page can read the key.",
        ))
        .items(origin)
        .max_items(Some(Origins::MOST))
        .examples([serde_json::json!(["https://app.example.com", "http://localhost:3000"])])
        .build()
        .into()
}

fn check_enforced(limits: Option<&serde_json::Value>, budget: Option<&serde_json::Value>) -> Result<(), ServiceError> {
    match (limits, budget) {
        (Some(_), _) => Err(ServiceError::NotSupportedYet("limits")),
        (_, Some(_)) => Err(ServiceError::NotSupportedYet("budget")),
        (None, None) => Ok(()),
    }
}
fn check_models(permission: &Permission) -> Result<(), ServiceError> {
    match permission {
        Permission::Models(names) if names.is_empty() => {
            Err(ServiceError::invalid("models", "models names at least one model, or is \"all\""))
        }
        _ => Ok(()),
    }
}
fn check_note(note: Option<&str>) -> Result<(), ServiceError> {
    match note {
        Some(note) if note.chars().count() > Key::LONGEST_NOTE => {
            Err(ServiceError::invalid("note", format_args!("a note has at most {} characters", Key::LONGEST_NOTE)))
        }
        Some(note) if note.contains('\0') => Err(ServiceError::invalid("note", "a note has no NUL character")),
        _ => Ok(()),
    }
}

impl Services {
    fn check_future(&self, expires_at: Option<Timestamp>) -> Result<(), ServiceError> {
        match expires_at {
            Some(end) if end <= self.world.now() => Err(ServiceError::invalid(
                "expires_at",
                "expires_at has passed already; to end a key now, revoke or disable it",
            )),
            _ => Ok(()),
        }
    }

    /// Makes a key and shows it once.
    ///
    /// # Errors
    /// A wrong input, a role that may not, no paid plan, a repeated `idempotency_key`, or when the store fails.
    pub async fn key_create(
        &self,
        principal: &Principal,
        input: KeyInput,
        account: Option<&str>,
        idempotency_key: Option<String>,
    ) -> Result<Confirmed<KeyShown>, ServiceError> {
        let access = principal.access(self, account).await?;
        access.require(AccountAction::KeyCreate)?;
        check_enforced(input.limits.as_ref(), input.budget.as_ref())?;
        check_models(&input.models)?;
        check_note(input.note.as_deref())?;
        self.check_future(input.expires_at)?;
        check_idempotency_key(idempotency_key.as_deref())?;
        let plain = PlainKey::mint(&self.prefix, &self.world);
        let presented = plain.presented().map_err(|_| ServiceError::State("a key could not be made"))?;
        let new = NewKey {
            account: access.account.id,
            prefix: presented.prefix(),
            public_id: presented.id(),
            hash: self.key_hash(&presented),
            name: input.name,
            permission: input.models,
            allowed_origins: input.allowed_origins,
            expires_at: input.expires_at,
            note: input.note,
            created_by: Some(principal.user().id),
            idempotency_key,
        };
        let committed = self.store().key_create(&principal.actor(), new).await?;
        let confirmed = Confirmed::extending(self.store(), committed).await;
        Ok(confirmed.map(|key| KeyShown { plain, key }))
    }

    /// Keys of an account, in the filter's order.
    ///
    /// # Errors
    /// As said, or when the store fails.
    pub async fn key_list(
        &self,
        principal: &Principal,
        account: Option<&str>,
        filter: &KeyFilter,
        page: &PageRequest,
    ) -> Result<Page<Key>, ServiceError> {
        self.key_list_of(&principal.access(self, account).await?, filter, page).await
    }

    /// Keys of an account in which the caller stands.
    ///
    /// # Errors
    /// As said, or when the store fails.
    pub(crate) async fn key_list_of(
        &self,
        access: &Access,
        filter: &KeyFilter,
        page: &PageRequest,
    ) -> Result<Page<Key>, ServiceError> {
        access.require(AccountAction::Read)?;
        self.store().key_list(access.account.id, filter, page).await.map_err(ServiceError::of_list)
    }

    /// A key of an account in which the caller stands.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], also for another account's; when the store fails.
    pub(crate) async fn key_get_of(&self, access: &Access, id: Id<Key>) -> Result<Key, ServiceError> {
        access.require(AccountAction::Read)?;
        self.store().key_get(Some(access.account.id), id).await.map_err(ServiceError::of(Noun::Key))
    }

    /// A key that the caller may see.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], also for another account's; when the store fails.
    pub async fn key_get(
        &self,
        principal: &Principal,
        account: Option<&str>,
        id: Id<Key>,
    ) -> Result<Key, ServiceError> {
        let scope = principal.scope(self, account).await?;
        let key = self.store().key_get(scope.as_ref().map(|access| access.account.id), id).await;
        let key = key.map_err(ServiceError::of(Noun::Key))?;
        scope.as_ref().map_or(Ok(()), |access| access.require(AccountAction::Read))?;
        Ok(key)
    }

    /// Requests that a key made in the last hour and the last day.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn key_recent(&self, key: &Key) -> Result<(u64, u64), ServiceError> {
        Ok(self.store().key_recent_requests(key.no).await?)
    }

    /// The last client addresses that used a key, the latest first, as far as is counted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn key_addresses(&self, key: &Key) -> Result<Vec<(String, Timestamp)>, ServiceError> {
        Ok(self.store().key_addresses(key.no).await?)
    }

    /// How long a node that hears of nothing serves on at most; `None`: until it is reached or stopped.
    pub(crate) async fn longest_lease(&self) -> Option<Duration> {
        let nodes = self.store().node_list().await.ok()?;
        nodes.iter().filter(|node| node.active).map(|node| node.lease).max().flatten()
    }

    /// A key that the caller may change.
    async fn key_to_manage(
        &self,
        principal: &Principal,
        account: Option<&str>,
        id: Id<Key>,
    ) -> Result<Key, ServiceError> {
        let scope: Option<Access> = principal.scope(self, account).await?;
        let key = self.store().key_get(scope.as_ref().map(|access| access.account.id), id).await;
        let key = key.map_err(ServiceError::of(Noun::Key))?;
        scope.as_ref().map_or(Ok(()), |access| access.require_manage(&key))?;
        Ok(key)
    }

    /// Edits a key; with `if_version` only if it still has that version.
    ///
    /// # Errors
    /// As said, or when the store fails.
    pub async fn key_edit(
        &self,
        principal: &Principal,
        account: Option<&str>,
        id: Id<Key>,
        change: KeyChange,
        if_version: Option<i64>,
    ) -> Result<Confirmed<Key>, ServiceError> {
        let key = self.key_to_manage(principal, account, id).await?;
        check_enforced(change.limits.as_ref(), change.budget.as_ref())?;
        change.models.as_ref().map_or(Ok(()), check_models)?;
        check_note(change.note.as_ref().and_then(Option::as_deref))?;
        self.check_future(change.expires_at.flatten())?;
        let restricts = change.models.is_some() || change.expires_at.is_some() || change.allowed_origins.is_some();
        let edit = KeyEdit {
            name: change.name,
            permission: change.models,
            allowed_origins: change.allowed_origins,
            expires_at: change.expires_at,
            note: change.note,
        };
        let committed = self.store().key_edit(&principal.actor(), key.account, id, edit, if_version).await;
        let committed = committed.map_err(ServiceError::of(Noun::Key))?;
        Ok(if restricts {
            Confirmed::restricting(self.store(), committed).await
        } else {
            Confirmed { value: committed.value, effective: None, pending: false }
        })
    }

    /// Revokes, disables or enables a key.
    ///
    /// # Errors
    /// [`ServiceError::State`] where its state does not allow it, or when the store fails.
    pub async fn key_transition(
        &self,
        principal: &Principal,
        account: Option<&str>,
        id: Id<Key>,
        transition: KeyTransition,
    ) -> Result<Confirmed<Key>, ServiceError> {
        let key = self.key_to_manage(principal, account, id).await?;
        let extends = transition == KeyTransition::Enable;
        let committed = self.store().key_transition(&principal.actor(), key.account, id, transition).await;
        let committed = committed.map_err(ServiceError::of(Noun::Key))?;
        Ok(if extends {
            Confirmed::extending(self.store(), committed).await
        } else {
            Confirmed::restricting(self.store(), committed).await
        })
    }

    /// Gives a key a new text under the same id and shows it once; with `if_version` only if it still has that version.
    ///
    /// # Errors
    /// A grace that is too long, a key that is revoked or leaked, or when the store fails.
    pub async fn key_rotate(
        &self,
        principal: &Principal,
        account: Option<&str>,
        id: Id<Key>,
        input: RotateInput,
        if_version: Option<i64>,
    ) -> Result<Confirmed<KeyShown>, ServiceError> {
        let key = self.key_to_manage(principal, account, id).await?;
        let grace = input.grace.map_or(Ok(Duration::ZERO), |grace| grace_of("grace", grace))?;
        if grace > LONGEST_GRACE {
            return Err(ServiceError::invalid("grace", "grace is at most 30 days"));
        }
        let plain = PlainKey::mint_again(&self.prefix, key.public_id, &self.world);
        let presented = plain.presented().map_err(|_| ServiceError::State("a key could not be made"))?;
        let (prefix, hash) = (presented.prefix(), self.key_hash(&presented));
        let until = self.world.now().plus(grace);
        let committed =
            self.store().key_rotate(&principal.actor(), (key.account, id), prefix, hash, until, if_version).await;
        let committed = committed.map_err(ServiceError::of(Noun::Key))?;
        let confirmed = Confirmed::restricting(self.store(), committed).await;
        Ok(confirmed.map(|key| KeyShown { plain, key }))
    }
}
