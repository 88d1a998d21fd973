//! What the follower does to its node and asks of the store, on real clocks.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::try_join_all;
use tokio::sync::{mpsc, oneshot};
use tollgate_core::{
    Change, Key, No, Seq, Timestamp,
    catalog::{Upstream, UpstreamAuth},
};
use tollgate_store::{
    StoreError,
    changes::{Begun, Lease, NodeReport, Renewal},
    keyring::{Changed, KeyringBase, SealedUpstream},
};

use super::Effects;
use crate::{
    catalogue::{CatalogueParts, UpstreamEntry},
    lease::LeaseInstant,
    node::Node,
    worker::Message,
};

/// Between two renewals, give or take [`RENEW_JITTER_PER_MILLE`].
const RENEW_INTERVAL: Duration = Duration::from_secs(1);
const RENEW_JITTER_PER_MILLE: u64 = 200;
/// Entries of the log read at once.
const CHANGES_AT_ONCE: u32 = 1_000;
/// Keys read at once.
const KEYS_AT_ONCE: u32 = 2_000;
/// How many parts of the keys are read side by side.
const PARTS: i64 = 4;

/// A node of this process, its workers, and the store.
pub(crate) struct NodeEffects {
    node: Arc<Node>,
    workers: Vec<mpsc::UnboundedSender<Message>>,
    parts: CatalogueParts,
    /// The gate was opened, and nobody but the clock has closed it since;
    opened: AtomicBool,
    /// and that was said.
    ran_out: AtomicBool,
}

