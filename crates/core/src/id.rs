//! Public ids and row numbers, typed by what they name.
//!
//! An [`Id`] is a UUIDv7 (RFC 9562) with a prefix that says its kind: `key_0198…`. It is stable for
//! ever and may be shown to its owner. A [`No`] is the store's row number of the same thing: small,
//! never reused, and never shown outside. Mixing up two kinds does not compile.

use std::{fmt, hash::Hash, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::world::World;

/// What an id names; `PREFIX` is the text before the underscore.
pub trait IdKind: 'static {
    /// Lower-case letters, without the underscore.
    const PREFIX: &'static str;
}

macro_rules! id_kinds {
    ($($ty:ty => $prefix:literal),+ $(,)?) => { $(impl IdKind for $ty { const PREFIX: &'static str = $prefix; })+ };
}
id_kinds! {
    crate::key::Key => "key",
    crate::account::Account => "acct",
    crate::account::User => "user",
    crate::account::Plan => "plan",
    crate::account::AccessToken => "tok",
    crate::account::Invitation => "inv",
    crate::catalog::Model => "model",
    crate::catalog::Upstream => "up",
    crate::account::AuditEntry => "aud",
    crate::change::Node => "node",
    crate::usage::Journal => "jrn",
    crate::usage::Attempt => "att",
    crate::usage::Request => "req",
    crate::notice::Notice => "note",
    crate::notice::Webhook => "hook",
    crate::notice::Delivery => "dlv",
}

/// Characters of the longest id: a prefix, an underscore, the UUID in hexadecimal.
pub const LONGEST: usize = 5 + 1 + uuid::fmt::Simple::LENGTH;

/// A public id of one kind of thing.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

impl<K: IdKind> Id<K> {
    /// A new id: the world's time and entropy as a UUIDv7.
    #[must_use]
    pub fn new(world: &World) -> Self {
        let mut random = [0u8; 10];
        world.fill(&mut random);
        Self::from_parts(world.now().as_millis(), &random)
    }

    /// A UUIDv7 from a Unix time in milliseconds and ten random bytes.
    #[must_use]
    pub fn from_parts(unix_ms: i64, random: &[u8; 10]) -> Self {
        let ms = u64::try_from(unix_ms).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(ms, random).into_uuid(), PhantomData)
    }
    /// From a UUID that was an id of this kind before.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }
    /// Its text, without an allocation: each request has some.
    pub fn encode<'b>(&self, buffer: &'b mut [u8; LONGEST]) -> &'b str {
        let () = const { assert!(K::PREFIX.len() + 1 + uuid::fmt::Simple::LENGTH <= LONGEST) };
        let length = K::PREFIX.len() + 1 + uuid::fmt::Simple::LENGTH;
        let (prefix, rest) = buffer.split_at_mut(K::PREFIX.len());
        prefix.copy_from_slice(K::PREFIX.as_bytes());
        if let Some((underscore, hex)) = rest.split_first_mut() {
            *underscore = b'_';
            self.0.simple().encode_lower(hex);
        }
        std::str::from_utf8(buffer.get(..length).unwrap_or_default()).unwrap_or_default()
    }
    /// The bare UUID.
    #[must_use]
    pub const fn uuid(&self) -> Uuid {
        self.0
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K: IdKind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encode(&mut [0; LONGEST]))
    }
}
impl<K: IdKind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix}_<32 hexadecimal digits>")]
pub struct IdError {
    prefix: &'static str,
}

impl<K: IdKind> FromStr for Id<K> {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = IdError { prefix: K::PREFIX };
        let hex = text.strip_prefix(K::PREFIX).and_then(|rest| rest.strip_prefix('_')).ok_or(error.clone())?;
        // `Uuid::parse_str` also takes hyphens, braces and URNs: one id has one spelling here.
        if hex.len() != 32 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(error);
        }
        Uuid::try_parse(hex).map(Self::from_uuid).map_err(|_| error)
    }
}
impl<K: IdKind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de, K: IdKind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The store's row number of a `K`: positive, never reused, never shown outside.
pub struct No<K>(i64, PhantomData<fn() -> K>);

impl<K> No<K> {
    /// From a number that the store handed out.
    #[must_use]
    pub const fn new(no: i64) -> Self {
        Self(no, PhantomData)
    }
    /// The bare number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}
impl<K> Clone for No<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for No<K> {}
impl<K> PartialEq for No<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for No<K> {}
impl<K> PartialOrd for No<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for No<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> Hash for No<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K> fmt::Debug for No<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{account::Account, key::Key};

    #[test]
    fn an_id_reads_back_from_its_own_text_and_from_nothing_else() {
        let id = Id::<Key>::from_parts(1_700_000_000_000, &[7; 10]);
        let text = id.to_string();
        assert!(text.starts_with("key_018bcfe5"), "{text}");
        assert_eq!(text.parse::<Id<Key>>(), Ok(id));
        for wrong in [
            "",
            "key_",
            &text.to_uppercase(),
            &text.replace("key_", "acct_"),
            &format!("{text}0"),
            &text.replacen('0', "-", 1),
        ] {
            assert!(wrong.parse::<Id<Key>>().is_err(), "{wrong}");
        }
        assert!(text.parse::<Id<Account>>().is_err());
    }
}
