//! Keys: made, listed, edited, ended, and what the data plane is told of them.

use std::time::Duration;

use tollgate_core::{
    Actor, Id, Key, KeyStatus, No, Origins, Permission, Role, Timestamp,
    account::ActorKind,
    key::{Exposure, KeyAuth, KeyBlock, KeyState},
    leak::Place,
    secret::Prefix,
};
use tollgate_store::{
    PageRequest, Store, StoreError,
    accounts::{AccountEdit, NewAccount, UserEdit},
    keys::{Exposed, KeyEdit, KeyFilter, KeyOrder, KeySort, KeyTransition, NewKey},
};

use crate::support::*;

contract! {
    a_key_reads_back_as_it_was_made,
    a_key_needs_a_running_paid_plan,
    a_key_of_another_account_is_not_found,
    a_repeat_with_the_same_idempotency_key_makes_no_second_key,
    an_unknown_model_is_refused_by_name,
    an_edit_changes_what_it_names_and_only_on_the_version_it_was_read_at,
    an_edit_that_changes_nothing_leaves_no_trace,
    a_key_moves_along_its_life_as_drawn,
    a_rotated_key_keeps_its_id_and_its_old_text_for_a_while,
    a_model_made_again_under_its_old_name_is_not_permitted_to_old_keys,
    keys_are_listed_newest_first_and_pages_hold_under_inserts,
    keys_are_listed_in_any_order_forwards_and_back,
    a_rotation_that_was_read_at_another_version_does_nothing,
    the_last_few_addresses_of_a_key_are_kept_and_no_more,
    the_origins_of_a_key_are_kept_changed_and_told_to_the_keyring,
    requests_of_pages_add_up_beside_the_key_until_it_has_another_text,
    keys_are_found_by_status_text_and_maker,
    hostile_names_come_back_unharmed_and_nul_is_refused,
    a_key_is_dead_while_its_maker_is_disabled_or_no_member,
    a_key_says_what_keeps_its_account_from_using_it,
    the_keyring_pages_through_all_keys_dead_ones_too,
}

async fn account_of(store: &Store) -> Id<tollgate_core::Account> {
    store.seed().await.unwrap().account
}

async fn auth_of(store: &Store, no: No<Key>) -> KeyAuth {
    let keys = keyring(store, No::new(no.get() - 1), no, 1).await;
    keys.into_iter().next().unwrap()
}

async fn a_key_reads_back_as_it_was_made(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    make_model(&fixture, "b-model").await;
    make_model(&fixture, "a-model").await;
    let operator = store.seed().await.unwrap().operator;
    let new = NewKey {
        permission: Permission::Models(vec![named("b-model"), named("a-model"), named("b-model")]),
        expires_at: Some(named("2027-01-01T00:00:00Z")),
        note: Some("for the night job".into()),
        created_by: Some(operator),
        ..new_key(&fixture.world, account, "batch")
    };
    let committed = store.key_create(&system(), new.clone()).await.unwrap();
    let key = committed.value;
    assert_eq!((key.public_id, key.account, key.name.as_str()), (new.public_id, account, "batch"));
    assert_eq!(key.permission, Permission::Models(vec![named("a-model"), named("b-model")]));
    assert_eq!(
        (&key.state, key.expires_at, key.note.as_deref()),
        (&KeyState::Active, new.expires_at, new.note.as_deref())
    );
    assert_eq!(key.created_by.as_ref().map(|(id, name)| (*id, name.as_str())), Some((operator, "Operator")));
    assert_eq!((key.last_used_at, key.rotated_until, key.version), (None, None, 1));
    assert_eq!(store.key_get(Some(account), key.id).await.unwrap(), key);
    assert_eq!(store.key_by_no(key.no).await.unwrap(), key);

    let auth = auth_of(store, key.no).await;
    assert_eq!((auth.no, auth.public_id, auth.hash), (key.no, new.public_id, new.hash));
    assert_eq!(
        (auth.models.map(|models| models.len()), auth.previous, auth.expires_at),
        (Some(2), None, new.expires_at)
    );
    let changes = store.changes_after(tollgate_core::Seq(committed.seq.0 - 1), 10).await.unwrap();
    assert_eq!(changes.last().map(|change| change.kind), Some(tollgate_core::ChangeKind::Key(key.no)));
}

