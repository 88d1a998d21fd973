//! Nodes of a PostgreSQL store: joining, renewing, acknowledging, and waiting for them all.

use std::{collections::HashMap, time::Duration};

use sqlx::AssertSqlSafe;
use tollgate_core::{
    Id, Seq, Timestamp,
    change::Node,
    lease::{Conclusion, LeaseRow, LeaseState, Reading, Standing, Watch, conclude},
    name::Slug,
};

use super::{
    ACKS_CHANNEL, Begun, CHANGES_AFTER, CONFIRM_POLL, ConfirmedBy, GONE, Grant, Lease, MOST_CHANGES, Member,
    NodeConfirmation, NodeReport, NodeView, Renewal, Uncounted,
    begun::{COUNTED, LANES_ENDED},
    changes_of, clock,
    local::cluster_of,
};
use crate::{
    Result, Store, StoreEngine, StoreError,
    engine::{Pools, Row, Tx},
    value::values,
};

/// For how many changes it is remembered how many streams were ended.
const KEPT_CUTS: i64 = 100_000;

fn lease_of(lease_ms: i64) -> Duration {
    // A row that makes no sense is waited for as long as can be.
    u64::try_from(lease_ms).map_or(Duration::MAX, Duration::from_millis)
}

fn state_of(word: &str) -> LeaseState {
    match word {
        "released" => LeaseState::Released,
        "expired" => LeaseState::Expired,
        // As far as can be known it serves.
        _ => LeaseState::Active,
    }
}

