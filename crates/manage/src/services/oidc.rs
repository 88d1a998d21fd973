//! Sign-in by an identity provider: OpenID Connect, authorization code with PKCE.
//!
//! What a sign-in needs to remember until the browser comes back travels with the browser, in a cookie sealed under the
//! master key: any node can finish what another began, and nothing is kept for those who never come back. Each of
//! `state`, `nonce` and PKCE verifier is new for each sign-in; a code works once, since the provider takes it once.
//! Tokens and codes go to nobody and into no log.

mod groups;
mod provider;

use std::time::Duration;

use openidconnect::{
    CsrfToken, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, Scope, core::CoreAuthenticationFlow,
};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use tollgate_core::{
    Role, Timestamp,
    name::{Email, Handle, Label},
    seal::SecretText,
};
use tollgate_store::accounts::{IdentityOutcome, IdentitySignIn};

pub(super) use self::provider::Oidc;
use self::provider::{Person, Wanted};
use super::outgoing::is_loopback;
use super::{Confirmed, ServiceError, Services, Session, Visitor};

/// How long somebody may take at the provider.
pub const OIDC_WAIT: Duration = Duration::from_secs(600);
/// The longest code, state or error that a callback may bring, in bytes.
const LONGEST_PARAMETER: usize = 4_096;
/// What the sealed cookie is bound to.
const COOKIE_CONTEXT: &str = "oidc-sign-in";
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
        let (roles, operator) = oidc.options.given(person.groups.as_deref().unwrap_or_default());
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
    use super::*;

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
