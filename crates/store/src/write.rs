//! The one way to write: a transaction that holds the head of the change log, leaves an audit row for what it did,
//! appends what changed to the log, and lists the nodes that have to hear of it.
//!
//! Since every such transaction takes the head first, they come one after the other: a check made inside one holds until
//! it commits, sequence order is commit order without gaps, and no two of them can deadlock.

use serde_json::json;
use tollgate_core::{
    Account, Actor, ChangeKind, Id, No, Seq, Timestamp,
    account::{ActorKind, AuditEntry},
    id::IdKind,
};

use crate::{
    Committed, Result, Store,
    bulk::{self, Insert},
    changes::{CHANGES_CHANNEL, clock},
    engine::Tx,
    value::values,
};

/// A write that is going on; nothing of it stands until it is committed.
pub(crate) struct Write<'s> {
    store: &'s Store,
    actor: Actor,
    now: Timestamp,
    head: i64,
    changes: Vec<ChangeKind>,
    tx: Tx,
}

impl std::ops::Deref for Write<'_> {
    type Target = Tx;
    fn deref(&self) -> &Tx {
        &self.tx
    }
}
impl std::ops::DerefMut for Write<'_> {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.tx
    }
}

/// What an audit row is about.
pub(crate) struct Subject {
    /// Its id as text.
    id: String,
    account: Option<i64>,
}

impl Subject {
    pub(crate) fn new(id: impl ToString) -> Self {
        Self { id: id.to_string(), account: None }
    }
    /// With the account that it belongs to.
    pub(crate) fn of(self, account: No<Account>) -> Self {
        Self { account: Some(account.get()), ..self }
    }
}

impl Store {
    /// Begins a write.
    pub(crate) async fn write(&self, actor: &Actor) -> Result<Write<'_>> {
        let (tx, head) = self.pools().begin_at_head().await?;
        Ok(Write { store: self, actor: actor.clone(), now: self.world().now(), head, changes: Vec::new(), tx })
    }
}

impl Write<'_> {
    /// The instant that this write is dated with.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }
    /// A new id.
    pub(crate) fn new_id<K: IdKind>(&self) -> Id<K> {
        Id::new(self.store.world())
    }
    /// Appends to the change log, once for each thing.
    pub(crate) fn change(&mut self, kind: ChangeKind) {
        if self.changes.last() != Some(&kind) {
            self.changes.push(kind);
        }
    }
    /// Leaves an audit row. `detail` holds what changed, old and new, and never a hash or a secret.
    pub(crate) async fn audit(&mut self, action: &str, subject: Subject, detail: serde_json::Value) -> Result<()> {
        self.audit_many(action, vec![(subject, detail)]).await
    }
    /// Leaves an audit row for each of many things to which the same was done.
    pub(crate) async fn audit_many(&mut self, action: &str, of: Vec<(Subject, serde_json::Value)>) -> Result<()> {
        let (actor, token) = match &self.actor.kind {
            ActorKind::User { user, token } => (user.to_string(), *token),
            ActorKind::System { part } => (format!("system:{part}"), None),
        };
        let address = self.actor.address.map(|address| address.to_string());
        let row = |(subject, detail): (Subject, serde_json::Value)| {
            let (id, address) = (Id::<AuditEntry>::new(self.store.world()), address.clone());
            values![
                id,
                self.now,
                actor.as_str(),
                token,
                address,
                action,
                subject.id,
                subject.account,
                detail.to_string()
            ]
        };
        let rows = of.into_iter().map(row).collect();
        let insert = Insert {
            head: "INSERT INTO audit (id, at, actor, token, address, action, subject, account_no, detail) VALUES ",
            columns: 9,
            tail: "",
        };
        bulk::execute(&mut self.tx, &insert, rows).await.map(drop)
    }
    /// Another actor from here on: a one-time link tells only when it is used whose it is.
    pub(crate) fn act_as(&mut self, actor: Actor) {
        self.actor = actor;
    }

    /// Commits: the log's entries, the head, the nodes that hold a lease now.
    pub(crate) async fn commit<T>(mut self, value: T) -> Result<Committed<T>> {
        let mut changes = std::mem::take(&mut self.changes);
        let mut seen = std::collections::HashSet::new();
        changes.retain(|kind| seen.insert(*kind));
        let first = self.head;
        let seq = first + i64::try_from(changes.len()).unwrap_or(0);
        let mut members = Vec::new();
        if seq > first {
            let rows: Vec<_> = (first + 1..)
                .zip(&changes)
                .map(|(seq, kind)| {
                    let (word, no) = kind.parts();
                    values![seq, word, no, self.now]
                })
                .collect();
            let insert = Insert { head: "INSERT INTO changes (seq, kind, no, at) VALUES ", columns: 4, tail: "" };
            bulk::execute(&mut self.tx, &insert, rows).await?;
            self.tx.execute("UPDATE authority SET seq = $1", values![seq]).await?;
            members = self.store.members(&mut self.tx).await?;
            self.tx.notify(CHANGES_CHANNEL, seq).await?;
        }
        self.tx.commit().await?;
        let since = clock::now();
        if seq > first {
            members.extend(self.store.local_members());
        }
        self.store.head_seen(seq);
        Ok(Committed { value, seq: Seq(seq), members, since })
    }
    /// Commits what changed nothing of who may do what. What it found as it is may have come to be so a moment ago: the
    /// nodes are listed, as by [`Write::unchanged`].
    pub(crate) async fn commit_unchanged<T>(mut self, value: T) -> Result<Committed<T>> {
        let mut members = self.store.members(&mut self.tx).await?;
        self.tx.commit().await?;
        let since = clock::now();
        members.extend(self.store.local_members());
        Ok(Committed { value, seq: Seq(self.head), members, since })
    }
    /// Ends a write that found nothing to do: nothing is written, the head stands where it stood. The nodes are listed all
    /// the same: what is asked for anew may stand in the log and not be in force yet, and is proven by all that is in it.
    pub(crate) async fn unchanged<T>(mut self, value: T) -> Result<Committed<T>> {
        let mut members = self.store.members(&mut self.tx).await?;
        drop(self.tx);
        // What was found may have been committed a moment ago by somebody who still waits for the disk, or went away.
        self.store.pools().all_on_disk().await?;
        members.extend(self.store.local_members());
        Ok(Committed { value, seq: Seq(self.head), members, since: clock::now() })
    }
}

