//! Access tokens, one-time links, sessions.

use std::time::Duration;

use tollgate_core::{Id, Role};
use tollgate_store::{
    StoreError,
    accounts::{NewSession, NewToken, SignInMethod, UserEdit},
};

use crate::support::*;

contract! {
    a_token_stands_for_its_user_until_it_is_revoked_or_ends,
    a_token_is_bound_to_an_account_of_its_user,
    a_link_opens_one_session_once,
    a_disabled_user_is_nobody,
    a_session_that_is_not_used_ends_and_one_that_is_stays,
    sessions_are_listed_and_ended_by_their_user_alone,
    the_oldest_of_too_many_sessions_ends,
    a_password_is_found_by_its_users_address_in_any_spelling,
    a_new_password_ends_all_other_sessions_and_links,
    only_a_password_that_is_still_the_same_opens_a_session,
    a_password_is_removed_only_where_there_is_another_way_in,
}

/// A day: longer than anything here is left alone.
const IDLE: Duration = Duration::from_secs(86_400);

pub fn new_session(fixture: &Fixture) -> NewSession {
    NewSession {
        public_id: public_id(&fixture.world),
        hash: key_hash(&fixture.world),
        until: fixture.world.now().plus(Duration::from_secs(3_600)),
        address: Some("192.0.2.7".parse().unwrap()),
        agent: Some("Firefox".into()),
    }
}

/// Signs a user in by a link.
async fn signed_in(fixture: &Fixture, user: Id<tollgate_core::User>) -> NewSession {
    let (id, hash, session) = (public_id(&fixture.world), key_hash(&fixture.world), new_session(fixture));
    fixture.store.link_create(&system(), user, id, hash, session.until).await.unwrap();
    fixture.store.link_redeem(id, hash, session.clone()).await.unwrap().unwrap();
    session
}

async fn is_live(fixture: &Fixture, session: &NewSession) -> bool {
    fixture.store.session_identity(session.public_id, session.hash, IDLE).await.unwrap().is_some()
}

async fn a_session_that_is_not_used_ends_and_one_that_is_stays(fixture: Fixture) {
    let operator = fixture.store.seed().await.unwrap().operator;
    let session = NewSession { until: fixture.world.now().plus(IDLE * 10), ..signed_in(&fixture, operator).await };
    let lasting = {
        let (id, hash) = (public_id(&fixture.world), key_hash(&fixture.world));
        fixture.store.link_create(&system(), operator, id, hash, session.until).await.unwrap();
        let lasting = NewSession { public_id: id, ..session };
        fixture.store.link_redeem(id, hash, lasting.clone()).await.unwrap().unwrap();
        lasting
    };
    let hour = Duration::from_secs(3_600);
    let seen = async || {
        let idle = hour * 2;
        fixture.store.session_identity(lasting.public_id, lasting.hash, idle).await.unwrap().is_some()
    };
    for _ in 0..3 {
        fixture.hands.forward(hour);
        assert!(seen().await, "used every hour");
    }
    let listed = fixture.store.session_list(operator, hour * 2).await.unwrap();
    assert_eq!((listed.len(), listed[0].last_seen_at), (1, fixture.world.now()));
    fixture.hands.forward(Duration::from_secs(59));
    assert!(seen().await);
    let listed = fixture.store.session_list(operator, hour * 2).await.unwrap();
    assert_eq!(listed[0].last_seen_at.plus(Duration::from_secs(59)), fixture.world.now(), "exact to a minute");
    // A page that asks again by itself is answered, and keeps no session alive.
    for _ in 0..2 {
        fixture.hands.forward(hour / 2);
        let peeked = fixture.store.session_peek(lasting.public_id, lasting.hash, hour * 2).await.unwrap();
        assert_eq!(peeked.unwrap().user.id, operator);
    }
    fixture.hands.forward(hour);
    assert!(fixture.store.session_peek(lasting.public_id, lasting.hash, hour * 2).await.unwrap().is_none());
    assert!(!seen().await);
    assert_eq!(fixture.store.session_list(operator, hour * 2).await.unwrap(), []);
}

