//! Every endpoint of the management API as everybody: as nobody, with a key for inference, as the owner of another
//! account, as viewer, member and owner, as the operator.
//!
//! [`ENDPOINTS`] is compared with the served OpenAPI document: an endpoint without an expectation fails the test.

use std::collections::BTreeSet;

use tollgate_tests::{Engine, House, Issued, Value, json, on_both};

use self::May::{Anybody, Member, Operator, Owner, Read, Session, User};

on_both!(
    every_endpoint_lets_in_whom_it_should_and_nobody_else,
    a_member_manages_its_own_keys_and_no_others,
    a_stranger_finds_nothing_of_another_account,
    a_token_ends_with_its_owner_and_never_grows,
    the_catalogue_tells_customers_no_upstream,
);

/// Who may call an endpoint; each line includes those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum May {
    /// Anybody.
    Anybody,
    /// Whoever has an access token.
    User,
    /// Every role of the account that it is about.
    Read,
    /// Members and owners of that account.
    Member,
    /// Owners of that account.
    Owner,
    /// The operator.
    Operator,
    /// Nobody by a token: only somebody signed in to the console.
    Session,
}

const ENDPOINTS: [(&str, &str, May); 67] = [
    ("GET", "/api/v1/openapi.json", Anybody),
    ("GET", "/api/v1/me", User),
    ("GET", "/api/v1/me/sessions", Session),
    ("POST", "/api/v1/me/sessions/revoke", Session),
    ("POST", "/api/v1/me/sessions/{id}/revoke", Session),
    ("PUT", "/api/v1/me/password", Session),
    ("POST", "/api/v1/me/password/remove", Session),
    ("GET", "/api/v1/keys", Read),
    ("POST", "/api/v1/keys", Member),
    ("GET", "/api/v1/keys/{id}", Read),
    ("PATCH", "/api/v1/keys/{id}", Member),
    ("POST", "/api/v1/keys/{id}/revoke", Member),
    ("POST", "/api/v1/keys/{id}/disable", Member),
    ("POST", "/api/v1/keys/{id}/enable", Member),
    ("POST", "/api/v1/keys/{id}/rotate", Member),
    ("POST", "/api/v1/leaks", Owner),
    ("POST", "/leaks", Anybody),
    ("GET", "/api/v1/usage", Read),
    ("GET", "/api/v1/usage/latency", Read),
    ("GET", "/api/v1/tokens", User),
    ("POST", "/api/v1/tokens", User),
    ("POST", "/api/v1/tokens/{id}/revoke", User),
    ("GET", "/api/v1/models", User),
    ("POST", "/api/v1/models", Operator),
    ("GET", "/api/v1/models/{model}", User),
    ("PATCH", "/api/v1/models/{model}", Operator),
    ("DELETE", "/api/v1/models/{model}", Operator),
    ("GET", "/api/v1/upstreams", Operator),
    ("POST", "/api/v1/upstreams", Operator),
    ("GET", "/api/v1/upstreams/{upstream}", Operator),
    ("PATCH", "/api/v1/upstreams/{upstream}", Operator),
    ("DELETE", "/api/v1/upstreams/{upstream}", Operator),
    ("POST", "/api/v1/upstreams/{upstream}/test", Operator),
    ("GET", "/api/v1/plans", Operator),
    ("POST", "/api/v1/plans", Operator),
    ("GET", "/api/v1/plans/{plan}", Operator),
    ("PATCH", "/api/v1/plans/{plan}", Operator),
    ("DELETE", "/api/v1/plans/{plan}", Operator),
    ("GET", "/api/v1/accounts", Operator),
    ("POST", "/api/v1/accounts", Operator),
    ("GET", "/api/v1/accounts/{account}", Read),
    ("PATCH", "/api/v1/accounts/{account}", Operator),
    ("GET", "/api/v1/accounts/{account}/members", Owner),
    ("PATCH", "/api/v1/accounts/{account}/members/{user}", Owner),
    ("DELETE", "/api/v1/accounts/{account}/members/{user}", Owner),
    ("GET", "/api/v1/accounts/{account}/invitations", Owner),
    ("POST", "/api/v1/accounts/{account}/invitations", Owner),
    ("POST", "/api/v1/accounts/{account}/invitations/{id}/revoke", Owner),
    ("GET", "/api/v1/users", Owner),
    ("POST", "/api/v1/users", Operator),
    ("GET", "/api/v1/users/{id}", Owner),
    ("PATCH", "/api/v1/users/{id}", Operator),
    ("POST", "/api/v1/users/{id}/sign-in-links", Operator),
    ("GET", "/api/v1/nodes", Operator),
    ("GET", "/api/v1/nodes/journal-gaps", Operator),
    ("POST", "/api/v1/nodes/{id}/write-off", Operator),
    ("GET", "/api/v1/audit", Owner),
    ("GET", "/api/v1/webhooks", Owner),
    ("POST", "/api/v1/webhooks", Owner),
    ("GET", "/api/v1/webhooks/{id}", Owner),
    ("PATCH", "/api/v1/webhooks/{id}", Owner),
    ("POST", "/api/v1/webhooks/{id}/rotate", Owner),
    ("POST", "/api/v1/webhooks/{id}/test", Owner),
    ("GET", "/api/v1/webhooks/{id}/deliveries", Owner),
    ("POST", "/api/v1/webhooks/{id}/deliveries/{delivery}/resend", Owner),
    ("DELETE", "/api/v1/webhooks/{id}", Owner),
    ("POST", "/api/v1/mail/test", Operator),
];

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Nobody,
    KeyForInference,
    OwnerOfAnother,
    Viewer,
    Member,
    Owner,
    Operator,
}

