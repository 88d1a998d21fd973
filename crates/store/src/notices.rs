//! The outbox: what people are to be told, and how far each telling has come.
//!
//! A notice is appended in the transaction that it tells of, so that neither is there without the other. It is *spread* once,
//! by whichever node comes first: one delivery for each receiver, several notices of a kind in one mail. Whoever sends a
//! delivery holds a claim on it for a while; a node that dies while it sends loses the claim to another. So each delivery is
//! made at least once, under an id that stays the same, and in the ordinary run exactly once.
//!
//! Nodes' clocks are compared here, unlike in a lease: one that is wrong sends sooner or later, or twice.

mod by_hand;
mod deliveries;
mod log;

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use serde_json::json;
use tollgate_core::{Account, Actor, Id, Notice, World, notice::Delivery};

pub use self::{
    deliveries::{Attempt, Claim, Due, DueNotice, Outcome, Receiver},
    log::{DeliveryAttempt, DeliveryState, DeliveryView},
};
use crate::{
    Result, Store,
    bulk::{self, Insert},
    engine::{Row, Tx},
    value::{Value, values},
    write::{Subject, Write},
};

/// Notices of one step of spreading: most that one mail tells of.
const SPREAD_STEP: i64 = 200;
/// Most people who are told of one account's notices; the oldest users first.
const MOST_PEOPLE: i64 = 200;

/// Puts notices into the outbox, with the transaction that they tell of.
pub(crate) async fn append(write: &mut Write<'_>, notices: &[Notice]) -> Result<()> {
    let mut rows = Vec::with_capacity(notices.len());
    for notice in notices {
        rows.push(row_of(write.new_id(), notice)?);
    }
    bulk::execute(write, &INSERT, rows).await.map(drop)
}

const INSERT: Insert = Insert { head: "INSERT INTO notices (id, at, body) VALUES ", columns: 3, tail: "" };

fn row_of(id: Id<Notice>, notice: &Notice) -> Result<Vec<Value>> {
    // A NUL, which PostgreSQL's texts do not hold, is written as \u0000 in JSON.
    let body = serde_json::to_string(notice).map_err(|error| crate::StoreError::Failed(error.to_string()))?;
    Ok(values![id, notice.at(), body])
}

impl Store {
    /// Puts a notice into the outbox that tells of no other write.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn notice_create(&self, actor: &Actor, notice: &Notice) -> Result<Id<Notice>> {
        let mut write = self.write(actor).await?;
        let id = write.new_id();
        bulk::execute(&mut write, &INSERT, vec![row_of(id, notice)?]).await?;
        write.audit("notice.create", Subject::new(id), json!({ "type": notice.kind() })).await?;
        Ok(write.commit(id).await?.value)
    }
    /// Decides for notices that wait who is told: an account's owners, the maker of a key, the owner of a token and the
    /// operators by mail (`by_mail`: whether the deployment sends any), and the account's and the deployment's endpoints.
    /// How many notices it decided on; to be called until that is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn notices_spread(&self, by_mail: bool) -> Result<u64> {
        let mut tx = self.pools().begin().await?;
        let now = self.world().now();
        // Another node that is about the same rows waits here, and then finds them done.
        let sql = "UPDATE notices SET spread_at = $1 WHERE spread_at IS NULL AND no IN (
                       SELECT no FROM notices WHERE spread_at IS NULL ORDER BY no LIMIT $2)
                   RETURNING no, body";
        let rows = tx.rows(sql, values![now, SPREAD_STEP]).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let mut notices = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut columns = row.columns();
            let (no, body): (i64, String) = (columns.next()?, columns.next()?);
            match serde_json::from_str::<Notice>(&body) {
                Ok(notice) => notices.push((no, notice)),
                // Of a newer program: its own nodes know whom to tell, but this one was quicker.
                Err(error) => tracing::warn!(notice = no, %error, "a notice cannot be read and is told to nobody"),
            }
        }
        notices.sort_by_key(|(no, _)| *no);
        let (mut audience, mut spread) = (Audience::default(), Spread::default());
        for (no, notice) in &notices {
            let people = if by_mail { audience.people(&mut tx, notice).await? } else { BTreeSet::new() };
            for user in people {
                spread.mails.entry((user, notice.kind())).or_default().push(*no);
            }
            for webhook in audience.webhooks(&mut tx, notice.account()).await? {
                spread.posts.push((webhook, *no));
            }
        }
        deliveries_create(&mut tx, self.world(), spread).await?;
        tx.commit().await?;
        Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
    }
}

