//! Several nodes on one PostgreSQL: what one node ends, no node admits.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tollgate_tests::{Engine, House, Issued, Node, NodeOptions, Value, eventually, house::chat, json};

/// A house whose nodes are waited for so long.
pub(super) async fn house_with_lease(lease: &str) -> House {
    let lease = format!("lease = \"{lease}\"");
    House::open_with(Engine::Postgres, |options, _| options.member("fleet", &lease)).await
}

async fn ask(node: &Node, key: &Issued, model: &str) -> String {
    chat(node.http(), &key.key, model, json!({})).send().await.answer()
}

/// Waits until the other node knows the key.
async fn known_on(node: &Node, key: &Issued, model: &str) {
    eventually("the key works on the other node", async || (ask(node, key, model).await == "200").then_some(())).await;
}

/// Freezes a node that has a request of this key in its socket, revokes the key elsewhere, and lets the node go on.
async fn revoked_while_frozen(house: &House, other: &Node, key: &Issued) -> Duration {
    other.freeze();
    // A request that lies in the stopped node's socket when it wakes up.
    let mut waiting = other.http().tcp().await;
    let body = r#"{"model":"chat-a"}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
        key.key,
        body.len()
    );
    waiting.write_all(request.as_bytes()).await.unwrap();
    let began = Instant::now();
    let revoked = house.revoke(key).await.expect(200).json();
    let waited = began.elapsed();
    assert_eq!(revoked["effective"]["nodes"].as_array().unwrap().len(), 2, "{revoked}");
    assert_eq!(house.ask(&key.key, "chat-a").await, "401 api_key_revoked");
    let before = house.upstream.count().0;
    other.signal(Signal::CONT);
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).await.unwrap();
    let line = answer.lines().next().unwrap_or_default();
    assert!(line.contains(" 401 ") || line.contains(" 503 "), "{answer}");
    assert_eq!(house.upstream.count().0, before, "nothing was admitted");
    eventually("the node is back and knows", async || {
        let answer = ask(other, key, "chat-a").await;
        assert!(answer.starts_with("401") || answer.starts_with("503"), "{answer}");
        (answer == "401 api_key_revoked").then_some(())
    })
    .await;
    waited
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_revoked_on_one_node_is_refused_on_the_other_in_a_thousand_tries() {
    let house = house_with_lease("10s").await;
    let other = house.second_node().await;
    let tries = stream::iter(0..1_000).map(async |_| {
        let key = house.key(&["chat-a"]).await;
        known_on(&other, &key, "chat-a").await;
        let revoked = house.revoke(&key).await.expect(200).json();
        assert_eq!(revoked["effective"]["nodes"].as_array().unwrap().len(), 2, "{revoked}");
        assert_eq!(ask(&other, &key, "chat-a").await, "401 api_key_revoked");
    });
    tries.buffer_unordered(12).collect::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_on_the_other_node_end_before_the_revoke_returns() {
    let house = house_with_lease("10s").await;
    let other = house.second_node().await;
    let key = house.key(&["chat-a", "chat-b"]).await;
    known_on(&other, &key, "chat-a").await;
    let stalled = json!({"stream": true, "fake": {"stall_at": 1}});
    let mut streams = Vec::new();
    for (http, model) in [(other.http(), "chat-a"), (other.http(), "chat-b"), (house.http(), "chat-b")] {
        let mut stream = chat(http, &key.key, model, stalled.clone()).stream().await;
        stream.next_event().await.unwrap().unwrap();
        streams.push(stream);
    }
    let edit = house.api("PATCH", &format!("keys/{}", key.id)).json(&json!({"models": ["chat-b"]})).send().await;
    edit.expect(200);
    let events = streams.remove(0).events().await.unwrap();
    assert!(events.last().unwrap().contains("model_not_permitted"), "{events:?}");
    assert_eq!(ask(&other, &key, "chat-a").await, "403 model_not_permitted");
    let revoked = house.revoke(&key).await.expect(200).json();
    assert_eq!(revoked["effective"]["streams_cut"], 2, "{revoked}");
    for mut stream in streams {
        let events = stream.events().await.unwrap();
        assert!(events.last().unwrap().contains("api_key_revoked"), "{events:?}");
        assert!(!events.iter().any(|event| event == "[DONE]"), "{events:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_answer_is_waited_for_and_then_refuses() {
    let house = house_with_lease("3s").await;
    let other = house.second_node().await;
    let key = house.key(&["chat-a"]).await;
    known_on(&other, &key, "chat-a").await;
    let waited = revoked_while_frozen(&house, &other, &key).await;
    // The node renewed at most a second and a bit before: most of a lease has to pass.
    assert!(waited > Duration::from_millis(1_200), "{waited:?}");
    // From then on nobody is waited for.
    let next = house.key(&["chat-a"]).await;
    known_on(&other, &next, "chat-a").await;
    house.revoke(&next).await.expect(200);
    assert_eq!(ask(&other, &next, "chat-a").await, "401 api_key_revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_lease_in_its_settings_keeps_the_promise_too() {
    let house = house_with_lease("2s").await;
    // While a setting is rolled out, nodes differ: each is waited for as long as *it* may serve, or it does not start.
    let other = house
        .second_node_with(|options| {
            options.members.retain(|(table, _)| *table != "fleet");
            options.members.push(("fleet", "lease = \"8s\"".to_owned()));
        })
        .await;
    let key = house.key(&["chat-a"]).await;
    known_on(&other, &key, "chat-a").await;
    revoked_while_frozen(&house, &other, &key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_is_waited_for_once() {
    let house = house_with_lease("2s").await;
    let other = house.second_node().await;
    let (first, second) = (house.key(&["chat-a"]).await, house.key(&["chat-a"]).await);
    known_on(&other, &first, "chat-a").await;
    let options = other.kill();
    house.revoke(&first).await.expect(200);
    let revoked = house.revoke(&second).await.expect(200).json();
    assert_eq!(revoked["effective"]["nodes"].as_array().unwrap().len(), 1, "{revoked}");
    let again = options.start().await;
    assert_eq!(ask(&again, &second, "chat-a").await, "401 api_key_revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_both_nodes_served_is_one_sum_and_both_are_listed() {
    let house = house_with_lease("10s").await;
    let other = house.second_node().await;
    let key = house.key(&["chat-a"]).await;
    known_on(&other, &key, "chat-a").await;
    for _ in 0..10 {
        assert_eq!(house.ask(&key.key, "chat-a").await, "200");
        assert_eq!(ask(&other, &key, "chat-a").await, "200");
    }
    let (requests, input, output) = house.upstream.count();
    let usage = house.usage_of(requests).await;
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(input), &json!(output)), "{usage}");
    let nodes = house.api("GET", "nodes").send().await.expect(200).json();
    assert_eq!(nodes["data"].as_array().unwrap().len(), 2, "{nodes}");
    assert!(other.terminate(tollgate_tests::DEADLINE).await.success());
    // A node that said good-bye is waited for by nobody.
    let began = Instant::now();
    house.revoke(&key).await.expect(200);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

/// What the store says of the one node of this name.
async fn listed(house: &House, name: &str) -> Value {
    let nodes = house.api("GET", "nodes").send().await.expect(200).json();
    let of_name = |node: &&Value| node["name"] == name;
    nodes["data"].as_array().unwrap().iter().find(of_name).cloned().unwrap_or_default()
}
/// The report on all accounts.
async fn usage_of_all(house: &House) -> Value {
    house.api("GET", "usage?account=*&bucket=total").send().await.expect(200).json()
}
/// In an order of its own: without the letter at its end, times of one form stand in the order of their texts.
fn complete_until(usage: &Value) -> &str {
    usage["complete_until"].as_str().unwrap().trim_end_matches('Z')
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_node_had_begun_is_missing_and_said_to_be_until_its_disk_is_back() {
    let house = house_with_lease("2s").await;
    let named = |options: &mut NodeOptions| options.members.push(("fleet", "node = \"lost\"".to_owned()));
    let other = house.second_node_with(named).await;
    let key = house.key(&["chat-a"]).await;
    known_on(&other, &key, "chat-a").await;
    for _ in 0..5 {
        assert_eq!(ask(&other, &key, "chat-a").await, "200");
    }
    let mut running = Vec::new();
    for _ in 0..3 {
        let mut stream =
            chat(other.http(), &key.key, "chat-a", json!({"stream": true, "fake": {"stall_at": 1}})).stream().await;
        stream.next_event().await.unwrap().unwrap();
        running.push(stream);
    }
    // They have begun; the node says so within a second or so, and all that has ended is counted.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(listed(&house, "lost").await["uncounted"], Value::Null);
    let options = other.kill();
    let gone = eventually("its lease has run out", async || {
        Some(listed(&house, "lost").await).filter(|node| node["active"] == false)
    })
    .await;
    assert_eq!(gone["uncounted"]["at_least"], 3, "{gone}");
    let at_most = gone["uncounted"]["at_most"].as_u64().unwrap();
    assert!((4..1_000_000).contains(&at_most), "{gone}");
    let waits = usage_of_all(&house).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let still = usage_of_all(&house).await;
    assert_eq!(complete_until(&still), complete_until(&waits), "{still}");
    assert_eq!(still["written_off"], json!({"at_least": 0, "at_most": 0}));

    // Everybody who has to know is told, and told what to do.
    let at_most_shown = format!("{},{:03}", at_most / 1_000, at_most % 1_000);
    let shown = house.cli().run(&["nodes", "list"]).expect(0);
    assert!(
        shown.stdout.contains(&format!("3–{at_most_shown}")) && shown.stderr.contains("write-off lost"),
        "{shown:?}"
    );
    let settings = house.node.options().write();
    let doctor = house.cli().run(&["doctor", "--config", settings.to_str().unwrap()]);
    assert!(doctor.stdout.contains("node lost is gone, and 3 to"), "{doctor:?}");

    // The operator gives it up; nobody else does, and nobody by accident.
    let serving = house.api("GET", "nodes").send().await.json()["data"].as_array().unwrap().clone();
    let serving = serving.iter().find(|node| node["active"] == true).unwrap();
    let refused = house.api("POST", &format!("nodes/{}/write-off", serving["id"].as_str().unwrap())).send().await;
    assert_eq!(refused.answer(), "409 not_possible");
    let unasked = house.cli().run(&["nodes", "write-off", "lost"]).expect(2);
    assert!(unasked.stderr.contains("--yes"), "{unasked:?}");
    let none = house.cli().run(&["nodes", "write-off", "nobody", "--yes"]).expect(1);
    assert!(none.stderr.contains("no node nobody"), "{none:?}");
    let done = house.cli().run(&["nodes", "write-off", "lost", "--yes"]).expect(0);
    assert!(done.stdout.contains(&format!("3 to {at_most_shown}")), "{done:?}");
    let off = usage_of_all(&house).await;
    assert!(complete_until(&off) > complete_until(&waits), "{off}");
    assert_eq!(off["written_off"], json!({"at_least": 3, "at_most": at_most}));
    let audited = house.api("GET", "audit?action=node.write_off").send().await.expect(200).json();
    assert_eq!(audited["data"][0]["subject"], gone["id"], "{audited}");

    // The disk is back: nothing is missing, and everything is counted once.
    let again = options.start().await;
    eventually("nothing is missing", async || {
        (usage_of_all(&house).await["written_off"]["at_most"] == 0).then_some(())
    })
    .await;
    let (requests, _, _) = house.upstream.count();
    let usage = house.usage_of(requests).await;
    let exact = usage["shares"]["exact"].as_f64().unwrap() * requests as f64;
    assert_eq!(exact.round() as u64 + 3, requests, "{usage}");
    drop((running, again));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_in_order_leaves_nothing_that_usage_would_wait_for() {
    let house = house_with_lease("2s").await;
    let named = |options: &mut NodeOptions| options.members.push(("fleet", "node = \"other\"".to_owned()));
    let other = house.second_node_with(named).await;
    let key = house.key(&["chat-a"]).await;
    known_on(&other, &key, "chat-a").await;
    // More at once than a lane may begin before the store was told: it is told in between.
    let (http, mut answers) = (other.http(), std::collections::BTreeMap::<String, usize>::new());
    let asked =
        stream::iter(0..6_000).map(|_| async { chat(http, &key.key, "chat-a", json!({})).send().await.answer() });
    for answer in asked.buffer_unordered(32).collect::<Vec<_>>().await {
        *answers.entry(answer).or_default() += 1;
    }
    assert_eq!(answers.into_iter().collect::<Vec<_>>(), [("200".to_owned(), 6_000)]);
    assert!(other.terminate(tollgate_tests::DEADLINE).await.success());
    let node = listed(&house, "other").await;
    assert_eq!((&node["active"], &node["uncounted"]), (&json!(false), &Value::Null), "{node}");
    let (requests, input, _) = house.upstream.count();
    assert_eq!(house.usage_of(requests).await["input_tokens"], json!(input));
    let then = usage_of_all(&house).await;
    eventually("usage is complete beyond its end", async || {
        (complete_until(&usage_of_all(&house).await) > complete_until(&then)).then_some(())
    })
    .await;
}
