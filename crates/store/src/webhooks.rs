//! Endpoints that notices are posted to: made, edited, their secrets rotated, given up.
//!
//! An endpoint belongs to an account, or to the deployment, and then hears of every account. Its secrets are sealed by whoever
//! calls; nothing here opens one. A removed endpoint's row stays: its delivery log names it until that is forgotten.

use serde_json::json;
use sqlx::AssertSqlSafe;
use tollgate_core::{
    Account, Actor, Id, No, Notice, Timestamp, User,
    account::ActorKind,
    name::{Handle, Label},
    notice::{DeliveryProblem, Webhook, WebhookDisabled},
};

use crate::{
    Page, PageRequest, Result, Store, StoreError, accounts,
    engine::{Columns, Row},
    notices,
    value::{parsed, storable, values},
    write::{Difference, Subject, Write},
};

/// Most endpoints of one account, and of the deployment.
pub const MOST_WEBHOOKS: i64 = 20;
/// Cursors of lists of endpoints.
const LIST: char = 'w';

/// Whether anything is sent to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookState {
    /// It is.
    Active,
    /// Not, by hand.
    Disabled,
    /// Not, since every attempt failed for days.
    Failed,
}

impl WebhookState {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Failed => "failed",
        }
    }
}
impl std::str::FromStr for WebhookState {
    type Err = &'static str;
    fn from_str(text: &str) -> std::result::Result<Self, &'static str> {
        let all = [Self::Active, Self::Disabled, Self::Failed];
        all.into_iter().find(|state| state.as_str() == text).ok_or("no state of an endpoint")
    }
}

/// An endpoint, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookView {
    /// Its id.
    pub id: Id<Webhook>,
    /// The account that it belongs to, and its handle; absent for one of the deployment.
    pub account: Option<(Id<Account>, Handle)>,
    /// What its owner calls it.
    pub name: Label,
    /// Where it is.
    pub url: String,
    /// Whether anything is sent to it.
    pub state: WebhookState,
    /// Since when.
    pub state_at: Timestamp,
    /// Since when every attempt has failed.
    pub failing_since: Option<Timestamp>,
    /// Until when the secret from before the last rotation signs too.
    pub rotated_until: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with each change; the `etag`.
    pub version: i64,
}

/// An endpoint to be made.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// Its id, to which the secret is bound.
    pub id: Id<Webhook>,
    /// The account that it belongs to; absent for one of the deployment.
    pub account: Option<Id<Account>>,
    /// What its owner calls it.
    pub name: Label,
    /// Where it is.
    pub url: String,
    /// Its secret, sealed.
    pub secret: Vec<u8>,
    /// The caller's `Idempotency-Key`.
    pub idempotency_key: Option<String>,
}

/// What changes in an endpoint; `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct WebhookEdit {
    /// A new name.
    pub name: Option<Label>,
    /// Another address.
    pub url: Option<String>,
    /// Switches it on or off.
    pub enabled: Option<bool>,
}

/// Which endpoints a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhooksOf {
    /// An account's.
    Account(Id<Account>),
    /// The deployment's own.
    Deployment,
    /// All there are.
    All,
}

const COLUMNS: &str =
    "w.no, w.id, a.id, a.handle, w.name, w.url, w.state, w.state_at, w.failing_since, w.previous_until,
    w.created_at, w.version";
const FROM: &str = "FROM webhooks w LEFT JOIN accounts a ON a.no = w.account_no";

