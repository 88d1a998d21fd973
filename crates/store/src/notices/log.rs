//! The delivery log of an endpoint, and the forgetting of what is over.

use std::{collections::BTreeMap, time::Duration};

use sqlx::AssertSqlSafe;
use tollgate_core::{
    Id, Notice, Timestamp,
    notice::{Delivery, DeliveryProblem, Webhook},
};

use crate::{
    Page, PageRequest, Result, Store,
    bulk::placeholders,
    engine::Row,
    value::{Value, parsed, values},
};

/// How long a delivery is kept once it is over, and a notice when nothing is on its way any more.
pub const DELIVERIES_KEPT: Duration = Duration::from_secs(30 * 86_400);
/// Most deliveries that are over that are kept for one endpoint.
pub const MOST_DELIVERIES_KEPT: i64 = 1_000;
/// Rows of one step, so that nobody waits long behind one.
const STEP: i64 = 500;
/// Cursors of delivery lists.
const LIST: char = 'v';

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// It is to be attempted, or attempted again.
    Pending,
    /// It arrived.
    Sent,
    /// It did not arrive, and is not attempted again.
    Failed,
}

impl DeliveryState {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}
impl std::str::FromStr for DeliveryState {
    type Err = &'static str;
    fn from_str(text: &str) -> std::result::Result<Self, &'static str> {
        let all = [Self::Pending, Self::Sent, Self::Failed];
        all.into_iter().find(|state| state.as_str() == text).ok_or("no state of a delivery")
    }
}

/// A delivery as the log shows it.
#[derive(Debug, Clone)]
pub struct DeliveryView {
    /// Its id.
    pub id: Id<Delivery>,
    /// The id of the notice that it carries.
    pub notice: Id<Notice>,
    /// The notice's kind (`key.leaked`).
    pub kind: String,
    /// How far it has come.
    pub state: DeliveryState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is attempted next, while it is pending.
    pub next_at: Option<Timestamp>,
    /// What was attempted, the first first.
    pub attempts: Vec<DeliveryAttempt>,
}

/// An attempt as the log shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryAttempt {
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub duration_ms: u64,
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
    /// Why it failed; absent: it arrived.
    pub problem: Option<DeliveryProblem>,
}

