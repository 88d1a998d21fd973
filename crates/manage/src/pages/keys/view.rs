//! A key as pages show it.

use tollgate_core::{
    Key, KeyStatus, Permission, Timestamp,
    account::Standing,
    key::{Exposure, KeyBlock, KeyState},
    leak::{LeakSource, Place},
};
use tollgate_store::leaks::LeakLine;

use super::super::{
    Chrome, Lang, When,
    chrome::Contact,
    encode,
    texts::{Keys, fill},
};
use crate::{principal::Access, services::Services};

/// How many models of a key a row of the list names.
const NAMED_IN_ROW: usize = 3;

/// A key, in words.
pub(super) struct KeyView {
    /// `key_…`
    pub(super) id: String,
    /// The beginning of its addresses: `/a/…/keys/key_…`.
    pub(super) base: String,
    pub(super) name: String,
    pub(super) note: Option<String>,
    pub(super) hint: String,
    pub(super) models: Models,
    pub(super) status: &'static str,
    /// The class of its badge.
    pub(super) tone: &'static str,
    pub(super) created: When,
    /// Who made it.
    pub(super) maker: Option<String>,
    pub(super) last_used: Option<When>,
    pub(super) expires: Option<When>,
    /// Until when the text from before its rotation works.
    pub(super) old_until: Option<When>,
    pub(super) revoked: Option<When>,
    pub(super) leak: Option<Leak>,
    /// The web pages that may use it.
    pub(super) origins: Vec<String>,
    /// That pages that may not use it tried to.
    pub(super) exposed: Option<Exposed>,
    /// Why it does not work beside its own status.
    pub(super) blocked: Option<&'static str>,
    /// What the viewer may do with it.
    pub(super) may: May,
    pub(super) version: i64,
}

/// The models of a key.
pub(super) struct Models {
    pub(super) all: bool,
    pub(super) names: Vec<String>,
}

/// That it was found in public.
pub(super) struct Leak {
    pub(super) at: When,
    pub(super) place: Option<LeakPlace>,
    /// Who said so first.
    pub(super) source: &'static str,
    /// It goes on working: its account wants to be told only.
    pub(super) works: bool,
}

/// Where something was found, as somebody said: shown as it is, and a link only where it is an address of the web.
pub(super) struct LeakPlace {
    pub(super) text: String,
    pub(super) is_link: bool,
}

/// That web pages used it that may not.
pub(super) struct Exposed {
    /// How often, in words.
    pub(super) times: String,
    pub(super) last: Option<When>,
    pub(super) origin: Option<String>,
}

impl Exposed {
    fn of(exposure: Exposure, t: &'static Keys, lang: Lang) -> Option<Self> {
        let times = match exposure.browser_requests {
            0 => return None,
            1 => t.exposed_one,
            _ => t.exposed_many,
        };
        let times = fill(times, &[&lang.count(exposure.browser_requests)]);
        Some(Self { times, last: exposure.last_at.map(When), origin: exposure.last_origin })
    }
}

impl LeakPlace {
    pub(super) fn new(text: String) -> Self {
        Self { is_link: Place::is_web(&text), text }
    }
}

/// What was said of a key once, or several times.
pub(super) struct LeakSaid {
    pub(super) source: &'static str,
    pub(super) place: Option<LeakPlace>,
    pub(super) first: When,
    pub(super) last: When,
    pub(super) times: String,
    /// It was there when somebody brought the key back.
    pub(super) settled: bool,
}

impl LeakSaid {
    pub(super) fn new(line: LeakLine, lang: Lang) -> Self {
        Self {
            source: source_word(line.source, Keys::of(lang)),
            place: line.place.map(LeakPlace::new),
            first: When(line.first_at),
            last: When(line.last_at),
            times: lang.count(line.reports),
            settled: line.settled_at.is_some(),
        }
    }
}

const fn source_word(source: LeakSource, t: &'static Keys) -> &'static str {
    match source {
        LeakSource::Github => t.by_github,
        LeakSource::GithubAlert => t.by_github_alert,
        LeakSource::Gitlab => t.by_gitlab,
        LeakSource::Public => t.by_public,
        LeakSource::Api => t.by_api,
    }
}

/// What may be done with a key, by its state and the viewer's role.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct May {
    pub(super) edit: bool,
    pub(super) rotate: bool,
    pub(super) disable: bool,
    pub(super) enable: bool,
    pub(super) revoke: bool,
}

impl May {
    fn with(state: &KeyState, manages: bool) -> Self {
        if !manages {
            return Self::default();
        }
        match state {
            KeyState::Active => Self { edit: true, rotate: true, disable: true, enable: false, revoke: true },
            KeyState::Disabled => Self { edit: true, rotate: true, disable: false, enable: true, revoke: true },
            KeyState::Leaked { .. } => Self { edit: true, rotate: false, disable: false, enable: true, revoke: true },
            KeyState::Revoked { .. } => Self::default(),
        }
    }
}

