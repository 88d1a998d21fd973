//! The usage tables: journals are shipped into them, reports are read from their rollups.
//!
//! Every attempt is one row, counted in the same transaction into rollups of every `grain` and every cube, all by the
//! instant when it began. So any report over any whole minutes adds up to the same sums, however it is grouped.

mod buckets;
mod costs;
mod cover;
mod days;
mod grain;
mod lanes;
mod lines;
mod names;
mod prune;
mod report;
mod ship;
mod source;
mod top;

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;
use tollgate_core::{
    Account, Id, Key, Model, No, Timestamp,
    name::ModelName,
    usage::{Journal, Lane, Settlement, UsageQuery, UsageRow, UsageSums},
};

use self::grain::Grain;
pub use self::lanes::{LANES_KEPT, LANES_REMEMBERED};
use crate::{Result, Store, StoreError, value::values};

const TOO_MANY_ROWS: StoreError = StoreError::State("the report would have too many rows: ask for less at a time");

/// What became of a shipped batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shipped {
    /// It counts now.
    Counted,
    /// The watermark was beyond it already: it counted before.
    Before {
        /// Where the watermark stands.
        watermark: u64,
    },
}

/// Records of a journal that were written once and cannot be read. There may be attempts among them of which nothing is
/// known: at most one for each record, on nobody's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalGap {
    /// The number of the first.
    pub first: u64,
    /// How many.
    pub records: u64,
}

/// A [`JournalGap`] as the store remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostRecords {
    /// Of which journal.
    pub journal: Id<Journal>,
    /// Which records.
    pub gap: JournalGap,
    /// When it was noticed.
    pub noticed_at: Timestamp,
}

/// A histogram of times: how many attempts took at most `at_most_ms[i]`, the last without limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatencyRow {
    /// The model.
    pub model: ModelName,
    /// Attempts by time to the first byte, one more entry than there are limits.
    pub first_byte: Vec<u64>,
    /// Attempts by total time.
    pub total: Vec<u64>,
}

/// The largest groups of a report, and all others as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageTop {
    /// The largest first: by input and output tokens, then by attempts.
    pub rows: Vec<UsageRow>,
    /// The sums of all others.
    pub rest: UsageSums,
    /// How many others there are; none where they were not counted, since they did not have to be looked at.
    pub rest_rows: Option<usize>,
}

/// The upper limits of a latency histogram's bins, in milliseconds; one bin without limit follows.
pub const LATENCY_LIMITS_MS: [u64; 15] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];

