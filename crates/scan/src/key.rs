//! What is found: the text of a key, which is shown to nobody and handed to `POST /leaks` alone, and the form it was in.

use std::fmt;

use serde::{Serialize, Serializer};
use tollgate_core::secret::{KeyHint, Presented};
use zeroize::Zeroizing;

/// The text of a key or access token that was found: of the form, its checksum valid. Wiped when dropped; it has no
/// `Display` and no `Serialize`, and its `Debug` text is the hint.
#[derive(Clone, PartialEq, Eq)]
pub struct FoundKey {
    text: Zeroizing<String>,
}

impl FoundKey {
    /// From a text that was put together character by character; `None` where the form or the checksum does not fit.
    pub(crate) fn checked(text: &[u8]) -> Option<Self> {
        Presented::parse(text).ok()?;
        Some(Self { text: Zeroizing::new(String::from_utf8(text.to_vec()).ok()?) })
    }
    /// What may be said of it.
    #[must_use]
    pub fn hint(&self) -> Option<KeyHint> {
        Presented::parse(self.text.as_bytes()).ok().map(|key| key.hint())
    }
    /// The text, to be reported.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }
}
impl fmt::Debug for FoundKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hint() {
            Some(hint) => fmt::Display::fmt(&hint, f),
            None => f.write_str("…"),
        }
    }
}

/// How a key was written where it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// As it is.
    Plain,
    /// With characters escaped as in JSON, URLs, HTML, Markdown or source code.
    Escaped,
    /// Over several lines or string literals.
    Split,
    /// In UTF-16 or UTF-32.
    Wide,
    /// In base64, alone or inside of something longer.
    Base64,
    /// In base64 inside of base64.
    Base64Twice,
    /// In hexadecimal digits.
    Hex,
}

impl Form {
    /// Its name in results.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Escaped => "escaped",
            Self::Split => "split",
            Self::Wide => "utf-16",
            Self::Base64 => "base64",
            Self::Base64Twice => "base64-twice",
            Self::Hex => "hex",
        }
    }
}
impl Serialize for Form {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
