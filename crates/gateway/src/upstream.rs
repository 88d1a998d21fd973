//! Upstreams: how they are, which one a request goes to, and how it gets there.
//!
//! Invariants: an upstream that failed [`FAILURES_TO_EJECT`] times in a row gets nothing until its time is up, then one
//! request or one check at a time until it answers; what is the client's fault or hangs on one request alone (any 4xx,
//! a 500) never counts against an upstream, so that nobody can have it ejected for others.

pub(crate) mod connection;
pub(crate) mod pool;
pub(crate) mod tls;

use std::{
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tollgate_core::name::Slug;

use crate::catalogue::{Serving, UpstreamEntry};

/// Failures in a row after which an upstream gets no requests.
const FAILURES_TO_EJECT: u32 = 3;
/// For how long, the first time; each time in a row twice as long.
const EJECTION_FIRST: Duration = Duration::from_secs(1);
/// The longest.
const EJECTION_MOST: Duration = Duration::from_secs(60);

/// How an upstream is, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamHealth {
    /// Its name.
    pub name: Slug,
    /// Whether the operator lets requests go there.
    pub enabled: bool,
    /// Whether requests go there.
    pub healthy: bool,
    /// Failures in a row.
    pub failures: u32,
    /// What the last of them was, in words: `connection refused`, `tls: …`, `status 503`. Nothing that an upstream said.
    pub last_error: Option<String>,
}

/// What a failure was, in words.
pub(crate) type Cause = std::borrow::Cow<'static, str>;

/// An upstream's health, shared by all workers. Nothing here is exact to the request, and need not be.
#[derive(Debug)]
pub(crate) struct Health {
    failures: AtomicU32,
    ejections: AtomicU32,
    /// Milliseconds of [`now_ms`]; 0: not ejected.
    ejected_until_ms: AtomicU64,
    probing: AtomicBool,
    /// Of the last failure, until it answers.
    cause: Mutex<Option<Cause>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Availability {
    Healthy,
    /// Its time is up: one request may try.
    Probe,
    Ejected,
}

impl Health {
    pub const fn new() -> Self {
        Self {
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected_until_ms: AtomicU64::new(0),
            probing: AtomicBool::new(false),
            cause: Mutex::new(None),
        }
    }
    fn cause(&self) -> MutexGuard<'_, Option<Cause>> {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// What the last failure was; `None` since it answered.
    pub fn last_error(&self) -> Option<String> {
        self.cause().as_ref().map(ToString::to_string)
    }
    pub fn availability(&self, now_ms: u64) -> Availability {
        match self.ejected_until_ms.load(Ordering::Relaxed) {
            0 => Availability::Healthy,
            until if now_ms < until || self.probing.load(Ordering::Relaxed) => Availability::Ejected,
            _ => Availability::Probe,
        }
    }
    pub fn is_healthy(&self) -> bool {
        self.ejected_until_ms.load(Ordering::Relaxed) == 0
    }
    pub fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }
    /// It answered.
    pub fn succeeded(&self) {
        // Only written where it changes something: this is on the path of every request.
        if self.failures.load(Ordering::Relaxed) != 0 || !self.is_healthy() {
            self.failures.store(0, Ordering::Relaxed);
            self.ejections.store(0, Ordering::Relaxed);
            self.ejected_until_ms.store(0, Ordering::Relaxed);
            self.probing.store(false, Ordering::Relaxed);
            *self.cause() = None;
        }
    }
    /// It did not answer, or said that it cannot. Returns whether it is ejected by this.
    pub fn failed(&self, now_ms: u64, cause: Cause) -> bool {
        *self.cause() = Some(cause);
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let ejected = self.ejected_until_ms.load(Ordering::Relaxed);
        self.probing.store(false, Ordering::Relaxed);
        if failures < FAILURES_TO_EJECT || now_ms < ejected {
            return false;
        }
        let doublings = self.ejections.fetch_add(1, Ordering::Relaxed).min(16);
        let time = EJECTION_FIRST.saturating_mul(1 << doublings).min(EJECTION_MOST);
        let until = now_ms.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).max(1);
        self.ejected_until_ms.store(until, Ordering::Relaxed);
        true
    }
    /// Nothing was learnt of it.
    pub fn unknown(&self) {
        self.probing.store(false, Ordering::Relaxed);
    }
}

