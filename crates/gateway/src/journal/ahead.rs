//! How many attempts this process has begun, and how many it may begin before it has told the store so.
//!
//! What a node had begun when it was lost with its disk nobody can read afterwards. So that this is known at least between
//! bounds, a lane begins an attempt only below a mark that the store was told first. The mark moves with each renewal of the
//! lease: so far ahead of what was begun that the traffic of many renewals fits in between, and early when half of it is
//! used.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

/// A lane may always begin at least so many attempts between two renewals.
const AHEAD_LEAST: u64 = 2_000;
/// Ahead of a lane are as many times what it began since the renewal before. A lease outlives about eight renewals that fail,
/// so this is twice what it could use of it.
const AHEAD_TIMES: u64 = 16;

/// The count of one lane: written by its worker, read by whoever renews the lease.
#[derive(Debug)]
pub(super) struct Count {
    begun: AtomicU64,
    /// It begins no more than so many.
    most: AtomicU64,
    /// From here on it asks for more.
    ask_from: AtomicU64,
}

/// The counts of all lanes of a journal.
#[derive(Debug, Default)]
pub struct Ahead {
    lanes: Mutex<Vec<Lane>>,
    is_short: Notify,
}

#[derive(Debug, Clone)]
struct Lane {
    count: Arc<Count>,
    /// How far ahead its mark was put last,
    ahead: u64,
    /// and what it had begun then.
    begun: u64,
}

/// What the store is to be told, before the marks may move to it.
#[derive(Debug)]
pub struct Asked {
    lanes: Vec<(Lane, u64)>,
}

