//! The change log: every transaction that changes who may do what appends entries here, in commit
//! order and without gaps. The data plane lives from it.

use crate::{
    account::Account,
    catalog::{Model, Upstream},
    id::No,
    key::Key,
};

/// A place in the change log. The first entry has 1; an empty log is at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub i64);

/// What an entry is about: that thing was made, changed or ended, and is to be read anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// A key.
    Key(No<Key>),
    /// An account's standing.
    Account(No<Account>),
    /// A model, its price or who serves it.
    Model(No<Model>),
    /// An upstream.
    Upstream(No<Upstream>),
}

impl ChangeKind {
    /// As stored: a word and a row number.
    #[must_use]
    pub const fn parts(self) -> (&'static str, i64) {
        match self {
            Self::Key(no) => ("key", no.get()),
            Self::Account(no) => ("account", no.get()),
            Self::Model(no) => ("model", no.get()),
            Self::Upstream(no) => ("upstream", no.get()),
        }
    }
    /// From the stored word and row number; `None` for a word of a later version.
    #[must_use]
    pub fn from_parts(word: &str, no: i64) -> Option<Self> {
        match word {
            "key" => Some(Self::Key(No::new(no))),
            "account" => Some(Self::Account(No::new(no))),
            "model" => Some(Self::Model(No::new(no))),
            "upstream" => Some(Self::Upstream(No::new(no))),
            _ => None,
        }
    }
}

/// One entry of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Its place.
    pub seq: Seq,
    /// What it is about.
    pub kind: ChangeKind,
}

/// A running process that serves. Each process start is a node of its own, with an id of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {}
