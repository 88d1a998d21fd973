//! What is true of every call: bodies, paths, headers, a store that is away, the document.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use crate::house::House;

async fn post_raw(house: &House, kind: Option<&str>, body: impl Into<Body>) -> crate::house::Answer {
    let mut request = Request::post("/api/v1/keys").header("authorization", format!("Bearer {}", house.operator));
    if let Some(kind) = kind {
        request = request.header("content-type", kind);
    }
    house.send(request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn bodies_are_json_of_bounded_size() {
    let house = House::open().await;
    let right = r#"{"name":"k","models":"all"}"#;
    post_raw(&house, Some("application/json; charset=utf-8"), right).await.expect(201);
    post_raw(&house, Some("application/merge-patch+json"), right).await.expect(201);
    post_raw(&house, None, right).await.refused(415, "unsupported_media_type");
    post_raw(&house, Some("application/x-www-form-urlencoded"), right).await.refused(415, "unsupported_media_type");
    let json = Some("application/json");
    for wrong in
        ["", "{", "[]", "\"x\"", "null", "{} {}", "{\"name\":\"a\",\"name\":\"b\",\"models\":\"all\"}", "\u{feff}{}"]
    {
        post_raw(&house, json, wrong).await.refused(400, "invalid_request");
    }
    post_raw(&house, json, vec![0xff, 0xfe, b'{']).await.refused(400, "invalid_request");
    post_raw(&house, json, format!("{{\"name\":{}", "[".repeat(200_000))).await.refused(400, "invalid_request");
    let fits = format!("{{\"name\":\"k\",\"models\":\"all\",\"x\":\"{}\"}}", "x".repeat((1 << 20) - 40));
    post_raw(&house, json, fits).await.refused(400, "invalid_request");
    let large = format!("{{\"name\":\"k\",\"models\":\"all\",\"note\":\"{}\"}}", "x".repeat(1 << 20));
    post_raw(&house, json, large).await.refused(413, "request_too_large");
}

#[tokio::test]
async fn what_is_not_served_is_a_problem_too() {
    let house = House::open().await;
    house.get("nothing/here").await.refused(404, "not_found");
    let put = house.call(&house.operator, "PUT", "keys", None).await;
    assert!(put.header("allow").contains("GET") && put.header("allow").contains("POST"), "{}", put.header("allow"));
    put.refused(405, "method_not_allowed");
    house.get("keys/%ff").await.refused(404, "not_found");
    house.get("models/%00").await.refused(404, "not_found");
    let page = house.send(Request::get("/nothing").body(Body::empty()).unwrap()).await.expect(404);
    assert!(page.header("content-type").starts_with("text/html"));
}

#[tokio::test]
async fn every_answer_is_for_its_caller_alone() {
    let house = House::open().await;
    for answer in [house.get("keys").await, house.get("nope").await, house.call("x", "GET", "me", None).await] {
        assert!(answer.header("x-request-id").starts_with("req_"));
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        if answer.status != 404 {
            assert_eq!(answer.header("referrer-policy"), "no-referrer");
        }
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_a_503() {
    let house = House::open().await;
    house.store.close().await;
    let problem = house.get("keys").await;
    assert_eq!(problem.header("retry-after"), "2");
    problem.refused(503, "unavailable");
    house.post("keys", json!({"name": "k", "models": "all"})).await.refused(503, "unavailable");
    let link = house.send(Request::get("/").body(Body::empty()).unwrap()).await;
    assert_eq!(link.status, 303, "nobody is signed in: nothing is asked of the store");
}

#[tokio::test]
async fn the_document_is_served_to_anybody() {
    let house = House::open().await;
    let served = house.send(Request::get("/api/v1/openapi.json").body(Body::empty()).unwrap()).await.expect(200);
    assert_eq!(served.text, tollgate_manage::openapi_json());
}

#[test]
fn the_checked_in_document_is_this_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        checked_in == tollgate_manage::openapi_json(),
        "docs/openapi.json is stale: `cargo run -- openapi > docs/openapi.json` renews it"
    );
}

#[test]
fn every_operation_is_described_with_its_access_its_errors_and_examples() {
    let document: Value = serde_json::from_str(&tollgate_manage::openapi_json()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut ids = std::collections::BTreeSet::new();
    for (method, path) in tollgate_manage::endpoints() {
        let operation = &document["paths"][&path][method.to_lowercase()];
        let what = format!("{method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|text| text.ends_with('.')), "{what}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{what}");
        let access = operation["x-access"].as_str().unwrap();
        assert!(["public", "user", "session", "read", "member", "owner", "operator"].contains(&access), "{what}");
        assert_eq!(operation["responses"].get("401").is_some(), access != "public", "{what}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{what} {status}");
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["name"].is_string() && parameter["in"].is_string(), "{what}: {parameter}");
        }
        let mut names: Vec<_> =
            operation["parameters"].as_array().into_iter().flatten().map(|one| one["name"].as_str().unwrap()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{what}: a parameter is there twice");
    }
    // Every reference leads somewhere, and every field of every schema has an example or is made of others.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[tokio::test]
async fn every_documented_endpoint_is_served() {
    let house = House::open().await;
    for (method, path) in tollgate_manage::endpoints() {
        let path = path.replace("{id}", "x").replace("{model}", "x").replace("{upstream}", "x");
        let path =
            path.replace("{plan}", "x").replace("{account}", "x").replace("{user}", "x").replace("{delivery}", "x");
        let request = Request::builder().method(method.as_str()).uri(&path).body(Body::empty()).unwrap();
        let answer = house.send(request).await;
        let expected = match (method.as_str(), path.as_str()) {
            ("GET", "/api/v1/openapi.json") => 200,
            // Anybody may, and this says nothing.
            ("POST", "/leaks") => 415,
            _ => 401,
        };
        assert_eq!(answer.status, expected, "{method} {path}: {}", answer.text);
    }
}

/// A value of a schema, made of its examples.
fn sample(schema: &Value, document: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return sample(document.pointer(&reference[1..]).unwrap(), document);
    }
    if let Some(example) = schema.get("example").or_else(|| schema.pointer("/examples/0")) {
        return example.clone();
    }
    if let Some(properties) = schema["properties"].as_object() {
        let fields = properties.iter().filter(|(name, _)| !["limits", "budget", "user"].contains(&name.as_str()));
        return fields.map(|(name, field)| (name.clone(), sample(field, document))).collect();
    }
    if schema["type"] == "array" {
        return json!([sample(&schema["items"], document)]);
    }
    Value::Null
}

#[tokio::test]
async fn every_example_body_of_the_document_is_taken() {
    let house = House::open().await;
    house.model("qwen3-32b").await;
    house.post("upstreams", json!({"name": "spare", "base_url": "http://127.0.0.1:9"})).await.expect(201);
    house.post("accounts", json!({"handle": "spare", "plan": "unlimited"})).await.expect(201);
    house.post("plans", json!({"handle": "spare", "paid": true})).await.expect(201);
    let key = house.key().await["id"].as_str().unwrap().to_owned();
    let user = house.member("default", "member").await.0;
    let spare_member = house.member("spare", "member").await.0;
    let webhook = json!({"name": "spare", "url": "https://hooks.example.com/spare"});
    let webhook = house.post("webhooks", webhook).await.expect(201).json()["id"].as_str().unwrap().to_owned();
    let document: Value = serde_json::from_str(&tollgate_manage::openapi_json()).unwrap();
    let mut tried = 0;
    for (method, path) in tollgate_manage::endpoints() {
        let body = &document["paths"][&path][method.to_lowercase()]["requestBody"]["content"]["application/json"];
        // What is for somebody signed in to the console refuses each token: it is tried where somebody is.
        if body.is_null() || document["paths"][&path][method.to_lowercase()]["x-access"] == "session" {
            continue;
        }
        let mut body = sample(&body["schema"], &document);
        // What stands there already under the example's name.
        if (method.as_str(), path.as_str()) == ("POST", "/api/v1/models") {
            body["name"] = json!("another");
        }
        if (method.as_str(), path.as_str()) == ("POST", "/api/v1/upstreams") {
            body["name"] = json!("another");
            body["credential"] = json!("sk-another");
        }
        if path == "/api/v1/upstreams/{upstream}" {
            body["credential"] = json!("sk-another");
        }
        if path == "/api/v1/users/{id}" {
            body["email"] = json!("other@example.com");
        }
        let id = match path.as_str() {
            path if path.contains("users") => &user,
            path if path.contains("webhooks") => &webhook,
            _ => &key,
        };
        let path = path.trim_start_matches("/api/v1/").replace("{id}", id).replace("{model}", "qwen3-32b");
        let path = path.replace("{upstream}", "spare").replace("{plan}", "spare").replace("{account}", "spare");
        let path = path.replace("{user}", &spare_member);
        let answer = house.call(&house.operator, &method, &path, Some(body.clone())).await;
        assert!(answer.status.is_success(), "{method} {path} {body}: {}", answer.text);
        tried += 1;
    }
    assert!(tried >= 13, "{tried}");
}

#[tokio::test]
async fn nonsense_is_refused_and_never_fails() {
    let house = House::open().await;
    let words = [
        "{",
        "}",
        "[",
        "]",
        "\"name\"",
        "\"models\"",
        ":",
        ",",
        "\"all\"",
        "null",
        "1e999",
        "-",
        "\\u0000",
        "\"",
        "true",
        "\"limits\"",
        "\"expires_at\"",
        "99999999999999999999",
        "\u{202e}",
        "\"\\ud800\"",
    ];
    let mut random = [0u8; 2];
    for _ in 0..400 {
        house.world.fill(&mut random);
        let mut body = String::from("{");
        for _ in 0..random[0] % 12 {
            house.world.fill(&mut random);
            body.push_str(words[usize::from(random[0]) % words.len()]);
        }
        let answer = post_raw(&house, Some("application/json"), body.clone()).await;
        assert!([201, 400, 402].contains(&answer.status.as_u16()), "{body}: {}", answer.text);
        let query: String = body.bytes().map(|b| format!("%{b:02x}")).collect();
        for path in ["keys?search=", "usage?from=", "usage?key=", "audit?action=", "models?cursor=", "keys?account="] {
            let answer = house.get(&format!("{path}{query}")).await;
            assert!([200, 400, 404].contains(&answer.status.as_u16()), "{path}{body}: {}", answer.text);
        }
    }
}
