//! Members, invitations, identities of a provider and the roles that groups give.

use std::time::Duration;

use tollgate_core::{
    Account, Id, KeyStatus, No, Role, User,
    account::{Invitation, InvitationStatus, RoleSource},
    secret::{KeyHash, PublicId},
};
use tollgate_store::{
    PageRequest, StoreError,
    accounts::{IdentityOutcome, IdentitySignIn, NewAccount, NewInvitation, NewToken, NewUser, UserEdit},
};

use crate::{sign_in::new_session, support::*};

contract! {
    an_account_keeps_its_last_owner,
    a_member_who_is_taken_out_takes_its_tokens_and_keys_along,
    an_invitation_is_accepted_once,
    an_invitation_for_one_address_is_for_nobody_else,
    an_invitation_that_was_taken_back_or_is_old_lets_nobody_in,
    a_newcomer_becomes_a_user_with_a_session,
    of_two_who_accept_at_once_one_comes_in,
    an_identity_finds_its_user_whatever_its_address_becomes,
    an_identity_is_linked_by_an_address_that_somebody_vouched_for,
    a_stranger_becomes_a_user_only_where_that_is_wanted,
    groups_give_and_take_and_leave_alone_what_was_given_by_hand,
    the_last_operator_stays_one_whatever_its_groups_say,
    a_disabled_user_is_not_signed_in_by_its_provider,
}

/// Somebody whom a provider identified; no groups.
pub fn person(subject: &str, email: Option<&str>) -> IdentitySignIn {
    IdentitySignIn {
        issuer: "https://issuer.example".into(),
        subject: subject.into(),
        name: named("Ánh"),
        email: email.map(named),
        create_user: false,
        roles: None,
        operator: false,
    }
}

async fn with_email(fixture: &Fixture, user: Id<User>, email: &str) {
    let edit = UserEdit { email: Some(Some(named(email))), ..UserEdit::default() };
    value(fixture.store.user_edit(&system(), user, edit, None).await);
}

/// An invitation into an account: its id and what its text would be.
async fn invite(
    fixture: &Fixture,
    account: Id<Account>,
    role: Role,
    email: Option<&str>,
) -> (Invitation, PublicId, KeyHash) {
    let (public_id, hash) = (public_id(&fixture.world), key_hash(&fixture.world));
    let expires_at = fixture.world.now().plus(Duration::from_secs(3_600));
    let new = NewInvitation { account, role, email: email.map(named), public_id, hash, expires_at };
    (fixture.store.invitation_create(&system(), new).await.unwrap(), public_id, hash)
}

/// A second account, and two users who belong to none.
async fn scene(fixture: &Fixture) -> (Id<Account>, Id<User>, Id<User>) {
    fixture.store.seed().await.unwrap();
    let acme = NewAccount { handle: named("acme"), name: named("Acme"), plan: None, owner: None };
    let acme = value(fixture.store.account_create(&system(), acme).await).id;
    (acme, make_user(fixture, "A", &[]).await.id, make_user(fixture, "B", &[]).await.id)
}

async fn role_in(fixture: &Fixture, user: Id<User>, account: &str) -> Option<(Role, RoleSource)> {
    let user = fixture.store.user_get(user).await.unwrap();
    let held = user.memberships.iter().find(|held| held.account_handle.as_str() == account);
    held.map(|held| (held.role, held.source))
}

async fn an_account_keeps_its_last_owner(fixture: Fixture) {
    let (acme, a, b) = scene(&fixture).await;
    let store = &fixture.store;
    let join = |role| UserEdit { memberships: vec![(named("acme"), Some(role))], ..UserEdit::default() };
    value(store.user_edit(&system(), a, join(Role::Owner), None).await);
    value(store.user_edit(&system(), b, join(Role::Member), None).await);
    let demote =
        async |user| store.member_edit(&system(), acme, user, Role::Viewer, None).await.map(|done| done.value.role);
    let remove = async |user| store.member_remove(&system(), acme, user).await.map(|done| done.value.user);
    assert!(matches!(demote(a).await, Err(StoreError::State(_))));
    assert!(matches!(remove(a).await, Err(StoreError::State(_))));
    value(store.member_edit(&system(), acme, b, Role::Owner, None).await);
    let disable = |disabled| UserEdit { disabled: Some(disabled), ..UserEdit::default() };
    value(store.user_edit(&system(), b, disable(true), None).await);
    assert!(matches!(remove(a).await, Err(StoreError::State(_))), "a disabled owner owns nothing");
    value(store.user_edit(&system(), b, disable(false), None).await);
    assert_eq!(demote(a).await.unwrap(), Role::Viewer);
    assert_eq!(remove(a).await.unwrap(), a);
    assert!(matches!(remove(a).await, Err(StoreError::NotFound)));
    let listed = store.member_list(acme, &PageRequest::default()).await.unwrap().data;
    assert_eq!(listed.iter().map(|member| (member.user, member.role)).collect::<Vec<_>>(), [(b, Role::Owner)]);
}

