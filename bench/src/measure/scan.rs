//! `tollgate scan`: files beside ripgrep looking for the same expression in the same bytes, and history by megabytes of objects
//! on one core.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::Value;
use tollgate_tests::node::binary;

use super::median;
use crate::{Line, Scale, neighbour::find_or_install};

/// What ripgrep is asked for.
const EXPRESSION: &str = "tga?_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}";
const ROUNDS: usize = 7;
/// Sources that the history is made of.
const HISTORY_BYTES: u64 = 200 << 20;
/// Commits of it, each of which changes files.
const COMMITS: usize = 20;
/// Every so many files is changed in a commit.
const CHANGED: usize = 7;
const MIB: f64 = 1_048_576.0;

/// Measures.
pub fn measure(scale: Scale) -> anyhow::Result<Vec<Line>> {
    let tree = sources()?;
    let mut lines = vec![files(&tree)?];
    let repository = tempfile::tempdir()?;
    make_history(&tree, repository.path(), scale.of(HISTORY_BYTES))?;
    lines.push(history(repository.path())?);
    Ok(lines)
}

/// The sources of crates that cargo has unpacked on this machine.
fn sources() -> anyhow::Result<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"))).context("no CARGO_HOME")?;
    Ok(home.join("registry/src"))
}

fn files(tree: &Path) -> anyhow::Result<Line> {
    let scan = || {
        let mut command = Command::new(binary());
        command.args(["scan", "--no-ignore", "--quiet", "--format", "json"]).arg(tree);
        command
    };
    let ripgrep = find_or_install("rg", "ripgrep")?;
    let search = || {
        let mut command = Command::new(&ripgrep);
        command.args(["--no-config", "--no-ignore", "--hidden", "--text", "--count", EXPRESSION]).arg(tree);
        command
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // The first round of each fills the cache of files.
    for round in 0..=ROUNDS {
        let (a, b) = (timed(scan())?, timed(search())?);
        if round > 0 {
            ours.push(a);
            theirs.push(b);
        }
    }
    let result: Value = serde_json::from_slice(&scan().stderr(Stdio::null()).output()?.stdout)?;
    let (ours, theirs) = (median(ours).unwrap_or_default(), median(theirs).unwrap_or_default());
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    let bytes = result["summary"]["bytes"].as_f64().unwrap_or_default();
    let met = if ratio <= 2.0 { "" } else { ", missed" };
    Ok(Line {
        what: format!("scan of {} files, {:.0} MiB", result["summary"]["read"], bytes / MIB),
        ours: format!("{:.2} s, {ratio:.2} times", ours.as_secs_f64()),
        neighbour: format!("{}, the plain form alone: {:.2} s", version(&ripgrep)?, theirs.as_secs_f64()),
        goal: format!("at most 2 times{met}"),
    })
}

fn history(repository: &Path) -> anyhow::Result<Line> {
    let mut command = Command::new(binary());
    command.args(["scan", "--git", "--threads", "1", "--quiet", "--format", "json"]).arg(repository);
    let mut times = Vec::new();
    let mut result = Value::Null;
    for _ in 0..3 {
        let began = Instant::now();
        let ran = command.stderr(Stdio::null()).output()?;
        times.push(began.elapsed());
        result = serde_json::from_slice(&ran.stdout)?;
    }
    let took = median(times).unwrap_or_default();
    let bytes = result["summary"]["bytes"].as_f64().unwrap_or_default();
    let rate = bytes / 1e6 / took.as_secs_f64();
    let pack = pack_bytes(repository)?;
    let met = if rate >= 50.0 { "" } else { ", missed" };
    Ok(Line {
        what: format!("scan of a history of {} objects, {:.0} MiB", result["summary"]["read"], bytes / MIB),
        ours: format!("{rate:.0} MB/s on one core"),
        neighbour: format!("packed they are {:.0} MiB; {:.1} s in all", pack as f64 / MIB, took.as_secs_f64()),
        goal: format!("at least 50 MB/s{met}"),
    })
}

/// `ripgrep 13.0.0`
fn version(ripgrep: &Path) -> anyhow::Result<String> {
    let output = Command::new(ripgrep).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

/// Runs to the end; what it prints is thrown away.
fn timed(mut command: Command) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot run {:?}", command.get_program()))?;
    ensure!(status.code().is_some_and(|code| code <= 1), "{command:?}: {status}");
    Ok(began.elapsed())
}

/// Commits sources, then changes some of them again and again, and packs all of it.
fn make_history(tree: &Path, repository: &Path, most: u64) -> anyhow::Result<()> {
    let git = |arguments: &[&str]| -> anyhow::Result<()> {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "gc.auto=0"])
            .args(arguments);
        // What other people wrote into their attributes is none of ours.
        command.current_dir(repository).env("GIT_CONFIG_GLOBAL", "/dev/null").stderr(Stdio::null());
        let status = command.status()?;
        ensure!(status.success(), "git {arguments:?}: {status}");
        Ok(())
    };
    git(&["init", "--quiet"])?;
    let mut files = Vec::new();
    let mut left = most;
    copy(tree, &repository.join("src"), &mut files, &mut left)?;
    for commit in 0..COMMITS {
        for path in files.iter().skip(commit % CHANGED).step_by(CHANGED) {
            let mut content = fs::read(path)?;
            let middle = content.len() / 2;
            content.splice(middle..middle, format!("\n// change {commit}\n").into_bytes());
            fs::write(path, content)?;
        }
        git(&["add", "--all", "--force"])?;
        git(&["commit", "--quiet", "--message", &format!("change {commit}")])?;
    }
    git(&["gc", "--quiet"])
}

/// Copies files until there are enough bytes.
fn copy(from: &Path, to: &Path, files: &mut Vec<PathBuf>, left: &mut u64) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    let mut entries: Vec<_> = fs::read_dir(from)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if *left == 0 || entry.file_name() == ".git" {
            continue;
        }
        if kind.is_dir() {
            copy(&entry.path(), &target, files, left)?;
        } else if kind.is_file() {
            *left = left.saturating_sub(fs::copy(entry.path(), &target)?);
            files.push(target);
        }
    }
    Ok(())
}

fn pack_bytes(repository: &Path) -> anyhow::Result<u64> {
    let packs = fs::read_dir(repository.join(".git/objects/pack"))?;
    packs.map(|pack| Ok(pack?.metadata()?.len())).sum()
}
