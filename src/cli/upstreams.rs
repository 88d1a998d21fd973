//! `tollgate upstreams`: the servers that models run on. Credentials come from files, variables or standard
//! input, never from the command line, where other users of the machine would see them.

use std::{io::Read as _, path::PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;
use tollgate_core::{
    catalog::{BaseUrl, Engine, OnClientGone},
    name::Slug,
};

use super::{
    api::{Api, Call, percent_encoded},
    body::Body,
    failure::Failure,
    find,
    json::Json,
    screen::Entry,
    words,
};
use crate::settings::Environment;

/// The longest credential.
const MOST_CREDENTIAL_BYTES: u64 = 64 << 10;

#[derive(Debug, Subcommand)]
pub enum UpstreamsCommand {
    /// List upstreams with their health
    List {
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = find::parse_limit)]
        limit: usize,
    },
    /// Show an upstream
    Show {
        /// Its name
        name: Slug,
    },
    /// Add an upstream; a model names it with --served-by
    Add {
        /// What you will call it
        name: Slug,
        /// Where it is: http://10.0.0.5:8000/v1
        #[arg(long)]
        base_url: BaseUrl,
        #[command(flatten)]
        fields: UpstreamFields,
        /// Do not send requests there yet
        #[arg(long)]
        disabled: bool,
    },
    /// Change an upstream
    Edit {
        /// Its name
        name: Slug,
        /// Another address
        #[arg(long)]
        base_url: Option<BaseUrl>,
        #[command(flatten)]
        fields: UpstreamFields,
        /// Take its credential away
        #[arg(long, conflicts_with_all = ["credential_file", "credential_env"])]
        no_credential: bool,
        /// Send requests there again
        #[arg(long, conflicts_with = "disable")]
        enable: bool,
        /// Send no more requests there
        #[arg(long)]
        disable: bool,
    },
    /// Try an upstream now: does it answer, and does it list the models that the catalogue asks it for?
    Test {
        /// Its name
        name: Slug,
    },
    /// Remove an upstream that serves no model
    Remove {
        /// Its name
        name: Slug,
        /// Do it without asking
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub struct UpstreamFields {
    /// A file that holds its credential; - is standard input
    #[arg(long, value_name = "FILE")]
    credential_file: Option<PathBuf>,
    /// A variable of this command's environment that holds its credential
    #[arg(long, value_name = "VARIABLE", conflicts_with = "credential_file")]
    credential_env: Option<String>,
    /// What runs there: openai, vllm, sglang, anthropic or other
    #[arg(long)]
    engine: Option<Engine>,
    /// When a client hangs up: cancel stops the upstream, drain reads on for the usage
    #[arg(long, value_name = "WHAT")]
    on_client_gone: Option<OnClientGone>,
}

pub fn run(command: &UpstreamsCommand, api: &Api, environment: &Environment) -> Result<(), Failure> {
    match command {
        UpstreamsCommand::List { limit } => {
            let upstreams = api.list("upstreams", &[], *limit)?;
            if api.screen.json() {
                return Ok(());
            }
            let rows = upstreams.iter().map(|upstream| {
                vec![
                    words::text(upstream, "name").into(),
                    words::text(upstream, "base_url").into(),
                    words::text(upstream, "engine").into(),
                    Entry::status(health(upstream)),
                ]
            });
            let none = "No upstreams. `tollgate upstreams add NAME --base-url URL` adds one.";
            api.screen.table(&["NAME", "~BASE URL", "ENGINE", "HEALTH"], rows.collect(), none)
        }
        UpstreamsCommand::Show { name } => show(api, &api.get(&path(name), Call::default())?.json()?),
        UpstreamsCommand::Add { name, base_url, fields, disabled } => {
            let body = fields.body(environment)?.set("name", Some(name)).set("base_url", Some(base_url));
            let body = body.set("enabled", disabled.then_some(false));
            show(api, &api.post("upstreams", Call::with(body.done()))?.json()?)
        }
        UpstreamsCommand::Edit { name, base_url, fields, no_credential, enable, disable } => {
            let mut body = fields.body(environment)?.set("base_url", base_url.as_ref());
            body = body.set("credential", no_credential.then_some(Value::Null));
            body = body.set("enabled", (*enable || *disable).then_some(*enable));
            show(api, &api.patch(&path(name), Call::with(body.change()?))?.json()?)
        }
        UpstreamsCommand::Test { name } => {
            tested(api, &api.post(&format!("{}/test", path(name)), Call::default())?.json()?)
        }
        UpstreamsCommand::Remove { name, yes } => {
            api.screen.confirm(*yes, &format!("Remove the upstream {name}?"))?;
            super::removed(api, &api.delete(&path(name), Call::default())?, name.as_str())
        }
    }
}

impl UpstreamFields {
    fn body(&self, environment: &Environment) -> Result<Body, Failure> {
        Ok(Body::default()
            .set("credential", self.credential(environment)?)
            .set("engine", self.engine.map(Engine::as_str))
            .set("on_client_gone", self.on_client_gone.map(OnClientGone::as_str)))
    }
    fn credential(&self, environment: &Environment) -> Result<Option<String>, Failure> {
        let text = match (&self.credential_file, &self.credential_env) {
            (None, None) => return Ok(None),
            (_, Some(variable)) => environment.get(variable).unwrap_or_default().to_owned(),
            (Some(path), None) => {
                let mut text = String::new();
                let read = if path.as_os_str() == "-" {
                    std::io::stdin().take(MOST_CREDENTIAL_BYTES).read_to_string(&mut text)
                } else {
                    let file = std::fs::File::open(path);
                    file.and_then(|file| file.take(MOST_CREDENTIAL_BYTES).read_to_string(&mut text))
                };
                read.map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", path.display())))?;
                text
            }
        };
        match text.trim() {
            "" => Err(Failure::Usage("the credential is empty".to_owned())),
            text => Ok(Some(text.to_owned())),
        }
    }
}

fn path(name: &Slug) -> String {
    format!("upstreams/{}", percent_encoded(name.as_str()))
}

fn health(upstream: &Value) -> &'static str {
    if upstream.get("enabled").and_then(Value::as_bool) == Some(false) {
        return "disabled";
    }
    match upstream.get("health").and_then(|health| health.get("healthy")?.as_bool()) {
        Some(true) => "healthy",
        Some(false) => "unhealthy",
        None => "unknown",
    }
}