impl Caller {
    /// The operator comes last: what it is let into may take the thing away.
    const ALL: [Self; 7] = [
        Self::Nobody,
        Self::KeyForInference,
        Self::OwnerOfAnother,
        Self::Viewer,
        Self::Member,
        Self::Owner,
        Self::Operator,
    ];

    /// The statuses with which an endpoint refuses this caller; none: it lets it in.
    fn refusals(self, may: May) -> &'static [u16] {
        let lets_in = match self {
            Self::Nobody | Self::KeyForInference => may == Anybody,
            Self::OwnerOfAnother => may <= User,
            Self::Viewer => may <= Read,
            Self::Member => may <= Member,
            Self::Owner => may <= Owner,
            Self::Operator => may != Session,
        };
        match self {
            _ if lets_in => &[],
            Self::Nobody | Self::KeyForInference => &[401],
            // Another account's things do not exist; what is the operator's is forbidden.
            Self::OwnerOfAnother if matches!(may, Operator | Session) => &[403],
            Self::OwnerOfAnother => &[404],
            Self::Viewer | Self::Member | Self::Owner | Self::Operator => &[403],
        }
    }
}

/// The house with one of everything.
struct Scene {
    house: House,
    tokens: Vec<(Caller, String)>,
    user: String,
    /// A webhook of `default`, and something that was sent to it.
    webhook: (String, String),
}

