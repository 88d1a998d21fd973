//! The real clock and the operating system's random bytes: the one place of the program that asks
//! for either. Everything else is given a [`World`].

use tollgate_core::{
    Timestamp, World,
    world::{Clock, Entropy},
};

/// The world as it is.
pub fn real() -> World {
    World::new(SystemClock, SystemEntropy)
}

struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    fn now(&self) -> Timestamp {
        jiff::Timestamp::now().into()
    }
}

struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    fn fill(&self, buffer: &mut [u8]) {
        // The generator of a running system does not fail. If it ever did, going on with predictable
        // bytes would mint keys that can be guessed: the process ends instead.
        if let Err(error) = getrandom::fill(buffer) {
            eprintln!("tollgate: the operating system gives no random bytes: {error}");
            std::process::abort();
        }
    }
}
