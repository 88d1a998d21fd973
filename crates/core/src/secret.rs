//! The text of a key: `<prefix>_<id>_<secret><checksum>`, its checksum and its peppered hash.
//!
//! A [`PlainKey`] exists from its making until it has been shown; it has no `Display`, no `Debug`
//! text and no `Serialize`, and is wiped when dropped. What is kept is a [`KeyHash`]: HMAC-SHA-256
//! (RFC 2104) of the whole text under a [`Pepper`] that is never in the store.
//!
//! Access tokens and one-time links have the same form with a longer prefix and peppers of their own.

mod find;

use std::{fmt, str::FromStr};

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::world::World;

pub use find::{Found, find, is_harmless, redact, redacted};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters of the public id.
pub const ID_LENGTH: usize = 12;
/// Characters of the secret: 256 bits in base 62.
pub const SECRET_LENGTH: usize = 43;
/// Characters of the checksum: 32 bits in base 62.
pub const CHECKSUM_LENGTH: usize = 6;
/// The longest prefix of a key.
const LONGEST_PREFIX: usize = 12;
/// The longest prefix of all: a key's with its one-letter suffix.
pub(crate) const LONGEST_SUFFIXED: usize = LONGEST_PREFIX + 1;
/// The longest text that can be a key or token.
pub const LONGEST: usize = LONGEST_SUFFIXED + 1 + ID_LENGTH + 1 + SECRET_LENGTH + CHECKSUM_LENGTH;

/// A deployment's key prefix: 2 to 12 of `[a-z0-9]`, `tg` by default. A few bytes without an allocation: each line of the
/// access log carries one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// Zero behind `length`.
    bytes: [u8; LONGEST_SUFFIXED],
    length: u8,
}

/// The prefix is not 2 to 12 of `[a-z0-9]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key prefix has 2 to 12 of a-z and 0-9")]
pub struct PrefixError;

impl Prefix {
    /// The text, if it is one of at most `longest` characters.
    fn of(text: &[u8], longest: usize) -> Option<Self> {
        let fits = (2..=longest).contains(&text.len())
            && text.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let length = u8::try_from(text.len()).ok().filter(|_| fits)?;
        let mut bytes = [0; LONGEST_SUFFIXED];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self { bytes, length })
    }
    fn suffixed(&self, letter: u8) -> Self {
        let mut suffixed = *self;
        if let Some(place) = suffixed.bytes.get_mut(usize::from(self.length)) {
            *place = letter;
            suffixed.length += 1;
        }
        suffixed
    }
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
    /// The prefix of access tokens: this one with an `a` behind it.
    #[must_use]
    pub fn for_access_tokens(&self) -> Self {
        self.suffixed(b'a')
    }
    /// The prefix of one-time sign-in links and console sessions: this one with an `s` behind it.
    #[must_use]
    pub fn for_sessions(&self) -> Self {
        self.suffixed(b's')
    }
    /// The prefix of invitations: this one with an `i` behind it.
    #[must_use]
    pub fn for_invitations(&self) -> Self {
        self.suffixed(b'i')
    }
}
impl Default for Prefix {
    fn default() -> Self {
        let mut bytes = [0; LONGEST_SUFFIXED];
        for (to, from) in bytes.iter_mut().zip(b"tg") {
            *to = *from;
        }
        Self { bytes, length: 2 }
    }
}
impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl Serialize for Prefix {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
impl FromStr for Prefix {
    type Err = PrefixError;
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        Self::of(text.as_bytes(), LONGEST_PREFIX).ok_or(PrefixError)
    }
}
impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The public part of a key: twelve base-62 characters, random, safe to log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicId([u8; ID_LENGTH]);

impl PublicId {
    /// The twelve characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
impl fmt::Debug for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl FromStr for PublicId {
    type Err = KeyFormatError;
    fn from_str(text: &str) -> Result<Self, KeyFormatError> {
        let bytes: [u8; ID_LENGTH] = text.as_bytes().try_into().map_err(|_| KeyFormatError::Shape)?;
        if bytes.iter().all(u8::is_ascii_alphanumeric) { Ok(Self(bytes)) } else { Err(KeyFormatError::Shape) }
    }
}

/// What logs, pages and errors call a key: the beginning of its text, `tg_<id>…`, with the prefix that it was made with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHint {
    /// The prefix of its text; the deployment's may be another by now.
    pub prefix: Prefix,
    /// The public part of its text.
    pub id: PublicId,
}

impl fmt::Display for KeyHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}…", self.prefix.as_str(), self.id)
    }
}
impl fmt::Debug for KeyHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl Serialize for KeyHint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a text is not a key. Neither case needed a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFormatError {
    /// Not of the form `<prefix>_<id>_<secret><checksum>`.
    #[error("not of the form of an API key")]
    Shape,
    /// Of the form, but the checksum is another: mistyped, cut short or made up.
    #[error("the checksum of this API key does not fit")]
    Checksum,
}

