//! Sign-in by an identity provider: OpenID Connect, authorization code with PKCE.
//!
//! What a sign-in needs to remember until the browser comes back travels with the browser, in a cookie sealed under the
//! master key: any node can finish what another began, and nothing is kept for those who never come back. Each of
//! `state`, `nonce` and PKCE verifier is new for each sign-in; a code works once, since the provider takes it once.
//! Tokens and codes go to nobody and into no log.

pub(super) mod http;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use openidconnect::{
    AdditionalClaims, AuthType, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken, DiscoveryError,
    EmptyExtraTokenFields, IdTokenFields, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, StandardErrorResponse, StandardTokenResponse, TokenResponse as _,
    UserInfoClaims,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod, CoreErrorResponseType,
        CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
        CoreProviderMetadata, CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse,
        CoreTokenType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq as _;
use tokio::{sync::Mutex, sync::Semaphore, time::Instant};
use tollgate_core::{
    Role, Timestamp,
    name::{Email, Handle, Label},
    seal::SecretText,
};
use tollgate_store::accounts::{IdentityOutcome, IdentitySignIn};

use self::http::{HttpClient, is_loopback};
use super::{Confirmed, ServiceError, Services, Session, Visitor};

/// How long a provider's discovery document and keys are used before they are read again.
const DISCOVERY_LIFE: Duration = Duration::from_secs(3_600);
/// How soon after such a look they may be looked at again for a token whose signature does not fit: a provider that changed
/// its keys. The first such token is looked at at once.
const DISCOVERY_AGAIN: Duration = Duration::from_secs(30);
/// How long somebody may take at the provider.
pub const OIDC_WAIT: Duration = Duration::from_secs(600);
/// How many sign-ins talk to the provider at once.
const AT_ONCE: usize = 32;
/// The longest code, state or error that a callback may bring, in bytes.
const LONGEST_PARAMETER: usize = 4_096;
/// Most groups of one person that are looked at.
const MOST_GROUPS: usize = 2_000;
/// What the sealed cookie is bound to.
const COOKIE_CONTEXT: &str = "oidc-sign-in";
/// Signatures that a token may have: by a key of the provider's alone. Those made with the client's secret are not among
/// them, nor `none`.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// `[sign_in.oidc]`
#[derive(Debug, Clone)]
pub struct OidcOptions {
    /// The provider's issuer, exactly as it names itself.
    pub issuer: String,
    /// What it knows this deployment as.
    pub client_id: String,
    /// The secret that goes with it; absent for a public client.
    pub client_secret: Option<SecretText>,
    /// Scopes beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that holds a person's groups, by name or by a path with dots.
    pub groups_claim: String,
    /// What the button says.
    pub label: String,
    /// Whether somebody who is unknown here becomes a user.
    pub create_users: bool,
    /// What groups give.
    pub groups: Vec<OidcGroup>,
}

/// What one group gives.
#[derive(Debug, Clone)]
pub struct OidcGroup {
    /// Its name at the provider.
    pub group: String,
    /// A role in an account.
    pub role: Option<(Handle, Role)>,
    /// Whether its members run the deployment.
    pub operator: bool,
}

/// Whether an address may be an issuer's: `https`, or `http` on this machine.
///
/// # Errors
/// What is wrong with it.
pub fn oidc_issuer_check(issuer: &str) -> Result<(), &'static str> {
    let url = IssuerUrl::new(issuer.to_owned()).map_err(|_| "is not a URL")?;
    match (url.url().scheme(), url.url().host_str()) {
        ("https", Some(_)) => Ok(()),
        ("http", Some(host)) if is_loopback(host) => Ok(()),
        _ => Err("must begin with https://"),
    }
}

