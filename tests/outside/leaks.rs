//! Keys that were found in public: from a report to a key that is dead, on every node, whatever is down meanwhile.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tollgate_tests::{
    DEADLINE, Engine, FakeUpstream, House, Http, Node, NodeOptions,
    engine::Database,
    eventually,
    github::{FakeGithub, entry},
    house::{bootstrap, catalogue, chat},
    json,
    leak::Keys,
    on_both,
    proxy::Proxy,
};

on_both!(
    github_reports_a_key_and_its_stream_is_cut_and_its_next_request_refused,
    anybody_reports_a_key_and_it_dies_and_an_owner_brings_it_back,
    a_report_is_followed_though_its_sender_hangs_up,
    an_account_may_be_set_to_be_told_only,
    what_a_scan_finds_and_reports_is_dead,
);

async fn house_with(github: &FakeGithub, engine: Engine) -> House {
    House::open_with(engine, |options, _| options.member("leaks", &github.setting())).await
}

async fn github_reports_a_key_and_its_stream_is_cut_and_its_next_request_refused(engine: Engine) {
    let github = FakeGithub::start().await;
    let house = house_with(&github, engine).await;
    let (key, other) = (house.key(&["chat-a"]).await, house.key(&["chat-a"]).await);
    let mut stream = house.chat(&key.key, "chat-a", json!({"stream": true, "fake": {"stall_at": 1}})).stream().await;
    stream.next_event().await.unwrap().unwrap();
    let entries = json!([entry("tg_none", ""), entry(&key.key, "https://github.com/a/b/blob/c/d")]);
    let answer = github.report(house.http(), &entries).send().await.expect(200).json();
    assert_eq!([&answer[0]["label"], &answer[1]["label"]], ["false_positive", "true_positive"], "{answer}");
    let events = stream.events().await.unwrap();
    assert!(events.last().unwrap().contains("api_key_leaked"), "{events:?}");
    assert!(!events.iter().any(|event| event == "[DONE]"), "{events:?}");
    assert_eq!(house.ask(&key.key, "chat-a").await, "401 api_key_leaked");
    assert_eq!(house.ask(&other.key, "chat-a").await, "200");
    // Again, and again out of order: nothing more happens.
    for entries in [entries, json!([entry(&key.key, "https://github.com/a/b/blob/c/d")])] {
        github.report(house.http(), &entries).send().await.expect(200);
    }
    let shown = house.api("GET", &format!("keys/{}", key.id)).send().await.expect(200).json();
    assert_eq!((&shown["status"], &shown["leak"]["reports"]), (&json!("leaked"), &json!(3)), "{shown}");
    assert_eq!(shown["leak"]["found_at"], "https://github.com/a/b/blob/c/d");
    let log = house.api("GET", "audit?action=key.leak").send().await.expect(200).json();
    assert_eq!(log["data"].as_array().unwrap().len(), 1, "{log}");
    assert_eq!(github.asked(), 1);
    assert!(!house.node.log().contains(&key.key));
    // Somebody else's signature is refused. Metrics tell both.
    let stranger = FakeGithub::start_as([7; 32]).await;
    stranger.report(house.http(), &json!([entry(&key.key, "")])).send().await.expect(400);
    let metrics = Http::at(house.node.ready()["metrics"].as_str().unwrap());
    let metrics = metrics.get("/metrics").send().await.expect(200);
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    for line in [
        "tollgate_leak_reports_total{source=\"github\",outcome=\"ended\"} 1",
        "tollgate_leak_reports_total{source=\"github\",outcome=\"unchanged\"} 2",
        "tollgate_leak_reports_total{source=\"github\",outcome=\"not_a_key\"} 2",
        "tollgate_leak_refusals_total{source=\"github\",reason=\"unknown_key\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_reported_to_one_node_is_dead_on_the_other_when_the_answer_comes() {
    let github = FakeGithub::start().await;
    let house = house_with(&github, Engine::Postgres).await;
    let other = house.second_node().await;
    let key = house.key(&["chat-a"]).await;
    let ask = async |node: &Node| chat(node.http(), &key.key, "chat-a", json!({})).send().await.answer();
    eventually("the key works on the other node", async || (ask(&other).await == "200").then_some(())).await;
    let stalled = json!({"stream": true, "fake": {"stall_at": 1}});
    let mut streams = Vec::new();
    for http in [house.http(), other.http()] {
        let mut stream = chat(http, &key.key, "chat-a", stalled.clone()).stream().await;
        stream.next_event().await.unwrap().unwrap();
        streams.push(stream);
    }
    github.report(house.http(), &json!([entry(&key.key, "")])).send().await.expect(200);
    for node in [&house.node, &other] {
        assert_eq!(ask(node).await, "401 api_key_leaked");
    }
    for mut stream in streams {
        let events = stream.events().await.unwrap();
        assert!(events.last().unwrap().contains("api_key_leaked"), "{events:?}");
    }
    // The same by the API, at the other node: it says which nodes have confirmed.
    let key = house.key(&["chat-a"]).await;
    let reported = other.http().post("/api/v1/leaks", &json!({"keys": [key.key]})).bearer(&house.token).send().await;
    let reported = reported.expect(200).json();
    assert_eq!(reported["effective"]["nodes"].as_array().unwrap().len(), 2, "{reported}");
    assert_eq!(reported["data"][0]["outcome"], "ended");
    for node in [&house.node, &other] {
        assert_eq!(chat(node.http(), &key.key, "chat-a", json!({})).send().await.answer(), "401 api_key_leaked");
    }
}

async fn anybody_reports_a_key_and_it_dies_and_an_owner_brings_it_back(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let owner = house.token_of("default", "owner").await;
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    let paste = "https://paste.example/x";
    let tell = async |place: &str| {
        let told = house.http().post("/leaks", &json!({"keys": [key.key], "found_at": place})).send().await;
        told.expect(202).json()
    };
    let words = house.http().post("/leaks", &json!({"keys": ["nothing"]})).send().await.expect(202).json();
    let dies = async || {
        eventually("the key is dead", async || {
            (house.ask(&key.key, "chat-a").await == "401 api_key_leaked").then_some(())
        })
        .await;
    };
    assert_eq!(tell(paste).await, words, "nothing tells a key from anything else");
    dies().await;
    let back = house.api_as(&owner, "POST", &format!("keys/{}/enable", key.id)).json(&json!({})).send().await;
    let back = back.expect(200).json();
    assert_eq!((&back["status"], &back["leak"]), (&json!("active"), &json!(null)), "{back}");
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    let log = house.api_as(&owner, "GET", "audit?action=key.enable").send().await.expect(200).json();
    assert_eq!(log["data"][0]["detail"]["reported"][0]["found_at"], paste, "{log}");
    // The owner knew of that place. Reported by its own account it is settled too, and the answer says so.
    let again = json!({"keys": [key.key], "found_at": paste});
    let again = house.api_as(&owner, "POST", "leaks").json(&again).send().await.expect(200).json();
    assert_eq!(again["data"][0]["outcome"], "unchanged", "{again}");
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    tell("https://elsewhere.example").await;
    dies().await;
}

async fn a_report_is_followed_though_its_sender_hangs_up(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let body = json!({"keys": [key.key]}).to_string();
    let head = format!(
        "POST /api/v1/leaks HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer {}\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        house.token,
        body.len()
    );
    let mut connection = house.http().tcp().await;
    connection.write_all(head.as_bytes()).await.unwrap();
    // Asked for the body: who sends it is known, and with its last byte the work begins.
    let mut asked = [0; 25];
    connection.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write_all(body.as_bytes()).await.unwrap();
    connection.shutdown().await.unwrap();
    drop(connection);
    eventually("the key is dead", async || (house.ask(&key.key, "chat-a").await == "401 api_key_leaked").then_some(()))
        .await;
}

async fn an_account_may_be_set_to_be_told_only(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    house.cli().run(&["accounts", "edit", "default", "--on-leak", "sometimes"]).expect(2);
    let edited = house.cli().run(&["accounts", "edit", "default", "--on-leak", "tell"]).expect(0);
    assert!(edited.stdout.contains("tell"), "{edited:?}");
    let report = json!({"keys": [key.key], "found_at": "https://a.example"});
    let told = house.api("POST", "leaks").json(&report).send().await.expect(200).json();
    assert_eq!((&told["data"][0]["outcome"], &told["data"][0]["status"]), (&json!("told"), &json!("active")), "{told}");
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    let shown = house.cli().run(&["keys", "show", &key.id]).expect(0);
    assert!(shown.stdout.contains("reported by api (reports: 1)") && shown.stdout.contains("a.example"), "{shown:?}");
    // Nobody but the operator takes the safeguard away.
    let owner = house.token_of("default", "owner").await;
    house.api_as(&owner, "PATCH", "accounts/default").json(&json!({"on_leak": "tell"})).send().await.expect(403);
    house.cli().run(&["accounts", "edit", "default", "--on-leak", "disable"]).expect(0);
    house.api("POST", "leaks").json(&report).send().await.expect(200);
    assert_eq!(house.ask(&key.key, "chat-a").await, "401 api_key_leaked");
}

async fn what_a_scan_finds_and_reports_is_dead(engine: Engine) {
    let house = House::open(engine).await;
    let (found, safe) = (house.key(&["chat-a"]).await, house.key(&["chat-a"]).await);
    let tree = tempfile::tempdir().unwrap();
    std::fs::write(tree.path().join(".env"), format!("API_KEY={}\n", found.key)).unwrap();
    let scan = async |more: &[&str]| {
        let mut command = tollgate_tests::node::command();
        command.arg("scan").args(more).arg(tree.path());
        tokio::task::spawn_blocking(|| tollgate_tests::cli::finish(command, None)).await.unwrap()
    };
    let alone = scan(&[]).await.expect(1);
    assert!(alone.stdout.contains(".env:1:9"), "{alone:?}");
    assert_eq!(house.ask(&found.key, "chat-a").await, "200", "nobody was asked to report it");
    let place = "https://git.example/shop";
    let ran = scan(&["--report", "--url", &house.url(), "--found-at", place]).await.expect(1);
    assert!(ran.stderr.contains("Reported 1 key"), "{ran:?}");
    eventually("the key is dead", async || {
        (house.ask(&found.key, "chat-a").await == "401 api_key_leaked").then_some(())
    })
    .await;
    let shown = house.api("GET", &format!("keys/{}", found.id)).send().await.expect(200).json();
    assert_eq!((&shown["leak"]["source"], &shown["leak"]["found_at"]), (&json!("public"), &json!(place)), "{shown}");
    assert_eq!(house.ask(&safe.key, "chat-a").await, "200");
}

/// What looks a key or an access token up has to read one of these.
const KEY_TABLES: [&str; 2] = ["keys", "access_tokens"];
const GITLAB: &str = "a token that only GitLab has";

/// A house on PostgreSQL that can be cut off from its store.
async fn house_behind(github: &FakeGithub) -> (House, Proxy) {
    let upstream = FakeUpstream::start().await;
    let directory = tempfile::tempdir().unwrap();
    let database = Engine::Postgres.database(directory.path());
    let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], Database::cluster_port()))).await;
    let options = NodeOptions::new(&directory.path().join("node"), database.url_through(proxy.port()))
        .settings(&catalogue(&upstream, "openai", "cancel"))
        .member("leaks", &github.setting())
        .member("leaks", &format!("gitlab_token = \"{GITLAB}\""));
    let node = options.start().await;
    let token = bootstrap(node.options());
    (House { node, upstream, token, database, directory }, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_is_down_no_report_is_taken_and_the_same_report_counts_after_a_restart() {
    let github = FakeGithub::start().await;
    let (mut house, proxy) = house_behind(&github).await;
    let key = house.key(&["chat-a"]).await;
    // GitHub's keys are at hand: it is the store alone that is missing.
    github.report(house.http(), &json!([])).send().await.expect(200);
    proxy.cut();
    let found = json!([entry(&key.key, "https://github.com/a/b")]);
    let body = json!({"keys": [key.key]});
    let revoke = json!([{"type": "tollgate_api_key", "token": key.key, "location": "https://gitlab.example/a"}]);
    let gitlab = house.http().post("/hooks/gitlab/v1/revoke_tokens", &revoke).header("authorization", GITLAB);
    for (way, report) in [
        ("GitHub", github.report(house.http(), &found)),
        ("GitLab", gitlab),
        ("anybody", house.http().post("/leaks", &body)),
        ("an operator", house.api("POST", "leaks").json(&body)),
    ] {
        let refused = report.send().await;
        assert_eq!(refused.answer(), "503 unavailable", "{way}: {refused}");
        assert!(refused.header("retry-after").parse::<u32>().is_ok(), "{way}: {refused}");
    }
    proxy.mend();
    let status = async |house: &House| {
        let shown = house.api("GET", &format!("keys/{}", key.id)).send().await;
        (shown.status == 200).then(|| shown.json()["status"].clone())
    };
    let after = eventually("the store is back", async || status(&house).await).await;
    assert_eq!(after, "active", "what was not taken did nothing");
    // A node that has just started knows none of GitHub's keys, and fetches them.
    let options = house.node.kill();
    house.node = options.start().await;
    let answer = github.report(house.http(), &found).send().await.expect(200).json();
    assert_eq!((&answer[0]["label"], github.asked()), (&json!("true_positive"), 2), "{answer}");
    assert_eq!(house.ask(&key.key, "chat-a").await, "401 api_key_leaked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_waits_for_a_node_that_does_not_answer_and_is_answered_in_time() {
    let github = FakeGithub::start().await;
    let house = House::open_with(Engine::Postgres, |options, _| {
        options.member("fleet", "lease = \"3s\"").member("leaks", &github.setting())
    })
    .await;
    let other = house.second_node().await;
    let key = house.key(&["chat-a"]).await;
    let ask = async |node: &Node| chat(node.http(), &key.key, "chat-a", json!({})).send().await.answer();
    eventually("the key works on the other node", async || (ask(&other).await == "200").then_some(())).await;
    other.freeze();
    let began = Instant::now();
    let answer = github.report(house.http(), &json!([entry(&key.key, "")])).send().await.expect(200).json();
    let waited = began.elapsed();
    assert_eq!(answer[0]["label"], "true_positive", "{answer}");
    // It renewed a second and a bit ago at most: most of a lease has to pass. GitHub waits for 30 s.
    assert!((Duration::from_millis(1_200)..Duration::from_secs(25)).contains(&waited), "{waited:?}");
    assert_eq!(ask(&house.node).await, "401 api_key_leaked");
    other.signal(Signal::CONT);
    eventually("the node is back and knows", async || {
        let answer = ask(&other).await;
        assert!(answer.starts_with("401") || answer.starts_with("503"), "{answer}");
        (answer == "401 api_key_leaked").then_some(())
    })
    .await;
}

/// So that neither the answer nor its time can tell what was reported.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_report_is_answered_before_any_key_is_looked_up() {
    let house = House::open(Engine::Postgres).await;
    let key = house.key(&["chat-a"]).await;
    let tell = async |key: &str| house.http().post("/leaks", &json!({"keys": [key]})).send().await.expect(202);
    let lock = house.database.lock(&KEY_TABLES);
    let known = tell(&key.key).await;
    let unknown = tell(&Keys::new(1).key("tg")).await;
    assert_eq!((known.json(), known.headers.len()), (unknown.json(), unknown.headers.len()));
    // The same begins for both, behind the answer.
    eventually("both are looked up", async || (lock.waiting() == 2).then_some(())).await;
    assert_eq!(house.ask(&key.key, "chat-a").await, "200", "nothing has happened yet");
    drop(lock);
    eventually("the key is dead", async || (house.ask(&key.key, "chat-a").await == "401 api_key_leaked").then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlasts_a_store_that_breaks_off() {
    let github = FakeGithub::start().await;
    let (house, proxy) = house_behind(&github).await;
    let key = house.key(&["chat-a"]).await;
    let lock = house.database.lock(&KEY_TABLES);
    house.http().post("/leaks", &json!({"keys": [key.key]})).send().await.expect(202);
    eventually("it is looked up", async || (lock.waiting() > 0).then_some(())).await;
    proxy.cut();
    drop(lock);
    eventually("the report waits", async || {
        house.node.log().contains("a report of leaked keys waits for the store").then_some(())
    })
    .await;
    proxy.mend();
    eventually("the key is dead", async || (house.ask(&key.key, "chat-a").await == "401 api_key_leaked").then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_done_before_the_node_stops() {
    let mut house = House::open(Engine::Postgres).await;
    let key = house.key(&["chat-a"]).await;
    let lock = house.database.lock(&KEY_TABLES);
    house.http().post("/leaks", &json!({"keys": [key.key]})).send().await.expect(202);
    eventually("it is looked up", async || (lock.waiting() > 0).then_some(())).await;
    house.node.signal(Signal::TERM);
    eventually("the node stops", async || house.node.log().contains("stopping").then_some(())).await;
    drop(lock);
    let options = house.node.options().clone();
    let status = house.node.ended(DEADLINE).await;
    assert!(status.success(), "{status}");
    house.node = options.start().await;
    assert_eq!(house.ask(&key.key, "chat-a").await, "401 api_key_leaked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_tokens_that_are_none_are_refused_without_a_look_into_the_store() {
    let house = House::open(Engine::Postgres).await;
    let key = house.key(&["chat-a"]).await;
    let mut keys = Keys::new(2);
    let mut garbage = Vec::new();
    for at in 0..3_000 {
        garbage.push(match at % 4 {
            0 => keys.key("tg"),
            1 => keys.look_alike("tg"),
            // The public id of a key that there is.
            2 => keys.key_of(&key.key[..15]),
            _ => keys.key("other").replace('_', "-"),
        });
    }
    // Whoever looked one up would wait for the lock.
    let lock = house.database.lock(&KEY_TABLES);
    let refused = stream::iter(&garbage).map(async |text| {
        assert_eq!(house.ask(text, "chat-a").await, "401 invalid_api_key");
    });
    refused.buffer_unordered(32).collect::<()>().await;
    // Of the management API those that are not of the form, or have a wrong checksum.
    let mistyped = keys.look_alike("tga");
    for text in [mistyped.as_str(), "nonsense"] {
        house.api_as(text, "GET", "keys").send().await.expect(401);
    }
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    // The lock is one: who has the form of a token and its checksum waits for it.
    let asked = tokio::spawn(house.api_as(&keys.key("tga"), "GET", "keys").try_send());
    eventually("it is looked up", async || (lock.waiting() > 0).then_some(())).await;
    drop(lock);
    asked.await.unwrap().unwrap().expect(401);
}
