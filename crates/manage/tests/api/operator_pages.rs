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
    /// What a sheet that is open now carries unseen.
    async fn carried(&self, sheet: &str) -> String {
        let page = self.get(sheet).await.expect(200).text;
        let inputs = page.split("<input type=\"hidden\" name=\"").skip(1);
        let pair = |input: &str| {
            let mut parts = input.split('"');
            format!("{}={}&", parts.next().unwrap(), parts.nth(1).unwrap())
        };
        inputs.map(pair).filter(|pair| pair.starts_with("version=") || pair.starts_with("once=")).collect()
    }
    /// Opens a sheet, fills it in and sends it.
    async fn submit(&self, sheet: &str, form: &str) -> Answer {
        let carried = self.carried(sheet).await;
        assert!(!carried.is_empty(), "{sheet} carries what it was read with");
        self.post(sheet, &format!("{carried}{form}")).await
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
    operator.submit(&format!("{page}/plan"), "plan=unlimited").await.expect(303);
    let key = house.post("keys", json!({"name": "k", "models": "all", "account": "acme"})).await.expect(201);
    drop(key);
    let asked = operator.get(&format!("{page}/suspend")).await.expect(200);
    assert!(asked.text.contains("Its 1 active key stops at once"), "{}", asked.text);
    operator.submit(&format!("{page}/suspend"), "").await.expect(303);
    assert!(operator.get("/operator/accounts?standing=suspended").await.expect(200).text.contains("Acme"));
    operator.submit(&format!("{page}/resume"), "").await.expect(303);
    operator.submit(&format!("{page}/lapse"), "").await.expect(303);
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
async fn what_was_asked_before_somebody_elses_change_is_asked_again() {
    let house = House::open().await;
    house.account("acme").await;
    let (user, _) = house.member("acme", "member").await;
    let operator = Browser::operator(&house).await;
    let sheets = [
        "/operator/accounts/acme/suspend".to_owned(),
        "/operator/accounts/acme/resume".to_owned(),
        "/operator/accounts/acme/lapse".to_owned(),
        format!("/operator/users/{user}/disable"),
        format!("/operator/users/{user}/enable"),
        format!("/operator/users/{user}/membership"),
    ];
    for sheet in sheets {
        let read = operator.carried(&sheet).await;
        house.patch("accounts/acme", json!({"name": format!("Renamed for {sheet}")})).await.expect(200);
        house.patch(&format!("users/{user}"), json!({"name": format!("Ada for {}", sheet.len())})).await.expect(200);
        let form = format!("{read}account=acme&role=owner");
        let late = operator.post(&sheet, &form).await.expect(422);
        assert!(late.text.contains("role=\"alert\""), "{sheet}: {}", late.text);
        operator.post(&sheet, "account=acme&role=owner").await.expect(422);
        let account = house.get("accounts/acme").await.json();
        assert_eq!((&account["suspended_at"], &account["plan_until"]), (&json!(null), &json!(null)), "{sheet}");
        let now = house.get(&format!("users/{user}")).await.json();
        assert_eq!((&now["disabled"], &now["memberships"][0]["role"]), (&json!(false), &json!("member")), "{sheet}");
    }
    operator.submit(&format!("/operator/users/{user}/membership"), "account=acme&role=owner").await.expect(303);
    assert_eq!(house.get(&format!("users/{user}")).await.json()["memberships"][0]["role"], "owner");
}

#[tokio::test]
async fn a_form_that_is_sent_twice_makes_one_user() {
    let house = House::open().await;
    let operator = Browser::operator(&house).await;
    let form = format!("{}name=Ada", operator.carried("/operator/users/new").await);
    operator.post("/operator/users/new", &form).await.expect(303);
    let again = operator.post("/operator/users/new", &form).await.expect(409);
    assert!(
        again.text.contains("made with this form already") && again.text.contains("value=\"Ada\""),
        "{}",
        again.text
    );
    let named_ada = async || house.get("users").await.json()["data"].to_string().matches("\"name\":\"Ada\"").count();
    assert_eq!(named_ada().await, 1);
    // The form that says so is a new one: sending it is meant.
    let once = again.text.split("name=\"once\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    operator.post("/operator/users/new", &format!("once={once}&name=Ada")).await.expect(303);
    assert_eq!(named_ada().await, 2);
}

#[tokio::test]
async fn an_account_whose_owner_cannot_be_is_not_made() {
    let house = House::open().await;
    let (gone, _) = house.member("default", "member").await;
    house.patch(&format!("users/{gone}"), json!({"disabled": true})).await.expect(200);
    let operator = Browser::operator(&house).await;
    for owner in [gone.as_str(), "user_019ab0c0d1e27f3a8b4c5d6e7f809a1b", "nobody"] {
        let body = json!({"handle": "acme", "owner": owner});
        let refused = house.post("accounts", body).await.refused(400, "invalid_request");
        assert_eq!(refused["field"], "owner", "{refused}");
        let form = format!("handle=acme&owner={owner}");
        let refused = operator.post("/operator/accounts/new", &form).await.expect(422);
        assert!(refused.text.contains("id=\"owner-error\""), "{}", refused.text);
        house.get("accounts/acme").await.expect(404);
    }
}

#[tokio::test]
async fn a_row_that_is_wrong_is_told_at_the_row_and_another_kind_keeps_what_was_typed() {
    let house = House::open().await;
    house.model("chat-a").await;
    let operator = Browser::operator(&house).await;
    let row = |upstream: &str, model: &str, weight: &str| {
        format!("&served_upstream={upstream}&served_model={model}&served_weight={weight}")
    };
    let typed = "kind=chat&name=chat-c&title=My+title&currency=EUR&price_input=0.50&price_cached=0.10";
    let rows = [row("gpu-a", "", "1"), row("gpu-a", "x", "1"), row("gpu-a", "chat-c", "2"), row("", "y", "1")].concat();
    let wrong = operator.post("/operator/models/new", &format!("{typed}{rows}")).await.expect(422).text;
    let said =
        |at: u32| wrong.split(&format!("id=\"served{at}-error\">")).nth(1).map(|rest| rest.split('<').next().unwrap());
    assert_eq!((said(1), said(2)), (None, None));
    assert_eq!(said(3), Some("The same upstream with the same model is in row 1 already."));
    assert_eq!(said(4), Some("Choose an upstream, or remove the row."));
    let heavy =
        operator.post("/operator/models/new", &format!("{typed}{}", row("gpu-a", "", "1000001"))).await.expect(422);
    assert!(heavy.text.contains("id=\"served1-error\">A weight is"), "{}", heavy.text);
    let there = [row("gpu-a", "there", "7")].concat();
    let other =
        operator.post("/operator/models/new", &format!("{typed}{there}&act=kind-embedding")).await.expect(200).text;
    for kept in
        ["value=\"chat-c\"", "value=\"My title\"", "value=\"EUR\"", "value=\"there\"", "value=\"7\"", "value=\"0.50\""]
    {
        assert!(other.contains(kept), "{kept}: {other}");
    }
    assert!(
        other.contains("name=\"kind\" value=\"embedding\"") && !other.contains("<label for=\"price_cached\""),
        "{other}"
    );
    assert!(
        other.contains("type=\"hidden\" name=\"price_cached\" value=\"0.10\""),
        "it comes back with the kind that has it"
    );
    let made = format!("{}{there}", typed.replace("kind=chat", "kind=embedding"));
    operator.post("/operator/models/new", &made).await.expect(303);
    let made = house.get("models/chat-c").await.expect(200).json();
    assert_eq!(
        (&made["kind"], &made["price"]["cached_input_per_million"]),
        (&json!("embedding"), &json!(null)),
        "{made}"
    );
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
    operator.submit(&format!("{page}/disable"), "").await.expect(303);
    assert!(operator.get(&page).await.expect(200).text.contains("Disabled"));
    operator.post("/operator/users/new", "name=Ada&email=ADA%40example.com").await.expect(422);
}
