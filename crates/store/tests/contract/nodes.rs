//! Many nodes: a restriction waits for each that may still admit by the old state, and for no other.

use std::time::Duration;

use tollgate_core::{Id, Key, Seq, Timestamp};
use tollgate_store::{
    Committed, Store,
    changes::{ConfirmedBy, Grant, Lease, NodeReport, Renewal},
    keys::KeyTransition,
};

use crate::support::*;

contract_of_many_nodes! {
    a_revoke_waits_for_the_acknowledgement_of_each_node,
    a_renewal_carries_what_the_node_lacks_and_counts_as_acknowledgement,
    a_revoke_that_is_repeated_waits_for_the_nodes_that_the_first_one_waits_for,
    a_released_lease_is_waited_for_no_more,
    a_silent_node_is_dropped_after_a_whole_lease_and_must_join_again,
    a_node_that_gets_grants_but_does_not_acknowledge_is_never_dropped,
    a_silent_lease_is_dropped_when_another_node_renews,
    a_node_that_joins_after_the_commit_is_not_waited_for,
    a_node_ahead_of_the_log_is_not_granted_anything,
    usage_is_complete_up_to_what_the_slowest_node_says,
}

fn report(applied: Seq) -> NodeReport {
    NodeReport { applied, journal_bytes: 7, complete_until: Timestamp::from_millis(5_000) }
}

async fn join(store: &Store, name: &str) -> Lease {
    let lease = store.node_join(&named(name), "0.1.0").await.unwrap();
    assert!(lease.renewable);
    lease
}

async fn renew(store: &Store, lease: &Lease, applied: Seq) -> Option<Grant> {
    match store.lease_renew(lease, &report(applied)).await.unwrap() {
        Renewal::Granted(grant) => Some(grant),
        Renewal::Lost => None,
    }
}

async fn revoke(fixture: &Fixture) -> Committed<Key> {
    let account = fixture.store.seed().await.unwrap().account;
    let key = make_key(fixture, account, "k").await;
    fixture.store.key_transition(&system(), account, key.id, KeyTransition::Revoke).await.unwrap()
}

/// Polls what is waited for until it has begun to wait, and that it has not ended.
macro_rules! assert_waits {
    ($waiting:expr) => {
        assert!(tokio::time::timeout(Duration::from_millis(150), &mut $waiting).await.is_err(), "it did not wait");
    };
}

async fn a_revoke_waits_for_the_acknowledgement_of_each_node(fixture: Fixture) {
    let other = fixture.open_another().await;
    let (here, there) = (join(&fixture.store, "here").await, join(&other, "there").await);
    assert!(here.node != there.node && here.cluster == there.cluster);
    let committed = revoke(&fixture).await;
    let mut names: Vec<_> = committed.members.iter().map(|member| member.name.to_string()).collect();
    names.sort();
    assert_eq!(names, ["here", "there"]);
    let mut confirmed = Box::pin(fixture.store.change_confirm(&committed));
    assert_waits!(confirmed);
    fixture.store.change_acknowledge(&here, committed.seq, &[(committed.seq, 2)]).await.unwrap();
    assert_waits!(confirmed);
    // Too little, and of another epoch: neither counts.
    other.change_acknowledge(&there, Seq(committed.seq.0 - 1), &[]).await.unwrap();
    let stale = Lease { epoch: there.epoch - 1, ..there.clone() };
    other.change_acknowledge(&stale, committed.seq, &[]).await.unwrap();
    assert!(renew(&fixture.store, &here, committed.seq).await.is_some());
    assert!(renew(&other, &there, Seq(0)).await.is_some());
    assert_waits!(confirmed);
    other.change_acknowledge(&there, committed.seq, &[(committed.seq, 3), (Seq(1), 0)]).await.unwrap();
    let confirmation = confirmed.await.unwrap();
    assert_eq!(confirmation.nodes.len(), 2);
    assert!(confirmation.nodes.iter().all(|node| node.by == ConfirmedBy::Acknowledged));
    assert_eq!(confirmation.streams_cut, 5);
    let nodes = fixture.store.node_list().await.unwrap();
    assert_eq!(nodes.iter().filter(|node| node.active && node.applied == committed.seq).count(), 2);
    assert!(nodes.iter().all(|node| node.journal_bytes == 7 && node.version == "0.1.0"));
}

async fn a_renewal_carries_what_the_node_lacks_and_counts_as_acknowledgement(fixture: Fixture) {
    let lease = join(&fixture.store, "n").await;
    let committed = revoke(&fixture).await;
    let grant = renew(&fixture.store, &lease, Seq(0)).await.unwrap();
    assert_eq!((grant.head, grant.now), (committed.seq, fixture.world.now()));
    let places: Vec<i64> = grant.changes.iter().map(|change| change.seq.0).collect();
    assert_eq!(places, (1..=committed.seq.0).collect::<Vec<_>>());
    let mut confirmed = Box::pin(fixture.store.change_confirm(&committed));
    assert_waits!(confirmed);
    assert!(renew(&fixture.store, &lease, committed.seq).await.unwrap().changes.is_empty());
    assert_eq!(confirmed.await.unwrap().nodes[0].by, ConfirmedBy::Acknowledged);
}

