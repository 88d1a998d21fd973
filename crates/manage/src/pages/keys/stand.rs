//! What every sheet about keys stands on: who looks, in which account, and which list it leads back to.

use axum::response::Response;
use http::StatusCode;
use tollgate_core::{Key, account::AccountAction, key::KeyState};

use super::{
    super::{
        Chrome, Lang, Place, Viewer, render, safe_next,
        texts::{Errors, Keys},
    },
    KeyPath,
    outcome::{OutcomePage, Pending},
    view::KeyView,
};
use crate::{
    principal::Access,
    services::{ServiceError, Services},
};

/// Somebody in an account, on the way from its list of keys and back.
pub(super) struct Stand {
    pub(super) services: Services,
    pub(super) viewer: Viewer,
    pub(super) access: Access,
    /// The list's query as it was left.
    back: Option<String>,
}

impl Stand {
    /// In the account that the path names.
    pub(super) async fn enter(
        services: Services,
        viewer: Viewer,
        account: &str,
        back: Option<String>,
    ) -> Result<Self, ServiceError> {
        let access = viewer.enter(&services, account).await?;
        Ok(Self { services, viewer, access, back })
    }
    /// Before a key that the viewer may change.
    pub(super) async fn before(
        services: Services,
        viewer: Viewer,
        path: &KeyPath,
        back: Option<String>,
    ) -> Result<(Self, Key), ServiceError> {
        let stand = Self::enter(services, viewer, &path.account, back).await?;
        stand.access.require(AccountAction::Read)?;
        let key = stand.services.key_get_of(&stand.access, path.id).await?;
        stand.access.require_manage(&key)?;
        Ok((stand, key))
    }

    pub(super) fn lang(&self) -> Lang {
        self.viewer.look.lang
    }
    pub(super) fn t(&self) -> &'static Keys {
        Keys::of(self.lang())
    }
    pub(super) fn e(&self) -> &'static Errors {
        Errors::of(self.lang())
    }
    pub(super) fn chrome(&self) -> Chrome {
        Chrome::account(&self.viewer, &self.services, &self.access, Place::Keys)
    }
    /// The account's handle.
    pub(super) fn account(&self) -> &str {
        self.access.account.handle.as_str()
    }
    /// Where the sheet leads back to.
    pub(super) fn list(&self) -> String {
        list_of(self.account(), self.back.as_deref())
    }
    /// What the sheet's form carries of it.
    pub(super) fn back(&self) -> String {
        self.back.clone().unwrap_or_default()
    }
    /// A key as pages show it.
    pub(super) fn view(&self, key: Key) -> KeyView {
        KeyView::new(key, &self.access, self.services.world.now(), self.lang())
    }

    /// What became of a key, to be rendered.
    pub(super) fn outcome(&self, key: &Key, title: &'static str, text: &'static str) -> OutcomePage {
        OutcomePage {
            chrome: self.chrome(),
            t: self.t(),
            title,
            text,
            name: key.name.to_string(),
            hint: key.hint().to_string(),
            proof: None,
            pending: None,
            list: self.list(),
        }
    }
    /// That a key's state does not allow it any more.
    pub(super) fn not_possible(&self, key: &Key) -> Response {
        let (title, text) = if matches!(key.state, KeyState::Revoked { .. }) {
            (self.t().revoked_before, self.t().gone_revoked)
        } else {
            (self.e().state_title, self.t().not_possible)
        };
        render(StatusCode::CONFLICT, &self.outcome(key, title, text))
    }
    /// That a change stands and is not confirmed everywhere; `again` is where asking again asks.
    pub(super) async fn pending(&self, key: &Key, again: Option<String>) -> Response {
        let pending = Some(Pending { again, ..Pending::of(&self.services).await });
        let page = OutcomePage { pending, ..self.outcome(key, self.t().pending_title, self.t().pending) };
        render(StatusCode::ACCEPTED, &page)
    }
}

/// The list as it was left, by the sheet's own `back`, which is nothing but its query.
fn list_of(account: &str, back: Option<&str>) -> String {
    let list = format!("/a/{account}/keys");
    match back {
        Some(query) if safe_next(Some(&format!("{list}?{query}"))) != "/" => format!("{list}?{query}"),
        _ => list,
    }
}

/// The `back` of a query.
pub(super) fn back_of(query: Option<&str>) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes());
    pairs.find(|(name, _)| name == "back").map(|(_, value)| value.into_owned()).filter(|back| !back.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_leads_back_to_the_list_and_nowhere_else() {
        assert_eq!(list_of("acme", None), "/a/acme/keys");
        let back = back_of(Some("x=1&back=search%3Da%26sort%3Dname"));
        assert_eq!(list_of("acme", back.as_deref()), "/a/acme/keys?search=a&sort=name");
        for odd in ["\r\nset-cookie: x", "a b", "ö", &"x".repeat(5_000)] {
            assert_eq!(list_of("acme", Some(odd)), "/a/acme/keys", "{odd:?}");
        }
        assert_eq!(back_of(Some("back=")), None);
    }
}
