//! The change log, the nodes that follow it, and the proof that a change has reached them all.
//!
//! The protocol, after Gray and Cheriton, *Leases* (SOSP 1989):
//!
//! 1. Every write that changes who may do what appends to the log in its own transaction, under the lock of one head
//!    row: sequence order is commit order, without gaps. The same transaction lists the nodes that hold a lease.
//! 2. A node joins, reads the keyring, then renews every second. A renewal takes the head's lock too, so it is before a
//!    write (and the node is a member that the write waits for) or behind it (and the grant carries the entry). The node
//!    applies a grant's entries *before* it counts its lease as extended, from before it asked.
//! 3. A node acknowledges `seq` once its table is swapped and the streams that had to end have ended. It says the same
//!    with each renewal, so a lost acknowledgement costs a second and no more.
//! 4. [`Store::change_confirm`] waits until each member has acknowledged, has released its lease, or has had no *grant*
//!    for a whole lease, of the length that the node itself joined with, as the waiter's clocks count it (`clock`). A missing acknowledgement alone never drops a node: it
//!    may still be serving on a renewed lease. Dropping is itself a write under the head's lock, on the condition that the
//!    grants stand where the waiter saw them.
//! 5. Silent leases are dropped by the same rule when any node renews, so that a later revoke does not pay for an old
//!    crash.
//!
//! No two machines' clocks are ever compared. `NOTIFY` and in-process wake-ups only make things faster.
//!
//! On SQLite there is one node, in this process (`local`): it holds a lock on a file beside the store for as long as it
//! serves, and what it acknowledges is kept in memory. Another process may write to the store meanwhile (`bootstrap`);
//! the node sees that within `HEAD_POLL`, and the other process has no members to wait for.

mod begun;
pub(crate) mod clock;
mod fleet;
mod leases;
mod local;
mod prune;

use std::time::Duration;

pub use tollgate_core::lease::ConfirmedBy;
use tollgate_core::{Change, ChangeKind, Id, Seq, Timestamp, change::Node, lease::Reading, name::Slug};

pub(crate) use self::fleet::Fleet;
pub use self::prune::CHANGES_KEPT;
use crate::{Result, Store, StoreEngine, StoreError, engine::Row, value::values};

/// Where the new head is told.
pub(crate) const CHANGES_CHANNEL: &str = "tollgate_changes";
/// Where acknowledgements and releases are told.
pub(crate) const ACKS_CHANNEL: &str = "tollgate_acks";
/// How often the head is read beside waiting to be told of it.
const HEAD_POLL: Duration = Duration::from_millis(200);
/// How often the members are read beside waiting to be told of them.
const CONFIRM_POLL: Duration = Duration::from_millis(50);
/// How long a node that is gone stays in the list.
const GONE: Duration = Duration::from_secs(24 * 3_600);
/// Most entries of one grant: a node that is further behind reads the keyring anew.
const MOST_CHANGES: u32 = 200_000;

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
    /// When it was committed, on this process's clocks.
    pub(crate) since: Reading,
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

/// How many attempts a node has begun, and how far it goes before it has said more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Begun {
    /// Attempts of which it has written the intent, at least.
    pub attempts: u64,
    /// It begins no more than so many before it has renewed again.
    pub most: u64,
    /// Lanes of its journal that it has made.
    pub lanes: u64,
}

/// Attempts that a node which is gone has begun, and that are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uncounted {
    /// So many for certain.
    pub at_least: u64,
    /// No more than this.
    pub at_most: u64,
    /// None of them began before.
    pub since: Timestamp,
    /// None of them began later.
    pub until: Timestamp,
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
    /// What it has begun.
    pub begun: Begun,
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
    /// Everything that ended before is shipped, as it last said; the epoch where it has said nothing yet.
    pub complete_until: Timestamp,
    /// Grows each time it joins.
    pub epoch: i64,
    /// How long a grant of its lease counts; absent where the lease is held as long as the process runs (SQLite).
    pub lease: Option<Duration>,
    /// What it has begun that is not counted; absent while it holds a lease, and where all is counted.
    pub uncounted: Option<Uncounted>,
    /// When an operator gave that up.
    pub written_off_at: Option<Timestamp>,
}

