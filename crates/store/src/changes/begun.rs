//! What nodes have begun and not counted: how much may be missing from all usage, and until when nothing is.
//!
//! A node's journal is on its own disk. Where the node is gone and its disk with it, nobody can read what it had begun and
//! not yet shipped. So with each renewal a node says how many attempts it has begun, and how many it will begin at most
//! before it has renewed again ([`Begun`]); it keeps to that. The store counts what is shipped by node, in the transaction
//! that counts it. For a node that is gone the differences are what is missing at least and at most ([`Uncounted`]).
//!
//! - Nothing is missing once as many lanes of its journal are shipped to their end as it has made: by itself when it stops,
//!   or by the next process that starts with its disk.
//! - Until then usage is complete only up to what the node last said.
//! - Where the disk is lost an operator says so ([`Store::node_write_off`]): usage is complete again, but for so many attempts
//!   of nobody's, which stay on record. If the disk turns up after all, what is on it is counted, and nothing is missing.
//!
//! All of this is for nodes of a PostgreSQL store. An SQLite store and its one node's journal are on one machine.

use serde_json::json;
use sqlx::AssertSqlSafe;
use tollgate_core::{Actor, Id, Timestamp, change::Node};

use super::{Begun, NodeView, Uncounted};
use crate::{
    Result, Store, StoreEngine, StoreError,
    value::values,
    write::{Subject, Write},
};

/// Attempts of node `n` that are counted.
pub(super) const COUNTED: &str =
    "CAST((SELECT COALESCE(SUM(j.attempts), 0) FROM journals j WHERE j.node = n.id) AS BIGINT)";
/// Lanes of node `n` that are shipped to their end.
pub(super) const LANES_ENDED: &str = "(SELECT COUNT(*) FROM journals j WHERE j.node = n.id AND j.ended_at IS NOT NULL)";

/// Up to when everything of node `n` is counted. One that has made lanes and said nothing began nothing before it joined.
const SAID: &str = "CASE WHEN n.complete_until = 0 AND n.state <> 'active' THEN n.joined_at ELSE n.complete_until END";

impl Uncounted {
    /// What is missing of a node that is gone.
    pub(super) fn new(begun: Begun, counted: u64, since: Timestamp, until: Timestamp) -> Self {
        let at_least = begun.attempts.saturating_sub(counted);
        Self { at_least, at_most: begun.most.saturating_sub(counted).max(at_least), since, until }
    }
}

impl Store {
    /// Up to when usage is complete: the earliest `complete_until` of all nodes that hold a lease, or are gone and have begun
    /// what is neither counted nor written off; now, if there is none. A node that has joined but not yet renewed has said
    /// nothing: then it is the epoch.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn usage_complete_until(&self) -> Result<Timestamp> {
        let now = self.world().now();
        if self.engine() == StoreEngine::Sqlite {
            return Ok(self.fleet().local(|node| node.report.complete_until).unwrap_or(now));
        }
        let sql = format!(
            "SELECT MIN({SAID}) FROM nodes n
             WHERE n.state = 'active' OR (n.written_off_at IS NULL AND n.lanes > {LANES_ENDED})"
        );
        let row = self.pools().row(AssertSqlSafe(sql), values![]).await?;
        let earliest: Option<Timestamp> = row.map_or(Ok(None), |row| row.columns().next())?;
        Ok(earliest.unwrap_or(now))
    }
    /// Gives up what a node that is gone has not counted: its disk is lost. A repeat changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::State`] for a node that holds a lease, and for one of which all is counted; when
    /// the store fails.
    pub async fn node_write_off(&self, actor: &Actor, id: Id<Node>) -> Result<NodeView> {
        const SERVES: StoreError = StoreError::State("the node holds a lease: it counts what it has begun by itself");
        if self.engine() == StoreEngine::Sqlite {
            let is_here = self.fleet().local(|node| node.id == id).unwrap_or(false);
            return Err(if is_here { SERVES } else { StoreError::NotFound });
        }
        let mut write = self.write(actor).await?;
        let node = node_read(&mut write, id).await?;
        if node.active {
            return Err(SERVES);
        }
        let Some(uncounted) = node.uncounted else {
            return Err(StoreError::State("everything that the node has begun is counted"));
        };
        if node.written_off_at.is_some() {
            return Ok(write.unchanged(node).await?.value);
        }
        let now = write.now();
        write.execute("UPDATE nodes SET written_off_at = $2 WHERE id = $1", values![id, now]).await?;
        let Uncounted { at_least, at_most, since, until } = uncounted;
        let detail =
            json!({ "name": node.name, "at_least": at_least, "at_most": at_most, "since": since, "until": until });
        write.audit("node.write_off", Subject::new(id), detail).await?;
        Ok(write.commit(NodeView { written_off_at: Some(now), ..node }).await?.value)
    }
    /// How many attempts are in no row since the nodes that began them between `from` and `to`, or may have, are written off:
    /// at least and at most.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn attempts_written_off(&self, from: Timestamp, to: Timestamp) -> Result<(u64, u64)> {
        if self.engine() == StoreEngine::Sqlite {
            return Ok((0, 0));
        }
        let sql = format!(
            "SELECT n.attempts_begun, n.attempts_most, n.lanes, {COUNTED} FROM nodes n
             WHERE n.written_off_at IS NOT NULL AND n.lanes > {LANES_ENDED}
               AND {SAID} < $2 AND n.renewed_at + n.lease_ms >= $1"
        );
        let mut sum = (0_u64, 0_u64);
        for row in self.pools().rows(AssertSqlSafe(sql), values![from, to]).await? {
            let mut columns = row.columns();
            let begun = Begun { attempts: columns.next()?, most: columns.next()?, lanes: columns.next()? };
            let missing = Uncounted::new(begun, columns.next()?, from, to);
            sum = (sum.0.saturating_add(missing.at_least), sum.1.saturating_add(missing.at_most));
        }
        Ok(sum)
    }
}

async fn node_read(write: &mut Write<'_>, id: Id<Node>) -> Result<NodeView> {
    let sql = format!("{} WHERE n.id = $1", super::leases::node_sql());
    let row = write.row(AssertSqlSafe(sql), values![id]).await?.ok_or(StoreError::NotFound)?;
    super::leases::node_of(&row)
}
