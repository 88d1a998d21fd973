//! Signatures and secrets of the Standard Webhooks specification
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
//!
//! What is signed is `id.timestamp.body`, with HMAC-SHA-256 under the bytes of the secret; the header has `v1,` and base64, one
//! for each secret that is valid. A secret is written `whsec_` and base64.

use base64ct::{Base64, Encoding as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tollgate_core::{Timestamp, World, seal::SecretText};
use zeroize::Zeroizing;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// Random bytes of a secret; the specification has 24 to 64.
const SECRET_BYTES: usize = 32;

/// A new secret, as its owner sees it once.
pub(crate) fn new_secret(world: &World) -> SecretText {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    world.fill(bytes.as_mut());
    SecretText::new(format!("{PREFIX}{}", Base64::encode_string(bytes.as_ref())))
}

/// The header `webhook-signature` for these secrets, in seconds at `at`; `None` for a secret that is none.
pub(super) fn signature(secrets: &[SecretText], id: &str, at: Timestamp, body: &[u8]) -> Option<String> {
    let mut signatures = Vec::with_capacity(secrets.len());
    for secret in secrets {
        let key = Zeroizing::new(Base64::decode_vec(secret.expose().strip_prefix(PREFIX)?).ok()?);
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
        mac.update(format!("{id}.{}.", seconds(at)).as_bytes());
        mac.update(body);
        signatures.push(format!("v1,{}", Base64::encode_string(&mac.finalize().into_bytes())));
    }
    Some(signatures.join(" "))
}

/// The header `webhook-timestamp`.
pub(super) fn seconds(at: Timestamp) -> i64 {
    at.as_millis() / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own reference libraries.
    #[test]
    fn a_signature_is_that_of_the_reference() {
        let secret = || SecretText::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into());
        let at = Timestamp::from_millis(1_614_265_330_999);
        let body = br#"{"test": 2432232314}"#;
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let signed = |secrets: &[SecretText]| signature(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, body);
        assert_eq!(signed(&[secret()]).as_deref(), Some(expected));
        let both = signed(&[SecretText::new(format!("whsec_{}", Base64::encode_string(&[7; 24]))), secret()]).unwrap();
        assert!(both.ends_with(&format!(" {expected}")) && both.starts_with("v1,"), "{both}");
        for wrong in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%", ""] {
            assert_eq!(signed(&[SecretText::new(wrong.into())]), None);
        }
    }
}
