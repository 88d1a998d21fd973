//! The gateway as a whole: starts its parts in order, tells how they are, and stops them in order.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use prometheus_client::registry::Registry;
use tokio::{
    runtime::{Builder, Handle, LocalOptions},
    sync::{oneshot, watch},
};
use tollgate_core::{
    Timestamp, World,
    seal::MasterKey,
    secret::{KeyHint, PlainKey},
};
use tollgate_store::{Store, StoreError, changes::Lease};

use crate::{
    GatewayOptions, JournalOptions, Management, UpstreamHealth,
    callers::{self, Callers},
    exposure::Exposures,
    follower::{FollowError, Follower, NodeEffects, stopped},
    journal::{self, Journal, JournalError, Shipper},
    keyring::Keyring,
    lease::LeaseGate,
    management::Bridge,
    metrics::Metrics,
    node::Node,
    pass::Passes,
    sink::StoreSink,
    upstream::{self, tls::Tls},
    worker::{self, Message, WorkerHandle},
};

/// For the journal's last settlements, when everything stops; what is not shipped then is at the next start.
const SHIP_AT_END: Duration = Duration::from_secs(10);
/// Between two looks at whether workers have ended.
const END_LOOK: Duration = Duration::from_millis(5);

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

/// A running gateway. Dropping it ends everything at once; what was admitted is settled as interrupted.
pub struct Gateway {
    node: Arc<Node>,
    local: SocketAddr,
    workers: Vec<WorkerHandle>,
    control: Part,
    shipper: Part,
    journal: Journal,
}

