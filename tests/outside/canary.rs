//! No secret is left anywhere: not in logs at their most talkative, not in either database or its log of changes, not in
//! journals, errors, metrics, the browser's files, memory or a core file. Every form is looked for that
//! `tollgate_canary::forms` knows.
//!
//! Each test also plants something that must be found in the same places, so that finding nothing proves something.

use std::{net::SocketAddr, os::unix::process::ExitStatusExt, process::Command, time::Duration};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use tollgate_canary::{Canary, Hit};
use tollgate_tests::{
    DEADLINE, Engine, FakeUpstream, House, Http, Issued, NodeOptions, Reply,
    engine::Database,
    eventually,
    house::{CREDENTIAL, bootstrap, catalogue},
    json, left_behind, memory, on_both,
    proxy::Proxy,
};

on_both!(no_secret_is_left_in_any_file_answer_or_metric, memory_holds_no_key_once_its_connections_are_closed,);

/// What is planted in places where something of a client's may be: it must be found there.
const PLANTED: &str = "planted-by-the-canary-to-be-found-9d41";
/// Another credential of an upstream.
const OTHER_CREDENTIAL: &str = "sk-another-credential-0b77d2";

/// Answers that may hold no secret, by what they answered.
#[derive(Default)]
struct Told(Vec<(String, Vec<u8>)>);

impl Told {
    fn keep(&mut self, what: &str, reply: &Reply) {
        self.0.push((what.to_owned(), reply.to_string().into_bytes()));
    }
}

/// A house whose node logs all that it can. On PostgreSQL its store can be cut off.
async fn open(engine: Engine) -> (House, Option<Proxy>) {
    let upstream = FakeUpstream::start().await;
    let directory = tempfile::tempdir().unwrap();
    let database = engine.database(directory.path());
    let (store, proxy) = match engine {
        Engine::Sqlite => (database.url(), None),
        Engine::Postgres => {
            let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], Database::cluster_port()))).await;
            (database.url_through(proxy.port()), Some(proxy))
        }
    };
    let options = NodeOptions::new(&directory.path().join("node"), store)
        .settings(&catalogue(&upstream, "openai", "cancel"))
        .member("log", "level = \"trace\"");
    let node = options.start().await;
    let token = bootstrap(node.options());
    (House { node, upstream, token, database, directory }, proxy)
}

async fn no_secret_is_left_in_any_file_answer_or_metric(engine: Engine) {
    let (mut house, proxy) = open(engine).await;
    left_behind::saw_secret(OTHER_CREDENTIAL);
    let mut told = Told::default();

    let key = house.key(&["chat-a", "embed-a"]).await;
    let path = format!("keys/{}/rotate", key.id);
    let rotated = house.api("POST", &path).json(&json!({"grace": "1h"})).send().await;
    let rotated = Issued::from(rotated.expect(200));
    let dead = house.key(&["chat-a"]).await;
    house.revoke(&dead).await.expect(200);
    house.key_with(json!({"name": PLANTED, "models": "all"})).await;
    let member = house.token_of("default", "member").await;
    by_command_line(&house, &mut told);
    by_sign_in(&house, &mut told).await;
    credentials(&house, &mut told).await;
    for text in [&key.key, &rotated.key, &dead.key] {
        used_in_every_way(&house, text, &mut told).await;
        used_as_a_name(&house, text, &mut told).await;
    }
    for token in [&house.token, &member] {
        told.keep("a token for inference", &house.chat(token, "chat-a", json!({})).send().await);
        told.keep("a token in a query", &house.http().get(&format!("/api/v1/keys?token={token}")).send().await);
    }
    leaked(&house, &mut told).await;
    if let Some(proxy) = proxy {
        proxy.cut();
        told.keep("without its store", &house.api("POST", "keys").json(&json!({"name": "k"})).send().await);
        told.keep("without its store", &house.chat(&rotated.key, "chat-a", json!({})).send().await);
        proxy.mend();
        eventually("the store is back", async || {
            let reply = house.api("GET", "keys").send().await;
            (reply.status == 200).then_some(())
        })
        .await;
    }
    for path in ["keys", "audit", "upstreams", "nodes", "users", "tokens", "usage?group_by=key", "models"] {
        told.keep(path, &house.api("GET", path).send().await.expect(200));
    }
    let metrics = Http::at(house.node.ready()["metrics"].as_str().expect("an address"));
    told.keep("metrics", &metrics.get("/metrics").send().await.expect(200));

    // In the middle of everything, and once more from what that left.
    let mut running =
        house.chat(&rotated.key, "chat-a", json!({"stream": true, "fake": {"stall_at": 2}})).stream().await;
    running.next_event().await.unwrap().unwrap();
    let options = house.node.kill();
    look_everywhere(&house.database, &options, &told);
    house.node = options.start().await;
    eventually("usage is counted", async || (house.ask(&rotated.key, "chat-a").await == "200").then_some(())).await;
    house.node.signal(Signal::TERM);
    house.node.ended(DEADLINE).await;
    look_everywhere(&house.database, &options, &told);
}

