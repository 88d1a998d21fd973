//! What users of other gateways complain of, where no other file is about it: each test is named for the symptom that must
//! not be seen here. The issue where it was reported stands beside it.

use std::time::Duration;

use tollgate_tests::{
    Engine, FakeUpstream, House, Issued, Value, eventually,
    house::{catalogue, chat},
    json, on_both, within,
};

on_both!(
    an_edit_under_load_is_never_undone_by_a_request_that_finishes,
    a_refused_request_is_no_last_use_of_a_dead_key,
    a_removed_users_every_token_and_key_is_dead_and_what_ran_has_ended,
    a_revoked_keys_stream_does_not_keep_the_gpu_busy,
    an_expired_key_is_not_repeated_in_its_refusal,
    a_call_with_a_dead_key_can_be_traced_to_its_address,
    cached_tokens_are_not_billed_twice_and_streams_cost_what_plain_answers_do,
    a_key_sees_its_own_usage_though_it_has_no_limit,
    two_keys_on_one_connection_are_not_booked_on_the_first,
    an_inference_key_may_ask_what_it_may_use,
    an_upstream_that_ends_a_stream_without_a_word_is_charged_once,
    who_leaves_before_the_first_token_does_not_pay_for_the_whole_prompt,
);

async fn stream(house: &House, key: &str, model: &str) -> tollgate_tests::http::Streaming {
    let mut stream =
        house.chat(key, model, json!({"stream": true, "fake": {"chunks": 9, "stall_at": 1}})).stream().await;
    stream.next_event().await.unwrap().unwrap();
    stream
}

