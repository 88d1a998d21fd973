//! One's own profile: name, password, sessions; access tokens are beside it.

mod browser;
mod tokens;

use askama::Template;
use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::{get, post},
};
use http::StatusCode;
use tollgate_core::{name::Label, seal::SecretText, secret::PublicId};
use tollgate_store::accounts::{SessionView, SignInMethod};

use self::tokens::TokenRow;
use super::{
    Chrome, FieldErrors, Flash, Form, Lang, Paged, Place, Viewer, When,
    ask::Ask,
    render,
    texts::{Errors, Me},
};
use crate::services::{Noun, PasswordProblem, ServiceError, Services, password_check};

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/me", get(show))
        .route("/me/name", get(name_form).post(rename))
        .route("/me/password", get(password_form).post(password_set))
        .route("/me/password/remove", get(remove_form).post(password_remove))
        .route("/me/sessions/revoke", get(everywhere_ask).post(everywhere))
        .route("/me/sessions/{session}/revoke", post(session_end))
        .merge(tokens::router())
}

#[derive(Template)]
#[template(path = "me/me.html")]
struct MePage {
    chrome: Chrome,
    t: &'static Me,
    name: String,
    email: Option<String>,
    providers: Vec<String>,
    has_password: bool,
    sessions: Vec<SessionRow>,
    tokens: Vec<TokenRow>,
    may_make_tokens: bool,
}
struct SessionRow {
    id: String,
    current: bool,
    /// The browser as people know it, and what it says itself.
    browser: String,
    agent: String,
    method: &'static str,
    address: String,
    since: When,
    seen: When,
}
#[derive(Template)]
#[template(path = "me/name.html")]
struct NamePage {
    chrome: Chrome,
    t: &'static Me,
    e: &'static Errors,
    typed: String,
    errors: FieldErrors,
}
#[derive(Template)]
#[template(path = "me/password.html")]
struct PasswordPage {
    chrome: Chrome,
    t: &'static Me,
    e: &'static Errors,
    title: &'static str,
    action: &'static str,
    /// For password managers: whose it is.
    email: Option<String>,
    has_password: bool,
    removing: bool,
    errors: FieldErrors,
}

/// Why a password is not taken, in words.
pub(super) const fn password_words(lang: Lang, problem: PasswordProblem) -> &'static str {
    let t = Me::of(lang);
    match problem {
        PasswordProblem::TooShort => t.too_short,
        PasswordProblem::TooLong => t.too_long,
        PasswordProblem::Common => t.too_common,
        PasswordProblem::Own => t.own_name,
    }
}

fn session_row(t: &'static Me, current: PublicId) -> impl Fn(SessionView) -> SessionRow {
    move |session| SessionRow {
        id: session.public_id.to_string(),
        current: session.public_id == current,
        browser: session.agent.as_deref().map_or_else(|| t.unknown_browser.to_owned(), |agent| browser::name(agent, t)),
        agent: session.agent.unwrap_or_default(),
        method: match session.method {
            SignInMethod::Link => t.method_link,
            SignInMethod::Password => t.method_password,
            SignInMethod::Oidc => t.method_oidc,
            SignInMethod::Invitation => t.method_invitation,
        },
        address: session.address.unwrap_or_else(|| "–".to_owned()),
        since: When(session.created_at),
        seen: When(session.last_seen_at),
    }
}

async fn show(State(services): State<Services>, viewer: Viewer) -> Paged {
    let (principal, t) = (&viewer.principal, Me::of(viewer.look.lang));
    let sessions = services.session_list(principal).await?;
    let user = principal.user();
    let page = MePage {
        chrome: Chrome::own(&viewer, Place::Profile),
        t,
        name: user.name.to_string(),
        email: user.email.as_ref().map(ToString::to_string),
        providers: services.oidc_issuers(principal).await?,
        has_password: services.password_is_set(principal).await?,
        sessions: sessions.into_iter().map(session_row(t, viewer.session)).collect(),
        tokens: tokens::rows(&services, &viewer).await?,
        may_make_tokens: principal.is_operator() || !user.memberships.is_empty(),
    };
    Ok(render(StatusCode::OK, &page))
}

