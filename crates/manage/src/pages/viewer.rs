//! Who looks at a page, and from where. A handler that takes a [`Viewer`] is reached only by somebody signed in; everybody
//! else is led to the sign-in page and back.

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Redirect, Response},
};
use http::{HeaderName, HeaderValue, header, request::Parts};
use tollgate_core::secret::PublicId;

use super::{failure::Failure, flash::Flash, look::Look};
use crate::{
    extract, observe,
    principal::{Access, Principal},
    services::{ServiceError, Services},
};

/// htmx's mark on what it sends.
pub(super) const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");
/// The mark of a page that asks again by itself while nobody may be there (`usage.js`, the list of nodes).
const POLL: HeaderName = HeaderName::from_static("x-tollgate-poll");
const HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");
/// The longest address that is come back to.
const LONGEST_NEXT: usize = 2_048;

/// Somebody signed in.
pub(crate) struct Viewer {
    /// Who.
    pub(crate) principal: Principal,
    /// The session that was shown.
    pub(crate) session: PublicId,
    /// Language and theme.
    pub(crate) look: Look,
    /// What the page before left to be said.
    pub(crate) flash: Option<Flash>,
    /// Path and query.
    pub(crate) here: String,
    is_htmx: bool,
}

impl FromRequestParts<Services> for Viewer {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Failure> {
        let cookie = extract::session_cookie(&parts.headers, services).ok_or(ServiceError::Unauthenticated)?;
        let (identity, session) = if parts.headers.contains_key(POLL) {
            services.session_peek(cookie.as_bytes()).await?
        } else {
            services.session_identify(cookie.as_bytes()).await?
        };
        Ok(Self {
            principal: observe::principal(identity, parts),
            session,
            look: Look::of(&parts.headers),
            flash: Flash::of(&parts.headers),
            here: here(parts),
            is_htmx: parts.headers.contains_key(HX_REQUEST),
        })
    }
}

impl Viewer {
    /// The viewer's standing in the account that the path names.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] also for somebody else's account; when the store fails.
    pub(crate) async fn enter(&self, services: &Services, account: &str) -> Result<Access, ServiceError> {
        self.principal.access(services, Some(account)).await
    }
    /// Goes on to another page: htmx, too, loads it whole.
    pub(crate) fn go(&self, to: &str) -> Response {
        go(self.is_htmx, to)
    }
    /// Goes on to another page, which says this.
    pub(crate) fn go_saying(&self, to: &str, flash: Flash) -> Response {
        let mut response = self.go(to);
        if let Ok(value) = HeaderValue::from_str(&flash.to_cookie()) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
        response
    }
}

/// Leads the browser to another page.
pub(super) fn go(is_htmx: bool, to: &str) -> Response {
    match (is_htmx, HeaderValue::from_str(to)) {
        (true, Ok(to)) => [(HX_REDIRECT, to)].into_response(),
        _ => Redirect::to(to).into_response(),
    }
}

/// Where the request stands: its path and query.
pub(super) fn here(parts: &Parts) -> String {
    // Nested routers cut their prefix off; what the browser asked for is kept beside it.
    let uri = parts.extensions.get::<axum::extract::OriginalUri>().map_or(&parts.uri, |original| &original.0);
    uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string)
}

/// An address of ours to come back to; anything else is the start page. Never another site: `//host` and `/\host` are that.
pub(crate) fn safe_next(next: Option<&str>) -> &str {
    match next {
        Some(next)
            if next.starts_with('/')
                && !next.starts_with("//")
                && next.len() <= LONGEST_NEXT
                && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') =>
        {
            next
        }
        _ => "/",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_comes_back_to_a_page_of_ours_and_nowhere_else() {
        assert_eq!(safe_next(Some("/a/default/keys?x=1")), "/a/default/keys?x=1");
        for foreign in
            ["//evil.example", "/\\evil.example", "https://evil.example", "", "/a\r\nset-cookie: x", "/ö", "/a b"]
        {
            assert_eq!(safe_next(Some(foreign)), "/", "{foreign:?}");
        }
        assert_eq!(safe_next(Some(&format!("/{}", "a".repeat(LONGEST_NEXT)))), "/");
        assert_eq!(safe_next(None), "/");
    }
}
