//! What is printed about the command line itself: completions, the manual page.

use clap::CommandFactory as _;

use super::{Cli, Failure};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
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
