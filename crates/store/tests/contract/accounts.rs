//! Accounts, plans, users and memberships.

use tollgate_core::{Id, Role, Timestamp, User, account::Standing};
use tollgate_store::{
    PageRequest, StoreError,
    accounts::{AccountEdit, AccountFilter, NewAccount, NewOwner, NewPlan, NewUser, PlanEdit, UserEdit},
};

use crate::support::*;

contract! {
    a_new_store_is_seeded_once_by_whoever_comes_first,
    a_plan_lapses_by_itself_and_returns_with_an_edit,
    an_account_has_one_handle_and_edits_know_their_version,
    an_account_begins_on_its_plan_in_one_transaction,
    an_account_and_its_owner_are_made_together_or_not_at_all,
    a_creation_that_is_repeated_makes_no_second_user,
    names_are_found_in_any_case_of_any_letters,
    a_plan_in_use_is_not_removed,
    lists_of_accounts_plans_and_users_have_pages,
    a_mail_address_is_one_users_in_any_spelling,
    the_last_operator_stays,
    a_users_memberships_are_set_and_taken,
    the_store_remembers_its_master_key,
}

async fn a_new_store_is_seeded_once_by_whoever_comes_first(fixture: Fixture) {
    let other = fixture.open_another().await;
    let seeds = (0..10).map(|at| {
        let store = if at % 2 == 0 { fixture.store.clone() } else { other.clone() };
        tokio::spawn(async move { store.seed().await.unwrap() })
    });
    let mut seeded = Vec::new();
    for seed in seeds.collect::<Vec<_>>() {
        seeded.push(seed.await.unwrap());
    }
    assert_eq!(seeded.iter().filter(|seed| seed.made_now).count(), 1);
    assert!(seeded.iter().all(|seed| (seed.account, seed.operator) == (seeded[0].account, seeded[0].operator)));
    let account = fixture.store.account_get("default").await.unwrap();
    let subscription = account.subscription.clone().unwrap();
    assert_eq!((subscription.plan_handle.as_str(), subscription.paid, subscription.until), ("unlimited", true, None));
    assert_eq!(account.standing(fixture.world.now()), Standing::Good);
    let operator = fixture.store.user_get(seeded[0].operator).await.unwrap();
    assert!(operator.operator && operator.name.as_str() == "Operator");
    assert_eq!((operator.memberships[0].account, operator.memberships[0].role), (account.id, Role::Owner));
}

async fn a_plan_lapses_by_itself_and_returns_with_an_edit(fixture: Fixture) {
    let store = &fixture.store;
    let account = store.seed().await.unwrap().account;
    let until = |until| AccountEdit { plan_until: Some(until), ..AccountEdit::default() };
    let edited = value(store.account_edit(&system(), account, until(Some(named("2026-06-01T00:00:00Z"))), None).await);
    let at = |text| edited.standing(named(text));
    assert_eq!((at("2026-05-31T23:59:59Z"), at("2026-06-01T00:00:00Z")), (Standing::Good, Standing::PlanRequired));
    let auth = store.keyring_base().await.unwrap().accounts[0];
    assert_eq!(auth.standing(named("2026-06-01T00:00:00Z")), Standing::PlanRequired);
    let back = value(store.account_edit(&system(), account, until(None), None).await);
    assert_eq!(back.standing(named("2036-06-01T00:00:00Z")), Standing::Good);
    let none = AccountEdit { plan: Some(None), ..AccountEdit::default() };
    let without = value(store.account_edit(&system(), account, none, None).await);
    assert_eq!((without.subscription.clone(), without.standing(fixture.world.now())), (None, Standing::PlanRequired));
    let refused = store.account_edit(&system(), account, until(Some(named("2026-06-01T00:00:00Z"))), None).await;
    assert!(matches!(refused, Err(StoreError::State(_))));
    let unknown = AccountEdit { plan: Some(Some(named("gold"))), ..AccountEdit::default() };
    let unknown = store.account_edit(&system(), account, unknown, None).await;
    assert!(matches!(unknown, Err(StoreError::Unknown { kind: "plan", name }) if name == "gold"));
}