/// Milliseconds since this process first asked; for measuring only.
pub(crate) fn now_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Picks an upstream by weight among those that are enabled, healthy and not `tried`. One of weight 0 is picked only
/// where there is no other. `random` is any number.
pub(crate) fn choose<'a>(served_by: &'a [Serving], tried: &[u64], now_ms: u64, random: u64) -> Option<&'a Serving> {
    let fits = |serving: &&Serving| may_be_asked(serving, tried, now_ms);
    let sum: u64 = served_by.iter().filter(fits).map(|serving| u64::from(serving.weight)).sum();
    let mut candidates = served_by.iter().filter(fits);
    let chosen = if sum == 0 {
        let count = candidates.clone().count() as u64;
        let index = if count == 0 { return None } else { random % count };
        candidates.nth(usize::try_from(index).unwrap_or_default())
    } else {
        let mut place = random % sum;
        candidates.find(|serving| match place.checked_sub(u64::from(serving.weight)) {
            Some(rest) => {
                place = rest;
                false
            }
            None => true,
        })
    }?;
    let health = &chosen.upstream.health;
    if health.availability(now_ms) == Availability::Probe {
        health.probing.store(true, Ordering::Relaxed);
    }
    Some(chosen)
}

/// Whether [`choose`] would find one.
pub(crate) fn has_another(served_by: &[Serving], tried: &[u64], now_ms: u64) -> bool {
    served_by.iter().any(|serving| may_be_asked(serving, tried, now_ms))
}

fn may_be_asked(serving: &Serving, tried: &[u64], now_ms: u64) -> bool {
    let entry: &UpstreamEntry = &serving.upstream;
    entry.upstream.enabled
        && !tried.contains(&entry.revision)
        && entry.health.availability(now_ms) != Availability::Ejected
}

/// The health of all of them, for operators.
pub(crate) fn report(upstreams: &[Arc<UpstreamEntry>]) -> Vec<UpstreamHealth> {
    let line = |entry: &Arc<UpstreamEntry>| UpstreamHealth {
        name: entry.upstream.name.clone(),
        enabled: entry.upstream.enabled,
        healthy: entry.health.is_healthy(),
        failures: entry.health.failures(),
        last_error: entry.health.last_error(),
    };
    upstreams.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use tollgate_core::{
        Id, No, Timestamp,
        catalog::{Engine, OnClientGone, Upstream, UpstreamAuth},
    };

    use super::*;
    use crate::metrics::Metrics;

    fn serving(name: &str, weight: u32, enabled: bool) -> Serving {
        let upstream = Upstream {
            id: Id::from_parts(0, &[0; 10]),
            no: No::new(1),
            name: name.parse().unwrap(),
            base_url: "http://127.0.0.1:1/v1".parse().unwrap(),
            has_credential: false,
            engine: Engine::Other,
            on_client_gone: OnClientGone::Cancel,
            enabled,
            created_at: Timestamp::default(),
            version: 1,
        };
        let metrics = Metrics::unregistered().upstream(&upstream.name);
        let entry = UpstreamEntry::new(UpstreamAuth { upstream, credential: None }, metrics).unwrap();
        Serving { upstream: Arc::new(entry), rename: None, weight }
    }
    fn counts(served_by: &[Serving], tried: &[u64], now_ms: u64) -> Vec<usize> {
        let mut counts = vec![0; served_by.len()];
        for random in 0..100 {
            if let Some(chosen) = choose(served_by, tried, now_ms, random) {
                let at = served_by.iter().position(|serving| std::ptr::eq(serving, chosen)).unwrap();
                counts[at] += 1;
            }
        }
        counts
    }

    #[test]
    fn requests_go_by_weight_and_to_weight_zero_only_without_another() {
        let all = [serving("a", 3, true), serving("b", 1, true), serving("c", 0, true), serving("d", 9, false)];
        assert_eq!(counts(&all, &[], 0), [75, 25, 0, 0]);
        let (a, b) = (all[0].upstream.revision, all[1].upstream.revision);
        assert_eq!(counts(&all, &[a], 0), [0, 100, 0, 0], "a second try goes elsewhere");
        assert_eq!(counts(&all, &[a, b], 0), [0, 0, 100, 0]);
        assert_eq!(counts(&[], &[], 0), Vec::<usize>::new());
    }

    #[test]
    fn an_upstream_that_fails_in_a_row_is_left_out_then_probed_once_and_taken_back() {
        let all = [serving("a", 1, true), serving("b", 1, true)];
        let health = &all[0].upstream.health;
        assert!(!health.failed(10, "a".into()) && !health.failed(10, "b".into()) && health.failed(10, "c".into()));
        assert_eq!(counts(&all, &[], 11), [0, 100]);
        let later = 10 + 1_000;
        assert_eq!(choose(&all[..1], &[], later, 0).map(|one| one.weight), Some(1), "a probe");
        assert!(choose(&all[..1], &[], later, 0).is_none(), "one probe at a time");
        assert!(health.failed(later, "the probe failed".into()), "the probe failed");
        assert_eq!(health.last_error().as_deref(), Some("the probe failed"));
        assert_eq!(health.availability(later + 1_999), Availability::Ejected, "for twice as long");
        assert_eq!(health.availability(later + 2_000), Availability::Probe);
        health.succeeded();
        assert_eq!(health.last_error(), None);
        assert_eq!(counts(&all, &[], 11), [50, 50]);
    }
}
