//! GitHub's secret scanning: the partner protocol, and the webhook of an organisation's own alerts.
//!
//! The partner protocol, as GitHub documents it for partners ("Secret scanning partner program"): a report is signed with
//! ECDSA on P-256 over SHA-256 of the body's bytes as they came; the public keys are fetched from GitHub and named by an
//! identifier. Nothing of a body is read before its signature fits.
//!
//! Keys are kept in memory and looked at anew once they are [`FRESH`] old, or for an identifier that nobody knows; never by
//! two at once and never more often than once in [`AGAIN`]. Where GitHub cannot be reached, those that are there count on,
//! however old. They are fetched with the first report and not at start: a deployment that no scanner knows asks nobody.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use base64ct::{Base64, Encoding as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderValue, StatusCode, header};
use openidconnect::AsyncHttpClient as _;
use p256::{
    ecdsa::{DerSignature, VerifyingKey, signature::Verifier as _},
    pkcs8::DecodePublicKey as _,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::{Mutex, RwLock},
    time::{Instant, timeout},
};
use tollgate_core::{
    leak::{LeakSource, PlaceKind},
    seal::SecretText,
};
use zeroize::Zeroizing;

use super::{LeakOptions, Sighting, Verdict, busy, intake};
use crate::{
    background::outcome,
    services::{ServiceError, Services, outgoing::HttpClient},
};

/// How old keys are looked at anew before they are used.
const FRESH: Duration = Duration::from_secs(3_600);
/// How often GitHub is asked for keys at most.
const AGAIN: Duration = Duration::from_secs(60);
/// Most keys of GitHub's.
const MOST_KEYS: usize = 100;
/// Most entries of one report.
const MOST_ENTRIES: usize = 10_000;
/// The longest signature, as its header says it: a DER signature of P-256 has at most 72 bytes.
const LONGEST_SIGNATURE: usize = 128;
/// How long GitHub waits for the answer to a webhook is 10 s: this long the alert is followed before it is answered.
const ALERT_WAIT: Duration = Duration::from_secs(9);

/// One of GitHub's public keys.
#[derive(Clone)]
struct PublicKey {
    key: VerifyingKey,
    is_current: bool,
}

#[derive(Default)]
struct KeySet {
    keys: HashMap<String, PublicKey>,
    etag: Option<HeaderValue>,
    fetched: Option<Instant>,
}

/// GitHub's public keys, as far as they were fetched.
pub(in crate::services) struct GithubKeys {
    address: Option<String>,
    token: Option<SecretText>,
    client: HttpClient,
    set: RwLock<Arc<KeySet>>,
    /// Held by the one who fetches: when that was tried last.
    tried: Mutex<Option<Instant>>,
}

/// A report's signature and whose it is said to be, as the headers say it; each of them once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GithubSigned<'a> {
    /// `Github-Public-Key-Identifier`
    pub(crate) identifier: &'a str,
    /// `Github-Public-Key-Signature`
    pub(crate) signature: &'a str,
}