/// Right and wrong, wherever a client may put a key.
async fn used_in_every_way(house: &House, text: &str, told: &mut Told) {
    let http = house.http();
    let mut mistyped = text.to_owned();
    mistyped.replace_range(61..62, if text.ends_with('0') { "1" } else { "0" });
    let hello = json!({"model": "chat-a", "messages": [{"role": "user", "content": "Hello?"}]});
    let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let in_json: String = text.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let bearer = |request: tollgate_tests::http::Request| request.bearer(text);
    let requests = [
        ("plain", house.chat(text, "chat-a", json!({}))),
        ("streamed", house.chat(text, "chat-a", json!({"stream": true}))),
        ("refused upstream", house.chat(text, "chat-a", json!({"fake": {"status": 500}}))),
        ("a model that is not permitted", house.chat(text, "chat-b", json!({}))),
        ("the key as model", house.chat(text, text, json!({}))),
        ("the key in the body", house.chat(text, "chat-a", json!({"user": text, "metadata": {"key": text}}))),
        ("mistyped", house.chat(&mistyped, "chat-a", json!({}))),
        ("in x-api-key", http.post("/v1/chat/completions", &hello).header("x-api-key", text)),
        ("in both", house.chat(text, "chat-a", json!({})).header("x-api-key", text)),
        ("twice", house.chat(text, "chat-a", json!({})).bearer(text)),
        ("without a scheme", http.post("/v1/chat/completions", &hello).header("authorization", text)),
        ("as its own request id", house.chat(text, "chat-a", json!({})).header("x-request-id", text)),
        (
            "in a longer request id",
            house.chat(text, "chat-a", json!({})).header("x-request-id", &format!("{}{text}", "x".repeat(90))),
        ),
        ("as cookie", http.get("/v1/models").header("cookie", &format!("key={text}"))),
        ("as agent", http.get("/v1/models").header("user-agent", text)),
        ("in the query", http.post(&format!("/v1/chat/completions?api_key={text}"), &hello)),
        ("in the query, escaped", http.get(&format!("/v1/models?key={escaped}"))),
        ("in the path", bearer(http.get(&format!("/v1/models/{text}")))),
        ("in the path, escaped", bearer(http.get(&format!("/v1/models/{escaped}")))),
        ("in a path of management", http.get(&format!("/a/{text}/keys"))),
        ("as sign-in link", http.get(&format!("/sign-in/{text}"))),
        ("as method", http.request(&text[..20], &format!("/{text}"))),
        ("broken JSON", bearer(http.request("POST", "/v1/chat/completions")).body(format!("{{\"model\": {text}"))),
        (
            "escaped JSON",
            bearer(http.request("POST", "/v1/chat/completions")).body(format!("{{\"model\": \"{in_json}\"}}")),
        ),
        ("for management", house.api_as(text, "GET", "keys")),
        ("as an unknown parameter", house.api("GET", &format!("keys?q={text}"))),
        ("as a search", house.api("GET", &format!("keys?search={text}"))),
        ("as an id", house.api("GET", &format!("keys/{text}"))),
        ("as a field", house.api("POST", "keys").json(&json!({"name": "k", text: 1}))),
    ];
    for (what, request) in requests {
        match request.try_send().await {
            Ok(reply) => told.keep(what, &reply),
            Err(error) => panic!("{what}: {error:#}"),
        }
    }
    // The whole text finds its key.
    let found = house.api("GET", &format!("keys?search={text}")).send().await.expect(200).json();
    assert_eq!(found["data"][0]["hint"].as_str().map(|hint| hint.trim_end_matches('…')), text.get(..15), "{found}");
    let mut cut = house.chat(text, "chat-a", json!({"stream": true, "fake": {"cut_at": 2}})).try_stream().await;
    if let Ok(stream) = &mut cut {
        let rest = stream.rest().await.unwrap_or_default();
        told.0.push(("a stream that breaks off".to_owned(), rest.to_vec()));
    }
    for raw in [
        format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {text}\r\nbad header {text}\r\n\r\n"),
        format!("GET /v1/models HTTP/1.1\r\nhost: x\r\n{text}\x01: {text}\r\n\r\n"),
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {text}\r\ncontent-length: {text}\r\n\r\n"
        ),
        format!("{text}\r\n\r\n"),
    ] {
        let answer = http.raw(raw.as_bytes(), Duration::from_millis(500)).await;
        told.0.push(("what is no request".to_owned(), answer.to_vec()));
    }
}

