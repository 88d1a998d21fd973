//! The deployment's master key, what is derived from it, and the sealing of upstream credentials.
//!
//! From 32 random bytes HKDF-SHA-256 (RFC 5869) derives a pepper per kind of secret and one
//! encryption key. Credentials are sealed with ChaCha20-Poly1305 (RFC 8439) under a random nonce and
//! bound to the id of their upstream, so that a row moved to another upstream does not open.

use std::fmt;

use chacha20poly1305::{
    ChaCha20Poly1305, Nonce,
    aead::{Aead, KeyInit, Payload},
};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{secret::Pepper, world::World};

const NONCE_LENGTH: usize = 12;

/// 32 random bytes that are in a file or the environment, never in the store.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// Why a sealed value did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored credential does not open with this master key")]
pub struct UnsealError;

/// A secret text that is not a key of ours: an upstream's credential. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
    /// The text, for the one header that carries it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}
impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}
impl<'de> serde::Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl MasterKey {
    /// From its bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
    /// A new one.
    #[must_use]
    pub fn generate(world: &World) -> Self {
        let mut bytes = Zeroizing::new([0u8; 32]);
        world.fill(bytes.as_mut());
        Self(bytes)
    }
    /// Its bytes, to be written to a file that only its owner may read.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
    /// The pepper of API keys.
    #[must_use]
    pub fn key_pepper(&self) -> Pepper {
        Pepper::new(&self.derive(b"tollgate/v1/api-key"))
    }
    /// The pepper of access tokens.
    #[must_use]
    pub fn token_pepper(&self) -> Pepper {
        Pepper::new(&self.derive(b"tollgate/v1/access-token"))
    }
    /// The pepper of one-time links, invitations and sessions.
    #[must_use]
    pub fn session_pepper(&self) -> Pepper {
        Pepper::new(&self.derive(b"tollgate/v1/session"))
    }
    /// What passwords are hashed with beside their salt: a copy of the store alone guesses none of them.
    #[must_use]
    pub fn password_pepper(&self) -> Zeroizing<[u8; 32]> {
        self.derive(b"tollgate/v1/password")
    }
    /// A value by which a store can tell that it belongs to this master key: 16 bytes that say
    /// nothing about it.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 16] {
        let derived = self.derive(b"tollgate/v1/fingerprint");
        let mut print = [0; 16];
        print.copy_from_slice(derived.first_chunk::<16>().unwrap_or(&[0; 16]));
        print
    }
    /// Seals `secret`, bound to `context` (the owner's id). The result is nonce and ciphertext.
    #[must_use]
    pub fn seal(&self, secret: &SecretText, context: &str, world: &World) -> Vec<u8> {
        let mut nonce = [0u8; NONCE_LENGTH];
        world.fill(&mut nonce);
        let payload = Payload { msg: secret.expose().as_bytes(), aad: context.as_bytes() };
        let mut sealed = nonce.to_vec();
        // Encryption fails only for messages of 256 GiB.
        sealed.extend(self.cipher().encrypt(&Nonce::from(nonce), payload).unwrap_or_default());
        sealed
    }
    /// Opens what [`Self::seal`] sealed for the same context.
    ///
    /// # Errors
    /// Another master key, another context, or bytes that were changed.
    pub fn open(&self, sealed: &[u8], context: &str) -> Result<SecretText, UnsealError> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LENGTH>().ok_or(UnsealError)?;
        let payload = Payload { msg: ciphertext, aad: context.as_bytes() };
        let plain = self.cipher().decrypt(&Nonce::from(*nonce), payload).map_err(|_| UnsealError)?;
        String::from_utf8(plain).map(SecretText::new).map_err(|_| UnsealError)
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new((&*self.derive(b"tollgate/v1/credentials")).into())
    }
    fn derive(&self, purpose: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut derived = Zeroizing::new([0u8; 32]);
        // 32 bytes are within HKDF-SHA-256's limit of 8,160: this cannot fail.
        let expanded = Hkdf::<Sha256>::new(None, self.0.as_ref()).expand(purpose, derived.as_mut());
        debug_assert!(expanded.is_ok());
        derived
    }
}
impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        time::Timestamp,
        world::{Clock, Entropy},
    };

    struct Fixed;
    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }
    }
    impl Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(9);
        }
    }

    #[test]
    fn a_credential_opens_only_with_its_key_its_context_and_unchanged() {
        let master = MasterKey::from_bytes([1; 32]);
        let secret = SecretText::new("sk-upstream".into());
        let sealed = master.seal(&secret, "up_1", &World::new(Fixed, Fixed));
        assert_eq!(master.open(&sealed, "up_1"), Ok(secret));
        assert_eq!(master.open(&sealed, "up_2"), Err(UnsealError));
        assert_eq!(MasterKey::from_bytes([2; 32]).open(&sealed, "up_1"), Err(UnsealError));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(master.open(&changed, "up_1"), Err(UnsealError));
            assert_eq!(master.open(&sealed[..at], "up_1"), Err(UnsealError));
        }
    }
}
