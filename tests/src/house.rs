//! The usual set-up: one node, one upstream, a small catalogue, the operator's token.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Engine, FakeUpstream, Http, Node, NodeOptions, Reply,
    cli::{self, Cli},
    engine::Database,
    eventually,
    http::Request,
    node::command,
};

/// The upstream's credential: must be seen by it, and by nobody else.
pub const CREDENTIAL: &str = "sk-upstream-credential-7c1f";

/// A node with its store, upstream, catalogue and operator.
///
/// The catalogue: `chat-a` and `chat-b` (chat), `renamed` (chat, `Vendor/Model-X` upstream), `embed-a` (embedding),
/// `rerank-a` (rerank), all on the upstream `fake`.
pub struct House {
    /// The node.
    pub node: Node,
    /// The upstream.
    pub upstream: FakeUpstream,
    /// The operator's access token.
    pub token: String,
    /// The store.
    pub database: Database,
    /// Where all files are.
    pub directory: TempDir,
}

/// A key as it was handed out.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Its id.
    pub id: String,
    /// Its text.
    pub key: String,
    /// The whole answer.
    pub answer: Value,
}

/// The usual catalogue in the settings' words.
#[must_use]
pub fn catalogue(upstream: &FakeUpstream, engine: &str, on_client_gone: &str) -> String {
    let mut text = format!(
        "[[upstreams]]\nname = \"fake\"\nbase_url = \"{}\"\ncredential = \"{CREDENTIAL}\"\nengine = \"{engine}\"\n\
         on_client_gone = \"{on_client_gone}\"\n",
        upstream.base_url()
    );
    for (name, kind, there) in [
        ("chat-a", "chat", "chat-a"),
        ("chat-b", "chat", "chat-b"),
        ("renamed", "chat", "Vendor/Model-X"),
        ("embed-a", "embedding", "embed-a"),
        ("rerank-a", "rerank", "rerank-a"),
    ] {
        text.push_str(&format!(
            "[[models]]\nname = \"{name}\"\nkind = \"{kind}\"\nprice = {{ currency = \"USD\", input_per_million = \
             \"0.50\", output_per_million = \"1.50\" }}\nserved_by = [{{ upstream = \"fake\", model = \"{there}\", \
             weight = 1 }}]\n"
        ));
    }
    text
}

