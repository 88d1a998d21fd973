//! Deliveries that somebody asks for: a test, or one sent again. They are made already claimed, so that whoever asked makes
//! the attempt and sees what comes of it; should that node die, another one sends them.

use std::time::Duration;

use serde_json::json;
use tollgate_core::{
    Account, Actor, Id, Notice, User,
    notice::{Delivery, Webhook},
};

use super::{Claim, Due, INSERT, deliveries::read_due, row_of};
use crate::{
    Result, Store, StoreError, accounts, bulk,
    value::{Value, values},
    webhooks,
    write::{Subject, Write},
};

impl Store {
    /// Tells an endpoint of the account (`None`: of anybody) alone, claimed for as long as `hold`. For a test.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the store fails.
    pub async fn webhook_test(
        &self,
        actor: &Actor,
        account: Option<Id<Account>>,
        id: Id<Webhook>,
        hold: Duration,
    ) -> Result<(Claim, Due)> {
        let mut write = self.write(actor).await?;
        let (no, webhook) = webhooks::read(&mut write, account, id).await?;
        let at = write.now();
        let notice = Notice::Test(tollgate_core::notice::Test { account: webhook.account.map(|(id, _)| id), at });
        let claim = self.new_claim();
        let made = create(&mut write, &claim, &notice, (None, Some(no)), hold).await?;
        let of = webhooks::account_no(&mut write, no).await?;
        write.audit("webhook.test", webhooks::subject(id, of), json!({})).await?;
        claimed(write, claim, made).await
    }
    /// Tells a user alone by mail, claimed for as long as `hold`. For a test.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the store fails.
    pub async fn mail_test(&self, actor: &Actor, user: Id<User>, hold: Duration) -> Result<(Claim, Due)> {
        let mut write = self.write(actor).await?;
        let no = accounts::user_no(&mut write, user).await?;
        let notice = Notice::Test(tollgate_core::notice::Test { account: None, at: write.now() });
        let claim = self.new_claim();
        let made = create(&mut write, &claim, &notice, (Some(no.get()), None), hold).await?;
        write.audit("mail.test", Subject::new(user), json!({})).await?;
        claimed(write, claim, made).await
    }
    /// Claims a delivery of an endpoint of the account (`None`: of anybody) that has come to its end, or waits, to attempt
    /// it once more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::State`] while somebody sends it, or when the store fails.
    pub async fn delivery_resend(
        &self,
        actor: &Actor,
        account: Option<Id<Account>>,
        webhook: Id<Webhook>,
        id: Id<Delivery>,
        hold: Duration,
    ) -> Result<(Claim, Due)> {
        let mut write = self.write(actor).await?;
        let (webhook_no, _) = webhooks::read(&mut write, account, webhook).await?;
        let now = write.now();
        let sql = "SELECT no, claimed_until FROM deliveries WHERE id = $1 AND webhook_no = $2";
        let row = write.row(sql, values![id, webhook_no]).await?.ok_or(StoreError::NotFound)?;
        let mut columns = row.columns();
        let (no, claimed_until): (i64, i64) = (columns.next()?, columns.next()?);
        let claim = self.new_claim();
        let sql =
            "UPDATE deliveries SET state = 'pending', next_at = $2, finished_at = NULL, claim = $3, claimed_until = $4
                   WHERE no = $1 AND claimed_until <= $2";
        let values = values![no, now, claim.0.as_str(), now.plus(hold)];
        if claimed_until > now.as_millis() || write.execute(sql, values).await? == 0 {
            return Err(StoreError::State("it is being sent right now"));
        }
        let of = webhooks::account_no(&mut write, webhook_no).await?;
        write.audit("webhook.resend", webhooks::subject(webhook, of), json!({ "delivery": id })).await?;
        claimed(write, claim, no).await
    }
}

/// A notice for one receiver alone, as a delivery that is claimed; its row number.
async fn create(
    write: &mut Write<'_>,
    claim: &Claim,
    notice: &Notice,
    (user, webhook): (Option<i64>, Option<i64>),
    hold: Duration,
) -> Result<i64> {
    let now = write.now();
    let id = write.new_id();
    bulk::execute(write, &INSERT, vec![row_of(id, notice)?]).await?;
    let sql = "UPDATE notices SET spread_at = $2 WHERE id = $1 RETURNING no";
    let notice_no: i64 = number(write, sql, values![id, now]).await?;
    let channel = if user.is_some() { "mail" } else { "webhook" };
    let sql =
        "INSERT INTO deliveries (id, channel, user_no, webhook_no, state, attempts, next_at, claim, claimed_until,
                                       created_at)
               VALUES ($1, $2, $3, $4, 'pending', 0, $5, $6, $7, $5) RETURNING no";
    let delivery: Id<Delivery> = write.new_id();
    let values = values![delivery, channel, user, webhook, now, claim.0.as_str(), now.plus(hold)];
    let no = number(write, sql, values).await?;
    let sql = "INSERT INTO delivery_notices (delivery_no, notice_no) VALUES ($1, $2)";
    write.execute(sql, values![no, notice_no]).await?;
    Ok(no)
}

async fn number(write: &mut Write<'_>, sql: &'static str, values: Vec<Value>) -> Result<i64> {
    let row = write.row(sql, values).await?;
    row.ok_or_else(|| StoreError::Failed("a row was not made".into()))?.columns().next()
}

async fn claimed(mut write: Write<'_>, claim: Claim, no: i64) -> Result<(Claim, Due)> {
    let now = write.now();
    let due = read_due(&mut write, now, vec![no], true).await?.pop().ok_or(StoreError::NotFound)?;
    Ok((claim, write.commit(due).await?.value))
}
