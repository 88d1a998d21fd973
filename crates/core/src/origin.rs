//! Where a web page comes from, as a browser says it in `Origin` (RFC 6454; WHATWG HTML, "origin"): scheme, host, port.
//!
//! Invariant: an [`Origin`] is written exactly as browsers write it (lower case, punycode, no default port), so that it
//! is compared byte by byte. `*` and `null` name nobody, so they are none.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The text is no origin, or there are too many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// It has another form.
    #[error(
        "an origin is a scheme, a host and perhaps a port, such as https://app.example.com or http://localhost:3000: no \
         path, not even a slash, no *, not null"
    )]
    Form,
    /// It is too long.
    #[error("an origin has at most 255 characters")]
    TooLong,
    /// The list is too long.
    #[error("a key allows at most 20 origins")]
    TooMany,
}

/// One origin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(Box<str>);

impl Origin {
    /// The longest text, in bytes.
    pub const LONGEST: usize = 255;

    /// As browsers write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Host and port as in the `host` header.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, authority)| authority)
    }
}

impl FromStr for Origin {
    type Err = OriginError;
    fn from_str(text: &str) -> Result<Self, OriginError> {
        if text.len() > Self::LONGEST {
            return Err(OriginError::TooLong);
        }
        let (scheme, authority) = text.split_once("://").ok_or(OriginError::Form)?;
        let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && !"/\\?#@*%".contains(c);
        if authority.is_empty() || !authority.chars().all(is_plain) {
            return Err(OriginError::Form);
        }
        let origin = match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => of_web(text)?,
            scheme => of_application(scheme, authority)?,
        };
        // A host may hold a comma, or what browsers take for one; in a list it parts two origins.
        if origin.contains(',') {
            return Err(OriginError::Form);
        }
        if origin.len() > Self::LONGEST { Err(OriginError::TooLong) } else { Ok(Self(origin.into())) }
    }
}

/// As the WHATWG URL standard has it, which browsers follow: hosts in lower case and punycode, no default port.
fn of_web(text: &str) -> Result<String, OriginError> {
    let url = url::Url::parse(text).map_err(|_| OriginError::Form)?;
    Ok(url.origin().ascii_serialization())
}

