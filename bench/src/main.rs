//! The numbers of the README, each beside its neighbour in the same run: `cargo xtask bench`.
//!
//! CPU is what the kernel counted for the process under test (`/proc/PID/stat`), so the load generator, the mock
//! upstream and the other proxy do not blur it. Every measurement is bounded in count and in time, and nothing here
//! asserts: the table says what was seen and what the goal is.
//!
//! | module | holds |
//! |---|---|
//! | [`mock`] | a keep-alive upstream, as a process of its own |
//! | [`load`] | keep-alive clients that send one request over and over |
//! | [`process`] | CPU time and memory of a process |
//! | [`neighbour`] | programs that we are measured beside, found or installed |
//! | [`nginx`] | the neighbour of the data plane |
//! | [`scene`] | a release build of the server with a key |
//! | [`year`] | a store filled with a year of usage |
//! | [`measure`] | the measurements |
#![allow(clippy::disallowed_methods, reason = "a measuring tool reads clocks and its environment")]

mod load;
mod measure;
mod mock;
mod neighbour;
mod nginx;
mod process;
mod scene;
mod year;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    /// Only measurements whose names contain this
    #[arg(long)]
    only: Option<String>,
    /// A tenth of the counts: to see that it works, not to quote
    #[arg(long)]
    quick: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// The mock upstream: prints its address, serves until standard input ends
    #[command(hide = true)]
    Mock,
}

/// One line of the result.
struct Line {
    what: String,
    ours: String,
    neighbour: String,
    goal: String,
}

/// How much is measured.
#[derive(Clone, Copy)]
struct Scale {
    quick: bool,
}

impl Scale {
    /// `count`, or a tenth of it.
    const fn of(self, count: u64) -> u64 {
        if self.quick { count / 10 } else { count }
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if matches!(arguments.role, Some(Role::Mock)) {
        return mock::serve();
    }
    let scale = Scale { quick: arguments.quick };
    let wanted = |name: &str| arguments.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let mut lines = Vec::new();
    for (name, run) in measure::ALL {
        if wanted(name) {
            eprintln!("measuring: {name}");
            match run(scale) {
                Ok(measured) => lines.extend(measured),
                Err(error) => lines.push(Line {
                    what: name.to_owned(),
                    ours: format!("not measured: {error:#}"),
                    neighbour: String::new(),
                    goal: String::new(),
                }),
            }
        }
    }
    println!("| what | Tollgate | neighbour in the same run | goal |\n|---|---|---|---|");
    for Line { what, ours, neighbour, goal } in lines {
        println!("| {what} | {ours} | {neighbour} | {goal} |");
    }
    Ok(())
}