async fn a_key_needs_a_running_paid_plan(fixture: Fixture) {
    let store = &fixture.store;
    account_of(store).await;
    let actor = system();
    let new = NewAccount { handle: named("acme"), name: named("Acme"), plan: None, owner: None };
    let account = value(store.account_create(&actor, new).await);
    let create = || store.key_create(&actor, new_key(&fixture.world, account.id, "k"));
    assert!(matches!(create().await, Err(StoreError::PlanRequired)));
    let edit = async |edit: AccountEdit| value(store.account_edit(&actor, account.id, edit, None).await);
    edit(AccountEdit { plan: Some(Some(named("unlimited"))), ..AccountEdit::default() }).await;
    value(create().await);
    edit(AccountEdit { plan_until: Some(Some(named("2026-06-01T00:00:00Z"))), ..AccountEdit::default() }).await;
    value(create().await);
    fixture.hands.set("2026-06-01T00:00:00Z");
    assert!(matches!(create().await, Err(StoreError::PlanRequired)));
    edit(AccountEdit { plan_until: Some(None), suspended: Some(true), ..AccountEdit::default() }).await;
    assert!(matches!(create().await, Err(StoreError::Suspended)));
    edit(AccountEdit { suspended: Some(false), ..AccountEdit::default() }).await;
    value(create().await);
    let nobody = Id::new(&fixture.world);
    let unknown = store.key_create(&actor, new_key(&fixture.world, nobody, "k")).await;
    assert!(matches!(unknown, Err(StoreError::NotFound)));
}

async fn a_key_of_another_account_is_not_found(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    let other = value(
        store
            .account_create(&system(), NewAccount { handle: named("o"), name: named("O"), plan: None, owner: None })
            .await,
    )
    .id;
    let key = make_key(&fixture, account, "mine").await;
    let not_found = |error: StoreError| assert!(matches!(error, StoreError::NotFound), "{error:?}");
    not_found(store.key_get(Some(other), key.id).await.unwrap_err());
    not_found(store.key_edit(&system(), other, key.id, KeyEdit::default(), None).await.unwrap_err());
    not_found(store.key_transition(&system(), other, key.id, KeyTransition::Revoke).await.unwrap_err());
    let hash = key_hash(&fixture.world);
    not_found(
        store.key_rotate(&system(), (other, key.id), Prefix::default(), hash, Timestamp::MAX, None).await.unwrap_err(),
    );
    let page = store.key_list(other, &KeyFilter::default(), &PageRequest::default()).await.unwrap();
    assert!(page.data.is_empty());
    assert_eq!(store.key_get(None, key.id).await.unwrap(), key);
    not_found(store.key_get(None, Id::new(&fixture.world)).await.unwrap_err());
    not_found(store.key_by_no(No::new(999)).await.unwrap_err());
    let other_no = store.account_get("o").await.unwrap().no;
    assert_eq!(store.key_numbers(Some(other_no), &[key.id]).await.unwrap(), []);
    assert_eq!(store.key_numbers(None, &[key.id, Id::new(&fixture.world)]).await.unwrap(), [key.no]);
}

async fn a_repeat_with_the_same_idempotency_key_makes_no_second_key(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    let new = |name| NewKey { idempotency_key: Some("order-7".into()), ..new_key(&fixture.world, account, name) };
    let key = value(store.key_create(&system(), new("first")).await);
    let again = store.key_create(&system(), new("second")).await;
    assert!(matches!(again, Err(StoreError::AlreadyCreated(id)) if id == key.id.to_string()));
    make_key(&fixture, account, "without").await;
    make_key(&fixture, account, "without too").await;
}

async fn an_unknown_model_is_refused_by_name(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    let key = make_key(&fixture, account, "k").await;
    let permission = Permission::Models(vec![named("nowhere/model")]);
    let new = NewKey { permission: permission.clone(), ..new_key(&fixture.world, account, "x") };
    let edit = KeyEdit { permission: Some(permission), ..KeyEdit::default() };
    for refused in [
        store.key_create(&system(), new).await.map(|committed| committed.value),
        store.key_edit(&system(), account, key.id, edit, None).await.map(|committed| committed.value),
    ] {
        let unknown = matches!(&refused, Err(StoreError::Unknown { kind: "model", name }) if name == "nowhere/model");
        assert!(unknown, "{refused:?}");
    }
    assert_eq!(store.key_get(None, key.id).await.unwrap(), key);
    let page = store.key_list(account, &KeyFilter::default(), &PageRequest::default()).await.unwrap();
    assert_eq!(page.data.len(), 1);
}

