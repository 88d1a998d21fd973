//! Reports of keys and tokens that were found in public: what dies by them, what does not, and what is kept of them.

use std::time::Duration;

use sqlx::{Connection as _, Row as _};
use tollgate_core::{
    Actor, Id, Key, KeyStatus, No,
    account::AuditEntry,
    key::KeyState,
    leak::{LeakEffect, LeakSource, OnLeak, Place, PlaceKind},
    secret::{KeyHint, Prefix},
};
use tollgate_store::{
    PageRequest, Store,
    accounts::{AccountEdit, NewToken},
    audit::AuditFilter,
    changes::ConfirmedBy,
    keys::KeyTransition,
    leaks::{LeakFate, LeakReport, LeakSubject, MOST_PLACES},
};

use crate::support::*;

contract! {
    a_reported_key_is_leaked_with_where_by_whom_and_how_often,
    what_is_not_of_this_deployment_changes_nothing,
    a_repeat_changes_nothing_but_the_count,
    the_text_from_before_a_rotation_counts_while_it_works,
    a_reported_token_is_revoked,
    an_account_that_wants_to_be_told_keeps_its_keys_and_is_told_once,
    a_key_that_was_brought_back_dies_of_a_new_place_and_not_of_a_known_one,
    thousands_die_in_one_change_and_one_wait,
    places_are_kept_within_bounds,
    what_is_dead_is_not_reported_again_before_it_is_dead_everywhere,
}

const PASTE: &str = "https://paste.example/x";

async fn account_of(store: &Store) -> Id<tollgate_core::Account> {
    store.seed().await.unwrap().account
}
async fn get(fixture: &Fixture, key: &Key) -> Key {
    fixture.store.key_get(None, key.id).await.unwrap()
}
async fn audit(store: &Store, action: &str) -> Vec<AuditEntry> {
    let filter = AuditFilter { action: Some(action.to_owned()), ..AuditFilter::default() };
    store.audit_list(&filter, &PageRequest { cursor: None, limit: 1_000 }).await.unwrap().data
}
async fn set(fixture: &Fixture, on_leak: OnLeak) {
    let account = account_of(&fixture.store).await;
    let edit = AccountEdit { on_leak: Some(on_leak), ..AccountEdit::default() };
    let edited = value(fixture.store.account_edit(&system(), account, edit, None).await);
    assert_eq!(edited.on_leak, on_leak);
}
async fn enable(fixture: &Fixture, key: &Key) -> Key {
    value(fixture.store.key_transition(&system(), key.account, key.id, KeyTransition::Enable).await)
}

/// What people are to be told, past the store's own reading of it.
async fn told(fixture: &Fixture) -> Vec<serde_json::Value> {
    let sql = "SELECT body FROM notices ORDER BY no";
    let bodies: Vec<String> = match fixture.url.strip_prefix("sqlite:") {
        Some(path) => {
            let mut file = sqlx::SqliteConnection::connect(&format!("sqlite://{path}")).await.unwrap();
            sqlx::query(sql).fetch_all(&mut file).await.unwrap().iter().map(|row| row.get(0)).collect()
        }
        None => {
            let mut server = sqlx::PgConnection::connect(&fixture.url).await.unwrap();
            sqlx::query(sql).fetch_all(&mut server).await.unwrap().iter().map(|row| row.get(0)).collect()
        }
    };
    bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect()
}