/// Collects what an edit changes, for the audit row: `{"name": {"from": …, "to": …}}`.
#[derive(Default)]
pub(crate) struct Difference(serde_json::Map<String, serde_json::Value>);

impl Difference {
    /// Takes the new value where there is one and it differs.
    pub(crate) fn take<T: PartialEq>(
        &mut self,
        field: &str,
        old: &mut T,
        new: Option<T>,
        show: impl Fn(&T) -> serde_json::Value,
    ) -> bool {
        let Some(new) = new.filter(|new| new != old) else { return false };
        self.0.insert(field.to_owned(), json!({ "from": show(old), "to": show(&new) }));
        *old = new;
        true
    }
    /// Notes a change that was found elsewhere.
    pub(crate) fn note(&mut self, field: &str, value: serde_json::Value) {
        self.0.insert(field.to_owned(), value);
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub(crate) fn into_detail(self) -> serde_json::Value {
        serde_json::Value::Object(self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;
    use tollgate_core::world::{Clock, Entropy};

    use super::*;
    use crate::{StoreOptions, engine::Pools};

    struct Still;
    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_000)
        }
    }
    impl Entropy for Still {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(7);
        }
    }

    async fn open(directory: &std::path::Path) -> Store {
        let options = StoreOptions {
            url: format!("sqlite:{}", directory.join("store.db").display()),
            connections: 2,
            wait: Duration::from_secs(20),
            lease: Duration::from_secs(10),
            key_prefix: "tg".parse().unwrap(),
        };
        Store::open(options, tollgate_core::World::new(Still, Still)).await.unwrap()
    }
    /// Whether it ends only once something that is on its way to the disk is there.
    async fn waits_for_the_disk(store: &Store, what: impl Future<Output = ()>) -> bool {
        let Pools::Sqlite { writer, .. } = store.pools() else { panic!("SQLite") };
        let on_its_way = writer.hold().await;
        let mut what = Box::pin(what);
        let waits = timeout(Duration::from_millis(100), &mut what).await.is_err();
        drop(on_its_way);
        if waits {
            what.await;
        }
        waits
    }

    /// A repeat is answered as the first call is: not before it is on the disk.
    #[tokio::test]
    async fn what_was_found_as_it_is_to_be_is_on_the_disk_when_it_is_said_so() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).await;
        let actor = Actor::system("test");
        let unchanged = async { store.write(&actor).await.unwrap().unchanged(()).await.unwrap().value };
        assert!(waits_for_the_disk(&store, unchanged).await);
    }

    #[tokio::test]
    async fn what_usage_was_made_from_is_given_up_only_when_it_is_on_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).await;
        assert!(waits_for_the_disk(&store, async { store.usage_make_last(None).await.unwrap() }).await);
        let ended = Id::new(store.world()).into();
        assert!(waits_for_the_disk(&store, async { store.usage_make_last(Some(ended)).await.unwrap() }).await);
        // Counting does not wait.
        let lane = Id::<tollgate_core::usage::Journal>::new(store.world());
        let counted = async {
            store.usage_ship(lane, 0, 1, &[]).await.unwrap();
        };
        assert!(!waits_for_the_disk(&store, counted).await);
    }
}