async fn an_edit_changes_what_it_names_and_only_on_the_version_it_was_read_at(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    make_model(&fixture, "m").await;
    let key = make_key(&fixture, account, "old").await;
    let edit = KeyEdit {
        name: Some(named("new")),
        permission: Some(Permission::Models(vec![named("m")])),
        expires_at: Some(Some(named("2026-12-01T00:00:00Z"))),
        note: Some(Some("note".into())),
        allowed_origins: None,
    };
    let edited = value(store.key_edit(&system(), account, key.id, edit, Some(1)).await);
    assert_eq!(edited.version, 2);
    assert_eq!((edited.name.as_str(), edited.note.as_deref()), ("new", Some("note")));
    assert_eq!(edited.permission, Permission::Models(vec![named("m")]));
    let late = KeyEdit { name: Some(named("late")), ..KeyEdit::default() };
    let conflict = store.key_edit(&system(), account, key.id, late, Some(1)).await;
    assert!(matches!(conflict, Err(StoreError::VersionConflict)));
    let back =
        KeyEdit { permission: Some(Permission::All), expires_at: Some(None), note: Some(None), ..KeyEdit::default() };
    let back = value(store.key_edit(&system(), account, key.id, back, None).await);
    assert_eq!((back.permission, back.expires_at, back.note, back.version), (Permission::All, None, None, 3));
    assert_eq!(auth_of(store, key.no).await.models, None);
}

async fn an_edit_that_changes_nothing_leaves_no_trace(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    let key = make_key(&fixture, account, "same").await;
    let entries = || async { store.audit_list(&Default::default(), &PageRequest::default()).await.unwrap().data.len() };
    let before = entries().await;
    let edit = KeyEdit { name: Some(named("same")), note: Some(None), ..KeyEdit::default() };
    let committed = store.key_edit(&system(), account, key.id, edit, None).await.unwrap();
    let head = committed.seq;
    assert_eq!((committed.value, committed.members.len()), (key.clone(), 0));
    let again = store.key_transition(&system(), account, key.id, KeyTransition::Enable).await.unwrap();
    assert_eq!((again.value, again.seq), (key, head));
    assert_eq!(entries().await, before);
    assert!(store.changes_after(head, 10).await.unwrap().is_empty());
}

async fn a_key_moves_along_its_life_as_drawn(fixture: Fixture) {
    use KeyTransition::{Disable, Enable, Revoke};
    let store = &fixture.store;
    let account = account_of(store).await;
    let key = make_key(&fixture, account, "k").await;
    let go = async |transition: KeyTransition| {
        let moved = store.key_transition(&system(), account, key.id, transition).await;
        moved.map(|committed| committed.value.state.status(None, fixture.world.now()))
    };
    assert_eq!(go(Disable).await.unwrap(), KeyStatus::Disabled);
    assert_eq!(go(Disable).await.unwrap(), KeyStatus::Disabled);
    assert_eq!(go(Enable).await.unwrap(), KeyStatus::Active);
    leak(&fixture, key.public_id, Some("https://example.com/paste")).await;
    let leaked = store.key_get(None, key.id).await.unwrap();
    let found_at = Some("https://example.com/paste".into());
    assert_eq!(leaked.state, KeyState::Leaked { at: fixture.world.now(), found_at });
    leak(&fixture, key.public_id, Some("https://example.com/paste")).await;
    assert_eq!(store.key_get(None, key.id).await.unwrap().state, leaked.state);
    assert!(matches!(go(Disable).await, Err(StoreError::State(_))));
    let rotated = store
        .key_rotate(&system(), (account, key.id), Prefix::default(), key_hash(&fixture.world), Timestamp::MAX, None)
        .await;
    assert!(matches!(rotated, Err(StoreError::State(_))));
    assert_eq!(go(Enable).await.unwrap(), KeyStatus::Active);
    assert_eq!(go(Revoke).await.unwrap(), KeyStatus::Revoked);
    let revoked = store.key_get(None, key.id).await.unwrap();
    fixture.hands.forward(Duration::from_secs(60));
    assert_eq!(go(Revoke).await.unwrap(), KeyStatus::Revoked);
    leak(&fixture, key.public_id, None).await;
    assert_eq!(store.key_get(None, key.id).await.unwrap(), revoked);
    for refused in [Enable, Disable] {
        assert!(matches!(go(refused).await, Err(StoreError::State(_))));
    }
    let edit = KeyEdit { name: Some(named("n")), ..KeyEdit::default() };
    assert!(matches!(store.key_edit(&system(), account, key.id, edit, None).await, Err(StoreError::State(_))));
    let rotated = store
        .key_rotate(&system(), (account, key.id), Prefix::default(), key_hash(&fixture.world), Timestamp::MAX, None)
        .await;
    assert!(matches!(rotated, Err(StoreError::State(_))));
    let of_key = tollgate_store::audit::AuditFilter { subject: Some(key.id.to_string()), ..Default::default() };
    let entries = store.audit_list(&of_key, &PageRequest::default()).await.unwrap().data;
    let actions: Vec<_> = entries.iter().rev().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["key.create", "key.disable", "key.enable", "key.leak", "key.enable", "key.revoke"]);
}

