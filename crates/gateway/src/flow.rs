//! A request, from its first byte to its last.
//!
//! [`infer`] reads as the sentence: *receive → authenticate → authorise → admit → forward → meter*; each step returns the
//! only value that the next accepts, and only its own function can make that value. *Record* is inside the last two:
//! see [`crate::attempt`].

mod forward;
mod own;

use std::{cell::Cell, net::IpAddr, panic::AssertUnwindSafe, rc::Rc, sync::Arc};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header::CONTENT_ENCODING};
use hyper::body::Incoming;
use tollgate_core::{
    Id, Route,
    secret::{KeyHash, Presented, PublicId},
    usage,
};
use tollgate_wire::{ErrorBody, ErrorCode, Peeked, peek};

use crate::{
    access_log::LogLine,
    attempt::{Job, Running},
    catalogue::ModelEntry,
    client::ClientConnection,
    credential::credential,
    in_flight::{KeyGrant, Registration, Ticket, permit, permit_page},
    keyring::KeyEntry,
    management::BridgeRefusal,
    node::Budget,
    page::{self, Page},
    receive::body_read,
    reply::{self, Answer, Refusal, X_REQUEST_ID},
    route::{Target, route},
    worker::Worker,
};

/// What every step of a request needs.
struct Context {
    worker: Rc<Worker>,
    client: Rc<ClientConnection>,
    /// From where the request comes: see [`crate::proxies`].
    address: IpAddr,
    request: Id<usage::Request>,
    log: Rc<LogLine>,
    /// The origin of the page that may read the answer, whatever it is.
    readable_by: Cell<Option<HeaderValue>>,
}

/// Answers a request, whatever it is.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    client: Rc<ClientConnection>,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Response<Answer> {
    client.request_begins();
    let id = worker.new_id(worker.node.world.now());
    let label = route(request.method(), request.uri().path()).label();
    let address = worker.node.options.trusted_proxies.client(peer, request.headers());
    let log = LogLine::new(id, &worker.node, label, address, request.headers().get(X_REQUEST_ID));
    let context = Context { worker, client, address, request: id, log, readable_by: Cell::default() };
    let answered = AssertUnwindSafe(dispatch(&context, request)).catch_unwind().await;
    let mut response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(refusal)) => context.refuse(refusal),
        Err(_panic) => {
            context.worker.node.metrics.panics.inc();
            context.refuse(Refusal::from(ErrorCode::InternalError).closing())
        }
    };
    if let Some(origin) = context.readable_by.take() {
        page::reading_allowed(&mut response, origin);
    }
    context.log.status.set(response.status().as_u16());
    response
}

impl Context {
    /// Lets the page that sent the request read the answer, if the key allows its origin.
    fn readable(&self, page: Option<&Page>, key: Option<&KeyEntry>) {
        let origin = page.zip(key).and_then(|(page, key)| page.allow_reading(key.allowed_origins()));
        self.readable_by.set(origin.cloned());
    }
    fn refuse(&self, refusal: Refusal) -> Response<Answer> {
        self.log.failed(refusal.body.code());
        let is_draining = self.worker.node.draining.load(std::sync::atomic::Ordering::Relaxed);
        let refusal = if is_draining { refusal.closing() } else { refusal };
        refusal.into_response(self.request, &self.client)
    }
}

async fn dispatch(context: &Context, request: Request<Incoming>) -> Result<Response<Answer>, Refusal> {
    let limits = &context.worker.node.options.limits;
    if request.uri().path_and_query().map_or(0, |target| target.as_str().len()) > limits.uri_bytes {
        let body = ErrorBody::from(ErrorCode::InvalidHeader).with_message("The request's URI is too long.");
        return Err(Refusal::from(body).with_status(StatusCode::URI_TOO_LONG).closing());
    }
    match route(request.method(), request.uri().path()) {
        Target::Infer(route) => infer(context, route, request).await,
        Target::ModelList => own::model_list(context, &authenticate(context, request.headers())?),
        Target::ModelOne(model) => own::model_one(context, &authenticate(context, request.headers())?, model),
        Target::KeyOwn => own::key(context, authenticate(context, request.headers())?).await,
        Target::NotServed => {
            authenticate(context, request.headers())?;
            let body = ErrorBody::from(ErrorCode::UnknownUrl)
                .with_message("This endpoint is not served by this version. GET /v1/models lists what can be called.");
            Err(body.into())
        }
        Target::WrongMethod(allow) => Err(Refusal::from(ErrorCode::MethodNotAllowed).with_allow(allow)),
        Target::Options(allow) => preflight(context, request.headers(), allow),
        Target::Live => Ok(own::live(context)),
        Target::Ready => Ok(own::ready(context)),
        Target::Unknown => Err(ErrorCode::UnknownUrl.into()),
        Target::Management => manage(context, request).await,
    }
}