async fn an_account_has_one_handle_and_edits_know_their_version(fixture: Fixture) {
    let store = &fixture.store;
    store.seed().await.unwrap();
    let new = || NewAccount { handle: named("acme"), name: named("Acme ®"), plan: None, owner: None };
    let account = value(store.account_create(&system(), new()).await);
    assert_eq!((account.version, account.subscription.clone(), account.created_at), (1, None, fixture.world.now()));
    assert!(matches!(store.account_create(&system(), new()).await, Err(StoreError::Exists(_))));
    assert_eq!(store.account_get("acme").await.unwrap(), account);
    assert_eq!(store.account_get(&account.id.to_string()).await.unwrap(), account);
    let suspend = AccountEdit { suspended: Some(true), name: Some(named("Acme 2")), ..AccountEdit::default() };
    let edited = value(store.account_edit(&system(), account.id, suspend.clone(), Some(1)).await);
    assert_eq!((edited.version, edited.suspended_at), (2, Some(fixture.world.now())));
    assert_eq!(edited.standing(fixture.world.now()), Standing::Suspended);
    let late = store.account_edit(&system(), account.id, suspend.clone(), Some(1)).await;
    assert!(matches!(late, Err(StoreError::VersionConflict)));
    let same = value(store.account_edit(&system(), account.id, suspend, None).await);
    assert_eq!(same, edited);
}

async fn an_account_begins_on_its_plan_in_one_transaction(fixture: Fixture) {
    let store = &fixture.store;
    store.seed().await.unwrap();
    let until: Timestamp = named("2027-01-01T00:00:00Z");
    let new = |plan| NewAccount {
        handle: named("acme"),
        name: named("A"),
        plan: Some((named(plan), Some(until))),
        owner: None,
    };
    let unknown = store.account_create(&system(), new("gold")).await;
    assert!(matches!(unknown, Err(StoreError::Unknown { kind: "plan", name }) if name == "gold"));
    assert!(matches!(store.account_get("acme").await, Err(StoreError::NotFound)), "nothing is left behind");
    let made = store.account_create(&system(), new("unlimited")).await.unwrap();
    let subscription = made.value.subscription.clone().unwrap();
    assert_eq!((subscription.plan_handle.as_str(), subscription.until), ("unlimited", Some(until)));
    assert_eq!(made.value.version, 1, "never seen without it");
    let changes = store.changes_after(tollgate_core::Seq(made.seq.0 - 1), 10).await.unwrap();
    assert_eq!(changes.len(), 1);
    let filter = tollgate_store::audit::AuditFilter { subject: Some(made.value.id.to_string()), ..Default::default() };
    let audit = store.audit_list(&filter, &PageRequest::default()).await.unwrap().data;
    assert_eq!(audit.iter().map(|entry| entry.action.as_str()).collect::<Vec<_>>(), ["account.create"]);
}

async fn an_account_and_its_owner_are_made_together_or_not_at_all(fixture: Fixture) {
    let store = &fixture.store;
    store.seed().await.unwrap();
    let minh = make_user(&fixture, "Minh", &[]).await;
    let gone = make_user(&fixture, "Gone", &[]).await;
    let disable = UserEdit { disabled: Some(true), ..UserEdit::default() };
    value(store.user_edit(&system(), gone.id, disable, None).await);
    let new =
        |handle: &str, owner| NewAccount { handle: named(handle), name: named("A"), plan: None, owner: Some(owner) };
    let nobody = Id::<User>::new(&fixture.world);
    let unknown = store.account_create(&system(), new("acme", NewOwner::Known(nobody))).await;
    assert!(matches!(unknown, Err(StoreError::Unknown { kind: "owner", .. })), "{unknown:?}");
    let disabled = store.account_create(&system(), new("acme", NewOwner::Known(gone.id))).await;
    assert!(matches!(disabled, Err(StoreError::State(_))), "{disabled:?}");
    assert!(matches!(store.account_get("acme").await, Err(StoreError::NotFound)), "nothing is left behind");
    let owners = async |handle: &str| {
        let account = store.account_get(handle).await.unwrap();
        let members = store.member_list(account.id, &PageRequest::default()).await.unwrap().data;
        members.into_iter().map(|member| (member.user, member.role)).collect::<Vec<_>>()
    };
    value(store.account_create(&system(), new("acme", NewOwner::Known(minh.id))).await);
    assert_eq!(owners("acme").await, [(minh.id, Role::Owner)]);
    let address = || NewOwner::OfAddress(named("Lan@example.com"), named("Lan"));
    value(store.account_create(&system(), new("first", address())).await);
    let lan = store.user_by_email(&named("lan@EXAMPLE.com")).await.unwrap().unwrap();
    value(store.account_create(&system(), new("second", address())).await);
    assert_eq!((owners("first").await, owners("second").await), (vec![(lan, Role::Owner)], vec![(lan, Role::Owner)]));
    assert_eq!(store.user_get(lan).await.unwrap().memberships.len(), 2);
}

async fn a_creation_that_is_repeated_makes_no_second_user(fixture: Fixture) {
    let store = &fixture.store;
    let new = |key: &str| NewUser {
        name: named("Minh"),
        email: None,
        operator: false,
        memberships: vec![],
        idempotency_key: Some(key.into()),
    };
    let made = store.user_create(&system(), new("form-1")).await.unwrap();
    let again = store.user_create(&system(), new("form-1")).await;
    assert!(matches!(again, Err(StoreError::AlreadyCreated(id)) if id == made.id.to_string()));
    assert_ne!(store.user_create(&system(), new("form-2")).await.unwrap().id, made.id);
}

