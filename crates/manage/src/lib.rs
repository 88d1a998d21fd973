//! Tollgate's management plane: what people and programs do *about* keys, never with them.
//!
//! A change made here reaches the data plane through the store's change log and in no other way: this
//! crate knows nothing of the gateway. A restriction is answered `200` only once the store has proven
//! that no node admits by the old state; else `202`.
//!
//! | module | holds |
//! |---|---|
//! | [`services`] | what can be done, free of HTTP: principal and input in, result out |
//! | [`principal`] | who asks, and what they may do |
//! | `api` | the REST API under `/api/v1`, one file a noun, and its OpenAPI document |
//! | `pages` | the console: sign-in, an account's pages, the operator's part |
//! | `problem` | the one place where an error becomes HTTP (RFC 9457) |
//! | `hooks` | what GitHub, GitLab and scanners send |
//! | `background` | work that goes on when whoever asked for it has hung up |
//! | `extract` | bodies, queries and preconditions, checked before a handler runs |

#[allow(unused_qualifications, reason = "utoipa's own code, under the spans of ours")]
mod api;
mod background;
mod extract;
mod hooks;
pub mod notify;
mod observe;
mod pages;
pub mod principal;
mod problem;
pub mod services;
mod span;

use std::{net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::Serialize;
use tollgate_core::{
    Id, Timestamp, World,
    catalog::{Route, UpstreamAuth},
    seal::MasterKey,
    secret::{KeyHint, Prefix},
    usage,
};
use tollgate_store::Store;

pub use api::{endpoints, openapi_json};
pub use background::Background;
pub use problem::{CODES as PROBLEM_CODES, ProblemCode};
pub use services::{
    DocsModel, DocsOptions, Documentation, LeakFigures, LeakOptions, ServiceError, Services, docs_directory_check,
};

/// What the management plane needs.
pub struct ManageOptions {
    /// Where everything is kept.
    pub store: Store,
    /// Time and entropy.
    pub world: World,
    /// Peppers tokens and sessions, seals upstream credentials.
    pub master_key: MasterKey,
    /// The deployment's key prefix.
    pub prefix: Prefix,
    /// Where "contact us" leads when a paid plan is missing.
    pub contact_url: Option<String>,
    /// The address under which people reach this deployment, without a slash at its end; decides
    /// whether cookies are `Secure` and what sign-in links begin with.
    pub public_url: Option<String>,
    /// How people sign in.
    pub sign_in: SignInOptions,
    /// From where reports of leaked keys are taken.
    pub leaks: LeakOptions,
    /// What came of them, for metrics.
    pub leak_figures: LeakFigures,
    /// Where work runs that nobody waits for.
    pub background: Background,
    /// What the data plane knows of upstreams.
    pub upstream_health: Arc<dyn UpstreamHealthSource>,
    /// Tries upstreams when an operator asks for it.
    pub upstream_probe: Arc<dyn UpstreamProbe>,
    /// Tells people what they are to know, by mail and at endpoints.
    pub notifier: notify::Notifier,
    /// The pages under `/docs`.
    pub docs: Documentation,
    /// Sends what people try to the data plane.
    pub inference: Arc<dyn Inference>,
    /// The program's version.
    pub version: &'static str,
}

/// Sends a request to the data plane of this process in the name of a key, whose text nobody has.
pub trait Inference: Send + Sync {
    /// The answer as it comes, refusals too; an error where the data plane cannot be reached. Whoever calls has made sure
    /// that the person may use the key.
    fn call(&self, key: KeyHint, route: Route, body: Bytes) -> InferenceFuture;
}
/// What [`Inference::call`] returns.
pub type InferenceFuture = Pin<Box<dyn Future<Output = Result<http::Response<InferenceBody>, String>> + Send>>;
/// The body of an answer of the data plane.
pub type InferenceBody = http_body_util::combinators::UnsyncBoxBody<Bytes, InferenceError>;
/// The answer broke off.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off: {0}")]
pub struct InferenceError(pub String);

/// How people sign in.
#[derive(Debug, Clone)]
pub struct SignInOptions {
    /// How long a session lasts at most.
    pub session_life: Duration,
    /// How long a session lasts that is not used.
    pub session_idle: Duration,
    /// The identity provider, where there is one.
    pub oidc: Option<services::OidcOptions>,
}

/// Tells how upstreams are, as the data plane of this process sees them.
pub trait UpstreamHealthSource: Send + Sync {
    /// The health of the upstream of this name; `None` while nothing is known.
    fn health(&self, name: &str) -> Option<UpstreamHealthView>;
}

/// An upstream's health on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = UpstreamHealth)]
pub struct UpstreamHealthView {
    /// Whether requests are sent there.
    #[schema(example = true)]
    pub healthy: bool,
    /// Since when it is so.
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T08:00:00Z")]
    pub since: Timestamp,
    /// When it was last tried.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-11-20T09:30:00Z")]
    pub checked_at: Option<Timestamp>,
    /// What went wrong last, in words; never a credential.
    #[schema(example = "connection refused")]
    pub last_error: Option<String>,
}

/// Asks an upstream for its models, once and now.
pub trait UpstreamProbe: Send + Sync {
    /// `GET models` with the upstream's credential: no redirect is followed, time and size are bounded.
    fn probe(&self, upstream: UpstreamAuth) -> ProbeFuture;
}
/// What [`UpstreamProbe::probe`] returns: the answer, or in words why there was none, without any credential.
pub type ProbeFuture = Pin<Box<dyn Future<Output = Result<ProbeAnswer, String>> + Send>>;

/// An upstream's answer to "which models have you?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeAnswer {
    /// Its HTTP status.
    pub status: u16,
    /// What it lists; absent where its answer is no list of models.
    pub models: Option<Vec<String>>,
}

/// The id of a request, put into its extensions by whoever accepted it, answered as `x-request-id` and logged. A request
/// without one gets its own.
#[derive(Debug, Clone, Copy)]
pub struct RequestId(pub Id<usage::Request>);

/// The client's address, put into a request's extensions by whoever accepted the connection; goes into
/// the audit log.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub IpAddr);

/// Serves `/api/v1/*`, `/leaks`, `/hooks/*`, the documentation (`/docs`, `/llms.txt`, `/llms-full.txt`, `/sitemap.xml`) and the console (`/`, `/a/*`, `/me`, `/operator/*`, `/sign-in*`, `/invitations/*`, `/assets/*`);
/// anything else is a 404.
pub fn router(options: ManageOptions) -> axum::Router {
    let services = Services::new(options);
    pages::router(&services)
        .merge(api::router())
        .merge(hooks::router())
        .fallback(problem::no_such_page)
        .layer(axum::middleware::from_fn_with_state(services.clone(), observe::observe))
        .with_state(services)
}
