//! Whoever revokes: a caller that repeats until it was told that it is done, and the wait of the node that it asks.

use std::{rc::Rc, time::Duration};

use tokio::{
    sync::oneshot,
    task::spawn_local,
    time::{sleep, timeout},
};
use tollgate_core::lease::{Conclusion, Watch, conclude};
use tollgate_store::StoreError;

use super::{KEYS, MACHINES, Mutant, REVOKE_TIME, Simulation, node::Process};

/// As the store's, only that it looks less often.
const CONFIRM_POLL: Duration = Duration::from_millis(250);

/// Revokes a key at some time, and again until a call has returned that it is in force.
pub(super) async fn caller(simulation: Rc<Simulation>, key: usize) {
    assert!(key < KEYS);
    let at = simulation.random.borrow_mut().time(2.0, REVOKE_TIME.as_secs_f64());
    sleep(at).await;
    loop {
        let (process, patience) = {
            let mut random = simulation.random.borrow_mut();
            let patience = random.pick(&[Duration::from_secs(2), Duration::from_secs(30)]);
            (simulation.process(random.index(MACHINES)), patience)
        };
        let (done, is_done) = oneshot::channel();
        let asked = Rc::clone(&process);
        process.spawn(async move {
            asked.confirming.set(asked.confirming.get() + 1);
            let revoked = asked.revoke(key).await;
            asked.confirming.set(asked.confirming.get() - 1);
            if revoked.is_ok() {
                asked.simulation.revoked(key);
                // The caller may have gone.
                let _ = done.send(());
            }
        });
        if let Ok(Ok(())) = timeout(patience, is_done).await {
            return;
        }
        let pause = simulation.random.borrow_mut().time(0.1, 2.0);
        sleep(pause).await;
    }
}

impl Process {
    /// Revokes, and returns when it is in force: `key_transition` and `change_confirm`. An error: `202`, or no answer.
    async fn revoke(self: &Rc<Self>, key: usize) -> Result<(), StoreError> {
        let simulation = &self.simulation;
        let mut early = None;
        if simulation.is(Mutant::NoLock) {
            early = Some(self.call(|authority| authority.members()).await?);
            let lost_time = simulation.random.borrow_mut().time(0.0, 2.0);
            sleep(lost_time).await;
        }
        let (seq, members) = self.call(move |authority| authority.key_revoke(key)).await?;
        if simulation.is(Mutant::Push) || simulation.is(Mutant::Ttl60) {
            return Ok(());
        }
        let since = self.reading();
        let watched = |(node, standing)| (node, standing, Watch::new(standing, since));
        let mut pending: Vec<_> = early.unwrap_or(members).into_iter().map(watched).collect();
        // As `Store::confirm_in_fleet`.
        while !pending.is_empty() {
            let leases = self.call(|authority| authority.leases()).await?;
            let mut still = Vec::new();
            for (node, standing, mut watch) in pending {
                let mut lease = leases.get(&node).copied();
                if let Some(lease) = &mut lease {
                    if simulation.is(Mutant::ExpireAck) {
                        lease.standing = standing;
                    }
                    if simulation.is(Mutant::OwnLease) {
                        lease.length = self.lease_length();
                    }
                }
                let is_confirmed = match conclude(seq, lease.as_ref(), &mut watch, self.reading()) {
                    Conclusion::Confirmed(_) => true,
                    Conclusion::Waits => false,
                    Conclusion::Silent(at) => self.call(move |authority| authority.expire(node, at)).await?,
                };
                if !is_confirmed {
                    still.push((node, standing, watch));
                }
            }
            pending = still;
            if !pending.is_empty() {
                let _ = timeout(CONFIRM_POLL, self.acknowledgements.notified()).await;
            }
        }
        Ok(())
    }

    /// Asks the authority for a transaction, over the network: the answer may be late, and where request or answer is lost
    /// it is an error, whether or not the transaction was made.
    pub(super) async fn call<T: 'static>(
        self: &Rc<Self>,
        transaction: impl FnMut(&mut super::Authority) -> T + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        spawn_local(super::machine::travel(Rc::clone(&self.simulation), self.machine, transaction, answer));
        answered.await.map_err(|_| StoreError::Failed("the connection is broken".into()))
    }
}
