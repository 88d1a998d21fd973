//! The measurements.

mod docs;
mod keys;
mod leaks;
mod pages;
mod refusals;
mod requests;
mod revoke;
mod scan;
mod start;
mod usage;

use std::time::Duration;

use crate::{Line, Scale};

/// A measurement: its lines of the table.
type Measurement = fn(Scale) -> anyhow::Result<Vec<Line>>;

/// All of them, by name.
pub const ALL: [(&str, Measurement); 10] = [
    ("requests", requests::measure),
    ("start", start::measure),
    ("keys", keys::measure),
    ("revoke", revoke::measure),
    ("refusals", refusals::measure),
    ("leaks", leaks::measure),
    ("usage", usage::measure),
    ("pages", pages::measure),
    ("scan", scan::measure),
    ("docs", docs::measure),
];

/// The one in the middle.
fn median<T: Copy + PartialOrd>(mut values: Vec<T>) -> Option<T> {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    values.get(values.len() / 2).copied()
}

/// Milliseconds with one digit behind the point, or more where they are few.
fn ms(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1_000.0;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}
