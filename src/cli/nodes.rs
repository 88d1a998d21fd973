//! `tollgate nodes`: the processes that serve.

use clap::Subcommand;
use serde_json::Value;

use super::{
    api::{Api, Call, percent_encoded},
    failure::Failure,
    screen::Entry,
    words,
};

#[derive(Debug, Subcommand)]
pub enum NodesCommand {
    /// List the processes that serve, how current their keys are, and what those that are gone have not counted
    List,
    /// Give up what a node that is gone has not counted: only where its disk is lost
    ///
    /// A node's journal is on its own disk. Start the node again with it, and all is counted by itself. Until then, or until
    /// it is written off, usage is complete only up to what the node last said.
    WriteOff {
        /// Its id, or its name where only one of that name has something uncounted
        node: String,
        /// Do it without asking
        #[arg(long, short)]
        yes: bool,
    },
}

pub fn run(command: &NodesCommand, api: &Api) -> Result<(), Failure> {
    match command {
        NodesCommand::List => list(api),
        NodesCommand::WriteOff { node, yes } => write_off(api, node, *yes),
    }
}

fn list(api: &Api) -> Result<(), Failure> {
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
            uncounted(node).map(|bounds| bounds.replace(" to ", "–")).unwrap_or_default().into(),
            words::ago(node, "joined_at", now, "").into(),
            words::ago(node, "renewed_at", now, "").into(),
        ]
    });
    let columns = ["~NODE", "STATUS", "VERSION", ">APPLIED", ">UNCOUNTED", "JOINED", "RENEWED"];
    api.screen.table(&columns, rows.collect(), "No node has served in the last day.")?;
    for node in nodes.iter().filter(|node| waits(node)) {
        let (name, bounds) = (words::text(node, "name"), uncounted(node).unwrap_or_default());
        api.screen.say(&format!(
            "Usage is not complete: {name} is gone, and {bounds} requests that it began are not counted. Start it again with \
             its journal, or `tollgate nodes write-off {name}` where its disk is lost."
        ));
    }
    Ok(())
}

fn write_off(api: &Api, named: &str, yes: bool) -> Result<(), Failure> {
    let nodes = api.get("nodes", Call::default())?.json()?;
    let nodes = nodes.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_meant =
        |node: &&Value| words::text(node, "id") == named || words::text(node, "name") == named && waits(node);
    let meant: Vec<&Value> = nodes.iter().filter(is_meant).collect();
    let node = match meant.as_slice() {
        [node] => *node,
        [] => return Err(Failure::No(format!("no node {named} has anything that is not counted"))),
        several => {
            let ids: Vec<&str> = several.iter().map(|node| words::text(node, "id")).collect();
            return Err(Failure::Usage(format!("several nodes are called {named}: name one of {}", ids.join(", "))));
        }
    };
    if let Some(bounds) = uncounted(node).filter(|_| waits(node)) {
        let name = words::text(node, "name");
        let question =
            format!("Write off the {bounds} requests that {name} has not counted? Only if its disk is lost.");
        api.screen.confirm(yes, &question)?;
    }
    let path = format!("nodes/{}/write-off", percent_encoded(words::text(node, "id")));
    let done = api.post(&path, Call::default())?.json()?;
    if api.screen.json() {
        return api.screen.print_json(&done);
    }
    api.screen.fields(&[
        ("node", words::text(&done, "name").into()),
        ("id", words::text(&done, "id").into()),
        ("uncounted", uncounted(&done).unwrap_or_default().into()),
        ("written off", words::time(&done, "written_off_at").into()),
    ])
}

fn status(node: &Value) -> &'static str {
    let is = |field: &str| node.get(field).is_some_and(|value| *value != Value::Null && *value != Value::Bool(false));
    match (is("active"), is("written_off_at")) {
        (true, _) => "serving",
        (false, true) => "written off",
        (false, false) => "gone",
    }
}

/// Whether usage waits for what it has not counted.
fn waits(node: &Value) -> bool {
    uncounted(node).is_some() && node.get("written_off_at").is_none_or(Value::is_null)
}

/// How many requests it has not counted, where there are any.
fn uncounted(node: &Value) -> Option<String> {
    let uncounted = node.get("uncounted").filter(|uncounted| uncounted.is_object())?;
    Some(format!("{} to {}", words::number(uncounted, "at_least"), words::number(uncounted, "at_most")))
}
