//! What a client may send: credentials in their forms, paths, methods, bodies and headers at their limits.

use std::{fmt::Write as _, time::Duration};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tollgate_tests::{Engine, House, eventually, json, on_both};

/// The first line of a raw answer.
fn status_line(answer: &[u8]) -> String {
    String::from_utf8_lossy(answer).lines().next().unwrap_or_default().to_owned()
}

const SOON: Duration = Duration::from_secs(5);

on_both!(
    credentials_are_taken_in_two_headers_and_never_repaired,
    the_body_alone_names_the_model,
    unknown_members_and_odd_texts_reach_the_upstream_as_they_were_sent,
    only_an_allow_list_of_headers_goes_upstream,
    our_request_id_is_on_every_answer_and_never_the_clients_own,
    paths_answer_with_and_without_the_version_and_nothing_else_answers,
    a_body_over_the_limit_is_refused_however_it_comes,
    headers_beyond_their_limits_are_refused,
    an_address_cannot_take_all_connections_without_a_key,
    clients_that_send_slowly_or_not_at_all_are_hung_up_on,
    a_connection_serves_many_requests_with_different_keys,
);

async fn credentials_are_taken_in_two_headers_and_never_repaired(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let other = house.key(&["chat-a"]).await;
    let body = json!({"model": "chat-a", "messages": []});
    let post = || house.http().post("/v1/chat/completions", &body);
    let bearer = format!("Bearer {}", key.key);
    for request in [
        post().bearer(&key.key),
        post().header("x-api-key", &key.key),
        post().header("authorization", &format!("bearer {}", key.key)),
        post().header("authorization", &bearer).header("x-api-key", &key.key),
    ] {
        assert_eq!(request.send().await.answer(), "200");
    }
    for refused in [
        post().header("authorization", ""),
        post().header("authorization", &key.key),
        post().header("authorization", &format!("Basic {}", key.key)),
        post().header("authorization", &format!("Bearer \"{}\"", key.key)),
        post().header("authorization", &format!("Bearer {},{}", key.key, other.key)),
        post().header("authorization", &format!("Bearer {}x", key.key)),
        post().header("authorization", &format!("Bearer {}", key.key.to_uppercase())),
        post().header("authorization", &format!("Bearer x{}", key.key)),
        post().header("authorization", &bearer).header("authorization", &bearer),
        post().header("authorization", &bearer).header("x-api-key", &other.key),
        post().header("authorization", "Bearer wrong").header("x-api-key", &key.key),
        post().header("x-api-key", &key.key).header("x-api-key", &other.key),
    ] {
        let reply = refused.clone().send().await;
        assert_eq!(reply.answer(), "401 invalid_api_key", "{refused:?}");
    }
    for missing in [post(), post().header("cookie", &bearer), post().header("api-key", &key.key)] {
        let reply = missing.clone().send().await;
        assert_eq!(reply.answer(), "401 missing_api_key", "{missing:?}");
    }
    let in_query = house.http().post(&format!("/v1/chat/completions?api_key={}", key.key), &body).send().await;
    assert_eq!(in_query.answer(), "401 missing_api_key");
}

