//! The one place where an error becomes HTTP: `application/problem+json` (RFC 9457) with a stable `code`.
//!
//! `detail` says what to do next. Causes go to the log; a key, an address or another account's name goes nowhere.

use axum::{
    Json,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tollgate_core::{id::IdKind, secret::redacted};
use utoipa::ToSchema;

use crate::services::{Noun, ServiceError};

/// An error's body (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// A name for the kind of problem; the code in the form of a URI.
    #[serde(rename = "type")]
    #[schema(example = "urn:tollgate:problem:invalid_request")]
    kind: String,
    /// The kind of problem, in words.
    #[schema(example = "The request is not valid")]
    title: &'static str,
    /// The HTTP status again.
    #[schema(example = 400)]
    status: u16,
    /// The kind of problem, for programs. Stable.
    #[schema(example = "invalid_request")]
    code: &'static str,
    /// What happened here, and what to do next.
    #[schema(example = "name: a name has 1 to 200 characters, no control characters, and no blanks at its ends")]
    detail: String,
    /// The field, parameter or header that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "name")]
    field: Option<String>,
    /// With `already_created`: the id of what the first call made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "key_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    id: Option<String>,
    /// With `plan_required` and `account_suspended`: where to ask for a plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "mailto:sales@example.com")]
    contact_url: Option<String>,
    /// For the header of that name, in seconds.
    #[serde(skip)]
    retry_after: Option<u64>,
}

/// Whole seconds, at least one.
pub(crate) fn seconds(duration: std::time::Duration) -> u64 {
    duration.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX).max(1)
}

/// A code that errors of the management plane have. Stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemCode {
    /// The code.
    pub code: &'static str,
    /// The HTTP status that goes with it.
    pub status: u16,
    /// What it means, in a few words.
    pub title: &'static str,
    /// When it is answered, and what to do.
    pub advice: &'static str,
}

const fn of(code: &'static str, status: u16, title: &'static str, advice: &'static str) -> ProblemCode {
    ProblemCode { code, status, title, advice }
}

/// Every code: the whole list of what can go wrong.
pub const CODES: &[ProblemCode] = &[
    of(
        "invalid_request",
        400,
        "The request is not valid",
        "A field, parameter or header is missing, unknown or wrong. `field` names it, `detail` says how it should be. Correct it \
         and send the request again.",
    ),
    of(
        "not_supported_yet",
        400,
        "Not supported yet",
        "The field is known, but this version does not enforce it, so it is refused rather than ignored. Leave it out.",
    ),
    of(
        "missing_token",
        401,
        "An access token is needed",
        "Send an access token in the header `Authorization: Bearer …`, or sign in to the console.",
    ),
    of(
        "invalid_token",
        401,
        "The access token is not valid",
        "The access token or session is mistyped, unknown, revoked or expired. Copy the token whole, or make a new one.",
    ),
    of(
        "keys_do_not_manage",
        401,
        "A key does not manage",
        "An API key was sent. Keys call models and never manage anything: send an access token instead.",
    ),
    of(
        "plan_required",
        402,
        "A paid plan is needed",
        "The account has no running paid plan, so it can have no keys. Ask the operator for a plan; `contact_url` says where.",
    ),
    of(
        "account_suspended",
        403,
        "The account is suspended",
        "The operator suspended the account. Ask why; `contact_url` says where. Nothing is deleted.",
    ),
    of(
        "forbidden",
        403,
        "Not allowed",
        "Your role in the account does not allow this. `detail` says who may; ask an owner or the operator.",
    ),
    of(
        "cross_site",
        403,
        "Sent from another site",
        "A session of the console works from this deployment's own pages only. A program uses an access token.",
    ),
    of(
        "not_found",
        404,
        "Not found",
        "There is nothing of that id or name in the account, or no such path. Operators: name the account with `account`.",
    ),
    of(
        "method_not_allowed",
        405,
        "This method is not served here",
        "The path is there, but takes another HTTP method. The header `allow` lists those that it takes.",
    ),
    of(
        "request_timeout",
        408,
        "The request took too long to come",
        "The body did not come in time. Send it again over a faster connection.",
    ),
    of(
        "already_created",
        409,
        "Already created",
        "An earlier call with the same `Idempotency-Key` made it; `id` names what it made. A secret that was shown then is not \
         kept: rotate it if the answer was lost.",
    ),
    of("already_exists", 409, "The name is taken", "Choose another name, or edit what has this one."),
    of("in_use", 409, "In use", "Something else needs it. `detail` says what: change that first."),
    of(
        "not_possible",
        409,
        "Not possible in this state",
        "Its state does not allow this, such as editing a revoked key. `detail` says why.",
    ),
    of(
        "version_conflict",
        412,
        "Changed in the meantime",
        "Somebody changed it since you read it, so that your `If-Match` names an old version. Read it again and repeat your \
         change on what it is now.",
    ),
    of("request_too_large", 413, "The body is too large", "A body has at most 1 MiB. Send less in one request."),
    of(
        "unsupported_media_type",
        415,
        "The body is to be JSON",
        "Send the body as JSON, with the header `Content-Type: application/json`.",
    ),
    of(
        "too_many_attempts",
        429,
        "Too many attempts",
        "Too many calls of this sort came in a short time. Wait as long as the header `retry-after` says.",
    ),
    of(
        "internal_error",
        500,
        "Internal error",
        "Something failed on the server. Try again; if it goes on, tell the operator the `x-request-id`.",
    ),
    of(
        "unavailable",
        503,
        "The store is unavailable",
        "The store cannot be reached. A write may or may not have happened: look before you repeat it.",
    ),
];