impl Scene {
    async fn set(engine: Engine) -> Self {
        // Nothing listens at the webhooks here: that is an answer too.
        let allowed = "[webhooks]\nallow_private = true\n";
        let house = House::open_with(engine, |options, _| options.settings(allowed)).await;
        let made = |path: &'static str, body: Value| house.api("POST", path).json(&body).send();
        made("plans", json!({"handle": "spare", "name": "Spare", "paid": true})).await.expect(201);
        made("accounts", json!({"handle": "other", "name": "Other", "plan": "spare"})).await.expect(201);
        let user = json!({"name": "Spare", "memberships": [{"account": "default", "role": "viewer"}]});
        let user = made("users", user).await.expect(201).json()["id"].as_str().expect("an id").to_owned();
        let key = house.key(&["chat-a"]).await.key;
        let mut tokens = vec![(Caller::KeyForInference, key), (Caller::Operator, house.token.clone())];
        for (caller, account, role) in [
            (Caller::OwnerOfAnother, "other", "owner"),
            (Caller::Viewer, "default", "viewer"),
            (Caller::Member, "default", "member"),
            (Caller::Owner, "default", "owner"),
        ] {
            tokens.push((caller, house.token_of(account, role).await));
        }
        let webhook = webhook_of(&house).await;
        let tested = house.api("POST", &format!("webhooks/{webhook}/test")).json(&json!({})).send().await.expect(200);
        let delivery = tested.json()["delivery"].as_str().expect("an id").to_owned();
        Self { house, tokens, user, webhook: (webhook, delivery) }
    }
    fn token(&self, caller: Caller) -> Option<&str> {
        self.tokens.iter().find(|(who, _)| *who == caller).map(|(_, token)| token.as_str())
    }
    /// The path and body of a call that would do something, about the account `default`.
    async fn call(&self, method: &str, template: &str, caller: Caller, at: usize) -> (String, Option<Value>) {
        let path = template.trim_start_matches("/api/v1/");
        let noun = path.split('/').next().unwrap_or_default();
        let id = match noun {
            // Members manage the keys that they made: each gets one of its own.
            "keys" if path.contains("{id}") => {
                let maker = if caller == Caller::Member { self.token(caller) } else { None };
                self.key_made_by(maker.unwrap_or(&self.house.token)).await.id
            }
            "tokens" if path.contains("{id}") => {
                let owner = match caller {
                    Caller::Nobody | Caller::KeyForInference => &self.house.token,
                    _ => self.token(caller).expect("a token"),
                };
                let made = self.house.api_as(owner, "POST", "tokens").json(&json!({"name": "spare"})).send().await;
                made.expect(201).json()["id"].as_str().expect("an id").to_owned()
            }
            "accounts" if path.contains("invitations/{id}") => {
                let made = self.house.api("POST", "accounts/default/invitations").json(&json!({"role": "viewer"}));
                made.send().await.expect(201).json()["id"].as_str().expect("an id").to_owned()
            }
            "nodes" => {
                let nodes = self.house.api("GET", "nodes").send().await.expect(200).json();
                nodes["data"][0]["id"].as_str().expect("the node that serves").to_owned()
            }
            "webhooks" if method == "DELETE" => webhook_of(&self.house).await,
            "webhooks" => self.webhook.0.clone(),
            // Whoever may take a member out takes this one.
            "accounts" if path.contains("{user}") => {
                let body = json!({"name": "M", "memberships": [{"account": "default", "role": "viewer"}]});
                let made = self.house.api("POST", "users").json(&body).send().await.expect(201).json();
                made["id"].as_str().expect("an id").to_owned()
            }
            _ => self.user.clone(),
        };
        // What an operator changes or takes away is its own: one for each call.
        let spare = format!("spare-{at}");
        if caller == Caller::Operator && method != "GET" {
            for (about, collection, body) in [
                ("{model}", "models", json!({"name": spare, "kind": "chat"})),
                ("{upstream}", "upstreams", json!({"name": spare, "base_url": "http://127.0.0.1:9/v1"})),
                ("{plan}", "plans", json!({"handle": spare, "name": "Spare", "paid": true})),
            ] {
                if path.contains(about) {
                    self.house.api("POST", collection).json(&body).send().await.expect(201);
                }
            }
        }
        let existing =
            |usual: &str| if caller == Caller::Operator && method != "GET" { spare.clone() } else { usual.to_owned() };
        let mut path = path
            .replace("{id}", &id)
            .replace("{user}", &id)
            .replace("{delivery}", &self.webhook.1)
            .replace("{account}", "default")
            .replace("{model}", &existing("chat-a"))
            .replace("{upstream}", &existing("fake"))
            .replace("{plan}", &existing("spare"));
        if matches!(
            template,
            "/api/v1/keys"
                | "/api/v1/usage"
                | "/api/v1/usage/latency"
                | "/api/v1/users"
                | "/api/v1/audit"
                | "/api/v1/webhooks"
        ) && method == "GET"
        {
            path.push_str("?account=default");
        }
        if template == "/api/v1/leaks" {
            path.push_str("?account=default");
        }
        let unique = format!("made-{at}-{caller:?}").to_lowercase();
        let body = match (method, noun, path.contains('/')) {
            // Of a key that nobody has: what is reported is the same to every caller.
            ("POST", "leaks" | "", _) if template.ends_with("leaks") => json!({"keys": ["tg_none"]}),
            ("POST", "keys", false) => json!({"name": "k", "models": "all", "account": "default"}),
            ("POST", "tokens", false) => json!({"name": "t"}),
            ("POST", "models", _) => json!({"name": unique, "kind": "chat"}),
            ("POST", "upstreams", true) => json!({}),
            ("POST", "upstreams", _) => json!({"name": unique, "base_url": "http://127.0.0.1:9/v1"}),
            ("POST", "plans", _) => json!({"handle": unique, "name": "P", "paid": true}),
            ("POST", "accounts", true) if path.ends_with("/invitations") => json!({"role": "viewer"}),
            ("PATCH", "accounts", true) if path.contains("/members/") => json!({"role": "member"}),
            ("PUT", "me", true) | ("POST", "me", true) if path.contains("password") => {
                json!({"password": "a long line from a song"})
            }
            ("POST", "accounts", true) => json!({}),
            ("POST", "accounts", _) => json!({"handle": unique, "name": "A"}),
            ("POST", "users", false) => json!({"name": "U"}),
            ("POST", "webhooks", false) => json!({"name": "W", "url": "http://127.0.0.1:9/", "account": "default"}),
            ("PATCH", "models", _) => json!({"title": "T"}),
            ("PATCH", "upstreams", _) => json!({"enabled": true}),
            ("PATCH", ..) => json!({"name": "N"}),
            ("POST", ..) => json!({}),
            _ => return (path, None),
        };
        (path, Some(body))
    }
    async fn key_made_by(&self, token: &str) -> Issued {
        let body = json!({"name": "k", "models": "all"});
        Issued::from(self.house.api_as(token, "POST", "keys").json(&body).send().await.expect(201))
    }
}