/// Why a sign-in by the provider did not come about; each has a stable code.
#[derive(Debug, thiserror::Error)]
pub enum OidcProblem {
    /// No provider is set.
    #[error("no identity provider is set")]
    NotSet,
    /// The browser brought no cookie of a sign-in, another one's state, or came too late.
    #[error("this sign-in was not begun in this browser, or took too long")]
    State,
    /// The person or the provider said no.
    #[error("the provider refused")]
    Denied,
    /// The provider cannot be reached or answers nonsense.
    #[error("the provider cannot be reached or answered nonsense")]
    Provider,
    /// The provider took the code for none of its own, or did so before.
    #[error("the provider did not take the code")]
    Code,
    /// The token is forged, of another issuer, for somebody else, old, or of another sign-in.
    #[error("the provider's token does not hold")]
    Token,
    /// The provider did not verify the address by which the user would be known.
    #[error("the mail address is not verified")]
    EmailNotVerified,
    /// Nobody here is known by that identity.
    #[error("nobody here is known by that identity")]
    Unknown,
    /// A user has that address who gave it itself.
    #[error("a user of that mail address is there, not known to be the same person")]
    AddressTaken,
    /// The user is disabled.
    #[error("the user is disabled")]
    Disabled,
    /// Anything else that a service can meet.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl OidcProblem {
    /// The code, for support and programs. Stable.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotSet => "oidc_not_set",
            Self::State => "oidc_state",
            Self::Denied => "oidc_denied",
            Self::Provider => "oidc_provider",
            Self::Code => "oidc_code",
            Self::Token => "oidc_token",
            Self::EmailNotVerified => "oidc_email_not_verified",
            Self::Unknown => "oidc_unknown",
            Self::AddressTaken => "oidc_address_taken",
            Self::Disabled => "user_disabled",
            Self::Service(_) => "sign_in_failed",
        }
    }
}

/// A sign-in that goes to the provider.
#[derive(Debug)]
pub struct OidcBegun {
    /// Where the browser goes.
    pub url: String,
    /// What it keeps until it comes back, at most [`OIDC_WAIT`].
    pub cookie: String,
}

/// What the browser brings back.
#[derive(Debug, Default, Deserialize)]
pub struct OidcCallback {
    /// The code.
    pub code: Option<String>,
    /// The state of the sign-in.
    pub state: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
    /// Who answers (RFC 9207).
    pub iss: Option<String>,
}

/// What the sealed cookie holds.
#[derive(Serialize, Deserialize)]
struct Begun {
    state: String,
    nonce: String,
    verifier: String,
    next: String,
    until: Timestamp,
}

/// All claims that are not standard ones: the groups are among them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct OtherClaims {
    #[serde(flatten)]
    claims: HashMap<String, Value>,
}
impl AdditionalClaims for OtherClaims {}

type Fields = IdTokenFields<
    OtherClaims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type OurClient = Client<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointMaybeSet,
    openidconnect::EndpointMaybeSet,
>;

/// The provider as it was last seen.
pub(super) struct Oidc {
    options: OidcOptions,
    calls: HttpClient,
    places: Semaphore,
    discovered: Mutex<Discovered>,
}

/// The provider's own description and keys.
#[derive(Default)]
struct Discovered {
    /// When they were read, and what they are.
    seen: Option<(Instant, Arc<CoreProviderMetadata>)>,
    /// When a token was last a reason to read them again.
    doubted: Option<Instant>,
}

/// Which description of the provider will do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// One that is not too old.
    Usual,
    /// A new one, if there was no such wish a moment ago: a token does not fit the keys that are known.
    Newer,
}

/// What is known of a person.
#[derive(Debug, Default)]
struct Person {
    subject: String,
    name: Option<String>,
    email: Option<String>,
    email_verified: bool,
    groups: Option<Vec<String>>,
}

impl Oidc {
    pub(super) fn new(options: OidcOptions) -> Self {
        Self { options, calls: HttpClient::default(), places: Semaphore::new(AT_ONCE), discovered: Mutex::default() }
    }

