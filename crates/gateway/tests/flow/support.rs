//! A gateway on a store of its own, an upstream that follows a script, and a client.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
    time::{sleep, timeout},
};
use tollgate_core::{
    Account, Actor, Id, Key, ModelKind, Origins, Permission, Timestamp, World,
    catalog::{Engine, OnClientGone},
    key::Exposure,
    money::PriceList,
    seal::{MasterKey, SecretText},
    secret::{PlainKey, Prefix},
    usage::{Bucket, UsageQuery, UsageSums},
    world::{Clock, Entropy},
};
use tollgate_gateway::{Gateway, GatewayOptions, Management, ManagementFuture, journal::SyncMode};
use tollgate_store::{
    Store, StoreOptions,
    catalog::{NewModel, NewUpstream, ServedByName},
    keys::NewKey,
};

const LONG: Duration = Duration::from_secs(20);

struct Real;
impl Clock for Real {
    #[expect(clippy::disallowed_methods, reason = "the clock of these tests")]
    fn now(&self) -> Timestamp {
        jiff::Timestamp::now().into()
    }
}
impl Entropy for Real {
    #[expect(clippy::disallowed_methods, reason = "the randomness of these tests")]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).unwrap();
    }
}

pub fn chat(stream: bool) -> String {
    format!(r#"{{"model":"m","stream":{stream},"max_tokens":50,"messages":[{{"role":"user","content":"hi"}}]}}"#)
}
/// The data of a stream's events.
pub fn events(text: &str) -> Vec<&str> {
    text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect()
}

/// What the upstream does with one request.
#[derive(Clone)]
pub struct Script {
    status: u16,
    kind: &'static str,
    pieces: Vec<String>,
    then: Then,
}

#[derive(Clone)]
enum Then {
    End,
    Stall,
    Break,
    Wait(Vec<String>),
}

impl Script {
    pub fn whole(status: u16, body: &str) -> Self {
        Self { status, kind: "application/json", pieces: vec![body.to_owned()], then: Then::End }
    }
    pub fn stream(data: &[&str]) -> Self {
        Self { status: 200, kind: "text/event-stream", pieces: sse(data), then: Then::End }
    }
    pub fn and_stall(self) -> Self {
        Self { then: Then::Stall, ..self }
    }
    pub fn and_break(self) -> Self {
        Self { then: Then::Break, ..self }
    }
    /// Goes on when it is told to.
    pub fn and_wait(self, data: &[&str]) -> Self {
        Self { then: Then::Wait(sse(data)), ..self }
    }
}

fn sse(data: &[&str]) -> Vec<String> {
    data.iter().map(|data| format!("data: {data}\n\n")).collect()
}

#[derive(Clone)]
pub struct Seen {
    pub path: String,
    pub authorization: Option<String>,
    pub body: String,
}

#[derive(Default)]
struct UpstreamState {
    scripts: Mutex<VecDeque<Script>>,
    seen: Mutex<Vec<Seen>>,
    abandoned: AtomicUsize,
    go_on: Notify,
}

#[derive(Clone)]
pub struct FakeUpstream {
    address: SocketAddr,
    state: Arc<UpstreamState>,
}

type Answering = UnsyncBoxBody<Bytes, std::io::Error>;

impl FakeUpstream {
    async fn start(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(UpstreamState { scripts: Mutex::new(scripts.into()), ..UpstreamState::default() });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request| answer(Arc::clone(&state), request));
                    // A connection that ends early is a part of some tests.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, state }
    }
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }
    pub fn go_on(&self) {
        self.state.go_on.notify_one();
    }
    /// Waits until so many answers were broken off by the other side.
    pub async fn abandoned(&self, count: usize) {
        until(async || self.state.abandoned.load(Ordering::SeqCst) >= count).await;
    }
}

async fn answer(state: Arc<UpstreamState>, request: Request<Incoming>) -> Result<Response<Answering>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    state.seen.lock().unwrap().push(Seen {
        path: parts.uri.path().to_owned(),
        authorization: parts.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()),
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let script = state.scripts.lock().unwrap().pop_front().expect("more requests than scripts");
    let response = Response::builder().status(script.status).header("content-type", script.kind);
    if script.kind == "application/json" {
        let whole = Full::new(Bytes::from(script.pieces.concat())).map_err(|never| match never {});
        return Ok(response.body(whole.boxed_unsync()).unwrap());
    }
    let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(1);
    tokio::spawn(async move {
        let send = async |piece: String| sender.send(Ok(Frame::data(piece.into()))).await;
        for piece in script.pieces {
            let _ = send(piece).await;
        }
        match script.then {
            Then::End => {}
            Then::Stall => {
                sender.closed().await;
                state.abandoned.fetch_add(1, Ordering::SeqCst);
            }
            Then::Break => drop(sender.send(Err(std::io::ErrorKind::BrokenPipe.into())).await),
            Then::Wait(pieces) => {
                state.go_on.notified().await;
                for piece in pieces {
                    let _ = send(piece).await;
                }
            }
        }
    });
    let stream = futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|frame| (frame, receiver))
    });
    Ok(response.body(StreamBody::new(stream).boxed_unsync()).unwrap())
}