/// Of a program that shows pages of its own, or of a browser's extension: `tauri://localhost`, `chrome-extension://…`.
fn of_application(scheme: &str, authority: &str) -> Result<String, OriginError> {
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let begins_well = scheme.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    let scheme_fits =
        begins_well && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
    let host_fits = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    let port_fits = port.is_none_or(|port| !port.starts_with('+') && port.parse::<u16>().is_ok_and(|port| port > 0));
    if !scheme_fits || !host_fits || !port_fits {
        return Err(OriginError::Form);
    }
    Ok(format!("{scheme}://{}", authority.to_ascii_lowercase()))
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The origins that a key may be used from: sorted, without repeats, at most [`Origins::MOST`]. None, unless its owner
/// names some.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Origins(Vec<Origin>);

impl Origins {
    /// The longest list of one key.
    pub const MOST: usize = 20;

    /// A list of these.
    ///
    /// # Errors
    /// [`OriginError::TooMany`]
    pub fn new(mut origins: Vec<Origin>) -> Result<Self, OriginError> {
        origins.sort();
        origins.dedup();
        if origins.len() > Self::MOST { Err(OriginError::TooMany) } else { Ok(Self(origins)) }
    }
    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Origin> {
        self.0.iter()
    }
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Whether the origin that a browser wrote is among them.
    #[must_use]
    pub fn allow(&self, written: &[u8]) -> bool {
        self.0.iter().any(|origin| origin.as_str().as_bytes() == written)
    }
    /// Whether one of them has this host and port.
    #[must_use]
    pub fn allow_authority(&self, authority: &[u8]) -> bool {
        self.0.iter().any(|origin| origin.authority().as_bytes().eq_ignore_ascii_case(authority))
    }
}

/// One after the other, with a blank between them.
impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, origin) in self.0.iter().enumerate() {
            write!(f, "{}{origin}", if place == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}
/// What [`Display`](fmt::Display) wrote, or what a person typed: blanks, line ends or commas between them.
impl FromStr for Origins {
    type Err = OriginError;
    fn from_str(text: &str) -> Result<Self, OriginError> {
        let parts = text.split(|c: char| c.is_whitespace() || c == ',').filter(|part| !part.is_empty());
        Self::new(parts.map(str::parse).collect::<Result<_, _>>()?)
    }
}
impl Serialize for Origins {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
impl<'de> Deserialize<'de> for Origins {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Texts first: what is wrong is then said of the list, by its name.
        let texts = Vec::<String>::deserialize(deserializer)?;
        let origins = texts.iter().map(|text| text.parse()).collect::<Result<_, _>>();
        origins.and_then(Self::new).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, OriginError> {
        text.parse().map(|origin: Origin| origin.to_string())
    }

    #[test]
    fn an_origin_is_kept_as_browsers_write_it() {
        for (typed, kept) in [
            ("https://app.example.com", "https://app.example.com"),
            ("HTTPS://App.Example.COM:443", "https://app.example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("http://[0:0:0:0:0:0:0:1]:8080", "http://[::1]:8080"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("https://ứng-dụng.vn", "https://xn--ng-dng-lq8b1a.vn"),
            ("https://a_b.example.com.", "https://a_b.example.com."),
            ("tauri://localhost", "tauri://localhost"),
            (
                "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
                "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            ),
            ("App://Obsidian.md", "app://obsidian.md"),
        ] {
            assert_eq!(read(typed).as_deref(), Ok(kept), "{typed}");
            assert_eq!(read(kept).as_deref(), Ok(kept), "it stays");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for wrong in [
            "",
            "*",
            "null",
            "app.example.com",
            "https://",
            "https:app.example.com",
            "https://*.example.com",
            "https://app.example.com/",
            "https://app.example.com/path",
            "https://app.example.com?x",
            "https://app.example.com#x",
            "https://user@app.example.com",
            "https://app.example.com:0x50",
            "https://app.example.com:99999",
            "https://app example.com",
            "https://app.example.com\n",
            "https://a%2fb.example",
            "https://a,b.example",
            "https://a\u{ff0c}b.example",
            "https://999.1.1.1",
            "file://",
            "1x://host",
            "app://host:+80",
            "app://host:",
            "app://ü",
            "://host",
        ] {
            assert_eq!(read(wrong), Err(OriginError::Form), "{wrong:?}");
        }
        assert_eq!(read(&format!("https://{}", "a".repeat(248))), Err(OriginError::TooLong));
        // Short as it was typed, long as it is written.
        let grown = format!("https://{}example", format!("{}.", "ü".repeat(20)).repeat(5));
        assert!(read(&grown).is_ok_and(|kept| kept.is_ascii()), "{grown}");
    }

    #[test]
    fn a_list_is_sorted_without_repeats_and_bounded() {
        let list: Origins = "https://b.example\r\nhttps://a.example, https://B.example".parse().unwrap();
        assert_eq!(list.to_string(), "https://a.example https://b.example");
        assert_eq!(serde_json::to_string(&list).unwrap(), r#"["https://a.example","https://b.example"]"#);
        assert!(list.allow(b"https://a.example") && !list.allow(b"https://a.example:443") && !list.allow(b"null"));
        assert!(list.allow_authority(b"A.example") && !list.allow_authority(b"c.example"));
        assert!("".parse::<Origins>().unwrap().is_empty());
        let many = |count: usize| (0..count).map(|n| format!("https://a{n}.example")).collect::<Vec<_>>().join("\n");
        assert!(many(Origins::MOST).parse::<Origins>().is_ok());
        assert_eq!(many(Origins::MOST + 1).parse::<Origins>(), Err(OriginError::TooMany));
        assert!(serde_json::from_str::<Origins>(r#"["https://a.example/x"]"#).is_err());
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(5_000))]
        /// Else a key would be stored that cannot be read.
        #[test]
        fn what_is_taken_for_an_origin_is_read_back_from_a_list(text in "(https?|tauri|a)://[a-z.;,:\\[\\]!$&'()+=~_0-9ü\u{ff0c}\u{ff0e}\u{3002}\u{2028}\u{ad}-]{1,12}") {
            if let Ok(origin) = text.parse::<Origin>() {
                let list = Origins::new(vec![origin]).unwrap();
                proptest::prop_assert_eq!(list.to_string().parse::<Origins>(), Ok(list));
            }
        }
    }
}
