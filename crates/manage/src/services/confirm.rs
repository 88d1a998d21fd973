//! A change is answered when it is in force: the proof that every node has it, and how long that took.

use std::time::Duration;

use serde::Serialize;
use tollgate_core::{Id, change::Node};
use tollgate_store::{Committed, Confirmation, Store};
use utoipa::ToSchema;

/// How long a call that takes something away waits for the proof before it answers `202`. Longer than a
/// lease, within which the store proves it whatever the network does.
pub(crate) const CONFIRM_WAIT: Duration = Duration::from_secs(30);
/// How long a call that gives something waits until all nodes know of it. A key is then good everywhere
/// at once; a node that lags only learns it later.
pub(crate) const SPREAD_WAIT: Duration = Duration::from_secs(2);

/// A committed change, and the proof that it is in force.
#[derive(Debug)]
pub struct Confirmed<T> {
    /// What the change returns.
    pub value: T,
    /// The proof; absent where the wait was cut short.
    pub effective: Option<Effective>,
    /// The change takes something away and is not proven: the answer is `202`, never `200`.
    pub pending: bool,
}

/// The proof that no node admits by the old state.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Effective {
    /// Milliseconds from the change to the last node's confirmation.
    #[schema(example = 0.42)]
    pub after_ms: f64,
    /// The nodes that were serving, and when each confirmed.
    pub nodes: Vec<EffectiveNode>,
    /// Running streams that were ended.
    #[schema(example = 1)]
    pub streams_cut: u64,
}

/// One node's confirmation.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EffectiveNode {
    /// The node.
    #[schema(value_type = String, example = "node_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    pub id: Id<Node>,
    /// Milliseconds from the change to this node's confirmation.
    #[schema(example = 0.42)]
    pub after_ms: f64,
}

impl From<Confirmation> for Effective {
    fn from(proof: Confirmation) -> Self {
        let nodes = proof.nodes.iter().map(|node| EffectiveNode { id: node.node, after_ms: millis(node.after) });
        Self { after_ms: millis(proof.after), nodes: nodes.collect(), streams_cut: proof.streams_cut }
    }
}

/// Milliseconds with microseconds behind the point.
#[expect(clippy::cast_precision_loss, reason = "microseconds of a wait are far below 2^53")]
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}

impl<T> Confirmed<T> {
    /// Waits for the proof of a change that takes something away.
    pub(crate) async fn restricting(store: &Store, committed: Committed<T>) -> Self {
        let effective = wait(store, &committed, CONFIRM_WAIT).await;
        Self { value: committed.value, pending: effective.is_none(), effective }
    }
    /// Waits a little until a change that gives something has spread.
    pub(crate) async fn extending(store: &Store, committed: Committed<T>) -> Self {
        let effective = wait(store, &committed, SPREAD_WAIT).await;
        Self { value: committed.value, pending: false, effective }
    }
    /// The same proof of another value.
    pub(crate) fn map<U>(self, with: impl FnOnce(T) -> U) -> Confirmed<U> {
        Confirmed { value: with(self.value), effective: self.effective, pending: self.pending }
    }
}

async fn wait<T>(store: &Store, committed: &Committed<T>, at_most: Duration) -> Option<Effective> {
    match tokio::time::timeout(at_most, store.change_confirm(committed)).await {
        Ok(Ok(proof)) => Some(proof.into()),
        Ok(Err(error)) => {
            tracing::warn!(
                seq = committed.seq.0,
                error = &error as &dyn std::error::Error,
                "a change is not confirmed"
            );
            None
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use tollgate_core::{
        Actor, Timestamp, World,
        world::{Clock, Entropy},
    };
    use tollgate_store::{StoreOptions, accounts::AccountEdit};

    use super::*;

    struct Fixed;
    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_795_167_000_000)
        }
    }
    impl Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            // The kernel's, through the standard library's hasher: only different ids are needed.
            use std::hash::{BuildHasher, RandomState};
            for chunk in buffer.chunks_mut(8) {
                let random = RandomState::new().hash_one(chunk.len()).to_le_bytes();
                chunk.copy_from_slice(&random[..chunk.len()]);
            }
        }
    }

    #[tokio::test]
    async fn what_a_silent_node_has_not_confirmed_is_pending_and_what_only_gives_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            url: format!("sqlite:{}", directory.path().join("tollgate.db").display()),
            connections: 2,
            wait: Duration::from_secs(5),
            lease: Duration::from_secs(10),
            key_prefix: Default::default(),
        };
        let store = Store::open(options, World::new(Fixed, Fixed)).await.unwrap();
        let account = store.seed().await.unwrap().account;
        let _lease = store.node_join(&"silent".parse().unwrap(), "test").await.unwrap();
        let suspend = |suspended| {
            let edit = AccountEdit { suspended: Some(suspended), ..AccountEdit::default() };
            let store = store.clone();
            async move { store.account_edit(&Actor::system("test"), account, edit, None).await.unwrap() }
        };
        let (taken, given) = (suspend(true).await, suspend(false).await);
        // From here on time is waited for by nobody.
        tokio::time::pause();
        let taken = Confirmed::restricting(&store, taken).await;
        assert!(taken.pending && taken.effective.is_none());
        let given = Confirmed::extending(&store, given).await;
        assert!(!given.pending && given.effective.is_none());
    }
}
