//! What a request brings, checked before a handler sees it: bodies, queries, preconditions, the caller.
//!
//! A field that is unknown, missing, twice or of a wrong type is refused by its name; nothing is ignored.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use http::{HeaderMap, header, request::Parts};
use http_body_util::{BodyExt, Limited};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IntoDeserializer},
};
use tollgate_core::secret::PublicId;
use tollgate_store::PageRequest;

use crate::{
    observe,
    principal::Principal,
    services::{Noun, ServiceError, Services, Visitor},
};

/// The largest body.
pub(crate) const LARGEST_BODY: usize = 1 << 20;
/// How long a body may take to come.
const BODY_WAIT: Duration = Duration::from_secs(30);
/// The longest query, in bytes.
const LONGEST_QUERY: usize = 32 << 10;
/// The session cookie where the deployment is reached by `https`: bound to this host, never sent in the clear.
const SECURE_COOKIE: &str = "__Host-tollgate_session";
/// The session cookie where it is reached by plain `http`.
const PLAIN_COOKIE: &str = "tollgate_session";

/// For a field of an edit: named is `Some`, whatever its value; not named is `None`.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// The caller: a bearer token, else a session.
impl FromRequestParts<Services> for Principal {
    type Rejection = ServiceError;
    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, ServiceError> {
        if let Some(token) = bearer(&parts.headers)? {
            return Ok(observe::principal(services.token_identify(token).await?, parts));
        }
        let cookie = session_cookie(&parts.headers, services).ok_or(ServiceError::Unauthenticated)?;
        let (identity, _) = services.session_identify(cookie.as_bytes()).await?;
        if !parts.method.is_safe() {
            check_same_site(&parts.headers, services)?;
        }
        Ok(observe::principal(identity, parts))
    }
}

/// Somebody signed in to the console, and in which session. An access token is refused here.
pub(crate) struct SignedIn(pub Principal, pub PublicId);

impl FromRequestParts<Services> for SignedIn {
    type Rejection = ServiceError;
    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, ServiceError> {
        let principal = Principal::from_request_parts(parts, services).await?;
        principal.require_session()?;
        let cookie = session_cookie(&parts.headers, services).ok_or(ServiceError::Unauthenticated)?;
        let (_, session) = services.session_identify(cookie.as_bytes()).await?;
        Ok(Self(principal, session))
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let address = parts.extensions.get::<crate::PeerAddress>().map(|peer| peer.0);
        let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        Ok(Self::new(address, agent))
    }
}

/// The token of `Authorization: Bearer …`. Anything else in that header is refused, not repaired.
fn bearer(headers: &HeaderMap) -> Result<Option<&[u8]>, ServiceError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let (scheme, token) = value.as_bytes().split_at_checked(7).ok_or(ServiceError::InvalidToken)?;
    if values.next().is_some() || !scheme.eq_ignore_ascii_case(b"bearer ") {
        return Err(ServiceError::InvalidToken);
    }
    Ok(Some(token))
}

/// Whether people reach this deployment by `https`.
fn is_https(services: &Services) -> bool {
    services.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
}
/// What the session cookie is called here.
pub(crate) fn cookie_name(services: &Services) -> &'static str {
    if is_https(services) { SECURE_COOKIE } else { PLAIN_COOKIE }
}
/// `set-cookie` of a session; without a value it takes the cookie back.
pub(crate) fn cookie(services: &Services, value: Option<&str>) -> String {
    set_cookie(services, cookie_name(services), value, services.sign_in.session_life)
}
/// `set-cookie` of a sign-in that goes to the identity provider. `SameSite=Lax`: what comes back comes from another site.
pub(crate) fn oidc_cookie(services: &Services, value: Option<&str>) -> String {
    set_cookie(services, oidc_cookie_name(services), value, crate::services::OIDC_WAIT)
}
/// What the cookie of a sign-in that goes to the identity provider is called here.
pub(crate) fn oidc_cookie_name(services: &Services) -> &'static str {
    if is_https(services) { "__Host-tollgate_oidc" } else { "tollgate_oidc" }
}
fn set_cookie(services: &Services, name: &str, value: Option<&str>, life: Duration) -> String {
    let secure = if is_https(services) { "; Secure" } else { "" };
    let seconds = value.map_or(0, |_| life.as_secs());
    let value = value.unwrap_or_default();
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}
/// The session's text that the browser sent.
pub(crate) fn session_cookie(headers: &HeaderMap, services: &Services) -> Option<String> {
    crate::pages::cookie(headers, cookie_name(services))
}

