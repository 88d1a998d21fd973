//! The published table of errors: status, code, shape and headers of each that these routes can meet.

use tollgate_tests::{Engine, House, Reply, house::CREDENTIAL, json, on_both};

/// What every error has: OpenAI's shape, our request id, and nothing in its words that the client may not know.
#[track_caller]
fn is_an_error(reply: &Reply, answer: &str, secrets: &[&str]) {
    assert_eq!(reply.answer(), answer, "{reply}");
    let error = &reply.json()["error"];
    assert_eq!(
        error.as_object().map(|error| error.keys().map(String::as_str).collect::<Vec<_>>()),
        Some(vec!["code", "message", "param", "type"]),
        "{reply}"
    );
    assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{reply}");
    assert!(!reply.header("x-request-id").is_empty(), "{reply}");
    assert_eq!(reply.header("content-type"), "application/json", "{reply}");
    let shown = reply.to_string();
    for secret in secrets.iter().chain(&[CREDENTIAL, "x-upstream-secret"]) {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    match reply.status.as_u16() {
        401 => assert!(reply.header("www-authenticate").starts_with("Bearer"), "{reply}"),
        429 | 503 => assert!(reply.header("retry-after").parse::<u32>().is_ok(), "{reply}"),
        _ => {}
    }
}

on_both!(every_error_of_the_table_is_answered_as_published, an_account_without_a_plan_is_told_where_to_get_one,);

async fn every_error_of_the_table_is_answered_as_published(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let upstream = house.upstream.base_url();
    let authority = upstream.trim_start_matches("http://").trim_end_matches("/v1").to_owned();
    let secrets = [key.key.as_str(), authority.as_str()];
    let body = json!({"model": "chat-a", "messages": []});
    let post = || house.http().post("/v1/chat/completions", &body);

    // Who are you?
    let missing = post().send().await;
    is_an_error(&missing, "401 missing_api_key", &secrets);
    let unknown = "tg_000000000000_0000000000000000000000000000000000000000000";
    let unknown = format!("{unknown}{}", checksum(unknown));
    let mut mistyped = key.key.clone();
    mistyped.replace_range(20..21, if &mistyped[20..21] == "x" { "y" } else { "x" });
    for wrong in ["nonsense", &mistyped, &unknown, house.token.as_str()] {
        let refused = post().bearer(wrong).send().await;
        is_an_error(&refused, "401 invalid_api_key", &[wrong]);
        assert!(refused.header("www-authenticate").contains("invalid_token"), "{refused}");
    }

    // Dead keys say how they died, to who holds the right secret.
    for (act, code) in [("revoke", "api_key_revoked"), ("disable", "api_key_disabled")] {
        let dead = house.key(&["chat-a"]).await;
        house.api("POST", &format!("keys/{}/{act}", dead.id)).send().await.expect(200);
        is_an_error(&post().bearer(&dead.key).send().await, &format!("401 {code}"), &[&dead.key]);
    }
    // Model and route.
    let ask =
        async |body: &serde_json::Value| house.http().post("/v1/chat/completions", body).bearer(&key.key).send().await;
    is_an_error(&ask(&json!({"model": "chat-b"})).await, "403 model_not_permitted", &secrets);
    let unknown = ask(&json!({"model": "no-such-model"})).await;
    is_an_error(&unknown, "404 model_not_found", &secrets);
    assert_eq!(unknown.json()["error"]["param"], "model");
    let all = house.key_with(json!({"name": "all", "models": "all"})).await;
    let wrong_route =
        house.http().post("/v1/chat/completions", &json!({"model": "embed-a"})).bearer(&all.key).send().await;
    is_an_error(&wrong_route, "400 wrong_endpoint_for_model", &secrets);
    let wrong_route = house.http().post("/v1/embeddings", &json!({"model": "chat-a"})).bearer(&all.key).send().await;
    is_an_error(&wrong_route, "400 wrong_endpoint_for_model", &secrets);

    // Bodies.
    for wrong in [
        r#""#,
        r#"{"#,
        r#"[]"#,
        r#"{}"#,
        r#"{"model":null}"#,
        r#"{"model":7}"#,
        r#"{"model":["chat-a"]}"#,
        r#"{"model":"chat-a","model":"chat-a"}"#,
        r#"{"model":"chat-a","mod\u0065l":"chat-b"}"#,
        "{\"model\":\"chat-a\"} x",
        "\u{feff}{\"model\":\"chat-a\"}",
    ] {
        let refused = house
            .http()
            .request("POST", "/v1/chat/completions")
            .bearer(&key.key)
            .header("content-type", "application/json")
            .body(wrong)
            .send()
            .await;
        is_an_error(&refused, "400 invalid_request", &secrets);
    }
    assert_eq!(house.upstream.count().0, 0, "nothing of all this reached the upstream");

    // Upstreams that fail.
    for (fake, answer) in [
        (json!({"status": 401}), "502 upstream_error"),
        (json!({"status": 403}), "502 upstream_error"),
        (json!({"garbage": "<html>busy</html>"}), "502 upstream_error"),
        (json!({"redirect": "http://127.0.0.1:1/"}), "502 upstream_error"),
        (json!({"cut_at": 0}), "502 upstream_error"),
    ] {
        let reply = house.chat(&key.key, "chat-a", json!({"fake": fake})).send().await;
        is_an_error(&reply, answer, &secrets);
    }
    // What the upstream says about the request passes as it came.
    for status in [400, 404, 413, 422] {
        let reply =
            house.chat(&key.key, "chat-a", json!({"fake": {"status": status, "code": "their_code"}})).send().await;
        assert_eq!(reply.answer(), format!("{status} their_code"), "{reply}");
        assert!(!reply.header("x-request-id").is_empty());
    }
    let reply = house
        .chat(&key.key, "chat-a", json!({"fake": {"status": 429, "code": "their_limit", "retry_after": "7"}}))
        .send()
        .await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (429, "7"), "{reply}");
}

async fn an_account_without_a_plan_is_told_where_to_get_one(engine: Engine) {
    let house = House::open_with(engine, |options, _| {
        options.member("keys", "contact_url = \"mailto:sales@marketplace.example\"")
    })
    .await;
    house.api("POST", "accounts").json(&json!({"handle": "acme", "name": "Acme"})).send().await.expect(201);
    let refused =
        house.api("POST", "keys").json(&json!({"name": "k", "models": "all", "account": "acme"})).send().await;
    assert_eq!(refused.answer(), "402 plan_required", "{refused}");
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert!(refused.to_string().contains("mailto:sales@marketplace.example"), "{refused}");
}

/// CRC-32 (IEEE) in base 62, six digits: the published checksum of a key.
pub fn checksum(text: &str) -> String {
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    let mut rest = !crc;
    let alphabet = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = alphabet[usize::try_from(rest % 62).unwrap()];
        rest /= 62;
    }
    String::from_utf8(digits.to_vec()).unwrap()
}
