//! What all threads of a gateway share.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::runtime::Handle;
use tollgate_core::{World, seal::MasterKey, secret::Pepper};
use tollgate_store::Store;
use tollgate_wire::ErrorCode;

use crate::{
    GatewayOptions, ReadyState,
    callers::Callers,
    exposure::Exposures,
    journal::{Ahead, Health, Status},
    keyring::Keyring,
    lease::LeaseGate,
    management::Bridge,
    metrics::Metrics,
    pass::Passes,
    strangers::Strangers,
    upstream::tls::Tls,
};

/// Shared by all threads; nothing in it is locked on the path of a request but the keyring's shards, for reading.
pub(crate) struct Node {
    pub options: GatewayOptions,
    pub keyring: Keyring,
    pub gate: LeaseGate,
    pub pepper: Pepper,
    /// For requests that the console makes for people.
    pub passes: Passes,
    pub master_key: MasterKey,
    pub world: World,
    pub store: Store,
    /// Where management runs, and with it what asks the store for a client.
    pub runtime: Handle,
    pub bridge: Option<Bridge>,
    pub metrics: Metrics,
    pub tls: Tls,
    pub journal: Arc<Status>,
    /// What the store is told of the journal with each renewal.
    pub ahead: Arc<Ahead>,
    pub draining: AtomicBool,
    pub connections: AtomicUsize,
    pub strangers: Arc<Strangers>,
    /// From where keys are used, until it is written down.
    pub callers: Callers,
    /// Requests of web pages that their keys do not allow, until they are written down.
    pub exposures: Exposures,
    /// Answers that are read on though their clients are gone.
    pub drains: AtomicUsize,
    /// Bytes of bodies held in memory.
    pub buffered: AtomicUsize,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Node")
    }
}

impl Node {
    /// Whether a request would be served now.
    pub fn ready(&self) -> ReadyState {
        if self.draining.load(Ordering::Relaxed) {
            return ReadyState::Draining;
        }
        match self.journal.health() {
            Health::Broken => ReadyState::JournalBroken,
            Health::Full => ReadyState::JournalFull,
            Health::Good | Health::NearlyFull if self.gate.authority_now().is_none() => ReadyState::KeysNotCurrent,
            Health::Good | Health::NearlyFull => ReadyState::Ready,
        }
    }
}

/// Bytes held in memory, counted against what all requests may hold together.
pub(crate) struct Budget {
    node: Arc<Node>,
    bytes: usize,
}

impl Budget {
    pub fn new(node: &Arc<Node>) -> Self {
        Self { node: Arc::clone(node), bytes: 0 }
    }
    /// Takes `bytes` more.
    pub fn take(&mut self, bytes: usize) -> Result<(), ErrorCode> {
        self.bytes += bytes;
        let before = self.node.buffered.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.node.options.limits.buffered_bytes {
            Err(ErrorCode::Unavailable)
        } else {
            Ok(())
        }
    }
}
impl Drop for Budget {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.node.buffered.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}
