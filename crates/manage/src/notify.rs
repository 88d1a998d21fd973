//! Telling people: takes what is due from the outbox, sends it by mail or to an endpoint, and writes down what came of it.
//!
//! Every node does this; the store sees to it that one of them sends each delivery. What fails is tried again after the next
//! wait of [`RETRIES`]; an endpoint at which everything has failed for [`GIVE_UP_AFTER`] is given up. All decisions about time
//! are the world's: [`Notifier::step`] does now what is due now.

mod letter;
mod mail;
mod post;
mod sign;

use std::{
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::MissedTickBehavior};
use tollgate_core::{Timestamp, World, notice::DeliveryProblem, seal::MasterKey};
use tollgate_store::{
    Store, StoreError,
    notices::{Attempt, Claim, Due, Outcome, Receiver},
};

pub use self::mail::{MailOptions, MailProblem, MailTls, mail_check, mail_options_check};
use self::{mail::Mailer, post::Poster};
pub(crate) use self::{post::may_be_endpoint, sign::new_secret};
use crate::pages::Lang;

/// The waits after each attempt that failed. Behind the last one there is no further attempt: three days in all.
pub const RETRIES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(5 * 3_600),
    Duration::from_secs(10 * 3_600),
    Duration::from_secs(14 * 3_600),
    Duration::from_secs(20 * 3_600),
    Duration::from_secs(24 * 3_600),
];
/// For how long everything must have failed at an endpoint before nothing is sent to it any more.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(5 * 86_400);
/// The longest wait that an endpoint may ask for with `Retry-After`.
const LONGEST_ASKED_WAIT: Duration = Duration::from_secs(24 * 3_600);
/// How long a delivery is ours to send. Longer than an attempt can take.
pub(crate) const HOLD: Duration = Duration::from_secs(120);
/// The longest that an attempt may take as a whole.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(90);
/// Most attempts at a time.
const MOST_AT_ONCE: usize = 16;
/// How often the outbox is looked into.
const LOOK: Duration = Duration::from_secs(1);
/// How long attempts that are on their way may take once the node stops.
const LAST_ATTEMPTS: Duration = Duration::from_secs(5);

/// How this deployment tells people.
#[derive(Debug, Clone, Default)]
pub struct NotifyOptions {
    /// How mail is sent, where it is.
    pub mail: Option<MailOptions>,
    /// Whether customers' endpoints may be in private networks.
    pub allow_private: bool,
}

/// Sends what is due. Cheap to clone.
#[derive(Clone)]
pub struct Notifier(Arc<Inner>);

struct Inner {
    store: Store,
    world: World,
    mailer: Option<Mailer>,
    poster: Poster,
    console: OnceLock<String>,
    mails: Figures,
    posts: Figures,
}

/// What became of attempts by one channel in this process.
#[derive(Debug, Default)]
struct Figures {
    sent: AtomicU64,
    failed: AtomicU64,
    pending: AtomicU64,
}

/// What metrics show of one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelFigures {
    /// `mail` or `webhook`.
    pub channel: &'static str,
    /// Attempts of this process that arrived.
    pub sent: u64,
    /// Attempts of this process that did not.
    pub failed: u64,
    /// Deliveries of the deployment that wait.
    pub pending: u64,
}

/// What came of one attempt.
pub(crate) struct Attempted {
    /// When it began.
    pub(crate) at: Timestamp,
    /// How long it took.
    pub(crate) duration: Duration,
    /// The status of the answer, where there was one.
    pub(crate) status: Option<u16>,
    /// Why it failed.
    pub(crate) problem: Option<DeliveryProblem>,
}

/// Why an attempt failed.
struct Failure {
    problem: DeliveryProblem,
    status: Option<u16>,
    /// Another attempt would end alike.
    is_final: bool,
    /// When the receiver asked to be tried again.
    retry_after: Option<Duration>,
}

impl Failure {
    const fn new(problem: DeliveryProblem) -> Self {
        Self { problem, status: None, is_final: false, retry_after: None }
    }
    const fn last(problem: DeliveryProblem) -> Self {
        Self { is_final: true, ..Self::new(problem) }
    }
}

