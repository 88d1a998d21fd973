//! `tollgate plans`: what accounts subscribe to.

use clap::{Subcommand, builder::BoolishValueParser};
use tollgate_core::name::{Handle, Label};

use super::{
    api::{Api, Call, percent_encoded},
    body::Body,
    failure::Failure,
    find,
    json::Json,
    words,
};

#[derive(Debug, Subcommand)]
pub enum PlansCommand {
    /// List plans
    List {
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = find::parse_limit)]
        limit: usize,
    },
    /// Show a plan
    Show {
        /// Its handle
        plan: Handle,
    },
    /// Add a plan
    Add {
        /// Its name in commands, such as pro
        plan: Handle,
        /// Its name for people
        #[arg(long)]
        name: Option<Label>,
        /// Accounts on it may have keys
        #[arg(long)]
        paid: bool,
    },
    /// Change a plan, with effect at once for every account on it
    Edit {
        /// Its handle
        plan: Handle,
        /// Another name for people
        #[arg(long)]
        name: Option<Label>,
        /// Whether accounts on it may have keys
        #[arg(long, value_parser = BoolishValueParser::new(), value_name = "true|false")]
        paid: Option<bool>,
    },
    /// Remove a plan that no account is on
    Remove {
        /// Its handle
        plan: Handle,
        /// Do it without asking
        #[arg(long, short)]
        yes: bool,
    },
}

pub fn run(command: &PlansCommand, api: &Api) -> Result<(), Failure> {
    match command {
        PlansCommand::List { limit } => {
            let plans = api.list("plans", &[], *limit)?;
            if api.screen.json() {
                return Ok(());
            }
            let rows = plans.iter().map(|plan| {
                vec![
                    words::text(plan, "handle").into(),
                    words::text(plan, "name").into(),
                    words::yes_no(plan, "paid").into(),
                    words::time(plan, "created_at").into(),
                ]
            });
            api.screen.table(&["PLAN", "~NAME", "PAID", "CREATED"], rows.collect(), "No plans.")
        }
        PlansCommand::Show { plan } => show(api, &api.get(&path(plan), Call::default())?.json()?),
        PlansCommand::Add { plan, name, paid } => {
            let body = Body::default().set("handle", Some(plan)).set("name", name.as_ref()).set("paid", Some(paid));
            show(api, &api.post("plans", Call::with(body.done()))?.json()?)
        }
        PlansCommand::Edit { plan, name, paid } => {
            let body = Body::default().set("name", name.as_ref()).set("paid", paid.as_ref()).change()?;
            show(api, &api.patch(&path(plan), Call::with(body))?.json()?)
        }
        PlansCommand::Remove { plan, yes } => {
            api.screen.confirm(*yes, &format!("Remove the plan {plan}?"))?;
            super::removed(api, &api.delete(&path(plan), Call::default())?, plan.as_str())
        }
    }
}

fn path(plan: &Handle) -> String {
    format!("plans/{}", percent_encoded(plan.as_str()))
}

fn show(api: &Api, plan: &Json) -> Result<(), Failure> {
    if api.screen.json() {
        return api.screen.print_json(plan);
    }
    api.screen.fields(&[
        ("plan", words::text(plan, "handle").into()),
        ("id", words::text(plan, "id").into()),
        ("name", words::text(plan, "name").into()),
        ("paid", words::yes_no(plan, "paid").into()),
        ("created", words::time(plan, "created_at").into()),
    ])
}
