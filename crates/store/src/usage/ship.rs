//! Counting a batch: request rows, rollups, histograms and the watermark in one transaction.
//!
//! The watermark is what makes a batch count once, for ever. The primary key of the request rows is a second lock: an
//! attempt that is there already (a copied journal) is not counted again, and does not stop the rest of its batch.

use std::collections::{BTreeMap, HashSet};

use tollgate_core::{
    Id,
    usage::{Attempt, Journal, Settlement, UsageClass},
};

use super::{LATENCY_LIMITS_MS, Shipped, grain::Grain, report::Cube};
use crate::{
    Result, Store,
    bulk::{self, Insert},
    engine::Tx,
    value::{Value, values},
};

/// How often a batch is tried again at once when PostgreSQL chose it as the victim of a conflict.
const MOST_TRIES: u32 = 5;

impl Store {
    pub(super) async fn ship(&self, journal: Id<Journal>, from: u64, to: u64, batch: &[Settlement]) -> Result<Shipped> {
        let mut tries = 1;
        loop {
            match self.ship_once(journal, from, to, batch).await {
                Err(error) if error.is_conflict() && tries < MOST_TRIES => tries += 1,
                done => return done,
            }
        }
    }

    async fn ship_once(&self, journal: Id<Journal>, from: u64, to: u64, batch: &[Settlement]) -> Result<Shipped> {
        let mut tx = self.pools().begin().await?;
        let moved = if from == 0 {
            let sql = "INSERT INTO journals (id, watermark) VALUES ($1, $2)
                       ON CONFLICT (id) DO UPDATE SET watermark = excluded.watermark WHERE journals.watermark = 0";
            tx.execute(sql, values![journal, to]).await?
        } else {
            let sql = "UPDATE journals SET watermark = $3 WHERE id = $1 AND watermark = $2";
            tx.execute(sql, values![journal, from, to]).await?
        };
        if moved == 0 {
            let row = tx.row("SELECT watermark FROM journals WHERE id = $1", values![journal]).await?;
            return Ok(Shipped::Before { watermark: row.map_or(Ok(0), |row| row.columns().next())? });
        }
        let mut new = insert_attempts(&mut tx, batch).await?;
        // Each of them once, though the batch may hold it twice.
        let batch: Vec<&Settlement> = batch.iter().filter(|settled| new.remove(&settled.attempt)).collect();
        add(&mut tx, &batch).await?;
        tx.commit().await?;
        Ok(Shipped::Counted)
    }
}

/// Inserts the request rows; which of them are new.
async fn insert_attempts(tx: &mut Tx, batch: &[Settlement]) -> Result<HashSet<Id<Attempt>>> {
    // One statement must not name a row twice.
    let mut named = HashSet::with_capacity(batch.len());
    let rows = batch.iter().filter(|settled| named.insert(settled.attempt)).map(attempt_row).collect();
    let insert = Insert {
        head:
            "INSERT INTO usage_attempts (attempt, request, account_no, key_no, model_no, upstream_no, route, started_at,
            input, output, cached_input, reasoning, audio_ms, images, class, input_at_most, output_at_most, suspect,
            outcome, status, first_byte_us, total_us, cost_nanos, upstream_id) VALUES ",
        columns: 24,
        tail: " ON CONFLICT (attempt) DO NOTHING RETURNING attempt",
    };
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

fn attempt_row(settled: &Settlement) -> Vec<Value> {
    let units = &settled.units;
    let int = |number: u8| i64::from(number);
    // An attribute that an upstream chose: a NUL in it must not stop the batch.
    let upstream_id = settled.upstream_id.as_ref().map(|id| id.replace('\0', "\u{fffd}"));
    values![
        settled.attempt.uuid().as_bytes().as_slice(),
        settled.request.uuid().as_bytes().as_slice(),
        settled.account,
        settled.key,
        settled.model,
        settled.upstream,
        int(settled.route),
        settled.started_at,
        units.input,
        units.output,
        units.cached_input,
        units.reasoning,
        units.audio_ms,
        units.images,
        int(settled.class.code()),
        settled.input_at_most,
        settled.output_at_most,
        settled.suspect,
        int(settled.outcome.code()),
        i64::from(settled.status),
        settled.first_byte_us,
        settled.total_us,
        settled.cost.nanos(),
        upstream_id,
    ]
}

/// Sums of one rollup row, in the order of its columns.
type Sums = [i64; SUMS];
const SUMS: usize = 13;

/// Where a rollup row stands: cube, grain, account, bucket, key, model.
type Place = [i64; 6];

/// Adds what is new to rollups, histograms and the keys' own lines. Rows of a table are written in the order of their
/// keys, so two processes that add to the same rows never wait for each other in a circle.
async fn add(tx: &mut Tx, batch: &[&Settlement]) -> Result<()> {
    let mut rollups: BTreeMap<Place, Sums> = BTreeMap::new();
    let mut latency: BTreeMap<[i64; 5], i64> = BTreeMap::new();
    let mut keys: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    let mut accounts: BTreeMap<i64, ()> = BTreeMap::new();
    for settled in batch {
        let (account, key, model) = (settled.account.get(), settled.key.get(), settled.model.get());
        let started = settled.started_at.as_millis();
        let sums = sums_of(settled);
        for grain in Grain::ALL {
            let bucket = grain.floor(started);
            for cube in Cube::ALL {
                let (key, model) = (if cube.has_key() { key } else { 0 }, if cube.has_model() { model } else { 0 });
                let line = rollups.entry([cube.code(), grain.code(), account, bucket, key, model]).or_default();
                for (sum, more) in line.iter_mut().zip(sums) {
                    *sum = sum.saturating_add(more);
                }
            }
        }
        let hour = Grain::Hour.floor(started);
        for (measure, us) in (0i64..).zip([settled.first_byte_us, Some(settled.total_us)]) {
            if let Some(us) = us {
                *latency.entry([account, hour, model, measure, bin(us)]).or_default() += 1;
            }
        }
        let line = keys.entry(key).or_insert((started, 0));
        *line = (line.0.max(started), line.1 + 1);
        accounts.insert(account, ());
    }
    let rows = accounts.keys().map(|account| values![*account]).collect();
    bulk::execute(tx, &ACCOUNTS, rows).await?;
    let rows = rollups.iter().map(|(place, sums)| place.iter().chain(sums).map(|int| Value::from(*int)).collect());
    bulk::execute(tx, &ROLLUPS, rows.collect()).await?;
    let rows = latency.iter().map(|(place, count)| {
        let [account, hour, model, measure, bin] = *place;
        values![account, hour, model, measure, bin, *count]
    });
    bulk::execute(tx, &LATENCY, rows.collect()).await?;
    let rows = keys.iter().map(|(key, (last, requests))| values![*key, *last, *requests]).collect();
    bulk::execute(tx, &KEYS, rows).await.map(drop)
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