/// Goes on only if a browser sent this from one of our own pages. `Sec-Fetch-Site` says so where the connection is
/// trustworthy; else `Origin` must name this host. A request with neither did not come from a page of ours.
pub(crate) fn check_same_site(headers: &HeaderMap, services: &Services) -> Result<(), ServiceError> {
    let text = |name: http::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(http::HeaderName::from_static("sec-fetch-site")) {
        return if site == "same-origin" { Ok(()) } else { Err(ServiceError::CrossSite) };
    }
    let origin = text(header::ORIGIN).ok_or(ServiceError::CrossSite)?;
    let host = text(header::HOST);
    let of_host = origin.split_once("://").is_some_and(|(_, authority)| Some(authority) == host);
    let of_public = services.public_url.as_deref() == Some(origin);
    if of_host || of_public { Ok(()) } else { Err(ServiceError::CrossSite) }
}

/// A JSON body that has to be there.
pub(crate) struct Body<T>(pub T);
/// A JSON body that may be left out.
pub(crate) struct OptionalBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Services> for Body<T> {
    type Rejection = ServiceError;
    async fn from_request(request: Request, _: &Services) -> Result<Self, ServiceError> {
        let is_json = is_json(request.headers());
        let bytes = read_body(request).await?;
        if !is_json {
            return Err(ServiceError::UnsupportedMediaType);
        }
        read_json(&bytes).map(Self)
    }
}
impl<T: DeserializeOwned + Default> FromRequest<Services> for OptionalBody<T> {
    type Rejection = ServiceError;
    async fn from_request(request: Request, _: &Services) -> Result<Self, ServiceError> {
        let is_json = is_json(request.headers());
        let bytes = read_body(request).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !is_json {
            return Err(ServiceError::UnsupportedMediaType);
        }
        read_json(&bytes).map(Self)
    }
}

/// For a call that takes nothing: `{}` or no body at all.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

pub(crate) async fn read_body(request: Request) -> Result<bytes::Bytes, ServiceError> {
    let reading = Limited::new(request.into_body(), LARGEST_BODY).collect();
    match tokio::time::timeout(BODY_WAIT, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(ServiceError::TooLarge),
        Ok(Err(_)) => Err(ServiceError::invalid("", "the body broke off")),
        Err(_) => Err(ServiceError::TooSlow),
    }
}

fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ServiceError> {
    // serde would also read a struct from an array of its fields.
    if bytes.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
        return Err(ServiceError::invalid("", "the body is to be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        let message = error.to_string();
        // Where a value is not as it should be its name says so; where the text is no JSON, only the place does.
        let place = format!(" at line {} column {}", error.line(), error.column());
        field_error(&path, if error.is_data() { message.trim_end_matches(&place) } else { &message })
    })?;
    json.end().map_err(|_| ServiceError::invalid("", "the body goes on behind its JSON object"))?;
    Ok(value)
}

