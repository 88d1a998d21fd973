//! **Rotate**: a new text for a key, shown once; the old one works for a while if that is wished.

use askama::Template;
use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use tollgate_core::Key;

use super::{
    super::{
        Chrome, FieldErrors, Form, Paged, Viewer, render,
        texts::{Errors, Keys},
    },
    KeyPath,
    shown::shown,
    stand::{Stand, back_of},
    view::KeyView,
};
use crate::services::{Grace, RotateInput, ServiceError, Services};

/// How long the old text may go on working, in seconds, by the form's words.
const GRACES: [(&str, u64); 4] = [("none", 0), ("1h", 3_600), ("1d", 86_400), ("7d", 7 * 86_400)];

#[derive(Template)]
#[template(path = "keys/rotate.html")]
pub(super) struct RotatePage {
    pub(super) chrome: Chrome,
    pub(super) t: &'static Keys,
    pub(super) e: &'static Errors,
    pub(super) key: KeyView,
    pub(super) grace: String,
    pub(super) errors: FieldErrors,
    pub(super) back: String,
    pub(super) list: String,
}

impl RotatePage {
    fn graces(&self) -> [(&'static str, &'static str, bool); 4] {
        let t = self.t;
        let words = [t.grace_none, t.grace_hour, t.grace_day, t.grace_week];
        let mut at = words.into_iter();
        GRACES.map(|(word, _)| (word, at.next().unwrap_or_default(), word == self.grace))
    }
}

fn page(stand: &Stand, key: Key, grace: &str, errors: FieldErrors, status: StatusCode) -> Response {
    let page = RotatePage {
        chrome: stand.chrome(),
        t: stand.t(),
        e: stand.e(),
        key: stand.view(key),
        grace: grace.to_owned(),
        errors,
        back: stand.back(),
        list: stand.list(),
    };
    render(status, &page)
}

pub(super) async fn form(
    State(services): State<Services>,
    viewer: Viewer,
    path: KeyPath,
    RawQuery(query): RawQuery,
) -> Paged {
    let (stand, key) = Stand::before(services, viewer, &path, back_of(query.as_deref())).await?;
    if !stand.view(key.clone()).may.rotate {
        return Ok(stand.not_possible(&key));
    }
    Ok(page(&stand, key, "none", FieldErrors::default(), StatusCode::OK))
}

pub(super) async fn rotate(
    State(services): State<Services>,
    viewer: Viewer,
    path: KeyPath,
    headers: HeaderMap,
    form: Form,
) -> Paged {
    let (stand, key) = Stand::before(services, viewer, &path, form.some("back").map(str::to_owned)).await?;
    let t = stand.t();
    let said = form.text("grace");
    let refused = |field, text: &str| {
        let mut errors = FieldErrors::default();
        errors.add(field, text);
        errors
    };
    let Some((_, seconds)) = GRACES.iter().find(|(word, _)| *word == said) else {
        return Ok(page(&stand, key, "none", refused("grace", t.bad_expiry), StatusCode::UNPROCESSABLE_ENTITY));
    };
    let input = RotateInput { grace: Some(Grace::Seconds(*seconds)) };
    let (services, principal, account) = (&stand.services, &stand.viewer.principal, Some(stand.account()));
    // A reload of the answer sends the version from before: nothing is rotated twice.
    match services.key_rotate(principal, account, path.id, input, Some(form.version())).await {
        Ok(confirmed) => Ok(shown(stand.chrome(), services, &headers, confirmed, true, stand.list()).await),
        Err(ServiceError::VersionConflict) => {
            let now = services.key_get_of(&stand.access, path.id).await?;
            Ok(page(&stand, now, said, refused("", t.rotate_conflict), StatusCode::CONFLICT))
        }
        Err(ServiceError::State(_)) => Ok(stand.not_possible(&services.key_get_of(&stand.access, path.id).await?)),
        Err(ServiceError::Unavailable(_)) => {
            Ok(page(&stand, key, said, refused("", t.try_again), StatusCode::SERVICE_UNAVAILABLE))
        }
        Err(error) => Err(error.into()),
    }
}
