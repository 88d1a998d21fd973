//! Keys in the middle of other text: by their structure and checksum alone, whatever their prefix, without a look-up.
//!
//! Invariant: what is found has a valid checksum, so a look-alike is found once in four thousand million; what is found
//! is found in one pass, and nothing is allocated.

use std::{borrow::Cow, ops::Range};

use super::{CHECKSUM_LENGTH, ID_LENGTH, KeyHint, LONGEST_SUFFIXED, Presented, SECRET_LENGTH};

/// The shortest prefix.
const SHORTEST_PREFIX: usize = 2;
/// What stands behind the second underscore.
const TAIL: usize = SECRET_LENGTH + CHECKSUM_LENGTH;

/// A key in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it stands.
    pub place: Range<usize>,
    /// What may be said of it.
    pub hint: KeyHint,
}

/// The first key, access token, link or session in `text` that begins at or behind `from`.
#[must_use]
pub fn find(text: &[u8], from: usize) -> Option<Found> {
    let mut rest = from.saturating_add(SHORTEST_PREFIX + 1 + ID_LENGTH);
    loop {
        // The second underscore: what stands before it and behind it has fixed lengths.
        let second = rest + memchr::memchr(b'_', text.get(rest..)?)?;
        rest = second + 1;
        if let Some(found) = around(text, from, second) {
            return Some(found);
        }
    }
}

/// The text with hints in place of all that [`find`] finds, and how many there were; `None` when there are none.
#[must_use]
pub fn redact(text: &[u8]) -> Option<(Vec<u8>, u64)> {
    let (mut redacted, mut done, mut count) = (Vec::new(), 0, 0);
    while let Some(found) = find(text, done) {
        redacted.extend_from_slice(text.get(done..found.place.start).unwrap_or_default());
        redacted.extend_from_slice(found.hint.to_string().as_bytes());
        done = found.place.end;
        count += 1;
    }
    redacted.extend_from_slice(text.get(done..).filter(|_| count > 0)?);
    Some((redacted, count))
}

/// The same of a text, for what is said to whoever sent it.
#[must_use]
pub fn redacted(text: &str) -> Cow<'_, str> {
    match redact(text.as_bytes()) {
        Some((text, _)) => Cow::Owned(String::from_utf8_lossy(&text).into_owned()),
        None => Cow::Borrowed(text),
    }
}

/// Whether what a stranger sent may be repeated: at most `longest` bytes, and no key in it. What is too long is left out
/// whole, since half a key cannot be told from other words.
#[must_use]
pub fn is_harmless(text: &str, longest: usize) -> bool {
    text.len() <= longest && find(text.as_bytes(), 0).is_none()
}

/// The key whose second underscore stands at `second`.
fn around(text: &[u8], from: usize, second: usize) -> Option<Found> {
    let id = second.checked_sub(ID_LENGTH)?;
    let first = id.checked_sub(1).filter(|first| text.get(*first) == Some(&b'_'))?;
    let end = second + 1 + TAIL;
    let tail = text.get(second + 1..end)?;
    if !tail.iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    // Letters may stand right before the prefix: the checksum says where it begins.
    let earliest = from.max(first.saturating_sub(LONGEST_SUFFIXED));
    let before = text.get(earliest..first)?;
    let is_of_prefix = |byte: &&u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let longest = before.iter().rev().take_while(is_of_prefix).count();
    (SHORTEST_PREFIX..=longest).rev().find_map(|length| {
        let place = first - length..end;
        let hint = Presented::parse(text.get(place.clone())?).ok()?.hint();
        Some(Found { place, hint })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        secret::{PlainKey, Prefix},
        time::Timestamp,
        world::{Clock, Entropy, World},
    };

    struct Given([u8; 48]);
    impl Clock for Given {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }
    }
    impl Entropy for Given {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.copy_from_slice(&self.0);
        }
    }
    fn key(prefix: &str, random: [u8; 48]) -> String {
        let prefix: Prefix = prefix.parse().unwrap();
        PlainKey::mint(&prefix, &World::new(Given(random), Given(random))).expose().to_owned()
    }

    #[test]
    fn all_keys_of_a_text_are_found_in_order() {
        let (one, two) = (key("tg", [1; 48]), key("acme2", [2; 48]));
        let text = format!("{one}{two} a_b_c,\"{one}\"");
        let mut places = Vec::new();
        let mut from = 0;
        while let Some(found) = find(text.as_bytes(), from) {
            from = found.place.end;
            places.push(text[found.place].to_owned());
        }
        assert_eq!(places, [one.clone(), two, one]);
    }

    #[test]
    fn a_key_is_found_whatever_stands_around_it() {
        let key = key("tg", [7; 48]);
        for (before, behind) in
            [("", ""), ("Bearer ", "\r\n"), ("key=", "&x=1"), ("verylongwordbefore", "Behind"), ("_", "_"), ("é", "é")]
        {
            let text = format!("{before}{key}{behind}");
            let found = find(text.as_bytes(), 0).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(&text[found.place], key, "{text}");
            assert_eq!(found.hint.to_string(), format!("{}…", &key[..15]));
        }
    }

    #[test]
    fn hints_take_the_places_of_keys() {
        let (one, two) = (key("tg", [1; 48]), key("acme2", [2; 48]));
        let text = format!("é{one}{two}, \"{one}\"");
        let said = format!("é{}…{}…, \"{}…\"", &one[..15], &two[..18], &one[..15]);
        assert_eq!(redacted(&text), said);
        assert_eq!(redact(text.as_bytes()), Some((said.into_bytes(), 3)));
        assert!(matches!(redacted("tg_nothing"), Cow::Borrowed("tg_nothing")));
        assert_eq!(redact(b""), None);
    }

    #[test]
    fn what_is_repeated_is_short_and_holds_no_key() {
        let key = key("tg", [7; 48]);
        assert!(is_harmless("4bf92f35-77b3", 20));
        assert!(!is_harmless(&format!("id={key}"), 128));
        assert!(!is_harmless(&key[..40], 39));
    }

    #[test]
    fn a_look_alike_is_none() {
        let key = key("tg", [7; 48]);
        for at in 0..key.len() {
            let mut other = key.clone().into_bytes();
            other[at] = if other[at] == b'1' { b'2' } else { b'1' };
            assert_eq!(find(&other, 0), None, "{at}");
            assert_eq!(find(&key.as_bytes()[..at], 0), None);
        }
        // What begins before `from` is not whole.
        assert_eq!(find(key.as_bytes(), 1), None);
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_found_is_a_key(
            text in proptest::collection::vec(any::<u8>(), 0..300),
            from in 0usize..400,
        ) {
            prop_assert_eq!(find(&text, from), None);
        }
        #[test]
        fn every_minted_key_is_found_in_noise(
            random in any::<[u8; 48]>(),
            prefix in "[a-z0-9]{2,12}",
            before in "[ -~]{0,80}",
            behind in "[ -~]{0,80}",
        ) {
            let key = key(&prefix, random);
            let text = format!("{before}{key}{behind}");
            let found = find(text.as_bytes(), 0).unwrap();
            prop_assert_eq!(&text[found.place], key);
        }
    }
}
