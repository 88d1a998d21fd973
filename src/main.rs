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
//! | [`reference`](mod@reference) | the documentation's pages that are made from the program |
//! | [`telemetry`] | log lines and metrics |
//! | [`world`] | the one place of clock and randomness |

mod cli;
mod demo;
mod doctor;
mod reference;
mod serve;
mod settings;
mod telemetry;
mod world;

use std::{alloc::System, process::ExitCode};

use zeroizing_alloc::ZeroAlloc;

/// Memory is wiped when it is freed: what a request's head, an answer or a page held of a secret goes with it, also
/// where a library kept the copy. See `docs/decisions/0012-what-memory-holds.md`.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    // Everything that we make holds secrets or counts: for our own user alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    keep_memory_to_ourselves();
    // The one provider that is compiled in. A second call would find it installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cli::run()
}

/// Memory holds secrets while they are at work: no core file is written of it, and no other process of this user may
/// look into it. Where the system does not know of this, it is as it would be without.
fn keep_memory_to_ourselves() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}
