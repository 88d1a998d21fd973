//! The answer on its way to the client: whole, streamed, passed on, or read on for its usage alone.
//!
//! Invariant: the settlement is in the journal before the last byte is given out, and what ends early says so: a stream by
//! an error event and no `[DONE]`, anything else by a connection that breaks off.

use std::{
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use tollgate_core::usage::Outcome;
use tollgate_wire::{ErrorBody, ErrorCode, UsageShown, usage};

use super::{Attempt, Counted, Gathered, Inner, Stage, ToldTexts, waiting::Waited};
use crate::{client::Watch, in_flight::Ticket};

/// A stream's pieces that are there already are given out together up to this many bytes.
const GATHER_MOST: usize = 64 << 10;
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

/// In words for operators: why an answer that had begun came to no end.
pub(crate) const fn broken_cause(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::UpstreamTimeout => "its answer stopped coming",
        _ => "its answer broke off",
    }
}

impl Inner {
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
            let Some(Attempt { counted: Counted::Whole { gathered, usage, is_complete }, told, status, .. }) =
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
                        let found = usage::read_told(endpoint, &body);
                        (*usage, *told) = (found.usage, ToldTexts::of(&found));
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
            let next = if out.is_empty() { self.poll_upstream(context) } else { self.poll_more(context) };
            let chunk = match next {
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
                self.upstream_failed(broken_cause(code));
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
                    self.upstream_failed(broken_cause(ErrorCode::UpstreamError));
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
        match &mut self.attempt {
            Some(Attempt { counted: Counted::Stream(meter), .. }) => drop(meter.finish()),
            Some(Attempt { counted: Counted::Whole { gathered, usage, is_complete }, told, .. }) => {
                *is_complete = true;
                let body = std::mem::take(gathered).into_bytes();
                let found = usage::read_told(endpoint, &body);
                (*usage, *told) = (found.usage, ToldTexts::of(&found));
            }
            _ => {}
        }
    }
}
