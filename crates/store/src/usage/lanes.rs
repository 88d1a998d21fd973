//! How far each lane of a journal is counted, and when that may be forgotten.
//!
//! Invariant: a batch counts once, also when a lane comes back that was shipped wholly (a directory from a backup). Its
//! watermark is kept for [`LANES_KEPT`] after it ended. By then everything in it is older than [`LANES_REMEMBERED`], and an
//! attempt that old is not counted for a lane that the store knows nothing of: whether it was counted before, nobody can
//! tell. Such a lane is refused with an error and stays on its node's disk, so neither is anything lost.

use std::time::Duration;

use tollgate_core::{
    Id,
    usage::{Journal, Lane, Settlement},
};

use crate::{Result, Store, StoreError, engine::Tx, value::values};

/// An attempt that began longer ago is not counted for a lane of which nothing is known.
pub const LANES_REMEMBERED: Duration = Duration::from_secs(400 * 86_400);
/// How long the watermark of a lane that ended is kept: longer, since the clocks of nodes may differ.
pub const LANES_KEPT: Duration = Duration::from_secs(430 * 86_400);
/// Rows of one step, so that nobody waits long behind one.
const STEP: i64 = 1_000;

const FORGOTTEN: StoreError = StoreError::State(
    "usage from so long ago in a journal that the store knows nothing of: it may have been counted and forgotten. If the \
     journal was restored from a backup, delete its directory",
);

impl Store {
    /// The watermark of a journal: the sequence number up to which it has been counted; 0 for a new one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn journal_watermark(&self, journal: Id<Journal>) -> Result<u64> {
        let row = self.pools().row("SELECT watermark FROM journals WHERE id = $1", values![journal]).await?;
        row.map_or(Ok(0), |row| row.columns().next())
    }
    /// When this has returned, what was counted stays counted, whatever becomes of the machine. Until then a power cut may
    /// take batches and their watermarks back together: what they were made from must be kept. `ended` is a journal that
    /// is counted to its end and about to be deleted: its watermark may be forgotten some day.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn usage_make_last(&self, ended: Option<Lane>) -> Result<()> {
        let Some(Lane { id, node }) = ended else { return self.pools().all_on_disk().await };
        let mut tx = self.pools().begin().await?;
        // A lane in which nothing was begun ends too: its node has made it, and it is waited for.
        let sql = "INSERT INTO journals (id, watermark, node, ended_at) VALUES ($1, 0, $2, $3)
                   ON CONFLICT (id) DO UPDATE SET node = COALESCE(journals.node, excluded.node),
                                                  ended_at = excluded.ended_at";
        tx.execute(sql, values![id, node, self.world().now()]).await?;
        tx.commit().await
    }
    /// Forgets the watermarks of journals that ended long ago, in small steps; how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn journals_prune(&self) -> Result<u64> {
        let before = self.world().now().minus(LANES_KEPT);
        let mut pruned = 0;
        loop {
            let mut tx = self.pools().begin().await?;
            let sql = "DELETE FROM journals WHERE id IN (SELECT id FROM journals WHERE ended_at < $1 LIMIT $2)";
            let step = tx.execute(sql, values![before, STEP]).await?;
            tx.commit().await?;
            pruned += step;
            if step == 0 {
                return Ok(pruned);
            }
        }
    }

    /// Moves the watermark of a lane inside the transaction that counts its batch; whether it stood at `from`.
    pub(super) async fn lane_move(
        &self,
        tx: &mut Tx,
        Lane { id, node }: Lane,
        (from, to): (u64, u64),
        batch: &[Settlement],
    ) -> Result<bool> {
        let attempts = i64::try_from(batch.len()).unwrap_or(i64::MAX);
        if from > 0 {
            let sql = "UPDATE journals SET watermark = $3, attempts = attempts + $4 WHERE id = $1 AND watermark = $2";
            return Ok(tx.execute(sql, values![id, from, to, attempts]).await? > 0);
        }
        let remembered = self.world().now().minus(LANES_REMEMBERED);
        if batch.iter().any(|settled| settled.started_at < remembered) {
            let known = tx.row("SELECT watermark FROM journals WHERE id = $1", values![id]).await?;
            known.ok_or(FORGOTTEN)?;
        }
        let sql = "INSERT INTO journals (id, watermark, node, attempts) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (id) DO UPDATE SET watermark = excluded.watermark, attempts = excluded.attempts,
                                                  node = COALESCE(journals.node, excluded.node)
                   WHERE journals.watermark = 0";
        Ok(tx.execute(sql, values![id, to, node, attempts]).await? > 0)
    }
}
