//! Keeps the keyring current, and the node closed while it is not: loads, follows the change log, renews the lease.
//!
//! Invariants (PROTOCOLS: I2 to I5): changes are applied in the order of the log and without gaps, by this alone; a
//! change is acknowledged only when the keyring has it and every worker has ended what it had to end; a grant's changes
//! are applied before the lease is extended, and it is extended from before the grant was asked for; a lost lease, a
//! gap, a log that went back or another store close the gate, and only a keyring loaded anew opens it again.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};
use tollgate_core::{
    Change, No, Seq,
    catalog::{Upstream, UpstreamAuth},
};
use tollgate_store::{
    StoreError,
    changes::{Lease, NodeReport, Renewal},
    keyring::{Changed, SealedUpstream},
};

use crate::{
    catalogue::{CatalogueParts, UpstreamEntry},
    lease::LeaseInstant,
    node::Node,
    worker::Message,
};

/// Between two renewals, give or take [`RENEW_JITTER_PER_MILLE`].
const RENEW_INTERVAL: Duration = Duration::from_secs(1);
const RENEW_JITTER_PER_MILLE: u64 = 200;
/// After a renewal that failed.
const RENEW_AGAIN: Duration = Duration::from_millis(200);
/// Between two tries to join.
const JOIN_AGAIN: Duration = Duration::from_millis(500);
/// Entries of the log read at once.
const CHANGES_AT_ONCE: u32 = 1_000;
/// Keys read at once.
const KEYS_AT_ONCE: u32 = 10_000;
/// After a hint that nothing followed, so that hints without end cost little.
const HINT_PAUSE: Duration = Duration::from_millis(2);
/// For the store's answer to the last words of a node.
const RELEASE_TIME: Duration = Duration::from_secs(2);

/// Why the follower cannot go on as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the store gave no answer in time")]
    Timeout,
    #[error("the lease is lost")]
    Lost,
    #[error("the change log has a gap behind {0:?}")]
    Gap(Seq),
    #[error("the change log ends at {found:?} and had come to {seen:?}: a backup was restored, or a write was lost")]
    WentBack { found: Seq, seen: Seq },
}

impl FollowError {
    /// Whether the keyring may be used on: the store may just be slow.
    const fn is_passing(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Timeout)
    }
}

/// The follower's own state.
pub(crate) struct Follower {
    node: Arc<Node>,
    workers: Vec<mpsc::UnboundedSender<Message>>,
    parts: CatalogueParts,
    lease: Lease,
    applied: Seq,
}

impl Follower {
    pub fn new(node: Arc<Node>, workers: Vec<mpsc::UnboundedSender<Message>>, lease: Lease) -> Self {
        Self { node, workers, parts: CatalogueParts::new(), lease, applied: Seq(0) }
    }

    pub fn node(&self) -> Arc<Node> {
        Arc::clone(&self.node)
    }

    /// Loads the keyring and opens the gate, for the first time.
    pub async fn begin(&mut self) -> Result<(), FollowError> {
        self.load(None).await?;
        self.renew().await
    }

    /// Follows until `stop` turns true or its sender is gone; then gives the lease back.
    pub async fn run(mut self, stop: &mut watch::Receiver<bool>) {
        tokio::select! {
            () = self.follow_for_ever() => {}
            () = stopped(stop) => {}
        }
        self.node.gate.close();
        self.release().await;
    }

    /// Gives the lease back: no restriction waits for this node any more.
    async fn release(&self) {
        match timeout(RELEASE_TIME, self.node.store.lease_release(&self.lease)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the lease was not given back; it runs out by itself"),
            Err(_) => tracing::warn!("the lease was not given back in time; it runs out by itself"),
        }
    }

    async fn follow_for_ever(&mut self) {
        loop {
            let error = self.follow().await;
            // In doubt, nothing is admitted, and running streams hold back.
            self.node.gate.close();
            tracing::error!(%error, "this node serves nothing until it has joined anew");
            // What a worker was in the middle of is over then, so that nothing is admitted by the old lease.
            self.tell_workers(None).await;
            self.release().await;
            while let Err(error) = self.join_again().await {
                self.node.gate.close();
                tracing::warn!(%error, "this node could not join");
                self.release().await;
                sleep(JOIN_AGAIN).await;
            }
            tracing::info!(seq = self.applied.0, "this node has joined anew");
        }
    }

    /// Follows the log and renews, until the keyring cannot be trusted any more.
    async fn follow(&mut self) -> FollowError {
        let mut renew_at = Instant::now() + self.interval();
        loop {
            let rest = renew_at.saturating_duration_since(Instant::now());
            let result = if rest.is_zero() {
                let renewed = self.renew().await;
                renew_at = Instant::now() + if renewed.is_ok() { self.interval() } else { RENEW_AGAIN };
                renewed
            } else {
                self.node.store.change_wait(self.applied, rest).await;
                self.catch_up(renew_at).await
            };
            self.show();
            match result {
                Ok(()) => {}
                Err(error) if error.is_passing() => {
                    tracing::warn!(%error, "the store does not answer; this node serves as long as its lease runs");
                    sleep(RENEW_AGAIN.min(renew_at.saturating_duration_since(Instant::now()))).await;
                }
                Err(error) => return error,
            }
        }
    }

