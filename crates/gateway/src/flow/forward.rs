//! Sends an admitted request to an upstream, and turns what comes into the client's answer.
//!
//! Invariants: the upstream's request is built from what was read, never from the client's bytes but for its body; a
//! second upstream is tried only before any byte of an answer has gone to the client, and only if the failure says that
//! the first one did not work on the request; an upstream is asked for usage in a way that it refuses only once;
//! redirects are not followed; what an upstream says of its own faults or of our credential stays with us.

use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT},
    response,
};
use http_body_util::Full;
use tollgate_core::usage::Outcome;
use tollgate_wire::{Changes, ErrorCode, Peeked, StreamUsage, UsageShown, splice};

use super::{Admitted, Context};
use crate::{
    attempt::{HeadError, Inner, Running, Whole, broken_cause},
    catalogue::{Serving, UpstreamEntry},
    reply::{self, Answer, Refusal, X_REQUEST_ID},
    upstream::{
        choose,
        connection::{ConnectError, Connection, ExchangeError, UpstreamRequest},
        has_another, now_ms,
    },
};

/// A client's headers that an upstream gets, beside what we set ourselves.
const PASSED: [HeaderName; 2] = [ACCEPT, HeaderName::from_static("openai-beta")];

/// Header fields of a request to an upstream, at most.
const UPSTREAM_FIELDS: usize = 10;

/// How far into an error's text it is looked what it is about, in bytes.
const ERROR_READ: usize = 16 << 10;

/// The head of an answer has come, and it is to be the client's answer.
pub(super) struct Answered {
    running: Running,
    head: response::Parts,
    is_stream: bool,
    /// Its body, where that was read already.
    whole: Option<Whole>,
}

/// What became of one attempt.
enum Tried {
    Answered(response::Parts, bool),
    /// It did not work on the request: another upstream may be asked; this is the answer if there is none.
    NotWorkedOn(Refusal),
    /// The connection was an old one and died under the request: once more, over a new one.
    Stale,
}

/// Asks upstreams until one answers, or none is left.
pub(super) async fn forward(context: &Context, admitted: Admitted, headers: &HeaderMap) -> Result<Answered, Refusal> {
    let Admitted { peeked, mut running } = admitted;
    let inner = running.inner().ok_or(ErrorCode::InternalError)?;
    let worker = &context.worker;
    let model = Arc::clone(&inner.job().model);
    let mut tried = Vec::new();
    let mut last = None;
    while tried.len() < worker.node.options.limits.attempts {
        let Some(serving) = choose(&model.served_by, &tried, now_ms(), worker.random()) else { break };
        tried.push(serving.upstream.revision);
        let usage = stream_usage(&serving.upstream);
        let mut result = attempt(context, inner, serving, &peeked, headers, usage).await?;
        let mut whole = None;
        if let Tried::Answered(head, false) = &result
            && may_be_about_our_options(head, &peeked, usage)
        {
            let body = poll_fn(|context| inner.poll_whole(context)).await;
            if names_our_options(&body) {
                inner.settle_quietly(Outcome::Complete);
                result = attempt(context, inner, serving, &peeked, headers, StreamUsage::AsSent).await?;
                if matches!(&result, Tried::Answered(head, _) if head.status.is_success()) {
                    usage_refused(&serving.upstream);
                }
            } else {
                whole = Some(body);
            }
        }
        let may_ask_another =
            || tried.len() < worker.node.options.limits.attempts && has_another(&model.served_by, &tried, now_ms());
        match result {
            // It did not work on the request, and somebody else may.
            Tried::Answered(head, _) if head.status == StatusCode::TOO_MANY_REQUESTS && may_ask_another() => {
                inner.settle_quietly(Outcome::Complete);
            }
            Tried::Answered(head, is_stream) => return Ok(Answered { running, head, is_stream, whole }),
            Tried::NotWorkedOn(refusal) => last = Some(refusal),
            Tried::Stale => last = Some(ErrorCode::UpstreamError.into()),
        }
    }
    Err(last.unwrap_or_else(|| ErrorCode::NoHealthyUpstream.into()))
}

/// Whether an answer may refuse what we added to the request, and not the request.
fn may_be_about_our_options(head: &response::Parts, peeked: &Peeked, usage: StreamUsage) -> bool {
    let refuses = matches!(head.status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY);
    refuses && peeked.stream() && usage != StreamUsage::AsSent && !peeked.names_stream_options()
}

/// Whether an error's text names what we added: the client did not. It may only repeat the client's words; whether it was
/// about our options is seen when the request goes through without them.
fn names_our_options(body: &Whole) -> bool {
    let Whole::Complete(body) = body else { return false };
    let read = body.get(..ERROR_READ).unwrap_or(body);
    let names = |option: &[u8]| read.windows(option.len()).any(|part| part == option);
    names(b"stream_options") || names(b"include_usage") || names(b"continuous_usage_stats")
}