impl Store {
    /// Makes an endpoint.
    ///
    /// # Errors
    /// An idempotency key used before there: [`StoreError::AlreadyCreated`]; too many: [`StoreError::State`]; or when the
    /// store fails.
    pub async fn webhook_create(&self, actor: &Actor, new: NewWebhook) -> Result<WebhookView> {
        storable(Some(&new.url))?;
        storable(new.idempotency_key.as_deref())?;
        let mut write = self.write(actor).await?;
        let account = match new.account {
            Some(account) => Some(accounts::auth(&mut write, account).await?.no),
            None => None,
        };
        // A number that no row has stands for the deployment: the engines compare NULLs unlike numbers.
        let of = account.map_or(0, No::get);
        if let Some(used) = &new.idempotency_key {
            let sql = "SELECT id FROM webhooks WHERE COALESCE(account_no, 0) = $1 AND idempotency_key = $2";
            if let Some(row) = write.row(sql, values![of, used.as_str()]).await? {
                return Err(StoreError::AlreadyCreated(row.columns().next()?));
            }
        }
        let sql = "SELECT COUNT(*) FROM webhooks WHERE COALESCE(account_no, 0) = $1 AND removed_at IS NULL";
        let there: i64 = write.row(sql, values![of]).await?.map_or(Ok(0), |row| row.columns().next())?;
        if there >= MOST_WEBHOOKS {
            return Err(StoreError::State("there are 20 webhooks already: remove one first"));
        }
        let creator = match &actor.kind {
            ActorKind::User { user, .. } => Some(accounts::user_no(&mut write, *user).await?),
            ActorKind::System { .. } => None,
        };
        insert(&mut write, &new, account, creator).await?;
        let detail = json!({ "name": new.name, "url": new.url });
        write.audit("webhook.create", subject(new.id, account), detail).await?;
        let (_, webhook) = read(&mut write, None, new.id).await?;
        Ok(write.commit(webhook).await?.value)
    }
    /// An endpoint of the account (`None`: of anybody).
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the store fails.
    pub async fn webhook_get(&self, account: Option<Id<Account>>, id: Id<Webhook>) -> Result<WebhookView> {
        let sql = format!("SELECT {COLUMNS} {FROM} WHERE w.id = $1 AND w.removed_at IS NULL");
        let row = self.pools().row(AssertSqlSafe(sql), values![id]).await?.ok_or(StoreError::NotFound)?;
        let (_, webhook) = webhook_of(&row)?;
        in_account(account, &webhook)?;
        Ok(webhook)
    }
    /// Endpoints, the oldest first.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn webhook_list(&self, of: WebhooksOf, page: &PageRequest) -> Result<Page<WebhookView>> {
        let after = page.after_number(LIST)?.unwrap_or(0);
        let (condition, account) = match of {
            WebhooksOf::Account(account) => ("a.id = $3", account.to_string()),
            WebhooksOf::Deployment => ("w.account_no IS NULL AND $3 = ''", String::new()),
            WebhooksOf::All => ("$3 = ''", String::new()),
        };
        let sql = format!(
            "SELECT {COLUMNS} {FROM} WHERE w.removed_at IS NULL AND w.no > $1 AND {condition} ORDER BY w.no LIMIT $2"
        );
        let rows = self.pools().rows(AssertSqlSafe(sql), values![after, page.rows(), account]).await?;
        let webhooks = rows.iter().map(webhook_of).collect::<Result<Vec<_>>>()?;
        let page = page.page(LIST, webhooks, |(no, _)| no.to_string());
        Ok(Page { data: page.data.into_iter().map(|(_, webhook)| webhook).collect(), next_cursor: page.next_cursor })
    }
    /// Edits an endpoint of the account (`None`: of anybody). Switching it on forgets that it failed.
    ///
    /// # Errors
    /// [`StoreError::VersionConflict`], [`StoreError::NotFound`], or when the store fails.
    pub async fn webhook_edit(
        &self,
        actor: &Actor,
        account: Option<Id<Account>>,
        id: Id<Webhook>,
        edit: WebhookEdit,
        if_version: Option<i64>,
    ) -> Result<WebhookView> {
        storable(edit.url.as_deref())?;
        let mut write = self.write(actor).await?;
        let (no, mut webhook) = read(&mut write, account, id).await?;
        if if_version.is_some_and(|version| version != webhook.version) {
            return Err(StoreError::VersionConflict);
        }
        let mut difference = Difference::default();
        difference.take("name", &mut webhook.name, edit.name, |name| json!(name));
        let moved = difference.take("url", &mut webhook.url, edit.url, |url| json!(url));
        let state = edit.enabled.map(|enabled| match (enabled, webhook.state) {
            (true, _) => WebhookState::Active,
            (false, WebhookState::Active) => WebhookState::Disabled,
            (false, off) => off,
        });
        let switched = difference.take("state", &mut webhook.state, state, |state| json!(state));
        if difference.is_empty() {
            return Ok(webhook);
        }
        if switched {
            webhook.state_at = write.now();
        }
        if moved || (switched && webhook.state == WebhookState::Active) {
            webhook.failing_since = None;
        }
        let sql = "UPDATE webhooks SET name = $2, url = $3, state = $4, state_at = $5, failing_since = $6,
                       version = version + 1 WHERE no = $1";
        let values = values![
            no,
            &webhook.name,
            webhook.url.as_str(),
            webhook.state.as_str(),
            webhook.state_at,
            webhook.failing_since,
        ];
        write.execute(sql, values).await?;
        let of = account_no(&mut write, no).await?;
        write.audit("webhook.edit", subject(id, of), difference.into_detail()).await?;
        webhook.version += 1;
        Ok(write.commit(webhook).await?.value)
    }
    /// Gives an endpoint another secret; the one before signs too until `until`, an older one not any more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the store fails.
    pub async fn webhook_rotate(
        &self,
        actor: &Actor,
        account: Option<Id<Account>>,
        id: Id<Webhook>,
        secret: Vec<u8>,
        until: Timestamp,
    ) -> Result<WebhookView> {
        let mut write = self.write(actor).await?;
        let (no, mut webhook) = read(&mut write, account, id).await?;
        let sql =
            "UPDATE webhooks SET previous_secret = secret, previous_until = $2, secret = $3, version = version + 1
                   WHERE no = $1";
        write.execute(sql, values![no, until, secret]).await?;
        let of = account_no(&mut write, no).await?;
        write.audit("webhook.rotate", subject(id, of), json!({ "both_until": until })).await?;
        (webhook.rotated_until, webhook.version) = (Some(until), webhook.version + 1);
        Ok(write.commit(webhook).await?.value)
    }
    /// Removes an endpoint: what waits for it is not sent.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the store fails.
    pub async fn webhook_remove(
        &self,
        actor: &Actor,
        account: Option<Id<Account>>,
        id: Id<Webhook>,
    ) -> Result<WebhookView> {
        let mut write = self.write(actor).await?;
        let (no, webhook) = read(&mut write, account, id).await?;
        let now = write.now();
        write.execute("UPDATE webhooks SET removed_at = $2 WHERE no = $1", values![no, now]).await?;
        let of = account_no(&mut write, no).await?;
        let detail = json!({ "name": webhook.name, "url": webhook.url });
        write.audit("webhook.remove", subject(id, of), detail).await?;
        Ok(write.commit(webhook).await?.value)
    }
    /// Gives up on an endpoint at which every attempt has failed since before `since` (any time, where it says that it is
    /// gone), and tells its owners. Whether it did.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn webhook_give_up(
        &self,
        id: Id<Webhook>,
        since: Timestamp,
        problem: DeliveryProblem,
        status: Option<u16>,
    ) -> Result<bool> {
        let mut write = self.write(&Actor::system("notices")).await?;
        let (no, webhook) = match read(&mut write, None, id).await {
            Err(StoreError::NotFound) => return Ok(false),
            read => read?,
        };
        let failing_since = match webhook.failing_since {
            Some(at) if webhook.state == WebhookState::Active && (at <= since || problem == DeliveryProblem::Gone) => {
                at
            }
            _ => return Ok(false),
        };
        let now = write.now();
        let sql = "UPDATE webhooks SET state = 'failed', state_at = $2, version = version + 1 WHERE no = $1";
        write.execute(sql, values![no, now]).await?;
        let of = account_no(&mut write, no).await?;
        let detail = json!({ "failing_since": failing_since, "reason": problem, "status": status });
        write.audit("webhook.give_up", subject(id, of), detail).await?;
        let notice = Notice::WebhookDisabled(WebhookDisabled {
            account: webhook.account.map(|(account, _)| account),
            webhook: id,
            name: webhook.name,
            failing_since,
            at: now,
            reason: problem,
            status,
        });
        notices::append(&mut write, &[notice]).await?;
        write.commit(true).await.map(|committed| committed.value)
    }
}