    async fn catch_up(&mut self, until: Instant) -> Result<(), FollowError> {
        let mut found = false;
        loop {
            let changes = self.in_time(self.node.store.changes_after(self.applied, CHANGES_AT_ONCE)).await?;
            if changes.is_empty() {
                break;
            }
            found = true;
            self.apply(&changes).await?;
        }
        if !found && Instant::now() < until {
            sleep(HINT_PAUSE).await;
        }
        Ok(())
    }

    async fn join_again(&mut self) -> Result<(), FollowError> {
        let options = &self.node.options;
        let lease = self.in_time(self.node.store.node_join(&options.node_name, &options.version)).await?;
        let is_same = lease.cluster == self.lease.cluster && lease.generation == self.lease.generation;
        let seen = is_same.then_some(self.applied);
        self.lease = lease;
        self.load(seen).await?;
        self.renew().await
    }

    /// Loads everything anew; nothing of what was known stays. `seen`: what the log had come to before.
    async fn load(&mut self, seen: Option<Seq>) -> Result<(), FollowError> {
        let began = Instant::now();
        let (node, store) = (Arc::clone(&self.node), self.node.store.clone());
        let base = store.keyring_base().await?;
        if let Some(seen) = seen
            && base.seq < seen
        {
            return Err(FollowError::WentBack { found: base.seq, seen });
        }
        node.keyring.clear();
        base.accounts.into_iter().for_each(|account| node.keyring.account_put(account));
        self.parts.models = base.models.into_iter().map(|model| (model.no, model)).collect();
        let named: HashSet<No<Upstream>> = base.upstreams.iter().map(|sealed| sealed.upstream.no).collect();
        self.parts.upstreams.retain(|no, _| named.contains(no));
        base.upstreams.into_iter().for_each(|sealed| self.upstream_put(sealed));
        node.keyring.catalogue_put(self.parts.build(&node.metrics));
        let mut after = No::new(0);
        loop {
            let keys = store.keyring_keys(after, KEYS_AT_ONCE).await?;
            let Some(last) = keys.last() else { break };
            after = last.no;
            keys.into_iter().for_each(|key| node.keyring.key_put(key));
        }
        self.tell_workers(None).await;
        self.applied = base.seq;
        self.show();
        let (keys, seq) = (node.keyring.len(), base.seq.0);
        tracing::info!(keys, seq, duration_ms = began.elapsed().as_millis(), "the keyring is loaded");
        Ok(())
    }

    /// Renews the lease: applies what the grant brings, then counts from before it was asked for.
    async fn renew(&mut self) -> Result<(), FollowError> {
        let asked = LeaseInstant::now();
        let report = NodeReport {
            applied: self.applied,
            journal_bytes: self.node.journal.bytes(),
            complete_until: self.node.journal.complete_until(),
        };
        let grant = match self.in_time(self.node.store.lease_renew(&self.lease, &report)).await? {
            Renewal::Granted(grant) => grant,
            Renewal::Lost => return Err(FollowError::Lost),
        };
        self.apply(&grant.changes).await?;
        if grant.head < self.applied {
            return Err(FollowError::WentBack { found: grant.head, seen: self.applied });
        }
        let serves_for = self.lease.renewable.then(|| self.node.options.serves_for());
        // Before it: where `/readyz` says 200, the metric says 1.
        self.node.metrics.lease.set(1);
        self.node.gate.extend(asked, serves_for, grant.now);
        Ok(())
    }

    /// Applies changes: keyring, then workers, then the acknowledgement.
    async fn apply(&mut self, changes: &[Change]) -> Result<(), FollowError> {
        let new: Vec<Change> = changes.iter().copied().filter(|change| change.seq > self.applied).collect();
        let Some(last) = new.last().copied() else { return Ok(()) };
        let mut expected = self.applied.0;
        for change in &new {
            expected += 1;
            if change.seq.0 != expected {
                return Err(FollowError::Gap(Seq(expected - 1)));
            }
        }
        let changed = self.in_time(self.node.store.keyring_changed(&new)).await?;
        self.keyring_put(changed);
        let new: Arc<[Change]> = new.into();
        let counts = self.tell_workers(Some(Arc::clone(&new))).await;
        self.applied = last.seq;
        let cut: Vec<(Seq, u64)> =
            new.iter().zip(counts).filter(|(_, count)| *count > 0).map(|(change, count)| (change.seq, count)).collect();
        let said = self.in_time(self.node.store.change_acknowledge(&self.lease, self.applied, &cut)).await;
        if let Err(error) = said {
            tracing::warn!(%error, "a change is in force here and was not acknowledged; the next renewal says it");
        }
        Ok(())
    }

