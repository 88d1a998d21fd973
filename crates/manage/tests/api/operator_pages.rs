//! The operator's pages, as operators and everybody else meet them, without the script.

use axum::body::Body;
use http::Request;
use serde_json::json;

use crate::house::{Answer, House};

const PAGES: [&str; 9] = [
    "/operator",
    "/operator/accounts",
    "/operator/plans",
    "/operator/models",
    "/operator/upstreams",
    "/operator/users",
    "/operator/audit",
    "/operator/nodes",
    "/operator/webhooks",
];

pub(crate) struct Browser<'h> {
    house: &'h House,
    cookie: String,
}

impl<'h> Browser<'h> {
    pub(crate) async fn by_link(house: &'h House, link: &str) -> Self {
        let redeem = Request::post(link).header("host", "gate.example").header("sec-fetch-site", "same-origin");
        let signed_in = house.send(redeem.body(Body::empty()).unwrap()).await.expect(303);
        let cookie = signed_in.header("set-cookie").split(';').next().unwrap().to_owned();
        Self { house, cookie }
    }
    pub(crate) async fn operator(house: &'h House) -> Self {
        let link = house.link().await;
        Self::by_link(house, &link).await
    }
    /// Somebody with this role in an account.
    pub(crate) async fn member(house: &'h House, account: &str, role: &str) -> Self {
        let (user, _) = house.member(account, role).await;
        let made = house.post(&format!("users/{user}/sign-in-links"), json!({})).await.expect(201).json();
        let url = made["url"].as_str().unwrap();
        Self::by_link(house, &url[url.find("/sign-in").unwrap()..]).await
    }
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path).header("host", "gate.example").header("cookie", &self.cookie);
        self.house.send(request.body(Body::empty()).unwrap()).await
    }
    pub(crate) async fn post_from(&self, site: &str, path: &str, form: &str) -> Answer {
        let request = Request::post(path).header("host", "gate.example").header("cookie", &self.cookie);
        let request =
            request.header("sec-fetch-site", site).header("content-type", "application/x-www-form-urlencoded");
        self.house.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }
    pub(crate) async fn post(&self, path: &str, form: &str) -> Answer {
        self.post_from("same-origin", path, form).await
    }
}

#[tokio::test]
async fn the_operators_part_does_not_exist_for_anybody_else() {
    let house = House::open().await;
    let owner = Browser::member(&house, "default", "owner").await;
    let operator = Browser::operator(&house).await;
    for page in PAGES {
        owner.get(page).await.expect(404);
        let seen = operator.get(page).await;
        assert!([200, 303].contains(&seen.status.as_u16()), "{page}: {}", seen.text);
    }
    owner.post("/operator/accounts/default/suspend", "").await.expect(404);
    operator.post_from("cross-site", "/operator/accounts/default/suspend", "").await.expect(403);
    assert_eq!(house.get("accounts/default").await.json()["suspended_at"], json!(null));
}

#[tokio::test]
async fn an_account_is_made_subscribed_suspended_and_resumed() {
    let house = House::open().await;
    let operator = Browser::operator(&house).await;
    let wrong = operator.post("/operator/accounts/new", "handle=Not+A+Handle&name=Kept").await.expect(422);
    assert!(wrong.text.contains("aria-invalid=\"true\"") && wrong.text.contains("value=\"Kept\""), "{}", wrong.text);
    let made =
        operator.post("/operator/accounts/new", "handle=acme&name=Acme&owner=ada%40example.com").await.expect(303);
    let page = made.header("location").to_owned();
    assert!(operator.get(&page).await.expect(200).text.contains("No plan"));
    operator.post("/operator/accounts/new", "handle=acme").await.expect(422);
    let members = house.get("users?account=acme").await.json();
    assert_eq!(members["data"][0]["email"], "ada@example.com");
    operator.post(&format!("{page}/plan"), "plan=unlimited").await.expect(303);
    let key = house.post("keys", json!({"name": "k", "models": "all", "account": "acme"})).await.expect(201);
    drop(key);
    let asked = operator.get(&format!("{page}/suspend")).await.expect(200);
    assert!(asked.text.contains("Its 1 active key stops at once"), "{}", asked.text);
    operator.post(&format!("{page}/suspend"), "").await.expect(303);
    assert!(operator.get("/operator/accounts?standing=suspended").await.expect(200).text.contains("Acme"));
    operator.post(&format!("{page}/resume"), "").await.expect(303);
    operator.post(&format!("{page}/lapse"), "").await.expect(303);
    assert!(operator.get(&page).await.expect(200).text.contains("Lapsed on"));
}

#[tokio::test]
async fn a_change_that_somebody_else_was_quicker_with_is_told_and_not_lost() {
    let house = House::open().await;
    house.account("acme").await;
    let operator = Browser::operator(&house).await;
    house.patch("accounts/acme", json!({"name": "Theirs"})).await.expect(200);
    let late = operator.post("/operator/accounts/acme/edit", "name=Mine&version=1").await.expect(422);
    assert!(late.text.contains("value=\"Mine\"") && late.text.contains("Theirs"), "{}", late.text);
}

