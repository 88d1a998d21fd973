//! The REST API under `/api/v1`.
//!
//! An endpoint is one function with its documentation above it; [`table`] names each once, and from
//! that come both the routes and the OpenAPI document, so that neither can lack what the other has.

mod accounts;
mod audit;
mod keys;
mod leaks;
mod me;
mod members;
mod models;
mod nodes;
mod openapi;
mod plans;
mod sessions;
mod tokens;
mod upstreams;
mod usage;
mod users;
mod webhooks;

use axum::{
    Json, Router,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use tollgate_store::Page;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    extract,
    services::{Confirmed, Effective, ServiceError, Services},
};

pub use openapi::{endpoints, openapi_json};
pub(crate) use usage::csv_file as usage_csv;

/// Every endpoint, once.
fn table() -> OpenApiRouter<Services> {
    OpenApiRouter::with_openapi(openapi::skeleton())
        .routes(routes!(openapi::document))
        .routes(routes!(me::show))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::revoke_all))
        .routes(routes!(sessions::revoke))
        .routes(routes!(sessions::set_password))
        .routes(routes!(sessions::remove_password))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::show, keys::edit))
        .routes(routes!(keys::revoke))
        .routes(routes!(keys::disable))
        .routes(routes!(keys::enable))
        .routes(routes!(keys::rotate))
        .routes(routes!(leaks::report))
        .routes(routes!(leaks::tell))
        .routes(routes!(usage::report))
        .routes(routes!(usage::latency))
        .routes(routes!(models::list, models::create))
        .routes(routes!(models::show, models::edit, models::remove))
        .routes(routes!(upstreams::list, upstreams::create))
        .routes(routes!(upstreams::show, upstreams::edit, upstreams::remove))
        .routes(routes!(upstreams::test))
        .routes(routes!(plans::list, plans::create))
        .routes(routes!(plans::show, plans::edit, plans::remove))
        .routes(routes!(accounts::list, accounts::create))
        .routes(routes!(accounts::show, accounts::edit))
        .routes(routes!(members::list))
        .routes(routes!(members::edit, members::remove))
        .routes(routes!(members::list_invitations, members::invite))
        .routes(routes!(members::revoke_invitation))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::show, users::edit))
        .routes(routes!(users::create_link))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(audit::list))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::gaps))
        .routes(routes!(nodes::write_off))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::show, webhooks::edit, webhooks::remove))
        .routes(routes!(webhooks::rotate))
        .routes(routes!(webhooks::test))
        .routes(routes!(webhooks::deliveries))
        .routes(routes!(webhooks::resend))
        .routes(routes!(webhooks::mail_test))
}

pub(crate) fn router() -> Router<Services> {
    let (router, _) = table().split_for_parts();
    router
        .method_not_allowed_fallback(crate::problem::no_such_method)
        .layer(axum::middleware::map_response(api_headers))
}

/// Nothing that this API answers is for a cache: it is of one caller, and some of it is secret.
async fn api_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    headers.insert(header::VARY, HeaderValue::from_static("authorization, cookie, accept"));
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
    response
}

/// What a handler returns.
type Answer = Result<Response, ServiceError>;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
struct List<T> {
    /// The rows, in the list's order.
    data: Vec<T>,
    /// The `cursor` of the next page; null on the last one.
    #[schema(example = json!(null))]
    next_cursor: Option<String>,
}

/// A thing after a change, with the proof that the change is in force.
#[derive(Debug, Serialize, ToSchema)]
struct Changed<T> {
    #[serde(flatten)]
    thing: T,
    /// The proof that no node admits by the old state; null where the change needed none, or with `pending`.
    effective: Option<Effective>,
    /// With `202` only: the change is made and spreads, but is not proven to be in force everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(null))]
    pending: Option<&'static str>,
}

const PENDING: &str =
    "the change is made and spreads, but not every node has confirmed it yet; repeat the call to wait again";

fn list<T, U: Serialize>(page: Page<T>, view: impl Fn(T) -> U) -> Response {
    let data = page.data.into_iter().map(view).collect();
    Json(List { data, next_cursor: page.next_cursor }).into_response()
}
fn one<T: Serialize>(view: T, version: i64) -> Response {
    ([(header::ETAG, extract::etag(version))], Json(view)).into_response()
}
fn changed<T, U: Serialize>(confirmed: Confirmed<T>, view: impl FnOnce(T) -> U) -> Response {
    let status = if confirmed.pending { StatusCode::ACCEPTED } else { StatusCode::OK };
    let pending = confirmed.pending.then_some(PENDING);
    (status, Json(Changed { thing: view(confirmed.value), effective: confirmed.effective, pending })).into_response()
}
fn with_etag(mut response: Response, version: i64) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&extract::etag(version)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
fn created<T: Serialize>(location: &str, view: T) -> Response {
    (StatusCode::CREATED, [(header::LOCATION, format!("/api/v1/{location}"))], Json(view)).into_response()
}

/// The account, named in the query or in the body; in both only if it is the same.
fn named_once(query: Option<String>, body: Option<String>) -> Result<Option<String>, ServiceError> {
    match (query, body) {
        (Some(query), Some(body)) if query != body => {
            Err(ServiceError::invalid("account", "account is one in the query and another in the body"))
        }
        (query, body) => Ok(query.or(body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_is_not_proven_is_never_a_200() {
        let unproven = Confirmed { value: (), effective: None, pending: true };
        assert_eq!(changed(unproven, |()| serde_json::json!({})).status(), StatusCode::ACCEPTED);
        let harmless = Confirmed { value: (), effective: None, pending: false };
        assert_eq!(changed(harmless, |()| serde_json::json!({})).status(), StatusCode::OK);
    }
}