async fn a_reported_key_is_leaked_with_where_by_whom_and_how_often(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    let (key, other) = (make_key(&fixture, account, "k").await, make_key(&fixture, account, "other").await);
    let now = fixture.world.now();
    let reports = [report(&fixture, key.public_id, Some(PASTE)).await];
    let actor = Actor::system("leaks");
    let before = store.change_head().await.unwrap();
    let committed = store.leaks_take(&actor, LeakSource::Github, &reports).await.unwrap();
    let fate = LeakFate {
        subject: LeakSubject::Key(key.id),
        account: Some(account),
        effect: LeakEffect::Ended,
        status: KeyStatus::Leaked,
    };
    assert_eq!(committed.value, [Some(fate)]);
    assert_eq!(store.changes_after(before, 10).await.unwrap().len(), 1);
    let leaked = get(&fixture, &key).await;
    assert_eq!(leaked.state, KeyState::Leaked { at: now, found_at: Some(PASTE.to_owned()) });
    let known = leaked.leak.unwrap();
    assert_eq!(
        (known.at, known.found_at.as_deref(), known.source, known.reports),
        (now, Some(PASTE), LeakSource::Github, 1)
    );
    assert_eq!(leaked.version, key.version + 1);
    assert_eq!(get(&fixture, &other).await, other);
    assert_eq!(store.leaked_keys(account).await.unwrap(), (1, 0));
    let entries = audit(store, "key.leak").await;
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].subject.clone(), entries[0].actor.as_str()), (key.id.to_string(), "system:leaks"));
    assert_eq!((entries[0].account, &entries[0].detail["found_at"]), (Some(account), &serde_json::json!(PASTE)));
    assert_eq!(entries[0].detail["kind"], "commit");
    let notice = told(&fixture).await.remove(0);
    assert_eq!((&notice["type"], &notice["data"]["key"]), (&"key.leaked".into(), &key.id.to_string().into()));
    assert_eq!((&notice["data"]["disabled"], &notice["data"]["found_at"]), (&true.into(), &PASTE.into()));
    let log = store.leak_log(key.id).await.unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!((log[0].place.as_deref(), log[0].reports, log[0].settled_at), (Some(PASTE), 1, None));
    // A revoked one stays revoked, and is not counted among the leaked.
    value(store.key_transition(&system(), account, key.id, KeyTransition::Revoke).await);
    assert_eq!(leak(&fixture, key.public_id, None).await.effect, LeakEffect::Unchanged);
    assert_eq!(get(&fixture, &key).await.status(now), KeyStatus::Revoked);
    assert_eq!(store.leaked_keys(account).await.unwrap(), (0, 0));
}

async fn what_is_not_of_this_deployment_changes_nothing(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    let key = make_key(&fixture, account, "k").await;
    let right = report(&fixture, key.public_id, Some(PASTE)).await;
    let made_up = LeakReport {
        hint: KeyHint { prefix: Prefix::default(), id: public_id(&fixture.world) },
        key_hash: key_hash(&fixture.world),
        ..right.clone()
    };
    // The right id with another secret: whoever saw a hint in a log has no key.
    let forged = LeakReport { key_hash: key_hash(&fixture.world), ..right.clone() };
    let swapped = LeakReport { key_hash: right.token_hash, token_hash: right.key_hash, ..right };
    let before = store.change_head().await.unwrap();
    for reports in [vec![], vec![made_up.clone()], vec![forged.clone()], vec![swapped, made_up, forged]] {
        let taken = store.leaks_take(&system(), LeakSource::Public, &reports).await.unwrap();
        assert_eq!(taken.value, vec![None; reports.len()]);
        assert_eq!(store.leak_subjects(&reports).await.unwrap(), vec![None; reports.len()]);
    }
    assert_eq!(get(&fixture, &key).await, key);
    assert_eq!(store.change_head().await.unwrap(), before);
    assert!(store.leak_log(key.id).await.unwrap().is_empty());
    assert!(audit(store, "key.leak").await.is_empty());
}

