//! An OpenID Connect provider that lies on demand: what no provider that was certified will ever send.
//!
//! It asks nobody who they are: its authorization endpoint sends the browser straight back. Its keys are ECDSA on P-256.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The client's secret that it knows.
pub const CLIENT_SECRET: &str = "a-client-secret-of-the-tests";
/// The client that it knows.
const CLIENT: &str = "tollgate";

/// What it does otherwise than an honest provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Nothing.
    None,
    /// Its description says that it is another issuer.
    AnotherIssuersDescription,
    /// The token is signed by a key of its own that it does not publish, under the name of one that it does.
    HiddenKey,
    /// The same under a name that nobody knows.
    UnknownKey,
    /// The token says more than what was signed.
    ChangedClaims,
    /// The token is not signed: `alg` is `none`.
    NoSignature,
    /// The token is signed with HS256, the secret being the published key's bytes.
    PublicKeyAsSecret,
    /// The same, the secret being the published key as it is published.
    PublishedKeyAsSecret,
    /// The token is signed with HS256 and the client's secret.
    ClientSecretAsKey,
    /// The token is of another sign-in.
    WrongNonce,
    /// The token is of no sign-in.
    NoNonce,
    /// The token is for another client.
    WrongAudience,
    /// The token is of another issuer.
    WrongIssuer,
    /// The token ended a day ago.
    Expired,
    /// The token has no end.
    NoExpiry,
    /// The token says of nobody.
    NoSubject,
    /// There is no ID token in the answer.
    NoToken,
    /// The token leaves things out that its user info then says of another person.
    ForeignUserInfo,
}

impl Lie {
    /// All lies about tokens.
    pub const OF_TOKENS: [Self; 16] = [
        Self::HiddenKey,
        Self::UnknownKey,
        Self::ChangedClaims,
        Self::NoSignature,
        Self::PublicKeyAsSecret,
        Self::PublishedKeyAsSecret,
        Self::ClientSecretAsKey,
        Self::WrongNonce,
        Self::NoNonce,
        Self::WrongAudience,
        Self::WrongIssuer,
        Self::Expired,
        Self::NoExpiry,
        Self::NoSubject,
        Self::NoToken,
        Self::ForeignUserInfo,
    ];
}

/// A provider on a port of its own; ends with the test's runtime.
#[derive(Clone)]
pub struct Liar {
    /// Its address.
    pub issuer: String,
    state: Arc<Mutex<State>>,
}

struct State {
    lie: Lie,
    key: Key,
    /// How often the description was read.
    descriptions: u32,
    /// By code, the nonce of its sign-in.
    nonces: BTreeMap<String, String>,
}

/// A key and its name.
struct Key {
    id: String,
    pair: EcdsaKeyPair,
}

impl Key {
    fn new(id: &str) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random);
        Self { id: id.to_owned(), pair: pair.expect("a key") }
    }
    fn sign(&self, text: &str) -> String {
        base64url(self.pair.sign(&SystemRandom::new(), text.as_bytes()).expect("a signature").as_ref())
    }
    /// The point, without its first byte: x, then y.
    fn public(&self) -> (&[u8], &[u8]) {
        self.pair.public_key().as_ref()[1..].split_at(32)
    }
    fn published(&self) -> Value {
        let (x, y) = self.public();
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": base64url(x), "y": base64url(y)})
    }
}

impl Liar {
    /// Starts one.
    pub async fn start(lie: Lie) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let state = State { lie, key: Key::new("first"), descriptions: 0, nonces: BTreeMap::new() };
        let liar = Self { issuer, state: Arc::new(Mutex::new(state)) };
        let answering = liar.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let liar = answering.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(liar.clone(), request));
                    let http = hyper::server::conn::http1::Builder::new();
                    // A caller that hangs up has what it wanted.
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        liar
    }
    /// Lies like this from now on.
    pub fn lies(&self, lie: Lie) {
        self.state().lie = lie;
    }
    /// Has another key from now on, under this name, and publishes no other.
    pub fn changes_key(&self, id: &str) {
        self.state().key = Key::new(id);
    }
    /// How often its description was read.
    #[must_use]
    pub fn descriptions(&self) -> u32 {
        self.state().descriptions
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(liar: Liar, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut state = liar.state();
    let json = |value: Value| {
        let response = Response::builder().header("content-type", "application/json");
        response.body(Full::new(Bytes::from(value.to_string()))).expect("a response")
    };
    Ok(match head.uri.path() {
        "/.well-known/openid-configuration" => {
            state.descriptions += 1;
            let is_another = state.lie == Lie::AnotherIssuersDescription;
            let issuer = if is_another { "http://127.0.0.1:9" } else { &liar.issuer };
            json(json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{}/authorize", liar.issuer),
                "token_endpoint": format!("{}/token", liar.issuer),
                "userinfo_endpoint": format!("{}/me", liar.issuer),
                "jwks_uri": format!("{}/keys", liar.issuer),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
            }))
        }
        "/keys" => json(json!({"keys": [state.key.published()]})),
        "/authorize" => {
            let asked = fields(head.uri.query().unwrap_or_default());
            let code = format!("code-{}", state.nonces.len());
            state.nonces.insert(code.clone(), asked["nonce"].clone());
            let back = format!("{}?code={code}&state={}", asked["redirect_uri"], asked["state"]);
            Response::builder().status(302).header("location", back).body(Full::default()).expect("a response")
        }
        "/token" => {
            let sent = fields(&String::from_utf8_lossy(&body));
            match state.nonces.remove(&sent["code"]) {
                Some(nonce) => json(tokens(&state, &liar.issuer, nonce)),
                None => {
                    let mut refused = json(json!({"error": "invalid_grant"}));
                    *refused.status_mut() = http::StatusCode::BAD_REQUEST;
                    refused
                }
            }
        }
        "/me" => {
            let subject = if state.lie == Lie::ForeignUserInfo { "somebody-else" } else { "minh" };
            json(person(subject))
        }
        _ => Response::builder().status(404).body(Full::default()).expect("a response"),
    })
}

