//! Signing in by an identity provider: the certified `oidc-provider`, run by Node.js, one that lies, and what must not pass.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use tollgate_tests::{
    Engine, House, Http, Reply, Value, json,
    liar::{CLIENT_SECRET, Liar, Lie},
    on_both,
};

on_both!(
    a_person_of_the_provider_becomes_a_user_with_the_roles_of_its_groups,
    a_sign_in_that_was_not_begun_here_is_refused,
    who_is_not_known_or_not_verified_is_told_so_in_words,
    a_provider_that_is_down_signs_nobody_in,
    a_token_that_is_forged_foreign_or_old_signs_nobody_in,
    a_provider_that_changes_its_keys_is_asked_for_them_again,
    a_description_of_another_issuer_is_not_believed,
);

/// As many lies as fit into the tries that one address has.
const LIES_OF_A_HOUSE: usize = 8;

/// The provider's process; ends with the test.
pub(super) struct Provider {
    child: Child,
    /// Its address.
    pub(super) issuer: String,
    /// Held open: it warns there, and would end by a pipe that nobody reads.
    _said: BufReader<ChildStdout>,
}

impl Provider {
    /// Starts one on a free port.
    pub(super) fn start() -> Self {
        let node = std::env::var_os("TOLLGATE_TEST_NODE").unwrap_or_else(|| "node".into());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/oidc/provider.mjs");
        let mut child = Command::new(node)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Node.js runs: `cargo xtask test` finds or installs it");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        output.read_line(&mut line).expect("a line");
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self { child, issuer: said["issuer"].as_str().expect("an issuer").to_owned(), _said: output }
    }
    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
    /// What it says of a person from now on.
    async fn says(&self, claims: Value) {
        Http::at(&self.issuer).post("/tests/people", &claims).send().await.expect(204);
    }
}
impl Drop for Provider {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A browser that goes to several servers, with a cookie jar for each.
#[derive(Default)]
struct Browser {
    jars: BTreeMap<String, BTreeMap<String, String>>,
}

impl Browser {
    async fn send(&mut self, method: &str, url: &str, body: &str) -> Reply {
        let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("not an address: {url}"));
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let jar = self.jars.entry(host.to_owned()).or_default();
        let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Http::at(url).request(method, &format!("/{path}")).header("cookie", &cookies.join("; "));
        if method == "POST" {
            request = request.header("origin", &format!("http://{host}"));
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body.to_owned());
        }
        let reply = request.send().await;
        let jar = self.jars.entry(host.to_owned()).or_default();
        for set in reply.headers.get_all("set-cookie") {
            let pair = set.to_str().expect("a cookie").split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie");
            match value {
                "" => drop(jar.remove(name)),
                value => drop(jar.insert(name.to_owned(), value.to_owned())),
            }
        }
        reply
    }
    /// Follows redirections from `url`, answering the provider's questions as `login`, until an address begins with
    /// `stop`; that address.
    async fn walk(&mut self, url: &str, login: &str, stop: &str) -> String {
        let mut url = url.to_owned();
        for _ in 0..20 {
            if url.starts_with(stop) {
                return url;
            }
            let mut reply = self.send("GET", &url, "").await;
            if reply.status == 200 {
                reply = self.send("POST", &url, &format!("login={login}")).await;
            }
            let to = reply.header("location").to_owned();
            assert!(!to.is_empty(), "{url}: {reply}");
            let base: String = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
            url = if to.starts_with('/') { format!("{base}{to}") } else { to };
        }
        panic!("redirected for ever: {url}")
    }
    /// Signs in by the provider up to its callback, and goes there.
    async fn sign_in(&mut self, house: &House, login: &str) -> Reply {
        let callback = self.callback(house, login).await;
        self.send("GET", &callback, "").await
    }
    /// The address that the provider sends the browser back to.
    async fn callback(&mut self, house: &House, login: &str) -> String {
        let url = house.url();
        self.walk(&format!("{url}/sign-in/oidc?next=%2Fme"), login, &format!("{url}/sign-in/oidc/callback")).await
    }
    async fn me(&mut self, house: &House) -> Reply {
        self.send("GET", &format!("{}/api/v1/me", house.url()), "").await
    }
}

/// A house that trusts the provider; `create_users`: also people who are not known yet.
pub(super) async fn open(engine: Engine, provider: &Provider, create_users: bool) -> House {
    open_for(engine, &provider.issuer, create_users).await
}

async fn open_for(engine: Engine, issuer: &str, create_users: bool) -> House {
    let settings = format!(
        "[sign_in.oidc]\nissuer = \"{issuer}\"\nclient_id = \"tollgate\"\nclient_secret = \"{CLIENT_SECRET}\"\n\
         scopes = [\"email\", \"profile\", \"groups\"]\nlabel = \"The provider\"\ncreate_users = {create_users}\n\
         [[sign_in.oidc.groups]]\ngroup = \"members\"\naccount = \"default\"\nrole = \"member\"\n\
         [[sign_in.oidc.groups]]\ngroup = \"owners\"\naccount = \"default\"\nrole = \"owner\"\n\
         [[sign_in.oidc.groups]]\ngroup = \"operators\"\noperator = true\n"
    );
    House::open_with(engine, |options, _| options.settings(&settings)).await
}

