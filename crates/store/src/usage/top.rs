//! The largest lines of a report, and the sum of the others.
//!
//! How large a line is takes less reading than its sums: those are read of the largest alone, and what the others come to is
//! the whole less these. With many keys and many models there are far more pairs of them than keys, and no pair is larger
//! than its key: so the largest keys are opened, until enough pairs are larger than the next key. Usage is uneven in life,
//! and a few hundred keys will do; where it is even, all pairs are looked at after all.

use std::{cmp::Reverse, collections::HashSet};

use tollgate_core::{
    No,
    money::Cost,
    usage::{GroupBy, Units, UsageQuery, UsageSums},
};

use super::{
    UsageTop, buckets, costs,
    lines::{self, Group, Size},
    names,
    source::MOST_LOOKUPS,
};
use crate::{Result, Store, engine::Tx};

/// Most groups among which the largest are chosen.
const MOST_GROUPS: usize = 250_000;
/// Most keys that are opened before all pairs are looked at: more would cost more than that.
const MOST_OPENED: usize = 8 * MOST_LOOKUPS;

/// A line: what it is about, and its sums.
type Line = (Group, UsageSums);

/// The largest lines, and how many others there are, where that is known.
struct Largest {
    lines: Vec<Line>,
    others: Option<usize>,
}

impl Store {
    pub(super) async fn top(&self, query: &UsageQuery, most: usize) -> Result<UsageTop> {
        let edges = buckets::edges(query)?;
        let mut tx = self.pools().snapshot().await?;
        let mut reading = Reading { tx: &mut tx, query, edges: &edges, now: self.now_ms(), most };
        let Largest { lines, others } = reading.largest().await?;
        let rest = match others {
            Some(0) => UsageSums::default(),
            _ => {
                let whole = UsageQuery { group_by: Vec::new(), ..query.clone() };
                let whole =
                    reading.sums(&whole).await?.iter().fold(UsageSums::default(), |sum, one| plus(&sum, &one.1));
                lines.iter().fold(whole, |rest, (_, shown)| minus(&rest, shown))
            }
        };
        let mut rows = names::rows(&mut tx, &lines, &edges).await?;
        costs::fill_alike(&mut tx, &mut rows).await?;
        Ok(UsageTop { rows, rest, rest_rows: others })
    }
}

/// A question and what it is read by.
struct Reading<'r> {
    tx: &'r mut Tx,
    query: &'r UsageQuery,
    edges: &'r [i64],
    now: i64,
    most: usize,
}

