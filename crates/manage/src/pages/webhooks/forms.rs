//! The sheets of webhooks: made, edited, given another secret, removed.

use askama::Template;
use axum::{Router, response::Response, routing::get};
use http::StatusCode;
use tollgate_core::name::Label;
use tollgate_store::webhooks::WebhookView;

use super::Here;
use crate::{
    pages::{
        Chrome, FieldErrors, Flash, Form, Paged,
        ask::{Ask, Shown},
        render,
        texts::{Errors, Webhooks, fill},
    },
    services::{ServiceError, Services, WebhookChange, WebhookInput, WebhookRotateInput, WebhookShown},
};

/// What marks the values of our own forms among those that programs send as `Idempotency-Key`.
const OF_A_FORM: &str = "form-";
/// The longest value of a form: its mark and 32 digits.
const LONGEST_ONCE: usize = 64;

pub(super) fn router(base: &str) -> Router<Services> {
    Router::new()
        .route(&format!("{base}/new"), get(create_form).post(create))
        .route(&format!("{base}/{{webhook}}/edit"), get(edit_form).post(edit))
        .route(&format!("{base}/{{webhook}}/rotate"), get(rotate_ask).post(rotate))
        .route(&format!("{base}/{{webhook}}/remove"), get(remove_ask).post(remove))
}

#[derive(Template)]
#[template(path = "webhooks/form.html")]
struct FormPage {
    chrome: Chrome,
    t: &'static Webhooks,
    e: &'static Errors,
    title: &'static str,
    button: &'static str,
    hint: &'static str,
    action: String,
    back: String,
    typed_name: String,
    url: String,
    /// A value of this form alone: a repeat makes no second webhook.
    once: Option<String>,
    /// The version that was read.
    version: Option<i64>,
    errors: FieldErrors,
}

/// A form's page: a new webhook's, or that of one that is there.
fn form_page(here: &Here, webhook: Option<(&WebhookView, i64)>, form: &Form, errors: FieldErrors) -> Response {
    let t = here.t();
    let allows_private = here.access.is_none() || here.services.notifier.allows_private();
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = FormPage {
        chrome: here.chrome(),
        t,
        e: Errors::of(here.lang()),
        title: if webhook.is_some() { t.edit_title } else { t.add },
        button: if webhook.is_some() { t.save } else { t.add },
        hint: if allows_private { t.endpoint_hint_private } else { t.endpoint_hint },
        action: webhook.map_or_else(|| format!("{}/new", here.base), |(one, _)| format!("{}/edit", here.at(one))),
        back: webhook.map_or_else(|| here.base.clone(), |(one, _)| here.at(one)),
        typed_name: form.text("name").to_owned(),
        url: form.text("url").to_owned(),
        once: webhook.is_none().then(|| once(here, form)),
        version: webhook.map(|(_, version)| version),
        errors,
    };
    render(status, &page)
}

/// The value that the form was made with, or one that no other has.
fn once(here: &Here, form: &Form) -> String {
    let sent = form.some("once").filter(|sent| sent.starts_with(OF_A_FORM) && sent.len() <= LONGEST_ONCE);
    sent.map_or_else(
        || {
            let mut bytes = [0; 16];
            here.services.world.fill(&mut bytes);
            format!("{OF_A_FORM}{:032x}", u128::from_be_bytes(bytes))
        },
        str::to_owned,
    )
}

/// A name and an address, or what is wrong with them.
fn read(here: &Here, form: &Form, errors: &mut FieldErrors) -> Option<(Label, String)> {
    let (t, e) = (here.t(), Errors::of(here.lang()));
    let name = form.text("name").parse::<Label>().map_err(|_| errors.add("name", e.bad_name)).ok();
    let url = form.some("url").map(str::to_owned);
    if url.is_none() {
        errors.add("url", t.bad_endpoint);
    }
    name.zip(url)
}

/// What the services refuse, beside its field; anything else goes up.
fn refused(here: &Here, error: ServiceError, errors: &mut FieldErrors) -> Result<(), ServiceError> {
    let t = here.t();
    match error {
        ServiceError::Invalid { field, .. } if field == "url" => errors.add("url", t.bad_endpoint),
        ServiceError::State(_) => errors.add("", t.too_many),
        error => return Err(error),
    }
    Ok(())
}

fn shown(here: &Here, made: &WebhookShown) -> Response {
    let t = here.t();
    let page = Shown {
        chrome: here.chrome(),
        title: t.secret_title,
        once: t.secret_once,
        secret: made.secret.expose().to_owned(),
        copy: t.copy,
        done: t.done,
        done_href: here.at(&made.webhook),
    };
    render(StatusCode::OK, &page)
}

