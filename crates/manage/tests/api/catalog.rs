//! Models and upstreams.

use serde_json::json;
use tollgate_core::seal::SecretText;
use tollgate_manage::services::{ModelInput, UpstreamInput, catalog_apply};

use crate::house::House;

#[tokio::test]
async fn models_are_made_shown_edited_and_withdrawn() {
    let house = House::open().await;
    house.model("chat-a").await;
    let (_, viewer) = house.member("default", "viewer").await;
    let model = json!({"name": "Qwen/Qwen3-32B", "kind": "chat", "title": "Qwen3", "context_window": 32768,
        "price": {"currency": "EUR", "input_per_million": "0.50"}, "served_by": [{"upstream": "gpu-a", "model": "q", "weight": 3}]});
    let made = house.post("models", model.clone()).await.expect(201);
    assert_eq!(made.json()["served_by"], json!([{"upstream": "gpu-a", "model": "q", "weight": 3}]));
    house.post("models", model).await.refused(409, "already_exists");
    let path = "models/Qwen%2FQwen3-32B";
    let shown = house.get(path).await.expect(200);
    assert_eq!(shown.json()["price"]["input_per_million"], "0.50");
    let customers = house.call(&viewer, "GET", "models", None).await.expect(200);
    assert!(!customers.text.contains("gpu-a") && !customers.text.contains("served_by"), "{}", customers.text);
    let edited = house.patch(path, json!({"title": null, "max_output_tokens": 100})).await.expect(200).json();
    assert_eq!((&edited["title"], &edited["max_output_tokens"]), (&json!(null), &json!(100)));
    assert!(edited["effective"].is_object());
    let read = [("if-match", shown.header("etag"))];
    house.call_with(&house.operator, "PATCH", path, &read, Some(json!({}))).await.refused(412, "version_conflict");
    house.delete(path).await.expect(200);
    house.get(path).await.refused(404, "not_found");
    house.delete(path).await.refused(404, "not_found");
    for (body, field) in [
        (json!({"kind": "chat"}), "name"),
        (json!({"name": "a b", "kind": "chat"}), "name"),
        (json!({"name": "x", "kind": "poetry"}), "kind"),
        (json!({"name": "x", "kind": "chat", "context_window": 0}), "context_window"),
        (json!({"name": "x", "kind": "chat", "context_window": -1}), "context_window"),
        (json!({"name": "x", "kind": "chat", "context_window": u64::MAX}), "context_window"),
        (json!({"name": "x", "kind": "chat", "price": {"input_per_million": 0.5}}), "price.input_per_million"),
        (json!({"name": "x", "kind": "chat", "price": {"input": "1"}}), "price.input"),
        (json!({"name": "x", "kind": "chat", "served_by": [{"upstream": "nobody"}]}), "served_by"),
        (json!({"name": "x", "kind": "chat", "served_by": [{"upstream": "gpu-a", "weight": 1_000_001}]}), "served_by"),
        (
            json!({"name": "x", "kind": "chat", "served_by": [{"upstream": "gpu-a"}, {"upstream": "gpu-a"}]}),
            "served_by",
        ),
    ] {
        let problem = house.post("models", body.clone()).await.refused(400, "invalid_request");
        assert_eq!(problem["field"], field, "{body}: {problem}");
    }
    house.patch("models/chat-a", json!({"name": "other"})).await.refused(400, "invalid_request");
    house.patch("models/chat-a", json!({"served_by": [{"upstream": "nobody"}]})).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn an_upstreams_credential_goes_in_and_never_comes_out() {
    let house = House::open().await;
    house.model("chat-a").await;
    let shown = house.get("upstreams/gpu-a").await.expect(200);
    assert!(!shown.text.contains("sk-secret-upstream"));
    let upstream = shown.json();
    assert_eq!((&upstream["has_credential"], &upstream["engine"]), (&json!(true), &json!("other")));
    assert_eq!(upstream["health"]["last_error"], "connection refused");
    let edited = house.patch("upstreams/gpu-a", json!({"credential": null, "enabled": false})).await.expect(200).json();
    assert_eq!((&edited["has_credential"], &edited["enabled"]), (&json!(false), &json!(false)));
    let audit = house.get("audit?action=upstream.").await.expect(200);
    assert!(!audit.text.contains("sk-secret-upstream") && audit.text.contains("upstream.edit"), "{}", audit.text);
    house.delete("upstreams/gpu-a").await.refused(409, "in_use");
    house.post("upstreams", json!({"name": "b", "base_url": "http://127.0.0.1:9"})).await.expect(201);
    assert_eq!(house.get("upstreams/b").await.json()["health"], json!(null));
    house.delete("upstreams/b").await.expect(200);
    house.get("upstreams/b").await.refused(404, "not_found");
    for (body, field) in [
        (json!({"name": "x"}), "base_url"),
        (json!({"name": "x", "base_url": "ftp://x"}), "base_url"),
        (json!({"name": "x", "base_url": "http://u:p@x"}), "base_url"),
        (json!({"name": "x", "base_url": "http://x", "engine": "abacus"}), "engine"),
        (json!({"name": "x", "base_url": "http://x", "credential": ""}), "credential"),
        (json!({"name": "x", "base_url": "http://x", "credential": "a\r\nb: c"}), "credential"),
    ] {
        let problem = house.post("upstreams", body.clone()).await.refused(400, "invalid_request");
        assert_eq!(problem["field"], field, "{body}: {problem}");
    }
}

#[tokio::test]
async fn settings_are_applied_once_and_only_what_changed() {
    let house = House::open().await;
    let apply = async |credential: &str, weight: u32| {
        let mut upstream: UpstreamInput =
            serde_json::from_value(json!({"name": "gpu-b", "base_url": "http://127.0.0.1:9/v1"})).unwrap();
        upstream.credential = Some(SecretText::new(credential.to_owned()));
        let model = json!({"name": "m", "kind": "chat", "served_by": [{"upstream": "gpu-b", "weight": weight}]});
        let models: Vec<ModelInput> = vec![serde_json::from_value(model).unwrap()];
        catalog_apply(&house.store, &house.master_key, &house.world, vec![upstream], models).await.unwrap();
    };
    let written = async || {
        let lines = house.get("audit?limit=1000").await.json();
        let lines = lines["data"].as_array().unwrap().clone();
        lines.iter().filter(|line| line["actor"] == "system:settings").count()
    };
    apply("sk-1", 1).await;
    assert_eq!(written().await, 2);
    apply("sk-1", 1).await;
    assert_eq!(written().await, 2, "an unchanged file changes nothing");
    apply("sk-2", 1).await;
    assert_eq!(written().await, 3);
    apply("sk-2", 2).await;
    assert_eq!(written().await, 4);
    // What was sealed opens for the upstream that it stands at.
    let base = house.store.keyring_base().await.unwrap();
    let sealed = base.upstreams.iter().find(|sealed| sealed.upstream.name.as_str() == "gpu-b").unwrap();
    let opened = house.master_key.open(sealed.credential.as_ref().unwrap(), &sealed.upstream.id.to_string()).unwrap();
    assert_eq!(opened.expose(), "sk-2");
}
