//! Many nodes: a restriction waits for each that may still admit by the old state, and for no other.

use std::time::Duration;

use tollgate_core::{
    Id, Key, No, Seq, Timestamp,
    change::Node,
    usage::{Journal, Lane, Settlement},
};
use tollgate_store::{
    Committed, PageRequest, Store, StoreError,
    audit::AuditFilter,
    changes::{Begun, ConfirmedBy, Grant, Lease, NodeReport, Renewal},
    keys::KeyTransition,
};

use crate::{schema::number, support::*};

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
    usage_waits_for_what_a_node_that_is_gone_has_begun,
    what_is_lost_with_a_disk_is_written_off,
    a_node_that_counts_by_itself_is_not_written_off,
    a_node_with_something_uncounted_stays_listed,
}

fn report(applied: Seq) -> NodeReport {
    NodeReport { applied, journal_bytes: 7, complete_until: Timestamp::from_millis(5_000), begun: Default::default() }
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
    let says = |ms| NodeReport {
        applied: Seq(0),
        journal_bytes: 0,
        complete_until: Timestamp::from_millis(ms),
        begun: Default::default(),
    };
    store.lease_renew(&here, &says(9_000)).await.unwrap();
    assert_eq!(store.usage_complete_until().await.unwrap(), Timestamp::default());
    other.lease_renew(&there, &says(8_000)).await.unwrap();
    assert_eq!(store.usage_complete_until().await.unwrap(), Timestamp::from_millis(8_000));
    other.lease_release(&there).await.unwrap();
    assert_eq!(store.usage_complete_until().await.unwrap(), Timestamp::from_millis(9_000));
}

/// A node says that everything is counted up to `ms`, and what it has begun.
async fn says(store: &Store, lease: &Lease, ms: i64, (attempts, most, lanes): (u64, u64, u64)) {
    let begun = Begun { attempts, most, lanes };
    let report = NodeReport { applied: Seq(0), journal_bytes: 0, complete_until: Timestamp::from_millis(ms), begun };
    assert!(matches!(store.lease_renew(lease, &report).await.unwrap(), Renewal::Granted(_)));
}
fn lane(fixture: &Fixture, node: Id<Node>) -> Lane {
    Lane { id: Id::new(&fixture.world), node: Some(node) }
}
fn attempts(fixture: &Fixture, count: usize) -> Vec<Settlement> {
    let now = fixture.world.now().to_string();
    (0..count).map(|_| settlement(&fixture.world, No::new(1), No::new(1), No::new(1), &now)).collect()
}
async fn complete_until(fixture: &Fixture) -> i64 {
    fixture.store.usage_complete_until().await.unwrap().as_millis()
}
async fn missing(fixture: &Fixture, node: Id<Node>) -> Option<(u64, u64)> {
    let nodes = fixture.store.node_list().await.unwrap();
    let node = nodes.into_iter().find(|other| other.id == node).unwrap();
    node.uncounted.map(|uncounted| (uncounted.at_least, uncounted.at_most))
}
async fn written_off(fixture: &Fixture) -> (u64, u64) {
    let now = fixture.world.now();
    fixture.store.attempts_written_off(Timestamp::default(), now.plus(Duration::from_secs(60))).await.unwrap()
}

async fn usage_waits_for_what_a_node_that_is_gone_has_begun(fixture: Fixture) {
    let store = &fixture.store;
    let other = fixture.open_another().await;
    let gone = join(&other, "gone").await;
    says(&other, &gone, 7_000, (10, 500, 2)).await;
    let (one, two) = (lane(&fixture, gone.node), lane(&fixture, gone.node));
    store.usage_ship(one, 0, 12, &attempts(&fixture, 6)).await.unwrap();
    assert_eq!(missing(&fixture, gone.node).await, None, "it is there");
    other.lease_release(&gone).await.unwrap();
    assert_eq!(missing(&fixture, gone.node).await, Some((4, 494)));
    assert_eq!(complete_until(&fixture).await, 7_000);
    // A lane of nobody's, and the rest of both lanes.
    store.usage_ship(Id::<Journal>::new(&fixture.world), 0, 3, &attempts(&fixture, 1)).await.unwrap();
    store.usage_ship(one, 12, 20, &attempts(&fixture, 9)).await.unwrap();
    assert_eq!(missing(&fixture, gone.node).await, Some((0, 485)), "more may have been begun than it had said");
    store.usage_make_last(Some(one)).await.unwrap();
    assert_eq!(complete_until(&fixture).await, 7_000);
    // The last one was empty.
    store.usage_make_last(Some(two)).await.unwrap();
    assert_eq!(missing(&fixture, gone.node).await, None);
    assert_eq!(complete_until(&fixture).await, fixture.world.now().as_millis());
    // Nothing began before it joined, where it has said nothing.
    let silent = join(&other, "gone").await;
    let joined = fixture.world.now();
    says(&other, &silent, 0, (0, 500, 4)).await;
    fixture.hands.forward(Duration::from_secs(5));
    assert_eq!(complete_until(&fixture).await, 0);
    other.lease_release(&silent).await.unwrap();
    assert_eq!(complete_until(&fixture).await, joined.as_millis());
}

