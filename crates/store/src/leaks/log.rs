//! The log of reports: one row for each subject, source and place, with how often and when.
//!
//! Bounded for each subject: of a place too many only the count is kept. Read and written under the head of the change
//! log, so that what is decided by it holds.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use serde_json::{Value as Json, json};
use sqlx::AssertSqlSafe;
use tollgate_core::{
    Id, Key, No, Timestamp,
    leak::{LeakSource, Place},
};

use super::LeakReport;
use crate::{
    Result, Store,
    bulk::{self, Insert, placeholders},
    engine::Tx,
    value::{Value, values},
    write::Write,
};

/// Most places that are kept of one key or token. More are counted, in one row for each source.
pub const MOST_PLACES: usize = 20;
/// Most rows that are shown of one key.
const MOST_LINES: i64 = 32;
/// How long people are left alone about a key that goes on working, however many places it is found at.
const TELL_AGAIN: Duration = Duration::from_secs(24 * 3_600);
/// Most subjects of one statement.
const MOST_SUBJECTS: usize = 500;

/// Reports of one key from one source about one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeakLine {
    /// Who said so.
    pub source: LeakSource,
    /// Where; absent where it was not said, or where there are too many places.
    pub place: Option<String>,
    /// The first time.
    pub first_at: Timestamp,
    /// The last time.
    pub last_at: Timestamp,
    /// How often.
    pub reports: u64,
    /// When an owner brought the key back knowing of it.
    pub settled_at: Option<Timestamp>,
}

/// What the log knew of a report before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    /// Nothing.
    New,
    /// The same was said before.
    Known,
    /// The same was said before, and an owner brought the key back knowing of it.
    Settled,
}

/// Subject, source, place.
type Name = (String, LeakSource, String);

struct Entry {
    kind: String,
    first_at: Timestamp,
    last_at: Timestamp,
    reports: u64,
    told_at: Option<Timestamp>,
    settled_at: Option<Timestamp>,
    changed: bool,
}

/// What is there of one subject.
#[derive(Default)]
struct Of {
    places: usize,
    settled: HashSet<String>,
    told_at: Option<Timestamp>,
}

/// The log of some subjects, in memory.
pub(super) struct Log {
    entries: HashMap<Name, Entry>,
    of: HashMap<String, Of>,
}

impl Log {
    /// What is there of these subjects.
    pub(super) async fn read(tx: &mut Tx, subjects: Vec<String>) -> Result<Self> {
        let mut log = Self { entries: HashMap::new(), of: HashMap::new() };
        for subjects in subjects.chunks(MOST_SUBJECTS) {
            let sql = format!(
                "SELECT subject, source, place, kind, first_at, last_at, reports, told_at, settled_at FROM leak_reports
                 WHERE subject IN ({})",
                placeholders(1, subjects.len())
            );
            let values = subjects.iter().map(|subject| Value::from(subject.as_str())).collect();
            for row in tx.rows(AssertSqlSafe(sql), values).await? {
                let mut columns = row.columns();
                let name: Name = (columns.next()?, columns.next()?, columns.next()?);
                let entry = Entry {
                    kind: columns.next()?,
                    first_at: columns.next()?,
                    last_at: columns.next()?,
                    reports: columns.next()?,
                    told_at: columns.next()?,
                    settled_at: columns.next()?,
                    changed: false,
                };
                let of = log.of.entry(name.0.clone()).or_default();
                of.told_at = of.told_at.max(entry.told_at);
                if !name.2.is_empty() {
                    of.places += 1;
                    if entry.settled_at.is_some() {
                        of.settled.insert(name.2.clone());
                    }
                }
                log.entries.insert(name, entry);
            }
        }
        Ok(log)
    }

