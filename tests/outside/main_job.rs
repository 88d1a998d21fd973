//! The main job from end to end: a key is made, used, counted, edited, rotated and revoked.

use std::time::Duration;

use tollgate_tests::{Engine, House, Issued, Value, eventually, json, on_both, within};

/// A stream's end when its key died: the error event with this code, and no `[DONE]`.
#[track_caller]
fn ends_with(events: &[String], code: &str) {
    let last: Value = serde_json::from_str(events.last().expect("events")).expect("the last event is JSON");
    assert_eq!(last["error"]["code"], code, "{events:?}");
    assert!(!events.iter().any(|event| event == "[DONE]"), "{events:?}");
}

/// A stream that is running and waits in the middle.
async fn running_stream(house: &House, key: &str, model: &str) -> tollgate_tests::http::Streaming {
    let mut stream =
        house.chat(key, model, json!({"stream": true, "fake": {"chunks": 9, "stall_at": 2}})).stream().await;
    assert_eq!(stream.status, 200);
    for _ in 0..2 {
        stream.next_event().await.expect("a running stream").expect("an event");
    }
    stream
}

fn sum(rows: &[Value], field: &str) -> u64 {
    rows.iter().map(|row| row[field].as_u64().unwrap_or_else(|| panic!("{field}: {row}"))).sum()
}

on_both!(
    a_key_is_made_used_counted_edited_rotated_and_revoked,
    usage_equals_the_upstreams_ledger_to_the_token_over_keys_and_models,
);

