//! The program: its command line, settings, composition, telemetry and demo models.
//!
//! Everything that the crates are given from outside begins here: the clock and randomness ([`world`]), the
//! environment ([`settings::environment`]), files, signals, threads.
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | the command line, one file a noun |
//! | [`settings`] | `tollgate.toml`, the environment, secrets |
//! | [`serve`] | the parts put together, started and stopped in order |
//! | [`demo`] | `tollgate demo` and its models |
//! | [`doctor`] | checks, and what to do about each fault |
//! | [`telemetry`] | log lines and metrics |
//! | [`world`] | the one place of clock and randomness |

mod cli;
mod demo;
mod doctor;
mod serve;
mod settings;
mod telemetry;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Everything that we make holds secrets or counts: for our own user alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    // The one provider that is compiled in. A second call would find it installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cli::run()
}