async fn a_member_who_is_taken_out_takes_its_tokens_and_keys_along(fixture: Fixture) {
    let (acme, a, _) = scene(&fixture).await;
    let store = &fixture.store;
    let join = UserEdit { memberships: vec![(named("acme"), Some(Role::Member))], ..UserEdit::default() };
    value(store.user_edit(&system(), a, join, None).await);
    let token = NewToken {
        user: a,
        account: Some(acme),
        name: named("t"),
        public_id: public_id(&fixture.world),
        hash: key_hash(&fixture.world),
        expires_at: None,
    };
    store.token_create(&system(), token.clone()).await.unwrap();
    value(store.account_edit(&system(), acme, paid(), None).await);
    let mut key = new_key(&fixture.world, acme, "theirs");
    key.created_by = Some(a);
    let key = value(store.key_create(&system(), key).await);
    let before = store.keyring_base().await.unwrap().seq;
    value(store.member_remove(&system(), acme, a).await);
    assert!(store.token_identity(token.public_id, token.hash).await.unwrap().is_none());
    assert_eq!(store.keyring_base().await.unwrap().seq.0, before.0 + 1, "the key is read anew");
    let auth = keyring(store, No::new(0), No::new(i64::MAX), 10).await;
    let auth = auth.iter().find(|auth| auth.public_id == key.public_id).unwrap();
    assert_eq!(auth.status, KeyStatus::Disabled, "as long as its maker is out");
}

fn paid() -> tollgate_store::accounts::AccountEdit {
    tollgate_store::accounts::AccountEdit { plan: Some(Some(named("unlimited"))), ..Default::default() }
}

async fn an_invitation_is_accepted_once(fixture: Fixture) {
    let (acme, a, b) = scene(&fixture).await;
    let store = &fixture.store;
    let (invitation, id, hash) = invite(&fixture, acme, Role::Member, None).await;
    assert_eq!(invitation.status(fixture.world.now()), InvitationStatus::Open);
    assert_eq!((invitation.account_handle.as_str(), invitation.role), ("acme", Role::Member));
    let accept = async |hash, user| store.invitation_accept(&system(), id, hash, user).await.unwrap();
    assert!(accept(key_hash(&fixture.world), a).await.is_none());
    assert_eq!(store.invitation_find(id, hash).await.unwrap(), Some(invitation.clone()));
    let accepted = accept(hash, a).await.unwrap().value;
    assert_eq!((accepted.user, accepted.invitation.id), (a, invitation.id));
    assert_eq!(role_in(&fixture, a, "acme").await, Some((Role::Member, RoleSource::Hand)));
    assert!(accept(hash, b).await.is_none() && store.invitation_find(id, hash).await.unwrap().is_none());
    let refused = store.invitation_revoke(&system(), acme, invitation.id).await;
    assert!(matches!(refused, Err(StoreError::State(_))));
    // Who is in already uses no other up.
    let (_, id, hash) = invite(&fixture, acme, Role::Owner, None).await;
    let again = store.invitation_accept(&system(), id, hash, a).await;
    assert!(matches!(again, Err(StoreError::State(_))));
    assert!(store.invitation_find(id, hash).await.unwrap().is_some());
    let page = PageRequest { cursor: None, limit: 1 };
    let newest = store.invitation_list(acme, &page).await.unwrap();
    let rest = PageRequest { cursor: newest.next_cursor, limit: 1 };
    let older = store.invitation_list(acme, &rest).await.unwrap();
    assert_eq!((older.data[0].id, older.next_cursor), (invitation.id, None));
    assert_eq!(older.data[0].status(fixture.world.now()), InvitationStatus::Accepted);
    let other = store.seed().await.unwrap().account;
    assert_eq!(store.invitation_list(other, &PageRequest::default()).await.unwrap().data, []);
    let foreign = store.invitation_revoke(&system(), other, newest.data[0].id).await;
    assert!(matches!(foreign, Err(StoreError::NotFound)));
}

