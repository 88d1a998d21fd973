//! Keys and access tokens that were found in public: reports of any number of them become one change and one wait.
//!
//! Every way in leads here, whoever it trusts: possession is authority, so a report counts for what it holds. Form and
//! checksum are looked at first, then the hashes; only what is known here makes anybody wait. What a report says is done
//! also when whoever sent it has hung up.
//!
//! The public way in ([`Services::leak_tell`]) answers before it looks anything up: what it answers, and when, tells
//! nothing of what was found. It asks the store only whether it is there, so that no report is taken that would be lost;
//! should the store go away right then, what was acknowledged is tried again.

mod figures;
mod github;
mod gitlab;

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tollgate_core::{
    Account, Actor, Id, KeyStatus,
    account::{AccountAction, ActorKind},
    leak::{LeakEffect, LeakSource, Place, PlaceKind},
    seal::SecretText,
    secret::{KeyHint, Presented},
};
use tollgate_store::leaks::{LeakFate, LeakLine, LeakReport, LeakSubject};
use utoipa::ToSchema;
use zeroize::Zeroizing;

pub use self::figures::LeakFigures;
pub(crate) use self::figures::RefusedAs;
pub(super) use self::github::GithubKeys;
pub(crate) use self::github::{AlertOutcome, GithubRefusal, GithubSigned};
pub(crate) use self::gitlab::GitlabRefusal;
use super::{
    Confirmed, ServiceError, Services,
    throttle::{Rate, Throttle, network},
};
use crate::{
    background::outcome,
    principal::{Access, Principal},
};

/// Most keys of one report by people.
pub const MOST_REPORTED: usize = 1_000;
/// How often an address may report without credentials.
const STRANGERS: Rate = Rate { burst: 60, every: Duration::from_secs(60) };
/// How long a program that reports is made to wait until what it reported is dead everywhere. GitHub gives up after 30 s, of
/// which a look at its keys may have taken [`CALL`](super::outgoing::CALL).
const HOOK_WAIT: Duration = Duration::from_secs(15);
/// The waits after which a report that was acknowledged already is tried again, should the store fail meanwhile.
const TAKE_AGAIN: [Duration; 7] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(120),
];

/// `[leaks]`
#[derive(Debug, Clone, Default)]
pub struct LeakOptions {
    /// What scanners call this deployment's keys.
    pub token_type: String,
    /// Where GitHub publishes the keys that it signs with; absent: its partner protocol is not served.
    pub github_keys: Option<String>,
    /// A GitHub token, for a higher limit on reading those keys and for reading alerts.
    pub github_token: Option<SecretText>,
    /// GitHub's REST API, for reading alerts.
    pub github_api: String,
    /// The secret of the webhook `secret_scanning_alert`; absent: it is not served.
    pub github_webhook: Option<SecretText>,
    /// The token that GitLab shows; absent: its revocation API is not served.
    pub gitlab_token: Option<SecretText>,
}

/// What intake keeps in memory.
pub(super) struct Leaks {
    strangers: Throttle,
    github: GithubKeys,
}

impl Leaks {
    pub(super) fn new(options: &LeakOptions) -> Self {
        Self { strangers: Throttle::new(STRANGERS), github: GithubKeys::new(options) }
    }
}

/// Keys that were found, as people report them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeakInput {
    /// The texts that were found: API keys, access tokens, 1 to 1,000.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 1000, example = json!(["tg_<id>_<secret and checksum>"]))]
    pub keys: Vec<Zeroizing<String>>,
    /// Where: usually an address.
    #[serde(default)]
    #[schema(max_length = 2000, example = "https://github.com/acme/site/blob/main/config.js")]
    pub found_at: Option<String>,
}
impl std::fmt::Debug for LeakInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeakInput").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// A text that was found, and where.
pub(crate) struct Sighting {
    text: Zeroizing<String>,
    place: Option<Place>,
    kind: PlaceKind,
}

