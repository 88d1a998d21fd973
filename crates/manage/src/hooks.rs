//! What other programs send: reports of leaked keys, from GitHub, GitLab, scanners and anybody.
//!
//! Each of them says by its own means who it is; none has an access token or a session. Headers that decide something
//! count only if they are there once. A way in that the settings switch off is not there.

use std::net::IpAddr;

use axum::{
    Json, Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;
use tollgate_core::leak::LeakSource;

use crate::{
    PeerAddress,
    extract::read_body,
    problem::{self, Problem},
    services::{AlertOutcome, GithubRefusal, GithubSigned, GitlabRefusal, RefusedAs, ServiceError, Services},
};

const KEY_IDENTIFIER: HeaderName = HeaderName::from_static("github-public-key-identifier");
const KEY_SIGNATURE: HeaderName = HeaderName::from_static("github-public-key-signature");
const HUB_SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature-256");
const HUB_EVENT: HeaderName = HeaderName::from_static("x-github-event");

pub(crate) fn router() -> Router<Services> {
    Router::new()
        .route("/hooks/github/secret-scanning", post(github))
        .route("/hooks/github/secret-scanning-alert", post(github_alert))
        .route("/hooks/gitlab/v1/revocable_token_types", get(gitlab_types))
        .route("/hooks/gitlab/v1/revoke_tokens", post(gitlab_revoke))
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(axum::middleware::map_response(hook_headers))
}

async fn hook_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn peer(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<PeerAddress>().map(|peer| peer.0)
}

/// A header that is there, once, and text.
fn once<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h str, ServiceError> {
    let mut values = headers.get_all(name).iter();
    match (values.next().map(HeaderValue::to_str), values.next()) {
        (Some(Ok(value)), None) => Ok(value),
        (Some(_), _) => Err(ServiceError::invalid(name.as_str(), format_args!("{name} is to be there once"))),
        (None, _) => Err(ServiceError::invalid(name.as_str(), format_args!("{name} is missing"))),
    }
}

async fn github(State(services): State<Services>, request: Request) -> Result<Response, Refused> {
    if services.leaks.github_keys.is_none() {
        return Err(Refused::Off);
    }
    let report = async {
        let (headers, address) = (request.headers().clone(), peer(&request));
        let body = read_body(request).await?;
        let (identifier, signature) = (once(&headers, &KEY_IDENTIFIER)?, once(&headers, &KEY_SIGNATURE)?);
        let answers = services.github_report(GithubSigned { identifier, signature }, &body, address).await?;
        Ok::<_, Refused>(Json(answers).into_response())
    };
    counted(&services, LeakSource::Github, report.await)
}

async fn github_alert(State(services): State<Services>, request: Request) -> Result<Response, Refused> {
    if services.leaks.github_webhook.is_none() {
        return Err(Refused::Off);
    }
    let delivery = async {
        let (headers, address) = (request.headers().clone(), peer(&request));
        let body = read_body(request).await?;
        let (signature, event) = (once(&headers, &HUB_SIGNATURE)?, once(&headers, &HUB_EVENT)?);
        Ok::<_, Refused>(services.github_alert(event, signature, &body, address).await?)
    };
    let (status, word) = match counted(&services, LeakSource::GithubAlert, delivery.await)? {
        AlertOutcome::Ignored => (StatusCode::OK, "ignored"),
        AlertOutcome::Unknown => (StatusCode::OK, "unknown"),
        AlertOutcome::Taken => (StatusCode::OK, "taken"),
        AlertOutcome::Pending => (StatusCode::ACCEPTED, "pending"),
    };
    Ok((status, Json(json!({ "outcome": word }))).into_response())
}

async fn gitlab_types(State(services): State<Services>, headers: HeaderMap) -> Result<Response, Refused> {
    let types = services.gitlab_types(authorization(&headers)?)?;
    Ok(Json(json!({ "types": types })).into_response())
}

async fn gitlab_revoke(State(services): State<Services>, request: Request) -> Result<Response, Refused> {
    if services.leaks.gitlab_token.is_none() {
        return Err(Refused::Off);
    }
    let call = async {
        let (headers, address) = (request.headers().clone(), peer(&request));
        // Who it is comes first: of a stranger's body nothing is read.
        services.gitlab_types(authorization(&headers)?)?;
        let body = read_body(request).await?;
        services.gitlab_revoke(authorization(&headers)?, &body, address).await?;
        Ok::<_, Refused>(StatusCode::NO_CONTENT.into_response())
    };
    counted(&services, LeakSource::Gitlab, call.await)
}

/// What became of a call, a refusal counted.
fn counted<T>(services: &Services, source: LeakSource, outcome: Result<T, Refused>) -> Result<T, Refused> {
    if let Err(refused) = &outcome
        && let Some(refused) = refused.counts_as()
    {
        services.leak_refused(source, refused);
    }
    outcome
}

/// What `Authorization` holds; twice is as if it held nothing right.
fn authorization(headers: &HeaderMap) -> Result<Option<&[u8]>, Refused> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(Some(value.as_bytes())),
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(Refused::Service(ServiceError::InvalidToken)),
    }
}

/// Why a call is not taken, as HTTP.
enum Refused {
    /// Switched off: not there.
    Off,
    Service(ServiceError),
    /// A 400 that says why.
    Wrong(&'static str),
    /// Signed with a key that GitHub does not publish.
    UnknownKey,
    /// What this depends on does not answer.
    Depends(&'static str),
}

impl Refused {
    const fn counts_as(&self) -> Option<RefusedAs> {
        match self {
            Self::Off => None,
            Self::Wrong(_)
            | Self::Service(ServiceError::Invalid { .. } | ServiceError::TooLarge | ServiceError::TooSlow) => {
                Some(RefusedAs::Invalid)
            }
            Self::UnknownKey => Some(RefusedAs::UnknownKey),
            Self::Service(ServiceError::InvalidToken) => Some(RefusedAs::Unauthorized),
            Self::Service(_) | Self::Depends(_) => Some(RefusedAs::Unavailable),
        }
    }
}
impl From<ServiceError> for Refused {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}
impl From<GithubRefusal> for Refused {
    fn from(refusal: GithubRefusal) -> Self {
        match refusal {
            GithubRefusal::Off => Self::Off,
            GithubRefusal::Wrong(why) => Self::Wrong(why),
            GithubRefusal::UnknownKey => Self::UnknownKey,
            GithubRefusal::NoKeys => Self::Depends("the public keys of GitHub cannot be fetched now"),
            GithubRefusal::Unread(why) => Self::Depends(why),
            GithubRefusal::Service(error) => Self::Service(error),
        }
    }
}
impl From<GitlabRefusal> for Refused {
    fn from(refusal: GitlabRefusal) -> Self {
        match refusal {
            GitlabRefusal::Off => Self::Off,
            GitlabRefusal::Unauthorized => Self::Service(ServiceError::InvalidToken),
            GitlabRefusal::Wrong(why) => Self::Wrong(why),
            GitlabRefusal::Service(error) => Self::Service(error),
        }
    }
}
impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Off => {
                Problem::new("not_found", "this is switched off here: see [leaks] in the settings").into_response()
            }
            Self::Service(error) => error.into_response(),
            Self::Wrong(why) => ServiceError::invalid("", why).into_response(),
            Self::UnknownKey => {
                ServiceError::invalid(KEY_IDENTIFIER.as_str(), "no key of GitHub's has this identifier").into_response()
            }
            Self::Depends(why) => Problem::new("unavailable", why).into_response(),
        }
    }
}
