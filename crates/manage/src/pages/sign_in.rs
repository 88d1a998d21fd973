//! Signing in by e-mail and password, by an identity provider and by a one-time link; signing out.
//!
//! Every refusal of a password is the same page with the same status: whether an address is known, has a password or is
//! disabled is told to nobody.

use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use tollgate_core::seal::SecretText;

use super::{Chrome, FieldErrors, Flash, Form, Look, Paged, encode, render, safe_next, texts::SignIn};
use crate::{
    extract,
    principal::Principal,
    problem,
    services::{OidcCallback, OidcProblem, ServiceError, Services, Session, Visitor},
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
    errors: FieldErrors,
    email: String,
    next: String,
    oidc: Option<Provider>,
}
#[derive(Template)]
#[template(path = "sign_in/failed.html")]
struct FailedPage {
    chrome: Chrome,
    t: &'static SignIn,
    text: &'static str,
    code: &'static str,
}

/// The button of the identity provider.
pub(super) struct Provider {
    /// Its words.
    pub(super) label: String,
    /// Where it leads.
    pub(super) href: String,
}

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/sign-in", get(sign_in_page).post(sign_in))
        .route("/sign-in/oidc", get(oidc_begin))
        .route("/sign-in/oidc/callback", get(oidc_finish))
        .route("/sign-in/{token}", get(link_form).post(link_redeem))
        .route("/sign-out", post(sign_out))
}

/// Where one goes after signing in.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: Option<String>,
}

pub(super) fn provider(services: &Services, next: &str) -> Option<Provider> {
    let href = if next == "/" { "/sign-in/oidc".to_owned() } else { format!("/sign-in/oidc?next={}", encode(next)) };
    services.oidc_label().map(|label| Provider { label: label.to_owned(), href })
}

fn page(services: &Services, look: Look, status: StatusCode, email: &str, next: &str, errors: FieldErrors) -> Response {
    let page = SignInPage {
        chrome: Chrome::bare(look),
        t: SignIn::of(look.lang),
        errors,
        email: email.to_owned(),
        next: next.to_owned(),
        oidc: provider(services, next),
    };
    render(status, &page)
}

async fn sign_in_page(State(services): State<Services>, look: Look, Query(query): Query<Next>) -> Response {
    page(&services, look, StatusCode::OK, "", safe_next(query.next.as_deref()), FieldErrors::default())
}

/// The answer that opens a session: always a new one, whatever the browser had before.
pub(super) fn signed_in(services: &Services, session: &Session, next: &str) -> Response {
    let cookie = extract::cookie(services, Some(session.plain.expose()));
    ([(header::SET_COOKIE, cookie)], Redirect::to(next)).into_response()
}

async fn sign_in(State(services): State<Services>, look: Look, visitor: Visitor, form: Form) -> Paged {
    let (t, email, next) = (SignIn::of(look.lang), form.text("email"), safe_next(form.some("next")));
    let mut errors = FieldErrors::default();
    let password = SecretText::new(form.raw("password").to_owned());
    match services.password_sign_in(email, password, &visitor).await {
        Ok(Some(session)) => Ok(signed_in(&services, &session, next)),
        Ok(None) => {
            errors.add("", t.refused);
            Ok(page(&services, look, StatusCode::UNPROCESSABLE_ENTITY, email, next, errors))
        }
        Err(ServiceError::TooManyAttempts { retry_after }) => {
            errors.add("", t.too_many);
            let mut response = page(&services, look, StatusCode::TOO_MANY_REQUESTS, email, next, errors);
            response.headers_mut().insert(header::RETRY_AFTER, problem::seconds(retry_after).into());
            Ok(response)
        }
        Err(error) => Err(error.into()),
    }
}

fn link_page(look: Look, fits: bool) -> Response {
    let status = if fits { StatusCode::OK } else { StatusCode::NOT_FOUND };
    render(status, &LinkPage { chrome: Chrome::bare(look), t: SignIn::of(look.lang), fits })
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
    let Some(session) = services.link_redeem(token.as_bytes(), &visitor).await? else {
        return Ok(link_page(look, false));
    };
    let mut response = signed_in(&services, &session, "/");
    let (identity, _) = services.session_identify(session.plain.expose().as_bytes()).await?;
    let principal = Principal::new(identity, visitor.address);
    let other_ways =
        services.password_is_set(&principal).await? || !services.oidc_issuers(&principal).await?.is_empty();
    // Whoever came by a link should not need another one.
    if !other_ways && let Ok(value) = HeaderValue::from_str(&Flash::SetPassword.to_cookie()) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    Ok(response)
}