impl KeyView {
    pub(super) fn new(key: Key, access: &Access, now: Timestamp, lang: Lang) -> Self {
        let t = Keys::of(lang);
        let mut may = May::with(&key.state, access.require_manage(&key).is_ok());
        // The store refuses it: such a key would stay dead.
        // One that goes on working though it was found: that this was a mistake can be said too.
        may.enable |= may.disable && key.leak.is_some();
        may.enable &= !key.blocked_by.is_some_and(KeyBlock::is_of_creator);
        let status = key.status(now);
        let blocked = key.blocked_by.map(|block| blocked_word(block, t));
        let (status, tone) = (status_word(status, t), tone_of(status));
        let hint = key.hint().to_string();
        let works = matches!(key.state, KeyState::Active);
        let revoked = match key.state {
            KeyState::Revoked { at } => Some(When(at)),
            KeyState::Active | KeyState::Disabled | KeyState::Leaked { .. } => None,
        };
        let leak = key.leak.filter(|_| revoked.is_none()).map(|leak| Leak {
            at: When(leak.at),
            place: leak.found_at.map(LeakPlace::new),
            source: source_word(leak.source, t),
            works,
        });
        Self {
            base: format!("/a/{}/keys/{}", access.account.handle, key.id),
            id: key.id.to_string(),
            name: key.name.to_string(),
            note: key.note,
            hint,
            models: Models::new(&key.permission),
            status,
            tone,
            created: When(key.created_at),
            maker: key.created_by.map(|(_, name)| name.to_string()),
            last_used: key.last_used_at.map(When),
            expires: key.expires_at.map(When),
            old_until: key.rotated_until.filter(|until| *until > now).map(When),
            revoked,
            leak,
            origins: key.allowed_origins.iter().map(ToString::to_string).collect(),
            // Of a key that is no more it says nothing.
            exposed: Exposed::of(key.exposure, t, lang).filter(|_| revoked.is_none()),
            blocked: blocked.filter(|_| revoked.is_none()),
            may,
            version: key.version,
        }
    }
}

const fn status_word(status: KeyStatus, t: &'static Keys) -> &'static str {
    match status {
        KeyStatus::Active => t.active,
        KeyStatus::Disabled => t.disabled,
        KeyStatus::Expired => t.expired,
        KeyStatus::Revoked => t.revoked,
        KeyStatus::Leaked => t.leaked,
    }
}

/// The class of a status's badge, wherever it is shown.
pub(crate) const fn tone_of(status: KeyStatus) -> &'static str {
    match status {
        KeyStatus::Active => "good",
        KeyStatus::Disabled | KeyStatus::Expired => "warn",
        KeyStatus::Revoked => "",
        KeyStatus::Leaked => "bad",
    }
}

const fn blocked_word(block: KeyBlock, t: &'static Keys) -> &'static str {
    match block {
        KeyBlock::CreatorDisabled => t.blocked_disabled,
        KeyBlock::CreatorRemoved => t.blocked_removed,
        KeyBlock::Plan => t.blocked_plan,
        KeyBlock::Suspended => t.blocked_suspended,
    }
}

impl Models {
    pub(super) fn new(permission: &Permission) -> Self {
        match permission {
            Permission::All => Self { all: true, names: Vec::new() },
            Permission::Models(names) => Self { all: false, names: names.iter().map(ToString::to_string).collect() },
        }
    }
    /// The first few, for a row.
    pub(super) fn few(&self) -> &[String] {
        self.names.get(..NAMED_IN_ROW).unwrap_or(&self.names)
    }
    /// How many a row does not name, in words.
    pub(super) fn more(&self, chrome: &Chrome, t: &Keys) -> Option<String> {
        let more = self.names.len().saturating_sub(NAMED_IN_ROW);
        let count = chrome.look.lang.count(u64::try_from(more).unwrap_or(u64::MAX));
        (more > 0).then(|| fill(t.more_models, &[&count]))
    }
}

/// Why no key can be made now, and where to ask.
pub(super) struct Barred {
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    pub(super) contact: Option<Contact>,
}

impl Barred {
    /// `None` where keys can be made.
    pub(super) fn of(access: &Access, services: &Services, t: &'static Keys) -> Option<Self> {
        let contact = services.contact_url.clone().map(Contact::new);
        let asks = |with: &'static str, without: &'static str| if contact.is_some() { with } else { without };
        let (title, text) = match access.account.standing(services.world.now()) {
            Standing::Good => return None,
            Standing::PlanRequired => (t.plan_title, asks(t.plan, t.plan_ask)),
            Standing::Suspended => (t.suspended_title, asks(t.suspended, t.suspended_ask)),
        };
        Some(Self { title, text, contact })
    }
}

/// A query's value, to be put behind `?back=`; empty where there is none.
pub(super) fn back_query(back: Option<&str>) -> String {
    back.map_or_else(String::new, |back| format!("?back={}", encode(back)))
}
