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
        Chrome, FieldErrors, Form, Paged, Place, Viewer, render,
        texts::{Errors, Keys},
    },
    back_of,
    fields::{Fields, Meant, Typed},
    list_of,
    shown::shown,
    view::Barred,
};
use crate::{
    principal::Access,
    services::{KeyInput, ServiceError, Services},
};

/// What marks the values of our own forms among those that programs send as `Idempotency-Key`.
const OF_A_FORM: &str = "form-";
/// The longest value of a form: its mark and 32 digits.
const LONGEST_ONCE: usize = 64;

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

/// What a page of this part stands on.
struct Stand<'a> {
    viewer: &'a Viewer,
    services: &'a Services,
    access: &'a Access,
    back: Option<String>,
}

impl Stand<'_> {
    fn chrome(&self) -> Chrome {
        Chrome::account(self.viewer, self.services, self.access, Place::Keys)
    }
    fn list(&self) -> String {
        list_of(self.access.account.handle.as_str(), self.back.as_deref())
    }
    fn barred(&self, barred: Barred) -> Response {
        let t = Keys::of(self.viewer.look.lang);
        render(StatusCode::PAYMENT_REQUIRED, &BarredPage { chrome: self.chrome(), t, barred, list: self.list() })
    }
    async fn page(&self, typed: Typed, errors: FieldErrors, once: String, status: u16) -> Paged {
        let lang = self.viewer.look.lang;
        let page = CreatePage {
            chrome: self.chrome(),
            t: Keys::of(lang),
            e: Errors::of(lang),
            fields: Fields::load(self.services, typed, errors).await?,
            once,
            action: format!("/a/{}/keys/new", self.access.account.handle),
            back: self.back.clone().unwrap_or_default(),
            list: self.list(),
        };
        Ok(render(StatusCode::from_u16(status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY), &page))
    }
}

/// A value that no other form has.
fn once(services: &Services) -> String {
    let mut bytes = [0; 16];
    services.world.fill(&mut bytes);
    format!("{OF_A_FORM}{:032x}", u128::from_be_bytes(bytes))
}

pub(super) async fn form(
    State(services): State<Services>,
    viewer: Viewer,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
) -> Paged {
    let access = viewer.enter(&services, &account).await?;
    access.require(AccountAction::KeyCreate)?;
    let stand = Stand { viewer: &viewer, services: &services, access: &access, back: back_of(query.as_deref()) };
    if let Some(barred) = Barred::of(&access, &services, Keys::of(viewer.look.lang)) {
        return Ok(stand.barred(barred));
    }
    stand.page(Typed::new(), FieldErrors::default(), once(&services), 200).await
}

pub(super) async fn create(
    State(services): State<Services>,
    viewer: Viewer,
    Path(account): Path<String>,
    headers: HeaderMap,
    form: Form,
) -> Paged {
    let access = viewer.enter(&services, &account).await?;
    access.require(AccountAction::KeyCreate)?;
    let lang = viewer.look.lang;
    let back = form.some("back").map(str::to_owned);
    let stand = Stand { viewer: &viewer, services: &services, access: &access, back };
    let typed = Typed::from_form(&form);
    let sent = form.some("once").filter(|sent| sent.starts_with(OF_A_FORM) && sent.len() <= LONGEST_ONCE);
    let sent = sent.map_or_else(|| once(&services), str::to_owned);
    let meant = match typed.read(services.world.now(), lang) {
        Ok(meant) => meant,
        Err(errors) => return stand.page(typed, errors, sent, 422).await,
    };
    let handle = access.account.handle.to_string();
    let made = services.key_create(&viewer.principal, input(meant), Some(&handle), Some(sent.clone())).await;
    match made {
        Ok(confirmed) => {
            let list = stand.list();
            Ok(shown(stand.chrome(), &services, &headers, confirmed, false, list).await)
        }
        Err(ServiceError::AlreadyCreated(id)) => {
            let page = MadePage {
                chrome: stand.chrome(),
                t: Keys::of(lang),
                base: format!("/a/{handle}/keys/{id}"),
                list: stand.list(),
            };
            Ok(render(StatusCode::CONFLICT, &page))
        }
        Err(error @ (ServiceError::PlanRequired | ServiceError::Suspended)) => {
            match Barred::of(&access, &services, Keys::of(lang)) {
                Some(barred) => Ok(stand.barred(barred)),
                None => Err(error.into()),
            }
        }
        Err(error) => {
            let status = if matches!(error, ServiceError::Invalid { .. }) { 422 } else { 503 };
            let errors = Fields::refuse(error, lang)?;
            stand.page(typed, errors, sent, status).await
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