/// BerriAI/litellm#25553: the old key object is written back after an edit; #18474: a working key is suddenly unknown;
/// maximhq/bifrost#4640: an edit is not applied to an existing key.
async fn an_edit_under_load_is_never_undone_by_a_request_that_finishes(engine: Engine) {
    let house = House::open(engine).await;
    let (edited, other) = (house.key(&["chat-a", "chat-b"]).await, house.key(&["chat-a"]).await);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let clients: Vec<_> = (0..16)
        .map(|at| {
            let (http, stop) = (house.http(), std::sync::Arc::clone(&stop));
            let key = if at % 2 == 0 { edited.key.clone() } else { other.key.clone() };
            tokio::spawn(async move {
                let mut connection = http.connect().await.unwrap();
                let mut answers = std::collections::BTreeSet::new();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    // Requests that take their time finish long after an edit.
                    let fake = json!({"chunks": 5, "pace_ms": 3});
                    let request = chat(http, &key, "chat-a", json!({"stream": true, "fake": fake}));
                    answers.insert(connection.send(request).await.unwrap().answer());
                }
                answers
            })
        })
        .collect();
    let path = format!("keys/{}", edited.id);
    for _ in 0..25 {
        for (models, b) in [(json!(["chat-a"]), "403 model_not_permitted"), (json!(["chat-a", "chat-b"]), "200")] {
            house.api("PATCH", &path).json(&json!({"models": models})).send().await.expect(200);
            for _ in 0..4 {
                assert_eq!(house.ask(&edited.key, "chat-b").await, b, "{models}");
            }
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for client in clients {
        assert_eq!(client.await.unwrap().into_iter().collect::<Vec<_>>(), ["200"], "what stays permitted is served on");
    }
    assert_eq!(house.api("GET", &path).send().await.json()["models"], json!(["chat-a", "chat-b"]));
}

/// koala73/worldmonitor PR#3125.
async fn a_refused_request_is_no_last_use_of_a_dead_key(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    house.usage_of(1).await;
    let path = format!("keys/{}", key.id);
    house.revoke(&key).await.expect(200);
    let before = house.api("GET", &path).send().await.expect(200).json();
    assert!(before["last_used_at"].is_string(), "{before}");
    for _ in 0..5 {
        assert_eq!(house.ask(&key.key, "chat-a").await, "401 api_key_revoked");
    }
    // Another key's usage is counted after all that.
    let other = house.key(&["chat-a"]).await;
    assert_eq!(house.ask(&other.key, "chat-a").await, "200");
    house.usage_of(2).await;
    assert_eq!(house.api("GET", &path).send().await.expect(200).json()["last_used_at"], before["last_used_at"]);
}

/// ntop/ntopng#8271: only the newest token goes; OctopusDeploy/Issues#4779: keys of a disabled user work on.
async fn a_removed_users_every_token_and_key_is_dead_and_what_ran_has_ended(engine: Engine) {
    let house = House::open(engine).await;
    let first = house.token_of("default", "member").await;
    let users = house.api("GET", "users").send().await.expect(200).json();
    let user = users["data"].as_array().unwrap().iter().find(|user| user["name"] == "member of default").unwrap();
    let user = user["id"].as_str().unwrap();
    let body = json!({"name": "second", "user": user, "account": "default"});
    let second = house.api("POST", "tokens").json(&body).send().await.expect(201).json();
    let tokens = [first.as_str(), second["token"].as_str().unwrap()];
    let mut keys = Vec::new();
    for token in tokens {
        let made = house.api_as(token, "POST", "keys").json(&json!({"name": "theirs", "models": "all"})).send().await;
        keys.push(Issued::from(made.expect(201)));
    }
    let mut running = Vec::new();
    for key in &keys {
        running.push(stream(&house, &key.key, "chat-a").await);
    }
    house.api("PATCH", &format!("users/{user}")).json(&json!({"disabled": true})).send().await.expect(200);
    for token in tokens {
        house.api_as(token, "GET", "keys").send().await.expect(401);
    }
    for key in &keys {
        assert_eq!(house.ask(&key.key, "chat-a").await, "401 api_key_disabled");
    }
    for mut stream in running {
        let events = stream.events().await.unwrap();
        assert!(events.last().unwrap().contains("api_key_disabled"), "{events:?}");
    }
}

/// RatLoopz/sahidawa-india#3791: what a revoked key began keeps burning GPU time.
async fn a_revoked_keys_stream_does_not_keep_the_gpu_busy(engine: Engine) {
    for on_client_gone in ["cancel", "drain"] {
        let upstream = FakeUpstream::start().await;
        let settings = catalogue(&upstream, "openai", on_client_gone);
        let house = House::open_bare(engine, upstream, |options, _| options.settings(&settings)).await;
        let key = house.key(&["chat-a"]).await;
        let mut running = stream(&house, &key.key, "chat-a").await;
        house.revoke(&key).await.expect(200);
        assert!(running.events().await.unwrap().last().unwrap().contains("api_key_revoked"));
        eventually("the upstream is stopped", async || house.upstream.last().gone.then_some(())).await;
    }
}

/// BerriAI/litellm#18731: the whole key stands in the error.
async fn an_expired_key_is_not_repeated_in_its_refusal(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let soon = super::management::rfc3339(u64::try_from(now).unwrap() + 500);
    let path = format!("keys/{}", key.id);
    house.api("PATCH", &path).json(&json!({"expires_at": soon})).send().await.expect(200);
    let refused = eventually("the key expires", async || {
        let reply = house.chat(&key.key, "chat-a", json!({})).send().await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    assert_eq!(refused.answer(), "401 api_key_expired");
    assert!(refused.header("www-authenticate").contains("expired"), "{refused}");
    assert!(!refused.to_string().contains(&key.key[16..]) && refused.json()["error"]["param"].is_null(), "{refused}");
}

/// BerriAI/litellm#33150: refused calls with a deleted key leave no address.
async fn a_call_with_a_dead_key_can_be_traced_to_its_address(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    house.revoke(&key).await.expect(200);
    let refused = house.chat(&key.key, "chat-a", json!({})).send().await;
    assert_eq!(refused.answer(), "401 api_key_revoked");
    let id = refused.header("x-request-id").to_owned();
    let line: Value = eventually("the line is written", async || {
        let log = house.node.log();
        log.lines().find(|line| line.contains(&id)).and_then(|line| serde_json::from_str(line).ok())
    })
    .await;
    assert_eq!((&line["client.address"], &line["status"]), (&json!("127.0.0.1"), &json!(401)), "{line}");
    assert_eq!(line["key.hint"], key.answer["hint"], "which key it was: {line}");
}

/// BerriAI/litellm#9812, #11789, #11364: cache tokens are billed twice, and streams differ from plain answers.
async fn cached_tokens_are_not_billed_twice_and_streams_cost_what_plain_answers_do(engine: Engine) {
    let house = House::open(engine).await;
    let price = json!({"price": {"currency": "USD", "input_per_million": "1", "output_per_million": "2", "cached_input_per_million": "0.1"}});
    house.api("PATCH", "models/chat-a").json(&price).send().await.expect(200);
    let keys = [house.key(&["chat-a"]).await, house.key(&["chat-a"]).await];
    let fake = json!({"input": 1_000_000, "cached": 400_000, "output": 500_000, "reasoning": 200_000, "chunks": 3});
    for (key, stream) in keys.iter().zip([false, true]) {
        house.chat(&key.key, "chat-a", json!({"stream": stream, "fake": fake})).send().await.expect(200);
    }
    house.usage_of(2).await;
    let rows = house.usage_by("key").await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    for row in rows {
        // 600,000 at 1, 400,000 at 0.1, and 500,000 out at 2, whatever part of it was reasoning.
        assert_eq!((&row["cost"], &row["currency"]), (&json!("1.64"), &json!("USD")), "{row}");
        let figures = ["input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "total_tokens"];
        let figures = figures.map(|field| row[field].as_u64().unwrap());
        assert_eq!(figures, [1_000_000, 400_000, 500_000, 200_000, 1_500_000], "{row}");
    }
}

/// QuantumNous/new-api#308: used quota stays 0 on unlimited keys; #554: two places disagree; BerriAI/litellm#37144.
async fn a_key_sees_its_own_usage_though_it_has_no_limit(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let own = async || house.http().get("/v1/key").bearer(&key.key).send().await.expect(200).json();
    let nothing = own().await;
    assert_eq!((&nothing["limits"], &nothing["budget"]), (&json!(null), &json!(null)), "{nothing}");
    assert_eq!(
        (&nothing["usage"]["total"]["requests"], &nothing["usage"]["total"]["cost"]),
        (&json!(0), &json!("0.00"))
    );
    for stream in [false, true] {
        let fake = json!({"input": 1_000_000, "output": 9, "chunks": 3});
        house.chat(&key.key, "chat-a", json!({"stream": stream, "fake": fake})).send().await.expect(200);
    }
    let reported = house.usage_of(2).await;
    let own = own().await;
    for part in ["today", "total"] {
        for field in ["requests", "failed", "input_tokens", "output_tokens", "total_tokens", "cost", "currency"] {
            assert_eq!(own["usage"][part][field], reported[field], "{field} of {part}: {own}");
        }
    }
    assert_eq!(own["usage"]["total"]["output_tokens"], 18);
}

/// BerriAI/litellm#2043: everything is recorded on the first key.
async fn two_keys_on_one_connection_are_not_booked_on_the_first(engine: Engine) {
    let house = House::open(engine).await;
    let keys = [house.key(&["chat-a"]).await, house.key(&["chat-a"]).await];
    let mut connection = house.http().connect().await.unwrap();
    for at in 0..10 {
        let key = &keys[at % 2];
        let fake = json!({"input": if at % 2 == 0 { 10 } else { 1_000 }});
        connection.send(house.chat(&key.key, "chat-a", json!({"fake": fake}))).await.unwrap();
    }
    house.usage_of(10).await;
    let rows = house.usage_by("key").await;
    for (key, input) in keys.iter().zip([50, 5_000]) {
        let row = rows.iter().find(|row| row["key"] == key.id.as_str()).unwrap_or_else(|| panic!("{rows:?}"));
        assert_eq!((&row["requests"], &row["input_tokens"]), (&json!(5), &json!(input)), "{rows:?}");
    }
}

/// BerriAI/litellm#32443, #37810: 403 on the list of models breaks what IDEs ask first; #1062: the list is not the key's.
async fn an_inference_key_may_ask_what_it_may_use(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-b", "renamed"]).await;
    let listed = house.http().get("/v1/models").bearer(&key.key).send().await.expect(200).json();
    let names: Vec<_> = listed["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["chat-b", "renamed"]);
    for name in names {
        let one = house.http().get(&format!("/v1/models/{name}")).bearer(&key.key).send().await.expect(200).json();
        assert_eq!(one["id"], name);
        assert_eq!(house.ask(&key.key, name).await, "200");
    }
    assert!(!listed.to_string().contains("Vendor"), "what an upstream calls it is nobody's business: {listed}");
}

/// QuantumNous/new-api#7486: an end without a word after 200 is charged, then charged again by a retry.
async fn an_upstream_that_ends_a_stream_without_a_word_is_charged_once(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let mut stream =
        house.chat(&key.key, "chat-a", json!({"stream": true, "fake": {"chunks": 5, "cut_at": 0}})).stream().await;
    let events = stream.events().await.unwrap();
    assert!(events.len() == 1 && events[0].contains("upstream_error"), "{events:?}");
    let usage = house.usage_of(1).await;
    assert_eq!((house.upstream.count().0, &usage["output_tokens"]), (1, &json!(0)), "{usage}");
    assert_eq!(usage["classes"]["exact"], 0, "{usage}");
}

/// QuantumNous/new-api#4168: the whole prompt is charged to who left before the first token.
async fn who_leaves_before_the_first_token_does_not_pay_for_the_whole_prompt(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let prompt = "word ".repeat(50_000);
    let body = json!({"stream": true, "messages": [{"role": "user", "content": prompt}], "fake": {"slow_head": true}});
    let waiting = tokio::spawn(house.chat(&key.key, "chat-a", body).try_send());
    eventually("the upstream is asked", async || (house.upstream.count().0 == 1).then_some(())).await;
    waiting.abort();
    let usage = house.usage_of(1).await;
    assert_eq!((&usage["input_tokens"], &usage["classes"]["estimated"]), (&json!(0), &json!(1)), "{usage}");
    assert_eq!(usage["cost"], "0.00", "{usage}");
}

/// maximhq/bifrost#2361: a new key is unknown to the other replica for a while; BerriAI/litellm#27193: a rotated key's old
/// text is refused at once, or the new one is not known yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_handed_out_works_on_every_node_and_through_its_rotation() {
    let house = super::fleet::house_with_lease("10s").await;
    let other = house.second_node().await;
    let ask = async |text: &str| chat(other.http(), text, "chat-a", json!({})).send().await.answer();
    for _ in 0..25 {
        let key = house.key(&["chat-a"]).await;
        assert_eq!(ask(&key.key).await, "200", "as soon as it is shown");
        let path = format!("keys/{}/rotate", key.id);
        let rotated = Issued::from(house.api("POST", &path).json(&json!({"grace": "1h"})).send().await.expect(200));
        assert_eq!((ask(&rotated.key).await, ask(&key.key).await), ("200".to_owned(), "200".to_owned()));
        house.api("POST", &format!("keys/{}/disable", key.id)).send().await.expect(200);
        assert_eq!(ask(&rotated.key).await, "401 api_key_disabled");
        house.api("POST", &format!("keys/{}/enable", key.id)).send().await.expect(200);
        assert_eq!(ask(&rotated.key).await, "200");
    }
}

/// The same of what is not shipped yet: a request shows in usage within two seconds, on any node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_shows_in_usage_within_two_seconds() {
    let house = House::open(Engine::Postgres).await;
    let key = house.key(&["chat-a"]).await;
    for number in 1..=5 {
        assert_eq!(house.ask(&key.key, "chat-a").await, "200");
        within(Duration::from_secs(2), "the request is in usage", async || {
            (house.usage().await["requests"] == number).then_some(())
        })
        .await;
    }
}
