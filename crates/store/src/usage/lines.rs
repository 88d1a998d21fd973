//! Adds up rollup rows, read in the fewest that cover a question's range, by what they are grouped by.
//!
//! Sums here have room for any number of rows of any size.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use sqlx::AssertSqlSafe;
use tollgate_core::{
    money::Cost,
    usage::{GroupBy, Units, UsageQuery, UsageSums},
};

use super::{
    cover::{self, Piece, Signs},
    source::{Columns, Source},
};
use crate::{Result, StoreError, engine::Tx};

/// Most keys or models that a report can be narrowed to.
const MOST_FILTERS: usize = 1_000;
const TOO_MANY_FILTERS: StoreError =
    StoreError::State("a usage report is narrowed to at most 1000 keys and 1000 models");

/// Everything that is summed up.
const ALL: Columns = Columns {
    usual: &["requests", "input", "output", "cached_input", "reasoning", "cost_nanos"],
    seldom: &["failed", "audio_ms", "images", "partial", "estimated", "unknown"],
};
const ALL_SUMS: usize = 12;
/// What tells how large a line is.
const SIZE: Columns = Columns { usual: &["requests", "input", "output"], seldom: &[] };
const SIZE_SUMS: usize = 3;

/// What rows are told apart by: the report's bucket and the grouped row numbers, 0 where not grouped by.
pub(super) type Group = (i64, i64, i64, i64);

/// How large a line is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size {
    /// Input and output.
    pub(super) tokens: u64,
    pub(super) requests: u64,
}

impl Size {
    pub(super) const fn of(sums: &UsageSums) -> Self {
        Self { tokens: sums.units.input.saturating_add(sums.units.output), requests: sums.requests }
    }
}

/// The sums of the groups that had any attempt, in no order.
pub(super) async fn sums(
    tx: &mut Tx,
    query: &UsageQuery,
    edges: &[i64],
    now: i64,
    most: usize,
) -> Result<Vec<(Group, UsageSums)>> {
    let groups = read::<ALL_SUMS>(tx, query, edges, now, most, &ALL).await?;
    let groups = groups.into_iter().map(|(group, sums)| (group, usage_sums(&sums)));
    Ok(groups.filter(|(_, sums)| sums.requests > 0).collect())
}

/// How large the groups are that had any attempt, in no order. Costs less than to read their sums.
pub(super) async fn sizes(
    tx: &mut Tx,
    query: &UsageQuery,
    edges: &[i64],
    now: i64,
    most: usize,
) -> Result<Vec<(Group, Size)>> {
    let groups = read::<SIZE_SUMS>(tx, query, edges, now, most, &SIZE).await?;
    let size = |sums: [i128; SIZE_SUMS]| {
        let [requests, input, output] = sums.map(natural);
        Size { tokens: input.saturating_add(output), requests }
    };
    let groups = groups.into_iter().map(|(group, sums)| (group, size(sums)));
    Ok(groups.filter(|(_, size)| size.requests > 0).collect())
}

async fn read<const SUMS: usize>(
    tx: &mut Tx,
    query: &UsageQuery,
    edges: &[i64],
    now: i64,
    most: usize,
    columns: &Columns,
) -> Result<HashMap<Group, [i128; SUMS], BuildHasherDefault<Numbers>>> {
    if query.keys.len() > MOST_FILTERS || query.models.len() > MOST_FILTERS {
        return Err(TOO_MANY_FILTERS);
    }
    let mut lines = Lines::<SUMS>::new(query, edges, most, columns);
    lines.read(tx, query, &cover::pieces(edges, now, Signs::PlusAndMinus)).await?;
    if lines.subtracted && lines.saturated {
        // A sum that stopped at the greatest integer holds less than its parts: nothing can be taken from it.
        lines = Lines::new(query, edges, most, columns);
        lines.read(tx, query, &cover::pieces(edges, now, Signs::Plus)).await?;
    }
    Ok(lines.groups)
}

