//! `tollgate demo`: everything on one machine, with nothing to configure and no GPU.
//!
//! It is `serve` with a store of its own and built-in models behind a real HTTP server, registered as an upstream
//! like any other: nothing in a request's path is special. Each start gives its one key, `Demo key`, a new text
//! under the same id, so that there is always one to show and usage stays one line; the text and the access token of
//! the start before go on working for a day.

mod chat;
mod embedding;
mod problem;
mod reply;
mod server;
mod tokens;
mod words;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tollgate_core::{
    Actor, Id, Key, KeyStatus, ModelKind, Permission,
    catalog::{BaseUrl, Engine, OnClientGone},
    money::PriceList,
    name::Label,
    secret::PlainKey,
};
use tollgate_manage::services::{issue_key, sign_in_path};
use tollgate_store::{PageRequest, accounts::NewToken, keys::KeyFilter};

use crate::{
    cli::{Failure, Screen},
    serve::{self, Deployment, Running, Signals},
    settings::{Arguments, Environment, ModelSetting, Settings, UpstreamSetting},
    telemetry, world,
};
use server::{DemoServer, Pace};

/// Where a demo's state is.
const DIRECTORY: &str = "tollgate-demo";
/// What the upstream, the key and the access token are called.
const UPSTREAM: &str = "demo";
const KEY_NAME: &str = "Demo key";
const TOKEN_NAME: &str = "Demo";
/// How long the key's text from the start before goes on working.
const GRACE: Duration = Duration::from_secs(86_400);

#[derive(Debug, Clone, Args)]
pub struct DemoArguments {
    /// Where to listen; port 0 picks a free one [default: 127.0.0.1:8080, or a free port if that is taken]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where its state is kept
    #[arg(long, value_name = "DIR", default_value = DIRECTORY)]
    data: PathBuf,
    /// Where metrics are served [default: 127.0.0.1:9464, or a free port if that is taken]
    #[arg(long, value_name = "ADDR")]
    metrics: Option<String>,
    /// Print one line of JSON on standard output when ready
    #[arg(long)]
    json: bool,
    /// Milliseconds before the first token and between tokens
    #[arg(long, hide = true, value_name = "FIRST:TOKEN", env = "TOLLGATE_DEMO_PACE")]
    pace: Option<Pace>,
}

/// What a start of the demo has to show.
struct Shown {
    link: String,
    key: PlainKey,
    key_id: Id<Key>,
    token: PlainKey,
}

/// `tollgate demo`.
pub fn run(arguments: &DemoArguments, environment: &Environment) -> Result<(), Failure> {
    let mut settings = settings(arguments, environment)?;
    let world = world::real();
    let redacted = telemetry::log(&settings, environment, &world);
    serve::raise_open_files();
    let models = DemoServer::start(world.clone(), arguments.pace.unwrap_or(Pace::HUMAN));
    let models = models.context("the demo models cannot be started")?;
    catalogue(&mut settings, &models)?;
    let screen = Screen::real(environment, arguments.json);
    Ok(serve::runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let deployment = Deployment::open(settings, world).await?;
        deployment.apply_catalog().await?;
        let shown = prepare(&deployment).await?;
        let running = Running::start(deployment, &redacted).await?;
        announce(&running, &shown, &screen);
        drop(shown);
        running.until_stopped(&mut signals).await;
        drop(models);
        anyhow::Ok(())
    })?)
}

/// The defaults with the demo's places. Settings of a real deployment (a file in this directory, the environment)
/// do not count, but for how it logs: a demo must not touch another store.
fn settings(arguments: &DemoArguments, environment: &Environment) -> Result<Settings, Failure> {
    let kept = environment.only(&["TOLLGATE__LOG__LEVEL", "TOLLGATE__LOG__FORMAT"]);
    let mut given = Arguments {
        config: None,
        listen: arguments.listen.clone(),
        data: Some(arguments.data.clone()),
        metrics: arguments.metrics.clone(),
    };
    let usual = Settings::load_without_file(&given, &kept)?;
    let free = |address: SocketAddr| std::net::TcpListener::bind(address).is_ok();
    let any_port = |address: SocketAddr| SocketAddr::new(address.ip(), 0).to_string();
    if given.listen.is_none() && !free(usual.listen) {
        eprintln!("Port {} is taken: the demo listens on another.", usual.listen.port());
        given.listen = Some(any_port(usual.listen));
    }
    if let (None, Some(metrics)) = (&given.metrics, usual.metrics)
        && !free(metrics)
    {
        given.metrics = Some(any_port(metrics));
    }
    Ok(Settings::load_without_file(&given, &kept)?)
}