impl Problem {
    /// A problem of a code of [`CODES`].
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        let known = CODES.iter().find(|known| known.code == code);
        let (status, title) = known.map_or((500, "Internal error"), |known| (known.status, known.title));
        let kind = format!("urn:tollgate:problem:{code}");
        Self {
            kind,
            title,
            status,
            code,
            detail: detail.into(),
            field: None,
            id: None,
            contact_url: None,
            retry_after: None,
        }
    }
}

impl From<&ServiceError> for Problem {
    fn from(error: &ServiceError) -> Self {
        match error {
            ServiceError::Invalid { field, message } if field.is_empty() => Self::new("invalid_request", message),
            ServiceError::Invalid { field, message } => {
                let detail =
                    if message.contains(field.as_str()) { message.clone() } else { format!("{field}: {message}") };
                Self { field: Some(field.clone()), ..Self::new("invalid_request", detail) }
            }
            ServiceError::NotSupportedYet(field) => {
                let detail = format!("{field} is not enforced by this version, so it is refused rather than ignored");
                Self { field: Some((*field).to_owned()), ..Self::new("not_supported_yet", detail) }
            }
            ServiceError::Unauthenticated => Self::new(
                "missing_token",
                "send an access token as `Authorization: Bearer …`, or sign in to the console",
            ),
            ServiceError::InvalidToken => Self::new(
                "invalid_token",
                "the access token or session is malformed, unknown, revoked or expired; make a new one",
            ),
            ServiceError::KeyPresented => Self::new(
                "keys_do_not_manage",
                "this is an API key: keys call models and never manage anything; use an access token",
            ),
            ServiceError::Forbidden(why) => Self::new("forbidden", *why),
            ServiceError::CrossSite => Self::new(
                "cross_site",
                "a session works from this deployment's own pages; programs use an access token",
            ),
            ServiceError::PlanRequired => {
                Self::new("plan_required", "this account has no running paid plan; ask the operator for one")
            }
            ServiceError::Suspended => {
                Self::new("account_suspended", "this account is suspended; ask the operator why")
            }
            ServiceError::NotFound(Noun::Thing) => Self::new("not_found", "there is nothing of that id or name"),
            ServiceError::NotFound(noun) => Self::new("not_found", format!("there is no such {}", noun.as_str())),
            ServiceError::AlreadyCreated(id) => {
                let lost = "; its secret is not kept, so rotate it if the answer was lost";
                let lost = if id.starts_with(<tollgate_core::Key as IdKind>::PREFIX) { lost } else { "" };
                let detail = format!("this Idempotency-Key made {id} before{lost}");
                Self { id: Some(id.clone()), ..Self::new("already_created", detail) }
            }
            ServiceError::Exists(what) => Self::new("already_exists", format!("{what} exists already")),
            ServiceError::InUse(by) => Self::new("in_use", format!("it is in use: {by}")),
            ServiceError::State(why) => Self::new("not_possible", *why),
            ServiceError::VersionConflict => {
                Self::new("version_conflict", "it was changed since you read it; read it again and repeat")
            }
            ServiceError::TooManyAttempts { retry_after } => {
                let detail = format!("too many attempts; try again in {} s", seconds(*retry_after));
                Self { retry_after: Some(seconds(*retry_after)), ..Self::new("too_many_attempts", detail) }
            }
            ServiceError::UnsupportedMediaType => {
                Self::new("unsupported_media_type", "send the body with `content-type: application/json`")
            }
            ServiceError::TooLarge => Self::new("request_too_large", "a body has at most 1 MiB"),
            ServiceError::TooSlow => Self::new("request_timeout", "the body did not come within 30 seconds"),
            ServiceError::NotNow(why) => Self::new("unavailable", *why),
            ServiceError::Unavailable(_) => Self::new(
                "unavailable",
                "the store cannot be reached; a write may or may not have happened: look before you repeat it",
            ),
            ServiceError::Internal(_) => Self::new("internal_error", "the operator's log says more"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let code = self.code;
        let retry_after = self.retry_after;
        // What was sent may be repeated, but for a key in the wrong place: whoever sent it logs our answer.
        let detail = redacted(&self.detail).into_owned();
        let field = self.field.as_deref().map(|field| redacted(field).into_owned());
        let mut response = (status, Json(Self { detail, field, ..self })).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        match status {
            StatusCode::UNAUTHORIZED if code == "missing_token" => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tollgate\""));
            }
            StatusCode::UNAUTHORIZED => {
                let challenge = HeaderValue::from_static("Bearer realm=\"tollgate\", error=\"invalid_token\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, retry_after.unwrap_or(1).into());
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            _ => {}
        }
        response
    }
}

impl IntoResponse for ServiceError {
    fn into_response(self) -> Response {
        if let Self::Unavailable(cause) | Self::Internal(cause) = &self {
            tracing::error!(
                error = cause as &dyn std::error::Error,
                "the store failed a request of the management plane"
            );
        }
        Problem::from(&self).into_response()
    }
}

/// The same problem, saying where to ask for a plan.
pub(crate) fn with_contact(error: ServiceError, contact_url: Option<&String>) -> Response {
    match &error {
        ServiceError::PlanRequired | ServiceError::Suspended => {
            let mut problem = Problem::from(&error);
            if let (Some(url), ServiceError::PlanRequired) = (contact_url, &error) {
                problem.detail = format!("this account has no running paid plan; contact us: {url}");
            }
            problem.contact_url = contact_url.cloned();
            problem.into_response()
        }
        _ => error.into_response(),
    }
}

/// A path that is not served.
pub(crate) async fn no_such_page(request: Request) -> Response {
    if request.uri().path().starts_with("/api/") {
        return Problem::new("not_found", "there is no such path; /api/v1/openapi.json lists them all").into_response();
    }
    if request.uri().path().starts_with("/hooks/") {
        return Problem::new("not_found", "there is no such path").into_response();
    }
    crate::pages::not_found(request.headers())
}
/// A path that is served, by another method.
pub(crate) async fn no_such_method() -> Response {
    Problem::new("method_not_allowed", "the header `allow` names the methods that are served here").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_code_of_the_list_and_every_code_is_once() {
        let samples = [
            ServiceError::Unauthenticated,
            ServiceError::InvalidToken,
            ServiceError::KeyPresented,
            ServiceError::CrossSite,
            ServiceError::Forbidden("x"),
            ServiceError::NotFound(Noun::Key),
            ServiceError::invalid("a", "b"),
            ServiceError::NotSupportedYet("limits"),
            ServiceError::AlreadyCreated("key_1".into()),
            ServiceError::VersionConflict,
            ServiceError::Exists("x"),
            ServiceError::InUse("x".into()),
            ServiceError::State("x"),
            ServiceError::PlanRequired,
            ServiceError::TooManyAttempts { retry_after: std::time::Duration::ZERO },
            ServiceError::Suspended,
            ServiceError::UnsupportedMediaType,
            ServiceError::TooLarge,
            ServiceError::TooSlow,
            ServiceError::NotNow("x"),
        ];
        for error in &samples {
            let problem = Problem::from(error);
            assert!(
                CODES.iter().any(|known| known.code == problem.code && known.status == problem.status),
                "{error:?}"
            );
        }
        for (index, known) in CODES.iter().enumerate() {
            assert!(CODES[index + 1..].iter().all(|other| other.code != known.code), "{known:?}");
        }
    }
}
