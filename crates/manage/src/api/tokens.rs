//! `tokens`: access tokens for this API and the CLI.

use axum::{Json, extract::State, response::IntoResponse};
use serde::{Deserialize, Serialize};
use tollgate_core::{Account, Id, Timestamp, User, account::AccessToken};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, List, created};
use crate::{
    extract::{Body, IdempotencyKey, Named, Nothing, OptionalBody, Query, from_text},
    principal::Principal,
    services::{Services, TokenInput},
};

/// An access token, without its text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
struct TokenView {
    #[schema(value_type = String, example = "tok_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    id: Id<AccessToken>,
    #[schema(example = "laptop")]
    name: String,
    /// Whose it is.
    #[schema(value_type = String, example = "user_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    user: Id<User>,
    /// The one account that it works for; null only for an operator's.
    #[schema(value_type = Option<String>, example = "acct_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    account: Option<Id<Account>>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T08:00:00Z")]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime, example = "2030-01-31T12:00:00Z")]
    expires_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime, example = json!(null))]
    revoked_at: Option<Timestamp>,
}

/// An access token with its text, this once.
#[derive(Serialize, ToSchema)]
struct TokenCreated {
    /// The token's text. Keep it now: it is not kept here and cannot be shown again.
    #[schema(example = "tga_<id>_<secret and checksum>")]
    token: String,
    #[serde(flatten)]
    view: TokenView,
}

fn view(token: AccessToken) -> TokenView {
    TokenView {
        id: token.id,
        name: token.name.to_string(),
        user: token.user,
        account: token.account,
        created_at: token.created_at,
        expires_at: token.expires_at,
        revoked_at: token.revoked_at,
    }
}

/// Whose tokens.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UserQuery {
    /// Operators: another user than the caller.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>, example = "user_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    user: Option<Id<User>>,
}

/// List the caller's access tokens, newest first, at most 1,000.
#[utoipa::path(get, path = "/api/v1/tokens", operation_id = "token_list", tag = "tokens", params(UserQuery),
    responses((status = 200, body = List<TokenView>)), extensions(("x-access" = json!("user"))))]
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    Query(query): Query<UserQuery>,
) -> Answer {
    let tokens = services.token_list(&principal, query.user).await?;
    Ok(Json(List { data: tokens.into_iter().map(view).collect(), next_cursor: None }).into_response())
}

/// Make an access token and show it, this once.
///
/// With an `Idempotency-Key` a repeat makes no second token: it answers 409 `already_created` with the id of the first, whose
/// text is not kept.
#[utoipa::path(post, path = "/api/v1/tokens", operation_id = "token_create", tag = "tokens", request_body = TokenInput,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, unique for its user", example = "b0a1c2")),
    responses((status = 201, body = TokenCreated), (status = 404, description = "not_found: the account"),
        (status = 409, description = "already_created")),
    extensions(("x-access" = json!("user"))))]
pub(super) async fn create(
    State(services): State<Services>,
    principal: Principal,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Body(input): Body<TokenInput>,
) -> Answer {
    let shown = services.token_create(&principal, input, idempotency_key.as_deref()).await?;
    let view = view(shown.token);
    Ok(created(&format!("tokens/{}", view.id), TokenCreated { token: shown.plain.expose().to_owned(), view }))
}

/// Revoke an access token, at once and for ever.
#[utoipa::path(post, path = "/api/v1/tokens/{id}/revoke", operation_id = "token_revoke", tag = "tokens",
    params(("id" = String, Path, example = "tok_019ab0c0d1e27f3a8b4c5d6e7f809a1b"), UserQuery),
    responses((status = 200, body = TokenView)), extensions(("x-access" = json!("user"))))]
pub(super) async fn revoke(
    State(services): State<Services>,
    principal: Principal,
    Named(id): Named<Id<AccessToken>>,
    Query(query): Query<UserQuery>,
    OptionalBody(Nothing {}): OptionalBody<Nothing>,
) -> Answer {
    let token = services.token_revoke(&principal, query.user, id).await?;
    Ok(Json(view(token)).into_response())
}
