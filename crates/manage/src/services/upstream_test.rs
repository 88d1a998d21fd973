//! Trying an upstream for real: `GET models` with its own credential, and what the answer says about our catalogue.
//!
//! Neither the credential nor anything of the answer's body but known names leaves here. Redirects are not followed.

use std::time::Instant;

use serde::Serialize;
use tollgate_core::catalog::UpstreamAuth;
use utoipa::ToSchema;

use super::{Noun, ServiceError, Services};
use crate::{ProbeAnswer, principal::Principal};

/// What came of trying an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UpstreamTest {
    /// The outcome in one word.
    pub verdict: Verdict,
    /// Whether anything answered.
    #[schema(example = true)]
    pub reachable: bool,
    /// The HTTP status of its answer.
    #[schema(example = 200)]
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    #[schema(example = 12)]
    pub after_ms: u64,
    /// How many models it lists; null where its answer is no list of models.
    #[schema(example = 3)]
    pub models: Option<u64>,
    /// Of the names by which the catalogue asks it for models: those that it lists.
    #[schema(example = json!(["Qwen/Qwen3-32B"]))]
    pub listed: Vec<String>,
    /// Those that it does not list.
    #[schema(example = json!([]))]
    pub missing: Vec<String>,
    /// Why nothing answered.
    #[schema(example = json!(null))]
    pub error: Option<String>,
}

/// The outcome of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It answers, and lists what the catalogue asks it for.
    Good,
    /// It answers, but does not list all of that.
    ModelsMissing,
    /// It answers, but with no list of models.
    NoList,
    /// It refuses the credential, or wants one.
    CredentialRefused,
    /// It sends elsewhere: the base URL is not quite right.
    Redirected,
    /// It answers with a fault of its own (5xx).
    ServerError,
    /// Nothing answers.
    Unreachable,
    /// Its credential was sealed under another master key.
    CredentialUnreadable,
}

impl Verdict {
    /// Whether requests would get through.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Good)
    }
    fn of(answer: &ProbeAnswer, missing: &[String]) -> Self {
        match (answer.status, &answer.models) {
            (200, Some(_)) if missing.is_empty() => Self::Good,
            (200, Some(_)) => Self::ModelsMissing,
            (401 | 403, _) => Self::CredentialRefused,
            (300..=399, _) => Self::Redirected,
            (500.., _) => Self::ServerError,
            _ => Self::NoList,
        }
    }
}

impl UpstreamTest {
    fn of(answer: &ProbeAnswer, wanted: Vec<String>, after_ms: u64) -> Self {
        let known = answer.models.as_deref().unwrap_or_default();
        let (listed, missing): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|name| known.contains(name));
        Self {
            verdict: Verdict::of(answer, &missing),
            reachable: true,
            status: Some(answer.status),
            after_ms,
            models: answer.models.as_ref().map(|models| models.len() as u64),
            listed,
            // Where there is no list, nothing is known to be missing.
            missing: if answer.models.is_some() { missing } else { Vec::new() },
            error: None,
        }
    }
    fn failed(verdict: Verdict, error: Option<String>, after_ms: u64) -> Self {
        let (listed, missing) = (Vec::new(), Vec::new());
        Self { verdict, reachable: false, status: None, after_ms, models: None, listed, missing, error }
    }
}

impl Services {
    /// Tries an upstream now. Changes nothing: whether requests go there is decided by what they meet.
    ///
    /// # Errors
    /// A caller who may not, [`ServiceError::NotFound`], or when the store fails.
    pub async fn upstream_test(&self, principal: &Principal, id_or_name: &str) -> Result<UpstreamTest, ServiceError> {
        let upstream = self.upstream_get(principal, id_or_name).await?;
        let sealed = self.store().upstream_sealed(upstream.id).await.map_err(ServiceError::of(Noun::Upstream))?;
        let mut wanted: Vec<String> = self
            .store()
            .upstream_serves(upstream.no)
            .await?
            .into_iter()
            .map(|served| served.there.to_string())
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let context = upstream.id.to_string();
        let credential = sealed.credential.map(|credential| self.master_key().open(&credential, &context)).transpose();
        let Ok(credential) = credential else {
            return Ok(UpstreamTest::failed(Verdict::CredentialUnreadable, None, 0));
        };
        let began = Instant::now();
        let answer = self.upstream_probe.probe(UpstreamAuth { upstream, credential }).await;
        let after_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(match answer {
            Ok(answer) => UpstreamTest::of(&answer, wanted, after_ms),
            Err(error) => UpstreamTest::failed(Verdict::Unreachable, Some(error), after_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, models: Option<&[&str]>, wanted: &[&str]) -> UpstreamTest {
        let texts = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        UpstreamTest::of(&ProbeAnswer { status, models: models.map(texts) }, texts(wanted), 1)
    }

    #[test]
    fn an_answer_is_judged_by_its_status_and_its_list() {
        let good = verdict(200, Some(&["a", "b", "c"]), &["a"]);
        assert_eq!((good.verdict, good.models, good.listed), (Verdict::Good, Some(3), vec!["a".to_owned()]));
        let lacks = verdict(200, Some(&["b"]), &["a", "b"]);
        assert_eq!((lacks.verdict, lacks.missing), (Verdict::ModelsMissing, vec!["a".to_owned()]));
        for (status, expected) in [
            (200, Verdict::NoList),
            (404, Verdict::NoList),
            (401, Verdict::CredentialRefused),
            (403, Verdict::CredentialRefused),
            (302, Verdict::Redirected),
            (503, Verdict::ServerError),
        ] {
            let seen = verdict(status, None, &["a"]);
            assert_eq!((seen.verdict, seen.missing.len()), (expected, 0), "{status}");
        }
    }
}