async fn an_invitation_for_one_address_is_for_nobody_else(fixture: Fixture) {
    let (acme, a, b) = scene(&fixture).await;
    let store = &fixture.store;
    with_email(&fixture, b, "b@example.com").await;
    let (_, id, hash) = invite(&fixture, acme, Role::Member, Some("B@Example.com")).await;
    let refused = store.invitation_accept(&system(), id, hash, a).await;
    assert!(matches!(refused, Err(StoreError::State(_))));
    assert!(store.invitation_accept(&system(), id, hash, b).await.unwrap().is_some());
}

async fn an_invitation_that_was_taken_back_or_is_old_lets_nobody_in(fixture: Fixture) {
    let (acme, a, _) = scene(&fixture).await;
    let store = &fixture.store;
    let (back, back_id, back_hash) = invite(&fixture, acme, Role::Member, None).await;
    let (old, old_id, old_hash) = invite(&fixture, acme, Role::Member, None).await;
    let revoked = store.invitation_revoke(&system(), acme, back.id).await.unwrap();
    assert_eq!(revoked.status(fixture.world.now()), InvitationStatus::Revoked);
    assert_eq!(store.invitation_revoke(&system(), acme, back.id).await.unwrap(), revoked);
    fixture.hands.forward(Duration::from_secs(3_600));
    assert_eq!(old.status(fixture.world.now()), InvitationStatus::Expired);
    for (id, hash) in [(back_id, back_hash), (old_id, old_hash)] {
        assert!(store.invitation_find(id, hash).await.unwrap().is_none());
        assert!(store.invitation_accept(&system(), id, hash, a).await.unwrap().is_none());
        let newcomer = (named("N"), named("n@example.com"));
        let joined = store.invitation_accept_new(id, hash, newcomer, "$a", new_session(&fixture)).await.unwrap();
        assert!(joined.is_none());
    }
    assert_eq!(role_in(&fixture, a, "acme").await, None);
}

async fn a_newcomer_becomes_a_user_with_a_session(fixture: Fixture) {
    let (acme, a, _) = scene(&fixture).await;
    let store = &fixture.store;
    with_email(&fixture, a, "a@example.com").await;
    let (_, id, hash) = invite(&fixture, acme, Role::Viewer, None).await;
    let session = new_session(&fixture);
    let join = async |email: &str| {
        store.invitation_accept_new(id, hash, (named("Nga"), named(email)), "$a", session.clone()).await
    };
    assert!(matches!(join("A@example.com").await, Err(StoreError::Exists(_))));
    assert!(store.invitation_find(id, hash).await.unwrap().is_some(), "nothing was used up");
    let user = join("nga@example.com").await.unwrap().unwrap().value.user;
    assert_eq!(role_in(&fixture, user, "acme").await, Some((Role::Viewer, RoleSource::Hand)));
    let idle = Duration::from_secs(60);
    let identity = store.session_identity(session.public_id, session.hash, idle).await.unwrap().unwrap();
    assert_eq!((identity.user.id, identity.user.operator), (user, false));
    assert_eq!(store.password_of(user).await.unwrap().hash.as_deref(), Some("$a"));
    // The invitation's own address goes before what was typed.
    let (_, id, hash) = invite(&fixture, acme, Role::Viewer, Some("real@example.com")).await;
    let typed = (named("Other"), named("typed@example.com"));
    let joined = store.invitation_accept_new(id, hash, typed, "$a", new_session(&fixture)).await.unwrap().unwrap();
    let email = store.user_get(joined.value.user).await.unwrap().email;
    assert_eq!(email, Some(named("real@example.com")));
}