/// A thread of its own, and how it is told to stop.
struct Part {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Gateway {
    /// Joins the nodes of the store, opens the journal, loads the keyring and serves. To be called on the runtime that
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
        let (local, listeners) = listen(&options)?;
        let lease = store.node_join(&options.node_name, &options.version).await?;
        let started = Self::start_joined(options, &store, master_key, world, management, registry, &lease, listeners);
        match started.await {
            Ok(gateway) => Ok(Self { local, ..gateway }),
            Err(error) => {
                // Else a restriction would wait for a node that is not there.
                if let Err(error) = store.lease_release(&lease).await {
                    tracing::warn!(%error, "the lease was not given back; it runs out by itself");
                }
                Err(error)
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one composition")]
    async fn start_joined(
        options: GatewayOptions,
        store: &Store,
        master_key: MasterKey,
        world: World,
        management: Option<Arc<dyn Management>>,
        registry: &mut Registry,
        lease: &Lease,
        listeners: Vec<std::net::TcpListener>,
    ) -> Result<Self, GatewayError> {
        let journal = journal_open(&options, listeners.len(), lease, &world).await?;
        let metrics = Metrics::new(registry);
        Metrics::watch_journal(registry, journal.status());
        let runtime = Handle::current();
        let most = options.limits.management_requests;
        let local = options.listen;
        let node = Arc::new(Node {
            bridge: management.map(|management| Bridge::new(management, runtime.clone(), most)),
            keyring: Keyring::new(),
            gate: LeaseGate::default(),
            pepper: master_key.key_pepper(),
            passes: Passes::default(),
            master_key,
            world,
            store: store.clone(),
            runtime,
            metrics,
            tls: Tls::default(),
            journal: journal.status(),
            ahead: journal.ahead(),
            draining: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            strangers: Arc::default(),
            callers: Callers::default(),
            exposures: Exposures::default(),
            drains: AtomicUsize::new(0),
            buffered: AtomicUsize::new(0),
            options,
        });
        let mut workers = Vec::with_capacity(listeners.len());
        for (number, listener) in listeners.into_iter().enumerate() {
            let lane = journal.new_lane()?;
            let worker = worker::start(number, Arc::clone(&node), lane, listener);
            workers.push(worker.map_err(GatewayError::Start)?);
        }
        let mailboxes = workers.iter().map(|worker| worker.mailbox.clone()).collect();
        let effects = NodeEffects::new(Arc::clone(&node), mailboxes);
        let control = control_start(Arc::clone(&node), Follower::new(effects, lease.clone())).await?;
        let shipper = shipper_start(Shipper::new(&journal, StoreSink(store.clone())), Arc::clone(&node))?;
        Ok(Self { node, local, workers, control, shipper, journal })
    }

    /// A pass for one request with a key, sent to this gateway within seconds as `Authorization: Bearer PASS`. It is that
    /// key's request in every way: whoever asks for one must have made sure that the person may use the key. `None` while
    /// too many wait.
    #[must_use]
    pub fn pass(&self, key: KeyHint) -> Option<PlainKey> {
        self.node.passes.issue(key, &self.node.pepper, &self.node.world)
    }
    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
    /// Whether it would serve a request now.
    #[must_use]
    pub fn ready(&self) -> ReadyState {
        self.node.ready()
    }
    /// How the upstreams are, by name.
    #[must_use]
    pub fn upstream_health(&self) -> Vec<UpstreamHealth> {
        upstream::report(self.node.keyring.catalogue().upstreams())
    }
    /// Every attempt of this node that began before this is in the store.
    #[must_use]
    pub fn complete_until(&self) -> Timestamp {
        self.node.journal.complete_until()
    }
    /// The journal's state, readable at any time.
    #[must_use]
    pub fn journal_status(&self) -> Arc<journal::Status> {
        self.journal.status()
    }

    /// Stops: refuses new requests, lets running ones finish for `grace`, ends the rest, settles and ships
    /// everything, and gives the lease back.
    pub async fn shutdown(self, grace: Duration) {
        let Self { node, workers, control, shipper, journal, .. } = self;
        node.draining.store(true, Ordering::SeqCst);
        tell(&workers, || Message::Drain);
        if !all_end(&workers, grace).await {
            tell(&workers, || Message::EndAll);
            // Each of them ends by itself within this.
            all_end(&workers, worker::END_TIME * 2).await;
        }
        let mailboxes_closed: Vec<JoinHandle<()>> = workers.into_iter().map(|worker| worker.thread).collect();
        shipper.stop.send_replace(true);
        control.stop.send_replace(true);
        let joined = tokio::task::spawn_blocking(move || {
            for thread in mailboxes_closed.into_iter().chain([shipper.thread, control.thread]) {
                // A panic has been printed; there is nobody left to tell.
                let _ = thread.join();
            }
            drop(journal);
        });
        let _ = joined.await;
    }
}

/// A listener for each worker, all on one port.
fn listen(options: &GatewayOptions) -> Result<(SocketAddr, Vec<std::net::TcpListener>), GatewayError> {
    let failed = |address| move |source| GatewayError::Listen { address, source };
    let first = worker::listen(options.listen).map_err(failed(options.listen))?;
    let local = first.local_addr().map_err(failed(options.listen))?;
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let count = if options.workers == 0 { cores() } else { options.workers };
    let mut listeners = vec![first];
    for _ in 1..count {
        let listener = if worker::SHARES_PORTS {
            worker::listen(local)
        } else {
            // One queue that all workers accept from.
            listeners.first().map_or_else(|| worker::listen(local), std::net::TcpListener::try_clone)
        };
        listeners.push(listener.map_err(failed(local))?);
    }
    Ok((local, listeners))
}

async fn journal_open(
    options: &GatewayOptions,
    lanes: usize,
    lease: &Lease,
    world: &World,
) -> Result<Journal, GatewayError> {
    let JournalOptions { directory, max_bytes, segment_bytes, sync } = options.journal.clone();
    // One node alone is not missed by a store that is on its own machine.
    let tells = lease.renewable;
    let options = journal::Options { max_bytes, segment_bytes, sync, tells, ..journal::Options::new(lease.node) };
    let options = options.for_lanes(lanes);
    let world = world.clone();
    let opened = tokio::task::spawn_blocking(move || Journal::open(&directory, options, world)).await;
    Ok(opened.map_err(std::io::Error::other).map_err(GatewayError::Start)??)
}

/// Starts the thread that follows the log and checks upstreams; returns when the node may serve.
async fn control_start(node: Arc<Node>, mut follower: Follower<NodeEffects>) -> Result<Part, GatewayError> {
    let (stop, mut stopping) = watch::channel(false);
    let (ready, is_ready) = oneshot::channel();
    let thread = spawn("control", async move {
        let begun = follower.begin().await;
        let may_go_on = begun.is_ok();
        if ready.send(begun).is_err() || !may_go_on {
            return;
        }
        let checks = tokio::task::spawn_local(crate::health_check::run(node));
        follower.run(&mut stopping).await;
        checks.abort();
    })?;
    match is_ready.await {
        Ok(Ok(())) => Ok(Part { stop, thread }),
        Ok(Err(FollowError::Store(error))) => Err(error.into()),
        Ok(Err(error)) => Err(GatewayError::Start(std::io::Error::other(error))),
        Err(_ended) => Err(GatewayError::Start(std::io::Error::other("the control thread ended"))),
    }
}

/// Starts the thread that carries to the store what is counted, and beside it from where keys are used.
fn shipper_start(mut shipper: Shipper<StoreSink>, node: Arc<Node>) -> Result<Part, GatewayError> {
    let (stop, mut stopping) = watch::channel(false);
    let thread = spawn("shipper", async move {
        tokio::select! {
            never = shipper.run() => match never {},
            never = callers::run(Arc::clone(&node)) => match never {},
            never = journal::space::watch(Arc::clone(&node.journal), &node.options.journal.directory) => match never {},
            () = stopped(&mut stopping) => {}
        }
        callers::write(&node).await;
        let drained = shipper.drain(SHIP_AT_END).await;
        if !drained.complete {
            tracing::warn!(records = drained.unshipped_records, "usage waits in the journal for the next start");
        }
    })?;
    Ok(Part { stop, thread })
}

fn spawn(name: &str, task: impl Future<Output = ()> + Send + 'static) -> Result<JoinHandle<()>, GatewayError> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => runtime.block_on(task),
            Err(error) => tracing::error!(%error, "a thread has no runtime"),
        }
    });
    spawned.map_err(GatewayError::Start)
}

fn tell(workers: &[WorkerHandle], message: impl Fn() -> Message) {
    for worker in workers {
        // A worker that is gone needs not to be told.
        let _ = worker.mailbox.send(message());
    }
}

/// Waits until all workers have ended, for `time` at most; whether they have.
async fn all_end(workers: &[WorkerHandle], time: Duration) -> bool {
    let until = Instant::now() + time;
    while !workers.iter().all(|worker| worker.thread.is_finished()) {
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(END_LOOK).await;
    }
    true
}