async fn the_body_alone_names_the_model(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    // A model in the query never overrides what was checked (BerriAI/litellm#41810).
    let body = json!({"model": "chat-a", "messages": []});
    for path in ["/v1/chat/completions?model=chat-b", "/chat/completions?model=chat-b"] {
        house.http().post(path, &body).bearer(&key.key).send().await.expect(200);
        assert_eq!(house.upstream.last().model, "chat-a");
    }
    let body = json!({"model": "chat-b", "messages": []});
    let reply = house.http().post("/v1/chat/completions?model=chat-a", &body).bearer(&key.key).send().await;
    assert_eq!(reply.answer(), "403 model_not_permitted");
    // Written with escapes it is the same name, and a second one deeper down is no name.
    for (text, answer) in [
        (r#"{"model":"ch\u0061t-a","messages":[]}"#, "200"),
        (r#"{"mod\u0065l":"chat-a","messages":[]}"#, "200"),
        (r#"{"model":"chat-\u0062","messages":[]}"#, "403 model_not_permitted"),
        (r#"{"messages":[{"model":"chat-b"}],"model":"chat-a"}"#, "200"),
        (r#"{"model":"chat-a","x":"\"model\":\"chat-b\"","messages":[]}"#, "200"),
        (r#"{"model":"chat-a","model":"chat-b","messages":[]}"#, "400 invalid_request"),
        (r#"{"model":"chat-a","messages":[],"mod\u0065l":"chat-b"}"#, "400 invalid_request"),
        (r#"{"Model":"chat-b","model":"chat-a"}"#, "400 invalid_request"),
        (r#"{"model":"chat-a","models":["chat-b"]}"#, "400 invalid_request"),
        (r#"{"model":"chat-a","fallbacks":[{"model":"chat-b"}]}"#, "400 invalid_request"),
    ] {
        let reply = house
            .http()
            .request("POST", "/v1/chat/completions")
            .bearer(&key.key)
            .header("content-type", "application/json")
            .body(text)
            .send()
            .await;
        assert_eq!(reply.answer(), answer, "{text}");
        if answer == "200" {
            assert_eq!(house.upstream.last().model, "chat-a", "{text}");
        }
    }
}

async fn unknown_members_and_odd_texts_reach_the_upstream_as_they_were_sent(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a", "renamed"]).await;
    let text = "{ \"messages\" : [ {\"role\":\"user\",\"content\":\"\\ud83d\\ude80 \u{1f680} \\u0000\"} ],\n\t\"model\" :\t\"chat-a\" , \"future_member\":{\"deep\":[1e400,-0.0,12345678901234567890]}, \"temperature\":1.0 }";
    house
        .http()
        .request("POST", "/v1/chat/completions")
        .bearer(&key.key)
        .header("content-type", "application/json")
        .body(text)
        .send()
        .await
        .expect(200);
    assert_eq!(house.upstream.last().bytes, text.as_bytes());
    let renamed = text.replace("\"chat-a\"", "\"renamed\"");
    house
        .http()
        .request("POST", "/v1/chat/completions")
        .bearer(&key.key)
        .header("content-type", "application/json")
        .body(renamed)
        .send()
        .await
        .expect(200);
    assert_eq!(house.upstream.last().bytes, text.replace("\"chat-a\"", "\"Vendor/Model-X\"").as_bytes());
}

async fn only_an_allow_list_of_headers_goes_upstream(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    house
        .chat(&key.key, "chat-a", json!({}))
        .header("cookie", "session=1")
        .header("x-forwarded-for", "6.6.6.6")
        .header("forwarded", "for=6.6.6.6")
        .header("x-request-id", "the-clients-own")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .header("accept-encoding", "gzip")
        .header("proxy-authorization", "Basic eA==")
        .send()
        .await
        .expect(200);
    let seen = house.upstream.last().headers;
    assert_eq!(seen["authorization"], format!("Bearer {}", tollgate_tests::house::CREDENTIAL));
    for name in ["cookie", "x-forwarded-for", "forwarded", "x-hop", "proxy-authorization", "x-api-key"] {
        assert!(!seen.contains_key(name), "{name}: {seen:?}");
    }
    assert_eq!(seen.get("accept-encoding").map_or("identity", |value| value.to_str().unwrap()), "identity");
    assert!(!format!("{seen:?}").contains(&key.key[16..]), "{seen:?}");
}

async fn our_request_id_is_on_every_answer_and_never_the_clients_own(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let mut ids = std::collections::HashSet::new();
    for request in [
        house.chat(&key.key, "chat-a", json!({})),
        house.chat(&key.key, "chat-a", json!({"stream": true})),
        house.chat(&key.key, "nope", json!({})),
        house.http().get("/v1/models"),
        house.http().get("/v1/nothing/here"),
    ] {
        let reply = request.header("x-request-id", "mine").send().await;
        let id = reply.header("x-request-id").to_owned();
        assert!(!id.is_empty() && id != "mine", "{reply}");
        assert!(ids.insert(id), "{reply}");
    }
}

async fn paths_answer_with_and_without_the_version_and_nothing_else_answers(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a", "embed-a"]).await;
    for prefix in ["/v1", ""] {
        for (path, body) in [
            ("chat/completions", json!({"model": "chat-a"})),
            ("completions", json!({"model": "chat-a", "prompt": "x"})),
            ("embeddings", json!({"model": "embed-a", "input": "x"})),
        ] {
            house.http().post(&format!("{prefix}/{path}"), &body).bearer(&key.key).send().await.expect(200);
            assert_eq!(house.upstream.last().path, format!("/v1/{path}"));
        }
        let models = house.http().get(&format!("{prefix}/models")).bearer(&key.key).send().await.expect(200).json();
        let ids: Vec<_> =
            models["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
        assert_eq!((models["object"].as_str(), ids), (Some("list"), vec!["chat-a", "embed-a"]));
        let model =
            house.http().get(&format!("{prefix}/models/chat-a")).bearer(&key.key).send().await.expect(200).json();
        assert_eq!((&model["id"], &model["object"]), (&json!("chat-a"), &json!("model")));
        let reply = house.http().get(&format!("{prefix}/models/chat-b")).bearer(&key.key).send().await;
        assert!(["403 model_not_permitted", "404 model_not_found"].contains(&reply.answer().as_str()), "{reply}");
        let own = house.http().get(&format!("{prefix}/key")).bearer(&key.key).send().await.expect(200).json();
        assert_eq!((&own["name"], &own["models"]), (&json!("a key"), &json!(["chat-a", "embed-a"])), "{own}");
        assert_eq!(own["hint"], key.answer["hint"]);
        assert!(!own.to_string().contains(&key.key));
    }
    for (method, path, answer) in [
        ("GET", "/v1/chat/completions", "405 method_not_allowed"),
        ("DELETE", "/v1/models/chat-a", "405 method_not_allowed"),
        ("POST", "/v1/models", "405 method_not_allowed"),
        ("GET", "/v1/", "404 unknown_url"),
        ("POST", "/v1/chat/completions/", "404 unknown_url"),
        ("POST", "/v1/v1/chat/completions", "404 unknown_url"),
        ("POST", "/v1//chat/completions", "404 unknown_url"),
        ("POST", "/v1/../v1/chat/completions", "404 unknown_url"),
        ("POST", "/v1/chat%2Fcompletions", "404 unknown_url"),
        ("POST", "/v1/files", "404 unknown_url"),
    ] {
        let reply = house.http().request(method, path).bearer(&key.key).json(&json!({"model": "chat-a"})).send().await;
        assert_eq!(reply.answer(), answer, "{method} {path}: {reply}");
    }
    let not_allowed = house.http().get("/v1/chat/completions").bearer(&key.key).send().await;
    assert_eq!(not_allowed.header("allow"), "POST");
    for path in ["/healthz", "/readyz"] {
        house.http().get(path).send().await.expect(200);
    }
}

async fn a_body_over_the_limit_is_refused_however_it_comes(engine: Engine) {
    let house = House::open_with(engine, |options, _| options.member("limits", "body_size = \"64KiB\"")).await;
    let key = house.key(&["chat-a"]).await;
    let padding = "x".repeat(64 << 10);
    let reply = house.chat(&key.key, "chat-a", json!({"padding": padding})).send().await;
    assert_eq!(reply.answer(), "413 request_too_large");
    let fits = "x".repeat(60 << 10);
    assert_eq!(house.chat(&key.key, "chat-a", json!({"padding": fits})).send().await.answer(), "200");
    // Chunked: counted as read, not as announced.
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n",
        key.key
    );
    let mut raw = head.into_bytes();
    for _ in 0..20 {
        raw.extend_from_slice(format!("{:x}\r\n{}\r\n", 8 << 10, "y".repeat(8 << 10)).as_bytes());
    }
    assert_eq!(status_line(&house.http().raw(&raw, SOON).await), "HTTP/1.1 413 Payload Too Large");
    // Announced only: refused without reading it.
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 99999999999\r\n\r\n",
        key.key
    );
    assert_eq!(status_line(&house.http().raw(head.as_bytes(), SOON).await), "HTTP/1.1 413 Payload Too Large");
    assert_eq!(house.upstream.count().0, 1);
}

async fn headers_beyond_their_limits_are_refused(engine: Engine) {
    let house = House::open(engine).await;
    let with = |headers: &str| format!("GET /v1/models HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    let many = (0..200).fold(String::new(), |mut text, at| {
        let _ = write!(text, "x-{at}: 1\r\n");
        text
    });
    for headers in [many, format!("x-long: {}\r\n", "x".repeat(40 << 10))] {
        let answer = house.http().raw(with(&headers).as_bytes(), SOON).await;
        assert!(status_line(&answer).contains(" 431 "), "{}", status_line(&answer));
        is_traceable(&house, &answer).await;
    }
    let long = format!("GET /v1/models?{} HTTP/1.1\r\nhost: x\r\n\r\n", "q".repeat(20 << 10));
    let line = status_line(&house.http().raw(long.as_bytes(), SOON).await);
    assert!(line.contains(" 414 ") || line.contains(" 431 "), "{line}");
    for nonsense in ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        let answer = house.http().raw(nonsense.as_bytes(), SOON).await;
        assert!(
            answer.is_empty() || status_line(&answer).contains(" 400 ") || status_line(&answer).contains(" 505 "),
            "{}",
            status_line(&answer)
        );
        if !answer.is_empty() {
            is_traceable(&house, &answer).await;
        }
    }
    // Two lengths, or a length beside chunks: what a smuggler sends.
    for smuggled in
        ["content-length: 5\r\ncontent-length: 6\r\n", "content-length: 5\r\ntransfer-encoding: chunked\r\n"]
    {
        let request = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{smuggled}\r\n0\r\n\r\n");
        let line = status_line(&house.http().raw(request.as_bytes(), SOON).await);
        assert!(line.contains(" 400 ") || line.contains(" 401 "), "{line}");
    }
    house.http().get("/healthz").send().await.expect(200);
}

/// An answer to what was no request that could be read: ours like any other, and in the log.
async fn is_traceable(house: &House, answer: &[u8]) {
    let text = String::from_utf8_lossy(answer);
    let id = text.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap_or_else(|| panic!("{text}"));
    assert!(text.ends_with('}') && text.contains(r#""code":"invalid_header""#), "{text}");
    eventually("its line is written", async || house.node.log().contains(id).then_some(())).await;
}

async fn an_address_cannot_take_all_connections_without_a_key(engine: Engine) {
    let house = House::open_with(engine, |options, _| options.member("limits", "strangers_per_address = 5")).await;
    // Those who say who they are do not count.
    let key = house.key(&["chat-a"]).await;
    let mut known = Vec::new();
    for _ in 0..8 {
        let mut connection = house.http().connect().await.unwrap();
        assert_eq!(connection.send(house.chat(&key.key, "chat-a", json!({}))).await.unwrap().status, 200);
        known.push(connection);
    }
    let mut silent = Vec::new();
    eventually("no more connections are taken", async || {
        let mut stream = house.http().tcp().await;
        let mut byte = [0];
        // One that is not taken is closed; one that is taken waits for a first byte.
        match tokio::time::timeout(Duration::from_millis(300), stream.read(&mut byte)).await {
            Ok(_closed) => Some(()),
            Err(_waits) => {
                silent.push(stream);
                assert!(silent.len() <= 5, "more than so many strangers of one address");
                None
            }
        }
    })
    .await;
    for connection in &mut known {
        assert_eq!(connection.send(house.chat(&key.key, "chat-a", json!({}))).await.unwrap().status, 200);
    }
    drop(silent);
    eventually("others are served again", async || {
        house.http().get("/healthz").try_send().await.ok().filter(|reply| reply.status == 200)
    })
    .await;
}

async fn clients_that_send_slowly_or_not_at_all_are_hung_up_on(engine: Engine) {
    let house = House::open_with(engine, |options, _| {
        options.member("limits", "header_time = \"1s\"").member("limits", "body_idle = \"1s\"")
    })
    .await;
    let key = house.key(&["chat-a"]).await;
    // A head that never ends.
    let answer = house.http().raw(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-slow: ", Duration::from_secs(20)).await;
    assert!(answer.is_empty() || status_line(&answer).contains(" 408 "), "{}", status_line(&answer));
    // A body that stops in the middle.
    let mut stream = house.http().tcp().await;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\n{{\"model\"",
        key.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection is closed");
    assert!(answer.is_empty() || status_line(&answer).contains(" 408 "), "{}", status_line(&answer));
    assert_eq!(house.upstream.count().0, 0);
}

async fn a_connection_serves_many_requests_with_different_keys(engine: Engine) {
    let house = House::open(engine).await;
    let (a, b) = (house.key(&["chat-a"]).await, house.key(&["chat-b"]).await);
    let mut connection = house.http().connect().await.unwrap();
    for _ in 0..20 {
        for (key, model, answer) in
            [(&a, "chat-a", "200"), (&b, "chat-a", "403 model_not_permitted"), (&b, "chat-b", "200")]
        {
            assert_eq!(connection.send(house.chat(&key.key, model, json!({}))).await.unwrap().answer(), answer);
        }
    }
    // A pipelined second request is its own: nothing of the first sticks to it.
    let body = r#"{"model":"chat-a"}"#;
    let first = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
        a.key,
        body.len()
    );
    let second = "GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = house.http().raw(format!("{first}{second}").as_bytes(), SOON).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("HTTP/1.1 401"), "{text}");
}
