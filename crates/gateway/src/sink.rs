//! The store as the place where the journal's settlements go.

use tollgate_core::{
    Id,
    usage::{Journal, Lane, Settlement},
};
use tollgate_store::{
    Store, StoreError,
    usage::{JournalGap, Shipped},
};

use crate::journal::{Gap, UsageSink};

/// Why a batch was not shipped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SinkError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It counted before, or the watermark is elsewhere: it is asked for next.
    #[error("the watermark stands at {0}")]
    Before(u64),
}

pub(crate) struct StoreSink(pub Store);

impl UsageSink for StoreSink {
    type Error = SinkError;

    fn batch_most(&self) -> usize {
        self.0.usage_batch_most()
    }
    async fn make_last(&self, ended: Option<Lane>) -> Result<(), SinkError> {
        Ok(self.0.usage_make_last(ended).await?)
    }
    async fn watermark(&self, lane: Id<Journal>) -> Result<u64, SinkError> {
        Ok(self.0.journal_watermark(lane).await?)
    }
    async fn ship(
        &self,
        lane: Lane,
        expected: u64,
        new: u64,
        settlements: &[Settlement],
        gaps: &[Gap],
    ) -> Result<(), SinkError> {
        for gap in gaps.iter().filter(|gap| gap.lost > 0) {
            tracing::error!(journal.lane = %lane.id, ?gap, "records of the journal cannot be read: attempts may be lost");
        }
        let gaps: Vec<_> = gaps
            .iter()
            .filter(|gap| gap.lost > 0)
            .map(|gap| JournalGap { first: gap.first_seq, records: gap.lost })
            .collect();
        match self.0.usage_ship_damaged(lane, expected, new, settlements, &gaps).await? {
            Shipped::Counted => Ok(()),
            Shipped::Before { watermark } => Err(SinkError::Before(watermark)),
        }
    }
}
