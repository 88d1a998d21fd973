//! GitLab's token revocation API, as GitLab documents it for services that it calls ("Token Revocation API"): which types
//! of token we revoke, and those that its secret detection found.

use std::net::IpAddr;

use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use tollgate_core::leak::{LeakSource, PlaceKind};
use zeroize::Zeroizing;

use super::{Sighting, intake};
use crate::services::{ServiceError, Services};

/// What GitLab puts before the id of a rule of its own scanner.
const RULE: &str = "gitleaks_rule_id_";
/// Most tokens of one call.
const MOST_TOKENS: usize = 10_000;

/// Why a call is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitlabRefusal {
    /// The API is switched off here.
    #[error("not served here")]
    Off,
    /// It does not show the token of the settings.
    #[error("not authorized")]
    Unauthorized,
    /// Its body is not as GitLab writes it, or names a type that is not ours. Not to be repeated.
    #[error("{0}")]
    Wrong(&'static str),
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// A token that was found.
#[derive(Deserialize)]
struct Found {
    #[serde(rename = "type")]
    kind: String,
    token: Zeroizing<String>,
    #[serde(default)]
    location: Option<String>,
}

impl Services {
    /// Goes on only if `authorization` is the token of the settings, by itself or as a bearer's.
    fn gitlab_check(&self, authorization: Option<&[u8]>) -> Result<(), GitlabRefusal> {
        let token = self.leaks.gitlab_token.as_ref().ok_or(GitlabRefusal::Off)?;
        let given = authorization.ok_or(GitlabRefusal::Unauthorized)?;
        let bare = match given.split_at_checked(7) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer ") => rest,
            _ => given,
        };
        if bool::from(bare.ct_eq(token.expose().as_bytes())) { Ok(()) } else { Err(GitlabRefusal::Unauthorized) }
    }
    /// The types of token that are revoked here.
    ///
    /// # Errors
    /// Without the right token.
    pub(crate) fn gitlab_types(&self, authorization: Option<&[u8]>) -> Result<Vec<String>, GitlabRefusal> {
        self.gitlab_check(authorization)?;
        Ok(vec![format!("{RULE}{}", self.leaks.token_type)])
    }
    /// Revokes what was found. Returns once it is dead everywhere, or is on its way there.
    ///
    /// # Errors
    /// Without the right token; a body that is not GitLab's; when the store fails.
    pub(crate) async fn gitlab_revoke(
        &self,
        authorization: Option<&[u8]>,
        body: &[u8],
        address: Option<IpAddr>,
    ) -> Result<(), GitlabRefusal> {
        self.gitlab_check(authorization)?;
        let found: Vec<Found> = serde_json::from_slice(body)
            .map_err(|_| GitlabRefusal::Wrong("the body is no list of objects with type and token"))?;
        if found.len() > MOST_TOKENS {
            return Err(GitlabRefusal::Wrong("a call has at most 10000 tokens"));
        }
        let is_ours = |found: &Found| found.kind.strip_prefix(RULE).unwrap_or(&found.kind) == self.leaks.token_type;
        if !found.iter().all(is_ours) {
            return Err(GitlabRefusal::Wrong("a type of token is not one of revocable_token_types"));
        }
        let sighting = |found: Found| Sighting::new(found.token, found.location.as_deref(), PlaceKind::Unknown);
        let sightings = found.into_iter().map(sighting).collect();
        self.sightings_take(intake(address), LeakSource::Gitlab, sightings).await?;
        Ok(())
    }
}
