//! One log line and one `x-request-id` for each request of the management plane.
//!
//! The line names the route, never the path or query: a sign-in link's path is a secret.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderName, HeaderValue};
use tollgate_core::{Id, usage};

use crate::services::Services;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Runs the request; a client's own `x-request-id` is not taken over.
pub(crate) async fn observe(State(services): State<Services>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = Id::<usage::Request>::new(&services.world).to_string();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|matched| matched.as_str().to_owned());
    let mut response = next.run(request).await;
    tracing::info!(
        request.id = id,
        http.method = method.as_str(),
        http.route = route.as_deref().unwrap_or("unmatched"),
        http.status = response.status().as_u16(),
        duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        "managed"
    );
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}
