//! Keys and access tokens that were found where everybody can read them: who says so, where, and what follows.
//!
//! A [`Place`] never holds a key: whatever has the form of one, with its checksum, is replaced by its hint when the place
//! is made.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use crate::notice::LeakSource;
use crate::{
    secret::{KeyHint, LONGEST_SUFFIXED as LONGEST_PREFIX, Presented},
    time::Timestamp,
};

/// What happens to an account's keys that are found in public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnLeak {
    /// They are switched off at once.
    #[default]
    Disable,
    /// They go on working; people are told.
    Tell,
}

impl OnLeak {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Disable, Self::Tell];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Tell => "tell",
        }
    }
}
impl FromStr for OnLeak {
    type Err = LeakWordError;
    fn from_str(text: &str) -> Result<Self, LeakWordError> {
        Self::ALL.into_iter().find(|what| what.as_str() == text).ok_or(LeakWordError)
    }
}
impl fmt::Display for OnLeak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is none of the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a word that is known here")]
pub struct LeakWordError;

/// What sort of place it was, in the words of GitHub's partner protocol; compared without case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PlaceKind {
    /// A file.
    Content,
    /// A commit's message or change.
    Commit,
    /// A pull request's title.
    PullRequestTitle,
    /// A pull request's description.
    PullRequestDescription,
    /// A comment of a pull request.
    PullRequestComment,
    /// An issue's title.
    IssueTitle,
    /// An issue's description.
    IssueDescription,
    /// A comment of an issue.
    IssueComment,
    /// A discussion's title.
    DiscussionTitle,
    /// A discussion's first text.
    DiscussionBody,
    /// A comment of a discussion.
    DiscussionComment,
    /// A comment of a commit.
    CommitComment,
    /// A gist.
    GistContent,
    /// A comment of a gist.
    GistComment,
    /// A package of npm.
    Npm,
    /// Not said, or a word of a later version.
    #[default]
    Unknown,
}

impl PlaceKind {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Content,
        Self::Commit,
        Self::PullRequestTitle,
        Self::PullRequestDescription,
        Self::PullRequestComment,
        Self::IssueTitle,
        Self::IssueDescription,
        Self::IssueComment,
        Self::DiscussionTitle,
        Self::DiscussionBody,
        Self::DiscussionComment,
        Self::CommitComment,
        Self::GistContent,
        Self::GistComment,
        Self::Npm,
        Self::Unknown,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Commit => "commit",
            Self::PullRequestTitle => "pull_request_title",
            Self::PullRequestDescription => "pull_request_description",
            Self::PullRequestComment => "pull_request_comment",
            Self::IssueTitle => "issue_title",
            Self::IssueDescription => "issue_description",
            Self::IssueComment => "issue_comment",
            Self::DiscussionTitle => "discussion_title",
            Self::DiscussionBody => "discussion_body",
            Self::DiscussionComment => "discussion_comment",
            Self::CommitComment => "commit_comment",
            Self::GistContent => "gist_content",
            Self::GistComment => "gist_comment",
            Self::Npm => "npm",
            Self::Unknown => "unknown",
        }
    }
    /// What a report calls it; a word that is not known is [`Self::Unknown`].
    #[must_use]
    pub fn of(word: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(word)).unwrap_or_default()
    }
}

/// Where a key was found, as a report says it: usually an address. Bounded, on one line, without any key in it. Nobody has
/// checked that it is true, nor that it is harmless.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place(String);

impl Place {
    /// The longest, in bytes; what comes behind is cut off.
    pub const LONGEST: usize = 2_000;

    /// From what a report says; `None` where that says nothing.
    #[must_use]
    pub fn new(said: &str) -> Option<Self> {
        // Characters of control, and those that turn the direction of what stands around them, show nothing.
        let shown: String = said
            .chars()
            .filter(|c| !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
            .take(2 * Self::LONGEST)
            .collect();
        let mut text = without_keys(shown.trim());
        let mut end = text.len().min(Self::LONGEST);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        (!text.is_empty()).then_some(Self(text))
    }
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The same without this secret, however the text around it is encoded: letters and digits stand for themselves in
    /// all of the ways that an address can be written.
    #[must_use]
    pub fn without(self, key: &Presented<'_>) -> Self {
        let secret = key.secret();
        if secret.is_empty() || !self.0.contains(secret) { self } else { Self(self.0.replace(secret, "…")) }
    }
    /// Whether the text is an address that a browser may be sent to: nothing else is ever made a link.
    #[must_use]
    pub fn is_web(text: &str) -> bool {
        ["https://", "http://"]
            .iter()
            .any(|scheme| text.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme)))
    }
}

