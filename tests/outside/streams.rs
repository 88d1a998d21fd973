//! Streams: the client's bytes are the upstream's bytes; clients that hang up; streams that break off.

use tollgate_tests::{
    Engine, House, Value, eventually,
    house::catalogue,
    json, on_both,
    upstream::{Endpoint, Script, UsageAsked, render},
};

fn script(members: &Value) -> Script {
    Script::from_members(members.as_object().expect("an object"))
}

on_both!(
    a_stream_is_byte_for_byte_what_the_upstream_would_have_sent_without_us,
    running_usage_is_asked_of_engines_that_can_and_never_shown,
    a_client_that_hangs_up_stops_the_upstream_and_is_charged_what_was_made,
    a_client_that_hangs_up_leaves_an_honest_estimate_where_only_the_end_tells_usage,
    draining_reads_on_for_the_exact_figures,
    a_client_that_hangs_up_before_the_reply_is_not_charged_the_whole_prompt_as_exact,
    a_stream_that_the_upstream_breaks_off_ends_with_an_error_event,
    chunks_leave_as_they_come,
    a_stream_without_end_in_one_line_is_cut_and_the_node_lives,
);

async fn a_stream_is_byte_for_byte_what_the_upstream_would_have_sent_without_us(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let mut requests = 0;
    for fake in [
        json!({}),
        json!({"chunks": 1}),
        json!({"chunks": 300}),
        json!({"usage_null": false}),
        json!({"usage": "never"}),
        json!({"usage": "twice"}),
        json!({"chunks": 20, "pace_ms": 1}),
    ] {
        for (path, endpoint) in [("chat/completions", Endpoint::Chat), ("completions", Endpoint::Completions)] {
            for options in [json!(null), json!({"include_usage": false}), json!({"include_usage": true})] {
                let mut body = json!({"model": "chat-a", "stream": true, "fake": fake});
                if !options.is_null() {
                    body["stream_options"] = options.clone();
                }
                let reply = house.http().post(&format!("/v1/{path}"), &body).bearer(&key.key).send().await.expect(200);
                requests += 1;
                let asked = UsageAsked { include: options["include_usage"] == true, continuous: false };
                let expected = render(&script(&fake), endpoint, "chat-a", true, asked).concat();
                assert_eq!(
                    String::from_utf8_lossy(&reply.body),
                    String::from_utf8_lossy(&expected),
                    "{fake} {options} {path}"
                );
                assert!(reply.header("content-type").starts_with("text/event-stream"), "{reply}");
                assert_eq!(house.upstream.last().body["stream_options"]["include_usage"], true);
            }
        }
    }
    let usage = house.usage_of(requests).await;
    // Of each round of seven, one told no usage.
    assert_eq!(usage["classes"]["exact"].as_u64(), Some(requests / 7 * 6), "{usage}");
}

async fn running_usage_is_asked_of_engines_that_can_and_never_shown(engine: Engine) {
    let upstream = tollgate_tests::FakeUpstream::start().await;
    let settings = catalogue(&upstream, "vllm", "cancel");
    let house = House::open_bare(engine, upstream, |options, _| options.settings(&settings)).await;
    let key = house.key(&["chat-a"]).await;
    for options in [json!(null), json!({"include_usage": true})] {
        let mut body = json!({"model": "chat-a", "stream": true, "fake": {"chunks": 12, "usage_null": false}});
        if !options.is_null() {
            body["stream_options"] = options.clone();
        }
        let reply = house.http().post("/v1/chat/completions", &body).bearer(&key.key).send().await.expect(200);
        // Who asked for usage gets it as OpenAI gives it: null in each chunk until the last tells it.
        let asked = UsageAsked { include: options["include_usage"] == true, continuous: false };
        let expected = render(&script(&json!({"chunks": 12})), Endpoint::Chat, "chat-a", true, asked).concat();
        assert_eq!(String::from_utf8_lossy(&reply.body), String::from_utf8_lossy(&expected), "{options}");
        assert_eq!(house.upstream.last().body["stream_options"]["continuous_usage_stats"], true);
    }
    let usage = house.usage_of(2).await;
    assert_eq!((&usage["output_tokens"], &usage["classes"]["exact"]), (&json!(24), &json!(2)), "{usage}");
}

async fn a_client_that_hangs_up_stops_the_upstream_and_is_charged_what_was_made(engine: Engine) {
    let upstream = tollgate_tests::FakeUpstream::start().await;
    let settings = catalogue(&upstream, "vllm", "cancel");
    let house = House::open_bare(engine, upstream, |options, _| options.settings(&settings)).await;
    let key = house.key(&["chat-a"]).await;
    let mut stream = house
        .chat(&key.key, "chat-a", json!({"stream": true, "fake": {"chunks": 50, "stall_at": 6, "input": 21}}))
        .stream()
        .await;
    for _ in 0..6 {
        stream.next_event().await.unwrap().unwrap();
    }
    drop(stream);
    eventually("the upstream is stopped", async || house.upstream.last().gone.then_some(())).await;
    let usage = house.usage_of(1).await;
    // Running usage tells exactly what was made until then.
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(21), &json!(6)), "{usage}");
    assert_eq!(usage["classes"]["partial"], 1, "{usage}");
}