/// The whole secret text, between its making and its showing.
pub struct PlainKey(Zeroizing<String>);

impl PlainKey {
    /// A new key under `prefix`: 71 random bits of id, 256 of secret.
    #[must_use]
    pub fn mint(prefix: &Prefix, world: &World) -> Self {
        let mut random = Zeroizing::new([0u8; 16 + 32]);
        world.fill(random.as_mut());
        let (id_bits, secret) = random.split_at(16);
        let mut id = String::with_capacity(ID_LENGTH);
        push_base62(&mut id, id_bits, ID_LENGTH);
        Self::assemble(prefix, &id, secret)
    }
    /// A new text for the key of this public id: rotation keeps the id, so that usage stays one line.
    #[must_use]
    pub fn mint_again(prefix: &Prefix, id: PublicId, world: &World) -> Self {
        let mut secret = Zeroizing::new([0u8; 32]);
        world.fill(secret.as_mut());
        Self::assemble(prefix, id.as_str(), secret.as_ref())
    }
    fn assemble(prefix: &Prefix, id: &str, secret: &[u8]) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(LONGEST));
        text.push_str(prefix.as_str());
        text.push('_');
        text.push_str(id);
        text.push('_');
        push_base62(&mut text, secret, SECRET_LENGTH);
        let checksum = crc32fast::hash(text.as_bytes()).to_be_bytes();
        push_base62(&mut text, &checksum, CHECKSUM_LENGTH);
        Self(text)
    }
    /// The text, to be shown once and hashed.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
    /// As if a client had presented it.
    ///
    /// # Errors
    /// Never for a minted key.
    pub fn presented(&self) -> Result<Presented<'_>, KeyFormatError> {
        Presented::parse(self.0.as_bytes())
    }
}
impl fmt::Debug for PlainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainKey(…)")
    }
}

/// A text that has the form of a key and its checksum, as a client presented it.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    text: &'a [u8],
    hint: KeyHint,
}

impl<'a> Presented<'a> {
    /// Checks form and checksum; looks nothing up.
    ///
    /// # Errors
    /// What is wrong with the form.
    pub fn parse(text: &'a [u8]) -> Result<Self, KeyFormatError> {
        const SHAPE: KeyFormatError = KeyFormatError::Shape;
        if text.len() > LONGEST {
            return Err(SHAPE);
        }
        let (head, checksum) = text.split_last_chunk::<CHECKSUM_LENGTH>().ok_or(SHAPE)?;
        let (head_, secret) = head.split_last_chunk::<SECRET_LENGTH>().ok_or(SHAPE)?;
        let (head_, id) =
            head_.strip_suffix(b"_").and_then(|rest| rest.split_last_chunk::<ID_LENGTH>()).ok_or(SHAPE)?;
        let prefix = head_.strip_suffix(b"_").ok_or(SHAPE)?;
        let alphanumeric = |part: &[u8]| part.iter().all(u8::is_ascii_alphanumeric);
        let prefix = Prefix::of(prefix, LONGEST_SUFFIXED).ok_or(SHAPE)?;
        if !alphanumeric(id) || !alphanumeric(secret) || !alphanumeric(checksum) {
            return Err(SHAPE);
        }
        if checksum_of(head) != *checksum {
            return Err(KeyFormatError::Checksum);
        }
        Ok(Self { text, hint: KeyHint { prefix, id: PublicId(*id) } })
    }
    /// The public id.
    #[must_use]
    pub fn id(&self) -> PublicId {
        self.hint.id
    }
    /// The text before the first underscore.
    #[must_use]
    pub fn prefix(&self) -> Prefix {
        self.hint.prefix
    }
    /// What may be said of it.
    #[must_use]
    pub fn hint(&self) -> KeyHint {
        self.hint
    }
    /// What nobody may see: the secret and the checksum, letters and digits alone.
    pub(crate) fn secret(&self) -> &'a str {
        let secret = self.text.split_last_chunk::<{ SECRET_LENGTH + CHECKSUM_LENGTH }>();
        secret.and_then(|(_, secret)| std::str::from_utf8(secret).ok()).unwrap_or_default()
    }
}
impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({})", self.hint)
    }
}

/// What is kept of a key: HMAC-SHA-256 of its text under the pepper. Compared in constant time.
#[derive(Clone, Copy, Eq)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// From bytes that were stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// To be stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}
impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// The key of the hash, derived from the deployment's master key and never stored.
#[derive(Clone)]
pub struct Pepper(Hmac<Sha256>);

