//! Passwords: which are taken, how they are hashed and compared, and signing in with one.
//!
//! Hashes are argon2id with the parameters of OWASP's Password Storage Cheat Sheet, salted, and peppered with a key that is
//! not in the store. A sign-in that fails looks and costs the same whatever the reason: an address that nobody has, a user
//! without a password and a disabled one are compared with a hash that nothing fits.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version, password_hash::phc::PasswordHash,
};
use tokio::sync::Semaphore;
use tollgate_core::{User, World, name::Email, seal::SecretText, secret::PublicId};
use tollgate_store::StoreError;
use zeroize::Zeroizing;

use super::{
    ServiceError, Services, Session, Visitor,
    throttle::{Rate, Throttle, network},
};
use crate::principal::Principal;

/// Memory of one hash, in KiB (OWASP: argon2id with 19 MiB, 2 passes, 1 lane).
const MEMORY_KIB: u32 = 19 * 1_024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Bytes of a salt (RFC 9106, 3.1).
const SALT_BYTES: usize = 16;
/// How many hashes are made at once: each takes [`MEMORY_KIB`] and a core.
const HASHES_AT_ONCE: usize = 2;
/// How many more may wait for their turn; the rest is told to come back.
const HASHES_WAITING: usize = 32;
/// When those come back that found no place to wait.
const COME_BACK: Duration = Duration::from_secs(2);
/// How often sign-in may be tried from one address.
const BY_ADDRESS: Rate = Rate { burst: 30, every: Duration::from_secs(4) };
/// How often the password of one mail address may be tried, from wherever.
const BY_EMAIL: Rate = Rate { burst: 10, every: Duration::from_secs(30) };

/// The shortest password, in characters.
pub const SHORTEST_PASSWORD: usize = 12;
/// The longest password, in bytes.
pub const LONGEST_PASSWORD: usize = 1_024;
/// Passwords that are tried first by whoever guesses: only those of at least [`SHORTEST_PASSWORD`] characters.
const COMMON: &str = include_str!("common_passwords.txt");
/// A password that repeats so few characters, or fewer, over and over is a common one.
const LONGEST_PATTERN: usize = 4;

/// Why a password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordProblem {
    /// Under [`SHORTEST_PASSWORD`] characters.
    #[error("a password has at least 12 characters")]
    TooShort,
    /// Over [`LONGEST_PASSWORD`] bytes.
    #[error("a password has at most 1024 bytes")]
    TooLong,
    /// One that many people have.
    #[error("this password is one of the first that somebody would guess")]
    Common,
    /// The user's own name or mail address.
    #[error("a password is not one's own name or mail address")]
    Own,
}

/// Hashes and compares passwords, a few at a time.
pub(super) struct Passwords {
    pepper: Arc<Zeroizing<[u8; 32]>>,
    world: World,
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// What a password is compared with that nobody has.
    nobodys: Arc<OnceLock<Option<String>>>,
    by_address: Throttle,
    by_email: Throttle,
    comparisons: AtomicU64,
}

/// What a comparison found.
struct Compared {
    fits: bool,
    /// The hash under today's parameters, where it was made under others.
    renewed: Option<String>,
}

impl Passwords {
    pub(super) fn new(pepper: Zeroizing<[u8; 32]>, world: World) -> Self {
        Self {
            pepper: Arc::new(pepper),
            world,
            turns: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
            places: Arc::new(Semaphore::new(HASHES_AT_ONCE + HASHES_WAITING)),
            nobodys: Arc::default(),
            by_address: Throttle::new(BY_ADDRESS),
            by_email: Throttle::new(BY_EMAIL),
            comparisons: AtomicU64::new(0),
        }
    }
    /// Runs `work` on a thread that may take its time, when it is its turn.
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Hasher) -> Option<T> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let failed = || ServiceError::Internal(StoreError::Failed("a password could not be hashed".to_owned()));
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| ServiceError::TooManyAttempts { retry_after: COME_BACK })?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| failed())?;
        let hasher =
            Hasher { pepper: Arc::clone(&self.pepper), world: self.world.clone(), nobodys: Arc::clone(&self.nobodys) };
        let worked = tokio::task::spawn_blocking(move || {
            let worked = work(&hasher);
            // Held to the end of the work, also where nobody waits for it any more.
            drop((turn, place));
            worked
        });
        worked.await.ok().flatten().ok_or_else(failed)
    }
    async fn hash(&self, password: SecretText) -> Result<String, ServiceError> {
        self.in_turn(move |hasher| hasher.hash(password.expose())).await
    }
    /// Compares a password with a hash, or with one that nothing fits.
    async fn compare(&self, password: SecretText, hash: Option<String>) -> Result<Compared, ServiceError> {
        self.comparisons.fetch_add(1, Ordering::Relaxed);
        self.in_turn(move |hasher| hasher.compare(password.expose(), hash.as_deref())).await
    }
}