async fn a_repeat_changes_nothing_but_the_count(fixture: Fixture) {
    let store = &fixture.store;
    let key = make_key(&fixture, account_of(store).await, "k").await;
    leak(&fixture, key.public_id, Some(PASTE)).await;
    let (leaked, head) = (get(&fixture, &key).await, store.change_head().await.unwrap());
    fixture.hands.forward(Duration::from_secs(60));
    for place in [Some(PASTE), Some("https://other.example"), None, Some(PASTE)] {
        let fate = leak(&fixture, key.public_id, place).await;
        assert_eq!((fate.effect, fate.status), (LeakEffect::Unchanged, KeyStatus::Leaked));
    }
    let mut again = get(&fixture, &key).await;
    assert_eq!(again.leak.as_ref().unwrap().reports, 5);
    again.leak.as_mut().unwrap().reports = 1;
    assert_eq!(again, leaked);
    assert_eq!(store.change_head().await.unwrap(), head);
    assert_eq!(audit(store, "key.leak").await.len(), 1);
    assert_eq!(told(&fixture).await.len(), 1, "nobody is told twice");
    let log = store.leak_log(key.id).await.unwrap();
    let counts: std::collections::BTreeMap<_, _> =
        log.iter().map(|line| (line.place.as_deref().unwrap_or(""), line.reports)).collect();
    assert_eq!(counts, [("", 1), (PASTE, 3), ("https://other.example", 1)].into());
    let paste = log.iter().find(|line| line.place.as_deref() == Some(PASTE)).unwrap();
    assert_eq!(paste.last_at, paste.first_at.plus(Duration::from_secs(60)));
}

async fn the_text_from_before_a_rotation_counts_while_it_works(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    let until = fixture.world.now().plus(Duration::from_secs(3_600));
    for (wait, effect, status) in [
        (0, LeakEffect::Ended, KeyStatus::Leaked),
        // Over: that text is dead, and says nothing of the one that lives.
        (3_600, LeakEffect::Unchanged, KeyStatus::Active),
    ] {
        let key = make_key(&fixture, account, "k").await;
        let old = report(&fixture, key.public_id, Some(PASTE)).await;
        let hash = key_hash(&fixture.world);
        value(store.key_rotate(&system(), (account, key.id), Prefix::default(), hash, until, None).await);
        fixture.hands.forward(Duration::from_secs(wait));
        let fates = value(store.leaks_take(&system(), LeakSource::Github, &[old]).await);
        let fate = fates[0].as_ref().unwrap();
        assert_eq!((fate.effect, fate.status), (effect, status));
        let leaked = get(&fixture, &key).await;
        assert_eq!((leaked.status(fixture.world.now()), leaked.leak.is_some()), (status, status == KeyStatus::Leaked));
    }
}

async fn a_reported_token_is_revoked(fixture: Fixture) {
    let store = &fixture.store;
    let seeded = store.seed().await.unwrap();
    // Also where the account wants to be told only: nobody's programs call models with a token.
    set(&fixture, OnLeak::Tell).await;
    for account in [None, Some(seeded.account)] {
        let (public_id, hash) = (public_id(&fixture.world), key_hash(&fixture.world));
        let new = NewToken { user: seeded.operator, account, name: named("t"), public_id, hash, expires_at: None };
        let token = store.token_create(&system(), new).await.unwrap();
        assert!(store.token_identity(public_id, hash).await.unwrap().is_some());
        let report = LeakReport {
            hint: KeyHint { prefix: Prefix::default().for_access_tokens(), id: public_id },
            key_hash: key_hash(&fixture.world),
            token_hash: hash,
            place: Place::new(PASTE),
            kind: PlaceKind::Unknown,
        };
        for effect in [LeakEffect::Ended, LeakEffect::Unchanged] {
            let fates = value(store.leaks_take(&system(), LeakSource::Gitlab, std::slice::from_ref(&report)).await);
            let subject = LeakSubject::Token(token.id);
            assert_eq!(fates, [Some(LeakFate { subject, account, effect, status: KeyStatus::Revoked })]);
            assert!(store.token_identity(public_id, hash).await.unwrap().is_none());
        }
    }
    let entries = audit(store, "token.leak").await;
    assert_eq!(entries.iter().map(|entry| entry.account).collect::<Vec<_>>(), [Some(seeded.account), None]);
    let kinds: Vec<_> = told(&fixture).await.iter().map(|notice| notice["type"].clone()).collect();
    assert_eq!(kinds, ["token.leaked", "token.leaked"]);
}

