//! The one node of an SQLite store: in this process, its lease a lock on a file, its acknowledgements in memory.

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    path::PathBuf,
};

use tollgate_core::{Id, Seq, Timestamp, change::Node, lease::Reading, name::Slug};

use super::{
    CHANGES_AFTER, ConfirmedBy, Grant, Lease, MOST_CHANGES, Member, NodeConfirmation, NodeReport, NodeView, Renewal,
    changes_of, clock,
};
use crate::{Result, Store, StoreError, value::values};

/// For how many changes it is remembered how many streams were ended.
const MOST_CUTS: usize = 10_000;

/// The node.
pub(crate) struct LocalNode {
    pub(super) id: Id<Node>,
    name: Slug,
    version: String,
    epoch: i64,
    grants: i64,
    pub(super) acked: Seq,
    cuts: BTreeMap<Seq, u64>,
    joined_at: Timestamp,
    renewed_at: Timestamp,
    pub(super) report: NodeReport,
    /// Unlocked when closed, also by the end of the process.
    _lock: File,
}

impl LocalNode {
    pub(super) fn view(&self) -> NodeView {
        NodeView {
            id: self.id,
            name: self.name.clone(),
            version: self.version.clone(),
            joined_at: self.joined_at,
            renewed_at: self.renewed_at,
            applied: self.acked.max(self.report.applied),
            active: true,
            journal_bytes: self.report.journal_bytes,
            complete_until: self.report.complete_until,
            epoch: self.epoch,
            lease: None,
            uncounted: None,
            written_off_at: None,
        }
    }
    pub(super) fn member(&self) -> Member {
        Member { node: self.id, name: self.name.clone(), epoch: self.epoch, grants: self.grants }
    }
}

impl Store {
    pub(super) async fn join_locally(&self, name: &Slug, version: &str) -> Result<Lease> {
        let row = self.pools().row("SELECT cluster, generation, seq FROM authority", values![]).await?;
        let row = row.ok_or_else(|| StoreError::Failed("the row of the authority is missing".into()))?;
        let mut columns = row.columns();
        let (cluster, generation): (String, i64) = (columns.next()?, columns.next()?);
        let (id, now) = (self.fleet().node, self.world().now());
        let epoch = self.fleet().with_local(|node| {
            // Joining again, after a lease was lost or given back: the lock is ours already.
            let (epoch, lock) = match node.take() {
                Some(node) => (node.epoch + 1, node._lock),
                None => (1, lock_file(&self.inner.options.url)?),
            };
            let (complete_until, begun) = Default::default();
            let report = NodeReport { applied: Seq(0), journal_bytes: 0, complete_until, begun };
            *node = Some(LocalNode {
                id,
                name: name.clone(),
                version: version.to_owned(),
                epoch,
                grants: 0,
                acked: Seq(0),
                cuts: BTreeMap::new(),
                joined_at: now,
                renewed_at: now,
                report,
                _lock: lock,
            });
            Ok::<_, StoreError>(epoch)
        })?;
        self.fleet().ack_seen();
        Ok(Lease { node: id, epoch, cluster: cluster_of(&cluster)?, generation, renewable: false })
    }

    pub(super) async fn renew_locally(&self, lease: &Lease, report: &NodeReport) -> Result<Renewal> {
        let head = self.head_read().await?;
        let mut changes = Vec::new();
        if head > report.applied.0 {
            let rows = self.pools().rows(CHANGES_AFTER, values![report.applied.0, MOST_CHANGES]).await?;
            changes = changes_of(&rows, report.applied)?;
        }
        let head = changes.last().map_or(Seq(head), |last| last.seq.max(Seq(head)));
        let now = self.world().now();
        let held = self.of_lease(lease, |node| {
            node.grants += 1;
            node.renewed_at = now;
            node.report = *report;
            node.acked = node.acked.max(report.applied);
        });
        self.fleet().ack_seen();
        self.head_seen(head.0);
        let whole = changes.last().is_none_or(|last| last.seq == head);
        let whole = whole && report.applied <= head;
        Ok(if held && whole { Renewal::Granted(Grant { changes, head, now }) } else { Renewal::Lost })
    }

    pub(super) fn acknowledge_locally(&self, lease: &Lease, applied: Seq, streams_cut: &[(Seq, u64)]) {
        self.of_lease(lease, |node| {
            for (seq, streams) in streams_cut {
                *node.cuts.entry(*seq).or_default() += streams;
            }
            while node.cuts.len() > MOST_CUTS {
                node.cuts.pop_first();
            }
            node.acked = node.acked.max(applied);
        });
        self.fleet().ack_seen();
    }

    pub(super) fn release_locally(&self, lease: &Lease) {
        self.fleet().with_local(|node| {
            if node.as_ref().is_some_and(|node| node.epoch == lease.epoch) {
                *node = None;
            }
        });
        self.fleet().ack_seen();
    }

    /// The node of this process, where it has joined. Asked *after* a commit: a node that joins later reads its keyring
    /// later too.
    pub(crate) fn local_members(&self) -> Option<Member> {
        self.fleet().local(LocalNode::member)
    }

    /// Ends when the node has acknowledged or released. Its lease never runs out: if it dies, so does the waiter.
    pub(super) async fn confirm_locally(
        &self,
        seq: Seq,
        since: Reading,
        members: &[Member],
    ) -> (Vec<NodeConfirmation>, u64) {
        let mut acks = self.fleet().acks();
        loop {
            acks.mark_unchanged();
            let state = self.fleet().local(|node| (node.acked >= seq, node.cuts.get(&seq).copied().unwrap_or(0)));
            let confirmed = match state {
                Some((true, cut)) => Some((ConfirmedBy::Acknowledged, cut)),
                Some((false, _)) => None,
                None => Some((ConfirmedBy::Released, 0)),
            };
            if let Some((by, cut)) = confirmed {
                let after = clock::elapsed(since);
                let nodes = members.iter().map(|member| member.confirmed(after, by)).collect();
                return (nodes, cut);
            }
            // The sender lives in this store, so waiting cannot fail.
            if acks.changed().await.is_err() {
                return (Vec::new(), 0);
            }
        }
    }

    fn of_lease(&self, lease: &Lease, change: impl FnOnce(&mut LocalNode)) -> bool {
        self.fleet().with_local(|node| match node.as_mut().filter(|node| node.epoch == lease.epoch) {
            Some(node) => {
                change(node);
                true
            }
            None => false,
        })
    }
}

impl Member {
    pub(super) fn confirmed(&self, after: std::time::Duration, by: ConfirmedBy) -> NodeConfirmation {
        NodeConfirmation { node: self.node, name: self.name.clone(), after, by }
    }
}

pub(super) fn cluster_of(text: &str) -> Result<uuid::Uuid> {
    text.parse().map_err(|_| StoreError::Failed("the identity of the store cannot be read".into()))
}

/// Takes the lock that says that a process serves from this store.
fn lock_file(url: &str) -> Result<File> {
    let path = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = PathBuf::from(format!("{}.node-lock", path.strip_prefix("//").unwrap_or(path)));
    let unavailable = |error| StoreError::Unavailable(sqlx::Error::Io(error));
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(unavailable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::State("another process serves from this store")),
        Err(TryLockError::Error(error)) => Err(unavailable(error)),
    }
}
