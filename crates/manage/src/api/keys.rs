//! `keys`: API keys for inference.

use axum::{
    extract::{FromRequest, FromRequestParts, Request, State},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tollgate_core::{
    Account, Id, Key, KeyStatus, Origins, Permission, Timestamp, User,
    key::{Exposure, KeyBlock, KeyState},
    leak::LeakSource,
    secret::KeyHint,
};
use tollgate_store::keys::{KeyFilter, KeyOrder, KeySort, KeyTransition};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, Changed, List, changed, created, list as list_response, one, with_etag};
use crate::{
    extract::{Body, IdempotencyKey, IfMatch, Named, Nothing, OptionalBody, Query, from_text, page},
    principal::Principal,
    problem::with_contact,
    services::{Confirmed, KeyChange, KeyInput, KeyShown, RotateInput, ServiceError, Services},
};

/// An API key. Its text is shown once, when it is made or rotated, and is not kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub(super) struct KeyView {
    /// Its id for ever.
    #[schema(value_type = String, example = "key_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    id: Id<Key>,
    /// The account that owns it.
    #[schema(value_type = String, example = "acct_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    account: Id<Account>,
    /// What its owner calls it.
    #[schema(example = "nightly-batch")]
    name: String,
    /// What logs and pages call it: the beginning of its text.
    #[schema(value_type = String, example = "tg_4fZ0aB1cD2eF…")]
    hint: KeyHint,
    /// The models that it may use.
    #[schema(schema_with = crate::services::permission_schema)]
    models: Permission,
    /// The web pages that it may be used from.
    #[schema(schema_with = crate::services::origins_schema)]
    allowed_origins: Origins,
    /// `active`, `disabled`, `expired`, `revoked` or `leaked`: as what the data plane takes it. `disabled` also while its
    /// maker is disabled or no member of the account; then `blocked_by` says so.
    #[schema(value_type = String, example = "active")]
    status: KeyStatus,
    /// What keeps it from working beside its own status: `creator_disabled`, `creator_removed`, `plan` (the account has no
    /// running paid plan) or `suspended` (the account is); null: nothing.
    #[schema(value_type = Option<String>, example = json!(null))]
    blocked_by: Option<KeyBlock>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T08:00:00Z")]
    created_at: Timestamp,
    /// Who made it; null: the program itself.
    created_by: Option<KeyMaker>,
    /// When it was last used, as far as usage is counted.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-11-20T09:30:00Z")]
    last_used_at: Option<Timestamp>,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime, example = "2030-01-31T12:00:00Z")]
    expires_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime, example = json!(null))]
    revoked_at: Option<Timestamp>,
    /// Until when the text from before the last rotation still works.
    #[schema(value_type = Option<String>, format = DateTime, example = json!(null))]
    rotated_until: Option<Timestamp>,
    /// Its owner's remark.
    #[schema(example = "runs on the build server")]
    note: Option<String>,
    /// Always null: limits are not supported yet.
    #[schema(value_type = Option<Object>, example = json!(null))]
    limits: Option<()>,
    /// Always null: budgets are not supported yet.
    #[schema(value_type = Option<Object>, example = json!(null))]
    budget: Option<()>,
    /// Where and when it was found in public; also of an active key whose account wants to be told only.
    leak: Option<KeyLeak>,
    /// What says that it came into browsers of strangers.
    exposure: KeyExposure,
}

/// Requests that web pages sent with a key that allows none of theirs, since its text was made. They were refused. If there
/// are any, whoever opens such a page has the key: rotate it, and keep the new text on a server.
#[derive(Debug, Serialize, ToSchema)]
struct KeyExposure {
    /// How many.
    #[schema(example = 0)]
    browser_requests: u64,
    #[schema(value_type = Option<String>, format = DateTime, example = json!(null))]
    last_at: Option<Timestamp>,
    /// The page from which the last one came that said so.
    #[schema(example = json!(null))]
    last_origin: Option<String>,
}

impl From<Exposure> for KeyExposure {
    fn from(exposure: Exposure) -> Self {
        let Exposure { browser_requests, last_at, last_origin } = exposure;
        Self { browser_requests, last_at, last_origin }
    }
}

/// Who made a key.
#[derive(Debug, Serialize, ToSchema)]
struct KeyMaker {
    #[schema(value_type = String, example = "user_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    id: Id<User>,
    #[schema(example = "Ada")]
    name: String,
}

