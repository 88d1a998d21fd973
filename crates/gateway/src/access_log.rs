//! One line per request: written when the last of its parts is gone, whatever became of it. What management answered has
//! its line there, where its route and caller are known.
//!
//! Invariant: no key, no body, no mail address, no upstream address; of a key only its hint.

use std::{
    cell::{Cell, RefCell},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use http::HeaderValue;
use tollgate_core::{
    Account, Id, No, Units,
    secret::{KeyHint, is_harmless},
    usage::{Outcome, Request},
};
use tollgate_wire::ErrorCode;

use crate::{
    catalogue::{ModelEntry, UpstreamEntry},
    node::Node,
    route::RouteLabel,
};

/// The `target` of these lines, by which they are switched.
pub(crate) const TARGET: &str = "tollgate::request";
/// A client's own request id that is longer is none, and not logged.
const CLIENT_ID_MOST: usize = 128;

/// What is known of a request so far.
pub(crate) struct LogLine {
    pub request: Id<Request>,
    node: Arc<Node>,
    began: Instant,
    label: RouteLabel,
    peer: IpAddr,
    client_id: Option<HeaderValue>,
    pub key: Cell<Option<KeyHint>>,
    pub account: Cell<Option<No<Account>>>,
    pub status: Cell<u16>,
    pub code: Cell<Option<ErrorCode>>,
    pub outcome: Cell<Option<Outcome>>,
    pub attempts: Cell<u32>,
    pub units: Cell<Option<Units>>,
    pub first_byte: Cell<Option<Duration>>,
    pub streamed: Cell<bool>,
    /// Management has written the line.
    pub told_elsewhere: Cell<bool>,
    pub model: RefCell<Option<Arc<ModelEntry>>>,
    pub upstream: RefCell<Option<Arc<UpstreamEntry>>>,
}

impl LogLine {
    pub fn new(
        request: Id<Request>,
        node: &Arc<Node>,
        label: RouteLabel,
        peer: IpAddr,
        client_id: Option<&HeaderValue>,
    ) -> Rc<Self> {
        Rc::new(Self {
            request,
            node: Arc::clone(node),
            began: Instant::now(),
            label,
            peer,
            client_id: client_id.cloned(),
            key: Cell::new(None),
            account: Cell::new(None),
            status: Cell::new(0),
            code: Cell::new(None),
            outcome: Cell::new(None),
            attempts: Cell::new(0),
            units: Cell::new(None),
            first_byte: Cell::new(None),
            streamed: Cell::new(false),
            told_elsewhere: Cell::new(false),
            model: RefCell::new(None),
            upstream: RefCell::new(None),
        })
    }
    /// An error of our own ended or refused it.
    pub fn failed(&self, code: ErrorCode) {
        self.code.set(Some(code));
        self.node.metrics.refused(code);
    }

    fn write(&self) {
        let model = self.model.borrow();
        let upstream = self.upstream.borrow();
        let units = self.units.get();
        let client_id = self.client_id.as_ref().and_then(|value| value.to_str().ok());
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            target: TARGET,
            { request.id = %self.request,
            request.client_id = client_id.filter(|text| is_harmless(text, CLIENT_ID_MOST)),
            client.address = %self.peer,
            route = self.label.as_str(),
            key.hint = self.key.get().map(tracing::field::display),
            account.no = self.account.get().map(No::get),
            model = model.as_ref().map(|entry| entry.model.name.as_str()),
            upstream = upstream.as_ref().map(|entry| entry.upstream.name.as_str()),
            status = self.status.get(),
            error.code = self.code.get().map(ErrorCode::as_str),
            outcome = self.outcome.get().map(Outcome::as_str),
            stream = self.streamed.get(),
            attempts = self.attempts.get(),
            duration_ms = millis(self.began.elapsed()),
            ttfb_ms = self.first_byte.get().map(millis),
            tokens.input = units.map(|units| units.input),
            tokens.output = units.map(|units| units.output) },
            "request"
        );
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        let status = self.status.get();
        if status != 0 {
            self.node.metrics.request(self.label, status);
        }
        let is_ours = !self.told_elsewhere.get() && self.label != RouteLabel::Health;
        if is_ours && tracing::enabled!(target: TARGET, tracing::Level::INFO) {
            self.write();
        }
    }
}