/// What a test wants otherwise.
pub struct Setup {
    /// The model is served by so many upstreams, all of them the same server.
    pub upstreams: usize,
    pub on_client_gone: OnClientGone,
    pub expires_in: Option<Duration>,
    pub sync: SyncMode,
    pub management: Option<Arc<dyn Management>>,
    pub allowed_origins: Origins,
}

impl Default for Setup {
    fn default() -> Self {
        let (on_client_gone, sync) = (OnClientGone::Cancel, SyncMode::Os);
        let allowed_origins = Origins::default();
        Self { upstreams: 1, on_client_gone, expires_in: None, sync, management: None, allowed_origins }
    }
}

/// Says what it was asked.
pub struct Echo;
impl Management for Echo {
    fn call(
        &self,
        request: Request<Incoming>,
        address: IpAddr,
        _: Option<Id<tollgate_core::usage::Request>>,
    ) -> ManagementFuture {
        Box::pin(async move {
            let said = format!("{} {} from {}", request.method(), request.uri(), address);
            let received = request.into_body().collect().await.unwrap().to_bytes().len();
            let body = Full::new(Bytes::from(format!("{said}, {received} bytes"))).map_err(|never| match never {});
            Response::new(body.boxed_unsync())
        })
    }
}

/// Is broken.
pub struct Panics;
impl Management for Panics {
    fn call(&self, _: Request<Incoming>, _: IpAddr, _: Option<Id<tollgate_core::usage::Request>>) -> ManagementFuture {
        Box::pin(async { panic!("a fault, on purpose") })
    }
}

