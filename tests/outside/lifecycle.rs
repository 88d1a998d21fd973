//! Plans, users, models, upstreams and settings: all of it changes at run time, and takes force at once.

use tollgate_tests::{Engine, FakeUpstream, House, Issued, eventually, house::catalogue, json, on_both};

on_both!(
    models_and_upstreams_change_without_a_restart,
    a_withdrawn_model_is_gone_at_once_and_its_name_can_be_given_again,
    a_plan_that_lapses_stops_the_keys_and_one_that_returns_brings_them_back,
    a_plan_that_is_no_longer_paid_stops_every_account_on_it,
    a_disabled_users_keys_are_dead,
    the_settings_file_is_applied_at_start_and_only_what_changed,
    state_outlives_a_restart,
    a_setting_that_is_not_known_stops_the_start,
    keys_and_tokens_outlive_a_change_of_the_prefix,
);

async fn models_and_upstreams_change_without_a_restart(engine: Engine) {
    let house = House::open(engine).await;
    let all = house.key_with(json!({"name": "all", "models": "all"})).await;
    let some = house.key(&["chat-a"]).await;
    let other = FakeUpstream::start().await;
    assert_eq!(house.ask(&all.key, "new-model").await, "404 model_not_found");
    let upstream = json!({"name": "other", "base_url": other.base_url(), "credential": "sk-other", "engine": "openai"});
    house.api("POST", "upstreams").json(&upstream).send().await.expect(201);
    let model = json!({"name": "new-model", "kind": "chat", "served_by": [{"upstream": "other", "model": "there", "weight": 1}]});
    house.api("POST", "models").json(&model).send().await.expect(201);
    // All of the account's, today's and tomorrow's; a list is a list.
    assert_eq!(house.ask(&all.key, "new-model").await, "200");
    assert_eq!(house.ask(&some.key, "new-model").await, "403 model_not_permitted");
    assert_eq!(
        (other.last().model.as_str(), other.last().headers["authorization"].to_str().unwrap()),
        ("there", "Bearer sk-other")
    );
    // Moved to another upstream.
    let moved = json!({"served_by": [{"upstream": "fake", "model": "elsewhere", "weight": 1}]});
    house.api("PATCH", "models/new-model").json(&moved).send().await.expect(200);
    assert_eq!(house.ask(&all.key, "new-model").await, "200");
    assert_eq!((house.upstream.last().model.as_str(), other.count().0), ("elsewhere", 1));
    // Another credential, then switched off.
    house.api("PATCH", "upstreams/fake").json(&json!({"credential": "sk-changed"})).send().await.expect(200);
    assert_eq!(house.ask(&all.key, "new-model").await, "200");
    assert_eq!(house.upstream.last().headers["authorization"], "Bearer sk-changed");
    house.api("PATCH", "upstreams/fake").json(&json!({"enabled": false})).send().await.expect(200);
    assert_eq!(house.ask(&all.key, "new-model").await, "503 no_healthy_upstream");
    house.api("PATCH", "upstreams/fake").json(&json!({"enabled": true})).send().await.expect(200);
    assert_eq!(house.ask(&all.key, "new-model").await, "200");
    // In use is in use.
    let in_use = house.api("DELETE", "upstreams/fake").send().await;
    assert_eq!(in_use.status, 409, "{in_use}");
    house.api("DELETE", "upstreams/other").send().await.expect(200);
    for wrong in [
        json!({"name": "x", "base_url": "ftp://x"}),
        json!({"name": "x", "base_url": "http://user:pw@x/"}),
        json!({"name": "bad name", "base_url": "http://x/"}),
        json!({"name": "x", "base_url": "http://x/", "engine": "abacus"}),
        json!({"name": "x", "base_url": "http://x/", "surprise": 1}),
    ] {
        house.api("POST", "upstreams").json(&wrong).send().await.expect(400);
    }
    for wrong in [
        json!({"name": "x", "kind": "poetry"}),
        json!({"name": "x", "kind": "chat", "served_by": [{"upstream": "nobody", "model": "m", "weight": 1}]}),
        json!({"name": "x", "kind": "chat", "price": {"currency": "USD", "input_per_million": "-1", "output_per_million": "1"}}),
        json!({"name": "x y", "kind": "chat"}),
    ] {
        house.api("POST", "models").json(&wrong).send().await.expect(400);
    }
}