/// How this browser reaches the deployment: its public address; without one, this machine's own.
fn base(services: &Services, headers: &HeaderMap) -> Result<String, OidcProblem> {
    if let Some(public) = &services.public_url {
        return Ok(public.clone());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    // Whoever else asks brings a `Host` that nobody vouches for.
    let own = name == "localhost"
        || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if own { Ok(format!("http://{host}")) } else { Err(OidcProblem::NotSet) }
}

async fn oidc_begin(
    State(services): State<Services>,
    look: Look,
    visitor: Visitor,
    Query(query): Query<Next>,
    headers: HeaderMap,
) -> Paged {
    let next = safe_next(query.next.as_deref());
    match async { services.oidc_begin(&base(&services, &headers)?, next, &visitor).await }.await {
        Ok(begun) => {
            let cookie = extract::oidc_cookie(&services, Some(&begun.cookie));
            Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&begun.url)).into_response())
        }
        Err(problem) => oidc_failed(look, problem),
    }
}

async fn oidc_finish(
    State(services): State<Services>,
    look: Look,
    visitor: Visitor,
    Query(callback): Query<OidcCallback>,
    headers: HeaderMap,
) -> Paged {
    let cookie = super::cookie(&headers, extract::oidc_cookie_name(&services));
    let finished =
        async { services.oidc_finish(&base(&services, &headers)?, cookie.as_deref(), callback, &visitor).await };
    let mut response = match finished.await {
        Ok((session, next)) => signed_in(&services, &session, safe_next(Some(&next))),
        Err(problem) => oidc_failed(look, problem)?,
    };
    if let Ok(gone) = HeaderValue::from_str(&extract::oidc_cookie(&services, None)) {
        response.headers_mut().append(header::SET_COOKIE, gone);
    }
    Ok(response)
}

fn oidc_failed(look: Look, problem: OidcProblem) -> Paged {
    let t = SignIn::of(look.lang);
    let code = problem.code();
    let (status, text) = match problem {
        OidcProblem::Service(error) => return Err(error.into()),
        OidcProblem::NotSet => return Err(ServiceError::NotFound(crate::services::Noun::Thing).into()),
        OidcProblem::State => (400, t.oidc_state),
        OidcProblem::Code => (400, t.oidc_token),
        OidcProblem::Token => (403, t.oidc_token),
        OidcProblem::Denied => (403, t.oidc_denied),
        OidcProblem::Provider => (502, t.oidc_provider),
        OidcProblem::EmailNotVerified => (403, t.oidc_unverified),
        OidcProblem::Unknown => (403, t.oidc_unknown),
        OidcProblem::AddressTaken => (403, t.oidc_taken),
        OidcProblem::Disabled => (403, t.disabled),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
    Ok(render(status, &FailedPage { chrome: Chrome::bare(look), t, text, code }))
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
    use super::super::{Lang, hostile};
    use super::*;

    #[test]
    fn the_pages_render_in_both_languages_and_what_was_typed_stays_text() {
        for lang in Lang::ALL {
            let look = Look { lang, ..Look::default() };
            let t = SignIn::of(lang);
            for html in [
                LinkPage { chrome: Chrome::bare(look), t, fits: true }.render().unwrap(),
                LinkPage { chrome: Chrome::bare(look), t, fits: false }.render().unwrap(),
                FailedPage { chrome: Chrome::bare(look), t, text: t.oidc_state, code: "oidc_state" }.render().unwrap(),
            ] {
                assert!(html.starts_with("<!doctype html>") && html.contains("<main"), "{html}");
                assert!(html.contains(&format!("<html lang=\"{}\"", lang.tag())));
                assert!(!html.contains(" style=") && !html.contains("<script>"), "{html}");
            }
            for name in hostile::NAMES {
                let mut errors = FieldErrors::default();
                errors.add("", t.refused);
                let page = SignInPage {
                    chrome: Chrome::bare(look),
                    t,
                    errors,
                    email: (*name).into(),
                    next: (*name).into(),
                    oidc: Some(Provider { label: (*name).into(), href: "/sign-in/oidc".into() }),
                };
                hostile::check(&page.render().unwrap(), name);
            }
        }
    }
}
