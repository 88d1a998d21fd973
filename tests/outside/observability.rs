//! Metrics, log lines, health, and the second address for everything but inference.

use tollgate_tests::{Engine, House, Http, Value, eventually, json, on_both};

on_both!(
    metrics_are_on_their_own_address_and_no_client_can_inflate_them,
    each_request_leaves_one_line_that_names_it,
    each_management_request_leaves_one_line_that_says_who,
    management_moves_to_its_own_address,
);

async fn metrics_are_on_their_own_address_and_no_client_can_inflate_them(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let metrics = Http::at(house.node.ready()["metrics"].as_str().expect("an address"));
    let series = async || {
        let text = metrics.get("/metrics").send().await.expect(200);
        let text = String::from_utf8(text.body.to_vec()).expect("text");
        assert!(text.ends_with("# EOF\n"), "OpenMetrics: {text}");
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    house.ask(&key.key, "chat-a").await;
    for at in 0..3 {
        house.ask(&key.key, &format!("first-{at}")).await;
        house.http().request("BREW", &format!("/first/{at}")).send().await;
    }
    let before = series().await;
    for at in 0..50 {
        house.ask(&key.key, &format!("made-up-{at}")).await;
        house.http().request("BREW", &format!("/made/up/{at}")).header("user-agent", &format!("{at}")).send().await;
        house.http().get(&format!("/v1/models/made-up-{at}")).bearer(&key.key).send().await;
    }
    let after = series().await;
    assert!(after.len() <= before.len() + 10, "{} series, then {}:\n{}", before.len(), after.len(), after.join("\n"));
    for word in ["made-up", "made/up", "BREW"] {
        assert!(!after.iter().any(|line| line.contains(word)), "{word}");
    }
    for word in ["requests", "tokens", "journal", "keyring", "upstream"] {
        assert!(after.iter().any(|line| line.contains(word)), "{word}: {}", after.join("\n"));
    }
    // A node that says that it is ready has a lease, and says that too.
    assert!(series().await.iter().any(|line| line == "tollgate_lease_valid 1"), "{}", after.join("\n"));
    let public = house.http().get("/metrics").send().await;
    assert!(!String::from_utf8_lossy(&public.body).contains("tollgate_"), "{public}");
}

async fn each_request_leaves_one_line_that_names_it(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let mut ids = Vec::new();
    for request in [
        house.chat(&key.key, "chat-a", json!({})),
        house.chat(&key.key, "chat-a", json!({"stream": true})),
        house.chat(&key.key, "chat-b", json!({})),
        house.chat("tg_wrong", "chat-a", json!({})),
        house.http().get("/v1/models").bearer(&key.key),
    ] {
        ids.push(request.send().await.header("x-request-id").to_owned());
    }
    for id in ids {
        let lines = eventually("the line is written", async || {
            let log = house.node.log();
            let lines: Vec<Value> = log
                .lines()
                .filter(|line| line.contains(&id))
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect();
            (!lines.is_empty()).then_some(lines)
        })
        .await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        // Refused calls can be traced too (BerriAI/litellm#33150).
        assert_eq!(lines[0]["client.address"], "127.0.0.1", "{lines:?}");
        assert!(lines[0]["duration_ms"].is_number() && lines[0]["status"].is_number(), "{lines:?}");
    }
}

async fn each_management_request_leaves_one_line_that_says_who(engine: Engine) {
    let second = House::open_with(engine, |options, _| options.member("listen", "manage = \"127.0.0.1:0\"")).await;
    for house in [House::open(engine).await, second] {
        let manage = house.node.ready()["manage"].as_str().map_or_else(|| house.http(), Http::at);
        let me = manage.get("/api/v1/me").bearer(&house.token).send().await.expect(200);
        let user = me.json()["user"]["id"].as_str().expect("a user").to_owned();
        let nobody = manage.get("/api/v1/nodes").send().await.expect(401);
        let page = manage.get("/sign-in/a-secret-of-somebody").send().await;
        let missing = manage.get("/no/such/page").send().await.expect(404);
        for (reply, route, who) in [
            (&me, "/api/v1/me", Some(user)),
            (&nobody, "/api/v1/nodes", None),
            (&page, "/sign-in/{token}", None),
            (&missing, "unmatched", None),
        ] {
            let id = reply.header("x-request-id");
            let line: Value = eventually("the line is written", async || {
                let log = house.node.log();
                log.lines().find(|line| line.contains(id)).and_then(|line| serde_json::from_str(line).ok())
            })
            .await;
            assert_eq!((&line["route"], &line["status"]), (&json!(route), &json!(reply.status.as_u16())), "{line}");
            assert_eq!(line["user.id"].as_str(), who.as_deref(), "{line}");
            assert_eq!(line["token.id"].is_string(), who.is_some(), "{line}");
            assert_eq!(line["client.address"], "127.0.0.1", "{line}");
        }
        let log = house.node.log();
        for (word, lines) in
            [("\"/api/v1/me\"", 1), ("\"/api/v1/nodes\"", 1), ("\"unmatched\"", 1), ("\"management\"", 0)]
        {
            assert_eq!(log.lines().filter(|line| line.contains(word)).count(), lines, "{word} in {log}");
        }
        assert!(!log.contains("a-secret-of-somebody"), "{log}");
    }
}

async fn management_moves_to_its_own_address(engine: Engine) {
    let house = House::open_with(engine, |options, _| options.member("listen", "manage = \"127.0.0.1:0\"")).await;
    let manage = Http::at(house.node.ready()["manage"].as_str().unwrap_or_else(|| panic!("{}", house.node.ready())));
    let made = manage.post("/api/v1/keys", &json!({"name": "k", "models": "all"})).bearer(&house.token).send().await;
    let key = made.expect(201).json()["key"].as_str().expect("a key").to_owned();
    assert_eq!(house.ask(&key, "chat-a").await, "200");
    for path in ["/api/v1/keys", "/api/v1/openapi.json", "/", "/sign-in"] {
        house.http().get(path).bearer(&house.token).send().await.expect(404);
    }
    let inference = manage.post("/v1/chat/completions", &json!({"model": "chat-a"})).bearer(&key).send().await;
    assert_eq!(inference.status, 404, "{inference}");
}
