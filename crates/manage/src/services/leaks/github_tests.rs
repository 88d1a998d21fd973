//! GitHub's own published examples, bit by bit, and keys that come late, change, or do not come.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use p256::{
    ecdsa::{SigningKey, signature::Signer as _},
    pkcs8::{EncodePublicKey as _, LineEnding},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

/// `{public_keys, vectors: [{key_identifier, body, signature, valid}]}`
const VECTORS: &str = include_str!("github_vectors.json");

#[derive(Deserialize)]
struct Vectors {
    public_keys: Vec<PublishedKey>,
    vectors: Vec<Vector>,
}
#[derive(Deserialize)]
struct Vector {
    key_identifier: String,
    body: String,
    signature: String,
    valid: bool,
}

/// With these keys, fetched a moment ago, and nowhere to ask for others.
fn with_keys(public_keys: Vec<PublishedKey>) -> GithubKeys {
    let keys = GithubKeys::new(&LeakOptions::default());
    let set = KeySet {
        keys: public_keys.into_iter().filter_map(public_key).collect(),
        etag: None,
        fetched: Some(Instant::now()),
    };
    GithubKeys { set: RwLock::new(Arc::new(set)), ..keys }
}

async fn fits(keys: &GithubKeys, identifier: &str, signature: &str, body: &[u8]) -> bool {
    keys.verify(GithubSigned { identifier, signature }, body).await.is_ok()
}

/// Every text with one bit another; those that are no text any more are refused before they come here.
fn flipped(text: &str) -> impl Iterator<Item = String> + '_ {
    (0..text.len() * 8).filter_map(|bit| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        String::from_utf8(bytes).ok()
    })
}

#[tokio::test]
async fn the_published_examples_fit_and_none_with_a_bit_changed_does() {
    let Vectors { public_keys, vectors } = serde_json::from_str(VECTORS).unwrap();
    let keys = with_keys(public_keys);
    assert_eq!(vectors.iter().filter(|vector| vector.valid).count(), 4);
    for Vector { key_identifier, body, signature, valid } in &vectors {
        assert_eq!(fits(&keys, key_identifier, signature, body.as_bytes()).await, *valid, "{body:?}");
        if !valid {
            continue;
        }
        for other in flipped(key_identifier) {
            assert!(!fits(&keys, &other, signature, body.as_bytes()).await, "{other}");
        }
        for other in flipped(signature) {
            assert!(!fits(&keys, key_identifier, &other, body.as_bytes()).await, "{other}");
        }
        for bit in 0..body.len() * 8 {
            let mut other = body.clone().into_bytes();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!fits(&keys, key_identifier, signature, &other).await, "bit {bit} of {body}");
        }
        for cut in [0, 1, body.len() / 2, body.len() - 1] {
            assert!(!fits(&keys, key_identifier, signature, &body.as_bytes()[..cut]).await);
        }
        for odd in [
            format!("{signature}="),
            format!(" {signature}"),
            signature.replace('=', ""),
            "A".repeat(10_000),
            String::new(),
        ] {
            assert!(odd == *signature || !fits(&keys, key_identifier, &odd, body.as_bytes()).await, "{odd}");
        }
    }
}

#[tokio::test]
async fn a_key_that_is_not_in_use_any_more_signs_nothing() {
    let Vectors { mut public_keys, vectors } = serde_json::from_str(VECTORS).unwrap();
    public_keys.iter_mut().for_each(|key| key.is_current = false);
    let keys = with_keys(public_keys);
    for vector in vectors {
        assert!(!fits(&keys, &vector.key_identifier, &vector.signature, vector.body.as_bytes()).await);
    }
}

/// A stand-in for GitHub: counts how often it is asked, answers what the test says.
struct StandIn {
    address: String,
    asked: Arc<AtomicU32>,
    answer: Arc<std::sync::Mutex<(u16, String)>>,
    etags: Arc<std::sync::Mutex<Vec<Option<String>>>>,
}

impl StandIn {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/keys", listener.local_addr().unwrap());
        let (asked, answer) = (Arc::new(AtomicU32::new(0)), Arc::new(std::sync::Mutex::new((500, String::new()))));
        let etags = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = (Arc::clone(&asked), Arc::clone(&answer), Arc::clone(&etags));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap().to_lowercase();
                let etag = head.lines().find_map(|line| line.strip_prefix("if-none-match: "));
                seen.2.lock().unwrap().push(etag.map(str::to_owned));
                seen.0.fetch_add(1, Ordering::SeqCst);
                let (status, body) = seen.1.lock().unwrap().clone();
                let head = format!(
                    "HTTP/1.1 {status} X\r\netag: \"v1\"\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                // A caller that has gone has gone.
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        Self { address, asked, answer, etags }
    }
    fn says(&self, status: u16, body: impl ToString) {
        *self.answer.lock().unwrap() = (status, body.to_string());
    }
    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
    fn keys(&self) -> Arc<GithubKeys> {
        Arc::new(GithubKeys::new(&LeakOptions { github_keys: Some(self.address.clone()), ..LeakOptions::default() }))
    }
}

struct Signer {
    key: SigningKey,
    identifier: String,
    pem: String,
}

