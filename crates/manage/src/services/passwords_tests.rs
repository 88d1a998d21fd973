//! Passwords: rules, parameters, and what each refusal costs.

use std::sync::Arc;

use tollgate_core::{
    Actor, Timestamp,
    seal::MasterKey,
    secret::Prefix,
    world::{Clock, Entropy},
};
use tollgate_store::{
    Store, StoreOptions,
    accounts::{NewUser, UserEdit},
};

use super::*;
use crate::{
    ManageOptions, SignInOptions,
    notify::{Notifier, NotifyOptions},
};

struct Fixed;
impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_795_167_000_000)
    }
}
struct Different;
impl Entropy for Different {
    fn fill(&self, buffer: &mut [u8]) {
        use std::hash::RandomState;
        for chunk in buffer.chunks_mut(8) {
            let random = RandomState::new().hash_one(chunk.len()).to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }
}
use std::hash::BuildHasher as _;

/// Nothing here reaches the data plane.
struct Nowhere;
impl crate::UpstreamHealthSource for Nowhere {
    fn health(&self, _: &str) -> Option<crate::UpstreamHealthView> {
        None
    }
}
impl crate::UpstreamProbe for Nowhere {
    fn probe(&self, _: tollgate_core::catalog::UpstreamAuth) -> crate::ProbeFuture {
        Box::pin(async { Err("nowhere".to_owned()) })
    }
}
impl crate::Inference for Nowhere {
    fn call(
        &self,
        _: tollgate_core::secret::KeyHint,
        _: tollgate_core::Route,
        _: bytes::Bytes,
    ) -> crate::InferenceFuture {
        Box::pin(async { Err("nowhere".to_owned()) })
    }
}

const PASSWORD: &str = "a long line from a song";

fn secret(text: &str) -> SecretText {
    SecretText::new(text.to_owned())
}

async fn services(directory: &tempfile::TempDir) -> Services {
    let world = World::new(Fixed, Different);
    let options = StoreOptions {
        url: format!("sqlite:{}", directory.path().join("tollgate.db").display()),
        connections: 2,
        wait: Duration::from_secs(20),
        lease: Duration::from_secs(10),
        key_prefix: Prefix::default(),
    };
    let store = Store::open(options, world.clone()).await.unwrap();
    store.seed().await.unwrap();
    let master_key = MasterKey::from_bytes([7; 32]);
    let notifier = Notifier::new(NotifyOptions::default(), store.clone(), world.clone(), master_key).unwrap();
    Services::new(ManageOptions {
        notifier,
        store,
        world,
        master_key: MasterKey::from_bytes([7; 32]),
        prefix: Prefix::default(),
        contact_url: None,
        public_url: None,
        sign_in: SignInOptions {
            session_life: Duration::from_secs(3_600),
            session_idle: Duration::from_secs(3_600),
            oidc: None,
        },
        leaks: Default::default(),
        leak_figures: Default::default(),
        background: Default::default(),
        docs: crate::Documentation::new(Default::default()),
        upstream_health: Arc::new(Nowhere),
        upstream_probe: Arc::new(Nowhere),
        inference: Arc::new(Nowhere),
        version: "test",
    })
}

/// A user of this address, with a password or without.
async fn user(services: &Services, email: &str, password: Option<&str>) -> tollgate_core::Id<User> {
    let actor = Actor::system("test");
    let new = NewUser {
        name: "Ánh".parse().unwrap(),
        email: Some(email.parse().unwrap()),
        operator: false,
        memberships: vec![],
        idempotency_key: None,
    };
    let user = services.store().user_create(&actor, new).await.unwrap().id;
    if let Some(password) = password {
        let hash = services.0.passwords.hash(secret(password)).await.unwrap();
        services.store().password_set(&actor, user, &hash, None).await.unwrap();
    }
    user
}

#[test]
fn a_password_is_long_and_not_what_everybody_guesses() {
    let check = |password: &str| password_check(password, "Nguyễn Thị Ánh", Some("anh.nguyen@example.com"));
    for right in [PASSWORD, "mười hai chữ", "aaaaaaaaaaab", "👩‍🚀🚀🌍🌕🌖🌗🌘🌑🌒🌓🌔", &"long line ".repeat(102)]
    {
        assert_eq!(check(right), Ok(()), "{right}");
    }
    for (wrong, problem) in [
        ("", PasswordProblem::TooShort),
        ("elevenchars", PasswordProblem::TooShort),
        ("mười một ch", PasswordProblem::TooShort),
        (&"x1y2".repeat(257), PasswordProblem::TooLong),
        ("Password1234", PasswordProblem::Common),
        ("  password1234 ", PasswordProblem::Common),
        ("aaaaaaaaaaaaaaa", PasswordProblem::Common),
        ("abababababab", PasswordProblem::Common),
        ("xyz!xyz!xyz!", PasswordProblem::Common),
        ("abcdefghijklmn", PasswordProblem::Common),
        ("nmlkjihgfedcba", PasswordProblem::Common),
        ("nguyễn thị ánh", PasswordProblem::Own),
        ("ANH.NGUYEN@example.com", PasswordProblem::Own),
    ] {
        assert_eq!(check(wrong), Err(problem), "{wrong}");
    }
    let own = password_check("longer.than.twelve", "X", Some("longer.than.twelve@example.com"));
    assert_eq!(own, Err(PasswordProblem::Own));
    for common in COMMON.lines() {
        assert!(common.chars().count() >= SHORTEST_PASSWORD && common.to_lowercase() == common, "{common}");
    }
}

#[tokio::test]
async fn a_hash_names_its_parameters_and_fits_one_password_under_one_pepper() {
    let directory = tempfile::tempdir().unwrap();
    let services = services(&directory).await;
    let passwords = &services.0.passwords;
    let hash = passwords.hash(secret(PASSWORD)).await.unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    assert_ne!(hash, passwords.hash(secret(PASSWORD)).await.unwrap(), "a salt of its own");
    let fits = async |password: &str, hash: &str| {
        passwords.compare(secret(password), Some(hash.to_owned())).await.map(|compared| compared.fits)
    };
    assert!(fits(PASSWORD, &hash).await.unwrap());
    assert!(!fits("a long line from a sonG", &hash).await.unwrap());
    assert!(!passwords.compare(secret(""), None).await.unwrap().fits, "nobody's hash fits nothing");
    assert!(fits(PASSWORD, "not a hash").await.is_err());
    let other = Passwords::new(Zeroizing::new([8; 32]), World::new(Fixed, Different));
    assert!(!other.compare(secret(PASSWORD), Some(hash)).await.unwrap().fits, "the store alone guesses nothing");
}

#[tokio::test]
async fn every_refusal_costs_one_comparison_and_says_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let services = services(&directory).await;
    user(&services, "with@example.com", Some(PASSWORD)).await;
    user(&services, "without@example.com", None).await;
    let disabled = user(&services, "disabled@example.com", Some(PASSWORD)).await;
    let edit = UserEdit { disabled: Some(true), ..UserEdit::default() };
    drop(services.store().user_edit(&Actor::system("test"), disabled, edit, None).await.unwrap());
    let visitor = Visitor::default();
    let long = "x".repeat(2_000);
    for (email, password) in [
        ("nobody@example.com", PASSWORD),
        ("without@example.com", PASSWORD),
        ("without@example.com", ""),
        ("disabled@example.com", PASSWORD),
        ("with@example.com", "another long line"),
        ("with@example.com", ""),
        ("with@example.com", long.as_str()),
        ("no address", PASSWORD),
        ("", ""),
        ("a\0b@example.com", PASSWORD),
    ] {
        let before = services.password_comparisons();
        let refused = services.password_sign_in(email, secret(password), &visitor).await.unwrap();
        assert!(refused.is_none(), "{email}");
        assert_eq!(services.password_comparisons(), before + 1, "{email}");
    }
    let before = services.password_comparisons();
    let session = services.password_sign_in("WITH@example.com", secret(PASSWORD), &visitor).await.unwrap().unwrap();
    assert_eq!(services.password_comparisons(), before + 1);
    services.session_identify(session.plain.expose().as_bytes()).await.unwrap();
}