/// That a key was found in public, and nobody has said since that this was a mistake.
#[derive(Debug, Serialize, ToSchema)]
struct KeyLeak {
    /// When that was first reported.
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T08:00:00Z")]
    at: Timestamp,
    /// Where, as the report says it; nobody has checked that it is harmless.
    #[schema(example = "https://github.com/acme/site/blob/main/config.js")]
    found_at: Option<String>,
    /// By which way that came first: `github`, `github_alert`, `gitlab`, `public` (somebody without credentials) or `api` (an
    /// owner or operator).
    #[schema(value_type = String, example = "github")]
    source: LeakSource,
    /// How many reports there were, repeats included.
    #[schema(example = 1)]
    reports: u64,
}

/// A key with its text, this once.
#[derive(Serialize, ToSchema)]
struct KeyCreated {
    /// The key's text. Keep it now: it is not kept here and cannot be shown again.
    #[schema(example = "tg_<id>_<secret and checksum>")]
    key: String,
    #[serde(flatten)]
    view: KeyView,
}

/// A key with how much it was used of late.
#[derive(Debug, Serialize, ToSchema)]
struct KeyDetail {
    #[serde(flatten)]
    view: KeyView,
    recent: KeyRecent,
    /// The last client addresses that it was used from, the latest first, as far as usage is counted.
    addresses: Vec<KeyAddress>,
}

/// Where a key was used from.
#[derive(Debug, Serialize, ToSchema)]
struct KeyAddress {
    #[schema(example = "203.0.113.7")]
    address: String,
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T09:30:00Z")]
    last_used_at: Timestamp,
}

/// Requests of late.
#[derive(Debug, Serialize, ToSchema)]
struct KeyRecent {
    /// In the last hour.
    #[schema(example = 120)]
    last_hour: u64,
    /// In the last 24 hours.
    #[schema(example = 4810)]
    last_day: u64,
}

impl KeyView {
    pub(super) fn new(key: Key, now: Timestamp) -> Self {
        let (status, hint) = (key.status(now), key.hint());
        let revoked_at = match key.state {
            KeyState::Revoked { at } => Some(at),
            KeyState::Active | KeyState::Disabled | KeyState::Leaked { .. } => None,
        };
        let leak = key.leak.map(|leak| KeyLeak {
            at: leak.at,
            found_at: leak.found_at,
            source: leak.source,
            reports: leak.reports,
        });
        Self {
            id: key.id,
            account: key.account,
            name: key.name.to_string(),
            hint,
            models: key.permission,
            allowed_origins: key.allowed_origins,
            status,
            blocked_by: key.blocked_by,
            created_at: key.created_at,
            created_by: key.created_by.map(|(id, name)| KeyMaker { id, name: name.to_string() }),
            last_used_at: key.last_used_at,
            expires_at: key.expires_at,
            revoked_at,
            rotated_until: key.rotated_until.filter(|until| *until > now),
            note: key.note,
            limits: None,
            budget: None,
            leak,
            exposure: key.exposure.into(),
        }
    }
}

fn view(services: &Services) -> impl Fn(Key) -> KeyView {
    let now = services.world.now();
    move |key| KeyView::new(key, now)
}
fn shown(services: &Services) -> impl Fn(KeyShown) -> KeyCreated {
    let view = view(services);
    move |shown| KeyCreated { key: shown.plain.expose().to_owned(), view: view(shown.key) }
}

/// Which keys to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Operators: the account, by name or id; else `default`.
    #[param(example = "default")]
    account: Option<String>,
    /// Only keys of this status.
    #[serde(default, deserialize_with = "some")]
    #[param(value_type = Option<String>, example = "active")]
    status: Option<KeyStatus>,
    /// Only keys whose name, note or hint contains this.
    #[param(example = "batch")]
    search: Option<String>,
    /// What they are sorted by: `created`, `name`, `last_used` or `expires_at`; else `created`.
    #[serde(default, deserialize_with = "some")]
    #[param(value_type = Option<String>, example = "created")]
    sort: Option<Sort>,
    /// `asc` or `desc`; else names and ends rise, and what was made or used last comes first.
    #[serde(default, deserialize_with = "some")]
    #[param(value_type = Option<String>, example = "desc")]
    order: Option<Order>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 1,000; else 50.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<u32>, example = 50)]
    limit: Option<u32>,
}
fn some<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// What keys are sorted by.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sort {
    Created,
    Name,
    LastUsed,
    ExpiresAt,
}

/// Which end comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    Asc,
    Desc,
}

impl ListQuery {
    fn order(&self) -> KeyOrder {
        let (by, usual) = match self.sort.unwrap_or(Sort::Created) {
            Sort::Created => (KeySort::Created, Order::Desc),
            Sort::Name => (KeySort::Name, Order::Asc),
            Sort::LastUsed => (KeySort::LastUsed, Order::Desc),
            Sort::ExpiresAt => (KeySort::Expiry, Order::Asc),
        };
        KeyOrder { by, ascending: self.order.unwrap_or(usual) == Order::Asc, backwards: false }
    }
}

