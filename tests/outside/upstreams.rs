//! Upstreams that fail, lie or are slow; retries elsewhere; weights; health.

use tollgate_tests::{
    Engine, FakeUpstream, House, Value, eventually, house::CREDENTIAL, json, on_both, upstream::babbler,
};

/// Two upstreams that serve `m`, by these weights; the house's own upstream is the first.
async fn two(engine: tollgate_tests::Engine, weights: (u32, u32), more: &str) -> (House, FakeUpstream) {
    let first = FakeUpstream::start().await;
    let second = FakeUpstream::start().await;
    let mut settings = String::new();
    for (name, upstream) in [("first", &first), ("second", &second)] {
        settings.push_str(&format!(
            "[[upstreams]]\nname = \"{name}\"\nbase_url = \"{}\"\ncredential = \"{CREDENTIAL}\"\nengine = \"openai\"\n",
            upstream.base_url()
        ));
    }
    settings.push_str(&format!(
        "[[models]]\nname = \"m\"\nkind = \"chat\"\nserved_by = [{{ upstream = \"first\", model = \"m\", weight = {} }}, {{ upstream = \"second\", model = \"m\", weight = {} }}]\n",
        weights.0, weights.1
    ));
    let more = more.to_owned();
    let house = House::open_bare(engine, first, |options, _| {
        let options = options.settings(&settings);
        if more.is_empty() { options } else { options.member("upstream", &more) }
    })
    .await;
    (house, second)
}

on_both!(
    what_did_not_work_on_the_request_is_left_for_another_upstream_and_both_attempts_count,
    an_upstream_that_is_gone_is_replaced_without_the_client_noticing,
    a_kept_connection_that_the_upstream_closed_is_no_failure,
    weights_share_the_requests,
    slow_upstreams_time_out,
    what_is_no_http_is_an_upstream_error,
    a_model_that_nobody_serves_says_so,
    usage_that_lies_is_neither_repaired_nor_believed_too_far,
    error_texts_are_never_counted_as_output,
    an_upstream_that_takes_no_stream_options_is_learned_once_and_its_streams_are_estimated,
    who_names_stream_options_in_a_wrong_request_switches_off_no_usage,
    what_an_upstream_told_is_kept_with_its_attempt,
    a_compressed_reply_is_passed_on_and_never_guessed_at,
);

async fn what_did_not_work_on_the_request_is_left_for_another_upstream_and_both_attempts_count(engine: Engine) {
    let (house, second) = two(engine, (1, 0), "").await;
    let key = house.key(&["m"]).await;
    house.upstream.set(json!({"status": 503}));
    let reply = house.chat(&key.key, "m", json!({})).send().await.expect(200);
    assert_eq!((house.upstream.count().0, second.count().0), (1, 1), "{reply}");
    let usage = house.usage_of(2).await;
    assert_eq!(
        (&usage["failed"], &usage["input_tokens"], &usage["output_tokens"]),
        (&json!(1), &json!(7), &json!(5)),
        "{usage}"
    );
}

async fn an_upstream_that_is_gone_is_replaced_without_the_client_noticing(engine: Engine) {
    let (house, second) = two(engine, (1, 1), "connect = \"1s\"").await;
    let key = house.key(&["m"]).await;
    house.upstream.go_down().await;
    for _ in 0..10 {
        assert_eq!(house.ask(&key.key, "m").await, "200");
    }
    assert_eq!(second.count().0, 10);
    second.go_down().await;
    let reply = house.chat(&key.key, "m", json!({})).send().await;
    assert!(["502 upstream_error", "503 no_healthy_upstream"].contains(&reply.answer().as_str()), "{reply}");
    second.come_back().await;
    house.upstream.come_back().await;
    eventually("requests are served again", async || (house.ask(&key.key, "m").await == "200").then_some(())).await;
}

async fn a_kept_connection_that_the_upstream_closed_is_no_failure(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    for _ in 0..15 {
        assert_eq!(
            house.chat(&key.key, "chat-a", json!({"fake": {"hang_up_after": true}})).send().await.answer(),
            "200"
        );
        tokio::task::yield_now().await;
        assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    }
}

async fn weights_share_the_requests(engine: Engine) {
    let (house, second) = two(engine, (3, 1), "").await;
    let key = house.key(&["m"]).await;
    let mut connection = house.http().connect().await.unwrap();
    for _ in 0..400 {
        connection.send(house.chat(&key.key, "m", json!({}))).await.unwrap();
    }
    let (first, second) = (house.upstream.count().0, second.count().0);
    assert_eq!(first + second, 400);
    assert!((50..=150).contains(&second), "{first} : {second}");
}

