//! A page that could not be made: the error goes up as it is, and is put into words where language and theme are known.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use tollgate_core::secret;

use super::{
    chrome::Chrome,
    look::Look,
    render,
    texts::Errors,
    viewer::{self, HX_REQUEST},
};
use crate::{
    extract,
    services::{ServiceError, Services},
};

/// An error on its way to the page that says it.
#[derive(Debug)]
pub(crate) struct Failure(ServiceError);

impl<E: Into<ServiceError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(Arc::new(self.0));
        response
    }
}

/// What a handler of a page gives.
pub(crate) type Paged = Result<Response, Failure>;

#[derive(Template)]
#[template(path = "message.html")]
pub(super) struct MessagePage {
    pub(super) chrome: Chrome,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) go_on: &'static str,
}

/// Puts failures into words: whoever is not signed in is led to the sign-in page instead.
pub(super) async fn dress(State(services): State<Services>, request: Request, next: Next) -> Response {
    let look = Look::of(request.headers());
    let is_htmx = request.headers().contains_key(HX_REQUEST);
    let is_get = request.method().is_safe();
    let (parts, body) = request.into_parts();
    let here = viewer::here(&parts);
    let mut response = next.run(Request::from_parts(parts, body)).await;
    let Some(error) = response.extensions_mut().remove::<Arc<ServiceError>>() else { return response };
    match &*error {
        ServiceError::Unauthenticated | ServiceError::InvalidToken => {
            // What was sent is not kept: only a page that was asked for is come back to.
            // Nor is an address with a key in it.
            let to = if is_get && here != "/" && secret::find(here.as_bytes(), 0).is_none() {
                format!("/sign-in?next={}", super::encode(&here))
            } else {
                "/sign-in".to_owned()
            };
            let mut response = viewer::go(is_htmx, &to);
            if let (ServiceError::InvalidToken, Ok(gone)) =
                (&*error, HeaderValue::from_str(&extract::cookie(&services, None)))
            {
                response.headers_mut().append(header::SET_COOKIE, gone);
            }
            response
        }
        error => page(look, error),
    }
}

/// The page of an error.
fn page(look: Look, error: &ServiceError) -> Response {
    let t = Errors::of(look.lang);
    let (status, title, text) = match error {
        ServiceError::CrossSite => (403, t.cross_site_title, t.cross_site),
        ServiceError::NotFound(_) => (404, t.not_found_title, t.not_found),
        ServiceError::Forbidden(_) | ServiceError::KeyPresented => (403, t.forbidden_title, t.forbidden),
        ServiceError::PlanRequired => (402, t.plan_title, t.plan),
        ServiceError::Suspended => (403, t.suspended_title, t.suspended),
        ServiceError::VersionConflict => (412, t.conflict_title, t.conflict),
        ServiceError::TooLarge => (413, t.too_large_title, t.too_large),
        ServiceError::State(_)
        | ServiceError::InUse(_)
        | ServiceError::Exists(_)
        | ServiceError::AlreadyCreated(_)
        | ServiceError::NotSupportedYet(_) => (409, t.state_title, t.state),
        ServiceError::TooManyAttempts { .. } => (429, t.too_many_title, t.too_many),
        ServiceError::Unavailable(_) | ServiceError::TooSlow | ServiceError::NotNow(_) => {
            (503, t.unavailable_title, t.unavailable)
        }
        ServiceError::Invalid { .. } | ServiceError::UnsupportedMediaType => (400, t.invalid_title, t.check_fields),
        ServiceError::Unauthenticated | ServiceError::InvalidToken | ServiceError::Internal(_) => {
            (500, t.internal_title, t.internal)
        }
    };
    if status >= 500 {
        tracing::error!(error = error as &dyn std::error::Error, "a page failed");
    }
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    message(look, status, title, text)
}

/// A page that says one thing.
pub(super) fn message(look: Look, status: StatusCode, title: &str, text: &str) -> Response {
    let chrome = Chrome::bare(look);
    let go_on = Errors::of(look.lang).to_start;
    render(status, &MessagePage { chrome, title: title.to_owned(), text: text.to_owned(), go_on })
}

/// The page of an address that is not served.
pub(crate) fn not_found(headers: &http::HeaderMap) -> Response {
    let look = Look::of(headers);
    let t = Errors::of(look.lang);
    let mut response = message(look, StatusCode::NOT_FOUND, t.not_found_title, t.not_found);
    super::set_page_headers(&mut response);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::{Lang, hostile};

    #[test]
    fn hostile_words_stay_text_in_both_languages() {
        for lang in Lang::ALL {
            for name in hostile::NAMES {
                let chrome = Chrome::bare(Look { lang, ..Look::default() });
                let go_on = Errors::of(lang).to_start;
                let page = MessagePage { chrome, title: (*name).to_owned(), text: (*name).to_owned(), go_on };
                hostile::check(&page.render().unwrap(), name);
            }
        }
    }
}
