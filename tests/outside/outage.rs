//! A store that is gone, a node that is told to stop.

use std::net::SocketAddr;

use rustix::process::Signal;
use tollgate_tests::{
    DEADLINE, Engine, FakeUpstream, House, NodeOptions,
    engine::Database,
    eventually,
    house::{bootstrap, catalogue},
    json, on_both,
    proxy::Proxy,
};

on_both!(
    a_node_that_is_told_to_stop_finishes_what_runs_and_takes_nothing_new,
    a_second_signal_ends_at_once_and_still_counts,
    one_journal_has_one_writer,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_store_a_node_serves_as_long_as_its_lease_and_loses_no_count() {
    let upstream = FakeUpstream::start().await;
    let directory = tempfile::tempdir().unwrap();
    let database = Engine::Postgres.database(directory.path());
    let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], Database::cluster_port()))).await;
    let options = NodeOptions::new(&directory.path().join("node"), database.url_through(proxy.port()))
        .settings(&catalogue(&upstream, "openai", "cancel"))
        .member("fleet", "lease = \"5s\"");
    let node = options.start().await;
    let token = bootstrap(node.options());
    let house = House { node, upstream, token, database, directory };
    let key = house.key(&["chat-a"]).await;
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    let mut running = house.chat(&key.key, "chat-a", json!({"stream": true, "fake": {"stall_at": 1}})).stream().await;
    running.next_event().await.unwrap().unwrap();

    proxy.cut();
    // Serving goes on: the lease was renewed a moment ago.
    for _ in 0..20 {
        assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    }
    let refused = house.revoke(&key).await;
    assert_eq!(refused.status, 503, "what cannot be proven is not claimed: {refused}");
    eventually("the node closes when its lease has run out", async || {
        let reply = house.chat(&key.key, "chat-a", json!({})).send().await;
        match reply.answer().as_str() {
            "200" => None,
            "503 keys_not_current" => {
                assert!(reply.header("retry-after").parse::<u32>().is_ok(), "{reply}");
                Some(())
            }
            other => panic!("{other}"),
        }
    })
    .await;
    let unready = house.http().get("/readyz").send().await;
    assert_eq!((unready.status.as_u16(), unready.header("retry-after")), (503, "1"), "{unready}");
    assert_eq!(house.http().get("/healthz").send().await.status, 200);
    let before = house.upstream.count().0;
    assert_eq!(house.ask(&key.key, "chat-a").await, "503 keys_not_current");
    assert_eq!(house.upstream.count().0, before);

    proxy.mend();
    eventually("the node serves again", async || (house.ask(&key.key, "chat-a").await == "200").then_some(())).await;
    let said = |what: &str| house.node.log().matches(what).count();
    eventually("its log says so", async || (said("this node serves again") == 1).then_some(())).await;
    assert_eq!(said("the lease has run out"), 1, "once, not with every try:\n{}", house.node.log());
    house.upstream.release();
    let _ = running.events().await;
    let (requests, input, _) = house.upstream.count();
    let usage = house.usage_of(requests).await;
    assert!(usage["input_tokens"].as_u64().unwrap() >= input - 7, "{usage}");
    assert!(usage["classes"]["exact"].as_u64().unwrap() >= requests - 1, "{usage}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_waits_for_a_lock_ends_in_time_and_holds_no_inference_up() {
    let house = House::open_with(Engine::Postgres, |options, _| options.member("store", "wait = \"1s\"")).await;
    let key = house.key(&["chat-a"]).await;
    let mut locked =
        house.database.beside("BEGIN; LOCK TABLE keys IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(6); COMMIT");
    let refused = eventually("management waits for the lock in vain", async || {
        let began = std::time::Instant::now();
        let reply = house.api("GET", "keys").send().await;
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
        (reply.status != 200).then_some(reply)
    })
    .await;
    assert_eq!(refused.answer(), "503 unavailable");
    assert!(refused.header("retry-after").parse::<u32>().is_ok(), "{refused}");
    for _ in 0..20 {
        assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    }
    assert!(locked.wait().unwrap().success());
    house.api("GET", "keys").send().await.expect(200);
    house.usage_of(20).await;
}

async fn a_node_that_is_told_to_stop_finishes_what_runs_and_takes_nothing_new(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let mut running = house.chat(&key.key, "chat-a", json!({"stream": true, "fake": {"stall_at": 2}})).stream().await;
    running.next_event().await.unwrap().unwrap();
    let mut kept = house.http().connect().await.unwrap();
    kept.send(house.http().get("/healthz")).await.unwrap();
    house.node.signal(Signal::TERM);
    // A connection that was open is told; a new one is told or refused.
    eventually("nothing new is taken", async || match house.chat(&key.key, "chat-a", json!({})).try_send().await {
        Ok(reply) if reply.status == 200 => None,
        Ok(reply) => {
            assert_eq!(reply.answer(), "503 unavailable");
            Some(())
        }
        Err(_) => Some(()),
    })
    .await;
    house.upstream.release();
    let events = running.events().await.unwrap();
    assert_eq!(events.last().unwrap(), "[DONE]", "{events:?}");
    let House { node, upstream, token, database, directory } = house;
    let options = node.options().clone();
    let status = node.ended(DEADLINE).await;
    assert!(status.success(), "{status}");
    let house = House { node: options.start().await, upstream, token, database, directory };
    let (requests, input, output) = house.upstream.count();
    let usage = house.usage_of(requests).await;
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(input), &json!(output)), "{usage}");
    assert_eq!(usage["classes"]["exact"], json!(requests));
}

async fn a_second_signal_ends_at_once_and_still_counts(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let mut running = house.chat(&key.key, "chat-a", json!({"stream": true, "fake": {"stall_at": 2}})).stream().await;
    running.next_event().await.unwrap().unwrap();
    house.node.signal(Signal::TERM);
    eventually("the node drains", async || {
        (house.http().get("/readyz").try_send().await.map_or(0, |reply| reply.status.as_u16()) != 200).then_some(())
    })
    .await;
    let House { node, upstream, token, database, directory } = house;
    let options = node.options().clone();
    node.terminate(DEADLINE).await;
    let end = running.events().await;
    assert!(end.map_or(true, |events| !events.iter().any(|event| event == "[DONE]")));
    let house = House { node: options.start().await, upstream, token, database, directory };
    let usage = house.usage_of(1).await;
    assert_eq!(usage["classes"]["exact"], 0, "{usage}");
}

async fn one_journal_has_one_writer(engine: Engine) {
    let house = House::open(engine).await;
    let refused = house.node.options().try_start().await;
    let output = refused.expect_err("a second process on the same journal");
    assert!(output.contains("journal") || output.contains("already") || output.contains("another"), "{output}");
    let key = house.key(&["chat-a"]).await;
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
}