async fn a_rotated_key_keeps_its_id_and_its_old_text_for_a_while(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    let first = new_key(&fixture.world, account, "k");
    let key = value(store.key_create(&system(), first.clone()).await);
    let (second, third) = (key_hash(&fixture.world), key_hash(&fixture.world));
    let until: Timestamp = named("2026-05-05T00:00:00Z");
    let rotated = value(store.key_rotate(&system(), (account, key.id), Prefix::default(), second, until, None).await);
    assert_eq!((rotated.id, rotated.public_id, rotated.rotated_until), (key.id, key.public_id, Some(until)));
    let auth = auth_of(store, key.no).await;
    assert_eq!((auth.hash, auth.previous), (second, Some((first.hash, until))));
    assert_eq!(rotated.hint().to_string(), format!("tg_{}…", key.public_id));
    // A deployment that changed its prefix meanwhile: the key is shown as its text of today begins.
    let again = value(store.key_rotate(&system(), (account, key.id), named("acme"), third, until, None).await);
    assert_eq!(again.hint().to_string(), format!("acme_{}…", key.public_id));
    assert_eq!(auth_of(store, key.no).await.previous, Some((second, until)));
}

async fn a_model_made_again_under_its_old_name_is_not_permitted_to_old_keys(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    let model = make_model(&fixture, "m").await;
    let permission = Permission::Models(vec![named("m")]);
    let new = NewKey { permission, ..new_key(&fixture.world, account, "k") };
    let key = value(store.key_create(&system(), new).await);
    assert_eq!(auth_of(store, key.no).await.models, Some(vec![model.no]));
    value(store.model_remove(&system(), model.id).await);
    let again = make_model(&fixture, "m").await;
    assert_ne!(again.no, model.no);
    assert_eq!(store.key_get(None, key.id).await.unwrap().permission, Permission::Models(vec![]));
    assert_eq!(auth_of(store, key.no).await.models, Some(vec![]));
    let mut numbers = store.model_numbers(&[named("m"), named("none")]).await.unwrap();
    numbers.sort_by_key(|no| no.get());
    assert_eq!(numbers, [model.no, again.no]);
}

async fn keys_are_listed_newest_first_and_pages_hold_under_inserts(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    for at in 0..5 {
        make_key(&fixture, account, &format!("key {at}")).await;
    }
    let mut seen = Vec::new();
    let mut page = PageRequest { cursor: None, limit: 2 };
    loop {
        let rows = store.key_list(account, &KeyFilter::default(), &page).await.unwrap();
        seen.extend(rows.data.iter().map(|key| key.name.to_string()));
        make_key(&fixture, account, "made meanwhile").await;
        match rows.next_cursor {
            Some(cursor) => page.cursor = Some(cursor),
            None => break,
        }
    }
    assert_eq!(seen, ["key 4", "key 3", "key 2", "key 1", "key 0"]);
    for wrong in ["", "x", "k", "kff", "u31", "k3x", "\u{0}"] {
        let page = PageRequest { cursor: Some(wrong.into()), limit: 2 };
        let listed = store.key_list(account, &KeyFilter::default(), &page).await;
        assert!(matches!(listed, Err(StoreError::State(_))), "{wrong:?}");
    }
}

/// A long name beside its twin: the order by name goes by its beginning.
const LONG: &str = "zz a name of which lists look at no more than the beginning, the rest of it";