/// Names the field that serde's message is about: the path where there is one, else the name in the message.
fn field_error(path: &str, message: &str) -> ServiceError {
    let named = ["unknown field `", "missing field `", "duplicate field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start))
        .and_then(|rest| rest.split_once('`'))
        .map(|(name, _)| name);
    let field = match (path.trim_end_matches(['.', '?']), named) {
        ("", named) => named.unwrap_or_default().to_owned(),
        // An unknown field is the path's own end already.
        (path, Some(name)) if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        (path, Some(name)) => format!("{path}.{name}"),
        (path, None) => path.to_owned(),
    };
    ServiceError::Invalid { field, message: message.to_owned() }
}

/// The query, read into `T`: each parameter a text, or several where it is repeated.
pub(crate) struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Services> for Query<T> {
    type Rejection = ServiceError;
    async fn from_request_parts(parts: &mut Parts, _: &Services) -> Result<Self, ServiceError> {
        let query = parts.uri.query().unwrap_or_default();
        if query.len() > LONGEST_QUERY {
            return Err(ServiceError::invalid("", "the query is too long"));
        }
        read_query(&parts.uri).map(Self)
    }
}

fn read_query<T: DeserializeOwned>(uri: &http::Uri) -> Result<T, ServiceError> {
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
    let pairs = pairs.map_err(|_| ServiceError::invalid("", "the query is not of the form a=1&b=2"))?.0;
    let mut fields = serde_json::Map::new();
    for (name, value) in pairs {
        if value.contains('\0') {
            return Err(ServiceError::invalid(&name, "a text has no NUL character"));
        }
        let value = serde_json::Value::String(value);
        match fields.get_mut(&name) {
            None => drop(fields.insert(name, value)),
            Some(serde_json::Value::Array(values)) => values.push(value),
            Some(first) => *first = serde_json::Value::Array(vec![first.take(), value]),
        }
    }
    serde_path_to_error::deserialize(serde_json::Value::Object(fields).into_deserializer()).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().to_string().replace("invalid type: sequence", "named more than once");
        field_error(&path, &message)
    })
}

/// For a parameter that may be repeated, or hold several separated by commas.
pub(crate) fn many<'de, T, D>(from: D) -> Result<Vec<T>, D::Error>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
    D: Deserializer<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Texts {
        One(String),
        Several(Vec<String>),
    }
    let texts = match Texts::deserialize(from)? {
        Texts::One(text) => vec![text],
        Texts::Several(texts) => texts,
    };
    let parts = texts.iter().flat_map(|text| text.split(',')).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().map_err(serde::de::Error::custom)).collect()
}

/// For a parameter that is read by its `FromStr`.
pub(crate) fn from_text<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
    D: Deserializer<'de>,
{
    String::deserialize(from)?.parse().map(Some).map_err(serde::de::Error::custom)
}

/// The rows of a list that are asked for.
pub(crate) fn page(cursor: Option<String>, limit: Option<u32>) -> Result<PageRequest, ServiceError> {
    match limit {
        Some(limit) if !(1..=PageRequest::MOST).contains(&limit) => {
            Err(ServiceError::invalid("limit", format_args!("limit is 1 to {}", PageRequest::MOST)))
        }
        limit => Ok(PageRequest { cursor, limit: limit.unwrap_or(0) }),
    }
}

/// A part of the path that is an id or a name; one that cannot be is a thing that is not there.
pub(crate) struct Named<T>(pub T);

impl<T> FromRequestParts<Services> for Named<T>
where
    T: std::str::FromStr + Send,
{
    type Rejection = ServiceError;
    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, ServiceError> {
        let path = Path::<String>::from_request_parts(parts, services).await;
        let Path(text) = path.map_err(|_| ServiceError::NotFound(Noun::Thing))?;
        if text.contains('\0') {
            return Err(ServiceError::NotFound(Noun::Thing));
        }
        text.parse().map(Self).map_err(|_| ServiceError::NotFound(Noun::Thing))
    }
}

/// Two parts of the path, each as [`Named`].
pub(crate) struct NamedBoth<A, B>(pub A, pub B);

impl<A, B> FromRequestParts<Services> for NamedBoth<A, B>
where
    A: std::str::FromStr + Send,
    B: std::str::FromStr + Send,
{
    type Rejection = ServiceError;
    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, ServiceError> {
        let none = || ServiceError::NotFound(Noun::Thing);
        let Path((first, second)) =
            Path::<(String, String)>::from_request_parts(parts, services).await.map_err(|_| none())?;
        if first.contains('\0') || second.contains('\0') {
            return Err(none());
        }
        match (first.parse(), second.parse()) {
            (Ok(first), Ok(second)) => Ok(Self(first, second)),
            _ => Err(none()),
        }
    }
}