async fn a_revoke_that_is_repeated_waits_for_the_nodes_that_the_first_one_waits_for(fixture: Fixture) {
    let lease = join(&fixture.store, "n").await;
    let first = revoke(&fixture).await;
    let account = fixture.store.seed().await.unwrap().account;
    // The caller of the first has given up, and asks again.
    let again = fixture.store.key_transition(&system(), account, first.value.id, KeyTransition::Revoke).await.unwrap();
    assert_eq!((again.seq, again.members.len()), (first.seq, 1));
    let mut confirmed = Box::pin(fixture.store.change_confirm(&again));
    assert_waits!(confirmed);
    fixture.store.change_acknowledge(&lease, first.seq, &[]).await.unwrap();
    assert_eq!(confirmed.await.unwrap().nodes[0].by, ConfirmedBy::Acknowledged);
}

async fn a_released_lease_is_waited_for_no_more(fixture: Fixture) {
    let lease = join(&fixture.store, "n").await;
    let committed = revoke(&fixture).await;
    let mut confirmed = Box::pin(fixture.store.change_confirm(&committed));
    assert_waits!(confirmed);
    fixture.store.lease_release(&lease).await.unwrap();
    assert_eq!(confirmed.await.unwrap().nodes[0].by, ConfirmedBy::Released);
    assert!(renew(&fixture.store, &lease, committed.seq).await.is_none());
    assert!(revoke(&fixture).await.members.is_empty());
}

async fn a_silent_node_is_dropped_after_a_whole_lease_and_must_join_again(fixture: Fixture) {
    let other = fixture.open_another().await;
    let silent = join(&other, "silent").await;
    let committed = revoke(&fixture).await;
    let confirmation = fixture.store.change_confirm(&committed).await.unwrap();
    assert_eq!(confirmation.nodes[0].by, ConfirmedBy::Expired);
    assert!(confirmation.after >= LEASE, "{:?}", confirmation.after);
    assert!(renew(&other, &silent, committed.seq).await.is_none());
    assert!(revoke(&fixture).await.members.is_empty());
    let again = join(&other, "silent").await;
    assert!(again.node == silent.node && again.epoch > silent.epoch);
    assert_eq!(revoke(&fixture).await.members.len(), 1);
}

async fn a_node_that_gets_grants_but_does_not_acknowledge_is_never_dropped(fixture: Fixture) {
    let other = fixture.open_another().await;
    let deaf = join(&other, "deaf").await;
    let committed = revoke(&fixture).await;
    let before = Seq(committed.seq.0 - 1);
    let mut confirmed = Box::pin(fixture.store.change_confirm(&committed));
    let began = std::time::Instant::now();
    while began.elapsed() < 4 * LEASE {
        assert!(renew(&other, &deaf, before).await.is_some());
        assert!(tokio::time::timeout(LEASE / 4, &mut confirmed).await.is_err());
    }
    other.change_acknowledge(&deaf, committed.seq, &[]).await.unwrap();
    assert_eq!(confirmed.await.unwrap().nodes[0].by, ConfirmedBy::Acknowledged);
}

async fn a_silent_lease_is_dropped_when_another_node_renews(fixture: Fixture) {
    let other = fixture.open_another().await;
    let crashed = join(&other, "crashed").await;
    let lease = join(&fixture.store, "n").await;
    let began = std::time::Instant::now();
    loop {
        assert!(renew(&fixture.store, &lease, Seq(0)).await.is_some());
        let nodes = fixture.store.node_list().await.unwrap();
        assert_eq!(nodes.len(), 2);
        if nodes.iter().any(|node| node.id == crashed.node && !node.active) {
            break;
        }
        assert!(began.elapsed() < 20 * LEASE);
        tokio::time::timeout(LEASE / 8, std::future::pending::<()>()).await.unwrap_err();
    }
    assert!(began.elapsed() >= LEASE);
    let committed = revoke(&fixture).await;
    assert_eq!(committed.members.iter().map(|member| member.node).collect::<Vec<_>>(), [lease.node]);
}

async fn a_node_that_joins_after_the_commit_is_not_waited_for(fixture: Fixture) {
    let committed = revoke(&fixture).await;
    join(&fixture.store, "late").await;
    let confirmation = fixture.store.change_confirm(&committed).await.unwrap();
    assert!(confirmation.nodes.is_empty());
    let base = fixture.store.keyring_base().await.unwrap();
    assert_eq!(base.seq, committed.seq);
}

async fn a_node_ahead_of_the_log_is_not_granted_anything(fixture: Fixture) {
    let lease = join(&fixture.store, "n").await;
    assert!(renew(&fixture.store, &lease, Seq(1_000)).await.is_none());
    let unknown = Lease { node: Id::new(&fixture.world), ..lease };
    assert!(renew(&fixture.store, &unknown, Seq(0)).await.is_none());
}

async fn usage_is_complete_up_to_what_the_slowest_node_says(fixture: Fixture) {
    let store = &fixture.store;
    assert_eq!(store.usage_complete_until().await.unwrap(), fixture.world.now());
    let other = fixture.open_another().await;
    let (here, there) = (join(store, "here").await, join(&other, "there").await);
    let says = |ms| NodeReport { applied: Seq(0), journal_bytes: 0, complete_until: Timestamp::from_millis(ms) };
    store.lease_renew(&here, &says(9_000)).await.unwrap();
    assert_eq!(store.usage_complete_until().await.unwrap(), Timestamp::default());
    other.lease_renew(&there, &says(8_000)).await.unwrap();
    assert_eq!(store.usage_complete_until().await.unwrap(), Timestamp::from_millis(8_000));
    other.lease_release(&there).await.unwrap();
    assert_eq!(store.usage_complete_until().await.unwrap(), Timestamp::from_millis(9_000));
}
