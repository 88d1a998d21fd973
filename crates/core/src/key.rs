//! The API key: who owns it, what it may use, and whether it lives.
//!
//! The lifecycle is [`KeyState`]; `expired` is never stored, since it follows from `expires_at` and the
//! clock. Nothing here holds a secret: the text of a key is in [`crate::secret`].

use serde::{Deserialize, Serialize};

use crate::{
    account::{Account, Standing, User},
    catalog::Model,
    id::{Id, No},
    leak::KeyLeak,
    name::{Label, ModelName},
    origin::Origins,
    secret::{KeyHash, KeyHint, Prefix, PublicId},
    time::Timestamp,
};

/// What is stored of the life of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyState {
    /// May be used, unless it has expired.
    Active,
    /// Switched off by its owner, may be switched on again.
    Disabled,
    /// Ended for ever.
    Revoked {
        /// When.
        at: Timestamp,
    },
    /// Found in public and switched off by itself.
    Leaked {
        /// When it was reported.
        at: Timestamp,
        /// Where it was found, if that was said.
        found_at: Option<String>,
    },
}

/// What a key's owner sees of its life at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyStatus {
    /// May be used.
    Active,
    /// Switched off, may be switched on again.
    Disabled,
    /// Its time is over.
    Expired,
    /// Ended for ever.
    Revoked,
    /// Found in public and switched off.
    Leaked,
}

impl KeyStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Active, Self::Disabled, Self::Expired, Self::Revoked, Self::Leaked];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Leaked => "leaked",
        }
    }
}

impl KeyState {
    /// The status at `now` of a key in this state that ends at `expires_at`. The strongest word wins:
    /// revoked, leaked, disabled, expired, active.
    #[must_use]
    pub fn status(&self, expires_at: Option<Timestamp>, now: Timestamp) -> KeyStatus {
        match self {
            Self::Revoked { .. } => KeyStatus::Revoked,
            Self::Leaked { .. } => KeyStatus::Leaked,
            Self::Disabled => KeyStatus::Disabled,
            Self::Active if expires_at.is_some_and(|end| end <= now) => KeyStatus::Expired,
            Self::Active => KeyStatus::Active,
        }
    }
}

/// What keeps a key from working beside its own life: its maker, or its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyBlock {
    /// The user who made it is disabled.
    CreatorDisabled,
    /// The user who made it is no member of the account any more.
    CreatorRemoved,
    /// The account has no running paid plan.
    Plan,
    /// The account is suspended.
    Suspended,
}

impl KeyBlock {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreatorDisabled => "creator_disabled",
            Self::CreatorRemoved => "creator_removed",
            Self::Plan => "plan",
            Self::Suspended => "suspended",
        }
    }
    /// Whether it is about the key's maker: then the data plane answers for the key as for a disabled one. What is about
    /// the account is answered as such, and the key's own status stays.
    #[must_use]
    pub const fn is_of_creator(self) -> bool {
        matches!(self, Self::CreatorDisabled | Self::CreatorRemoved)
    }
    /// What an account's standing does to its keys.
    #[must_use]
    pub const fn of_account(standing: Standing) -> Option<Self> {
        match standing {
            Standing::Good => None,
            Standing::PlanRequired => Some(Self::Plan),
            Standing::Suspended => Some(Self::Suspended),
        }
    }
}

/// The models that a key may use, by name, as its owner says and sees it: `"all"` or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// All models of the account, today's and tomorrow's.
    All,
    /// These only; sorted, without repeats, at most [`Permission::MOST_MODELS`].
    Models(Vec<ModelName>),
}

impl Permission {
    /// The longest list of one key.
    pub const MOST_MODELS: usize = 1_000;
}
impl Serialize for Permission {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Models(names) => names.serialize(serializer),
        }
    }
}
impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "models is \"all\" or a list of model names")]
        enum Text {
            Word(String),
            List(Vec<String>),
        }
        let error = serde::de::Error::custom::<&str>;
        match Text::deserialize(deserializer)? {
            Text::Word(word) if word == "all" => Ok(Self::All),
            Text::Word(_) => Err(error("models is \"all\" or a list of model names")),
            Text::List(names) if names.len() > Self::MOST_MODELS => Err(error("models has at most 1000 names")),
            Text::List(names) => {
                let mut names = names
                    .iter()
                    .map(|name| name.parse().map_err(serde::de::Error::custom))
                    .collect::<Result<Vec<ModelName>, _>>()?;
                names.sort();
                names.dedup();
                Ok(Self::Models(names))
            }
        }
    }
}