async fn a_withdrawn_model_is_gone_at_once_and_its_name_can_be_given_again(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a", "chat-b"]).await;
    let mut running = house.chat(&key.key, "chat-b", json!({"stream": true, "fake": {"stall_at": 1}})).stream().await;
    running.next_event().await.unwrap().unwrap();
    house.api("DELETE", "models/chat-b").send().await.expect(200);
    let answer = house.ask(&key.key, "chat-b").await;
    assert!(["404 model_not_found", "403 model_not_permitted"].contains(&answer.as_str()), "{answer}");
    let events = running.events().await.unwrap();
    assert!(
        !events.iter().any(|event| event == "[DONE]") && events.last().unwrap().contains("\"error\""),
        "{events:?}"
    );
    assert_eq!(house.api("GET", &format!("keys/{}", key.id)).send().await.json()["models"], json!(["chat-a"]));
    // Another model of that name is another model: the old permission does not reach it.
    let again =
        json!({"name": "chat-b", "kind": "chat", "served_by": [{"upstream": "fake", "model": "chat-b", "weight": 1}]});
    house.api("POST", "models").json(&again).send().await.expect(201);
    assert_eq!(house.ask(&key.key, "chat-b").await, "403 model_not_permitted");
}

async fn a_plan_that_lapses_stops_the_keys_and_one_that_returns_brings_them_back(engine: Engine) {
    let house = House::open(engine).await;
    house.api("POST", "plans").json(&json!({"handle": "pro", "name": "Pro", "paid": true})).send().await.expect(201);
    house.api("POST", "accounts").json(&json!({"handle": "acme", "name": "Acme"})).send().await.expect(201);
    let create = || house.api("POST", "keys").json(&json!({"name": "k", "models": "all", "account": "acme"}));
    assert_eq!(create().send().await.answer(), "402 plan_required");
    let account = |change| house.api("PATCH", "accounts/acme").json(&change);
    account(json!({"plan": "pro"})).send().await.expect(200);
    let key = Issued::from(create().send().await.expect(201));
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    let mut running = house.chat(&key.key, "chat-a", json!({"stream": true, "fake": {"stall_at": 1}})).stream().await;
    running.next_event().await.unwrap().unwrap();
    account(json!({"plan": null})).send().await.expect(200);
    let refused = house.chat(&key.key, "chat-a", json!({})).send().await;
    assert_eq!(refused.answer(), "402 plan_required");
    let events = running.events().await.unwrap();
    assert!(events.last().unwrap().contains("plan_required"), "{events:?}");
    account(json!({"plan": "pro"})).send().await.expect(200);
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    // It lapses by itself.
    let soon = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64 + 1_500;
    account(json!({"plan_until": super::management::rfc3339(soon)})).send().await.expect(200);
    eventually("the plan lapses", async || (house.ask(&key.key, "chat-a").await == "402 plan_required").then_some(()))
        .await;
    assert_eq!(create().send().await.answer(), "402 plan_required");
    account(json!({"plan_until": null})).send().await.expect(200);
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
}

async fn a_plan_that_is_no_longer_paid_stops_every_account_on_it(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let plan = house.api("GET", "accounts/default").send().await.expect(200).json();
    let plans = house.api("GET", "plans").send().await.expect(200).json();
    let handle = plans["data"][0]["handle"].as_str().unwrap_or_else(|| panic!("{plans} {plan}")).to_owned();
    let path = format!("plans/{handle}");
    house.api("PATCH", &path).json(&json!({"paid": false})).send().await.expect(200);
    assert_eq!(house.ask(&key.key, "chat-a").await, "402 plan_required");
    house.api("PATCH", &path).json(&json!({"paid": true})).send().await.expect(200);
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    house.api("DELETE", &path).send().await.expect(409);
}