async fn slow_upstreams_time_out(engine: Engine) {
    let house =
        House::open_with(engine, |options, _| options.member("upstream", "first_byte = \"1s\"\nidle = \"1s\"")).await;
    let key = house.key(&["chat-a"]).await;
    let reply = house.chat(&key.key, "chat-a", json!({"fake": {"slow_head": true}})).send().await;
    assert_eq!(reply.answer(), "504 upstream_timeout");
    let mut stream = house.chat(&key.key, "chat-a", json!({"stream": true, "fake": {"stall_at": 2}})).stream().await;
    let events = stream.events().await.unwrap();
    assert!(events.last().unwrap().contains("upstream_timeout"), "{events:?}");
    assert_eq!(house.upstream.count().0, 2, "work that was begun is not begun again elsewhere");
    let usage = house.usage_of(2).await;
    assert_eq!(usage["failed"], 2, "{usage}");
}

async fn what_is_no_http_is_an_upstream_error(engine: Engine) {
    let upstream = FakeUpstream::start().await;
    let babble = babbler(b"\x16\x03\x01 this is not HTTP\r\n\r\n").await;
    let settings = format!(
        "[[upstreams]]\nname = \"u\"\nbase_url = \"http://{babble}/v1\"\n[[models]]\nname = \"m\"\nkind = \"chat\"\nserved_by = [{{ upstream = \"u\", model = \"m\", weight = 1 }}]\n"
    );
    let house = House::open_bare(engine, upstream, |options, _| options.settings(&settings)).await;
    let key = house.key(&["m"]).await;
    let answer = house.ask(&key.key, "m").await;
    assert!(["502 upstream_error", "503 no_healthy_upstream"].contains(&answer.as_str()), "{answer}");
}

async fn a_model_that_nobody_serves_says_so(engine: Engine) {
    let upstream = FakeUpstream::start().await;
    let settings = "[[models]]\nname = \"m\"\nkind = \"chat\"\nserved_by = []\n";
    let house = House::open_bare(engine, upstream, |options, _| options.settings(settings)).await;
    let key = house.key(&["m"]).await;
    let reply = house.chat(&key.key, "m", json!({})).send().await;
    assert_eq!(reply.answer(), "503 no_healthy_upstream");
    assert!(reply.header("retry-after").parse::<u32>().is_ok(), "{reply}");
}

async fn usage_that_lies_is_neither_repaired_nor_believed_too_far(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    for stream in [false, true] {
        house.chat(&key.key, "chat-a", json!({"stream": stream, "fake": {"usage": "zero"}})).send().await.expect(200);
    }
    let usage = house.usage_of(2).await;
    // Explicit zero is zero, not missing (BerriAI/litellm#37992).
    assert_eq!(
        (&usage["input_tokens"], &usage["output_tokens"], &usage["classes"]["exact"]),
        (&json!(0), &json!(0), &json!(2)),
        "{usage}"
    );
    for stream in [false, true] {
        house.chat(&key.key, "chat-a", json!({"stream": stream, "fake": {"usage": "never"}})).send().await.expect(200);
    }
    let usage = house.usage_of(4).await;
    assert_eq!(usage["classes"]["exact"], 2, "absent is not exact: {usage}");
    for told in ["wrong_total", "negative", "twice"] {
        for stream in [false, true] {
            house.chat(&key.key, "chat-a", json!({"stream": stream, "fake": {"usage": told}})).send().await.expect(200);
        }
    }
    let usage = house.usage_of(10).await;
    for field in ["input_tokens", "output_tokens", "total_tokens"] {
        assert!(usage[field].as_u64().is_some_and(|tokens| tokens < 200), "{field}: {usage}");
    }
}

async fn error_texts_are_never_counted_as_output(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    for status in [400, 429, 500] {
        let _ = house.chat(&key.key, "chat-a", json!({"fake": {"status": status}})).send().await;
    }
    let (requests, ..) = house.upstream.count();
    let usage = house.usage_of(requests).await;
    assert_eq!(
        (&usage["output_tokens"], &usage["input_tokens"], &usage["failed"]),
        (&json!(0), &json!(0), &json!(requests)),
        "{usage}"
    );
}

