//! The set-up: a new store, the router, the operator's token, a clock that tests turn.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_core::{
    Actor, Id, Timestamp, World,
    catalog::{Route, UpstreamAuth},
    seal::MasterKey,
    secret::{KeyHint, Prefix},
    world::{Clock, Entropy},
};
use tollgate_manage::{
    DocsOptions, Documentation, Inference, InferenceFuture, LeakOptions, ManageOptions, ProbeAnswer, ProbeFuture,
    SignInOptions, UpstreamHealthSource, UpstreamHealthView, UpstreamProbe,
    notify::{Notifier, NotifyOptions},
    services,
};
use tollgate_store::{Store, StoreOptions};
use tower::ServiceExt;

/// 2026-11-20T09:30:00Z
pub const NOW_MS: i64 = 1_795_167_000_000;

#[derive(Clone)]
pub struct Turned(Arc<AtomicI64>);
impl Clock for Turned {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}
/// Different each time, the same in each run: splitmix64.
struct Counted(AtomicU64);
impl Entropy for Counted {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}
/// Knows that `gpu-a` is down.
struct Health;
impl UpstreamHealthSource for Health {
    fn health(&self, name: &str) -> Option<UpstreamHealthView> {
        let at = Timestamp::from_millis(NOW_MS);
        let last_error = Some("connection refused".to_owned());
        (name == "gpu-a").then_some(UpstreamHealthView { healthy: false, since: at, checked_at: Some(at), last_error })
    }
}

/// Reaches `gpu-a`, which lists two models and wants its credential; nothing else answers.
struct Probe;
impl UpstreamProbe for Probe {
    fn probe(&self, auth: UpstreamAuth) -> ProbeFuture {
        Box::pin(async move {
            let right = auth.credential.is_some_and(|credential| credential.expose() == "sk-secret-upstream");
            match auth.upstream.name.as_str() {
                "gpu-a" if right => {
                    Ok(ProbeAnswer { status: 200, models: Some(vec!["chat-a".to_owned(), "other".to_owned()]) })
                }
                "gpu-a" => Ok(ProbeAnswer { status: 401, models: None }),
                _ => Err("connection refused".to_owned()),
            }
        })
    }
}

/// Answers as a data plane would: says which key, route and body it was called with.
struct Echo;
impl Inference for Echo {
    fn call(&self, key: KeyHint, route: Route, body: Bytes) -> InferenceFuture {
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let said = format!("{key} {} {}", route.path(), asked["messages"][0]["content"].as_str().unwrap_or("text"));
        let (kind, answer) = if asked["model"] == "chat-a" && asked["stream"] == true {
            (
                "text/event-stream",
                format!("data: {}\n\ndata: [DONE]\n\n", json!({"choices": [{"delta": {"content": said}}]})),
            )
        } else {
            let usage = json!({"prompt_tokens": 1234, "completion_tokens": 5});
            ("application/json", json!({"choices": [{"message": {"content": said}}], "usage": usage}).to_string())
        };
        let body = http_body_util::Full::new(Bytes::from(answer)).map_err(|never| match never {}).boxed_unsync();
        let response = http::Response::builder().header("content-type", kind).body(body).unwrap();
        Box::pin(async move { Ok(response) })
    }
}

