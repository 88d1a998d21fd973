//! Reports of leaked keys, by each way in: what they end, what they answer, and what is refused and changes nothing.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use axum::body::Body;
use base64ct::{Base64, Encoding as _};
use http::{Request, request::Builder};
use p256::{
    ecdsa::{DerSignature, SigningKey, signature::Signer as _},
    pkcs8::{EncodePublicKey as _, LineEnding},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tollgate_core::{
    seal::SecretText,
    secret::{PlainKey, Prefix},
};
use tollgate_manage::{LeakOptions, PeerAddress, notify::NotifyOptions};

use crate::house::{Answer, House};

const HOOK: &str = "/hooks/github/secret-scanning";
const ALERT: &str = "/hooks/github/secret-scanning-alert";
const SECRET: &str = "a webhook\'s secret";
const GITLAB: &str = "a token that only GitLab has";

/// GitHub, as far as this program asks it: its public keys, and one alert.
struct GitHub {
    signer: SigningKey,
    pem: String,
    address: String,
}

impl GitHub {
    /// `alert` is the secret of every alert, for whoever shows a token.
    async fn start(alert: &str) -> Self {
        let signer = SigningKey::from_slice(&[9; 32]).unwrap();
        let pem = signer.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let keys = json!({"public_keys": [{"key_identifier": hex(pem.as_bytes()), "key": pem, "is_current": true}]});
        let (keys, alert) = (keys.to_string(), json!({"number": 1, "secret": alert}).to_string());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap().to_lowercase();
                assert!(head.contains("user-agent: tollgate/"), "{head}");
                let shows = head.contains("authorization: bearer ghp_reads_alerts");
                let (status, body) = match head.split(' ').nth(1).unwrap() {
                    "/keys" => (200, keys.as_str()),
                    path if path.starts_with("/repos/") && shows => (200, alert.as_str()),
                    _ => (404, "{}"),
                };
                let answer =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { signer, pem, address }
    }
    async fn house(&self) -> House {
        let leaks = LeakOptions {
            token_type: "tollgate_api_key".into(),
            github_keys: Some(format!("{}/keys", self.address)),
            github_token: Some(SecretText::new("ghp_reads_alerts".into())),
            github_api: self.address.clone(),
            github_webhook: Some(SecretText::new(SECRET.into())),
            gitlab_token: Some(SecretText::new(GITLAB.into())),
        };
        House::open_with(None, leaks, NotifyOptions::default()).await
    }
    fn signed(&self, body: &str) -> Builder {
        let signature: DerSignature = self.signer.sign(body.as_bytes());
        post(HOOK)
            .header("GITHUB-PUBLIC-KEY-IDENTIFIER", hex(self.pem.as_bytes()))
            .header("Github-Public-Key-Signature", Base64::encode_string(signature.as_bytes()))
    }
    async fn report(&self, house: &House, entries: &Value) -> Answer {
        let body = entries.to_string();
        house.send(self.signed(&body).body(Body::from(body)).unwrap()).await
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
/// As a sender packs that thinks it may.
fn gzip(text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}
fn post(path: &str) -> Builder {
    Request::post(path).header("content-type", "application/json")
}
fn hub_signed(body: &str) -> String {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}
fn text(key: &Value) -> &str {
    key["key"].as_str().unwrap()
}
/// A key of another deployment: the right form and checksum, and nothing here knows it.
fn stranger(house: &House) -> String {
    PlainKey::mint(&Prefix::default(), &house.world).expose().to_owned()
}

impl House {
    async fn tell(&self, from: &str, body: Value) -> Answer {
        let mut request = post("/leaks").body(Body::from(body.to_string())).unwrap();
        request.extensions_mut().insert(PeerAddress(from.parse::<IpAddr>().unwrap()));
        self.send(request).await
    }
    async fn status(&self, key: &Value) -> String {
        let key = self.get(&format!("keys/{}", key["id"].as_str().unwrap())).await.expect(200).json();
        key["status"].as_str().unwrap().to_owned()
    }
    async fn gitlab(&self, authorization: &str, body: &Value) -> Answer {
        let request = post("/hooks/gitlab/v1/revoke_tokens").header("authorization", authorization);
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }
}

#[tokio::test]
async fn github_is_told_what_is_ours_and_it_is_dead_then() {
    let github = GitHub::start("").await;
    let house = github.house().await;
    let (key, other) = (house.key().await, house.key().await);
    let unknown = stranger(&house);
    let token = house.post("tokens", json!({"name": "t", "account": "default"})).await.expect(201).json();
    let token = token["token"].as_str().unwrap();
    let entries = json!([
        {"token": text(&key), "type": "tollgate_api_key", "url": "https://github.com/a/b/blob/c/d", "source": "Commit", "more": 1},
        {"token": unknown, "type": "tollgate_api_key", "url": "", "source": "a_later_word"},
        {"token": token, "type": "tollgate_access_token", "url": null},
        {"token": text(&key)},
        {"token": "some_token", "type": "some_type"},
    ]);
    for round in 0..2 {
        let answer = github.report(&house, &entries).await.expect(200).json();
        let said = |token: &str, kind: &str, label: &str| json!({"token_hash": hex(token.as_bytes()), "token_type": kind, "label": label});
        let wanted = json!([
            said(text(&key), "tollgate_api_key", "true_positive"),
            said(&unknown, "tollgate_api_key", "false_positive"),
            said(token, "tollgate_access_token", "true_positive"),
            said(text(&key), "tollgate_api_key", "true_positive"),
            said("some_token", "some_type", "false_positive"),
        ]);
        assert_eq!(answer, wanted, "round {round}");
        assert!(!answer.to_string().contains(text(&key)));
    }
    assert_eq!([house.status(&key).await, house.status(&other).await], ["leaked", "active"]);
    let shown = house.get(&format!("keys/{}", key["id"].as_str().unwrap())).await.json();
    let leak = &shown["leak"];
    assert_eq!((&leak["found_at"], &leak["source"]), (&json!("https://github.com/a/b/blob/c/d"), &json!("github")));
    assert_eq!(leak["reports"], 4);
    house.call(token, "GET", "keys", None).await.refused(401, "invalid_token");
    assert_eq!(github.report(&house, &json!([])).await.expect(200).json(), json!([]));
}

#[tokio::test]
async fn what_github_did_not_sign_or_does_not_write_changes_nothing() {
    let github = GitHub::start("").await;
    let house = github.house().await;
    let key = house.key().await;
    let entries =
        [json!({"token": text(&key), "type": "tollgate_api_key", "url": "https://a.example"}), json!({"token": "x"})];
    let body = json!(entries).to_string();
    let reordered = json!([entries[1], entries[0]]).to_string();
    let forger =
        GitHub { signer: SigningKey::from_slice(&[8; 32]).unwrap(), pem: github.pem.clone(), address: String::new() };
    let signed = |body: &str| github.signed(body);
    let bare = || post(HOOK);
    let header = |request: &Builder, name: &str| request.headers_ref().unwrap()[name].clone();
    let (identifier, signature) = ("github-public-key-identifier", "github-public-key-signature");
    let good = signed(&body);
    let truncated = &body[..body.len() - 1];
    let refused: Vec<(&str, Request<Body>)> = vec![
        ("another body", signed("[]").body(Body::from(body.clone())).unwrap()),
        ("a newline more", signed(&body).body(Body::from(format!("{body}\n"))).unwrap()),
        ("truncated", signed(&body).body(Body::from(truncated.to_owned())).unwrap()),
        ("another order", signed(&body).body(Body::from(reordered)).unwrap()),
        ("another blank", signed(&body).body(Body::from(body.replace("\":\"", "\": \""))).unwrap()),
        ("packed", signed(&body).header("content-encoding", "gzip").body(Body::from(gzip(&body))).unwrap()),
        ("forged", forger.signed(&body).body(Body::from(body.clone())).unwrap()),
        ("no signature", bare().header(identifier, header(&good, identifier)).body(Body::from(body.clone())).unwrap()),
        ("no identifier", bare().header(signature, header(&good, signature)).body(Body::from(body.clone())).unwrap()),
        (
            "signature twice",
            signed(&body).header(signature, header(&good, signature)).body(Body::from(body.clone())).unwrap(),
        ),
        ("identifier twice", signed(&body).header(identifier, "0".repeat(64)).body(Body::from(body.clone())).unwrap()),
        (
            "an unknown identifier",
            bare()
                .header(identifier, "0".repeat(64))
                .header(signature, header(&good, signature))
                .body(Body::from(body.clone()))
                .unwrap(),
        ),
        ("truncated JSON", signed(truncated).body(Body::from(truncated.to_owned())).unwrap()),
        ("an object", signed("{}").body(Body::from("{}")).unwrap()),
        ("no token", signed("[{}]").body(Body::from("[{}]")).unwrap()),
        ("a number", signed("[{\"token\":1}]").body(Body::from("[{\"token\":1}]")).unwrap()),
    ];
    for (what, request) in refused {
        let answer = house.send(request).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text);
        assert!(!answer.text.contains(text(&key)), "{what}");
    }
    let many = Value::from(vec![json!({"token": "x"}); 10_001]).to_string();
    house.send(signed(&many).body(Body::from(many)).unwrap()).await.refused(400, "invalid_request");
    let large = format!("[{{\"token\":\"{}\"}}]", "x".repeat(1 << 20));
    house.send(signed(&large).body(Body::from(large)).unwrap()).await.refused(413, "request_too_large");
    assert_eq!(house.status(&key).await, "active");
    house.send(good.body(Body::from(body)).unwrap()).await.expect(200);
    assert_eq!(house.status(&key).await, "leaked");
}

#[tokio::test]
async fn thousands_of_entries_are_answered_in_one_go() {
    let github = GitHub::start("").await;
    let house = github.house().await;
    let (mut entries, mut keys) = (Vec::new(), Vec::new());
    for at in 0..5_000 {
        if at % 50 == 0 {
            let key = house.key().await;
            entries.push(json!({"token": text(&key), "url": format!("https://a.example/{at}")}));
            keys.push(key);
        } else {
            entries.push(json!({"token": stranger(&house)}));
        }
    }
    let began = Instant::now();
    let answer = github.report(&house, &Value::from(entries)).await.expect(200).json();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(30), "GitHub waits for 30 s: {took:?}");
    let labels = answer.as_array().unwrap().iter().map(|one| one["label"] == "true_positive");
    assert_eq!(labels.collect::<Vec<_>>(), (0..5_000).map(|at| at % 50 == 0).collect::<Vec<_>>());
    for key in &keys {
        assert_eq!(house.status(key).await, "leaked");
    }
}

/// As GitHub lists them ("Secret scanning partner program"), and as its samples write them; one of a later version, and none.
#[tokio::test]
async fn every_sort_of_place_is_told_apart() {
    const LISTED: [&str; 16] = [
        "Content",
        "Commit",
        "Pull_request_title",
        "Pull_request_description",
        "Pull_request_comment",
        "Issue_title",
        "Issue_description",
        "Issue_comment",
        "Discussion_title",
        "Discussion_body",
        "Discussion_comment",
        "Commit_comment",
        "Gist_content",
        "Gist_comment",
        "Npm",
        "Unknown",
    ];
    let github = GitHub::start("").await;
    let house = github.house().await;
    let lower: Vec<String> = LISTED.iter().map(|listed| listed.to_ascii_lowercase()).collect();
    let said = LISTED.iter().copied().chain(lower.iter().map(String::as_str)).map(Some);
    let (mut entries, mut wanted) = (Vec::new(), Vec::new());
    for source in said.chain([Some("Wiki_page"), None]) {
        let key = house.key().await;
        entries.push(match source {
            Some(source) => json!({"token": text(&key), "url": "https://github.com/a/b", "source": source}),
            None => json!({"token": text(&key), "url": "https://github.com/a/b"}),
        });
        let known = source.filter(|source| LISTED.iter().any(|listed| listed.eq_ignore_ascii_case(source)));
        wanted.push((key["id"].clone(), known.unwrap_or("unknown").to_ascii_lowercase()));
    }
    github.report(&house, &Value::from(entries)).await.expect(200);
    let audit = house.get("audit?action=key.leak&limit=100").await.expect(200).json();
    let entries = audit["data"].as_array().unwrap();
    for (key, kind) in wanted {
        let entry = entries.iter().find(|entry| entry["subject"] == key).unwrap();
        assert_eq!(entry["detail"]["kind"], kind, "{entry}");
    }
}

#[tokio::test]
async fn without_githubs_keys_nobody_can_tell_and_what_is_switched_off_is_not_there() {
    let leaks = LeakOptions { github_keys: Some("http://127.0.0.1:9/keys".into()), ..LeakOptions::default() };
    let house = House::open_with(None, leaks, NotifyOptions::default()).await;
    let github = GitHub::start("").await;
    let answer = github.report(&house, &json!([])).await;
    assert_eq!(answer.refused(503, "unavailable")["status"], 503);
    let house = House::open().await;
    for path in [HOOK, ALERT, "/hooks/gitlab/v1/revoke_tokens"] {
        house.send(post(path).body(Body::from("[]")).unwrap()).await.refused(404, "not_found");
    }
    let types = Request::get("/hooks/gitlab/v1/revocable_token_types").body(Body::empty()).unwrap();
    house.send(types).await.refused(404, "not_found");
    house.send(post("/hooks/elsewhere").body(Body::from("[]")).unwrap()).await.refused(404, "not_found");
    house.send(Request::get(HOOK).body(Body::empty()).unwrap()).await.refused(405, "method_not_allowed");
}

#[tokio::test]
async fn an_alert_of_ones_own_organization_is_read_and_its_key_dies() {
    let github = GitHub::start("").await;
    let house = github.house().await;
    let key = house.key().await;
    let alerts = GitHub::start(text(&key)).await;
    let house_key = &key;
    let deliver = async |house: &House, event: &str, body: &Value| {
        let body = body.to_string();
        let request = post(ALERT).header("x-hub-signature-256", hub_signed(&body)).header("x-github-event", event);
        house.send(request.body(Body::from(body)).unwrap()).await
    };
    let alert = |url: &str| json!({"action": "created", "alert": {"number": 1, "url": url, "html_url": "https://github.com/a/b/security/secret-scanning/1"}});
    assert_eq!(deliver(&house, "ping", &json!({"zen": "x"})).await.expect(200).json()["outcome"], "ignored");
    let resolved = json!({"action": "resolved", "alert": {}});
    assert_eq!(deliver(&house, "secret_scanning_alert", &resolved).await.expect(200).json()["outcome"], "ignored");
    // Our token goes to nobody else.
    let elsewhere = format!("{}/repos/a/b/secret-scanning/alerts/1", alerts.address);
    for url in [elsewhere.as_str(), "https://evil.example/repos/a", &format!("{}@evil.example/repos/", github.address)]
    {
        deliver(&house, "secret_scanning_alert", &alert(url)).await.refused(400, "invalid_request");
    }
    let unsigned = alert("").to_string();
    for (signature, event) in [(Some("sha256=00"), Some("ping")), (None, Some("ping")), (Some("x"), None)] {
        let mut request = post(ALERT);
        for (name, value) in [("x-hub-signature-256", signature), ("x-github-event", event)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        house.send(request.body(Body::from(unsigned.clone())).unwrap()).await.refused(400, "invalid_request");
    }
    let twice = post(ALERT)
        .header("x-hub-signature-256", hub_signed(&unsigned))
        .header("x-hub-signature-256", hub_signed(&unsigned))
        .header("x-github-event", "secret_scanning_alert");
    house.send(twice.body(Body::from(unsigned)).unwrap()).await.refused(400, "invalid_request");
    assert_eq!(house.status(house_key).await, "active");
    // The alert's secret is some other key: GitHub's stand-in of this house holds none of ours.
    let url = format!("{}/repos/a/b/secret-scanning/alerts/1", github.address);
    assert_eq!(deliver(&house, "secret_scanning_alert", &alert(&url)).await.expect(200).json()["outcome"], "unknown");
    // A delivery that holds the secret by itself.
    let mut whole = alert(&url);
    whole["alert"]["secret"] = json!(text(house_key));
    assert_eq!(deliver(&house, "secret_scanning_alert", &whole).await.expect(200).json()["outcome"], "taken");
    assert_eq!(house.status(house_key).await, "leaked");
    let shown = house.get(&format!("keys/{}", house_key["id"].as_str().unwrap())).await.json();
    assert_eq!(shown["leak"]["source"], "github_alert");
}

#[tokio::test]
async fn an_alert_is_read_with_the_token_of_the_settings() {
    let house = House::open().await;
    let foreign = stranger(&house);
    let github = GitHub::start(&foreign).await;
    let house = github.house().await;
    let url = format!("{}/repos/a/b/secret-scanning/alerts/1", github.address);
    let body = json!({"action": "publicly_leaked", "alert": {"url": url}}).to_string();
    let request =
        post(ALERT).header("x-hub-signature-256", hub_signed(&body)).header("x-github-event", "secret_scanning_alert");
    let answer = house.send(request.body(Body::from(body)).unwrap()).await.expect(200);
    assert_eq!(answer.json()["outcome"], "unknown", "it was read: the secret is well formed, and of nobody here");
    assert!(!answer.text.contains(&foreign));
}

#[tokio::test]
async fn gitlab_asks_for_types_and_revokes() {
    let github = GitHub::start("").await;
    let house = github.house().await;
    let (key, second) = (house.key().await, house.key().await);
    let types = |authorization: &str| {
        let request = Request::get("/hooks/gitlab/v1/revocable_token_types").header("authorization", authorization);
        house.send(request.body(Body::empty()).unwrap())
    };
    let kind = "gitleaks_rule_id_tollgate_api_key";
    assert_eq!(types(GITLAB).await.expect(200).json(), json!({"types": [kind]}));
    assert_eq!(types(&format!("Bearer {GITLAB}")).await.expect(200).json(), json!({"types": [kind]}));
    let found = |kind: &str, key: &Value| json!({"type": kind, "token": text(key), "location": "https://gitlab.example/a/-/blob/b/c"});
    for wrong in ["", "Bearer ", "Bearer x", &house.operator, &GITLAB[1..], &format!("{GITLAB}x")] {
        types(wrong).await.refused(401, "invalid_token");
        house.gitlab(wrong, &json!([found(kind, &key)])).await.refused(401, "invalid_token");
    }
    let other = json!([found(kind, &key), found("gitleaks_rule_id_other", &second)]);
    for wrong in [other, json!({}), json!([{"token": text(&key)}]), json!([{"type": kind}])] {
        house.gitlab(GITLAB, &wrong).await.refused(400, "invalid_request");
    }
    assert_eq!([house.status(&key).await, house.status(&second).await], ["active", "active"]);
    for _ in 0..2 {
        let answer = house.gitlab(GITLAB, &json!([found(kind, &key), found("tollgate_api_key", &second)])).await;
        assert_eq!(answer.expect(204).text, "");
    }
    assert_eq!([house.status(&key).await, house.status(&second).await], ["leaked", "leaked"]);
    let shown = house.get(&format!("keys/{}", key["id"].as_str().unwrap())).await.json();
    assert_eq!((&shown["leak"]["source"], &shown["leak"]["reports"]), (&json!("gitlab"), &json!(2)));
}

#[tokio::test]
async fn anybody_may_report_and_learns_nothing() {
    let house = House::open().await;
    let key = house.key().await;
    let account = house.account("acme").await;
    let theirs = house.post("keys", json!({"name": "k", "models": "all", "account": account["id"]})).await.json();
    let answers = [
        json!({"keys": [stranger(&house)]}),
        json!({"keys": ["no key at all"], "found_at": "https://a.example"}),
        json!({"keys": [text(&key), text(&theirs)], "found_at": "https://a.example"}),
        json!({"keys": [text(&key)]}),
    ];
    let mut seen = Vec::new();
    for body in answers {
        let answer = house.tell("192.0.2.1", body).await.expect(202);
        let mut headers = answer.headers.clone();
        headers.remove("x-request-id");
        seen.push((answer.text.clone(), headers));
    }
    assert!(seen.iter().all(|one| one == &seen[0]), "{seen:?}");
    // Whoever reports is not made to wait for what follows.
    assert!(house.background.finish(Duration::from_secs(30)).await);
    assert_eq!([house.status(&key).await, house.status(&theirs).await], ["leaked", "leaked"]);
    let entries = house.get("audit?action=key.leak").await.json();
    assert_eq!(entries["data"][0]["actor"], "system:leaks", "{entries}");
}

#[tokio::test]
async fn reports_of_strangers_are_bounded() {
    let house = House::open().await;
    let key = house.key().await;
    let one = || json!({"keys": [stranger(&house)]});
    for wrong in [
        json!({}),
        json!({"keys": []}),
        json!({"keys": "x"}),
        json!({"keys": [1]}),
        json!({"keys": [text(&key)], "key": 1}),
        json!({"keys": vec![text(&key); 1_001]}),
    ] {
        let answer = house.tell("192.0.2.7", wrong).await;
        assert!(!answer.text.contains(text(&key)));
        answer.refused(400, "invalid_request");
    }
    for _ in 0..60 {
        house.tell("192.0.2.1", one()).await.expect(202);
    }
    let refused = house.tell("192.0.2.1", json!({"keys": [text(&key)]})).await;
    assert!(refused.header("retry-after").parse::<u64>().unwrap() <= 60);
    refused.refused(429, "too_many_attempts");
    house.tell("192.0.2.2", one()).await.expect(202);
    assert_eq!(house.status(&key).await, "active");
    let large = json!({"keys": ["x".repeat(1 << 20)]});
    house.tell("192.0.2.3", large).await.refused(413, "request_too_large");
}

#[tokio::test]
async fn owners_see_what_became_of_their_own_and_of_nothing_else() {
    let house = House::open().await;
    house.account("acme").await;
    let (_, owner) = house.member("acme", "owner").await;
    let made = |token: String| {
        let house = &house;
        async move {
            house.call(&token, "POST", "keys", Some(json!({"name": "k", "models": "all"}))).await.expect(201).json()
        }
    };
    let (own, theirs, unknown) = (made(owner.clone()).await, house.key().await, stranger(&house));
    let body = json!({"keys": [text(&own), "x", text(&theirs), unknown, text(&own)], "found_at": "https://a.example"});
    let answer = house.call(&owner, "POST", "leaks", Some(body.clone())).await.expect(200).json();
    let outcomes: Vec<_> =
        answer["data"].as_array().unwrap().iter().map(|one| one["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["ended", "not_a_key", "accepted", "accepted", "unchanged"], "{answer}");
    assert_eq!(answer["data"][0]["id"], own["id"]);
    assert_eq!((&answer["data"][0]["status"], &answer["data"][0]["hint"]), (&json!("leaked"), &own["hint"]));
    for hidden in [2, 3] {
        assert_eq!((&answer["data"][hidden]["id"], &answer["data"][hidden]["status"]), (&json!(null), &json!(null)));
    }
    assert!(answer["effective"].is_object(), "{answer}");
    assert!(house.background.finish(Duration::from_secs(30)).await);
    assert_eq!(house.status(&theirs).await, "leaked", "taken as from anybody");
    let shown = house.get(&format!("keys/{}", theirs["id"].as_str().unwrap())).await.json();
    assert_eq!(shown["leak"]["source"], "public");
    let log = house.call(&owner, "GET", "audit?action=key.leak", None).await.json();
    assert_eq!((log["data"].as_array().unwrap().len(), &log["data"][0]["subject"]), (1, &own["id"]));
}

#[tokio::test]
async fn operators_see_what_became_of_everything() {
    let house = House::open().await;
    house.account("acme").await;
    let key = house.post("keys", json!({"name": "k", "models": "all", "account": "acme"})).await.expect(201).json();
    let token = house.post("tokens", json!({"name": "t", "account": "default"})).await.expect(201).json();
    let body = json!({"keys": [text(&key), token["token"], stranger(&house), "x"]});
    let answer = house.post("leaks", body.clone()).await.expect(200).json();
    let outcomes: Vec<_> =
        answer["data"].as_array().unwrap().iter().map(|one| one["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["ended", "ended", "unknown", "not_a_key"], "{answer}");
    assert_eq!((&answer["data"][1]["id"], &answer["data"][1]["status"]), (&token["id"], &json!("revoked")));
    let again = house.post("leaks", body).await.expect(200).json();
    assert_eq!(
        (&again["data"][0]["outcome"], &again["data"][1]["outcome"]),
        (&json!("unchanged"), &json!("unchanged"))
    );
    for (account, role, status) in [("acme", "member", 403), ("acme", "viewer", 403)] {
        let (_, token) = house.member(account, role).await;
        house.call(&token, "POST", "leaks", Some(json!({"keys": ["x"]}))).await.expect(status);
    }
    house.call("", "POST", "leaks", Some(json!({"keys": ["x"]}))).await.expect(401);
}

#[tokio::test]
async fn a_report_holds_no_key_when_it_is_kept() {
    let house = House::open().await;
    let key = house.key().await;
    let found_at = format!("https://a.example/?key={}&again={}", text(&key), text(&key).replace('_', "%5F"));
    house.post("leaks", json!({"keys": [text(&key)], "found_at": found_at})).await.expect(200);
    let secret = text(&key).rsplit('_').next().unwrap();
    for path in [format!("keys/{}", key["id"].as_str().unwrap()), "audit".to_owned()] {
        let shown = house.get(&path).await.expect(200).text;
        assert!(shown.contains("https://a.example/?key="), "{shown}");
        assert!(!shown.contains(secret), "{path}");
    }
}
