//! Usage reports over what a node shipped.

use serde_json::{Value, json};
use tollgate_core::{
    Id, No, Route, Timestamp, Units, UsageClass,
    account::Account,
    money::Cost,
    usage::{Journal, Outcome, Settlement},
};

use crate::house::{House, NOW_MS};

/// Ships one settlement for each `(key, model, input, minutes ago, class)`.
pub async fn ship(house: &House, attempts: &[(&str, &str, u64, i64, UsageClass)]) {
    let account = house.store.account_get("default").await.unwrap();
    let mut batch = Vec::new();
    for (key, model, input, minutes_ago, class) in attempts {
        let key = house.store.key_get(None, key.parse().unwrap()).await.unwrap();
        let model = house.store.model_get(model).await.unwrap();
        batch.push(settlement(house, account.no, key.no, model.no, *input, *minutes_ago, *class));
    }
    let last = u64::try_from(batch.len()).unwrap();
    house.store.usage_ship(Id::<Journal>::new(&house.world), 0, last, &batch).await.unwrap();
}

fn settlement(
    house: &House,
    account: No<Account>,
    key: No<tollgate_core::Key>,
    model: No<tollgate_core::Model>,
    input: u64,
    minutes_ago: i64,
    class: UsageClass,
) -> Settlement {
    Settlement {
        attempt: Id::new(&house.world),
        request: Id::new(&house.world),
        key,
        account,
        model,
        upstream: No::new(1),
        route: Route::ChatCompletions.code(),
        started_at: Timestamp::from_millis(NOW_MS - minutes_ago * 60_000),
        units: Units { input, output: 2, ..Units::default() },
        class,
        output_at_most: 2,
        input_at_most: input,
        suspect: false,
        outcome: Outcome::Complete,
        status: 200,
        first_byte_us: Some(1_500),
        total_us: 9_000,
        cost: Cost::from_nanos(1_500_000),
        upstream_id: None,
        upstream_usage: None,
    }
}

async fn house_with_usage() -> (House, Value, Value) {
    let house = House::open().await;
    house.model("chat-a").await;
    house.model("chat-b").await;
    let (a, b) = (house.key().await, house.post("keys", json!({"name": "=1+1,\"x\"", "models": "all"})).await.json());
    let (ka, kb) = (a["id"].as_str().unwrap(), b["id"].as_str().unwrap());
    ship(
        &house,
        &[
            (ka, "chat-a", 1, 5, UsageClass::Exact),
            (ka, "chat-b", 10, 5, UsageClass::Exact),
            (kb, "chat-a", 100, 65, UsageClass::Exact),
            (kb, "chat-a", 1_000, 26 * 60, UsageClass::Unknown),
        ],
    )
    .await;
    (house, a, b)
}