async fn keys_are_listed_in_any_order_forwards_and_back(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    let model = make_model(&fixture, "m").await;
    let ends = [Some("2027-01-01T00:00:00Z"), None, Some("2026-12-01T00:00:00Z"), None, Some("2027-01-01T00:00:00Z")];
    let names = ["b", "Á", "a", "B", LONG];
    let mut keys = Vec::new();
    for (name, end) in names.iter().zip(ends) {
        let new = NewKey { expires_at: end.map(named), ..new_key(&fixture.world, account, name) };
        keys.push(value(store.key_create(&system(), new).await));
    }
    let account_no = store.account_get("default").await.unwrap().no;
    let used = |at: usize, time: &str| settlement(&fixture.world, account_no, keys[at].no, model.no, time);
    let batch = [used(1, "2026-05-04T12:00:00Z"), used(3, "2026-05-04T10:00:00Z")];
    store.usage_ship(Id::new(&fixture.world), 0, 100, &batch).await.unwrap();

    // By place in `names`: what is expected from the least on.
    for (by, expected) in [
        (KeySort::Created, [0, 1, 2, 3, 4]),
        (KeySort::Name, [2, 0, 3, 4, 1]),
        (KeySort::LastUsed, [0, 2, 4, 3, 1]),
        (KeySort::Expiry, [2, 0, 4, 1, 3]),
    ] {
        for ascending in [true, false] {
            let mut expected: Vec<&str> = expected.iter().map(|at| names[*at]).collect();
            if !ascending {
                expected.reverse();
            }
            let order = KeyOrder { by, ascending, backwards: false };
            let list = async |order, cursor| {
                let filter = KeyFilter { order, ..KeyFilter::default() };
                store.key_list(account, &filter, &PageRequest { cursor, limit: 2 }).await.unwrap()
            };
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let page = list(order, cursor).await;
                seen.extend(page.data);
                let Some(next) = page.next_cursor else { break };
                cursor = Some(next);
            }
            let seen_names: Vec<&str> = seen.iter().map(|key| key.name.as_str()).collect();
            assert_eq!(seen_names, expected, "{by:?} {ascending}");
            // From the last one back: the two before it, and then the two before those.
            let back = KeyOrder { backwards: true, ..order };
            let before = list(back, Some(order.cursor(&seen[4]))).await;
            assert_eq!(before.data, seen[2..4], "{by:?} {ascending}");
            let first = list(back, before.next_cursor).await;
            assert_eq!((first.data.as_slice(), first.next_cursor), (&seen[..2], None), "{by:?} {ascending}");
        }
    }
    let by_name = KeyOrder { by: KeySort::Name, ..KeyOrder::default() };
    let filter = KeyFilter { order: KeyOrder { by: KeySort::Expiry, ..KeyOrder::default() }, ..KeyFilter::default() };
    let foreign = PageRequest { cursor: Some(by_name.cursor(&keys[0])), limit: 2 };
    assert!(matches!(store.key_list(account, &filter, &foreign).await, Err(StoreError::State(_))));
    // A new name takes its new place.
    let edit = KeyEdit { name: Some(named("aa")), ..KeyEdit::default() };
    value(store.key_edit(&system(), account, keys[4].id, edit, None).await);
    let filter = KeyFilter { order: KeyOrder { ascending: true, ..by_name }, ..KeyFilter::default() };
    let page = store.key_list(account, &filter, &PageRequest::default()).await.unwrap();
    assert_eq!(page.data[1].name.as_str(), "aa");
}

async fn the_last_few_addresses_of_a_key_are_kept_and_no_more(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    let (key, other) = (make_key(&fixture, account, "k").await.no, make_key(&fixture, account, "other").await.no);
    let note = |key, last: u8, second: i64| {
        let at = Timestamp::from_millis(1_700_000_000_000 + second * 1_000);
        (key, std::net::IpAddr::from([203, 0, 113, last]), at)
    };
    let shown = async |key| -> Vec<String> {
        store.key_addresses(key).await.unwrap().into_iter().map(|(address, _)| address).collect()
    };
    assert!(shown(key).await.is_empty());
    let noted: Vec<_> = (1..=12).map(|last| note(key, last, i64::from(last))).collect();
    store.key_addresses_note(&noted).await.unwrap();
    store.key_addresses_note(&[note(other, 1, 1)]).await.unwrap();
    let of = |last: u8| format!("203.0.113.{last}");
    assert_eq!(shown(key).await, (5..=12).rev().map(of).collect::<Vec<_>>());
    // One that comes again is the latest; an older word about it changes nothing.
    store.key_addresses_note(&[note(key, 7, 100), note(key, 3, 50)]).await.unwrap();
    store.key_addresses_note(&[note(key, 7, 60), note(key, 5, 1)]).await.unwrap();
    assert_eq!(shown(key).await, [7, 3, 12, 11, 10, 9, 8, 6].map(of));
    assert_eq!(shown(other).await, [of(1)]);
}

