//! The start page, and the choice of language and theme.

use askama::Template;
use axum::{Router, extract::State, response::Response, routing::get};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{
    Chrome, Form, Lang, Look, Paged, Place, Viewer, failure::Failure, home_account, render, safe_next, viewer,
};
use crate::{extract, services::Services};

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

/// Remembers a choice of language or theme and comes back. Mail is in the language chosen last.
pub(super) async fn preferences(
    State(services): State<Services>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Failure> {
    if let (Some(lang), Some(session)) =
        (form.some("lang").and_then(Lang::from_tag), extract::session_cookie(&headers, &services))
        && let Ok((identity, _)) = services.session_identify(session.as_bytes()).await
    {
        services.store().user_language_set(identity.user.id, lang.tag()).await?;
    }
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
        for look in [Look::default(), Look { lang: Lang::Vi, ..Look::default() }] {
            let html = NoAccountPage { chrome: Chrome::bare(look) }.render().unwrap();
            assert!(html.starts_with("<!doctype html>") && html.contains("<main"), "{html}");
        }
    }
}
