//! A key in a web page, by what a browser sends: refused, seen by its owner, allowed by name. In a real browser:
//! `tests/browser/origins.mjs`.

use tollgate_tests::{Engine, House, Http, eventually, json, on_both};

on_both!(
    a_key_that_a_page_used_is_shown_as_exposed_everywhere,
    an_origin_that_is_taken_away_ends_what_runs_and_is_let_in_no_more,
);

const APP: &str = "https://app.example.com";

async fn a_key_that_a_page_used_is_shown_as_exposed_everywhere(engine: Engine) {
    let house = House::open(engine).await;
    let (key, quiet) = (house.key(&["chat-a"]).await, house.key(&["chat-a"]).await);
    let body = json!({"model": "chat-a", "messages": []});
    for headers in [
        [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")],
        [("origin", APP), ("sec-fetch-mode", "cors")],
    ] {
        let mut request = house.http().post("/v1/chat/completions", &body).bearer(&key.key);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let refused = request.send().await;
        assert_eq!(refused.answer(), "403 browser_use_refused");
        assert!(!refused.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{refused}");
    }
    // Who has no key is told so, and what programs send is no page's.
    let stranger = house.http().post("/v1/chat/completions", &body).header("origin", APP).bearer("tg_nonsense");
    assert_eq!(stranger.send().await.answer(), "401 invalid_api_key");
    let node = house.http().post("/v1/chat/completions", &body).bearer(&key.key).header("sec-fetch-mode", "cors");
    assert_eq!(node.send().await.answer(), "200");
    let preflight = house.http().request("OPTIONS", "/v1/chat/completions").header("origin", APP);
    let preflight = preflight.header("access-control-request-method", "POST").send().await;
    assert_eq!(preflight.answer(), "403 browser_use_refused");
    assert!(!preflight.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{preflight}");
    let shown = eventually("three signs", async || {
        let shown = house.api("GET", &format!("keys/{}", key.id)).send().await.expect(200).json();
        (shown["exposure"]["browser_requests"] == json!(3)).then_some(shown)
    })
    .await;
    assert_eq!(shown["exposure"]["last_origin"], APP);
    let listed = house.api("GET", "keys").send().await.expect(200).json();
    let of = |id: &str| {
        let keys = listed["data"].as_array().expect("keys");
        keys.iter().find(|key| key["id"] == id).expect("the key")["exposure"]["browser_requests"].clone()
    };
    assert_eq!((of(&key.id), of(&quiet.id)), (json!(3), json!(0)));
    let told = house.cli().run(&["keys", "show", &key.id]).expect(0).stdout;
    assert!(told.contains("used from a browser 3 times, last from https://app.example.com"), "{told}");
    let metrics = Http::at(house.node.ready()["metrics"].as_str().expect("an address")).get("/metrics").send().await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    for line in ["tollgate_refused_total{code=\"browser_use_refused\"} 4", "tollgate_preflights_refused_total 1"] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

async fn an_origin_that_is_taken_away_ends_what_runs_and_is_let_in_no_more(engine: Engine) {
    let house = House::open(engine).await;
    let cli = house.cli();
    let create = ["keys", "create", "--name", "page", "--models", "chat-a", "--allow-origin"];
    let key = cli.run(&[&create[..], &["https://App.Example.com,http://localhost:3000"]].concat()).expect(0).stdout;
    let key = key.trim_end();
    let refused = cli.run(&[&create[..], &["https://app.example.com/path"]].concat()).expect(1);
    assert!(refused.stderr.contains("no path"), "{refused:?}");
    let told = cli.run(&["keys", "show", "page"]).expect(0).stdout;
    assert!(told.contains("http://localhost:3000, https://app.example.com"), "{told}");
    let ask = || house.chat(key, "chat-a", json!({})).header("origin", APP).header("sec-fetch-site", "cross-site");
    let answer = ask().send().await.expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), APP);
    let more = json!({"stream": true, "fake": {"chunks": 3, "stall_at": 2}});
    let mut stream = house.chat(key, "chat-a", more).header("origin", APP).stream().await;
    assert_eq!(stream.headers["access-control-allow-origin"], APP);
    stream.next_event().await.unwrap().unwrap();
    let edited = cli.run(&["keys", "edit", "page", "--allow-origin", "http://localhost:3000"]).expect(0);
    assert!(edited.stdout.contains("1 running stream was ended"), "{edited:?}");
    let rest = stream.events().await.unwrap();
    assert!(rest.last().unwrap().contains("browser_use_refused"), "{rest:?}");
    let refused = ask().send().await;
    assert_eq!(
        (refused.answer().as_str(), refused.header("access-control-allow-origin")),
        ("403 browser_use_refused", "")
    );
    cli.run(&["keys", "edit", "page", "--allow-origin", ""]).expect(0);
    let id = cli.run(&["keys", "show", "page", "--json"]).expect(0).json();
    assert_eq!(id["allowed_origins"], json!([]));
    assert_eq!(house.ask(key, "chat-a").await, "200", "programs go on");
}