async fn infer(context: &Context, route: Route, request: Request<Incoming>) -> Result<Response<Answer>, Refusal> {
    let (head, body) = request.into_parts();
    let caller = authenticate(context, &head.headers)?;
    let received = receive(context, &head.headers, body).await?;
    let authorised = authorise(context, caller, received, route)?;
    let admitted = admit(context, authorised)?;
    let answered = forward::forward(context, admitted, &head.headers).await?;
    forward::meter(context, answered).await
}

/// A caller whose key lives and whose account is in order, at the instant when that was asked.
struct Caller {
    id: PublicId,
    presented: KeyHash,
    grant: KeyGrant,
    /// The page that it is in; `None`: a program calls.
    page: Option<Page>,
}

/// Checks form and checksum, finds the key, compares hashes, and asks whether it may be used from where the request comes.
/// No I/O; a key that is not in memory does not exist.
fn authenticate(context: &Context, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let node = &context.worker.node;
    let presented = Presented::parse(credential(headers)?).map_err(|_| ErrorCode::InvalidApiKey)?;
    // Not compared with today's prefix: a deployment that changes it keeps its keys. Whether this text is a key of ours
    // is for the hash of the whole text to say; tokens and links have peppers of their own.
    context.log.key.set(Some(presented.hint()));
    let now = node.gate.authority_now().ok_or(ErrorCode::KeysNotCurrent)?;
    let (id, hash) = (presented.id(), node.pepper.hash(&presented));
    let page = Page::of(headers);
    let (id, presented, grant) = match KeyGrant::of(&node.keyring, id, &hash, now) {
        Ok(grant) => {
            let key = grant.entry.no;
            if context.client.noted.is_due(key, context.address, now) {
                node.callers.note(key, context.address, now);
            }
            (id, hash, grant)
        }
        // A pass is of key form, and no key.
        Err(code) => {
            let Some(key) = node.passes.redeem(&presented, &hash, &node.world) else {
                // A page that the key allowed is told why the key is dead.
                let dead = node.keyring.key(id).filter(|entry| entry.fits(&hash, now));
                context.readable(page.as_ref(), dead.as_ref());
                return Err(code.into());
            };
            context.log.key.set(Some(key));
            let (grant, presented) = KeyGrant::of_pass(&node.keyring, key.id, now)?;
            (key.id, presented, grant)
        }
    };
    context.client.is_known();
    context.log.account.set(Some(grant.entry.account));
    context.readable(page.as_ref(), Some(&grant.entry));
    if let Err(code) = permit_page(&grant, page.as_ref()) {
        // Whoever reads that page has the key; but a text that is on its way out says nothing of today's.
        if grant.entry.hash() == presented {
            node.exposures.note(grant.entry.no, page.as_ref().and_then(Page::named), now);
        }
        return Err(code.into());
    }
    Ok(Caller { id, presented, grant, page })
}

/// Answers a browser that asks whether a page may send a request. The key comes with the request, so that the question is
/// whether any key allows the page's origin.
fn preflight(context: &Context, headers: &HeaderMap, allow: &'static str) -> Result<Response<Answer>, Refusal> {
    let node = &context.worker.node;
    let Some(origin) = page::preflight(headers) else {
        return Err(Refusal::from(ErrorCode::MethodNotAllowed).with_allow(allow));
    };
    let now = node.gate.authority_now().ok_or(ErrorCode::KeysNotCurrent)?;
    if !node.keyring.some_key_allows(origin.as_bytes(), now) {
        node.metrics.preflights_refused.inc();
        return Err(ErrorCode::BrowserUseRefused.into());
    }
    let mut response = Response::new(Answer::whole(Bytes::new(), &context.client));
    reply::id_set(response.headers_mut(), context.request);
    page::sending_allowed(&mut response, headers, allow);
    Ok(response)
}

/// A body that was read and looked through, and the memory that it takes.
struct Received {
    peeked: Peeked,
    budget: Budget,
    /// It had not come with the head: others ran meanwhile.
    waited: bool,
}

