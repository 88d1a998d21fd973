//! The one connection to an SQLite file that writes, and whose turn it is.
//!
//! Invariants: writers have their turn in the order in which they asked; a transaction that was neither committed nor
//! rolled back is rolled back before the next one begins; every transaction survives a power cut once its commit has
//! returned, but for repeatable ones, which survive it once another one is committed behind them.
//!
//! A commit waits for the disk when its turn is over, and all that wait share one sync ([`Disk`]): the next writer need not
//! wait for it. So what is committed can be read a moment before it is on the disk; who finds something as they want it
//! waits for that too ([`Writer::all_on_disk`]).
//!
//! Not a pool of one: a pool asks the connection whether it lives before it gives it on, on the runtime of whoever had
//! it last, and the next one waits for both.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
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
    disk: Arc<Disk>,
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
}

/// How a file reaches the disk; tests count and refuse.
type SyncLog = fn(&Path) -> io::Result<()>;

/// The write-ahead log, as far as it is on the disk. SQLite itself writes it without a sync for each commit; it syncs it
/// before it moves anything out of it, so that whatever is in the log or in the file is in order.
struct Disk {
    log: PathBuf,
    sync: SyncLog,
    /// Commits that are to last, in the log.
    committed: AtomicU64,
    /// Of those, the ones on the disk.
    synced: AtomicU64,
    /// A sync failed. The kernel forgets pages that it could not write, so the next one would succeed without them: nothing
    /// is committed any more that is to last.
    is_broken: AtomicBool,
    turn: Mutex<()>,
}

/// A transaction over it; rolled back when dropped.
pub(crate) struct Writing {
    /// `None` once it is over.
    turn: Option<OwnedMutexGuard<Turn>>,
    /// What its commit waits for.
    disk: Option<Arc<Disk>>,
    wait: Duration,
}

impl Writer {
    /// Opens it. `options` ask for [`sqlx::sqlite::SqliteJournalMode::Wal`] and
    /// [`sqlx::sqlite::SqliteSynchronous::Normal`].
    pub(super) async fn connect(options: &SqliteConnectOptions, wait: Duration) -> Result<Self> {
        Self::connect_with(options, wait, |log| File::open(log)?.sync_data()).await
    }
    async fn connect_with(options: &SqliteConnectOptions, wait: Duration, sync: SyncLog) -> Result<Self> {
        let mut connection = options.connect().await?;
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await?;
        if mode != "wal" {
            return Err(StoreError::State(
                "the file system of the store cannot hold a write-ahead log: use a local disk",
            ));
        }
        let turn = Arc::new(Mutex::new(Turn { connection: Some(connection), is_open: false }));
        let mut log = options.get_filename().as_os_str().to_owned();
        log.push("-wal");
        let disk = Arc::new(Disk::new(log.into(), sync));
        Ok(Self { turn, disk, wait, hasty_batches: AtomicU32::new(0), grown: AtomicUsize::new(0) })
    }