async fn sessions_are_listed_and_ended_by_their_user_alone(fixture: Fixture) {
    let store = &fixture.store;
    let operator = store.seed().await.unwrap().operator;
    let stranger = make_user(&fixture, "Stranger", &[]).await.id;
    let (first, second) = (signed_in(&fixture, operator).await, signed_in(&fixture, operator).await);
    let third = signed_in(&fixture, operator).await;
    let other = signed_in(&fixture, stranger).await;
    let listed = store.session_list(operator, IDLE).await.unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!(
        (listed[0].method, listed[0].address.as_deref(), listed[0].agent.as_deref()),
        (SignInMethod::Link, Some("192.0.2.7"), Some("Firefox"))
    );
    let foreign = store.session_revoke(&system(), stranger, first.public_id).await;
    assert!(matches!(foreign, Err(StoreError::NotFound)));
    store.session_revoke(&system(), operator, first.public_id).await.unwrap();
    assert!(matches!(store.session_revoke(&system(), operator, first.public_id).await, Err(StoreError::NotFound)));
    assert!(!is_live(&fixture, &first).await && is_live(&fixture, &second).await);
    assert_eq!(store.session_revoke_all(&system(), operator, Some(second.public_id)).await.unwrap(), 1);
    assert!(is_live(&fixture, &second).await && !is_live(&fixture, &third).await && is_live(&fixture, &other).await);
    assert_eq!(store.session_revoke_all(&system(), operator, None).await.unwrap(), 1);
    assert!(!is_live(&fixture, &second).await && is_live(&fixture, &other).await);
}

async fn the_oldest_of_too_many_sessions_ends(fixture: Fixture) {
    let operator = fixture.store.seed().await.unwrap().operator;
    let first = signed_in(&fixture, operator).await;
    let mut last = None;
    for _ in 0..100 {
        fixture.hands.forward(Duration::from_secs(1));
        last = Some(signed_in(&fixture, operator).await);
    }
    assert!(!is_live(&fixture, &first).await && is_live(&fixture, &last.unwrap()).await);
    assert_eq!(fixture.store.session_list(operator, IDLE).await.unwrap().len(), 100);
}

async fn a_password_is_found_by_its_users_address_in_any_spelling(fixture: Fixture) {
    let store = &fixture.store;
    let user = make_user(&fixture, "Minh", &[]).await;
    let email = UserEdit { email: Some(Some(named("Minh@Example.com"))), ..UserEdit::default() };
    value(store.user_edit(&system(), user.id, email, None).await);
    let without = store.password_of_email(&named("minh@example.COM")).await.unwrap().unwrap();
    assert_eq!((without.user.id, without.hash), (user.id, None));
    store.password_set(&system(), user.id, "$argon2id$1", None).await.unwrap();
    store.password_set(&system(), user.id, "$argon2id$2", None).await.unwrap();
    let with = store.password_of_email(&named("MINH@example.com")).await.unwrap().unwrap();
    assert_eq!(
        (with.user.id, with.hash.as_deref(), with.changed_at),
        (user.id, Some("$argon2id$2"), Some(fixture.world.now()))
    );
    assert!(store.password_of_email(&named("other@example.com")).await.unwrap().is_none());
    let nobody = store.password_of(Id::new(&fixture.world)).await;
    assert!(matches!(nobody, Err(StoreError::NotFound)));
}

async fn a_new_password_ends_all_other_sessions_and_links(fixture: Fixture) {
    let store = &fixture.store;
    let operator = store.seed().await.unwrap().operator;
    let (own, other) = (signed_in(&fixture, operator).await, signed_in(&fixture, operator).await);
    let (link, hash) = (public_id(&fixture.world), key_hash(&fixture.world));
    store.link_create(&system(), operator, link, hash, own.until).await.unwrap();
    store.password_set(&system(), operator, "$a", Some(own.public_id)).await.unwrap();
    assert!(is_live(&fixture, &own).await && !is_live(&fixture, &other).await);
    assert_eq!(store.link_redeem(link, hash, new_session(&fixture)).await.unwrap(), None);
}

