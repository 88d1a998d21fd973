//! How people are told: by which channel, how often, again when, and in which language. The clock is turned, not waited for.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_core::{
    Actor, Id, Notice,
    notice::{KeyLeaked, LeakSource},
    seal::SecretText,
};
use tollgate_manage::notify::{GIVE_UP_AFTER, MailOptions, MailTls, NotifyOptions, RETRIES};
use tollgate_store::webhooks::NewWebhook;

use crate::{
    house::House,
    operator_pages::Browser,
    receivers::{Endpoint, MailServer, Posted},
};

fn posting() -> NotifyOptions {
    NotifyOptions { mail: None, allow_private: true }
}
fn mailing(server: &MailServer) -> NotifyOptions {
    let mail = MailOptions {
        host: "127.0.0.1".into(),
        port: server.address.port(),
        tls: MailTls::None,
        login: None,
        from: "Tollgate <tollgate@example.com>".into(),
        timeout: Duration::from_secs(20),
        language: "en".into(),
    };
    NotifyOptions { mail: Some(mail), allow_private: true }
}

/// A webhook of the account `default`; its id.
async fn webhook(house: &House, url: &str) -> String {
    let made = house.post("webhooks", json!({"name": "hook", "url": url})).await.expect(201).json();
    made["id"].as_str().unwrap().to_owned()
}

/// A key of `default` leaks, as far as those who are told are concerned.
async fn leak(house: &House) -> Value {
    let key = house.key().await;
    let account = house.store.seed().await.unwrap().account;
    let notice = Notice::KeyLeaked(KeyLeaked {
        account,
        key: key["id"].as_str().unwrap().parse().unwrap(),
        name: "CI \"<b>\" key".parse().unwrap(),
        hint: key["hint"].as_str().unwrap().into(),
        found_at: Some("https://git.example/a\r\nBcc: eve@example.com".into()),
        source: LeakSource::Github,
        at: house.world.now(),
        disabled: true,
    });
    house.store.notice_create(&Actor::system("test"), &notice).await.unwrap();
    key
}

async fn address(house: &House, user: &str, email: &str) {
    house.patch(&format!("users/{user}"), json!({ "email": email })).await.expect(200);
}

async fn deliveries(house: &House, webhook: &str) -> Vec<Value> {
    let log = house.get(&format!("webhooks/{webhook}/deliveries")).await.expect(200).json();
    log["data"].as_array().unwrap().clone()
}

fn only(mut seen: Vec<Posted>) -> Posted {
    assert_eq!(seen.len(), 1, "{seen:?}");
    seen.remove(0)
}

#[tokio::test]
async fn an_endpoint_gets_a_notice_once_as_the_specification_has_it() {
    let (house, endpoint) = (House::open_telling(posting()).await, Endpoint::start().await);
    let id = webhook(&house, &endpoint.url()).await;
    let key = leak(&house).await;
    assert_eq!(house.notifier.step().await.unwrap(), 1);
    assert_eq!(house.notifier.step().await.unwrap(), 0);
    let posted = only(endpoint.seen());
    assert_eq!(posted.header("content-type"), "application/json");
    assert!(posted.header("webhook-id").starts_with("note_"));
    assert_eq!(posted.header("webhook-timestamp"), (house.world.now().as_millis() / 1_000).to_string());
    assert!(posted.header("webhook-signature").starts_with("v1,"));
    assert_eq!(posted.body["type"], "key.leaked");
    assert_eq!(posted.body["timestamp"], house.world.now().to_string());
    assert_eq!(posted.body["data"]["key"], key["id"]);
    assert!(!posted.text.contains(key["key"].as_str().unwrap()), "never the key");
    let log = deliveries(&house, &id).await;
    assert_eq!((&log[0]["status"], &log[0]["attempts"][0]["status"]), (&json!("sent"), &json!(204)));
    assert_eq!(log[0]["notice"], posted.header("webhook-id"));
    let [mail, webhook] = house.notifier.figures();
    assert_eq!((mail.sent, webhook.sent, webhook.failed, webhook.pending), (0, 1, 0, 0));
}