impl Reading<'_> {
    async fn largest(&mut self) -> Result<Largest> {
        let by = |by| self.query.group_by.contains(&by);
        let (of_keys, of_pairs) = (by(GroupBy::Key), by(GroupBy::Key) && by(GroupBy::Model));
        // Few lines are best read at once, and a line of several buckets is none of a key.
        if !of_keys || self.edges.len() != 2 {
            return self.of_all().await;
        }
        let is_open = self.query.keys.is_empty() && self.query.models.is_empty();
        if of_pairs
            && is_open
            && let Some(largest) = self.of_largest_keys().await?
        {
            return Ok(largest);
        }
        let mut sizes = self.sizes(self.query).await?;
        sort(&mut sizes, |size| *size);
        let others = sizes.len().saturating_sub(self.most);
        sizes.truncate(self.most);
        let wanted: HashSet<Group> = sizes.into_iter().map(|(group, _)| group).collect();
        let keys: HashSet<i64> = wanted.iter().map(|(_, _, key, _)| *key).collect();
        let keys: Vec<i64> = keys.into_iter().collect();
        let mut lines = Vec::new();
        for keys in keys.chunks(MOST_LOOKUPS) {
            lines.extend(self.of_keys(keys).await?.into_iter().filter(|(group, _)| wanted.contains(group)));
        }
        sort(&mut lines, Size::of);
        Ok(Largest { lines, others: Some(others) })
    }

    /// By the sums of all lines.
    async fn of_all(&mut self) -> Result<Largest> {
        let mut lines = self.sums(self.query).await?;
        sort(&mut lines, Size::of);
        let others = lines.len().saturating_sub(self.most);
        lines.truncate(self.most);
        Ok(Largest { lines, others: Some(others) })
    }

    /// The largest pairs, from as many keys as it takes; none where it takes too many.
    async fn of_largest_keys(&mut self) -> Result<Option<Largest>> {
        let group_by = self.query.group_by.iter().copied().filter(|by| *by != GroupBy::Model).collect();
        let mut keys = self.sizes(&UsageQuery { group_by, ..self.query.clone() }).await?;
        sort(&mut keys, |size| *size);
        let mut lines: Vec<Line> = Vec::new();
        let mut opened = 0;
        while let Some((_, next)) = keys.get(opened) {
            // What is not opened holds no line that would be among the largest.
            let last = self.most.checked_sub(1).and_then(|last| lines.get(last));
            if last.is_some_and(|(_, last)| Size::of(last).tokens > next.tokens) {
                lines.truncate(self.most);
                return Ok(Some(Largest { lines, others: None }));
            }
            if opened >= MOST_OPENED {
                return Ok(None);
            }
            let some: Vec<i64> = keys.iter().skip(opened).take(MOST_LOOKUPS).map(|((_, _, key, _), _)| *key).collect();
            opened += some.len();
            lines.append(&mut self.of_keys(&some).await?);
            sort(&mut lines, Size::of);
        }
        let others = lines.len().saturating_sub(self.most);
        lines.truncate(self.most);
        Ok(Some(Largest { lines, others: Some(others) }))
    }

    /// The lines of some of the keys.
    async fn of_keys(&mut self, keys: &[i64]) -> Result<Vec<Line>> {
        let keys = keys.iter().map(|key| No::new(*key)).collect();
        self.sums(&UsageQuery { keys, ..self.query.clone() }).await
    }

    async fn sums(&mut self, query: &UsageQuery) -> Result<Vec<Line>> {
        lines::sums(self.tx, query, self.edges, self.now, MOST_GROUPS).await
    }
    async fn sizes(&mut self, query: &UsageQuery) -> Result<Vec<(Group, Size)>> {
        lines::sizes(self.tx, query, self.edges, self.now, MOST_GROUPS).await
    }
}

/// The largest first: by tokens, then by attempts.
fn sort<T>(lines: &mut [(Group, T)], size: impl Fn(&T) -> Size) {
    lines.sort_unstable_by_key(|(group, line)| (Reverse(size(line)), *group));
}

fn plus(a: &UsageSums, b: &UsageSums) -> UsageSums {
    combined(a, b, u64::saturating_add, i64::saturating_add)
}

fn minus(a: &UsageSums, b: &UsageSums) -> UsageSums {
    combined(a, b, u64::saturating_sub, i64::saturating_sub)
}

fn combined(a: &UsageSums, b: &UsageSums, with: fn(u64, u64) -> u64, money: fn(i64, i64) -> i64) -> UsageSums {
    let mut by_class = a.by_class;
    for (sum, more) in by_class.iter_mut().zip(b.by_class) {
        *sum = with(*sum, more);
    }
    UsageSums {
        requests: with(a.requests, b.requests),
        failed: with(a.failed, b.failed),
        units: Units {
            input: with(a.units.input, b.units.input),
            output: with(a.units.output, b.units.output),
            cached_input: with(a.units.cached_input, b.units.cached_input),
            reasoning: with(a.units.reasoning, b.units.reasoning),
            audio_ms: with(a.units.audio_ms, b.units.audio_ms),
            images: with(a.units.images, b.units.images),
        },
        cost: Cost::from_nanos(money(a.cost.nanos(), b.cost.nanos())),
        by_class,
    }
}
