//! One node, in this process: the same calls without a network, and another process beside it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tollgate_core::{Id, No, Seq, Timestamp};
use tollgate_store::{
    StoreError,
    changes::{ConfirmedBy, NodeReport, Renewal},
    keys::KeyTransition,
    usage::Shipped,
};

use crate::support::*;

contract_of_one_node! {
    a_revoke_is_confirmed_as_soon_as_the_node_acknowledges,
    a_second_node_is_refused_until_the_first_has_gone,
    a_node_that_ends_is_waited_for_no_more,
    a_write_passes_a_backlog_of_usage_and_its_batches_are_short_for_a_while,
    a_batch_that_is_given_up_leaves_nothing_and_holds_nobody_up,
    another_process_may_write_and_the_node_sees_it,
    only_the_owner_can_read_the_file,
    a_file_that_is_no_store_is_refused,
}

fn report(applied: Seq) -> NodeReport {
    NodeReport { applied, journal_bytes: 3, complete_until: Timestamp::from_millis(5_000), begun: Default::default() }
}

async fn a_revoke_is_confirmed_as_soon_as_the_node_acknowledges(fixture: Fixture) {
    let store = &fixture.store;
    let account = store.seed().await.unwrap().account;
    assert_eq!(store.usage_complete_until().await.unwrap(), fixture.world.now());
    let lease = store.node_join(&named("n"), "0.1.0").await.unwrap();
    assert!(!lease.renewable);
    let key = make_key(&fixture, account, "k").await;
    let committed = store.key_transition(&system(), account, key.id, KeyTransition::Revoke).await.unwrap();
    assert_eq!(committed.members.len(), 1);
    let mut confirmed = Box::pin(store.change_confirm(&committed));
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut confirmed).await.is_err());
    let Renewal::Granted(grant) = store.lease_renew(&lease, &report(Seq(0))).await.unwrap() else { panic!("lost") };
    assert_eq!((grant.head, grant.changes.len()), (committed.seq, usize::try_from(committed.seq.0).unwrap()));
    store.change_acknowledge(&lease, committed.seq, &[(committed.seq, 4)]).await.unwrap();
    let confirmation = confirmed.await.unwrap();
    assert_eq!((confirmation.streams_cut, confirmation.nodes[0].by), (4, ConfirmedBy::Acknowledged));
    let nodes = store.node_list().await.unwrap();
    assert_eq!((nodes.len(), nodes[0].applied, nodes[0].journal_bytes), (1, committed.seq, 3));
    assert_eq!(store.usage_complete_until().await.unwrap(), Timestamp::from_millis(5_000));

    // Acknowledged by another task: the waiter wakes at once, no poll stands between.
    let mut slowest = Duration::ZERO;
    for at in 0..20 {
        let key = make_key(&fixture, account, &format!("k{at}")).await;
        let committed = store.key_transition(&system(), account, key.id, KeyTransition::Revoke).await.unwrap();
        let (node, lease, seq) = (store.clone(), lease.clone(), committed.seq);
        let acknowledged = tokio::spawn(async move {
            node.change_acknowledge(&lease, seq, &[]).await.unwrap();
            std::time::Instant::now()
        });
        store.change_confirm(&committed).await.unwrap();
        slowest = slowest.max(acknowledged.await.unwrap().elapsed());
    }
    assert!(slowest < Duration::from_millis(20), "{slowest:?}");
}

async fn a_second_node_is_refused_until_the_first_has_gone(fixture: Fixture) {
    let other = fixture.open_another().await;
    let lease = fixture.store.node_join(&named("first"), "0.1.0").await.unwrap();
    assert!(matches!(other.node_join(&named("second"), "0.1.0").await, Err(StoreError::State(_))));
    let again = fixture.store.node_join(&named("first"), "0.1.0").await.unwrap();
    assert_eq!((again.node, again.epoch), (lease.node, lease.epoch + 1));
    assert!(matches!(fixture.store.lease_renew(&lease, &report(Seq(0))).await.unwrap(), Renewal::Lost));
    fixture.store.lease_release(&again).await.unwrap();
    let second = other.node_join(&named("second"), "0.1.0").await.unwrap();
    assert_eq!(second.cluster, lease.cluster);
}

async fn a_node_that_ends_is_waited_for_no_more(fixture: Fixture) {
    let store = &fixture.store;
    let account = store.seed().await.unwrap().account;
    let lease = store.node_join(&named("n"), "0.1.0").await.unwrap();
    let key = make_key(&fixture, account, "k").await;
    let committed = store.key_transition(&system(), account, key.id, KeyTransition::Revoke).await.unwrap();
    let mut confirmed = Box::pin(store.change_confirm(&committed));
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut confirmed).await.is_err());
    store.lease_release(&lease).await.unwrap();
    assert_eq!(confirmed.await.unwrap().nodes[0].by, ConfirmedBy::Released);
}