pub struct House {
    pub router: Router,
    pub store: Store,
    pub world: World,
    pub master_key: MasterKey,
    pub operator: String,
    pub notifier: Notifier,
    pub background: tollgate_manage::Background,
    clock: Turned,
    _directory: TempDir,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }
    /// A problem of this status and code.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert!(!self.header("x-request-id").is_empty());
        let problem = self.json();
        assert_eq!((&problem["code"], &problem["status"]), (&json!(code), &json!(status)), "{problem}");
        assert_eq!(problem["type"], format!("urn:tollgate:problem:{code}"));
        problem
    }
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl House {
    pub async fn open() -> Self {
        Self::open_at(None).await
    }
    pub async fn open_at(public_url: Option<&str>) -> Self {
        let leaks = LeakOptions { token_type: "tollgate_api_key".into(), ..LeakOptions::default() };
        Self::open_with(public_url, leaks, NotifyOptions::default()).await
    }
    /// One that tells people so.
    pub async fn open_telling(notify: NotifyOptions) -> Self {
        let leaks = LeakOptions { token_type: "tollgate_api_key".into(), ..LeakOptions::default() };
        Self::open_with(None, leaks, notify).await
    }
    /// One whose operator has pages of their own.
    pub async fn open_documented(directory: &std::path::Path) -> Self {
        let docs = DocsOptions { directory: Some(directory.to_owned()), list_models: true, model: None };
        Self::open_all(None, LeakOptions::default(), NotifyOptions::default(), docs).await
    }
    pub async fn open_with(public_url: Option<&str>, leaks: LeakOptions, notify: NotifyOptions) -> Self {
        Self::open_all(public_url, leaks, notify, DocsOptions { directory: None, list_models: true, model: None }).await
    }
    async fn open_all(public_url: Option<&str>, leaks: LeakOptions, notify: NotifyOptions, docs: DocsOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Turned(Arc::new(AtomicI64::new(NOW_MS)));
        let world = World::new(clock.clone(), Counted(AtomicU64::new(1)));
        let options = StoreOptions {
            url: format!("sqlite:{}", directory.path().join("tollgate.db").display()),
            connections: 4,
            wait: std::time::Duration::from_secs(5),
            lease: std::time::Duration::from_secs(10),
            key_prefix: Prefix::default(),
        };
        let store = Store::open(options, world.clone()).await.unwrap();
        let master_key = MasterKey::from_bytes([7; 32]);
        let prefix = Prefix::default();
        let token = services::bootstrap_operator_token(&store, &master_key, &prefix, &world).await.unwrap();
        let notifier = Notifier::new(notify, store.clone(), world.clone(), master_key.clone()).unwrap();
        notifier.console_at("https://tollgate.example");
        let background = tollgate_manage::Background::default();
        let docs = Documentation::new(docs);
        docs.reached_at("https://tollgate.example", "https://tollgate.example");
        let router = tollgate_manage::router(ManageOptions {
            notifier: notifier.clone(),
            store: store.clone(),
            world: world.clone(),
            master_key: master_key.clone(),
            prefix,
            contact_url: Some("mailto:sales@example.com".into()),
            public_url: public_url.map(Into::into),
            sign_in: SignInOptions {
                session_life: std::time::Duration::from_secs(14 * 86_400),
                session_idle: std::time::Duration::from_secs(7 * 86_400),
                oidc: None,
            },
            leaks,
            leak_figures: tollgate_manage::LeakFigures::default(),
            background: background.clone(),
            upstream_health: Arc::new(Health),
            upstream_probe: Arc::new(Probe),
            docs,
            inference: Arc::new(Echo),
            version: "0.0.0-test",
        });
        let operator = token.expose().to_owned();
        Self { router, store, world, master_key, operator, background, clock, notifier, _directory: directory }
    }
    pub fn turn_clock(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    }
    /// A call of the API, `path` behind `/api/v1/`.
    pub async fn call(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.call_with(token, method, path, &[], body).await
    }
    pub async fn call_with(
        &self,
        token: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(if path.starts_with('/') { path.to_owned() } else { format!("/api/v1/{path}") })
            .header("authorization", format!("Bearer {token}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        self.send(request.unwrap()).await
    }
    pub async fn get(&self, path: &str) -> Answer {
        self.call(&self.operator, "GET", path, None).await
    }
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(&self.operator, "POST", path, Some(body)).await
    }
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(&self.operator, "PATCH", path, Some(body)).await
    }
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(&self.operator, "DELETE", path, None).await
    }
    /// Makes a model and the upstream `gpu-a` that serves it.
    pub async fn model(&self, name: &str) {
        let upstream =
            json!({"name": "gpu-a", "base_url": "http://127.0.0.1:9/v1", "credential": "sk-secret-upstream"});
        let made = self.post("upstreams", upstream).await;
        assert!([201, 409].contains(&made.status.as_u16()), "{}", made.text);
        let model = json!({"name": name, "kind": "chat", "served_by": [{"upstream": "gpu-a"}]});
        self.post("models", model).await.expect(201);
    }
    pub async fn key(&self) -> Value {
        self.post("keys", json!({"name": "a key", "models": "all"})).await.expect(201).json()
    }
    /// A user with this role in an account, and a token of it.
    pub async fn member(&self, account: &str, role: &str) -> (String, String) {
        let user = json!({"name": format!("{role} of {account}"), "memberships": [{"account": account, "role": role}]});
        let user = self.post("users", user).await.expect(201).json()["id"].as_str().unwrap().to_owned();
        let token =
            self.post("tokens", json!({"name": "t", "user": user, "account": account})).await.expect(201).json();
        (user, token["token"].as_str().unwrap().to_owned())
    }
    /// A second account on the paid plan.
    pub async fn account(&self, handle: &str) -> Value {
        self.post("accounts", json!({"handle": handle, "plan": "unlimited"})).await.expect(201).json()
    }
    /// A one-time link of the operator.
    pub async fn link(&self) -> String {
        let operator = self.store.seed().await.unwrap().operator;
        let (store, actor) = (&self.store, Actor::system("test"));
        let link =
            services::sign_in_link(store, &self.master_key, &Prefix::default(), &self.world, &actor, operator).await;
        services::sign_in_path(&link.unwrap())
    }
}

/// The id of something of that name in a list.
pub fn id_of(list: &Value, field: &str, name: &str) -> String {
    let found = list["data"].as_array().unwrap().iter().find(|one| one[field] == name);
    found.unwrap_or_else(|| panic!("no {name}: {list}"))["id"].as_str().unwrap().to_owned()
}

pub fn no_such<K: tollgate_core::id::IdKind>(house: &House) -> Id<K> {
    Id::new(&house.world)
}
