//! Counting a batch: request rows, rollups, histograms and the watermark in one transaction.
//!
//! The watermark is what makes a batch count once, for ever. The primary key of the request rows is a second lock: an
//! attempt that is there already (a copied journal) is not counted again, and does not stop the rest of its batch.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
};

use tollgate_core::{
    Id,
    usage::{Attempt, Lane, Settlement, UsageClass},
};

use super::{JournalGap, LATENCY_LIMITS_MS, Shipped, grain::Grain, report::Cube};
use crate::{
    Result, Store, StoreEngine,
    bulk::{self, Insert, Statement},
    engine::Tx,
    value::{Value, values},
};

/// How often a batch is tried again at once when PostgreSQL chose it as the victim of a conflict.
const MOST_TRIES: u32 = 5;
/// Settlements of a batch. Their sums are written once a batch, so more of them cost less each; the writer is held for
/// some microseconds for each of them.
const USUAL_BATCH: usize = 1_000;
/// Settlements of a batch while somebody waits for writes.
const HASTY_BATCH: usize = 64;
/// About how many pages of SQLite's write-ahead log a batch takes for its sums,
const PAGES_A_BATCH: usize = 40;
/// and how many request rows a further page holds.
const ROWS_A_PAGE: usize = 12;
/// After how many pages the log is moved into the file.
const TIDY_PAGES: usize = 1_000;

impl Store {
    /// How many settlements the next batch is to have: many, so that each costs little, or few, while somebody waits for
    /// a write of their own, since SQLite writes one transaction at a time. To be asked once for each batch.
    #[must_use]
    pub fn usage_batch_most(&self) -> usize {
        if self.pools().is_hasty() { HASTY_BATCH } else { USUAL_BATCH }
    }

    pub(super) async fn ship(
        &self,
        lane: Lane,
        from: u64,
        to: u64,
        batch: &[Settlement],
        gaps: &[JournalGap],
    ) -> Result<Shipped> {
        let mut tries = 1;
        let mut all_new = true;
        loop {
            match self.ship_once(lane, from..to, batch, gaps, all_new).await {
                Err(error) if error.is_conflict() && tries < MOST_TRIES => tries += 1,
                Err(error) => return Err(error),
                Ok(Tried::SomeAreThere) => all_new = false,
                Ok(Tried::Done(shipped)) => {
                    self.tidy_sometimes(batch.len()).await;
                    return Ok(shipped);
                }
            }
        }
    }

    /// `all_new`: as if no attempt of the batch were there already, which is seen only afterwards, and costs nothing.
    async fn ship_once(
        &self,
        lane: Lane,
        Range { start: from, end: to }: Range<u64>,
        batch: &[Settlement],
        gaps: &[JournalGap],
        all_new: bool,
    ) -> Result<Tried> {
        // Everything that can be made before the writer is taken: others wait for it.
        let (attempts, added) = if all_new {
            let attempts = in_order(batch).into_iter().flat_map(attempt_row).collect();
            (bulk::statements(self.engine(), &ATTEMPTS, attempts), sums(self.engine(), batch.iter()))
        } else {
            Default::default()
        };
        let mut tx = self.pools().begin_repeatable().await?;
        if !self.lane_move(&mut tx, lane, (from, to), batch).await? {
            let row = tx.row("SELECT watermark FROM journals WHERE id = $1", values![lane.id]).await?;
            let watermark = row.map_or(Ok(0), |row| row.columns().next())?;
            return Ok(Tried::Done(Shipped::Before { watermark }));
        }
        for gap in gaps {
            let sql = "INSERT INTO journal_gaps (journal, first_record, records, noticed_at) VALUES ($1, $2, $3, $4)
                       ON CONFLICT (journal, first_record) DO NOTHING";
            tx.execute(sql, values![lane.id, gap.first, gap.records, self.world().now()]).await?;
        }
        if all_new {
            let inserted = bulk::run(&mut tx, attempts).await?;
            if usize::try_from(inserted) != Ok(batch.len()) {
                // Nothing of this try stands.
                return Ok(Tried::SomeAreThere);
            }
            bulk::run(&mut tx, added).await?;
        } else {
            let mut new = insert_attempts(&mut tx, batch).await?;
            // Each of them once, though the batch may hold it twice.
            let batch = batch.iter().filter(|settled| new.remove(&settled.attempt));
            let added = sums(tx.engine(), batch);
            bulk::run(&mut tx, added).await?;
        }
        tx.commit().await?;
        Ok(Tried::Done(Shipped::Counted))
    }

    /// Keeps SQLite's write-ahead log short, so that no writer has to do it while others wait.
    async fn tidy_sometimes(&self, rows: usize) {
        let pages = PAGES_A_BATCH + rows / ROWS_A_PAGE;
        if self.pools().has_grown(pages, TIDY_PAGES)
            && let Err(error) = self.pools().tidy().await
        {
            tracing::debug!(%error, "the write-ahead log stays as long as it is for now");
        }
    }
}