impl Notifier {
    /// From the deployment's options.
    ///
    /// # Errors
    /// Mail options that cannot be.
    pub fn new(options: NotifyOptions, store: Store, world: World, master_key: MasterKey) -> Result<Self, MailProblem> {
        let mailer = options.mail.map(Mailer::new).transpose()?;
        let poster = Poster::new(master_key, options.allow_private);
        let (mails, posts) = (Figures::default(), Figures::default());
        Ok(Self(Arc::new(Inner { store, world, mailer, poster, console: OnceLock::new(), mails, posts })))
    }
    /// Says where people reach the console: what links in mails begin with. Once; what is said later is not heard.
    pub fn console_at(&self, url: &str) {
        let _ = self.0.console.set(url.trim_end_matches('/').to_owned());
    }
    /// Whether this deployment sends mail.
    #[must_use]
    pub fn sends_mail(&self) -> bool {
        self.0.mailer.is_some()
    }
    /// Whether customers' endpoints may be in private networks.
    pub(crate) fn allows_private(&self) -> bool {
        self.0.poster.allows_private()
    }
    /// What metrics show.
    #[must_use]
    pub fn figures(&self) -> [ChannelFigures; 2] {
        [("mail", &self.0.mails), ("webhook", &self.0.posts)].map(|(channel, figures)| ChannelFigures {
            channel,
            sent: figures.sent.load(Ordering::Relaxed),
            failed: figures.failed.load(Ordering::Relaxed),
            pending: figures.pending.load(Ordering::Relaxed),
        })
    }

    /// Sends what is due until `stopped`; what is on its way then may still arrive.
    pub async fn run(self, stopped: impl Future<Output = ()>) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut on_their_way = JoinSet::new();
        let mut is_failing = false;
        tokio::pin!(stopped);
        if let Err(error) = self.0.store.deliveries_release().await {
            // They run out by themselves.
            tracing::warn!(%error, "what the process before this one was sending is not free yet");
        }
        loop {
            tokio::select! {
                () = &mut stopped => break,
                _ = look.tick() => {}
                Some(_) = on_their_way.join_next() => {}
            }
            while on_their_way.try_join_next().is_some() {}
            match self.take_due(MOST_AT_ONCE.saturating_sub(on_their_way.len())).await {
                Ok(due) => {
                    is_failing = false;
                    for (claim, due) in due {
                        let own = self.clone();
                        on_their_way.spawn(async move { own.deliver(&claim, due).await });
                    }
                }
                // Once for each outage, not once a second.
                Err(error) if !is_failing => {
                    is_failing = true;
                    tracing::warn!(%error, "what people are to be told waits: the outbox cannot be read");
                }
                Err(_) => {}
            }
        }
        let last = async { while on_their_way.join_next().await.is_some() {} };
        // Another node, or the next start, sends what this one could not end.
        let _ = tokio::time::timeout(LAST_ATTEMPTS, last).await;
    }
    /// Attempts everything that is due now, once; how many attempts that were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn step(&self) -> Result<usize, StoreError> {
        let mut attempts = 0;
        loop {
            let due = self.take_due(MOST_AT_ONCE).await?;
            if due.is_empty() {
                return Ok(attempts);
            }
            attempts += due.len();
            let mut on_their_way = JoinSet::new();
            for (claim, due) in due {
                let own = self.clone();
                on_their_way.spawn(async move { own.deliver(&claim, due).await });
            }
            while on_their_way.join_next().await.is_some() {}
        }
    }

    async fn take_due(&self, most: usize) -> Result<Vec<(Claim, Due)>, StoreError> {
        let Inner { store, mailer, .. } = &*self.0;
        if most == 0 || !store.notices_waiting().await? {
            return Ok(Vec::new());
        }
        while store.notices_spread(mailer.is_some()).await? > 0 {}
        self.count_pending().await?;
        let (claim, due) = store.deliveries_claim(u32::try_from(most).unwrap_or(u32::MAX), HOLD).await?;
        Ok(due.into_iter().map(|due| (claim.clone(), due)).collect())
    }
    async fn count_pending(&self) -> Result<(), StoreError> {
        let counted = self.0.store.deliveries_pending().await?;
        for (channel, figures) in [("mail", &self.0.mails), ("webhook", &self.0.posts)] {
            let pending = counted.iter().find(|(counted, _)| counted == channel).map_or(0, |(_, pending)| *pending);
            figures.pending.store(pending, Ordering::Relaxed);
        }
        Ok(())
    }

    /// One attempt, written down.
    async fn deliver(&self, claim: &Claim, due: Due) {
        let delivery = due.id;
        if let Err(error) = self.attempt(claim, due, &RETRIES).await {
            // The claim runs out, and it is tried again under the same id.
            tracing::warn!(delivery.id = %delivery, %error, "what came of a delivery could not be written down");
        }
        let _ = self.count_pending().await;
    }
    /// Makes an attempt and writes down what came of it. `waits`: after which it may be made again.
    ///
    /// # Errors
    /// When the store fails: then it is attempted again.
    pub(crate) async fn attempt(&self, claim: &Claim, due: Due, waits: &[Duration]) -> Result<Attempted, StoreError> {
        let Inner { store, world, .. } = &*self.0;
        let (at, began) = (world.now(), Instant::now());
        let sent = match tokio::time::timeout(LONGEST_ATTEMPT, self.send(&due)).await {
            Ok(sent) => sent,
            Err(_) => Err(Failure::new(DeliveryProblem::TimedOut)),
        };
        let duration = began.elapsed();
        let outcome = match &sent {
            Ok(_) => Outcome::Sent,
            Err(failure) => {
                let retry_at = retry_wait(waits, due.attempts, failure).map(|wait| world.now().plus(wait));
                Outcome::Failed { problem: failure.problem, retry_at }
            }
        };
        let (status, problem) = match &sent {
            Ok(status) => (*status, None),
            Err(failure) => (failure.status, Some(failure.problem)),
        };
        self.count(&due, status, problem, duration);
        store.delivery_attempted(claim, due.id, &Attempt { at, duration, status, outcome }).await?;
        if let (Ok(Receiver::Webhook { id, failing_since, .. }), Some(problem)) = (&due.receiver, problem) {
            let since = world.now().minus(GIVE_UP_AFTER);
            let long = failing_since.is_some_and(|at| at <= since);
            if (long || problem == DeliveryProblem::Gone) && store.webhook_give_up(*id, since, problem, status).await? {
                tracing::warn!(webhook.id = %id, problem = problem.as_str(), "an endpoint was given up");
            }
        }
        Ok(Attempted { at, duration, status, problem })
    }
    /// Sends; the status of the answer where there is one.
    async fn send(&self, due: &Due) -> Result<Option<u16>, Failure> {
        let receiver = due.receiver.as_ref().map_err(|problem| Failure::last(*problem))?;
        if due.notices.is_empty() {
            return Err(Failure::last(DeliveryProblem::Unreadable));
        }
        match receiver {
            Receiver::Mail { name, email, language } => {
                // Mail was switched off since this was to be sent.
                let mailer = self.0.mailer.as_ref().ok_or(Failure::last(DeliveryProblem::Stopped))?;
                let lang = language.as_deref().and_then(Lang::from_tag).unwrap_or(mailer.language());
                let console = self.0.console.get().map(String::as_str);
                let letter = letter::of(lang, name.as_str(), &due.notices, console);
                mailer.send(due.id, name, email, &letter, self.0.world.now()).await
            }
            Receiver::Webhook { .. } => self.0.poster.send(receiver, &due.notices, self.0.world.now()).await,
        }
    }
    fn count(&self, due: &Due, status: Option<u16>, problem: Option<DeliveryProblem>, duration: Duration) {
        let (channel, figures) = match &due.receiver {
            Ok(Receiver::Mail { .. }) | Err(DeliveryProblem::NoAddress) => ("mail", &self.0.mails),
            _ => ("webhook", &self.0.posts),
        };
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let kind = due.notices.first().map_or("", |told| told.notice.kind());
        match problem {
            None => {
                figures.sent.fetch_add(1, Ordering::Relaxed);
                tracing::info!(delivery.id = %due.id, channel, kind, status, duration_ms, "told");
            }
            Some(problem) => {
                figures.failed.fetch_add(1, Ordering::Relaxed);
                let problem = problem.as_str();
                tracing::warn!(delivery.id = %due.id, channel, kind, status, duration_ms, problem, "not told");
            }
        }
    }
}

