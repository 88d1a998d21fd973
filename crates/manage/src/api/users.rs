//! `users`: people and programs that manage. Operators change them; an account's owner sees its members.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use tollgate_core::{Account, Id, Role, Timestamp, User};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, Changed, List, changed, created, list as list_response, one, with_etag};
use crate::{
    extract::{Body, IdempotencyKey, IfMatch, Named, Nothing, OptionalBody, Query, from_text, page},
    principal::Principal,
    services::{Services, UserChange, UserInput, sign_in_path},
};

/// A person or a program that manages.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
struct UserView {
    #[schema(value_type = String, example = "user_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    id: Id<User>,
    #[schema(example = "Ada")]
    name: String,
    #[schema(example = "ada@example.com")]
    email: Option<String>,
    /// Whether it runs the deployment.
    #[schema(example = false)]
    operator: bool,
    /// Whether it is disabled: its tokens, sessions and keys are dead.
    #[schema(example = false)]
    disabled: bool,
    #[schema(value_type = Option<String>, format = DateTime, example = json!(null))]
    disabled_at: Option<Timestamp>,
    /// Its accounts; an owner sees only its own.
    memberships: Vec<MembershipView>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T08:00:00Z")]
    created_at: Timestamp,
}

/// A user's part in an account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Membership)]
struct MembershipView {
    /// The account's handle.
    #[schema(example = "acme")]
    account: String,
    #[schema(value_type = String, example = "acct_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    account_id: Id<Account>,
    /// `owner`, `member` or `viewer`.
    #[schema(value_type = String, example = "member")]
    role: Role,
}

/// A one-time sign-in link.
#[derive(Serialize, ToSchema)]
#[schema(as = SignInLink)]
struct LinkView {
    /// Where it leads. Whoever opens it first is signed in as that user.
    #[schema(example = "https://ai.example.com/sign-in/<token>")]
    url: String,
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T08:00:00Z")]
    expires_at: Timestamp,
}

fn view(user: User) -> UserView {
    let memberships = user.memberships.into_iter().map(|membership| MembershipView {
        account: membership.account_handle.to_string(),
        account_id: membership.account,
        role: membership.role,
    });
    UserView {
        id: user.id,
        name: user.name.to_string(),
        email: user.email.map(|email| email.to_string()),
        operator: user.operator,
        disabled: user.disabled_at.is_some(),
        disabled_at: user.disabled_at,
        memberships: memberships.collect(),
        created_at: user.created_at,
    }
}

/// Which users to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only members of this account, by name or id. An owner sees only those of its own.
    #[param(example = "default")]
    account: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 1,000; else 50.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<u32>, example = 50)]
    limit: Option<u32>,
}

/// List users, oldest first.
#[utoipa::path(get, path = "/api/v1/users", operation_id = "user_list", tag = "users", params(ListQuery),
    responses((status = 200, body = List<UserView>)), extensions(("x-access" = json!("owner"))))]
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    Query(query): Query<ListQuery>,
) -> Answer {
    let page = page(query.cursor, query.limit)?;
    Ok(list_response(services.user_list(&principal, query.account.as_deref(), &page).await?, view))
}

/// Make a user.
///
/// With an `Idempotency-Key` a repeat makes no second user: it answers 409 `already_created` with the id of the first.
#[utoipa::path(post, path = "/api/v1/users", operation_id = "user_create", tag = "users", request_body = UserInput,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters", example = "b0a1c2")),
    responses((status = 201, body = UserView),
        (status = 409, description = "already_exists: the mail address; already_created")),
    extensions(("x-access" = json!("operator"))))]
pub(super) async fn create(
    State(services): State<Services>,
    principal: Principal,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Body(input): Body<UserInput>,
) -> Answer {
    let user = services.user_create(&principal, input, idempotency_key).await?;
    Ok(created(&format!("users/{}", user.id), view(user)))
}

/// Show a user: an owner its account's members, everybody itself.
#[utoipa::path(get, path = "/api/v1/users/{id}", operation_id = "user_show", tag = "users",
    params(("id" = String, Path, example = "user_019ab0c0d1e27f3a8b4c5d6e7f809a1b")),
    responses((status = 200, body = UserView)), extensions(("x-access" = json!("owner"))))]
pub(super) async fn show(State(services): State<Services>, principal: Principal, Named(id): Named<Id<User>>) -> Answer {
    let user = services.user_get(&principal, id).await?;
    let version = user.version;
    Ok(one(view(user), version))
}

/// Edit a user: its name, address, accounts and roles, or whether it is disabled or an operator.
///
/// Answers once no node admits by the old state: the keys that a disabled user made are dead then.
#[utoipa::path(patch, path = "/api/v1/users/{id}", operation_id = "user_edit", tag = "users",
    params(("id" = String, Path, example = "user_019ab0c0d1e27f3a8b4c5d6e7f809a1b"),
        ("If-Match" = Option<String>, Header, description = "the `etag` that was read; without it the last writer wins", example = "\"3\"")),
    request_body = UserChange,
    responses((status = 200, body = Changed<UserView>), (status = 202, body = Changed<UserView>),
        (status = 409, description = "not_possible: the last operator")),
    extensions(("x-access" = json!("operator"))))]
pub(super) async fn edit(
    State(services): State<Services>,
    principal: Principal,
    Named(id): Named<Id<User>>,
    IfMatch(version): IfMatch,
    Body(change): Body<UserChange>,
) -> Answer {
    let confirmed = services.user_edit(&principal, id, change, version).await?;
    let version = confirmed.value.version;
    Ok(with_etag(changed(confirmed, view), version))
}

/// Make a one-time sign-in link for a user and show it, this once.
#[utoipa::path(post, path = "/api/v1/users/{id}/sign-in-links", operation_id = "user_link_create", tag = "users",
    params(("id" = String, Path, example = "user_019ab0c0d1e27f3a8b4c5d6e7f809a1b")),
    responses((status = 201, body = LinkView), (status = 409, description = "not_possible: the user is disabled")),
    extensions(("x-access" = json!("operator"))))]
pub(super) async fn create_link(
    State(services): State<Services>,
    principal: Principal,
    Named(id): Named<Id<User>>,
    OptionalBody(Nothing {}): OptionalBody<Nothing>,
) -> Answer {
    let (link, expires_at) = services.link_create(&principal, id).await?;
    let url = format!("{}{}", services.public_url.as_deref().unwrap_or_default(), sign_in_path(&link));
    let body = axum::Json(LinkView { url, expires_at });
    Ok(axum::response::IntoResponse::into_response((http::StatusCode::CREATED, body)))
}