    /// Begins a transaction.
    pub(super) async fn begin(&self) -> Result<Writing> {
        self.begin_by("BEGIN IMMEDIATE", true).await
    }
    /// Begins a transaction whose commit does not wait for the disk.
    pub(super) async fn begin_repeatable(&self) -> Result<Writing> {
        self.begin_by("BEGIN IMMEDIATE", false).await
    }
    /// Begins a transaction beside which nobody reads.
    pub(super) async fn begin_alone(&self) -> Result<Writing> {
        self.begin_by("BEGIN EXCLUSIVE", true).await
    }
    /// Waits until everything that was committed before this call is on the disk: also repeatable transactions, and those
    /// whose maker went away while they were committed, which nobody has counted.
    pub(super) async fn all_on_disk(&self) -> Result<()> {
        self.disk.reach(self.disk.next(), self.wait).await
    }
    /// As if a commit that is to last were on its way to the disk, for as long as this is held.
    #[cfg(test)]
    pub(crate) async fn hold(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.disk.next();
        self.disk.turn.lock().await
    }
    /// Begins a transaction that somebody waits for, and the row that a statement gives, in one go.
    pub(super) async fn begin_with_row(&self, select: &'static str) -> Result<(Writing, SqliteRow)> {
        // Before the turn is waited for: the batch that goes next is to be a small one.
        self.hasty_batches.store(HASTY_BATCHES, Ordering::Relaxed);
        let mut writing = self.writing(true).await?;
        let sql = AssertSqlSafe(format!("BEGIN IMMEDIATE; {select}"));
        let row = writing.connection()?.fetch_one(sqlx::raw_sql(sql)).await?;
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
        // The log is gone once it is in the file: who still waits for it finds that it was on the disk.
        if let Err(error) = self.all_on_disk().await {
            tracing::warn!(%error, "the store's log may not be on the disk");
        }
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

    async fn begin_by(&self, begin: &'static str, lasting: bool) -> Result<Writing> {
        let mut writing = self.writing(lasting).await?;
        writing.connection()?.execute(sqlx::raw_sql(begin)).await?;
        Ok(writing)
    }
    async fn writing(&self, lasting: bool) -> Result<Writing> {
        if lasting {
            self.disk.check()?;
        }
        let mut turn = self.turn().await?;
        turn.is_open = true;
        let disk = lasting.then(|| Arc::clone(&self.disk));
        Ok(Writing { turn: Some(turn), disk, wait: self.wait })
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
        // Counted while the turn is held: what is counted is in the log.
        let place = self.disk.as_ref().map(|disk| disk.next());
        if let Some(mut turn) = self.turn.take() {
            turn.is_open = false;
        }
        match (self.disk.take(), place) {
            (Some(disk), Some(place)) => disk.reach(place, self.wait).await,
            _ => Ok(()),
        }
    }
}

impl Disk {
    fn new(log: PathBuf, sync: SyncLog) -> Self {
        let [committed, synced] = [0, 0].map(AtomicU64::new);
        Self { log, sync, committed, synced, is_broken: AtomicBool::new(false), turn: Mutex::default() }
    }
    /// Counts another commit; its place.
    fn next(&self) -> u64 {
        self.committed.fetch_add(1, Ordering::SeqCst) + 1
    }
    /// Refuses once a sync has failed.
    fn check(&self) -> Result<()> {
        if self.is_broken.load(Ordering::SeqCst) {
            let why = "the store's disk failed to take what was written: look at it, and restart";
            return Err(StoreError::Unavailable(sqlx::Error::Io(io::Error::other(why))));
        }
        Ok(())
    }
    /// Waits until the commits up to `place` are on the disk. Whoever comes first syncs for all that are committed by then.
    async fn reach(self: &Arc<Self>, place: u64, wait: Duration) -> Result<()> {
        let _turn = timeout(wait, self.turn.lock()).await.map_err(|_elapsed| sqlx::Error::PoolTimedOut)?;
        if self.synced.load(Ordering::SeqCst) >= place {
            return Ok(());
        }
        self.check()?;
        let disk = Arc::clone(self);
        let synced = tokio::task::spawn_blocking(move || disk.sync_all()).await;
        Ok(synced.map_err(io::Error::other).flatten().map_err(sqlx::Error::Io)?)
    }
    /// Notes by itself how it ended: whoever waits for it may be gone by then.
    fn sync_all(&self) -> io::Result<()> {
        let committed = self.committed.load(Ordering::SeqCst);
        if let Err(error) = (self.sync)(&self.log) {
            self.is_broken.store(true, Ordering::SeqCst);
            tracing::error!(%error, "the store's disk failed to take what was written: nothing is written any more until a restart");
            return Err(error);
        }
        self.synced.fetch_max(committed, Ordering::SeqCst);
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};

    use super::*;

    /// Long enough to see that something waits.
    const WHILE: Duration = Duration::from_millis(100);