    /// Counts a report; what was known of it.
    pub(super) fn note(&mut self, subject: &str, source: LeakSource, report: &LeakReport, now: Timestamp) -> Noted {
        let name = self.name(subject, source, report);
        let of = self.of.entry(subject.to_owned()).or_default();
        // Whoever says it: the place is known to whoever brought the key back.
        let settled = of.settled.contains(&name.2);
        let is_new = !self.entries.contains_key(&name);
        if is_new && !name.2.is_empty() {
            of.places += 1;
        }
        let entry = self.entries.entry(name).or_insert_with(|| Entry {
            kind: report.kind.as_str().to_owned(),
            first_at: now,
            last_at: now,
            reports: 0,
            told_at: None,
            settled_at: settled.then_some(now),
            changed: true,
        });
        entry.reports = entry.reports.saturating_add(1);
        entry.last_at = now;
        entry.changed = true;
        if settled {
            return Noted::Settled;
        }
        // A report without a place may be of any: nobody can have settled it.
        let begins_anew = entry.settled_at.take().is_some();
        if begins_anew {
            entry.first_at = now;
        }
        if is_new || begins_anew { Noted::New } else { Noted::Known }
    }
    /// Whether people may be told of a key that goes on working.
    pub(super) fn may_tell(&self, subject: &str, now: Timestamp) -> bool {
        let told_at = self.of.get(subject).and_then(|of| of.told_at);
        told_at.is_none_or(|told_at| told_at.plus(TELL_AGAIN) <= now)
    }
    /// Notes that people are told of a report that was noted.
    pub(super) fn told(&mut self, subject: &str, source: LeakSource, report: &LeakReport, now: Timestamp) {
        let name = self.name(subject, source, report);
        if let Some(entry) = self.entries.get_mut(&name) {
            entry.told_at = Some(now);
        }
        self.of.entry(subject.to_owned()).or_default().told_at = Some(now);
    }
    fn name(&self, subject: &str, source: LeakSource, report: &LeakReport) -> Name {
        let place = report.place.as_ref().map_or("", Place::as_str);
        let name = (subject.to_owned(), source, place.to_owned());
        let of = self.of.get(subject);
        let is_full = of.is_some_and(|of| of.places >= MOST_PLACES);
        let is_there = self.entries.contains_key(&name) || of.is_some_and(|of| of.settled.contains(place));
        if is_full && !is_there { (name.0, source, String::new()) } else { name }
    }

    /// Writes what was noted.
    pub(super) async fn write(self, write: &mut Write<'_>) -> Result<()> {
        let changed = self.entries.into_iter().filter(|(_, entry)| entry.changed);
        let rows = changed.map(|((subject, source, place), entry)| {
            let Entry { kind, first_at, last_at, reports, told_at, settled_at, .. } = entry;
            values![subject, source.as_str(), place, kind, first_at, last_at, reports, told_at, settled_at]
        });
        let insert = Insert {
            head: "INSERT INTO leak_reports (subject, source, place, kind, first_at, last_at, reports, told_at, settled_at)
                   VALUES ",
            columns: 9,
            tail: " ON CONFLICT (subject, source, place) DO UPDATE SET first_at = excluded.first_at,
                       last_at = excluded.last_at, reports = excluded.reports, told_at = excluded.told_at,
                       settled_at = excluded.settled_at",
        };
        bulk::execute(write, &insert, rows.collect()).await.map(drop)
    }
}

/// An owner brings the key back: whatever was reported of it until now is settled. Returns what that was, for the audit
/// row.
pub(crate) async fn settle(write: &mut Write<'_>, no: No<Key>, key: Id<Key>) -> Result<Json> {
    let sql = "SELECT source, place, first_at, reports FROM leak_reports WHERE subject = $1 AND settled_at IS NULL
               ORDER BY no";
    let mut reported = Vec::new();
    for row in write.rows(sql, values![key]).await? {
        let mut columns = row.columns();
        let (source, place): (LeakSource, String) = (columns.next()?, columns.next()?);
        let (first_at, reports): (Timestamp, u64) = (columns.next()?, columns.next()?);
        let place = Some(place).filter(|place| !place.is_empty());
        reported.push(json!({ "source": source, "found_at": place, "at": first_at, "reports": reports }));
    }
    let now = write.now();
    let sql = "UPDATE leak_reports SET settled_at = $2 WHERE subject = $1 AND settled_at IS NULL";
    write.execute(sql, values![key, now]).await?;
    let sql = "UPDATE keys SET leak_at = NULL, found_at = NULL, leak_source = NULL, leak_reports = 0 WHERE no = $1";
    write.execute(sql, values![no]).await?;
    Ok(Json::Array(reported))
}

/// What was reported of a key, the latest first.
pub(super) async fn lines(store: &Store, key: Id<Key>) -> Result<Vec<LeakLine>> {
    let sql = "SELECT source, place, first_at, last_at, reports, settled_at FROM leak_reports WHERE subject = $1
               ORDER BY last_at DESC, no DESC LIMIT $2";
    let rows = store.pools().rows(sql, values![key, MOST_LINES]).await?;
    let line = |row: &crate::engine::Row| {
        let mut columns = row.columns();
        let (source, place): (LeakSource, String) = (columns.next()?, columns.next()?);
        Ok(LeakLine {
            source,
            place: Some(place).filter(|place| !place.is_empty()),
            first_at: columns.next()?,
            last_at: columns.next()?,
            reports: columns.next()?,
            settled_at: columns.next()?,
        })
    };
    rows.iter().map(line).collect()
}
