//! Who is let in, and who finds nothing.

use axum::body::Body;
use http::Request;
use serde_json::json;

use crate::house::House;

#[tokio::test]
async fn nobody_gets_in_without_a_valid_token() {
    let house = House::open().await;
    let key = house.key().await["key"].as_str().unwrap().to_owned();
    let bare = house.send(Request::get("/api/v1/me").body(Body::empty()).unwrap()).await;
    assert_eq!(bare.header("www-authenticate"), "Bearer realm=\"tollgate\"");
    bare.refused(401, "missing_token");
    let problem = house.call(&key, "GET", "me", None).await.refused(401, "keys_do_not_manage");
    assert!(!problem.to_string().contains(&key[16..]));
    let mut changed = house.operator.clone();
    changed.replace_range(30..31, if &changed[30..31] == "0" { "1" } else { "0" });
    for wrong in ["", "nonsense", &changed, &house.operator[..60], &format!("{} ", house.operator)] {
        house.call(wrong, "GET", "me", None).await.refused(401, "invalid_token");
    }
    for header in ["Basic dXNlcjpwdw==", &house.operator, &format!("Bearer  {}", house.operator)] {
        let request = Request::get("/api/v1/me").header("authorization", header).body(Body::empty()).unwrap();
        house.send(request).await.refused(401, "invalid_token");
    }
    let twice = Request::get("/api/v1/me")
        .header("authorization", format!("Bearer {}", house.operator))
        .header("authorization", format!("Bearer {}", house.operator));
    house.send(twice.body(Body::empty()).unwrap()).await.refused(401, "invalid_token");
}

#[tokio::test]
async fn roles_do_what_the_matrix_says() {
    let house = House::open().await;
    let (_, owner) = house.member("default", "owner").await;
    let (_, member) = house.member("default", "member").await;
    let (_, viewer) = house.member("default", "viewer").await;
    let new = || Some(json!({"name": "k", "models": "all"}));
    house.call(&viewer, "POST", "keys", new()).await.refused(403, "forbidden");
    let own = house.call(&member, "POST", "keys", new()).await.expect(201).json()["id"].as_str().unwrap().to_owned();
    let others = house.key().await["id"].as_str().unwrap().to_owned();
    for token in [&owner, &member, &viewer] {
        assert_eq!(
            house.call(token, "GET", "keys", None).await.expect(200).json()["data"].as_array().unwrap().len(),
            2
        );
        house.call(token, "GET", &format!("keys/{others}"), None).await.expect(200);
        house.call(token, "GET", "models", None).await.expect(200);
        house.call(token, "GET", "usage", None).await.expect(200);
        house.call(token, "GET", "upstreams", None).await.refused(403, "forbidden");
        house.call(token, "GET", "nodes", None).await.refused(403, "forbidden");
        house.call(token, "POST", "models", Some(json!({"name": "m", "kind": "chat"}))).await.refused(403, "forbidden");
    }
    let rename = async |token: &str, id: &str| {
        house.call(token, "PATCH", &format!("keys/{id}"), Some(json!({"name": "n"}))).await.status.as_u16()
    };
    assert_eq!((rename(&member, &own).await, rename(&member, &others).await), (200, 403));
    assert_eq!(
        (rename(&viewer, &own).await, rename(&owner, &own).await, rename(&owner, &others).await),
        (403, 200, 200)
    );
    for (token, status) in [(&owner, 200), (&member, 403), (&viewer, 403)] {
        house.call(token, "GET", "users", None).await.expect(status);
        house.call(token, "GET", "audit", None).await.expect(status);
    }
}

#[tokio::test]
async fn another_accounts_things_do_not_exist() {
    let house = House::open().await;
    house.account("acme").await;
    let (acme_user, acme) = house.member("acme", "owner").await;
    let id = house.key().await["id"].as_str().unwrap().to_owned();
    house.call(&acme, "GET", &format!("keys/{id}"), None).await.refused(404, "not_found");
    for verb in ["revoke", "disable", "enable", "rotate"] {
        house.call(&acme, "POST", &format!("keys/{id}/{verb}"), Some(json!({}))).await.refused(404, "not_found");
    }
    house.call(&acme, "PATCH", &format!("keys/{id}"), Some(json!({"name": "n"}))).await.refused(404, "not_found");
    assert_eq!(house.call(&acme, "GET", "keys", None).await.json()["data"], json!([]));
    // One that is there and one that is not look the same.
    let there = house.call(&acme, "GET", "keys?account=default", None).await.refused(404, "not_found");
    let nowhere = house.call(&acme, "GET", "keys?account=nowhere", None).await.refused(404, "not_found");
    assert_eq!(there, nowhere);
    house.call(&acme, "GET", "accounts/default", None).await.refused(404, "not_found");
    house.call(&acme, "GET", "accounts/acme", None).await.expect(200);
    house.call(&acme, "GET", "usage?account=*", None).await.refused(404, "not_found");
    let operator = house.get("me").await.json()["user"]["id"].as_str().unwrap().to_owned();
    house.call(&acme, "GET", &format!("users/{operator}"), None).await.refused(404, "not_found");
    let own = house.call(&acme, "GET", "keys?account=acme", None).await.expect(200);
    assert_eq!(own.json()["data"], json!([]));
    // A member of two accounts shows only the one to its owner.
    house
        .patch(&format!("users/{acme_user}"), json!({"memberships": [{"account": "default", "role": "viewer"}]}))
        .await
        .expect(200);
    let seen = house.call(&acme, "GET", "users", None).await.expect(200);
    assert!(!seen.text.contains("default"), "{}", seen.text);
    // The token stays bound to its one account.
    house.call(&acme, "GET", "keys?account=default", None).await.refused(404, "not_found");
}