impl NodeEffects {
    pub fn new(node: Arc<Node>, workers: Vec<mpsc::UnboundedSender<Message>>) -> Self {
        let (opened, ran_out) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { node, workers, parts: CatalogueParts::new(), opened, ran_out }
    }
    /// Says when the lease has run out, and when there is one again: each once.
    fn tell_of_lease(&self, serves: bool) {
        if serves && self.ran_out.swap(false, Ordering::Relaxed) {
            tracing::info!("the store answers, this node serves again");
        } else if !serves && self.opened.load(Ordering::Relaxed) && !self.ran_out.swap(true, Ordering::Relaxed) {
            tracing::error!(
                "the lease has run out: what keys may do cannot be known here, requests are refused (keys_not_current) until the store answers"
            );
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
}

impl Effects for NodeEffects {
    fn instant(&self) -> LeaseInstant {
        LeaseInstant::now()
    }
    fn interval(&self) -> Duration {
        let mut random = [0; 2];
        self.node.world.fill(&mut random);
        interval(self.node.options.lease, u16::from_be_bytes(random))
    }
    fn serves_for(&self) -> Duration {
        self.node.options.serves_for()
    }
    fn open(&self, asked: LeaseInstant, serves_for: Option<Duration>, authority_now: Timestamp) {
        // Before it: where `/readyz` says 200, the metric says 1.
        self.node.metrics.lease.set(1);
        // It may have run out since it was last looked at.
        self.tell_of_lease(self.node.gate.authority_now().is_some());
        self.node.gate.extend(asked, serves_for, authority_now);
        self.opened.store(true, Ordering::Relaxed);
        self.tell_of_lease(self.node.gate.authority_now().is_some());
    }
    fn close(&self) {
        self.opened.store(false, Ordering::Relaxed);
        self.node.gate.close();
    }
    fn show(&self, applied: Seq) {
        let metrics = &self.node.metrics;
        metrics.seq.set(applied.0);
        let serves = self.node.gate.authority_now().is_some();
        metrics.lease.set(i64::from(serves));
        self.tell_of_lease(serves);
        metrics.keys.set(i64::try_from(self.node.keyring.len()).unwrap_or(i64::MAX));
        for entry in self.node.keyring.catalogue().upstreams() {
            entry.metrics.up.set(i64::from(entry.health.is_healthy() && entry.upstream.enabled));
        }
    }

    async fn join(&self) -> Result<Lease, StoreError> {
        self.node.store.node_join(&self.node.options.node_name, &self.node.options.version).await
    }
    async fn renew(&self, lease: &Lease, applied: Seq) -> Result<Renewal, StoreError> {
        let Node { journal, ahead, store, .. } = &*self.node;
        let asked = ahead.ask();
        let report = NodeReport {
            applied,
            journal_bytes: journal.bytes(),
            complete_until: journal.complete_until(),
            begun: Begun { attempts: asked.begun(), most: asked.most(), lanes: asked.lanes() },
        };
        let renewal = store.lease_renew(lease, &report).await?;
        if let Renewal::Granted(_) = renewal {
            ahead.told(asked);
        }
        Ok(renewal)
    }
    async fn short(&self) {
        self.node.ahead.short().await;
    }
    async fn acknowledge(&self, lease: &Lease, applied: Seq, cut: &[(Seq, u64)]) -> Result<(), StoreError> {
        self.node.store.change_acknowledge(lease, applied, cut).await
    }
    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.node.store.lease_release(lease).await
    }
    async fn change_wait(&self, seen: Seq, at_most: Duration) {
        self.node.store.change_wait(seen, at_most).await;
    }
    async fn changes_after(&self, after: Seq) -> Result<Vec<Change>, StoreError> {
        self.node.store.changes_after(after, CHANGES_AT_ONCE).await
    }

    async fn base(&self) -> Result<KeyringBase, StoreError> {
        self.node.store.keyring_base().await
    }
    async fn load(&mut self, base: KeyringBase) -> Result<usize, StoreError> {
        let node = Arc::clone(&self.node);
        node.keyring.clear();
        base.accounts.into_iter().for_each(|account| node.keyring.account_put(account));
        self.parts.models = base.models.into_iter().map(|model| (model.no, model)).collect();
        let named: HashSet<No<Upstream>> = base.upstreams.iter().map(|sealed| sealed.upstream.no).collect();
        self.parts.upstreams.retain(|no, _| named.contains(no));
        base.upstreams.into_iter().for_each(|sealed| self.upstream_put(sealed));
        node.keyring.catalogue_put(self.parts.build(&node.metrics));
        // By number, since it hardly ever leaves gaps.
        let last = base.last_key.get();
        let border = |part: i64| No::new(last / PARTS * part + last % PARTS * part / PARTS);
        let parts = (0..PARTS).map(|part| keys_load(&node, border(part), border(part + 1)));
        try_join_all(parts).await?;
        Ok(node.keyring.len())
    }
    async fn changed(&self, changes: &[Change]) -> Result<Vec<Changed>, StoreError> {
        self.node.store.keyring_changed(changes).await
    }
    fn put(&mut self, changed: Vec<Changed>) {
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
    async fn tell_workers(&self, changes: Option<Arc<[Change]>>) -> Vec<u64> {
        tell_workers(&self.workers, changes).await
    }
}

/// Reads the keys behind `after` up to `through` into the keyring.
async fn keys_load(node: &Node, mut after: No<Key>, through: No<Key>) -> Result<(), StoreError> {
    while let Some(last) =
        node.store.keyring_keys(after, through, KEYS_AT_ONCE, |key| node.keyring.key_put(key)).await?
    {
        after = last;
    }
    Ok(())
}

/// About a second, not in step with other nodes: `random` is any number.
pub(super) fn interval(lease: Duration, random: u16) -> Duration {
    let spread = u64::from(random) * 2 * RENEW_JITTER_PER_MILLE / u64::from(u16::MAX);
    let per_mille = 1_000 - RENEW_JITTER_PER_MILLE + spread;
    let interval = RENEW_INTERVAL.min(lease / 10);
    Duration::from_micros(u64::try_from(interval.as_micros()).unwrap_or(u64::MAX) * per_mille / 1_000)
}

/// Has every worker look at its running requests. Returns how many were ended by each change. A worker that is gone has
/// none.
pub(super) async fn tell_workers(
    workers: &[mpsc::UnboundedSender<Message>],
    changes: Option<Arc<[Change]>>,
) -> Vec<u64> {
    let answers: Vec<oneshot::Receiver<Vec<u64>>> = workers
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