#[tokio::test]
async fn a_hash_of_older_parameters_is_made_anew_at_sign_in() {
    let directory = tempfile::tempdir().unwrap();
    let services = services(&directory).await;
    let user = user(&services, "old@example.com", None).await;
    let pepper = MasterKey::from_bytes([7; 32]).password_pepper();
    let params = Params::new(1_024, 1, 1, None).unwrap();
    let weak = Argon2::new_with_secret(pepper.as_slice(), Algorithm::Argon2id, Version::V0x13, params).unwrap();
    let weak = weak.hash_password_with_salt(PASSWORD.as_bytes(), &[1; SALT_BYTES]).unwrap().to_string();
    services.store().password_set(&Actor::system("test"), user, &weak, None).await.unwrap();
    let hash = async || services.store().password_of(user).await.unwrap().hash.unwrap();
    let sign_in = async |password| {
        services.password_sign_in("old@example.com", secret(password), &Visitor::default()).await.unwrap().is_some()
    };
    assert!(!sign_in("a wrong long line").await);
    assert_eq!(hash().await, weak);
    assert!(sign_in(PASSWORD).await);
    let renewed = hash().await;
    assert!(renewed.contains("m=19456,t=2,p=1"), "{renewed}");
    assert!(sign_in(PASSWORD).await);
    assert_eq!(hash().await, renewed);
}

