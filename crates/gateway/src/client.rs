//! A client's connection below HTTP: how long it may be silent, how long it may not read, and what becomes of bytes
//! that are ready when their request is ended.
//!
//! Invariants: every wait for a client has an end; once [`ClientConnection::discard_unsent`] has been called while
//! bytes were waiting, none of them reaches the kernel.

use std::{
    cell::{Cell, RefCell},
    io,
    mem::MaybeUninit,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};
use http::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep_until},
};
use tollgate_core::Id;
use tollgate_wire::{ErrorBody, ErrorCode};

use crate::{
    access_log::LogLine, attempt::LEASE_LOOK, callers::LastNoted, in_flight::Registration, node::Node, options::Limits,
    route::RouteLabel, strangers::Stranger,
};

/// After a refusal, what the client is still sending is read for this long: closed at once, the kernel would reset the
/// connection and the client might never read why.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_READ: usize = 16 << 10;
/// hyper's own answers are shorter than this, in bytes.
const UNREAD_ANSWER_MOST: usize = 256;

/// What a connection's stream and its requests tell each other.
pub(crate) struct ClientConnection {
    phase: Cell<Phase>,
    /// The kernel took no more: hyper holds bytes.
    write_blocked: Cell<bool>,
    discard: Cell<bool>,
    linger: Cell<bool>,
    writer: RefCell<Option<Waker>>,
    closing: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    /// Of a request whose answer is complete, until its last byte is with the kernel.
    trailing: RefCell<Option<Registration>>,
    /// What the request being served waits with.
    watch: RefCell<Watch>,
    /// Until a key was shown on it.
    stranger: RefCell<Option<Stranger>>,
    /// Which key was noted to be used on it, and when.
    pub noted: LastNoted,
}

#[derive(Clone, Copy)]
enum Phase {
    /// Nothing has come yet.
    Fresh(Instant),
    /// Between two requests.
    Idle(Instant),
    /// The head of a request is coming.
    Head(Instant),
    /// A request is being served: its own limits hold.
    Busy,
}

impl ClientConnection {
    pub fn new(stranger: Option<Stranger>) -> Rc<Self> {
        Rc::new(Self {
            phase: Cell::new(Phase::Fresh(Instant::now())),
            write_blocked: Cell::new(false),
            discard: Cell::new(false),
            linger: Cell::new(false),
            writer: RefCell::new(None),
            closing: Cell::new(false),
            reader: RefCell::new(None),
            trailing: RefCell::new(None),
            watch: RefCell::default(),
            stranger: RefCell::new(stranger),
            noted: LastNoted::default(),
        })
    }
    #[cfg(test)]
    pub fn for_tests() -> Rc<Self> {
        Self::new(None)
    }
    /// A request on it was authenticated: it is no stranger's any more.
    pub fn is_known(&self) {
        drop(self.stranger.take());
    }
    /// A request's head is complete.
    pub fn request_begins(&self) {
        self.phase.set(Phase::Busy);
        drop(self.trailing.take());
    }
    /// The answer's body is complete: what is left of it is in buffers.
    pub fn answer_ends(&self, registration: Option<Registration>) {
        *self.trailing.borrow_mut() = registration;
        self.phase.set(Phase::Idle(Instant::now()));
    }
    /// What waits in buffers is never sent; the connection ends.
    pub fn discard_unsent(&self) {
        if self.write_blocked.get() {
            self.discard.set(true);
            if let Some(writer) = self.writer.borrow_mut().take() {
                writer.wake();
            }
        }
    }
    /// A request was refused before it had come wholly: see [`LINGER_TIME`].
    pub fn linger(&self) {
        self.linger.set(true);
    }
    /// As if the client had closed, as soon as no request is being served.
    pub fn close_when_idle(&self) {
        self.closing.set(true);
        if let Some(reader) = self.reader.borrow_mut().take() {
            reader.wake();
        }
    }
    fn wait_idle(&self, context: &Context<'_>) {
        let mut reader = self.reader.borrow_mut();
        if !reader.as_ref().is_some_and(|reader| reader.will_wake(context.waker())) {
            *reader = Some(context.waker().clone());
        }
    }
    /// Whether `deadline` has passed; if not, the task that serves this connection is woken when it has.
    pub fn deadline_passed(&self, deadline: Instant, context: &mut Context<'_>) -> bool {
        self.watch.borrow_mut().has_passed(deadline, context)
    }
    fn deadline(&self, limits: &Limits) -> Option<Instant> {
        match self.phase.get() {
            Phase::Fresh(since) => Some(since + limits.first_byte_timeout),
            Phase::Idle(since) => Some(since + limits.keep_alive),
            Phase::Head(since) => Some(since + limits.header_timeout),
            Phase::Busy => None,
        }
    }
}

