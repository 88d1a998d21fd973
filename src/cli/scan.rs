//! `tollgate scan`: finds keys where they should not be, and has them disabled.
//!
//! Finding needs no network, no settings and no store. Results go to standard output, everything else to standard error;
//! neither holds a key.

use std::{
    collections::BTreeSet,
    io::IsTerminal as _,
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tollgate_core::secret::Prefix;
use tollgate_scan::{
    Finder, Findings, Found,
    files::{FileOptions, scan_files, scan_stream},
    git::{GitError, scan_history, scan_staged},
    report::{self, Summary},
    rules::{Tool, rules},
};

use super::{Failure, Screen, StoreArguments, leaks, words};
use crate::settings::Environment;

/// A scan that is done sooner shows no progress.
const SILENCE: Duration = Duration::from_secs(1);
/// Between two looks at the counts.
const LOOK: Duration = Duration::from_millis(100);
/// The most prefixes: each is looked for by itself.
const MOST_PREFIXES: usize = 16;
/// The most threads.
const MOST_THREADS: usize = 64;

const EXAMPLES: &str = "\
Examples:
  tollgate scan                      the files here, but for what git ignores
  tollgate scan --git                the whole history of this repository
  tollgate scan --staged             what a commit would add: for a pre-commit hook
  kubectl logs web | tollgate scan --stdin
  tollgate scan --git --report       and have what is found disabled by the server
  tollgate scan --rules gitleaks --prefix acme > .gitleaks.toml

Exit codes: 0 nothing found; 1 keys found; 2 wrong usage; 3 server unreachable; 4 refused.
What is found and what is not: docs/operators/scan.md";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ScanArguments {
    /// Files, directories, archives; with --git or --staged, a repository
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Search the history of the repository instead: all objects, of all branches, tags and stashes
    #[arg(long, group = "source")]
    git: bool,
    /// Search what is staged and not as in HEAD instead
    #[arg(long, group = "source")]
    staged: bool,
    /// Search standard input instead
    #[arg(long, group = "source", conflicts_with = "paths")]
    stdin: bool,
    /// Print a rule file for another scanner instead, made from the prefix
    #[arg(long, value_name = "TOOL", group = "source", conflicts_with = "paths")]
    rules: Option<RuleTool>,
    /// Search what git ignores, too
    #[arg(long, conflicts_with = "source")]
    no_ignore: bool,
    /// What keys begin with; may be given several times [default: tg, or keys.prefix of --config]
    #[arg(long, value_name = "PREFIX")]
    prefix: Vec<Prefix>,
    /// The settings file whose keys.prefix is looked for
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Report what is found to the server, which disables it
    #[arg(long)]
    report: bool,
    /// With --report, where the keys were found: an address that others can open [default: the path]
    #[arg(long, value_name = "URL", requires = "report")]
    found_at: Option<String>,
    /// With --report, the server's address
    #[arg(
        long,
        env = "TOLLGATE_URL",
        hide_env_values = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    url: String,
    /// How many threads search [default: one for each processor]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Say nothing where nothing is found
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each place
    Text,
    /// One object
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RuleTool {
    /// .gitleaks.toml
    Gitleaks,
    /// A configuration of TruffleHog 3
    Trufflehog,
    /// A custom detector of GitGuardian
    Gitguardian,
    /// A custom pattern of GitHub's secret scanning
    Github,
    /// A plugin of detect-secrets
    DetectSecrets,
}

impl RuleTool {
    const fn tool(self) -> Tool {
        match self {
            Self::Gitleaks => Tool::Gitleaks,
            Self::Trufflehog => Tool::Trufflehog,
            Self::Gitguardian => Tool::GitGuardian,
            Self::Github => Tool::GitHub,
            Self::DetectSecrets => Tool::DetectSecrets,
        }
    }
}

impl From<GitError> for Failure {
    fn from(error: GitError) -> Self {
        match error {
            GitError::None { .. } => Self::Usage(error.to_string()),
            GitError::Unreadable { .. } => Self::No(error.to_string()),
        }
    }
}

pub fn run(arguments: &ScanArguments, environment: &Environment) -> Result<(), Failure> {
    let screen = Screen::real(environment, false);
    let prefixes = prefixes(arguments, environment)?;
    if let Some(tool) = arguments.rules {
        return screen.print(&rules(tool.tool(), &prefixes));
    }
    let began = Instant::now();
    let finder = Finder::new(&prefixes);
    let (found, summary) = watched(arguments, &finder)?;
    let keys = report::keys(&found);

    let tokens: BTreeSet<String> =
        prefixes.iter().map(|prefix| prefix.for_access_tokens().as_str().to_owned()).collect();
    let result = match arguments.format {
        Format::Text => report::text(&found),
        Format::Json => report::json(&found, summary, &tokens).to_string(),
        Format::Sarif => report::sarif(&found, env!("CARGO_PKG_VERSION"), &tokens).to_string(),
    };
    if !result.is_empty() {
        screen.print(&result)?;
    }
    if !arguments.quiet || !found.is_empty() || summary.unread > 0 {
        screen.say(&said(keys.len(), summary, began.elapsed()));
    }
    if keys.is_empty() {
        return Ok(());
    }
    if arguments.report {
        let found_at = arguments.found_at.clone().unwrap_or_else(|| found_at(arguments));
        let count = leaks::report(&arguments.url, &keys, &found_at)?;
        screen.say(&format!(
            "Reported {} to {}: those that it knows are being disabled.",
            counted(count, "key"),
            arguments.url
        ));
    } else {
        screen.say(
            "Whoever has read them can use them: taking them out is not enough. `tollgate scan --report` has them disabled, \
             `tollgate keys revoke` revokes one.",
        );
    }
    Err(Failure::Silent)
}

fn prefixes(arguments: &ScanArguments, environment: &Environment) -> Result<Vec<Prefix>, Failure> {
    let mut prefixes = arguments.prefix.clone();
    if arguments.config.is_some() {
        let store = StoreArguments { config: arguments.config.clone(), data: None };
        prefixes.push(store.settings(environment)?.prefix);
    }
    if prefixes.is_empty() {
        prefixes.push(Prefix::default());
    }
    prefixes.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    prefixes.dedup();
    if prefixes.len() > MOST_PREFIXES {
        return Err(Failure::Usage(format!("at most {MOST_PREFIXES} prefixes")));
    }
    Ok(prefixes)
}

/// Scans, with a progress bar where somebody may be waiting.
fn watched(arguments: &ScanArguments, finder: &Finder) -> Result<(Vec<Found>, Summary), Failure> {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    let warnings = bar.clone();
    let findings = Findings::new(finder, move |text| warnings.suspend(|| eprintln!("tollgate: {text}")));
    let is_done = (Mutex::new(false), Condvar::new());
    let outcome = std::thread::scope(|scope| {
        if std::io::stderr().is_terminal() {
            scope.spawn(|| show(&bar, &findings, &is_done));
        }
        let outcome = scan(arguments, finder, &findings);
        *is_done.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        is_done.1.notify_all();
        outcome
    });
    outcome?;
    let summary = Summary::of(&findings);
    Ok((findings.into_found(), summary))
}

/// Draws the bar until the scan is done.
fn show(bar: &ProgressBar, findings: &Findings, (is_done, changed): &(Mutex<bool>, Condvar)) {
    let mut wait = SILENCE;
    loop {
        let guard = is_done.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = changed.wait_timeout_while(guard, wait, |is_done| !*is_done);
        if *outcome.unwrap_or_else(PoisonError::into_inner).0 {
            break bar.finish_and_clear();
        }
        if wait == SILENCE {
            wait = LOOK;
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        let total = findings.total.load(Ordering::Relaxed);
        let template = if total > 0 { "{bar:30} {percent}% {msg} {elapsed}" } else { "{spinner} {msg} {elapsed}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        if total > 0 {
            bar.set_length(total);
        }
        bar.set_position(findings.read.load(Ordering::Relaxed));
        bar.set_message(format!(
            "{} searched, {} found",
            HumanBytes(findings.bytes.load(Ordering::Relaxed)),
            findings.places.load(Ordering::Relaxed)
        ));
        bar.tick();
    }
}

fn scan(arguments: &ScanArguments, finder: &Finder, findings: &Findings) -> Result<(), Failure> {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.unwrap_or_else(processors).clamp(1, MOST_THREADS);
    if arguments.stdin {
        scan_stream("standard input", std::io::stdin().lock(), finder, findings);
        return Ok(());
    }
    // A path that is not there, or cannot be read, is a mistake: passing it over would call it clean.
    for path in &arguments.paths {
        if let Err(error) = readable(path) {
            return Err(Failure::Usage(format!("{}: {error}", path.display())));
        }
    }
    if arguments.git {
        for path in &arguments.paths {
            scan_history(path, threads, finder, findings)?;
        }
    } else if arguments.staged {
        for path in &arguments.paths {
            scan_staged(path, finder, findings)?;
        }
    } else {
        scan_files(&arguments.paths, FileOptions { ignored: arguments.no_ignore, threads }, finder, findings);
    }
    Ok(())
}

/// Whether a path can be read, as far as one can tell without reading it: a pipe that is opened twice is read once.
fn readable(path: &Path) -> std::io::Result<()> {
    let kind = path.metadata()?.file_type();
    if kind.is_dir() {
        std::fs::read_dir(path).map(drop)
    } else if kind.is_file() {
        std::fs::File::open(path).map(drop)
    } else {
        Ok(())
    }
}

/// What was searched, as whoever gets the report may know it.
fn found_at(arguments: &ScanArguments) -> String {
    match arguments.paths.first() {
        Some(path) if !arguments.stdin => path.canonicalize().unwrap_or_else(|_| path.clone()).display().to_string(),
        _ => "standard input".to_owned(),
    }
}

fn said(keys: usize, summary: Summary, took: Duration) -> String {
    let mut text = match keys {
        0 => "No keys found.".to_owned(),
        keys => format!("Found {} in {}.", counted(keys, "key"), counted(summary.places, "place")),
    };
    let things = counted(summary.read, "file or object");
    text.push_str(&format!(" Searched {things}, {}, in {:.1} s.", HumanBytes(summary.bytes), took.as_secs_f64()));
    if summary.unread > 0 {
        text.push_str(&format!(" NOT searched, or not to the end: {}.", words::grouped(&summary.unread.to_string())));
    }
    text
}

/// `1 key`, `2,000 keys`.
fn counted(count: impl ToString, what: &str) -> String {
    let count = count.to_string();
    let what = match what {
        what if count == "1" => what.to_owned(),
        "file or object" => "files or objects".to_owned(),
        what => format!("{what}s"),
    };
    format!("{} {what}", words::grouped(&count))
}
