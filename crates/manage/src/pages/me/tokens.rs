//! Access tokens on one's own page: made, shown once, revoked.

use std::time::Duration;

use askama::Template;
use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use http::StatusCode;
use tollgate_core::{Id, account::AccessToken, name::Label};

use super::status;
use crate::{
    pages::{
        Chrome, FieldErrors, Flash, Form, Paged, Place, Viewer, When,
        ask::{Ask, Shown},
        render,
        texts::{Errors, Me, fill},
    },
    services::{Noun, ServiceError, Services, TokenInput},
};

/// After how many days a token ends by itself, as a form offers it; none: never.
const LIVES: [u64; 4] = [7, 30, 90, 365];
/// What is chosen at first.
const USUAL_LIFE: &str = "90";
const NEVER: &str = "never";

pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/me/tokens/new", get(form_page).post(create))
        .route("/me/tokens/{token}/revoke", get(revoke_ask).post(revoke))
}

/// A token in the list.
pub(super) struct TokenRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) account: String,
    pub(super) created: When,
    pub(super) ends: Option<When>,
    /// Why it works no more.
    pub(super) dead: Option<&'static str>,
}

type Choice = (String, String, bool);

#[derive(Template)]
#[template(path = "me/token_new.html")]
struct NewPage {
    chrome: Chrome,
    t: &'static Me,
    e: &'static Errors,
    typed: String,
    /// What may be chosen: value, words, whether it is.
    accounts: Vec<Choice>,
    lives: Vec<Choice>,
    errors: FieldErrors,
}

/// The viewer's tokens, newest first.
pub(super) async fn rows(services: &Services, viewer: &Viewer) -> Result<Vec<TokenRow>, ServiceError> {
    let (t, now) = (Me::of(viewer.look.lang), services.world.now());
    let own = &viewer.principal.user().memberships;
    let tokens = services.token_list(&viewer.principal, None).await?;
    let account = |token: &AccessToken| match token.account {
        None => t.token_all.to_owned(),
        Some(id) => match own.iter().find(|own| own.account == id) {
            Some(own) => own.account_handle.to_string(),
            None => id.to_string(),
        },
    };
    let row = |token: AccessToken| TokenRow {
        account: account(&token),
        id: token.id.to_string(),
        name: token.name.to_string(),
        created: When(token.created_at),
        ends: token.expires_at.map(When),
        dead: match (token.revoked_at, token.expires_at) {
            (Some(_), _) => Some(t.revoked),
            (None, Some(end)) if end <= now => Some(t.expired),
            _ => None,
        },
    };
    Ok(tokens.into_iter().map(row).collect())
}

fn new_page(viewer: &Viewer, form: &Form, errors: FieldErrors) -> axum::response::Response {
    let t = Me::of(viewer.look.lang);
    let (account, days) = (form.text("account"), form.some("days").unwrap_or(USUAL_LIFE));
    let own = viewer.principal.user().memberships.iter().map(|own| own.account_handle.to_string());
    let mut accounts: Vec<Choice> = own.map(|handle| (handle.clone(), handle.clone(), handle == account)).collect();
    if viewer.principal.is_operator() {
        accounts.push((String::new(), t.token_all.to_owned(), account.is_empty() && form.some("name").is_some()));
    }
    let lives = LIVES.iter().map(|life| (life.to_string(), fill(t.days, &[life]), life.to_string() == days));
    let page = NewPage {
        chrome: Chrome::own(viewer, Place::Profile),
        t,
        e: Errors::of(viewer.look.lang),
        typed: form.text("name").to_owned(),
        accounts,
        lives: lives.chain([(NEVER.to_owned(), t.never.to_owned(), days == NEVER)]).collect(),
        errors,
    };
    render(status(&page.errors), &page)
}

async fn form_page(viewer: Viewer) -> axum::response::Response {
    new_page(&viewer, &Form::default(), FieldErrors::default())
}

async fn create(State(services): State<Services>, viewer: Viewer, form: Form) -> Paged {
    let (t, e) = (Me::of(viewer.look.lang), Errors::of(viewer.look.lang));
    let mut errors = FieldErrors::default();
    let name = form.text("name").parse::<Label>().map_err(|_| errors.add("name", e.bad_name)).ok();
    let days = form.text("days").parse::<u64>().ok().filter(|days| LIVES.contains(days));
    let expires_at = days.map(|days| services.world.now().plus(Duration::from_secs(days * 86_400)));
    let Some(name) = name else { return Ok(new_page(&viewer, &form, errors)) };
    let input = TokenInput { name, expires_at, account: form.some("account").map(str::to_owned), user: None };
    match services.token_create(&viewer.principal, input, None).await {
        Ok(made) => {
            let page = Shown {
                chrome: Chrome::own(&viewer, Place::Profile),
                title: t.token_made,
                once: t.token_once,
                secret: made.plain.expose().to_owned(),
                copy: t.copy,
                done: t.done,
                done_href: "/me".to_owned(),
            };
            Ok(render(StatusCode::OK, &page))
        }
        Err(ServiceError::NotFound(_) | ServiceError::Invalid { .. } | ServiceError::State(_)) => {
            errors.add("account", e.required);
            Ok(new_page(&viewer, &form, errors))
        }
        Err(error) => Err(error.into()),
    }
}

/// The viewer's token of this id.
async fn own(services: &Services, viewer: &Viewer, id: &str) -> Result<AccessToken, ServiceError> {
    let none = || ServiceError::NotFound(Noun::Token);
    let id: Id<AccessToken> = id.parse().map_err(|_| none())?;
    let tokens = services.token_list(&viewer.principal, None).await?;
    tokens.into_iter().find(|token| token.id == id).ok_or_else(none)
}

async fn revoke_ask(State(services): State<Services>, viewer: Viewer, Path(token): Path<String>) -> Paged {
    let token = own(&services, &viewer, &token).await?;
    let t = Me::of(viewer.look.lang);
    let ask = Ask {
        chrome: Chrome::own(&viewer, Place::Profile),
        title: fill(t.revoke_ask, &[&token.name]),
        lines: Vec::new(),
        wrong: None,
        action: format!("/me/tokens/{}/revoke", token.id),
        back: "/me".to_owned(),
        button: t.revoke,
    };
    Ok(ask.page())
}
async fn revoke(State(services): State<Services>, viewer: Viewer, Path(token): Path<String>, _: Form) -> Paged {
    let token = own(&services, &viewer, &token).await?;
    services.token_revoke(&viewer.principal, None, token.id).await?;
    Ok(viewer.go_saying("/me", Flash::TokenRevoked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::{Lang, Look, hostile};

    #[test]
    fn hostile_names_stay_text() {
        for lang in Lang::ALL {
            for name in hostile::NAMES {
                let text = || (*name).to_owned();
                let mut errors = FieldErrors::default();
                errors.add("name", text());
                errors.add("account", text());
                let page = NewPage {
                    chrome: Chrome::bare(Look { lang, ..Look::default() }),
                    t: Me::of(lang),
                    e: Errors::of(lang),
                    typed: text(),
                    accounts: vec![(text(), text(), true)],
                    lives: vec![("7".into(), text(), false)],
                    errors,
                };
                hostile::check(&page.render().unwrap(), name);
            }
        }
    }
}
