//! What may be concluded from a node's lease by whoever waits for that node: that it has a change in force, or that
//! its silence has lasted for a whole lease.
//!
//! Invariant: nothing is concluded in doubt. Silence counts from when the lease was last *seen* to move, on the slowest
//! of the waiter's clocks, for as long as the node itself joined with; and even then only says which lease to drop, if
//! it still stands where it stood. No clock is read here: instants come in as [`Reading`]s.

use std::time::Duration;

use crate::change::Seq;

/// An instant on the two clocks of a machine that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The clock that is adjusted: NTP may slew it by up to a tenth.
    pub monotonic: Duration,
    /// The clock that nothing adjusts.
    pub raw: Duration,
}

impl Reading {
    /// The time since `earlier`: the least that any clock says. Whoever waits for a lease to run out must not count fast.
    #[must_use]
    pub fn since(&self, earlier: Self) -> Duration {
        self.monotonic.saturating_sub(earlier.monotonic).min(self.raw.saturating_sub(earlier.raw))
    }
}

/// Where a lease stands. Every grant moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Grows each time the node joins.
    pub epoch: i64,
    /// Grows with each grant.
    pub grants: i64,
}

/// Whether a lease is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// It is, unless its node has been silent for a whole lease.
    Active,
    /// The node gave it back.
    Released,
    /// It was dropped: its node had been silent.
    Expired,
}

/// A lease as the authority has it.
#[derive(Debug, Clone, Copy)]
pub struct LeaseRow {
    /// Where it stands.
    pub standing: Standing,
    /// What its node has in force of the change log.
    pub acked: Seq,
    /// Whether it is held.
    pub state: LeaseState,
    /// How long a grant counts: each node brings its own length.
    pub length: Duration,
}

/// A lease that is being watched: where it was last seen to stand, and since when it has stood there.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    standing: Standing,
    since: Reading,
}

impl Watch {
    /// Begins to watch a lease that stood there at `since`.
    #[must_use]
    pub const fn new(standing: Standing, since: Reading) -> Self {
        Self { standing, since }
    }
    /// Takes note of where it stands. `now` is read *after* that was asked for: a lease that has moved counts anew.
    pub fn see(&mut self, standing: Standing, now: Reading) {
        if self.standing != standing {
            *self = Self::new(standing, now);
        }
    }
    /// Whether it has stood still for a whole lease.
    #[must_use]
    pub fn is_silent(&self, length: Duration, now: Reading) -> bool {
        now.since(self.since) >= length
    }
}

/// How a node is known not to admit by the old state any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfirmedBy {
    /// It applied the change and ended the streams.
    Acknowledged,
    /// It gave its lease back.
    Released,
    /// A whole lease went by without a grant to it.
    Expired,
}

/// What a look at a lease comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// The change is in force there.
    Confirmed(ConfirmedBy),
    /// Nothing yet.
    Waits,
    /// The node has been silent for a whole lease: the lease is to be dropped, *if it still stands there*. Only once that is
    /// done is the change in force.
    Silent(Standing),
}

/// What is to be concluded of a node that has to hear of `seq`, from its lease as read (`None`: it is gone). `now` is read
/// after the lease was.
pub fn conclude(seq: Seq, lease: Option<&LeaseRow>, watch: &mut Watch, now: Reading) -> Conclusion {
    let Some(lease) = lease else { return Conclusion::Confirmed(ConfirmedBy::Expired) };
    match lease.state {
        LeaseState::Released => return Conclusion::Confirmed(ConfirmedBy::Released),
        LeaseState::Expired => return Conclusion::Confirmed(ConfirmedBy::Expired),
        LeaseState::Active => {}
    }
    // The same process in a later epoch has read the keyring anew, but streams of the epoch before may still run: it has
    // to acknowledge as well.
    if lease.acked >= seq {
        return Conclusion::Confirmed(ConfirmedBy::Acknowledged);
    }
    watch.see(lease.standing, now);
    if watch.is_silent(lease.length, now) { Conclusion::Silent(lease.standing) } else { Conclusion::Waits }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(10);

    fn at(monotonic: u64, raw: u64) -> Reading {
        Reading { monotonic: Duration::from_secs(monotonic), raw: Duration::from_secs(raw) }
    }
    fn row(grants: i64, acked: i64) -> LeaseRow {
        let standing = Standing { epoch: 1, grants };
        LeaseRow { standing, acked: Seq(acked), state: LeaseState::Active, length: LENGTH }
    }
    fn watch() -> Watch {
        Watch::new(row(7, 0).standing, at(100, 50))
    }

    #[test]
    fn a_node_that_says_nothing_is_silent_only_when_both_clocks_say_so() {
        let mut watch = watch();
        let mut conclude = |now| conclude(Seq(3), Some(&row(7, 2)), &mut watch, now);
        assert_eq!(conclude(at(109, 60)), Conclusion::Waits, "the monotonic clock may be slewed");
        assert_eq!(conclude(at(111, 59)), Conclusion::Waits, "the raw clock may be slow");
        assert_eq!(conclude(at(110, 60)), Conclusion::Silent(row(7, 2).standing));
    }

    #[test]
    fn a_grant_begins_the_wait_anew_although_the_acknowledgement_is_missing() {
        let mut watch = watch();
        assert_eq!(conclude(Seq(3), Some(&row(8, 2)), &mut watch, at(109, 59)), Conclusion::Waits);
        assert_eq!(conclude(Seq(3), Some(&row(8, 2)), &mut watch, at(118, 68)), Conclusion::Waits);
        assert_eq!(conclude(Seq(3), Some(&row(8, 2)), &mut watch, at(119, 69)), Conclusion::Silent(row(8, 2).standing));
    }

    #[test]
    fn an_acknowledgement_a_release_and_a_lease_that_is_gone_confirm_at_once() {
        let conclude = |lease: Option<LeaseRow>| conclude(Seq(3), lease.as_ref(), &mut watch(), at(100, 50));
        let confirmed = |by| Conclusion::Confirmed(by);
        assert_eq!(conclude(Some(row(7, 3))), confirmed(ConfirmedBy::Acknowledged));
        let released = LeaseRow { state: LeaseState::Released, ..row(7, 0) };
        assert_eq!(conclude(Some(released)), confirmed(ConfirmedBy::Released));
        let expired = LeaseRow { state: LeaseState::Expired, ..row(7, 0) };
        assert_eq!(conclude(Some(expired)), confirmed(ConfirmedBy::Expired));
        assert_eq!(conclude(None), confirmed(ConfirmedBy::Expired));
    }
}
