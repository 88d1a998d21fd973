//! What the cases stand on: a store of their own on either engine, a clock to be set, names and settlements.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{Connection as _, Executor as _};
use tollgate_core::{
    Account, Actor, Id, Key, Model, ModelKind, No, Permission, Timestamp, Units, Upstream, UsageClass, User, World,
    catalog::{Engine, OnClientGone},
    key::KeyAuth,
    leak::{LeakSource, Place, PlaceKind},
    money::{Cost, PriceList},
    secret::{KeyHash, KeyHint, Prefix, PublicId},
    usage::{Outcome, Settlement},
    world::{Clock, Entropy},
};
use tollgate_store::{
    Committed, Result, Store, StoreOptions,
    catalog::{NewModel, NewUpstream, ServedByName},
    keys::NewKey,
    leaks::{LeakFate, LeakReport},
};

/// The clock of a case: stands still until it is set.
#[derive(Clone)]
pub struct Hands(Arc<AtomicI64>);

impl Hands {
    pub fn set(&self, at: &str) {
        self.0.store(at.parse::<Timestamp>().unwrap().as_millis(), Ordering::SeqCst);
    }
    pub fn forward(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}
impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Bytes that differ each time: SplitMix64 over a counter that starts at the process's own random place.
struct Counted(AtomicU64);
impl Entropy for Counted {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

pub fn world() -> (World, Hands) {
    let hands = Hands(Arc::new(AtomicI64::new(0)));
    hands.set("2026-05-04T12:34:56Z");
    let start = std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), 0);
    (World::new(hands.clone(), Counted(AtomicU64::new(start))), hands)
}

/// A case's store, and what it takes to open it again.
pub struct Fixture {
    pub store: Store,
    pub url: String,
    pub world: World,
    pub hands: Hands,
    _directory: Option<tempfile::TempDir>,
}

impl Fixture {
    /// Where another store may be made that is not there yet.
    pub async fn fresh_url(&self) -> String {
        match self.url.strip_prefix("sqlite:") {
            Some(path) => format!("sqlite:{path}.fresh"),
            None => {
                let (name, query) = self.url.split_once('?').unwrap();
                let mut server = sqlx::PgConnection::connect(&self.url).await.unwrap();
                let fresh = format!("{}_fresh", name.rsplit('/').next().unwrap());
                server.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {fresh}"))).await.unwrap();
                format!("{name}_fresh?{query}")
            }
        }
    }
    /// Another process on the same store: another node.
    pub async fn open_another(&self) -> Store {
        Store::open(options(&self.url), self.world.clone()).await.unwrap()
    }
}

/// The lease of the cases: short, since some wait for it to run out.
pub const LEASE: Duration = Duration::from_millis(400);

pub fn options(url: &str) -> StoreOptions {
    StoreOptions {
        url: url.to_owned(),
        connections: 6,
        wait: Duration::from_secs(20),
        lease: LEASE,
        key_prefix: Prefix::default(),
    }
}

type Case<F> = fn(Fixture) -> F;

pub fn run_on_sqlite<F: Future<Output = ()>>(case: Case<F>) {
    runtime().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("store.db").display());
        case(fixture(url, Some(directory)).await).await;
    });
}

pub fn run_on_postgres<F: Future<Output = ()>>(case: Case<F>) {
    runtime().block_on(async {
        let (url, drop_database) = database().await;
        let fixture = fixture(url, None).await;
        let store = fixture.store.clone();
        case(fixture).await;
        store.close().await;
        drop_database.await;
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn fixture(url: String, directory: Option<tempfile::TempDir>) -> Fixture {
    let (world, hands) = world();
    let store = Store::open(options(&url), world.clone()).await.unwrap();
    Fixture { store, url, world, hands, _directory: directory }
}

/// A new, empty database on the throwaway cluster, and how to be rid of it.
async fn database() -> (String, Pin<Box<dyn Future<Output = ()>>>) {
    #[expect(clippy::disallowed_methods, reason = "the one place where the suite learns of its PostgreSQL")]
    let server = std::env::var("TOLLGATE_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!("TOLLGATE_TEST_POSTGRES is not set: run through `cargo xtask test`, which starts a PostgreSQL")
    });
    let name = format!("store_{}", uuid::Builder::from_random_bytes(random()).into_uuid().simple());
    let mut admin = sqlx::PgConnection::connect(&server).await.unwrap();
    admin.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    admin.close().await.unwrap();
    let (address, query) = server.split_once('?').unwrap_or((&server, ""));
    let authority = address.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let url = format!("{authority}/{name}?{query}");
    let drop_database = async move {
        let mut admin = sqlx::PgConnection::connect(&server).await.unwrap();
        for name in [format!("{name}_fresh"), name] {
            let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            admin.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        }
    };
    (url, Box::pin(drop_database))
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    world().0.fill(&mut bytes);
    bytes
}

pub fn system() -> Actor {
    Actor::system("test")
}

/// Any of the parsed names.
pub fn named<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub fn public_id(world: &World) -> PublicId {
    let mut bytes = [0; 12];
    world.fill(&mut bytes);
    let alphabet = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let text: String = bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % 62])).collect();
    named(&text)
}

