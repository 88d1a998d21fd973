//! Accepting an invitation: by somebody signed in, or by somebody new, who becomes a user thereby.

use askama::Template;
use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::get,
};
use http::{HeaderMap, StatusCode};
use tollgate_core::{
    account::Invitation,
    name::{Email, Label},
    seal::SecretText,
};

use super::{
    Chrome, FieldErrors, Flash, Form, Look, Paged,
    chrome::role_name,
    encode,
    me::password_words,
    render,
    sign_in::{Provider, provider, signed_in},
    texts::{Common, Errors, SignIn, fill},
};
use crate::{
    extract,
    principal::Principal,
    services::{Newcomer, ServiceError, Services, Visitor, password_check},
};

#[derive(Template)]
#[template(path = "sign_in/invitation.html")]
struct InvitationPage {
    chrome: Chrome,
    t: &'static SignIn,
    title: String,
    text: String,
    /// Who is signed in.
    me: Option<String>,
    typed_name: String,
    email: String,
    /// The invitation names the address: it is not typed.
    email_fixed: bool,
    sign_in: String,
    oidc: Option<Provider>,
    errors: FieldErrors,
}
#[derive(Template)]
#[template(path = "sign_in/invitation_gone.html")]
struct GonePage {
    chrome: Chrome,
    t: &'static SignIn,
}

pub(super) fn router() -> Router<Services> {
    Router::new().route("/invitations/{token}", get(show).post(accept))
}

fn gone(look: Look) -> Response {
    render(StatusCode::NOT_FOUND, &GonePage { chrome: Chrome::bare(look), t: SignIn::of(look.lang) })
}

/// Who is signed in, if anybody.
async fn somebody(
    services: &Services,
    headers: &HeaderMap,
    visitor: &Visitor,
) -> Result<Option<Principal>, ServiceError> {
    let Some(cookie) = extract::session_cookie(headers, services) else { return Ok(None) };
    match services.session_identify(cookie.as_bytes()).await {
        Ok((identity, _)) => Ok(Some(Principal::new(identity, visitor.address))),
        Err(ServiceError::InvalidToken) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the page shows beside the invitation.
struct Shown<'a> {
    look: Look,
    token: &'a str,
    me: Option<&'a Principal>,
    name: &'a str,
    email: &'a str,
    errors: FieldErrors,
}

fn page(services: &Services, invitation: &Invitation, shown: Shown<'_>) -> Response {
    let Shown { look, token, me, name, email, errors } = shown;
    let t = SignIn::of(look.lang);
    let role = role_name(Common::of(look.lang), invitation.role);
    let here = format!("/invitations/{}", encode(token));
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = InvitationPage {
        chrome: Chrome::bare(look),
        t,
        title: fill(t.invited_title, &[&invitation.account_name]),
        text: match &invitation.created_by {
            Some(by) => fill(t.invited_by, &[by, &role]),
            None => fill(t.invited, &[&role]),
        },
        me: me.map(|me| fill(t.invited_as_me, &[&me.user().name])),
        typed_name: name.to_owned(),
        email: invitation.email.as_ref().map_or_else(|| email.to_owned(), ToString::to_string),
        email_fixed: invitation.email.is_some(),
        sign_in: format!("/sign-in?next={}", encode(&here)),
        oidc: provider(services, &here),
        errors,
    };
    render(status, &page)
}

async fn show(
    State(services): State<Services>,
    look: Look,
    visitor: Visitor,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Paged {
    let Some(invitation) = services.invitation_find(token.as_bytes(), &visitor).await? else { return Ok(gone(look)) };
    let me = somebody(&services, &headers, &visitor).await?;
    let errors = FieldErrors::default();
    let shown = Shown { look, token: &token, me: me.as_ref(), name: "", email: "", errors };
    Ok(page(&services, &invitation, shown))
}

async fn accept(
    State(services): State<Services>,
    look: Look,
    visitor: Visitor,
    headers: HeaderMap,
    Path(token): Path<String>,
    form: Form,
) -> Paged {
    let Some(invitation) = services.invitation_find(token.as_bytes(), &visitor).await? else { return Ok(gone(look)) };
    let (t, e) = (SignIn::of(look.lang), Errors::of(look.lang));
    let home = format!("/a/{}/keys", invitation.account_handle);
    let mut errors = FieldErrors::default();
    let me = somebody(&services, &headers, &visitor).await?;
    let (name, email) = (form.text("name"), form.text("email"));
    if let Some(me) = &me {
        return match services.invitation_accept(me, token.as_bytes()).await {
            Ok(Some(_)) => Ok(joined(super::viewer::go(false, &home))),
            Ok(None) => Ok(gone(look)),
            Err(ServiceError::State(_)) => {
                errors.add("", t.not_yours);
                Ok(page(&services, &invitation, Shown { look, token: &token, me: Some(me), name, email, errors }))
            }
            Err(error) => Err(error.into()),
        };
    }
    let parsed_name = name.parse::<Label>().map_err(|_| errors.add("name", e.bad_name)).ok();
    let parsed_email = match &invitation.email {
        Some(email) => Some(email.clone()),
        None => email.parse::<Email>().map_err(|_| errors.add("email", t.bad_email)).ok(),
    };
    let known = parsed_email.as_ref().map(Email::as_str);
    if let Err(problem) = password_check(form.raw("password"), name, known) {
        errors.add("password", password_words(look.lang, problem));
    }
    let shown = |errors| Shown { look, token: &token, me: None, name, email, errors };
    let (Some(parsed_name), Some(parsed_email), true) = (parsed_name, parsed_email, errors.is_empty()) else {
        return Ok(page(&services, &invitation, shown(errors)));
    };
    let password = SecretText::new(form.raw("password").to_owned());
    let newcomer = Newcomer { name: parsed_name, email: parsed_email, password };
    match services.invitation_accept_new(token.as_bytes(), newcomer, &visitor).await {
        Ok(Some((_, session))) => Ok(joined(signed_in(&services, &session, &home))),
        Ok(None) => Ok(gone(look)),
        Err(ServiceError::Exists(_)) => {
            errors.add("email", t.email_taken);
            Ok(page(&services, &invitation, shown(errors)))
        }
        Err(error) => Err(error.into()),
    }
}

fn joined(mut response: Response) -> Response {
    if let Ok(value) = http::HeaderValue::from_str(&Flash::Joined.to_cookie()) {
        response.headers_mut().append(http::header::SET_COOKIE, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::super::{Lang, hostile};
    use super::*;

    #[test]
    fn hostile_names_stay_text_for_strangers_and_for_those_signed_in() {
        for lang in Lang::ALL {
            let look = Look { lang, ..Look::default() };
            let t = SignIn::of(lang);
            hostile::check(&GonePage { chrome: Chrome::bare(look), t }.render().unwrap(), "");
            for name in hostile::NAMES {
                let text = || (*name).to_owned();
                for (me, email_fixed) in [(None, false), (None, true), (Some(text()), true)] {
                    let mut errors = FieldErrors::default();
                    for field in ["", "name", "email", "password"] {
                        errors.add(field, *name);
                    }
                    let page = InvitationPage {
                        chrome: Chrome::bare(look),
                        t,
                        title: text(),
                        text: text(),
                        me,
                        typed_name: text(),
                        email: text(),
                        email_fixed,
                        sign_in: "/sign-in".into(),
                        oidc: None,
                        errors,
                    };
                    hostile::check(&page.render().unwrap(), name);
                }
            }
        }
    }
}
