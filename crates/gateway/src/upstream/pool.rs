//! A worker's idle connections to upstreams. No locks: a worker has its own.
//!
//! Invariants: a connection belongs to one revision of its upstream and is never used for another; the newest is taken
//! first, so that the others grow old and are closed.

use std::{
    cell::RefCell,
    collections::HashMap,
    task::{Context, Waker},
    time::Instant,
};

use super::connection::Connection;
use crate::options::Limits;

/// Idle connections by the revision of their upstream.
#[derive(Default)]
pub(crate) struct Pools(RefCell<HashMap<u64, Vec<Idle>>>);

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pools {
    /// The newest connection that still works.
    pub fn take(&self, revision: u64) -> Option<Connection> {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            let mut idle = self.0.borrow_mut().get_mut(&revision)?.pop()?;
            if idle.connection.is_usable(&mut context) {
                return Some(idle.connection);
            }
        }
    }
    /// Keeps a connection, if there are not too many.
    pub fn put(&self, revision: u64, connection: Connection, limits: &Limits) {
        let mut pools = self.0.borrow_mut();
        let pool = pools.entry(revision).or_default();
        if pool.len() < limits.upstream_idle_connections {
            pool.push(Idle { connection, since: Instant::now() });
        }
    }
    /// Closes what is old, what the other side has closed, and what belongs to no upstream of now.
    pub fn sweep(&self, limits: &Limits, is_current: impl Fn(u64) -> bool) {
        let mut context = Context::from_waker(Waker::noop());
        self.0.borrow_mut().retain(|revision, pool| {
            pool.retain_mut(|idle| {
                idle.since.elapsed() < limits.upstream_keep_alive && idle.connection.is_usable(&mut context)
            });
            !pool.is_empty() && is_current(*revision)
        });
    }
    /// Closes all.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}