/// Bounds size and time, and finds what decides.
async fn receive(context: &Context, headers: &HeaderMap, body: Incoming) -> Result<Received, Refusal> {
    let node = &context.worker.node;
    if node.draining.load(std::sync::atomic::Ordering::Relaxed) {
        return Err(Refusal::from(ErrorCode::Unavailable).closing());
    }
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let body = ErrorBody::from(ErrorCode::InvalidRequest)
            .with_message("A compressed request body is not taken. Send it without \"content-encoding\".");
        return Err(Refusal::from(body).closing());
    }
    let mut budget = Budget::new(node);
    let (body, waited) = body_read(body, &node.options.limits, &mut budget, &context.client).await?;
    let peeked = peek(body).map_err(ErrorBody::from)?;
    Ok(Received { peeked, budget, waited })
}

/// A request that may be served, registered so that a change reaches it.
struct Authorised {
    received: Received,
    model: Arc<ModelEntry>,
    route: Route,
    registration: Registration,
}

/// Asks again, where the body had to be waited for: key live, account in order; then model known and permitted, route
/// fitting. The answer of the keyring and the registration are one step: nothing was awaited in between, so a change
/// finds either no admission or a registration.
fn authorise(context: &Context, caller: Caller, received: Received, route: Route) -> Result<Authorised, Refusal> {
    let worker = &context.worker;
    let node = &worker.node;
    let name = received.peeked.model();
    let grant = if received.waited {
        let now = node.gate.authority_now().ok_or(ErrorCode::KeysNotCurrent)?;
        let grant = KeyGrant::of(&node.keyring, caller.id, &caller.presented, now)?;
        permit_page(&grant, caller.page.as_ref())?;
        grant
    } else {
        caller.grant
    };
    let model = node.keyring.catalogue().model(name).cloned();
    let model = model.ok_or_else(|| ErrorBody::about_model(ErrorCode::ModelNotFound, name))?;
    permit(&node.keyring, &grant, model.model.no).map_err(|code| ErrorBody::about_model(code, name))?;
    if !route.serves(model.model.kind) {
        return Err(ErrorBody::about_model(ErrorCode::WrongEndpointForModel, name).into());
    }
    let stream = received.peeked.stream();
    let ticket = Ticket::new(&grant, caller.page, model.model.no, stream, Rc::clone(&context.client));
    let registration = worker.in_flight.register(ticket);
    Ok(Authorised { received, model, route, registration })
}

/// A request that is in the books: its limits are taken, its attempts will be counted.
struct Admitted {
    peeked: Peeked,
    running: Running,
}

/// Takes what the request needs of limits. **Here** rate, concurrency and budget are to stand: each either takes its
/// part, which the settlement gives back or keeps, or refuses with nothing taken of the others. Until then only the
/// journal refuses: a request that cannot be counted is not served.
fn admit(context: &Context, authorised: Authorised) -> Result<Admitted, Refusal> {
    use crate::journal::Health;
    let node = &context.worker.node;
    if matches!(node.journal.health(), Health::Full | Health::Broken) {
        return Err(ErrorCode::Unavailable.into());
    }
    let Authorised { received: Received { peeked, budget, .. }, model, route, registration } = authorised;
    let job = Job {
        request: context.request,
        route,
        prompt_bytes: peeked.body().len() as u64,
        output_at_most: most_output(&peeked, &model, route),
        model,
    };
    context.log.streamed.set(peeked.stream());
    let (worker, client) = (Rc::clone(&context.worker), Rc::clone(&context.client));
    let running = Running::new(worker, client, job, registration, Rc::clone(&context.log), budget);
    Ok(Admitted { peeked, running })
}

/// The most output that request and model allow, over all the answers asked for.
fn most_output(peeked: &Peeked, model: &ModelEntry, route: Route) -> Option<u64> {
    if route == Route::Embeddings {
        return Some(0);
    }
    let each = match (peeked.output_limit(), model.output_ceiling()) {
        (Some(asked), Some(ceiling)) => Some(asked.min(ceiling)),
        (asked, ceiling) => asked.or(ceiling),
    };
    each.map(|each| each.saturating_mul(peeked.choices()))
}

/// Everything that is not inference.
async fn manage(context: &Context, request: Request<Incoming>) -> Result<Response<Answer>, Refusal> {
    let Some(bridge) = &context.worker.node.bridge else { return Err(ErrorCode::UnknownUrl.into()) };
    match bridge.call(request, context.address, context.request).await {
        Ok(response) => {
            context.log.told_elsewhere.set(true);
            let (parts, body) = response.into_parts();
            let mut response = Response::from_parts(parts, Answer::management(body, &context.client));
            reply::id_set(response.headers_mut(), context.request);
            Ok(response)
        }
        Err(BridgeRefusal::Full) => Err(ErrorCode::Unavailable.into()),
        Err(BridgeRefusal::Failed) => {
            context.worker.node.metrics.panics.inc();
            Err(ErrorCode::InternalError.into())
        }
    }
}