/// A gateway with two models, `m` (chat) and `e` (embedding), and a key for all of them.
pub struct Fixture {
    pub gateway: Option<Gateway>,
    pub store: Store,
    pub upstream: FakeUpstream,
    pub account: Id<Account>,
    pub key: Key,
    pub text: String,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Fixture {
    pub async fn start(scripts: Vec<Script>) -> Self {
        Self::start_with(scripts, Setup::default()).await
    }
    pub async fn start_with(scripts: Vec<Script>, setup: Setup) -> Self {
        let upstreams = setup.upstreams;
        let directory = tempfile::tempdir().unwrap();
        let world = World::new(Real, Real);
        let upstream = FakeUpstream::start(scripts).await;
        let lease = Duration::from_secs(10);
        let url = format!("sqlite:{}", directory.path().join("store.db").display());
        let options = StoreOptions { url, connections: 4, wait: LONG, lease, key_prefix: Prefix::default() };
        let store = Store::open(options, world.clone()).await.unwrap();
        let master = MasterKey::generate(&world);
        let account = store.seed().await.unwrap().account;
        let actor = Actor::system("test");
        for number in 0..upstreams {
            let id = Id::new(&world);
            let credential = master.seal(&SecretText::new("upstream-secret".into()), &id.to_string(), &world);
            let new = NewUpstream {
                id,
                name: format!("u{number}").parse().unwrap(),
                base_url: format!("http://{}/v1", upstream.address).parse().unwrap(),
                credential: Some(credential),
                engine: Engine::Openai,
                on_client_gone: setup.on_client_gone,
                enabled: true,
            };
            drop(store.upstream_create(&actor, new).await.unwrap());
        }
        for (name, kind) in [("m", ModelKind::Chat), ("e", ModelKind::Embedding)] {
            let served = |number| ServedByName {
                upstream: format!("u{number}").parse().unwrap(),
                model: format!("real-{name}").parse().unwrap(),
                weight: 1,
            };
            let price = PriceList {
                input_per_million: "0.50".parse().unwrap(),
                output_per_million: "1.50".parse().unwrap(),
                ..PriceList::default()
            };
            let new = NewModel {
                name: name.parse().unwrap(),
                title: None,
                kind,
                context_window: None,
                max_output_tokens: None,
                price,
                served_by: (0..upstreams).map(served).collect(),
            };
            drop(store.model_create(&actor, new).await.unwrap());
        }
        let plain = PlainKey::mint(&Prefix::default(), &world);
        let presented = plain.presented().unwrap();
        let new = NewKey {
            account,
            prefix: presented.prefix(),
            public_id: presented.id(),
            hash: master.key_pepper().hash(&presented),
            name: "test".parse().unwrap(),
            permission: Permission::All,
            allowed_origins: setup.allowed_origins,
            expires_at: setup.expires_in.map(|time| world.now().plus(time)),
            note: None,
            created_by: None,
            idempotency_key: None,
        };
        let key = store.key_create(&actor, new).await.unwrap().value;
        let mut options = GatewayOptions::new(
            "127.0.0.1:0".parse().unwrap(),
            directory.path().join("journal"),
            "test".parse().unwrap(),
        );
        options.workers = 2;
        options.journal.sync = setup.sync;
        let mut registry = prometheus_client::registry::Registry::default();
        let gateway =
            Gateway::start(options, store.clone(), master, world, setup.management, &mut registry).await.unwrap();
        let address = gateway.local_addr();
        let text = plain.expose().to_owned();
        Self { gateway: Some(gateway), store, upstream, account, key, text, address, _directory: directory }
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, Some(&format!("Bearer {}", self.text)), body).await
    }
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, Some(&format!("Bearer {}", self.text)), "").await
    }
    pub async fn send(&self, method: &str, path: &str, credential: Option<&str>, body: &str) -> Answer {
        let credential: Vec<_> = credential.map(|credential| ("authorization", credential)).into_iter().collect();
        self.send_with(method, path, &credential, body).await
    }
    /// The same with these headers and no others.
    pub async fn send_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let response = self.begin(method, path, headers, body).await;
        let (parts, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        while let Some(Ok(frame)) = timeout(LONG, body.frame()).await.unwrap() {
            bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
        Answer { status: parts.status, headers: parts.headers, bytes }
    }
    /// An answer that is read piece by piece.
    pub async fn open(&self, path: &str, body: &str) -> Running {
        self.open_from(path, &[], body).await
    }
    /// The same with headers beside the key.
    pub async fn open_from(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Running {
        let credential = format!("Bearer {}", self.text);
        let headers = [&[("authorization", credential.as_str())], headers].concat();
        let response = self.begin("POST", path, &headers, body).await;
        assert_eq!(response.status(), StatusCode::OK);
        Running(response.into_body())
    }
    async fn begin(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("host", "test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        timeout(LONG, sender.send_request(request)).await.unwrap().unwrap()
    }

    /// The requests of web pages that are noted at the key, once there are so many.
    pub async fn exposed(&self, requests: u64) -> Exposure {
        let read = async || self.store.key_get(None, self.key.id).await.unwrap().exposure;
        until(async || read().await.browser_requests >= requests).await;
        let exposure = read().await;
        assert_eq!(exposure.browser_requests, requests);
        exposure
    }
    /// All that is in the usage tables.
    pub async fn usage(&self) -> UsageSums {
        let query = UsageQuery {
            account: None,
            from: Timestamp::default(),
            to: Timestamp::MAX,
            bucket: Bucket::Total,
            group_by: vec![],
            keys: vec![],
            models: vec![],
            zone: jiff::tz::TimeZone::UTC,
        };
        self.store.usage_report(&query).await.unwrap().first().map(|row| row.sums).unwrap_or_default()
    }
    /// The same, once it has that many attempts.
    pub async fn counted(&self, attempts: u64) -> UsageSums {
        until(async || self.usage().await.requests >= attempts).await;
        let sums = self.usage().await;
        assert_eq!(sums.requests, attempts);
        sums
    }
    pub async fn stop(mut self) {
        self.gateway.take().unwrap().shutdown(LONG).await;
    }
}

/// Looks until it is so.
async fn until(is_so: impl AsyncFn() -> bool) {
    let looking = async {
        while !is_so().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, looking).await.expect("it never came to be so");
}

pub struct Answer {
    pub status: StatusCode,
    headers: http::HeaderMap,
    bytes: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
    pub fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.bytes).unwrap_or_default();
        body["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

pub struct Running(Incoming);

impl Running {
    pub async fn next(&mut self) -> Option<String> {
        let frame = timeout(LONG, self.0.frame()).await.unwrap()?;
        Some(String::from_utf8(frame.ok()?.into_data().unwrap_or_default().to_vec()).unwrap())
    }
    pub async fn rest(mut self) -> String {
        let mut text = String::new();
        while let Some(piece) = self.next().await {
            text.push_str(&piece);
        }
        text
    }
}
