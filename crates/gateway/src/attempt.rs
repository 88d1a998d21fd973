//! A request that was admitted, and its attempts: each one counted as it goes, settled exactly once, whatever happens.
//!
//! Invariants:
//! 1. The intent is in the journal before the first byte goes upstream; the settlement before the last byte of the
//!    answer goes to the client; progress, at most every [`PROGRESS_INTERVAL`], before the bytes that it covers.
//! 2. Every attempt ends in exactly one [`Outcome`], also when this is dropped in the middle.
//! 3. Before any byte is given out, it is looked at whether the request was ended and whether the node may serve.

mod answer;
mod gathered;
mod waiting;

use std::{
    pin::Pin,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tollgate_core::{
    Id, Route,
    catalog::OnClientGone,
    usage::{Outcome, Request, Settlement},
};
use tollgate_wire::{Endpoint, ErrorCode, StreamMeter, UsageReport, UsageShown, stream::USAGE_TEXT_MAX, usage::Told};

use crate::{
    access_log::LogLine,
    catalogue::{ModelEntry, UpstreamEntry},
    client::{ClientConnection, Watch},
    in_flight::{Registration, Ticket},
    journal::{Intent, JournalError, Progress},
    node::Budget,
    settle::{Known, figures, units},
    upstream::{Cause, connection::Exchange},
    worker::Worker,
};

use self::gathered::Gathered;
pub(crate) use self::{
    answer::{BrokenOff, Whole, broken_cause},
    waiting::{HeadError, LEASE_LOOK},
};

/// Between two progress records of an attempt.
pub(crate) const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
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
    told: ToldTexts,
    delivered: u64,
    progress_at: Instant,
}

/// What is recorded of an answer beside its figures, for whoever looks into one attempt later.
#[derive(Default)]
struct ToldTexts {
    id: Option<String>,
    usage: Option<String>,
}

impl ToldTexts {
    fn of(told: &Told<'_>) -> Self {
        let keeps = told.usage.is_some_and(|usage| usage.is_worth_keeping_whole());
        let usage = told.usage_text.filter(|text| keeps && text.len() <= USAGE_TEXT_MAX);
        Self { id: told.id.map(text), usage: usage.map(text) }
    }
    fn of_stream(meter: &StreamMeter) -> Self {
        let there = |bytes: &[u8]| (!bytes.is_empty()).then(|| text(bytes));
        Self { id: there(meter.id()), usage: there(meter.usage_text()) }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
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
        let started_at = self.worker.node.world.now();
        let intent = Intent {
            attempt: self.worker.new_id(started_at),
            request: self.job.request,
            key: ticket.key,
            account: ticket.account,
            model: self.job.model.model.no,
            upstream: upstream.upstream.no,
            route: self.job.route.code(),
            started_at,
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
            told: ToldTexts::default(),
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

    /// Settles a request that was ended by `code`.
    pub fn ended(&mut self, code: ErrorCode) {
        self.log.failed(code);
        self.worker.node.metrics.streams_cut.inc();
        self.settle_quietly(outcome_of(code));
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
    pub fn upstream_failed(&self, cause: impl Into<Cause>) {
        if let Some(attempt) = &self.attempt {
            self.worker.upstream_failed(&attempt.upstream, cause.into());
        }
    }

    /// Settles the attempt, if there is one. The future says when that is on disk, where that is asked for.
    pub fn settle(&mut self, outcome: Outcome) -> Result<Option<Durable>, JournalError> {
        let Some(mut attempt) = self.attempt.take() else { return Ok(None) };
        let total = attempt.began.elapsed();
        let known = attempt.known();
        let figures = figures(known, &attempt.intent);
        if let Counted::Stream(meter) = &attempt.counted {
            attempt.told = ToldTexts::of_stream(meter);
        }
        let told = std::mem::take(&mut attempt.told);
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
            upstream_id: told.id,
            upstream_usage: told.usage,
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
