//! The origins that living keys allow, together: what a browser's question is answered by, which comes without a key.
//!
//! One writer, the keyring's. Keys that allow none, which are nearly all, never come here.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{PoisonError, RwLock},
};

use tollgate_core::{Key, KeyStatus, No, Origin, Timestamp};

use super::KeyEntry;

/// Most origins; browsers are told no for those of keys that come behind.
const MOST_ORIGINS: usize = 100_000;

/// Keys, and when each of them ends by the clock.
type Keys = BTreeMap<No<Key>, Timestamp>;

/// By origin, the keys that allow it.
#[derive(Default)]
pub(super) struct AllowedOrigins(RwLock<HashMap<Box<str>, Keys>>);

impl AllowedOrigins {
    /// A key's entry was put in place of another.
    pub fn exchange(&self, before: Option<&KeyEntry>, after: Option<&KeyEntry>) {
        let listed = |entry: Option<&KeyEntry>| entry.is_some_and(|entry| entry.allowed_origins().is_some());
        if !listed(before) && !listed(after) {
            return;
        }
        let mut origins = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (no, origin, _) in before.into_iter().flat_map(each) {
            if let Some(keys) = origins.get_mut(origin.as_str()) {
                keys.remove(&no);
                if keys.is_empty() {
                    origins.remove(origin.as_str());
                }
            }
        }
        for (no, origin, ends_at) in after.into_iter().filter(|entry| entry.status == KeyStatus::Active).flat_map(each)
        {
            if let Some(keys) = origins.get_mut(origin.as_str()) {
                keys.insert(no, ends_at);
            } else if origins.len() < MOST_ORIGINS {
                origins.insert(origin.as_str().into(), BTreeMap::from([(no, ends_at)]));
            }
        }
    }
    pub fn clear(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = HashMap::default();
    }
    /// Whether a key that lives at `now` allows the origin.
    pub fn allow(&self, origin: &[u8], now: Timestamp) -> bool {
        let Ok(origin) = std::str::from_utf8(origin) else { return false };
        let origins = self.0.read().unwrap_or_else(PoisonError::into_inner);
        origins.get(origin).is_some_and(|keys| keys.values().any(|ends_at| now < *ends_at))
    }
}

fn each(entry: &KeyEntry) -> impl Iterator<Item = (No<Key>, &Origin, Timestamp)> {
    let origins = entry.allowed_origins().into_iter().flat_map(tollgate_core::Origins::iter);
    origins.map(|origin| (entry.no, origin, entry.expires_at))
}
