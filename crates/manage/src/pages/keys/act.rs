//! **Revoke**, disable, enable: what will break, the deed, and the proof of it.

use askama::Template;
use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use http::StatusCode;
use tollgate_core::{Key, account::AccountAction, key::KeyState};
use tollgate_store::keys::KeyTransition;

use super::{
    super::{Chrome, Flash, Form, Lang, Paged, Place, Viewer, When, render, texts::Keys},
    KeyPath, back_of, list_of,
    view::KeyView,
};
use crate::{
    principal::Access,
    services::{Confirmed, Effective, ServiceError, Services},
};

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
    pub(super) last_hour: String,
    pub(super) last_day: String,
    pub(super) is_now: bool,
    pub(super) addresses: Vec<(String, When)>,
}

/// What was done, or that it is not possible.
#[derive(Template)]
#[template(path = "keys/outcome.html")]
pub(super) struct OutcomePage {
    pub(super) chrome: Chrome,
    pub(super) t: &'static Keys,
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    pub(super) name: String,
    pub(super) hint: String,
    pub(super) proof: Option<Proof>,
    pub(super) pending: Option<Pending>,
    pub(super) list: String,
}

/// The proof of a revocation, in words.
pub(super) struct Proof {
    pub(super) took: String,
    pub(super) nodes: String,
    pub(super) streams: String,
}

/// A change that is not confirmed: until when a node may go by the old state.
pub(super) struct Pending {
    pub(super) until: Option<When>,
    /// Where asking again asks; a revocation's own address.
    pub(super) again: Option<String>,
}

impl Pending {
    /// How long it can last at most: a node hears of the change with its next grant, or has none for a whole lease.
    pub(super) async fn of(services: &Services, _: &Key) -> Self {
        let longest = services.longest_lease().await;
        Self { until: longest.map(|lease| When(services.world.now().plus(lease))), again: None }
    }
}

impl Proof {
    fn of(effective: &Effective, lang: Lang, t: &'static Keys) -> Self {
        let count = |number: usize| lang.count(u64::try_from(number).unwrap_or(u64::MAX));
        let nodes = effective.nodes.len();
        Self {
            took: milliseconds(effective.after_ms, lang),
            nodes: if nodes == 0 { t.no_nodes.to_owned() } else { count(nodes) },
            streams: lang.count(effective.streams_cut),
        }
    }
}

/// `0.42 ms`, `12 ms`.
fn milliseconds(ms: f64, lang: Lang) -> String {
    let text = if ms < 10.0 { format!("{ms:.2}") } else { format!("{ms:.0}") };
    let text = if lang == Lang::Vi { text.replace('.', ",") } else { text };
    format!("{text} ms")
}

/// A key that the viewer may change.
pub(super) async fn to_manage(
    viewer: &Viewer,
    services: &Services,
    path: &KeyPath,
) -> Result<(Access, Key), ServiceError> {
    let access = viewer.enter(services, &path.account).await?;
    access.require(AccountAction::Read)?;
    let key = services.key_get_of(&access, path.id).await?;
    access.require_manage(&key)?;
    Ok((access, key))
}

struct Stand<'a> {
    viewer: &'a Viewer,
    services: &'a Services,
    access: &'a Access,
    list: String,
}

impl Stand<'_> {
    fn outcome(&self, key: &Key, title: &'static str, text: &'static str) -> OutcomePage {
        OutcomePage {
            chrome: Chrome::account(self.viewer, self.services, self.access, Place::Keys),
            t: Keys::of(self.viewer.look.lang),
            title,
            text,
            name: key.name.to_string(),
            hint: key.hint().to_string(),
            proof: None,
            pending: None,
            list: self.list.clone(),
        }
    }
}

/// That a key's state does not allow it any more.
pub(super) fn not_possible(viewer: &Viewer, services: &Services, access: &Access, key: Key, list: &str) -> Response {
    let t = Keys::of(viewer.look.lang);
    let stand = Stand { viewer, services, access, list: list.to_owned() };
    let (title, text) = if matches!(key.state, KeyState::Revoked { .. }) {
        (t.revoked_before, t.gone_revoked)
    } else {
        (super::super::texts::Errors::of(viewer.look.lang).state_title, t.not_possible)
    };
    render(StatusCode::CONFLICT, &stand.outcome(&key, title, text))
}

/// That a change stands and is not confirmed everywhere.
pub(super) fn pending(
    viewer: &Viewer,
    services: &Services,
    access: &Access,
    pending: Pending,
    key: &Key,
    list: &str,
) -> Response {
    let t = Keys::of(viewer.look.lang);
    let stand = Stand { viewer, services, access, list: list.to_owned() };
    let page = OutcomePage { pending: Some(pending), ..stand.outcome(key, t.pending_title, t.pending) };
    render(StatusCode::ACCEPTED, &page)
}