impl Sighting {
    pub(crate) fn new(text: Zeroizing<String>, said: Option<&str>, kind: PlaceKind) -> Self {
        Self { text, place: said.and_then(Place::new), kind }
    }
}

/// What became of a text that was reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has not the form of a key and its checksum.
    NotAKey,
    /// It has, and is none of this deployment.
    Unknown(KeyHint),
    /// It is one.
    Known(KeyHint, LeakFate),
}

impl Verdict {
    /// The word for it.
    const fn word(&self) -> &'static str {
        match self {
            Self::NotAKey => "not_a_key",
            Self::Unknown(_) => "unknown",
            Self::Known(_, fate) => match fate.effect {
                LeakEffect::Ended => "ended",
                LeakEffect::Told => "told",
                LeakEffect::Unchanged => "unchanged",
            },
        }
    }
}

/// What became of one of the texts, as whoever may know is told.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LeakOutcome)]
pub struct LeakOutcome {
    /// The beginning of its text; null: it has not the form of a key and its checksum.
    #[schema(value_type = Option<String>, example = "tg_4fZ0aB1cD2eF…")]
    pub hint: Option<KeyHint>,
    /// `ended`: it is dead by this report. `told`: its account wants to be told only, and is. `unchanged`: it was dead
    /// already, or the same was reported before. `unknown`: none of this deployment. `accepted`: none of your account; if
    /// it is anybody's, it is dead by now. `not_a_key`: it has not the form of a key and its checksum.
    #[schema(example = "ended")]
    pub outcome: &'static str,
    /// The id of the key or access token; null where it is none, or none of yours.
    #[schema(example = "key_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    pub id: Option<String>,
    /// How it stands now.
    #[schema(value_type = Option<String>, example = "leaked")]
    pub status: Option<KeyStatus>,
}

impl LeakOutcome {
    fn of(verdict: Verdict, unknown: &'static str) -> Self {
        let outcome = verdict.word();
        match verdict {
            Verdict::NotAKey => Self { hint: None, outcome, id: None, status: None },
            Verdict::Unknown(hint) => Self { hint: Some(hint), outcome: unknown, id: None, status: None },
            Verdict::Known(hint, fate) => Self {
                hint: Some(hint),
                outcome,
                id: Some(match fate.subject {
                    LeakSubject::Key(id) => id.to_string(),
                    LeakSubject::Token(id) => id.to_string(),
                }),
                status: Some(fate.status),
            },
        }
    }
}

/// A part of the program that takes reports in.
const fn intake(address: Option<IpAddr>) -> Actor {
    Actor { kind: ActorKind::System { part: "leaks" }, address }
}

impl Services {
    /// A report was refused as a whole.
    pub(crate) fn leak_refused(&self, source: LeakSource, refused: RefusedAs) {
        self.leak_figures.refused(source, refused);
    }
    /// What a text is that was found: form, checksum and hashes, without a look at anything.
    fn report_of(&self, sighting: &Sighting) -> Option<LeakReport> {
        let presented = Presented::parse(sighting.text.as_bytes()).ok()?;
        Some(LeakReport {
            hint: presented.hint(),
            key_hash: self.key_hash(&presented),
            token_hash: self.token_hash(&presented),
            place: sighting.place.clone().map(|place| place.without(&presented)),
            kind: sighting.kind,
        })
    }

    /// Takes reports in, and waits until what dies by them is dead everywhere.
    async fn reports_take(
        &self,
        actor: &Actor,
        source: LeakSource,
        reports: Vec<Option<LeakReport>>,
    ) -> Result<Confirmed<Vec<Verdict>>, ServiceError> {
        let well_formed: Vec<LeakReport> = reports.iter().flatten().cloned().collect();
        let committed = self.store().leaks_take(actor, source, &well_formed).await?;
        let confirmed = Confirmed::restricting(self.store(), committed).await;
        Ok(confirmed.map(|fates| {
            let mut fates = fates.into_iter();
            let counted = |verdict: Verdict| {
                self.leak_figures.text(source, verdict.word());
                verdict
            };
            let verdict = |report: Option<LeakReport>| match report {
                None => Verdict::NotAKey,
                Some(report) => match fates.next().flatten() {
                    Some(fate) => Verdict::Known(report.hint, fate),
                    None => Verdict::Unknown(report.hint),
                },
            };
            reports.into_iter().map(verdict).map(counted).collect()
        }))
    }

