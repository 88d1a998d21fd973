//! **Create New API Key**: the form, and the one answer that shows the key.

use askama::Template;
use axum::{
    extract::{Path, RawQuery, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use tollgate_core::account::AccountAction;

use super::{
    super::{
        Chrome, FieldErrors, Form, Paged, Viewer, once, render,
        texts::{Errors, Keys},
    },
    fields::{Fields, Meant, Typed},
    shown::shown,
    stand::{Stand, back_of},
    view::Barred,
};
use crate::services::{KeyInput, ServiceError, Services};

#[derive(Template)]
#[template(path = "keys/create.html")]
pub(super) struct CreatePage {
    pub(super) chrome: Chrome,
    pub(super) t: &'static Keys,
    pub(super) e: &'static Errors,
    pub(super) fields: Fields,
    /// A value of this form alone: a repeat makes no second key.
    pub(super) once: String,
    pub(super) action: String,
    pub(super) back: String,
    pub(super) list: String,
}

#[derive(Template)]
#[template(path = "keys/barred.html")]
pub(super) struct BarredPage {
    pub(super) chrome: Chrome,
    pub(super) t: &'static Keys,
    pub(super) barred: Barred,
    pub(super) list: String,
}

#[derive(Template)]
#[template(path = "keys/made.html")]
pub(super) struct MadePage {
    pub(super) chrome: Chrome,
    pub(super) t: &'static Keys,
    /// `/a/…/keys/key_…`
    pub(super) base: String,
    pub(super) list: String,
}

fn barred(stand: &Stand, barred: Barred) -> Response {
    let page = BarredPage { chrome: stand.chrome(), t: stand.t(), barred, list: stand.list() };
    render(StatusCode::PAYMENT_REQUIRED, &page)
}

async fn page(stand: &Stand, typed: Typed, errors: FieldErrors, once: String, status: StatusCode) -> Paged {
    let page = CreatePage {
        chrome: stand.chrome(),
        t: stand.t(),
        e: stand.e(),
        fields: Fields::load(&stand.services, typed, errors).await?,
        once,
        action: format!("/a/{}/keys/new", stand.account()),
        back: stand.back(),
        list: stand.list(),
    };
    Ok(render(status, &page))
}

pub(super) async fn form(
    State(services): State<Services>,
    viewer: Viewer,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
) -> Paged {
    let stand = Stand::enter(services, viewer, &account, back_of(query.as_deref())).await?;
    stand.access.require(AccountAction::KeyCreate)?;
    if let Some(why) = Barred::of(&stand.access, &stand.services, stand.t()) {
        return Ok(barred(&stand, why));
    }
    let once = once::once(&stand.services);
    page(&stand, Typed::new(), FieldErrors::default(), once, StatusCode::OK).await
}

pub(super) async fn create(
    State(services): State<Services>,
    viewer: Viewer,
    Path(account): Path<String>,
    headers: HeaderMap,
    form: Form,
) -> Paged {
    let stand = Stand::enter(services, viewer, &account, form.some("back").map(str::to_owned)).await?;
    stand.access.require(AccountAction::KeyCreate)?;
    let services = &stand.services;
    let (typed, sent) = (Typed::from_form(&form), once::sent(&form, services));
    let meant = match typed.read(services.world.now(), stand.lang()) {
        Ok(meant) => meant,
        Err(errors) => return page(&stand, typed, errors, sent, StatusCode::UNPROCESSABLE_ENTITY).await,
    };
    let (principal, account) = (&stand.viewer.principal, stand.account());
    match services.key_create(principal, input(meant), Some(account), Some(sent.clone())).await {
        Ok(confirmed) => Ok(shown(stand.chrome(), services, &headers, confirmed, false, stand.list()).await),
        Err(ServiceError::AlreadyCreated(id)) => {
            let base = format!("/a/{account}/keys/{id}");
            let page = MadePage { chrome: stand.chrome(), t: stand.t(), base, list: stand.list() };
            Ok(render(StatusCode::CONFLICT, &page))
        }
        Err(error @ (ServiceError::PlanRequired | ServiceError::Suspended)) => {
            let why = Barred::of(&stand.access, services, stand.t());
            why.map(|why| barred(&stand, why)).ok_or_else(|| error.into())
        }
        Err(error) => {
            let invalid = matches!(error, ServiceError::Invalid { .. });
            let errors = Fields::refuse(error, stand.lang())?;
            let status = if invalid { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::SERVICE_UNAVAILABLE };
            page(&stand, typed, errors, sent, status).await
        }
    }
}

fn input(meant: Meant) -> KeyInput {
    KeyInput {
        name: meant.name,
        models: meant.permission,
        expires_at: meant.expires_at.flatten(),
        note: meant.note,
        allowed_origins: meant.allowed_origins,
        limits: None,
        budget: None,
        account: None,
    }
}