    /// The provider's own description and keys.
    async fn provider(&self, wanted: Wanted) -> Result<Arc<CoreProviderMetadata>, OidcProblem> {
        // One at a time: the others get what the first one found.
        let mut discovered = self.discovered.lock().await;
        let will_do = match wanted {
            Wanted::Usual => discovered.seen.as_ref().is_some_and(|(at, _)| at.elapsed() < DISCOVERY_LIFE),
            Wanted::Newer => discovered.doubted.is_some_and(|at| at.elapsed() < DISCOVERY_AGAIN),
        };
        if let Some((_, provider)) = discovered.seen.as_ref().filter(|_| will_do) {
            return Ok(Arc::clone(provider));
        }
        if wanted == Wanted::Newer {
            discovered.doubted = Some(Instant::now());
        }
        let issuer = IssuerUrl::new(self.options.issuer.clone()).map_err(|_| OidcProblem::Provider)?;
        match CoreProviderMetadata::discover_async(issuer, &self.calls).await {
            Ok(provider) => {
                let provider = Arc::new(provider);
                discovered.seen = Some((Instant::now(), Arc::clone(&provider)));
                Ok(provider)
            }
            Err(error) => {
                let seen = discovered.seen.as_ref().map(|(_, provider)| Arc::clone(provider));
                warn_of("discovery failed", &error);
                match (seen, error) {
                    // What was good an hour ago is better than nothing: a token's signature is checked all the same.
                    (Some(provider), DiscoveryError::Request(_)) => Ok(provider),
                    _ => Err(OidcProblem::Provider),
                }
            }
        }
    }

    fn client(&self, provider: &CoreProviderMetadata, base: &str) -> Result<OurClient, OidcProblem> {
        let secret = self.options.client_secret.as_ref().map(|secret| ClientSecret::new(secret.expose().to_owned()));
        let methods = provider.token_endpoint_auth_methods_supported();
        let only_in_body = methods.is_some_and(|methods| {
            methods.contains(&CoreClientAuthMethod::ClientSecretPost)
                && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
        });
        let redirect = RedirectUrl::new(format!("{base}/sign-in/oidc/callback")).map_err(|_| OidcProblem::NotSet)?;
        let id = ClientId::new(self.options.client_id.clone());
        let client = OurClient::from_provider_metadata(provider.clone(), id, secret).set_redirect_uri(redirect);
        Ok(client.set_auth_type(if only_in_body { AuthType::RequestBody } else { AuthType::BasicAuth }))
    }