async fn another_process_may_write_and_the_node_sees_it(fixture: Fixture) {
    let store = &fixture.store;
    let account = store.seed().await.unwrap().account;
    store.node_join(&named("n"), "0.1.0").await.unwrap();
    let head = store.keyring_base().await.unwrap().seq;
    let other = fixture.open_another().await;
    let committed = other.key_create(&system(), new_key(&fixture.world, account, "k")).await.unwrap();
    assert!(other.change_confirm(&committed).await.unwrap().nodes.is_empty());
    store.change_wait(head, Duration::from_secs(10)).await;
    assert_eq!(store.changes_after(head, 10).await.unwrap().len(), 1);
}

async fn only_the_owner_can_read_the_file(fixture: Fixture) {
    use std::os::unix::fs::PermissionsExt as _;
    fixture.store.seed().await.unwrap();
    let path = fixture.url.strip_prefix("sqlite:").unwrap().to_owned();
    for file in [path.clone(), format!("{path}-wal")] {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    fixture.store.close().await;
    let wal = std::fs::metadata(format!("{path}-wal")).map_or(0, |wal| wal.len());
    assert_eq!(wal, 0);
}

async fn a_file_that_is_no_store_is_refused(fixture: Fixture) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.db");
    std::fs::write(&path, "this is no database, and longer than a header of sixteen bytes".repeat(40)).unwrap();
    let opened =
        tollgate_store::Store::open(options(&format!("sqlite:{}", path.display())), fixture.world.clone()).await;
    assert!(opened.is_err());
    let nowhere = directory.path().join("no/such/directory.db");
    let opened =
        tollgate_store::Store::open(options(&format!("sqlite:{}", nowhere.display())), fixture.world.clone()).await;
    assert!(matches!(opened, Err(StoreError::Unavailable(_))));
    let opened = tollgate_store::Store::open(options("mysql://nowhere"), fixture.world.clone()).await;
    assert!(matches!(opened, Err(StoreError::State(_))));
}

/// The size of a batch while nobody waits.
fn usual_batch(store: &tollgate_store::Store) -> usize {
    (0..1_000).map(|_| store.usage_batch_most()).max().unwrap()
}

async fn a_write_passes_a_backlog_of_usage_and_its_batches_are_short_for_a_while(fixture: Fixture) {
    let store = fixture.store.clone();
    let account = store.seed().await.unwrap().account;
    let key = make_key(&fixture, account, "k").await;
    let usual = usual_batch(&store);
    assert_eq!(store.usage_batch_most(), usual, "the writes before are forgotten");
    let world = fixture.world.clone();
    let one = settlement(&world, No::new(1), key.no, No::new(1), "2026-05-04T12:00:30Z");
    let counted = Arc::new(AtomicUsize::new(0));
    let shipper = tokio::spawn({
        let (store, counted, journal) = (store.clone(), Arc::clone(&counted), Id::new(&world));
        async move {
            let mut sizes = Vec::new();
            for at in 0u64.. {
                let most = store.usage_batch_most();
                sizes.push(most);
                let batch: Vec<_> = (0..most)
                    .map(|_| tollgate_core::usage::Settlement { attempt: Id::new(&world), ..one.clone() })
                    .collect();
                assert_eq!(store.usage_ship(journal, at, at + 1, &batch).await.unwrap(), Shipped::Counted);
                counted.fetch_add(1, Ordering::SeqCst);
                let has_been_short = sizes.iter().any(|size| *size < usual);
                if has_been_short && most == usual {
                    break;
                }
            }
            sizes
        }
    });
    while counted.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let before = counted.load(Ordering::SeqCst);
    let _ = store.key_transition(&system(), account, key.id, KeyTransition::Revoke).await.unwrap();
    let passed = counted.load(Ordering::SeqCst) - before;
    assert!(passed <= 2, "{passed} batches went before a write that was asked for");
    let sizes = shipper.await.unwrap();
    let short: Vec<_> = sizes.iter().filter(|size| **size < usual).collect();
    assert!(short.len() >= 10 && short.iter().all(|size| **size <= usual / 10), "{sizes:?}");
}

async fn a_batch_that_is_given_up_leaves_nothing_and_holds_nobody_up(fixture: Fixture) {
    let store = &fixture.store;
    let account = store.seed().await.unwrap().account;
    let key = make_key(&fixture, account, "k").await;
    let at = "2026-05-04T12:00:30Z";
    let batch: Vec<_> = (0..500).map(|_| settlement(&fixture.world, No::new(1), key.no, No::new(1), at)).collect();
    let journal = Id::new(&fixture.world);
    for polls in 1..40 {
        // Given up at every point where it waits.
        let mut shipping = Box::pin(store.usage_ship(journal, 0, 1, &batch));
        for _ in 0..polls {
            if tokio::time::timeout(Duration::from_micros(200), &mut shipping).await.is_ok() {
                break;
            }
        }
        drop(shipping);
        make_key(&fixture, account, &format!("k{polls}")).await;
        let watermark = store.journal_watermark(journal).await.unwrap();
        let counted = store.key_recent_requests(key.no).await.unwrap();
        assert_eq!(counted, if watermark == 1 { (500, 500) } else { (0, 0) });
    }
}