/// What a try to count a batch came to.
enum Tried {
    Done(Shipped),
    /// Attempts of it are there already, or it holds one twice: which ones has to be looked at.
    SomeAreThere,
}

const ATTEMPTS: Insert = Insert {
    head: "INSERT INTO usage_attempts (attempt, request, account_no, key_no, model_no, upstream_no, route, started_at,
        input, output, cached_input, reasoning, audio_ms, images, class, input_at_most, output_at_most, suspect,
        outcome, status, first_byte_us, total_us, cost_nanos, upstream_id, upstream_usage) VALUES ",
    columns: 25,
    tail: " ON CONFLICT (attempt) DO NOTHING",
};

/// By attempt, so by time: rows are put in one behind the other.
fn in_order(batch: &[Settlement]) -> Vec<&Settlement> {
    let mut ordered: Vec<_> = batch.iter().collect();
    ordered.sort_unstable_by_key(|settled| settled.attempt);
    ordered
}

/// Inserts the request rows; which of them are new.
async fn insert_attempts(tx: &mut Tx, batch: &[Settlement]) -> Result<HashSet<Id<Attempt>>> {
    // One statement must not name a row twice.
    let mut named = HashSet::with_capacity(batch.len());
    let rows = batch.iter().filter(|settled| named.insert(settled.attempt)).flat_map(attempt_row).collect();
    let insert = Insert { tail: " ON CONFLICT (attempt) DO NOTHING RETURNING attempt", ..ATTEMPTS };
    let mut new = HashSet::with_capacity(batch.len());
    for row in bulk::returning(tx, &insert, rows).await? {
        if let Ok(bytes) = <[u8; 16]>::try_from(row.columns().next::<Vec<u8>>()?) {
            new.insert(Id::from_uuid(uuid::Uuid::from_bytes(bytes)));
        }
    }
    if new.len() < batch.len() {
        tracing::warn!(attempts = batch.len() - new.len(), "attempts were counted before and are not counted again");
    }
    Ok(new)
}

fn attempt_row(settled: &Settlement) -> [Value; ATTEMPTS.columns] {
    let units = &settled.units;
    let int = |number: u8| i64::from(number);
    // What an upstream chose: a NUL in it must not stop the batch.
    let text = |text: &Option<String>| text.as_ref().map(|text| text.replace('\0', "\u{fffd}"));
    [
        Value::from(settled.attempt.uuid().as_bytes().as_slice()),
        Value::from(settled.request.uuid().as_bytes().as_slice()),
        Value::from(settled.account),
        Value::from(settled.key),
        Value::from(settled.model),
        Value::from(settled.upstream),
        Value::from(int(settled.route)),
        Value::from(settled.started_at),
        Value::from(units.input),
        Value::from(units.output),
        Value::from(units.cached_input),
        Value::from(units.reasoning),
        Value::from(units.audio_ms),
        Value::from(units.images),
        Value::from(int(settled.class.code())),
        Value::from(settled.input_at_most),
        Value::from(settled.output_at_most),
        Value::from(settled.suspect),
        Value::from(int(settled.outcome.code())),
        Value::from(i64::from(settled.status)),
        Value::from(settled.first_byte_us),
        Value::from(settled.total_us),
        Value::from(settled.cost.nanos()),
        Value::from(text(&settled.upstream_id)),
        Value::from(text(&settled.upstream_usage)),
    ]
}

/// Sums of one rollup row, in the order of its columns.
type Sums = [i64; SUMS];
const SUMS: usize = 13;

/// Where a rollup row stands: cube, grain, account, bucket, key, model.
type Place = [i64; 6];

/// What of an attempt decides where it is added up: account, key, model, minute.
type Line = [i64; 4];

/// The statements that add what is new to rollups, histograms and the keys' own lines. Rows of a table are written in the
/// order of their keys, so two processes that add to the same rows never wait for each other in a circle.
fn sums<'s>(engine: StoreEngine, batch: impl Iterator<Item = &'s Settlement>) -> Vec<Statement> {
    let mut lines: BTreeMap<Line, Sums> = BTreeMap::new();
    let mut latency: BTreeMap<[i64; 5], i64> = BTreeMap::new();
    let mut keys: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for settled in batch {
        let (account, key, model) = (settled.account.get(), settled.key.get(), settled.model.get());
        let started = settled.started_at.as_millis();
        add(lines.entry([account, key, model, Grain::Minute.floor(started)]).or_default(), &sums_of(settled));
        let hour = Grain::Hour.floor(started);
        for (measure, us) in (0i64..).zip([settled.first_byte_us, Some(settled.total_us)]) {
            if let Some(us) = us {
                *latency.entry([account, hour, model, measure, bin(us)]).or_default() += 1;
            }
        }
        let line = keys.entry(key).or_insert((started, 0));
        *line = (line.0.max(started), line.1 + 1);
    }
    let mut rollups: BTreeMap<Place, Sums> = BTreeMap::new();
    let mut accounts: BTreeMap<i64, ()> = BTreeMap::new();
    // A minute lies wholly in one bucket of every longer grain.
    for ([account, key, model, minute], sums) in &lines {
        accounts.insert(*account, ());
        for grain in Grain::ALL {
            let bucket = grain.floor(*minute);
            for cube in Cube::ALL {
                let (key, model) = (if cube.has_key() { *key } else { 0 }, if cube.has_model() { *model } else { 0 });
                add(rollups.entry([cube.code(), grain.code(), *account, bucket, key, model]).or_default(), sums);
            }
        }
    }
    let accounts = accounts.into_keys().map(Value::from).collect();
    let rollups = rollups.iter().flat_map(|(place, sums)| place.iter().chain(sums)).map(|int| Value::from(*int));
    let latency = latency.iter().flat_map(|(place, count)| place.iter().chain([count])).map(|int| Value::from(*int));
    let keys = keys.iter().flat_map(|(key, (last, requests))| [*key, *last, *requests]).map(Value::from);
    let mut statements = bulk::statements(engine, &ACCOUNTS, accounts);
    statements.append(&mut bulk::statements(engine, &ROLLUPS, rollups.collect()));
    statements.append(&mut bulk::statements(engine, &LATENCY, latency.collect()));
    statements.append(&mut bulk::statements(engine, &KEYS, keys.collect()));
    statements
}

