//! Debian's packages, installed where this program may.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::run;

/// Whether there is apt and this process is root.
pub fn is_usable() -> Result<bool> {
    let has_apt = Command::new("apt-get").arg("--version").stdout(Stdio::null()).status().is_ok();
    Ok(has_apt && is_root()?)
}

/// Installs packages, with the lists that are there or, when that fails, with new ones.
pub fn install(packages: &[&str]) -> Result<()> {
    let apt = |arguments: &[&str]| {
        run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()))
    };
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments).or_else(|_| apt(&["update"]).and_then(|()| apt(&arguments)))
}

/// Whether this process is root.
pub fn is_root() -> Result<bool> {
    Ok(user_id(None)?.as_deref() == Some("0"))
}

/// A user's number, or this process's.
pub fn user_id(name: Option<&str>) -> Result<Option<String>> {
    let output = Command::new("id").arg("-u").args(name).output().context("cannot run id")?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned()))
}