async fn what_is_lost_with_a_disk_is_written_off(fixture: Fixture) {
    let (store, me) = (&fixture.store, system());
    let other = fixture.open_another().await;
    let lost = join(&other, "lost").await;
    says(&other, &lost, 7_000, (10, 500, 1)).await;
    let lane = lane(&fixture, lost.node);
    store.usage_ship(lane, 0, 12, &attempts(&fixture, 6)).await.unwrap();
    other.lease_release(&lost).await.unwrap();
    assert_eq!((written_off(&fixture).await, complete_until(&fixture).await), ((0, 0), 7_000));
    let now = fixture.world.now();
    let node = store.node_write_off(&me, lost.node).await.unwrap();
    assert_eq!(node.written_off_at, Some(now));
    assert_eq!(complete_until(&fixture).await, now.as_millis());
    assert_eq!(written_off(&fixture).await, (4, 494));
    // In the time in which it may have begun them, and in no other.
    let until = node.uncounted.unwrap().until;
    assert_eq!(until, now.plus(LEASE));
    let of = async |from, to| store.attempts_written_off(Timestamp::from_millis(from), to).await.unwrap();
    assert_eq!(of(0, Timestamp::from_millis(7_000)).await, (0, 0));
    assert_eq!(of(0, Timestamp::from_millis(7_001)).await, (4, 494));
    assert_eq!(of(until.as_millis(), until.plus(LEASE)).await, (4, 494));
    assert_eq!(of(until.as_millis() + 1, until.plus(LEASE)).await, (0, 0));
    // Once, with what was known.
    fixture.hands.forward(Duration::from_secs(1));
    assert_eq!(store.node_write_off(&me, lost.node).await.unwrap().written_off_at, Some(now));
    let filter = AuditFilter { action: Some("node.write_off".into()), ..AuditFilter::default() };
    let audited = store.audit_list(&filter, &PageRequest::default()).await.unwrap().data;
    assert_eq!((audited.len(), audited[0].subject.clone()), (1, lost.node.to_string()));
    assert_eq!((&audited[0].detail["at_least"], &audited[0].detail["at_most"]), (&4.into(), &494.into()));
    // The disk turns up after all.
    store.usage_ship(lane, 12, 20, &attempts(&fixture, 3)).await.unwrap();
    assert_eq!(written_off(&fixture).await, (1, 491));
    store.usage_make_last(Some(lane)).await.unwrap();
    assert_eq!((written_off(&fixture).await, missing(&fixture, lost.node).await), ((0, 0), None));
}

async fn a_node_that_counts_by_itself_is_not_written_off(fixture: Fixture) {
    let (store, me) = (&fixture.store, system());
    let refused = async |node| match store.node_write_off(&me, node).await {
        Err(StoreError::State(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(matches!(store.node_write_off(&me, Id::new(&fixture.world)).await, Err(StoreError::NotFound)));
    let lease = join(store, "n").await;
    says(store, &lease, 7_000, (10, 500, 1)).await;
    assert!(refused(lease.node).await.contains("holds a lease"));
    store.lease_release(&lease).await.unwrap();
    store.node_write_off(&me, lease.node).await.unwrap();
    // It was only cut off: what it goes on to begin is waited for again.
    let lease = join(store, "n").await;
    assert_eq!((written_off(&fixture).await, complete_until(&fixture).await), ((0, 0), 7_000));
    says(store, &lease, 8_000, (20, 400, 1)).await;
    store.lease_release(&lease).await.unwrap();
    assert_eq!(missing(&fixture, lease.node).await, Some((20, 500)), "the highest mark that it was granted");
    assert_eq!((written_off(&fixture).await, complete_until(&fixture).await), ((0, 0), 8_000));
    store.usage_make_last(Some(lane(&fixture, lease.node))).await.unwrap();
    assert!(refused(lease.node).await.contains("counted"));
}

async fn a_node_with_something_uncounted_stays_listed(fixture: Fixture) {
    let listed = async || {
        let nodes = fixture.store.node_list().await.unwrap();
        let mut names: Vec<_> = nodes.into_iter().map(|node| node.name.to_string()).collect();
        names.sort();
        names
    };
    for (name, begun) in [("counted", (5, 50, 0)), ("lost", (5, 50, 1)), ("off", (5, 50, 1))] {
        let store = fixture.open_another().await;
        let lease = join(&store, name).await;
        says(&store, &lease, 7_000, begun).await;
        store.lease_release(&lease).await.unwrap();
        if name == "off" {
            store.node_write_off(&system(), lease.node).await.unwrap();
        }
    }
    assert_eq!(listed().await, ["counted", "lost", "off"]);
    fixture.hands.forward(Duration::from_secs(2 * 86_400));
    assert_eq!(listed().await, ["lost"]);
    // Whoever joins forgets those of which all is counted.
    join(&fixture.store, "new").await;
    assert_eq!(listed().await, ["lost", "new"]);
    assert_eq!(written_off(&fixture).await, (5, 50));
    assert_eq!(number(&fixture, "SELECT COUNT(*) FROM nodes").await, 3);
}
