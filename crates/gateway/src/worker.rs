//! A thread that serves: a runtime, a listener, upstream connections and a journal lane of its own.
//!
//! Invariants: nothing here blocks but the journal's writes to the page cache; a worker answers its mailbox between any
//! two steps of a request, so that "told to all workers" means "in force".

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    convert::Infallible,
    future::poll_fn,
    io,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    task::{Context, Waker},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, LocalOptions},
    sync::{mpsc, oneshot},
    time::{interval, sleep_until, timeout},
};
use tollgate_core::{Change, Id, Timestamp, id::IdKind};
use tollgate_wire::ErrorCode;

use crate::{
    attempt::Inner,
    catalogue::UpstreamEntry,
    client::{ClientConnection, ClientStream},
    flow,
    in_flight::InFlight,
    journal::{JournalError, LaneWriter, Position, SyncMode},
    management::ACCEPT_PAUSE,
    node::Node,
    options::{HEAD_BUFFER_LEAST, HYPER_FIELDS, Limits},
    upstream::{
        Cause,
        connection::{ConnectError, Connection, Exchange},
        now_ms,
        pool::Pools,
    },
    waking::OwnWaker,
};

/// Whether the kernel spreads connections over the listeners of one port; else all accept from one.
pub(crate) const SHARES_PORTS: bool = cfg!(target_os = "linux");
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1_024;
/// Bytes that the kernel holds for a client beyond what is on the wire: a cut stream has no more than these behind it.
#[cfg(target_os = "linux")]
const UNSENT_MOST: u32 = 16 << 10;
/// Between two looks at idle upstream connections.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Between two looks of a draining worker at whether it is done.
const DRAIN_LOOK: Duration = Duration::from_millis(20);
/// How long requests that were ended may take to say so to their clients.
pub(crate) const END_TIME: Duration = Duration::from_secs(2);
/// How long an upstream may take from the end of a stream to the end of its body, to have its connection kept.
const TAIL_TIME: Duration = Duration::from_secs(1);
/// hyper's buffer for what goes to a client; at most this much is held for one that does not read.
const CLIENT_BUFFER: usize = 256 << 10;

/// What the control thread tells a worker.
pub(crate) enum Message {
    /// The keyring has changed: end what it does not let in any more (`None`: everything may have changed), and say
    /// how many requests were ended by each change.
    Changed(Option<Arc<[Change]>>, oneshot::Sender<Vec<u64>>),
    /// Take no connections any more, and end when the last request has ended. New requests are refused by then.
    Drain,
    /// End all requests, then end.
    EndAll,
}

/// The control thread's end of a worker.
pub(crate) struct WorkerHandle {
    pub mailbox: mpsc::UnboundedSender<Message>,
    pub thread: JoinHandle<()>,
}

/// A worker's own state.
pub(crate) struct Worker {
    pub node: Arc<Node>,
    pub in_flight: Rc<InFlight>,
    pub pools: Pools,
    limits: Rc<Limits>,
    lane: RefCell<LaneWriter>,
    random: [Cell<u64>; 2],
    clients: RefCell<HashMap<u64, Rc<ClientConnection>>>,
    clients_so_far: Cell<u64>,
    stopping: Cell<bool>,
}

type Durable = Pin<Box<dyn Future<Output = Result<(), JournalError>>>>;

/// A listener on `address` that shares its port with others of this process, where the platform lets it.
pub(crate) fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    #[cfg(target_os = "linux")]
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    {
        // Both are inherited by every connection.
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_notsent_lowat(UNSENT_MOST)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Starts a worker on its own thread.
pub(crate) fn start(
    number: usize,
    node: Arc<Node>,
    lane: LaneWriter,
    listener: std::net::TcpListener,
) -> io::Result<WorkerHandle> {
    let (mailbox, messages) = mpsc::unbounded_channel();
    let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        let result = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .and_then(|runtime| runtime.block_on(run(node, lane, listener, messages)));
        // With the runtime go all its tasks, and with them their attempts, settled.
        if let Err(error) = result {
            tracing::error!(%error, "a worker ended");
        }
    })?;
    Ok(WorkerHandle { mailbox, thread })
}