async fn of_two_who_accept_at_once_one_comes_in(fixture: Fixture) {
    let (acme, a, b) = scene(&fixture).await;
    let (_, id, hash) = invite(&fixture, acme, Role::Member, None).await;
    let tries = [a, b, a, b].map(|user| {
        let store = fixture.store.clone();
        tokio::spawn(async move {
            store.invitation_accept(&system(), id, hash, user).await.is_ok_and(|done| done.is_some())
        })
    });
    let mut accepted = 0;
    for one in tries {
        accepted += usize::from(one.await.unwrap());
    }
    assert_eq!(accepted, 1);
    let members = fixture.store.member_list(acme, &PageRequest::default()).await.unwrap().data;
    assert_eq!(members.len(), 1);
}

/// Whom a sign-in by the provider signed in.
async fn sign_in(fixture: &Fixture, person: IdentitySignIn) -> Option<Id<User>> {
    let session = new_session(fixture);
    let outcome = fixture.store.identity_sign_in(person, session.clone()).await.unwrap();
    let identity = fixture.store.session_identity(session.public_id, session.hash, Duration::from_secs(60)).await;
    let identity = identity.unwrap().map(|identity| identity.user.id);
    match outcome {
        IdentityOutcome::SignedIn(committed) => assert_eq!(Some(committed.value), identity),
        _ => assert_eq!(identity, None),
    }
    identity
}

async fn an_identity_finds_its_user_whatever_its_address_becomes(fixture: Fixture) {
    let (_, a, b) = scene(&fixture).await;
    with_email(&fixture, a, "a@example.com").await;
    with_email(&fixture, b, "b@example.com").await;
    assert_eq!(sign_in(&fixture, person("s1", Some("A@Example.com"))).await, Some(a));
    assert_eq!(sign_in(&fixture, person("s1", Some("b@example.com"))).await, Some(a), "the subject counts");
    assert_eq!(sign_in(&fixture, person("s1", None)).await, Some(a));
    let other = IdentitySignIn { issuer: "https://other.example".into(), ..person("s1", None) };
    assert_eq!(sign_in(&fixture, other).await, None, "another provider's subject is somebody else");
    assert_eq!(fixture.store.identity_issuers(a).await.unwrap(), ["https://issuer.example"]);
    assert_eq!(sign_in(&fixture, person("s2", None)).await, None);
}

async fn an_identity_is_linked_by_an_address_that_somebody_vouched_for(fixture: Fixture) {
    let (acme, ..) = scene(&fixture).await;
    let store = &fixture.store;
    let (_, id, hash) = invite(&fixture, acme, Role::Member, None).await;
    let typed = (named("Squatter"), named("boss@example.com"));
    let joined = store.invitation_accept_new(id, hash, typed, "$a", new_session(&fixture)).await.unwrap().unwrap();
    let taken = store.identity_sign_in(person("boss", Some("boss@example.com")), new_session(&fixture)).await.unwrap();
    assert!(matches!(taken, IdentityOutcome::AddressTaken), "whoever typed an address first gets nobody's identity");
    // An operator says that it is the same person.
    with_email(&fixture, joined.value.user, "boss@example.com").await;
    assert_eq!(sign_in(&fixture, person("boss", Some("boss@example.com"))).await, Some(joined.value.user));
}

async fn a_stranger_becomes_a_user_only_where_that_is_wanted(fixture: Fixture) {
    scene(&fixture).await;
    assert_eq!(sign_in(&fixture, person("s", Some("s@example.com"))).await, None);
    let wanted = IdentitySignIn { create_user: true, ..person("s", Some("s@example.com")) };
    let user = sign_in(&fixture, wanted.clone()).await.unwrap();
    let made = fixture.store.user_get(user).await.unwrap();
    assert_eq!((made.email, made.operator, made.memberships), (Some(named("s@example.com")), false, vec![]));
    assert_eq!(sign_in(&fixture, wanted).await, Some(user));
    let no_address = IdentitySignIn { create_user: true, ..person("s3", None) };
    assert!(sign_in(&fixture, no_address).await.is_some());
}

