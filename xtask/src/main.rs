//! What a person or CI runs: `cargo xtask test`, `bench`, `fuzz`, `reference`, `pictures`, `postgres`,
//! `browser`.
//!
//! Each command finds or installs by itself what it needs, says plainly what it cannot get, and leaves
//! nothing running behind, whichever way it ends.
//!
//! | module | holds |
//! |---|---|
//! | [`postgres`] | PostgreSQL's programs found or installed, and a throwaway cluster |
//! | [`python`] | the official `openai` package in an environment of its own |
//! | [`browser`] | Chromium and what drives it, found or installed |
//! | [`node`] | Node.js found or installed, and the packages of the browser tests |
//! | [`pictures`] | the documentation's pictures of the console |
//! | [`sweep`] | what the tests left behind in PostgreSQL's files, in which no secret may be |
//! | [`apt`] | Debian's packages |
//! | [`cargo`] | cargo, and where it puts things |
#![expect(clippy::disallowed_methods, reason = "a build tool reads its own environment; the ban is for the product")]

mod apt;
mod browser;
mod cargo;
mod node;
mod pictures;
mod postgres;
mod python;
mod sweep;

use std::{
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "What a person or CI runs", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs every test, with a throwaway PostgreSQL cluster, the `openai` Python package and Chromium
    Test(TestArgs),
    /// Measures the numbers of the README, each beside its neighbour (release build)
    Bench {
        /// Passed on to the bench program: `--only NAME`, `--quick`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs each fuzz target for some seconds, where a fuzzing toolchain is there
    Fuzz {
        /// Seconds for each target
        #[arg(long, default_value_t = 30)]
        seconds: u32,
    },
    /// Writes what is made from the program: docs/openapi.json and the pages of docs/reference
    Reference,
    /// Takes the documentation's pictures of the console anew, into docs/screenshots
    Pictures {
        /// Only puts those in place that the last run of the tests took
        #[arg(long)]
        taken: bool,
    },
    /// Starts the throwaway PostgreSQL cluster and keeps it until Ctrl-C, or runs a command with it
    Postgres {
        /// As if no PostgreSQL were installed: tries the way that installs it
        #[arg(long, hide = true)]
        pretend_missing: bool,
        /// The command to run; its TOLLGATE_TEST_POSTGRES is the cluster's URL
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Finds or installs Chromium and what drives it, then runs a command with it
    Browser {
        /// As if nothing were installed: tries the ways that install it
        #[arg(long, hide = true)]
        pretend_missing: bool,
        /// The command to run; it finds the browser by TOLLGATE_TEST_CHROMIUM and TOLLGATE_TEST_NODE
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

#[derive(Args)]
struct TestArgs {
    /// Only tests whose names contain this
    #[arg(long)]
    filter: Option<String>,
    /// Only this package
    #[arg(long, short)]
    package: Option<String>,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Test(arguments) => test(&arguments),
        Task::Bench { arguments } => bench(&arguments),
        Task::Fuzz { seconds } => fuzz(seconds),
        Task::Reference => reference(),
        Task::Pictures { taken } => pictures::renew(taken),
        Task::Postgres { pretend_missing, command } => with_postgres(pretend_missing, &command),
        Task::Browser { pretend_missing, command } => with_browser(pretend_missing, &command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Says what happens next, apart from the output of the programs that it starts.
fn say(text: &str) {
    eprintln!("xtask: {text}");
}

/// Runs a command to its end.
fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("cannot run {shown}"))?;
    ensure!(status.success(), "{shown}: {status}");
    Ok(())
}

fn test(arguments: &TestArgs) -> Result<()> {
    let began = Instant::now();
    let programs = postgres::Programs::find_or_install(false)?;
    let python = python::environment()?;
    let browser = browser::Browser::find_or_install(false)?;
    let cluster = postgres::Cluster::start(&programs)?;
    let tollgate = cargo::build_everything()?;
    let secrets = sweep::Secrets::new()?;

    let documentation = match (arguments.filter.is_none(), cargo::has_nextest()) {
        // nextest leaves the examples in documentation out. They come first: the tests' count is the last to be read.
        (true, true) => run(&mut cargo::doc_tests(arguments.package.as_deref())),
        _ => Ok(()),
    };
    let mut runner = cargo::test_runner(arguments.filter.as_deref(), arguments.package.as_deref());
    let tests = run(browser
        .hand_to(&mut runner)
        .env("TOLLGATE_BIN", &tollgate)
        .env("TOLLGATE_TEST_POSTGRES", cluster.url())
        .env("TOLLGATE_TEST_POSTGRES_BIN", programs.directory())
        .env("TOLLGATE_TEST_SECRETS", secrets.list())
        .env("TOLLGATE_TEST_PYTHON", &python));
    let swept = secrets.sweep(&cluster, &programs);
    cluster.stop();
    let seconds = began.elapsed().as_secs();
    match documentation.and(tests).and(swept) {
        Ok(()) => {
            let (postgres, browser) = (programs.version(), browser.description());
            say(&format!("every test passed, on SQLite, on PostgreSQL {postgres}, in {browser}; it took {seconds} s"));
        }
        Err(error) => {
            say(&format!("FAILED after {seconds} s"));
            return Err(error);
        }
    }
    Ok(())
}

fn bench(arguments: &[String]) -> Result<()> {
    say("building the release binary and the bench program");
    run(cargo::cargo().args(["build", "--release", "--bin", "tollgate", "--bin", "tollgate-bench"]).args([
        "--package",
        "tollgate",
        "--package",
        "tollgate-bench",
    ]))?;
    let release = cargo::target_directory()?.join("release");
    let programs = postgres::Programs::find_or_install(false)?;
    let cluster = postgres::Cluster::start(&programs)?;
    let measured = run(Command::new(release.join("tollgate-bench"))
        .args(arguments)
        .env("TOLLGATE_BIN", release.join("tollgate"))
        .env("TOLLGATE_TEST_POSTGRES", cluster.url())
        .env("TOLLGATE_TEST_POSTGRES_BIN", programs.directory()));
    cluster.stop();
    measured
}

fn fuzz(seconds: u32) -> Result<()> {
    let root = cargo::root()?;
    ensure!(root.join("fuzz/Cargo.toml").is_file(), "there is no fuzz/ here");
    let has = |arguments: &[&str]| {
        Command::new("cargo").args(arguments).current_dir(&root).output().is_ok_and(|output| output.status.success())
    };
    ensure!(has(&["+nightly", "--version"]), "fuzzing needs a nightly toolchain: rustup toolchain install nightly");
    ensure!(has(&["fuzz", "--version"]), "fuzzing needs cargo-fuzz: cargo install --locked cargo-fuzz");
    let listed = Command::new("cargo").args(["+nightly", "fuzz", "list"]).current_dir(&root).output()?;
    for target in String::from_utf8(listed.stdout)?.lines() {
        say(&format!("fuzzing {target} for {seconds} s"));
        run(Command::new("cargo")
            .args(["+nightly", "fuzz", "run", target, "--", &format!("-max_total_time={seconds}"), "-timeout=10"])
            .current_dir(&root))?;
    }
    Ok(())
}

/// What the documentation has from the program itself, each by the command that prints it.
fn reference() -> Result<()> {
    let docs = cargo::root()?.join("docs");
    let tollgate = cargo::build_tollgate()?;
    for (arguments, file) in [
        (&["openapi"][..], "openapi.json"),
        (&["reference", "api"], "reference/api.md"),
        (&["reference", "cli"], "reference/cli.md"),
        (&["reference", "settings"], "reference/settings.md"),
        (&["reference", "errors"], "reference/errors.md"),
    ] {
        let printed = Command::new(&tollgate).args(arguments).output()?;
        ensure!(printed.status.success(), "tollgate {arguments:?}: {}", printed.status);
        std::fs::write(docs.join(file), printed.stdout).with_context(|| format!("docs/{file} cannot be written"))?;
        say(&format!("docs/{file} is what the program says"));
    }
    Ok(())
}

fn with_postgres(pretend_missing: bool, command: &[String]) -> Result<()> {
    let programs = postgres::Programs::find_or_install(pretend_missing)?;
    let cluster = postgres::Cluster::start(&programs)?;
    say(&format!("PostgreSQL {} answers at {}", programs.version(), cluster.url()));
    let outcome = match command.split_first() {
        Some((program, arguments)) => {
            let secrets = sweep::Secrets::new()?;
            let ran = run(Command::new(program)
                .args(arguments)
                .env("TOLLGATE_TEST_SECRETS", secrets.list())
                .env("TOLLGATE_TEST_POSTGRES", cluster.url())
                .env("TOLLGATE_TEST_POSTGRES_BIN", programs.directory()));
            ran.and(secrets.sweep(&cluster, &programs))
        }
        None => {
            say("it runs until this program ends (Ctrl-C)");
            loop {
                std::thread::sleep(Duration::from_secs(3_600));
            }
        }
    };
    cluster.stop();
    outcome
}

fn with_browser(pretend_missing: bool, command: &[String]) -> Result<()> {
    let browser = browser::Browser::find_or_install(pretend_missing)?;
    say(&format!("the browser tests run in {}", browser.description()));
    match command.split_first() {
        Some((program, arguments)) => run(browser.hand_to(Command::new(program).args(arguments))),
        None => Ok(()),
    }
}
