//! Keeps the keyring current, and the node closed while it is not: loads, follows the change log, renews the lease.
//!
//! Invariants (PROTOCOLS: I2 to I5): changes are applied in the order of the log and without gaps, by this alone; a
//! change is acknowledged only when the keyring has it and every worker has ended what it had to end; a grant's changes
//! are applied before the lease is extended, and it is extended from before the grant was asked for; a lost lease, a
//! gap, a log that went back or another store close the gate, and only a keyring loaded anew opens it again.

mod effects;
#[cfg(test)]
mod simulation;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tollgate_core::{Change, Seq, Timestamp};
use tollgate_store::{
    StoreError,
    changes::{Lease, Renewal},
    keyring::{Changed, KeyringBase},
};

pub(crate) use self::effects::NodeEffects;
use crate::lease::LeaseInstant;

/// After a renewal that failed.
const RENEW_AGAIN: Duration = Duration::from_millis(200);
/// Between two tries to join.
const JOIN_AGAIN: Duration = Duration::from_millis(500);
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

/// Everything that the follower does to its node and asks of the store. [`NodeEffects`] does it; in the simulation network,
/// clocks and store are played, and what is decided here is the same.
pub(crate) trait Effects {
    /// Now, on the clocks that a lease is measured with.
    fn instant(&self) -> LeaseInstant;
    /// Between two renewals.
    fn interval(&self) -> Duration;
    /// How long the node serves after it asked.
    fn serves_for(&self) -> Duration;
    /// Lets the node serve.
    fn open(&self, asked: LeaseInstant, serves_for: Option<Duration>, authority_now: Timestamp);
    /// Ends the right to serve until the next grant.
    fn close(&self);
    /// Puts what was decided where operators see it.
    fn show(&self, applied: Seq);

    /// Takes a place among the nodes.
    async fn join(&self) -> Result<Lease, StoreError>;
    /// Renews the lease, and tells the store what this node has begun and may begin.
    async fn renew(&self, lease: &Lease, applied: Seq) -> Result<Renewal, StoreError>;
    /// Waits until so much of that is begun that the store should be told anew before the time.
    async fn short(&self);
    async fn acknowledge(&self, lease: &Lease, applied: Seq, cut: &[(Seq, u64)]) -> Result<(), StoreError>;
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;
    /// Waits for a hint that the log has moved beyond `seen`.
    async fn change_wait(&self, seen: Seq, at_most: Duration);
    async fn changes_after(&self, after: Seq) -> Result<Vec<Change>, StoreError>;

    /// Everything but the keys, as of one instant.
    async fn base(&self) -> Result<KeyringBase, StoreError>;
    /// Forgets everything that was known and loads this and the keys. Returns how many those are.
    async fn load(&mut self, base: KeyringBase) -> Result<usize, StoreError>;
    /// The present state of what has changed.
    async fn changed(&self, changes: &[Change]) -> Result<Vec<Changed>, StoreError>;
    /// Puts it into the keyring.
    fn put(&mut self, changed: Vec<Changed>);
    /// Has every worker look at its running requests. Returns how many were ended by each change.
    async fn tell_workers(&self, changes: Option<Arc<[Change]>>) -> Vec<u64>;
}

/// The follower's own state.
pub(crate) struct Follower<E> {
    effects: E,
    lease: Lease,
    applied: Seq,
}

impl<E: Effects> Follower<E> {
    pub const fn new(effects: E, lease: Lease) -> Self {
        Self { effects, lease, applied: Seq(0) }
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
        self.effects.close();
        self.release().await;
    }

    /// Gives the lease back: no restriction waits for this node any more.
    async fn release(&self) {
        match timeout(RELEASE_TIME, self.effects.release(&self.lease)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the lease was not given back; it runs out by itself"),
            Err(_) => tracing::warn!("the lease was not given back in time; it runs out by itself"),
        }
    }

