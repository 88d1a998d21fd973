//! **Revoke**, disable, enable: what will break, the deed, and the proof of it.

use std::time::Duration;

use askama::Template;
use axum::{
    extract::{RawQuery, State},
    response::Response,
    routing::{MethodRouter, get},
};
use http::StatusCode;
use tollgate_core::Key;
use tollgate_store::keys::KeyTransition;

use super::{
    super::{Chrome, Flash, Form, Paged, Viewer, When, render, texts::Keys},
    KeyPath,
    outcome::{OutcomePage, Proof},
    stand::{Stand, back_of},
    view::KeyView,
};
use crate::services::{Confirmed, ServiceError, Services};

/// What was used within this time is in use.
const NOW: Duration = Duration::from_secs(3_600);

/// A sheet that asks before something is done to a key.
#[derive(Template)]
#[template(path = "keys/act.html")]
pub(super) struct ActPage {
    pub(super) chrome: Chrome,
    pub(super) t: &'static Keys,
    pub(super) act: Act,
    pub(super) key: KeyView,
    /// What it is used for now; not for enabling.
    pub(super) use_: Option<InUse>,
    pub(super) back: String,
    pub(super) list: String,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Revoke,
    Disable,
    Enable,
}

impl Act {
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Disable => "disable",
            Self::Enable => "enable",
        }
    }
    pub(super) const fn title(self, t: &'static Keys) -> &'static str {
        match self {
            Self::Revoke => t.revoke_title,
            Self::Disable => t.disable_title,
            Self::Enable => t.enable_title,
        }
    }
    pub(super) const fn about(self, t: &'static Keys) -> &'static str {
        match self {
            Self::Revoke => t.revoke_about,
            Self::Disable => t.disable_about,
            Self::Enable => t.enable_about,
        }
    }
    pub(super) const fn button(self, t: &'static Keys) -> &'static str {
        match self {
            Self::Revoke => t.revoke_key,
            Self::Disable => t.disable_key,
            Self::Enable => t.enable_key,
        }
    }
    const fn transition(self) -> KeyTransition {
        match self {
            Self::Revoke => KeyTransition::Revoke,
            Self::Disable => KeyTransition::Disable,
            Self::Enable => KeyTransition::Enable,
        }
    }
    const fn fits(self, key: &KeyView) -> bool {
        match self {
            Self::Revoke => key.may.revoke,
            Self::Disable => key.may.disable,
            Self::Enable => key.may.enable,
        }
    }
}

/// What a key is used for of late.
pub(super) struct InUse {
    /// When it was used last, also by a request that still runs and is not counted yet.
    pub(super) last: Option<When>,
    pub(super) last_hour: String,
    pub(super) last_day: String,
    pub(super) is_now: bool,
    pub(super) addresses: Vec<(String, When)>,
}

impl Act {
    /// The sheet that asks, and its deed.
    pub(super) fn sheet(self) -> MethodRouter<Services> {
        get(move |services, viewer, path, query| ask(services, viewer, path, query, self))
            .post(move |services, viewer, path, form| perform(services, viewer, path, form, self))
    }
}

async fn ask(
    State(services): State<Services>,
    viewer: Viewer,
    path: KeyPath,
    RawQuery(query): RawQuery,
    act: Act,
) -> Paged {
    let (stand, key) = Stand::before(services, viewer, &path, back_of(query.as_deref())).await?;
    let view = stand.view(key.clone());
    if !act.fits(&view) {
        return Ok(stand.not_possible(&key));
    }
    let use_ = if act == Act::Enable { None } else { Some(InUse::of(&stand, &key).await?) };
    let page =
        ActPage { chrome: stand.chrome(), t: stand.t(), act, key: view, use_, back: stand.back(), list: stand.list() };
    Ok(render(StatusCode::OK, &page))
}

impl InUse {
    async fn of(stand: &Stand, key: &Key) -> Result<Self, ServiceError> {
        let (last_hour, last_day) = stand.services.key_recent(key).await?;
        let addresses = stand.services.key_addresses(key).await?;
        let noted = addresses.iter().map(|(_, at)| *at).max();
        let last = key.last_used_at.max(noted);
        Ok(Self {
            last: last.map(When),
            last_hour: stand.lang().count(last_hour),
            last_day: stand.lang().count(last_day),
            is_now: last_hour > 0 || last.is_some_and(|at| at.plus(NOW) > stand.services.world.now()),
            addresses: addresses.into_iter().map(|(address, at)| (address, When(at))).collect(),
        })
    }
}

async fn perform(State(services): State<Services>, viewer: Viewer, path: KeyPath, form: Form, act: Act) -> Paged {
    let (stand, key) = Stand::before(services, viewer, &path, form.some("back").map(str::to_owned)).await?;
    let principal = &stand.viewer.principal;
    match stand.services.key_transition(principal, Some(stand.account()), path.id, act.transition()).await {
        Ok(confirmed) => Ok(answer(&stand, act, confirmed).await),
        Err(ServiceError::State(_)) => Ok(stand.not_possible(&key)),
        Err(error) => Err(error.into()),
    }
}

async fn answer(stand: &Stand, act: Act, confirmed: Confirmed<Key>) -> Response {
    let Confirmed { value: key, effective, pending } = confirmed;
    if pending {
        let again = format!("/a/{}/keys/{}/{}", stand.account(), key.id, act.path());
        return stand.pending(&key, Some(again)).await;
    }
    let cut = effective.as_ref().map_or(0, |effective| effective.streams_cut);
    match act {
        Act::Enable => stand.viewer.go_saying(&stand.list(), Flash::KeyEnabled),
        Act::Disable => stand.viewer.go_saying(&stand.list(), Flash::KeyDisabled(cut)),
        Act::Revoke => {
            let t = stand.t();
            let proof = effective.as_ref().map(|effective| Proof::of(effective, stand.lang(), t));
            let page = OutcomePage { proof, ..stand.outcome(&key, t.revoked_title, t.revoked_text) };
            render(StatusCode::OK, &page)
        }
    }
}