async fn an_upstream_that_takes_no_stream_options_is_learned_once_and_its_streams_are_estimated(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    house.upstream.set(json!({"refuses": "stream_options"}));
    for at in 0..3 {
        let reply = house.chat(&key.key, "chat-a", json!({"stream": true})).send().await.expect(200);
        assert!(reply.body.ends_with(b"data: [DONE]\n\n"), "{reply}");
        // The first is asked once more; then nobody asks it again.
        assert_eq!(house.upstream.count().0, at + 2);
    }
    let usage = house.usage_of(4).await;
    assert_eq!(
        (&usage["failed"], &usage["classes"]["estimated"], &usage["output_tokens"]),
        (&json!(1), &json!(3), &json!(15)),
        "what was refused used nothing, the others what passed: {usage}"
    );
    let metrics = tollgate_tests::Http::at(house.node.ready()["metrics"].as_str().unwrap());
    let metrics = metrics.get("/metrics").send().await.expect(200);
    let line = "tollgate_upstream_usage_refused{upstream=\"fake\"} 1";
    assert!(String::from_utf8_lossy(&metrics.body).contains(line), "{metrics}");
    assert_eq!(house.node.log().matches("refuses stream_options").count(), 1);
    // What a client asks for itself is its own: the refusal passes.
    let own = json!({"stream": true, "stream_options": {"include_usage": true}});
    assert_eq!(house.chat(&key.key, "chat-a", own).send().await.answer(), "400 some_code");
    // An edit makes it another upstream: it is asked anew.
    house.upstream.set(json!({}));
    let edit = json!({"credential": "sk-another"});
    house.api("PATCH", "upstreams/fake").json(&edit).send().await.expect(200);
    house.chat(&key.key, "chat-a", json!({"stream": true})).send().await.expect(200);
    assert_eq!(house.upstream.last().body["stream_options"]["include_usage"], true);
}

async fn who_names_stream_options_in_a_wrong_request_switches_off_no_usage(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    // Servers repeat what is wrong: here the client's own words.
    for body in [
        json!({"stream": true, "stream_options": {"more": 1}, "fake": {"status": 400, "code": "stream_options"}}),
        json!({"stream": true, "stream_options": {"more": 1}, "fake": {"refuses": "stream_options"}}),
        json!({"stream": true, "fake": {"status": 400, "code": "stream_options"}}),
        json!({"stream": true, "user": "stream_options", "fake": {"status": 422, "code": "include_usage"}}),
    ] {
        let reply = house.chat(&key.key, "chat-a", body.clone()).send().await;
        assert!([400, 422].contains(&reply.status.as_u16()), "{body} {reply}");
    }
    house.chat(&key.key, "chat-a", json!({"stream": true})).send().await.expect(200);
    assert_eq!(house.upstream.last().body["stream_options"]["include_usage"], true);
    let usage = house.usage_of(house.upstream.count().0).await;
    assert_eq!((&usage["output_tokens"], &usage["classes"]["estimated"]), (&json!(5), &json!(0)), "{usage}");
}

async fn what_an_upstream_told_is_kept_with_its_attempt(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let more = json!({"usage_more": {"audio_tokens": 3}});
    for (stream, fake) in [
        (false, json!({})),
        (true, json!({})),
        (false, more.clone()),
        (true, more),
        (false, json!({"usage": "wrong_total"})),
        (true, json!({"usage": "negative"})),
    ] {
        house.chat(&key.key, "chat-a", json!({"stream": stream, "fake": fake})).send().await.expect(200);
    }
    house.usage_of(6).await;
    let rows = house.database.rows(
        "SELECT suspect || ' ' || coalesce(upstream_id, '-') || ' ' || coalesce(upstream_usage, '-') FROM usage_attempts",
    );
    let rows: Vec<(String, Value)> = rows
        .iter()
        .map(|row| {
            let (rest, usage) = row.match_indices(' ').nth(1).map(|(at, _)| row.split_at(at)).unwrap();
            (rest.to_owned(), serde_json::from_str(usage).unwrap_or_default())
        })
        .collect();
    let usage = |input: i64, output: i64, total: i64| {
        json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": total,
            "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}})
    };
    let mut with_more = usage(7, 5, 12);
    with_more["more"] = json!({"audio_tokens": 3});
    let expected = [
        ("0 fake-1", json!(null)),
        ("0 fake-1", json!(null)),
        ("0 fake-1", with_more.clone()),
        ("0 fake-1", with_more),
        ("1 fake-1", usage(7, 5, 1_012)),
        ("1 fake-1", usage(-7, -5, -12)),
    ];
    // Two requests of one millisecond stand in any order.
    let sorted = |mut rows: Vec<(String, Value)>| {
        rows.sort_by_key(|(rest, usage)| (rest.clone(), usage.to_string()));
        rows
    };
    assert_eq!(sorted(rows), sorted(expected.map(|(rest, usage)| (rest.to_owned(), usage)).into()));
}

async fn a_compressed_reply_is_passed_on_and_never_guessed_at(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    // The upstream was asked for identity: one that compresses all the same is either passed on or refused, and what
    // cannot be read is not counted as read.
    let fake = json!({"encoding": "gzip", "garbage": "\u{1f}not really gzip"});
    let reply = house.chat(&key.key, "chat-a", json!({"fake": fake})).send().await;
    assert!(reply.answer() == "502 upstream_error" || reply.header("content-encoding") == "gzip", "{reply}");
    assert_eq!(house.usage_of(1).await["classes"]["exact"], 0);
}