/// How long to wait after an attempt that failed; `None`: for ever. `before`: how many there were before it.
fn retry_wait(waits: &[Duration], before: u32, failure: &Failure) -> Option<Duration> {
    if failure.is_final {
        return None;
    }
    let wait = waits.get(usize::try_from(before).ok()?)?;
    Some(failure.retry_after.map_or(*wait, |asked| asked.min(LONGEST_ASKED_WAIT).max(*wait)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end_within_what_a_receiver_may_ask_for() {
        assert!(RETRIES.is_sorted());
        let total: Duration = RETRIES.iter().sum();
        assert!(total > Duration::from_secs(3 * 86_400) && total < GIVE_UP_AFTER, "{total:?}");
        let failed = |retry_after| Failure { retry_after, ..Failure::new(DeliveryProblem::Status) };
        assert_eq!(retry_wait(&RETRIES, 0, &failed(None)), Some(RETRIES[0]));
        assert_eq!(retry_wait(&RETRIES, 8, &failed(None)), Some(RETRIES[8]));
        assert_eq!(retry_wait(&RETRIES, 9, &failed(None)), None);
        assert_eq!(retry_wait(&RETRIES, u32::MAX, &failed(None)), None);
        assert_eq!(retry_wait(&[], 0, &failed(None)), None);
        assert_eq!(retry_wait(&RETRIES, 0, &Failure::last(DeliveryProblem::NoAddress)), None);
        let asked = |seconds| retry_wait(&RETRIES, 1, &failed(Some(Duration::from_secs(seconds))));
        assert_eq!(asked(1), Some(RETRIES[1]), "no sooner than usual");
        assert_eq!(asked(600), Some(Duration::from_secs(600)));
        assert_eq!(asked(u64::MAX), Some(LONGEST_ASKED_WAIT));
    }

    #[test]
    fn an_attempt_ends_before_the_claim_does() {
        assert!(LONGEST_ATTEMPT < HOLD);
    }
}
