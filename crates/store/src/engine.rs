//! The two engines side by side: everything that differs between SQLite and PostgreSQL stands in this file and in the
//! twin migrations. Elsewhere there is one SQL text, with `$1` placeholders, for both.
//!
//! A statement's parameters are [`Value`]s, a result's columns are read through [`Columns`] in the order of the
//! `SELECT`. Only integers, texts and bytes cross this border, so both engines mean the same by every statement.

mod writer;

use std::{path::Path, str::FromStr, time::Duration};

use futures_util::TryStreamExt as _;
use sqlx::{
    Arguments as _, Executor, Postgres, Row as _, SqlSafeStr, Sqlite, Transaction,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

use self::writer::{Writer, Writing};
use crate::{Result, StoreEngine, StoreError, StoreOptions, value::Value};

/// The oldest PostgreSQL that the one SQL text is tried with, as `server_version_num` counts.
const OLDEST_POSTGRES: i64 = 140_000;
/// How long a connection that nobody needs is kept.
const IDLE: Duration = Duration::from_secs(60);
/// The page cache of one SQLite connection, in KiB; negative is SQLite's way to say KiB.
const SQLITE_CACHE_KIB: &str = "-2048";
/// Pages of the write-ahead log at which whoever commits moves it into the file, while everybody waits. Much more than
/// the log comes to when [`Pools::tidy`] is called in time.
const SQLITE_CHECKPOINT_AT: &str = "8000";
/// The longest that a report may take; other statements are bounded by [`StoreOptions::wait`]. And no compiling: it takes
/// longer than a report.
const POSTGRES_REPORT: &str = "SET LOCAL statement_timeout = '30s'; SET LOCAL jit = off";
/// The lock under which one process at a time brings a PostgreSQL schema up to date ("tollgate" in ASCII).
const POSTGRES_MIGRATION_LOCK: &str = "SELECT pg_advisory_xact_lock(8390322045806929253)";

/// The connections to a store.
pub(crate) enum Pools {
    /// One writer, so that writers queue here and not on the file's lock; many readers, who never wait for it (WAL).
    Sqlite {
        /// The one connection that writes.
        writer: Writer,
        /// Those that read.
        readers: SqlitePool,
    },
    /// Any of them does anything.
    Postgres(PgPool),
}

/// A transaction; rolls back when dropped.
pub(crate) enum Tx {
    /// Over the connection that writes.
    Sqlite(Writing),
    /// Over one that reads.
    SqliteSnapshot(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// A row of a result.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A statement and its parameters. Not by `query.bind`, which moves the whole query for each of them.
macro_rules! bound {
    ($engine:ty, $sql:expr, $values:expr) => {{
        let values: Vec<Value> = $values;
        let mut arguments = <$engine as sqlx::Database>::Arguments::default();
        arguments.reserve(values.len(), values.len() * size_of::<i64>());
        for value in values {
            let added = match value {
                Value::Int(int) => arguments.add(int),
                Value::Text(text) => arguments.add(text),
                Value::Bytes(bytes) => arguments.add(bytes),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
        sqlx::query_with::<$engine, _>($sql, arguments)
    }};
}

impl Pools {
    /// Connects to what the options name. Makes an SQLite file that is not there, readable by its owner alone.
    pub(crate) async fn connect(options: &StoreOptions) -> Result<Self> {
        if let Some(path) = options.url.strip_prefix("sqlite:") {
            return Self::connect_sqlite(Path::new(path.strip_prefix("//").unwrap_or(path)), options).await;
        }
        if options.url.starts_with("postgres://") || options.url.starts_with("postgresql://") {
            return Self::connect_postgres(options).await;
        }
        Err(StoreError::State("a store's URL begins with sqlite: or postgres://"))
    }

    async fn connect_sqlite(path: &Path, options: &StoreOptions) -> Result<Self> {
        create_private(path)?;
        let connection = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            // An acknowledged revoke survives a power cut all the same: see `writer`.
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(options.wait)
            .foreign_keys(true)
            .pragma("mmap_size", "0")
            .pragma("cache_size", SQLITE_CACHE_KIB)
            .pragma("wal_autocheckpoint", SQLITE_CHECKPOINT_AT);
        let writer = Writer::connect(&connection, options.wait).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.connections.max(1))
            .acquire_timeout(options.wait)
            // A file does not hang up: asking first would only cost two switches between threads.
            .test_before_acquire(false)
            .idle_timeout(IDLE)
            .connect_lazy_with(connection.pragma("query_only", "1"));
        Ok(Self::Sqlite { writer, readers })
    }

    async fn connect_postgres(options: &StoreOptions) -> Result<Self> {
        let connection = PgConnectOptions::from_str(&options.url)?.application_name("tollgate");
        let wait_ms = options.wait.as_millis();
        // `synchronous_commit` may be stronger than `on`, never weaker: an acknowledged revoke must not be lost.
        let session = format!(
            "SELECT set_config('statement_timeout', '{wait_ms}', false), set_config('lock_timeout', '{wait_ms}', false),
                    set_config('idle_in_transaction_session_timeout', '{wait_ms}', false),
                    set_config('default_transaction_isolation', 'read committed', false),
                    set_config('synchronous_commit',
                        CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN 'on'
                             ELSE current_setting('synchronous_commit') END, false)"
        );
        let pool = PgPoolOptions::new()
            .max_connections(options.connections.max(2))
            .acquire_timeout(options.wait)
            .idle_timeout(IDLE)
            .after_connect(move |connection, _| {
                let session = session.clone();
                Box::pin(async move {
                    connection.execute(sqlx::AssertSqlSafe(session)).await?;
                    Ok(())
                })
            })
            .connect_with(connection)
            .await?;
        let version: String = sqlx::query_scalar("SHOW server_version_num").fetch_one(&pool).await?;
        if version.parse::<i64>().is_ok_and(|version| version < OLDEST_POSTGRES) {
            return Err(StoreError::State("PostgreSQL 14 or newer is required"));
        }
        Ok(Self::Postgres(pool))
    }

    /// Begins a transaction that writes.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Tx::Sqlite(writer.begin().await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }
    /// Begins a transaction of a person or program that waits for it, with the change log's head locked: what counts
    /// usage keeps its own transactions short for a while.
    pub(crate) async fn begin_at_head(&self) -> Result<(Tx, i64)> {
        match self {
            Self::Sqlite { writer, .. } => {
                let (writing, row) = writer.begin_with_row("SELECT seq FROM authority").await?;
                Ok((Tx::Sqlite(writing), Row::Sqlite(row).columns().next()?))
            }
            Self::Postgres(_) => {
                let mut tx = self.begin().await?;
                let head = tx.lock_head().await?;
                Ok((tx, head))
            }
        }
    }
    /// Begins a transaction that a power cut may undo until another one, begun by [`Pools::begin`], is committed, or
    /// [`Pools::all_on_disk`] has returned: whoever makes it can make it again. On SQLite it does not wait for the disk.
    pub(crate) async fn begin_repeatable(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_repeatable().await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }
    /// Whether somebody waits for a write, or did a moment ago. Each call that says so brings the end of it nearer.
    pub(crate) fn is_hasty(&self) -> bool {
        match self {
            Self::Sqlite { writer, .. } => writer.is_hasty(),
            Self::Postgres(_) => false,
        }
    }
    /// Notes that SQLite's write-ahead log has grown by `pages`; whether that makes `most` since this last said so.
    pub(crate) fn has_grown(&self, pages: usize, most: usize) -> bool {
        match self {
            Self::Sqlite { writer, .. } => writer.has_grown(pages, most),
            Self::Postgres(_) => false,
        }
    }
    /// Moves SQLite's write-ahead log into the file, over a connection that reads: writers go on meanwhile.
    pub(crate) async fn tidy(&self) -> Result<()> {
        if let Self::Sqlite { readers, .. } = self {
            readers.execute("PRAGMA wal_checkpoint(PASSIVE)").await?;
        }
        Ok(())
    }
    /// Begins a transaction that reads: all its statements see one instant.
    pub(crate) async fn snapshot(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { readers, .. } => Tx::SqliteSnapshot(readers.begin().await?),
            Self::Postgres(pool) => {
                let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
                tx.execute(POSTGRES_REPORT).await?;
                Tx::Postgres(tx)
            }
        })
    }
    /// Begins the transaction in which the schema is brought up to date, one process at a time.
    pub(crate) async fn begin_migration(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_alone().await?),
            Self::Postgres(pool) => {
                let mut tx = pool.begin().await?;
                tx.execute("SET LOCAL statement_timeout = 0").await?;
                tx.execute("SET LOCAL lock_timeout = 0").await?;
                tx.execute(POSTGRES_MIGRATION_LOCK).await?;
                Tx::Postgres(tx)
            }
        })
    }
    /// The rows of one statement that reads.
    pub(crate) async fn rows(&self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<Vec<Row>> {
        Ok(match self {
            Self::Sqlite { readers, .. } => {
                bound!(Sqlite, sql, values).fetch_all(readers).await?.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(pool) => {
                bound!(Postgres, sql, values).fetch_all(pool).await?.into_iter().map(Row::Postgres).collect()
            }
        })
    }
    /// The first row of one statement that reads.
    pub(crate) async fn row(&self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<Option<Row>> {
        Ok(match self {
            Self::Sqlite { readers, .. } => bound!(Sqlite, sql, values).fetch_optional(readers).await?.map(Row::Sqlite),
            Self::Postgres(pool) => bound!(Postgres, sql, values).fetch_optional(pool).await?.map(Row::Postgres),
        })
    }
    /// Waits until everything that can be read is on the disk, repeatable transactions included.
    pub(crate) async fn all_on_disk(&self) -> Result<()> {
        match self {
            Self::Sqlite { writer, .. } => writer.all_on_disk().await,
            // A commit there waits for it.
            Self::Postgres(_) => Ok(()),
        }
    }
    /// Closes all connections; SQLite's write-ahead log goes into the file first.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Tx {
    pub(crate) fn engine(&self) -> StoreEngine {
        match self {
            Self::Sqlite(_) | Self::SqliteSnapshot(_) => StoreEngine::Sqlite,
            Self::Postgres(_) => StoreEngine::Postgres,
        }
    }
    /// Runs a statement; how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<u64> {
        Ok(match self {
            Self::Sqlite(tx) => bound!(Sqlite, sql, values).execute(tx.connection()?).await?.rows_affected(),
            Self::SqliteSnapshot(tx) => bound!(Sqlite, sql, values).execute(&mut **tx).await?.rows_affected(),
            Self::Postgres(tx) => bound!(Postgres, sql, values).execute(&mut **tx).await?.rows_affected(),
        })
    }
    /// Runs a text of several statements without parameters.
    pub(crate) async fn script(&mut self, sql: &'static str) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.connection()?.execute(sqlx::raw_sql(sql)).await.map(|_| ())?,
            Self::SqliteSnapshot(tx) => tx.execute(sqlx::raw_sql(sql)).await.map(|_| ())?,
            Self::Postgres(tx) => tx.execute(sqlx::raw_sql(sql)).await.map(|_| ())?,
        }
        Ok(())
    }
    /// The rows of a statement.
    pub(crate) async fn rows(&mut self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<Vec<Row>> {
        Ok(match self {
            Self::Sqlite(tx) => {
                bound!(Sqlite, sql, values).fetch_all(tx.connection()?).await?.into_iter().map(Row::Sqlite).collect()
            }
            Self::SqliteSnapshot(tx) => {
                bound!(Sqlite, sql, values).fetch_all(&mut **tx).await?.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(tx) => {
                bound!(Postgres, sql, values).fetch_all(&mut **tx).await?.into_iter().map(Row::Postgres).collect()
            }
        })
    }
    /// Hands over the rows of a statement without parameters one by one as they come. For texts that differ each time:
    /// they are not kept prepared.
    pub(crate) async fn each(
        &mut self,
        sql: impl SqlSafeStr,
        mut take: impl FnMut(&mut Columns<'_>) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Sqlite(tx) => {
                let mut rows = sqlx::query::<Sqlite>(sql).persistent(false).fetch(tx.connection()?);
                while let Some(row) = rows.try_next().await? {
                    take(&mut Row::Sqlite(row).columns())?;
                }
            }
            Self::SqliteSnapshot(tx) => {
                let mut rows = sqlx::query::<Sqlite>(sql).persistent(false).fetch(&mut **tx);
                while let Some(row) = rows.try_next().await? {
                    take(&mut Row::Sqlite(row).columns())?;
                }
            }
            Self::Postgres(tx) => {
                let mut rows = sqlx::query::<Postgres>(sql).persistent(false).fetch(&mut **tx);
                while let Some(row) = rows.try_next().await? {
                    take(&mut Row::Postgres(row).columns())?;
                }
            }
        }
        Ok(())
    }
    /// The first row of a statement.
    pub(crate) async fn row(&mut self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<Option<Row>> {
        Ok(match self {
            Self::Sqlite(tx) => bound!(Sqlite, sql, values).fetch_optional(tx.connection()?).await?.map(Row::Sqlite),
            Self::SqliteSnapshot(tx) => bound!(Sqlite, sql, values).fetch_optional(&mut **tx).await?.map(Row::Sqlite),
            Self::Postgres(tx) => bound!(Postgres, sql, values).fetch_optional(&mut **tx).await?.map(Row::Postgres),
        })
    }
    /// Locks the head of the change log until the transaction ends and reads it. On PostgreSQL a statement of its own,
    /// so that later ones see what the lock's last holder committed; on SQLite the one writer holds it already.
    pub(crate) async fn lock_head(&mut self) -> Result<i64> {
        let row = match self {
            Self::Sqlite(_) | Self::SqliteSnapshot(_) => self.row("SELECT seq FROM authority", Vec::new()).await?,
            Self::Postgres(_) => self.row("SELECT seq FROM authority FOR UPDATE", Vec::new()).await?,
        };
        row.ok_or_else(|| StoreError::Failed("the row of the authority is missing".into()))?.columns().next()
    }
    /// Tells listeners in other processes, once this transaction is committed. A hint, never a proof.
    pub(crate) async fn notify(&mut self, channel: &'static str, payload: i64) -> Result<()> {
        if let Self::Postgres(_) = self {
            self.execute("SELECT pg_notify($1, CAST($2 AS TEXT))", vec![channel.into(), payload.into()]).await?;
        }
        Ok(())
    }
    /// Makes it last.
    pub(crate) async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(writing) => writing.commit().await?,
            Self::SqliteSnapshot(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

impl Row {
    /// Its columns, to be read in order.
    pub(crate) fn columns(&self) -> Columns<'_> {
        Columns { row: self, at: 0 }
    }
}

/// Reads a row's columns in the order of the `SELECT`.
pub(crate) struct Columns<'r> {
    row: &'r Row,
    at: usize,
}

impl Columns<'_> {
    /// The next column.
    pub(crate) fn next<T: crate::value::Column>(&mut self) -> Result<T> {
        T::read(self)
    }
    pub(crate) fn int(&mut self) -> Result<Option<i64>> {
        let at = self.step();
        Ok(match self.row {
            Row::Sqlite(row) => row.try_get(at)?,
            Row::Postgres(row) => row.try_get(at)?,
        })
    }
    pub(crate) fn text(&mut self) -> Result<Option<String>> {
        let at = self.step();
        Ok(match self.row {
            Row::Sqlite(row) => row.try_get(at)?,
            Row::Postgres(row) => row.try_get(at)?,
        })
    }
    pub(crate) fn bytes(&mut self) -> Result<Option<Vec<u8>>> {
        let at = self.step();
        Ok(match self.row {
            Row::Sqlite(row) => row.try_get(at)?,
            Row::Postgres(row) => row.try_get(at)?,
        })
    }
    fn step(&mut self) -> usize {
        let at = self.at;
        self.at += 1;
        at
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error::{Database, Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
        match &error {
            Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed | WorkerCrashed => Self::Unavailable(error),
            Database(cause) if cause.code().is_some_and(|code| is_unavailable(&code)) => Self::Unavailable(error),
            // The display text of these holds no values of rows.
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Whether a code says that the store cannot answer now, rather than that the statement is wrong. SQLite's are decimal
/// numbers (<https://sqlite.org/rescode.html>), PostgreSQL's five characters (its appendix A).
fn is_unavailable(code: &str) -> bool {
    match code.len() {
        5 => {
            // Connection lost, out of resources, cancelled or shutting down, serialization or deadlock, a lock not had
            // in time, a server that became a standby.
            ["08", "53", "57", "58", "40"].iter().any(|class| code.starts_with(class))
                || matches!(code, "55P03" | "25006")
        }
        // Busy, locked, interrupted, read only, I/O error, full, cannot open: the low byte of an extended code.
        _ => code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 9 | 10 | 13 | 14)),
    }
}

impl StoreEngine {
    /// A column of bytes as hexadecimal digits, large or small; NULL where it is.
    pub(crate) fn hex(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("CASE WHEN {column} IS NOT NULL THEN hex({column}) END"),
            Self::Postgres => format!("encode({column}, 'hex')"),
        }
    }
}

impl StoreError {
    /// Whether the same transaction may succeed when tried again at once: PostgreSQL chose it as a victim.
    pub(crate) fn is_conflict(&self) -> bool {
        let Self::Unavailable(sqlx::Error::Database(cause)) = self else { return false };
        cause.code().is_some_and(|code| matches!(&*code, "40001" | "40P01"))
    }
}

/// Makes an empty file that only its owner can read, where there is none. SQLite gives its `-wal` and `-shm` files the
/// same mode.
fn create_private(path: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(sqlx::Error::Io(error).into()),
        _ => Ok(()),
    }
}
