//! Keys, tokens and credentials are nowhere but with their owners: not in the store, not in any file, not in any log,
//! answer, page or metric.

use tollgate_tests::{Engine, House, Issued, cli, eventually, house::CREDENTIAL, json, node::files_below, on_both};

on_both!(a_key_is_never_at_rest, a_key_is_shown_once, the_store_opens_only_with_its_master_key);

/// The parts of a secret that would give it away. The public id is none.
fn secret_part(key: &str) -> &str {
    &key[16..]
}

async fn a_key_is_never_at_rest(engine: Engine) {
    let house = House::open_with(engine, |options, _| options.member("log", "level = \"debug\"")).await;
    let key = house.key(&["chat-a", "embed-a"]).await;
    let rotated = house.api("POST", &format!("keys/{}/rotate", key.id)).json(&json!({"grace": "1h"})).send().await;
    let rotated = Issued::from(rotated.expect(200));
    let dead = house.key(&["chat-a"]).await;
    house.revoke(&dead).await.expect(200);
    // Used in every way that could leave a trace, right and wrong.
    for text in [&key.key, &rotated.key, &dead.key] {
        house.ask(text, "chat-a").await;
        house.ask(text, "chat-b").await;
        house.ask(text, text).await;
        house.chat(text, "chat-a", json!({"stream": true, "fake": {"cut_at": 2}})).send().await;
        house.chat(text, "chat-a", json!({"user": text, "fake": {"status": 500}})).send().await;
        house.http().get(&format!("/v1/models/{text}")).bearer(text).send().await;
        house.http().get(&format!("/v1/models?key={text}")).send().await;
        house.http().get(&format!("/{text}")).header("x-request-id", &text[..20]).send().await;
        house.api_as(text, "GET", "keys").send().await.expect(401);
        house.api("GET", &format!("keys?q={text}")).send().await;
        let mut mistyped = text.clone();
        mistyped.replace_range(61..62, if text.ends_with('0') { "1" } else { "0" });
        house.ask(&mistyped, "chat-a").await;
    }
    let edit =
        json!({"name": "vendor", "base_url": house.upstream.base_url(), "credential": "sk-another-credential-99"});
    house.api("POST", "upstreams").json(&edit).send().await.expect(201);
    house.api("POST", "upstreams").json(&edit).send().await.expect(409);
    eventually("everything is counted", async || {
        (house.usage().await["requests"].as_u64() >= Some(house.upstream.count().0)).then_some(())
    })
    .await;

    let mut haystacks = vec![("the store".to_owned(), house.database.bytes())];
    for file in files_below(&house.directory.path().join("node")) {
        // The settings file names the credential in plain text: that is where it came from.
        if file.file_name().is_some_and(|name| name != "tollgate.toml") {
            haystacks.push((file.display().to_string(), std::fs::read(&file).unwrap_or_default()));
        }
    }
    if let Some(metrics) = house.node.ready()["metrics"].as_str() {
        let metrics = tollgate_tests::Http::at(metrics).get("/metrics").send().await.expect(200);
        haystacks.push(("metrics".to_owned(), metrics.body.to_vec()));
    }
    for path in ["keys", "audit", "upstreams", "nodes", "users", "tokens"] {
        haystacks.push((path.to_owned(), house.api("GET", path).send().await.expect(200).body.to_vec()));
    }
    let secrets = [
        secret_part(&key.key),
        secret_part(&rotated.key),
        secret_part(&dead.key),
        secret_part(&house.token),
        CREDENTIAL,
        "sk-another-credential-99",
    ];
    for (place, bytes) in &haystacks {
        for secret in secrets {
            // Neither the whole nor a good part of it.
            for part in [secret, &secret[..20.min(secret.len())]] {
                let found = bytes.windows(part.len()).any(|window| window == part.as_bytes());
                assert!(!found, "{part} is in {place}");
            }
        }
    }
}

async fn a_key_is_shown_once(engine: Engine) {
    let house = House::open(engine).await;
    let created = house.api("POST", "keys").json(&json!({"name": "k", "models": "all"})).send().await.expect(201);
    assert_eq!(created.header("cache-control"), "no-store");
    let key = Issued::from(created);
    for path in ["keys".to_owned(), format!("keys/{}", key.id)] {
        let shown = house.api("GET", &path).send().await.expect(200);
        assert!(!shown.to_string().contains(secret_part(&key.key)), "{path}");
        assert!(shown.to_string().contains(key.answer["hint"].as_str().unwrap()), "{path}");
    }
    let path = format!("keys/{}/rotate", key.id);
    let rotated = house.api("POST", &path).json(&json!({})).send().await.expect(200);
    assert_eq!(rotated.header("cache-control"), "no-store");
}

async fn the_store_opens_only_with_its_master_key(engine: Engine) {
    let house = House::open(engine).await;
    let options = house.node.kill();
    let master_key = options.directory.join("master.key");
    let right = std::fs::read(&master_key).unwrap();
    std::fs::write(&master_key, "ab".repeat(32)).unwrap();
    let refused = options.try_start().await.expect_err("another master key");
    assert!(refused.contains("master"), "{refused}");
    let ran = cli::run(&options.directory, &["bootstrap", "--config", "tollgate.toml"]);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.stdout, "");
    std::fs::write(&master_key, right).unwrap();
    options.start().await;
}