/// The account that a call is about.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AccountQuery {
    /// The account, by name or id. Operators: not named, a key's id is good in every account, and what has no id is
    /// about `default`.
    #[param(example = "default")]
    pub(super) account: Option<String>,
}

/// List keys, newest first where no order is named. A cursor is one of the order that it came with.
#[utoipa::path(get, path = "/api/v1/keys", operation_id = "key_list", tag = "keys", params(ListQuery),
    responses((status = 200, body = List<KeyView>)), extensions(("x-access" = json!("read"))))]
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    Query(query): Query<ListQuery>,
) -> Answer {
    let order = query.order();
    let page = page(query.cursor, query.limit)?;
    let filter = KeyFilter { status: query.status, search: query.search, order, ..KeyFilter::default() };
    let keys = services.key_list(&principal, query.account.as_deref(), &filter, &page).await?;
    Ok(list_response(keys, view(&services)))
}

/// Make a key and show it, this once.
///
/// With an `Idempotency-Key` a repeat makes no second key: it answers 409 `already_created` with the id of the
/// first, whose text is not kept.
#[utoipa::path(post, path = "/api/v1/keys", operation_id = "key_create", tag = "keys", params(AccountQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, unique in the account", example = "b0a1c2")),
    request_body = KeyInput,
    responses((status = 201, body = KeyCreated), (status = 402, description = "plan_required"),
        (status = 409, description = "already_created")),
    extensions(("x-access" = json!("member"))))]
pub(super) async fn create(
    State(services): State<Services>,
    principal: Principal,
    Query(query): Query<AccountQuery>,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Body(input): Body<KeyInput>,
) -> Answer {
    let account = super::named_once(query.account, input.account.clone())?;
    match services.key_create(&principal, input, account.as_deref(), idempotency_key).await {
        Ok(confirmed) => {
            let created_key = shown(&services)(confirmed.value);
            Ok(created(&format!("keys/{}", created_key.view.id), created_key))
        }
        Err(error) => Ok(with_contact(error, services.contact_url.as_ref())),
    }
}

/// Show a key, how much it was used of late, and from where.
#[utoipa::path(get, path = "/api/v1/keys/{id}", operation_id = "key_show", tag = "keys",
    params(("id" = String, Path, example = "key_019ab0c0d1e27f3a8b4c5d6e7f809a1b"), AccountQuery),
    responses((status = 200, body = KeyDetail)), extensions(("x-access" = json!("read"))))]
pub(super) async fn show(
    State(services): State<Services>,
    principal: Principal,
    Named(id): Named<Id<Key>>,
    Query(query): Query<AccountQuery>,
) -> Answer {
    let key = services.key_get(&principal, query.account.as_deref(), id).await?;
    let (last_hour, last_day) = services.key_recent(&key).await?;
    let addresses = services.key_addresses(&key).await?.into_iter();
    let addresses = addresses.map(|(address, last_used_at)| KeyAddress { address, last_used_at }).collect();
    let version = key.version;
    let recent = KeyRecent { last_hour, last_day };
    Ok(one(KeyDetail { view: view(&services)(key), recent, addresses }, version))
}

/// Edit a key's name, models, origins, end or note.
///
/// A change of models, origins or end is answered once no node admits by the old state; running streams that it ends have
/// ended then.
#[utoipa::path(patch, path = "/api/v1/keys/{id}", operation_id = "key_edit", tag = "keys",
    params(("id" = String, Path, example = "key_019ab0c0d1e27f3a8b4c5d6e7f809a1b"), AccountQuery,
        ("If-Match" = Option<String>, Header, description = "the `etag` that was read; without it the last writer wins", example = "\"3\"")),
    request_body = KeyChange,
    responses((status = 200, body = Changed<KeyView>), (status = 202, body = Changed<KeyView>),
        (status = 409, description = "not_possible: the key is revoked")),
    extensions(("x-access" = json!("member"))))]
pub(super) async fn edit(
    State(services): State<Services>,
    principal: Principal,
    Named(id): Named<Id<Key>>,
    Query(query): Query<AccountQuery>,
    IfMatch(version): IfMatch,
    Body(change): Body<KeyChange>,
) -> Answer {
    let confirmed = services.key_edit(&principal, query.account.as_deref(), id, change, version).await?;
    Ok(tagged(&services, confirmed))
}

