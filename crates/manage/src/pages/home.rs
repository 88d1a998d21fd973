//! The start page, and the choice of language and theme.

use askama::Template;
use axum::{Router, response::Response, routing::get};
use http::{HeaderValue, StatusCode, header};

use super::{Chrome, Form, Look, Paged, Place, Viewer, failure::Failure, home_account, render, safe_next, viewer};
use crate::services::Services;

pub(super) fn router() -> Router<Services> {
    Router::new().route("/", get(start))
}

#[derive(Template)]
#[template(path = "no_account.html")]
struct NoAccountPage {
    chrome: Chrome,
}

/// Leads to one's own account; who belongs to none is told what to do.
async fn start(viewer: Viewer) -> Paged {
    Ok(match home_account(&viewer.principal) {
        Some(account) => viewer.go(&format!("/a/{account}/keys")),
        None => render(StatusCode::OK, &NoAccountPage { chrome: Chrome::own(&viewer, Place::Profile) }),
    })
}

/// Remembers a choice of language or theme and comes back.
pub(super) async fn preferences(form: Form) -> Result<Response, Failure> {
    let mut response = viewer::go(false, safe_next(form.some("next")));
    for cookie in Look::remember(form.some("lang"), form.some("theme")) {
        if let Ok(value) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_nobody_s_account_renders() {
        for look in [Look::default(), Look { lang: super::super::Lang::Vi, ..Look::default() }] {
            let html = NoAccountPage { chrome: Chrome::bare(look) }.render().unwrap();
            assert!(html.starts_with("<!doctype html>") && html.contains("<main"), "{html}");
        }
    }
}