async fn run(
    node: Arc<Node>,
    lane: LaneWriter,
    listener: std::net::TcpListener,
    mut messages: mpsc::UnboundedReceiver<Message>,
) -> io::Result<()> {
    let worker = Rc::new(Worker::new(node, lane));
    let mut listener = Some(TcpListener::from_std(listener)?);
    let http = worker.http();
    let mut sweep = interval(SWEEP_INTERVAL);
    let mut look = interval(DRAIN_LOOK);
    let mut end_by: Option<Instant> = None;
    let mut accept_from = Instant::now();
    loop {
        tokio::select! {
            biased;
            message = messages.recv() => match message {
                Some(Message::Changed(changes, done)) => {
                    // Nobody waits for the answer only where the control thread is gone.
                    let _ = done.send(worker.recheck(changes.as_deref()));
                }
                Some(Message::Drain) => {
                    if let Some(listener) = listener.take() {
                        // Connections that the kernel has taken are answered, not reset.
                        while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
                            worker.accept(stream, peer, &http);
                        }
                    }
                    worker.close_idle();
                }
                Some(Message::EndAll) | None => {
                    listener = None;
                    worker.stopping.set(true);
                    worker.in_flight.end_all(ErrorCode::Unavailable);
                    worker.close_idle();
                    end_by = Some(Instant::now() + END_TIME);
                    if messages.is_closed() {
                        return Ok(());
                    }
                }
            },
            accepted = accept(listener.as_ref(), accept_from) => match accepted {
                Ok((stream, peer)) => worker.accept(stream, peer, &http),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    accept_from = Instant::now() + ACCEPT_PAUSE;
                }
            },
            _ = sweep.tick() => {
                let current: Vec<u64> =
                    worker.node.keyring.catalogue().upstreams().iter().map(|entry| entry.revision).collect();
                worker.pools.sweep(&worker.limits, |revision| current.contains(&revision));
            }
            _ = look.tick(), if listener.is_none() => {
                let idle = worker.in_flight.is_empty() && worker.clients.borrow().is_empty();
                if idle || end_by.is_some_and(|end| Instant::now() >= end) {
                    worker.stopping.set(true);
                    worker.pools.clear();
                    return Ok(());
                }
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>, from: Instant) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => {
            if Instant::now() < from {
                sleep_until(from.into()).await;
            }
            listener.accept().await
        }
        None => std::future::pending().await,
    }
}

impl Worker {
    fn new(node: Arc<Node>, lane: LaneWriter) -> Self {
        let mut seed = [0; 16];
        node.world.fill(&mut seed);
        let (first, second) = seed.split_at(8);
        let word = |bytes: &[u8]| Cell::new(bytes.iter().fold(0, |word: u64, byte| word << 8 | u64::from(*byte)));
        Self {
            in_flight: Rc::new(InFlight::new(node.metrics.in_flight.clone())),
            pools: Pools::default(),
            limits: Rc::new(node.options.limits.clone()),
            lane: RefCell::new(lane),
            random: [word(first), word(second)],
            clients: RefCell::default(),
            clients_so_far: Cell::new(0),
            stopping: Cell::new(false),
            node,
        }
    }
    fn http(&self) -> http1::Builder {
        let mut http = http1::Builder::new();
        http.header_read_timeout(None)
            .max_header_size(self.limits.header_bytes.max(HEAD_BUFFER_LEAST))
            .max_buf_size(CLIENT_BUFFER);
        if self.limits.header_fields != HYPER_FIELDS {
            http.max_headers(self.limits.header_fields);
        }
        http
    }

