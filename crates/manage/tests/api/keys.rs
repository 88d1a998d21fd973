//! Keys: made, shown once, listed, edited, rotated, ended.

use serde_json::json;
use tollgate_core::{Key, name::Slug};
use tollgate_store::{
    changes::{NodeReport, Renewal},
    keys::Exposed,
};

use crate::house::{House, no_such};

#[tokio::test]
async fn a_key_is_made_and_shown_once() {
    let house = House::open().await;
    house.model("chat-a").await;
    let body = json!({"name": "nightly", "models": ["chat-a"], "note": "remark", "expires_at": "2030-01-31T12:00:00Z"});
    let made = house.post("keys", body).await.expect(201);
    assert_eq!(made.header("cache-control"), "no-store");
    let key = made.json();
    let (id, text) = (key["id"].as_str().unwrap(), key["key"].as_str().unwrap());
    assert_eq!(made.header("location"), format!("/api/v1/keys/{id}"));
    assert!(text.starts_with("tg_") && text.len() == 65, "{text}");
    assert_eq!(key["hint"], format!("{}…", &text[..15]));
    assert_eq!((&key["models"], &key["status"]), (&json!(["chat-a"]), &json!("active")));
    assert_eq!((&key["limits"], &key["budget"], &key["leak"]), (&json!(null), &json!(null), &json!(null)));
    assert!(key["created_by"]["id"].as_str().unwrap().starts_with("user_"));

    let shown = house.get(&format!("keys/{id}")).await.expect(200);
    assert!(!shown.text.contains(&text[16..]), "the text is shown once");
    assert_eq!(shown.json()["recent"], json!({"last_hour": 0, "last_day": 0}));
    let listed = house.get("keys").await.expect(200);
    assert_eq!(listed.json()["data"][0]["id"], id);
    assert_eq!(listed.json()["next_cursor"], json!(null));
}

#[tokio::test]
async fn a_wrong_key_is_refused_by_the_name_of_its_field() {
    let house = House::open().await;
    for (body, field) in [
        (json!({"models": "all"}), "name"),
        (json!({"name": "", "models": "all"}), "name"),
        (json!({"name": "k"}), "models"),
        (json!({"name": "k", "models": []}), "models"),
        (json!({"name": "k", "models": "some"}), "models"),
        (json!({"name": "k", "models": ["no-such"]}), "models"),
        (json!({"name": "k", "models": "all", "expires_at": "2020-01-01T00:00:00Z"}), "expires_at"),
        (json!({"name": "k", "models": "all", "expires_at": 5}), "expires_at"),
        (json!({"name": "k", "models": "all", "note": "x".repeat(2_001)}), "note"),
        (json!({"name": "k", "models": "all", "surprise": 1}), "surprise"),
    ] {
        let problem = house.post("keys", body.clone()).await.refused(400, "invalid_request");
        assert_eq!(problem["field"], field, "{body}: {problem}");
    }
    for field in ["limits", "budget"] {
        let mut body = json!({"name": "k", "models": "all"});
        body[field] = json!({});
        assert_eq!(house.post("keys", body).await.refused(400, "not_supported_yet")["field"], field);
    }
    assert_eq!(house.get("keys").await.json()["data"], json!([]));
}

#[tokio::test]
async fn no_key_without_a_paid_plan_but_an_address_to_ask() {
    let house = House::open().await;
    house.post("accounts", json!({"handle": "poor"})).await.expect(201);
    let body = json!({"name": "k", "models": "all", "account": "poor"});
    let problem = house.post("keys", body.clone()).await.refused(402, "plan_required");
    assert_eq!(problem["contact_url"], "mailto:sales@example.com");
    assert!(problem["detail"].as_str().unwrap().contains("mailto:sales@example.com"), "{problem}");
    house.patch("accounts/poor", json!({"plan": "unlimited", "suspended": true})).await.expect(200);
    house.post("keys", body).await.refused(403, "account_suspended");
}

