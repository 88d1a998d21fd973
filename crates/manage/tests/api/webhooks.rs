//! Webhooks through the API and the console: whose they are, what is taken, and that a secret is shown once.

use serde_json::{Value, json};
use tollgate_manage::notify::NotifyOptions;

use crate::{house::House, operator_pages::Browser, receivers::Endpoint};

async fn telling() -> (House, Endpoint) {
    let options = NotifyOptions { mail: None, allow_private: true };
    (House::open_telling(options).await, Endpoint::start().await)
}

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_webhook_is_its_accounts_and_one_of_the_deployment_the_operators() {
    let house = House::open().await;
    house.account("other").await;
    let (_, owner) = house.member("default", "owner").await;
    let (_, member) = house.member("default", "member").await;
    let (_, stranger) = house.member("other", "owner").await;
    let new = || json!({"name": "h", "url": "https://hooks.example.com/x"});
    let own = house.call(&owner, "POST", "webhooks", Some(new())).await.expect(201).json();
    let mut of_deployment = new();
    of_deployment["deployment"] = json!(true);
    house.call(&owner, "POST", "webhooks", Some(of_deployment.clone())).await.refused(403, "forbidden");
    let of_deployment = house.post("webhooks", of_deployment).await.expect(201).json();
    assert_eq!(of_deployment["account"], json!(null));
    house.call(&member, "POST", "webhooks", Some(new())).await.refused(403, "forbidden");
    house.call(&member, "GET", "webhooks", None).await.refused(403, "forbidden");
    for (token, theirs) in [(&stranger, &own), (&stranger, &of_deployment), (&owner, &of_deployment)] {
        for (method, act, body) in [
            ("GET", "", None),
            ("PATCH", "", Some(json!({"name": "mine"}))),
            ("DELETE", "", None),
            ("POST", "/test", Some(json!({}))),
            ("POST", "/rotate", Some(json!({}))),
            ("GET", "/deliveries", None),
        ] {
            house.call(token, method, &format!("webhooks/{}{act}", id(theirs)), body).await.refused(404, "not_found");
        }
    }
    let listed = async |token: &str, path: &str| {
        let list = house.call(token, "GET", path, None).await.expect(200).json();
        list["data"].as_array().unwrap().iter().map(id).collect::<Vec<_>>()
    };
    assert_eq!(listed(&owner, "webhooks").await, [id(&own)]);
    assert_eq!(listed(&stranger, "webhooks").await, Vec::<String>::new());
    assert_eq!(listed(&house.operator, "webhooks").await, [id(&own), id(&of_deployment)]);
    assert_eq!(listed(&house.operator, "webhooks?deployment=true").await, [id(&of_deployment)]);
    assert_eq!(listed(&house.operator, "webhooks?account=default").await, [id(&own)]);
    let gone = house.call(&owner, "DELETE", &format!("webhooks/{}", id(&own)), None).await.expect(200).json();
    assert_eq!(gone["name"], "h");
    house.get(&format!("webhooks/{}", id(&own))).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_secret_is_shown_once_and_nowhere_else() {
    let (house, endpoint) = telling().await;
    let new = json!({"name": "h", "url": endpoint.url()});
    let made = house.post("webhooks", new).await.expect(201);
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    assert_eq!(made.header("cache-control"), "no-store");
    let path = format!("webhooks/{}", id(&made.json()));
    let rotated = house.post(&format!("{path}/rotate"), json!({"overlap": "1h"})).await.expect(200).json();
    let new_secret = rotated["secret"].as_str().unwrap().to_owned();
    assert_ne!(new_secret, secret);
    // For an hour there are both signatures, then one.
    let signatures = async || {
        house.post(&format!("{path}/test"), json!({})).await.expect(200);
        endpoint.seen()[0].header("webhook-signature").split(' ').count()
    };
    assert_eq!(signatures().await, 2);
    house.turn_clock(3_600);
    assert_eq!(signatures().await, 1);
    for shown in [house.get(&path).await.text, house.get("audit").await.text, house.get("webhooks").await.text] {
        assert!(!shown.contains(&secret) && !shown.contains(&new_secret), "{shown}");
    }
    house.post(&format!("{path}/rotate"), json!({"overlap": "31d"})).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn a_webhook_is_made_once_for_one_idempotency_key_and_edited_by_version() {
    let house = House::open().await;
    let new = || Some(json!({"name": "h", "url": "https://hooks.example.com/x"}));
    let key = [("idempotency-key", "once")];
    let made = house.call_with(&house.operator, "POST", "webhooks", &key, new()).await.expect(201);
    let again = house.call_with(&house.operator, "POST", "webhooks", &key, new()).await;
    assert_eq!(again.refused(409, "already_created")["id"], made.json()["id"]);
    let path = format!("webhooks/{}", id(&made.json()));
    let edit = Some(json!({"name": "n", "enabled": false}));
    let old = [("if-match", made.header("etag"))];
    let edited = house.call_with(&house.operator, "PATCH", &path, &old, edit.clone()).await.expect(200);
    assert_eq!((&edited.json()["name"], &edited.json()["status"]), (&json!("n"), &json!("disabled")));
    house.call_with(&house.operator, "PATCH", &path, &old, edit).await.refused(412, "version_conflict");
}

#[tokio::test]
async fn wrong_input_is_refused_with_its_field() {
    let house = House::open().await;
    for (body, field) in [
        (json!({"name": "h"}), "url"),
        (json!({"url": "https://a.example"}), "name"),
        (json!({"name": "", "url": "https://a.example"}), "name"),
        (json!({"name": "h", "url": "http://a.example"}), "url"),
        (json!({"name": "h", "url": "https://127.0.0.1"}), "url"),
        (json!({"name": "h", "url": "https://[::1]/"}), "url"),
        (json!({"name": "h", "url": "https://u:p@a.example"}), "url"),
        (json!({"name": "h", "url": "nonsense"}), "url"),
        (json!({"name": "h", "url": format!("https://a.example/{}", "x".repeat(3_000))}), "url"),
        (json!({"name": "h", "url": "https://a.example", "secret": "mine"}), "secret"),
        (json!({"name": "h", "url": "https://a.example", "deployment": true, "account": "default"}), "account"),
    ] {
        let refused = house.post("webhooks", body.clone()).await.refused(400, "invalid_request");
        assert!(refused.to_string().contains(field), "{body}: {refused}");
    }
    let none = "webhooks/hook_00000000000000000000000000000000";
    for path in [none, "webhooks/nonsense"] {
        house.get(path).await.refused(404, "not_found");
        house.post(&format!("{path}/test"), json!({})).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn an_owner_adds_tests_and_removes_a_webhook_in_the_console() {
    let (house, endpoint) = telling().await;
    let owner = Browser::member(&house, "default", "owner").await;
    let base = "/a/default/webhooks";
    assert!(owner.get(base).await.expect(200).text.contains("No webhook yet"));
    let wrong = owner.post(&format!("{base}/new"), "name=Kept+%3Cb%3E&url=nonsense").await.expect(422);
    assert!(wrong.text.contains("aria-invalid=\"true\"") && wrong.text.contains("Kept &#60;b&#62;"), "{}", wrong.text);
    let form = format!("name=Team&url={}&once=form-1", endpoint.url());
    let made = owner.post(&format!("{base}/new"), &form).await.expect(200);
    assert!(made.text.contains("whsec_"), "{}", made.text);
    // Sent again, it makes nothing and shows nothing.
    let again = owner.post(&format!("{base}/new"), &form).await.expect(303);
    let page = again.header("location").to_owned();
    let shown = owner.get(&page).await.expect(200);
    assert!(shown.text.contains("Team") && !shown.text.contains("whsec_"), "{}", shown.text);
    let tested = owner.post(&format!("{page}/test"), "").await.expect(200);
    assert!(tested.text.contains("It arrived: the endpoint answered 204"), "{}", tested.text);
    assert_eq!(endpoint.seen().len(), 1);
    endpoint.answers("500 Internal Server Error");
    let tested = owner.post(&format!("{page}/test"), "").await.expect(200);
    assert!(tested.text.contains("It did not arrive. The answer was 500."), "{}", tested.text);
    // The log has both; the failed one is sent again.
    let log = house.get(&format!("webhooks/{}/deliveries", page.rsplit('/').next().unwrap())).await.json();
    let failed = log["data"][0]["id"].as_str().unwrap();
    endpoint.answers("200 OK");
    let resent = owner.post(&format!("{page}/deliveries/{failed}/resend"), "").await.expect(200);
    assert!(resent.text.contains("It arrived"), "{}", resent.text);
    // Edited by two at once: nothing is lost.
    let version =
        |text: &str| text.split("name=\"version\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let old = version(&owner.get(&format!("{page}/edit")).await.expect(200).text);
    let edit = |name: &str| format!("name={name}&url={}&version={old}", endpoint.url());
    owner.post(&format!("{page}/edit"), &edit("First")).await.expect(303);
    let late = owner.post(&format!("{page}/edit"), &edit("Second")).await.expect(422);
    assert!(late.text.contains("value=\"Second\"") && late.text.contains("It is now: First"), "{}", late.text);
    owner.post(&format!("{page}/off"), "").await.expect(303);
    assert!(owner.get(&page).await.text.contains("Switch on"));
    owner.get(&format!("{page}/rotate")).await.expect(200);
    assert!(owner.post(&format!("{page}/rotate"), "").await.expect(200).text.contains("whsec_"));
    owner.get(&format!("{page}/remove")).await.expect(200);
    owner.post(&format!("{page}/remove"), "").await.expect(303);
    owner.get(&page).await.expect(404);
}

#[tokio::test]
async fn the_pages_of_webhooks_are_for_owners_and_operators_alone() {
    let house = House::open().await;
    house.account("other").await;
    let made = house.post("webhooks", json!({"name": "h", "url": "https://a.example"})).await.expect(201).json();
    let page = format!("/a/default/webhooks/{}", id(&made));
    let operator = Browser::operator(&house).await;
    for (role, account, status) in [("member", "default", 403), ("viewer", "default", 403), ("owner", "other", 404)] {
        let other = Browser::member(&house, account, role).await;
        for path in ["/a/default/webhooks", &page, &format!("{page}/edit")] {
            other.get(path).await.expect(status);
        }
        other.post(&format!("{page}/remove"), "").await.expect(status);
        other.get("/operator/webhooks").await.expect(404);
        other.post("/operator/mail/test", "").await.expect(404);
    }
    // Another account's webhook is not at this one's address.
    let elsewhere = Browser::member(&house, "other", "owner").await;
    elsewhere.get(&format!("/a/other/webhooks/{}", id(&made))).await.expect(404);
    operator.post_from("cross-site", &format!("{page}/remove"), "").await.expect(403);
    operator.get(&page).await.expect(200);
    let own = operator.get("/operator/webhooks").await.expect(200).text;
    assert!(own.contains("No mail is sent") && own.contains("No webhook yet"), "{own}");
}