/// What a test came to; an upstream that would not serve is a "no".
fn tested(api: &Api, test: &Json) -> Result<(), Failure> {
    if api.screen.json() {
        api.screen.print_json(test)?;
    } else {
        let names = |field: &str| {
            let names = test.get(field).and_then(Value::as_array).into_iter().flatten();
            names.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        };
        api.screen.fields(&[
            ("verdict", words::text(test, "verdict").replace('_', " ").into()),
            ("status", words::number(test, "status").into()),
            ("took, ms", words::number(test, "after_ms").into()),
            ("models listed", words::number(test, "models").into()),
            ("ours listed", names("listed").into()),
            ("ours missing", names("missing").into()),
            ("error", words::text(test, "error").into()),
        ])?;
    }
    match words::text(test, "verdict") {
        "good" => Ok(()),
        _ => Err(Failure::Silent),
    }
}

fn show(api: &Api, upstream: &Json) -> Result<(), Failure> {
    if api.screen.json() {
        return api.screen.print_json(upstream);
    }
    let empty = Value::Null;
    let state = upstream.get("health").unwrap_or(&empty);
    let now = api.world.now();
    api.screen.fields(&[
        ("name", words::text(upstream, "name").into()),
        ("id", words::text(upstream, "id").into()),
        ("base URL", words::text(upstream, "base_url").into()),
        ("credential", if words::yes_no(upstream, "has_credential") == "yes" { "set" } else { "none" }.into()),
        ("engine", words::text(upstream, "engine").into()),
        ("when clients go", words::text(upstream, "on_client_gone").into()),
        ("health", Entry::status(health(upstream))),
        ("since", words::ago(state, "since", now, "").into()),
        ("last tried", words::ago(state, "checked_at", now, "").into()),
        ("last error", words::text(state, "last_error").into()),
        ("created", words::time(upstream, "created_at").into()),
    ])
}