#[tokio::test]
async fn an_upstream_is_tested_and_its_credential_stays_unseen() {
    let house = House::open().await;
    house.model("chat-a").await;
    house
        .post("models", json!({"name": "chat-b", "kind": "chat", "served_by": [{"upstream": "gpu-a"}]}))
        .await
        .expect(201);
    let test = house.post("upstreams/gpu-a/test", json!({})).await.expect(200).json();
    assert_eq!((&test["verdict"], &test["missing"]), (&json!("models_missing"), &json!(["chat-b"])), "{test}");
    let operator = Browser::operator(&house).await;
    for page in [
        operator.post("/operator/upstreams/gpu-a/test", "").await.expect(200),
        operator.get("/operator/upstreams/gpu-a/edit").await.expect(200),
    ] {
        assert!(!page.text.contains("sk-secret-upstream"));
    }
    let wrong = "base_url=nonsense&engine=vllm&on_client_gone=cancel&credential_act=replace&credential=sk-typed";
    let wrong = operator.post("/operator/upstreams/gpu-a/edit", wrong).await.expect(422);
    assert!(!wrong.text.contains("sk-typed") && wrong.text.contains("value=\"nonsense\""));
    assert!(operator.get("/operator/upstreams/gpu-a/remove").await.expect(200).text.contains("chat-b"));
    operator.post("/operator/upstreams/gpu-a/remove", "").await.expect(422);
}

#[tokio::test]
async fn a_model_gets_its_rows_without_the_script() {
    let house = House::open().await;
    house.model("chat-a").await;
    let operator = Browser::operator(&house).await;
    let typed =
        "kind=chat&name=chat-c&currency=USD&price_input=0.50&served_upstream=gpu-a&served_model=&served_weight=2";
    let more = operator.post("/operator/models/new", &format!("{typed}&act=add")).await.expect(200);
    assert_eq!(more.text.matches("name=\"served_upstream\"").count(), 2);
    assert!(more.text.contains("value=\"chat-c\""));
    operator.post("/operator/models/new", &typed.replace("0.50", "-1")).await.expect(422);
    operator.post("/operator/models/new", typed).await.expect(303);
    let made = house.get("models/chat-c").await.expect(200).json();
    assert_eq!((&made["served_by"][0]["weight"], &made["price"]["input_per_million"]), (&json!(2), &json!("0.50")));
    let id = made["id"].as_str().unwrap();
    house.post("keys", json!({"name": "named-here", "models": ["chat-c"]})).await.expect(201);
    assert!(operator.get(&format!("/operator/models/{id}/remove")).await.expect(200).text.contains("named-here"));
    operator.post(&format!("/operator/models/{id}/remove"), "").await.expect(303);
    house.get("models/chat-c").await.expect(404);
}

#[tokio::test]
async fn owners_see_their_accounts_log_and_not_where_the_operator_was() {
    let house = House::open().await;
    house.account("acme").await;
    house.key().await;
    let owner = Browser::member(&house, "acme", "owner").await;
    let viewer = Browser::member(&house, "acme", "viewer").await;
    house.post("keys", json!({"name": "theirs", "models": "all", "account": "acme"})).await.expect(201);
    let log = owner.get("/a/acme/activity").await.expect(200);
    assert!(log.text.contains("created the API key theirs") && !log.text.contains("a key"), "{}", log.text);
    viewer.get("/a/acme/activity").await.expect(403);
    owner.get("/a/default/activity").await.expect(404);
    let operator = Browser::operator(&house).await;
    assert!(operator.get("/operator/audit?action=key.&account=acme").await.expect(200).text.contains("theirs"));
}

#[tokio::test]
async fn a_users_link_is_shown_once_and_disabling_says_what_stops() {
    let house = House::open().await;
    let operator = Browser::operator(&house).await;
    let made =
        operator.post("/operator/users/new", "name=Ada&email=ada%40example.com&account=default&role=member").await;
    let page = made.expect(303).header("location").to_owned();
    let shown = operator.post(&format!("{page}/link"), "").await.expect(200);
    assert!(shown.text.contains("/sign-in/tgs_") && shown.header("cache-control") == "no-store");
    assert!(!operator.get(&page).await.expect(200).text.contains("/sign-in/tgs_"));
    assert!(operator.get(&format!("{page}/disable")).await.expect(200).text.contains("0 active keys"));
    operator.post(&format!("{page}/disable"), "").await.expect(303);
    assert!(operator.get(&page).await.expect(200).text.contains("Disabled"));
    operator.post("/operator/users/new", "name=Ada&email=ADA%40example.com").await.expect(422);
}