    async fn follow_for_ever(&mut self) {
        loop {
            let error = self.follow().await;
            // In doubt, nothing is admitted, and running streams hold back.
            self.effects.close();
            tracing::error!(%error, "this node serves nothing until it has joined anew");
            // What a worker was in the middle of is over then, so that nothing is admitted by the old lease.
            self.effects.tell_workers(None).await;
            self.release().await;
            while let Err(error) = self.join_again().await {
                self.effects.close();
                tracing::warn!(%error, "this node could not join");
                self.release().await;
                sleep(JOIN_AGAIN).await;
            }
            tracing::info!(seq = self.applied.0, "this node has joined anew");
        }
    }

    /// Follows the log and renews, until the keyring cannot be trusted any more.
    async fn follow(&mut self) -> FollowError {
        let mut renew_at = Instant::now() + self.effects.interval();
        loop {
            let rest = renew_at.saturating_duration_since(Instant::now());
            let result = if rest.is_zero() {
                let renewed = self.renew().await;
                renew_at = Instant::now() + if renewed.is_ok() { self.effects.interval() } else { RENEW_AGAIN };
                renewed
            } else {
                tokio::select! {
                    () = self.effects.change_wait(self.applied, rest) => self.catch_up(renew_at).await,
                    () = self.effects.short() => {
                        renew_at = Instant::now();
                        Ok(())
                    }
                }
            };
            self.effects.show(self.applied);
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
            let changes = self.in_time(self.effects.changes_after(self.applied)).await?;
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
        let lease = self.in_time(self.effects.join()).await?;
        let is_same = lease.cluster == self.lease.cluster && lease.generation == self.lease.generation;
        let seen = is_same.then_some(self.applied);
        self.lease = lease;
        self.load(seen).await?;
        self.renew().await
    }

    /// Loads everything anew; nothing of what was known stays. `seen`: what the log had come to before.
    async fn load(&mut self, seen: Option<Seq>) -> Result<(), FollowError> {
        let began = Instant::now();
        let base = self.effects.base().await?;
        if let Some(seen) = seen
            && base.seq < seen
        {
            return Err(FollowError::WentBack { found: base.seq, seen });
        }
        let seq = base.seq;
        let keys = self.effects.load(base).await?;
        self.effects.tell_workers(None).await;
        self.applied = seq;
        self.effects.show(seq);
        // A number of 128 bits would be a string in the log.
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(keys, seq = seq.0, duration_ms, "the keyring is loaded");
        Ok(())
    }

    /// Renews the lease: applies what the grant brings, then counts from before it was asked for.
    async fn renew(&mut self) -> Result<(), FollowError> {
        let asked = self.effects.instant();
        let grant = match self.in_time(self.effects.renew(&self.lease, self.applied)).await? {
            Renewal::Granted(grant) => grant,
            Renewal::Lost => return Err(FollowError::Lost),
        };
        self.apply(&grant.changes).await?;
        if grant.head < self.applied {
            return Err(FollowError::WentBack { found: grant.head, seen: self.applied });
        }
        let serves_for = self.lease.renewable.then(|| self.effects.serves_for());
        self.effects.open(asked, serves_for, grant.now);
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
        let changed = self.in_time(self.effects.changed(&new)).await?;
        self.effects.put(changed);
        let new: Arc<[Change]> = new.into();
        let counts = self.effects.tell_workers(Some(Arc::clone(&new))).await;
        self.applied = last.seq;
        let cut: Vec<(Seq, u64)> =
            new.iter().zip(counts).filter(|(_, count)| *count > 0).map(|(change, count)| (change.seq, count)).collect();
        let said = self.in_time(self.effects.acknowledge(&self.lease, self.applied, &cut)).await;
        if let Err(error) = said {
            tracing::warn!(%error, "a change is in force here and was not acknowledged; the next renewal says it");
        }
        Ok(())
    }

    /// Late answers are worth nothing: half of what a lease serves is left for the next try.
    async fn in_time<T>(&self, asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, FollowError> {
        Ok(timeout(self.effects.serves_for() / 2, asked).await.map_err(|_| FollowError::Timeout)??)
    }
}

/// Waits until `stop` turns true or its sender is gone.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error is the sender's end, which is a stop too.
    drop(stop.wait_for(|stop| *stop).await);
}
