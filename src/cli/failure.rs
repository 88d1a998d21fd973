//! How a command fails, and the exit code of each way: what scripts rely on.

use std::process::ExitCode;

use crate::settings::SettingsError;

/// A command's failure. The text says what to do next and holds no secret.
#[derive(Debug)]
pub enum Failure {
    /// The command ran and the answer is no.
    No(String),
    /// The same, and everything has been said already.
    Silent,
    /// Wrong usage: arguments, settings, a missing confirmation.
    Usage(String),
    /// The server cannot be reached.
    Unreachable(String),
    /// The server refuses: no or a wrong token, or a right one that may not.
    Refused(String),
    /// Whoever read our output has had enough (`| head`): no failure.
    Enough,
}

impl Failure {
    /// The code that the process exits with.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Enough => 0,
            Self::No(_) | Self::Silent => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::Refused(_) => 4,
        }
    }
    /// What is said on standard error.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::No(text) | Self::Usage(text) | Self::Unreachable(text) | Self::Refused(text) => Some(text),
            Self::Silent | Self::Enough => None,
        }
    }
    /// The exit code, for `main`.
    pub fn exit(&self) -> ExitCode {
        ExitCode::from(self.code())
    }
}
impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Usage(error.to_string())
    }
}
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        // A cause that its error has said already is not said twice.
        let message = error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
            "" => cause,
            said if said.contains(&cause) => said.to_owned(),
            said => format!("{said}: {cause}"),
        });
        Self::No(message)
    }
}
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::Enough,
            _ => Self::No(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow::anyhow!("no such port").context("cannot listen: no such port").context("it does not start");
        assert_eq!(Failure::from(error).message(), Some("it does not start: cannot listen: no such port"));
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        assert_eq!(Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe)).code(), 0);
        assert_eq!(Failure::from(std::io::Error::from(std::io::ErrorKind::NotFound)).code(), 1);
    }
}
