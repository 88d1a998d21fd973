//! What the next page says about what was just done. It travels in a cookie as a name and a few numbers, so that whoever
//! forges one makes their own page say nothing worse than a wrong number.

use http::HeaderMap;

use super::{
    look::{Lang, cookie},
    texts::{Common, Keys, Me, Members, OpCommon, fill, plural},
};

const FLASH_COOKIE: &str = "tollgate_flash";
/// How long it waits for the next page, in seconds.
const WAITS: u32 = 30;

/// One thing that was done. Add a variant, its name in `NAMES` and its words in `text`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flash {
    /// A form was saved.
    Saved,
    /// A password was saved.
    PasswordSaved,
    /// A password was removed.
    PasswordRemoved,
    /// Signed in by a link, and there is no other way yet.
    SetPassword,
    /// A session was ended.
    SessionEnded,
    /// All other sessions were ended.
    SignedOutElsewhere,
    /// An access token was revoked.
    TokenRevoked,
    /// A member was taken out of the account.
    MemberRemoved,
    /// An invitation was taken back.
    InvitationRevoked,
    /// An invitation was accepted.
    Joined,
    /// A key was saved, and so many running streams were ended.
    KeySaved(u64),
    /// A key was disabled, and so many running streams were ended.
    KeyDisabled(u64),
    /// A key was enabled.
    KeyEnabled,
    /// Something was taken away: how many nodes have confirmed it, and how many running streams were ended.
    InForce {
        /// The nodes.
        nodes: u64,
        /// The streams.
        streams: u64,
    },
    /// Something was taken away, and not every node has confirmed it yet.
    NotProven,
}

impl Flash {
    /// The name and numbers of the cookie.
    fn parts(self) -> (&'static str, Vec<u64>) {
        match self {
            Self::Saved => ("saved", vec![]),
            Self::PasswordSaved => ("password", vec![]),
            Self::PasswordRemoved => ("password-removed", vec![]),
            Self::SetPassword => ("set-password", vec![]),
            Self::SessionEnded => ("session-ended", vec![]),
            Self::SignedOutElsewhere => ("signed-out-elsewhere", vec![]),
            Self::TokenRevoked => ("token-revoked", vec![]),
            Self::MemberRemoved => ("member-removed", vec![]),
            Self::InvitationRevoked => ("invitation-revoked", vec![]),
            Self::Joined => ("joined", vec![]),
            Self::KeySaved(streams) => ("key-saved", vec![streams]),
            Self::KeyDisabled(streams) => ("key-disabled", vec![streams]),
            Self::KeyEnabled => ("key-enabled", vec![]),
            Self::InForce { nodes, streams } => ("in-force", vec![nodes, streams]),
            Self::NotProven => ("not-proven", vec![]),
        }
    }
    fn from_parts(name: &str, numbers: &[u64]) -> Option<Self> {
        Some(match (name, numbers) {
            ("saved", []) => Self::Saved,
            ("password", []) => Self::PasswordSaved,
            ("password-removed", []) => Self::PasswordRemoved,
            ("set-password", []) => Self::SetPassword,
            ("session-ended", []) => Self::SessionEnded,
            ("signed-out-elsewhere", []) => Self::SignedOutElsewhere,
            ("token-revoked", []) => Self::TokenRevoked,
            ("member-removed", []) => Self::MemberRemoved,
            ("invitation-revoked", []) => Self::InvitationRevoked,
            ("joined", []) => Self::Joined,
            ("key-saved", [streams]) => Self::KeySaved(*streams),
            ("key-disabled", [streams]) => Self::KeyDisabled(*streams),
            ("key-enabled", []) => Self::KeyEnabled,
            ("in-force", [nodes, streams]) => Self::InForce { nodes: *nodes, streams: *streams },
            ("not-proven", []) => Self::NotProven,
            _ => return None,
        })
    }
    /// Its words.
    pub(crate) fn text(self, lang: Lang) -> String {
        let (keys, me, members) = (Keys::of(lang), Me::of(lang), Members::of(lang));
        let operator = OpCommon::of(lang);
        match self {
            Self::Saved => Common::of(lang).done_saved.to_owned(),
            Self::PasswordSaved => me.flash_password.to_owned(),
            Self::PasswordRemoved => me.flash_password_removed.to_owned(),
            Self::SetPassword => me.flash_set_password.to_owned(),
            Self::SessionEnded => me.flash_session.to_owned(),
            Self::SignedOutElsewhere => me.flash_everywhere.to_owned(),
            Self::TokenRevoked => me.flash_token.to_owned(),
            Self::MemberRemoved => members.flash_removed.to_owned(),
            Self::InvitationRevoked => members.flash_revoked.to_owned(),
            Self::Joined => members.flash_joined.to_owned(),
            Self::KeySaved(0) => keys.flash_saved.to_owned(),
            Self::KeySaved(streams) => plural(lang, streams, keys.flash_saved_one, keys.flash_saved_many),
            Self::KeyDisabled(streams) => plural(lang, streams, keys.flash_disabled_one, keys.flash_disabled_many),
            Self::KeyEnabled => keys.flash_enabled.to_owned(),
            Self::InForce { nodes: 1, streams } => fill(operator.in_force_one, &[&lang.count(streams)]),
            Self::InForce { nodes, streams } => fill(operator.in_force, &[&lang.count(nodes), &lang.count(streams)]),
            Self::NotProven => operator.not_proven.to_owned(),
        }
    }

    /// `set-cookie` for the next page.
    pub(super) fn to_cookie(self) -> String {
        let (name, numbers) = self.parts();
        let numbers: String = numbers.iter().map(|number| format!(".{number}")).collect();
        format!("{FLASH_COOKIE}={name}{numbers}; Path=/; HttpOnly; SameSite=Lax; Max-Age={WAITS}")
    }
    /// `set-cookie` once it was said.
    pub(super) fn said() -> String {
        format!("{FLASH_COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0")
    }
    /// What the page before left.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = cookie(headers, FLASH_COOKIE)?;
        let mut parts = value.split('.');
        let name = parts.next()?;
        let numbers: Vec<u64> = parts.map_while(|part| part.parse().ok()).collect();
        Self::from_parts(name, &numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_read_again_and_nonsense_is_nothing() {
        for flash in [
            Flash::Saved,
            Flash::PasswordSaved,
            Flash::PasswordRemoved,
            Flash::SetPassword,
            Flash::SessionEnded,
            Flash::SignedOutElsewhere,
            Flash::TokenRevoked,
            Flash::MemberRemoved,
            Flash::InvitationRevoked,
            Flash::Joined,
            Flash::KeySaved(0),
            Flash::KeySaved(2),
            Flash::KeyDisabled(1),
            Flash::KeyEnabled,
            Flash::InForce { nodes: 1, streams: 0 },
            Flash::InForce { nodes: 3, streams: 2 },
            Flash::NotProven,
        ] {
            let set = flash.to_cookie();
            let headers =
                [(http::header::COOKIE, set.split(';').next().unwrap().parse().unwrap())].into_iter().collect();
            assert_eq!(Flash::of(&headers), Some(flash));
            assert!(!flash.text(Lang::Vi).is_empty());
        }
        for nonsense in ["x", "saved.1", "saved.x.99999999999999999999999", "", "."] {
            let value = format!("{FLASH_COOKIE}={nonsense}").parse().unwrap();
            let headers = [(http::header::COOKIE, value)].into_iter().collect();
            assert!(Flash::of(&headers).is_none_or(|flash| flash == Flash::Saved), "{nonsense}");
        }
    }
}
