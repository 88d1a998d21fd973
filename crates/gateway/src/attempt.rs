//! A request that was admitted, and its attempts: each one counted as it goes, settled exactly once, whatever happens.
//!
//! Invariants:
//! 1. The intent is in the journal before the first byte goes upstream; the settlement before the last byte of the
//!    answer goes to the client; progress, at most every [`PROGRESS_INTERVAL`], before the bytes that it covers.
//! 2. Every attempt ends in exactly one [`Outcome`], also when this is dropped in the middle.
//! 3. Before any byte is given out, it is looked at whether the request was ended and whether the node may serve.

use std::{
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use tollgate_core::{
    Id, Route, Timestamp,
    catalog::OnClientGone,
    usage::{Outcome, Request, Settlement},
};
use tollgate_wire::{Endpoint, ErrorBody, ErrorCode, StreamMeter, UsageReport, UsageShown, usage};

use crate::{
    access_log::LogLine,
    catalogue::{ModelEntry, UpstreamEntry},
    client::{ClientConnection, Watch},
    in_flight::{Registration, Ticket},
    journal::{Intent, JournalError, Progress},
    node::Budget,
    settle::{Known, figures, units},
    upstream::connection::{Exchange, ExchangeError},
    worker::Worker,
};

/// Between two progress records of an attempt.
pub(crate) const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// A stream's pieces that are there already are given out together up to this many bytes.
const GATHER_MOST: usize = 64 << 10;
/// How often it is looked whether the lease is back.
pub(crate) const LEASE_LOOK: Duration = Duration::from_millis(20);

/// What of a request matters to its attempts.
pub(crate) struct Job {
    pub request: Id<Request>,
    pub route: Route,
    pub model: Arc<ModelEntry>,
    pub prompt_bytes: u64,
    pub output_at_most: Option<u64>,
}

impl Job {
    pub const fn endpoint(&self) -> Endpoint {
        match self.route {
            Route::ChatCompletions => Endpoint::ChatCompletions,
            Route::Completions => Endpoint::Completions,
            Route::Embeddings => Endpoint::Embeddings,
        }
    }
}

/// A request that was admitted. Dropping it in the middle means that the client is gone: then its answer is read on
/// where the upstream wants that, and settled in any case.
pub(crate) struct Running(Option<Box<Inner>>);

/// The same, without reading on.
pub(crate) struct Inner {
    worker: Rc<Worker>,
    client: Rc<ClientConnection>,
    job: Job,
    registration: Option<Registration>,
    log: Rc<LogLine>,
    attempt: Option<Attempt>,
    budget: Budget,
    /// Of its own once the client is gone; else that of the connection, which is used again and again.
    watch: Option<Watch>,
    held_since: Option<Instant>,
    /// A piece was given out: until the next is asked for, it is the client that takes its time.
    gave: bool,
    stage: Stage,
}

struct Attempt {
    intent: Intent,
    began: Instant,
    upstream: Arc<UpstreamEntry>,
    exchange: Option<Exchange>,
    /// A part of the request may have reached the upstream.
    sent: bool,
    status: u16,
    first_byte: Option<Duration>,
    heard_at: Instant,
    counted: Counted,
    delivered: u64,
    progress_at: Instant,
}

enum Counted {
    Nothing,
    /// An answer that is not streamed: what has come, and its usage when all has.
    Whole {
        gathered: Gathered,
        usage: Option<UsageReport>,
        is_complete: bool,
    },
    /// As before, but longer than is held: passed on, its usage unread.
    Passed,
    Stream(Box<StreamMeter>),
}

/// What remains to be given to the client.
enum Stage {
    /// The flow is still at it.
    Forwarding,
    Streaming,
    /// The piece held back so that the settlement comes before the last byte.
    Passing(Bytes),
    /// Settled; the last bytes, and what has to be on disk before them.
    Ending(Bytes, Option<Durable>),
    Over,
}

type Durable = Pin<Box<dyn Future<Output = Result<(), JournalError>>>>;

/// What an answer that is not streamed comes to.
pub(crate) enum Whole {
    /// All of it; not yet settled.
    Complete(Bytes),
    /// More than is held back; to be passed on as it comes.
    TooLong,
    /// It broke off or came too slowly.
    Failed(ErrorCode),
    /// The request was ended.
    Ended(ErrorCode),
}

/// The answer cannot be completed, and a part of it may have left: the connection has to end.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub(crate) struct BrokenOff;

impl Running {
    pub fn new(
        worker: Rc<Worker>,
        client: Rc<ClientConnection>,
        job: Job,
        registration: Registration,
        log: Rc<LogLine>,
        budget: Budget,
    ) -> Self {
        *log.model.borrow_mut() = Some(Arc::clone(&job.model));
        Self(Some(Box::new(Inner {
            worker,
            client,
            job,
            registration: Some(registration),
            log,
            attempt: None,
            budget,
            watch: None,
            held_since: None,
            gave: false,
            stage: Stage::Forwarding,
        })))
    }
    /// What it is, while it is: `None` never comes before the end of all.
    pub fn inner(&mut self) -> Option<&mut Inner> {
        self.0.as_deref_mut()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(inner) = self.0.take()
            && inner.wants_draining()
        {
            Worker::drain(inner);
        }
    }
}

impl Inner {
    pub fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }
    pub fn job(&self) -> &Job {
        &self.job
    }
    /// Begins an attempt: its intent is in the journal when this returns. The future says when it is on disk, where
    /// that is asked for.
    pub fn begin(&mut self, upstream: &Arc<UpstreamEntry>) -> Result<Option<Durable>, ErrorCode> {
        let ticket = self.ticket().ok_or(ErrorCode::InternalError)?;
        let intent = Intent {
            attempt: self.worker.new_id(),
            request: self.job.request,
            key: ticket.key,
            account: ticket.account,
            model: self.job.model.model.no,
            upstream: upstream.upstream.no,
            route: self.job.route.code(),
            started_at: self.worker.node.world.now(),
            prompt_bytes: self.job.prompt_bytes,
            max_output_tokens: self.job.output_at_most,
            price: self.job.model.price(),
        };
        let durable = self.worker.journal(|lane| lane.intent(&intent)).map_err(|error| {
            tracing::debug!(%error, "a request is refused");
            ErrorCode::Unavailable
        })?;
        let now = Instant::now();
        self.log.attempts.set(self.log.attempts.get() + 1);
        *self.log.upstream.borrow_mut() = Some(Arc::clone(upstream));
        self.attempt = Some(Attempt {
            intent,
            began: now,
            upstream: Arc::clone(upstream),
            exchange: None,
            sent: false,
            status: 0,
            first_byte: None,
            heard_at: now,
            counted: Counted::Nothing,
            delivered: 0,
            progress_at: now,
        });
        Ok(durable)
    }
    /// The request is about to go over this exchange.
    pub fn send_over(&mut self, exchange: Exchange) {
        if let Some(attempt) = &mut self.attempt {
            attempt.exchange = Some(exchange);
            attempt.sent = true;
            attempt.heard_at = Instant::now();
        }
    }
    /// Nothing of the request was sent after all.
    pub fn unsent(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.exchange = None;
            attempt.sent = false;
        }
    }
    pub fn was_reused(&self) -> bool {
        self.attempt.as_ref().and_then(|attempt| attempt.exchange.as_ref()).is_some_and(Exchange::was_reused)
    }
    /// The head of the answer has come.
    pub fn answers(&mut self, status: u16, shown: Option<UsageShown>) {
        let endpoint = self.job.endpoint();
        if let Some(attempt) = &mut self.attempt {
            attempt.status = status;
            attempt.heard_at = Instant::now();
            attempt.counted = match shown {
                Some(shown) => Counted::Stream(Box::new(StreamMeter::new(endpoint, shown))),
                None => Counted::Whole { gathered: Gathered::default(), usage: None, is_complete: false },
            };
        }
    }
    pub fn stream_begins(&mut self) {
        self.stage = Stage::Streaming;
    }
    /// What has been held back of an answer that is too long goes first.
    pub fn passing_begins(&mut self) {
        let held = match self.attempt.as_mut().map(|attempt| std::mem::replace(&mut attempt.counted, Counted::Passed)) {
            Some(Counted::Whole { gathered, .. }) => gathered.into_bytes(),
            _ => Bytes::new(),
        };
        self.stage = Stage::Passing(held);
    }

    fn ticket(&self) -> Option<&Ticket> {
        self.registration.as_ref().map(Registration::ticket)
    }

    /// Waits until a byte may be given out: at once, unless the lease is in doubt; an error if the request was ended.
    pub fn poll_may_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ErrorCode>> {
        let node = Arc::clone(&self.worker.node);
        let Some(ticket) = self.ticket() else { return Poll::Ready(Ok(())) };
        if let Some(code) = ticket.cut() {
            return Poll::Ready(Err(code));
        }
        let Some(now) = node.gate.authority_now() else {
            ticket.watch(context);
            let since = *self.held_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= node.options.limits.lease_grace {
                return Poll::Ready(Err(ErrorCode::KeysNotCurrent));
            }
            if self.deadline_passed(Instant::now() + LEASE_LOOK, context) {
                context.waker().wake_by_ref();
            }
            return Poll::Pending;
        };
        if now >= ticket.ends_at() {
            ticket.recheck(&node.keyring, now);
        }
        let cut = ticket.cut();
        self.held_since = None;
        Poll::Ready(cut.map_or(Ok(()), Err))
    }

    /// Waits until the request is ended from elsewhere.
    pub fn poll_ended(&self, context: &mut Context<'_>) -> Poll<ErrorCode> {
        match self.ticket() {
            Some(ticket) => match ticket.cut() {
                Some(code) => Poll::Ready(code),
                None => {
                    ticket.watch(context);
                    Poll::Pending
                }
            },
            None => Poll::Pending,
        }
    }

    /// The head of the answer, or why there is none: the request was ended, the upstream failed.
    pub fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<http::response::Parts, HeadError>> {
        if let Some(code) = self.ticket().and_then(Ticket::cut) {
            return Poll::Ready(Err(HeadError::Ended(code)));
        }
        let Some(exchange) = self.attempt.as_mut().and_then(|attempt| attempt.exchange.as_mut()) else {
            return Poll::Ready(Err(HeadError::Exchange(ExchangeError::Ended)));
        };
        match exchange.poll_head(context) {
            Poll::Ready(result) => Poll::Ready(result.map_err(HeadError::Exchange)),
            Poll::Pending => self.wait(context).map(|code| Err(HeadError::from(code))),
        }
    }

    /// An answer that is not streamed, to its end.
    pub fn poll_whole(&mut self, context: &mut Context<'_>) -> Poll<Whole> {
        let most = self.worker.node.options.limits.answer_bytes;
        loop {
            if let Some(code) = self.ticket().and_then(Ticket::cut) {
                return Poll::Ready(Whole::Ended(code));
            }
            let chunk = match self.poll_upstream(context) {
                Poll::Ready(chunk) => chunk,
                Poll::Pending => return self.wait(context).map(Whole::of),
            };
            let endpoint = self.job.endpoint();
            let Some(Attempt { counted: Counted::Whole { gathered, usage, is_complete }, status, .. }) =
                &mut self.attempt
            else {
                return Poll::Ready(Whole::Failed(ErrorCode::InternalError));
            };
            match chunk {
                Some(Ok(chunk)) => {
                    let full = self.budget.take(chunk.len()).is_err();
                    gathered.push(chunk);
                    if full || gathered.len() > most {
                        return Poll::Ready(Whole::TooLong);
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "an answer broke off");
                    return Poll::Ready(Whole::Failed(ErrorCode::UpstreamError));
                }
                None => {
                    let body = std::mem::take(gathered).into_bytes();
                    *is_complete = true;
                    if *status < 400 {
                        *usage = usage::read(endpoint, &body);
                    }
                    return Poll::Ready(Whole::Complete(body));
                }
            }
        }
    }

    /// The next bytes for the client, once the flow has handed over.
    pub fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        if std::mem::take(&mut self.gave)
            && let Some(attempt) = &mut self.attempt
        {
            attempt.heard_at = Instant::now();
        }
        let next = self.poll_next(context);
        self.gave = next.is_ready();
        next
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        if matches!(self.stage, Stage::Over) {
            return Poll::Ready(None);
        }
        if let Err(code) = ready!(self.poll_may_send(context)) {
            return Poll::Ready(self.end_early(code));
        }
        match &mut self.stage {
            Stage::Streaming => self.poll_stream(context),
            Stage::Passing(_) => self.poll_passing(context),
            Stage::Ending(last, durable) => {
                if let Some(waiting) = durable {
                    let is_durable = ready!(waiting.as_mut().poll(context));
                    *durable = None;
                    if is_durable.is_err() {
                        self.stage = Stage::Over;
                        return Poll::Ready(Some(Err(BrokenOff)));
                    }
                }
                let last = std::mem::take(last);
                self.stage = Stage::Over;
                Poll::Ready((!last.is_empty()).then_some(Ok(last)))
            }
            Stage::Forwarding | Stage::Over => Poll::Ready(None),
        }
    }

    /// Everything of the stream that is there, as one piece.
    fn poll_stream(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        let mut out = Gathered::default();
        let end = loop {
            if out.len() >= GATHER_MOST {
                break StreamEnd::NotYet;
            }
            let chunk = match self.poll_upstream(context) {
                Poll::Ready(chunk) => chunk,
                Poll::Pending if !out.is_empty() => break StreamEnd::NotYet,
                Poll::Pending => match self.wait(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Waited::Ended(code)) => return Poll::Ready(self.end_early(code)),
                    Poll::Ready(Waited::TooLong) => break StreamEnd::Failed(ErrorCode::UpstreamTimeout),
                },
            };
            let Some(Attempt { counted: Counted::Stream(meter), .. }) = &mut self.attempt else {
                break StreamEnd::Failed(ErrorCode::InternalError);
            };
            match chunk {
                Some(Ok(chunk)) => match meter.push(chunk) {
                    Ok(forward) => {
                        out.push(forward.before_terminal);
                        if meter.observed().done {
                            break StreamEnd::Done(forward.terminal);
                        }
                    }
                    Err(broken) => {
                        out.push(broken.before);
                        break StreamEnd::Failed(ErrorCode::UpstreamError);
                    }
                },
                Some(Err(error)) => {
                    tracing::debug!(%error, "a stream broke off");
                    break StreamEnd::Failed(ErrorCode::UpstreamError);
                }
                None => {
                    let forward = meter.finish();
                    out.push(forward.before_terminal);
                    let observed = meter.observed();
                    break match (observed.done, observed.upstream_error) {
                        (true, _) => StreamEnd::Done(forward.terminal),
                        // The upstream has said itself why it ends.
                        (false, true) => StreamEnd::Said,
                        (false, false) => StreamEnd::Failed(ErrorCode::UpstreamError),
                    };
                }
            }
        };
        self.stream_step(out, end)
    }

    fn stream_step(&mut self, mut out: Gathered, end: StreamEnd) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        match end {
            StreamEnd::NotYet => {
                if self.progress(out.len()).is_err() {
                    return Poll::Ready(self.end_early(ErrorCode::Unavailable));
                }
                return Poll::Ready(Some(Ok(out.into_bytes())));
            }
            StreamEnd::Done(terminal) => {
                let outcome = if self.said_error() { Outcome::UpstreamFailed } else { Outcome::Complete };
                return self.end_with(outcome, out, terminal);
            }
            StreamEnd::Said => self.settle_quietly(Outcome::UpstreamFailed),
            StreamEnd::Failed(code) => {
                self.upstream_failed();
                self.log.failed(code);
                self.settle_quietly(Outcome::UpstreamFailed);
                out.push(ErrorBody::from(code).to_openai_event());
            }
        }
        self.stage = Stage::Over;
        Poll::Ready((!out.is_empty()).then(|| Ok(out.into_bytes())))
    }

    /// An answer that is too long to be held back: all but the piece that came last.
    fn poll_passing(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        loop {
            let chunk = match self.poll_upstream(context) {
                Poll::Ready(chunk) => chunk,
                Poll::Pending => match ready!(self.wait(context)) {
                    Waited::Ended(code) => return Poll::Ready(self.end_early(code)),
                    Waited::TooLong => {
                        self.settle_quietly(Outcome::UpstreamFailed);
                        self.stage = Stage::Over;
                        return Poll::Ready(Some(Err(BrokenOff)));
                    }
                },
            };
            let Stage::Passing(held) = &mut self.stage else { return Poll::Ready(None) };
            match chunk {
                Some(Ok(chunk)) => {
                    let before = std::mem::replace(held, chunk);
                    if !before.is_empty() {
                        if self.progress(before.len()).is_err() {
                            return Poll::Ready(self.end_early(ErrorCode::Unavailable));
                        }
                        return Poll::Ready(Some(Ok(before)));
                    }
                }
                Some(Err(_)) => {
                    self.upstream_failed();
                    self.settle_quietly(Outcome::UpstreamFailed);
                    self.stage = Stage::Over;
                    return Poll::Ready(Some(Err(BrokenOff)));
                }
                None => {
                    let last = std::mem::take(held);
                    self.worker.node.metrics.usage_missing.inc();
                    return self.end_with(Outcome::Complete, Gathered::default(), last);
                }
            }
        }
    }

    /// Settles, then gives the last bytes out, once the settlement is as safe as it has to be.
    fn end_with(&mut self, outcome: Outcome, mut out: Gathered, last: Bytes) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        match self.settle(outcome) {
            Ok(None) => {
                out.push(last);
                self.stage = Stage::Over;
            }
            // What is before the last bytes does not wait with them.
            Ok(durable) => self.stage = Stage::Ending(last, durable),
            Err(_) => {
                self.stage = Stage::Over;
                out.push(ErrorBody::from(ErrorCode::Unavailable).to_openai_event());
            }
        }
        if out.is_empty() && matches!(self.stage, Stage::Over) {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(out.into_bytes())))
    }

    /// Ends an answer of which the client may have a part.
    fn end_early(&mut self, code: ErrorCode) -> Option<Result<Bytes, BrokenOff>> {
        let was_streaming = matches!(self.stage, Stage::Streaming | Stage::Ending(..));
        self.stage = Stage::Over;
        self.ended(code);
        let is_stream = self.log.streamed.get() && was_streaming;
        Some(if is_stream { Ok(ErrorBody::from(code).to_openai_event()) } else { Err(BrokenOff) })
    }
    /// Settles a request that was ended by `code`.
    pub fn ended(&mut self, code: ErrorCode) {
        self.log.failed(code);
        self.worker.node.metrics.streams_cut.inc();
        self.settle_quietly(outcome_of(code));
    }

    /// Waits for the upstream, the end of the request or of its key's time: whichever comes first.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Waited> {
        let node = Arc::clone(&self.worker.node);
        let (limits, now) = (&node.options.limits, Instant::now());
        let Some(attempt) = &self.attempt else { return Poll::Ready(Waited::TooLong) };
        let limit = if attempt.first_byte.is_none() {
            limits.upstream_first_byte_timeout
        } else {
            limits.upstream_idle_timeout
        };
        let silent_until = attempt.heard_at + limit;
        if now >= silent_until {
            return Poll::Ready(Waited::TooLong);
        }
        let Some(ticket) = self.ticket() else { return Poll::Ready(Waited::TooLong) };
        if let Some(code) = ticket.cut() {
            return Poll::Ready(Waited::Ended(code));
        }
        ticket.watch(context);
        let mut until = silent_until;
        if ticket.ends_at() != Timestamp::MAX
            && let Some(authority_now) = node.gate.authority_now()
        {
            let rest_ms = ticket.ends_at().as_millis().saturating_sub(authority_now.as_millis());
            match u64::try_from(rest_ms) {
                Ok(rest_ms) if rest_ms > 0 => until = until.min(now + Duration::from_millis(rest_ms)),
                _ => {
                    ticket.recheck(&node.keyring, authority_now);
                    if let Some(code) = ticket.cut() {
                        return Poll::Ready(Waited::Ended(code));
                    }
                }
            }
        }
        if self.deadline_passed(until, context) {
            // Looked at anew: it may have been the key's time.
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn deadline_passed(&mut self, deadline: Instant, context: &mut Context<'_>) -> bool {
        match &mut self.watch {
            Some(watch) => watch.has_passed(deadline, context),
            None => self.client.deadline_passed(deadline, context),
        }
    }

    /// The next piece of the answer's body.
    fn poll_upstream(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, ExchangeError>>> {
        let Some(attempt) = &mut self.attempt else { return Poll::Ready(None) };
        let Some(exchange) = &mut attempt.exchange else { return Poll::Ready(None) };
        let chunk = ready!(exchange.poll_chunk(context));
        if let Some(Ok(_)) = &chunk {
            attempt.heard_at = Instant::now();
            if attempt.first_byte.is_none() {
                let time = attempt.began.elapsed();
                attempt.first_byte = Some(time);
                self.log.first_byte.set(Some(time));
                self.job.model.metrics.first_byte(time);
            }
        }
        Poll::Ready(chunk)
    }

    /// Says in the journal how far it has come, if it has not been said for a while.
    fn progress(&mut self, bytes: usize) -> Result<(), JournalError> {
        let Some(attempt) = &mut self.attempt else { return Ok(()) };
        attempt.delivered += u64::try_from(bytes).unwrap_or_default();
        if attempt.heard_at.saturating_duration_since(attempt.progress_at) < PROGRESS_INTERVAL {
            return Ok(());
        }
        attempt.progress_at = attempt.heard_at;
        let observed = match &attempt.counted {
            Counted::Stream(meter) => *meter.observed(),
            _ => tollgate_wire::Observed::default(),
        };
        let progress = Progress {
            attempt: attempt.intent.attempt,
            elapsed_us: micros(attempt.began.elapsed()),
            units: observed.usage.as_ref().map(units),
            content_deltas: observed.deltas,
            delivered_bytes: attempt.delivered,
        };
        match self.worker.journal(|lane| lane.progress(&progress)) {
            // Only the bound for the case of a crash suffers.
            Ok(_) | Err(JournalError::Full) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn said_error(&self) -> bool {
        matches!(&self.attempt, Some(Attempt { counted: Counted::Stream(meter), .. }) if meter.observed().upstream_error)
    }
    /// The upstream did not do its part: counts against it.
    pub fn upstream_failed(&self) {
        if let Some(attempt) = &self.attempt {
            self.worker.upstream_failed(&attempt.upstream);
        }
    }

    /// Settles the attempt, if there is one. The future says when that is on disk, where that is asked for.
    pub fn settle(&mut self, outcome: Outcome) -> Result<Option<Durable>, JournalError> {
        let Some(mut attempt) = self.attempt.take() else { return Ok(None) };
        let total = attempt.began.elapsed();
        let known = attempt.known();
        let figures = figures(known, &attempt.intent);
        let intent = &attempt.intent;
        let settlement = Settlement {
            attempt: intent.attempt,
            request: intent.request,
            key: intent.key,
            account: intent.account,
            model: intent.model,
            upstream: intent.upstream,
            route: intent.route,
            started_at: intent.started_at,
            units: figures.units,
            class: figures.class,
            output_at_most: figures.output_at_most,
            input_at_most: figures.input_at_most,
            suspect: figures.suspect,
            outcome,
            status: attempt.status,
            first_byte_us: attempt.first_byte.map(micros),
            total_us: micros(total),
            cost: intent.price.cost(&figures.units),
            upstream_id: None,
        };
        let result = self.worker.journal(|lane| lane.settle(&settlement));
        self.log.outcome.set(Some(outcome));
        self.log.units.set(Some(figures.units));
        self.job.model.metrics.used(&figures.units);
        if outcome == Outcome::Complete && attempt.lacks_usage() {
            self.worker.node.metrics.usage_missing.inc();
        }
        let failed = outcome == Outcome::UpstreamFailed || attempt.status >= 500;
        let metrics = &attempt.upstream.metrics;
        if failed {
            metrics.failed.inc()
        } else {
            metrics.answered.inc()
        };
        if let Some(exchange) = attempt.exchange.take() {
            self.worker.keep(&attempt.upstream, exchange, outcome == Outcome::Complete);
        }
        result
    }
    /// The same where nothing is left to wait for or to tell.
    pub fn settle_quietly(&mut self, outcome: Outcome) {
        if let Err(error) = self.settle(outcome) {
            tracing::error!(%error, "an attempt could not be settled; the next start settles it as interrupted");
        }
    }

    /// Whether the upstream is to be read on though the client is gone.
    fn wants_draining(&self) -> bool {
        let Some(attempt) = &self.attempt else { return false };
        attempt.upstream.upstream.on_client_gone == OnClientGone::Drain
            && attempt.exchange.is_some()
            && self.ticket().is_some_and(|ticket| ticket.cut().is_none())
            && !std::thread::panicking()
    }
    /// For an answer that is read on: it has a timer of its own from now on.
    pub fn detach(&mut self) {
        self.watch = Some(Watch::default());
    }
    /// Reads on to the end, for usage alone.
    pub fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.ticket().and_then(Ticket::cut).is_some() {
                return Poll::Ready(());
            }
            if matches!(&self.attempt, Some(attempt) if attempt.status == 0) {
                match ready!(self.poll_head(context)) {
                    Ok(parts) => {
                        let shown = self.log.streamed.get().then_some(UsageShown::AsSent);
                        self.answers(parts.status.as_u16(), shown);
                    }
                    Err(_) => return Poll::Ready(()),
                }
            }
            let chunk = match self.poll_upstream(context) {
                Poll::Ready(Some(Ok(chunk))) => chunk,
                Poll::Ready(None) => {
                    self.drained();
                    return Poll::Ready(());
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(()),
                Poll::Pending => return self.wait(context).map(|_| ()),
            };
            match self.attempt.as_mut().map(|attempt| &mut attempt.counted) {
                Some(Counted::Stream(meter)) => {
                    let is_over = meter.push(chunk).is_err() || meter.observed().done;
                    if is_over {
                        return Poll::Ready(());
                    }
                }
                Some(Counted::Whole { gathered, .. }) => {
                    if self.budget.take(chunk.len()).is_err() {
                        return Poll::Ready(());
                    }
                    gathered.push(chunk);
                }
                _ => {}
            }
        }
    }
    fn drained(&mut self) {
        let endpoint = self.job.endpoint();
        match self.attempt.as_mut().map(|attempt| &mut attempt.counted) {
            Some(Counted::Stream(meter)) => drop(meter.finish()),
            Some(Counted::Whole { gathered, usage, is_complete }) => {
                *is_complete = true;
                *usage = usage::read(endpoint, &std::mem::take(gathered).into_bytes());
            }
            _ => {}
        }
    }
    /// The client is gone, or everything ends.
    pub fn outcome_when_dropped(&self) -> Outcome {
        match self.ticket().and_then(Ticket::cut) {
            Some(code) => outcome_of(code),
            None if std::thread::panicking() || self.worker.is_stopping() => Outcome::Interrupted,
            None => Outcome::ClientGone,
        }
    }
    /// The registration, once the answer is settled: to be kept until its last byte is with the kernel.
    pub fn registration_when_over(&mut self) -> Option<Registration> {
        if self.attempt.is_none() { self.registration.take() } else { None }
    }
    /// The registration of an answer that was settled whole.
    pub fn registration_take(&mut self) -> Option<Registration> {
        self.registration.take()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.attempt.is_some() {
            let outcome = self.outcome_when_dropped();
            self.settle_quietly(outcome);
        }
    }
}

impl Attempt {
    fn known(&self) -> Known {
        if !self.sent || self.status >= 300 {
            return Known::NothingUsed;
        }
        let answered = self.first_byte.is_some();
        match &self.counted {
            Counted::Nothing | Counted::Passed => Known::Sent { usage: None, is_final: false, deltas: 0, answered },
            Counted::Whole { usage, is_complete, .. } => {
                Known::Sent { usage: *usage, is_final: *is_complete, deltas: 0, answered }
            }
            Counted::Stream(meter) => {
                let observed = meter.observed();
                let (usage, is_final) = (observed.usage, observed.usage_is_final);
                Known::Sent { usage, is_final, deltas: observed.deltas, answered }
            }
        }
    }
    fn lacks_usage(&self) -> bool {
        matches!(self.known(), Known::Sent { usage: None, .. }) && !matches!(self.counted, Counted::Passed)
    }
}

/// Why there is no head.
pub(crate) enum HeadError {
    Exchange(ExchangeError),
    Timeout,
    Ended(ErrorCode),
}

enum Waited {
    TooLong,
    Ended(ErrorCode),
}

impl From<Waited> for HeadError {
    fn from(waited: Waited) -> Self {
        match waited {
            Waited::TooLong => Self::Timeout,
            Waited::Ended(code) => Self::Ended(code),
        }
    }
}
impl Whole {
    fn of(waited: Waited) -> Self {
        match waited {
            Waited::TooLong => Self::Failed(ErrorCode::UpstreamTimeout),
            Waited::Ended(code) => Self::Ended(code),
        }
    }
}

enum StreamEnd {
    NotYet,
    Done(Bytes),
    Said,
    Failed(ErrorCode),
}

/// How a request that was ended by this code counts.
fn outcome_of(code: ErrorCode) -> Outcome {
    match code {
        ErrorCode::KeysNotCurrent | ErrorCode::Unavailable | ErrorCode::InternalError => Outcome::Interrupted,
        _ => Outcome::Revoked,
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Pieces that become one; a single one is not copied.
#[derive(Default)]
struct Gathered {
    first: Bytes,
    all: BytesMut,
}

impl Gathered {
    fn push(&mut self, bytes: Bytes) {
        if self.is_empty() {
            self.first = bytes;
        } else if !bytes.is_empty() {
            let first = std::mem::take(&mut self.first);
            self.all.extend_from_slice(&first);
            self.all.extend_from_slice(&bytes);
        }
    }
    fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }
    fn is_empty(&self) -> bool {
        self.first.is_empty() && self.all.is_empty()
    }
    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}