/// Requests that web pages sent with a key that allows none of theirs: whoever reads such a page has the key. They were
/// refused; since the key's text of today was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exposure {
    /// How many.
    pub browser_requests: u64,
    /// When the last one came.
    pub last_at: Option<Timestamp>,
    /// From which page the last one came that said so.
    pub last_origin: Option<String>,
}

/// A key as the management plane sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id for ever.
    pub id: Id<Key>,
    /// Its row number.
    pub no: No<Key>,
    /// The prefix of its text; the deployment's may be another by now.
    pub prefix: Prefix,
    /// The public part of its text.
    pub public_id: PublicId,
    /// The account that owns it.
    pub account: Id<Account>,
    /// What its owner calls it.
    pub name: Label,
    /// The models that it may use.
    pub permission: Permission,
    /// The web pages that it may be used from.
    pub allowed_origins: Origins,
    /// What says that its text has come into browsers of strangers.
    pub exposure: Exposure,
    /// Its life as stored; what its owner sees is [`Key::status`].
    pub state: KeyState,
    /// What keeps it from working beside that, when it was read.
    pub blocked_by: Option<KeyBlock>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it, and that user's name; absent when the system did.
    pub created_by: Option<(Id<User>, Label)>,
    /// When it was last used, from the usage tables.
    pub last_used_at: Option<Timestamp>,
    /// Its owner's remark, at most [`Key::LONGEST_NOTE`] characters.
    pub note: Option<String>,
    /// Until when the text from before the last rotation still works.
    pub rotated_until: Option<Timestamp>,
    /// That it was found in public. Also of an active key, where its account wants to be told only; not of one that was
    /// brought back.
    pub leak: Option<KeyLeak>,
    /// Grows with each change; the `etag`.
    pub version: i64,
}

impl Key {
    /// The longest note, in characters.
    pub const LONGEST_NOTE: usize = 2_000;

    /// What its owner sees of its life at `now`: the word by which the data plane refuses it.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> KeyStatus {
        match self.state {
            KeyState::Active if self.blocked_by.is_some_and(KeyBlock::is_of_creator) => KeyStatus::Disabled,
            _ => self.state.status(self.expires_at, now),
        }
    }
    /// What logs, pages and errors call it.
    #[must_use]
    pub const fn hint(&self) -> KeyHint {
        KeyHint { prefix: self.prefix, id: self.public_id }
    }
}

/// A key as the data plane holds it: what is needed to admit a request, and no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAuth {
    /// Its row number.
    pub no: No<Key>,
    /// The public part, by which it is looked up.
    pub public_id: PublicId,
    /// The owner's row number.
    pub account: No<Account>,
    /// The hash of its text.
    pub hash: KeyHash,
    /// The hash from before the last rotation, and until when it works.
    pub previous: Option<(KeyHash, Timestamp)>,
    /// Its life as stored, so never [`KeyStatus::Expired`].
    pub status: KeyStatus,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// The models that it may use; `None` means all of the account's. Sorted.
    pub models: Option<Vec<No<Model>>>,
    /// The web pages that it may be used from.
    pub allowed_origins: Origins,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_word_for_a_key_wins() {
        let at = Timestamp::from_millis(1_000);
        let (before, after) = (Some(Timestamp::from_millis(999)), Some(Timestamp::from_millis(1_001)));
        for (state, expires_at, status) in [
            (KeyState::Active, None, KeyStatus::Active),
            (KeyState::Active, after, KeyStatus::Active),
            (KeyState::Active, Some(at), KeyStatus::Expired),
            (KeyState::Active, before, KeyStatus::Expired),
            (KeyState::Disabled, before, KeyStatus::Disabled),
            (KeyState::Leaked { at, found_at: None }, before, KeyStatus::Leaked),
            (KeyState::Revoked { at }, before, KeyStatus::Revoked),
        ] {
            assert_eq!(state.status(expires_at, at), status);
        }
    }

    #[test]
    fn a_permission_is_all_or_a_sorted_list() {
        let read = serde_json::from_str::<Permission>;
        assert_eq!(read("\"all\"").unwrap(), Permission::All);
        let list = read(r#"["b","a","b"]"#).unwrap();
        assert_eq!(serde_json::to_string(&list).unwrap(), r#"["a","b"]"#);
        for wrong in ["\"ALL\"", "\"a\"", "null", "{}", "[1]", "[\"\"]", "[[\"a\"]]"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
