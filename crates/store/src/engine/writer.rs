//! The one connection to an SQLite file that writes, and whose turn it is.
//!
//! Invariants: writers have their turn in the order in which they asked; a transaction that was neither committed nor
//! rolled back is rolled back before the next one begins; every transaction survives a power cut once it is committed,
//! but for repeatable ones, which survive it once another one is committed behind them.
//!
//! Not a pool of one: a pool asks the connection whether it lives before it gives it on, on the runtime of whoever had
//! it last, and the next one waits for both.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow},
};
use tokio::{
    runtime::Handle,
    sync::{Mutex, OwnedMutexGuard},
    time::timeout,
};

use crate::{Result, StoreError};

/// For how many batches of usage they stay small after a write that somebody waited for: about a second of them.
const HASTY_BATCHES: u32 = 64;

/// The connection that writes.
pub(crate) struct Writer {
    turn: Arc<Mutex<Turn>>,
    /// How long a turn may be waited for.
    wait: Duration,
    hasty_batches: AtomicU32,
    /// Pages of the write-ahead log since it was last tidied, about.
    grown: AtomicUsize,
}

/// What the one whose turn it is holds.
struct Turn {
    /// `None` once the store is closed.
    connection: Option<SqliteConnection>,
    /// A transaction was begun and, as far as is known, not ended.
    is_open: bool,
    /// Commits wait for the disk.
    is_lasting: bool,
}

/// A transaction over it; rolled back when dropped.
pub(crate) struct Writing {
    /// `None` once it is over.
    turn: Option<OwnedMutexGuard<Turn>>,
}

impl Writer {
    /// Opens it. `options` ask for [`sqlx::sqlite::SqliteSynchronous::Full`].
    pub(super) async fn connect(options: &SqliteConnectOptions, wait: Duration) -> Result<Self> {
        let connection = Some(options.connect().await?);
        let turn = Arc::new(Mutex::new(Turn { connection, is_open: false, is_lasting: true }));
        Ok(Self { turn, wait, hasty_batches: AtomicU32::new(0), grown: AtomicUsize::new(0) })
    }

    /// Begins a transaction.
    pub(super) async fn begin(&self) -> Result<Writing> {
        self.begin_by("PRAGMA synchronous = FULL; BEGIN IMMEDIATE", "BEGIN IMMEDIATE", true).await
    }
    /// Begins a transaction whose commit does not wait for the disk.
    pub(super) async fn begin_repeatable(&self) -> Result<Writing> {
        self.begin_by("PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE", "BEGIN IMMEDIATE", false).await
    }
    /// Begins a transaction beside which nobody reads.
    pub(super) async fn begin_alone(&self) -> Result<Writing> {
        self.begin_by("PRAGMA synchronous = FULL; BEGIN EXCLUSIVE", "BEGIN EXCLUSIVE", true).await
    }
    /// Begins a transaction that somebody waits for, and the row that a statement gives, in one go.
    pub(super) async fn begin_with_row(&self, select: &'static str) -> Result<(Writing, SqliteRow)> {
        // Before the turn is waited for: the batch that goes next is to be a small one.
        self.hasty_batches.store(HASTY_BATCHES, Ordering::Relaxed);
        let mut turn = self.turn().await?;
        let lasting = if turn.is_lasting { "" } else { "PRAGMA synchronous = FULL; " };
        turn.is_open = true;
        let mut writing = Writing { turn: Some(turn) };
        let sql = AssertSqlSafe(format!("{lasting}BEGIN IMMEDIATE; {select}"));
        let row = writing.connection()?.fetch_one(sqlx::raw_sql(sql)).await?;
        if let Some(turn) = &mut writing.turn {
            turn.is_lasting = true;
        }
        Ok((writing, row))
    }
    /// Whether somebody waited for a write a moment ago; each call that says so brings the end of it nearer.
    pub(super) fn is_hasty(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.hasty_batches.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// Notes that the write-ahead log has grown by `pages`; whether that makes `most` since this last said so.
    pub(super) fn has_grown(&self, pages: usize, most: usize) -> bool {
        let is_long = self.grown.fetch_add(pages, Ordering::Relaxed) + pages >= most;
        if is_long {
            self.grown.store(0, Ordering::Relaxed);
        }
        is_long
    }

    /// Closes it; the write-ahead log goes into the file first.
    pub(super) async fn close(&self) {
        let mut turn = self.turn.lock().await;
        let is_open = turn.is_open;
        let Some(mut connection) = turn.connection.take() else { return };
        if is_open {
            // An error says that there is nothing to roll back.
            let _ = connection.execute("ROLLBACK").await;
        }
        // Refused while another process reads: then that one does it, or the next start.
        if let Err(error) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await {
            tracing::debug!(error = %error, "write-ahead log stays");
        }
        if let Err(error) = connection.close().await {
            tracing::debug!(error = %error, "a connection was not closed in good order");
        }
    }

    async fn begin_by(&self, with_mode: &'static str, begin: &'static str, lasting: bool) -> Result<Writing> {
        let mut turn = self.turn().await?;
        let sql = if turn.is_lasting == lasting { begin } else { with_mode };
        turn.is_open = true;
        let mut writing = Writing { turn: Some(turn) };
        writing.connection()?.execute(sqlx::raw_sql(sql)).await?;
        if let Some(turn) = &mut writing.turn {
            turn.is_lasting = lasting;
        }
        Ok(writing)
    }
    /// Waits for its turn.
    async fn turn(&self) -> Result<OwnedMutexGuard<Turn>> {
        let turn = timeout(self.wait, Arc::clone(&self.turn).lock_owned()).await;
        let mut turn = turn.map_err(|_elapsed| sqlx::Error::PoolTimedOut)?;
        if turn.is_open
            && let Some(connection) = &mut turn.connection
        {
            // As above.
            let _ = connection.execute("ROLLBACK").await;
            turn.is_open = false;
        }
        Ok(turn)
    }
}

impl Writing {
    /// What its statements go over.
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection> {
        let connection = self.turn.as_mut().and_then(|turn| turn.connection.as_mut());
        connection.ok_or(StoreError::Unavailable(sqlx::Error::PoolClosed))
    }
    /// Makes it stand.
    pub(super) async fn commit(mut self) -> Result<()> {
        self.connection()?.execute("COMMIT").await?;
        if let Some(mut turn) = self.turn.take() {
            turn.is_open = false;
        }
        Ok(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let Some(mut turn) = self.turn.take() else { return };
        // Where this cannot be done here, or is cut short, the next one whose turn it is does it.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                if let Some(connection) = &mut turn.connection {
                    let _ = connection.execute("ROLLBACK").await;
                    turn.is_open = false;
                }
            });
        }
    }
}