    async fn open(directory: &Path, sync: SyncLog) -> (Writer, SqliteConnectOptions) {
        let options = SqliteConnectOptions::new()
            .filename(directory.join("store.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal);
        let writer = Writer::connect_with(&options, Duration::from_secs(20), sync).await.unwrap();
        let mut writing = writer.begin_repeatable().await.unwrap();
        writing.connection().unwrap().execute("CREATE TABLE t (x INTEGER)").await.unwrap();
        writing.commit().await.unwrap();
        (writer, options)
    }
    async fn insert(writing: Result<Writing>) -> Result<()> {
        let mut writing = writing?;
        writing.connection()?.execute("INSERT INTO t VALUES (1)").await?;
        writing.commit().await
    }
    async fn count(options: &SqliteConnectOptions) -> i64 {
        let mut reader = options.clone().connect().await.unwrap();
        sqlx::query_scalar("SELECT COUNT(*) FROM t").fetch_one(&mut reader).await.unwrap()
    }

    #[tokio::test]
    async fn commits_that_come_together_share_a_sync() {
        static SYNCS: AtomicU64 = AtomicU64::new(0);
        fn slow(log: &Path) -> io::Result<()> {
            SYNCS.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(WHILE);
            File::open(log)?.sync_data()
        }
        let directory = tempfile::tempdir().unwrap();
        let (writer, options) = open(directory.path(), slow).await;
        let writer = Arc::new(writer);
        let commits: Vec<_> = (0..8)
            .map(|_| {
                let writer = Arc::clone(&writer);
                tokio::spawn(async move { insert(writer.begin().await).await })
            })
            .collect();
        for commit in commits {
            commit.await.unwrap().unwrap();
        }
        assert_eq!(count(&options).await, 8);
        let syncs = SYNCS.load(Ordering::SeqCst);
        assert!((1..=3).contains(&syncs), "{syncs}");
        // One alone waits for its own.
        insert(writer.begin().await).await.unwrap();
        assert_eq!(SYNCS.load(Ordering::SeqCst), syncs + 1);
        insert(writer.begin_repeatable().await).await.unwrap();
        assert_eq!(SYNCS.load(Ordering::SeqCst), syncs + 1);
        writer.all_on_disk().await.unwrap();
        assert_eq!(SYNCS.load(Ordering::SeqCst), syncs + 2);
    }

    #[tokio::test]
    async fn a_commit_waits_for_the_disk_and_keeps_nobody_else_waiting() {
        static IS_OPEN: AtomicBool = AtomicBool::new(false);
        fn gated(log: &Path) -> io::Result<()> {
            while !IS_OPEN.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            File::open(log)?.sync_data()
        }
        let directory = tempfile::tempdir().unwrap();
        let (writer, options) = open(directory.path(), gated).await;
        let writer = Arc::new(writer);
        let mut commit = {
            let writer = Arc::clone(&writer);
            tokio::spawn(async move { insert(writer.begin().await).await })
        };
        assert!(timeout(WHILE, &mut commit).await.is_err(), "it did not wait");
        assert_eq!(count(&options).await, 1, "it can be read");
        insert(writer.begin_repeatable().await).await.unwrap();
        assert!(timeout(WHILE, writer.all_on_disk()).await.is_err(), "who found it as it is did not wait");
        IS_OPEN.store(true, Ordering::SeqCst);
        commit.await.unwrap().unwrap();
        writer.close().await;
        assert_eq!(count(&options).await, 2);
    }

    #[tokio::test]
    async fn after_a_sync_that_failed_nothing_is_said_to_last() {
        static FAILS: AtomicBool = AtomicBool::new(true);
        fn failing_once(_: &Path) -> io::Result<()> {
            if FAILS.swap(false, Ordering::SeqCst) { Err(io::Error::other("EIO")) } else { Ok(()) }
        }
        let directory = tempfile::tempdir().unwrap();
        let (writer, options) = open(directory.path(), failing_once).await;
        assert!(matches!(insert(writer.begin().await).await, Err(StoreError::Unavailable(_))));
        // The kernel would say that all is well now, and has forgotten what it could not write.
        assert!(matches!(insert(writer.begin().await).await, Err(StoreError::Unavailable(_))));
        assert!(writer.all_on_disk().await.is_err());
        insert(writer.begin_repeatable().await).await.unwrap();
        assert_eq!(count(&options).await, 2, "the second was not even begun");
    }

    /// Whoever finds what somebody committed who went away meanwhile must not say that it lasts.
    #[tokio::test]
    async fn a_commit_that_nobody_waits_for_any_more_is_waited_for_by_who_finds_it() {
        static SYNCS: AtomicU64 = AtomicU64::new(0);
        fn counted(log: &Path) -> io::Result<()> {
            SYNCS.fetch_add(1, Ordering::SeqCst);
            File::open(log)?.sync_data()
        }
        let directory = tempfile::tempdir().unwrap();
        let (writer, options) = open(directory.path(), counted).await;
        let mut writing = writer.begin().await.unwrap();
        writing.connection().unwrap().execute("INSERT INTO t VALUES (1)").await.unwrap();
        // Committed, and gone before that was counted.
        writing.connection().unwrap().execute("COMMIT").await.unwrap();
        drop(writing);
        assert_eq!((count(&options).await, SYNCS.load(Ordering::SeqCst)), (1, 0));
        drop(writer.begin().await.unwrap());
        writer.all_on_disk().await.unwrap();
        assert_eq!(SYNCS.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_file_system_that_holds_no_log_is_refused() {
        let options = SqliteConnectOptions::new().filename(":memory:").journal_mode(SqliteJournalMode::Wal);
        let refused = Writer::connect(&options, WHILE).await;
        assert!(matches!(refused, Err(StoreError::State(why)) if why.contains("local disk")));
    }
}
