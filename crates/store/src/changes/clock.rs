//! How long the authority has waited: elapsed time that no adjustment of a clock can make longer than it was.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// An instant on this machine's clocks, to measure from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    monotonic: Duration,
    raw: Duration,
}

impl Reading {
    /// Now.
    pub(crate) fn now() -> Self {
        Self { monotonic: read(ClockId::Monotonic), raw: read(RAW) }
    }
    /// The time since: the least that any clock says. NTP may slew `CLOCK_MONOTONIC` by up to a tenth, but not
    /// `CLOCK_MONOTONIC_RAW`; whoever waits for a lease to run out must not count fast.
    pub(crate) fn elapsed(&self) -> Duration {
        let now = Self::now();
        now.monotonic.saturating_sub(self.monotonic).min(now.raw.saturating_sub(self.raw))
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const RAW: ClockId = ClockId::MonotonicRaw;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const RAW: ClockId = ClockId::Monotonic;

fn read(clock: ClockId) -> Duration {
    let at = clock_gettime(clock);
    Duration::new(u64::try_from(at.tv_sec).unwrap_or(0), u32::try_from(at.tv_nsec).unwrap_or(0))
}