/// Learned: it is not asked any more.
fn usage_refused(upstream: &UpstreamEntry) {
    if !upstream.usage_refused.swap(true, Ordering::Relaxed) {
        upstream.metrics.usage_refused.set(1);
        tracing::error!(
            upstream = %upstream.upstream.name,
            "an upstream refuses stream_options: it is not asked for usage any more, its streams are estimated"
        );
    }
}

/// One attempt, or a second one where the first met a connection that was closed.
async fn attempt(
    context: &Context,
    inner: &mut Inner,
    serving: &Serving,
    peeked: &Peeked,
    headers: &HeaderMap,
    usage: StreamUsage,
) -> Result<Tried, Refusal> {
    match attempt_once(context, inner, serving, peeked, headers, usage, false).await? {
        Tried::Stale => attempt_once(context, inner, serving, peeked, headers, usage, true).await,
        tried => Ok(tried),
    }
}

/// One attempt: intent, connection, request, head.
async fn attempt_once(
    context: &Context,
    inner: &mut Inner,
    serving: &Serving,
    peeked: &Peeked,
    headers: &HeaderMap,
    usage: StreamUsage,
    fresh: bool,
) -> Result<Tried, Refusal> {
    let upstream = &serving.upstream;
    let durable = inner.begin(upstream)?;
    let mut request = upstream_request(context, inner.job().route, serving, peeked, usage, headers);
    let mut fresh = fresh;
    let head = loop {
        let connection = match connect(context, inner, upstream, fresh).await? {
            Ok(connection) => connection,
            Err(refusal) => return Ok(Tried::NotWorkedOn(refusal)),
        };
        inner.send_over(connection.send(request));
        match poll_fn(|context| inner.poll_head(context)).await {
            Ok(head) => break head,
            Err(HeadError::Ended(code)) => {
                inner.ended(code);
                return Err(code.into());
            }
            Err(HeadError::Timeout) => {
                inner.upstream_failed("no answer in time");
                inner.settle_quietly(Outcome::UpstreamFailed);
                return Err(ErrorCode::UpstreamTimeout.into());
            }
            Err(HeadError::Exchange(ExchangeError::NotSent(unsent))) if !fresh => {
                // Nothing was sent: the same attempt, over another connection.
                inner.unsent();
                (request, fresh) = (*unsent, true);
            }
            Err(HeadError::Exchange(error)) => {
                let was_reused = inner.was_reused();
                if matches!(error, ExchangeError::NotSent(_)) {
                    inner.unsent();
                }
                tracing::debug!(upstream = %upstream.upstream.name, %error, was_reused, "an upstream gave no answer");
                if !was_reused {
                    inner.upstream_failed(error.cause());
                }
                inner.settle_quietly(Outcome::UpstreamFailed);
                return if was_reused && !fresh { Ok(Tried::Stale) } else { Err(ErrorCode::UpstreamError.into()) };
            }
        }
    };
    if let Some(durable) = durable {
        // What is not on disk is not answered; the wait was the upstream's own.
        durable.await.map_err(|_| ErrorCode::Unavailable)?;
    }
    judge(inner, upstream, head, peeked, usage)
}

/// Connects, unless the request is ended meanwhile. The inner error is the upstream's fault.
async fn connect(
    context: &Context,
    inner: &mut Inner,
    upstream: &Arc<UpstreamEntry>,
    fresh: bool,
) -> Result<Result<Connection, Refusal>, Refusal> {
    let connected = {
        let connecting = std::pin::pin!(context.worker.connect(upstream, fresh));
        let ended = std::pin::pin!(poll_fn(|context| inner.poll_ended(context)));
        match select(connecting, ended).await {
            Either::Left((result, _)) => Ok(result),
            Either::Right((code, _)) => Err(code),
        }
    };
    let result = match connected {
        Ok(result) => result,
        Err(code) => {
            inner.ended(code);
            return Err(code.into());
        }
    };
    Ok(result.map_err(|error| {
        tracing::warn!(upstream = %upstream.upstream.name, %error, "an upstream was not reached");
        inner.upstream_failed(error.cause());
        inner.settle_quietly(Outcome::UpstreamFailed);
        match error {
            ConnectError::Timeout => ErrorCode::UpstreamTimeout.into(),
            _ => ErrorCode::UpstreamError.into(),
        }
    }))
}

