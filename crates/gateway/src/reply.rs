//! Answers: their bodies, the headers that all of them have, and our own errors as HTTP.
//!
//! Invariants: every answer has our `x-request-id`; of an upstream's headers only those of [`PASSED`] reach a client;
//! an error says what to do next and nothing else.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use http_body::{Body, Frame, SizeHint};
use tollgate_core::{Id, id::LONGEST, usage::Request};
use tollgate_wire::{ErrorBody, ErrorCode};

use crate::{
    attempt::{BrokenOff, Running},
    client::ClientConnection,
    in_flight::Registration,
    management::{BodyError, BridgedBody},
};

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Seconds after which a client may try again where nothing better is known.
pub(crate) const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");
/// Headers of an upstream's answer that are passed on.
const PASSED: [HeaderName; 5] = [
    CONTENT_TYPE,
    CONTENT_ENCODING,
    RETRY_AFTER,
    HeaderName::from_static("openai-processing-ms"),
    HeaderName::from_static("openai-version"),
];

/// The body of an answer. Tells the connection when it is over, whatever becomes of it.
pub(crate) struct Answer {
    content: Content,
    client: Rc<ClientConnection>,
    registration: Option<Registration>,
}

enum Content {
    Whole(Bytes),
    Running(Running),
    Management(BridgedBody),
}

impl Answer {
    pub fn whole(bytes: Bytes, client: &Rc<ClientConnection>) -> Self {
        Self { content: Content::Whole(bytes), client: Rc::clone(client), registration: None }
    }
    /// A whole answer whose bytes still fall under a registration until the kernel has them.
    pub fn settled(bytes: Bytes, client: &Rc<ClientConnection>, registration: Option<Registration>) -> Self {
        Self { content: Content::Whole(bytes), client: Rc::clone(client), registration }
    }
    pub fn running(running: Running, client: &Rc<ClientConnection>) -> Self {
        Self { content: Content::Running(running), client: Rc::clone(client), registration: None }
    }
    pub fn management(body: BridgedBody, client: &Rc<ClientConnection>) -> Self {
        Self { content: Content::Management(body), client: Rc::clone(client), registration: None }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let is_cut = this.registration.as_ref().is_some_and(|registration| registration.ticket().cut().is_some());
        match &mut this.content {
            Content::Whole(_) if is_cut => Poll::Ready(Some(Err(BrokenOff.into()))),
            Content::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Content::Running(running) => match running.inner() {
                Some(inner) => {
                    inner.poll_answer(context).map(|next| next.map(|next| next.map(Frame::data).map_err(Into::into)))
                }
                None => Poll::Ready(None),
            },
            Content::Management(body) => Pin::new(body).poll_frame(context),
        }
    }
    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Running(_) => false,
            Content::Management(body) => body.is_end_stream(),
        }
    }
    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Running(_) => SizeHint::default(),
            Content::Management(body) => body.size_hint(),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let registration = match &mut self.content {
            Content::Running(running) => running.inner().and_then(|inner| inner.registration_when_over()),
            _ => self.registration.take(),
        };
        self.client.answer_ends(registration);
    }
}

/// Why a request is answered by us.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub body: ErrorBody,
    status: Option<StatusCode>,
    allow: Option<&'static str>,
    retry_after: Option<HeaderValue>,
    /// The connection cannot be used on.
    close: bool,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        ErrorBody::from(code).into()
    }
}
impl From<ErrorBody> for Refusal {
    fn from(body: ErrorBody) -> Self {
        Self { body, status: None, allow: None, retry_after: None, close: false }
    }
}

impl Refusal {
    /// Another status than the code's own.
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status: Some(status), ..self }
    }
    pub fn with_allow(self, allow: &'static str) -> Self {
        Self { allow: Some(allow), ..self }
    }
    /// The connection ends with it.
    pub fn closing(self) -> Self {
        Self { close: true, ..self }
    }
    /// As HTTP.
    pub fn into_response(self, request: Id<Request>, client: &Rc<ClientConnection>) -> Response<Answer> {
        let code = self.body.code();
        let status = self.status.or(StatusCode::from_u16(self.body.status()).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(status, self.body.to_openai(), request, client);
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, challenge(code));
        }
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(RETRY_AFTER, self.retry_after.unwrap_or(RETRY_AFTER_SECONDS));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.close {
            client.linger();
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// RFC 6750, section 3: no error where no credential came.
const fn challenge(code: ErrorCode) -> HeaderValue {
    match code {
        ErrorCode::MissingApiKey => HeaderValue::from_static("Bearer realm=\"tollgate\""),
        ErrorCode::ApiKeyRevoked => HeaderValue::from_static(
            "Bearer realm=\"tollgate\", error=\"invalid_token\", error_description=\"The API key was revoked\"",
        ),
        ErrorCode::ApiKeyExpired => HeaderValue::from_static(
            "Bearer realm=\"tollgate\", error=\"invalid_token\", error_description=\"The API key has expired\"",
        ),
        _ => HeaderValue::from_static("Bearer realm=\"tollgate\", error=\"invalid_token\""),
    }
}

/// A JSON answer of our own.
pub(crate) fn json(
    status: StatusCode,
    body: Bytes,
    request: Id<Request>,
    client: &Rc<ClientConnection>,
) -> Response<Answer> {
    let mut response = Response::new(Answer::whole(body, client));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    id_set(response.headers_mut(), request);
    response
}

/// An upstream's answer: its status, the headers that may pass, and the body as given.
pub(crate) fn upstream(
    status: StatusCode,
    from: &HeaderMap,
    body: Answer,
    is_stream: bool,
    request: Id<Request>,
) -> Response<Answer> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for name in &PASSED {
        if let Some(value) = from.get(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    if status == StatusCode::TOO_MANY_REQUESTS && !headers.contains_key(RETRY_AFTER) {
        headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    if is_stream {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        // Known to nginx and others: pieces are to be passed on as they come.
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    }
    id_set(headers, request);
    response
}

/// Puts our request id in, in place of any other.
pub(crate) fn id_set(headers: &mut HeaderMap, request: Id<Request>) {
    if let Some(value) = id_value(request) {
        headers.insert(X_REQUEST_ID, value);
    }
}

/// A request id as a header: letters, digits and an underscore.
pub(crate) fn id_value(request: Id<Request>) -> Option<HeaderValue> {
    HeaderValue::from_str(request.encode(&mut [0; LONGEST])).ok()
}
