//! The node's right to serve, and the clocks that it is measured with.
//!
//! Invariant: a lease counts from the instant *before* it was asked for, on clocks that count suspend and are not
//! slewed, and whatever is in doubt ends it. `std::time::Instant` is not used: on Linux it stops in suspend.
//!
//! Elapsed time is the larger of the growth of `CLOCK_BOOTTIME` (counts suspend, is slewed) and of
//! `CLOCK_MONOTONIC_RAW` plus the time suspended (is not slewed). A valid lease is one whose end neither has reached.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use tollgate_core::Timestamp;

/// An instant on both clocks, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaseInstant {
    boot_ns: u64,
    raw_ns: u64,
}

impl LeaseInstant {
    /// Now.
    #[cfg(target_os = "linux")]
    pub fn now() -> Self {
        Self::from_clocks(read(BOOT), read(ClockId::MonotonicRaw), read(ClockId::Monotonic))
    }
    /// Now. Only Linux tells suspend apart; elsewhere the monotonic clock is the best there is.
    #[cfg(not(target_os = "linux"))]
    pub fn now() -> Self {
        let monotonic = read(ClockId::Monotonic);
        Self { boot_ns: monotonic, raw_ns: monotonic }
    }
    /// The first of the clocks alone.
    fn now_boot_ns() -> u64 {
        read(BOOT)
    }
    /// From readings of `CLOCK_BOOTTIME`, `CLOCK_MONOTONIC_RAW` and `CLOCK_MONOTONIC`, made in this order.
    #[cfg(any(test, target_os = "linux"))]
    pub const fn from_clocks(boot_ns: u64, raw_ns: u64, monotonic_ns: u64) -> Self {
        let suspended_ns = boot_ns.saturating_sub(monotonic_ns);
        Self { boot_ns, raw_ns: raw_ns.saturating_add(suspended_ns) }
    }
    #[cfg(test)]
    pub const fn of(boot_ns: u64, raw_ns: u64) -> Self {
        Self { boot_ns, raw_ns }
    }
}

#[cfg(target_os = "linux")]
const BOOT: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const BOOT: ClockId = ClockId::Monotonic;

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let (seconds, nanos) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Until when this node may serve, and what the authority's time is. Written by the follower alone, read by all.
#[derive(Debug, Default)]
pub(crate) struct LeaseGate {
    /// Both ends have to lie ahead. Each is stored alone: a reader that sees one of a newer grant sees nothing that
    /// was not granted.
    boot_end_ns: AtomicU64,
    raw_end_ns: AtomicU64,
    /// The authority's wall-clock time less the boot clock, in milliseconds.
    authority_ms: AtomicI64,
}

impl LeaseGate {
    /// Takes a grant that was asked for at `asked` and told the authority's time; `serves_for` is `None` where the
    /// lease needs no renewal.
    pub fn extend(&self, asked: LeaseInstant, serves_for: Option<Duration>, authority_now: Timestamp) {
        let end = |from: u64| match serves_for {
            Some(time) => from.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
            None => u64::MAX,
        };
        let offset = authority_now.as_millis() - millis(asked.boot_ns);
        self.authority_ms.store(offset, Ordering::SeqCst);
        self.boot_end_ns.fetch_max(end(asked.boot_ns), Ordering::SeqCst);
        self.raw_end_ns.fetch_max(end(asked.raw_ns), Ordering::SeqCst);
    }
    /// Ends the right to serve until the next grant.
    pub fn close(&self) {
        self.boot_end_ns.store(0, Ordering::SeqCst);
        self.raw_end_ns.store(0, Ordering::SeqCst);
    }
    /// The authority's time where this node may serve at `now`; `None` where it may not.
    pub fn check(&self, now: LeaseInstant) -> Option<Timestamp> {
        let valid = now.boot_ns < self.boot_end_ns.load(Ordering::SeqCst)
            && now.raw_ns < self.raw_end_ns.load(Ordering::SeqCst);
        let offset = self.authority_ms.load(Ordering::SeqCst);
        valid.then(|| Timestamp::from_millis(millis(now.boot_ns).saturating_add(offset)))
    }
    /// [`LeaseGate::check`] for now. Where the lease needs no renewal, one clock is read instead of three.
    pub fn authority_now(&self) -> Option<Timestamp> {
        let lasts = |end: &AtomicU64| end.load(Ordering::SeqCst) == u64::MAX;
        if !(lasts(&self.raw_end_ns) && lasts(&self.boot_end_ns)) {
            return self.check(LeaseInstant::now());
        }
        let offset = self.authority_ms.load(Ordering::SeqCst);
        Some(Timestamp::from_millis(millis(LeaseInstant::now_boot_ns()).saturating_add(offset)))
    }
}

fn millis(nanos: u64) -> i64 {
    i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_lease_ends_as_early_as_either_clock_says_and_counts_from_before_it_was_asked_for() {
        let gate = LeaseGate::default();
        let at = |boot: u64, raw: u64| LeaseInstant::of(boot * SECOND, raw * SECOND);
        assert_eq!(gate.check(at(0, 0)), None, "no grant, no right");
        gate.extend(at(100, 50), Some(Duration::from_secs(8)), Timestamp::from_millis(1_000_000));
        assert_eq!(gate.check(at(107, 57)), Some(Timestamp::from_millis(1_007_000)));
        assert_eq!(gate.check(at(108, 57)), None, "the boot clock counts suspend");
        assert_eq!(gate.check(at(107, 58)), None, "the raw clock is not slewed");
        gate.close();
        assert_eq!(gate.check(at(101, 51)), None);
    }

    #[test]
    fn a_late_grant_never_shortens_a_lease_and_a_lease_that_needs_no_renewal_lasts() {
        let gate = LeaseGate::default();
        let at = |seconds: u64| LeaseInstant::of(seconds * SECOND, seconds * SECOND);
        let eight = Some(Duration::from_secs(8));
        gate.extend(at(10), eight, Timestamp::default());
        gate.extend(at(5), eight, Timestamp::default());
        assert!(gate.check(at(17)).is_some());
        let asked = LeaseInstant::now();
        gate.extend(asked, None, Timestamp::from_millis(7_000));
        assert!(gate.check(at(1_000_000)).is_some());
        let told = gate.authority_now().unwrap().as_millis();
        assert!((7_000..67_000).contains(&told), "the authority's time goes on from what it said: {told}");
        gate.close();
        assert_eq!(gate.authority_now(), None);
    }

    #[test]
    fn the_clocks_run() {
        let first = LeaseInstant::now();
        let second = LeaseInstant::now();
        assert!(first.boot_ns > 0 && second.boot_ns >= first.boot_ns && second.raw_ns >= first.raw_ns);
    }
}
