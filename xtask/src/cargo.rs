//! Cargo, and where it puts things.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{run, say};

/// The cargo that started this program.
pub fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The workspace's directory.
pub fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("xtask lies in the workspace")?.to_owned())
}

/// Where cargo puts what it builds.
pub fn target_directory() -> Result<PathBuf> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version=1"])
        .current_dir(root()?)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo metadata")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let directory = metadata.get("target_directory").and_then(serde_json::Value::as_str);
    Ok(directory.context("cargo metadata names no target_directory")?.into())
}

/// Builds all programs and tests in one go, so that their dependencies are built once; returns the `tollgate` binary.
pub fn build_everything() -> Result<PathBuf> {
    say("building");
    run(cargo().args(["build", "--workspace", "--bins", "--tests"]).current_dir(root()?))?;
    Ok(target_directory()?.join("debug").join("tollgate"))
}

/// Builds the `tollgate` binary alone, and returns it.
pub fn build_tollgate() -> Result<PathBuf> {
    run(cargo().args(["build", "--package", "tollgate", "--bin", "tollgate"]).current_dir(root()?))?;
    Ok(target_directory()?.join("debug").join("tollgate"))
}

/// Whether cargo-nextest is installed.
pub fn has_nextest() -> bool {
    let version = cargo().args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// The command that runs the tests: nextest where it is installed, else `cargo test`.
pub fn test_runner(filter: Option<&str>, package: Option<&str>) -> Command {
    let mut command = cargo();
    command.args(if has_nextest() { &["nextest", "run", "--no-fail-fast"][..] } else { &["test", "--no-fail-fast"] });
    scope(&mut command, package);
    command.args(filter);
    command
}

/// The command that runs the examples in documentation.
pub fn doc_tests(package: Option<&str>) -> Command {
    let mut command = cargo();
    command.args(["test", "--doc", "--quiet"]);
    scope(&mut command, package);
    command
}

fn scope(command: &mut Command, package: Option<&str>) {
    match package {
        Some(package) => command.args(["--package", package]),
        None => command.arg("--workspace"),
    };
    if let Ok(root) = root() {
        command.current_dir(root);
    }
}