fn tagged(services: &Services, confirmed: Confirmed<Key>) -> Response {
    let version = confirmed.value.version;
    with_etag(changed(confirmed, view(services)), version)
}

/// A call that moves one key along its life: who calls, which key, of which account; it brings no body, or `{}`.
pub(super) struct KeyAct {
    principal: Principal,
    id: Id<Key>,
    account: Option<String>,
}

impl FromRequest<Services> for KeyAct {
    type Rejection = ServiceError;
    async fn from_request(request: Request, services: &Services) -> Result<Self, ServiceError> {
        let (mut parts, body) = request.into_parts();
        let principal = Principal::from_request_parts(&mut parts, services).await?;
        let Named(id) = Named::from_request_parts(&mut parts, services).await?;
        let Query(AccountQuery { account }) = Query::from_request_parts(&mut parts, services).await?;
        let request = Request::from_parts(parts, body);
        let OptionalBody(Nothing {}) = OptionalBody::from_request(request, services).await?;
        Ok(Self { principal, id, account })
    }
}

impl KeyAct {
    async fn transition(self, services: &Services, transition: KeyTransition) -> Answer {
        let Self { principal, id, account } = self;
        Ok(tagged(services, services.key_transition(&principal, account.as_deref(), id, transition).await?))
    }
}

/// Revoke a key, for ever.
///
/// Answers once no node will admit the key and the streams that it had open have ended. A revoked key may be revoked
/// again: nothing changes, and the answer is a new proof.
#[utoipa::path(post, path = "/api/v1/keys/{id}/revoke", operation_id = "key_revoke", tag = "keys",
    params(("id" = String, Path, example = "key_019ab0c0d1e27f3a8b4c5d6e7f809a1b"), AccountQuery),
    responses((status = 200, body = Changed<KeyView>), (status = 202, body = Changed<KeyView>)),
    extensions(("x-access" = json!("member"))))]
pub(super) async fn revoke(State(services): State<Services>, act: KeyAct) -> Answer {
    act.transition(&services, KeyTransition::Revoke).await
}

/// Switch a key off until it is enabled again.
#[utoipa::path(post, path = "/api/v1/keys/{id}/disable", operation_id = "key_disable", tag = "keys",
    params(("id" = String, Path, example = "key_019ab0c0d1e27f3a8b4c5d6e7f809a1b"), AccountQuery),
    responses((status = 200, body = Changed<KeyView>), (status = 202, body = Changed<KeyView>),
        (status = 409, description = "not_possible: the key is revoked or leaked")),
    extensions(("x-access" = json!("member"))))]
pub(super) async fn disable(State(services): State<Services>, act: KeyAct) -> Answer {
    act.transition(&services, KeyTransition::Disable).await
}

/// Switch a disabled key on again; a leaked one too, if the report was wrong.
///
/// What was reported until then is settled: a repeat that names a place which was known by then is counted and changes
/// nothing; a report of another place, or of none, ends the key again.
#[utoipa::path(post, path = "/api/v1/keys/{id}/enable", operation_id = "key_enable", tag = "keys",
    params(("id" = String, Path, example = "key_019ab0c0d1e27f3a8b4c5d6e7f809a1b"), AccountQuery),
    responses((status = 200, body = Changed<KeyView>),
        (status = 409, description = "not_possible: the key is revoked, or its maker may have no keys here")),
    extensions(("x-access" = json!("member"))))]
pub(super) async fn enable(State(services): State<Services>, act: KeyAct) -> Answer {
    act.transition(&services, KeyTransition::Enable).await
}

/// Give a key a new text under the same id and show it, this once.
///
/// The old text works for `grace` longer, or stops at once. Usage stays one line.
#[utoipa::path(post, path = "/api/v1/keys/{id}/rotate", operation_id = "key_rotate", tag = "keys",
    params(("id" = String, Path, example = "key_019ab0c0d1e27f3a8b4c5d6e7f809a1b"), AccountQuery),
    request_body(content = Option<RotateInput>),
    responses((status = 200, body = Changed<KeyCreated>), (status = 202, body = Changed<KeyCreated>),
        (status = 409, description = "not_possible: the key is revoked or leaked")),
    extensions(("x-access" = json!("member"))))]
pub(super) async fn rotate(
    State(services): State<Services>,
    principal: Principal,
    Named(id): Named<Id<Key>>,
    Query(query): Query<AccountQuery>,
    OptionalBody(input): OptionalBody<RotateInput>,
) -> Answer {
    let confirmed = services.key_rotate(&principal, query.account.as_deref(), id, input, None).await?;
    let version = confirmed.value.key.version;
    Ok(with_etag(changed(confirmed, shown(&services)), version).into_response())
}
