//! How often sign-in may be tried, by address and by mail address: the generic cell rate algorithm over a fixed number of
//! cells.
//!
//! Bounded by construction: a key's cell is found by a keyed hash, so that many keys cost no more memory than few, and
//! nobody can choose whose cell to share. Two keys that share one share its limit. Each process counts for itself: behind
//! `n` nodes somebody may try up to `n` times as often.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hash},
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// Cells of one throttle: half a mebibyte for the four of them.
const CELLS: usize = 16_384;
/// Of an IPv6 address the first 64 bits count: a household or a server has all of the rest to itself.
const IPV6_BITS_LEFT_OUT: u32 = 64;

/// How often something may be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// How many times at once.
    pub(super) burst: u32,
    /// After that, once in this time.
    pub(super) every: Duration,
}

/// Counts tries by key.
pub(super) struct Throttle {
    rate: Rate,
    began: Instant,
    hasher: RandomState,
    /// For each cell, in milliseconds since `began`, when all of its tries will have been paid for.
    cells: Box<[AtomicU64]>,
}

impl Throttle {
    pub(super) fn new(rate: Rate) -> Self {
        let cells = (0..CELLS).map(|_| AtomicU64::new(0)).collect();
        Self { rate, began: Instant::now(), hasher: RandomState::new(), cells }
    }
    /// Takes one try of this key; where it has none left, after which time it has one again.
    pub(super) fn take(&self, key: &impl Hash) -> Result<(), Duration> {
        let now = millis(self.began.elapsed());
        let every = millis(self.rate.every).max(1);
        let ahead = every.saturating_mul(u64::from(self.rate.burst.max(1)) - 1);
        let index = usize::try_from(self.hasher.hash_one(key)).unwrap_or(usize::MAX) % CELLS;
        let Some(cell) = self.cells.get(index) else { return Ok(()) };
        let mut wait = 0;
        let taken = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid| {
            wait = paid.saturating_sub(now).saturating_sub(ahead);
            (wait == 0).then(|| paid.max(now).saturating_add(every))
        });
        taken.map(drop).map_err(|_| Duration::from_millis(wait))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The part of an address that tries are counted by.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> IPV6_BITS_LEFT_OUT << IPV6_BITS_LEFT_OUT).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_a_burst_one_try_comes_back_at_a_time() {
        let throttle = Throttle::new(Rate { burst: 3, every: Duration::from_secs(10) });
        for _ in 0..3 {
            assert_eq!(throttle.take(&"a"), Ok(()));
        }
        assert_eq!(throttle.take(&"a"), Err(Duration::from_secs(10)));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(throttle.take(&"a"), Err(Duration::from_secs(6)), "a refused try costs nothing");
        assert_eq!(throttle.take(&"b"), Ok(()));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(throttle.take(&"a"), Ok(()));
        assert!(throttle.take(&"a").is_err());
        tokio::time::advance(Duration::from_secs(3_600)).await;
        for _ in 0..3 {
            assert_eq!(throttle.take(&"a"), Ok(()), "never more than the burst is saved up");
        }
        assert!(throttle.take(&"a").is_err());
    }

    #[test]
    fn an_ipv6_network_is_one_and_a_mapped_address_is_ipv4() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
    }
}
