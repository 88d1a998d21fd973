//! What was used: units, how surely they are known, the settlement of an attempt, and reports.

use serde::{Deserialize, Serialize};

use crate::{
    account::Account,
    catalog::{Model, Upstream},
    change::Node,
    id::{Id, No},
    key::Key,
    money::{Cost, Costs},
    name::{Label, ModelName},
    secret::KeyHint,
    time::Timestamp,
};

/// One request sent to one upstream; marks its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {}
/// One request of a client; marks its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {}
/// One append-only journal (a lane of one process start); marks its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journal {}

/// One of a journal's lanes, and the node that wrote it, where that is known: its first segment says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// The lane.
    pub id: Id<Journal>,
    /// Who wrote it.
    pub node: Option<Id<Node>>,
}
impl From<Id<Journal>> for Lane {
    fn from(id: Id<Journal>) -> Self {
        Self { id, node: None }
    }
}

/// Quantities of one attempt. `cached_input` is a part of `input`, `reasoning` a part of `output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Units {
    /// Input tokens, cached ones included.
    pub input: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Input tokens that came from the upstream's cache.
    pub cached_input: u64,
    /// Output tokens spent on reasoning.
    pub reasoning: u64,
    /// Milliseconds of audio.
    pub audio_ms: u64,
    /// Images.
    pub images: u64,
}

/// How surely the units of an attempt are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageClass {
    /// The upstream's own final figures.
    Exact,
    /// The upstream's last running figures: a lower bound.
    Partial,
    /// No figures of the upstream: bounds and a guess between them.
    Estimated,
    /// Nothing is known but that there was an attempt.
    Unknown,
}

impl UsageClass {
    /// All of them, in order of their codes.
    pub const ALL: [Self; 4] = [Self::Exact, Self::Partial, Self::Estimated, Self::Unknown];
    /// Its number in journal and store: never reused.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Exact => 1,
            Self::Partial => 2,
            Self::Estimated => 3,
            Self::Unknown => 4,
        }
    }
    /// From its number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.code() == code)
    }
}

/// How an attempt ended: always in exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The upstream's whole answer was passed on, whatever its status.
    Complete,
    /// The client hung up.
    ClientGone,
    /// The upstream could not be reached, broke off or was too slow.
    UpstreamFailed,
    /// The key died in the middle.
    Revoked,
    /// This process ended in the middle.
    Interrupted,
}

impl Outcome {
    /// All of them, in order of their codes.
    pub const ALL: [Self; 5] =
        [Self::Complete, Self::ClientGone, Self::UpstreamFailed, Self::Revoked, Self::Interrupted];
    /// Its number in journal and store: never reused.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Complete => 1,
            Self::ClientGone => 2,
            Self::UpstreamFailed => 3,
            Self::Revoked => 4,
            Self::Interrupted => 5,
        }
    }
    /// From its number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.code() == code)
    }
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientGone => "client_gone",
            Self::UpstreamFailed => "upstream_failed",
            Self::Revoked => "revoked",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The end of an attempt: everything that is ever recorded of it. Exactly one per attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The attempt.
    pub attempt: Id<Attempt>,
    /// The client's request that it belongs to.
    pub request: Id<Request>,
    /// The key that paid.
    pub key: No<Key>,
    /// Its account.
    pub account: No<Account>,
    /// The model.
    pub model: No<Model>,
    /// The upstream.
    pub upstream: No<Upstream>,
    /// [`crate::catalog::Route::code`].
    pub route: u8,
    /// When the attempt began; decides the minute, hour and day that it counts in.
    pub started_at: Timestamp,
    /// What was used.
    pub units: Units,
    /// How surely.
    pub class: UsageClass,
    /// The most output that is possible where the class is not exact; else equal to `units.output`.
    pub output_at_most: u64,
    /// The most input that is possible where the class is not exact; else equal to `units.input`.
    pub input_at_most: u64,
    /// The upstream's figures did not make sense (total is not the sum, negative, beyond 2^53).
    pub suspect: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// The upstream's HTTP status; 0 where none came.
    pub status: u16,
    /// Microseconds from the attempt's beginning to the first byte of the answer's body.
    pub first_byte_us: Option<u64>,
    /// Microseconds from the attempt's beginning to its end.
    pub total_us: u64,
    /// What it costs.
    pub cost: Cost,
    /// What the upstream calls the answer (`id` of its body), at most 64 bytes; an attribute, never a key.
    pub upstream_id: Option<String>,
    /// The upstream's usage object as it came, where it says more than `units` do, or is suspect.
    pub upstream_usage: Option<String>,
}

impl Settlement {
    /// Whether the client was failed: no whole answer, or an answer with an error status.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.status >= 400 || matches!(self.outcome, Outcome::UpstreamFailed | Outcome::Interrupted)
    }
}

/// The width of a report's rows in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bucket {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A calendar day of the report's time zone.
    Day,
    /// A calendar month of the report's time zone.
    Month,
    /// The whole range.
    Total,
}

/// What a report's rows are grouped by, beside time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupBy {
    /// The account.
    Account,
    /// The key.
    Key,
    /// The model.
    Model,
}

/// A question to the usage tables.
#[derive(Debug, Clone)]
pub struct UsageQuery {
    /// Whose usage; `None` is the whole deployment's (operators only).
    pub account: Option<No<Account>>,
    /// From here on.
    pub from: Timestamp,
    /// Up to but not including here.
    pub to: Timestamp,
    /// The rows' width.
    pub bucket: Bucket,
    /// What they are grouped by.
    pub group_by: Vec<GroupBy>,
    /// Only these keys; empty: all.
    pub keys: Vec<No<Key>>,
    /// Only these models; empty: all.
    pub models: Vec<No<Model>>,
    /// The zone of days and months.
    pub zone: jiff::tz::TimeZone,
}

/// Sums of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageSums {
    /// Attempts.
    pub requests: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// The units.
    pub units: Units,
    /// The costs of all, whatever their currencies: see [`UsageRow::costs`].
    pub cost: Cost,
    /// Attempts by class, in the order of [`UsageClass::ALL`].
    pub by_class: [u64; 4],
}

/// A row of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// The bucket's beginning, at least the report's `from`.
    pub start: Timestamp,
    /// The bucket's end, at most the report's `to`.
    pub end: Timestamp,
    /// The account, where grouped by.
    pub account: Option<Id<Account>>,
    /// The key, where grouped by: its id, its name now, and its hint.
    pub key: Option<(Id<Key>, Label, KeyHint)>,
    /// The model, where grouped by.
    pub model: Option<ModelName>,
    /// The sums.
    pub sums: UsageSums,
    /// What of the cost is in which currency; `None` where that was not read.
    pub costs: Option<Costs>,
}