struct Hasher {
    pepper: Arc<Zeroizing<[u8; 32]>>,
    world: World,
    nobodys: Arc<OnceLock<Option<String>>>,
}

impl Hasher {
    fn argon2(&self) -> Option<Argon2<'_>> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).ok()?;
        Argon2::new_with_secret(self.pepper.as_slice(), Algorithm::Argon2id, Version::V0x13, params).ok()
    }
    fn hash(&self, password: &str) -> Option<String> {
        let mut salt = [0; SALT_BYTES];
        self.world.fill(&mut salt);
        let hash = self.argon2()?.hash_password_with_salt(password.as_bytes(), &salt).ok()?;
        Some(hash.to_string())
    }
    fn compare(&self, password: &str, hash: Option<&str>) -> Option<Compared> {
        let nobodys = || self.nobodys.get_or_init(|| self.hash("")).as_deref();
        // Made before it is needed: the first refusal costs no more than the others.
        let (nobodys, argon2) = (nobodys()?, self.argon2()?);
        let parsed = PasswordHash::new(hash.unwrap_or(nobodys)).ok()?;
        let fits = argon2.verify_password(password.as_bytes(), &parsed).is_ok() && hash.is_some();
        let dated = Params::try_from(&parsed)
            .ok()
            .is_none_or(|params| (params.m_cost(), params.t_cost(), params.p_cost()) != (MEMORY_KIB, PASSES, LANES));
        Some(Compared { fits, renewed: if fits && dated { self.hash(password) } else { None } })
    }
}

/// Whether a password may be this user's.
///
/// # Errors
/// Why not.
pub fn password_check(password: &str, name: &str, email: Option<&str>) -> Result<(), PasswordProblem> {
    if password.len() > LONGEST_PASSWORD {
        return Err(PasswordProblem::TooLong);
    }
    if password.chars().count() < SHORTEST_PASSWORD {
        return Err(PasswordProblem::TooShort);
    }
    let lower = password.trim().to_lowercase();
    let own = [Some(name), email, email.and_then(|email| email.split('@').next())];
    if own.into_iter().flatten().any(|own| !own.is_empty() && own.to_lowercase() == lower) {
        return Err(PasswordProblem::Own);
    }
    if COMMON.lines().any(|common| common == lower) || is_pattern(&lower) {
        return Err(PasswordProblem::Common);
    }
    Ok(())
}

/// Whether a text is a few characters over and over, or runs up or down the code points (`abcdefghijkl`).
fn is_pattern(text: &str) -> bool {
    let chars: Vec<u32> = text.chars().map(u32::from).collect();
    let repeats = |period: usize| chars.iter().zip(chars.iter().skip(period)).all(|(a, b)| a == b);
    let runs = |step: i64| chars.iter().zip(chars.iter().skip(1)).all(|(a, b)| i64::from(*a) + step == i64::from(*b));
    (1..=LONGEST_PATTERN).any(repeats) || runs(1) || runs(-1)
}

impl Services {
    /// One more try to sign in from an address.
    pub(super) fn attempt_from(&self, visitor: &Visitor) -> Result<(), ServiceError> {
        let taken = visitor.address.map_or(Ok(()), |from| self.0.passwords.by_address.take(&network(from)));
        taken.map_err(|retry_after| ServiceError::TooManyAttempts { retry_after })
    }
    fn attempt_for(&self, email: &str) -> Result<(), ServiceError> {
        let taken = self.0.passwords.by_email.take(&email.to_lowercase());
        taken.map_err(|retry_after| ServiceError::TooManyAttempts { retry_after })
    }
    /// How many passwords were compared; for tests that ask whether each refusal costs the same.
    #[must_use]
    pub fn password_comparisons(&self) -> u64 {
        self.0.passwords.comparisons.load(Ordering::Relaxed)
    }

