//! Room on the journal's disk: requests are refused before it is used up, and taken again when there is some.
//!
//! A write that fails breaks a lane until the next start. So a disk that fills up, by whatever, is a full journal first: what
//! was admitted still finds room for its settlement, and nothing has to be restarted.

use std::{convert::Infallible, path::Path, sync::Arc, sync::atomic::Ordering, time::Duration};

use super::Status;

/// With less free than this, in bytes, no request is admitted,
const FREE_LEAST: u64 = 32 << 20;
/// until there is this much again.
const FREE_AGAIN: u64 = 48 << 20;
/// How often it is looked.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Looks for ever how much is free where the journal is.
pub(crate) async fn watch(status: Arc<Status>, directory: &Path) -> Infallible {
    loop {
        // A file system that does not say is not taken for a full one.
        if let Ok(disk) = rustix::fs::statvfs(directory) {
            status.free_space(disk.f_bavail.saturating_mul(disk.f_frsize));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

impl Status {
    /// So many bytes are free on the journal's disk.
    pub(super) fn free_space(&self, free: u64) {
        let was_low = self.disk_low.load(Ordering::Relaxed);
        let is_low = free < if was_low { FREE_AGAIN } else { FREE_LEAST };
        if is_low != was_low {
            self.disk_low.store(is_low, Ordering::Relaxed);
            if is_low {
                tracing::error!(free, "the journal's disk is nearly full: no request is admitted until there is room");
            } else {
                tracing::info!(free, "the journal's disk has room again");
            }
        }
    }
}