async fn a_client_that_hangs_up_leaves_an_honest_estimate_where_only_the_end_tells_usage(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let mut stream = house
        .chat(&key.key, "chat-a", json!({"stream": true, "fake": {"chunks": 50, "stall_at": 6, "input": 21}}))
        .stream()
        .await;
    for _ in 0..6 {
        stream.next_event().await.unwrap().unwrap();
    }
    drop(stream);
    eventually("the upstream is stopped", async || house.upstream.last().gone.then_some(())).await;
    let usage = house.usage_of(1).await;
    assert_eq!(
        (&usage["classes"]["exact"], &usage["classes"]["estimated"]),
        (&json!(0), &json!(1)),
        "never shown as exact: {usage}"
    );
    let output = usage["output_tokens"].as_u64().unwrap();
    assert!((6..=50).contains(&output), "{usage}");
}

async fn draining_reads_on_for_the_exact_figures(engine: Engine) {
    let upstream = tollgate_tests::FakeUpstream::start().await;
    let settings = catalogue(&upstream, "openai", "drain");
    let house = House::open_bare(engine, upstream, |options, _| options.settings(&settings)).await;
    let key = house.key(&["chat-a"]).await;
    let mut stream = house
        .chat(&key.key, "chat-a", json!({"stream": true, "fake": {"chunks": 50, "stall_at": 6, "input": 21}}))
        .stream()
        .await;
    for _ in 0..6 {
        stream.next_event().await.unwrap().unwrap();
    }
    drop(stream);
    eventually("the upstream is asked", async || (house.upstream.last().output == 6).then_some(())).await;
    house.upstream.release();
    let usage = house.usage_of(1).await;
    assert!(house.upstream.last().finished);
    assert_eq!(
        (&usage["input_tokens"], &usage["output_tokens"], &usage["classes"]["exact"]),
        (&json!(21), &json!(50), &json!(1)),
        "{usage}"
    );
}

async fn a_client_that_hangs_up_before_the_reply_is_not_charged_the_whole_prompt_as_exact(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let request = house.chat(&key.key, "chat-a", json!({"fake": {"slow_head": true}}));
    let waiting = tokio::spawn(request.try_send());
    eventually("the upstream is asked", async || (house.upstream.count().0 == 1).then_some(())).await;
    waiting.abort();
    eventually("the upstream is let go", async || {
        house.upstream.release();
        let usage = house.usage().await;
        (usage["requests"] == 1).then_some(())
    })
    .await;
    assert_eq!(house.usage().await["classes"]["exact"], 0);
}

async fn a_stream_that_the_upstream_breaks_off_ends_with_an_error_event(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let mut stream =
        house.chat(&key.key, "chat-a", json!({"stream": true, "fake": {"chunks": 9, "cut_at": 4}})).stream().await;
    let events = stream.events().await.unwrap();
    assert_eq!(events.len(), 5, "{events:?}");
    let last: Value = serde_json::from_str(&events[4]).unwrap();
    assert_eq!(last["error"]["code"], "upstream_error");
    assert_eq!(house.upstream.count().0, 1, "never retried after the first byte");
    let usage = house.usage_of(1).await;
    assert_eq!((&usage["failed"], &usage["classes"]["exact"]), (&json!(1), &json!(0)), "{usage}");
    assert!(usage["output_tokens"].as_u64().unwrap() >= 4, "what was delivered counts: {usage}");
}

async fn chunks_leave_as_they_come(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    // The third chunk is made only after the client has the second: whoever gathers would wait for ever.
    let mut stream =
        house.chat(&key.key, "chat-a", json!({"stream": true, "fake": {"chunks": 3, "stall_at": 2}})).stream().await;
    for _ in 0..2 {
        stream.next_event().await.unwrap().unwrap();
    }
    house.upstream.release();
    assert_eq!(stream.events().await.unwrap().len(), 2);
}

async fn a_stream_without_end_in_one_line_is_cut_and_the_node_lives(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let request = house.chat(&key.key, "chat-a", json!({"stream": true, "fake": {"huge_line": 6u64 << 20}}));
    let mut stream = request.stream().await;
    let mut last = Vec::new();
    while let Ok(Some(bytes)) = stream.next_bytes().await {
        last.extend_from_slice(&bytes);
        let keep = last.len().saturating_sub(4_096);
        last.drain(..keep);
    }
    let end = String::from_utf8_lossy(&last);
    assert!(end.contains("upstream_error") && !end.contains("[DONE]"), "{end}");
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    house.usage_of(2).await;
}
