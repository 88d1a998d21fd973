//! The management API's manners: problems, cursors, preconditions, idempotency, unknown fields, bounds.

use std::{env, process::Command};

use tollgate_tests::{Engine, House, Reply, cli::finish, json, on_both};

on_both!(
    errors_are_problems_with_a_stable_code,
    what_nobody_asked_for_is_refused,
    lists_go_on_where_they_stopped,
    edits_with_a_stale_etag_are_refused,
    a_repeated_creation_makes_nothing_twice,
    limits_and_budgets_are_refused_until_something_enforces_them,
    bodies_are_bounded_and_typed,
    every_write_leaves_one_line_in_the_audit_log,
    the_openapi_document_is_the_checked_in_one,
    whatever_is_asked_the_answer_is_one_that_the_document_knows,
    a_key_that_expires_stops_by_itself,
    a_key_in_an_unknown_state_of_the_world_is_refused,
);

#[track_caller]
fn is_a_problem(reply: &Reply, status: u16) {
    assert_eq!(reply.status.as_u16(), status, "{reply}");
    assert_eq!(reply.header("content-type"), "application/problem+json", "{reply}");
    let problem = reply.json();
    assert!(problem["code"].as_str().is_some_and(|code| !code.is_empty()), "{reply}");
    assert!(problem["title"].is_string() && problem["status"] == status, "{reply}");
    assert!(!reply.header("x-request-id").is_empty(), "{reply}");
}

async fn errors_are_problems_with_a_stable_code(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    is_a_problem(&house.http().get("/api/v1/keys").send().await, 401);
    is_a_problem(&house.api_as("nonsense", "GET", "keys").send().await, 401);
    is_a_problem(&house.api_as(&key.key, "GET", "keys").send().await, 401);
    is_a_problem(&house.api("GET", "keys/key_00000000000000000000000000000000").send().await, 404);
    is_a_problem(&house.api("GET", "nothing/here").send().await, 404);
    is_a_problem(&house.api("PUT", "keys").send().await, 405);
    is_a_problem(&house.api("POST", "keys").body("{").header("content-type", "application/json").send().await, 400);
    let id = house.api("GET", "keys/nonsense").send().await;
    assert!([400, 404].contains(&id.status.as_u16()), "{id}");
    house.revoke(&key).await.expect(200);
    for act in ["enable", "disable", "rotate"] {
        is_a_problem(&house.api("POST", &format!("keys/{}/{act}", key.id)).json(&json!({})).send().await, 409);
    }
}