impl Signer {
    fn new(seed: u8) -> Self {
        let key = SigningKey::from_slice(&[seed; 32]).unwrap();
        let pem = key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
        Self { identifier: hex(&Sha256::digest(pem.as_bytes())), key, pem }
    }
    fn published(&self) -> serde_json::Value {
        serde_json::json!({"key_identifier": self.identifier, "key": self.pem, "is_current": true})
    }
    fn sign(&self, body: &[u8]) -> String {
        let signature: DerSignature = self.key.sign(body);
        Base64::encode_string(signature.as_bytes())
    }
    async fn accepted(&self, keys: &GithubKeys) -> Result<(), GithubRefusal> {
        let (body, signature) = (b"[]".as_slice(), self.sign(b"[]"));
        keys.verify(GithubSigned { identifier: &self.identifier, signature: &signature }, body).await
    }
}

fn list(signers: &[&Signer]) -> serde_json::Value {
    serde_json::json!({"public_keys": signers.iter().map(|signer| signer.published()).collect::<Vec<_>>()})
}

/// Time goes on by itself only while nothing waits for a socket.
async fn later(by: Duration) {
    tokio::time::pause();
    tokio::time::advance(by).await;
    tokio::time::resume();
}

#[tokio::test]
async fn keys_are_fetched_once_for_many_and_again_for_an_unknown_one_at_most_once_a_minute() {
    let (github, first, second) = (StandIn::start().await, Signer::new(1), Signer::new(2));
    github.says(200, list(&[&first]));
    let keys = github.keys();
    let many = (0..20).map(|_| {
        let keys = Arc::clone(&keys);
        tokio::spawn(async move { Signer::new(1).accepted(&keys).await.is_ok() })
    });
    for one in many.collect::<Vec<_>>() {
        assert!(one.await.unwrap());
    }
    assert_eq!(github.asked(), 1, "one asks for all");
    // GitHub changes its keys: within the minute nobody is asked again, behind it one for all.
    github.says(200, list(&[&first, &second]));
    for _ in 0..5 {
        assert!(matches!(second.accepted(&keys).await, Err(GithubRefusal::UnknownKey)));
    }
    assert_eq!(github.asked(), 1);
    later(AGAIN).await;
    let many = (0..20).map(|_| {
        let keys = Arc::clone(&keys);
        tokio::spawn(async move { Signer::new(2).accepted(&keys).await.is_ok() })
    });
    for one in many.collect::<Vec<_>>() {
        assert!(one.await.unwrap());
    }
    assert_eq!(github.asked(), 2);
    // Made-up identifiers, one after the other: still no more than one question a minute.
    for seed in 10..40 {
        assert!(Signer::new(seed).accepted(&keys).await.is_err());
    }
    assert_eq!(github.asked(), 2);
    // A key that was withdrawn is not good for longer than the keys are fresh.
    github.says(200, list(&[&second]));
    later(FRESH).await;
    assert!(second.accepted(&keys).await.is_ok() && first.accepted(&keys).await.is_err());
}

#[tokio::test]
async fn while_github_is_down_old_keys_count_on_and_without_any_nobody_can_tell() {
    let (github, signer) = (StandIn::start().await, Signer::new(1));
    let keys = github.keys();
    for _ in 0..3 {
        assert!(matches!(signer.accepted(&keys).await, Err(GithubRefusal::NoKeys)));
    }
    assert_eq!(github.asked(), 1);
    github.says(200, "not json");
    later(AGAIN).await;
    assert!(matches!(signer.accepted(&keys).await, Err(GithubRefusal::NoKeys)));
    github.says(200, list(&[&signer]));
    later(AGAIN).await;
    assert!(signer.accepted(&keys).await.is_ok());
    // Down for a month.
    github.says(503, "");
    for _ in 0..30 {
        later(FRESH * 24).await;
        assert!(signer.accepted(&keys).await.is_ok());
    }
    assert!(matches!(Signer::new(2).accepted(&keys).await, Err(GithubRefusal::UnknownKey)));
    // Unchanged, says GitHub, asked on condition.
    github.says(304, "");
    later(FRESH).await;
    let asked = github.asked();
    assert!(signer.accepted(&keys).await.is_ok() && signer.accepted(&keys).await.is_ok());
    assert_eq!(github.asked(), asked + 1);
    assert_eq!(github.etags.lock().unwrap().last().unwrap().as_deref(), Some("\"v1\""));
}

#[test]
fn a_delivery_is_by_whoever_has_the_secret() {
    // The example of GitHub's documentation ("Validating webhook deliveries").
    let secret = SecretText::new("It's a Secret to Everybody".to_owned());
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let body = b"Hello, World!";
    assert!(is_signed(&secret, signature, body));
    for other in flipped(signature) {
        assert!(!is_signed(&secret, &other, body), "{other}");
    }
    for bit in 0..body.len() * 8 {
        let mut other = *body;
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_signed(&secret, signature, &other));
    }
    assert!(!is_signed(&SecretText::new("another".to_owned()), signature, body));
    for odd in ["", "sha256=", "sha1=757107ea0eb2509fc211221cce984b8a37570b6d", &signature[..70], "sha256=é"] {
        assert!(!is_signed(&secret, odd, body), "{odd}");
    }
}
