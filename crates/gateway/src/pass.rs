//! Passes: one request with a key whose text nobody has any more, for the console's "try it" box.
//!
//! A pass is a random text like a key's, kept in this process alone, good once and for a few seconds. It opens nothing by
//! itself: the request that shows it goes the whole way as that key's, and a key that is dead is refused.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tollgate_core::{
    Timestamp, World,
    secret::{KeyHash, KeyHint, Pepper, PlainKey, Prefix, Presented},
};

/// How long a pass waits for its request.
const PASS_LIFE: Duration = Duration::from_secs(10);
/// Most passes that wait at once.
const MOST_PASSES: usize = 256;
/// What a pass's text begins with.
const PASS_PREFIX: &str = "pass";

struct Pass {
    hash: KeyHash,
    key: KeyHint,
    until: Timestamp,
}

/// The passes that wait.
#[derive(Default)]
pub(crate) struct Passes(Mutex<Vec<Pass>>);

impl Passes {
    /// A new pass for a key; `None` while too many wait.
    pub fn issue(&self, key: KeyHint, pepper: &Pepper, world: &World) -> Option<PlainKey> {
        let prefix: Prefix = PASS_PREFIX.parse().ok()?;
        let plain = PlainKey::mint(&prefix, world);
        let hash = pepper.hash(&plain.presented().ok()?);
        let now = world.now();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|pass| now < pass.until);
        if waiting.len() >= MOST_PASSES {
            return None;
        }
        waiting.push(Pass { hash, key, until: now.plus(PASS_LIFE) });
        Some(plain)
    }

    /// Uses a pass up: the key that it stands for.
    pub fn redeem(&self, presented: &Presented<'_>, hash: &KeyHash, world: &World) -> Option<KeyHint> {
        if presented.prefix().as_str() != PASS_PREFIX {
            return None;
        }
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = waiting.iter().position(|pass| pass.hash == *hash)?;
        let pass = waiting.swap_remove(at);
        (world.now() < pass.until).then_some(pass.key)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    use tollgate_core::{
        seal::MasterKey,
        world::{Clock, Entropy},
    };

    use super::*;

    static NOW: AtomicI64 = AtomicI64::new(0);
    struct Turned;
    impl Clock for Turned {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(NOW.load(Ordering::SeqCst))
        }
    }
    struct Counted(AtomicU64);
    impl Entropy for Counted {
        fn fill(&self, buffer: &mut [u8]) {
            for chunk in buffer.chunks_mut(8) {
                let z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
                chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
            }
        }
    }

    #[test]
    fn a_pass_is_good_once_for_seconds_and_few_wait() {
        let world = World::new(Turned, Counted(AtomicU64::new(1)));
        let pepper = MasterKey::from_bytes([7; 32]).key_pepper();
        let key = PlainKey::mint(&Prefix::default(), &world).presented().unwrap().hint();
        let passes = Passes::default();
        let redeem = |text: &PlainKey| {
            let presented = text.presented().unwrap();
            passes.redeem(&presented, &pepper.hash(&presented), &world)
        };
        let pass = passes.issue(key, &pepper, &world).unwrap();
        assert_eq!(redeem(&PlainKey::mint(&Prefix::default(), &world)), None, "a key is no pass");
        assert_eq!(redeem(&PlainKey::mint(&PASS_PREFIX.parse().unwrap(), &world)), None, "a made-up pass");
        assert_eq!(redeem(&pass), Some(key));
        assert_eq!(redeem(&pass), None, "used up");
        let old = passes.issue(key, &pepper, &world).unwrap();
        NOW.fetch_add(10_000, Ordering::SeqCst);
        assert_eq!(redeem(&old), None, "too late");
        for _ in 0..MOST_PASSES {
            assert!(passes.issue(key, &pepper, &world).is_some());
        }
        assert!(passes.issue(key, &pepper, &world).is_none(), "a limit");
        NOW.fetch_add(10_000, Ordering::SeqCst);
        assert!(passes.issue(key, &pepper, &world).is_some(), "old ones make room");
    }
}
