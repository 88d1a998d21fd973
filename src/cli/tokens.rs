//! `tollgate tokens`: access tokens for the management API and this program. A token's text goes to standard
//! output alone, once.

use clap::Subcommand;
use serde_json::{Value, json};
use tollgate_core::name::Label;

use super::{
    api::{Api, Call, percent_encoded},
    body::Body,
    failure::Failure,
    screen::Entry,
    words,
};

#[derive(Debug, Subcommand)]
pub enum TokensCommand {
    /// List your access tokens
    List {
        /// Another user's, by id (operators)
        #[arg(long)]
        user: Option<String>,
    },
    /// Create an access token and print it, alone, on standard output
    Create {
        /// What you will call it
        #[arg(long)]
        name: Label,
        /// When it ends by itself: 30d, 2030-01-31 or 2030-01-31T12:00:00Z
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
        /// The one account that it works for
        #[arg(long)]
        account: Option<String>,
        /// For another user, by id (operators)
        #[arg(long)]
        user: Option<String>,
    },
    /// Revoke an access token
    Revoke {
        /// Its id (tok_…)
        id: String,
        /// Another user's, by id (operators)
        #[arg(long)]
        user: Option<String>,
        /// Do it without asking
        #[arg(long, short)]
        yes: bool,
    },
}

pub fn run(command: &TokensCommand, api: &Api) -> Result<(), Failure> {
    let now = api.world.now();
    match command {
        TokensCommand::List { user } => {
            let tokens = api.whole("tokens", Call::default().query("user", user.as_ref()))?;
            if api.screen.json() {
                return Ok(());
            }
            let rows = tokens.iter().map(|token| {
                vec![
                    words::text(token, "id").into(),
                    words::text(token, "name").into(),
                    Entry::status(status(token, now)),
                    words::ago(token, "created_at", now, "").into(),
                ]
            });
            api.screen.table(&["ID", "~NAME", "STATUS", "CREATED"], rows.collect(), "No access tokens.")
        }
        TokensCommand::Create { name, expires, account, user } => {
            let expires =
                expires.as_ref().map(|when| words::parse_when(when, now).map_err(Failure::Usage)).transpose()?;
            let body = Body::default()
                .set("name", Some(name))
                .set("expires_at", expires)
                .set("account", account.as_ref())
                .set("user", user.as_ref());
            let answer = api.post("tokens", Call::with(body.done()))?.json()?;
            if api.screen.json() {
                return api.screen.print_json(&answer);
            }
            let id = words::text(&answer, "id");
            api.screen.say(&format!("Created {name} ({id}). This is the only time that the token is shown:"));
            api.screen.print(words::text(&answer, "token"))
        }
        TokensCommand::Revoke { id, user, yes } => {
            api.screen.confirm(*yes, &format!("Revoke the access token {id} for ever?"))?;
            let call = Call::with(json!({})).query("user", user.as_ref());
            let answer = api.post(&format!("tokens/{}/revoke", percent_encoded(id)), call)?.json()?;
            if api.screen.json() {
                return api.screen.print_json(&answer);
            }
            api.screen.print(&format!("{id} is revoked."))
        }
    }
}

fn status(token: &Value, now: tollgate_core::Timestamp) -> &'static str {
    if !words::text(token, "revoked_at").is_empty() {
        return "revoked";
    }
    match words::text(token, "expires_at").parse::<tollgate_core::Timestamp>() {
        Ok(end) if end <= now => "expired",
        _ => "active",
    }
}