async fn only_a_password_that_is_still_the_same_opens_a_session(fixture: Fixture) {
    let store = &fixture.store;
    let seeded = store.seed().await.unwrap();
    let user = make_user(&fixture, "Minh", &[]).await.id;
    let open = async |hash| {
        let session = new_session(&fixture);
        let opened = store.password_session(user, hash, session.clone()).await.unwrap();
        assert_eq!(is_live(&fixture, &session).await, opened);
        opened
    };
    assert!(!open("$a").await);
    store.password_set(&system(), user, "$a", None).await.unwrap();
    assert!(open("$a").await && !open("$b").await);
    store.password_rehash(user, "$b", "$c").await.unwrap();
    assert!(open("$a").await, "another's hash replaces nothing");
    store.password_rehash(user, "$a", "$c").await.unwrap();
    assert!(open("$c").await && !open("$a").await);
    let disable = UserEdit { disabled: Some(true), ..UserEdit::default() };
    value(store.user_edit(&system(), user, disable, None).await);
    assert!(!open("$c").await);
    assert_ne!(seeded.operator, user);
}

async fn a_password_is_removed_only_where_there_is_another_way_in(fixture: Fixture) {
    let store = &fixture.store;
    let operator = store.seed().await.unwrap().operator;
    store.password_set(&system(), operator, "$a", None).await.unwrap();
    let refused = store.password_remove(&system(), operator, None).await;
    assert!(matches!(refused, Err(StoreError::State(_))));
    assert!(store.password_of(operator).await.unwrap().hash.is_some());
    let email = UserEdit { email: Some(Some(named("op@example.com"))), ..UserEdit::default() };
    value(store.user_edit(&system(), operator, email, None).await);
    let person = crate::people::person("sub-1", Some("op@example.com"));
    let session = new_session(&fixture);
    store.identity_sign_in(person, session.clone()).await.unwrap();
    store.password_remove(&system(), operator, Some(session.public_id)).await.unwrap();
    store.password_remove(&system(), operator, Some(session.public_id)).await.unwrap();
    assert!(store.password_of(operator).await.unwrap().hash.is_none() && is_live(&fixture, &session).await);
}

async fn a_token_stands_for_its_user_until_it_is_revoked_or_ends(fixture: Fixture) {
    let store = &fixture.store;
    let seeded = store.seed().await.unwrap();
    let new = NewToken {
        user: seeded.operator,
        account: None,
        name: named("laptop"),
        public_id: public_id(&fixture.world),
        hash: key_hash(&fixture.world),
        expires_at: Some(fixture.world.now().plus(Duration::from_secs(60))),
    };
    let token = store.token_create(&system(), new.clone()).await.unwrap();
    let who = async |hash| store.token_identity(new.public_id, hash).await.unwrap();
    let identity = who(new.hash).await.unwrap();
    assert_eq!((identity.user.id, identity.token.as_ref()), (seeded.operator, Some(&token)));
    assert!(who(key_hash(&fixture.world)).await.is_none());
    assert!(store.token_identity(public_id(&fixture.world), new.hash).await.unwrap().is_none());
    fixture.hands.forward(Duration::from_secs(60));
    assert!(who(new.hash).await.is_none());
    let lasting = NewToken { public_id: public_id(&fixture.world), expires_at: None, ..new.clone() };
    let second = store.token_create(&system(), lasting.clone()).await.unwrap();
    assert!(store.token_identity(lasting.public_id, new.hash).await.unwrap().is_some());
    let listed = store.token_list(seeded.operator).await.unwrap();
    assert_eq!(listed.iter().map(|token| token.id).collect::<Vec<_>>(), [second.id, token.id]);
    let stranger = make_user(&fixture, "Stranger", &[]).await.id;
    let refused = store.token_revoke(&system(), stranger, second.id).await;
    assert!(matches!(refused, Err(StoreError::NotFound)));
    let revoked = store.token_revoke(&system(), seeded.operator, second.id).await.unwrap();
    assert_eq!(revoked.revoked_at, Some(fixture.world.now()));
    assert!(store.token_identity(lasting.public_id, new.hash).await.unwrap().is_none());
    fixture.hands.forward(Duration::from_secs(60));
    assert_eq!(store.token_revoke(&system(), seeded.operator, second.id).await.unwrap(), revoked);
}