async fn what_nobody_asked_for_is_refused(engine: Engine) {
    let house = House::open(engine).await;
    for body in [
        json!({}),
        json!({"name": "k"}),
        json!({"models": "all"}),
        json!({"name": "", "models": "all"}),
        json!({"name": "x".repeat(201), "models": "all"}),
        json!({"name": "a\nb", "models": "all"}),
        json!({"name": 1, "models": "all"}),
        json!({"name": "k", "models": "everything"}),
        json!({"name": "k", "models": []}),
        json!({"name": "k", "models": ["no-such-model"]}),
        json!({"name": "k", "models": ["chat-a", 1]}),
        json!({"name": "k", "models": vec!["chat-a"; 1_001]}),
        json!({"name": "k", "models": "all", "expires_at": "tomorrow"}),
        json!({"name": "k", "models": "all", "expires_at": "2001-01-01T00:00:00Z"}),
        json!({"name": "k", "models": "all", "note": "x".repeat(2_001)}),
        json!({"name": "k", "models": "all", "surprise": 1}),
        json!([]),
        json!("k"),
    ] {
        let reply = house.api("POST", "keys").json(&body).send().await;
        is_a_problem(&reply, 400);
    }
    let twice = house.api("POST", "keys").header("content-type", "application/json");
    is_a_problem(&twice.body(r#"{"name":"a","name":"b","models":"all"}"#).send().await, 400);
    let listed = house.api("GET", "keys").send().await.expect(200).json();
    assert_eq!(listed["data"], json!([]), "nothing was made");
    is_a_problem(&house.api("GET", "keys?limit=0x10").send().await, 400);
    is_a_problem(&house.api("GET", "keys?cursor=nonsense").send().await, 400);
    is_a_problem(&house.api("GET", "keys?surprise=1").send().await, 400);
    is_a_problem(&house.api("GET", "keys?status=asleep").send().await, 400);
}

async fn lists_go_on_where_they_stopped(engine: Engine) {
    let house = House::open(engine).await;
    let mut made = Vec::new();
    for at in 0..7 {
        made.push(house.key_with(json!({"name": format!("key {at}"), "models": "all"})).await.id);
    }
    made.reverse();
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = house.api("GET", &format!("keys?limit=3{cursor}")).send().await.expect(200).json();
        seen.extend(page["data"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()));
        // A key that is made in between shifts nothing.
        house.key_with(json!({"name": "in between", "models": "all"})).await;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, made, "newest first, each once");
}

async fn edits_with_a_stale_etag_are_refused(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let path = format!("keys/{}", key.id);
    let etag = house.api("GET", &path).send().await.expect(200).header("etag").to_owned();
    assert!(!etag.is_empty());
    let edit = |etag: &str, name: &str| house.api("PATCH", &path).header("if-match", etag).json(&json!({"name": name}));
    let edited = edit(&etag, "first").send().await.expect(200);
    assert_ne!(edited.header("etag"), etag);
    is_a_problem(&edit(&etag, "second").send().await, 412);
    is_a_problem(&edit("nonsense", "third").send().await, 400);
    edit(edited.header("etag"), "fourth").send().await.expect(200);
    assert_eq!(house.api("GET", &path).send().await.json()["name"], "fourth");
}

async fn a_repeated_creation_makes_nothing_twice(engine: Engine) {
    let house = House::open(engine).await;
    let create = || {
        house.api("POST", "keys").header("idempotency-key", "deploy-42").json(&json!({"name": "k", "models": "all"}))
    };
    let first = create().send().await.expect(201).json();
    let repeat = create().send().await;
    is_a_problem(&repeat, 409);
    assert_eq!(repeat.code(), "already_created");
    assert!(repeat.to_string().contains(first["id"].as_str().unwrap()), "{repeat}");
    assert!(!repeat.to_string().contains(&first["key"].as_str().unwrap()[16..]));
    // Many at once make one.
    let race = (0..8).map(|_| {
        house
            .api("POST", "keys")
            .header("idempotency-key", "race")
            .json(&json!({"name": "r", "models": "all"}))
            .try_send()
    });
    let answers: Vec<u16> =
        futures_util::future::join_all(race).await.into_iter().map(|reply| reply.unwrap().status.as_u16()).collect();
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 409).count(), 7, "{answers:?}");
    assert_eq!(house.api("GET", "keys").send().await.json()["data"].as_array().unwrap().len(), 2);
}

async fn limits_and_budgets_are_refused_until_something_enforces_them(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    for (name, value) in [("limits", json!({"requests_per_minute": 1})), ("budget", json!({"amount": "1"}))] {
        let mut body = json!({"name": "k", "models": "all"});
        body[name] = value.clone();
        let refused = house.api("POST", "keys").json(&body).send().await;
        assert_eq!(refused.answer(), "400 not_supported_yet", "{refused}");
        let mut change = json!({});
        change[name] = value;
        let refused = house.api("PATCH", &format!("keys/{}", key.id)).json(&change).send().await;
        assert_eq!(refused.answer(), "400 not_supported_yet", "{refused}");
    }
}