impl Store {
    pub(super) async fn join_fleet(&self, name: &Slug, version: &str) -> Result<Lease> {
        self.listen();
        let now = self.world().now();
        let lease_ms = i64::try_from(self.inner.options.lease.as_millis()).unwrap_or(i64::MAX);
        let mut tx = self.pools().begin().await?;
        let head = tx.lock_head().await?;
        // What is missing of a node stays on record.
        let sql = format!(
            "DELETE FROM nodes WHERE id IN (
                SELECT n.id FROM nodes n WHERE n.state <> 'active' AND n.renewed_at < $1 AND n.lanes <= {LANES_ENDED})"
        );
        tx.execute(AssertSqlSafe(sql), values![now.minus(GONE)]).await?;
        tx.execute("DELETE FROM change_cuts WHERE seq < $1", values![head - KEPT_CUTS]).await?;
        let row = tx
            .row(
                "INSERT INTO nodes (id, name, version, epoch, grants, acked, state, joined_at, renewed_at, journal_bytes,
                                    complete_until, lease_ms)
                 VALUES ($1, $2, $3, 1, 0, 0, 'active', $4, $4, 0, 0, $5)
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version,
                    epoch = nodes.epoch + 1, grants = nodes.grants + 1, acked = 0, state = 'active',
                    joined_at = excluded.joined_at, renewed_at = excluded.renewed_at, written_off_at = NULL
                 RETURNING epoch, (SELECT cluster FROM authority), (SELECT generation FROM authority)",
                values![self.fleet().node, name, version, now, lease_ms],
            )
            .await?;
        let row = row.ok_or_else(|| StoreError::Failed("a node could not join".into()))?;
        tx.commit().await?;
        let mut columns = row.columns();
        let (epoch, cluster, generation): (i64, String, i64) = (columns.next()?, columns.next()?, columns.next()?);
        Ok(Lease { node: self.fleet().node, epoch, cluster: cluster_of(&cluster)?, generation, renewable: true })
    }

    pub(super) async fn renew_in_fleet(&self, lease: &Lease, report: &NodeReport) -> Result<Renewal> {
        let now = self.world().now();
        let mut tx = self.pools().begin().await?;
        let head = tx.lock_head().await?;
        let held = tx
            .execute(
                "UPDATE nodes SET grants = grants + 1, acked = CASE WHEN acked < $3 THEN $3 ELSE acked END,
                    renewed_at = $4, journal_bytes = $5, complete_until = $6, attempts_begun = $7,
                    attempts_most = CASE WHEN attempts_most < $8 THEN $8 ELSE attempts_most END, lanes = $9
                 WHERE id = $1 AND epoch = $2 AND state = 'active'",
                values![
                    lease.node,
                    lease.epoch,
                    report.applied.0,
                    now,
                    report.journal_bytes,
                    report.complete_until,
                    report.begun.attempts,
                    report.begun.most,
                    report.begun.lanes
                ],
            )
            .await?;
        if held == 0 || report.applied.0 > head {
            // A node ahead of the log has seen entries that this store has lost: it must not be told that all is well.
            return Ok(Renewal::Lost);
        }
        let mut changes = Vec::new();
        if report.applied.0 < head {
            let rows = tx.rows(CHANGES_AFTER, values![report.applied.0, MOST_CHANGES]).await?;
            changes = changes_of(&rows, report.applied)?;
            if changes.last().is_none_or(|last| last.seq.0 != head) {
                return Ok(Renewal::Lost);
            }
        }
        self.expire_silent(&mut tx).await?;
        tx.notify(ACKS_CHANNEL, report.applied.0).await?;
        tx.commit().await?;
        self.fleet().ack_seen();
        self.head_seen(head);
        Ok(Renewal::Granted(Grant { changes, head: Seq(head), now }))
    }

    pub(super) async fn acknowledge_in_fleet(
        &self,
        lease: &Lease,
        applied: Seq,
        streams_cut: &[(Seq, u64)],
    ) -> Result<()> {
        let mut tx = self.pools().begin().await?;
        for (seq, streams) in streams_cut.iter().filter(|(_, streams)| *streams > 0) {
            tx.execute(
                "INSERT INTO change_cuts (seq, node, streams) VALUES ($1, $2, $3) ON CONFLICT (seq, node) DO NOTHING",
                values![seq.0, lease.node, *streams],
            )
            .await?;
        }
        tx.execute(
            "UPDATE nodes SET acked = $3 WHERE id = $1 AND epoch = $2 AND state = 'active' AND acked < $3",
            values![lease.node, lease.epoch, applied.0],
        )
        .await?;
        tx.notify(ACKS_CHANNEL, applied.0).await?;
        tx.commit().await?;
        self.fleet().ack_seen();
        Ok(())
    }

    pub(super) async fn release_in_fleet(&self, lease: &Lease) -> Result<()> {
        let mut tx = self.pools().begin().await?;
        tx.lock_head().await?;
        tx.execute(
            "UPDATE nodes SET state = 'released' WHERE id = $1 AND epoch = $2 AND state = 'active'",
            values![lease.node, lease.epoch],
        )
        .await?;
        tx.notify(ACKS_CHANNEL, 0).await?;
        tx.commit().await?;
        self.fleet().ack_seen();
        Ok(())
    }

    /// The nodes that a write has to wait for: those that hold a lease, read under the head's lock.
    pub(crate) async fn members(&self, tx: &mut Tx) -> Result<Vec<Member>> {
        if self.engine() == StoreEngine::Sqlite {
            return Ok(Vec::new());
        }
        let rows = tx.rows("SELECT id, name, epoch, grants FROM nodes WHERE state = 'active'", values![]).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns();
                Ok(Member {
                    node: columns.next()?,
                    name: columns.next()?,
                    epoch: columns.next()?,
                    grants: columns.next()?,
                })
            })
            .collect()
    }

    pub(super) async fn confirm_in_fleet(
        &self,
        seq: Seq,
        since: Reading,
        members: &[Member],
    ) -> Result<(Vec<NodeConfirmation>, u64)> {
        self.listen();
        let mut acks = self.fleet().acks();
        let watched = |member| (member, Watch::new(standing_of(member), since));
        let mut pending: Vec<(&Member, Watch)> = members.iter().map(watched).collect();
        let mut confirmed = Vec::with_capacity(members.len());
        loop {
            acks.mark_unchanged();
            let leases = self.leases().await?;
            let mut still = Vec::new();
            for (member, mut watch) in pending {
                match self.confirmed_by(seq, member.node, &mut watch, leases.get(&member.node)).await? {
                    Some(by) => confirmed.push(member.confirmed(clock::elapsed(since), by)),
                    None => still.push((member, watch)),
                }
            }
            pending = still;
            if pending.is_empty() {
                return Ok((confirmed, self.streams_cut(seq).await?));
            }
            // Woken by an acknowledgement in this process or a notification, or else after a while.
            let _ = tokio::time::timeout(CONFIRM_POLL, acks.changed()).await;
        }
    }

    async fn confirmed_by(
        &self,
        seq: Seq,
        node: Id<Node>,
        watch: &mut Watch,
        lease: Option<&LeaseRow>,
    ) -> Result<Option<ConfirmedBy>> {
        match conclude(seq, lease, watch, clock::now()) {
            Conclusion::Confirmed(by) => Ok(Some(by)),
            Conclusion::Waits => Ok(None),
            Conclusion::Silent(standing) => Ok(self.expire(node, standing).await?.then_some(ConfirmedBy::Expired)),
        }
    }

    /// Drops one silent lease, if it still stands where it stood.
    async fn expire(&self, node: Id<Node>, standing: Standing) -> Result<bool> {
        let mut tx = self.pools().begin().await?;
        tx.lock_head().await?;
        let expired = tx.execute(EXPIRE, values![node, standing.epoch, standing.grants]).await?;
        tx.commit().await?;
        Ok(expired == 1)
    }

    /// Drops all leases that have stood at the same grant for a whole lease since this process first saw it.
    async fn expire_silent(&self, tx: &mut Tx) -> Result<()> {
        let rows = tx.rows("SELECT id, epoch, grants, lease_ms FROM nodes WHERE state = 'active'", values![]).await?;
        let mut seen = HashMap::new();
        for row in &rows {
            let mut columns = row.columns();
            let node: Id<Node> = columns.next()?;
            let standing = Standing { epoch: columns.next()?, grants: columns.next()? };
            let length = lease_of(columns.next()?);
            seen.insert(node, ());
            let now = clock::now();
            if self.fleet().observe(node, standing, now).is_silent(length, now) {
                tx.execute(EXPIRE, values![node, standing.epoch, standing.grants]).await?;
            }
        }
        self.fleet().observe_only(|node| seen.contains_key(node));
        Ok(())
    }

    async fn leases(&self) -> Result<HashMap<Id<Node>, LeaseRow>> {
        let rows = self.pools().rows("SELECT id, epoch, grants, acked, state, lease_ms FROM nodes", values![]).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns();
                let node = columns.next()?;
                let standing = Standing { epoch: columns.next()?, grants: columns.next()? };
                let (acked, state) = (Seq(columns.next()?), state_of(&columns.next::<String>()?));
                Ok((node, LeaseRow { standing, acked, state, length: lease_of(columns.next()?) }))
            })
            .collect()
    }

    async fn streams_cut(&self, seq: Seq) -> Result<u64> {
        let sql = "SELECT CAST(COALESCE(SUM(streams), 0) AS BIGINT) FROM change_cuts WHERE seq = $1";
        let row = self.pools().row(sql, values![seq.0]).await?;
        row.map_or(Ok(0), |row| row.columns().next())
    }

    pub(super) async fn nodes_of_fleet(&self) -> Result<Vec<NodeView>> {
        let sql = format!(
            "{} WHERE n.state = 'active' OR n.renewed_at >= $1 OR (n.written_off_at IS NULL AND n.lanes > {LANES_ENDED})
             ORDER BY n.joined_at DESC, n.id DESC",
            node_sql()
        );
        let rows = self.pools().rows(AssertSqlSafe(sql), values![self.world().now().minus(GONE)]).await?;
        rows.iter().map(node_of).collect()
    }

    fn listen(&self) {
        if let Pools::Postgres(pool) = self.pools() {
            self.fleet().listen(pool);
        }
    }
}

