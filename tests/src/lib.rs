//! The harness of the tests from outside: the real `tollgate` binary as a child process, a real store, and a fake
//! upstream that keeps its own count and can stall, cut and lie.
//!
//! Nothing here knows Tollgate's inside: what a test sees is what a customer, an operator or an upstream sees.
//! Nothing sleeps to let something happen: [`eventually`] asks until it did, or a deadline passes.
//!
//! | module | holds |
//! |---|---|
//! | [`engine`] | SQLite and PostgreSQL: a database for each test |
//! | [`node`] | the `serve` process: started, signalled, killed, its output |
//! | [`house`] | the usual set-up: a node, an upstream, a catalogue, the operator |
//! | [`http`] | requests, streams and raw bytes over HTTP |
//! | [`liar`] | an identity provider that lies on demand |
//! | [`upstream`] | the fake upstream and its ledger |
//! | [`proxy`] | a TCP proxy that can be cut, between a node and its store |
//! | [`github`] | a stand-in for GitHub's secret scanning |
//! | [`tls`] | TLS in front of the fake upstream, with an authority of our own |
//! | [`cli`] | the command line |
//! | [`left_behind`] | the secrets that a test saw, and what it left behind in which none may be |
//! | [`memory`] | what is in a process's memory, as a core file would hold it |
//! | [`leak`] | keys, hidden as people hide them without meaning to |
//! | [`browser`] | Chromium, driven by the scripts in `tests/browser` |
//! | [`python`] | programs of `tests/python`: a mail server, a receiver of webhooks |
#![allow(
    clippy::disallowed_methods,
    reason = "tests read their own environment and the clock of the world they are in"
)]

pub mod browser;
pub mod cli;
pub mod engine;
pub mod github;
pub mod house;
pub mod http;
pub mod leak;
pub mod left_behind;
pub mod liar;
pub mod memory;
pub mod node;
pub mod proxy;
pub mod python;
pub mod tls;
pub mod upstream;

use std::time::{Duration, Instant};

pub use engine::Engine;
pub use house::{House, Issued};
pub use http::{Http, Reply};
pub use node::{Node, NodeOptions};
pub use python::Python;
pub use serde_json::{Value, json};
pub use upstream::FakeUpstream;

/// How long anything may take before a test gives it up. Generous: a busy machine is no failure.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// How often [`eventually`] asks.
const POLL: Duration = Duration::from_millis(20);

/// Asks until there is an answer. Panics with `what` when there is none before [`DEADLINE`].
pub async fn eventually<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    within(DEADLINE, what, ask).await
}

/// Asks until there is an answer. Panics with `what` when there is none within `deadline`.
pub async fn within<T>(deadline: Duration, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < deadline, "not within {deadline:?}: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// Runs each of these functions (`async fn name(engine: Engine)`) as a test on SQLite and on PostgreSQL.
#[macro_export]
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        $(
            mod $name {
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn on_sqlite() {
                    super::$name($crate::Engine::Sqlite).await;
                }
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn on_postgres() {
                    super::$name($crate::Engine::Postgres).await;
                }
            }
        )+
    };
}
