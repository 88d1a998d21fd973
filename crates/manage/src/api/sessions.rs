//! `me/sessions` and `me/password`: how the caller signs in. Only for somebody signed in to the console: an access token
//! manages an account's things, not its user's sign-in.

use axum::{Json, extract::State, response::IntoResponse};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tollgate_core::{Timestamp, seal::SecretText, secret::PublicId};
use tollgate_store::accounts::SessionView as Stored;
use utoipa::ToSchema;

use super::{Answer, List};
use crate::{
    extract::{Body, Named, Nothing, OptionalBody, SignedIn},
    services::Services,
};

/// A console session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionView {
    /// The public part of its text.
    #[schema(example = "3Fk09aZxQ1bT")]
    id: String,
    /// Whether it is the one that asks.
    #[schema(example = true)]
    current: bool,
    /// How it was opened: `link`, `password`, `oidc` or `invitation`.
    #[schema(example = "password")]
    method: &'static str,
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T08:00:00Z")]
    created_at: Timestamp,
    /// When it was last seen, exact to a minute.
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T09:30:00Z")]
    last_seen_at: Timestamp,
    /// Its end, if it is used until then.
    #[schema(value_type = String, format = DateTime, example = "2026-12-04T08:00:00Z")]
    expires_at: Timestamp,
    /// Where it was opened from.
    #[schema(example = "192.0.2.7")]
    address: Option<String>,
    /// What the browser called itself, shortened.
    #[schema(example = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")]
    user_agent: Option<String>,
}

/// How many sessions were ended.
#[derive(Debug, Serialize, ToSchema)]
struct SessionsEnded {
    #[schema(example = 2)]
    ended: u64,
}

/// A new password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordInput {
    /// The present one, where there is one.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = json!(null))]
    current: Option<SecretText>,
    /// The new one: at least 12 characters, at most 1,024 bytes, not one's own name or address, not one that everybody
    /// guesses first.
    #[schema(value_type = String, min_length = 12, example = "a long line from a song")]
    password: SecretText,
}

/// The present password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordProof {
    /// The present one.
    #[schema(value_type = String, example = "a long line from a song")]
    current: SecretText,
}

fn view(current: PublicId) -> impl Fn(Stored) -> SessionView {
    move |session| SessionView {
        id: session.public_id.to_string(),
        current: session.public_id == current,
        method: session.method.as_str(),
        created_at: session.created_at,
        last_seen_at: session.last_seen_at,
        expires_at: session.expires_at,
        address: session.address,
        user_agent: session.agent,
    }
}

/// List the caller's console sessions, the last seen first.
#[utoipa::path(get, path = "/api/v1/me/sessions", operation_id = "session_list", tag = "me",
    responses((status = 200, body = List<SessionView>), (status = 403, description = "forbidden: an access token")),
    extensions(("x-access" = json!("session"))))]
pub(super) async fn list(State(services): State<Services>, SignedIn(principal, session): SignedIn) -> Answer {
    let sessions = services.session_list(&principal).await?;
    Ok(Json(List { data: sessions.into_iter().map(view(session)).collect(), next_cursor: None }).into_response())
}

/// End one of the caller's console sessions.
#[utoipa::path(post, path = "/api/v1/me/sessions/{id}/revoke", operation_id = "session_revoke", tag = "me",
    params(("id" = String, Path, example = "3Fk09aZxQ1bT")),
    responses((status = 204)), extensions(("x-access" = json!("session"))))]
pub(super) async fn revoke(
    State(services): State<Services>,
    SignedIn(principal, _): SignedIn,
    Named(id): Named<PublicId>,
    OptionalBody(Nothing {}): OptionalBody<Nothing>,
) -> Answer {
    services.session_revoke(&principal, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Sign out everywhere else: end all of the caller's console sessions but this one.
#[utoipa::path(post, path = "/api/v1/me/sessions/revoke", operation_id = "session_revoke_all", tag = "me",
    responses((status = 200, body = SessionsEnded)), extensions(("x-access" = json!("session"))))]
pub(super) async fn revoke_all(
    State(services): State<Services>,
    SignedIn(principal, session): SignedIn,
    OptionalBody(Nothing {}): OptionalBody<Nothing>,
) -> Answer {
    let ended = services.session_revoke_all(&principal, Some(session)).await?;
    Ok(Json(SessionsEnded { ended }).into_response())
}

/// Set or change the caller's password; all its other sessions end.
#[utoipa::path(put, path = "/api/v1/me/password", operation_id = "password_set", tag = "me",
    request_body = PasswordInput, responses((status = 204)), extensions(("x-access" = json!("session"))))]
pub(super) async fn set_password(
    State(services): State<Services>,
    SignedIn(principal, session): SignedIn,
    Body(input): Body<PasswordInput>,
) -> Answer {
    services.password_change(&principal, input.current, input.password, session).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Remove the caller's password, where an identity provider knows it; all its other sessions end.
#[utoipa::path(post, path = "/api/v1/me/password/remove", operation_id = "password_remove", tag = "me",
    request_body = PasswordProof,
    responses((status = 204), (status = 409, description = "not_possible: there is no other way to sign in")),
    extensions(("x-access" = json!("session"))))]
pub(super) async fn remove_password(
    State(services): State<Services>,
    SignedIn(principal, session): SignedIn,
    Body(input): Body<PasswordProof>,
) -> Answer {
    services.password_remove(&principal, Some(input.current), session).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
