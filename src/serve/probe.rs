//! Trying an upstream when an operator asks for it: what `tollgate doctor` asks, from inside the running server.
//!
//! It runs where blocking is allowed, a few at a time, and ends by itself: an upstream that stalls holds up nobody else.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tollgate_core::catalog::UpstreamAuth;
use tollgate_manage::{ProbeAnswer, ProbeFuture, UpstreamProbe};

use crate::doctor;

/// Most tests at once.
const MOST_AT_ONCE: usize = 2;
/// For its turn, longer than two tests take.
const TURN_TIME: Duration = Duration::from_secs(15);

/// Asks upstreams for their models.
pub struct Prober(Arc<Semaphore>);

impl Prober {
    /// One for the whole process.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(MOST_AT_ONCE)))
    }
}

impl UpstreamProbe for Prober {
    fn probe(&self, auth: UpstreamAuth) -> ProbeFuture {
        let turn = tokio::time::timeout(TURN_TIME, Arc::clone(&self.0).acquire_owned());
        Box::pin(async move {
            let Ok(Ok(turn)) = turn.await else {
                return Err("other upstreams are being tested: try again in a moment".to_owned());
            };
            let asked = tokio::task::spawn_blocking(move || {
                let UpstreamAuth { upstream, credential } = &auth;
                let answer = doctor::ask(upstream.base_url.as_str(), upstream.engine, credential.as_ref());
                drop(turn);
                answer
            });
            let answer = asked.await.map_err(|_| "the test broke off".to_owned())??;
            Ok(ProbeAnswer { status: answer.status, models: answer.models })
        })
    }
}