#[tokio::test]
async fn what_an_endpoint_refuses_is_tried_again_after_each_wait_and_then_no_more() {
    let (house, endpoint) = (House::open_telling(posting()).await, Endpoint::start().await);
    let id = webhook(&house, &endpoint.url()).await;
    leak(&house).await;
    endpoint.answers("500 Internal Server Error");
    assert_eq!(house.notifier.step().await.unwrap(), 1);
    let first = only(endpoint.seen());
    for (before, wait) in RETRIES.iter().enumerate() {
        let wait = i64::try_from(wait.as_secs()).unwrap();
        house.turn_clock(wait - 1);
        assert_eq!(house.notifier.step().await.unwrap(), 0, "too soon after attempt {before}");
        house.turn_clock(1);
        assert_eq!(house.notifier.step().await.unwrap(), 1);
        let again = only(endpoint.seen());
        assert_eq!((again.header("webhook-id"), &again.text), (first.header("webhook-id"), &first.text));
        assert_ne!(again.header("webhook-timestamp"), first.header("webhook-timestamp"));
    }
    house.turn_clock(30 * 86_400);
    assert_eq!(house.notifier.step().await.unwrap(), 0);
    let log = deliveries(&house, &id).await;
    assert_eq!((&log[0]["status"], log[0]["attempts"].as_array().unwrap().len()), (&json!("failed"), 10));
    assert_eq!(log[0]["attempts"][9]["error"], "The answer was 500");
    // Sent again by hand, it arrives.
    endpoint.answers("200 OK");
    let path = format!("webhooks/{id}/deliveries/{}/resend", log[0]["id"].as_str().unwrap());
    assert_eq!(house.post(&path, json!({})).await.expect(200).json()["arrived"], true);
    assert_eq!(only(endpoint.seen()).text, first.text);
    assert_eq!(deliveries(&house, &id).await[0]["status"], "sent");
}

#[tokio::test]
async fn an_endpoint_may_ask_for_a_longer_wait_and_is_never_followed_elsewhere() {
    let (house, endpoint, elsewhere) =
        (House::open_telling(posting()).await, Endpoint::start().await, Endpoint::start().await);
    let id = webhook(&house, &endpoint.url()).await;
    leak(&house).await;
    endpoint.answers("429 Too Many Requests\r\nretry-after: 120");
    assert_eq!(house.notifier.step().await.unwrap(), 1);
    house.turn_clock(119);
    assert_eq!(house.notifier.step().await.unwrap(), 0);
    endpoint.answers(&format!("307 Temporary Redirect\r\nlocation: {}", elsewhere.url()));
    house.turn_clock(1);
    assert_eq!(house.notifier.step().await.unwrap(), 1);
    assert!(elsewhere.seen().is_empty());
    let log = deliveries(&house, &id).await;
    let statuses: Vec<_> = log[0]["attempts"].as_array().unwrap().iter().map(|one| one["status"].clone()).collect();
    assert_eq!((statuses, &log[0]["status"]), (vec![json!(429), json!(307)], &json!("pending")));
}

#[tokio::test]
async fn an_endpoint_that_is_gone_or_fails_for_days_is_given_up_and_people_are_told() {
    let server = MailServer::start().await;
    let (house, endpoint) = (House::open_telling(mailing(&server)).await, Endpoint::start().await);
    let (owner, _) = house.member("default", "owner").await;
    address(&house, &owner, "owner@example.com").await;
    let id = webhook(&house, &endpoint.url()).await;
    let status = async || house.get(&format!("webhooks/{id}")).await.json()["status"].clone();
    endpoint.answers("503 Service Unavailable");
    // One key a month, and every attempt for it fails.
    leak(&house).await;
    while house.notifier.step().await.unwrap() > 0 {}
    server.seen();
    assert_eq!(status().await, "active");
    house.turn_clock(i64::try_from(GIVE_UP_AFTER.as_secs()).unwrap());
    assert_eq!(house.notifier.step().await.unwrap(), 2, "the attempt that gave it up, and the mail about it");
    assert_eq!(status().await, "failed");
    let mailed = server.seen();
    assert_eq!(mailed.len(), 1, "{mailed:?}");
    assert!(mailed[0].to == "owner@example.com" && mailed[0].text.contains("was switched off"), "{mailed:?}");
    // Nothing is sent to it any more, until it is switched on.
    endpoint.seen();
    leak(&house).await;
    while house.notifier.step().await.unwrap() > 0 {}
    assert!(endpoint.seen().is_empty());
    let on = house.patch(&format!("webhooks/{id}"), json!({"enabled": true})).await.expect(200).json();
    assert_eq!((&on["status"], &on["failing_since"]), (&json!("active"), &json!(null)));
    endpoint.answers("410 Gone");
    leak(&house).await;
    house.notifier.step().await.unwrap();
    assert_eq!(status().await, "failed");
}

