//! What a gateway is started with, and every limit that it keeps.
//!
//! Invariant: whatever a client or upstream can make grow or last has a limit here, and the defaults are safe.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use tollgate_core::name::Slug;

use crate::{
    journal::{self, SyncMode},
    proxies::TrustedProxies,
};

/// What a gateway is started with.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Proxies that say from where they were called; a request of anybody else comes from where its connection does.
    pub trusted_proxies: TrustedProxies,
    /// Threads that serve, each with its own listener and upstream connections; 0: one per core.
    pub workers: usize,
    /// What operators call this process.
    pub node_name: Slug,
    /// The program's version, shown to operators and upstreams.
    pub version: String,
    /// How the journal is kept.
    pub journal: JournalOptions,
    /// The longest wait of a revoke for an unreachable node. This node serves at most
    /// [`GatewayOptions::SERVES_PER_MILLE`] of it without renewal.
    pub lease: Duration,
    /// Bounds on clients and upstreams.
    pub limits: Limits,
}

impl GatewayOptions {
    /// The part of the lease, in thousandths, that a node serves without renewal.
    pub const SERVES_PER_MILLE: u32 = 800;

    /// The defaults for a listener, a journal directory and a node's name.
    #[must_use]
    pub fn new(listen: SocketAddr, journal_directory: PathBuf, node_name: Slug) -> Self {
        Self {
            listen,
            trusted_proxies: TrustedProxies::default(),
            workers: 0,
            node_name,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            journal: JournalOptions::new(journal_directory),
            lease: Duration::from_secs(10),
            limits: Limits::default(),
        }
    }
    /// How long this node serves after it asked for a lease.
    #[must_use]
    pub fn serves_for(&self) -> Duration {
        self.lease * Self::SERVES_PER_MILLE / 1_000
    }
}

/// How the journal is kept.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// Where; made where missing, for this process alone.
    pub directory: PathBuf,
    /// Its largest size in bytes; near it requests are refused.
    pub max_bytes: u64,
    /// The size of one of its files in bytes.
    pub segment_bytes: u64,
    /// When a record counts as safe.
    pub sync: SyncMode,
}

impl JournalOptions {
    /// The defaults.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            max_bytes: journal::MAX_BYTES_DEFAULT,
            segment_bytes: journal::SEGMENT_BYTES_DEFAULT,
            sync: SyncMode::Os,
        }
    }
}

/// Bounds on clients and upstreams. Defaults are those of `tollgate.default.toml`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the connection to its first byte.
    pub first_byte_timeout: Duration,
    /// From the first byte of a request's head to its last.
    pub header_timeout: Duration,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Header fields of a request.
    pub header_fields: usize,
    /// Bytes of a request's target.
    pub uri_bytes: usize,
    /// Between two requests of a connection.
    pub keep_alive: Duration,
    /// Bytes of a request's body, as read.
    pub body_bytes: usize,
    /// From the head of a request to the first byte of its body.
    pub body_first_byte_timeout: Duration,
    /// A window in which at least [`Limits::body_least_bytes`] of a body have to come.
    pub body_window: Duration,
    /// The least bytes of a body in a window.
    pub body_least_bytes: usize,
    /// Bytes of bodies, of requests and of answers, that all requests of this process hold in memory together.
    pub buffered_bytes: usize,
    /// Connections of clients.
    pub connections: usize,
    /// Of those, from one address (IPv6: from one site of 64 bits) and without a key shown on them. Trusted proxies may
    /// have all.
    pub strangers_per_address: usize,
    /// How long a client may take nothing of what is ready for it.
    pub write_stall: Duration,
    /// To reach an upstream, TLS included.
    pub connect_timeout: Duration,
    /// From the last byte of a request to the first of the answer.
    pub upstream_first_byte_timeout: Duration,
    /// Between two pieces of an answer.
    pub upstream_idle_timeout: Duration,
    /// Idle connections to one upstream, per worker.
    pub upstream_idle_connections: usize,
    /// How long an idle connection to an upstream is kept.
    pub upstream_keep_alive: Duration,
    /// Bytes of an answer that is not streamed, as far as it is held back to be counted. What is longer is passed on
    /// as it comes.
    pub answer_bytes: usize,
    /// Answers that are read on for their usage after the client hung up.
    pub drains: usize,
    /// How long each of them is read.
    pub drain_time: Duration,
    /// How long running streams hold back without a lease before they are ended.
    pub lease_grace: Duration,
    /// Requests to the management plane at once.
    pub management_requests: usize,
    /// Upstreams tried for one request.
    pub attempts: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            first_byte_timeout: seconds(5),
            header_timeout: seconds(10),
            header_bytes: 32 << 10,
            header_fields: HYPER_FIELDS,
            uri_bytes: 8 << 10,
            keep_alive: seconds(75),
            body_bytes: 20 << 20,
            body_first_byte_timeout: seconds(10),
            body_window: seconds(30),
            body_least_bytes: 30 << 10,
            buffered_bytes: 512 << 20,
            connections: 10_000,
            strangers_per_address: 2_500,
            write_stall: seconds(30),
            connect_timeout: seconds(5),
            upstream_first_byte_timeout: seconds(120),
            upstream_idle_timeout: seconds(60),
            upstream_idle_connections: 128,
            upstream_keep_alive: seconds(30),
            answer_bytes: 16 << 20,
            drains: 256,
            drain_time: seconds(60),
            lease_grace: seconds(10),
            management_requests: 256,
            attempts: 3,
        }
    }
}

/// The least size of the buffer that a head is read into; hyper takes no smaller one.
pub(crate) const HEAD_BUFFER_LEAST: usize = 8 << 10;

/// Header fields that hyper takes without being told a number; told any, this one too, it fills two lists of that
/// length for every head that it reads.
pub(crate) const HYPER_FIELDS: usize = 100;
