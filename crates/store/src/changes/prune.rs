//! Forgetting entries of the change log that nobody can ask for any more.
//!
//! Invariant: an entry goes only when it is older than [`CHANGES_KEPT`] *and* every node with a lease has acknowledged it. A
//! node asks for what lies behind what it has applied, never for less than it acknowledged; one without a lease loads a
//! snapshot before it follows. The head is a row of its own: it stays, however much is forgotten.

use std::time::Duration;

use crate::{Result, Store, StoreEngine, value::values};

/// How long an entry is kept at least: for people who look at what happened.
pub const CHANGES_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Entries of one step, so that nobody waits long behind one.
const STEP: i64 = 1_000;

impl Store {
    /// Forgets old entries of the change log; how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn changes_prune(&self) -> Result<u64> {
        let before = self.world().now().minus(CHANGES_KEPT);
        let mut pruned = 0;
        loop {
            let mut tx = self.pools().begin().await?;
            // Before the nodes are looked at: one that joins meanwhile acknowledges nothing before it has loaded.
            let head = tx.lock_head().await?;
            let acked: Option<i64> = match self.engine() {
                StoreEngine::Sqlite => self.fleet().local(|node| node.acked.0),
                StoreEngine::Postgres => {
                    let sql = "SELECT MIN(acked) FROM nodes WHERE state = 'active'";
                    tx.row(sql, values![]).await?.map_or(Ok(None), |row| row.columns().next())?
                }
            };
            let step = tx
                .execute(
                    "DELETE FROM changes WHERE seq IN (
                        SELECT seq FROM changes WHERE seq <= $1 AND at < $2 ORDER BY seq LIMIT $3)",
                    values![acked.unwrap_or(head), before, STEP],
                )
                .await?;
            tx.commit().await?;
            pruned += step;
            if step == 0 {
                return Ok(pruned);
            }
        }
    }
}