/// A new webhook of `default`; its id.
async fn webhook_of(house: &House) -> String {
    let body = json!({"name": "W", "url": "http://127.0.0.1:9/", "account": "default"});
    let made = house.api("POST", "webhooks").json(&body).send().await.expect(201).json();
    made["id"].as_str().expect("an id").to_owned()
}

async fn every_endpoint_lets_in_whom_it_should_and_nobody_else(engine: Engine) {
    let scene = Scene::set(engine).await;
    let document = scene.house.http().get("/api/v1/openapi.json").send().await.expect(200).json();
    let documented: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, operations)| {
            let methods = operations.as_object().expect("operations").keys();
            let methods = methods.filter(|method| ["get", "post", "put", "patch", "delete"].contains(&method.as_str()));
            methods.map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
        })
        .collect();
    let expected: BTreeSet<(String, String)> =
        ENDPOINTS.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(documented, expected, "each endpoint needs its line in ENDPOINTS");

    let mut wrong = Vec::new();
    for (at, (method, template, may)) in ENDPOINTS.into_iter().enumerate() {
        for caller in Caller::ALL {
            let (path, body) = scene.call(method, template, caller, at).await;
            // What is not below the API is named whole.
            let at = if path.starts_with('/') { path.clone() } else { format!("/api/v1/{path}") };
            let mut request = scene.house.http().request(method, &at);
            if let Some(token) = scene.token(caller) {
                request = request.bearer(token);
            }
            if let Some(body) = body {
                request = request.json(&body);
            }
            let reply = request.send().await;
            let refusals = caller.refusals(may);
            let status = reply.status.as_u16();
            // No mail is sent here, and the operator is told so.
            // No mail is set up, and the one node serves: that is said only to who may hear it.
            let impossible = ["/api/v1/mail/test", "/api/v1/nodes/{id}/write-off"];
            let lets_in = (200..300).contains(&status) || (impossible.contains(&template) && status == 409);
            let right = if refusals.is_empty() { lets_in } else { refusals.contains(&status) };
            if !right {
                wrong.push(format!("{caller:?} {method} {path}: {reply}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

async fn a_member_manages_its_own_keys_and_no_others(engine: Engine) {
    let scene = Scene::set(engine).await;
    let member = scene.token(Caller::Member).expect("a token");
    let (own, others) = (scene.key_made_by(member).await, scene.key_made_by(&scene.house.token).await);
    for (key, status) in [(&own, 200), (&others, 403)] {
        let call = |method, act: &str| scene.house.api_as(member, method, &format!("keys/{}{act}", key.id));
        call("PATCH", "").json(&json!({"name": "mine"})).send().await.expect(status);
        for act in ["/disable", "/enable", "/rotate", "/revoke"] {
            call("POST", act).json(&json!({})).send().await.expect(status);
        }
        call("GET", "").send().await.expect(200);
    }
}

async fn a_stranger_finds_nothing_of_another_account(engine: Engine) {
    let scene = Scene::set(engine).await;
    let stranger = scene.token(Caller::OwnerOfAnother).expect("a token");
    let key = scene.house.key(&["chat-a"]).await;
    scene.house.ask(&key.key, "chat-a").await;
    scene.house.usage_of(1).await;
    for path in ["keys", "usage?bucket=total&group_by=key,model", "audit", "users", "me", "tokens", "usage/latency"] {
        let reply = scene.house.api_as(stranger, "GET", path).send().await.expect(200);
        let shown = String::from_utf8_lossy(&reply.body).into_owned();
        for theirs in [key.id.as_str(), "\"default\"", "a key", scene.user.as_str()] {
            assert!(!shown.contains(theirs), "{theirs} in {path}: {shown}");
        }
    }
    // Another's key is as unknown as one that never was.
    let theirs = scene.house.api_as(stranger, "GET", &format!("keys/{}", key.id)).send().await.expect(404).json();
    let nobodys = scene
        .house
        .api_as(stranger, "GET", "keys/key_00000000000000000000000000000000")
        .send()
        .await
        .expect(404)
        .json();
    assert_eq!((&theirs["code"], &theirs["detail"]), (&nobodys["code"], &nobodys["detail"]));
    let filtered = scene.house.api_as(stranger, "GET", &format!("usage?bucket=total&key={}", key.id)).send().await;
    let rows = if filtered.status == 200 { filtered.json()["data"].clone() } else { json!([]) };
    assert_eq!(rows, json!([]), "{filtered}");
}

async fn a_token_ends_with_its_owner_and_never_grows(engine: Engine) {
    let scene = Scene::set(engine).await;
    let viewer = scene.token(Caller::Viewer).expect("a token");
    // A token made with a token has no more rights, in no other account.
    let made = scene.house.api_as(viewer, "POST", "tokens").json(&json!({"name": "t"})).send().await.expect(201).json();
    let made = made["token"].as_str().expect("a token");
    scene.house.api_as(made, "POST", "keys").json(&json!({"name": "k", "models": "all"})).send().await.expect(403);
    let other = json!({"name": "t", "account": "other"});
    scene.house.api_as(viewer, "POST", "tokens").json(&other).send().await.expect(404);
    // Revoked is refused at once.
    let me = scene.house.api_as(made, "GET", "me").send().await.expect(200).json();
    let path = format!("tokens/{}/revoke", me["token"].as_str().expect("an id"));
    scene.house.api_as(viewer, "POST", &path).send().await.expect(200);
    scene.house.api_as(made, "GET", "me").send().await.expect(401);
    // A token never does inference.
    let model = json!({"model": "chat-a"});
    for token in [viewer, scene.house.token.as_str()] {
        let reply = scene.house.http().post("/v1/chat/completions", &model).bearer(token).send().await;
        assert_eq!(reply.answer(), "401 invalid_api_key");
    }
}

async fn the_catalogue_tells_customers_no_upstream(engine: Engine) {
    let scene = Scene::set(engine).await;
    for caller in [Caller::Viewer, Caller::Owner, Caller::OwnerOfAnother] {
        let token = scene.token(caller).expect("a token");
        for path in ["models", "models/renamed"] {
            let shown = scene.house.api_as(token, "GET", path).send().await.expect(200).to_string();
            for inside in ["Vendor/Model-X", "\"fake\"", "served_by"] {
                assert!(!shown.contains(inside), "{inside} in {shown}");
            }
        }
    }
}