async fn the_origins_of_a_key_are_kept_changed_and_told_to_the_keyring(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    let origins = |text: &str| named::<Origins>(text);
    let new = NewKey {
        allowed_origins: origins("https://b.example http://localhost:3000"),
        ..new_key(&fixture.world, account, "k")
    };
    let key = value(store.key_create(&system(), new).await);
    assert_eq!(key.allowed_origins, origins("http://localhost:3000 https://b.example"));
    assert_eq!(auth_of(store, key.no).await.allowed_origins, key.allowed_origins);
    let edit = |text| KeyEdit { allowed_origins: Some(origins(text)), ..KeyEdit::default() };
    let narrowed = store.key_edit(&system(), account, key.id, edit("https://b.example"), None).await.unwrap();
    let told = store.changes_after(tollgate_core::Seq(narrowed.seq.0 - 1), 10).await.unwrap();
    assert_eq!(told.iter().map(|change| change.kind).collect::<Vec<_>>(), [tollgate_core::ChangeKind::Key(key.no)]);
    assert_eq!(narrowed.value.allowed_origins, origins("https://b.example"));
    assert_eq!(auth_of(store, key.no).await.allowed_origins, origins("https://b.example"));
    let same = store.key_edit(&system(), account, key.id, edit("https://b.example"), None).await.unwrap();
    assert_eq!((same.value.version, same.seq), (2, narrowed.seq), "nothing changed");
    let other = KeyEdit { name: Some(named("n")), ..KeyEdit::default() };
    let renamed = value(store.key_edit(&system(), account, key.id, other, None).await);
    assert_eq!(renamed.allowed_origins, origins("https://b.example"));
    let none = value(store.key_edit(&system(), account, key.id, edit(""), None).await);
    assert!(none.allowed_origins.is_empty());
    let entries = store.audit_list(&Default::default(), &PageRequest::default()).await.unwrap().data;
    assert!(entries[0].detail.to_string().contains("https://b.example"), "{:?}", entries[0]);
}

async fn requests_of_pages_add_up_beside_the_key_until_it_has_another_text(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    let (key, other) = (make_key(&fixture, account, "k").await, make_key(&fixture, account, "other").await);
    let at = |second: i64| Timestamp::from_millis(1_700_000_000_000 + second * 1_000);
    let exposed = |key: &Key, requests, second, origin: &str| Exposed {
        key: key.no,
        requests,
        last_at: at(second),
        last_origin: origin.parse().ok(),
    };
    let shown = async |key: &Key| store.key_get(None, key.id).await.unwrap().exposure;
    assert_eq!(shown(&key).await, Exposure::default());
    let (a, b) = ("https://a.example", "https://b.example");
    store.key_exposure_note(&[exposed(&other, 1, 5, ""), exposed(&key, 2, 10, a)]).await.unwrap();
    store.key_exposure_note(&[exposed(&key, 1, 20, b)]).await.unwrap();
    // An older word, and one that does not say from where.
    store.key_exposure_note(&[exposed(&key, 1, 15, a)]).await.unwrap();
    store.key_exposure_note(&[exposed(&key, 7, 30, "null")]).await.unwrap();
    let of = |requests, second, origin: Option<&str>| Exposure {
        browser_requests: requests,
        last_at: Some(at(second)),
        last_origin: origin.map(str::to_owned),
    };
    assert_eq!(shown(&key).await, of(11, 30, Some(b)));
    assert_eq!(shown(&other).await, of(1, 5, None));
    let listed = store.key_list(account, &KeyFilter::default(), &PageRequest::default()).await.unwrap().data;
    assert_eq!(listed[1].exposure, of(11, 30, Some(b)));
    assert_eq!((listed[1].version, store.key_by_no(key.no).await.unwrap()), (1, listed[1].clone()), "beside the key");
    let hash = key_hash(&fixture.world);
    value(store.key_rotate(&system(), (account, key.id), Prefix::default(), hash, Timestamp::MAX, None).await);
    assert_eq!((shown(&key).await, shown(&other).await), (Exposure::default(), of(1, 5, None)));
}

async fn a_rotation_that_was_read_at_another_version_does_nothing(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    let key = make_key(&fixture, account, "k").await;
    let rotate = async |version| {
        let hash = key_hash(&fixture.world);
        store.key_rotate(&system(), (account, key.id), Prefix::default(), hash, Timestamp::MAX, Some(version)).await
    };
    value(rotate(1).await);
    let before = auth_of(store, key.no).await;
    assert!(matches!(rotate(1).await, Err(StoreError::VersionConflict)));
    assert_eq!(auth_of(store, key.no).await, before);
    value(rotate(2).await);
}

