//! **Rotate**: a new text for a key, shown once; the old one works for a while if that is wished.

use askama::Template;
use axum::extract::{RawQuery, State};
use http::{HeaderMap, StatusCode};
use tollgate_core::Key;

use super::{
    super::{
        Chrome, FieldErrors, Form, Paged, Place, Viewer, render,
        texts::{Errors, Keys},
    },
    KeyPath, act, back_of, list_of,
    shown::shown,
    view::KeyView,
};
use crate::{
    principal::Access,
    services::{Grace, RotateInput, ServiceError, Services},
};

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
    fn page(&self, key: Key, grace: &str, errors: FieldErrors, status: StatusCode) -> axum::response::Response {
        let lang = self.viewer.look.lang;
        let key = KeyView::new(key, self.access, self.services.world.now(), lang);
        let page = RotatePage {
            chrome: Chrome::account(self.viewer, self.services, self.access, Place::Keys),
            t: Keys::of(lang),
            e: Errors::of(lang),
            key,
            grace: grace.to_owned(),
            errors,
            back: self.back.clone().unwrap_or_default(),
            list: self.list(),
        };
        render(status, &page)
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
    let may = KeyView::new(key.clone(), &access, services.world.now(), viewer.look.lang).may;
    if !may.rotate {
        return Ok(act::not_possible(&viewer, &services, &access, key, &stand.list()));
    }
    Ok(stand.page(key, "none", FieldErrors::default(), StatusCode::OK))
}

pub(super) async fn rotate(
    State(services): State<Services>,
    viewer: Viewer,
    path: KeyPath,
    headers: HeaderMap,
    form: Form,
) -> Paged {
    let (access, key) = act::to_manage(&viewer, &services, &path).await?;
    let t = Keys::of(viewer.look.lang);
    let back = form.some("back").map(str::to_owned);
    let stand = Stand { viewer: &viewer, services: &services, access: &access, back };
    let said = form.text("grace").to_owned();
    let refused = |field, text: &str| {
        let mut errors = FieldErrors::default();
        errors.add(field, text);
        errors
    };
    let Some((_, seconds)) = GRACES.iter().find(|(word, _)| *word == said) else {
        return Ok(stand.page(key, "none", refused("grace", t.bad_expiry), StatusCode::UNPROCESSABLE_ENTITY));
    };
    let input = RotateInput { grace: Some(Grace::Seconds(*seconds)) };
    // A reload of the answer sends the version from before: nothing is rotated twice.
    let version: i64 = form.text("version").parse().unwrap_or(0);
    let account = access.account.handle.to_string();
    match services.key_rotate(&viewer.principal, Some(&account), path.id, input, Some(version)).await {
        Ok(confirmed) => {
            let chrome = Chrome::account(&viewer, &services, &access, Place::Keys);
            Ok(shown(chrome, &services, &headers, confirmed, true, stand.list()).await)
        }
        Err(ServiceError::VersionConflict) => {
            let now = services.key_get(&viewer.principal, Some(&account), path.id).await?;
            Ok(stand.page(now, &said, refused("", t.rotate_conflict), StatusCode::CONFLICT))
        }
        Err(ServiceError::State(_)) => {
            let now = services.key_get(&viewer.principal, Some(&account), path.id).await?;
            Ok(act::not_possible(&viewer, &services, &access, now, &stand.list()))
        }
        Err(ServiceError::Unavailable(_)) => {
            Ok(stand.page(key, &said, refused("", t.try_again), StatusCode::SERVICE_UNAVAILABLE))
        }
        Err(error) => Err(error.into()),
    }
}
