//! `tollgate audit`: who changed what, when, from where.

use clap::Subcommand;
use serde_json::Value;

use super::{api::Api, failure::Failure, find, screen::Entry, words};

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List changes, newest first
    List {
        /// Only about this thing, by id
        #[arg(long, value_name = "ID")]
        subject: Option<String>,
        /// Only this action (key.revoke), or ending in a dot this noun's (key.)
        #[arg(long)]
        action: Option<String>,
        /// Only from here on: 2030-01-31 or 2030-01-31T12:00:00Z
        #[arg(long, value_name = "WHEN")]
        from: Option<String>,
        /// Only before here
        #[arg(long, value_name = "WHEN")]
        to: Option<String>,
        /// Only of this account
        #[arg(long)]
        account: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = find::parse_limit)]
        limit: usize,
    },
}

pub fn run(command: &AuditCommand, api: &Api) -> Result<(), Failure> {
    let AuditCommand::List { subject, action, from, to, account, limit } = command;
    let when = |text: &Option<String>| {
        let parse = |text: &String| words::parse_when(text, api.world.now()).map(|at| at.to_string());
        text.as_ref().map(parse).transpose().map_err(Failure::Usage)
    };
    let query = [
        ("subject", subject.clone()),
        ("action", action.clone()),
        ("from", when(from)?),
        ("to", when(to)?),
        ("account", account.clone()),
    ];
    let entries = api.list("audit", &query, *limit)?;
    if api.screen.json() {
        return Ok(());
    }
    let rows = entries.iter().map(|entry| {
        vec![
            words::time(entry, "at").trim_end_matches(" UTC").into(),
            actor(entry).into(),
            Entry::from(words::text(entry, "action")),
            words::text(entry, "subject").into(),
        ]
    });
    api.screen.table(&["WHEN (UTC)", "~WHO", "WHAT", "OF"], rows.collect(), "Nothing was changed.")
}

fn actor(entry: &Value) -> &str {
    match words::text(entry, "actor_name") {
        "" => words::text(entry, "actor"),
        name => name,
    }
}