async fn keys_are_found_by_status_text_and_maker(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    let user = make_user(&fixture, "Minh", &[("default", Role::Member)]).await;
    let nightly = make_key(&fixture, account, "Nightly ĐÊM 100%").await;
    let expires_at = Some(named("2026-05-05T00:00:00Z"));
    let new = NewKey { expires_at, created_by: Some(user.id), ..new_key(&fixture.world, account, "a_b") };
    let brief = value(store.key_create(&system(), NewKey { note: Some("TEAM x".into()), ..new }).await);
    let dead = make_key(&fixture, account, "axb").await;
    value(store.key_transition(&system(), account, dead.id, KeyTransition::Revoke).await);
    fixture.hands.set("2026-05-05T00:00:00Z");
    let find = async |filter: KeyFilter| -> Vec<Id<Key>> {
        let page = store.key_list(account, &filter, &PageRequest::default()).await.unwrap();
        page.data.iter().map(|key| key.id).collect()
    };
    let status = |status| KeyFilter { status: Some(status), ..KeyFilter::default() };
    assert_eq!(find(status(KeyStatus::Active)).await, [nightly.id]);
    assert_eq!(find(status(KeyStatus::Expired)).await, [brief.id]);
    assert_eq!(find(status(KeyStatus::Revoked)).await, [dead.id]);
    assert!(find(status(KeyStatus::Leaked)).await.is_empty());
    let search = |text: &str| KeyFilter { search: Some(text.to_owned()), ..KeyFilter::default() };
    assert_eq!(find(search("đêm")).await, [nightly.id]);
    assert_eq!(find(search("100%")).await, [nightly.id]);
    assert_eq!(find(search("A_B")).await, [brief.id]);
    assert_eq!(find(search("team")).await, [brief.id]);
    assert_eq!(find(search(&dead.public_id.as_str().to_uppercase())).await, [dead.id]);
    assert!(find(search("%")).await == [nightly.id] && find(search("!")).await.is_empty());
    assert!(find(search("\u{0}")).await.is_empty());
    assert_eq!(find(KeyFilter { created_by: Some(user.id), ..KeyFilter::default() }).await, [brief.id]);
}

async fn hostile_names_come_back_unharmed_and_nul_is_refused(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    for name in
        ["'; DROP TABLE keys; --", "\"quoted\\\"", "🔑👩‍💻", "\u{202e}olleh", "שלום", "$1 ? %s {}", "<b>&amp;</b>"]
    {
        let note = Some(format!("{name}\n\t{name}"));
        let new =
            NewKey { note: note.clone(), idempotency_key: Some(name.into()), ..new_key(&fixture.world, account, name) };
        let key = value(store.key_create(&system(), new).await);
        assert_eq!((key.name.as_str(), &key.note), (name, &note));
        let found = KeyFilter { search: Some(name.into()), ..KeyFilter::default() };
        let page = store.key_list(account, &found, &PageRequest::default()).await.unwrap();
        assert_eq!(page.data.len(), 1, "{name}");
        leak(&fixture, key.public_id, Some(name)).await;
        let leaked = store.key_get(None, key.id).await.unwrap().leak.unwrap();
        assert_eq!(leaked.found_at.as_deref(), Place::new(name).as_ref().map(Place::as_str));
    }
    let nul = || Some("a\u{0}b".to_owned());
    let with_nul = [
        NewKey { note: nul(), ..new_key(&fixture.world, account, "k") },
        NewKey { idempotency_key: nul(), ..new_key(&fixture.world, account, "k") },
    ];
    for new in with_nul {
        assert!(matches!(store.key_create(&system(), new).await, Err(StoreError::State(_))));
    }
    let key = make_key(&fixture, account, "k").await;
    let edit = KeyEdit { note: Some(nul()), ..KeyEdit::default() };
    assert!(matches!(store.key_edit(&system(), account, key.id, edit, None).await, Err(StoreError::State(_))));
    for wrong in ["a\u{0}b", "'", ""] {
        assert!(matches!(store.account_get(wrong).await, Err(StoreError::NotFound)));
        assert!(matches!(store.plan_get(wrong).await, Err(StoreError::NotFound)));
        assert!(matches!(store.model_get(wrong).await, Err(StoreError::NotFound)));
        assert!(matches!(store.upstream_get(wrong).await, Err(StoreError::NotFound)));
    }
}

