//! Every limit against hostile clients and careless upstreams that no other file is about: what happens at it, and that
//! everybody else is served on.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tollgate_tests::{Engine, FakeUpstream, House, Issued, eventually, house::catalogue, json};

/// Longer than any limit here, and than the five seconds in which a connection has to say something.
const PATIENCE: Duration = Duration::from_secs(20);

/// What comes until the other side closes.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection is closed; so far {}", String::from_utf8_lossy(&answer));
    String::from_utf8_lossy(&answer).into_owned()
}

fn head(key: &Issued, length: usize) -> String {
    let key = &key.key;
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {length}\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_connects_and_says_nothing_is_hung_up_on() {
    let house = House::open(Engine::Sqlite).await;
    let mut silent = house.http().tcp().await;
    assert_eq!(until_closed(&mut silent).await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_drips_is_given_up_though_it_never_pauses() {
    let house = House::open_with(Engine::Sqlite, |options, _| options.member("limits", "body_idle = \"1s\"")).await;
    let key = house.key(&["chat-a"]).await;
    let (mut reader, mut writer) = house.http().tcp().await.into_split();
    writer.write_all(head(&key, 100_000).as_bytes()).await.unwrap();
    let dripping = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while writer.write_all(b" ").await.is_ok() {
            ticks.tick().await;
        }
    });
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection is closed");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"request_timeout\""), "{answer}");
    dripping.abort();
    assert_eq!(house.upstream.count().0, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_nested_without_end_is_refused() {
    let house = House::open(Engine::Sqlite).await;
    let key = house.key(&["chat-a"]).await;
    for (open, close) in [("[", "]"), ("{\"x\":", "}")] {
        let deep = format!("{{\"model\":\"chat-a\",\"x\":{}1{}}}", open.repeat(200_000), close.repeat(200_000));
        let request = house.http().request("POST", "/v1/chat/completions").bearer(&key.key);
        let refused = request.header("content-type", "application/json").body(deep).send().await;
        assert_eq!(refused.answer(), "400 invalid_request");
    }
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    assert_eq!(house.upstream.count().0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_all_clients_together_take_bounded_memory() {
    let house = House::open_with(Engine::Sqlite, |options, _| options.member("limits", "memory = \"1MiB\"")).await;
    let key = house.key(&["chat-a"]).await;
    // Each holds 300 KiB and does not go on.
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = house.http().tcp().await;
        stream.write_all(head(&key, 1_000_000).as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; 300 << 10]).await.unwrap();
        held.push(stream);
    }
    let large = "x".repeat(300 << 10);
    eventually("what does not fit is refused", async || {
        let reply = house.chat(&key.key, "chat-a", json!({"padding": large})).try_send().await.ok()?;
        (reply.answer() == "503 unavailable").then(|| assert!(reply.header("retry-after").parse::<u32>().is_ok()))
    })
    .await;
    assert_eq!(house.ask(&key.key, "chat-a").await, "200", "what is small fits");
    drop(held);
    eventually("there is room again", async || {
        let reply = house.chat(&key.key, "chat-a", json!({"padding": large})).try_send().await.ok()?;
        (reply.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_hung_up_on_and_its_upstream_stopped() {
    let house = House::open_with(Engine::Sqlite, |options, _| options.member("limits", "write_stall = \"1s\"")).await;
    let key = house.key(&["chat-a"]).await;
    let body = json!({"model": "chat-a", "stream": true, "messages": [], "fake": {"chunks": 400_000}}).to_string();
    let mut deaf = house.http().tcp().await;
    deaf.write_all((head(&key, body.len()) + &body).as_bytes()).await.unwrap();
    eventually("the upstream is stopped", async || {
        (house.upstream.count().0 == 1 && house.upstream.last().gone).then_some(())
    })
    .await;
    let usage = house.usage_of(1).await;
    assert_eq!(usage["classes"]["exact"], 0, "{usage}");
    assert!(usage["output_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "what was delivered counts: {usage}");
    drop(deaf);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_no_more_connections_than_allowed_and_others_wait_for_none() {
    let house = House::open_with(Engine::Sqlite, |options, _| options.member("limits", "connections = 5")).await;
    let key = house.key(&["chat-a"]).await;
    let mut open = Vec::new();
    eventually("no more are taken", async || {
        let Ok(mut connection) = house.http().connect().await else { return Some(()) };
        match connection.send(house.chat(&key.key, "chat-a", json!({}))).await {
            Ok(reply) => {
                assert_eq!(reply.status, 200);
                open.push(connection);
                assert!(open.len() <= 5, "more than there may be");
                None
            }
            Err(_closed) => Some(()),
        }
    })
    .await;
    assert!(open.len() >= 3, "{}", open.len());
    for connection in &mut open {
        assert_eq!(connection.send(house.chat(&key.key, "chat-a", json!({}))).await.unwrap().status, 200);
    }
    open.clear();
    eventually("others come in again", async || {
        let reply = house.chat(&key.key, "chat-a", json!({})).try_send().await.ok()?;
        (reply.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_of_the_environment_is_not_asked_for_upstreams() {
    let upstream = FakeUpstream::start().await;
    let usual = catalogue(&upstream, "openai", "cancel");
    let nowhere = "http://127.0.0.1:9".to_owned();
    let house = House::open_bare(Engine::Sqlite, upstream, |mut options, _| {
        for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            options.environment.push((name.to_owned(), nowhere.clone()));
        }
        options.settings(&usual)
    })
    .await;
    let key = house.key(&["chat-a"]).await;
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
}
