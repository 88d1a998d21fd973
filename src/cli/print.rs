//! What is printed about the command line itself: completions, the manual page, the reference.

use std::fmt::Write as _;

use clap::CommandFactory as _;

use super::{Cli, Failure};

/// Columns of the reference's text.
const REFERENCE_WIDTH: usize = 100;

/// A shell's completions.
pub fn completions(shell: clap_complete::Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tollgate", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The manual page: the program's, then each command's.
pub fn manual() -> Result<String, Failure> {
    let mut text = Vec::new();
    let mut command = Cli::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    manual_of(&command, &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn manual_of(command: &clap::Command, text: &mut Vec<u8>) -> Result<(), Failure> {
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        let heading = command.get_bin_name().unwrap_or_default();
        text.extend_from_slice(format!(".SH \"{}\"\n", heading.to_uppercase()).as_bytes());
        let man = clap_mangen::Man::new(command.clone());
        man.render_description_section(text)?;
        man.render_options_section(text)?;
        manual_of(command, text)?;
    }
    Ok(())
}

/// `docs/cli.md`.
pub fn reference() -> String {
    let mut command = Cli::command().term_width(REFERENCE_WIDTH).max_term_width(REFERENCE_WIDTH);
    command.build();
    let mut text = String::from(
        "<!-- Made by `tollgate reference > docs/cli.md`; a test fails when it is stale. -->\n\n# The command line\n",
    );
    section(&mut command, &mut text);
    text
}

fn section(command: &mut clap::Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or("tollgate").to_owned();
    let help = command.clone().term_width(REFERENCE_WIDTH).max_term_width(REFERENCE_WIDTH).render_long_help();
    let lines: Vec<String> = help.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
    let _ = write!(text, "\n## `{name}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    for command in command.get_subcommands_mut().filter(|command| !command.is_hide_set()) {
        section(command, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn docs_cli_md_is_what_the_program_says() {
        let written = include_str!("../../docs/cli.md");
        let said = reference();
        assert!(written == said, "docs/cli.md is stale: run `cargo run -- reference > docs/cli.md`");
    }

    #[test]
    fn completions_and_the_manual_know_every_noun() {
        let manual = manual().unwrap();
        for noun in ["keys", "usage", "models", "upstreams", "doctor"] {
            assert!(completions(clap_complete::Shell::Bash).contains(noun));
            assert!(manual.contains(&format!("TOLLGATE {}", noun.to_uppercase())), "{noun}");
        }
    }
}