async fn insert(
    write: &mut Write<'_>,
    new: &NewWebhook,
    account: Option<No<Account>>,
    creator: Option<No<User>>,
) -> Result<()> {
    let now = write.now();
    let sql = "INSERT INTO webhooks (id, account_no, name, url, secret, state, state_at, idempotency_key, created_at, created_by,
                                     version)
               VALUES ($1, $2, $3, $4, $5, 'active', $6, $7, $6, $8, 1)";
    let values = values![
        new.id,
        account,
        &new.name,
        new.url.as_str(),
        new.secret.clone(),
        now,
        new.idempotency_key.as_deref(),
        creator,
    ];
    write.execute(sql, values).await.map(drop)
}

/// An endpoint that is there, with its row number.
pub(crate) async fn read(
    write: &mut Write<'_>,
    account: Option<Id<Account>>,
    id: Id<Webhook>,
) -> Result<(i64, WebhookView)> {
    let sql = format!("SELECT {COLUMNS} {FROM} WHERE w.id = $1 AND w.removed_at IS NULL");
    let row = write.row(AssertSqlSafe(sql), values![id]).await?.ok_or(StoreError::NotFound)?;
    let (no, webhook) = webhook_of(&row)?;
    in_account(account, &webhook)?;
    Ok((no, webhook))
}

fn in_account(account: Option<Id<Account>>, webhook: &WebhookView) -> Result<()> {
    let of = webhook.account.as_ref().map(|(id, _)| *id);
    if account.is_some() && account != of { Err(StoreError::NotFound) } else { Ok(()) }
}

pub(crate) async fn account_no(write: &mut Write<'_>, webhook: i64) -> Result<Option<No<Account>>> {
    let row = write.row("SELECT account_no FROM webhooks WHERE no = $1", values![webhook]).await?;
    row.map_or(Ok(None), |row| row.columns().next())
}

pub(crate) fn subject(id: Id<Webhook>, account: Option<No<Account>>) -> Subject {
    let subject = Subject::new(id);
    match account {
        Some(account) => subject.of(account),
        None => subject,
    }
}

fn webhook_of(row: &Row) -> Result<(i64, WebhookView)> {
    let mut columns = row.columns();
    Ok((columns.next()?, read_webhook(&mut columns)?))
}

fn read_webhook(columns: &mut Columns<'_>) -> Result<WebhookView> {
    let id = columns.next()?;
    let (account, handle): (Option<Id<Account>>, Option<Handle>) = (columns.next()?, columns.next()?);
    Ok(WebhookView {
        id,
        account: account.zip(handle),
        name: columns.next()?,
        url: columns.next()?,
        state: parsed(&columns.next::<String>()?)?,
        state_at: columns.next()?,
        failing_since: columns.next()?,
        rotated_until: columns.next()?,
        created_at: columns.next()?,
        version: columns.next()?,
    })
}