/// For names of things, which are looked for in the store.
async fn used_as_a_name(house: &House, text: &str, told: &mut Told) {
    for (what, body) in [
        ("as models", json!({"name": "k", "models": [text]})),
        ("as an account", json!({"name": "k", "models": "all", "account": text})),
    ] {
        told.keep(what, &house.api("POST", "keys").json(&body).send().await);
    }
    let cli = house.cli();
    for arguments in [&["models", "show", text][..], &["accounts", "show", text], &["upstreams", "show", text]] {
        let ran = cli.run(arguments);
        told.0.push((format!("standard error of {}", arguments[..2].join(" ")), ran.stderr.into_bytes()));
    }
}

/// Made, shown, rotated, ended and mistaken by the command line. What it prints for its caller is the caller's; what it
/// says beside is not.
fn by_command_line(house: &House, told: &mut Told) {
    let cli = house.cli();
    let made = cli.run(&["keys", "create", "--name", "by command line", "--models", "all", "--json"]).expect(0);
    let (id, text) = (made.json()["id"].as_str().unwrap().to_owned(), made.json()["key"].as_str().unwrap().to_owned());
    for arguments in [
        &["keys", "list"][..],
        &["keys", "show", id.as_str()],
        &["keys", "show", text.as_str()],
        &["keys", "list", "--search", text.as_str()],
        &["keys", "revoke", text.as_str(), "--yes"],
        &["keys", "rotate", id.as_str(), "--grace", "1h", "--yes"],
        &["keys", "revoke", id.as_str(), "--yes"],
    ] {
        let ran = cli.run(arguments);
        told.0.push((format!("standard error of {}", arguments[..2].join(" ")), ran.stderr.into_bytes()));
    }
}

/// Signed in by a link, as a browser does.
async fn by_sign_in(house: &House, told: &mut Told) {
    let user = house.api("POST", "users").json(&json!({"name": "Ann", "operator": true})).send().await.expect(201);
    let path = format!("users/{}/sign-in-links", user.json()["id"].as_str().unwrap());
    let link = house.api("POST", &path).send().await.expect(201).json()["url"].as_str().unwrap().to_owned();
    let path = link.trim_start_matches(&house.url()).to_owned();
    let post = || house.http().request("POST", &path).header("origin", &house.url());
    let first = post().send().await;
    let cookie = first.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    assert!(cookie.contains('='), "{first}");
    told.keep("a link that is used up", &post().send().await);
    for page in ["/", "/me", "/me/tokens", "/a/default/keys"] {
        told.keep(page, &house.http().get(page).header("cookie", &cookie).send().await);
    }
}