    /// Serves a connection, if there are not too many.
    fn accept(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr, http: &http1::Builder) {
        let node = &self.node;
        if node.connections.fetch_add(1, Ordering::Relaxed) >= self.limits.connections {
            node.connections.fetch_sub(1, Ordering::Relaxed);
            node.metrics.connections_refused.inc();
            return;
        }
        // A trusted proxy brings the connections of many.
        let is_proxy = node.options.trusted_proxies.holds(peer.ip());
        let most = if is_proxy { usize::MAX } else { self.limits.strangers_per_address };
        let Some(stranger) = node.strangers.enter(peer.ip(), most) else {
            node.connections.fetch_sub(1, Ordering::Relaxed);
            node.metrics.connections_refused.inc();
            return;
        };
        node.metrics.connections.inc();
        #[cfg(not(target_os = "linux"))]
        let _ = stream.set_nodelay(true);
        let client = ClientConnection::new(Some(stranger));
        let number = self.clients_so_far.get();
        self.clients_so_far.set(number + 1);
        self.clients.borrow_mut().insert(number, Rc::clone(&client));
        let stream = ClientStream::new(stream, peer.ip(), Rc::clone(&client), Arc::clone(node));
        let worker = Rc::clone(self);
        let service = hyper::service::service_fn(move |request| {
            let (worker, client) = (Rc::clone(&worker), Rc::clone(&client));
            async move { Ok::<_, Infallible>(flow::serve(worker, client, peer.ip(), request).await) }
        });
        let serving = AssertUnwindSafe(http.serve_connection(TokioIo::new(stream), service)).catch_unwind();
        let mut own = OwnWaker::default();
        let worker = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let mut serving = pin!(serving);
            let served =
                poll_fn(|context| serving.as_mut().poll(&mut Context::from_waker(own.around(context.waker()))));
            match served.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a connection ended"),
                Err(_panic) => {
                    worker.node.metrics.panics.inc();
                }
            }
            worker.clients.borrow_mut().remove(&number);
            worker.node.connections.fetch_sub(1, Ordering::Relaxed);
            worker.node.metrics.connections.dec();
        });
    }
    fn close_idle(&self) {
        let clients: Vec<_> = self.clients.borrow().values().cloned().collect();
        clients.iter().for_each(|client| client.close_when_idle());
    }
    fn recheck(&self, changes: Option<&[Change]>) -> Vec<u64> {
        // Without a lease nothing is given out anyway, and it is asked again before the next byte.
        let now = self.node.gate.authority_now().unwrap_or_else(|| self.node.world.now());
        self.in_flight.recheck(&self.node.keyring, changes, now)
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }
    /// Any number; not for secrets (splitmix64).
    pub fn random(&self) -> u64 {
        let [state, _] = &self.random;
        splitmix(state)
    }
    /// A new id of this moment: unique by its time and 80 random bits of a generator seeded with 128.
    pub fn new_id<K: IdKind>(&self, now: Timestamp) -> Id<K> {
        let mut random = [0; 10];
        let [first, second] = &self.random;
        let words = splitmix(first).to_be_bytes().into_iter().chain(splitmix(second).to_be_bytes());
        random.iter_mut().zip(words).for_each(|(to, from)| *to = from);
        Id::from_parts(now.as_millis(), &random)
    }
    /// Writes to this worker's lane. The future waits for the disk, where that is asked for.
    pub fn journal(
        &self,
        write: impl FnOnce(&mut LaneWriter) -> Result<Position, JournalError>,
    ) -> Result<Option<Durable>, JournalError> {
        let mut lane = self.lane.borrow_mut();
        let position = write(&mut lane)?;
        Ok(match self.node.options.journal.sync {
            SyncMode::Os => None,
            SyncMode::Always => Some(Box::pin(lane.durable(position))),
        })
    }
    /// Connects to an upstream, or takes a connection that is there.
    pub async fn connect(&self, upstream: &UpstreamEntry, fresh: bool) -> Result<Connection, ConnectError> {
        let idle = if fresh { None } else { self.pools.take(upstream.revision) };
        match idle {
            Some(connection) => Ok(connection),
            None => Connection::open(upstream, &self.node.tls, &self.limits).await,
        }
    }
    /// Keeps the connection of an exchange that is over; of one whose answer is complete but for the end of its body,
    /// once that has come. Any other is closed.
    pub fn keep(self: &Rc<Self>, upstream: &Arc<UpstreamEntry>, mut exchange: Exchange, is_complete: bool) {
        let mut context = Context::from_waker(Waker::noop());
        if is_complete && !exchange.is_over() && exchange.poll_chunk(&mut context).is_pending() {
            let (worker, revision) = (Rc::clone(self), upstream.revision);
            if !self.is_stopping() && tokio::runtime::Handle::try_current().is_ok() {
                tokio::task::spawn_local(async move { worker.keep_later(revision, exchange).await });
            }
            return;
        }
        if exchange.is_over()
            && let Some(connection) = exchange.into_idle()
        {
            self.pools.put(upstream.revision, connection, &self.limits);
        }
    }
    async fn keep_later(&self, revision: u64, mut exchange: Exchange) {
        let end = timeout(TAIL_TIME, poll_fn(|context| exchange.poll_chunk(context)));
        if matches!(end.await, Ok(None))
            && let Some(connection) = exchange.into_idle()
        {
            self.pools.put(revision, connection, &self.limits);
        }
    }
    /// An upstream did not do its part.
    pub fn upstream_failed(&self, upstream: &UpstreamEntry, cause: Cause) {
        if upstream.health.failed(now_ms(), cause) {
            upstream.metrics.up.set(0);
            tracing::warn!(upstream = %upstream.upstream.name, "an upstream gets no requests for a while: it failed too often");
        }
    }
    /// Reads an answer to its end though its client is gone, if there are not too many such.
    pub fn drain(mut inner: Box<Inner>) {
        let worker = Rc::clone(inner.worker());
        let drains = &worker.node.drains;
        if worker.is_stopping() || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        if drains.fetch_add(1, Ordering::Relaxed) >= worker.limits.drains {
            drains.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        worker.node.metrics.draining.inc();
        let task_worker = Rc::clone(&worker);
        tokio::task::spawn_local(async move {
            inner.detach();
            // Whatever it comes to is in the settlement.
            let _ = timeout(task_worker.limits.drain_time, poll_fn(|context| inner.poll_drain(context))).await;
            let outcome = inner.outcome_when_dropped();
            inner.settle_quietly(outcome);
            task_worker.node.drains.fetch_sub(1, Ordering::Relaxed);
            task_worker.node.metrics.draining.dec();
        });
    }
}

fn splitmix(state: &Cell<u64>) -> u64 {
    let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    state.set(next);
    let mixed = (next ^ next >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