fn status(errors: &FieldErrors) -> StatusCode {
    if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }
}

fn name_page(viewer: &Viewer, typed: &str, errors: FieldErrors) -> Response {
    let lang = viewer.look.lang;
    let page = NamePage {
        chrome: Chrome::own(viewer, Place::Profile),
        t: Me::of(lang),
        e: Errors::of(lang),
        typed: typed.to_owned(),
        errors,
    };
    render(status(&page.errors), &page)
}
async fn name_form(viewer: Viewer) -> Response {
    name_page(&viewer, viewer.principal.user().name.as_str(), FieldErrors::default())
}
async fn rename(State(services): State<Services>, viewer: Viewer, form: Form) -> Paged {
    let typed = form.text("name");
    let Ok(name) = typed.parse::<Label>() else {
        let mut errors = FieldErrors::default();
        errors.add("name", Errors::of(viewer.look.lang).bad_name);
        return Ok(name_page(&viewer, typed, errors));
    };
    services.me_rename(&viewer.principal, name).await?;
    Ok(viewer.go_saying("/me", Flash::Saved))
}

async fn password_page(services: &Services, viewer: &Viewer, removing: bool, errors: FieldErrors) -> Paged {
    let t = Me::of(viewer.look.lang);
    let has_password = services.password_is_set(&viewer.principal).await?;
    let page = PasswordPage {
        chrome: Chrome::own(viewer, Place::Profile),
        t,
        e: Errors::of(viewer.look.lang),
        title: match (removing, has_password) {
            (true, _) => t.remove_password,
            (false, true) => t.change_password,
            (false, false) => t.set_password,
        },
        action: if removing { "/me/password/remove" } else { "/me/password" },
        email: viewer.principal.user().email.as_ref().map(ToString::to_string),
        has_password,
        removing,
        errors,
    };
    Ok(render(status(&page.errors), &page))
}
async fn password_form(State(services): State<Services>, viewer: Viewer) -> Paged {
    password_page(&services, &viewer, false, FieldErrors::default()).await
}
async fn remove_form(State(services): State<Services>, viewer: Viewer) -> Paged {
    password_page(&services, &viewer, true, FieldErrors::default()).await
}

/// What the form says of the password one has.
fn current(form: &Form) -> Option<SecretText> {
    Some(form.raw("current")).filter(|text| !text.is_empty()).map(|text| SecretText::new(text.to_owned()))
}
/// A refusal as words beside the field that it is about.
fn refusal(lang: Lang, error: ServiceError) -> Result<FieldErrors, ServiceError> {
    let t = Me::of(lang);
    let mut errors = FieldErrors::default();
    match error {
        ServiceError::Invalid { field, .. } if field == "current" => errors.add("current", t.wrong_current),
        ServiceError::State(_) => errors.add("", t.last_way_in),
        ServiceError::TooManyAttempts { .. } => errors.add("", Errors::of(lang).too_many),
        error => return Err(error),
    }
    Ok(errors)
}

async fn password_set(State(services): State<Services>, viewer: Viewer, form: Form) -> Paged {
    let (user, lang) = (viewer.principal.user(), viewer.look.lang);
    let password = form.raw("password");
    let email = user.email.as_ref().map(AsRef::as_ref);
    if let Err(problem) = password_check(password, user.name.as_str(), email) {
        let mut errors = FieldErrors::default();
        errors.add("password", password_words(lang, problem));
        return password_page(&services, &viewer, false, errors).await;
    }
    let password = SecretText::new(password.to_owned());
    match services.password_change(&viewer.principal, current(&form), password, viewer.session).await {
        Ok(()) => Ok(viewer.go_saying("/me", Flash::PasswordSaved)),
        Err(error) => password_page(&services, &viewer, false, refusal(lang, error)?).await,
    }
}
async fn password_remove(State(services): State<Services>, viewer: Viewer, form: Form) -> Paged {
    match services.password_remove(&viewer.principal, current(&form), viewer.session).await {
        Ok(()) => Ok(viewer.go_saying("/me", Flash::PasswordRemoved)),
        Err(error) => password_page(&services, &viewer, true, refusal(viewer.look.lang, error)?).await,
    }
}