#[tokio::test]
async fn a_repeated_creation_names_the_first() {
    let house = House::open().await;
    let create = async |name: &str, key: &str| {
        let body = json!({"name": name, "models": "all"});
        house.call_with(&house.operator, "POST", "keys", &[("idempotency-key", key)], Some(body)).await
    };
    let first = create("k", "deploy-1").await.expect(201).json();
    let problem = create("k", "deploy-1").await.refused(409, "already_created");
    assert_eq!(problem["id"], first["id"]);
    create("k", "deploy-2").await.expect(201);
    create("k", "").await.refused(400, "invalid_request");
    create("k", &"x".repeat(256)).await.refused(400, "invalid_request");
    assert_eq!(house.get("keys").await.json()["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn lists_filter_search_and_go_on() {
    let house = House::open().await;
    let mut made = Vec::new();
    for name in ["alpha", "beta", "gamma"] {
        let key = house.post("keys", json!({"name": name, "models": "all"})).await.expect(201).json();
        made.insert(0, key["id"].clone());
        house.turn_clock(1);
    }
    let first = house.get("keys?limit=2").await.expect(200).json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = house.get(&format!("keys?limit=2&cursor={cursor}")).await.expect(200).json();
    let ids = |list: &serde_json::Value| -> Vec<_> {
        list["data"].as_array().unwrap().iter().map(|key| key["id"].clone()).collect()
    };
    assert_eq!([ids(&first), ids(&second)].concat(), made);
    assert_eq!(ids(&house.get("keys?search=BET").await.json()), [made[1].clone()]);
    house.post(&format!("keys/{}/disable", made[0].as_str().unwrap()), json!({})).await.expect(200);
    assert_eq!(ids(&house.get("keys?status=disabled").await.json()), [made[0].clone()]);
    assert_eq!(ids(&house.get("keys?status=active").await.json()).len(), 2);
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("cursor=nonsense", "cursor"),
        ("status=asleep", "status"),
        ("page=2", "page"),
        ("limit=1&limit=2", "limit"),
        ("search=%00", "search"),
    ] {
        let problem = house.get(&format!("keys?{query}")).await.refused(400, "invalid_request");
        assert_eq!(problem["field"], field, "{query}: {problem}");
    }
}

#[tokio::test]
async fn an_edit_names_what_changes_and_nothing_else() {
    let house = House::open().await;
    house.model("chat-a").await;
    let key = house.key().await;
    let path = format!("keys/{}", key["id"].as_str().unwrap());
    let etag = house.get(&path).await.header("etag").to_owned();
    let edit = async |etag: &str, body| {
        house.call_with(&house.operator, "PATCH", &path, &[("if-match", etag)], Some(body)).await
    };
    let edited = edit(&etag, json!({"models": ["chat-a"], "note": "n"})).await.expect(200);
    assert_ne!(edited.header("etag"), etag);
    let edited = edited.json();
    assert_eq!((&edited["models"], &edited["name"]), (&json!(["chat-a"]), &json!("a key")));
    assert!(edited["effective"]["after_ms"].is_number(), "{edited}");
    edit(&etag, json!({"name": "late"})).await.refused(412, "version_conflict");
    edit("\"x\"", json!({"name": "late"})).await.refused(412, "version_conflict");
    edit("nonsense", json!({"name": "late"})).await.refused(400, "invalid_request");
    let renamed = edit("*", json!({"name": "new", "note": null})).await.expect(200).json();
    assert_eq!(
        (&renamed["name"], &renamed["note"], &renamed["effective"]),
        (&json!("new"), &json!(null), &json!(null))
    );
    for (body, field) in [
        (json!({"name": null}), "name"),
        (json!({"models": null}), "models"),
        (json!({"models": []}), "models"),
        (json!({"expires_at": "2001-01-01T00:00:00Z"}), "expires_at"),
        (json!({"status": "active"}), "status"),
        (json!({"key": "x"}), "key"),
    ] {
        let problem = house.patch(&path, body.clone()).await.refused(400, "invalid_request");
        assert_eq!(problem["field"], field, "{body}: {problem}");
    }
    house.patch(&path, json!({"limits": {"requests_per_minute": 1}})).await.refused(400, "not_supported_yet");
    // Null is what they are.
    house.patch(&path, json!({"limits": null, "budget": null})).await.expect(200);
}

#[tokio::test]
async fn a_key_is_switched_off_and_on_and_ended() {
    let house = House::open().await;
    let key = house.key().await;
    let path = format!("keys/{}", key["id"].as_str().unwrap());
    let act = async |verb: &str| house.call(&house.operator, "POST", &format!("{path}/{verb}"), None).await;
    let disabled = act("disable").await.expect(200).json();
    assert_eq!(disabled["status"], "disabled");
    assert_eq!(disabled["effective"]["nodes"], json!([]), "nobody serves here");
    assert_eq!(act("enable").await.expect(200).json()["status"], "active");
    let revoked = act("revoke").await.expect(200).json();
    assert_eq!((&revoked["status"], &revoked["id"]), (&json!("revoked"), &key["id"]));
    assert_eq!(revoked["revoked_at"], "2026-11-20T09:30:00Z");
    act("revoke").await.expect(200);
    for verb in ["enable", "disable", "rotate"] {
        act(verb).await.refused(409, "not_possible");
    }
    house.patch(&path, json!({"name": "x"})).await.refused(409, "not_possible");
    house.post(&format!("{path}/revoke"), json!({"why": 1})).await.refused(400, "invalid_request");
    let unknown = no_such::<Key>(&house);
    house.post(&format!("keys/{unknown}/revoke"), json!({})).await.refused(404, "not_found");
    house.post("keys/key_1/revoke", json!({})).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_rotated_key_has_a_new_text_and_the_old_id() {
    let house = House::open().await;
    let key = house.key().await;
    let path = format!("keys/{}/rotate", key["id"].as_str().unwrap());
    let rotated = house.post(&path, json!({"grace": "1h"})).await.expect(200);
    assert_eq!(rotated.header("cache-control"), "no-store");
    let rotated = rotated.json();
    assert_eq!((&rotated["id"], &rotated["hint"]), (&key["id"], &key["hint"]));
    assert_ne!(rotated["key"], key["key"]);
    assert_eq!(rotated["rotated_until"], "2026-11-20T10:30:00Z");
    let bare = house.call(&house.operator, "POST", &path, None).await.expect(200).json();
    assert_eq!(bare["rotated_until"], json!(null), "without grace the old text stops at once");
    assert_eq!(
        house.post(&path, json!({"grace": 90})).await.expect(200).json()["rotated_until"],
        "2026-11-20T09:31:30Z"
    );
    for grace in [json!("31d"), json!("soon"), json!(-1), json!(1.5), json!(true), json!("")] {
        let problem = house.post(&path, json!({"grace": grace})).await.refused(400, "invalid_request");
        assert_eq!(problem["field"], "grace", "{problem}");
    }
}

#[tokio::test]
async fn a_revocation_is_answered_when_the_serving_node_has_confirmed_it() {
    let house = House::open().await;
    let key = house.key().await;
    let node: Slug = "node-1".parse().unwrap();
    let lease = house.store.node_join(&node, "test").await.unwrap();
    let mut applied = house.store.keyring_base().await.unwrap().seq;
    let path = format!("keys/{}/revoke", key["id"].as_str().unwrap());
    let revoking = house.post(&path, json!({}));
    let serving = async {
        // The node sees the change, cuts three streams, and says so.
        loop {
            let report =
                NodeReport { applied, journal_bytes: 0, complete_until: house.world.now(), begun: Default::default() };
            let Renewal::Granted(grant) = house.store.lease_renew(&lease, &report).await.unwrap() else {
                panic!("the lease is gone")
            };
            if let Some(last) = grant.changes.last() {
                applied = last.seq;
                house.store.change_acknowledge(&lease, applied, &[(applied, 3)]).await.unwrap();
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let (revoked, ()) = tokio::join!(revoking, serving);
    let effective = revoked.expect(200).json()["effective"].clone();
    assert_eq!(effective["streams_cut"], 3, "{effective}");
    assert_eq!(effective["nodes"][0]["id"], lease.node.to_string());
    assert!(effective["nodes"][0]["after_ms"].as_f64().unwrap() <= effective["after_ms"].as_f64().unwrap());
}

#[tokio::test]
async fn the_key_of_a_member_who_left_is_listed_as_dead_and_says_why() {
    let house = House::open().await;
    let (user, token) = house.member("default", "member").await;
    let key = house.call(&token, "POST", "keys", Some(json!({"name": "k", "models": "all"}))).await.expect(201).json();
    assert_eq!((&key["status"], &key["blocked_by"]), (&json!("active"), &json!(null)));
    let path = format!("keys/{}", key["id"].as_str().unwrap());
    let out = json!({"memberships": [{"account": "default", "role": null}]});
    house.patch(&format!("users/{user}"), out).await.expect(200);
    for key in [house.get(&path).await.json(), house.get("keys?status=disabled").await.json()["data"][0].clone()] {
        assert_eq!((&key["status"], &key["blocked_by"]), (&json!("disabled"), &json!("creator_removed")), "{key}");
    }
    assert_eq!(house.get("keys?status=active").await.json()["data"], json!([]));
    let refused = house.post(&format!("{path}/enable"), json!({})).await.refused(409, "not_possible");
    assert!(refused["detail"].as_str().unwrap().contains("make a new key"), "{refused}");
    house.patch("accounts/default", json!({"plan": null})).await.expect(200);
    assert_eq!(house.get(&path).await.json()["blocked_by"], "creator_removed", "what is the key's own comes first");
}

#[tokio::test]
async fn the_origins_of_a_key_are_named_changed_and_taken_away() {
    let house = House::open().await;
    let body = json!({
        "name": "k", "models": "all",
        "allowed_origins": ["https://B.example:443", "http://localhost:3000", "https://b.example"],
    });
    let made = house.post("keys", body).await.expect(201).json();
    assert_eq!(made["allowed_origins"], json!(["http://localhost:3000", "https://b.example"]));
    assert_eq!(made["exposure"], json!({"browser_requests": 0, "last_at": null, "last_origin": null}));
    let path = format!("keys/{}", made["id"].as_str().unwrap());
    let narrowed = house.patch(&path, json!({"allowed_origins": ["https://b.example"]})).await.expect(200).json();
    assert_eq!(narrowed["allowed_origins"], json!(["https://b.example"]));
    assert!(narrowed["effective"]["after_ms"].is_number(), "in force when it is answered: {narrowed}");
    house.patch(&path, json!({"name": "n"})).await.expect(200);
    assert_eq!(
        house.get(&path).await.json()["allowed_origins"],
        json!(["https://b.example"]),
        "not named, not changed"
    );
    house.patch(&path, json!({"allowed_origins": []})).await.expect(200);
    assert_eq!(house.get("keys").await.json()["data"][0]["allowed_origins"], json!([]));
    let many: Vec<String> = (0..21).map(|n| format!("https://a{n}.example")).collect();
    for wrong in [
        json!("https://a.example"),
        json!(null),
        json!(["*"]),
        json!(["null"]),
        json!(["https://a.example/"]),
        json!(["https://*.example"]),
        json!(["https://a,b.example"]),
        json!([format!("https://{}", "a".repeat(300))]),
        json!(many),
        json!([7]),
    ] {
        let body = json!({"name": "k", "models": "all", "allowed_origins": wrong});
        let problem = house.post("keys", body).await.refused(400, "invalid_request");
        assert!(problem["field"].as_str().unwrap().starts_with("allowed_origins"), "{wrong}: {problem}");
        house.patch(&path, json!({"allowed_origins": wrong})).await.refused(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_key_that_web_pages_used_says_so() {
    let house = House::open().await;
    let key = house.key().await;
    let path = format!("keys/{}", key["id"].as_str().unwrap());
    let no = house.store.key_get(None, key["id"].as_str().unwrap().parse().unwrap()).await.unwrap().no;
    let last_at = "2026-11-20T09:00:00Z".parse().unwrap();
    let exposed = Exposed { key: no, requests: 12, last_at, last_origin: "https://a.example".parse().ok() };
    house.store.key_exposure_note(&[exposed]).await.unwrap();
    let exposure =
        json!({"browser_requests": 12, "last_at": "2026-11-20T09:00:00Z", "last_origin": "https://a.example"});
    assert_eq!(house.get(&path).await.json()["exposure"], exposure);
    assert_eq!(house.get("keys").await.json()["data"][0]["exposure"], exposure);
    house.post(&format!("{path}/rotate"), json!({})).await.expect(200);
    assert_eq!(house.get(&path).await.json()["exposure"]["browser_requests"], 0);
}

#[tokio::test]
async fn keys_are_listed_in_the_order_that_is_asked_for() {
    let house = House::open().await;
    for (name, end) in [("b", "2030-01-01T00:00:00Z"), ("a", "2032-01-01T00:00:00Z"), ("c", "2031-01-01T00:00:00Z")] {
        house.post("keys", json!({"name": name, "models": "all", "expires_at": end})).await.expect(201);
    }
    let names = async |query: &str| -> String {
        let listed = house.get(&format!("keys?{query}")).await.expect(200).json();
        listed["data"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap().to_owned()).collect()
    };
    for (query, order) in [
        ("", "cab"),
        ("sort=created", "cab"),
        ("order=asc", "bac"),
        ("sort=name", "abc"),
        ("sort=name&order=desc", "cba"),
        ("sort=last_used", "cab"),
        ("sort=expires_at", "bca"),
        ("sort=expires_at&order=desc", "acb"),
    ] {
        assert_eq!(names(query).await, order, "{query}");
    }
    let first = house.get("keys?sort=name&limit=2").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(names(&format!("sort=name&limit=2&cursor={cursor}")).await, "c");
    // A cursor of another order leads nowhere.
    house.get(&format!("keys?sort=created&cursor={cursor}")).await.refused(400, "invalid_request");
    for wrong in ["sort=colour", "order=up", "sort="] {
        house.get(&format!("keys?{wrong}")).await.refused(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_key_tells_from_where_it_was_used() {
    let house = House::open().await;
    let key = house.key().await;
    let path = format!("keys/{}", key["id"].as_str().unwrap());
    assert_eq!(house.get(&path).await.json()["addresses"], json!([]));
    let no = house.store.key_get(None, key["id"].as_str().unwrap().parse().unwrap()).await.unwrap().no;
    let (at, from) = ("2026-11-20T09:30:00Z", "203.0.113.7");
    house.store.key_addresses_note(&[(no, from.parse().unwrap(), at.parse().unwrap())]).await.unwrap();
    assert_eq!(house.get(&path).await.json()["addresses"], json!([{"address": from, "last_used_at": at}]));
}
