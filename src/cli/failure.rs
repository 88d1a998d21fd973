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
        Self::No(format!("{error:#}"))
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