async fn session_end(State(services): State<Services>, viewer: Viewer, Path(session): Path<String>, _: Form) -> Paged {
    let session: PublicId = session.parse().map_err(|_| ServiceError::NotFound(Noun::Session))?;
    services.session_revoke(&viewer.principal, session).await?;
    Ok(viewer.go_saying("/me", Flash::SessionEnded))
}
async fn everywhere_ask(viewer: Viewer) -> Response {
    let t = Me::of(viewer.look.lang);
    let ask = Ask {
        chrome: Chrome::own(&viewer, Place::Profile),
        title: t.end_everywhere.to_owned(),
        lines: vec![t.end_everywhere_ask],
        wrong: None,
        action: "/me/sessions/revoke".to_owned(),
        back: "/me".to_owned(),
        button: t.end_everywhere,
    };
    ask.page()
}
async fn everywhere(State(services): State<Services>, viewer: Viewer, _: Form) -> Paged {
    services.session_revoke_all(&viewer.principal, Some(viewer.session)).await?;
    Ok(viewer.go_saying("/me", Flash::SignedOutElsewhere))
}

#[cfg(test)]
mod tests {
    use super::super::{Look, hostile};
    use super::*;

    #[test]
    fn hostile_names_stay_text_in_both_languages() {
        for lang in Lang::ALL {
            let chrome = || Chrome::bare(Look { lang, ..Look::default() });
            let (t, e) = (Me::of(lang), Errors::of(lang));
            for name in hostile::NAMES {
                let text = || (*name).to_owned();
                let when = When("2026-11-20T08:05:09Z".parse().unwrap());
                let session = |current| SessionRow {
                    id: "3Fk09aZxQ1bT".into(),
                    current,
                    browser: text(),
                    agent: text(),
                    method: t.method_oidc,
                    address: text(),
                    since: when,
                    seen: when,
                };
                let token =
                    |dead, ends| TokenRow { id: text(), name: text(), account: text(), created: when, ends, dead };
                let page = MePage {
                    chrome: chrome(),
                    t,
                    name: text(),
                    email: Some(text()),
                    providers: vec![text()],
                    has_password: true,
                    sessions: vec![session(true), session(false)],
                    tokens: vec![token(None, Some(when)), token(Some(t.revoked), None), token(None, None)],
                    may_make_tokens: true,
                };
                hostile::check(&page.render().unwrap(), name);
                let mut errors = FieldErrors::default();
                for field in ["", "name", "current", "password"] {
                    errors.add(field, text());
                }
                let page = NamePage { chrome: chrome(), t, e, typed: text(), errors: errors.clone() };
                hostile::check(&page.render().unwrap(), name);
                for removing in [false, true] {
                    let page = PasswordPage {
                        chrome: chrome(),
                        t,
                        e,
                        title: t.set_password,
                        action: "/me/password",
                        email: Some(text()),
                        has_password: true,
                        removing,
                        errors: errors.clone(),
                    };
                    hostile::check(&page.render().unwrap(), name);
                }
            }
        }
    }

    #[test]
    fn each_reason_against_a_password_has_its_words() {
        use PasswordProblem::{Common, Own, TooLong, TooShort};
        for lang in Lang::ALL {
            let words = [TooShort, TooLong, Common, Own].map(|problem| password_words(lang, problem));
            assert!(words.iter().enumerate().all(|(at, text)| !words[at + 1..].contains(text)), "{words:?}");
        }
    }
}