impl Store {
    /// Joins the nodes: from now on, restrictions wait for this node. Read the keyring *after* joining.
    /// On SQLite a second process is refused with [`crate::StoreError::State`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn node_join(&self, name: &Slug, version: &str) -> Result<Lease> {
        match self.engine() {
            StoreEngine::Sqlite => self.join_locally(name, version).await,
            StoreEngine::Postgres => self.join_fleet(name, version).await,
        }
    }
    /// Renews the lease and takes the node's report. Called every second on both engines; on SQLite nothing is written,
    /// the report is kept in this process.
    ///
    /// # Errors
    /// When the store fails: the lease runs out by itself.
    pub async fn lease_renew(&self, lease: &Lease, report: &NodeReport) -> Result<Renewal> {
        match self.engine() {
            StoreEngine::Sqlite => self.renew_locally(lease, report).await,
            StoreEngine::Postgres => self.renew_in_fleet(lease, report).await,
        }
    }
    /// Says that everything up to `applied` is in force on this node and the streams that had to end have ended;
    /// `streams_cut` is how many, for each change.
    ///
    /// # Errors
    /// When the store fails; the next renewal says it again.
    pub async fn change_acknowledge(&self, lease: &Lease, applied: Seq, streams_cut: &[(Seq, u64)]) -> Result<()> {
        match self.engine() {
            StoreEngine::Sqlite => {
                self.acknowledge_locally(lease, applied, streams_cut);
                Ok(())
            }
            StoreEngine::Postgres => self.acknowledge_in_fleet(lease, applied, streams_cut).await,
        }
    }
    /// Gives the lease back: no restriction waits for this node any more. It must admit nothing after this call began.
    ///
    /// # Errors
    /// When the store fails; the lease then runs out by itself.
    pub async fn lease_release(&self, lease: &Lease) -> Result<()> {
        match self.engine() {
            StoreEngine::Sqlite => {
                self.release_locally(lease);
                Ok(())
            }
            StoreEngine::Postgres => self.release_in_fleet(lease).await,
        }
    }
    /// Waits until the head of the log may have moved beyond `seen`, or `at_most` has passed. A hint, never a proof.
    pub async fn change_wait(&self, seen: Seq, at_most: Duration) {
        let mut head = self.fleet().head();
        let moved = async {
            loop {
                // Told by this process or by a notification; else the store is asked.
                let told = async { head.wait_for(|head| *head > seen.0).await.is_ok() };
                if tokio::time::timeout(HEAD_POLL, told).await.is_ok() {
                    return;
                }
                if let Ok(head) = self.head_read().await {
                    self.head_seen(head);
                }
            }
        };
        // Over time is an answer too.
        let _ = tokio::time::timeout(at_most, moved).await;
    }
    /// The entries behind `after`, at most `limit`, in order without gaps.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn changes_after(&self, after: Seq, limit: u32) -> Result<Vec<Change>> {
        let rows = self.pools().rows(CHANGES_AFTER, values![after.0, limit]).await?;
        changes_of(&rows, after)
    }
    /// Waits until every member has acknowledged the change, released its lease, or had no grant for a whole lease.
    /// Returns when that is so: then no node admits by the old state.
    ///
    /// # Errors
    /// When the store fails while waiting: the change stands and spreads, but is not proven.
    pub async fn change_confirm<T>(&self, committed: &Committed<T>) -> Result<Confirmation> {
        let (seq, since) = (committed.seq, committed.since);
        if committed.members.is_empty() {
            return Ok(Confirmation { after: clock::elapsed(since), nodes: Vec::new(), streams_cut: 0 });
        }
        let (nodes, streams_cut) = match self.engine() {
            StoreEngine::Sqlite => self.confirm_locally(seq, since, &committed.members).await,
            StoreEngine::Postgres => self.confirm_in_fleet(seq, since, &committed.members).await?,
        };
        Ok(Confirmation { after: clock::elapsed(since), nodes, streams_cut })
    }
    /// The nodes, newest first, those gone for a day left out, unless they have begun what is neither counted nor written
    /// off.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn node_list(&self) -> Result<Vec<NodeView>> {
        match self.engine() {
            StoreEngine::Sqlite => Ok(self.fleet().local(local::LocalNode::view).into_iter().collect()),
            StoreEngine::Postgres => self.nodes_of_fleet().await,
        }
    }

    /// The head of the change log: what a node that lags has yet to apply ends here.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn change_head(&self) -> Result<Seq> {
        self.head_read().await.map(Seq)
    }
    /// The head of the log as the store says.
    pub(crate) async fn head_read(&self) -> Result<i64> {
        let row = self.pools().row("SELECT seq FROM authority", values![]).await?;
        row.ok_or_else(|| StoreError::Failed("the row of the authority is missing".into()))?.columns().next()
    }
    /// Tells those who wait that the head stands at least there.
    pub(crate) fn head_seen(&self, seq: i64) {
        self.fleet().head_seen(seq);
    }
}

const CHANGES_AFTER: &str = "SELECT seq, kind, no FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2";

/// Reads entries and checks that none is missing.
fn changes_of(rows: &[Row], after: Seq) -> Result<Vec<Change>> {
    let mut changes = Vec::with_capacity(rows.len());
    for (expected, row) in (after.0 + 1..).zip(rows) {
        let mut columns = row.columns();
        let (seq, word, no): (i64, String, i64) = (columns.next()?, columns.next()?, columns.next()?);
        let kind = ChangeKind::from_parts(&word, no).filter(|_| seq == expected);
        let kind = kind.ok_or_else(|| StoreError::Failed(format!("the change log is damaged at {seq}")))?;
        changes.push(Change { seq: Seq(seq), kind });
    }
    Ok(changes)
}