fn add(to: &mut Sums, sums: &Sums) {
    for (sum, more) in to.iter_mut().zip(sums) {
        *sum = sum.saturating_add(*more);
    }
}

fn sums_of(settled: &Settlement) -> Sums {
    let units = &settled.units;
    let int = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let class = |class: UsageClass| i64::from(settled.class == class);
    [
        1,
        i64::from(settled.failed()),
        int(units.input),
        int(units.output),
        int(units.cached_input),
        int(units.reasoning),
        int(units.audio_ms),
        int(units.images),
        settled.cost.nanos().max(0),
        class(UsageClass::Exact),
        class(UsageClass::Partial),
        class(UsageClass::Estimated),
        class(UsageClass::Unknown),
    ]
}

/// The place of a time in [`LATENCY_LIMITS_MS`]; behind the last for what is longer than all of them.
fn bin(us: u64) -> i64 {
    let bin = LATENCY_LIMITS_MS.partition_point(|limit| limit.saturating_mul(1_000) < us);
    i64::try_from(bin).unwrap_or(0)
}

const ACCOUNTS: Insert = Insert {
    head: "INSERT INTO usage_accounts (account_no) VALUES ",
    columns: 1,
    tail: " ON CONFLICT (account_no) DO NOTHING",
};

/// Adds two quantities, neither negative, up to the greatest integer: one absurd figure of an upstream must neither fail
/// every later batch (PostgreSQL) nor turn the sum into a floating-point number (SQLite).
macro_rules! saturating {
    ($column:literal) => {
        concat!(
            $column,
            " = CASE WHEN r.",
            $column,
            " > 9223372036854775807 - excluded.",
            $column,
            " THEN 9223372036854775807 ELSE r.",
            $column,
            " + excluded.",
            $column,
            " END, "
        )
    };
}
const ROLLUPS: Insert = Insert {
    head: "INSERT INTO usage_rollups AS r (cube, grain, account_no, bucket, key_no, model_no, requests, failed, input, output,
        cached_input, reasoning, audio_ms, images, cost_nanos, exact, partial, estimated, unknown) VALUES ",
    columns: 6 + SUMS,
    tail: concat!(
        " ON CONFLICT (cube, grain, account_no, bucket, key_no, model_no) DO UPDATE SET ",
        saturating!("input"),
        saturating!("output"),
        saturating!("cached_input"),
        saturating!("reasoning"),
        saturating!("audio_ms"),
        saturating!("images"),
        saturating!("cost_nanos"),
        "requests = r.requests + excluded.requests, failed = r.failed + excluded.failed,
         exact = r.exact + excluded.exact, partial = r.partial + excluded.partial,
         estimated = r.estimated + excluded.estimated, unknown = r.unknown + excluded.unknown"
    ),
};
const LATENCY: Insert = Insert {
    head: "INSERT INTO usage_latency AS r (account_no, bucket, model_no, measure, bin, attempts) VALUES ",
    columns: 6,
    tail: " ON CONFLICT (account_no, bucket, model_no, measure, bin)
            DO UPDATE SET attempts = r.attempts + excluded.attempts",
};
const KEYS: Insert = Insert {
    head: "INSERT INTO key_usage AS r (key_no, last_used_at, requests) VALUES ",
    columns: 3,
    tail: " ON CONFLICT (key_no) DO UPDATE SET
            last_used_at = CASE WHEN r.last_used_at < excluded.last_used_at THEN excluded.last_used_at
                                ELSE r.last_used_at END,
            requests = r.requests + excluded.requests",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_falls_into_the_first_bin_that_holds_it() {
        assert_eq!([0, 1_000, 1_001, 60_000_000, 60_000_001, u64::MAX].map(bin), [0, 0, 1, 14, 15, 15]);
    }
}