    /// Signs in by mail address and password. `None` is every refusal: unknown, wrong, without a password, disabled.
    ///
    /// # Errors
    /// [`ServiceError::TooManyAttempts`], or when the store fails.
    pub async fn password_sign_in(
        &self,
        email: &str,
        password: SecretText,
        visitor: &Visitor,
    ) -> Result<Option<Session>, ServiceError> {
        self.attempt_from(visitor)?;
        self.attempt_for(email)?;
        // Too long to be anybody's: compared all the same, at the length that others have.
        let password =
            if password.expose().len() > LONGEST_PASSWORD { SecretText::new(String::new()) } else { password };
        let known = match email.parse::<Email>() {
            Ok(email) if !email.as_str().contains('\0') => self.store().password_of_email(&email).await?,
            _ => None,
        };
        let live = known.filter(|known| known.user.disabled_at.is_none());
        let hash = live.as_ref().and_then(|known| known.hash.clone());
        let compared = self.0.passwords.compare(password, hash.clone()).await?;
        let (Some(known), Some(hash), true) = (live, hash, compared.fits) else { return Ok(None) };
        let (plain, session) = self.session_mint(visitor)?;
        if !self.store().password_session(known.user.id, &hash, session).await? {
            return Ok(None);
        }
        if let Some(renewed) = compared.renewed
            && let Err(error) = self.store().password_rehash(known.user.id, &hash, &renewed).await
        {
            // The next sign-in tries again.
            tracing::warn!(%error, "a password was not hashed anew");
        }
        Ok(Some(Session { plain, user: known.user.id }))
    }

    /// Whether the caller has a password.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn password_is_set(&self, principal: &Principal) -> Result<bool, ServiceError> {
        Ok(self.store().password_of(principal.user().id).await?.hash.is_some())
    }
    /// Sets or changes the caller's password, and ends all its other sessions. Who has one proves it first.
    ///
    /// # Errors
    /// A caller with an access token; [`ServiceError::Invalid`] for `current` or `password`;
    /// [`ServiceError::TooManyAttempts`]; or when the store fails.
    pub async fn password_change(
        &self,
        principal: &Principal,
        current: Option<SecretText>,
        password: SecretText,
        keep: PublicId,
    ) -> Result<(), ServiceError> {
        principal.require_session()?;
        let user = principal.user();
        check_new(&password, user)?;
        self.password_prove(user, current).await?;
        let hash = self.0.passwords.hash(password).await?;
        Ok(self.store().password_set(&principal.actor(), user.id, &hash, Some(keep)).await?)
    }
    /// Removes the caller's password, and ends all its other sessions.
    ///
    /// # Errors
    /// As [`Self::password_change`], and [`ServiceError::State`] for a caller who could not sign in again.
    pub async fn password_remove(
        &self,
        principal: &Principal,
        current: Option<SecretText>,
        keep: PublicId,
    ) -> Result<(), ServiceError> {
        principal.require_session()?;
        self.password_prove(principal.user(), current).await?;
        Ok(self.store().password_remove(&principal.actor(), principal.user().id, Some(keep)).await?)
    }
    /// A session alone does not change a password: it may be one that was left open.
    async fn password_prove(&self, user: &User, current: Option<SecretText>) -> Result<(), ServiceError> {
        let Some(hash) = self.store().password_of(user.id).await?.hash else { return Ok(()) };
        let wrong = || ServiceError::invalid("current", "this is not your present password");
        let current = current.filter(|text| !text.expose().is_empty() && text.expose().len() <= LONGEST_PASSWORD);
        let current = current.ok_or_else(wrong)?;
        self.attempt_for(&user.id.to_string())?;
        if self.0.passwords.compare(current, Some(hash)).await?.fits { Ok(()) } else { Err(wrong()) }
    }
    /// The hash of a new user's password.
    pub(super) async fn password_first(
        &self,
        password: SecretText,
        name: &str,
        email: &str,
    ) -> Result<String, ServiceError> {
        password_check(password.expose(), name, Some(email))
            .map_err(|problem| ServiceError::invalid("password", problem))?;
        self.0.passwords.hash(password).await
    }
}

fn check_new(password: &SecretText, user: &User) -> Result<(), ServiceError> {
    let email = user.email.as_ref().map(Email::as_str);
    password_check(password.expose(), user.name.as_str(), email)
        .map_err(|problem| ServiceError::invalid("password", problem))
}

#[cfg(test)]
#[path = "passwords_tests.rs"]
mod tests;