async fn an_account_that_wants_to_be_told_keeps_its_keys_and_is_told_once(fixture: Fixture) {
    use LeakEffect::{Ended, Told, Unchanged};
    let store = &fixture.store;
    let account = account_of(store).await;
    let key = make_key(&fixture, account, "k").await;
    set(&fixture, OnLeak::Tell).await;
    let head = store.change_head().await.unwrap();
    let effects = async |places: [Option<&str>; 3]| {
        let mut effects = Vec::new();
        for place in places {
            effects.push(leak(&fixture, key.public_id, place).await.effect);
        }
        effects
    };
    assert_eq!(effects([Some(PASTE), Some(PASTE), None]).await, [Told, Unchanged, Told]);
    let living = get(&fixture, &key).await;
    assert_eq!((living.status(fixture.world.now()), living.version), (KeyStatus::Active, key.version));
    assert_eq!(living.leak.unwrap().reports, 3);
    assert_eq!(store.change_head().await.unwrap(), head);
    assert_eq!(store.leaked_keys(account).await.unwrap(), (0, 1));
    assert_eq!(audit(store, "key.leak_told").await.len(), 2);
    let notices = told(&fixture).await;
    assert_eq!((notices.len(), &notices[0]["data"]["disabled"]), (1, &false.into()), "one a day, however many places");
    // That it was a mistake can be said of one that never stopped.
    let settled = enable(&fixture, &key).await;
    assert_eq!((settled.state, settled.leak), (KeyState::Active, None));
    assert_eq!(effects([Some(PASTE), None, None]).await, [Unchanged, Told, Unchanged]);
    // From here on it is as for everybody, whatever was reported before.
    set(&fixture, OnLeak::Disable).await;
    assert_eq!(leak(&fixture, key.public_id, None).await.effect, Ended);
    assert_eq!(get(&fixture, &key).await.status(fixture.world.now()), KeyStatus::Leaked);
}

async fn a_key_that_was_brought_back_dies_of_a_new_place_and_not_of_a_known_one(fixture: Fixture) {
    let store = &fixture.store;
    let key = make_key(&fixture, account_of(store).await, "k").await;
    let effect = async |place| leak(&fixture, key.public_id, place).await.effect;
    assert_eq!(effect(Some(PASTE)).await, LeakEffect::Ended);
    assert_eq!(effect(None).await, LeakEffect::Unchanged);
    let back = enable(&fixture, &key).await;
    assert_eq!((back.state.clone(), back.leak.clone()), (KeyState::Active, None));
    let entry = audit(store, "key.enable").await.remove(0);
    assert_eq!(entry.detail["reported"][0]["found_at"], PASTE);
    assert_eq!(entry.detail["reported"][0]["source"], "public");
    assert_eq!(entry.detail["reported"].as_array().unwrap().len(), 2);
    // A scanner that sends the same again, and another that finds the same place.
    assert_eq!(effect(Some(PASTE)).await, LeakEffect::Unchanged);
    let reports = [report(&fixture, key.public_id, Some(PASTE)).await];
    let fates = value(store.leaks_take(&system(), LeakSource::Github, &reports).await);
    assert_eq!(fates[0].as_ref().unwrap().effect, LeakEffect::Unchanged);
    assert_eq!(get(&fixture, &key).await, back);
    for place in [Some("https://new.example"), None] {
        assert_eq!(effect(place).await, LeakEffect::Ended, "{place:?}");
        assert_eq!(get(&fixture, &key).await.leak.unwrap().reports, 1);
        enable(&fixture, &key).await;
    }
    assert_eq!(effect(Some("https://new.example")).await, LeakEffect::Unchanged);
}

