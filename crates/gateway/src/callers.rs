//! From which addresses keys are used: what an owner is shown before a key is revoked.
//!
//! It is noted beside the path of requests: a connection that goes on with the same key notes nothing for a minute. What is
//! noted waits in memory for the next write, bounded, and is lost with the process: it decides nothing and counts nothing.
//! The store keeps a few addresses for each key.

use std::{
    cell::Cell,
    collections::BTreeMap,
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{sleep, timeout};
use tollgate_core::{Key, No, Timestamp};

use crate::node::Node;

/// A connection notes the key that it goes on using this often.
const NOTE_INTERVAL_MS: i64 = 60_000;
/// Between two writes to the store.
const WRITE_INTERVAL: Duration = Duration::from_secs(2);
/// The store has this long to answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pairs of key and address that wait for the next write; more are left out.
const MOST_WAITING: usize = 4_096;

/// What waits to be written.
#[derive(Default)]
pub(crate) struct Callers(Mutex<BTreeMap<(No<Key>, IpAddr), Timestamp>>);

/// Which key a connection noted last, from where, and when. Behind a proxy one connection brings requests of many.
#[derive(Default)]
pub(crate) struct LastNoted(Cell<Option<(No<Key>, IpAddr, Timestamp)>>);

impl LastNoted {
    /// Whether the use of `key` from `address` at `now` is to be noted; if so, it is not for a while.
    pub fn is_due(&self, key: No<Key>, address: IpAddr, now: Timestamp) -> bool {
        let is_fresh = |(noted, from, at): (No<Key>, IpAddr, Timestamp)| {
            (noted, from) == (key, address) && now.as_millis().saturating_sub(at.as_millis()) < NOTE_INTERVAL_MS
        };
        if self.0.get().is_some_and(is_fresh) {
            return false;
        }
        self.0.set(Some((key, address, now)));
        true
    }
}

impl Callers {
    /// Notes that a key was used from an address.
    pub fn note(&self, key: No<Key>, address: IpAddr, now: Timestamp) {
        let mut waiting = self.waiting();
        let place = (key, address.to_canonical());
        if waiting.len() < MOST_WAITING || waiting.contains_key(&place) {
            waiting.insert(place, now);
        }
    }
    fn take(&self) -> Vec<(No<Key>, IpAddr, Timestamp)> {
        std::mem::take(&mut *self.waiting()).into_iter().map(|((key, address), at)| (key, address, at)).collect()
    }
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<(No<Key>, IpAddr), Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what was noted, now and then, until it is dropped.
pub(crate) async fn run(node: Arc<Node>) -> Infallible {
    loop {
        sleep(WRITE_INTERVAL).await;
        write(&node).await;
    }
}

/// Writes what was noted of callers, and the signs that keys leaked. Of callers, what the store does not take is left out.
pub(crate) async fn write(node: &Node) {
    let noted = node.callers.take();
    if !noted.is_empty() {
        match timeout(WRITE_TIMEOUT, node.store.key_addresses_note(&noted)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "addresses of callers were not written"),
            Err(_) => tracing::debug!("addresses of callers were not written in time"),
        }
    }
    let exposed = node.exposures.take();
    if !exposed.is_empty() {
        let written = timeout(WRITE_TIMEOUT, node.store.key_exposure_note(&exposed)).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::debug!("requests of web pages were not written; they wait on");
            node.exposures.put_back(exposed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn a_connection_notes_a_key_once_a_minute_and_another_key_or_address_at_once() {
        let last = LastNoted::default();
        let (key, other) = (No::new(1), No::new(2));
        let [here, there] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse::<IpAddr>().unwrap());
        let is_due = |key, ms| last.is_due(key, here, at(ms));
        assert!(is_due(key, 1_000) && !is_due(key, 60_999));
        assert!(is_due(key, 61_000) && is_due(other, 61_000) && is_due(key, 61_000));
        assert!(last.is_due(key, there, at(61_000)) && !last.is_due(key, there, at(61_000)) && is_due(key, 61_000));
    }

    #[test]
    fn what_waits_is_bounded_and_each_pair_is_in_it_once() {
        let callers = Callers::default();
        let address = IpAddr::from([127, 0, 0, 1]);
        callers.note(No::new(1), address, at(1));
        for key in 1..10_000 {
            callers.note(No::new(key), address, at(2));
        }
        callers.note(No::new(1), "::ffff:127.0.0.1".parse().unwrap(), at(3));
        let noted = callers.take();
        assert_eq!((noted.len(), noted[0]), (MOST_WAITING, (No::new(1), address, at(3))));
        assert!(callers.take().is_empty());
    }
}
