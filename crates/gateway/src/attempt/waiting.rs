//! Waiting, for an upstream or for the right to give bytes out: every wait of a request that was admitted.
//!
//! Invariant: whatever is waited for, the end of the request from elsewhere, of its key's time and of the upstream's time
//! wakes the task too.

use std::{
    rc::Rc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tollgate_core::Timestamp;
use tollgate_wire::ErrorCode;

use super::Inner;
use crate::{
    in_flight::{MaySend, Ticket},
    upstream::connection::ExchangeError,
};

/// How often it is looked whether the lease is back.
pub(crate) const LEASE_LOOK: Duration = Duration::from_millis(20);

/// Why there is no head.
pub(crate) enum HeadError {
    Exchange(ExchangeError),
    Timeout,
    Ended(ErrorCode),
}

pub(super) enum Waited {
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
impl Inner {
    /// Waits until a byte may be given out: at once, unless the lease is in doubt; an error if the request was ended.
    pub fn poll_may_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ErrorCode>> {
        let worker = Rc::clone(&self.worker);
        let node = &worker.node;
        let Some(ticket) = self.ticket() else { return Poll::Ready(Ok(())) };
        match ticket.may_send(&node.keyring, node.gate.authority_now()) {
            Ok(MaySend::Now) => {
                self.held_since = None;
                Poll::Ready(Ok(()))
            }
            Ok(MaySend::NotNow) => {
                ticket.watch(context);
                let since = *self.held_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= node.options.limits.lease_grace {
                    return Poll::Ready(Err(ErrorCode::KeysNotCurrent));
                }
                if self.deadline_passed(Instant::now() + LEASE_LOOK, context) {
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
            Err(code) => Poll::Ready(Err(code)),
        }
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

    /// Waits for the upstream, the end of the request or of its key's time: whichever comes first.
    pub(super) fn wait(&mut self, context: &mut Context<'_>) -> Poll<Waited> {
        let worker = Rc::clone(&self.worker);
        let node = &worker.node;
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

    pub(super) fn deadline_passed(&mut self, deadline: Instant, context: &mut Context<'_>) -> bool {
        match &mut self.watch {
            Some(watch) => watch.has_passed(deadline, context),
            None => self.client.deadline_passed(deadline, context),
        }
    }

    /// The next piece of the answer's body.
    pub(super) fn poll_upstream(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, ExchangeError>>> {
        let chunk = ready!(self.poll_more(context));
        if let Some(Ok(_)) = &chunk {
            self.heard();
        }
        Poll::Ready(chunk)
    }
    /// The same, where the clock was looked at for a piece that has come with this one.
    pub(super) fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, ExchangeError>>> {
        let Some(attempt) = &mut self.attempt else { return Poll::Ready(None) };
        let Some(exchange) = &mut attempt.exchange else { return Poll::Ready(None) };
        exchange.poll_chunk(context)
    }
    /// Notes that a piece has come.
    fn heard(&mut self) {
        let Some(attempt) = &mut self.attempt else { return };
        attempt.heard_at = Instant::now();
        if attempt.first_byte.is_none() {
            let time = attempt.heard_at.saturating_duration_since(attempt.began);
            attempt.first_byte = Some(time);
            self.log.first_byte.set(Some(time));
            self.job.model.metrics.first_byte(time);
        }
    }
}
