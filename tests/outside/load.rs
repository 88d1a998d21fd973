//! Crashes and revocations under load. These run alone: they need the whole machine.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tollgate_tests::{DEADLINE, Engine, House, Http, Issued, Value, eventually, house::chat, json, on_both};

/// Clients at once.
const CLIENTS: u64 = 32;
/// Input and output of each request, as the upstream counts them.
const INPUT: u64 = 7;
/// See [`INPUT`].
const OUTPUT: u64 = 5;

on_both!(
    nothing_is_lost_or_counted_twice_when_a_node_under_load_is_told_to_stop,
    no_request_is_admitted_after_a_revoke_under_load,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_under_load_loses_nothing_and_counts_nothing_twice_on_sqlite_three_times() {
    let mut house = House::open(Engine::Sqlite).await;
    for _ in 0..3 {
        house = crash(house).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_under_load_loses_nothing_and_counts_nothing_twice_on_postgres() {
    crash(House::open(Engine::Postgres).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_drops_every_connection_again_and_again_loses_no_request_and_no_count() {
    let house = House::open(Engine::Postgres).await;
    let key = house.key(&["chat-a"]).await;
    let load = Load::begin(house.http(), &key);
    for round in 1..=8 {
        eventually("the load runs", async || (house.upstream.count().0 >= round * 150).then_some(())).await;
        // In the middle of whatever they do: a commit may have happened or not.
        let _counted = house.database.rows(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
    }
    let answered = load.end().await;
    let (requests, input, output) = house.upstream.count();
    assert_eq!(answered, requests, "nobody waited for the store");
    let usage = house.usage_of(requests).await;
    assert_eq!(
        (number(&usage, "input_tokens"), number(&usage, "output_tokens"), &usage["classes"]["exact"]),
        (input, output, &json!(requests)),
        "{usage}"
    );
    house.revoke(&key).await.expect(200);
    assert_eq!(house.ask(&key.key, "chat-a").await, "401 api_key_revoked");
}

/// Clients that ask for plain and streamed answers until they are stopped or the node is gone.
struct Load {
    stop: Arc<AtomicBool>,
    /// Requests that were answered whole.
    answered: Arc<AtomicU64>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn begin(http: Http, key: &Issued) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let client = |client: u64| {
            let (stop, answered, key) = (Arc::clone(&stop), Arc::clone(&answered), key.key.clone());
            tokio::spawn(async move {
                let Ok(mut connection) = http.connect().await else { return };
                let mut stream = client.is_multiple_of(2);
                while !stop.load(Ordering::Relaxed) {
                    stream = !stream;
                    let pace = if stream { client % 3 } else { 0 };
                    let fake = json!({"input": INPUT, "output": OUTPUT, "chunks": OUTPUT, "pace_ms": pace});
                    let request = chat(http, &key, "chat-a", json!({"stream": stream, "fake": fake}));
                    let Ok(reply) = connection.send(request).await else { return };
                    if reply.status != 200 || (stream && !reply.body.ends_with(b"data: [DONE]\n\n")) {
                        return;
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { stop, answered, clients }
    }
    /// Lets the clients end; how many requests were answered whole.
    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.expect("a client");
        }
        self.answered.load(Ordering::Relaxed)
    }
}

fn number(usage: &Value, field: &str) -> u64 {
    usage[field].as_u64().unwrap_or_else(|| panic!("{field}: {usage}"))
}

/// One crash under load, a restart, the reckoning, and another crash that must change nothing.
async fn crash(house: House) -> House {
    let before = house.usage().await;
    let seen_before = house.upstream.count().0;
    let key = house.key(&["chat-a"]).await;
    let load = Load::begin(house.http(), &key);
    eventually("the load runs", async || (house.upstream.count().0 >= seen_before + 600).then_some(())).await;
    let House { node, upstream, token, database, directory } = house;
    let options = node.kill();
    let answered = load.end().await;
    let house = House { node: options.start().await, upstream, token, database, directory };

    let seen = house.upstream.count().0;
    let usage = eventually("everything that the upstream saw is counted", async || {
        let usage = house.usage().await;
        (number(&usage, "requests") >= number(&before, "requests") + seen - seen_before).then_some(usage)
    })
    .await;
    let new = |field: &str| number(&usage, field) - number(&before, field);
    let old_exact = before["classes"]["exact"].as_u64().unwrap_or(0);
    let exact = usage["classes"]["exact"].as_u64().unwrap() - old_exact;
    let (requests, seen) = (new("requests"), seen - seen_before);
    // Intents are written before the upstream is asked: those without it are at most what was in flight.
    assert!((seen..=seen + CLIENTS).contains(&requests), "{requests} counted, {seen} seen upstream");
    // A client that has the end of its answer has an exact row.
    assert!((answered..=seen).contains(&exact), "{exact} exact, {answered} answered, {seen} seen");
    assert!(requests - exact <= CLIENTS, "{requests} counted, {exact} exact");
    // To the token for what is exact; what was in flight is between nothing and its bounds.
    assert!(new("output_tokens") >= exact * OUTPUT, "{usage} {exact}");
    assert!(new("input_tokens") >= exact * INPUT, "{usage} {exact}");
    let rows = house.usage_by("key").await;
    let by_key: u64 = rows.iter().map(|row| number(row, "total_tokens")).sum();
    assert_eq!(by_key, number(&usage, "total_tokens"));

    // Replaying a journal that was shipped already counts nothing twice.
    let House { node, upstream, token, database, directory } = house;
    let house = House { node: node.kill().start().await, upstream, token, database, directory };
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    let after = house.usage_of(number(&usage, "requests") + 1).await;
    assert_eq!(number(&after, "output_tokens"), number(&usage, "output_tokens") + 5);
    house
}

async fn nothing_is_lost_or_counted_twice_when_a_node_under_load_is_told_to_stop(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let load = Load::begin(house.http(), &key);
    eventually("the load runs", async || (house.upstream.count().0 >= 400).then_some(())).await;
    let House { node, upstream, token, database, directory } = house;
    let options = node.options().clone();
    let status = node.terminate(DEADLINE).await;
    assert!(status.success(), "{status}");
    let answered = load.end().await;
    let house = House { node: options.start().await, upstream, token, database, directory };
    let (requests, input, output) = house.upstream.count();
    assert!(answered <= requests);
    let usage = house.usage_of(requests).await;
    assert_eq!(
        (number(&usage, "input_tokens"), number(&usage, "output_tokens"), &usage["classes"]["exact"]),
        (input, output, &json!(requests)),
        "{usage}"
    );
}

async fn no_request_is_admitted_after_a_revoke_under_load(engine: Engine) {
    let house = House::open(engine).await;
    let busy = house.key(&["chat-a"]).await;
    let load = Load::begin(house.http(), &busy);
    let mut connection = house.http().connect().await.unwrap();
    for _ in 0..200 {
        let key = house.key(&["chat-a"]).await;
        let ask = || chat(house.http(), &key.key, "chat-a", json!({}));
        assert_eq!(connection.send(ask()).await.unwrap().answer(), "200");
        house.revoke(&key).await.expect(200);
        // On a connection that was open before, and on a new one.
        assert_eq!(connection.send(ask()).await.unwrap().answer(), "401 api_key_revoked");
        assert_eq!(ask().send().await.answer(), "401 api_key_revoked");
    }
    load.end().await;
    let requests = house.upstream.count().0;
    house.usage_of(requests).await;
}
