//! Names that people give to things, checked once.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a name was refused; the text says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(&'static str);

macro_rules! name {
    ($(#[$doc:meta])* $ty:ident, $check:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $ty(Box<str>);
        impl $ty {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $ty {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.into())) } else { Err(NameError($rule)) }
            }
        }
        impl fmt::Display for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
        impl AsRef<str> for $ty {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl std::borrow::Borrow<str> for $ty {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl Serialize for $ty {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $ty {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

fn is_label(text: &str, most: usize) -> bool {
    let length = text.chars().count();
    (1..=most).contains(&length) && text.trim() == text && !text.chars().any(char::is_control)
}

fn is_slug(text: &str, most: usize, more: &[u8]) -> bool {
    (1..=most).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}

name!(
    /// A label for people: a key's, an account's, a user's, a plan's or a token's name. 1 to 200
    /// characters of any script, no control characters, no blanks at the ends.
    Label,
    |text| is_label(text, 200),
    "a name has 1 to 200 characters, no control characters, and no blanks at its ends"
);
name!(
    /// A model's public name, as clients send it in `model`.
    ModelName,
    |text| is_slug(text, 128, b"-_.:/@+"),
    "a model's name has 1 to 128 of A-Z a-z 0-9 - _ . : / @ + and begins with a letter or digit"
);
name!(
    /// An upstream's or a node's name, for operators.
    Slug,
    |text| is_slug(text, 64, b"-_."),
    "this name has 1 to 64 of A-Z a-z 0-9 - _ . and begins with a letter or digit"
);
name!(
    /// An account's name or plan's code in addresses and commands (`default`).
    Handle,
    |text| is_slug(text, 64, b"-") && !text.bytes().any(|b| b.is_ascii_uppercase()),
    "this name has 1 to 64 of a-z 0-9 - and begins with a letter or digit"
);
name!(
    /// A mail address, checked for shape only: something, an at sign, something.
    Email,
    |text| text.len() <= 254
        && !text.chars().any(|c| c.is_control() || c.is_whitespace())
        && text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@')),
    "this is not a mail address"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_what_they_say_and_refuse_the_rest() {
        assert!("Đội Nghiên cứu 🚀 <script>".parse::<Label>().is_ok());
        for wrong in ["", " a", "a ", "a\nb", "\u{0}", &"é".repeat(201)] {
            assert!(wrong.parse::<Label>().is_err(), "{wrong:?}");
        }
        assert!("Qwen/Qwen3-32B:free".parse::<ModelName>().is_ok());
        for wrong in ["", "-x", "a b", "a\"b", "é", &"a".repeat(129)] {
            assert!(wrong.parse::<ModelName>().is_err(), "{wrong:?}");
        }
        assert!("Default".parse::<Handle>().is_err());
        assert!("a@b".parse::<Email>().is_ok());
        for wrong in ["a", "@b", "a@", "a@b@c", "a b@c"] {
            assert!(wrong.parse::<Email>().is_err(), "{wrong:?}");
        }
    }
}