    /// The person that a code stands for.
    async fn person(&self, base: &str, begun: Begun, code: String, now: Timestamp) -> Result<Person, OidcProblem> {
        let provider = self.provider(Wanted::Usual).await?;
        let client = self.client(&provider, base)?;
        let request = client.exchange_code(AuthorizationCode::new(code)).map_err(|_| OidcProblem::Provider)?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(begun.verifier));
        let tokens = request.request_async(&self.calls).await.map_err(|error| match error {
            openidconnect::RequestTokenError::ServerResponse(said) => {
                tracing::warn!(error = said.error().as_ref(), "the identity provider did not take a code");
                OidcProblem::Code
            }
            error => {
                // Not its text: a parse error may quote the answer, and so a token.
                tracing::warn!(error.kind = kind_of(&error), "the identity provider's answer to a code is no answer");
                OidcProblem::Provider
            }
        })?;
        let token = tokens.id_token().ok_or(OidcProblem::Token)?;
        let nonce = Nonce::new(begun.nonce);
        let checked = |client: &OurClient| {
            let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or_default());
            let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS).set_time_fn(move || at.into());
            token.claims(&verifier, &nonce).cloned()
        };
        let claims = match checked(&client) {
            Err(openidconnect::ClaimsVerificationError::SignatureVerification(_)) => {
                // Perhaps the provider has new keys.
                let provider = self.provider(Wanted::Newer).await?;
                checked(&self.client(&provider, base)?)
            }
            checked => checked,
        };
        let claims = claims.map_err(|error| {
            warn_of("an ID token does not hold", &error);
            OidcProblem::Token
        })?;
        let mut person = Person {
            subject: claims.subject().to_string(),
            name: claims.name().and_then(|name| name.get(None)).map(|name| name.to_string()),
            email: claims.email().map(|email| email.to_string()),
            email_verified: claims.email_verified().unwrap_or(false),
            groups: self.groups(&claims.additional_claims().claims),
        };
        let lacks = person.email.is_none() || (person.groups.is_none() && !self.options.groups.is_empty());
        if lacks && provider.userinfo_endpoint().is_some() {
            let subject = Some(claims.subject().clone());
            let request = client.user_info(tokens.access_token().clone(), subject);
            let request = request.map_err(|_| OidcProblem::Provider)?;
            let more: UserInfoClaims<OtherClaims, CoreGenderClaim> =
                request.request_async(&self.calls).await.map_err(|_| {
                    tracing::warn!("the identity provider's user info cannot be read");
                    OidcProblem::Provider
                })?;
            if person.email.is_none() {
                person.email = more.email().map(|email| email.to_string());
                person.email_verified = more.email_verified().unwrap_or(false);
            }
            let name = || more.name().and_then(|name| name.get(None)).map(|name| name.to_string());
            person.name = person.name.or_else(name);
            person.groups = person.groups.or_else(|| self.groups(&more.additional_claims().claims));
        }
        Ok(person)
    }

    /// A person's groups; `None` where the claim is not there.
    fn groups(&self, claims: &HashMap<String, Value>) -> Option<Vec<String>> {
        let path = self.options.groups_claim.as_str();
        let found = claims.get(path).or_else(|| {
            let mut parts = path.split('.');
            let first = claims.get(parts.next()?)?;
            parts.try_fold(first, |value, part| value.get(part))
        })?;
        match found {
            Value::String(one) => Some(vec![one.clone()]),
            Value::Array(several) => {
                let texts = several.iter().filter_map(Value::as_str).take(MOST_GROUPS);
                Some(texts.map(str::to_owned).collect())
            }
            _ => None,
        }
    }

    /// What a person's groups give: the highest role in each account, and whether one makes an operator.
    fn given(&self, groups: &[String]) -> (Vec<(Handle, Role)>, bool) {
        let mut roles: Vec<(Handle, Role)> = Vec::new();
        let mut operator = false;
        for own in self.options.groups.iter().filter(|own| groups.contains(&own.group)) {
            operator |= own.operator;
            let Some((account, role)) = &own.role else { continue };
            match roles.iter_mut().find(|(held, _)| held == account) {
                Some((_, held)) => *held = higher(*held, *role),
                None => roles.push((account.clone(), *role)),
            }
        }
        (roles, operator)
    }
}

/// The one that may do more.
fn higher(a: Role, b: Role) -> Role {
    // In the order of what they may do.
    Role::ALL.into_iter().find(|role| *role == a || *role == b).unwrap_or(a)
}

/// One line for the log: what the library says of the error, never a token.
fn warn_of(what: &str, error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(error, "identity provider: {what}");
}
fn kind_of<E: std::error::Error, T: openidconnect::ErrorResponse>(
    error: &openidconnect::RequestTokenError<E, T>,
) -> &'static str {
    use openidconnect::RequestTokenError::{Other, Parse, Request, ServerResponse};
    match error {
        ServerResponse(_) => "refused",
        Request(_) => "unreachable",
        Parse(..) => "unreadable",
        Other(_) => "incomplete",
    }
}