/// The version that `If-Match` names; `None` without it, or for `*`.
pub(crate) struct IfMatch(pub Option<i64>);

impl FromRequestParts<Services> for IfMatch {
    type Rejection = ServiceError;
    async fn from_request_parts(parts: &mut Parts, _: &Services) -> Result<Self, ServiceError> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(Self(None)) };
        if value == "*" {
            return Ok(Self(None));
        }
        let tag = value.to_str().ok().and_then(|text| text.strip_prefix('"')?.strip_suffix('"'));
        let tag =
            tag.ok_or_else(|| ServiceError::invalid("If-Match", "If-Match is one `etag` as it was sent, or *"))?;
        // A tag that is none of ours matches nothing (RFC 9110, 13.1.1).
        tag.parse().map(|version| Self(Some(version))).map_err(|_| ServiceError::VersionConflict)
    }
}
/// The `etag` of a thing of this version.
pub(crate) fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// The `Idempotency-Key` of a creation.
pub(crate) struct IdempotencyKey(pub Option<String>);

impl FromRequestParts<Services> for IdempotencyKey {
    type Rejection = ServiceError;
    async fn from_request_parts(parts: &mut Parts, _: &Services) -> Result<Self, ServiceError> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let text = value.to_str().map_err(|_| ServiceError::invalid("Idempotency-Key", "it has visible ASCII only"))?;
        Ok(Self(Some(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        weight: u32,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        name: String,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[test]
    fn a_wrong_body_is_refused_by_the_name_of_its_field() {
        for (body, field) in [
            (r#"{"name":1}"#, "name"),
            (r#"{}"#, "name"),
            (r#"{"name":"a","nmae":"b"}"#, "nmae"),
            (r#"{"name":"a","name":"b"}"#, "name"),
            (r#"{"name":"a","inner":[{"weight":"x"}]}"#, "inner[0].weight"),
            (r#"{"name":"a","inner":[{"weight":1,"w":1}]}"#, "inner[0].w"),
            (r#"["a"]"#, ""),
            (r#"{"name":"a"} {}"#, ""),
            ("", ""),
            ("nonsense", ""),
            (r#"{"name":"a","#, ""),
        ] {
            match read_json::<Sample>(body.as_bytes()) {
                Err(ServiceError::Invalid { field: named, message }) => {
                    assert_eq!(named, field, "{body}");
                    assert_eq!(message.contains(" at line 1 column "), body.ends_with(','), "{message}");
                }
                other => panic!("{body}: {other:?}"),
            }
        }
        let deep = format!(r#"{{"name":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(read_json::<Sample>(deep.as_bytes()).is_err());
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        #[serde(default, deserialize_with = "from_text")]
        limit: Option<u32>,
        #[serde(default)]
        search: Option<String>,
        #[serde(default, deserialize_with = "many")]
        model: Vec<String>,
    }

    #[test]
    fn a_query_may_repeat_what_may_be_repeated_and_nothing_else() {
        let read = |query: &str| read_query::<Params>(&format!("/x?{query}").parse().unwrap());
        let params = read("limit=3&model=a&model=b,c&search=x%20y").unwrap();
        assert_eq!((params.limit, params.search.as_deref()), (Some(3), Some("x y")));
        assert_eq!(params.model, ["a", "b", "c"]);
        for (query, field) in
            [("limit=x", "limit"), ("limit=1&limit=2", "limit"), ("page=1", "page"), ("search=a&search=b", "search")]
        {
            match read(query) {
                Err(ServiceError::Invalid { field: named, .. }) => assert_eq!(named, field, "{query}"),
                other => panic!("{query}: {other:?}"),
            }
        }
    }
}
