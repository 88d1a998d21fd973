//! What is counted, and the reports of it.

use tollgate_tests::{Engine, House, Value, json, on_both};

on_both!(
    reports_group_filter_and_bucket_without_losing_a_token,
    a_report_says_its_range_its_zone_and_until_when_it_is_complete,
    usage_keeps_the_rows_of_renamed_and_revoked_keys_and_of_withdrawn_models,
    cost_follows_the_price_at_the_time,
    a_report_comes_as_csv_too,
    wrong_questions_about_usage_are_refused,
    counting_never_touches_the_key,
);

fn sum(rows: &[Value], field: &str) -> u64 {
    rows.iter().map(|row| row[field].as_u64().unwrap_or_else(|| panic!("{field}: {row}"))).sum()
}

async fn rows(house: &House, query: &str) -> Vec<Value> {
    house.api("GET", &format!("usage?{query}")).send().await.expect(200).json()["data"].as_array().unwrap().clone()
}

async fn reports_group_filter_and_bucket_without_losing_a_token(engine: Engine) {
    let house = House::open(engine).await;
    let (a, b) = (house.key(&["chat-a", "chat-b"]).await, house.key(&["chat-a"]).await);
    for (key, model, input) in [(&a, "chat-a", 1), (&a, "chat-b", 10), (&b, "chat-a", 100), (&a, "chat-a", 1_000)] {
        house.chat(&key.key, model, json!({"fake": {"input": input}})).send().await.expect(200);
    }
    house.usage_of(4).await;
    for bucket in ["minute", "hour", "day", "month", "total"] {
        let all = rows(&house, &format!("bucket={bucket}")).await;
        assert_eq!((sum(&all, "requests"), sum(&all, "input_tokens")), (4, 1_111), "{bucket}: {all:?}");
        let one = rows(&house, &format!("bucket={bucket}&key={}", a.id)).await;
        assert_eq!(sum(&one, "input_tokens"), 1_011, "{bucket}: {one:?}");
        let one = rows(&house, &format!("bucket={bucket}&model=chat-a&group_by=key")).await;
        assert_eq!(sum(&one, "input_tokens"), 1_101, "{bucket}: {one:?}");
        let both = rows(&house, &format!("bucket={bucket}&key={}&model=chat-b", a.id)).await;
        assert_eq!(sum(&both, "input_tokens"), 10, "{bucket}: {both:?}");
        let nothing = rows(&house, &format!("bucket={bucket}&from=2001-01-01T00:00:00Z&to=2001-01-02T00:00:00Z")).await;
        assert!(nothing.is_empty(), "{bucket}: {nothing:?}");
    }
}

async fn a_report_says_its_range_its_zone_and_until_when_it_is_complete(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    house.chat(&key.key, "chat-a", json!({})).send().await.expect(200);
    house.usage_of(1).await;
    for zone in ["UTC", "Asia/Ho_Chi_Minh", "America/St_Johns"] {
        let report = house.api("GET", &format!("usage?bucket=day&tz={zone}")).send().await.expect(200).json();
        assert!(report["complete_until"].as_str().is_some_and(|until| until.ends_with('Z')), "{report}");
        let row = &report["data"][0];
        assert!(row["start"].as_str().unwrap() < row["end"].as_str().unwrap(), "{report}");
        assert_eq!(row["requests"], 1, "{zone}: {report}");
        if zone == "Asia/Ho_Chi_Minh" {
            // Midnight there is 17:00 of the day before in UTC, whichever way the offset is written.
            let start = row["start"].as_str().unwrap();
            assert!(start.contains("T17:00:00") || start.contains("T00:00:00+07:00"), "{report}");
        }
    }
}

async fn usage_keeps_the_rows_of_renamed_and_revoked_keys_and_of_withdrawn_models(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-b"]).await;
    house.ask(&key.key, "chat-b").await;
    house.api("PATCH", &format!("keys/{}", key.id)).json(&json!({"name": "renamed"})).send().await.expect(200);
    house.ask(&key.key, "chat-b").await;
    house.revoke(&key).await.expect(200);
    house.usage_of(2).await;
    house.api("DELETE", "models/chat-b").send().await;
    let by = house.usage_by("key,model").await;
    assert_eq!(by.len(), 1, "{by:?}");
    assert_eq!(
        (&by[0]["key_name"], &by[0]["model"], &by[0]["requests"]),
        (&json!("renamed"), &json!("chat-b"), &json!(2))
    );
}

