//! How reports of leaked keys went on this node, for its metrics. Nothing here can be made larger by who sends them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tollgate_core::leak::LeakSource;

/// What becomes of a text that is reported: the words of the management API's answer.
const OUTCOMES: [&str; 5] = ["ended", "told", "unchanged", "unknown", "not_a_key"];

/// Why a report is refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusedAs {
    /// Not as its protocol has it, or its signature does not fit.
    Invalid,
    /// Signed with a key that GitHub does not publish: a forgery, or GitHub's keys are read from the wrong place.
    UnknownKey,
    /// Without the right token.
    Unauthorized,
    /// What is needed to tell does not answer: GitHub, or the store.
    Unavailable,
}

impl RefusedAs {
    const ALL: [Self; 4] = [Self::Invalid, Self::UnknownKey, Self::Unauthorized, Self::Unavailable];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::UnknownKey => "unknown_key",
            Self::Unauthorized => "unauthorized",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Counts since the start. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct LeakFigures(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    texts: [[AtomicU64; OUTCOMES.len()]; LeakSource::ALL.len()],
    refused: [[AtomicU64; RefusedAs::ALL.len()]; LeakSource::ALL.len()],
}

impl LeakFigures {
    pub(crate) fn text(&self, source: LeakSource, outcome: &str) {
        if let Some(outcome) = OUTCOMES.iter().position(|one| *one == outcome) {
            add(&self.0.texts, source, outcome);
        }
    }
    pub(crate) fn refused(&self, source: LeakSource, refused: RefusedAs) {
        if let Some(reason) = RefusedAs::ALL.iter().position(|one| *one == refused) {
            add(&self.0.refused, source, reason);
        }
    }

    /// Texts that were reported, by the word for the source and for what became of them.
    pub fn texts(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        table(&self.0.texts, OUTCOMES)
    }
    /// Reports that were refused as a whole, by the word for the source and for why.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        table(&self.0.refused, RefusedAs::ALL.map(RefusedAs::as_str))
    }
}

fn add<const N: usize>(table: &[[AtomicU64; N]], source: LeakSource, column: usize) {
    let row = LeakSource::ALL.iter().position(|one| *one == source);
    if let Some(count) = row.and_then(|row| table.get(row)?.get(column)) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn table<'t, const N: usize>(
    table: &'t [[AtomicU64; N]],
    columns: [&'static str; N],
) -> impl Iterator<Item = (&'static str, &'static str, u64)> + 't {
    LeakSource::ALL.iter().zip(table).flat_map(move |(source, row)| {
        columns.into_iter().zip(row).map(|(column, count)| (source.as_str(), column, count.load(Ordering::Relaxed)))
    })
}
