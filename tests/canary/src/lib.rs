//! Looks for secrets in what a program leaves behind: files, dumps of memory, answers. A [`Canary`] knows the secrets
//! and finds them in every [form](forms) in which they may lie there, also a good part of one; [`of_key_form`] finds
//! keys that nobody told it of.
//!
//! Invariant: nothing is taken from Tollgate itself: the form of a key is read from its documentation, so that a fault
//! over there is no fault here.

pub mod forms;
mod key_form;
mod places;

use std::{collections::BTreeSet, fmt};

use aho_corasick::AhoCorasick;

pub use key_form::of_key_form;

/// A good part of a secret: what gives away no more than a shorter piece does is not looked for.
const GOOD_PART: usize = 20;

/// Secrets to be looked for.
pub struct Canary {
    automaton: AhoCorasick,
    /// By the automaton's pattern: which secret, in which form.
    patterns: Vec<(String, &'static str)>,
    longest: usize,
}

/// A secret where it must not be. Tells which and where, not the secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// The secret's beginning.
    pub secret: String,
    /// The form that it has there.
    pub form: &'static str,
    /// Where.
    pub place: String,
    /// How many bytes into it.
    pub at: u64,
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) in {} at byte {}", self.secret, self.form, self.place, self.at)
    }
}

impl Canary {
    /// Of these secrets. Of a key the part behind its public id is one.
    ///
    /// # Panics
    /// When there are more than an automaton holds: millions.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut needles, mut patterns) = (BTreeSet::new(), Vec::new());
        let secrets: BTreeSet<&str> = secrets.into_iter().collect();
        for secret in secrets {
            let shown: String = secret.chars().take(15).chain("…".chars()).collect();
            for part in parts(secret) {
                for (form, needle) in forms::of(part.as_bytes()) {
                    if needles.insert(needle.clone()) {
                        patterns.push((needle, (shown.clone(), form)));
                    }
                }
            }
        }
        let longest = patterns.iter().map(|(needle, _)| needle.len()).max().unwrap_or_default();
        let (needles, patterns): (Vec<_>, Vec<_>) = patterns.into_iter().unzip();
        #[expect(clippy::expect_used, reason = "a tool of tests, of a few thousand secrets")]
        let automaton = AhoCorasick::new(needles).expect("an automaton of some secrets");
        Self { automaton, patterns, longest }
    }

    /// All of them in these bytes; `base` is where the bytes begin in their place.
    #[must_use]
    pub fn hits(&self, place: &str, base: u64, bytes: &[u8]) -> Vec<Hit> {
        let found = self.automaton.find_iter(bytes);
        found
            .filter_map(|found| {
                let (secret, form) = self.patterns.get(found.pattern().as_usize())?;
                let at = base + found.start() as u64;
                Some(Hit { secret: secret.clone(), form, place: place.to_owned(), at })
            })
            .collect()
    }
}

/// The parts that each would give it away: two halves of a key's secret part, or all of it.
fn parts(secret: &str) -> Vec<&str> {
    let key = of_key_form(secret.as_bytes()).into_iter().next().filter(|key| key.text.len() == secret.len());
    let tail = key.and_then(|key| secret.get(key.tail_at..)).unwrap_or(secret);
    match tail.len().checked_sub(2 * GOOD_PART) {
        Some(_) => [tail.get(..GOOD_PART), tail.get(tail.len() - GOOD_PART..)].into_iter().flatten().collect(),
        None => vec![tail],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key with a valid checksum, and a secret of another form.
    const KEY: &str = "tg_0123456789AB_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ";
    const OTHER: &str = "sk-upstream-credential-7c1f";

    fn key() -> String {
        key_form::with_checksum(KEY)
    }

    #[test]
    fn a_secret_is_found_in_every_form_at_every_offset() {
        let key = key();
        let canary = Canary::new([key.as_str(), OTHER]);
        for secret in [key.as_str(), OTHER] {
            for offset in 0..6 {
                let text = format!("{}{secret} and more", "x".repeat(offset));
                for (form, whole) in forms::whole(text.as_bytes()) {
                    let hits = canary.hits("here", 0, &whole);
                    assert!(!hits.is_empty(), "{secret} as {form} at {offset}");
                    assert!(hits.iter().all(|hit| hit.secret == format!("{}…", &secret[..15])));
                }
            }
        }
    }

    #[test]
    fn half_a_key_is_found_and_its_public_part_is_none() {
        let key = key();
        let canary = Canary::new([key.as_str()]);
        for part in [&key[..40], &key[key.len() - 25..]] {
            assert_eq!(canary.hits("here", 0, part.as_bytes()).len(), 1, "{part}");
        }
        assert_eq!(canary.hits("here", 0, &key.as_bytes()[..30]), []);
        assert_eq!(canary.hits("here", 0, b""), []);
        let shown = canary.hits("the log", 100, key.as_bytes()).iter().map(Hit::to_string).collect::<Vec<_>>();
        assert_eq!(shown[0], "tg_0123456789AB… (plain) in the log at byte 116");
        assert!(!shown.concat().contains("abcdef"), "the secret is not told");
    }

    #[test]
    fn without_secrets_nothing_is_found() {
        assert_eq!(Canary::new([]).hits("here", 0, b"anything"), []);
    }
}
