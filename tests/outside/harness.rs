//! The fake upstream is what it says it is: otherwise every other test here proves nothing.

use tollgate_tests::{
    FakeUpstream, Http, Value, eventually, json,
    upstream::{Endpoint, Script, UsageAsked, render},
};

fn ask(upstream: &FakeUpstream, body: Value) -> tollgate_tests::http::Request {
    Http::at(&upstream.base_url()).post("/v1/chat/completions", &body)
}

#[tokio::test]
async fn it_sends_what_it_renders_and_keeps_count() {
    let upstream = FakeUpstream::start().await;
    for stream in [false, true] {
        let body = json!({"model": "m", "stream": stream, "stream_options": {"include_usage": true}, "fake": {"chunks": 3, "input": 11}});
        let reply = ask(&upstream, body).send().await.expect(200);
        let script = Script { chunks: 3, output: 3, input: 11, ..Script::default() };
        let asked = UsageAsked { include: true, continuous: false };
        assert_eq!(reply.body, render(&script, Endpoint::Chat, "m", stream, asked).concat());
    }
    assert_eq!(upstream.count(), (2, 22, 6));
    assert!(upstream.ledger().iter().all(|seen| seen.finished && !seen.gone));
}

#[tokio::test]
async fn it_stalls_is_hung_up_on_cuts_and_refuses() {
    let upstream = FakeUpstream::start().await;
    let mut stream = ask(&upstream, json!({"model": "m", "stream": true, "fake": {"stall_at": 2}})).stream().await;
    for _ in 0..2 {
        stream.next_event().await.unwrap().unwrap();
    }
    assert_eq!((upstream.last().output, upstream.last().finished), (2, false));
    drop(stream);
    eventually("it notices", async || upstream.last().gone.then_some(())).await;

    let mut stream = ask(&upstream, json!({"model": "m", "stream": true, "fake": {"cut_at": 1}})).stream().await;
    stream.next_event().await.unwrap().unwrap();
    assert!(stream.events().await.is_err(), "a break is no end");
    assert!(ask(&upstream, json!({"model": "m", "fake": {"cut_at": 0}})).try_send().await.is_err());
    ask(&upstream, json!({"model": "m", "fake": {"status": 503}})).send().await.expect(503);
    upstream.go_down().await;
    assert!(ask(&upstream, json!({"model": "m"})).try_send().await.is_err());
    upstream.come_back().await;
    ask(&upstream, json!({"model": "m"})).send().await.expect(200);
}