async fn a_key_is_dead_while_its_maker_is_disabled_or_no_member(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    let user = make_user(&fixture, "Minh", &[("default", Role::Member)]).await;
    let actor = Actor { kind: ActorKind::User { user: user.id, token: None }, address: Some("::1".parse().unwrap()) };
    let new = NewKey { created_by: Some(user.id), ..new_key(&fixture.world, account, "k") };
    let key = value(store.key_create(&actor, new).await);
    let blocks = std::sync::Mutex::new(Vec::new());
    let edit = async |edit: UserEdit| {
        let committed = store.user_edit(&system(), user.id, edit, None).await.unwrap();
        let told = store.changes_after(tollgate_core::Seq(committed.seq.0 - 1), 10).await.unwrap();
        assert_eq!(told.iter().map(|change| change.kind).collect::<Vec<_>>(), [tollgate_core::ChangeKind::Key(key.no)]);
        // What is listed is what the data plane takes it as.
        let (read, status) = (store.key_get(None, key.id).await.unwrap(), auth_of(store, key.no).await.status);
        assert_eq!(read.status(fixture.world.now()), status);
        let captions = store.key_statuses(&[key.id]).await.unwrap();
        assert_eq!(captions[&key.id], read.status(fixture.world.now()), "a report says the same");
        for status in KeyStatus::ALL {
            let filter = KeyFilter { status: Some(status), ..KeyFilter::default() };
            let found = store.key_list(account, &filter, &PageRequest::default()).await.unwrap().data;
            assert_eq!(found.len(), usize::from(read.status(fixture.world.now()) == status), "{status:?}");
        }
        let enabled = store.key_transition(&system(), account, key.id, KeyTransition::Enable).await;
        assert_eq!(enabled.is_ok(), read.blocked_by.is_none(), "{enabled:?}");
        blocks.lock().unwrap().push(read.blocked_by);
        status
    };
    assert_eq!(edit(UserEdit { disabled: Some(true), ..UserEdit::default() }).await, KeyStatus::Disabled);
    assert_eq!(edit(UserEdit { disabled: Some(false), ..UserEdit::default() }).await, KeyStatus::Active);
    let membership = |role| UserEdit { memberships: vec![(named("default"), role)], ..UserEdit::default() };
    assert_eq!(edit(membership(None)).await, KeyStatus::Disabled);
    assert_eq!(edit(UserEdit { operator: Some(true), ..UserEdit::default() }).await, KeyStatus::Active);
    assert_eq!(edit(UserEdit { operator: Some(false), ..UserEdit::default() }).await, KeyStatus::Disabled);
    assert_eq!(edit(membership(Some(Role::Viewer))).await, KeyStatus::Active);
    assert_eq!(store.key_get(None, key.id).await.unwrap().state, KeyState::Active);
    let (disabled, removed) = (Some(KeyBlock::CreatorDisabled), Some(KeyBlock::CreatorRemoved));
    assert_eq!(*blocks.lock().unwrap(), [disabled, None, removed, None, removed, None]);
    let mine = tollgate_store::audit::AuditFilter { action: Some("key.".into()), ..Default::default() };
    let entries = store.audit_list(&mine, &PageRequest::default()).await.unwrap().data;
    let entry = entries.first().unwrap();
    assert_eq!((entry.actor.clone(), entry.actor_name.clone()), (user.id.to_string(), Some(named("Minh"))));
    assert_eq!((entry.address.as_deref(), entry.account), (Some("::1"), Some(account)));
}

async fn a_key_says_what_keeps_its_account_from_using_it(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    let key = make_key(&fixture, account, "k").await;
    let edit = async |edit: AccountEdit| {
        value(store.account_edit(&system(), account, edit, None).await);
        let read = store.key_get(None, key.id).await.unwrap();
        assert_eq!(read.status(fixture.world.now()), KeyStatus::Active, "its own life goes on");
        read.blocked_by
    };
    let suspended = |yes| AccountEdit { suspended: Some(yes), ..AccountEdit::default() };
    assert_eq!(edit(suspended(true)).await, Some(KeyBlock::Suspended));
    assert_eq!(edit(suspended(false)).await, None);
    let ends = named::<Timestamp>("2026-05-04T13:00:00Z");
    assert_eq!(edit(AccountEdit { plan_until: Some(Some(ends)), ..AccountEdit::default() }).await, None);
    fixture.hands.set("2026-05-04T13:00:00Z");
    assert_eq!(store.key_get(None, key.id).await.unwrap().blocked_by, Some(KeyBlock::Plan));
}

async fn the_keyring_pages_through_all_keys_dead_ones_too(fixture: Fixture) {
    let store = &fixture.store;
    let account = account_of(store).await;
    let mut made = Vec::new();
    for at in 0..7 {
        made.push(make_key(&fixture, account, &format!("k{at}")).await.no);
    }
    let dead = store.key_by_no(made[3]).await.unwrap();
    value(store.key_transition(&system(), account, dead.id, KeyTransition::Revoke).await);
    let expected: Vec<_> = made.iter().map(|no| (*no, *no == dead.no)).collect();
    let read = async |after, through, limit| {
        let mut keys = Vec::new();
        let take = |key: KeyAuth| keys.push((key.no, key.status == KeyStatus::Revoked));
        let last = store.keyring_keys(after, through, limit, take).await.unwrap();
        assert_eq!(last, keys.last().map(|(no, _)| *no));
        keys
    };
    let last_key = store.keyring_base().await.unwrap().last_key;
    assert_eq!(last_key, made[6], "that of the key made last");
    let (mut seen, mut after) = (Vec::new(), No::new(0));
    loop {
        let page = read(after, last_key, 3).await;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        seen.extend(page);
    }
    assert_eq!(seen, expected);
    assert_eq!(read(made[1], made[4], 100).await, expected[2..5], "behind the first, with the last");
    assert_eq!(read(made[4], made[4], 100).await, []);
}
