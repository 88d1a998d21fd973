//! One log line and one `x-request-id` for each request of the management plane.
//!
//! Whoever accepted the request may have given it an id already ([`RequestId`]): then the line is its only one. It names
//! the route, never the path or query: a sign-in link's path is a secret. It names the caller by ids, never by address or
//! name.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderName, HeaderValue, request::Parts};
use tollgate_core::{Id, User, account::AccessToken, secret::is_harmless, usage};
use tollgate_store::accounts::Identity;

use crate::{PeerAddress, RequestId, principal::Principal, services::Services};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The `target` of these lines, by which they are switched: that of the data plane's lines.
const TARGET: &str = "tollgate::request";
/// A client's own request id that is longer is none, and not logged.
const CLIENT_ID_MOST: usize = 128;

/// Who turned out to ask, told by the extractor that found out.
#[derive(Clone, Default)]
struct Caller(Arc<OnceLock<Who>>);
/// The user, and the access token where it was one.
type Who = (Id<User>, Option<Id<AccessToken>>);

/// The principal of a request whose token or session is this identity's; the request's line names it.
pub(crate) fn principal(identity: Identity, parts: &Parts) -> Principal {
    let principal = Principal::new(identity, parts.extensions.get::<PeerAddress>().map(|peer| peer.0));
    if let Some(Caller(caller)) = parts.extensions.get() {
        // A second look at the same request finds the same caller.
        let _ = caller.set((principal.user().id, principal.token().map(|token| token.id)));
    }
    principal
}

/// Runs the request; a client's own `x-request-id` is not taken over.
pub(crate) async fn observe(State(services): State<Services>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let given = request.extensions().get::<RequestId>().map(|id| id.0);
    let id = given.unwrap_or_else(|| Id::<usage::Request>::new(&services.world)).to_string();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|matched| matched.as_str().to_owned());
    let peer = request.extensions().get::<PeerAddress>().map(|peer| peer.0);
    let client_id = request.headers().get(REQUEST_ID).cloned();
    let client_id = client_id.as_ref().and_then(|value| value.to_str().ok());
    let caller = Caller::default();
    request.extensions_mut().insert(caller.clone());
    let mut response = next.run(request).await;
    let caller = caller.0.get();
    tracing::info!(
        target: TARGET,
        { request.id = id,
        request.client_id = client_id.filter(|text| is_harmless(text, CLIENT_ID_MOST)),
        client.address = peer.map(tracing::field::display),
        http.method = method.as_str(),
        route = route.as_deref().unwrap_or("unmatched"),
        user.id = caller.map(|(user, _)| tracing::field::display(user)),
        token.id = caller.and_then(|(_, token)| token.map(tracing::field::display)),
        status = response.status().as_u16(),
        duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX) },
        "request"
    );
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}