async fn thousands_die_in_one_change_and_one_wait(fixture: Fixture) {
    const KEYS: usize = 600;
    let store = &fixture.store;
    let account = account_of(store).await;
    let mut reports = Vec::new();
    for at in 0..KEYS {
        let new = new_key(&fixture.world, account, "k");
        let hint = KeyHint { prefix: new.prefix, id: new.public_id };
        let report = LeakReport {
            hint,
            key_hash: new.hash,
            token_hash: key_hash(&fixture.world),
            place: Place::new(&format!("https://paste.example/{at}")),
            kind: PlaceKind::Unknown,
        };
        value(store.key_create(&system(), new).await);
        reports.push(report.clone());
        // The same again, and one of nothing.
        reports.push(report.clone());
        reports.push(LeakReport { hint: KeyHint { id: public_id(&fixture.world), ..hint }, ..report });
    }
    let before = store.change_head().await.unwrap();
    let committed = store.leaks_take(&system(), LeakSource::Github, &reports).await.unwrap();
    assert_eq!(committed.seq.0 - before.0, KEYS as i64);
    for fates in committed.value.chunks(3) {
        let effects: Vec<_> = fates.iter().map(|fate| fate.as_ref().map(|fate| fate.effect)).collect();
        assert_eq!(effects, [Some(LeakEffect::Ended), Some(LeakEffect::Unchanged), None]);
    }
    let keys = keyring(store, No::new(0), No::new(i64::MAX), 10_000).await;
    assert!(keys.len() >= KEYS && keys.iter().all(|key| key.status == KeyStatus::Leaked));
    assert_eq!(audit(store, "key.leak").await.len(), KEYS);
    assert_eq!(told(&fixture).await.len(), KEYS);
    assert_eq!(store.leaked_keys(account).await.unwrap(), (KEYS as u64, 0));
}

async fn places_are_kept_within_bounds(fixture: Fixture) {
    let store = &fixture.store;
    let key = make_key(&fixture, account_of(store).await, "k").await;
    let template = report(&fixture, key.public_id, None).await;
    let place = |at: usize| LeakReport { place: Place::new(&format!("https://a.example/{at}")), ..template.clone() };
    let reports: Vec<_> = (0..MOST_PLACES * 3).map(place).collect();
    for _ in 0..2 {
        value(store.leaks_take(&system(), LeakSource::Public, &reports).await);
    }
    let log = store.leak_log(key.id).await.unwrap();
    assert_eq!(log.iter().filter(|line| line.place.is_some()).count(), MOST_PLACES);
    assert_eq!(log.len(), MOST_PLACES + 1);
    assert_eq!(log.iter().map(|line| line.reports).sum::<u64>(), 2 * reports.len() as u64);
    assert_eq!(get(&fixture, &key).await.leak.unwrap().reports, 2 * reports.len() as u64);
}

async fn what_is_dead_is_not_reported_again_before_it_is_dead_everywhere(fixture: Fixture) {
    let store = &fixture.store;
    let key = make_key(&fixture, account_of(store).await, "k").await;
    let lease = store.node_join(&named("slow"), "test").await.unwrap();
    let reports = [report(&fixture, key.public_id, None).await];
    let first = store.leaks_take(&system(), LeakSource::Github, &reports).await.unwrap();
    let again = store.leaks_take(&system(), LeakSource::Github, &reports).await.unwrap();
    let revoked = store.key_transition(&system(), key.account, key.id, KeyTransition::Revoke).await.unwrap();
    let revoked_again = store.key_transition(&system(), key.account, key.id, KeyTransition::Revoke).await.unwrap();
    assert_eq!([first.members.len(), again.members.len(), revoked_again.members.len()], [1, 1, 1]);
    assert_eq!((again.seq, revoked_again.seq), (first.seq, revoked.seq));
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { store.change_confirm(&revoked_again).await.unwrap() })
    };
    store.change_acknowledge(&lease, revoked.seq, &[]).await.unwrap();
    let proof = waiting.await.unwrap();
    assert_eq!(proof.nodes[0].by, ConfirmedBy::Acknowledged);
}
