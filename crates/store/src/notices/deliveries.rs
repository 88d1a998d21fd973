//! Deliveries on their way: claimed by whoever sends them, and what became of each attempt.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use tollgate_core::{
    Account, Id, Notice, Timestamp,
    name::{Email, Label},
    notice::{Delivery, DeliveryProblem, Webhook},
};
use uuid::Uuid;

use crate::{
    Result, Store, StoreEngine, StoreError,
    bulk::placeholders,
    engine::{Columns, Tx},
    value::{Value, values},
};

/// Most deliveries to one endpoint, and most mails, that are on their way at once.
const MOST_PER_RECEIVER: i64 = 4;

/// The right to send what was claimed, until it runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim(pub(super) String);

/// A delivery that is due, and ours to send.
#[derive(Debug, Clone)]
pub struct Due {
    /// Its id, the same at each attempt.
    pub id: Id<Delivery>,
    /// How many attempts were made before this one.
    pub attempts: u32,
    /// Whom it goes to. `None`: to nobody any more, for this reason.
    pub receiver: std::result::Result<Receiver, DeliveryProblem>,
    /// What it says, oldest first. One that cannot be read is left out.
    pub notices: Vec<DueNotice>,
}

/// A notice in a delivery.
#[derive(Debug, Clone)]
pub struct DueNotice {
    /// Its id.
    pub id: Id<Notice>,
    /// What it says.
    pub notice: Notice,
    /// The handle of the account that it is about, for links.
    pub account: Option<String>,
}

/// Whom a delivery goes to.
#[derive(Debug, Clone)]
pub enum Receiver {
    /// A user, by mail.
    Mail {
        /// Its name.
        name: Label,
        /// Its address.
        email: Email,
        /// The language that it chose.
        language: Option<String>,
    },
    /// An endpoint.
    Webhook {
        /// Its id, to which its secrets are bound.
        id: Id<Webhook>,
        /// Where it is.
        url: String,
        /// Whether it is the deployment's own.
        of_deployment: bool,
        /// Its sealed secret.
        secret: Vec<u8>,
        /// The sealed one from before the last rotation, while it still signs too.
        previous_secret: Option<Vec<u8>>,
        /// Since when every attempt has failed.
        failing_since: Option<Timestamp>,
    },
}

/// An attempt that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived.
    Sent,
    /// It did not.
    Failed {
        /// Why.
        problem: DeliveryProblem,
        /// When it is to be tried again; `None`: never.
        retry_at: Option<Timestamp>,
    },
}