impl House {
    /// The usual one.
    pub async fn open(engine: Engine) -> Self {
        Self::open_with(engine, |options, _| options).await
    }
    /// One with other options; the upstream is there already.
    pub async fn open_with(engine: Engine, change: impl FnOnce(NodeOptions, &FakeUpstream) -> NodeOptions) -> Self {
        let upstream = FakeUpstream::start().await;
        let usual = catalogue(&upstream, "openai", "cancel");
        Self::open_bare(engine, upstream, |options, upstream| change(options.settings(&usual), upstream)).await
    }
    /// One without a catalogue.
    pub async fn open_bare(
        engine: Engine,
        upstream: FakeUpstream,
        change: impl FnOnce(NodeOptions, &FakeUpstream) -> NodeOptions,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let database = engine.database(directory.path());
        let options = NodeOptions::new(&directory.path().join("node"), database.url());
        let node = change(options, &upstream).start().await;
        let token = bootstrap(node.options());
        Self { node, upstream, token, database, directory }
    }
    /// A second node on the same store.
    pub async fn second_node(&self) -> Node {
        self.second_node_with(|_| {}).await
    }
    /// A second node with other options.
    pub async fn second_node_with(&self, change: impl FnOnce(&mut NodeOptions)) -> Node {
        let mut options = self.node.options().clone();
        options.directory = self.directory.path().join("second");
        std::fs::create_dir_all(&options.directory).expect("a directory");
        let [own, others] = [&options, self.node.options()].map(|options| options.directory.join("master.key"));
        std::fs::copy(others, own).expect("the same master key");
        change(&mut options);
        options.start().await
    }
    /// The node's listener.
    #[must_use]
    pub const fn http(&self) -> Http {
        self.node.http()
    }
    /// The node's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.http().address())
    }
    /// The operator's command line.
    #[must_use]
    pub fn cli(&self) -> Cli {
        Cli::new(&self.url(), &self.token)
    }

    /// A request to the management API as the operator; `path` behind `/api/v1/`.
    #[must_use]
    pub fn api(&self, method: &str, path: &str) -> Request {
        self.api_as(&self.token, method, path)
    }
    /// The same as the owner of `token`.
    #[must_use]
    pub fn api_as(&self, token: &str, method: &str, path: &str) -> Request {
        self.http().request(method, &format!("/api/v1/{path}")).bearer(token)
    }
    /// Makes a key for these models.
    pub async fn key(&self, models: &[&str]) -> Issued {
        self.key_with(json!({"name": "a key", "models": models})).await
    }
    /// Makes a key from a whole body.
    pub async fn key_with(&self, body: Value) -> Issued {
        Issued::from(self.api("POST", "keys").json(&body).send().await.expect(201))
    }
    /// Revokes a key; returns the answer.
    pub async fn revoke(&self, key: &Issued) -> Reply {
        self.api("POST", &format!("keys/{}/revoke", key.id)).json(&json!({})).send().await
    }
    /// Makes a user with a role in an account, and a token for it; returns the token.
    pub async fn token_of(&self, account: &str, role: &str) -> String {
        let body = json!({"name": format!("{role} of {account}"), "memberships": [{"account": account, "role": role}]});
        let user = self.api("POST", "users").json(&body).send().await.expect(201).json();
        let body = json!({"name": "a token", "user": user["id"], "account": account});
        let token = self.api("POST", "tokens").json(&body).send().await.expect(201).json();
        token["token"].as_str().unwrap_or_else(|| panic!("{token}")).to_owned()
    }

    /// A chat request with a key; `more` is laid over the body.
    #[must_use]
    pub fn chat(&self, key: &str, model: &str, more: Value) -> Request {
        chat(self.http(), key, model, more)
    }
    /// Asks for a chat with a key: status and code.
    pub async fn ask(&self, key: &str, model: &str) -> String {
        self.chat(key, model, json!({})).send().await.answer()
    }
    /// The totals of usage, of the account `default`, all of today: `{requests, failed, input_tokens, …}`.
    pub async fn usage(&self) -> Value {
        let rows = self.usage_by("").await;
        rows.into_iter().next().unwrap_or_else(|| json!({"requests": 0, "input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "classes": {"exact": 0}}))
    }
    /// Rows of usage grouped by `by` (`key`, `model`, or several), all of today; beside `shares` they have `classes`,
    /// which are the same as numbers of requests.
    pub async fn usage_by(&self, by: &str) -> Vec<Value> {
        let by = if by.is_empty() { String::new() } else { format!("&group_by={by}") };
        let reply = self.api("GET", &format!("usage?bucket=total{by}")).send().await.expect(200);
        let mut rows = reply.json()["data"].as_array().expect("data").clone();
        rows.iter_mut().for_each(count_classes);
        rows
    }
    /// Waits until usage counts this many requests, then returns the totals.
    pub async fn usage_of(&self, requests: u64) -> Value {
        eventually(&format!("usage counts {requests} requests"), async || {
            let usage = self.usage().await;
            let counted = usage["requests"].as_u64()?;
            assert!(counted <= requests, "counted {counted} of {requests} requests: {usage}");
            (counted == requests).then_some(usage)
        })
        .await
    }
}

/// Adds `classes`: the shares of the requests as numbers of requests.
fn count_classes(row: &mut Value) {
    let requests = row["requests"].as_f64().expect("requests");
    let shares = row["shares"].as_object().expect("shares").clone();
    let counts = shares.into_iter().map(|(class, share)| {
        let count = (share.as_f64().unwrap_or_else(|| panic!("{class}")) * requests).round();
        (class, json!(count as u64))
    });
    row["classes"] = counts.collect::<serde_json::Map<_, _>>().into();
}

impl Issued {
    /// From the answer that made or rotated it.
    #[must_use]
    pub fn from(reply: Reply) -> Self {
        let answer = reply.json();
        let text = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("no {name}: {answer}")).to_owned();
        Self { id: text("id"), key: text("key"), answer: answer.clone() }
    }
}

/// A chat request with a key; `more` is laid over the body.
#[must_use]
pub fn chat(http: Http, key: &str, model: &str, more: Value) -> Request {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "Hello?"}]});
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    http.post("/v1/chat/completions", &body).bearer(key)
}

/// A new operator's access token, made on the store itself.
#[must_use]
pub fn bootstrap(options: &NodeOptions) -> String {
    let settings = options.directory.join("tollgate.toml");
    let mut command = command();
    command.args(["bootstrap", "--config", &settings.display().to_string()]).current_dir(&options.directory);
    // Its settings may name secrets of the environment.
    command.envs(options.environment.iter().map(|(name, value)| (name, value)));
    let ran = cli::finish(command, None).expect(0);
    let token = ran.stdout.trim_end_matches('\n').to_owned();
    assert!(token.starts_with("tga_") && !token.contains(char::is_whitespace), "not a token alone: {ran:?}");
    token
}