/// What the head of an answer means.
fn judge(
    inner: &mut Inner,
    upstream: &Arc<UpstreamEntry>,
    head: response::Parts,
    peeked: &Peeked,
    usage: StreamUsage,
) -> Result<Tried, Refusal> {
    let status = head.status;
    let is_stream = status.is_success() && peeked.stream() && is_event_stream(&head.headers);
    inner.answers(status.as_u16(), is_stream.then(|| UsageShown::of(peeked, usage)));
    let name = &upstream.upstream.name;
    let refused = |inner: &mut Inner, code: ErrorCode| -> Refusal {
        inner.settle_quietly(Outcome::Complete);
        code.into()
    };
    match status.as_u16() {
        200..=299 => {
            upstream.health.succeeded();
            Ok(Tried::Answered(head, is_stream))
        }
        401 | 403 | 407 => {
            tracing::error!(upstream = %name, status = status.as_u16(), "an upstream refuses our credential");
            Ok(Tried::NotWorkedOn(refused(inner, ErrorCode::UpstreamError)))
        }
        429 => {
            upstream.health.unknown();
            Ok(Tried::Answered(head, false))
        }
        400..=499 => {
            upstream.health.succeeded();
            Ok(Tried::Answered(head, false))
        }
        503 => {
            inner.upstream_failed("status 503");
            Ok(Tried::NotWorkedOn(refused(inner, ErrorCode::NoHealthyUpstream)))
        }
        code => {
            if matches!(code, 502 | 504) {
                inner.upstream_failed(format!("status {code}"));
            } else {
                upstream.health.unknown();
            }
            tracing::warn!(upstream = %name, status = code, "an upstream failed");
            Err(refused(inner, if code == 504 { ErrorCode::UpstreamTimeout } else { ErrorCode::UpstreamError }))
        }
    }
}

/// Gives the answer to the client: whole when it has been counted, or piece by piece as it comes.
pub(super) async fn meter(context: &Context, answered: Answered) -> Result<Response<Answer>, Refusal> {
    let Answered { mut running, head, is_stream, whole } = answered;
    let inner = running.inner().ok_or(ErrorCode::InternalError)?;
    let passes = |body, is_stream| reply::upstream(head.status, &head.headers, body, is_stream, context.request);
    if is_stream {
        inner.stream_begins();
        return Ok(passes(Answer::running(running, &context.client), true));
    }
    context.log.streamed.set(false);
    let whole = match whole {
        Some(whole) => whole,
        None => poll_fn(|context| inner.poll_whole(context)).await,
    };
    match whole {
        Whole::Complete(body) if head.status.is_success() && is_nonsense(&head.headers, &body) => {
            tracing::warn!(status = head.status.as_u16(), "an upstream's answer is no JSON object");
            inner.upstream_failed("its answer is no JSON object");
            inner.settle_quietly(Outcome::UpstreamFailed);
            Err(ErrorCode::UpstreamError.into())
        }
        Whole::Complete(body) => {
            // Once more, since it took its time; the settlement says what came of it.
            if let Err(code) = poll_fn(|context| inner.poll_may_send(context)).await {
                inner.ended(code);
                return Err(code.into());
            }
            let durable = inner.settle(Outcome::Complete).map_err(|_| ErrorCode::Unavailable)?;
            if let Some(durable) = durable {
                durable.await.map_err(|_| ErrorCode::Unavailable)?;
            }
            let registration = inner.registration_take();
            Ok(passes(Answer::settled(body, &context.client, registration), false))
        }
        Whole::TooLong => {
            inner.passing_begins();
            Ok(passes(Answer::running(running, &context.client), false))
        }
        Whole::Failed(code) => {
            inner.upstream_failed(broken_cause(code));
            inner.settle_quietly(Outcome::UpstreamFailed);
            Err(code.into())
        }
        Whole::Ended(code) => {
            inner.ended(code);
            Err(code.into())
        }
    }
}

/// Whether a whole answer cannot be what was asked for: every route here answers with a JSON object. Its inside is for
/// the client to read; what an upstream compressed against our wish is not looked into.
fn is_nonsense(headers: &HeaderMap, body: &[u8]) -> bool {
    let body = body.trim_ascii();
    is_plain(headers) && !(body.starts_with(b"{") && body.ends_with(b"}"))
}

fn is_plain(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    is_plain(headers) && kind.get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}

fn stream_usage(upstream: &UpstreamEntry) -> StreamUsage {
    if upstream.usage_refused.load(Ordering::Relaxed) {
        StreamUsage::AsSent
    } else if upstream.upstream.engine.reports_running_usage() {
        StreamUsage::Continuous
    } else {
        StreamUsage::Final
    }
}

fn upstream_request(
    context: &Context,
    route: tollgate_core::Route,
    serving: &Serving,
    peeked: &Peeked,
    stream_usage: StreamUsage,
    from: &HeaderMap,
) -> UpstreamRequest {
    let changes = Changes { model: serving.rename.as_ref().map(|name| name.as_str()), stream_usage };
    let body: Bytes = splice(peeked, &changes);
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = serving.upstream.target(route).clone();
    let headers = request.headers_mut();
    // Room for all, those of hyper too: growing would sort them in anew.
    headers.reserve(UPSTREAM_FIELDS);
    headers.insert(HOST, serving.upstream.host.clone());
    if let Some((name, value)) = &serving.upstream.credential {
        headers.insert(name.clone(), value.clone());
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))));
    for name in &PASSED {
        if let Some(value) = from.get(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    if let Some(id) = reply::id_value(context.request) {
        headers.insert(X_REQUEST_ID, id);
    }
    request
}