/// Rows added up by group.
struct Lines<'c, const SUMS: usize> {
    columns: &'c Columns,
    groups: HashMap<Group, [i128; SUMS], BuildHasherDefault<Numbers>>,
    /// The report has several buckets.
    indexed: bool,
    /// By account, key and model.
    grouped: [bool; 3],
    most: usize,
    /// A row was subtracted.
    subtracted: bool,
    /// A row stood at the greatest integer.
    saturated: bool,
}

impl<'c, const SUMS: usize> Lines<'c, SUMS> {
    fn new(query: &UsageQuery, edges: &[i64], most: usize, columns: &'c Columns) -> Self {
        let grouped = [GroupBy::Account, GroupBy::Key, GroupBy::Model].map(|by| query.group_by.contains(&by));
        let (indexed, groups) = (edges.len() > 2, HashMap::default());
        Self { columns, groups, indexed, grouped, most, subtracted: false, saturated: false }
    }

    async fn read(&mut self, tx: &mut Tx, query: &UsageQuery, pieces: &[Piece]) -> Result<()> {
        if pieces.is_empty() {
            return Ok(());
        }
        let source = Source::of(query, pieces, self.columns, self.indexed);
        for statement in source.statements() {
            tx.each(AssertSqlSafe(statement), |columns| {
                let sign: i64 = columns.next()?;
                match columns.next::<Option<String>>()? {
                    Some(rows) => rows.split(';').try_for_each(|row| self.add(sign, row)),
                    None => Ok(()),
                }
            })
            .await?;
        }
        Ok(())
    }

    /// Adds a row: the report's bucket, what is grouped by, the usual sums, and the others where one is not zero.
    fn add(&mut self, sign: i64, row: &str) -> Result<()> {
        let mut numbers = row.split(',').map(number);
        let mut part = |there: bool| if there { numbers.next().unwrap_or_else(|| Err(unreadable())) } else { Ok(0) };
        let [account, key, model] = self.grouped;
        let group = (part(self.indexed)?, part(account)?, part(key)?, part(model)?);
        let sums = self.groups.entry(group).or_insert([0; SUMS]);
        let mut count = 0;
        for (sum, number) in sums.iter_mut().zip(&mut numbers) {
            let number = number?;
            self.saturated |= number == i64::MAX;
            *sum += i128::from(sign * number);
            count += 1;
        }
        self.subtracted |= sign < 0;
        if (count != self.columns.usual.len() && count != SUMS) || numbers.next().is_some() {
            return Err(unreadable());
        }
        if self.groups.len() > self.most { Err(super::TOO_MANY_ROWS) } else { Ok(()) }
    }
}

/// Hashes row numbers and places, which nobody chooses: a report looks up a group for each row that it reads.
#[derive(Default)]
struct Numbers(u64);

impl Hasher for Numbers {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_i64(i64::from(*byte)));
    }
    fn write_i64(&mut self, number: i64) {
        // The fractional part of the golden ratio: Fibonacci hashing.
        let mixed = (self.0 ^ number.cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

fn unreadable() -> StoreError {
    StoreError::Failed("a stored sum cannot be read".into())
}

/// A number that is not negative. By hand: a report of some size has a million of them.
fn number(text: &str) -> Result<i64> {
    let digit = |number: i64, byte: u8| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(i64::from(byte - b'0')),
        _ => None,
    };
    let number = if text.is_empty() { None } else { text.bytes().try_fold(0, digit) };
    number.ok_or_else(unreadable)
}

fn natural(sum: i128) -> u64 {
    u64::try_from(sum.max(0)).unwrap_or(u64::MAX)
}

fn usage_sums(sums: &[i128; ALL_SUMS]) -> UsageSums {
    let [requests, input, output, cached_input, reasoning, cost, failed, audio_ms, images, partial, estimated, unknown] =
        sums.map(natural);
    UsageSums {
        requests,
        failed,
        units: Units { input, output, cached_input, reasoning, audio_ms, images },
        cost: Cost::from_nanos(i64::try_from(cost).unwrap_or(i64::MAX)),
        // Each attempt has one class.
        by_class: [
            requests.saturating_sub(partial).saturating_sub(estimated).saturating_sub(unknown),
            partial,
            estimated,
            unknown,
        ],
    }
}
