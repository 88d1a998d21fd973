//! The identity provider as it is talked to: its description and keys, and the person that a code stands for.
//!
//! Tokens and codes go to nobody and into no log.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use openidconnect::{
    AdditionalClaims, AuthType, AuthorizationCode, Client, ClientId, ClientSecret, DiscoveryError,
    EmptyExtraTokenFields, IdTokenFields, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeVerifier, RedirectUrl,
    StandardErrorResponse, StandardTokenResponse, TokenResponse as _, UserInfoClaims,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreRevocableToken,
        CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{sync::Mutex, sync::Semaphore, time::Instant};
use tollgate_core::Timestamp;

use super::{Begun, OidcOptions, OidcProblem};
use crate::services::outgoing::HttpClient;

/// How long a provider's discovery document and keys are used before they are read again.
const DISCOVERY_LIFE: Duration = Duration::from_secs(3_600);
/// How soon after such a look they may be looked at again for a token whose signature does not fit: a provider that changed
/// its keys. The first such token is looked at at once.
const DISCOVERY_AGAIN: Duration = Duration::from_secs(30);
/// How many sign-ins talk to the provider at once.
const AT_ONCE: usize = 32;
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

/// All claims that are not standard ones: the groups are among them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct OtherClaims {
    #[serde(flatten)]
    claims: HashMap<String, Value>,
}
impl AdditionalClaims for OtherClaims {}

pub(super) type Fields = IdTokenFields<
    OtherClaims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
pub(super) type OurClient = Client<
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
pub(in crate::services) struct Oidc {
    pub(super) options: OidcOptions,
    calls: HttpClient,
    pub(super) places: Semaphore,
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
pub(super) enum Wanted {
    /// One that is not too old.
    Usual,
    /// A new one, if there was no such wish a moment ago: a token does not fit the keys that are known.
    Newer,
}

/// What is known of a person.
#[derive(Debug, Default)]
pub(super) struct Person {
    pub(super) subject: String,
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) email_verified: bool,
    pub(super) groups: Option<Vec<String>>,
}

impl Oidc {
    pub(in crate::services) fn new(options: OidcOptions) -> Self {
        Self { options, calls: HttpClient::default(), places: Semaphore::new(AT_ONCE), discovered: Mutex::default() }
    }

    /// The provider's own description and keys.
    pub(super) async fn provider(&self, wanted: Wanted) -> Result<Arc<CoreProviderMetadata>, OidcProblem> {
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

    pub(super) fn client(&self, provider: &CoreProviderMetadata, base: &str) -> Result<OurClient, OidcProblem> {
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
    pub(super) async fn person(
        &self,
        base: &str,
        begun: Begun,
        code: String,
        now: Timestamp,
    ) -> Result<Person, OidcProblem> {
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
            groups: self.options.groups(&claims.additional_claims().claims),
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
            person.groups = person.groups.or_else(|| self.options.groups(&more.additional_claims().claims));
        }
        Ok(person)
    }
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
