//! One HTTP/1.1 connection to an upstream, and one exchange over it.
//!
//! hyper's connection is a future of its own that has to be driven. It is not spawned as a task: whoever waits for the
//! answer drives it, so that a piece of an answer costs no switch between tasks, and everything that has already come
//! can be taken in one go. An idle connection is driven by nobody; it is looked at when it is taken from the pool.
//!
//! Invariant: head and pieces come through channels that only the driver fills; they are looked at with a waker that wakes
//! nobody, before and after the driver has run, and nobody waits but behind the driver.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response, response};
use http_body::Body;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::unconstrained,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::{Cause, tls::Tls};
use crate::{catalogue::UpstreamEntry, options::Limits, waking::quietly};

/// The longest head of an answer, in bytes; also the size of the largest read. Of its fields hyper takes
/// [`HYPER_FIELDS`](crate::options::HYPER_FIELDS).
const ANSWER_BUFFER: usize = 256 << 10;

pub(crate) type UpstreamRequest = Request<Full<Bytes>>;

/// Why an upstream was not reached. Never shown to clients.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("it was not reached in time")]
    Timeout,
    #[error("its name has no address")]
    NoAddress,
    #[error("its name is none that a certificate can have")]
    Name,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

impl ConnectError {
    /// In words for operators.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Timeout => "connecting took too long".into(),
            Self::NoAddress => "its name has no address".into(),
            Self::Name => "its name is none that a certificate can have".into(),
            Self::Io(error) => io_cause(error),
            Self::Tls(error) => format!("tls: {error}").into(),
            Self::Http(_) => "it does not speak HTTP".into(),
        }
    }
}

fn io_cause(error: &io::Error) -> Cause {
    // rustls's own errors come wrapped.
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return format!("tls: {error}").into();
    }
    error.kind().to_string().into()
}

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// Nothing of the request was sent: the connection was over before.
    #[error("the connection was closed before the request was sent")]
    NotSent(Box<UpstreamRequest>),
    /// It was sent, or a part of it.
    #[error("{0}")]
    Broken(#[from] hyper::Error),
    /// The connection ended in the middle.
    #[error("the connection ended in the middle of the answer")]
    Ended,
}

impl ExchangeError {
    /// In words for operators.
    pub fn cause(&self) -> Cause {
        Cause::Borrowed(match self {
            Self::NotSent(_) => "it closed the connection before the request was sent",
            Self::Broken(error) if error.is_parse() => "its answer is no HTTP",
            Self::Broken(_) | Self::Ended => "it closed the connection before it answered",
        })
    }
}

/// A connection with nothing on it.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Pin<Box<http1::Connection<TokioIo<Stream>, Full<Bytes>>>>,
    /// Has carried an exchange before.
    pub reused: bool,
}

/// A connection with a request on it.
pub(crate) struct Exchange {
    connection: Connection,
    driver_done: bool,
    stage: Stage,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Incoming>, TrySendError<UpstreamRequest>>>>>;

enum Stage {
    Head(Answering),
    Body(Incoming),
    /// Wholly read.
    Over,
    Broken,
}

impl Connection {
    /// Connects, within the time that limits give.
    pub async fn open(upstream: &UpstreamEntry, tls: &Tls, limits: &Limits) -> Result<Self, ConnectError> {
        timeout(limits.connect_timeout, Self::open_slowly(upstream, tls)).await.unwrap_or(Err(ConnectError::Timeout))
    }

    async fn open_slowly(upstream: &UpstreamEntry, tls: &Tls) -> Result<Self, ConnectError> {
        let base = &upstream.upstream.base_url;
        let addresses = tokio::net::lookup_host((base.host(), base.port())).await;
        // Whatever the resolver's reason: its text differs from system to system.
        let addresses = addresses.map_err(|_| ConnectError::NoAddress)?;
        let stream = connect_any(addresses).await?;
        stream.set_nodelay(true)?;
        let stream = if base.is_tls() {
            let name = ServerName::try_from(base.host().to_owned()).map_err(|_| ConnectError::Name)?;
            Stream::Tls(Box::new(tls.connector()?.connect(name, stream).await?))
        } else {
            Stream::Plain(stream)
        };
        let (sender, driver) =
            http1::Builder::new().max_buf_size(ANSWER_BUFFER).handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: Box::pin(driver), reused: false })
    }

    /// Whether it can carry a request: not closed by the other side, as far as this side has heard.
    pub fn is_usable(&mut self, context: &mut Context<'_>) -> bool {
        self.driver.as_mut().poll(context).is_pending() && self.sender.is_ready()
    }

    /// Puts a request on it. Nothing is sent before the exchange is polled.
    pub fn send(mut self, request: UpstreamRequest) -> Exchange {
        // tokio's budget for a task would have it wait for a wake that nobody gives.
        let answering = Box::pin(unconstrained(self.sender.try_send_request(request)));
        Exchange { connection: self, driver_done: false, stage: Stage::Head(answering) }
    }
}

