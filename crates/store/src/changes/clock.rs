//! The clocks that the authority waits by. What may be concluded from them is [`tollgate_core::lease`]'s.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tollgate_core::lease::Reading;

/// Now, on this machine's clocks.
pub(crate) fn now() -> Reading {
    Reading { monotonic: read(ClockId::Monotonic), raw: read(RAW) }
}
/// The time since, as [`Reading::since`] counts.
pub(crate) fn elapsed(since: Reading) -> Duration {
    now().since(since)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const RAW: ClockId = ClockId::MonotonicRaw;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const RAW: ClockId = ClockId::Monotonic;

fn read(clock: ClockId) -> Duration {
    let at = clock_gettime(clock);
    Duration::new(u64::try_from(at.tv_sec).unwrap_or(0), u32::try_from(at.tv_nsec).unwrap_or(0))
}
