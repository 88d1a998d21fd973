//! `tollgate users`: people and programs that manage. A user is disabled, never removed: the audit log names it.

use clap::{Subcommand, builder::BoolishValueParser};
use serde_json::{Value, json};
use tollgate_core::{
    Role,
    name::{Email, Label},
};

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
pub enum UsersCommand {
    /// List users
    List {
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = find::parse_limit)]
        limit: usize,
        #[command(flatten)]
        account: AccountArgument,
    },
    /// Show a user
    Show {
        /// Its id, mail address, or name if no other has it
        user: String,
    },
    /// Add a user; `users sign-in-link` lets it in
    Add {
        /// Its name
        #[arg(long)]
        name: Label,
        /// Its mail address
        #[arg(long)]
        email: Option<Email>,
        /// It runs the deployment
        #[arg(long)]
        operator: bool,
        /// An account and its role there: acme=owner, acme=member or acme=viewer; may be said again
        #[arg(long, value_name = "ACCOUNT=ROLE", value_parser = parse_membership)]
        member: Vec<(String, Role)>,
    },
    /// Change a user, with effect at once on its tokens, sessions and keys
    Edit {
        /// Its id, mail address, or name if no other has it
        user: String,
        /// Another name
        #[arg(long)]
        name: Option<Label>,
        /// Another mail address; empty takes it away
        #[arg(long)]
        email: Option<String>,
        /// Whether it runs the deployment
        #[arg(long, value_parser = BoolishValueParser::new(), value_name = "true|false")]
        operator: Option<bool>,
        /// Another role in an account: acme=owner, acme=member or acme=viewer; may be said again
        #[arg(long, value_name = "ACCOUNT=ROLE", value_parser = parse_membership)]
        member: Vec<(String, Role)>,
        /// Take it out of an account; may be said again
        #[arg(long, value_name = "ACCOUNT")]
        no_member: Vec<String>,
        /// Refuse its tokens and sessions; the keys that it made stop
        #[arg(long)]
        disable: bool,
        /// Take that back
        #[arg(long, conflicts_with = "disable")]
        enable: bool,
    },
    /// Make a link that signs a user in once
    SignInLink {
        /// Its id, mail address, or name if no other has it
        user: String,
    },
}

fn parse_membership(text: &str) -> Result<(String, Role), String> {
    let (account, role) = text.split_once('=').ok_or("ACCOUNT=ROLE")?;
    Ok((account.to_owned(), role.parse().map_err(|error| format!("{error}"))?))
}

pub fn run(command: &UsersCommand, api: &Api) -> Result<(), Failure> {
    match command {
        UsersCommand::List { limit, account } => {
            let users = api.list("users", &[("account", account.account.clone())], *limit)?;
            if api.screen.json() {
                return Ok(());
            }
            let rows = users.iter().map(|user| {
                vec![
                    words::text(user, "id").into(),
                    words::text(user, "name").into(),
                    roles(user).into(),
                    Entry::status(status(user)),
                ]
            });
            api.screen.table(&["ID", "~NAME", "~ROLES", "STATUS"], rows.collect(), "No users.")
        }
        UsersCommand::Show { user } => show(api, &api.get(&path(api, user)?, Call::default())?.json()?),
        UsersCommand::Add { name, email, operator, member } => {
            let memberships: Vec<Value> =
                member.iter().map(|(account, role)| json!({ "account": account, "role": role })).collect();
            let body = Body::default()
                .set("name", Some(name))
                .set("email", email.as_ref())
                .set("operator", operator.then_some(true))
                .set("memberships", Some(memberships));
            show(api, &api.post("users", Call::with(body.done()))?.json()?)
        }
        UsersCommand::Edit { user, name, email, operator, member, no_member, disable, enable } => {
            let joined = member.iter().map(|(account, role)| json!({ "account": account, "role": role }));
            let left = no_member.iter().map(|account| json!({ "account": account, "role": null }));
            let memberships: Vec<Value> = joined.chain(left).collect();
            let body = Body::default()
                .set("name", name.as_ref())
                .set_or_clear("email", email.as_ref())
                .set("operator", operator.as_ref())
                .set("disabled", (*disable || *enable).then_some(*disable))
                .set("memberships", (!memberships.is_empty()).then_some(memberships))
                .change()?;
            show(api, &api.patch(&path(api, user)?, Call::with(body))?.json()?)
        }
        UsersCommand::SignInLink { user } => {
            let answer = api.post(&format!("{}/sign-in-links", path(api, user)?), Call::with(json!({})))?.json()?;
            if api.screen.json() {
                return api.screen.print_json(&answer);
            }
            // Without `listen.public_url` the server does not know what it is called: here it is called by its address.
            let url = match words::text(&answer, "url") {
                path if path.starts_with('/') => api.address(path),
                url => url.to_owned(),
            };
            let until = words::time(&answer, "expires_at");
            let until = if until.is_empty() { String::new() } else { format!(", until {until}") };
            api.screen.say(&format!("This link signs in once{until}. Whoever opens it is that user:"));
            api.screen.print(&url)
        }
    }
}

fn path(api: &Api, typed: &str) -> Result<String, Failure> {
    let id = if typed.starts_with("user_") {
        typed.to_owned()
    } else {
        let fits = |user: &Value| words::text(user, "email") == typed || words::text(user, "name") == typed;
        find::one_id(api, "users", &[], "user", typed, fits)?
    };
    Ok(format!("users/{}", percent_encoded(&id)))
}

fn status(user: &Value) -> &'static str {
    if user.get("disabled").and_then(Value::as_bool).unwrap_or(false) { "disabled" } else { "active" }
}

fn roles(user: &Value) -> String {
    let operator = user.get("operator").and_then(Value::as_bool).unwrap_or(false);
    let memberships = user.get("memberships").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let membership =
        |membership: &Value| format!("{} of {}", words::text(membership, "role"), words::text(membership, "account"));
    let roles: Vec<String> =
        operator.then(|| "operator".to_owned()).into_iter().chain(memberships.iter().map(membership)).collect();
    roles.join(", ")
}

fn show(api: &Api, user: &Json) -> Result<(), Failure> {
    if api.screen.json() {
        return api.screen.print_json(user);
    }
    api.screen.fields(&[
        ("id", words::text(user, "id").into()),
        ("name", words::text(user, "name").into()),
        ("mail", words::text(user, "email").into()),
        ("roles", roles(user).into()),
        ("status", Entry::status(status(user))),
        ("created", words::time(user, "created_at").into()),
    ])
}