impl Store {
    /// What was sent to an endpoint, the newest first.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn delivery_list(&self, webhook: Id<Webhook>, page: &PageRequest) -> Result<Page<DeliveryView>> {
        let before = page.after_number(LIST)?.unwrap_or(i64::MAX);
        let sql = "SELECT d.no, d.id, d.state, d.created_at, d.next_at, n.id, n.body
                   FROM deliveries d JOIN webhooks w ON w.no = d.webhook_no
                   JOIN delivery_notices l ON l.delivery_no = d.no JOIN notices n ON n.no = l.notice_no
                   WHERE w.id = $1 AND d.no < $2 ORDER BY d.no DESC LIMIT $3";
        let mut deliveries = Vec::new();
        for row in self.pools().rows(sql, values![webhook, before, page.rows()]).await? {
            let mut columns = row.columns();
            let no: i64 = columns.next()?;
            let (id, state) = (columns.next()?, parsed(&columns.next::<String>()?)?);
            let (created_at, next_at): (_, Timestamp) = (columns.next()?, columns.next()?);
            let (notice, body): (_, String) = (columns.next()?, columns.next()?);
            let next_at = (state == DeliveryState::Pending).then_some(next_at);
            let view =
                DeliveryView { id, notice, kind: kind_of(&body), state, created_at, next_at, attempts: Vec::new() };
            deliveries.push((no, view));
        }
        let mut page = page.page(LIST, deliveries, |(no, _)| no.to_string());
        let mut attempts = self.attempts_of(page.data.iter().map(|(no, _)| *no).collect()).await?;
        for (no, delivery) in &mut page.data {
            delivery.attempts = attempts.remove(no).unwrap_or_default();
        }
        Ok(Page { data: page.data.into_iter().map(|(_, delivery)| delivery).collect(), next_cursor: page.next_cursor })
    }
    async fn attempts_of(&self, deliveries: Vec<i64>) -> Result<BTreeMap<i64, Vec<DeliveryAttempt>>> {
        let mut attempts: BTreeMap<i64, Vec<DeliveryAttempt>> = BTreeMap::new();
        if deliveries.is_empty() {
            return Ok(attempts);
        }
        let sql = format!(
            "SELECT delivery_no, at, duration_ms, status, error FROM delivery_attempts WHERE delivery_no IN ({})
             ORDER BY delivery_no, attempt",
            placeholders(1, deliveries.len())
        );
        for row in self.pools().rows(AssertSqlSafe(sql), deliveries.into_iter().map(Value::from).collect()).await? {
            let mut columns = row.columns();
            let delivery: i64 = columns.next()?;
            let (at, duration_ms) = (columns.next()?, columns.next()?);
            let status = columns.next::<Option<i64>>()?.and_then(|status| u16::try_from(status).ok());
            let problem = columns.next::<Option<String>>()?.map(|error| parsed(&error)).transpose()?;
            let attempt = DeliveryAttempt { at, duration_ms, status, problem };
            attempts.entry(delivery).or_default().push(attempt);
        }
        Ok(attempts)
    }
    /// How many deliveries wait, by channel: `mail`, `webhook`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn deliveries_pending(&self) -> Result<Vec<(String, u64)>> {
        let sql = "SELECT channel, COUNT(*) FROM deliveries WHERE state = 'pending' GROUP BY channel";
        let rows = self.pools().rows(sql, values![]).await?;
        let counted = |row: &Row| {
            let mut columns = row.columns();
            Ok((columns.next()?, columns.next()?))
        };
        rows.iter().map(counted).collect()
    }
    /// Forgets what was over long ago, and of each endpoint what is more than its log keeps; how many deliveries.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn notices_prune(&self) -> Result<u64> {
        let before = self.world().now().minus(DELIVERIES_KEPT);
        let mut pruned = 0;
        loop {
            let mut tx = self.pools().begin().await?;
            let sql = "DELETE FROM deliveries WHERE no IN (
                           SELECT no FROM deliveries WHERE finished_at < $1 ORDER BY finished_at LIMIT $2) RETURNING no";
            let mut gone = tx.rows(sql, values![before, STEP]).await?;
            let sql = "DELETE FROM deliveries WHERE no IN (
                           SELECT d.no FROM (
                               SELECT no, ROW_NUMBER() OVER (PARTITION BY webhook_no ORDER BY no DESC) AS place
                               FROM deliveries WHERE webhook_no IS NOT NULL AND finished_at IS NOT NULL) d
                           WHERE d.place > $1 LIMIT $2) RETURNING no";
            gone.append(&mut tx.rows(sql, values![MOST_DELIVERIES_KEPT, STEP]).await?);
            for row in &gone {
                let no: i64 = row.columns().next()?;
                tx.execute("DELETE FROM delivery_attempts WHERE delivery_no = $1", values![no]).await?;
                tx.execute("DELETE FROM delivery_notices WHERE delivery_no = $1", values![no]).await?;
            }
            let sql = "DELETE FROM notices WHERE no IN (
                           SELECT n.no FROM notices n WHERE n.spread_at < $1
                             AND NOT EXISTS (SELECT 1 FROM delivery_notices l WHERE l.notice_no = n.no)
                           ORDER BY n.no LIMIT $2)";
            let notices = tx.execute(sql, values![before, STEP]).await?;
            tx.commit().await?;
            pruned += u64::try_from(gone.len()).unwrap_or(u64::MAX);
            if gone.is_empty() && notices == 0 {
                return Ok(pruned);
            }
        }
    }
}

/// The kind of a stored notice, also of one of a newer program.
fn kind_of(body: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Tagged {
        r#type: String,
    }
    serde_json::from_str::<Tagged>(body).map(|tagged| tagged.r#type).unwrap_or_default()
}