#[tokio::test]
async fn an_address_and_a_mail_address_are_tried_only_so_often() {
    let directory = tempfile::tempdir().unwrap();
    let services = services(&directory).await;
    let too_many = |tried: Result<Option<Session>, ServiceError>| matches!(tried, Err(ServiceError::TooManyAttempts { retry_after }) if retry_after > Duration::ZERO);
    // One address from everywhere.
    for at in 0..BY_EMAIL.burst {
        let visitor = Visitor::new(Some(format!("192.0.2.{at}").parse().unwrap()), None);
        let tried = services.password_sign_in("victim@example.com", secret(PASSWORD), &visitor).await;
        assert!(tried.unwrap().is_none());
    }
    let before = services.password_comparisons();
    let elsewhere = Visitor::new(Some("198.51.100.1".parse().unwrap()), None);
    assert!(too_many(services.password_sign_in("Victim@example.com", secret(PASSWORD), &elsewhere).await));
    assert_eq!(services.password_comparisons(), before, "refused before anything is hashed");
    // Many addresses from one place: links and invitations count too.
    let place = Visitor::new(Some("203.0.113.9".parse().unwrap()), None);
    let mut taken = 0;
    while services.attempt_from(&place).is_ok() {
        taken += 1;
        assert!(taken <= BY_ADDRESS.burst + 5);
    }
    assert!(too_many(services.password_sign_in("other@example.com", secret(PASSWORD), &place).await));
    assert!(services.password_sign_in("other@example.com", secret(PASSWORD), &elsewhere).await.is_ok());
}

#[tokio::test]
async fn who_finds_no_place_to_wait_is_told_to_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let services = services(&directory).await;
    let passwords = &services.0.passwords;
    let held =
        Arc::clone(&passwords.places).acquire_many_owned((HASHES_AT_ONCE + HASHES_WAITING) as u32).await.unwrap();
    let refused = passwords.hash(secret(PASSWORD)).await;
    assert!(matches!(refused, Err(ServiceError::TooManyAttempts { .. })));
    drop(held);
    passwords.hash(secret(PASSWORD)).await.unwrap();
}