    fn keyring_put(&mut self, changed: Vec<Changed>) {
        let node = Arc::clone(&self.node);
        let mut catalogue_changed = false;
        for changed in changed {
            match changed {
                Changed::Key(_, Some(key)) => node.keyring.key_put(key),
                Changed::Key(no, None) => node.keyring.key_remove(no),
                Changed::Account(_, Some(account)) => node.keyring.account_put(account),
                Changed::Account(no, None) => node.keyring.account_remove(no),
                Changed::Model(no, model) => {
                    catalogue_changed = true;
                    match model {
                        Some(model) => drop(self.parts.models.insert(no, model)),
                        None => drop(self.parts.models.remove(&no)),
                    }
                }
                Changed::Upstream(no, upstream) => {
                    catalogue_changed = true;
                    match upstream {
                        Some(sealed) => self.upstream_put(sealed),
                        None => self.upstream_forget(no),
                    }
                }
            }
        }
        if catalogue_changed {
            node.keyring.catalogue_put(self.parts.build(&node.metrics));
        }
    }

    /// Opens an upstream's credential. One that does not open, or does not fit into a request, is left out: requests
    /// find no healthy upstream, rather than one without its credential.
    fn upstream_put(&mut self, sealed: SealedUpstream) {
        let SealedUpstream { upstream, credential } = sealed;
        let (no, name) = (upstream.no, upstream.name.clone());
        if self.parts.upstreams.get(&no).is_some_and(|entry| entry.upstream == upstream) {
            return;
        }
        let opened = credential.map(|sealed| self.node.master_key.open(&sealed, &upstream.id.to_string())).transpose();
        let entry = match opened {
            Ok(credential) => {
                let metrics = self.node.metrics.upstream(&name);
                UpstreamEntry::new(UpstreamAuth { upstream, credential }, metrics).map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match entry {
            Ok(entry) => drop(self.parts.upstreams.insert(no, Arc::new(entry))),
            Err(error) => {
                tracing::error!(upstream = %name, error, "an upstream cannot be used");
                self.upstream_forget(no);
            }
        }
    }
    fn upstream_forget(&mut self, no: No<Upstream>) {
        if let Some(entry) = self.parts.upstreams.remove(&no) {
            self.node.metrics.upstream_forget(&entry.upstream.name);
        }
    }

    /// Has every worker look at its running requests. Returns how many were ended by each change. A worker that is gone
    /// has none.
    async fn tell_workers(&self, changes: Option<Arc<[Change]>>) -> Vec<u64> {
        let answers: Vec<oneshot::Receiver<Vec<u64>>> = self
            .workers
            .iter()
            .filter_map(|worker| {
                let (done, answer) = oneshot::channel();
                worker.send(Message::Changed(changes.clone(), done)).ok().map(|()| answer)
            })
            .collect();
        let mut sums = vec![0; changes.as_ref().map_or(1, |changes| changes.len())];
        for answer in answers {
            if let Ok(counts) = answer.await {
                sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            }
        }
        sums
    }

    /// Late answers are worth nothing: half of what a lease serves is left for the next try.
    async fn in_time<T>(&self, asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, FollowError> {
        Ok(timeout(self.node.options.serves_for() / 2, asked).await.map_err(|_| FollowError::Timeout)??)
    }

    /// About a second, not in step with other nodes.
    fn interval(&self) -> Duration {
        let mut random = [0; 2];
        self.node.world.fill(&mut random);
        let spread = u64::from(u16::from_be_bytes(random)) * 2 * RENEW_JITTER_PER_MILLE / u64::from(u16::MAX);
        let per_mille = 1_000 - RENEW_JITTER_PER_MILLE + spread;
        let interval = RENEW_INTERVAL.min(self.node.options.lease / 10);
        Duration::from_micros(u64::try_from(interval.as_micros()).unwrap_or(u64::MAX) * per_mille / 1_000)
    }

    fn show(&self) {
        let metrics = &self.node.metrics;
        metrics.seq.set(self.applied.0);
        metrics.lease.set(i64::from(self.node.gate.authority_now().is_some()));
        metrics.keys.set(i64::try_from(self.node.keyring.len()).unwrap_or(i64::MAX));
        for entry in self.node.keyring.catalogue().upstreams() {
            entry.metrics.up.set(i64::from(entry.health.is_healthy() && entry.upstream.enabled));
        }
    }
}

/// Waits until `stop` turns true or its sender is gone.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error is the sender's end, which is a stop too.
    drop(stop.wait_for(|stop| *stop).await);
}
