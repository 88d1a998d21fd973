//! The change log: one place for each change, in the order of their commits, without gaps.

use std::time::{Duration, Instant};

use tollgate_core::{Change, ChangeKind, Seq};
use tollgate_store::{
    PageRequest,
    accounts::{AccountEdit, NewAccount, PlanEdit},
    audit::AuditFilter,
    changes::{CHANGES_KEPT, NodeReport, Renewal},
    keyring::Changed,
    keys::KeyTransition,
};

use crate::support::*;

contract! {
    the_log_has_no_gaps_under_twenty_writers,
    a_plan_that_stops_being_paid_is_told_of_each_account_on_it,
    the_keyring_reads_each_changed_thing_once_in_the_order_of_its_last_change,
    waiting_for_a_change_ends_with_it_or_with_the_time,
    every_write_leaves_an_audit_row_without_hash_or_secret,
    old_changes_go_once_every_node_has_them_and_no_node_misses_one,
    old_entries_of_the_audit_log_go_where_that_is_wanted,
}

async fn the_log_has_no_gaps_under_twenty_writers(fixture: Fixture) {
    let account = fixture.store.seed().await.unwrap().account;
    let before = fixture.store.keyring_base().await.unwrap().seq;
    let other = fixture.open_another().await;
    let writers = (0..20).map(|writer| {
        let store = if writer % 2 == 0 { fixture.store.clone() } else { other.clone() };
        let world = fixture.world.clone();
        tokio::spawn(async move {
            let mut places = Vec::new();
            for at in 0..5 {
                let made =
                    store.key_create(&system(), new_key(&world, account, &format!("{writer}-{at}"))).await.unwrap();
                let id = made.value.id;
                places.push((made.seq, made.value.no));
                let ended = store.key_transition(&system(), account, id, KeyTransition::Revoke).await.unwrap();
                places.push((ended.seq, ended.value.no));
            }
            places
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut told = Vec::new();
    for writer in writers {
        told.extend(writer.await.unwrap());
    }
    told.sort();
    let log = fixture.store.changes_after(before, 1_000).await.unwrap();
    let log: Vec<_> = log.iter().map(|change| (change.seq, change.kind)).collect();
    let expected: Vec<_> = told.iter().map(|(seq, no)| (*seq, ChangeKind::Key(*no))).collect();
    assert_eq!(log, expected);
    assert_eq!(
        log.iter().map(|(seq, _)| seq.0).collect::<Vec<_>>(),
        (before.0 + 1..=before.0 + 200).collect::<Vec<_>>()
    );
    assert_eq!(fixture.store.changes_after(Seq(before.0 + 10), 3).await.unwrap().len(), 3);
}

async fn a_plan_that_stops_being_paid_is_told_of_each_account_on_it(fixture: Fixture) {
    let store = &fixture.store;
    let default = store.account_get(&store.seed().await.unwrap().account.to_string()).await.unwrap();
    let mut on_it = vec![ChangeKind::Account(default.no)];
    for handle in ["a", "b"] {
        let account = value(
            store
                .account_create(
                    &system(),
                    NewAccount { handle: named(handle), name: named("N"), plan: None, owner: None },
                )
                .await,
        );
        let edit = AccountEdit { plan: Some(Some(named("unlimited"))), ..AccountEdit::default() };
        value(store.account_edit(&system(), account.id, edit, None).await);
        on_it.push(ChangeKind::Account(account.no));
    }
    value(
        store
            .account_create(&system(), NewAccount { handle: named("c"), name: named("N"), plan: None, owner: None })
            .await,
    );
    let before = store.keyring_base().await.unwrap().seq;
    let plan = store.plan_get("unlimited").await.unwrap();
    let paid = |paid| PlanEdit { paid: Some(paid), name: None };
    let plan = value(store.plan_edit(&system(), plan.id, paid(false), Some(plan.version)).await);
    let told = store.changes_after(before, 10).await.unwrap();
    assert_eq!(told.iter().map(|change| change.kind).collect::<Vec<_>>(), on_it);
    let standing = async || store.keyring_base().await.unwrap().accounts[0].standing(fixture.world.now());
    assert_eq!(standing().await, tollgate_core::account::Standing::PlanRequired);
    value(store.plan_edit(&system(), plan.id, paid(true), None).await);
    assert_eq!(standing().await, tollgate_core::account::Standing::Good);
    let renamed = PlanEdit { name: Some(named("Everything")), paid: None };
    let committed = store.plan_edit(&system(), plan.id, renamed, None).await.unwrap();
    assert_eq!(committed.seq, store.keyring_base().await.unwrap().seq);
    assert!(committed.members.is_empty());
}

async fn the_keyring_reads_each_changed_thing_once_in_the_order_of_its_last_change(fixture: Fixture) {
    let store = &fixture.store;
    let account = store.seed().await.unwrap().account;
    let key = make_key(&fixture, account, "k").await;
    let upstream = value(store.upstream_create(&system(), new_upstream(&fixture.world, "gpu")).await);
    let model = value(store.model_create(&system(), new_model("m", &["gpu"])).await);
    let gone = make_model(&fixture, "gone").await;
    value(store.model_remove(&system(), gone.id).await);
    value(store.key_transition(&system(), account, key.id, KeyTransition::Revoke).await);
    let log = store.changes_after(Seq(0), 100).await.unwrap();
    let changed = store.keyring_changed(&log).await.unwrap();
    let kinds: Vec<String> = changed
        .iter()
        .map(|changed| match changed {
            Changed::Key(no, state) => format!("key {} {}", no.get(), state.is_some()),
            Changed::Account(no, state) => format!("account {} {}", no.get(), state.is_some()),
            Changed::Model(no, state) => format!("model {} {}", no.get(), state.is_some()),
            Changed::Upstream(no, state) => format!("upstream {} {}", no.get(), state.is_some()),
        })
        .collect();
    assert_eq!(kinds, ["account 1 true", "upstream 1 true", "model 1 true", "model 2 false", "key 1 true"]);
    let base = store.keyring_base().await.unwrap();
    assert_eq!((base.accounts.len(), &base.models[..], base.upstreams.len()), (1, &[model][..], 1));
    assert_eq!(base.upstreams[0].upstream, upstream);
    assert_eq!(base.seq, log.last().unwrap().seq);
    let unknown = Change { seq: Seq(1), kind: ChangeKind::Key(tollgate_core::No::new(99)) };
    assert!(matches!(store.keyring_changed(&[unknown]).await.unwrap()[..], [Changed::Key(_, None)]));
    assert!(store.keyring_changed(&[]).await.unwrap().is_empty());
}

async fn waiting_for_a_change_ends_with_it_or_with_the_time(fixture: Fixture) {
    let store = fixture.store.clone();
    let account = store.seed().await.unwrap().account;
    let head = store.keyring_base().await.unwrap().seq;
    let began = Instant::now();
    store.change_wait(head, Duration::from_millis(60)).await;
    assert!(began.elapsed() >= Duration::from_millis(60));
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { store.change_wait(head, Duration::from_secs(60)).await })
    };
    make_key(&fixture, account, "k").await;
    waiting.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(30));
    store.change_wait(head, Duration::from_secs(60)).await;
    let other = fixture.open_another().await;
    let head = store.keyring_base().await.unwrap().seq;
    value(other.key_create(&system(), new_key(&fixture.world, account, "k")).await);
    store.change_wait(head, Duration::from_secs(60)).await;
    assert!(began.elapsed() < Duration::from_secs(30));
}

async fn every_write_leaves_an_audit_row_without_hash_or_secret(fixture: Fixture) {
    let store = &fixture.store;
    let account = store.seed().await.unwrap().account;
    let mut upstream = new_upstream(&fixture.world, "gpu");
    upstream.credential = Some(b"sealed bytes".to_vec());
    value(store.upstream_create(&system(), upstream).await);
    let new = new_key(&fixture.world, account, "k");
    let hash = new.hash;
    value(store.key_create(&system(), new).await);
    let rows = store.audit_list(&Default::default(), &PageRequest::default()).await.unwrap().data;
    let actions: Vec<_> = rows.iter().rev().map(|row| row.action.as_str()).collect();
    assert_eq!(actions, ["plan.create", "account.create", "user.create", "upstream.create", "key.create"]);
    let hex: String = hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    for row in &rows {
        let text = row.detail.to_string();
        assert!(!text.contains(&hex) && !text.contains("sealed"), "{text}");
        assert_eq!(row.at, fixture.world.now());
    }
    // By pages, and by every filter.
    let page = PageRequest { cursor: None, limit: 2 };
    let first = store.audit_list(&Default::default(), &page).await.unwrap();
    let second = PageRequest { cursor: first.next_cursor, limit: 10 };
    assert_eq!(store.audit_list(&Default::default(), &second).await.unwrap().data.len(), 3);
    let count =
        async |filter: AuditFilter| store.audit_list(&filter, &PageRequest::default()).await.unwrap().data.len();
    assert_eq!(count(AuditFilter { account: Some(account), ..Default::default() }).await, 2);
    assert_eq!(count(AuditFilter { action: Some("key.create".into()), ..Default::default() }).await, 1);
    assert_eq!(count(AuditFilter { action: Some("plan.".into()), ..Default::default() }).await, 1);
    assert_eq!(count(AuditFilter { action: Some("plan".into()), ..Default::default() }).await, 0);
    assert_eq!(count(AuditFilter { action: Some("%.".into()), ..Default::default() }).await, 0);
    assert_eq!(count(AuditFilter { subject: Some("a\u{0}".into()), ..Default::default() }).await, 0);
    assert_eq!(count(AuditFilter { from: Some(fixture.world.now()), ..Default::default() }).await, 5);
    assert_eq!(count(AuditFilter { to: Some(fixture.world.now()), ..Default::default() }).await, 0);
}

async fn old_changes_go_once_every_node_has_them_and_no_node_misses_one(fixture: Fixture) {
    let store = &fixture.store;
    let account = store.seed().await.unwrap().account;
    let lease = store.node_join(&named("n"), "1").await.unwrap();
    let base = store.keyring_base().await.unwrap().seq;
    for at in 0..3 {
        make_key(&fixture, account, &format!("old {at}")).await;
    }
    store.change_acknowledge(&lease, Seq(base.0 + 2), &[]).await.unwrap();
    fixture.hands.forward(CHANGES_KEPT + Duration::from_secs(1));
    make_key(&fixture, account, "new").await;
    assert!(store.changes_prune().await.unwrap() > 0);
    // What the node lacks is there, and comes without a gap.
    let report = NodeReport {
        applied: Seq(base.0 + 2),
        journal_bytes: 0,
        complete_until: fixture.world.now(),
        begun: Default::default(),
    };
    let Renewal::Granted(grant) = store.lease_renew(&lease, &report).await.unwrap() else {
        panic!("the lease is gone")
    };
    let seqs: Vec<i64> = grant.changes.iter().map(|change| change.seq.0).collect();
    assert_eq!(seqs, [base.0 + 3, base.0 + 4]);
    store.change_acknowledge(&lease, grant.head, &[]).await.unwrap();
    assert_eq!(store.changes_prune().await.unwrap(), 1, "the new one is kept for its time");
    assert_eq!(store.keyring_base().await.unwrap().seq, grant.head, "the head stays");
    // Nobody is there: all that is old goes, and the next change follows on.
    store.lease_release(&lease).await.unwrap();
    fixture.hands.forward(CHANGES_KEPT + Duration::from_secs(1));
    assert_eq!(store.changes_prune().await.unwrap(), 1);
    make_key(&fixture, account, "after").await;
    let log = store.changes_after(grant.head, 10).await.unwrap();
    assert_eq!(log.iter().map(|change| change.seq.0).collect::<Vec<_>>(), [grant.head.0 + 1]);
}

async fn old_entries_of_the_audit_log_go_where_that_is_wanted(fixture: Fixture) {
    let store = &fixture.store;
    let account = store.seed().await.unwrap().account;
    make_key(&fixture, account, "old").await;
    fixture.hands.forward(Duration::from_secs(86_400));
    let now = fixture.world.now();
    let key = make_key(&fixture, account, "new").await;
    assert!(store.audit_prune(now).await.unwrap() > 1);
    let left = store.audit_list(&AuditFilter::default(), &PageRequest::default()).await.unwrap().data;
    assert_eq!(left.iter().map(|entry| entry.subject.clone()).collect::<Vec<_>>(), [key.id.to_string()]);
    assert_eq!(store.audit_prune(now).await.unwrap(), 0);
}
