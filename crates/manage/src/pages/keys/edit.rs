//! **Edit**: name, permission, end, note and origins of a key, on the version that was read.

use askama::Template;
use axum::extract::{RawQuery, State};
use http::StatusCode;
use tollgate_core::{Key, key::KeyState};

use super::{
    super::{
        Chrome, FieldErrors, Flash, Form, Paged, Viewer, When, render,
        texts::{Errors, Keys},
    },
    KeyPath,
    fields::{Fields, Meant, Typed},
    stand::{Stand, back_of},
    view::KeyView,
};
use crate::services::{KeyChange, ServiceError, Services};

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

async fn page(stand: &Stand, key: Key, typed: Typed, errors: FieldErrors, version: i64, status: StatusCode) -> Paged {
    let mut fields = Fields::load(&stand.services, typed, errors).await?;
    fields.keep = Some(key.expires_at.map(When));
    let (is_older, newest) = (version != key.version, key.version);
    let view = stand.view(key);
    let page = EditPage {
        chrome: stand.chrome(),
        t: stand.t(),
        e: stand.e(),
        fields,
        // Saving again is a decision then: the older state was shown beside the form.
        version: newest,
        action: format!("{}/edit", view.base),
        now: is_older.then_some(view),
        back: stand.back(),
        list: stand.list(),
    };
    Ok(render(status, &page))
}

pub(super) async fn form(
    State(services): State<Services>,
    viewer: Viewer,
    path: KeyPath,
    RawQuery(query): RawQuery,
) -> Paged {
    let (stand, key) = Stand::before(services, viewer, &path, back_of(query.as_deref())).await?;
    if matches!(key.state, KeyState::Revoked { .. }) {
        return Ok(stand.not_possible(&key));
    }
    let (typed, version) = (Typed::of(&key), key.version);
    page(&stand, key, typed, FieldErrors::default(), version, StatusCode::OK).await
}

pub(super) async fn save(State(services): State<Services>, viewer: Viewer, path: KeyPath, form: Form) -> Paged {
    let (stand, key) = Stand::before(services, viewer, &path, form.some("back").map(str::to_owned)).await?;
    if matches!(key.state, KeyState::Revoked { .. }) {
        return Ok(stand.not_possible(&key));
    }
    let (typed, version) = (Typed::from_form(&form), form.version());
    let meant = match typed.read(stand.services.world.now(), stand.lang()) {
        Ok(meant) => meant,
        Err(errors) => return page(&stand, key, typed, errors, version, StatusCode::UNPROCESSABLE_ENTITY).await,
    };
    let (services, principal, account) = (&stand.services, &stand.viewer.principal, Some(stand.account()));
    match services.key_edit(principal, account, path.id, change(&key, meant), Some(version)).await {
        Ok(confirmed) if confirmed.pending => Ok(stand.pending(&confirmed.value, None).await),
        Ok(confirmed) => {
            let cut = confirmed.effective.map_or(0, |effective| effective.streams_cut);
            Ok(stand.viewer.go_saying(&stand.list(), Flash::KeySaved(cut)))
        }
        Err(ServiceError::VersionConflict) => {
            let now = services.key_get_of(&stand.access, path.id).await?;
            page(&stand, now, typed, FieldErrors::default(), version, StatusCode::CONFLICT).await
        }
        Err(ServiceError::State(_)) => Ok(stand.not_possible(&services.key_get_of(&stand.access, path.id).await?)),
        Err(error) => {
            let invalid = matches!(error, ServiceError::Invalid { .. });
            let errors = Fields::refuse(error, stand.lang())?;
            let status = if invalid { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::SERVICE_UNAVAILABLE };
            page(&stand, key, typed, errors, version, status).await
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