async fn connect_any(addresses: impl Iterator<Item = SocketAddr>) -> Result<TcpStream, ConnectError> {
    let mut last = ConnectError::NoAddress;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

impl Exchange {
    /// Whether the connection had carried an exchange before.
    pub const fn was_reused(&self) -> bool {
        self.connection.reused
    }

    /// Whether the answer has been read wholly.
    pub const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// The head of the answer. Not to be polled again once it has come.
    pub fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<response::Parts, ExchangeError>> {
        let before = self.head_if_there();
        if before.is_ready() {
            return before;
        }
        self.drive(context);
        let after = self.head_if_there();
        if after.is_pending() && self.driver_done { Poll::Ready(Err(ExchangeError::Ended)) } else { after }
    }

    /// The next piece of the answer's body; `None` at its end.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, ExchangeError>>> {
        let before = self.chunk_if_there();
        if before.is_ready() {
            return before;
        }
        self.drive(context);
        let after = self.chunk_if_there();
        if after.is_pending() && self.driver_done { Poll::Ready(Some(Err(ExchangeError::Ended))) } else { after }
    }

    /// The connection, if nothing is known against another exchange on it: that is asked when it is taken. To be called
    /// when the body has ended.
    pub fn into_idle(mut self) -> Option<Connection> {
        if self.driver_done || !matches!(self.stage, Stage::Over) {
            return None;
        }
        self.connection.reused = true;
        Some(self.connection)
    }

    fn drive(&mut self, context: &mut Context<'_>) {
        if !self.driver_done {
            self.driver_done = self.connection.driver.as_mut().poll(context).is_ready();
        }
    }

    fn head_if_there(&mut self) -> Poll<Result<response::Parts, ExchangeError>> {
        let Stage::Head(answering) = &mut self.stage else { return Poll::Ready(Err(ExchangeError::Ended)) };
        match std::task::ready!(answering.as_mut().poll(&mut Context::from_waker(Waker::noop()))) {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                self.stage = Stage::Body(body);
                Poll::Ready(Ok(parts))
            }
            Err(mut error) => {
                self.stage = Stage::Broken;
                Poll::Ready(Err(match error.take_message() {
                    Some(request) => ExchangeError::NotSent(Box::new(request)),
                    None => ExchangeError::Broken(error.into_error()),
                }))
            }
        }
    }

    fn chunk_if_there(&mut self) -> Poll<Option<Result<Bytes, ExchangeError>>> {
        loop {
            let body = match &mut self.stage {
                Stage::Body(body) => body,
                Stage::Over => return Poll::Ready(None),
                Stage::Head(_) | Stage::Broken => return Poll::Ready(Some(Err(ExchangeError::Ended))),
            };
            // What is taken would wake the driver; it runs before anybody waits.
            let mut nobody = Context::from_waker(Waker::noop());
            let (frame, _) = quietly(|| Pin::new(body).poll_frame(&mut nobody));
            match std::task::ready!(frame) {
                // Trailers are not passed on.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                    _ => {}
                },
                Some(Err(error)) => {
                    self.stage = Stage::Broken;
                    return Poll::Ready(Some(Err(error.into())));
                }
                None => {
                    self.stage = Stage::Over;
                    return Poll::Ready(None);
                }
            }
        }
    }
}

/// What the bytes go over.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Plain(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Self::Tls(stream) => {
                let $stream = Pin::new(&mut **stream);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read(context, into))
    }
}
impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write(context, bytes))
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write_vectored(context, slices))
    }
    fn is_write_vectored(&self) -> bool {
        matches!(self, Self::Plain(_))
    }
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_flush(context))
    }
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(context))
    }
}