/// Writes the deliveries that were decided on, due at once.
async fn deliveries_create(tx: &mut Tx, world: &World, spread: Spread) -> Result<()> {
    let now = world.now();
    let mails = spread.mails.into_iter().map(|((user, _), notices)| ("mail", Some(user), None, notices));
    let posts = spread.posts.into_iter().map(|(webhook, notice)| ("webhook", None, Some(webhook), vec![notice]));
    let (mut rows, mut notices_of) = (Vec::new(), BTreeMap::new());
    for (channel, user, webhook, notices) in mails.chain(posts) {
        let id = Id::<Delivery>::new(world).to_string();
        rows.extend(values![id.as_str(), channel, user, webhook, "pending", 0i64, now, 0i64, now]);
        notices_of.insert(id, notices);
    }
    let insert = Insert {
        head: "INSERT INTO deliveries (id, channel, user_no, webhook_no, state, attempts, next_at, claimed_until, created_at)
               VALUES ",
        columns: 9,
        tail: " RETURNING no, id",
    };
    let mut links = Vec::new();
    for row in bulk::returning(tx, &insert, rows).await? {
        let mut columns = row.columns();
        let (no, id): (i64, String) = (columns.next()?, columns.next()?);
        for notice in notices_of.remove(&id).unwrap_or_default() {
            links.push(values![no, notice]);
        }
    }
    let insert = Insert { head: "INSERT INTO delivery_notices (delivery_no, notice_no) VALUES ", columns: 2, tail: "" };
    bulk::execute(tx, &insert, links).await.map(drop)
}

/// Who is told of what.
#[derive(Default)]
struct Spread {
    /// By user and kind of notice: one mail each.
    mails: BTreeMap<(i64, &'static str), Vec<i64>>,
    /// An endpoint and a notice: one post each.
    posts: Vec<(i64, i64)>,
}

/// Row numbers of who is told, looked up once in a step.
#[derive(Default)]
struct Audience {
    operators: Option<Vec<i64>>,
    owners: BTreeMap<Id<Account>, Vec<i64>>,
    webhooks: BTreeMap<Option<Id<Account>>, Vec<i64>>,
}

impl Audience {
    /// Users with a mail address, none of them twice.
    async fn people(&mut self, tx: &mut Tx, notice: &Notice) -> Result<BTreeSet<i64>> {
        if self.operators.is_none() {
            let sql = "SELECT u.no FROM users u WHERE u.operator = 1 AND u.disabled_at IS NULL AND u.email IS NOT NULL
                       ORDER BY u.no LIMIT $1";
            self.operators = Some(numbers(tx.rows(sql, values![MOST_PEOPLE]).await?)?);
        }
        let mut people: BTreeSet<i64> = self.operators.iter().flatten().copied().collect();
        if let Some(account) = notice.account() {
            if let Entry::Vacant(owners) = self.owners.entry(account) {
                let sql = "SELECT u.no FROM memberships b JOIN users u ON u.no = b.user_no
                           JOIN accounts a ON a.no = b.account_no
                           WHERE a.id = $1 AND b.role = 'owner' AND u.disabled_at IS NULL AND u.email IS NOT NULL
                           ORDER BY u.no LIMIT $2";
                owners.insert(numbers(tx.rows(sql, values![account, MOST_PEOPLE]).await?)?);
            }
            people.extend(self.owners.get(&account).into_iter().flatten());
        }
        match notice {
            // Whoever made the key knows where it is used. Not once it has left the account.
            Notice::KeyLeaked(leaked) => {
                let sql = "SELECT u.no FROM keys k JOIN users u ON u.no = k.created_by
                           JOIN memberships b ON b.user_no = u.no AND b.account_no = k.account_no
                           WHERE k.id = $1 AND u.disabled_at IS NULL AND u.email IS NOT NULL";
                people.extend(numbers(tx.rows(sql, values![leaked.key]).await?)?);
            }
            Notice::TokenLeaked(leaked) => {
                let sql = "SELECT no FROM users WHERE id = $1 AND disabled_at IS NULL AND email IS NOT NULL";
                people.extend(numbers(tx.rows(sql, values![leaked.user]).await?)?);
            }
            Notice::WebhookDisabled(_) | Notice::Test(_) => {}
        }
        Ok(people)
    }
    /// Endpoints in use: the account's, then the deployment's.
    async fn webhooks(&mut self, tx: &mut Tx, account: Option<Id<Account>>) -> Result<Vec<i64>> {
        if let Entry::Vacant(webhooks) = self.webhooks.entry(account) {
            let sql = "SELECT w.no FROM webhooks w LEFT JOIN accounts a ON a.no = w.account_no
                       WHERE w.removed_at IS NULL AND w.state = 'active' AND (w.account_no IS NULL OR a.id = $1)
                       ORDER BY w.no";
            webhooks.insert(numbers(tx.rows(sql, values![account]).await?)?);
        }
        Ok(self.webhooks.get(&account).cloned().unwrap_or_default())
    }
}

fn numbers(rows: Vec<Row>) -> Result<Vec<i64>> {
    rows.iter().map(|row| row.columns().next()).collect()
}
