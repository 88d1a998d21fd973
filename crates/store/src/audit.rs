//! The audit log: read here, written inside every write's transaction.

use std::collections::{HashMap, HashSet};

use sqlx::AssertSqlSafe;
use tollgate_core::{Account, Id, Timestamp, account::AuditEntry};

use crate::{
    Page, PageRequest, Result, Store, StoreError,
    bulk::placeholders,
    engine::Columns,
    value::{Value, values},
};

/// Cursors of the audit log.
const LIST: char = 'l';
/// Entries deleted in one step, so that nobody waits long behind one.
const PRUNE_STEP: i64 = 1_000;
/// An action or a subject as a filter is no longer than this; a longer one is that of nothing.
const LONGEST_FILTER: usize = 200;

/// Which entries to list.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only of this account.
    pub account: Option<Id<Account>>,
    /// Only by this actor (`user_…` or `system:<part>`).
    pub actor: Option<String>,
    /// Only about this subject (an id as text).
    pub subject: Option<String>,
    /// Only this action (`key.revoke`) or, ending in a dot, this noun's (`key.`).
    pub action: Option<String>,
    /// Only from here on.
    pub from: Option<Timestamp>,
    /// Only before here.
    pub to: Option<Timestamp>,
}

impl Store {
    /// Deletes entries from before an instant, the oldest first, in small steps; how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn audit_prune(&self, before: Timestamp) -> Result<u64> {
        let mut pruned = 0;
        loop {
            let mut tx = self.pools().begin().await?;
            // By row number, which grows with time: no index by time is needed, and a clock that was set back for a while
            // only keeps more.
            let sql = "DELETE FROM audit WHERE no IN (SELECT no FROM (SELECT no, at FROM audit ORDER BY no LIMIT $2) o
                       WHERE o.at < $1)";
            let step = tx.execute(sql, values![before, PRUNE_STEP]).await?;
            tx.commit().await?;
            pruned += step;
            if step == 0 {
                return Ok(pruned);
            }
        }
    }
    /// Entries of the audit log, newest first.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn audit_list(&self, filter: &AuditFilter, page: &PageRequest) -> Result<Page<AuditEntry>> {
        let below = page.after_number(LIST)?.unwrap_or(i64::MAX);
        let texts = [filter.actor.as_deref(), filter.subject.as_deref(), filter.action.as_deref()];
        if texts.iter().flatten().any(|text| text.len() > LONGEST_FILTER || text.contains('\0')) {
            return Ok(Page { data: Vec::new(), next_cursor: None });
        }
        let mut sql = String::from(
            "SELECT e.no, e.id, e.at, e.actor, u.name, e.token, e.address, e.action, e.subject, a.id, e.detail
             FROM audit e LEFT JOIN users u ON u.id = e.actor LEFT JOIN accounts a ON a.no = e.account_no
             WHERE e.no < $1",
        );
        let mut values = values![below];
        let mut with = |condition: &str, value: Value| {
            values.push(value);
            sql.push_str(&condition.replace("$n", &format!("${}", values.len())));
        };
        if let Some(account) = filter.account {
            // By row number, so that the index serves it.
            with(" AND e.account_no = (SELECT no FROM accounts WHERE id = $n)", account.into());
        }
        if let Some(actor) = &filter.actor {
            with(" AND e.actor = $n", actor.as_str().into());
        }
        if let Some(subject) = &filter.subject {
            with(" AND e.subject = $n", subject.as_str().into());
        }
        if let Some(action) = &filter.action {
            let noun = action.ends_with('.');
            let condition = if noun { " AND substr(e.action, 1, length($n)) = $n" } else { " AND e.action = $n" };
            with(condition, action.as_str().into());
        }
        if let Some(from) = filter.from {
            with(" AND e.at >= $n", from.into());
        }
        if let Some(to) = filter.to {
            with(" AND e.at < $n", to.into());
        }
        with(" ORDER BY e.no DESC LIMIT $n", page.rows().into());
        let rows = self.pools().rows(AssertSqlSafe(sql), values).await?;
        page.numbered(LIST, &rows, read_entry)
    }
}

impl Store {
    /// What people call the things of these ids now: a key's name, an account's handle, a user's name. Those of
    /// other kinds, and those that are gone, are left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn names_of(&self, ids: &[&str]) -> Result<HashMap<String, String>> {
        let mut names = HashMap::new();
        for (kind, column, table) in NAMED {
            let of_kind: Vec<&str> = ids.iter().copied().filter(|id| id.starts_with(kind)).collect();
            for some in of_kind.chunks(MOST_IDS) {
                let sql = format!("SELECT id, {column} FROM {table} WHERE id IN ({})", placeholders(1, some.len()));
                let values = some.iter().map(|id| Value::from(*id)).collect();
                for row in &self.pools().rows(AssertSqlSafe(sql), values).await? {
                    let mut columns = row.columns();
                    names.insert(columns.next()?, columns.next()?);
                }
            }
        }
        Ok(names)
    }
    /// Which of these users are operators.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn operators_among(&self, ids: &[&str]) -> Result<HashSet<String>> {
        let mut operators = HashSet::new();
        let users: Vec<&str> = ids.iter().copied().filter(|id| id.starts_with("user_")).collect();
        for some in users.chunks(MOST_IDS) {
            let sql = format!("SELECT id FROM users WHERE operator = 1 AND id IN ({})", placeholders(1, some.len()));
            let values = some.iter().map(|id| Value::from(*id)).collect();
            for row in &self.pools().rows(AssertSqlSafe(sql), values).await? {
                operators.insert(row.columns().next()?);
            }
        }
        Ok(operators)
    }
}

/// How ids begin, what people call such a thing, and where that stands.
const NAMED: [(&str, &str, &str); 7] = [
    ("key_", "name", "keys"),
    ("acct_", "handle", "accounts"),
    ("user_", "name", "users"),
    ("plan_", "handle", "plans"),
    ("model_", "name", "models"),
    ("up_", "name", "upstreams"),
    ("hook_", "name", "webhooks"),
];
/// Most ids of one statement.
const MOST_IDS: usize = 500;

fn read_entry(columns: &mut Columns<'_>) -> Result<AuditEntry> {
    let unreadable = |_| StoreError::Failed("an audit entry's detail cannot be read".into());
    Ok(AuditEntry {
        id: columns.next()?,
        at: columns.next()?,
        actor: columns.next()?,
        actor_name: columns.next()?,
        token: columns.next()?,
        address: columns.next()?,
        action: columns.next()?,
        subject: columns.next()?,
        account: columns.next()?,
        detail: serde_json::from_str(&columns.next::<String>()?).map_err(unreadable)?,
    })
}