#[tokio::test]
async fn a_private_address_is_not_connected_to_where_the_operator_does_not_allow_it() {
    let house = House::open().await;
    let endpoint = Endpoint::start().await;
    let refused = house.post("webhooks", json!({"name": "h", "url": endpoint.url()})).await;
    assert_eq!(refused.refused(400, "invalid_request")["field"], "url");
    // One that was made while it was allowed, or whose name leads there now.
    let secret = SecretText::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into());
    let account = house.store.seed().await.unwrap().account;
    for url in [endpoint.url().replace("http:", "https:"), endpoint.url()] {
        let id = Id::new(&house.world);
        let new = NewWebhook {
            id,
            account: Some(account),
            name: "h".parse().unwrap(),
            url,
            secret: house.master_key.seal(&secret, &id.to_string(), &house.world),
            idempotency_key: None,
        };
        house.store.webhook_create(&Actor::system("test"), new).await.unwrap();
        let tested = house.post(&format!("webhooks/{id}/test"), json!({})).await.expect(200).json();
        assert_eq!((&tested["arrived"], &tested["problem"]), (&json!(false), &json!("private_address")), "{tested}");
    }
    assert!(endpoint.seen().is_empty());
    // The operator's own endpoints may be there.
    let own = json!({"name": "h", "url": endpoint.url(), "deployment": true});
    let own = house.post("webhooks", own).await.expect(201).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(house.post(&format!("webhooks/{own}/test"), json!({})).await.expect(200).json()["arrived"], true);
    assert_eq!(only(endpoint.seen()).body["type"], "test");
}

#[tokio::test]
async fn each_person_gets_one_mail_in_its_language_and_a_server_that_is_down_gets_it_later() {
    let server = MailServer::start().await;
    let house = House::open_telling(mailing(&server)).await;
    let operator = house.store.seed().await.unwrap().operator.to_string();
    address(&house, &operator, "operator@example.com").await;
    let (owner, _) = house.member("default", "owner").await;
    address(&house, &owner, "owner@example.com").await;
    let (viewer, _) = house.member("default", "viewer").await;
    address(&house, &viewer, "viewer@example.com").await;
    // The owner chooses Vietnamese in the console.
    let made = house.post(&format!("users/{owner}/sign-in-links"), json!({})).await.expect(201).json();
    let url = made["url"].as_str().unwrap();
    let browser = Browser::by_link(&house, &url[url.find("/sign-in").unwrap()..]).await;
    browser.post("/preferences", "lang=vi&next=/").await.expect(303);

    let at = server.address;
    drop(server);
    let key = leak(&house).await;
    assert_eq!(house.notifier.step().await.unwrap(), 2);
    assert_eq!(house.notifier.figures()[0].pending, 2);
    let server = MailServer::start_at(at).await;
    assert_eq!(house.notifier.step().await.unwrap(), 0, "not before its time");
    house.turn_clock(i64::try_from(RETRIES[0].as_secs()).unwrap());
    assert_eq!(house.notifier.step().await.unwrap(), 2);
    house.turn_clock(30 * 86_400);
    assert_eq!(house.notifier.step().await.unwrap(), 0);

    let mailed = server.seen();
    let to: Vec<_> = mailed.iter().map(|mail| mail.to.as_str()).collect();
    assert_eq!(to, ["operator@example.com", "owner@example.com"]);
    assert!(mailed[0].text.contains("where anybody can read it"), "{}", mailed[0].text);
    assert!(mailed[1].text.contains("lang=3D\"vi\"") || mailed[1].text.contains("lang=\"vi\""), "{}", mailed[1].text);
    for mail in &mailed {
        let (head, body) = mail.text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("Message-ID: <dlv_") && head.contains("Auto-Submitted: auto-generated"), "{head}");
        assert!(!head.contains("Bcc") && !head.contains("eve@"), "{head}");
        assert!(!mail.text.contains(key["key"].as_str().unwrap()), "never the key");
        assert!(body.contains("https://tollgate.example/a/default/"), "{body}");
    }
}

#[tokio::test]
async fn a_mail_that_the_server_refuses_for_good_is_not_sent_again() {
    let server = MailServer::start().await;
    let house = House::open_telling(mailing(&server)).await;
    let (owner, _) = house.member("default", "owner").await;
    address(&house, &owner, "nobody@example.com").await;
    leak(&house).await;
    assert_eq!(house.notifier.step().await.unwrap(), 1);
    house.turn_clock(30 * 86_400);
    assert_eq!(house.notifier.step().await.unwrap(), 0);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_test_mail_goes_to_the_operator_who_asks() {
    let server = MailServer::start().await;
    let house = House::open_telling(mailing(&server)).await;
    house.post("mail/test", json!({})).await.refused(409, "not_possible");
    let operator = house.store.seed().await.unwrap().operator.to_string();
    address(&house, &operator, "operator@example.com").await;
    let tested = house.post("mail/test", json!({})).await.expect(200).json();
    assert_eq!((&tested["arrived"], &tested["status"]), (&json!(true), &json!(250)), "{tested}");
    assert_eq!(server.seen().len(), 1);
    drop(server);
    let tested = house.post("mail/test", json!({})).await.expect(200).json();
    assert_eq!((&tested["arrived"], &tested["problem"]), (&json!(false), &json!("unreachable")), "{tested}");
    house.turn_clock(30 * 86_400);
    assert_eq!(house.notifier.step().await.unwrap(), 0, "a test is made once");
    House::open().await.post("mail/test", json!({})).await.refused(409, "not_possible");
}
