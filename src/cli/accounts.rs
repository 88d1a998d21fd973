//! `tollgate accounts`: who pays and is billed. An account is suspended, never removed: its usage stays.

use clap::Subcommand;
use serde_json::{Value, json};
use tollgate_core::{
    leak::OnLeak,
    name::{Handle, Label},
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

#[derive(Debug, Subcommand)]
pub enum AccountsCommand {
    /// List accounts
    List {
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = find::parse_limit)]
        limit: usize,
    },
    /// Show an account
    Show {
        /// Its handle or id
        account: String,
    },
    /// Add an account; without a paid plan it can have no keys
    Add {
        /// Its name in commands and addresses, such as acme
        account: Handle,
        /// Its name for people
        #[arg(long)]
        name: Option<Label>,
        /// The plan that it is on
        #[arg(long)]
        plan: Option<Handle>,
        /// When the plan lapses: 30d, 2030-01-31 or 2030-01-31T12:00:00Z
        #[arg(long, value_name = "WHEN", requires = "plan")]
        plan_until: Option<String>,
    },
    /// Change an account, with effect at once on all its keys
    Edit {
        /// Its handle or id
        account: String,
        /// Another name for people
        #[arg(long)]
        name: Option<Label>,
        /// Another plan
        #[arg(long)]
        plan: Option<Handle>,
        /// No plan any more: its keys stop
        #[arg(long, conflicts_with_all = ["plan", "plan_until"])]
        no_plan: bool,
        /// When the plan lapses: 30d, 2030-01-31, 2030-01-31T12:00:00Z, or never
        #[arg(long, value_name = "WHEN")]
        plan_until: Option<String>,
        /// Stop all its keys
        #[arg(long)]
        suspend: bool,
        /// Let its keys work again
        #[arg(long, conflicts_with = "suspend")]
        resume: bool,
        /// What happens to its keys that are found in public: disable, or tell (they go on working, and people are told)
        #[arg(long, value_name = "WHAT")]
        on_leak: Option<OnLeak>,
    },
}

pub fn run(command: &AccountsCommand, api: &Api) -> Result<(), Failure> {
    let until = |when: &String| match when.as_str() {
        "never" => Ok(Value::Null),
        when => words::parse_when(when, api.world.now()).map(|at| json!(at)).map_err(Failure::Usage),
    };
    match command {
        AccountsCommand::List { limit } => {
            let accounts = api.list("accounts", &[], *limit)?;
            if api.screen.json() {
                return Ok(());
            }
            let rows = accounts.iter().map(|account| {
                vec![
                    words::text(account, "handle").into(),
                    words::text(account, "name").into(),
                    plan(account).into(),
                    Entry::status(standing(account)),
                    words::time(account, "created_at").into(),
                ]
            });
            api.screen.table(&["ACCOUNT", "~NAME", "PLAN", "STATUS", "CREATED"], rows.collect(), "No accounts.")
        }
        AccountsCommand::Show { account } => show(api, &api.get(&path(account), Call::default())?.json()?),
        AccountsCommand::Add { account, name, plan, plan_until } => {
            let body = Body::default()
                .set("handle", Some(account))
                .set("name", name.as_ref())
                .set("plan", plan.as_ref())
                .set("plan_until", plan_until.as_ref().map(until).transpose()?);
            show(api, &api.post("accounts", Call::with(body.done()))?.json()?)
        }
        AccountsCommand::Edit { account, name, plan, no_plan, plan_until, suspend, resume, on_leak } => {
            let body = Body::default()
                .set("name", name.as_ref())
                .set("plan", plan.as_ref().map(|plan| json!(plan)).or_else(|| no_plan.then_some(Value::Null)))
                .set("plan_until", plan_until.as_ref().map(until).transpose()?)
                .set("suspended", (*suspend || *resume).then_some(*suspend))
                .set("on_leak", on_leak.as_ref())
                .change()?;
            show(api, &api.patch(&path(account), Call::with(body))?.json()?)
        }
    }
}

fn path(account: &str) -> String {
    format!("accounts/{}", percent_encoded(account))
}

fn plan(account: &Value) -> &str {
    match words::text(account, "plan") {
        "" => "none",
        plan => plan,
    }
}

fn standing(account: &Value) -> &'static str {
    match words::text(account, "standing") {
        "good" => "good",
        "suspended" => "suspended",
        _ => "plan required",
    }
}

fn show(api: &Api, account: &Json) -> Result<(), Failure> {
    if api.screen.json() {
        return api.screen.print_json(account);
    }
    api.screen.fields(&[
        ("account", words::text(account, "handle").into()),
        ("id", words::text(account, "id").into()),
        ("name", words::text(account, "name").into()),
        ("status", Entry::status(standing(account))),
        ("plan", plan(account).into()),
        ("plan until", words::time(account, "plan_until").into()),
        ("leaked keys", words::text(account, "on_leak").into()),
        ("created", words::time(account, "created_at").into()),
    ])
}
