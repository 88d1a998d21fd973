//! `tollgate nodes`: the processes that serve.

use clap::Subcommand;
use serde_json::Value;

use super::{
    api::{Api, Call},
    failure::Failure,
    screen::Entry,
    words,
};

#[derive(Debug, Subcommand)]
pub enum NodesCommand {
    /// List the processes that serve, and how current their keys are
    List,
}

pub fn run(command: &NodesCommand, api: &Api) -> Result<(), Failure> {
    let NodesCommand::List = command;
    let nodes = api.whole("nodes", Call::default())?;
    if api.screen.json() {
        return Ok(());
    }
    let now = api.world.now();
    let rows = nodes.iter().map(|node| {
        vec![
            words::text(node, "name").into(),
            Entry::status(status(node)),
            words::text(node, "version").into(),
            words::number(node, "applied").into(),
            words::ago(node, "joined_at", now, "").into(),
            words::ago(node, "renewed_at", now, "").into(),
        ]
    });
    let columns = ["~NODE", "STATUS", "VERSION", ">APPLIED", "JOINED", "RENEWED"];
    api.screen.table(&columns, rows.collect(), "No node has served in the last day.")
}

fn status(node: &Value) -> &'static str {
    if node.get("active").and_then(Value::as_bool).unwrap_or(false) { "serving" } else { "gone" }
}