impl Services {
    /// What the button says that signs in by the identity provider; `None` where none is set.
    #[must_use]
    pub fn oidc_label(&self) -> Option<&str> {
        self.0.oidc.as_ref().map(|oidc| oidc.options.label.as_str())
    }
    fn random_text(&self) -> String {
        let mut random = [0; 32];
        self.world.fill(&mut random);
        hex(&random)
    }
    /// Begins a sign-in. `base` is how this browser reaches the deployment, without a slash at its end; `next` where it
    /// wants to go.
    ///
    /// # Errors
    /// An [`OidcProblem`].
    pub async fn oidc_begin(&self, base: &str, next: &str, visitor: &Visitor) -> Result<OidcBegun, OidcProblem> {
        let oidc = self.0.oidc.as_ref().ok_or(OidcProblem::NotSet)?;
        self.attempt_from(visitor)?;
        let _place = oidc.places.try_acquire().map_err(|_| busy())?;
        let provider = oidc.provider(Wanted::Usual).await?;
        let begun = Begun {
            state: self.random_text(),
            nonce: self.random_text(),
            verifier: self.random_text(),
            next: next.to_owned(),
            until: self.world.now().plus(OIDC_WAIT),
        };
        let verifier = PkceCodeVerifier::new(begun.verifier.clone());
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        let client = oidc.client(&provider, base)?;
        let (state, nonce) = (CsrfToken::new(begun.state.clone()), Nonce::new(begun.nonce.clone()));
        let scopes = oidc.options.scopes.iter().map(|scope| Scope::new(scope.clone()));
        let (url, ..) = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || state, move || nonce)
            .add_scopes(scopes)
            .set_pkce_challenge(challenge)
            .url();
        let begun = SecretText::new(serde_json::to_string(&begun).map_err(|_| OidcProblem::State)?);
        let sealed = self.master_key().seal(&begun, COOKIE_CONTEXT, &self.world);
        Ok(OidcBegun { url: url.into(), cookie: hex(&sealed) })
    }

    /// Finishes a sign-in with what the browser brings back; the session, and where the browser wanted to go.
    ///
    /// # Errors
    /// An [`OidcProblem`].
    pub async fn oidc_finish(
        &self,
        base: &str,
        cookie: Option<&str>,
        callback: OidcCallback,
        visitor: &Visitor,
    ) -> Result<(Session, String), OidcProblem> {
        let oidc = self.0.oidc.as_ref().ok_or(OidcProblem::NotSet)?;
        self.attempt_from(visitor)?;
        let begun = cookie.and_then(|cookie| self.oidc_begun(cookie)).ok_or(OidcProblem::State)?;
        let state = callback.state.unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(begun.state.as_bytes())) || self.world.now() >= begun.until {
            return Err(OidcProblem::State);
        }
        if callback.iss.as_ref().is_some_and(|issuer| *issuer != oidc.options.issuer) {
            return Err(OidcProblem::Token);
        }
        if let Some(error) = callback.error {
            let shown: String = error.chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
            tracing::info!(error = shown, "the identity provider refused a sign-in");
            return Err(OidcProblem::Denied);
        }
        let code = callback.code.filter(|code| (1..=LONGEST_PARAMETER).contains(&code.len()));
        let code = code.ok_or(OidcProblem::Code)?;
        let _place = oidc.places.try_acquire().map_err(|_| busy())?;
        let next = begun.next.clone();
        let person = oidc.person(base, begun, code, self.world.now()).await?;
        Ok((self.oidc_session(oidc, person, visitor).await?, next))
    }

    fn oidc_begun(&self, cookie: &str) -> Option<Begun> {
        let sealed = (cookie.len() <= 2 * LONGEST_PARAMETER).then(|| unhex(cookie)).flatten()?;
        let opened = self.master_key().open(&sealed, COOKIE_CONTEXT).ok()?;
        serde_json::from_str(opened.expose()).ok()
    }

    async fn oidc_session(&self, oidc: &Oidc, person: Person, visitor: &Visitor) -> Result<Session, OidcProblem> {
        let email = person.email.as_deref().and_then(|email| email.parse::<Email>().ok());
        let verified = email.clone().filter(|_| person.email_verified);
        let name = [person.name.as_deref(), person.email.as_deref(), Some(person.subject.as_str()), Some("?")];
        let name = name.into_iter().flatten().find_map(label).ok_or(OidcProblem::Token)?;
        let (roles, operator) = oidc.given(person.groups.as_deref().unwrap_or_default());
        let (plain, session) = self.session_mint(visitor)?;
        let sign_in = IdentitySignIn {
            issuer: oidc.options.issuer.clone(),
            subject: person.subject,
            name,
            email: verified,
            // A user without the address that it would be known by could not be found by it later.
            create_user: oidc.options.create_users && (email.is_none() || person.email_verified),
            roles: (!oidc.options.groups.is_empty()).then_some(roles),
            operator,
        };
        match self.store().identity_sign_in(sign_in, session).await.map_err(ServiceError::from)? {
            IdentityOutcome::SignedIn(committed) => {
                // A role that was taken away is proven to be away before the person goes on; the page itself needs no
                // such proof, and the change spreads in any case.
                let user = Confirmed::extending(self.store(), committed).await.value;
                Ok(Session { plain, user })
            }
            IdentityOutcome::Disabled => Err(OidcProblem::Disabled),
            IdentityOutcome::AddressTaken => Err(OidcProblem::AddressTaken),
            IdentityOutcome::Unknown if email.is_some() && !person.email_verified => Err(OidcProblem::EmailNotVerified),
            IdentityOutcome::Unknown => Err(OidcProblem::Unknown),
        }
    }
    /// The providers that know the caller.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn oidc_issuers(&self, principal: &crate::principal::Principal) -> Result<Vec<String>, ServiceError> {
        Ok(self.store().identity_issuers(principal.user().id).await?)
    }
}

