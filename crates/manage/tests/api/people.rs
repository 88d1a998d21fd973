//! Accounts, plans, users, the audit log, nodes.

use axum::{body::Body, extract::Request};
use serde_json::json;
use tollgate_manage::PeerAddress;

use crate::house::{House, id_of};

#[tokio::test]
async fn accounts_get_plans_and_lose_them() {
    let house = House::open().await;
    house.post("plans", json!({"handle": "pro", "name": "Pro", "paid": true})).await.expect(201);
    house.post("plans", json!({"handle": "pro", "paid": true})).await.refused(409, "already_exists");
    let account = house.post("accounts", json!({"handle": "acme"})).await.expect(201).json();
    assert_eq!(
        (&account["name"], &account["plan"], &account["standing"]),
        (&json!("acme"), &json!(null), &json!("plan_required"))
    );
    house.post("accounts", json!({"handle": "acme"})).await.refused(409, "already_exists");
    let edited = house
        .patch("accounts/acme", json!({"plan": "pro", "plan_until": "2026-11-21T00:00:00Z"}))
        .await
        .expect(200)
        .json();
    assert_eq!((&edited["plan"], &edited["standing"]), (&json!("pro"), &json!("good")));
    assert!(edited["effective"].is_object(), "{edited}");
    house.turn_clock(86_400);
    assert_eq!(house.get("accounts/acme").await.json()["standing"], "plan_required");
    house.delete("plans/pro").await.refused(409, "in_use");
    let suspended = house.patch("accounts/acme", json!({"plan": null, "suspended": true})).await.expect(200).json();
    assert_eq!((&suspended["suspended"], &suspended["standing"]), (&json!(true), &json!("suspended")));
    house.delete("plans/pro").await.expect(204);
    house.get("plans/pro").await.refused(404, "not_found");
    let plan = house.patch("plans/unlimited", json!({"paid": false})).await.expect(200).json();
    assert!(plan["effective"].is_object());
    assert_eq!(house.get("accounts/default").await.json()["standing"], "plan_required");
    assert_eq!(house.get("accounts").await.json()["data"].as_array().unwrap().len(), 2);
    for (path, body, field) in [
        ("accounts", json!({"handle": "Acme"}), "handle"),
        ("accounts", json!({"handle": "b", "plan": "nowhere"}), "plan"),
        ("accounts", json!({"handle": "b", "plan_until": "2030-01-01T00:00:00Z"}), "plan_until"),
        ("plans", json!({"handle": "b"}), "paid"),
        ("plans", json!({"handle": "b", "paid": "yes"}), "paid"),
    ] {
        let problem = house.post(path, body.clone()).await.refused(400, "invalid_request");
        assert_eq!(problem["field"], field, "{body}: {problem}");
    }
    house.get("accounts/b").await.refused(404, "not_found");
    house.patch("accounts/acme", json!({"plan": "nowhere"})).await.refused(400, "invalid_request");
    house.patch("accounts/acme", json!({"handle": "x"})).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn users_come_into_accounts_and_out_again() {
    let house = House::open().await;
    let account = house.account("acme").await;
    let user = json!({"name": "Ada", "email": "ada@example.com", "memberships": [{"account": account["id"], "role": "owner"}]});
    let made = house.post("users", user.clone()).await.expect(201).json();
    assert_eq!(
        (&made["memberships"][0]["account"], &made["memberships"][0]["role"]),
        (&json!("acme"), &json!("owner"))
    );
    house.post("users", user).await.refused(409, "already_exists");
    let path = format!("users/{}", made["id"].as_str().unwrap());
    let moved = json!({"memberships": [{"account": "acme", "role": null}, {"account": "default", "role": "member"}]});
    let edited = house.patch(&path, moved).await.expect(200).json();
    assert_eq!(edited["memberships"].as_array().unwrap().len(), 1, "{edited}");
    assert_eq!(house.get("users?account=acme").await.json()["data"], json!([]));
    assert_eq!(house.get("users").await.json()["data"].as_array().unwrap().len(), 2);
    let token = house.post("tokens", json!({"name": "t", "user": made["id"]})).await.expect(201).json();
    let token = token["token"].as_str().unwrap();
    house.call(token, "GET", "me", None).await.expect(200);
    assert_eq!(house.patch(&path, json!({"disabled": true})).await.expect(200).json()["disabled"], true);
    house.call(token, "GET", "me", None).await.refused(401, "invalid_token");
    house.post(&format!("{path}/sign-in-links"), json!({})).await.refused(409, "not_possible");
    house.patch(&path, json!({"disabled": false, "email": null})).await.expect(200);
    house.call(token, "GET", "me", None).await.expect(200);
    let operator = house.get("me").await.json()["user"]["id"].as_str().unwrap().to_owned();
    house.patch(&format!("users/{operator}"), json!({"operator": false})).await.refused(409, "not_possible");
    house.patch(&format!("users/{operator}"), json!({"disabled": true})).await.refused(409, "not_possible");
    for (body, field) in [
        (json!({}), "name"),
        (json!({"name": "x", "email": "nobody"}), "email"),
        (json!({"name": "x", "memberships": [{"account": "nowhere", "role": "owner"}]}), "memberships"),
        (json!({"name": "x", "memberships": [{"account": "acme", "role": "king"}]}), "memberships[0].role"),
        (
            json!({"name": "x", "memberships": [{"account": "acme", "role": "owner"}, {"account": "acme", "role": "viewer"}]}),
            "memberships",
        ),
        (json!({"name": "x", "memberships": vec![json!({"account": "acme", "role": "owner"}); 101]}), "memberships"),
    ] {
        let problem = house.post("users", body.clone()).await.refused(400, "invalid_request");
        assert_eq!(problem["field"], field, "{body}: {problem}");
    }
}

#[tokio::test]
async fn the_audit_log_says_who_did_what_from_where() {
    let house = House::open().await;
    house.account("acme").await;
    let (_, acme) = house.member("acme", "owner").await;
    let key = house.key().await["id"].as_str().unwrap().to_owned();
    let mut request = Request::post(format!("/api/v1/keys/{key}/revoke"))
        .header("authorization", format!("Bearer {}", house.operator))
        .body(Body::empty())
        .unwrap();
    request.extensions_mut().insert(PeerAddress("192.0.2.7".parse().unwrap()));
    house.send(request).await.expect(200);
    let lines = house.get(&format!("audit?subject={key}")).await.expect(200).json();
    let line = &lines["data"][0];
    assert_eq!((&line["action"], &line["address"]), (&json!("key.revoke"), &json!("192.0.2.7")), "{lines}");
    assert!(
        line["actor"].as_str().unwrap().starts_with("user_") && line["token"].as_str().unwrap().starts_with("tok_")
    );
    assert_eq!(lines["data"].as_array().unwrap().len(), 2);
    let one = house.get("audit?action=key.create&limit=1").await.expect(200).json();
    assert_eq!(one["data"][0]["subject"], key.as_str());
    assert!(!house.call(&acme, "GET", "audit", None).await.expect(200).text.contains(&key));
    assert!(!house.get("audit?account=acme").await.expect(200).text.contains(&key));
    house.get("audit?from=yesterday").await.refused(400, "invalid_request");
}

#[tokio::test]
async fn nodes_are_listed_for_the_operator() {
    let house = House::open().await;
    assert_eq!(house.get("nodes").await.expect(200).json()["data"], json!([]));
    let lease = house.store.node_join(&"node-1".parse().unwrap(), "9.9").await.unwrap();
    let nodes = house.get("nodes").await.expect(200).json();
    assert_eq!(id_of(&nodes, "name", "node-1"), lease.node.to_string());
    assert_eq!((&nodes["data"][0]["version"], &nodes["data"][0]["active"]), (&json!("9.9"), &json!(true)));
    assert_eq!((&nodes["data"][0]["uncounted"], &nodes["data"][0]["written_off_at"]), (&json!(null), &json!(null)));
    house.post(&format!("nodes/{}/write-off", lease.node), json!({})).await.refused(409, "not_possible");
    house.post(&format!("nodes/{}/write-off", lease.node), json!({"why": "x"})).await.refused(400, "invalid_request");
    house.post("nodes/node_019ab0c0d1e27f3a8b4c5d6e7f809a1b/write-off", json!({})).await.refused(404, "not_found");
    house.post("nodes/x/write-off", json!({})).await.refused(404, "not_found");
}

#[tokio::test]
async fn me_says_who_is_asking() {
    let house = House::open().await;
    let me = house.get("me").await.expect(200).json();
    assert_eq!(
        (&me["operator"], &me["account"]["handle"], &me["account"]["role"]),
        (&json!(true), &json!("default"), &json!("owner"))
    );
    assert_eq!(
        (&me["key_prefix"], &me["account"]["standing"], &me["version"]),
        (&json!("tg"), &json!("good"), &json!("0.0.0-test"))
    );
    let (_, viewer) = house.member("default", "viewer").await;
    let me = house.call(&viewer, "GET", "me", None).await.expect(200).json();
    assert_eq!((&me["operator"], &me["account"]["role"]), (&json!(false), &json!("viewer")));
    let loner = house.post("users", json!({"name": "Loner"})).await.expect(201).json();
    let problem = house.post("tokens", json!({"name": "t", "user": loner["id"]})).await.refused(400, "invalid_request");
    assert_eq!(problem["field"], "account");
}

#[tokio::test]
async fn a_creation_of_a_token_that_is_repeated_makes_no_second_one() {
    let house = House::open().await;
    let (user, _) = house.member("default", "member").await;
    let create = async |named: &str, user: &str| {
        let body = Some(json!({"name": "ci", "user": user, "account": "default"}));
        house.call_with(&house.operator, "POST", "tokens", &[("idempotency-key", named)], body).await
    };
    let made = create("once", &user).await.expect(201).json();
    let again = create("once", &user).await.refused(409, "already_created");
    assert_eq!(again["id"], made["id"], "{again}");
    assert!(!again.to_string().contains(&made["token"].as_str().unwrap()[17..]), "{again}");
    create("twice", &user).await.expect(201);
    // Somebody else's names are its own.
    let (other, _) = house.member("default", "viewer").await;
    create("once", &other).await.expect(201);
    let listed = house.get(&format!("tokens?user={user}")).await.expect(200).json();
    assert_eq!(listed["data"].as_array().unwrap().iter().filter(|token| token["name"] == "ci").count(), 2);
    create(&"x".repeat(256), &user).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn a_creation_of_a_user_that_is_repeated_makes_no_second_one() {
    let house = House::open().await;
    let create = async || {
        let body = Some(json!({"name": "Ada"}));
        house.call_with(&house.operator, "POST", "users", &[("idempotency-key", "once")], body).await
    };
    let made = create().await.expect(201).json();
    let again = create().await.refused(409, "already_created");
    assert_eq!((&again["id"], again["detail"].as_str().unwrap().contains("secret")), (&made["id"], false), "{again}");
}