/// A client's stream, watched.
pub(crate) struct ClientStream {
    stream: TcpStream,
    peer: IpAddr,
    connection: Rc<ClientConnection>,
    node: Arc<Node>,
    /// What is left of an answer of ours to a head that hyper could not read.
    refusal: Option<Bytes>,
    read_watch: Watch,
    write_watch: Watch,
    blocked_since: Option<Instant>,
    linger_until: Option<Instant>,
}

impl ClientStream {
    pub fn new(stream: TcpStream, peer: IpAddr, connection: Rc<ClientConnection>, node: Arc<Node>) -> Self {
        Self {
            stream,
            peer,
            connection,
            node,
            refusal: None,
            read_watch: Watch::default(),
            write_watch: Watch::default(),
            blocked_since: None,
            linger_until: None,
        }
    }

    /// hyper answers by itself what it cannot read as a request, in so few words that no `x-request-id` is among them, and
    /// it has no place to add any. Such an answer is recognised by its bytes, and this one is written instead of it.
    fn refuse_head(&mut self, theirs: &[u8]) {
        let Some(status) = unread_head(theirs) else { return };
        let id = Id::new(&self.node.world);
        let log = LogLine::new(id, &self.node, RouteLabel::Other, self.peer, None);
        log.status.set(status.as_u16());
        log.failed(ErrorCode::InvalidHeader);
        let body = ErrorBody::from(ErrorCode::InvalidHeader).with_message(match status {
            StatusCode::URI_TOO_LONG => "The request's URI is too long.",
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "The request's header is too large.",
            _ => "This is no HTTP request that can be read.",
        });
        let body = body.to_openai();
        let head = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\
             x-request-id: {id}\r\n\r\n",
            status.as_u16(),
            status.canonical_reason().unwrap_or_default(),
            body.len()
        );
        self.connection.linger();
        self.refusal = Some([head.as_bytes(), &body].concat().into());
    }
    /// Writes what is left of [`Self::refuse_head`]; then it is as if `theirs` had been written.
    fn poll_refusal(&mut self, theirs: usize, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while let Some(rest) = self.refusal.as_mut().filter(|rest| !rest.is_empty()) {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            rest.advance(count.min(rest.len()));
        }
        self.refusal = None;
        Poll::Ready(Ok(theirs))
    }

    /// What a write came to.
    fn wrote(&mut self, written: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.blocked_since = None;
            self.connection.write_blocked.set(false);
            return written;
        }
        self.connection.write_blocked.set(true);
        *self.connection.writer.borrow_mut() = Some(context.waker().clone());
        let since = *self.blocked_since.get_or_insert_with(Instant::now);
        if self.write_watch.has_passed(since + self.node.options.limits.write_stall, context) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")));
        }
        Poll::Pending
    }
    /// Bytes that waited in buffers may have waited for too long: their request may have been ended, or the node may
    /// not know any more whether it was.
    fn poll_may_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.connection.write_blocked.get() {
            return Poll::Ready(Ok(()));
        }
        if self.connection.discard.get() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if self.node.gate.authority_now().is_some() {
            return Poll::Ready(Ok(()));
        }
        if self.write_watch.has_passed(Instant::now() + LEASE_LOOK, context) {
            context.waker().wake_by_ref();
        }
        self.wrote(Poll::Pending, context).map(|stalled| stalled.map(drop))
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let read = Pin::new(&mut this.stream).poll_read(context, into);
        let is_idle = matches!(this.connection.phase.get(), Phase::Fresh(_) | Phase::Idle(_));
        if read.is_ready() {
            if is_idle {
                this.connection.phase.set(Phase::Head(Instant::now()));
            }
            return read;
        }
        if is_idle {
            if this.connection.closing.get() {
                return Poll::Ready(Ok(()));
            }
            this.connection.wait_idle(context);
        }
        match this.connection.deadline(&this.node.options.limits) {
            // As if the client had closed: there is nobody to say more to.
            Some(deadline) if this.read_watch.has_passed(deadline, context) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client is silent")))
            }
            _ => Poll::Pending,
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_may_write(context))?;
        if self.refusal.is_none() {
            self.refuse_head(bytes);
        }
        let this = &mut *self;
        let written = match &this.refusal {
            Some(_) => this.poll_refusal(bytes.len(), context),
            None => Pin::new(&mut this.stream).poll_write(context, bytes),
        };
        self.wrote(written, context)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A head alone is one slice.
        if let [one] = slices {
            return self.poll_write(context, one);
        }
        ready!(self.poll_may_write(context))?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(written, context)
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper comes here when all that it held has been written.
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            drop(self.connection.trailing.take());
        }
        flushed
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.connection.linger.get() {
            return Pin::new(&mut this.stream).poll_shutdown(context);
        }
        if this.linger_until.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        }
        let until = *this.linger_until.get_or_insert_with(|| Instant::now() + LINGER_TIME);
        let mut space = [MaybeUninit::uninit(); LINGER_READ];
        loop {
            let mut into = ReadBuf::uninit(&mut space);
            match Pin::new(&mut this.stream).poll_read(context, &mut into) {
                Poll::Ready(Ok(())) if !into.filled().is_empty() && Instant::now() < until => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending if this.write_watch.has_passed(until, context) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// The status of an answer that hyper gives by itself. Ours all have an `x-request-id`, and a body.
fn unread_head(answer: &[u8]) -> Option<StatusCode> {
    let status = [StatusCode::BAD_REQUEST, StatusCode::URI_TOO_LONG, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE]
        .into_iter()
        .find(|status| {
            answer.strip_prefix(b"HTTP/1.1 ").is_some_and(|rest| rest.starts_with(status.as_str().as_bytes()))
        })?;
    let is_theirs = answer.len() <= UNREAD_ANSWER_MOST
        && answer.ends_with(b"\r\n\r\n")
        && memmem(answer, b"\r\ncontent-length: 0\r\n")
        && !memmem(answer, b"\r\nx-request-id: ");
    is_theirs.then_some(status)
}

fn memmem(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// A timer that is set when it is needed and never set back before it fires: most deadlines are moved on often and
/// reached never.
#[derive(Default)]
pub(crate) struct Watch(Option<Pin<Box<Sleep>>>);

impl Watch {
    /// Whether `deadline` has passed; if not, wakes the task when it has.
    pub fn has_passed(&mut self, deadline: Instant, context: &mut Context<'_>) -> bool {
        loop {
            let sleep = match &mut self.0 {
                Some(sleep) if sleep.deadline().into_std() <= deadline => sleep,
                Some(sleep) => {
                    sleep.as_mut().reset(deadline.into());
                    sleep
                }
                place => place.insert(Box::pin(sleep_until(deadline.into()))),
            };
            if sleep.as_mut().poll(context).is_pending() {
                return false;
            }
            if sleep.deadline().into_std() >= deadline {
                return true;
            }
            sleep.as_mut().reset(deadline.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answers_that_hyper_gives_by_itself_are_replaced() {
        let theirs = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\
                      date: Mon, 04 May 2026 12:00:00 GMT\r\n\r\n";
        assert_eq!(unread_head(theirs.as_bytes()), Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        for ours in [
            theirs.replace("date: ", "x-request-id: req_1\r\ndate: "),
            theirs.replace("431", "200"),
            theirs.replace("length: 0", "length: 7"),
            format!("{theirs}{{}}"),
            theirs.replace("Mon", &"x".repeat(300)),
            "HTTP/1.1 400".to_owned(),
        ] {
            assert_eq!(unread_head(ours.as_bytes()), None, "{ours}");
        }
    }
}
