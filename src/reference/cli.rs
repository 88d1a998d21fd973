//! The command line, from its own help.

use std::fmt::Write as _;

use clap::CommandFactory as _;

use crate::cli::Cli;

/// Columns of the help's text.
const WIDTH: usize = 100;

/// `docs/reference/cli.md`.
pub fn page() -> String {
    let mut command = Cli::command().term_width(WIDTH).max_term_width(WIDTH);
    command.build();
    let mut text = String::from(
        "# The command line\n\nEvery command of `tollgate` with its options, as `--help` prints it. The commands that manage talk to \
         a running server: its address is in `TOLLGATE_URL`, an access token in `TOLLGATE_TOKEN`.\n",
    );
    section(&mut command, &mut text);
    text
}

fn section(command: &mut clap::Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or("tollgate").to_owned();
    let help = command.clone().term_width(WIDTH).max_term_width(WIDTH).render_long_help();
    let lines: Vec<String> = help.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
    let _ = write!(text, "\n## `{name}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    for command in command.get_subcommands_mut().filter(|command| !command.is_hide_set()) {
        section(command, text);
    }
}
