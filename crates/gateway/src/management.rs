//! The way from the public listener to the management plane.
//!
//! Invariants: management never runs on a worker, and never more than a fixed number of its requests at once; a
//! request for an inference path never comes here.

use std::{
    convert::Infallible,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{mpsc, watch},
    task::JoinSet,
};
use tollgate_core::Id;

use crate::proxies::TrustedProxies;

/// An error of a management body.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// A body of the management plane.
pub type ManagementBody = UnsyncBoxBody<Bytes, BodyError>;
/// What [`Management::call`] returns.
pub type ManagementFuture = Pin<Box<dyn Future<Output = Response<ManagementBody>> + Send>>;

/// Everything that is not inference. Its calls run on the runtime that the gateway was started on.
pub trait Management: Send + Sync + 'static {
    /// Answers a request that comes from `address` and logs it: the gateway leaves no line of its own for it. `id` is what the gateway
    /// answers as its `x-request-id`; without one the request came from [`serve_management`], and gets its own.
    fn call(
        &self,
        request: Request<Incoming>,
        address: IpAddr,
        id: Option<Id<tollgate_core::usage::Request>>,
    ) -> ManagementFuture;
}

/// After an accept that failed, so that a lack of file descriptors does not become a busy loop.
pub(crate) const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
/// Frames of a management answer that wait for the client.
const FRAMES_AHEAD: usize = 4;

/// Calls management on its own runtime, at most so many at once.
pub(crate) struct Bridge {
    management: Arc<dyn Management>,
    runtime: Handle,
    running: Arc<AtomicUsize>,
    most: usize,
}

/// There are as many requests as there may be, or management failed.
pub(crate) enum BridgeRefusal {
    Full,
    Failed,
}

impl Bridge {
    pub fn new(management: Arc<dyn Management>, runtime: Handle, most: usize) -> Self {
        Self { management, runtime, running: Arc::new(AtomicUsize::new(0)), most }
    }

    pub async fn call(
        &self,
        request: Request<Incoming>,
        address: IpAddr,
        id: Id<tollgate_core::usage::Request>,
    ) -> Result<Response<BridgedBody>, BridgeRefusal> {
        let Some(permit) = Permit::take(&self.running, self.most) else { return Err(BridgeRefusal::Full) };
        let management = Arc::clone(&self.management);
        let task = self.runtime.spawn(async move {
            let (parts, body) = management.call(request, address, Some(id)).await.into_parts();
            let (length, (sender, receiver)) = (body.size_hint().exact(), mpsc::channel(FRAMES_AHEAD));
            tokio::spawn(pump(body, sender, permit));
            Response::from_parts(parts, BridgedBody { receiver, length })
        });
        task.await.map_err(|_panic_or_shutdown| BridgeRefusal::Failed)
    }
}

/// Reads the body on management's runtime, so that whatever makes it does not stall inference.
async fn pump(mut body: ManagementBody, to: mpsc::Sender<Result<Frame<Bytes>, BodyError>>, _permit: Permit) {
    loop {
        // A client that is gone is no reason to wait for the rest.
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = to.closed() => return,
        };
        let Some(frame) = frame else { return };
        if to.send(frame).await.is_err() {
            return;
        }
    }
}

struct Permit(Arc<AtomicUsize>);

impl Permit {
    fn take(running: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let permit = Self(Arc::clone(running));
        (running.fetch_add(1, Ordering::Relaxed) < most).then_some(permit)
    }
}
impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The answer's body as it comes from management's runtime.
pub(crate) struct BridgedBody {
    receiver: mpsc::Receiver<Result<Frame<Bytes>, BodyError>>,
    length: Option<u64>,
}

impl Body for BridgedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.receiver.poll_recv(context)
    }
    fn is_end_stream(&self) -> bool {
        self.length == Some(0)
    }
    fn size_hint(&self) -> http_body::SizeHint {
        self.length.map_or_else(http_body::SizeHint::default, http_body::SizeHint::with_exact)
    }
}

/// Serves management alone on `listener`, for `[listen] manage`, until `stop` ends; then running requests are finished.
/// Belongs on management's runtime.
pub async fn serve_management(
    listener: TcpListener,
    management: Arc<dyn Management>,
    limits: crate::Limits,
    trusted_proxies: TrustedProxies,
    stop: impl Future<Output = ()> + Send,
) {
    let connections = Arc::new(AtomicUsize::new(0));
    let (closing, closed) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        while tasks.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(permit) = Permit::take(&connections, limits.connections) else { continue };
        // Without it answers are slower, but right.
        let _ = stream.set_nodelay(true);
        let (management, closed) = (Arc::clone(&management), closed.clone());
        let clients = (peer.ip(), trusted_proxies.clone());
        tasks.spawn(connection_serve(stream, clients, management, limits.clone(), closed, permit));
    }
    drop(listener);
    closing.send_replace(true);
    while tasks.join_next().await.is_some() {}
}

async fn connection_serve(
    stream: TcpStream,
    (peer, trusted_proxies): (IpAddr, TrustedProxies),
    management: Arc<dyn Management>,
    limits: crate::Limits,
    mut closing: watch::Receiver<bool>,
    _permit: Permit,
) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let address = trusted_proxies.client(peer, request.headers());
        let answer = management.call(request, address, None);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.header_fields)
        .max_buf_size(limits.header_bytes.max(crate::options::HEAD_BUFFER_LEAST))
        .serve_connection(hyper_util::rt::TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = async { drop(closing.wait_for(|closing| *closing).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a management connection ended");
    }
}