fn person(subject: &str) -> Value {
    json!({"sub": subject, "name": "Minh", "email": "minh@example.com", "email_verified": true, "groups": ["owners", "operators"]})
}

/// The answer to a code.
fn tokens(state: &State, issuer: &str, nonce: String) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let mut claims = person("minh");
    for (name, value) in [
        ("iss", json!(issuer)),
        ("aud", json!(CLIENT)),
        ("iat", json!(now)),
        ("exp", json!(now + 300)),
        ("nonce", json!(nonce)),
    ] {
        claims[name] = value;
    }
    let take_out = |claims: &mut Value, name: &str| drop(claims.as_object_mut().expect("claims").remove(name));
    match state.lie {
        Lie::WrongNonce => claims["nonce"] = json!("0".repeat(64)),
        Lie::NoNonce => take_out(&mut claims, "nonce"),
        Lie::WrongAudience => claims["aud"] = json!("another-client"),
        Lie::WrongIssuer => claims["iss"] = json!("http://127.0.0.1:9"),
        Lie::Expired => (claims["iat"], claims["exp"]) = (json!(now - 90_000), json!(now - 86_400)),
        Lie::NoExpiry => take_out(&mut claims, "exp"),
        Lie::NoSubject => take_out(&mut claims, "sub"),
        Lie::ForeignUserInfo => {
            ["email", "email_verified", "groups"].iter().for_each(|name| take_out(&mut claims, name))
        }
        _ => {}
    }
    let key = &state.key;
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let head = |algorithm: &str, id: &str| part(&json!({"alg": algorithm, "typ": "JWT", "kid": id}));
    let secret = |secret: &[u8], text: &str| {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        base64url(hmac::sign(&secret, text.as_bytes()).as_ref())
    };
    let with_secret = |bytes: &[u8]| {
        let text = format!("{}.{}", head("HS256", &key.id), part(&claims));
        format!("{text}.{}", secret(bytes, &text))
    };
    let with_key = |key: &Key, id: &str| {
        let text = format!("{}.{}", head("ES256", id), part(&claims));
        format!("{text}.{}", key.sign(&text))
    };
    let token = match state.lie {
        Lie::HiddenKey => with_key(&Key::new("hidden"), &key.id),
        Lie::UnknownKey => with_key(&Key::new("hidden"), "hidden"),
        Lie::ChangedClaims => {
            let signed = with_key(key, &key.id);
            let parts: Vec<&str> = signed.split('.').collect();
            claims["sub"] = json!("the-operator");
            format!("{}.{}.{}", parts[0], base64url(claims.to_string().as_bytes()), parts[2])
        }
        Lie::NoSignature => format!("{}.{}.", head("none", &key.id), part(&claims)),
        Lie::PublicKeyAsSecret => with_secret(key.pair.public_key().as_ref()),
        Lie::PublishedKeyAsSecret => with_secret(key.published().to_string().as_bytes()),
        Lie::ClientSecretAsKey => with_secret(CLIENT_SECRET.as_bytes()),
        _ => with_key(key, &key.id),
    };
    let mut answer =
        json!({"access_token": "an-access-token", "token_type": "Bearer", "expires_in": 300, "id_token": token});
    if state.lie == Lie::NoToken {
        take_out(&mut answer, "id_token");
    }
    answer
}

/// The fields of a form or a query.
fn fields(text: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((first, behind)) = rest.split_first() {
            let hex = || std::str::from_utf8(behind.get(..2)?).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
            match hex().filter(|_| *first == b'%') {
                Some(byte) => (rest, bytes) = (&behind[2..], [bytes, vec![byte]].concat()),
                None => (rest, bytes) = (behind, [bytes, vec![*first]].concat()),
            }
        }
        String::from_utf8(bytes).expect("UTF-8")
    };
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

/// RFC 4648, section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..=three.len() {
            text.push(char::from(alphabet[(word >> (18 - 6 * place) & 63) as usize]));
        }
    }
    text
}