/// An upstream's credential, given and changed.
async fn credentials(house: &House, told: &mut Told) {
    let upstream = json!({"name": "vendor", "base_url": house.upstream.base_url(), "credential": OTHER_CREDENTIAL});
    told.keep("an upstream", &house.api("POST", "upstreams").json(&upstream).send().await.expect(201));
    told.keep("an upstream twice", &house.api("POST", "upstreams").json(&upstream).send().await.expect(409));
    let wrong = json!({"name": "other", "base_url": OTHER_CREDENTIAL, "credential": 7});
    told.keep("an upstream with its fields mistaken", &house.api("POST", "upstreams").json(&wrong).send().await);
}

/// A key that was found in public, told by whoever found it, with and without a token.
async fn leaked(house: &House, told: &mut Told) {
    let lost = house.key(&["chat-a"]).await;
    let report = json!({"keys": [lost.key], "found_at": "https://example.com/a"});
    told.keep("a report", &house.http().post("/leaks", &report).send().await);
    told.keep("an operator's report", &house.api("POST", "leaks").json(&report).send().await);
    told.keep("a leaked key", &house.chat(&lost.key, "chat-a", json!({})).send().await);
}

/// No secret is in what a node and its store left, nor in what was told; what was planted is in the store, plainly.
fn look_everywhere(database: &Database, options: &NodeOptions, told: &Told) {
    let secrets = left_behind::secrets();
    let canary = Canary::new(secrets.iter().map(String::as_str));
    let planted = Canary::new([PLANTED]);
    let mut hits = left_behind::hits(&canary, options);
    for (what, bytes) in &told.0 {
        hits.extend(canary.hits(what, 0, bytes));
    }
    let mut found = Vec::new();
    for file in database.files().unwrap_or_default() {
        hits.extend(canary.hits_in_file(&file).expect("a file"));
        found.extend(planted.hits_in_file(&file).expect("a file"));
    }
    if let (Database::Postgres(_), Some(files)) = (database, database.files()) {
        assert!(!files.is_empty());
        assert!(is_in(&found, "/base/") && is_in(&found, "/pg_wal/"), "what was planted is not there: {found:?}");
    }
    // Whoever may not read PostgreSQL's files sees its tables at least.
    let dumped = database.bytes();
    hits.extend(canary.hits("the dump of the store", 0, &dumped));
    assert!(!planted.hits("the dump", 0, &dumped).is_empty(), "what was planted is in the store");
    assert!(hits.is_empty(), "{}", left_behind::shown(&hits));
    let log = std::fs::read_to_string(options.directory.join("log")).expect("a log");
    // The level is `trace`; what is linked in says nothing below `debug` as it is built today.
    assert!(log.contains("\"level\":\"DEBUG\""), "the log says all that it can");
}

fn is_in(hits: &[Hit], place: &str) -> bool {
    hits.iter().any(|hit| hit.place.contains(place))
}

/// A secret that is on its way to the log, since an operator named a model so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_be_logged_is_stopped_and_counted() {
    // In PostgreSQL's files, which belong to all tests, it would be found at the end.
    let house = House::open_with(Engine::Sqlite, |options, _| options.leaky()).await;
    let key = house.key_with(json!({"name": "k", "models": "all"})).await;
    assert_eq!(house.node.secrets_stopped(), Some(0));
    let model =
        json!({"name": key.key, "kind": "chat", "served_by": [{"upstream": "fake", "model": "chat-a", "weight": 1}]});
    house.api("POST", "models").json(&model).send().await.expect(201);
    eventually("the model is there", async || (house.ask(&key.key, &key.key).await == "200").then_some(())).await;
    let hint = key.answer["hint"].as_str().unwrap();
    let said = format!("\"model\":\"{hint}\"");
    eventually("the line is written", async || house.node.log().contains(&said).then_some(())).await;
    assert!(house.node.secrets_stopped() >= Some(1));
    let canary = Canary::new([key.key.as_str()]);
    assert_eq!(canary.hits("the log", 0, house.node.log().as_bytes()), []);
    // The same sweep finds it where it was put: in the store.
    assert!(!canary.hits("the store", 0, &house.database.bytes()).is_empty());
}

