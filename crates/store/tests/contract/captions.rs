//! What a report prints beside the ids that it names is what these things are now.

use tollgate_core::{Id, KeyStatus, money::PriceList};
use tollgate_store::{
    accounts::NewAccount,
    catalog::NewModel,
    keys::{KeyEdit, KeyTransition},
};

use crate::support::*;

contract! {
    statuses_are_those_of_now_and_unknown_keys_have_none,
    the_newest_keys_of_an_account_are_offered_ended_ones_too,
    accounts_are_called_what_they_are_called_now,
    each_model_has_the_currency_of_its_price_withdrawn_or_not,
}

async fn statuses_are_those_of_now_and_unknown_keys_have_none(fixture: Fixture) {
    let store = &fixture.store;
    let account = store.seed().await.unwrap().account;
    let [plain, ends, disabled, revoked, leaked] = ["a", "b", "c", "d", "e"];
    let mut keys = Vec::new();
    for name in [plain, ends, disabled, revoked, leaked] {
        keys.push(make_key(&fixture, account, name).await.id);
    }
    let edit = KeyEdit { expires_at: Some(Some(named("2026-06-01T00:00:00Z"))), ..KeyEdit::default() };
    value(store.key_edit(&system(), account, keys[1], edit, None).await);
    value(store.key_transition(&system(), account, keys[2], KeyTransition::Disable).await);
    value(store.key_transition(&system(), account, keys[3], KeyTransition::Revoke).await);
    let public_id = store.key_get(None, keys[4]).await.unwrap().public_id;
    leak(&fixture, public_id, Some("https://example.com")).await;
    // More than one statement's worth, most of them unknown.
    let mut asked = keys.clone();
    asked.extend((0..700).map(|_| Id::new(&fixture.world)));
    let statuses = async || {
        let statuses = store.key_statuses(&asked).await.unwrap();
        assert_eq!(statuses.len(), keys.len());
        keys.iter().map(|key| statuses[key]).collect::<Vec<_>>()
    };
    use KeyStatus::{Active, Disabled, Expired, Leaked, Revoked};
    assert_eq!(statuses().await, [Active, Active, Disabled, Revoked, Leaked]);
    fixture.hands.set("2026-06-01T00:00:00Z");
    assert_eq!(statuses().await, [Active, Expired, Disabled, Revoked, Leaked]);
    assert!(store.key_statuses(&[]).await.unwrap().is_empty());
}

async fn the_newest_keys_of_an_account_are_offered_ended_ones_too(fixture: Fixture) {
    let store = &fixture.store;
    let account = store.seed().await.unwrap().account;
    let other =
        NewAccount { handle: named("acme"), name: named("Acme"), plan: Some((named("unlimited"), None)), owner: None };
    let other = value(store.account_create(&system(), other).await);
    make_key(&fixture, other.id, "not ours").await;
    let mut made = Vec::new();
    for name in ["first", "second", "third"] {
        made.push(make_key(&fixture, account, name).await);
    }
    value(store.key_transition(&system(), account, made[2].id, KeyTransition::Revoke).await);
    let no = store.account_get("default").await.unwrap().no;
    let captions = store.key_captions(no, 2).await.unwrap();
    let expected: Vec<_> = made.iter().rev().take(2).map(|key| (key.id, key.name.clone(), key.hint())).collect();
    assert_eq!(captions, expected);
}

async fn accounts_are_called_what_they_are_called_now(fixture: Fixture) {
    let store = &fixture.store;
    let account = store.seed().await.unwrap().account;
    let rename = tollgate_store::accounts::AccountEdit { name: Some(named("Công ty 🦀")), ..Default::default() };
    value(store.account_edit(&system(), account, rename, None).await);
    let asked: Vec<_> = (0..600).map(|_| Id::new(&fixture.world)).chain([account]).collect();
    let captions = store.account_captions(&asked).await.unwrap();
    assert_eq!(captions.into_iter().collect::<Vec<_>>(), [(account, (named("default"), named("Công ty 🦀")))]);
}

async fn each_model_has_the_currency_of_its_price_withdrawn_or_not(fixture: Fixture) {
    let store = &fixture.store;
    let model = |name: &str, currency: &str| NewModel {
        price: PriceList { currency: named(currency), ..PriceList::default() },
        ..new_model(name, &[])
    };
    let old = value(store.model_create(&system(), model("b", "EUR")).await);
    value(store.model_remove(&system(), old.id).await);
    value(store.model_create(&system(), model("b", "USD")).await);
    value(store.model_create(&system(), model("a", "VND")).await);
    let currencies = store.model_currencies().await.unwrap();
    let seen: Vec<_> =
        currencies.iter().map(|one| (one.name.as_str(), one.currency.as_str().to_owned(), one.withdrawn)).collect();
    assert_eq!(seen, [("a", "VND".to_owned(), false), ("b", "EUR".to_owned(), true), ("b", "USD".to_owned(), false)]);
}