impl Store {
    /// Counts a batch, once for ever, however often it is tried: adds it to request rows and rollups and moves the
    /// journal's watermark from `from` to `to`, in one transaction that checks `from`.
    ///
    /// # Errors
    /// [`StoreError::State`] for usage from so long ago that the store may have forgotten it ([`LANES_REMEMBERED`]); when
    /// the store fails: then it may or may not have counted, and is to be sent again as it is.
    pub async fn usage_ship(&self, lane: impl Into<Lane>, from: u64, to: u64, batch: &[Settlement]) -> Result<Shipped> {
        self.usage_ship_damaged(lane, from, to, batch, &[]).await
    }
    /// [`Store::usage_ship`] of a journal that cannot be read everywhere: what is missing is remembered with the batch, once
    /// like it.
    ///
    /// # Errors
    /// As [`Store::usage_ship`].
    pub async fn usage_ship_damaged(
        &self,
        lane: impl Into<Lane>,
        from: u64,
        to: u64,
        batch: &[Settlement],
        gaps: &[JournalGap],
    ) -> Result<Shipped> {
        if to <= from {
            return Err(StoreError::State("a batch ends behind its beginning"));
        }
        self.ship(lane.into(), from, to, batch, gaps).await
    }
    /// What journals have lost, the newest first, at most `most`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn journal_gaps(&self, most: u32) -> Result<Vec<LostRecords>> {
        let sql = "SELECT journal, first_record, records, noticed_at FROM journal_gaps
                   ORDER BY noticed_at DESC, journal, first_record LIMIT $1";
        let rows = self.pools().rows(sql, values![i64::from(most)]).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns();
                let journal = columns.next()?;
                let gap = JournalGap { first: columns.next()?, records: columns.next()? };
                Ok(LostRecords { journal, gap, noticed_at: columns.next()? })
            })
            .collect()
    }
    /// How many records of journals were found to be lost from `from` to `to`: so many attempts at most are in no report.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn journal_records_lost(&self, from: Timestamp, to: Timestamp) -> Result<u64> {
        let sql = "SELECT CAST(COALESCE(SUM(records), 0) AS BIGINT) FROM journal_gaps WHERE noticed_at >= $1 AND noticed_at < $2";
        let row = self.pools().row(sql, values![from, to]).await?;
        row.map_or(Ok(0), |row| row.columns().next())
    }
    /// A report. Rows in order of time, then account, key and model; rows without any attempt are left out. All have
    /// their costs by currency.
    ///
    /// # Errors
    /// [`crate::StoreError::State`] where it would have more than [`Store::MOST_USAGE_ROWS`] rows, also those that tell
    /// models apart where these have several currencies; when the store fails.
    pub async fn usage_report(&self, query: &UsageQuery) -> Result<Vec<UsageRow>> {
        self.report(query).await
    }
    /// The `most` largest rows of a report and the sum of the others, together exactly what [`Store::usage_report`] gives.
    /// For a page with the largest of many keys: names are read and rows are made only for what it shows. Rows have their
    /// costs by currency where they tell models apart, or all models have the same.
    ///
    /// # Errors
    /// [`crate::StoreError::State`] where it would choose among more than 250,000; when the store fails.
    pub async fn usage_top(&self, query: &UsageQuery, most: usize) -> Result<UsageTop> {
        self.top(query, most).await
    }
    /// The most rows of one report.
    pub const MOST_USAGE_ROWS: usize = 100_000;
    /// Latency histograms by model over whole hours of `[from, to)`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn usage_latency(
        &self,
        account: Option<No<Account>>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<LatencyRow>> {
        let (from, to) = (Grain::Hour.floor(from.as_millis()), to.as_millis());
        let mut values = values![from, to];
        let mut of = "usage_accounts s CROSS JOIN usage_latency r";
        let mut lines = "r.account_no = s.account_no";
        if let Some(account) = account {
            values.push(account.into());
            (of, lines) = ("usage_latency r", "r.account_no = $3");
        }
        let sql = format!(
            "SELECT m.name, r.measure, r.bin, CAST(SUM(r.attempts) AS BIGINT) FROM {of} JOIN models m ON m.no = r.model_no
             WHERE {lines} AND r.bucket >= $1 AND r.bucket < $2 GROUP BY m.name, r.measure, r.bin"
        );
        let mut models: BTreeMap<ModelName, [Vec<u64>; 2]> = BTreeMap::new();
        for row in &self.pools().rows(AssertSqlSafe(sql), values).await? {
            let mut columns = row.columns();
            let (model, measure, bin): (_, u64, u64) = (columns.next()?, columns.next()?, columns.next()?);
            let [first_byte, total] =
                models.entry(model).or_insert_with(|| [(); 2].map(|()| vec![0; LATENCY_LIMITS_MS.len() + 1]));
            let bins = if measure == 0 { first_byte } else { total };
            if let Some(count) = usize::try_from(bin).ok().and_then(|bin| bins.get_mut(bin)) {
                *count = columns.next()?;
            }
        }
        let rows = models.into_iter();
        Ok(rows.map(|(model, [first_byte, total])| LatencyRow { model, first_byte, total }).collect())
    }
    /// How many requests a key made in the last hour and the last day, for the confirmation before a revoke.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn key_recent_requests(&self, key: No<Key>) -> Result<(u64, u64)> {
        let now = self.world().now();
        let since =
            |hours: u64| Grain::Minute.floor(now.minus(std::time::Duration::from_secs(hours * 3_600)).as_millis());
        let row = self
            .pools()
            .row(
                "SELECT CAST(COALESCE(SUM(CASE WHEN bucket >= $3 THEN requests ELSE 0 END), 0) AS BIGINT),
                        CAST(COALESCE(SUM(requests), 0) AS BIGINT)
                 FROM usage_rollups WHERE key_no = $1 AND key_no <> 0 AND cube = 3 AND grain = 0 AND bucket >= $2",
                values![key, since(24), since(1)],
            )
            .await?;
        let Some(row) = row else { return Ok((0, 0)) };
        let mut columns = row.columns();
        Ok((columns.next()?, columns.next()?))
    }
    /// Row numbers of keys of an account (`None`: of any) by their ids, unknown ones left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn key_numbers(&self, account: Option<No<Account>>, ids: &[Id<Key>]) -> Result<Vec<No<Key>>> {
        let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
        match account {
            Some(account) => {
                self.numbers_by("SELECT no FROM keys WHERE account_no = $1 AND id", values![account], &texts).await
            }
            None => self.numbers_by("SELECT no FROM keys WHERE id", values![], &texts).await,
        }
    }
    /// Row numbers of models by name, withdrawn ones of that name included, unknown ones left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn model_numbers(&self, names: &[ModelName]) -> Result<Vec<No<Model>>> {
        self.models_named(names).await
    }
    /// Deletes request rows that began before `before`, whole days of them at once where they have partitions, and minute
    /// rollups before `minutes_before`, in small steps; returns how many rows and partitions went.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn usage_prune(&self, before: Timestamp, minutes_before: Timestamp) -> Result<u64> {
        self.prune(before, minutes_before).await
    }
}