pub fn key_hash(world: &World) -> KeyHash {
    let mut bytes = [0; 32];
    world.fill(&mut bytes);
    KeyHash::from_bytes(bytes)
}

pub fn new_key(world: &World, account: Id<Account>, name: &str) -> NewKey {
    NewKey {
        account,
        prefix: Prefix::default(),
        public_id: public_id(world),
        hash: key_hash(world),
        name: named(name),
        permission: Permission::All,
        allowed_origins: Default::default(),
        expires_at: None,
        note: None,
        created_by: None,
        idempotency_key: None,
    }
}

pub async fn make_key(fixture: &Fixture, account: Id<Account>, name: &str) -> Key {
    let new = new_key(&fixture.world, account, name);
    value(fixture.store.key_create(&system(), new).await)
}

/// What a node holds of the keys behind `after` up to `through`, at most `limit`.
pub async fn keyring(store: &Store, after: No<Key>, through: No<Key>, limit: u32) -> Vec<KeyAuth> {
    let mut keys = Vec::new();
    store.keyring_keys(after, through, limit, |key| keys.push(key)).await.unwrap();
    keys
}

/// That a key's text of today was found.
pub async fn report(fixture: &Fixture, public_id: PublicId, place: Option<&str>) -> LeakReport {
    let keys = keyring(&fixture.store, No::new(0), No::new(i64::MAX), 1_000).await;
    let hash = keys.iter().find(|key| key.public_id == public_id).unwrap().hash;
    LeakReport {
        hint: KeyHint { prefix: Prefix::default(), id: public_id },
        key_hash: hash,
        token_hash: key_hash(&fixture.world),
        place: place.and_then(Place::new),
        kind: PlaceKind::Commit,
    }
}

/// Somebody reports a key's text of today.
pub async fn leak(fixture: &Fixture, public_id: PublicId, place: Option<&str>) -> LeakFate {
    let reports = [report(fixture, public_id, place).await];
    let fates = value(fixture.store.leaks_take(&system(), LeakSource::Public, &reports).await);
    fates.into_iter().next().unwrap().unwrap()
}

/// What a write returned, its confirmation not asked for.
#[track_caller]
pub fn value<T>(committed: Result<Committed<T>>) -> T {
    committed.unwrap().value
}

pub fn new_upstream(world: &World, name: &str) -> NewUpstream {
    NewUpstream {
        id: Id::<Upstream>::new(world),
        name: named(name),
        base_url: named("http://127.0.0.1:9/v1"),
        credential: None,
        engine: Engine::Other,
        on_client_gone: OnClientGone::Cancel,
        enabled: true,
    }
}

pub fn new_model(name: &str, upstreams: &[&str]) -> NewModel {
    let served_by = upstreams.iter();
    NewModel {
        name: named(name),
        title: None,
        kind: ModelKind::Chat,
        context_window: Some(32_768),
        max_output_tokens: None,
        price: PriceList { input_per_million: named("0.50"), ..PriceList::default() },
        served_by: served_by
            .map(|upstream| ServedByName { upstream: named(upstream), model: named("their/name"), weight: 1 })
            .collect(),
    }
}

pub async fn make_model(fixture: &Fixture, name: &str) -> Model {
    value(fixture.store.model_create(&system(), new_model(name, &[])).await)
}

pub async fn make_user(fixture: &Fixture, name: &str, memberships: &[(&str, tollgate_core::Role)]) -> User {
    let new = tollgate_store::accounts::NewUser {
        name: named(name),
        email: None,
        operator: false,
        memberships: memberships.iter().map(|(account, role)| (named(account), *role)).collect(),
        idempotency_key: None,
    };
    fixture.store.user_create(&system(), new).await.unwrap()
}

/// A settled attempt of plain units.
pub fn settlement(world: &World, account: No<Account>, key: No<Key>, model: No<Model>, at: &str) -> Settlement {
    let mut random = [0u8; 10];
    world.fill(&mut random);
    Settlement {
        attempt: Id::from_parts(named::<Timestamp>(at).as_millis(), &random),
        request: Id::new(world),
        key,
        account,
        model,
        upstream: No::new(1),
        route: 1,
        started_at: named(at),
        units: Units { input: 10, output: 5, cached_input: 2, reasoning: 1, audio_ms: 0, images: 0 },
        class: UsageClass::Exact,
        output_at_most: 5,
        input_at_most: 10,
        suspect: false,
        outcome: Outcome::Complete,
        status: 200,
        first_byte_us: Some(1_500),
        total_us: 250_000,
        cost: Cost::from_nanos(7_000),
        upstream_id: Some("chatcmpl-1".into()),
        upstream_usage: Some(r#"{"prompt_tokens":1,"x":"é"}"#.into()),
    }
}
