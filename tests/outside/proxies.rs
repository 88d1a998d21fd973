//! Behind a proxy: the client's address is the one that a trusted proxy names, and nobody else's word counts.

use tollgate_tests::{Engine, House, Http, Value, eventually, json, on_both};

on_both!(
    behind_a_trusted_proxy_a_client_has_its_own_address_everywhere,
    the_header_of_anybody_else_says_nothing,
    tries_to_sign_in_are_counted_by_the_client_behind_the_proxy,
    the_second_address_trusts_the_same_proxies,
);

const CLIENT: &str = "203.0.113.9";
const OTHER: &str = "2001:db8::7";
/// What a client wrote itself before the proxy added where it was called from.
const CLAIM: &str = "127.0.0.1, 6.6.6.6";
/// More tries than one address has at once, and than come back to it meanwhile.
const TRIES: usize = 90;

async fn behind(engine: Engine, trusted: &str) -> House {
    House::open_with(engine, |options, _| options.member("listen", trusted)).await
}

/// From where the owner of a key sees it used.
async fn addresses(house: &House, key: &str, least: usize) -> Vec<String> {
    eventually("the addresses are noted", async || {
        let shown = house.api("GET", &format!("keys/{key}")).send().await.expect(200).json();
        let list = shown["addresses"].as_array().expect("addresses").iter();
        let list: Vec<String> = list.map(|entry| entry["address"].as_str().expect("one").to_owned()).collect();
        (list.len() >= least).then_some(list)
    })
    .await
}

/// The address in the log's line about a request.
async fn logged(house: &House, id: &str) -> String {
    let line: Value = eventually("the line is written", async || {
        let log = house.node.log();
        log.lines().find(|line| line.contains(id)).and_then(|line| serde_json::from_str(line).ok())
    })
    .await;
    line["client.address"].as_str().expect("an address").to_owned()
}

async fn behind_a_trusted_proxy_a_client_has_its_own_address_everywhere(engine: Engine) {
    let house = behind(engine, "trusted_proxies = [\"192.0.2.0/24\", \"127.0.0.1\"]").await;
    let key = house.key(&["chat-a"]).await;
    // One connection of the proxy brings the requests of many, with the same key too.
    let mut proxy = house.http().connect().await.expect("a connection");
    for (said, client) in
        [(CLIENT.to_owned(), CLIENT), (format!("{CLAIM}, {OTHER}"), OTHER), (format!("{CLIENT}, 192.0.2.4"), CLIENT)]
    {
        let request = house.chat(&key.key, "chat-a", json!({})).header("x-forwarded-for", &said);
        let reply = proxy.send(request).await.expect("an answer").expect(200);
        assert_eq!(logged(&house, reply.header("x-request-id")).await, client, "{said}");
    }
    let mut seen = addresses(&house, &key.id, 2).await;
    seen.sort();
    assert_eq!(seen, [OTHER, CLIENT], "neither the proxy nor what a client claims");
    // Who manages, too: in the log, the audit log, and among one's sessions.
    let renamed = house.api("PATCH", &format!("keys/{}", key.id)).json(&json!({"name": "By the client"}));
    let renamed = renamed.header("x-forwarded-for", &format!("{CLAIM}, {CLIENT}")).send().await.expect(200);
    assert_eq!(logged(&house, renamed.header("x-request-id")).await, CLIENT);
    let audit = house.api("GET", &format!("audit?subject={}&action=key.edit", key.id)).send().await.expect(200).json();
    assert_eq!(audit["data"][0]["address"], CLIENT, "{audit}");
}

async fn the_header_of_anybody_else_says_nothing(engine: Engine) {
    for trusted in ["trusted_proxies = []", "trusted_proxies = [\"192.0.2.0/24\", \"::1\"]"] {
        let house = behind(engine, trusted).await;
        let key = house.key(&["chat-a"]).await;
        let request = house.chat(&key.key, "chat-a", json!({})).header("x-forwarded-for", CLIENT);
        let reply = request.send().await.expect(200);
        assert_eq!(logged(&house, reply.header("x-request-id")).await, "127.0.0.1");
        assert_eq!(addresses(&house, &key.id, 1).await, ["127.0.0.1"]);
    }
}

async fn tries_to_sign_in_are_counted_by_the_client_behind_the_proxy(engine: Engine) {
    let house = behind(engine, "trusted_proxies = [\"127.0.0.0/8\"]").await;
    let attempt = async |at: usize, client: &str| {
        let request = house.http().request("POST", "/sign-in").header("sec-fetch-site", "same-origin");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request =
            request.header("x-forwarded-for", client).body(format!("email=nobody{at}%40example.com&password=x"));
        request.send().await.status.as_u16()
    };
    let mut statuses = Vec::new();
    while statuses.len() < TRIES && statuses.last() != Some(&429) {
        // What it claims before does not make it another.
        let at = statuses.len();
        statuses.push(attempt(at, &format!("10.0.0.{at}, {CLIENT}")).await);
    }
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    assert_ne!(attempt(TRIES, OTHER).await, 429, "another client has tries of its own");
}

async fn the_second_address_trusts_the_same_proxies(engine: Engine) {
    let house = behind(engine, "manage = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]").await;
    let manage = Http::at(house.node.ready()["manage"].as_str().expect("an address"));
    let request =
        manage.get("/api/v1/me").bearer(&house.token).header("x-forwarded-for", &format!("{CLAIM}, {CLIENT}"));
    let me = request.send().await.expect(200);
    assert_eq!(logged(&house, me.header("x-request-id")).await, CLIENT);
}