async fn cost_follows_the_price_at_the_time(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    // 0.50 and 1.50 for a million: 2,000,000 in and 1,000,000 out are 1.00 + 1.50.
    let fake = json!({"fake": {"input": 2_000_000, "output": 1_000_000}});
    house.chat(&key.key, "chat-a", fake.clone()).send().await.expect(200);
    house.usage_of(1).await;
    let price = json!({"price": {"currency": "USD", "input_per_million": "5", "output_per_million": "15"}});
    house.api("PATCH", "models/chat-a").json(&price).send().await.expect(200);
    house.chat(&key.key, "chat-a", fake).send().await.expect(200);
    let usage = house.usage_of(2).await;
    let cost = usage["cost"].to_string();
    assert!(cost.contains("27.5"), "2.50 and 25.00: {usage}");
}

async fn a_report_comes_as_csv_too(engine: Engine) {
    let house = House::open(engine).await;
    // A name that a spreadsheet would run.
    let key = house.key_with(json!({"name": "=HYPERLINK(\"x\"),1", "models": ["chat-a"]})).await;
    house.ask(&key.key, "chat-a").await;
    house.usage_of(1).await;
    let csv = house.api("GET", "usage?bucket=total&group_by=key,model").header("accept", "text/csv").send().await;
    let csv = csv.expect(200);
    assert!(csv.header("content-type").starts_with("text/csv"), "{csv}");
    let text = String::from_utf8(csv.body.to_vec()).unwrap();
    let mut lines = text.lines();
    let head = lines.next().unwrap();
    for column in ["start", "end", "key", "key_name", "model", "requests", "input_tokens", "output_tokens", "cost"] {
        assert!(head.split(',').any(|name| name.trim_matches('"') == column), "{column}: {head}");
    }
    let line = lines.next().unwrap();
    assert!(line.contains(&key.id) && line.contains("chat-a"), "{line}");
    assert!(!line.contains(",=HYPERLINK") && !line.contains("\"=HYPERLINK"), "a formula: {line}");
    assert_eq!(lines.next(), None);
}

async fn wrong_questions_about_usage_are_refused(engine: Engine) {
    let house = House::open(engine).await;
    for query in [
        "bucket=week",
        "bucket=",
        "group_by=secret",
        "from=yesterday",
        "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
        "tz=Mars/Base",
        "key=nothing",
        "nonsense=1",
        "bucket=minute&from=1970-01-01T00:00:00Z&to=9999-01-01T00:00:00Z&bucket=day",
    ] {
        let reply = house.api("GET", &format!("usage?{query}")).send().await;
        assert_eq!(reply.status, 400, "{query}: {reply}");
        assert_eq!(reply.header("content-type"), "application/problem+json", "{query}");
    }
    let unknown_model = house.api("GET", "usage?bucket=total&model=no-such-model").send().await;
    assert!([200, 400, 404].contains(&unknown_model.status.as_u16()), "{unknown_model}");
}

async fn counting_never_touches_the_key(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let before = house.api("GET", &format!("keys/{}", key.id)).send().await.expect(200);
    assert_eq!(before.json()["last_used_at"], json!(null));
    house.ask(&key.key, "chat-a").await;
    house.usage_of(1).await;
    let after = house.api("GET", &format!("keys/{}", key.id)).send().await.expect(200);
    assert!(after.json()["last_used_at"].is_string(), "{after}");
    let version = |reply: &tollgate_tests::Reply| reply.header("etag").split('-').next().unwrap().to_owned();
    let edit = house.api("PATCH", &format!("keys/{}", key.id)).header("if-match", before.header("etag"));
    assert_eq!(edit.json(&json!({"name": "b"})).send().await.status, 200, "{} {}", version(&before), version(&after));
}