/// The code that a page of a failed sign-in shows.
fn code_of(reply: &Reply) -> String {
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    text.split("<code>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default().to_owned()
}

async fn a_person_of_the_provider_becomes_a_user_with_the_roles_of_its_groups(engine: Engine) {
    let provider = Provider::start();
    let house = open(engine, &provider, true).await;
    let mut browser = Browser::default();
    let page = browser.send("GET", &format!("{}/sign-in", house.url()), "").await.expect(200);
    assert!(page.to_string().contains("The provider"));
    let signed_in = browser.sign_in(&house, "minh").await.expect(303);
    assert_eq!(signed_in.header("location"), "/me");
    let me = browser.me(&house).await.expect(200).json();
    assert_eq!((&me["user"]["email"], &me["account"]["role"]), (&json!("minh@example.com"), &json!("member")), "{me}");
    // Other groups, other roles: at the next sign-in, and the same user.
    provider.says(json!({"sub": "minh", "email": "new@example.com", "email_verified": true, "groups": ["owners", "operators"]})).await;
    let mut again = Browser::default();
    again.sign_in(&house, "minh").await.expect(303);
    let later = again.me(&house).await.expect(200).json();
    assert_eq!((&later["user"]["id"], &later["operator"]), (&me["user"]["id"], &json!(true)), "{later}");
    provider.says(json!({"sub": "minh", "email": "new@example.com", "email_verified": true, "groups": []})).await;
    let mut last = Browser::default();
    last.sign_in(&house, "minh").await.expect(303);
    let last = last.me(&house).await.expect(200).json();
    assert_eq!((&last["operator"], &last["accounts"]), (&json!(false), &json!([])), "{last}");
    // Neither tokens nor codes nor the secret are in the log.
    let log = house.node.log();
    for secret in ["a-client-secret-of-the-tests", "code=", "id_token", "eyJ"] {
        assert!(!log.contains(secret), "{secret}");
    }
}

async fn a_sign_in_that_was_not_begun_here_is_refused(engine: Engine) {
    let provider = Provider::start();
    let house = open(engine, &provider, true).await;
    let mut browser = Browser::default();
    let callback = browser.callback(&house, "minh").await;
    // Another browser has no cookie of it.
    let foreign = Browser::default().send("GET", &callback, "").await.expect(400);
    assert_eq!(code_of(&foreign), "oidc_state");
    // Another state, and another issuer.
    let (mut other, address) = (Browser::default(), house.url());
    other.jars.insert(address[7..].to_owned(), browser.jars[&address[7..]].clone());
    let wrong = callback.replace("state=", "state=0");
    assert_eq!(code_of(&other.send("GET", &wrong, "").await.expect(400)), "oidc_state");
    assert!(!other.jars[&address[7..]].contains_key("tollgate_oidc"), "one try each");
    let cookies = browser.jars[&address[7..]].clone();
    other.jars.insert(address[7..].to_owned(), cookies.clone());
    let elsewhere = format!("{}&iss=https%3A%2F%2Felsewhere.example", callback.split("&iss=").next().unwrap());
    assert_eq!(code_of(&other.send("GET", &elsewhere, "").await.expect(403)), "oidc_token");
    // The right one works, and only once: the provider takes no code twice.
    browser.send("GET", &callback, "").await.expect(303);
    let mut replay = Browser::default();
    replay.jars.insert(address[7..].to_owned(), cookies);
    assert_eq!(code_of(&replay.send("GET", &callback, "").await.expect(400)), "oidc_code");
    replay.me(&house).await.expect(401);
    // A cookie that somebody made up is none.
    replay.jars.entry(address[7..].to_owned()).or_default().insert("tollgate_oidc".into(), "00".repeat(100));
    assert_eq!(code_of(&replay.send("GET", &callback, "").await.expect(400)), "oidc_state");
    // Cancelled at the provider.
    let cancelled = Browser::default().sign_in(&house, "nobody").await.expect(403);
    assert_eq!(code_of(&cancelled), "oidc_denied");
}

async fn who_is_not_known_or_not_verified_is_told_so_in_words(engine: Engine) {
    let provider = Provider::start();
    let house = open(engine, &provider, false).await;
    assert_eq!(code_of(&Browser::default().sign_in(&house, "minh").await.expect(403)), "oidc_unknown");
    let lan = json!({"name": "Lan", "email": "lan@example.com"});
    let lan = house.api("POST", "users").json(&lan).send().await.expect(201).json();
    let unverified = Browser::default().sign_in(&house, "lan").await.expect(403);
    assert_eq!(code_of(&unverified), "oidc_email_not_verified");
    provider.says(json!({"sub": "lan", "email": "Lan@Example.com", "email_verified": true, "groups": []})).await;
    let mut browser = Browser::default();
    browser.sign_in(&house, "lan").await.expect(303);
    assert_eq!(browser.me(&house).await.expect(200).json()["user"]["id"], lan["id"]);
    let path = format!("users/{}", lan["id"].as_str().unwrap());
    house.api("PATCH", &path).json(&json!({"disabled": true})).send().await.expect(200);
    browser.me(&house).await.expect(401);
    assert_eq!(code_of(&Browser::default().sign_in(&house, "lan").await.expect(403)), "user_disabled");
}

async fn a_provider_that_is_down_signs_nobody_in(engine: Engine) {
    let mut provider = Provider::start();
    let house = open(engine, &provider, true).await;
    let mut browser = Browser::default();
    let callback = browser.callback(&house, "minh").await;
    provider.stop();
    assert_eq!(code_of(&browser.send("GET", &callback, "").await.expect(502)), "oidc_provider");
    browser.me(&house).await.expect(401);
    // One that was never reached.
    let other = open(engine, &provider, true).await;
    let refused = Browser::default().send("GET", &format!("{}/sign-in/oidc", other.url()), "").await.expect(502);
    assert_eq!(code_of(&refused), "oidc_provider");
}

/// Who is a user here: a sign-in that was refused makes none.
async fn users(house: &House) -> usize {
    house.api("GET", "users").send().await.expect(200).json()["data"].as_array().expect("users").len()
}

async fn a_token_that_is_forged_foreign_or_old_signs_nobody_in(engine: Engine) {
    for lies in Lie::OF_TOKENS.chunks(LIES_OF_A_HOUSE) {
        let liar = Liar::start(Lie::None).await;
        let house = open_for(engine, &liar.issuer, true).await;
        let before = users(&house).await;
        let mut told = Vec::new();
        for lie in lies {
            liar.lies(*lie);
            let mut browser = Browser::default();
            let refused = browser.sign_in(&house, "").await;
            let code = code_of(&refused);
            // Told in a page of ours, in words; a token that is no token at all is the provider's fault.
            let expected: &[&str] = match lie {
                Lie::NoSubject | Lie::NoExpiry | Lie::NoToken => &["403 oidc_token", "502 oidc_provider"],
                Lie::ForeignUserInfo => &["502 oidc_provider"],
                _ => &["403 oidc_token"],
            };
            let page = String::from_utf8_lossy(&refused.body).into_owned();
            let is_page = page.contains("<h1") && page.contains("/sign-in") && !page.contains("eyJ");
            if !expected.contains(&format!("{} {code}", refused.status.as_u16()).as_str()) || !is_page {
                told.push(format!("{lie:?}: {refused}"));
            }
            let cookies: Vec<String> = browser.jars.values().flat_map(BTreeMap::keys).cloned().collect();
            if cookies.iter().any(|name| name.contains("session")) || browser.me(&house).await.status != 401 {
                told.push(format!("{lie:?} left a session: {cookies:?}"));
            }
        }
        assert!(told.is_empty(), "{}", told.join("\n"));
        assert_eq!(users(&house).await, before, "nobody became a user");
        // The same provider, when it does not lie: so it was the lies.
        liar.lies(Lie::None);
        let mut browser = Browser::default();
        browser.sign_in(&house, "").await.expect(303);
        let me = browser.me(&house).await.expect(200).json();
        assert_eq!((&me["user"]["email"], &me["operator"]), (&json!("minh@example.com"), &json!(true)), "{me}");
        assert_eq!(users(&house).await, before + 1);
        let log = house.node.log();
        for secret in [CLIENT_SECRET, "eyJ", "an-access-token"] {
            assert!(!log.contains(secret), "{secret} in the log");
        }
    }
}

async fn a_provider_that_changes_its_keys_is_asked_for_them_again(engine: Engine) {
    let liar = Liar::start(Lie::None).await;
    let house = open_for(engine, &liar.issuer, true).await;
    Browser::default().sign_in(&house, "").await.expect(303);
    assert_eq!(liar.descriptions(), 1, "kept for the next");
    liar.changes_key("second");
    Browser::default().sign_in(&house, "").await.expect(303);
    assert_eq!(liar.descriptions(), 2);
    // A stranger's tokens do not make us ask without end.
    liar.lies(Lie::UnknownKey);
    for _ in 0..3 {
        assert_eq!(code_of(&Browser::default().sign_in(&house, "").await.expect(403)), "oidc_token");
    }
    assert_eq!(liar.descriptions(), 2);
}

async fn a_description_of_another_issuer_is_not_believed(engine: Engine) {
    let liar = Liar::start(Lie::AnotherIssuersDescription).await;
    let house = open_for(engine, &liar.issuer, true).await;
    let url = format!("{}/sign-in/oidc", house.url());
    assert_eq!(code_of(&Browser::default().send("GET", &url, "").await.expect(502)), "oidc_provider");
    liar.lies(Lie::None);
    Browser::default().sign_in(&house, "").await.expect(303);
}
