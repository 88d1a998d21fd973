//! The models of an account and the box that tries one, over HTTP.

use axum::body::Body;
use http::Request;
use serde_json::json;

use crate::house::{Answer, House};

const OWN: (&str, &str) = ("sec-fetch-site", "same-origin");

struct Visitor<'a> {
    house: &'a House,
    cookie: String,
}

impl<'a> Visitor<'a> {
    async fn operator(house: &'a House) -> Self {
        let link = house.link().await;
        let request = Request::post(link).header(OWN.0, OWN.1).body(Body::empty()).unwrap();
        let signed_in = house.send(request).await.expect(303);
        Self { house, cookie: signed_in.header("set-cookie").split(';').next().unwrap().to_owned() }
    }
    async fn get(&self, path: &str) -> Answer {
        self.house.send(Request::get(path).header("cookie", &self.cookie).body(Body::empty()).unwrap()).await
    }
    async fn post(&self, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
        let mut request = Request::post(path).header("cookie", &self.cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.house.send(request.body(Body::from(body)).unwrap()).await
    }
}

async fn model(house: &House, name: &str, kind: &str) {
    let price = json!({"currency": "EUR", "input_per_million": "0.50", "output_per_million": "1.5"});
    house
        .post("models", json!({"name": name, "kind": kind, "context_window": 32768, "price": price}))
        .await
        .expect(201);
}

#[tokio::test]
async fn every_model_is_listed_with_what_it_is_and_costs() {
    let house = House::open().await;
    let visitor = Visitor::operator(&house).await;
    assert!(visitor.get("/a/default/models").await.expect(200).text.contains("No models yet"));
    model(&house, "org/chat-a", "chat").await;
    model(&house, "rank", "rerank").await;
    let list = visitor.get("/a/default/models").await.expect(200).text;
    for part in ["org/chat-a", "32,768 tokens", "0.50 EUR", "/v1/chat/completions", "Not served by this version yet"] {
        assert!(list.contains(part), "{part}: {list}");
    }
    assert!(visitor.get("/a/default/models/org%2Fchat-a").await.expect(200).text.contains("You have no active key"));
    for nothing in ["/a/default/models/none", "/a/nowhere/models", "/a/nowhere/models/rank"] {
        visitor.get(nothing).await.expect(404);
    }
}

#[tokio::test]
async fn a_model_is_tried_with_a_key_of_one_s_own_and_with_no_other() {
    let house = House::open().await;
    let visitor = Visitor::operator(&house).await;
    model(&house, "chat-a", "chat").await;
    model(&house, "chat-b", "chat").await;
    let key = house.post("keys", json!({"name": "for trying", "models": ["chat-a"]})).await.expect(201).json();
    let id = key["id"].as_str().unwrap();
    let page = visitor.get("/a/default/models/chat-a").await.expect(200).text;
    assert!(page.contains(&format!("<option value=\"{id}\"")) && page.contains("for trying"));
    assert!(!visitor.get("/a/default/models/chat-b").await.expect(200).text.contains(id), "this key may not use it");

    let path = "/a/default/models/chat-a/try";
    let body = format!("key={id}&text=hello+%3Cb%3E");
    let whole = visitor.post(path, &[OWN], body.clone()).await.expect(200).text;
    let hint = key["hint"].as_str().unwrap();
    assert!(whole.contains(&format!("{hint} chat/completions hello &#60;b&#62;")), "{whole}");
    assert!(whole.contains("1,234 input tokens, 5 output tokens"), "{whole}");
    let streamed = visitor.post(path, &[OWN, ("accept", "text/event-stream")], body.clone()).await.expect(200);
    assert_eq!(streamed.header("content-type"), "text/event-stream");
    assert_eq!(streamed.header("cache-control"), "no-store");
    assert!(streamed.text.contains("data: [DONE]"));

    visitor.post(path, &[], body.clone()).await.expect(403);
    visitor.post(path, &[("sec-fetch-site", "cross-site")], body).await.expect(403);
    for (wrong, said) in [
        (format!("key={id}&text="), "This is needed."),
        (format!("key={id}&text={}", "x".repeat(20_001)), "At most 20,000 characters."),
        ("key=nonsense&text=hi".to_owned(), "Choose one of the keys"),
    ] {
        assert!(visitor.post(path, &[OWN], wrong).await.expect(422).text.contains(said), "{said}");
    }
    let unknown = format!("key=key_{}&text=hi", "0".repeat(32));
    visitor.post(path, &[OWN], unknown).await.expect(404);
}

#[tokio::test]
async fn viewers_look_on_and_members_try_their_own_keys_only() {
    let house = House::open().await;
    model(&house, "chat-a", "chat").await;
    let key = house.post("keys", json!({"name": "the owner's", "models": "all"})).await.expect(201).json();
    let body = format!("key={}&text=hi", key["id"].as_str().unwrap());
    for (role, said) in [("viewer", "Viewers look on"), ("member", "You have no active key")] {
        let user = json!({"name": role, "memberships": [{"account": "default", "role": role}]});
        let user = house.post("users", user).await.expect(201).json();
        let link = house
            .post(&format!("users/{}/sign-in-links", user["id"].as_str().unwrap()), json!({}))
            .await
            .expect(201)
            .json();
        let path = link["url"].as_str().unwrap();
        let path = &path[path.find("/sign-in/").unwrap()..];
        let request = Request::post(path).header(OWN.0, OWN.1).body(Body::empty()).unwrap();
        let signed_in = house.send(request).await.expect(303);
        let visitor =
            Visitor { house: &house, cookie: signed_in.header("set-cookie").split(';').next().unwrap().to_owned() };
        assert!(visitor.get("/a/default/models/chat-a").await.expect(200).text.contains(said), "{role}");
        visitor.post("/a/default/models/chat-a/try", &[OWN], body.clone()).await.expect(403);
    }
}
