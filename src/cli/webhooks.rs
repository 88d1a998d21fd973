//! `tollgate webhooks`: endpoints that notices are posted to; and `tollgate mail`. A secret goes to standard output alone,
//! once.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tollgate_core::name::Label;

use super::{
    api::{Api, Call, percent_encoded},
    body::Body,
    failure::Failure,
    find,
    json::Json,
    keys::AccountArgument,
    screen::Entry,
    words,
};

#[derive(Debug, Subcommand)]
pub enum WebhooksCommand {
    /// List webhooks
    List {
        #[command(flatten)]
        of: OfArgument,
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = find::parse_limit)]
        limit: usize,
    },
    /// Add a webhook and print its secret, alone, on standard output
    Add {
        /// What you will call it
        #[arg(long)]
        name: Label,
        /// Where notices are posted: https:// and a public address
        #[arg(long, value_name = "URL")]
        endpoint: String,
        #[command(flatten)]
        of: OfArgument,
    },
    /// Show a webhook; its secret is never shown again
    Show {
        #[command(flatten)]
        webhook: WebhookArgument,
    },
    /// Change a webhook's name or address, or switch it on or off
    Edit {
        #[command(flatten)]
        webhook: WebhookArgument,
        /// A new name
        #[arg(long)]
        name: Option<Label>,
        /// Another address
        #[arg(long, value_name = "URL")]
        endpoint: Option<String>,
        /// Switch it on, also one that was given up
        #[arg(long, conflicts_with = "disable")]
        enable: bool,
        /// Switch it off
        #[arg(long)]
        disable: bool,
    },
    /// Give a webhook another secret and print it, alone, on standard output
    Rotate {
        #[command(flatten)]
        webhook: WebhookArgument,
        /// How long the secret from before signs too: 0s, 1h, 7d
        #[arg(long, default_value = "24h")]
        overlap: String,
    },
    /// Post a test to a webhook and say what came of it
    Test {
        #[command(flatten)]
        webhook: WebhookArgument,
    },
    /// List what was sent to a webhook, newest first
    Deliveries {
        #[command(flatten)]
        webhook: WebhookArgument,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = find::parse_limit)]
        limit: usize,
    },
    /// Send a delivery again, now
    Resend {
        #[command(flatten)]
        webhook: WebhookArgument,
        /// The delivery (dlv_…)
        delivery: String,
    },
    /// Remove a webhook; what waits for it is not sent
    Remove {
        #[command(flatten)]
        webhook: WebhookArgument,
        /// Do it without asking
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum MailCommand {
    /// Send yourself a test mail (operators)
    Test,
}

/// Whose webhooks.
#[derive(Debug, Args)]
pub struct OfArgument {
    #[command(flatten)]
    account: AccountArgument,
    /// The deployment's own, which hear of every account (operators)
    #[arg(long)]
    deployment: bool,
}

#[derive(Debug, Args)]
pub struct WebhookArgument {
    /// The webhook's id (hook_…)
    #[arg(value_name = "WEBHOOK")]
    id: String,
}

impl WebhookArgument {
    fn path(&self) -> String {
        format!("webhooks/{}", percent_encoded(&self.id))
    }
}

pub fn run(command: &WebhooksCommand, api: &Api) -> Result<(), Failure> {
    match command {
        WebhooksCommand::List { of, limit } => list(api, of, *limit),
        WebhooksCommand::Add { name, endpoint, of } => {
            let body = Body::default().set("name", Some(name)).set("url", Some(endpoint));
            let body = if of.deployment {
                body.set("deployment", Some(true))
            } else {
                body.set("account", of.account.account.as_ref())
            };
            let made = api.post("webhooks", Call::with(body.done()))?.json()?;
            secret(api, &made, &format!("Added {name} ({}).", words::text(&made, "id")))
        }
        WebhooksCommand::Show { webhook } => show(api, &api.get(&webhook.path(), Call::default())?.json()?),
        WebhooksCommand::Edit { webhook, name, endpoint, enable, disable } => {
            let enabled = (*enable || *disable).then_some(*enable);
            let body = Body::default().set("name", name.as_ref()).set("url", endpoint.as_ref());
            let body = body.set("enabled", enabled).change()?;
            show(api, &api.patch(&webhook.path(), Call::with(body))?.json()?)
        }
        WebhooksCommand::Rotate { webhook, overlap } => {
            let path = format!("{}/rotate", webhook.path());
            let rotated = api.post(&path, Call::with(json!({ "overlap": overlap })))?.json()?;
            let until = words::time(&rotated, "both_secrets_until");
            secret(api, &rotated, &format!("Rotated. The secret from before signs too until {until}."))
        }
        WebhooksCommand::Test { webhook } => {
            attempted(api, &api.post(&format!("{}/test", webhook.path()), Call::with(json!({})))?.json()?)
        }
        WebhooksCommand::Deliveries { webhook, limit } => deliveries(api, webhook, *limit),
        WebhooksCommand::Resend { webhook, delivery } => {
            let path = format!("{}/deliveries/{}/resend", webhook.path(), percent_encoded(delivery));
            attempted(api, &api.post(&path, Call::with(json!({})))?.json()?)
        }
        WebhooksCommand::Remove { webhook, yes } => {
            api.screen.confirm(*yes, &format!("Remove the webhook {}?", webhook.id))?;
            super::removed(api, &api.delete(&webhook.path(), Call::default())?, &webhook.id)
        }
    }
}

/// `tollgate mail`.
pub fn mail(command: &MailCommand, api: &Api) -> Result<(), Failure> {
    match command {
        MailCommand::Test => attempted(api, &api.post("mail/test", Call::with(json!({})))?.json()?),
    }
}

fn list(api: &Api, of: &OfArgument, limit: usize) -> Result<(), Failure> {
    let account = of.account.account.clone().filter(|_| !of.deployment);
    let deployment = of.deployment.then(|| "true".to_owned());
    let webhooks = api.list("webhooks", &[("account", account), ("deployment", deployment)], limit)?;
    if api.screen.json() {
        return Ok(());
    }
    let rows = webhooks.iter().map(|webhook| {
        vec![
            words::text(webhook, "id").into(),
            words::text(webhook, "name").into(),
            words::text(webhook, "url").into(),
            Entry::status(words::text(webhook, "status")),
        ]
    });
    api.screen.table(&["ID", "~NAME", "~ENDPOINT", "STATUS"], rows.collect(), "No webhooks.")
}

fn deliveries(api: &Api, webhook: &WebhookArgument, limit: usize) -> Result<(), Failure> {
    let deliveries = api.list(&format!("{}/deliveries", webhook.path()), &[], limit)?;
    if api.screen.json() {
        return Ok(());
    }
    let row = |delivery: &Value| {
        let attempts = delivery.get("attempts").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let last = attempts.last();
        let result = match last {
            Some(last) if !words::text(last, "error").is_empty() => words::text(last, "error").to_owned(),
            Some(last) => format!("{} in {} ms", number(last, "status"), number(last, "duration_ms")),
            None => String::new(),
        };
        vec![
            words::text(delivery, "id").into(),
            words::text(delivery, "type").into(),
            words::time(delivery, "created_at").into(),
            Entry::status(words::text(delivery, "status")),
            attempts.len().to_string().into(),
            result.into(),
        ]
    };
    let columns = ["ID", "TYPE", "CREATED", "STATUS", "ATTEMPTS", "~LAST"];
    api.screen.table(&columns, deliveries.iter().map(row).collect(), "Nothing was sent to it yet.")
}

fn show(api: &Api, webhook: &Json) -> Result<(), Failure> {
    if api.screen.json() {
        return api.screen.print_json(webhook);
    }
    let account = match words::text(webhook, "account") {
        "" => "(of the deployment)",
        account => account,
    };
    api.screen.fields(&[
        ("id", words::text(webhook, "id").into()),
        ("name", words::text(webhook, "name").into()),
        ("endpoint", words::text(webhook, "url").into()),
        ("account", account.into()),
        ("status", Entry::status(words::text(webhook, "status"))),
        ("failing since", words::time(webhook, "failing_since").into()),
        ("both secrets until", words::time(webhook, "both_secrets_until").into()),
        ("created", words::time(webhook, "created_at").into()),
    ])
}

fn secret(api: &Api, made: &Json, said: &str) -> Result<(), Failure> {
    if api.screen.json() {
        return api.screen.print_json(made);
    }
    api.screen.say(&format!("{said} This is the only time that the secret is shown:"));
    api.screen.print(words::text(made, "secret"))
}

/// Exit code 1 where it did not arrive: the command ran and the answer is no.
fn attempted(api: &Api, attempt: &Json) -> Result<(), Failure> {
    if api.screen.json() {
        api.screen.print_json(attempt)?;
    }
    let error = words::text(attempt, "error");
    if !error.is_empty() {
        return Err(if api.screen.json() { Failure::Silent } else { Failure::No(format!("not delivered: {error}")) });
    }
    if api.screen.json() {
        return Ok(());
    }
    let (status, duration) = (number(attempt, "status"), number(attempt, "duration_ms"));
    api.screen.print(&format!("Delivered: answered {status} in {duration} ms."))
}

fn number(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_u64).map(|number| number.to_string()).unwrap_or_default()
}