impl Store {
    /// Whether there is something to spread or to send. One read: what is not due costs no write.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn notices_waiting(&self) -> Result<bool> {
        let sql = "SELECT (SELECT no FROM notices WHERE spread_at IS NULL LIMIT 1),
                          (SELECT no FROM deliveries
                           WHERE state = 'pending' AND next_at <= $1 AND claimed_until <= $1 LIMIT 1)";
        let row = self.pools().row(sql, values![self.world().now()]).await?;
        let row = row.ok_or_else(|| StoreError::Failed("no answer".into()))?;
        let mut columns = row.columns();
        let (spread, send): (Option<i64>, Option<i64>) = (columns.next()?, columns.next()?);
        Ok(spread.is_some() || send.is_some())
    }
    /// Gives up the claims of a process that was here before, where it can only have been this node: on SQLite. To be called
    /// once, before anything is claimed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn deliveries_release(&self) -> Result<u64> {
        if self.engine() == StoreEngine::Postgres {
            return Ok(0);
        }
        let mut tx = self.pools().begin().await?;
        let sql = "UPDATE deliveries SET claim = NULL, claimed_until = 0 WHERE state = 'pending' AND claim IS NOT NULL";
        let released = tx.execute(sql, values![]).await?;
        tx.commit().await?;
        Ok(released)
    }
    /// Claims deliveries that are due, at most `most`, for as long as `hold`, a few for each receiver: a slow one does not
    /// take up everybody's time.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn deliveries_claim(&self, most: u32, hold: Duration) -> Result<(Claim, Vec<Due>)> {
        let sql = "UPDATE deliveries SET claim = $1, claimed_until = $2
                   WHERE state = 'pending' AND claimed_until <= $3 AND no IN (
                       SELECT d.no FROM (
                           SELECT no, next_at, claimed_until, ROW_NUMBER() OVER (
                               PARTITION BY channel, webhook_no
                               ORDER BY CASE WHEN claimed_until > $3 THEN 0 ELSE 1 END, next_at, no) AS place
                           FROM deliveries WHERE state = 'pending' AND next_at <= $3) d
                       WHERE d.place <= $4 AND d.claimed_until <= $3 ORDER BY d.next_at, d.no LIMIT $5)
                   RETURNING no";
        let now = self.world().now();
        let claim = self.new_claim();
        let mut tx = self.pools().begin().await?;
        let values = values![claim.0.as_str(), now.plus(hold), now, MOST_PER_RECEIVER, most];
        let rows = tx.rows(sql, values).await?;
        let numbers = rows.iter().map(|row| row.columns().next()).collect::<Result<Vec<i64>>>()?;
        let due = read_due(&mut tx, now, numbers, false).await?;
        tx.commit().await?;
        Ok((claim, due))
    }
    /// Writes down what came of an attempt. `false`, and nothing is written, where the claim was lost meanwhile: another
    /// node sends it too.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delivery_attempted(&self, claim: &Claim, id: Id<Delivery>, attempt: &Attempt) -> Result<bool> {
        let now = self.world().now();
        let (state, problem, next_at) = match attempt.outcome {
            Outcome::Sent => ("sent", None, now),
            Outcome::Failed { problem, retry_at: Some(at) } => ("pending", Some(problem), at),
            Outcome::Failed { problem, retry_at: None } => ("failed", Some(problem), now),
        };
        let finished_at = (state != "pending").then_some(now);
        let mut tx = self.pools().begin().await?;
        let sql =
            "UPDATE deliveries SET state = $3, attempts = attempts + 1, next_at = $4, finished_at = $5, claim = NULL,
                       claimed_until = 0
                   WHERE id = $1 AND claim = $2 AND state = 'pending' RETURNING no, attempts, webhook_no";
        let values = values![id, claim.0.as_str(), state, next_at, finished_at];
        let Some(row) = tx.row(sql, values).await? else { return Ok(false) };
        let mut columns = row.columns();
        let (no, number, webhook): (i64, i64, Option<i64>) = (columns.next()?, columns.next()?, columns.next()?);
        let duration_ms = u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX);
        let status = attempt.status.map(i64::from);
        let sql = "INSERT INTO delivery_attempts (delivery_no, attempt, at, duration_ms, status, error)
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let error = problem.map(DeliveryProblem::as_str);
        tx.execute(sql, values![no, number, attempt.at, duration_ms, status, error]).await?;
        if let Some(webhook) = webhook {
            let sql = match problem {
                None => "UPDATE webhooks SET failing_since = NULL WHERE no = $1 AND failing_since IS NOT NULL",
                Some(_) => "UPDATE webhooks SET failing_since = $2 WHERE no = $1 AND failing_since IS NULL",
            };
            let mut values = values![webhook];
            if problem.is_some() {
                values.push(attempt.at.into());
            }
            tx.execute(sql, values).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    pub(super) fn new_claim(&self) -> Claim {
        let mut random = [0; 16];
        self.world().fill(&mut random);
        Claim(Uuid::from_bytes(random).simple().to_string())
    }
}

