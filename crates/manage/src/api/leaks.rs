//! `leaks`: keys and access tokens that were found in public.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{Extensions, StatusCode};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{Answer, PENDING, keys::AccountQuery};
use crate::{
    PeerAddress,
    extract::{Body, Query},
    principal::Principal,
    services::{Effective, LeakInput, LeakOutcome, ServiceError, Services},
};

/// What became of each of the texts, in their order.
#[derive(Debug, Serialize, ToSchema)]
struct LeaksTaken {
    data: Vec<LeakOutcome>,
    /// The proof that no node admits what died; null with `pending`.
    effective: Option<Effective>,
    /// With `202` only: what died is dead here and spreads, but is not proven to be dead everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(null))]
    pending: Option<&'static str>,
}

/// Report keys or access tokens that were found in public, and see what became of each.
///
/// Those of this deployment are dead when this answers: keys are `leaked`, access tokens revoked. Owners see what became of
/// their own account's; what they report of others is taken in all the same, and answered with `accepted` whatever it is.
#[utoipa::path(post, path = "/api/v1/leaks", operation_id = "leak_report", tag = "leaks", params(AccountQuery),
    request_body = LeakInput,
    responses((status = 200, body = LeaksTaken), (status = 202, body = LeaksTaken), (status = 429, description = "too_many_attempts")),
    extensions(("x-access" = json!("owner"))))]
pub(super) async fn report(
    State(services): State<Services>,
    principal: Principal,
    Query(query): Query<AccountQuery>,
    Body(input): Body<LeakInput>,
) -> Answer {
    let confirmed = services.leak_report(&principal, query.account.as_deref(), input).await?;
    let status = if confirmed.pending { StatusCode::ACCEPTED } else { StatusCode::OK };
    let pending = confirmed.pending.then_some(PENDING);
    let taken = LeaksTaken { data: confirmed.value, effective: confirmed.effective, pending };
    Ok((status, Json(taken)).into_response())
}

/// Report keys or access tokens that were found in public, without any credentials: possession is authority.
///
/// The answer is the same, and comes as soon, whatever is reported: before anything is looked up. What is of this
/// deployment dies within moments. 60 calls an hour from one address.
#[utoipa::path(post, path = "/leaks", operation_id = "leak_tell", tag = "leaks", request_body = LeakInput,
    responses((status = 202, description = "Taken.", content((Object = "application/json"))),
        (status = 400, description = "invalid_request"), (status = 429, description = "too_many_attempts"),
        (status = 503, description = "unavailable")),
    extensions(("x-access" = json!("public"))))]
pub(super) async fn tell(
    State(services): State<Services>,
    extensions: Extensions,
    Body(input): Body<LeakInput>,
) -> Result<Response, ServiceError> {
    services.leak_tell(input, extensions.get::<PeerAddress>().map(|peer| peer.0)).await?;
    let thanks = "thank you: what is a key of this service is being disabled";
    Ok((StatusCode::ACCEPTED, Json(json!({ "status": "accepted", "message": thanks }))).into_response())
}
