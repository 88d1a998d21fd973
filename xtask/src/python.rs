//! The packages from PyPI that tests run, `openai`, `schemathesis` and others, in a virtual environment of its own under
//! `target/`.
//!
//! The environment is found again as long as `tests/python/requirements.txt` stays as it is.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{cargo, run, say};

/// The Python interpreter of the environment, made on the first call.
pub fn environment() -> Result<PathBuf> {
    let requirements = cargo::root()?.join("tests/python/requirements.txt");
    let wanted = fs::read_to_string(&requirements).with_context(|| requirements.display().to_string())?;
    let directory = cargo::target_directory()?.join("python");
    let interpreter = directory.join("bin/python");
    let stamp = directory.join("installed.txt");
    if interpreter.exists() && fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(interpreter);
    }
    say("making the Python environment");
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&directory))
        .context("this needs python3 with venv (Debian: apt-get install python3-venv)")?;
    run(Command::new(&interpreter)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(&requirements))?;
    fs::write(&stamp, wanted)?;
    Ok(interpreter)
}