fn busy() -> OidcProblem {
    ServiceError::TooManyAttempts { retry_after: Duration::from_secs(2) }.into()
}

/// A name as a [`Label`], shortened where it must be.
fn label(text: &str) -> Option<Label> {
    let clean: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    clean.trim().parse().ok()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn oidc(groups_claim: &str) -> Oidc {
        let group = |group: &str, role: Option<(&str, Role)>, operator| OidcGroup {
            group: group.into(),
            role: role.map(|(account, role)| (account.parse().unwrap(), role)),
            operator,
        };
        Oidc::new(OidcOptions {
            issuer: "https://issuer.example".into(),
            client_id: "tollgate".into(),
            client_secret: None,
            scopes: vec![],
            groups_claim: groups_claim.into(),
            label: "Example".into(),
            create_users: false,
            groups: vec![
                group("staff", Some(("default", Role::Viewer)), false),
                group("leads", Some(("default", Role::Owner)), false),
                group("root", None, true),
            ],
        })
    }

    #[test]
    fn the_highest_role_of_all_groups_counts() {
        let groups =
            |names: &[&str]| oidc("groups").given(&names.iter().map(|name| (*name).into()).collect::<Vec<_>>());
        let default = |role| vec![("default".parse::<Handle>().unwrap(), role)];
        assert_eq!(groups(&["leads", "staff"]), (default(Role::Owner), false));
        assert_eq!(groups(&["staff", "others"]), (default(Role::Viewer), false));
        assert_eq!(groups(&["root"]), (vec![], true));
        assert_eq!(groups(&["Staff", ""]), (vec![], false));
    }

    #[test]
    fn groups_are_a_claim_or_lie_inside_one() {
        let claims = |value: Value| serde_json::from_value::<HashMap<String, Value>>(value).unwrap();
        let nested = claims(json!({"realm_access": {"roles": ["a", 1, "b"]}, "groups": "one", "a.b": ["c"]}));
        assert_eq!(oidc("realm_access.roles").groups(&nested), Some(vec!["a".into(), "b".into()]));
        assert_eq!(oidc("groups").groups(&nested), Some(vec!["one".into()]));
        assert_eq!(oidc("a.b").groups(&nested), Some(vec!["c".into()]));
        for absent in ["nothing", "realm_access", "realm_access.x", "groups.0", ""] {
            assert_eq!(oidc(absent).groups(&nested), None, "{absent}");
        }
    }

    #[test]
    fn an_issuer_is_https_or_on_this_machine() {
        for right in ["https://issuer.example/realm", "http://127.0.0.1:9/", "http://localhost:3000"] {
            assert_eq!(oidc_issuer_check(right), Ok(()), "{right}");
        }
        for wrong in ["", "issuer.example", "http://issuer.example", "ftp://127.0.0.1"] {
            assert!(oidc_issuer_check(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hexadecimal_reads_back_and_nonsense_does_not() {
        assert_eq!(unhex(&hex(&[0, 15, 255])), Some(vec![0, 15, 255]));
        for wrong in ["0", "zz", "+1", "é0"] {
            assert_eq!(unhex(wrong), if wrong == "+1" { Some(vec![1]) } else { None }, "{wrong}");
        }
    }
}