impl Pepper {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        // HMAC pads a key with zeros to the hash's block of 64 bytes: done here, making a keyed state
        // cannot fail. It is made once; each hash starts from a copy of it.
        let mut block = Zeroizing::new([0u8; 64]);
        for (to, from) in block.iter_mut().zip(key) {
            *to = *from;
        }
        Self(<Hmac<Sha256> as KeyInit>::new((&*block).into()))
    }
    /// The hash of a presented key.
    #[must_use]
    pub fn hash(&self, key: &Presented<'_>) -> KeyHash {
        let mut mac = self.0.clone();
        mac.update(key.text);
        KeyHash(mac.finalize().into_bytes().into())
    }
}
impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(…)")
    }
}

/// CRC-32 (IEEE) of `text` in base 62, most significant digit first, padded with `0`.
#[must_use]
pub fn checksum_of(text: &[u8]) -> [u8; CHECKSUM_LENGTH] {
    let mut rest = crc32fast::hash(text);
    let mut digits = [b'0'; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = base62_digit(rest % 62);
        rest /= 62;
    }
    digits
}

/// Appends `number` (big-endian) modulo 62^`length` as `length` base-62 digits.
fn push_base62(text: &mut String, number: &[u8], length: usize) {
    let mut number = Zeroizing::new(number.to_vec());
    let mut digits = Zeroizing::new(vec![0u8; length]);
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0u32;
        for byte in number.iter_mut() {
            let value = (remainder << 8) | u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        *digit = base62_digit(remainder);
    }
    text.extend(digits.iter().copied().map(char::from));
}

fn base62_digit(value: u32) -> u8 {
    usize::try_from(value).ok().and_then(|index| ALPHABET.get(index)).copied().unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        seal::MasterKey,
        time::Timestamp,
        world::{Clock, Entropy},
    };

    struct Fixed(u8);
    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }
    }
    impl Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }
    fn mint(byte: u8) -> PlainKey {
        PlainKey::mint(&Prefix::default(), &World::new(Fixed(byte), Fixed(byte)))
    }

    #[test]
    fn a_minted_key_has_the_published_form() {
        let key = mint(0xff);
        let parts: Vec<_> = key.expose().split('_').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 12, 49]);
        assert_eq!(key.presented().unwrap().prefix().as_str(), "tg");
        assert_eq!(
            format!("{key:?} {:?}", key.presented().unwrap()),
            format!("PlainKey(…) Presented(tg_{}…)", parts[1])
        );
        // 2^256 - 1 needs all 43 digits, and nothing of it is cut off.
        assert_ne!(mint(0xff).expose()[16..59], mint(0xfe).expose()[16..59]);
    }

    #[test]
    fn a_rotated_key_has_the_same_id_and_another_secret() {
        let (first, world) = (mint(7), World::new(Fixed(8), Fixed(8)));
        let id = first.presented().unwrap().id();
        let second = PlainKey::mint_again(&Prefix::default(), id, &world);
        assert_eq!(second.presented().unwrap().id(), id);
        assert_ne!(first.expose(), second.expose());
    }

    #[test]
    fn the_checksum_is_crc32_in_base_62() {
        // CRC-32 of "123456789" is 0xCBF43926 = 3421780262 (the published check value).
        assert_eq!(&checksum_of(b"123456789"), b"3jZRME");
        assert_eq!(&checksum_of(b""), b"000000");
    }

    #[test]
    fn any_single_change_of_a_key_is_refused() {
        let key = mint(7);
        let text = key.expose().as_bytes();
        for at in 0..text.len() {
            for byte in 0..=255u8 {
                let mut changed = text.to_vec();
                if changed[at] == byte {
                    continue;
                }
                changed[at] = byte;
                assert!(Presented::parse(&changed).is_err(), "byte {byte} at {at}");
            }
            assert!(Presented::parse(&text[..at]).is_err());
            assert!(Presented::parse(&text[at + 1..]).is_err());
        }
    }

    #[test]
    fn hashes_differ_by_key_by_pepper_and_by_purpose() {
        let master = MasterKey::from_bytes([1; 32]);
        let other = MasterKey::from_bytes([2; 32]);
        let key = mint(7);
        let presented = key.presented().unwrap();
        let hash = master.key_pepper().hash(&presented);
        assert_eq!(hash, master.key_pepper().hash(&presented));
        assert_ne!(hash, other.key_pepper().hash(&presented));
        assert_ne!(hash, master.token_pepper().hash(&presented));
        assert_ne!(hash, master.key_pepper().hash(&mint(8).presented().unwrap()));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Presented::parse(&text);
        }
        #[test]
        fn every_minted_key_parses(random in any::<[u8; 48]>()) {
            struct Given([u8; 48]);
            impl Entropy for Given {
                fn fill(&self, buffer: &mut [u8]) { buffer.copy_from_slice(&self.0); }
            }
            let key = PlainKey::mint(&Prefix::default(), &World::new(Fixed(0), Given(random)));
            prop_assert_eq!(key.presented().unwrap().id().as_str().len(), ID_LENGTH);
        }
    }
}