fn sum(report: &Value, field: &str) -> u64 {
    report["data"].as_array().unwrap().iter().map(|row| row[field].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn a_report_groups_filters_and_buckets() {
    let (house, a, b) = house_with_usage().await;
    let report = async |query: &str| house.get(&format!("usage?{query}")).await.expect(200).json();
    for bucket in ["minute", "hour", "day", "month", "total"] {
        let all = report(&format!("bucket={bucket}")).await;
        assert_eq!(
            (sum(&all, "requests"), sum(&all, "input_tokens"), sum(&all, "total_tokens")),
            (4, 1_111, 1_119),
            "{all}"
        );
    }
    let all = report("bucket=total").await;
    assert_eq!(all["data"][0]["shares"], json!({"exact": 0.75, "partial": 0.0, "estimated": 0.0, "unknown": 0.25}));
    assert_eq!(all["data"][0]["cost"], "0.006");
    assert_eq!((&all["bucket"], &all["tz"], &all["group_by"]), (&json!("total"), &json!("UTC"), &json!([])));
    assert!(all["complete_until"].is_string() && all["next_cursor"].is_null());
    let (ka, kb) = (a["id"].as_str().unwrap(), b["id"].as_str().unwrap());
    let by_key = report(&format!("bucket=total&group_by=key&key={ka}")).await;
    assert_eq!(by_key["data"].as_array().unwrap().len(), 1);
    let row = &by_key["data"][0];
    assert_eq!((&row["key"], &row["key_name"], &row["key_hint"]), (&a["id"], &json!("a key"), &a["hint"]));
    assert_eq!((row.get("model"), row.get("account"), &row["input_tokens"]), (None, None, &json!(11)));
    assert_eq!(sum(&report(&format!("bucket=total&key={ka}&key={kb}")).await, "requests"), 4);
    assert_eq!(sum(&report(&format!("bucket=total&key={ka},{kb}&model=chat-b")).await, "input_tokens"), 10);
    assert_eq!(report("bucket=total&group_by=model,key").await["group_by"], json!(["key", "model"]));
    assert_eq!(sum(&report("bucket=total&from=-1h").await, "requests"), 2);
    assert_eq!(sum(&report("bucket=day&from=2026-11-19&to=2026-11-19").await, "input_tokens"), 1_000);
    assert_eq!(report("bucket=total&model=no-such").await["data"], json!([]));
    let nobodys: Id<tollgate_core::Key> = Id::new(&house.world);
    assert_eq!(
        report(&format!("bucket=total&key={nobodys}")).await["data"],
        json!([]),
        "an unknown key is not all keys"
    );
    let day = report("bucket=day&tz=Asia/Ho_Chi_Minh&from=-1h").await;
    assert_eq!(day["data"][0]["end"], "2026-11-20T09:30:00Z", "the report's end cuts the bucket");
    let by_account = report("bucket=total&group_by=account").await;
    assert!(by_account["data"][0]["account"].as_str().unwrap().starts_with("acct_"));
    assert_eq!(sum(&report("bucket=total&account=*").await, "requests"), 4);
    house.account("acme").await;
    assert_eq!(report("bucket=total&account=acme").await["data"], json!([]));
}

#[tokio::test]
async fn costs_in_several_currencies_are_never_added_up() {
    let house = House::open().await;
    house.model("chat-a").await;
    let euros = json!({"name": "chat-b", "kind": "chat", "served_by": [{"upstream": "gpu-a"}],
        "price": {"currency": "EUR", "input_per_million": "1"}});
    house.post("models", euros).await.expect(201);
    let (a, b) = (house.key().await, house.key().await);
    let (ka, kb) = (a["id"].as_str().unwrap(), b["id"].as_str().unwrap());
    use UsageClass::Exact;
    ship(&house, &[(ka, "chat-a", 1, 5, Exact), (ka, "chat-b", 1, 5, Exact), (kb, "chat-b", 1, 5, Exact)]).await;
    let report = async |query: &str| {
        let report = house.get(&format!("usage?bucket=total&{query}")).await.expect(200).json();
        let rows = report["data"].as_array().unwrap().iter();
        rows.map(|row| json!([row["cost"], row["currency"], row["costs"]])).collect::<Vec<_>>()
    };
    assert_eq!(report("group_by=model").await, [json!(["0.0015", "USD", null]), json!(["0.003", "EUR", null])]);
    let both = json!([{"currency": "EUR", "cost": "0.0015"}, {"currency": "USD", "cost": "0.0015"}]);
    assert_eq!(report("group_by=key").await, [json!([null, null, both]), json!(["0.0015", "EUR", null])]);
    assert_eq!(report(&format!("key={kb}")).await, [json!(["0.0015", "EUR", null])]);
    let both = json!([{"currency": "EUR", "cost": "0.003"}, {"currency": "USD", "cost": "0.0015"}]);
    assert_eq!(report("").await, [json!([null, null, both])]);
    let csv = house.call_with(&house.operator, "GET", "usage?bucket=total", &[("accept", "text/csv")], None).await;
    assert!(csv.expect(200).text.contains(",0,0,,EUR USD,1,0,0,0\r\n"));
}

#[tokio::test]
async fn what_a_journal_has_lost_is_said_beside_the_sum_of_all_accounts() {
    let (house, _, _) = house_with_usage().await;
    let gap = tollgate_store::usage::JournalGap { first: 3, records: 7 };
    house.store.usage_ship_damaged(Id::<Journal>::new(&house.world), 0, 20, &[], &[gap]).await.unwrap();
    let of = async |query: &str| house.get(&format!("usage?bucket=total&{query}")).await.expect(200).json();
    assert_eq!(of("account=*&to=2026-11-21").await["lost_records"], 7);
    assert_eq!(of("account=*&to=2026-11-01").await["lost_records"], 0);
    // Nobody knows whose they were: no account is told that they were its own.
    assert_eq!(of("").await.get("lost_records"), None);
}

#[tokio::test]
async fn a_model_that_was_charged_for_keeps_its_currency() {
    let (house, _, _) = house_with_usage().await;
    let price = |currency: &str, input: &str| json!({"price": {"currency": currency, "input_per_million": input}});
    // Its usage was charged in dollars, whatever it costs now.
    house.patch("models/chat-a", price("EUR", "1")).await.refused(409, "not_possible");
    house.model("chat-c").await;
    // A slip of the hand is mended while it costs nothing.
    house.patch("models/chat-c", price("EUR", "0")).await.expect(200);
    house.patch("models/chat-c", price("VND", "1")).await.expect(200);
    house.patch("models/chat-c", price("VND", "2")).await.expect(200);
    let refused = house.patch("models/chat-c", price("USD", "2")).await.refused(409, "not_possible");
    assert!(refused["detail"].as_str().unwrap().contains("keeps its currency"), "{refused}");
}

#[tokio::test]
async fn a_key_tells_when_and_how_much_it_was_used() {
    let (house, _, b) = house_with_usage().await;
    let key = house.get(&format!("keys/{}", b["id"].as_str().unwrap())).await.expect(200).json();
    assert_eq!(key["recent"], json!({"last_hour": 0, "last_day": 1}), "{key}");
    assert!(key["last_used_at"].is_string(), "{key}");
}

#[tokio::test]
async fn a_report_comes_as_csv_that_a_spreadsheet_does_not_run() {
    let (house, _, b) = house_with_usage().await;
    let path = format!("usage?bucket=total&group_by=key,model&key={}", b["id"].as_str().unwrap());
    let csv = house.call_with(&house.operator, "GET", &path, &[("accept", "text/csv")], None).await.expect(200);
    assert!(csv.header("content-type").starts_with("text/csv"));
    assert!(!csv.header("x-complete-until").is_empty());
    let hint = b["hint"].as_str().unwrap();
    let id = b["id"].as_str().unwrap();
    let mut lines = csv.text.split("\r\n");
    assert_eq!(
        lines.next().unwrap(),
        "start,end,key,key_name,key_hint,model,requests,failed,input_tokens,output_tokens,total_tokens,\
         cached_input_tokens,reasoning_tokens,audio_seconds,images,cost,currency,exact,partial,estimated,unknown"
    );
    assert_eq!(
        lines.next().unwrap(),
        format!(
            "2026-10-21T09:30:00Z,2026-11-20T09:30:00Z,{id},\"'=1+1,\"\"x\"\"\",{hint},chat-a,2,0,1100,4,1104,0,0,0,0,0.003,USD,0.5,0,0,0.5"
        )
    );
    assert_eq!((lines.next(), lines.next()), (Some(""), None));
}

#[tokio::test]
async fn wrong_questions_are_refused_by_their_name() {
    let house = House::open().await;
    for (query, field) in [
        ("bucket=week", "bucket"),
        ("group_by=upstream", "group_by"),
        ("from=yesterday", "from"),
        ("from=-9y", "from"),
        ("to=2026-02-30", "to"),
        ("from=now", "from"),
        ("tz=Mars/Base", "tz"),
        ("key=nothing", "key"),
        ("model=a%20b", "model"),
        ("nonsense=1", "nonsense"),
        ("bucket=minute&from=2000-01-01", "bucket"),
    ] {
        let problem = house.get(&format!("usage?{query}")).await.refused(400, "invalid_request");
        assert_eq!(problem["field"], field, "{query}: {problem}");
    }
    let many = vec![Id::<tollgate_core::Key>::new(&house.world).to_string(); 101].join(",");
    assert_eq!(house.get(&format!("usage?key={many}")).await.refused(400, "invalid_request")["field"], "key");
}

#[tokio::test]
async fn latency_is_a_histogram_by_model() {
    let (house, _, _) = house_with_usage().await;
    let report = house.get("usage/latency?from=-2d").await.expect(200).json();
    let limits = report["limits_ms"].as_array().unwrap().len();
    let row = &report["data"][0];
    assert_eq!(row["model"], "chat-a");
    assert_eq!(row["total"].as_array().unwrap().len(), limits + 1);
    let total: u64 = row["total"].as_array().unwrap().iter().map(|bin| bin.as_u64().unwrap()).sum();
    assert_eq!((total, &row["first_byte"][1]), (3, &json!(3)), "{row}");
    house.get("usage/latency?bucket=day").await.refused(400, "invalid_request");
}