async fn names_are_found_in_any_case_of_any_letters(fixture: Fixture) {
    let store = &fixture.store;
    let account =
        NewAccount { handle: named("acme"), name: named("Công ty ĐẠI VIỆT 100%"), plan: None, owner: None };
    let account = value(store.account_create(&system(), account).await);
    let user = make_user(&fixture, "NGUYỄN Thị Ánh", &[]).await;
    let found = async |search: &str| {
        let filter = AccountFilter { search: Some(search.into()), ..AccountFilter::default() };
        let accounts = store.account_overview(&filter, &PageRequest::default()).await.unwrap().data;
        let users = store.user_search(search, &PageRequest::default()).await.unwrap().data;
        (accounts.len(), users.len())
    };
    for (search, expected) in [
        ("đại việt", (1, 0)),
        ("CÔNG TY", (1, 0)),
        ("ACME", (1, 0)),
        ("100%", (1, 0)),
        ("10_%", (0, 0)),
        ("nguyễn thị ánh", (0, 1)),
        ("ÁNH", (0, 1)),
    ] {
        assert_eq!(found(search).await, expected, "{search}");
    }
    let rename = AccountEdit { name: Some(named("ØRSTED")), ..AccountEdit::default() };
    value(store.account_edit(&system(), account.id, rename, None).await);
    let rename =
        UserEdit { email: Some(Some(named("ANH@example.com"))), name: Some(named("Øyvind")), ..UserEdit::default() };
    value(store.user_edit(&system(), user.id, rename, None).await);
    assert_eq!((found("ørsted").await, found("ØYV").await, found("anh@EX").await), ((1, 0), (0, 1), (0, 1)));
    assert_eq!((found("đại").await, found("ánh").await), ((0, 0), (0, 0)));
}

async fn a_plan_in_use_is_not_removed(fixture: Fixture) {
    let store = &fixture.store;
    store.seed().await.unwrap();
    let unlimited = store.plan_get("unlimited").await.unwrap();
    assert!(matches!(store.plan_remove(&system(), unlimited.id).await, Err(StoreError::InUse(_))));
    let new = || NewPlan { handle: named("free"), name: named("Free"), paid: false };
    let free = store.plan_create(&system(), new()).await.unwrap();
    assert!(matches!(store.plan_create(&system(), new()).await, Err(StoreError::Exists(_))));
    assert_eq!(store.plan_get(&free.id.to_string()).await.unwrap(), free);
    let edit = PlanEdit { name: Some(named("Gratis")), paid: None };
    assert_eq!(value(store.plan_edit(&system(), free.id, edit.clone(), Some(1)).await).version, 2);
    assert!(matches!(store.plan_edit(&system(), free.id, edit, Some(1)).await, Err(StoreError::VersionConflict)));
    store.plan_remove(&system(), free.id).await.unwrap();
    assert!(matches!(store.plan_remove(&system(), free.id).await, Err(StoreError::NotFound)));
}

async fn lists_of_accounts_plans_and_users_have_pages(fixture: Fixture) {
    let store = &fixture.store;
    let seeded = store.seed().await.unwrap();
    for handle in ["b", "a", "c-1"] {
        value(
            store
                .account_create(
                    &system(),
                    NewAccount { handle: named(handle), name: named("N"), plan: None, owner: None },
                )
                .await,
        );
        store.plan_create(&system(), NewPlan { handle: named(handle), name: named("N"), paid: true }).await.unwrap();
        make_user(&fixture, handle, &[(handle, Role::Member), ("default", Role::Viewer)]).await;
    }
    let page = PageRequest { cursor: None, limit: 2 };
    let first = store.account_list(&page).await.unwrap();
    let rest = PageRequest { cursor: first.next_cursor, limit: 2 };
    let second = store.account_list(&rest).await.unwrap();
    let handles: Vec<_> = first.data.iter().chain(&second.data).map(|account| account.handle.as_str()).collect();
    assert_eq!((handles, second.next_cursor), (vec!["a", "b", "c-1", "default"], None));
    assert!(matches!(store.plan_list(&rest).await, Err(StoreError::State(_))));
    let plans = store.plan_list(&PageRequest::default()).await.unwrap();
    assert_eq!(plans.data.iter().map(|plan| plan.handle.as_str()).collect::<Vec<_>>(), ["a", "b", "c-1", "unlimited"]);
    let users = store.user_list(None, &page).await.unwrap();
    let more = store.user_list(None, &PageRequest { cursor: users.next_cursor, limit: 9 }).await.unwrap();
    let names: Vec<_> = users.data.iter().chain(&more.data).map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["Operator", "b", "a", "c-1"]);
    let members = store.user_list(Some(seeded.account), &PageRequest::default()).await.unwrap();
    assert_eq!(members.data.len(), 4);
    let of_a = store.account_get("a").await.unwrap().id;
    let members = store.user_list(Some(of_a), &PageRequest::default()).await.unwrap();
    assert_eq!(members.data.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["a"]);
}

