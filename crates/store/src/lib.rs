//! The only SQL of Tollgate: SQLite and PostgreSQL from one text.
//!
//! A [`Store`] is cheap to clone. Every write takes an [`Actor`](tollgate_core::Actor) and leaves an audit row in the same
//! transaction; every write that changes who may do what appends to the change log in the same
//! transaction and returns a [`Committed`], whose confirmation says that no node admits by the old
//! state any more.
//!
//! | module | holds |
//! |---|---|
//! | [`keys`] | API keys |
//! | [`accounts`] | accounts, plans, users, memberships, tokens, sessions |
//! | [`catalog`] | models and upstreams |
//! | [`changes`] | the change log, nodes and their leases, confirmations |
//! | [`keyring`] | what the data plane loads |
//! | [`leaks`] | reports of keys and tokens that were found in public |
//! | [`usage`] | usage tables: shipping into them, reports from them |
//! | [`audit`] | the audit log |
//! | [`notices`] | what people are to be told, and how far each telling has come |
//! | [`webhooks`] | endpoints that notices are posted to |

pub mod accounts;
pub mod audit;
mod bulk;
mod captions;
pub mod catalog;
pub mod changes;
mod cursor;
mod engine;
pub mod keyring;
pub mod keys;
pub mod leaks;
mod migrate;
pub mod notices;
pub mod usage;
mod value;
pub mod webhooks;
mod write;

use std::{sync::Arc, time::Duration};

pub use captions::ModelCurrency;
pub use changes::{Committed, Confirmation, NodeConfirmation};
use engine::Pools;
use tollgate_core::{World, secret::Prefix};
use value::values;

/// Where the store is and how to treat it.
#[derive(Clone)]
pub struct StoreOptions {
    /// `sqlite:PATH` or `postgres://…`.
    pub url: String,
    /// Most connections (PostgreSQL; SQLite: readers).
    pub connections: u32,
    /// How long a statement waits for a connection or a lock.
    pub wait: Duration,
    /// How long the authority counts a lease (see [`changes`]).
    pub lease: Duration,
    /// The deployment's key prefix: what keys from before it was kept with each of them are taken to have.
    pub key_prefix: Prefix,
}

impl std::fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password.
        let engine = self.url.split(':').next().unwrap_or_default();
        f.debug_struct("StoreOptions").field("engine", &engine).finish_non_exhaustive()
    }
}

/// Which engine a store runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreEngine {
    /// A file on this machine, one node.
    Sqlite,
    /// A server, any number of nodes.
    Postgres,
}

/// The store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    world: World,
    options: StoreOptions,
    engine: StoreEngine,
    pools: Pools,
    fleet: changes::Fleet,
}

/// What a caller of the store treats differently.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing, or not in this account.
    #[error("not found")]
    NotFound,
    /// It was changed since the caller read it (`If-Match`).
    #[error("changed in the meantime")]
    VersionConflict,
    /// Something of that name is there already.
    #[error("{0} exists already")]
    Exists(&'static str),
    /// The same idempotency key made this before.
    #[error("already created as {0}")]
    AlreadyCreated(String),
    /// Still in use (an upstream that serves models, a plan with accounts).
    #[error("in use: {0}")]
    InUse(String),
    /// A name in the request is of nothing that exists.
    #[error("there is no {kind} {name}")]
    Unknown {
        /// What kind of thing.
        kind: &'static str,
        /// Its name as given.
        name: String,
    },
    /// The thing's state does not allow it (a revoked key is not enabled again).
    #[error("not possible: {0}")]
    State(&'static str),
    /// The account has no running paid plan.
    #[error("a paid plan is required")]
    PlanRequired,
    /// The account is suspended.
    #[error("the account is suspended")]
    Suspended,
    /// The store cannot be reached or answered too late. The write may or may not have happened.
    #[error("the store is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// The store answered, but not as it must: damage or a bug.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// Short for what every function here returns.
pub type Result<T> = std::result::Result<T, StoreError>;

/// One page of a list, in the list's order.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Where the next page begins; absent on the last one. Opaque to clients.
    pub next_cursor: Option<String>,
}

/// Which page of a list.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// How many rows, 1 to [`PageRequest::MOST`]; 0 is [`PageRequest::USUAL`].
    pub limit: u32,
}

impl PageRequest {
    /// Rows of a page that names no number.
    pub const USUAL: u32 = 50;
    /// Most rows of a page.
    pub const MOST: u32 = 1_000;
}

impl Store {
    /// Connects, checks that the server is one we know (PostgreSQL 14 or newer), and brings the schema up to date.
    /// Several processes may do so at once.
    ///
    /// # Errors
    /// When the store cannot be reached, is of a newer version of the program, or is damaged.
    pub async fn open(options: StoreOptions, world: World) -> Result<Self> {
        let pools = Pools::connect(&options).await?;
        let engine = match pools {
            Pools::Sqlite { .. } => StoreEngine::Sqlite,
            Pools::Postgres(_) => StoreEngine::Postgres,
        };
        let mut random = [0; 16];
        world.fill(&mut random);
        let cluster = uuid::Builder::from_random_bytes(random).into_uuid();
        migrate::migrate(&pools, engine, cluster, &options.key_prefix, world.now().as_millis()).await?;
        let fleet = changes::Fleet::new(&world);
        let store = Self { inner: Arc::new(Inner { world, options, engine, pools, fleet }) };
        store.head_seen(store.head_read().await?);
        Ok(store)
    }
    /// Which engine this is.
    #[must_use]
    pub fn engine(&self) -> StoreEngine {
        self.inner.engine
    }
    /// The clock and entropy that this store was opened with.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.inner.world
    }
    /// A round trip to the store.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn ping(&self) -> Result<()> {
        self.head_read().await.map(drop)
    }
    /// Checks that the store was made with this master key (its fingerprint), or remembers it in an empty store.
    ///
    /// # Errors
    /// [`StoreError::State`] when it was made with another.
    pub async fn master_key_check(&self, fingerprint: [u8; 16]) -> Result<()> {
        let mut tx = self.pools().begin().await?;
        tx.lock_head().await?;
        let known: Option<Vec<u8>> = match tx.row("SELECT fingerprint FROM authority", values![]).await? {
            Some(row) => row.columns().next()?,
            None => None,
        };
        match known {
            Some(known) if known == fingerprint => Ok(()),
            Some(_) => Err(StoreError::State("this store was made with another master key")),
            None => {
                tx.execute("UPDATE authority SET fingerprint = $1", values![fingerprint.as_slice()]).await?;
                tx.commit().await
            }
        }
    }
    /// Closes all connections; on SQLite moves the write-ahead log into the file.
    pub async fn close(&self) {
        self.fleet().close();
        self.pools().close().await;
    }

    fn pools(&self) -> &Pools {
        &self.inner.pools
    }
    fn fleet(&self) -> &changes::Fleet {
        &self.inner.fleet
    }
}