/// Whatever has the form of a key and its checksum becomes its hint.
fn without_keys(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    'text: while !rest.is_empty() {
        // The underscore behind a prefix, and where that prefix may begin.
        for (at, _) in rest.match_indices('_') {
            for start in at.saturating_sub(LONGEST_PREFIX)..at {
                let candidate = rest.get(start..).and_then(|from| key_at(from, at - start));
                if let Some((hint, length)) = candidate {
                    kept.push_str(rest.get(..start).unwrap_or_default());
                    kept.push_str(&hint.to_string());
                    rest = rest.get(start + length..).unwrap_or_default();
                    continue 'text;
                }
            }
        }
        break;
    }
    kept.push_str(rest);
    kept
}

/// The key at the beginning of `text`, whose prefix has this length, and its own length.
fn key_at(text: &str, prefix: usize) -> Option<(KeyHint, usize)> {
    use crate::secret::{CHECKSUM_LENGTH, ID_LENGTH, SECRET_LENGTH};
    let length = prefix + 1 + ID_LENGTH + 1 + SECRET_LENGTH + CHECKSUM_LENGTH;
    let candidate = text.as_bytes().get(..length)?;
    Some((Presented::parse(candidate).ok()?.hint(), length))
}

/// That a key was found in public, and nobody has said since that this was a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLeak {
    /// When it was first reported.
    pub at: Timestamp,
    /// Where it was found, if that was said.
    pub found_at: Option<String>,
    /// Who said so first.
    pub source: LeakSource,
    /// How many reports there were, repeats included.
    pub reports: u64,
}

/// What one report came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeakEffect {
    /// It is dead by this report.
    Ended,
    /// The account wants to be told only: it goes on working, and people are told.
    Told,
    /// It was dead already, or the same was reported before: nothing changed and nobody is told again.
    Unchanged,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        secret::{PlainKey, Prefix},
        world::{Clock, Entropy, World},
    };

    struct Fixed;
    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }
    }
    impl Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0x5a);
        }
    }
    fn key() -> PlainKey {
        PlainKey::mint(&Prefix::default(), &World::new(Fixed, Fixed))
    }

    #[test]
    fn a_place_holds_no_key() {
        let key = key();
        let presented = key.presented().unwrap();
        let hint = presented.hint().to_string();
        let text = key.expose();
        for (said, kept) in [
            (format!("https://a.example/?key={text}&x=1"), format!("https://a.example/?key={hint}&x=1")),
            (text.to_owned(), hint.clone()),
            (format!("a_b {text} {text}_c"), format!("a_b {hint} {hint}_c")),
            (format!("é{text}"), format!("é{hint}")),
        ] {
            assert_eq!(Place::new(&said).unwrap().as_str(), kept);
        }
        let encoded = Place::new(&format!("https://a.example/?key={}", text.replace('_', "%5F"))).unwrap();
        let cleaned = encoded.without(&presented);
        assert!(!cleaned.as_str().contains(&text[text.len() - 49..]), "{cleaned:?}");
        let other = "tg_4fZ0aB1cD2eF_0000000000000000000000000000000000000000000000000";
        assert_eq!(Place::new(other).unwrap().as_str(), other, "a wrong checksum is no key");
    }

    #[test]
    fn a_place_is_bounded_and_on_one_line() {
        assert_eq!(
            Place::new(" \u{202e}https://x\r\nset-cookie:\u{0} \u{2066}").unwrap().as_str(),
            "https://xset-cookie:"
        );
        for nothing in ["", " \t\r\n", "\u{0}\u{202e}"] {
            assert_eq!(Place::new(nothing), None);
        }
        let long = Place::new(&"é".repeat(10_000)).unwrap();
        assert_eq!(long.as_str().len(), Place::LONGEST);
        assert!(Place::new(&"_".repeat(100_000)).is_some());
    }

    #[test]
    fn only_addresses_of_the_web_are_links() {
        for (text, web) in [
            ("https://a.example/x", true),
            ("HTTP://a.example", true),
            ("javascript:alert(1)//https://", false),
            (" https://a.example", false),
            ("data:text/html,x", false),
            ("//a.example", false),
            ("ünd", false),
            ("", false),
        ] {
            assert_eq!(Place::is_web(text), web, "{text}");
        }
    }

    #[test]
    fn words_read_back_and_unknown_kinds_are_unknown() {
        for what in OnLeak::ALL {
            assert_eq!(what.as_str().parse(), Ok(what));
        }
        for kind in PlaceKind::ALL {
            assert_eq!(PlaceKind::of(&kind.as_str().to_uppercase()), kind);
        }
        assert_eq!(PlaceKind::of("Wiki_page"), PlaceKind::Unknown);
        assert_eq!("".parse::<OnLeak>(), Err(LeakWordError));
    }
}