async fn groups_give_and_take_and_leave_alone_what_was_given_by_hand(fixture: Fixture) {
    let (_, a, _) = scene(&fixture).await;
    with_email(&fixture, a, "a@example.com").await;
    let with = |roles: &[(&str, Role)]| IdentitySignIn {
        roles: Some(roles.iter().map(|(account, role)| (named(account), *role)).collect()),
        ..person("s1", Some("a@example.com"))
    };
    sign_in(&fixture, with(&[("acme", Role::Member), ("nowhere", Role::Owner)])).await.unwrap();
    assert_eq!(role_in(&fixture, a, "acme").await, Some((Role::Member, RoleSource::Group)));
    let version = fixture.store.user_get(a).await.unwrap().version;
    sign_in(&fixture, with(&[("acme", Role::Member)])).await.unwrap();
    assert_eq!(fixture.store.user_get(a).await.unwrap().version, version, "nothing changed");
    sign_in(&fixture, with(&[("acme", Role::Owner)])).await.unwrap();
    assert_eq!(role_in(&fixture, a, "acme").await, Some((Role::Owner, RoleSource::Group)));
    // Given by hand besides: groups leave it alone from then on.
    let by_hand = UserEdit { memberships: vec![(named("default"), Some(Role::Viewer))], ..UserEdit::default() };
    value(fixture.store.user_edit(&system(), a, by_hand, None).await);
    sign_in(&fixture, with(&[("acme", Role::Owner), ("default", Role::Owner)])).await.unwrap();
    assert_eq!(role_in(&fixture, a, "default").await, Some((Role::Viewer, RoleSource::Hand)));
    sign_in(&fixture, person("s1", None)).await.unwrap();
    assert!(role_in(&fixture, a, "acme").await.is_some(), "where groups give nothing they take nothing");
    sign_in(&fixture, with(&[])).await.unwrap();
    assert_eq!(role_in(&fixture, a, "acme").await, None);
    assert_eq!(role_in(&fixture, a, "default").await, Some((Role::Viewer, RoleSource::Hand)));
    // The same role by hand makes it one that stays.
    sign_in(&fixture, with(&[("acme", Role::Member)])).await.unwrap();
    let same = UserEdit { memberships: vec![(named("acme"), Some(Role::Member))], ..UserEdit::default() };
    value(fixture.store.user_edit(&system(), a, same, None).await);
    sign_in(&fixture, with(&[])).await.unwrap();
    assert_eq!(role_in(&fixture, a, "acme").await, Some((Role::Member, RoleSource::Hand)));
}

async fn the_last_operator_stays_one_whatever_its_groups_say(fixture: Fixture) {
    let (_, a, _) = scene(&fixture).await;
    let store = &fixture.store;
    let first = store.seed().await.unwrap().operator;
    with_email(&fixture, a, "a@example.com").await;
    let with = |operator| IdentitySignIn { operator, roles: Some(vec![]), ..person("s1", Some("a@example.com")) };
    let is_operator = async |user| store.user_get(user).await.unwrap().operator;
    sign_in(&fixture, with(true)).await.unwrap();
    assert!(is_operator(a).await);
    sign_in(&fixture, with(false)).await.unwrap();
    assert!(!is_operator(a).await);
    sign_in(&fixture, with(true)).await.unwrap();
    let demote = UserEdit { operator: Some(false), ..UserEdit::default() };
    value(store.user_edit(&system(), first, demote, None).await);
    sign_in(&fixture, with(false)).await.unwrap();
    assert!(is_operator(a).await, "a deployment without an operator could be run by nobody");
    // By hand it stays, also when another is there.
    let by_hand = UserEdit { operator: Some(true), ..UserEdit::default() };
    value(store.user_edit(&system(), a, by_hand.clone(), None).await);
    value(store.user_edit(&system(), first, by_hand, None).await);
    sign_in(&fixture, with(false)).await.unwrap();
    assert!(is_operator(a).await);
}

async fn a_disabled_user_is_not_signed_in_by_its_provider(fixture: Fixture) {
    scene(&fixture).await;
    let new = NewUser {
        name: named("D"),
        email: Some(named("d@example.com")),
        operator: false,
        memberships: vec![],
        idempotency_key: None,
    };
    let user = fixture.store.user_create(&system(), new).await.unwrap().id;
    let disable = UserEdit { disabled: Some(true), ..UserEdit::default() };
    value(fixture.store.user_edit(&system(), user, disable, None).await);
    assert_eq!(sign_in(&fixture, person("d", Some("d@example.com"))).await, None);
    assert_eq!(fixture.store.identity_issuers(user).await.unwrap(), Vec::<String>::new(), "nothing was linked");
}