    /// The same, to its end also when whoever waits for it goes away. `None`: it goes on, and took longer than
    /// [`HOOK_WAIT`].
    async fn sightings_take(
        &self,
        actor: Actor,
        source: LeakSource,
        sightings: Vec<Sighting>,
    ) -> Result<Option<Confirmed<Vec<Verdict>>>, ServiceError> {
        let services = self.clone();
        let work = async move {
            let reports = sightings.iter().map(|sighting| services.report_of(sighting)).collect();
            drop(sightings);
            services.reports_take(&actor, source, reports).await
        };
        let work = self.background.begin(work).map_err(|_| busy())?;
        timeout(HOOK_WAIT, work).await.map_or(Ok(None), |joined| outcome(joined).map(Some))
    }

    /// Somebody without credentials reports keys. Answers before anything is looked up.
    ///
    /// # Errors
    /// Too many or too often; when the store cannot be reached: then nothing is taken.
    pub async fn leak_tell(&self, input: LeakInput, address: Option<IpAddr>) -> Result<(), ServiceError> {
        if let Some(address) = address {
            let taken = self.0.leaks.strangers.take(&network(address));
            taken.map_err(|retry_after| ServiceError::TooManyAttempts { retry_after })?;
        }
        check_number(&input)?;
        self.store().ping().await?;
        self.leak_tell_on(input, address)
    }
    /// Takes a report in behind the back of whoever sent it.
    fn leak_tell_on(&self, input: LeakInput, address: Option<IpAddr>) -> Result<(), ServiceError> {
        let services = self.clone();
        let work = async move {
            let reports = sightings(input).iter().map(|sighting| services.report_of(sighting)).collect();
            services.acknowledged_take(address, reports).await;
        };
        // The work is the background's: nobody waits for it here.
        self.background.begin(work).map(drop).map_err(|_| busy())
    }
    /// Takes reports in whose sender was thanked already: not lost because the store fails for some minutes.
    async fn acknowledged_take(&self, address: Option<IpAddr>, reports: Vec<Option<LeakReport>>) {
        let mut waits = TAKE_AGAIN.iter();
        while let Err(failed) = self.reports_take(&intake(address), LeakSource::Public, reports.clone()).await {
            let wait = waits.next();
            {
                let error = &failed as &dyn std::error::Error;
                match wait.map(Duration::as_secs) {
                    Some(retry_s) => tracing::warn!(error, retry_s, "a report of leaked keys waits for the store"),
                    None => tracing::error!(error, "a report of leaked keys was not taken in"),
                }
            }
            let Some(wait) = wait else { return };
            tokio::time::sleep(*wait).await;
        }
    }