impl Count {
    /// Whether another attempt may be begun.
    pub fn may_begin(&self, ahead: &Ahead) -> bool {
        let begun = self.begun.load(Ordering::Relaxed);
        if begun < self.ask_from.load(Ordering::Relaxed) {
            return true;
        }
        ahead.is_short.notify_one();
        begun < self.most.load(Ordering::Relaxed)
    }
    /// Another attempt is begun. Only its lane's writer says so.
    pub fn begin(&self) {
        self.begun.store(self.begun.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

impl Ahead {
    /// The count of a new lane. `is_told`: it begins nothing before the store was told how much; else as much as it likes.
    pub(super) fn lane(&self, is_told: bool) -> Arc<Count> {
        let mark = if is_told { 0 } else { u64::MAX };
        let [begun, most, ask_from] = [0, mark, mark].map(AtomicU64::new);
        let count = Arc::new(Count { begun, most, ask_from });
        self.lanes().push(Lane { count: Arc::clone(&count), ahead: 0, begun: 0 });
        count
    }
    /// What to tell the store.
    pub fn ask(&self) -> Asked {
        let ask = |lane: &Lane| {
            let begun = lane.count.begun.load(Ordering::Relaxed);
            let used = begun - lane.begun;
            // Half of what it was stays, so that a pause makes it short but slowly.
            let ahead = used.saturating_mul(AHEAD_TIMES).max(lane.ahead / 2).max(AHEAD_LEAST);
            // A mark never goes back: the lane may be there already.
            let most = lane.count.most.load(Ordering::Relaxed).max(begun.saturating_add(ahead));
            (Lane { count: Arc::clone(&lane.count), ahead, begun }, most)
        };
        Asked { lanes: self.lanes().iter().map(ask).collect() }
    }
    /// The store was told.
    pub fn told(&self, asked: Asked) {
        let mut lanes = self.lanes();
        for (lane, (told, most)) in lanes.iter_mut().zip(asked.lanes) {
            told.count.most.store(most, Ordering::Relaxed);
            let ask_from = if most == u64::MAX { most } else { most - told.ahead / 2 };
            told.count.ask_from.store(ask_from, Ordering::Relaxed);
            *lane = told;
        }
    }
    /// Returns when a lane has used half of what it may begin.
    pub async fn short(&self) {
        self.is_short.notified().await;
    }

    fn lanes(&self) -> MutexGuard<'_, Vec<Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    /// Attempts begun, at least.
    pub fn begun(&self) -> u64 {
        self.lanes.iter().map(|(lane, _)| lane.begun).sum()
    }
    /// No more than this are begun before the store is told again.
    pub fn most(&self) -> u64 {
        self.lanes.iter().fold(0, |sum, (_, most)| sum.saturating_add(*most))
    }
    /// Lanes made.
    pub fn lanes(&self) -> u64 {
        u64::try_from(self.lanes.len()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Begins attempts until it may not; how many.
    fn begin_all(ahead: &Ahead, count: &Count, most: u64) -> u64 {
        (0..most)
            .take_while(|_| {
                count.may_begin(ahead) && {
                    count.begin();
                    true
                }
            })
            .count()
            .try_into()
            .unwrap()
    }
    fn tell(ahead: &Ahead) -> (u64, u64) {
        let asked = ahead.ask();
        let said = (asked.begun(), asked.most());
        ahead.told(asked);
        said
    }
    fn is_short(ahead: &Ahead) -> bool {
        use futures_util::FutureExt;
        ahead.short().now_or_never().is_some()
    }

    #[test]
    fn no_more_is_begun_than_the_store_was_told() {
        let ahead = Ahead::default();
        let (one, other) = (ahead.lane(true), ahead.lane(true));
        assert_eq!(begin_all(&ahead, &one, 10), 0, "nothing was told");
        assert_eq!(tell(&ahead), (0, 2 * AHEAD_LEAST));
        assert_eq!(begin_all(&ahead, &one, u64::MAX), AHEAD_LEAST);
        assert_eq!(begin_all(&ahead, &other, 10), 10);
        // An answer that never came moves nothing.
        drop(ahead.ask());
        assert_eq!(begin_all(&ahead, &one, 10), 0);
        let said = tell(&ahead);
        assert_eq!(said, (AHEAD_LEAST + 10, AHEAD_LEAST * (1 + AHEAD_TIMES) + 10 + AHEAD_LEAST));
        let begun = said.0 + begin_all(&ahead, &one, u64::MAX) + begin_all(&ahead, &other, u64::MAX);
        assert_eq!(begun, said.1, "all that was told and no more");
    }

    #[test]
    fn a_lane_that_has_used_half_asks_for_more_and_one_that_rests_lets_go() {
        let ahead = Ahead::default();
        let count = ahead.lane(true);
        tell(&ahead);
        begin_all(&ahead, &count, AHEAD_LEAST / 2);
        assert!(!is_short(&ahead));
        begin_all(&ahead, &count, 1);
        assert!(is_short(&ahead) && !is_short(&ahead));
        let (begun, busy) = tell(&ahead);
        assert_eq!(busy - begun, begun * AHEAD_TIMES);
        begin_all(&ahead, &count, 1);
        assert!(!is_short(&ahead));
        // Once the mark is reached it is put ahead by as little as is needed.
        begin_all(&ahead, &count, u64::MAX);
        for _ in 0..20 {
            tell(&ahead);
        }
        let before = tell(&ahead);
        begin_all(&ahead, &count, u64::MAX);
        let after = ahead.ask();
        assert!(after.begun() - before.0 >= AHEAD_LEAST, "{before:?} {after:?}");
    }

    #[test]
    fn marks_never_go_back() {
        let ahead = Ahead::default();
        let count = ahead.lane(true);
        tell(&ahead);
        begin_all(&ahead, &count, AHEAD_LEAST);
        let (_, busy) = tell(&ahead);
        for _ in 0..50 {
            assert!(tell(&ahead).1 >= busy);
        }
    }

    #[test]
    fn where_nobody_is_told_everything_may_be_begun() {
        let ahead = Ahead::default();
        let count = ahead.lane(false);
        assert_eq!(begin_all(&ahead, &count, 100_000), 100_000);
        assert_eq!(tell(&ahead), (100_000, u64::MAX));
        assert_eq!(begin_all(&ahead, &count, 100_000), 100_000);
        assert!(!is_short(&ahead));
    }
}