/// Reads nodes `n`, for [`node_of`].
pub(super) fn node_sql() -> String {
    format!(
        "SELECT n.id, n.name, n.version, n.joined_at, n.renewed_at, n.acked,
                CAST(CASE WHEN n.state = 'active' THEN 1 ELSE 0 END AS BIGINT), n.journal_bytes, n.complete_until, n.epoch,
                n.lease_ms, n.written_off_at, n.attempts_begun, n.attempts_most, n.lanes, {COUNTED}, {LANES_ENDED}
         FROM nodes n"
    )
}
pub(super) fn node_of(row: &Row) -> Result<NodeView> {
    let mut columns = row.columns();
    let mut node = NodeView {
        id: columns.next()?,
        name: columns.next()?,
        version: columns.next()?,
        joined_at: columns.next()?,
        renewed_at: columns.next()?,
        applied: Seq(columns.next()?),
        active: columns.next::<i64>()? != 0,
        journal_bytes: columns.next()?,
        complete_until: columns.next()?,
        epoch: columns.next()?,
        lease: Some(lease_of(columns.next()?)),
        written_off_at: columns.next()?,
        uncounted: None,
    };
    let begun = Begun { attempts: columns.next()?, most: columns.next()?, lanes: columns.next()? };
    let (counted, ended): (u64, u64) = (columns.next()?, columns.next()?);
    if !node.active && ended < begun.lanes {
        // It has said nothing yet: it began nothing before it joined.
        let since = if node.complete_until == Timestamp::default() { node.joined_at } else { node.complete_until };
        let until = node.lease.map_or(node.renewed_at, |lease| node.renewed_at.plus(lease));
        node.uncounted = Some(Uncounted::new(begun, counted, since, until));
    }
    Ok(node)
}

const EXPIRE: &str =
    "UPDATE nodes SET state = 'expired' WHERE id = $1 AND epoch = $2 AND grants = $3 AND state = 'active'";

/// Where a member's lease stood at the commit.
const fn standing_of(member: &Member) -> Standing {
    Standing { epoch: member.epoch, grants: member.grants }
}