/// The sentence that everything else stands on.
async fn a_key_is_made_used_counted_edited_rotated_and_revoked(engine: Engine) {
    let house = House::open(engine).await;
    let issued = house.key(&["chat-a", "chat-b"]).await;
    assert!(issued.key.starts_with("tg_") && issued.key.len() == 2 + 1 + 12 + 1 + 43 + 6, "{}", issued.key.len());
    assert_eq!(issued.answer["status"], "active");
    assert_eq!(issued.answer["hint"], format!("{}…", &issued.key[..15]));

    // Used: plain and streamed.
    house.chat(&issued.key, "chat-a", json!({"fake": {"input": 11, "output": 13}})).send().await.expect(200);
    let mut stream =
        house.chat(&issued.key, "chat-b", json!({"stream": true, "fake": {"input": 3, "chunks": 17}})).stream().await;
    assert_eq!(stream.events().await.unwrap().last().unwrap(), "[DONE]");

    // Counted, within two seconds, to the token.
    let usage = within(Duration::from_secs(2), "usage shows both requests", async || {
        let usage = house.usage().await;
        (usage["requests"] == 2).then_some(usage)
    })
    .await;
    assert_eq!(
        (&usage["input_tokens"], &usage["output_tokens"], &usage["total_tokens"]),
        (&json!(14), &json!(30), &json!(44))
    );

    // Edited: the narrower permission holds at once, also for what is running.
    let mut loser = running_stream(&house, &issued.key, "chat-b").await;
    let mut winner = running_stream(&house, &issued.key, "chat-a").await;
    let edited = house
        .api("PATCH", &format!("keys/{}", issued.id))
        .json(&json!({"models": ["chat-a"]}))
        .send()
        .await
        .expect(200);
    assert_eq!(edited.json()["models"], json!(["chat-a"]));
    assert_eq!(house.ask(&issued.key, "chat-b").await, "403 model_not_permitted");
    assert_eq!(house.ask(&issued.key, "chat-a").await, "200");
    ends_with(&loser.events().await.unwrap(), "model_not_permitted");
    house.upstream.release();
    assert_eq!(winner.events().await.unwrap().last().unwrap(), "[DONE]");
    let listed = house.http().get("/v1/models").bearer(&issued.key).send().await.expect(200).json();
    assert_eq!(listed["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect::<Vec<_>>(), ["chat-a"]);

    // Disabled and enabled.
    let mut running = running_stream(&house, &issued.key, "chat-a").await;
    house.api("POST", &format!("keys/{}/disable", issued.id)).send().await.expect(200);
    assert_eq!(house.ask(&issued.key, "chat-a").await, "401 api_key_disabled");
    ends_with(&running.events().await.unwrap(), "api_key_disabled");
    house.api("POST", &format!("keys/{}/enable", issued.id)).send().await.expect(200);
    assert_eq!(house.ask(&issued.key, "chat-a").await, "200");

    // Rotated: both texts for as long as the grace lasts, then the new one only; same id, same line of usage.
    let rotated =
        house.api("POST", &format!("keys/{}/rotate", issued.id)).json(&json!({"grace": "2s"})).send().await.expect(200);
    let rotated = Issued::from(rotated);
    assert_eq!(rotated.id, issued.id);
    assert_ne!(rotated.key, issued.key);
    assert_eq!(house.ask(&rotated.key, "chat-a").await, "200");
    assert_eq!(house.ask(&issued.key, "chat-a").await, "200");
    eventually("the old text stops after its grace", async || {
        (house.ask(&issued.key, "chat-a").await != "200").then_some(())
    })
    .await;
    assert_eq!(house.ask(&issued.key, "chat-a").await, "401 invalid_api_key");
    assert_eq!(house.ask(&rotated.key, "chat-a").await, "200");

    // Revoked.
    let mut running = running_stream(&house, &rotated.key, "chat-a").await;
    let revoked = house.revoke(&rotated).await.expect(200).json();
    assert_eq!(revoked["status"], "revoked");
    assert_eq!(revoked["effective"]["streams_cut"], 1, "{revoked}");
    assert_eq!(revoked["effective"]["nodes"].as_array().unwrap().len(), 1, "{revoked}");
    assert_eq!(house.ask(&rotated.key, "chat-a").await, "401 api_key_revoked");
    ends_with(&running.events().await.unwrap(), "api_key_revoked");
    let again = house.revoke(&rotated).await.expect(200).json();
    assert_eq!(again["revoked_at"], revoked["revoked_at"]);
    let enable = house.api("POST", &format!("keys/{}/enable", issued.id)).send().await;
    assert_eq!(enable.status, 409, "a revoked key never comes back: {enable}");

    // The sum by key, by model and in total is the upstream's own count. Attempts that were cut are flagged.
    let (requests, input, output) = house.upstream.count();
    let total = house.usage_of(requests).await;
    let cut = requests - total["classes"]["exact"].as_u64().unwrap();
    // Three streams, and perhaps the request that was under way when the grace ended.
    assert!((3..=4).contains(&cut), "{total}");
    for by in ["key", "model", "key,model", "account"] {
        let rows = house.usage_by(by).await;
        for field in ["requests", "input_tokens", "output_tokens", "total_tokens", "failed"] {
            assert_eq!(json!(sum(&rows, field)), total[field], "{field} by {by}: {rows:?}");
        }
    }
    let rows = house.usage_by("key").await;
    assert_eq!(rows.len(), 1, "one key, one line, however often it was rotated: {rows:?}");
    assert_eq!((&rows[0]["key"], &rows[0]["key_name"]), (&json!(issued.id), &json!("a key")));
    // Cut streams told no final figures: between nothing and everything that the upstream generated.
    let whole: Vec<_> = house.upstream.ledger().into_iter().filter(|seen| seen.finished).collect();
    let (least_in, least_out) = whole.iter().fold((0, 0), |(i, o), seen| (i + seen.input, o + seen.output));
    let counted = |field: &str| total[field].as_u64().unwrap();
    assert!((least_in..=input + 100 * cut).contains(&counted("input_tokens")), "{total} {input}");
    assert!((least_out..=output + 100 * cut).contains(&counted("output_tokens")), "{total} {output}");
}

async fn usage_equals_the_upstreams_ledger_to_the_token_over_keys_and_models(engine: Engine) {
    let house = House::open(engine).await;
    let keys = [house.key(&["chat-a", "chat-b", "embed-a"]).await, house.key(&["chat-a", "chat-b"]).await];
    let mut expected = std::collections::BTreeMap::new();
    for at in 0..40u64 {
        let key = &keys[usize::try_from(at % 2).unwrap()];
        let (model, stream) = [("chat-a", false), ("chat-b", true), ("chat-a", true)][usize::try_from(at % 3).unwrap()];
        let (input, output) = (at * 3 + 1, at + 1);
        let fake =
            json!({"input": input, "output": output, "chunks": at % 7 + 1, "cached": at % 2, "reasoning": at % 3});
        house.chat(&key.key, model, json!({"stream": stream, "fake": fake})).send().await.expect(200);
        let sums = expected.entry((key.id.clone(), model)).or_insert((0, 0, 0, 0, 0));
        *sums = (sums.0 + 1, sums.1 + input, sums.2 + output, sums.3 + at % 2, sums.4 + at % 3);
    }
    let embeddings = json!({"model": "embed-a", "input": "text", "fake": {"input": 91}});
    house.http().post("/v1/embeddings", &embeddings).bearer(&keys[0].key).send().await.expect(200);
    expected.insert((keys[0].id.clone(), "embed-a"), (1, 91, 0, 0, 0));
    let total = house.usage_of(41).await;
    let (requests, input, output) = house.upstream.count();
    assert_eq!(
        (total["requests"].as_u64(), total["input_tokens"].as_u64(), total["output_tokens"].as_u64()),
        (Some(requests), Some(input), Some(output))
    );
    assert_eq!(total["classes"], json!({"exact": 41, "partial": 0, "estimated": 0, "unknown": 0}));
    assert_eq!(total["failed"], 0);
    let rows = house.usage_by("key,model").await;
    assert_eq!(rows.len(), expected.len(), "{rows:?}");
    for row in rows {
        let key = (row["key"].as_str().unwrap().to_owned(), row["model"].as_str().unwrap());
        let number = |field: &str| row[field].as_u64().unwrap_or_else(|| panic!("{field}: {row}"));
        let counted = (
            number("requests"),
            number("input_tokens"),
            number("output_tokens"),
            number("cached_input_tokens"),
            number("reasoning_tokens"),
        );
        assert_eq!(Some(&counted), expected.get(&key), "{row}");
    }
}