async fn a_mail_address_is_one_users_in_any_spelling(fixture: Fixture) {
    let store = &fixture.store;
    let new = |name: &str, email: Option<&str>| NewUser {
        name: named(name),
        email: email.map(named),
        operator: false,
        memberships: vec![],
        idempotency_key: None,
    };
    let minh = store.user_create(&system(), new("Minh", Some("Minh@Example.com"))).await.unwrap();
    let again = store.user_create(&system(), new("M", Some("minh@example.COM"))).await;
    assert!(matches!(again, Err(StoreError::Exists(_))));
    let other = store.user_create(&system(), new("Other", None)).await.unwrap();
    store.user_create(&system(), new("Third", None)).await.unwrap();
    let take = UserEdit { email: Some(Some(named("MINH@example.com"))), ..UserEdit::default() };
    assert!(matches!(store.user_edit(&system(), other.id, take.clone(), None).await, Err(StoreError::Exists(_))));
    let own = value(store.user_edit(&system(), minh.id, take, Some(1)).await);
    assert_eq!((own.email.clone(), own.version), (Some(named("MINH@example.com")), 2));
    let unknown = NewUser { memberships: vec![(named("nowhere"), Role::Owner)], ..new("X", None) };
    let unknown = store.user_create(&system(), unknown).await;
    assert!(matches!(unknown, Err(StoreError::Unknown { kind: "account", .. })));
    assert_eq!(store.user_list(None, &PageRequest::default()).await.unwrap().data.len(), 3);
}

async fn the_last_operator_stays(fixture: Fixture) {
    let store = &fixture.store;
    let operator = store.seed().await.unwrap().operator;
    let disable = UserEdit { disabled: Some(true), ..UserEdit::default() };
    let demote = UserEdit { operator: Some(false), ..UserEdit::default() };
    for edit in [disable.clone(), demote.clone()] {
        assert!(matches!(store.user_edit(&system(), operator, edit, None).await, Err(StoreError::State(_))));
    }
    let second = make_user(&fixture, "Second", &[]).await;
    let promote = UserEdit { operator: Some(true), ..UserEdit::default() };
    value(store.user_edit(&system(), second.id, promote, None).await);
    let disabled = value(store.user_edit(&system(), operator, disable, None).await);
    assert_eq!(disabled.disabled_at, Some(fixture.world.now()));
    assert!(matches!(store.user_edit(&system(), second.id, demote.clone(), None).await, Err(StoreError::State(_))));
    value(store.user_edit(&system(), operator, demote, None).await);
    assert_eq!(store.seed().await.unwrap().operator, second.id);
}

async fn a_users_memberships_are_set_and_taken(fixture: Fixture) {
    let store = &fixture.store;
    store.seed().await.unwrap();
    value(
        store
            .account_create(&system(), NewAccount { handle: named("acme"), name: named("A"), plan: None, owner: None })
            .await,
    );
    let user = make_user(&fixture, "Minh", &[("default", Role::Member)]).await;
    let edit = UserEdit {
        memberships: vec![(named("default"), Some(Role::Owner)), (named("acme"), Some(Role::Viewer))],
        ..UserEdit::default()
    };
    let edited = value(store.user_edit(&system(), user.id, edit.clone(), Some(user.version)).await);
    let roles = |user: &User| -> Vec<(String, Role)> {
        user.memberships.iter().map(|held| (held.account_handle.to_string(), held.role)).collect()
    };
    assert_eq!(roles(&edited), [("acme".to_owned(), Role::Viewer), ("default".to_owned(), Role::Owner)]);
    assert_eq!(value(store.user_edit(&system(), user.id, edit, None).await).version, edited.version);
    let leave = UserEdit { memberships: vec![(named("default"), None)], ..UserEdit::default() };
    let left = value(store.user_edit(&system(), user.id, leave, None).await);
    assert_eq!(roles(&left), [("acme".to_owned(), Role::Viewer)]);
    assert_eq!(store.user_get(user.id).await.unwrap(), left);
}

async fn the_store_remembers_its_master_key(fixture: Fixture) {
    fixture.store.ping().await.unwrap();
    fixture.store.master_key_check([1; 16]).await.unwrap();
    fixture.store.master_key_check([1; 16]).await.unwrap();
    let other = fixture.open_another().await;
    assert!(matches!(other.master_key_check([2; 16]).await, Err(StoreError::State(_))));
}