async fn ask(services: Services, viewer: Viewer, path: KeyPath, query: Option<String>, act: Act) -> Paged {
    let (access, key) = to_manage(&viewer, &services, &path).await?;
    let back = back_of(query.as_deref());
    let list = list_of(access.account.handle.as_str(), back.as_deref());
    let lang = viewer.look.lang;
    let view = KeyView::new(key.clone(), &access, services.world.now(), lang);
    if !act.fits(&view) {
        return Ok(not_possible(&viewer, &services, &access, key, &list));
    }
    let use_ = if act == Act::Enable {
        None
    } else {
        let (last_hour, last_day) = services.key_recent(&key).await?;
        let addresses = services.key_addresses(&key).await?;
        Some(InUse {
            last_hour: lang.count(last_hour),
            last_day: lang.count(last_day),
            is_now: last_hour > 0,
            addresses: addresses.into_iter().map(|(address, at)| (address, When(at))).collect(),
        })
    };
    let page = ActPage {
        chrome: Chrome::account(&viewer, &services, &access, Place::Keys),
        t: Keys::of(lang),
        act,
        key: view,
        use_,
        back: back.unwrap_or_default(),
        list,
    };
    Ok(render(StatusCode::OK, &page))
}

async fn perform(services: Services, viewer: Viewer, path: KeyPath, form: Form, act: Act) -> Paged {
    let (access, key) = to_manage(&viewer, &services, &path).await?;
    let list = list_of(access.account.handle.as_str(), form.some("back"));
    let account = access.account.handle.to_string();
    let done = services.key_transition(&viewer.principal, Some(&account), path.id, act.transition()).await;
    let confirmed = match done {
        Ok(confirmed) => confirmed,
        Err(ServiceError::State(_)) => return Ok(not_possible(&viewer, &services, &access, key, &list)),
        Err(error) => return Err(error.into()),
    };
    let stand = Stand { viewer: &viewer, services: &services, access: &access, list };
    Ok(answer(&stand, act, confirmed).await)
}

async fn answer(stand: &Stand<'_>, act: Act, confirmed: Confirmed<Key>) -> Response {
    let Confirmed { value: key, effective, pending: is_pending } = confirmed;
    if is_pending {
        let again = Some(format!("/a/{}/keys/{}/{}", stand.access.account.handle, key.id, act.path()));
        let pending_ = Pending { again, ..Pending::of(stand.services, &key).await };
        return pending(stand.viewer, stand.services, stand.access, pending_, &key, &stand.list);
    }
    let lang = stand.viewer.look.lang;
    let cut = effective.as_ref().map_or(0, |effective| effective.streams_cut);
    match act {
        Act::Enable => stand.viewer.go_saying(&stand.list, Flash::KeyEnabled),
        Act::Disable => stand.viewer.go_saying(&stand.list, Flash::KeyDisabled(cut)),
        Act::Revoke => {
            let t = Keys::of(lang);
            let proof = effective.as_ref().map(|effective| Proof::of(effective, lang, t));
            let page = OutcomePage { proof, ..stand.outcome(&key, t.revoked_title, t.revoked_text) };
            render(StatusCode::OK, &page)
        }
    }
}

pub(super) async fn revoke_form(
    State(services): State<Services>,
    viewer: Viewer,
    path: KeyPath,
    RawQuery(query): RawQuery,
) -> Paged {
    ask(services, viewer, path, query, Act::Revoke).await
}
pub(super) async fn revoke(State(services): State<Services>, viewer: Viewer, path: KeyPath, form: Form) -> Paged {
    perform(services, viewer, path, form, Act::Revoke).await
}
pub(super) async fn disable_form(
    State(services): State<Services>,
    viewer: Viewer,
    path: KeyPath,
    RawQuery(query): RawQuery,
) -> Paged {
    ask(services, viewer, path, query, Act::Disable).await
}
pub(super) async fn disable(State(services): State<Services>, viewer: Viewer, path: KeyPath, form: Form) -> Paged {
    perform(services, viewer, path, form, Act::Disable).await
}
pub(super) async fn enable_form(
    State(services): State<Services>,
    viewer: Viewer,
    path: KeyPath,
    RawQuery(query): RawQuery,
) -> Paged {
    ask(services, viewer, path, query, Act::Enable).await
}
pub(super) async fn enable(State(services): State<Services>, viewer: Viewer, path: KeyPath, form: Form) -> Paged {
    perform(services, viewer, path, form, Act::Enable).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_as_exact_as_they_are_small() {
        assert_eq!(milliseconds(0.417, Lang::En), "0.42 ms");
        assert_eq!(milliseconds(0.417, Lang::Vi), "0,42 ms");
        assert_eq!(milliseconds(1_234.56, Lang::En), "1235 ms");
    }
}
