//! A stand-in for GitHub's secret scanning: publishes a key of its own, and signs reports with it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use base64ct::{Base64, Encoding as _};
use p256::{
    ecdsa::{DerSignature, SigningKey, signature::Signer as _},
    pkcs8::{EncodePublicKey as _, LineEnding},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};

use crate::{Http, http::Request};

/// Where reports go.
pub const HOOK: &str = "/hooks/github/secret-scanning";

/// The stand-in. Stops when dropped.
#[derive(Debug)]
pub struct FakeGithub {
    signer: SigningKey,
    identifier: String,
    address: String,
    asked: Arc<AtomicU64>,
    server: JoinHandle<()>,
}

impl Drop for FakeGithub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeGithub {
    /// Starts it on a port of its own.
    ///
    /// # Panics
    /// Where no port can be had.
    pub async fn start() -> Self {
        Self::start_as([9; 32]).await
    }
    /// Starts one that signs with this key.
    ///
    /// # Panics
    /// Where no port can be had.
    pub async fn start_as(key: [u8; 32]) -> Self {
        let signer = SigningKey::from_slice(&key).expect("a key");
        let pem = signer.verifying_key().to_public_key_pem(LineEnding::LF).expect("PEM");
        let identifier = hex(&Sha256::digest(pem.as_bytes()));
        let keys = json!({"public_keys": [{"key_identifier": identifier, "key": pem, "is_current": true}]}).to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}/meta/public_keys/secret_scanning", listener.local_addr().expect("an address"));
        let asked = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&asked);
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { break };
                    head.push(byte);
                }
                counted.fetch_add(1, Ordering::SeqCst);
                let length = keys.len();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{keys}");
                // Whoever asked may have gone.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { signer, identifier, address, asked, server }
    }
    /// The setting `leaks.github_keys`.
    #[must_use]
    pub fn setting(&self) -> String {
        format!("github_keys = \"{}\"", self.address)
    }
    /// How often its keys were asked for.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
    /// A signed report of these entries, for this node.
    #[must_use]
    pub fn report(&self, http: Http, entries: &Value) -> Request {
        let body = entries.to_string();
        let signature: DerSignature = self.signer.sign(body.as_bytes());
        http.request("POST", HOOK)
            .header("content-type", "application/json")
            .header("github-public-key-identifier", &self.identifier)
            .header("github-public-key-signature", &Base64::encode_string(signature.as_bytes()))
            .body(body)
    }
}

/// The entry of a key that was found there.
#[must_use]
pub fn entry(key: &str, url: &str) -> Value {
    json!({"token": key, "type": "tollgate_api_key", "url": url, "source": "content"})
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
