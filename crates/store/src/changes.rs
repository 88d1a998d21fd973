//! The change log, the nodes that follow it, and the proof that a change has reached them all.
//!
//! (store helper: write the protocol here)

use std::time::Duration;

use tollgate_core::{Change, Id, Seq, Timestamp, change::Node, name::Slug};

use crate::{Result, Store};

/// A write that was committed and stands at `seq` of the change log.
#[derive(Debug, Clone)]
#[must_use = "a restriction is in force only once it is confirmed: Store::change_confirm"]
pub struct Committed<T> {
    /// What the write returns.
    pub value: T,
    /// Its place in the log. Nothing changed (a repeat): the head then.
    pub seq: Seq,
    /// The nodes that held a lease at the commit.
    pub members: Vec<Member>,
}

/// A node that held a lease at a commit.
#[derive(Debug, Clone)]
pub struct Member {
    /// The node.
    pub node: Id<Node>,
    /// Its name.
    pub name: Slug,
    /// Its lease's epoch.
    pub epoch: i64,
    /// How many grants it had at the commit.
    pub grants: i64,
}

/// Which nodes have applied a change, and when.
#[derive(Debug, Clone)]
pub struct Confirmation {
    /// From the commit to the last node's confirmation.
    pub after: Duration,
    /// Each of the nodes.
    pub nodes: Vec<NodeConfirmation>,
    /// How many running streams were ended, over all nodes that said so.
    pub streams_cut: u64,
}

/// One node's confirmation.
#[derive(Debug, Clone)]
pub struct NodeConfirmation {
    /// The node.
    pub node: Id<Node>,
    /// Its name.
    pub name: Slug,
    /// From the commit on.
    pub after: Duration,
    /// How it was confirmed.
    pub by: ConfirmedBy,
}

/// How a node is known not to admit by the old state any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfirmedBy {
    /// It applied the change and ended the streams.
    Acknowledged,
    /// It gave its lease back.
    Released,
    /// A whole lease went by without a grant to it.
    Expired,
}

/// A node's place among the nodes, as long as it renews.
#[derive(Debug, Clone)]
pub struct Lease {
    /// This process.
    pub node: Id<Node>,
    /// Grows each time a node joins.
    pub epoch: i64,
    /// The identity of the store; a node that saw another one stays closed.
    pub cluster: uuid::Uuid,
    /// Grows when an operator restores a backup.
    pub generation: i64,
    /// Whether the lease has to be renewed (PostgreSQL), or the one node of a store in this very process holds it
    /// as long as it runs (SQLite).
    pub renewable: bool,
}

/// An answer to a renewal. Its entries are to be applied *before* the lease counts as extended, and it is extended
/// from the instant before the renewal was asked for.
#[derive(Debug, Clone)]
pub struct Grant {
    /// All entries behind what the node said it had applied, in order, without gaps.
    pub changes: Vec<Change>,
    /// The head of the log.
    pub head: Seq,
    /// The authority's wall-clock time.
    pub now: Timestamp,
}

/// What a renewal can come to.
#[derive(Debug, Clone)]
pub enum Renewal {
    /// The lease runs on.
    Granted(Grant),
    /// The lease is gone: join again, with a new keyring.
    Lost,
}

/// What a node says of itself with each renewal.
#[derive(Debug, Clone, Copy)]
pub struct NodeReport {
    /// What it has applied of the change log.
    pub applied: Seq,
    /// Bytes of its journal that are not shipped.
    pub journal_bytes: u64,
    /// Everything that ended before is shipped.
    pub complete_until: Timestamp,
}

/// A node as operators see it.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// The node.
    pub id: Id<Node>,
    /// Its name.
    pub name: Slug,
    /// The program's version on it.
    pub version: String,
    /// When it joined.
    pub joined_at: Timestamp,
    /// When it last renewed.
    pub renewed_at: Timestamp,
    /// What it has applied of the change log.
    pub applied: Seq,
    /// Whether it holds a lease.
    pub active: bool,
    /// What it last said of its journal: bytes not shipped.
    pub journal_bytes: u64,
}

impl Store {
    /// Joins the nodes: from now on, restrictions wait for this node. Read the keyring *after* joining.
    /// On SQLite a second process is refused with [`crate::StoreError::State`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn node_join(&self, name: &Slug, version: &str) -> Result<Lease> {
        let _ = (name, version);
        todo!()
    }
    /// Renews the lease and takes the node's report. Called every second on both engines; on SQLite nothing is written,
    /// the report is kept in this process.
    ///
    /// # Errors
    /// When the store fails: the lease runs out by itself.
    pub async fn lease_renew(&self, lease: &Lease, report: &NodeReport) -> Result<Renewal> {
        let _ = (lease, report);
        todo!()
    }
    /// Up to when usage is complete: the earliest `complete_until` of all nodes that hold a lease; now, if there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn usage_complete_until(&self) -> Result<Timestamp> {
        todo!()
    }
    /// Says that everything up to `applied` is in force on this node and the streams that had to end have ended;
    /// `streams_cut` is how many, for each change.
    ///
    /// # Errors
    /// When the store fails; the next renewal says it again.
    pub async fn change_acknowledge(&self, lease: &Lease, applied: Seq, streams_cut: &[(Seq, u64)]) -> Result<()> {
        let _ = (lease, applied, streams_cut);
        todo!()
    }
    /// Gives the lease back: no restriction waits for this node any more. It must admit nothing after this call began.
    ///
    /// # Errors
    /// When the store fails; the lease then runs out by itself.
    pub async fn lease_release(&self, lease: &Lease) -> Result<()> {
        let _ = lease;
        todo!()
    }
    /// Waits until the head of the log may have moved beyond `seen`, or `at_most` has passed. A hint, never a proof.
    pub async fn change_wait(&self, seen: Seq, at_most: Duration) {
        let _ = (seen, at_most);
        todo!()
    }
    /// The entries behind `after`, at most `limit`, in order without gaps.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn changes_after(&self, after: Seq, limit: u32) -> Result<Vec<Change>> {
        let _ = (after, limit);
        todo!()
    }
    /// Waits until every member has acknowledged the change, released its lease, or had no grant for a whole lease.
    /// Returns when that is so: then no node admits by the old state.
    ///
    /// # Errors
    /// When the store fails while waiting: the change stands and spreads, but is not proven.
    pub async fn change_confirm<T>(&self, committed: &Committed<T>) -> Result<Confirmation> {
        let _ = committed;
        todo!()
    }
    /// The nodes, newest first, those gone for a day left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn node_list(&self) -> Result<Vec<NodeView>> {
        todo!()
    }
}