/// Why a report is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GithubRefusal {
    /// The protocol is switched off here.
    #[error("not served here")]
    Off,
    /// It is not GitHub's, or not as GitHub writes it.
    #[error("{0}")]
    Wrong(&'static str),
    /// It is signed with a key that GitHub does not publish.
    #[error("no key of GitHub's has this identifier")]
    UnknownKey,
    /// GitHub's keys cannot be had, so nobody can tell.
    #[error("the public keys of GitHub cannot be fetched")]
    NoKeys,
    /// An alert cannot be read.
    #[error("the alert cannot be read: {0}")]
    Unread(&'static str),
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// Feedback on one entry of a report.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct GithubAnswer {
    /// SHA-256 of the token, hexadecimal: no key of ours in any answer.
    token_hash: String,
    token_type: String,
    label: &'static str,
}

/// One entry of a report.
#[derive(Deserialize)]
struct Entry {
    token: Zeroizing<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    source: Option<String>,
}

/// GitHub's answer to a question for its keys.
#[derive(Deserialize)]
struct Published {
    public_keys: Vec<PublishedKey>,
}
#[derive(Deserialize)]
struct PublishedKey {
    key_identifier: String,
    key: String,
    #[serde(default)]
    is_current: bool,
}

impl GithubKeys {
    pub(super) fn new(options: &LeakOptions) -> Self {
        Self {
            address: options.github_keys.clone(),
            token: options.github_token.clone(),
            client: HttpClient::default(),
            set: RwLock::default(),
            tried: Mutex::default(),
        }
    }

    /// Goes on only if a key of GitHub's that is in use made this signature of these bytes.
    async fn verify(&self, signed: GithubSigned<'_>, body: &[u8]) -> Result<(), GithubRefusal> {
        use GithubRefusal::Wrong;
        let is_identifier = signed.identifier.len() == 64
            && signed.identifier.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_identifier {
            return Err(Wrong("the key identifier is not 64 hexadecimal digits"));
        }
        let key = self.key(signed.identifier).await?;
        if !key.is_current {
            return Err(Wrong("the key of this signature is not in use any more"));
        }
        if signed.signature.len() > LONGEST_SIGNATURE {
            return Err(Wrong("the signature is too long"));
        }
        let der = Base64::decode_vec(signed.signature).map_err(|_| Wrong("the signature is not base64"))?;
        let signature = DerSignature::from_bytes(&der).map_err(|_| Wrong("the signature is not DER"))?;
        key.key.verify(body, &signature).map_err(|_| Wrong("the signature does not fit the body"))
    }

    /// The key of this identifier.
    async fn key(&self, identifier: &str) -> Result<PublicKey, GithubRefusal> {
        let known = Arc::clone(&*self.set.read().await);
        let is_fresh = known.fetched.is_some_and(|fetched| fetched.elapsed() < FRESH);
        if is_fresh && let Some(key) = known.keys.get(identifier) {
            return Ok(key.clone());
        }
        let known = self.fetch(identifier).await;
        match known.keys.get(identifier) {
            Some(key) => Ok(key.clone()),
            None if known.fetched.is_none() => Err(GithubRefusal::NoKeys),
            None => {
                tracing::warn!(identifier, "a report of leaked keys is signed with a key that GitHub does not publish");
                Err(GithubRefusal::UnknownKey)
            }
        }
    }

    /// The keys after a question to GitHub, or as they are, where that was asked a moment ago or does not answer.
    async fn fetch(&self, identifier: &str) -> Arc<KeySet> {
        let mut tried = self.tried.lock().await;
        let known = Arc::clone(&*self.set.read().await);
        // Somebody else fetched them meanwhile.
        let is_fresh = known.fetched.is_some_and(|fetched| fetched.elapsed() < FRESH);
        if (is_fresh && known.keys.contains_key(identifier)) || tried.is_some_and(|tried| tried.elapsed() < AGAIN) {
            return known;
        }
        *tried = Some(Instant::now());
        match self.ask(&known).await {
            Ok(set) => {
                let set = Arc::new(set);
                *self.set.write().await = Arc::clone(&set);
                set
            }
            Err(problem) => {
                tracing::warn!(problem, keys = known.keys.len(), "the public keys of GitHub cannot be fetched");
                known
            }
        }
    }

    async fn ask(&self, known: &KeySet) -> Result<KeySet, String> {
        let address = self.address.as_deref().ok_or("no address is set")?;
        let mut request = github_request(address, self.token.as_ref())?;
        if let Some(etag) = &known.etag {
            request.headers_mut().insert(header::IF_NONE_MATCH, etag.clone());
        }
        let answer = self.client.call(request).await.map_err(|error| error.to_string())?;
        match answer.status() {
            StatusCode::NOT_MODIFIED if known.fetched.is_some() => {
                Ok(KeySet { keys: known.keys.clone(), etag: known.etag.clone(), fetched: Some(Instant::now()) })
            }
            StatusCode::OK => {
                let etag = answer.headers().get(header::ETAG).cloned();
                let published: Published =
                    serde_json::from_slice(answer.body()).map_err(|error| format!("no list of keys: {error}"))?;
                if published.public_keys.len() > MOST_KEYS {
                    return Err(format!("more than {MOST_KEYS} keys"));
                }
                let keys = published.public_keys.into_iter().filter_map(public_key).collect();
                Ok(KeySet { keys, etag, fetched: Some(Instant::now()) })
            }
            other => Err(format!("answered {other}")),
        }
    }
}

/// A published key; one that is not of P-256 is left out.
fn public_key(published: PublishedKey) -> Option<(String, PublicKey)> {
    let PublishedKey { key_identifier, key, is_current } = published;
    let Ok(parsed) = VerifyingKey::from_public_key_pem(&key) else {
        tracing::warn!(key_identifier, "a public key of GitHub's cannot be read");
        return None;
    };
    // Not documented, and so far true of each of them: nothing is decided by it.
    if hex(&Sha256::digest(key.as_bytes())) != key_identifier {
        tracing::warn!(key_identifier, "a public key of GitHub's is not named by its own hash");
    }
    Some((key_identifier, PublicKey { key: parsed, is_current }))
}

fn github_request(address: &str, token: Option<&SecretText>) -> Result<http::Request<Vec<u8>>, String> {
    let mut request = http::Request::builder()
        .uri(address)
        .header(header::ACCEPT, "application/vnd.github+json")
        .header(header::USER_AGENT, concat!("tollgate/", env!("CARGO_PKG_VERSION")))
        .header("x-github-api-version", "2022-11-28")
        .body(Vec::new())
        .map_err(|error| error.to_string())?;
    if let Some(token) = token {
        let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
        let mut value = value.map_err(|_| "the GitHub token has characters that no header takes")?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    Ok(request)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Services {
    /// Takes a report of GitHub's partner protocol in: feedback on each entry, in order.
    ///
    /// # Errors
    /// Not GitHub's, or not as it writes it; no keys to tell by; when the store fails.
    pub(crate) async fn github_report(
        &self,
        signed: GithubSigned<'_>,
        body: &[u8],
        address: Option<IpAddr>,
    ) -> Result<Vec<GithubAnswer>, GithubRefusal> {
        self.leaks.github_keys.as_ref().ok_or(GithubRefusal::Off)?;
        self.0.leaks.github.verify(signed, body).await?;
        let entries: Vec<Entry> = serde_json::from_slice(body)
            .map_err(|_| GithubRefusal::Wrong("the body is no list of objects with a token each"))?;
        if entries.len() > MOST_ENTRIES {
            return Err(GithubRefusal::Wrong("a report has at most 10000 entries"));
        }
        let mut answers: Vec<GithubAnswer> = Vec::with_capacity(entries.len());
        let mut sightings = Vec::with_capacity(entries.len());
        for Entry { token, kind, url, source } in entries {
            answers.push(GithubAnswer {
                token_hash: hex(&Sha256::digest(token.as_bytes())),
                token_type: kind.unwrap_or_else(|| self.leaks.token_type.clone()),
                label: "false_positive",
            });
            let kind = source.as_deref().map(PlaceKind::of).unwrap_or_default();
            sightings.push(Sighting::new(token, url.as_deref(), kind));
        }
        // Should it take longer than GitHub waits: what it is can be said before it is dead everywhere.
        let known = self.sightings_known(&sightings).await?;
        self.sightings_take(intake(address), LeakSource::Github, sightings).await?;
        for (answer, known) in answers.iter_mut().zip(known) {
            answer.label = if known { "true_positive" } else { "false_positive" };
        }
        Ok(answers)
    }
    /// Which of these are of this deployment, dead ones too.
    async fn sightings_known(&self, sightings: &[Sighting]) -> Result<Vec<bool>, ServiceError> {
        let reports: Vec<_> = sightings.iter().map(|sighting| self.report_of(sighting)).collect();
        let well_formed: Vec<_> = reports.iter().flatten().cloned().collect();
        let mut subjects = self.store().leak_subjects(&well_formed).await?.into_iter();
        Ok(reports.iter().map(|report| report.is_some() && subjects.next().flatten().is_some()).collect())
    }
}

/// What a delivery of the webhook came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AlertOutcome {
    /// It says nothing of a new leak.
    Ignored,
    /// The secret is none of this deployment.
    Unknown,
    /// It is one, and what follows a leak has followed.
    Taken,
    /// It is on its way.
    Pending,
}

/// What is read of a delivery.
#[derive(Deserialize)]
struct Delivery {
    #[serde(default)]
    action: String,
    #[serde(default)]
    alert: Option<Alert>,
}
#[derive(Deserialize)]
struct Alert {
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    html_url: Option<String>,
    /// Not in what GitHub sends today; in the alert itself.
    #[serde(default)]
    secret: Option<Zeroizing<String>>,
}

impl Services {
    /// Takes a delivery of GitHub's webhooks in. `signature` is the header `X-Hub-Signature-256`.
    ///
    /// # Errors
    /// Not by whoever has the secret; an alert that cannot be read; when the store fails.
    pub(crate) async fn github_alert(
        &self,
        event: &str,
        signature: &str,
        body: &[u8],
        address: Option<IpAddr>,
    ) -> Result<AlertOutcome, GithubRefusal> {
        let secret = self.leaks.github_webhook.as_ref().ok_or(GithubRefusal::Off)?;
        if !is_signed(secret, signature, body) {
            return Err(GithubRefusal::Wrong("the signature does not fit the body"));
        }
        if event != "secret_scanning_alert" {
            return Ok(AlertOutcome::Ignored);
        }
        let delivery: Delivery =
            serde_json::from_slice(body).map_err(|_| GithubRefusal::Wrong("the body is no delivery of a webhook"))?;
        let alert = match (delivery.action.as_str(), delivery.alert) {
            ("created" | "reopened" | "publicly_leaked" | "validated", Some(alert)) => alert,
            _ => return Ok(AlertOutcome::Ignored),
        };
        let services = self.clone();
        let work = async move {
            let Alert { url, html_url, secret } = alert;
            let secret = match secret {
                Some(secret) => secret,
                None => services.alert_secret(url.as_deref()).await?,
            };
            let sighting = Sighting::new(secret, html_url.as_deref(), PlaceKind::Unknown);
            let taken = services.sightings_take(intake(address), LeakSource::GithubAlert, vec![sighting]).await?;
            Ok::<_, GithubRefusal>(match taken.as_ref().and_then(|taken| taken.value.first()) {
                None => AlertOutcome::Pending,
                Some(Verdict::Known(..)) => AlertOutcome::Taken,
                Some(_) => AlertOutcome::Unknown,
            })
        };
        let work = self.background.begin(work).map_err(|_| busy())?;
        timeout(ALERT_WAIT, work).await.map_or(Ok(AlertOutcome::Pending), outcome)
    }

    /// Reads an alert's secret: a delivery names the alert, and does not hold it.
    async fn alert_secret(&self, url: Option<&str>) -> Result<Zeroizing<String>, GithubRefusal> {
        use GithubRefusal::{Unread, Wrong};
        let url = url.ok_or(Wrong("the alert has neither a secret nor an address"))?;
        let token = self.leaks.github_token.as_ref();
        let token = token.ok_or(Unread("set leaks.github_token to one that may read secret scanning alerts"))?;
        // Our token goes to GitHub alone, whatever a delivery says.
        let api = self.leaks.github_api.trim_end_matches('/');
        if !url.strip_prefix(api).is_some_and(|path| path.starts_with("/repos/") && !path.contains(['?', '#', '\\'])) {
            return Err(Wrong("the alert is not at leaks.github_api"));
        }
        let request = github_request(url, Some(token)).map_err(|_| Wrong("the alert's address is none"))?;
        let answer = self.0.leaks.github.client.call(request).await.map_err(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "an alert of GitHub's cannot be read");
            Unread("GitHub does not answer")
        })?;
        if answer.status() != StatusCode::OK {
            tracing::warn!(status = answer.status().as_u16(), "an alert of GitHub's cannot be read");
            return Err(Unread("GitHub refuses it: may the token read secret scanning alerts?"));
        }
        let body = Zeroizing::new(answer.into_body());
        let alert: Alert = serde_json::from_slice(&body).map_err(|_| Unread("GitHub's answer is no alert"))?;
        alert.secret.ok_or(Unread("GitHub's answer holds no secret"))
    }
}

/// Whether whoever has the secret made this signature (`sha256=<64 hexadecimal digits>`) of these bytes.
fn is_signed(secret: &SecretText, signature: &str, body: &[u8]) -> bool {
    let Some(digits) = signature.strip_prefix("sha256=").filter(|digits| digits.len() == 64) else { return false };
    let Ok(given) = base16(digits) else { return false };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else { return false };
    mac.update(body);
    // In constant time.
    mac.verify_slice(&given).is_ok()
}

fn base16(digits: &str) -> Result<Vec<u8>, ()> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(()),
    };
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Ok(digit(*high)? << 4 | digit(*low)?),
            _ => Err(()),
        })
        .collect()
}

#[cfg(test)]
#[path = "github_tests.rs"]
mod tests;
