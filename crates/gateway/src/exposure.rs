//! Signs that a key leaked: requests of web pages that it does not allow, counted until they are written down.
//!
//! What waits is bounded; it goes to the store on the road of [`crate::callers`], beside the path of requests. What the store
//! does not take waits on, so that a sign is rather counted twice than lost.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tollgate_core::{Key, No, Origin, Timestamp};
use tollgate_store::keys::Exposed;

/// Keys whose signs wait for the next write; those of more are left out.
const MOST_WAITING: usize = 4_096;

/// What waits to be written.
#[derive(Default)]
pub(crate) struct Exposures(Mutex<BTreeMap<No<Key>, Exposed>>);

impl Exposures {
    /// Counts a request.
    pub fn note(&self, key: No<Key>, origin: Option<Origin>, now: Timestamp) {
        self.add(Exposed { key, requests: 1, last_at: now, last_origin: origin });
    }
    /// All that waits.
    pub fn take(&self) -> Vec<Exposed> {
        std::mem::take(&mut *self.waiting()).into_values().collect()
    }
    /// Adds what was counted before to what waits.
    pub fn put_back(&self, exposed: Vec<Exposed>) {
        exposed.into_iter().for_each(|exposed| self.add(exposed));
    }

    fn add(&self, exposed: Exposed) {
        let mut waiting = self.waiting();
        if let Some(known) = waiting.get_mut(&exposed.key) {
            known.requests = known.requests.saturating_add(exposed.requests);
            let (older, newer) = if exposed.last_at < known.last_at {
                (exposed.last_origin, known.last_origin.take())
            } else {
                (known.last_origin.take(), exposed.last_origin)
            };
            known.last_origin = newer.or(older);
            known.last_at = known.last_at.max(exposed.last_at);
        } else if waiting.len() < MOST_WAITING {
            waiting.insert(exposed.key, exposed);
        }
    }
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<No<Key>, Exposed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn signs_add_up_and_the_last_page_that_named_itself_is_known() {
        let exposures = Exposures::default();
        let origin = |text: &str| text.parse::<Origin>().ok();
        exposures.note(No::new(1), origin("https://a.example"), at(1));
        exposures.note(No::new(1), origin("https://b.example"), at(2));
        exposures.note(No::new(1), None, at(3));
        exposures.note(No::new(2), None, at(1));
        let taken = exposures.take();
        assert_eq!((taken[0].requests, taken[0].last_at), (3, at(3)));
        assert_eq!(taken[0].last_origin, origin("https://b.example"));
        assert_eq!((taken.len(), taken[1].last_origin.as_ref()), (2, None));
        // The store did not take them, and more have come meanwhile.
        exposures.note(No::new(1), origin("https://c.example"), at(9));
        exposures.put_back(taken);
        let taken = exposures.take();
        assert_eq!((taken[0].requests, taken[0].last_at), (4, at(9)));
        assert_eq!(taken[0].last_origin, origin("https://c.example"));
        assert!(exposures.take().is_empty());
    }

    #[test]
    fn what_waits_is_bounded() {
        let exposures = Exposures::default();
        (0..10_000).for_each(|key| exposures.note(No::new(key), None, at(1)));
        exposures.note(No::new(0), None, at(2));
        let taken = exposures.take();
        assert_eq!((taken.len(), taken[0].requests), (MOST_WAITING, 2));
    }
}