async fn a_token_is_bound_to_an_account_of_its_user(fixture: Fixture) {
    let store = &fixture.store;
    let seeded = store.seed().await.unwrap();
    let member = make_user(&fixture, "Member", &[("default", Role::Member)]).await.id;
    let stranger = make_user(&fixture, "Stranger", &[]).await.id;
    let token = |user, account| NewToken {
        user,
        account,
        name: named("t"),
        public_id: public_id(&fixture.world),
        hash: key_hash(&fixture.world),
        expires_at: None,
    };
    let create = async |new| store.token_create(&system(), new).await;
    let made = create(token(member, Some(seeded.account))).await.unwrap();
    assert_eq!((made.user, made.account), (member, Some(seeded.account)));
    assert!(matches!(create(token(member, None)).await, Err(StoreError::State(_))));
    assert!(matches!(create(token(stranger, Some(seeded.account))).await, Err(StoreError::State(_))));
    let nowhere = Id::new(&fixture.world);
    assert!(matches!(create(token(member, Some(nowhere))).await, Err(StoreError::Unknown { kind: "account", .. })));
    let nobody = Id::new(&fixture.world);
    assert!(matches!(create(token(nobody, None)).await, Err(StoreError::Unknown { kind: "user", .. })));
}

async fn a_link_opens_one_session_once(fixture: Fixture) {
    let store = &fixture.store;
    let operator = store.seed().await.unwrap().operator;
    let (link, hash) = (public_id(&fixture.world), key_hash(&fixture.world));
    let in_a_minute = fixture.world.now().plus(Duration::from_secs(60));
    store.link_create(&system(), operator, link, hash, in_a_minute).await.unwrap();
    let session = new_session(&fixture);
    let redeem = async |hash| store.link_redeem(link, hash, session.clone()).await.unwrap();
    assert_eq!(redeem(key_hash(&fixture.world)).await, None);
    assert_eq!(redeem(hash).await, Some(operator));
    assert_eq!(redeem(hash).await, None);
    let identity = store.session_identity(session.public_id, session.hash, IDLE).await.unwrap().unwrap();
    assert_eq!((identity.user.id, identity.token), (operator, None));
    assert!(store.session_identity(session.public_id, hash, IDLE).await.unwrap().is_none());
    fixture.hands.forward(Duration::from_secs(3_599));
    assert!(is_live(&fixture, &session).await);
    store.session_end(session.public_id).await.unwrap();
    store.session_end(session.public_id).await.unwrap();
    assert!(!is_live(&fixture, &session).await);
    let late = public_id(&fixture.world);
    let now = fixture.world.now();
    store.link_create(&system(), operator, late, hash, now.plus(Duration::from_secs(1))).await.unwrap();
    fixture.hands.forward(Duration::from_secs(1));
    assert_eq!(store.link_redeem(late, hash, session).await.unwrap(), None);
}

async fn a_disabled_user_is_nobody(fixture: Fixture) {
    let store = &fixture.store;
    let account = store.seed().await.unwrap().account;
    let user = make_user(&fixture, "Member", &[("default", Role::Member)]).await.id;
    let until = fixture.world.now().plus(Duration::from_secs(3_600));
    let (id, hash) = (public_id(&fixture.world), key_hash(&fixture.world));
    let new = NewToken { user, account: Some(account), name: named("t"), public_id: id, hash, expires_at: None };
    store.token_create(&system(), new).await.unwrap();
    store.link_create(&system(), user, id, hash, until).await.unwrap();
    let session = NewSession { public_id: id, hash, ..new_session(&fixture) };
    store.link_redeem(id, hash, session.clone()).await.unwrap().unwrap();
    store.link_create(&system(), user, id, hash, until).await.unwrap();
    let edit = |disabled| UserEdit { disabled: Some(disabled), ..UserEdit::default() };
    value(store.user_edit(&system(), user, edit(true), None).await);
    assert!(store.token_identity(id, hash).await.unwrap().is_none());
    assert!(!is_live(&fixture, &session).await);
    assert!(store.link_redeem(id, hash, session.clone()).await.unwrap().is_none());
    value(store.user_edit(&system(), user, edit(false), None).await);
    assert!(store.token_identity(id, hash).await.unwrap().is_some());
    assert!(!is_live(&fixture, &session).await);
}