async fn create_form(here: Here) -> Paged {
    Ok(form_page(&here, None, &Form::default(), FieldErrors::default()))
}
async fn create(here: Here, form: Form) -> Paged {
    let mut errors = FieldErrors::default();
    if let Some((name, url)) = read(&here, &form, &mut errors) {
        let account = here.account().map(str::to_owned);
        let input = WebhookInput { name, url, deployment: account.is_none(), account };
        let once = once(&here, &form);
        match here.services.webhook_create(&here.viewer.principal, input, Some(once)).await {
            Ok(made) => return Ok(shown(&here, &made)),
            // A reload, or Back: it is there, and its secret is not shown twice.
            Err(ServiceError::AlreadyCreated(id)) => return Ok(here.viewer.go(&format!("{}/{id}", here.base))),
            Err(error) => refused(&here, error, &mut errors)?,
        }
    }
    Ok(form_page(&here, None, &form, errors))
}

async fn edit_form(here: Here) -> Paged {
    let webhook = here.webhook().await?;
    let form = Form::of([("name", webhook.name.to_string()), ("url", webhook.url.clone())]);
    Ok(form_page(&here, Some((&webhook, webhook.version)), &form, FieldErrors::default()))
}
async fn edit(here: Here, form: Form) -> Paged {
    let webhook = here.webhook().await?;
    let mut errors = FieldErrors::default();
    let mut version = form.text("version").parse::<i64>().unwrap_or(webhook.version);
    if let Some((name, url)) = read(&here, &form, &mut errors) {
        let change = WebhookChange { name: Some(name), url: Some(url), enabled: None };
        let principal = &here.viewer.principal;
        match here.services.webhook_edit(principal, here.account(), webhook.id, change, Some(version)).await {
            Ok(_) => return Ok(here.viewer.go_saying(&here.at(&webhook), Flash::Saved)),
            Err(ServiceError::VersionConflict) => {
                // What it was a moment ago may be old by now.
                let now = here.webhook().await?;
                errors.add("", fill(here.t().changed, &[&now.name, &now.url]));
                version = now.version;
            }
            Err(error) => refused(&here, error, &mut errors)?,
        }
    }
    Ok(form_page(&here, Some((&webhook, version)), &form, errors))
}

fn ask(here: &Here, webhook: &WebhookView, act: &str, title: &str, line: &'static str, button: &'static str) -> Ask {
    Ask {
        chrome: here.chrome(),
        title: fill(title, &[&webhook.name]),
        lines: vec![line],
        wrong: None,
        action: format!("{}/{act}", here.at(webhook)),
        back: here.at(webhook),
        button,
    }
}
async fn rotate_ask(here: Here) -> Paged {
    let (webhook, t) = (here.webhook().await?, here.t());
    Ok(ask(&here, &webhook, "rotate", t.rotate_title, t.rotate_what, t.rotate).page())
}
async fn rotate(here: Here, _: Form) -> Paged {
    let webhook = here.webhook().await?;
    let input = WebhookRotateInput::default();
    let made = here.services.webhook_rotate(&here.viewer.principal, here.account(), webhook.id, input).await?;
    Ok(shown(&here, &made))
}
async fn remove_ask(here: Here) -> Paged {
    let (webhook, t) = (here.webhook().await?, here.t());
    Ok(ask(&here, &webhook, "remove", t.remove_title, t.remove_what, t.remove).page())
}
async fn remove(here: Here, _: Form) -> Paged {
    let webhook = here.webhook().await?;
    here.services.webhook_remove(&here.viewer.principal, here.account(), webhook.id).await?;
    Ok(here.viewer.go_saying(&here.base, Flash::Saved))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::{Lang, Look, hostile};

    #[test]
    fn hostile_texts_stay_text() {
        for lang in Lang::ALL {
            for name in hostile::NAMES {
                let text = || (*name).to_owned();
                let mut errors = FieldErrors::default();
                for field in ["", "name", "url"] {
                    errors.add(field, text());
                }
                let t = Webhooks::of(lang);
                let page = FormPage {
                    chrome: Chrome::bare(Look { lang, ..Look::default() }),
                    t,
                    e: Errors::of(lang),
                    title: t.add,
                    button: t.add,
                    hint: t.endpoint_hint,
                    action: "/x".into(),
                    back: "/y".into(),
                    typed_name: text(),
                    url: text(),
                    once: Some("form-1".into()),
                    version: Some(3),
                    errors,
                };
                hostile::check(&page.render().unwrap(), name);
            }
        }
    }
}
