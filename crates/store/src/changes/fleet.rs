//! What one process knows of the change log and the nodes beside the store: whom it wakes, and what it has observed.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::postgres::{PgListener, PgPool};
use tokio::{sync::watch, task::JoinHandle};
use tollgate_core::{
    Id, World,
    change::Node,
    lease::{Reading, Standing, Watch},
};

use super::{ACKS_CHANNEL, CHANGES_CHANNEL, local::LocalNode};

/// How long the listener waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(1);

/// This process's part in the fleet.
pub(crate) struct Fleet {
    /// This process as a node.
    pub(super) node: Id<Node>,
    head: watch::Sender<i64>,
    /// Counts news of acknowledgements and releases.
    acks: watch::Sender<u64>,
    local: Mutex<Option<LocalNode>>,
    /// Since when each node's lease has stood at the same grant, as this process has seen it.
    observed: Mutex<HashMap<Id<Node>, Watch>>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept under these locks is whole after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fleet {
    pub(crate) fn new(world: &World) -> Self {
        Self {
            node: Id::new(world),
            head: watch::Sender::new(0),
            acks: watch::Sender::new(0),
            local: Mutex::new(None),
            observed: Mutex::new(HashMap::new()),
            listener: Mutex::new(None),
        }
    }
    pub(super) fn head(&self) -> watch::Receiver<i64> {
        self.head.subscribe()
    }
    pub(super) fn acks(&self) -> watch::Receiver<u64> {
        self.acks.subscribe()
    }
    pub(super) fn head_seen(&self, seq: i64) {
        raise(&self.head, seq);
    }
    pub(super) fn ack_seen(&self) {
        self.acks.send_modify(|count| *count = count.wrapping_add(1));
    }
    /// Reads the node of this process, where it has joined on SQLite.
    pub(super) fn local<T>(&self, read: impl FnOnce(&LocalNode) -> T) -> Option<T> {
        locked(&self.local).as_ref().map(read)
    }
    /// Changes the node of this process.
    pub(super) fn with_local<T>(&self, change: impl FnOnce(&mut Option<LocalNode>) -> T) -> T {
        change(&mut locked(&self.local))
    }
    /// Notes where a lease stands, and returns since when it has stood there.
    pub(super) fn observe(&self, node: Id<Node>, standing: Standing, now: Reading) -> Watch {
        let mut observed = locked(&self.observed);
        let watch = observed.entry(node).or_insert(Watch::new(standing, now));
        watch.see(standing, now);
        *watch
    }
    /// Forgets what was observed of nodes that `keep` says nothing of.
    pub(super) fn observe_only(&self, keep: impl Fn(&Id<Node>) -> bool) {
        locked(&self.observed).retain(|node, _| keep(node));
    }
    /// Listens for what other processes tell, on a connection of its own, for as long as this store is open.
    pub(super) fn listen(&self, pool: &PgPool) {
        let mut listener = locked(&self.listener);
        if listener.as_ref().is_none_or(JoinHandle::is_finished) {
            *listener = Some(tokio::spawn(listen(pool.clone(), self.head.clone(), self.acks.clone())));
        }
    }
    /// Stops listening and gives the file lock back.
    pub(crate) fn close(&self) {
        if let Some(listener) = locked(&self.listener).take() {
            listener.abort();
        }
        *locked(&self.local) = None;
        self.ack_seen();
    }
}
impl Drop for Fleet {
    fn drop(&mut self) {
        self.close();
    }
}

fn raise(head: &watch::Sender<i64>, seq: i64) {
    head.send_if_modified(|head| {
        let higher = seq > *head;
        *head = seq.max(*head);
        higher
    });
}

async fn listen(pool: PgPool, head: watch::Sender<i64>, acks: watch::Sender<u64>) {
    while !pool.is_closed() {
        if let Err(error) = listen_once(&pool, &head, &acks).await {
            // Polling goes on meanwhile.
            tracing::debug!(error = %error, "the listener's connection is lost");
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn listen_once(pool: &PgPool, head: &watch::Sender<i64>, acks: &watch::Sender<u64>) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen_all([CHANGES_CHANNEL, ACKS_CHANNEL]).await?;
    while let Some(notification) = listener.try_recv().await? {
        match (notification.channel(), notification.payload().parse()) {
            (CHANGES_CHANNEL, Ok(seq)) => raise(head, seq),
            (ACKS_CHANNEL, _) => acks.send_modify(|count| *count = count.wrapping_add(1)),
            _ => {}
        }
    }
    Ok(())
}
