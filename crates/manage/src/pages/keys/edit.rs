//! **Edit**: name, permission, end, note and origins of a key, on the version that was read.

use askama::Template;
use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use http::StatusCode;
use tollgate_core::{Key, key::KeyState};

use super::{
    super::{
        Chrome, FieldErrors, Flash, Form, Paged, Place, Viewer, When, render,
        texts::{Errors, Keys},
    },
    KeyPath,
    act::{self, Pending},
    back_of,
    fields::{Fields, Meant, Typed},
    list_of,
    view::KeyView,
};
use crate::{
    principal::Access,
    services::{KeyChange, ServiceError, Services},
};

#[derive(Template)]
#[template(path = "keys/edit.html")]
pub(super) struct EditPage {
    pub(super) chrome: Chrome,
    pub(super) t: &'static Keys,
    pub(super) e: &'static Errors,
    pub(super) fields: Fields,
    pub(super) version: i64,
    /// What the key is, beside a form that was made from an older version of it.
    pub(super) now: Option<KeyView>,
    pub(super) action: String,
    pub(super) back: String,
    pub(super) list: String,
}

struct Stand<'a> {
    viewer: &'a Viewer,
    services: &'a Services,
    access: &'a Access,
    back: Option<String>,
}

impl Stand<'_> {
    fn list(&self) -> String {
        list_of(self.access.account.handle.as_str(), self.back.as_deref())
    }
    async fn page(&self, key: Key, typed: Typed, errors: FieldErrors, version: i64, status: StatusCode) -> Paged {
        let lang = self.viewer.look.lang;
        let mut fields = Fields::load(self.services, typed, errors).await?;
        fields.keep = Some(key.expires_at.map(When));
        let is_older = version != key.version;
        let newest = key.version;
        let view = KeyView::new(key, self.access, self.services.world.now(), lang);
        let page = EditPage {
            chrome: Chrome::account(self.viewer, self.services, self.access, Place::Keys),
            t: Keys::of(lang),
            e: Errors::of(lang),
            fields,
            // Saving again is a decision then: the older state was shown beside the form.
            version: newest,
            action: format!("{}/edit", view.base),
            now: is_older.then_some(view),
            back: self.back.clone().unwrap_or_default(),
            list: self.list(),
        };
        Ok(render(status, &page))
    }
    /// A revoked key is not edited any more.
    fn ended(&self, key: Key) -> Response {
        act::not_possible(self.viewer, self.services, self.access, key, &self.list())
    }
}

pub(super) async fn form(
    State(services): State<Services>,
    viewer: Viewer,
    path: KeyPath,
    RawQuery(query): RawQuery,
) -> Paged {
    let (access, key) = act::to_manage(&viewer, &services, &path).await?;
    let stand = Stand { viewer: &viewer, services: &services, access: &access, back: back_of(query.as_deref()) };
    if matches!(key.state, KeyState::Revoked { .. }) {
        return Ok(stand.ended(key));
    }
    let (typed, version) = (Typed::of(&key), key.version);
    stand.page(key, typed, FieldErrors::default(), version, StatusCode::OK).await
}

pub(super) async fn save(State(services): State<Services>, viewer: Viewer, path: KeyPath, form: Form) -> Paged {
    let (access, key) = act::to_manage(&viewer, &services, &path).await?;
    let lang = viewer.look.lang;
    let back = form.some("back").map(str::to_owned);
    let stand = Stand { viewer: &viewer, services: &services, access: &access, back };
    if matches!(key.state, KeyState::Revoked { .. }) {
        return Ok(stand.ended(key));
    }
    let typed = Typed::from_form(&form);
    // A form without its version was not made by us: it is as old as can be.
    let version: i64 = form.text("version").parse().unwrap_or(0);
    let meant = match typed.read(services.world.now(), lang) {
        Ok(meant) => meant,
        Err(errors) => return stand.page(key, typed, errors, version, StatusCode::UNPROCESSABLE_ENTITY).await,
    };
    let account = access.account.handle.to_string();
    let change = change(&key, meant);
    match services.key_edit(&viewer.principal, Some(&account), path.id, change, Some(version)).await {
        Ok(confirmed) if confirmed.pending => {
            let pending = Pending::of(&services, &confirmed.value).await;
            Ok(act::pending(&viewer, &services, &access, pending, &confirmed.value, &stand.list()))
        }
        Ok(confirmed) => {
            let cut = confirmed.effective.map_or(0, |effective| effective.streams_cut);
            Ok(viewer.go_saying(&stand.list(), Flash::KeySaved(cut)))
        }
        Err(ServiceError::VersionConflict) => {
            let now = services.key_get(&viewer.principal, Some(&account), path.id).await?;
            stand.page(now, typed, FieldErrors::default(), version, StatusCode::CONFLICT).await
        }
        Err(ServiceError::State(_)) => {
            let now = services.key_get(&viewer.principal, Some(&account), path.id).await?;
            Ok(stand.ended(now))
        }
        Err(error) => {
            let invalid = matches!(error, ServiceError::Invalid { .. });
            let errors = Fields::refuse(error, lang)?;
            let status = if invalid { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::SERVICE_UNAVAILABLE };
            stand.page(key, typed, errors, version, status).await
        }
    }
}

/// What a form changes: only what differs is named, so that what restricts nothing waits for no node.
fn change(key: &Key, meant: Meant) -> KeyChange {
    KeyChange {
        name: (meant.name != key.name).then_some(meant.name),
        models: (meant.permission != key.permission).then_some(meant.permission),
        expires_at: meant.expires_at.filter(|end| *end != key.expires_at),
        note: (meant.note != key.note).then_some(meant.note),
        allowed_origins: (meant.allowed_origins != key.allowed_origins).then_some(meant.allowed_origins),
        limits: None,
        budget: None,
    }
}