/// As decision 12 says: while a connection is open its buffers may hold what came and went over it; when it is closed
/// they are wiped.
async fn memory_holds_no_key_once_its_connections_are_closed(engine: Engine) {
    let (house, _proxy) = open(engine).await;
    let mut told = Told::default();
    let key = house.key(&["chat-a"]).await;
    let path = format!("keys/{}/rotate", key.id);
    let rotated = Issued::from(house.api("POST", &path).json(&json!({"grace": "1h"})).send().await.expect(200));
    let member = house.token_of("default", "member").await;
    for text in [&key.key, &rotated.key] {
        used_in_every_way(&house, text, &mut told).await;
        // SQLite copies what it looks for into memory of its own, which is not wiped: see the decision.
        if engine == Engine::Postgres {
            used_as_a_name(&house, text, &mut told).await;
        }
    }
    by_sign_in(&house, &mut told).await;
    by_command_line(&house, &mut told);
    for _ in 0..50 {
        house.ask(&rotated.key, "chat-a").await;
        house.api_as(&member, "GET", "keys").send().await.expect(200);
    }
    let secrets = left_behind::secrets();
    let canary = Canary::new(secrets.iter().map(String::as_str).filter(|secret| *secret != CREDENTIAL));
    // Connections end when the node has seen that they did.
    let mut last = Vec::new();
    let clean = eventually_or_last(async || match memory::hits(&house.node, &canary) {
        Ok(hits) => {
            last = hits;
            Some(last.is_empty())
        }
        Err(error) => {
            // Nobody but root looks into it: that is the promise, too.
            assert!(!rustix::process::geteuid().is_root(), "{error}");
            None
        }
    })
    .await;
    let Some(clean) = clean else { return };
    assert!(clean, "{}", left_behind::shown(&last));
    // The search sees what is there: what goes to upstreams is in memory as long as the upstream is.
    let credential = memory::hits(&house.node, &Canary::new([CREDENTIAL])).expect("memory");
    assert!(!credential.is_empty(), "the search finds what is in memory");
}

/// Looks until it is clean or a deadline passes; `None` when there is nothing to be seen.
async fn eventually_or_last(mut look: impl AsyncFnMut() -> Option<bool>) -> Option<bool> {
    for _ in 0..20 {
        if look().await? {
            return Some(true);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Some(false)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_leaves_no_core_file() {
    let most = getrlimit(Resource::Core).maximum;
    setrlimit(Resource::Core, Rlimit { current: most, maximum: most }).unwrap();
    let house = House::open(Engine::Sqlite).await;
    let key = house.key(&["chat-a"]).await;
    house.ask(&key.key, "chat-a").await;
    house.node.signal(Signal::ABORT);
    let directory = house.node.options().directory.clone();
    let status = house.node.ended(DEADLINE).await;
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()), "{status}");
    assert!(!status.core_dumped(), "{status}");
    let is_core =
        |path: &std::path::PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core"));
    assert!(!tollgate_tests::node::files_below(&directory).iter().any(is_core));
    // Another program that ends so does leave one here, where this machine allows it.
    let other = tempfile::tempdir().unwrap();
    let status = Command::new("sh").args(["-c", "kill -ABRT $$"]).current_dir(other.path()).status().unwrap();
    println!("another program's core file: {}", if status.core_dumped() { "written" } else { "not to be had here" });
}
