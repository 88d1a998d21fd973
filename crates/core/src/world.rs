//! Time and entropy as parameters. The real ones are made in one place of the binary; tests bring
//! their own. `clippy.toml` bans the direct calls everywhere else.

use std::{fmt, sync::Arc};

use crate::time::Timestamp;

/// Tells the wall-clock time.
pub trait Clock: Send + Sync {
    /// Now. May step in either direction: never measure with it.
    fn now(&self) -> Timestamp;
}

/// Gives unpredictable bytes.
pub trait Entropy: Send + Sync {
    /// Fills `buffer` from the operating system's generator.
    fn fill(&self, buffer: &mut [u8]);
}

/// The two of them, cheap to clone.
#[derive(Clone)]
pub struct World {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl World {
    /// From a clock and a source of entropy.
    pub fn new(clock: impl Clock + 'static, entropy: impl Entropy + 'static) -> Self {
        Self { clock: Arc::new(clock), entropy: Arc::new(entropy) }
    }
    /// The wall-clock time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
    /// Fills `buffer` with unpredictable bytes.
    pub fn fill(&self, buffer: &mut [u8]) {
        self.entropy.fill(buffer);
    }
}
impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}