/// The demo's upstream and models, as if they stood in a settings file.
fn catalogue(settings: &mut Settings, server: &DemoServer) -> anyhow::Result<()> {
    let upstream = UPSTREAM.parse::<tollgate_core::name::Slug>()?;
    settings.upstreams = vec![UpstreamSetting {
        name: upstream.clone(),
        base_url: server.base_url().parse::<BaseUrl>()?,
        credential: Some(server.credential.clone()),
        // It reports running usage in each chunk when asked, as vLLM does.
        engine: Engine::Vllm,
        on_client_gone: OnClientGone::Cancel,
        enabled: true,
    }];
    let model = |name: &str, kind, title: &str, context_window, max_output_tokens, input: &str, output: &str| {
        anyhow::Ok(ModelSetting {
            name: name.parse()?,
            title: Some(title.parse()?),
            kind,
            context_window: Some(context_window),
            max_output_tokens,
            price: PriceList {
                input_per_million: input.parse()?,
                output_per_million: output.parse()?,
                ..PriceList::default()
            },
            served_by: vec![(upstream.clone(), name.parse()?, 1)],
        })
    };
    settings.models = vec![
        model(
            chat::MODEL,
            ModelKind::Chat,
            "Demo chat",
            chat::CONTEXT_WINDOW,
            Some(chat::MOST_OUTPUT),
            "0.50",
            "1.50",
        )?,
        model(embedding::MODEL, ModelKind::Embedding, "Demo embedding", embedding::CONTEXT_WINDOW, None, "0.02", "0")?,
    ];
    Ok(())
}

/// Makes what this start shows: a link, the key's text, an access token.
async fn prepare(deployment: &Deployment) -> anyhow::Result<Shown> {
    let actor = Actor::system("demo");
    let link = sign_in_path(&serve::operator_link(deployment).await?);
    let (key, key_id) = fresh_key(deployment, &actor).await?;
    let token = fresh_token(deployment, &actor).await?;
    Ok(Shown { link, key, key_id, token })
}

/// A new text of the demo's key; a new key where there is none, or its owner ended it.
async fn fresh_key(deployment: &Deployment, actor: &Actor) -> anyhow::Result<(PlainKey, Id<Key>)> {
    let Deployment { store, master_key, settings, world, seeded } = deployment;
    let filter =
        KeyFilter { status: Some(KeyStatus::Active), search: Some(KEY_NAME.to_owned()), ..KeyFilter::default() };
    let keys = store.key_list(seeded.account, &filter, &PageRequest::default()).await?;
    let there = keys.data.into_iter().find(|key| key.name.as_str() == KEY_NAME && key.created_by.is_none());
    let Some(there) = there else {
        let name: Label = KEY_NAME.parse()?;
        let made =
            issue_key(store, master_key, &settings.prefix, world, actor, seeded.account, name, Permission::All).await?;
        return Ok((made.plain, made.key.id));
    };
    let plain = PlainKey::mint_again(&settings.prefix, there.public_id, world);
    let presented = plain.presented()?;
    let (prefix, hash) = (presented.prefix(), master_key.key_pepper().hash(&presented));
    let until = world.now().plus(GRACE);
    // Nothing serves yet that could still admit the text from before the last one.
    let rotated = store.key_rotate(actor, (seeded.account, there.id), prefix, hash, until, None).await?;
    Ok((plain, rotated.value.id))
}