/// Reads deliveries with who they go to and what they say. `by_hand`: to an endpoint that is switched off too.
pub(super) async fn read_due(tx: &mut Tx, now: Timestamp, numbers: Vec<i64>, by_hand: bool) -> Result<Vec<Due>> {
    let mut due = Vec::with_capacity(numbers.len());
    if numbers.is_empty() {
        return Ok(due);
    }
    let sql = format!(
        "SELECT d.no, d.id, d.attempts, d.channel,
             u.name, u.email, u.disabled_at, u.language,
             w.id, w.url, w.account_no, w.secret, w.previous_secret, w.previous_until, w.state, w.removed_at, w.failing_since
         FROM deliveries d LEFT JOIN users u ON u.no = d.user_no LEFT JOIN webhooks w ON w.no = d.webhook_no
         WHERE d.no IN ({}) ORDER BY d.next_at, d.no",
        placeholders(1, numbers.len())
    );
    let values = numbers.iter().copied().map(Value::from).collect();
    for row in tx.rows(AssertSqlSafe(sql), values).await? {
        let mut columns = row.columns();
        let (no, id, attempts): (i64, _, i64) = (columns.next()?, columns.next()?, columns.next()?);
        let receiver = read_receiver(&mut columns, now, by_hand)?;
        let notices = read_notices(tx, no).await?;
        due.push(Due { id, attempts: u32::try_from(attempts).unwrap_or(u32::MAX), receiver, notices });
    }
    Ok(due)
}

fn read_receiver(
    columns: &mut Columns<'_>,
    now: Timestamp,
    by_hand: bool,
) -> Result<std::result::Result<Receiver, DeliveryProblem>> {
    let channel: String = columns.next()?;
    let (name, email): (Option<Label>, Option<Email>) = (columns.next()?, columns.next()?);
    let (disabled, language): (Option<i64>, Option<String>) = (columns.next()?, columns.next()?);
    let (id, url): (Option<Id<Webhook>>, Option<String>) = (columns.next()?, columns.next()?);
    let account: Option<i64> = columns.next()?;
    let (secret, previous): (Option<Vec<u8>>, Option<Vec<u8>>) = (columns.next()?, columns.next()?);
    let (until, state): (Option<Timestamp>, Option<String>) = (columns.next()?, columns.next()?);
    let (removed, failing_since): (Option<i64>, Option<Timestamp>) = (columns.next()?, columns.next()?);
    if channel == "mail" {
        return Ok(match (name, email) {
            (Some(name), Some(email)) if disabled.is_none() => Ok(Receiver::Mail { name, email, language }),
            _ => Err(DeliveryProblem::NoAddress),
        });
    }
    let (Some(id), Some(url), Some(secret)) = (id, url, secret) else {
        return Err(StoreError::Failed("a delivery has no receiver".into()));
    };
    if removed.is_some() || (state.as_deref() != Some("active") && !by_hand) {
        return Ok(Err(DeliveryProblem::Stopped));
    }
    let previous_secret = previous.filter(|_| until.is_some_and(|until| now < until));
    Ok(Ok(Receiver::Webhook { id, url, of_deployment: account.is_none(), secret, previous_secret, failing_since }))
}

async fn read_notices(tx: &mut Tx, delivery: i64) -> Result<Vec<DueNotice>> {
    let sql = "SELECT n.id, n.body FROM delivery_notices d JOIN notices n ON n.no = d.notice_no
               WHERE d.delivery_no = $1 ORDER BY n.no";
    let mut notices = Vec::new();
    for row in tx.rows(sql, values![delivery]).await? {
        let mut columns = row.columns();
        let (id, body): (Id<Notice>, String) = (columns.next()?, columns.next()?);
        let Ok(notice) = serde_json::from_str::<Notice>(&body) else { continue };
        let account = match notice.account() {
            Some(account) => handle_of(tx, account).await?,
            None => None,
        };
        notices.push(DueNotice { id, notice, account });
    }
    Ok(notices)
}

async fn handle_of(tx: &mut Tx, account: Id<Account>) -> Result<Option<String>> {
    let row = tx.row("SELECT handle FROM accounts WHERE id = $1", values![account]).await?;
    row.map(|row| row.columns().next()).transpose()
}
