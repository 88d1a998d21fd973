//! The keyring: every key, account, model and upstream that a request may need, in memory.
//!
//! Invariants: one writer (the follower) applies the change log in order; a look-up takes no I/O and never sees half a
//! key. A key costs at most 400 bytes: an entry is small, and lists of models are shared between keys that have the
//! same.

mod origins;

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use arc_swap::ArcSwap;
use tollgate_core::{
    Account, Key, KeyStatus, Model, No, Origins, Timestamp,
    account::{AccountAuth, PaidUntil},
    key::KeyAuth,
    secret::{KeyHash, PublicId},
};

use self::origins::AllowedOrigins;
use crate::catalogue::Catalogue;

const SHARDS: usize = 64;

/// What is kept of a key.
#[derive(Debug, Clone)]
pub(crate) struct KeyEntry {
    pub no: No<Key>,
    pub account: No<Account>,
    hash: KeyHash,
    /// From before a rotation, and until when it works.
    previous: Option<Box<(KeyHash, Timestamp)>>,
    /// [`Timestamp::MAX`] is none.
    expires_at: Timestamp,
    /// `None`: all of the account's.
    models: Option<Arc<[No<Model>]>>,
    /// `None`: none, as with most keys.
    allowed_origins: Option<Arc<Origins>>,
    status: KeyStatus,
}

impl KeyEntry {
    /// Whether a presented text with this hash is this key's at `now`.
    pub fn fits(&self, presented: &KeyHash, now: Timestamp) -> bool {
        // Both comparisons are made in constant time, whichever fits.
        let current = self.hash == *presented;
        let previous = self.previous.as_ref().is_some_and(|previous| (previous.0 == *presented) & (now < previous.1));
        current | previous
    }
    /// The hash of its text of today.
    pub fn hash(&self) -> KeyHash {
        self.hash
    }
    /// Its life at `now`.
    pub fn status(&self, now: Timestamp) -> KeyStatus {
        match self.status {
            KeyStatus::Active if self.expires_at <= now => KeyStatus::Expired,
            status => status,
        }
    }
    /// Whether it may use a model.
    pub fn permits(&self, model: No<Model>) -> bool {
        self.models.as_ref().is_none_or(|models| models.binary_search(&model).is_ok())
    }
    /// The web pages that it may be used from, where there are any.
    pub fn allowed_origins(&self) -> Option<&Origins> {
        self.allowed_origins.as_deref()
    }
    /// When it ends by the clock.
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
    /// When the grace ends of a presented hash that is the one from before the last rotation.
    pub fn grace(&self, presented: &KeyHash) -> Option<Timestamp> {
        let previous = self.previous.as_ref().filter(|previous| previous.0 == *presented);
        previous.filter(|_| self.hash != *presented).map(|previous| previous.1)
    }
}

/// Until when an account's plan lets requests run.
pub(crate) fn plan_ends_at(account: &AccountAuth) -> Timestamp {
    match account.paid_until {
        PaidUntil::Never => Timestamp::default(),
        PaidUntil::At(end) => end,
        PaidUntil::Forever => Timestamp::MAX,
    }
}

/// Public ids are random and checked before they get here, so they hash by themselves.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            self.0 = (self.0.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

type Shard = HashMap<PublicId, KeyEntry, BuildHasherDefault<IdHasher>>;

/// The shared keyring.
pub(crate) struct Keyring {
    shards: Vec<RwLock<Shard>>,
    accounts: RwLock<HashMap<No<Account>, AccountAuth>>,
    catalogue: ArcSwap<Catalogue>,
    origins: AllowedOrigins,
    /// Lists of models that keys share. Used by the writer alone.
    lists: RwLock<HashSet<Arc<[No<Model>]>>>,
}