/// A new access token of the operator; of those that other starts made, only the last goes on.
async fn fresh_token(deployment: &Deployment, actor: &Actor) -> anyhow::Result<PlainKey> {
    let Deployment { store, master_key, settings, world, seeded } = deployment;
    let name: Label = TOKEN_NAME.parse()?;
    let tokens = store.token_list(seeded.operator).await?;
    let ours = tokens.into_iter().filter(|token| token.name == name && token.revoked_at.is_none());
    for old in ours.skip(1) {
        store.token_revoke(actor, seeded.operator, old.id).await?;
    }
    let plain = PlainKey::mint(&settings.prefix.for_access_tokens(), world);
    let presented = plain.presented()?;
    let hash = master_key.token_pepper().hash(&presented);
    let public_id = presented.id();
    let new = NewToken { user: seeded.operator, account: None, name, public_id, hash, expires_at: None };
    store.token_create(actor, new).await?;
    Ok(plain)
}

fn announce(running: &Running, shown: &Shown, screen: &Screen) {
    let data = &running.deployment.settings.data;
    let sign_in_url = format!("{}{}", running.console_url(), shown.link);
    let text = if screen.json() {
        json!({
            "url": running.url,
            "sign_in_url": sign_in_url,
            "key": shown.key.expose(),
            "key_id": shown.key_id,
            "token": shown.token.expose(),
            "models": server::MODELS,
            "data": data.display().to_string(),
            "metrics": running.metrics_url,
        })
        .to_string()
    } else {
        next_steps(&running.url, &sign_in_url, shown, &data.display().to_string())
    };
    // Whoever started us may not read on: that is no reason not to serve.
    let _ = screen.print(&text);
}

/// What to do next, each step ready to be pasted.
fn next_steps(url: &str, sign_in_url: &str, shown: &Shown, data: &str) -> String {
    let (key, token, chat) = (shown.key.expose(), shown.token.expose(), chat::MODEL);
    format!(
        r#"
Tollgate's demo serves at {url}

1. Open the console; this link signs you in, once:

{sign_in_url}

2. Ask the demo model with your key, and watch it answer:

export OPENAI_API_KEY={key}
curl -N {url}/v1/chat/completions \
  -H "Authorization: Bearer $OPENAI_API_KEY" -H "Content-Type: application/json" \
  -d '{{"model":"{chat}","stream":true,"messages":[{{"role":"user","content":"Why do lighthouses blink?"}}]}}'

   The same from Python, after `pip install openai`:

python3 -c '
from openai import OpenAI
client = OpenAI(base_url="{url}/v1")
message = {{"role": "user", "content": "Why do lighthouses blink?"}}
print(client.chat.completions.create(model="{chat}", messages=[message]).choices[0].message.content)'

3. See what that used, make keys, revoke them:

export TOLLGATE_URL={url} TOLLGATE_TOKEN={token}
tollgate usage
tollgate keys create --name mine --models {chat}
tollgate keys list

The key is new with each start; the one of the start before works for another day.
State is kept in {data}. Ctrl-C stops the demo.
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_takes_no_settings_of_a_real_deployment() {
        let home = tempfile::tempdir().unwrap();
        let arguments = DemoArguments {
            listen: Some("127.0.0.1:0".to_owned()),
            data: home.path().join("demo"),
            metrics: Some("127.0.0.1:0".to_owned()),
            json: true,
            pace: None,
        };
        let environment = Environment::from([
            ("TOLLGATE__STORE__URL", "postgres://production/store"),
            ("TOLLGATE__LOG__LEVEL", "warn"),
        ]);
        let settings = settings(&arguments, &environment).unwrap();
        assert_eq!(settings.sqlite_path(), Some(home.path().join("demo/tollgate.db")));
        assert_eq!(settings.log_level, "warn");
    }

    #[test]
    fn the_demo_models_are_a_catalogue_that_the_settings_would_take() {
        let server = DemoServer::start(world::real(), Pace::HUMAN).unwrap();
        let mut settings = Settings::load_without_file(&Arguments::default(), &Environment::default()).unwrap();
        catalogue(&mut settings, &server).unwrap();
        let names: Vec<_> = settings.models.iter().map(|model| model.name.as_str()).collect();
        assert_eq!(names, server::MODELS);
    }
}
