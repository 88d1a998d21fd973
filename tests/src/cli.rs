//! The command line, as a person or a script runs it.

use std::{
    fs::File,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{left_behind, node::command};

/// What a command came to.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
    /// The same, checked to have ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

/// The command line of someone with a server and a token.
#[derive(Debug, Clone)]
pub struct Cli {
    url: String,
    token: String,
}

impl Cli {
    /// Against the server at `url`, as the owner of `token`.
    #[must_use]
    pub fn new(url: &str, token: &str) -> Self {
        Self { url: url.to_owned(), token: token.to_owned() }
    }
    /// Runs one command to its end, without a terminal and without standard input.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        finish(self.command(arguments), None)
    }
    /// Runs one command with this on its standard input.
    #[must_use]
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        finish(self.command(arguments), Some(input))
    }
    /// The command, to be run in another way.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command();
        command.args(arguments).env("TOLLGATE_URL", &self.url).env("TOLLGATE_TOKEN", &self.token);
        command
    }
}

/// Runs a command that needs no server.
#[must_use]
pub fn run(directory: &Path, arguments: &[&str]) -> Ran {
    let mut command = command();
    command.args(arguments).current_dir(directory);
    finish(command, None)
}

/// Runs a command whose standard output is a pipe that nobody reads.
#[must_use]
pub fn run_into_closed_pipe(mut command: Command) -> Ran {
    let directory = tempfile::tempdir().expect("a directory");
    let errors = directory.path().join("stderr");
    let mut child =
        command.stdout(Stdio::piped()).stderr(File::create(&errors).expect("a file")).spawn().expect("the binary runs");
    drop(child.stdout.take());
    let status = child.wait().expect("wait");
    Ran {
        code: status.code().unwrap_or(-1),
        stdout: String::new(),
        stderr: std::fs::read_to_string(errors).unwrap_or_default(),
    }
}

/// Runs any command to its end.
#[must_use]
pub fn finish(mut command: Command, input: Option<&str>) -> Ran {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().expect("the program runs");
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // A command that refuses early may not read its input.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().expect("output");
    left_behind::saw(&output.stdout);
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