async fn bodies_are_bounded_and_typed(engine: Engine) {
    let house = House::open(engine).await;
    let huge = format!(r#"{{"name":"k","models":"all","note":"{}"}}"#, "x".repeat(8 << 20));
    let reply = house.api("POST", "keys").header("content-type", "application/json").body(huge).try_send().await;
    // A client that is still sending may see the connection end before the answer.
    if let Ok(reply) = reply {
        is_a_problem(&reply, 413);
    }
    let form = house.api("POST", "keys").header("content-type", "application/x-www-form-urlencoded");
    let form = form.body("name=k&models=all").send().await;
    assert!([400, 415].contains(&form.status.as_u16()), "{form}");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = house.api("POST", "keys").header("content-type", "application/json").body(deep).send().await;
    is_a_problem(&deep, 400);
    house.http().get("/healthz").send().await.expect(200);
}

async fn every_write_leaves_one_line_in_the_audit_log(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let path = |act: &str| format!("keys/{}{act}", key.id);
    house.api("PATCH", &path("")).json(&json!({"name": "b"})).send().await.expect(200);
    house.api("POST", &path("/disable")).send().await.expect(200);
    house.api("POST", &path("/enable")).send().await.expect(200);
    house.api("POST", &path("/rotate")).json(&json!({})).send().await.expect(200);
    house.revoke(&key).await.expect(200);
    house.revoke(&key).await.expect(200);
    let log = house.api("GET", "audit").send().await.expect(200).json();
    let actions: Vec<_> = log["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["subject"] == key.id.as_str())
        .map(|line| line["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["key.revoke", "key.rotate", "key.enable", "key.disable", "key.edit", "key.create"], "{log}");
    let line = &log["data"][0];
    assert!(line["actor"].as_str().unwrap().starts_with("user_"), "{line}");
    assert_eq!(line["address"], "127.0.0.1", "{line}");
}

async fn the_openapi_document_is_the_checked_in_one(engine: Engine) {
    let house = House::open(engine).await;
    let served = house.http().get("/api/v1/openapi.json").send().await.expect(200).json();
    assert!(served["openapi"].as_str().unwrap().starts_with("3.1"), "{}", served["openapi"]);
    let printed = tollgate_tests::cli::run(house.directory.path(), &["openapi"]).expect(0).json();
    assert_eq!(served, printed);
}

/// schemathesis makes questions from the document, right ones and wrong ones, for every operation: none is answered by a
/// failure of ours, by a status or a type that the document does not name, or by a body of another form.
async fn whatever_is_asked_the_answer_is_one_that_the_document_knows(engine: Engine) {
    let python = env::var_os("TOLLGATE_TEST_PYTHON").expect(
        "this test needs TOLLGATE_TEST_PYTHON, a Python that has schemathesis: run `cargo xtask test`, which makes one",
    );
    let house = House::open(engine).await;
    house.key(&["chat-a"]).await;
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(python);
    command.args(["-m", "schemathesis.cli", "run", &format!("{}/api/v1/openapi.json", house.url())]);
    command.args(["--url", &house.url(), "--header", &format!("Authorization: Bearer {}", house.token)]);
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    command.args(["--checks", checks, "--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--seed", "1"]);
    command.args(["--continue-on-failure", "--suppress-health-check", "all", "--no-color"]);
    // It would revoke the token that it asks with, and be refused from there on.
    command.args(["--exclude-operation-id", "token_revoke"]);
    command
        .current_dir(directory.path())
        .env_remove("http_proxy")
        .env_remove("HTTP_PROXY")
        .env("NO_PROXY", "127.0.0.1");
    let ran = tokio::task::spawn_blocking(move || finish(command, None)).await.expect("it runs");
    assert!(ran.code == 0, "{}\n{}", ran.stdout, ran.stderr);
    let asked = ran.stdout.split(" generated,").next().and_then(|text| text.split_whitespace().last());
    let asked: u32 = asked.and_then(|count| count.parse().ok()).expect("it says how many it asked");
    assert!(asked > 1_000, "{}", ran.stdout);
    // It was somebody all the time.
    house.api("GET", "keys").send().await.expect(200);
}

async fn a_key_that_expires_stops_by_itself(engine: Engine) {
    let house = House::open(engine).await;
    let soon = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64 + 2_500;
    let key = house.key_with(json!({"name": "short", "models": "all", "expires_at": rfc3339(soon)})).await;
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    let mut running = house.chat(&key.key, "chat-a", json!({"stream": true, "fake": {"stall_at": 2}})).stream().await;
    let events = running.events().await.unwrap();
    assert!(events.last().unwrap().contains("api_key_expired"), "{events:?}");
    assert_eq!(house.ask(&key.key, "chat-a").await, "401 api_key_expired");
    assert_eq!(house.api("GET", &format!("keys/{}", key.id)).send().await.json()["status"], "expired");
}

async fn a_key_in_an_unknown_state_of_the_world_is_refused(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    // Suspended and back.
    house.api("PATCH", "accounts/default").json(&json!({"suspended": true})).send().await.expect(200);
    assert_eq!(house.ask(&key.key, "chat-a").await, "403 account_suspended");
    house.api("PATCH", "accounts/default").json(&json!({"suspended": false})).send().await.expect(200);
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
}

/// A Unix time in milliseconds as RFC 3339.
pub fn rfc3339(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    // Civil from days: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + u64::from(month <= 2);
    let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{:03}Z", ms % 1_000)
}