    /// An operator or an owner reports keys, and is told what became of each: an operator of all, an owner (an
    /// operator who names an account, too) of that account's. What an owner reports of others is taken as from anybody, and answered alike whatever it is.
    ///
    /// # Errors
    /// Too many, a caller who may not, or when the store fails.
    pub async fn leak_report(
        &self,
        principal: &Principal,
        account: Option<&str>,
        input: LeakInput,
    ) -> Result<Confirmed<Vec<LeakOutcome>>, ServiceError> {
        let scope: Option<Access> = principal.scope(self, account).await?;
        scope.as_ref().map_or(Ok(()), |access| access.require(AccountAction::AnyKeyManage))?;
        check_number(&input)?;
        let (services, actor) = (self.clone(), principal.actor());
        let work = async move {
            match scope {
                None => {
                    let reports = sightings(input).iter().map(|sighting| services.report_of(sighting)).collect();
                    let verdicts = services.reports_take(&actor, LeakSource::Api, reports).await?;
                    Ok(verdicts.map(|all| all.into_iter().map(|one| LeakOutcome::of(one, "unknown")).collect()))
                }
                Some(access) => services.leak_report_own(&actor, access.account.id, input).await,
            }
        };
        outcome(self.background.begin(work).map_err(|_| busy())?.await)
    }
    async fn leak_report_own(
        &self,
        actor: &Actor,
        own: Id<Account>,
        input: LeakInput,
    ) -> Result<Confirmed<Vec<LeakOutcome>>, ServiceError> {
        let sightings = sightings(input);
        let mut reports: Vec<Option<LeakReport>> = sightings.iter().map(|sighting| self.report_of(sighting)).collect();
        let well_formed: Vec<LeakReport> = reports.iter().flatten().cloned().collect();
        let mut subjects = self.store().leak_subjects(&well_formed).await?.into_iter();
        let mut others = Vec::new();
        let mut outcomes: Vec<Option<LeakOutcome>> = Vec::with_capacity(reports.len());
        for report in &mut reports {
            let is_own = report.is_some() && subjects.next().flatten().is_some_and(|(_, account)| account == Some(own));
            outcomes.push(match report.take_if(|_| !is_own) {
                None => None,
                Some(other) => {
                    let outcome = LeakOutcome::of(Verdict::Unknown(other.hint), "accepted");
                    others.push(Some(other));
                    Some(outcome)
                }
            });
        }
        // Begun whether anybody knows them or not, and waited for by nobody.
        let (services, address) = (self.clone(), actor.address);
        let work = async move { services.acknowledged_take(address, others).await };
        drop(self.background.begin(work).map_err(|_| busy())?);
        let verdicts = self.reports_take(actor, LeakSource::Api, reports).await?;
        Ok(verdicts.map(|verdicts| {
            let said = verdicts.into_iter().zip(outcomes);
            said.map(|(verdict, outcome)| outcome.unwrap_or_else(|| LeakOutcome::of(verdict, "accepted"))).collect()
        }))
    }

    /// How many keys of an account in which the caller stands were found in public: those that are switched off for it, and
    /// those that go on working.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn leaked_keys(&self, access: &Access) -> Result<(u64, u64), ServiceError> {
        access.require(AccountAction::Read)?;
        Ok(self.store().leaked_keys(access.account.id).await?)
    }
    /// What was reported of a key that the caller may see, the latest first.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn key_leak_log(
        &self,
        access: &Access,
        key: Id<tollgate_core::Key>,
    ) -> Result<Vec<LeakLine>, ServiceError> {
        access.require(AccountAction::Read)?;
        Ok(self.store().leak_log(key).await?)
    }
}

fn sightings(input: LeakInput) -> Vec<Sighting> {
    let place = input.found_at.as_deref().and_then(Place::new);
    let sighting = |text| Sighting { text, place: place.clone(), kind: PlaceKind::Unknown };
    input.keys.into_iter().map(sighting).collect()
}

fn check_number(input: &LeakInput) -> Result<(), ServiceError> {
    if (1..=MOST_REPORTED).contains(&input.keys.len()) {
        Ok(())
    } else {
        Err(ServiceError::invalid("keys", format_args!("keys names 1 to {MOST_REPORTED} keys")))
    }
}

/// Everybody reports at once.
const fn busy() -> ServiceError {
    ServiceError::TooManyAttempts { retry_after: Duration::from_secs(1) }
}

#[cfg(test)]
mod tests {
    use super::{super::outgoing::CALL, *};

    #[test]
    fn github_is_answered_before_it_gives_up() {
        const GITHUB_WAITS: Duration = Duration::from_secs(30);
        assert!(CALL + HOOK_WAIT < GITHUB_WAITS);
    }
}