impl Keyring {
    pub fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            accounts: RwLock::default(),
            catalogue: ArcSwap::from_pointee(Catalogue::default()),
            origins: AllowedOrigins::default(),
            lists: RwLock::default(),
        }
    }

    /// The key with this public id.
    pub fn key(&self, id: PublicId) -> Option<KeyEntry> {
        self.shard(id).and_then(|shard| read(shard).get(&id).cloned())
    }
    /// An account.
    pub fn account(&self, no: No<Account>) -> Option<AccountAuth> {
        read(&self.accounts).get(&no).copied()
    }
    /// Models and upstreams.
    pub fn catalogue(&self) -> arc_swap::Guard<Arc<Catalogue>> {
        self.catalogue.load()
    }
    /// Whether a key that lives at `now` may be used from this origin.
    pub fn some_key_allows(&self, origin: &[u8], now: Timestamp) -> bool {
        self.origins.allow(origin, now)
    }
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| read(shard).len()).sum()
    }

    /// Puts a key in, in place of what was known of it.
    pub fn key_put(&self, key: KeyAuth) {
        let id = key.public_id;
        let entry = self.entry(key);
        if let Some(shard) = self.shard(id) {
            let before = write(shard).insert(id, entry.clone());
            self.origins.exchange(before.as_ref(), Some(&entry));
        }
    }
    /// Takes a key out. Rare, since dead keys stay to be told so: looks through all.
    pub fn key_remove(&self, no: No<Key>) {
        for shard in &self.shards {
            write(shard).retain(|_, entry| {
                let goes = entry.no == no;
                if goes {
                    self.origins.exchange(Some(entry), None);
                }
                !goes
            });
        }
    }
    pub fn account_put(&self, account: AccountAuth) {
        write(&self.accounts).insert(account.no, account);
    }
    pub fn account_remove(&self, no: No<Account>) {
        write(&self.accounts).remove(&no);
    }
    pub fn catalogue_put(&self, catalogue: Catalogue) {
        self.catalogue.store(Arc::new(catalogue));
    }
    /// Forgets all keys and accounts, to be loaded anew. Nothing may be admitted meanwhile.
    pub fn clear(&self) {
        self.shards.iter().for_each(|shard| *write(shard) = Shard::default());
        *write(&self.accounts) = HashMap::default();
        *write(&self.lists) = HashSet::default();
        self.origins.clear();
    }

    fn shard(&self, id: PublicId) -> Option<&RwLock<Shard>> {
        let mut hasher = IdHasher::default();
        id.hash(&mut hasher);
        // Not the bits that the map inside uses for its places.
        let index = usize::try_from((hasher.0 >> 40) % SHARDS as u64).unwrap_or_default();
        self.shards.get(index)
    }
    fn entry(&self, key: KeyAuth) -> KeyEntry {
        KeyEntry {
            no: key.no,
            account: key.account,
            hash: key.hash,
            previous: key.previous.map(Box::new),
            expires_at: key.expires_at.unwrap_or(Timestamp::MAX),
            models: key.models.map(|models| self.list(models)),
            allowed_origins: Some(key.allowed_origins).filter(|origins| !origins.is_empty()).map(Arc::new),
            status: key.status,
        }
    }
    fn list(&self, mut models: Vec<No<Model>>) -> Arc<[No<Model>]> {
        models.sort_unstable();
        let mut lists = write(&self.lists);
        if let Some(list) = lists.get(models.as_slice()) {
            return Arc::clone(list);
        }
        // Lists that no key has any more go when there are twice as many as at the last look.
        if lists.len() == lists.capacity() {
            lists.retain(|list| Arc::strong_count(list) > 1);
        }
        let list: Arc<[No<Model>]> = models.into();
        lists.insert(Arc::clone(&list));
        list
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}
fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(no: i64, models: Option<Vec<i64>>) -> KeyAuth {
        KeyAuth {
            no: No::new(no),
            public_id: format!("{no:012}").parse().unwrap(),
            account: No::new(1),
            hash: KeyHash::from_bytes([u8::try_from(no % 256).unwrap(); 32]),
            previous: None,
            status: KeyStatus::Active,
            expires_at: None,
            models: models.map(|models| models.into_iter().map(No::new).collect()),
            allowed_origins: Origins::default(),
        }
    }
    const fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn a_key_is_found_by_its_public_id_and_a_later_state_replaces_it() {
        let keyring = Keyring::new();
        for no in 1..1_000 {
            keyring.key_put(key(no, None));
        }
        assert_eq!(keyring.len(), 999);
        let id = key(7, None).public_id;
        assert_eq!(keyring.key(id).unwrap().status(at(5)), KeyStatus::Active);
        keyring.key_put(KeyAuth { status: KeyStatus::Revoked, ..key(7, None) });
        assert_eq!(keyring.key(id).unwrap().status(at(5)), KeyStatus::Revoked);
        keyring.key_remove(No::new(7));
        assert!(keyring.key(id).is_none());
        assert_eq!(keyring.len(), 998);
    }

    #[test]
    fn keys_with_the_same_permission_share_one_list() {
        let keyring = Keyring::new();
        keyring.key_put(key(1, Some(vec![3, 1])));
        keyring.key_put(key(2, Some(vec![1, 3])));
        let models = |no| keyring.key(key(no, None).public_id).unwrap().models.unwrap();
        assert!(Arc::ptr_eq(&models(1), &models(2)));
        let entry = keyring.key(key(1, None).public_id).unwrap();
        assert!(entry.permits(No::new(3)) && !entry.permits(No::new(2)));
    }

    #[test]
    fn the_text_from_before_a_rotation_works_until_its_grace_ends() {
        let keyring = Keyring::new();
        let (old, new) = (KeyHash::from_bytes([1; 32]), KeyHash::from_bytes([2; 32]));
        keyring.key_put(KeyAuth { hash: new, previous: Some((old, at(100))), ..key(1, None) });
        let entry = keyring.key(key(1, None).public_id).unwrap();
        assert!(entry.fits(&new, at(1_000)) && entry.fits(&old, at(99)));
        assert!(!entry.fits(&old, at(100)));
        assert_eq!((entry.grace(&old), entry.grace(&new)), (Some(at(100)), None));
    }

    #[test]
    fn a_key_expires_by_the_clock_alone() {
        let keyring = Keyring::new();
        keyring.key_put(KeyAuth { expires_at: Some(at(100)), ..key(1, None) });
        let entry = keyring.key(key(1, None).public_id).unwrap();
        assert_eq!((entry.status(at(99)), entry.status(at(100))), (KeyStatus::Active, KeyStatus::Expired));
    }

    #[test]
    fn browsers_are_told_what_living_keys_allow_together() {
        let keyring = Keyring::new();
        let with = |no, origins: &str| KeyAuth { allowed_origins: origins.parse().unwrap(), ..key(no, None) };
        let allowed = |now| {
            let origins = ["https://a.example", "https://b.example"];
            origins.map(|origin| keyring.some_key_allows(origin.as_bytes(), at(now)))
        };
        keyring.key_put(with(1, "https://a.example https://b.example"));
        keyring.key_put(with(2, "https://a.example"));
        assert_eq!(allowed(1), [true, true]);
        assert!(!keyring.some_key_allows(b"https://a.exampl", at(1)) && !keyring.some_key_allows(b"\xff", at(1)));
        keyring.key_put(with(1, "https://a.example"));
        assert_eq!(allowed(1), [true, false], "narrowed");
        keyring.key_put(KeyAuth { status: KeyStatus::Disabled, ..with(1, "https://a.example") });
        assert_eq!(allowed(1), [true, false], "another key allows it");
        keyring.key_put(KeyAuth { expires_at: Some(at(10)), ..with(2, "https://a.example https://b.example") });
        assert_eq!((allowed(9), allowed(10)), ([true; 2], [false; 2]), "by the clock");
        keyring.key_put(with(1, "https://b.example"));
        keyring.key_remove(No::new(1));
        keyring.key_remove(No::new(2));
        assert_eq!(allowed(1), [false; 2]);
        keyring.key_put(with(1, "https://b.example"));
        keyring.clear();
        assert_eq!(allowed(1), [false; 2]);
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<(PublicId, KeyEntry)>() <= 112, "{}", size_of::<(PublicId, KeyEntry)>());
    }
}
