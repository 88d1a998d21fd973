//! The usage tables: journals are shipped into them, reports are read from their rollups.

use tollgate_core::{
    Account, Id, Key, Model, No, Timestamp,
    usage::{Journal, Settlement, UsageQuery, UsageRow},
};

use crate::{Result, Store};

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

/// A histogram of times: how many attempts took at most `at_most_ms[i]`, the last without limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatencyRow {
    /// The model.
    pub model: tollgate_core::name::ModelName,
    /// Attempts by time to the first byte, one more entry than there are limits.
    pub first_byte: Vec<u64>,
    /// Attempts by total time.
    pub total: Vec<u64>,
}

/// The upper limits of a latency histogram's bins, in milliseconds; one bin without limit follows.
pub const LATENCY_LIMITS_MS: [u64; 15] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];

impl Store {
    /// The watermark of a journal: the sequence number up to which it has been counted; 0 for a new one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn journal_watermark(&self, journal: Id<Journal>) -> Result<u64> {
        let _ = journal;
        todo!()
    }
    /// Counts a batch, once for ever, however often it is tried: adds it to request rows and rollups and moves the
    /// journal's watermark from `from` to `to`, in one transaction that checks `from`.
    ///
    /// # Errors
    /// When the store fails; then it may or may not have counted, and is to be sent again as it is.
    pub async fn usage_ship(&self, journal: Id<Journal>, from: u64, to: u64, batch: &[Settlement]) -> Result<Shipped> {
        let _ = (journal, from, to, batch);
        todo!()
    }
    /// A report. Rows in order of time, then account, key and model; rows without any attempt are left out.
    ///
    /// # Errors
    /// [`crate::StoreError::State`] where it would have more than [`Store::MOST_USAGE_ROWS`] rows; when the store fails.
    pub async fn usage_report(&self, query: &UsageQuery) -> Result<Vec<UsageRow>> {
        let _ = query;
        todo!()
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
        let _ = (account, from, to);
        todo!()
    }
    /// How many requests a key made in the last hour and the last day, for the confirmation before a revoke.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn key_recent_requests(&self, key: No<Key>) -> Result<(u64, u64)> {
        let _ = key;
        todo!()
    }
    /// Row numbers of keys of an account (`None`: of any) by their ids, unknown ones left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn key_numbers(&self, account: Option<No<Account>>, ids: &[Id<Key>]) -> Result<Vec<No<Key>>> {
        let _ = (account, ids);
        todo!()
    }
    /// Row numbers of models by name, withdrawn ones of that name included, unknown ones left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn model_numbers(&self, names: &[tollgate_core::name::ModelName]) -> Result<Vec<No<Model>>> {
        let _ = names;
        todo!()
    }
    /// Deletes request rows that began before `before`, and minute rollups before `minutes_before`, in small steps;
    /// returns how many rows went.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn usage_prune(&self, before: Timestamp, minutes_before: Timestamp) -> Result<u64> {
        let _ = (before, minutes_before);
        todo!()
    }
}
