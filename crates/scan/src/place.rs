//! Where a key was found.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use serde::Serialize;

use crate::{Find, Finder, Form, FoundKey};

/// The most finds that are kept; further ones are counted.
pub const MOST_FOUND: usize = 100_000;
/// The most warnings that are said; further ones are counted.
const MOST_WARNINGS: u64 = 1_000;

/// A place in a text, as editors count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The line, from 1.
    pub line: u64,
    /// The character in the line, from 1.
    pub column: u64,
}

/// What of a file, an archive or a repository holds the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The content of a file.
    Content,
    /// The name of a file.
    FileName,
    /// The message of a commit, or its author's name.
    CommitMessage,
    /// The message of a tag.
    TagMessage,
    /// The name of a branch, tag or other reference.
    ReferenceName,
}

/// The commit that brought it in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Commit {
    /// Its id.
    pub id: String,
    /// Who wrote it: the name, without the address.
    pub author: String,
    /// When it was written (RFC 3339).
    pub date: String,
}

/// A key in a place.
#[derive(Debug, Clone)]
pub struct Found {
    /// The key.
    pub key: FoundKey,
    /// How it is written there.
    pub form: Form,
    /// The file, members of archives behind `!`; a tag's or reference's name; empty for a commit's message.
    pub file: String,
    /// What of it.
    pub part: Part,
    /// The line and column; none in a name.
    pub position: Option<Position>,
    /// In a history, the first commit that has it. None there: it is in an object that no reference leads to.
    pub commit: Option<Commit>,
    /// In a history, how many later versions of the file hold the key too.
    pub more: u64,
}

impl Found {
    /// In a file.
    pub(crate) fn in_file(file: String, part: Part, position: Option<Position>, find: Find) -> Self {
        Self { key: find.key, form: find.form, file, part, position, commit: None, more: 0 }
    }
}

/// What a scan comes to, gathered by all of its threads; a progress bar may look at it meanwhile.
pub struct Findings {
    found: Mutex<Vec<Found>>,
    /// How many keys' places were found.
    pub places: AtomicU64,
    /// Files, or objects of a history, that were read.
    pub read: AtomicU64,
    /// How many there are to read; 0 while unknown.
    pub total: AtomicU64,
    /// Bytes that were searched, unpacked.
    pub bytes: AtomicU64,
    /// What could not be read, or not to its end.
    pub unread: AtomicU64,
    finder: Finder,
    warn: Box<dyn Fn(&str) + Send + Sync>,
}

impl Findings {
    /// An empty one, which says what cannot be read through `warn`. Names in which `finder` finds a key are told without it.
    #[must_use]
    pub fn new(finder: &Finder, warn: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            found: Mutex::default(),
            places: AtomicU64::new(0),
            read: AtomicU64::new(0),
            total: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            unread: AtomicU64::new(0),
            finder: finder.clone(),
            warn: Box::new(warn),
        }
    }
    /// All finds, by file and place.
    #[must_use]
    pub fn into_found(self) -> Vec<Found> {
        let mut found = self.found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let when = |found: &Found| found.commit.as_ref().map(|commit| commit.date.clone());
        found.sort_by(|a, b| (&a.file, a.part, when(a), a.position).cmp(&(&b.file, b.part, when(b), b.position)));
        found
    }
    pub(crate) fn add(&self, mut found: Found) {
        found.file = self.shown(&found.file);
        self.places.fetch_add(1, Ordering::Relaxed);
        let mut all = self.found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if all.len() < MOST_FOUND {
            all.push(found);
        }
    }
    /// Counts something that cannot be read, and says so.
    pub(crate) fn unread(&self, name: &str, why: impl std::fmt::Display) {
        let before = self.unread.fetch_add(1, Ordering::Relaxed);
        if before < MOST_WARNINGS {
            let (name, why) = (self.shown(name), self.shown(&why.to_string()));
            (self.warn)(&if name.is_empty() { why } else { format!("{name}: {why}") });
        }
    }
    /// Says something that matters for what was found.
    pub(crate) fn warn(&self, text: &str) {
        (self.warn)(text);
    }
    pub(crate) fn count_read(&self, bytes: usize) {
        self.read.fetch_add(1, Ordering::Relaxed);
        self.count_bytes(bytes);
    }
    pub(crate) fn count_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A name for people's eyes: whoever names a file may not write to the terminal, nor begin a line of its own, and a key in
    /// a name stays a secret.
    pub(crate) fn shown(&self, name: &str) -> String {
        let mut shown = String::with_capacity(name.len());
        let mut from = 0;
        for find in self.finder.find(name.as_bytes()) {
            shown.push_str(name.get(from..find.start).unwrap_or_default());
            shown.push_str(&format!("{:?}", find.key));
            from = find.end.max(from);
        }
        shown.push_str(name.get(from..).unwrap_or_default());
        shown.replace(char::is_control, "\u{fffd}")
    }
}