#[tokio::test]
async fn an_operator_names_accounts_and_a_bound_token_of_it_does_not() {
    let house = House::open().await;
    house.account("acme").await;
    house.post("keys?account=acme", json!({"name": "a", "models": "all"})).await.expect(201);
    house.post("keys", json!({"name": "b", "models": "all", "account": "acme"})).await.expect(201);
    house
        .post("keys?account=default", json!({"name": "c", "models": "all", "account": "acme"}))
        .await
        .refused(400, "invalid_request");
    let keys = house.get("keys?account=acme").await.json();
    assert_eq!(keys["data"].as_array().unwrap().len(), 2);
    assert_eq!(house.get("keys").await.json()["data"], json!([]));
    let id = keys["data"][0]["id"].as_str().unwrap();
    house.get(&format!("keys/{id}")).await.expect(200);
    house.get(&format!("keys/{id}?account=default")).await.refused(404, "not_found");
    house.get("keys?account=nowhere").await.refused(404, "not_found");
    // It is no member of acme, and an owner there by this token.
    let bound = house.post("tokens", json!({"name": "t", "account": "acme"})).await.expect(201).json();
    let bound = bound["token"].as_str().unwrap();
    assert_eq!(house.call(bound, "GET", "keys", None).await.expect(200).json()["data"].as_array().unwrap().len(), 2);
    house.call(bound, "GET", "keys?account=default", None).await.refused(404, "not_found");
    house.call(bound, "GET", "accounts", None).await.refused(403, "forbidden");
    let bound = house.post("tokens", json!({"name": "t", "account": "default"})).await.expect(201).json();
    let bound = bound["token"].as_str().unwrap();
    assert_eq!(house.call(bound, "GET", "me", None).await.json()["operator"], false);
    house.call(bound, "GET", "nodes", None).await.refused(403, "forbidden");
    house.call(bound, "GET", "keys?account=acme", None).await.refused(404, "not_found");
}

#[tokio::test]
async fn tokens_are_shown_once_end_and_never_grow() {
    let house = House::open().await;
    let (user, viewer) = house.member("default", "viewer").await;
    let made =
        house.call(&viewer, "POST", "tokens", Some(json!({"name": "t", "expires_at": "2026-11-20T10:00:00Z"}))).await;
    let made = made.expect(201);
    assert_eq!(made.header("cache-control"), "no-store");
    let (text, id) =
        (made.json()["token"].as_str().unwrap().to_owned(), made.json()["id"].as_str().unwrap().to_owned());
    assert!(text.starts_with("tga_"));
    let listed = house.call(&viewer, "GET", "tokens", None).await.expect(200);
    assert!(listed.text.contains(&id) && !listed.text.contains(&text[17..]));
    // What it makes ends with it.
    let child = house.call(&text, "POST", "tokens", Some(json!({"name": "c"}))).await.expect(201).json();
    assert_eq!(child["expires_at"], "2026-11-20T10:00:00Z");
    let longer = json!({"name": "c", "expires_at": "2026-11-20T10:00:01Z"});
    house.call(&text, "POST", "tokens", Some(longer)).await.refused(400, "invalid_request");
    for body in [json!({"name": "c", "user": house.get("me").await.json()["user"]["id"]})] {
        house.call(&viewer, "POST", "tokens", Some(body)).await.refused(403, "forbidden");
    }
    house
        .call(
            &viewer,
            "GET",
            &format!("tokens?user={}", house.get("me").await.json()["user"]["id"].as_str().unwrap()),
            None,
        )
        .await
        .refused(403, "forbidden");
    house.turn_clock(1_801);
    house.call(&text, "GET", "me", None).await.refused(401, "invalid_token");
    // Revoked, by its owner and by the operator.
    let again = house.call(&viewer, "POST", "tokens", Some(json!({"name": "t"}))).await.expect(201).json();
    let revoke = format!("tokens/{}/revoke", again["id"].as_str().unwrap());
    house.post(&revoke, json!({})).await.refused(404, "not_found");
    let revoked = house.post(&format!("{revoke}?user={user}"), json!({})).await.expect(200).json();
    assert!(revoked["revoked_at"].is_string());
    house.call(again["token"].as_str().unwrap(), "GET", "me", None).await.refused(401, "invalid_token");
    let members = house.post("tokens", json!({"name": "t", "user": user, "account": "nowhere"})).await;
    members.refused(404, "not_found");
    house.account("acme").await;
    house.post("tokens", json!({"name": "t", "user": user, "account": "acme"})).await.refused(400, "invalid_request");
}
