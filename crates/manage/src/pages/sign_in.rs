//! Signing in by a one-time link, and signing out.

use askama::Template;
use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode, header};

use super::{Chrome, Form, Look, Paged, render, texts::SignIn};
use crate::{
    extract,
    services::{ServiceError, Services, Visitor},
};

#[derive(Template)]
#[template(path = "sign_in/link.html")]
struct LinkPage {
    chrome: Chrome,
    t: &'static SignIn,
    fits: bool,
}
#[derive(Template)]
#[template(path = "sign_in/sign_in.html")]
struct SignInPage {
    chrome: Chrome,
    t: &'static SignIn,
}

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/sign-in", get(sign_in_page))
        .route("/sign-in/{token}", get(link_form).post(link_redeem))
        .route("/sign-out", post(sign_out))
}

fn link_page(look: Look, fits: bool) -> Response {
    let status = if fits { StatusCode::OK } else { StatusCode::NOT_FOUND };
    render(status, &LinkPage { chrome: Chrome::bare(look), t: SignIn::of(look.lang), fits })
}

async fn sign_in_page(look: Look) -> Response {
    render(StatusCode::OK, &SignInPage { chrome: Chrome::bare(look), t: SignIn::of(look.lang) })
}

/// Opening a link uses nothing up: programs that preview links open them too. The button does.
async fn link_form(State(services): State<Services>, look: Look, Path(token): Path<String>) -> Response {
    link_page(look, services.link_fits(token.as_bytes()))
}

async fn link_redeem(
    State(services): State<Services>,
    look: Look,
    visitor: Visitor,
    Path(token): Path<String>,
    _: Form,
) -> Paged {
    Ok(match services.link_redeem(token.as_bytes(), &visitor).await? {
        Some(session) => {
            let cookie = extract::cookie(&services, Some(session.plain.expose()));
            ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
        }
        None => link_page(look, false),
    })
}

async fn sign_out(State(services): State<Services>, headers: HeaderMap, _: Form) -> Paged {
    if let Some(cookie) = extract::session_cookie(&headers, &services) {
        match services.session_identify(cookie.as_bytes()).await {
            Ok((_, session)) => services.session_end(session).await?,
            Err(ServiceError::InvalidToken) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let gone = extract::cookie(&services, None);
    Ok(([(header::SET_COOKIE, gone)], Redirect::to("/sign-in")).into_response())
}

#[cfg(test)]
mod tests {
    use super::super::Lang;
    use super::*;

    #[test]
    fn the_pages_render_in_both_languages() {
        for lang in Lang::ALL {
            let look = Look { lang, ..Look::default() };
            let t = SignIn::of(lang);
            for html in [
                LinkPage { chrome: Chrome::bare(look), t, fits: true }.render().unwrap(),
                LinkPage { chrome: Chrome::bare(look), t, fits: false }.render().unwrap(),
                SignInPage { chrome: Chrome::bare(look), t }.render().unwrap(),
            ] {
                assert!(html.starts_with("<!doctype html>") && html.contains("<main"), "{html}");
                assert!(html.contains(&format!("<html lang=\"{}\"", lang.tag())));
                assert!(!html.contains(" style=") && !html.contains("<script>"), "{html}");
            }
        }
    }
}
