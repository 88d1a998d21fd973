//! What the tests of the console need: Chromium, Node.js and a few packages. Found or installed.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{apt, node::Node, say};

/// The names under which Chromium and its twins stand on `PATH`.
const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
/// Where it is when it is not on `PATH`.
const PLACES: [&str; 5] = [
    "/usr/bin/chromium",
    "/usr/lib/chromium/chromium",
    "/opt/google/chrome/chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
/// Debian's packages: the browser, and letters for every page (Vietnamese, right-to-left, emoji).
const PACKAGES: [&str; 3] = ["chromium", "fonts-dejavu-core", "fonts-noto-color-emoji"];

/// A browser and what drives it.
pub struct Browser {
    chromium: PathBuf,
    version: String,
    node: Node,
}

impl Browser {
    /// Finds or installs all of it. `pretend_missing` hides what the machine has, so that the installing ways are tried.
    pub fn find_or_install(pretend_missing: bool) -> Result<Self> {
        let node = Node::find_or_install(pretend_missing)?;
        node.packages()?;
        let found = match find().filter(|_| !pretend_missing) {
            Some(found) => Some(found),
            None => {
                install()?;
                find()
            }
        };
        let (chromium, version) = found.context("apt-get installed chromium, but it is not where it is looked for")?;
        Ok(Self { chromium, version, node })
    }

    /// Hands a test what it needs to find the browser.
    pub fn hand_to<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("TOLLGATE_TEST_CHROMIUM", &self.chromium).env("TOLLGATE_TEST_NODE", self.node.program())
    }
    /// What it is, in words.
    pub fn description(&self) -> String {
        format!("{}, Node.js {}", self.version, self.node.version())
    }
}

/// The first browser that runs, and what it calls itself.
fn find() -> Option<(PathBuf, String)> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).flat_map(|directory| NAMES.map(|name| directory.join(name)));
    on_path.chain(PLACES.iter().map(PathBuf::from)).find_map(|program| Some((program.clone(), version(&program)?)))
}

/// "Chromium 156.0.8078.79"; none when the program does not run (Ubuntu's `chromium-browser` may be a hint to use snap).
fn version(program: &Path) -> Option<String> {
    let output =
        program.is_file().then(|| Command::new(program).arg("--version").stderr(Stdio::null()).output().ok())??;
    let text = String::from_utf8(output.stdout).ok()?;
    let words = text.split_whitespace().take_while(|word| *word != "built").collect::<Vec<_>>().join(" ");
    (output.status.success() && words.contains("Chrom")).then_some(words)
}

/// Installs Chromium through apt, or says what to install.
fn install() -> Result<()> {
    if !apt::is_usable()? {
        bail!(
            "Chromium or Google Chrome is needed for the tests of the console and was not found on PATH or in its usual \
             places. Install it: `sudo apt-get install chromium` (Debian), `sudo dnf install chromium` (Fedora), `brew \
             install --cask chromium` (macOS), or Google Chrome"
        );
    }
    say("installing Chromium: apt-get install chromium");
    apt::install(&PACKAGES)
}
