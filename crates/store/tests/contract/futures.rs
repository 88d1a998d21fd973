//! What the store returns can be awaited in tasks of a runtime with several threads.

use tollgate_core::{No, Seq};
use tollgate_store::{Committed, Store, changes::Lease};

/// Compiles, or does not.
fn sent(_: impl Send) {}

#[expect(dead_code, reason = "only its compiling matters")]
fn every_kind_of_call_can_be_spawned(store: &Store, lease: &Lease, committed: &Committed<()>) {
    sent(store.seed());
    sent(store.close());
    sent(store.node_join(&crate::support::named("n"), "1"));
    sent(store.change_wait(Seq(0), std::time::Duration::ZERO));
    sent(store.change_confirm(committed));
    sent(store.change_acknowledge(lease, Seq(0), &[]));
    sent(store.lease_release(lease));
    sent(store.keyring_base());
    sent(store.keyring_keys(No::new(0), No::new(1), 1, drop));
    sent(store.keyring_changed(&[]));
    sent(store.usage_ship(tollgate_core::Id::from_uuid(uuid::Uuid::nil()), 0, 1, &[]));
    sent(store.usage_prune(tollgate_core::Timestamp::MAX, tollgate_core::Timestamp::MAX));
    sent(store.catalog_apply(&crate::support::system(), vec![], vec![], &|_, _, _| true));
}
