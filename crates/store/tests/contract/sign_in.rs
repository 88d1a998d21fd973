//! Access tokens, one-time links, sessions.

use std::time::Duration;

use tollgate_core::{Id, Role};
use tollgate_store::{
    StoreError,
    accounts::{NewToken, UserEdit},
};

use crate::support::*;

contract! {
    a_token_stands_for_its_user_until_it_is_revoked_or_ends,
    a_token_is_bound_to_an_account_of_its_user,
    a_link_opens_one_session_once,
    a_disabled_user_is_nobody,
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
    let in_an_hour = fixture.world.now().plus(Duration::from_secs(3_600));
    store.link_create(&system(), operator, link, hash, in_a_minute).await.unwrap();
    let session = (public_id(&fixture.world), key_hash(&fixture.world));
    let redeem = async |hash| store.link_redeem(link, hash, session, in_an_hour).await.unwrap();
    assert_eq!(redeem(key_hash(&fixture.world)).await, None);
    assert_eq!(redeem(hash).await, Some(operator));
    assert_eq!(redeem(hash).await, None);
    let identity = store.session_identity(session.0, session.1).await.unwrap().unwrap();
    assert_eq!((identity.user.id, identity.token), (operator, None));
    assert!(store.session_identity(session.0, hash).await.unwrap().is_none());
    fixture.hands.forward(Duration::from_secs(3_599));
    assert!(store.session_identity(session.0, session.1).await.unwrap().is_some());
    store.session_end(session.0).await.unwrap();
    store.session_end(session.0).await.unwrap();
    assert!(store.session_identity(session.0, session.1).await.unwrap().is_none());
    let late = public_id(&fixture.world);
    let now = fixture.world.now();
    store.link_create(&system(), operator, late, hash, now.plus(Duration::from_secs(1))).await.unwrap();
    fixture.hands.forward(Duration::from_secs(1));
    assert_eq!(store.link_redeem(late, hash, session, in_an_hour).await.unwrap(), None);
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
    store.link_redeem(id, hash, (id, hash), until).await.unwrap().unwrap();
    store.link_create(&system(), user, id, hash, until).await.unwrap();
    let edit = |disabled| UserEdit { disabled: Some(disabled), ..UserEdit::default() };
    value(store.user_edit(&system(), user, edit(true), None).await);
    assert!(store.token_identity(id, hash).await.unwrap().is_none());
    assert!(store.session_identity(id, hash).await.unwrap().is_none());
    assert!(store.link_redeem(id, hash, (id, hash), until).await.unwrap().is_none());
    value(store.user_edit(&system(), user, edit(false), None).await);
    assert!(store.token_identity(id, hash).await.unwrap().is_some());
    assert!(store.session_identity(id, hash).await.unwrap().is_none());
}