async fn a_disabled_users_keys_are_dead(engine: Engine) {
    let house = House::open(engine).await;
    let token = house.token_of("default", "member").await;
    let made = house.api_as(&token, "POST", "keys").json(&json!({"name": "theirs", "models": "all"})).send().await;
    let theirs = Issued::from(made.expect(201));
    let mine = house.key(&["chat-a"]).await;
    let users = house.api("GET", "users").send().await.expect(200).json();
    let user = users["data"].as_array().unwrap().iter().find(|user| user["name"] == "member of default").unwrap()["id"]
        .clone();
    let path = format!("users/{}", user.as_str().unwrap());
    assert_eq!(house.ask(&theirs.key, "chat-a").await, "200");
    house.api("PATCH", &path).json(&json!({"disabled": true})).send().await.expect(200);
    let answer = house.ask(&theirs.key, "chat-a").await;
    assert!(answer.starts_with("401 "), "{answer}");
    assert_eq!(house.ask(&mine.key, "chat-a").await, "200");
    house.api_as(&token, "GET", "keys").send().await.expect(401);
    house.api("PATCH", &path).json(&json!({"disabled": false})).send().await.expect(200);
    assert_eq!(house.ask(&theirs.key, "chat-a").await, "200");
}

async fn the_settings_file_is_applied_at_start_and_only_what_changed(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let audit = async |house: &House| {
        house.api("GET", "audit?limit=1000").send().await.expect(200).json()["data"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|line| {
                line["action"].as_str().unwrap().starts_with("model.")
                    || line["action"].as_str().unwrap().starts_with("upstream.")
            })
            .count()
    };
    let before = audit(&house).await;
    let House { node, upstream, token, database, directory } = house;
    let options = node.kill();
    let node = options.start().await;
    let house = House { node, upstream, token, database, directory };
    assert_eq!(audit(&house).await, before, "an unchanged file changes nothing");
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    // Changed: the model's name upstream, the policy.
    let House { node, upstream, token, database, directory } = house;
    let mut options = node.kill();
    options.settings = catalogue(&upstream, "openai", "drain").replace("model = \"chat-a\"", "model = \"chat-a-2\"");
    let node = options.start().await;
    let house = House { node, upstream, token, database, directory };
    assert_eq!(audit(&house).await, before + 2);
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    assert_eq!(house.upstream.last().model, "chat-a-2");
}

async fn state_outlives_a_restart(engine: Engine) {
    let house = House::open(engine).await;
    let (alive, dead) = (house.key(&["chat-a"]).await, house.key(&["chat-a"]).await);
    house.revoke(&dead).await.expect(200);
    assert_eq!(house.ask(&alive.key, "chat-a").await, "200");
    house.usage_of(1).await;
    let House { node, upstream, token, database, directory } = house;
    let options = node.options().clone();
    let status = node.terminate(tollgate_tests::DEADLINE).await;
    assert!(status.success(), "{status}");
    let house = House { node: options.start().await, upstream, token, database, directory };
    assert_eq!(house.ask(&alive.key, "chat-a").await, "200");
    assert_eq!(house.ask(&dead.key, "chat-a").await, "401 api_key_revoked");
    assert_eq!(house.usage_of(2).await["input_tokens"], 14);
}

async fn a_setting_that_is_not_known_stops_the_start(engine: Engine) {
    let directory = tempfile::tempdir().unwrap();
    let database = engine.database(directory.path());
    let options = tollgate_tests::NodeOptions::new(&directory.path().join("node"), database.url());
    let refused = options.member("keys", "prefex = \"tg\"").try_start().await.expect_err("a mistyped setting");
    assert!(refused.contains("prefex") && refused.contains("keys.prefix"), "{refused}");
    assert!(refused.contains("tollgate.toml:"), "names the line: {refused}");
}

async fn keys_and_tokens_outlive_a_change_of_the_prefix(engine: Engine) {
    let house = House::open(engine).await;
    let old = house.key(&["chat-a"]).await;
    let House { node, upstream, token, database, directory } = house;
    let options = node.kill().member("keys", "prefix = \"acme\"");
    let house = House { node: options.start().await, upstream, token, database, directory };
    assert_eq!(house.ask(&old.key, "chat-a").await, "200");
    let new = house.key(&["chat-a"]).await;
    assert!(new.key.starts_with("acme_"), "{}", &new.key[..8]);
    assert_eq!(house.ask(&new.key, "chat-a").await, "200");
    let listed = house.api("GET", "keys").send().await.expect(200).to_string();
    assert!(
        listed.contains(&old.key[..15]) && listed.contains(&new.key[..17]),
        "each is listed as it is written: {listed}"
    );
    house.revoke(&old).await.expect(200);
    assert_eq!(house.ask(&old.key, "chat-a").await, "401 api_key_revoked");
}
