//! Reading a request's body: bounded in size, in time and in memory, whoever sends it.

use std::{
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use hyper::body::Incoming;
use tollgate_wire::{ErrorBody, ErrorCode};

use crate::{client::ClientConnection, node::Budget, options::Limits, reply::Refusal, waking::quietly};

/// The whole body and whether it had to be waited for, or why not. What it holds is taken from `budget`.
pub(crate) async fn body_read(
    body: Incoming,
    limits: &Limits,
    budget: &mut Budget,
    client: &Rc<ClientConnection>,
) -> Result<(Bytes, bool), Refusal> {
    if body.size_hint().lower() > limits.body_bytes as u64 {
        return Err(too_large(limits));
    }
    let now = Instant::now();
    let (first, all) = (Bytes::new(), BytesMut::new());
    let mut reading = Reading { body, client, began: now, window_began: now, window: 0, first, all, has_waited: false };
    let whole = poll_fn(|context| reading.poll(limits, budget, context)).await?;
    Ok((whole, reading.has_waited))
}

struct Reading<'a> {
    body: Incoming,
    client: &'a Rc<ClientConnection>,
    began: Instant,
    window_began: Instant,
    /// Bytes in the window.
    window: usize,
    first: Bytes,
    all: BytesMut,
    has_waited: bool,
}

impl Reading<'_> {
    fn poll(
        &mut self,
        limits: &Limits,
        budget: &mut Budget,
        context: &mut Context<'_>,
    ) -> Poll<Result<Bytes, Refusal>> {
        loop {
            let (frame, wakes) = quietly(|| Pin::new(&mut self.body).poll_frame(context));
            // hyper is to read on; behind the last piece it has nothing to do.
            if wakes && !matches!(frame, Poll::Ready(None)) && !self.body.is_end_stream() {
                context.waker().wake_by_ref();
            }
            match frame {
                Poll::Ready(None) => {
                    let whole =
                        if self.all.is_empty() { std::mem::take(&mut self.first) } else { self.all.split().freeze() };
                    return Poll::Ready(Ok(whole));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers say nothing that is listened to.
                    let Ok(data) = frame.into_data() else { continue };
                    if self.first.len() + self.all.len() + data.len() > limits.body_bytes {
                        return Poll::Ready(Err(too_large(limits)));
                    }
                    if let Err(code) = budget.take(data.len()) {
                        return Poll::Ready(Err(Refusal::from(code).closing()));
                    }
                    self.window += data.len();
                    self.push(data);
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "a request's body broke off");
                    let body = ErrorBody::from(ErrorCode::InvalidRequest).with_message(
                        "The request body broke off or is not framed as HTTP asks. Send it again, whole.",
                    );
                    return Poll::Ready(Err(Refusal::from(body).closing()));
                }
                Poll::Pending => {
                    self.has_waited = true;
                    return self.wait(limits, context);
                }
            }
        }
    }
    fn push(&mut self, data: Bytes) {
        if self.first.is_empty() && self.all.is_empty() {
            self.first = data;
        } else {
            let first = std::mem::take(&mut self.first);
            self.all.extend_from_slice(&first);
            self.all.extend_from_slice(&data);
        }
    }
    fn wait(&mut self, limits: &Limits, context: &mut Context<'_>) -> Poll<Result<Bytes, Refusal>> {
        loop {
            let nothing_yet = self.first.is_empty() && self.all.is_empty();
            let deadline = if nothing_yet {
                self.began + limits.body_first_byte_timeout
            } else {
                self.window_began + limits.body_window
            };
            if !self.client.deadline_passed(deadline, context) {
                return Poll::Pending;
            }
            if nothing_yet || self.window < limits.body_least_bytes {
                return Poll::Ready(Err(Refusal::from(ErrorCode::RequestTimeout).closing()));
            }
            self.window_began = Instant::now();
            self.window = 0;
        }
    }
}

fn too_large(limits: &Limits) -> Refusal {
    let message =
        format!("The request body is over the limit of {} bytes. Send less in one request.", limits.body_bytes);
    Refusal::from(ErrorBody::from(ErrorCode::RequestTooLarge).with_message(message)).closing()
}
