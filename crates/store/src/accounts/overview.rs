//! What operators see at a glance: lists with counts beside each row, and what a change would stop.
//!
//! Read outside any write: a count is what it was a moment ago, and nothing is decided by it.

use sqlx::AssertSqlSafe;
use tollgate_core::{
    Account, Id, Plan, Timestamp, User,
    account::Standing,
    name::{Email, Label},
};

use super::{
    ACCOUNTS, PLANS, USERS,
    row::{ACCOUNT, PLAN, USER_COLUMNS, read_account, read_plan, read_user},
    users::email_key,
};
use crate::{
    Page, PageRequest, Result, Store, StoreError,
    cursor::like_pattern,
    engine::Row,
    value::{Value, values},
};

/// The longest text that is searched for, in bytes; a longer one is in no name.
const LONGEST_SEARCH: usize = 800;

/// Which accounts to list.
#[derive(Debug, Clone, Default)]
pub struct AccountFilter {
    /// Only those whose handle or name contains this, without regard to case.
    pub search: Option<String>,
    /// Only those that stand like this now.
    pub standing: Option<Standing>,
}

/// An account among others.
#[derive(Debug, Clone)]
pub struct AccountLine {
    /// The account.
    pub account: Account,
    /// Its plan's name for people.
    pub plan_name: Option<Label>,
    /// How many users belong to it.
    pub members: u64,
    /// How many of its keys are switched on.
    pub keys: u64,
}

/// A plan and how many accounts are on it.
#[derive(Debug, Clone)]
pub struct PlanLine {
    /// The plan.
    pub plan: Plan,
    /// The accounts.
    pub accounts: u64,
}

/// What stops when a user is disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserHolds {
    /// Keys that it made and that are switched on.
    pub keys: u64,
    /// Access tokens that work.
    pub tokens: u64,
    /// Sessions that are open.
    pub sessions: u64,
}

const COUNTS: &str = "p.name, (SELECT COUNT(*) FROM memberships b WHERE b.account_no = a.no),
    (SELECT COUNT(*) FROM keys k WHERE k.account_no = a.no AND k.state = 'active')";

fn account_line_of(row: &Row) -> Result<AccountLine> {
    let mut columns = row.columns();
    let (plan_name, members, keys) = (columns.next()?, columns.next()?, columns.next()?);
    Ok(AccountLine { account: read_account(&mut columns)?, plan_name, members, keys })
}
fn plan_line_of(row: &Row) -> Result<PlanLine> {
    let mut columns = row.columns();
    let accounts = columns.next()?;
    Ok(PlanLine { plan: read_plan(&mut columns)?, accounts })
}
/// The same statement with more columns before its own.
fn with_columns(select: &str, columns: &str) -> String {
    select.replacen("SELECT ", &format!("SELECT {columns}, "), 1)
}

impl Store {
    /// Accounts by handle, with what stands beside them.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn account_overview(&self, filter: &AccountFilter, page: &PageRequest) -> Result<Page<AccountLine>> {
        let after = page.after(ACCOUNTS)?.unwrap_or_default();
        let mut sql = format!("{} WHERE a.handle > $1", with_columns(ACCOUNT, COUNTS));
        let mut values = values![after];
        let mut with = |condition: &str, value: Value| {
            values.push(value);
            sql.push_str(&condition.replace("$n", &format!("${}", values.len())));
        };
        if let Some(search) = &filter.search {
            if search.len() > LONGEST_SEARCH {
                return Ok(Page { data: Vec::new(), next_cursor: None });
            }
            with(" AND a.search_text LIKE $n ESCAPE '!'", like_pattern(&search.to_lowercase()).into());
        }
        let now = self.world().now();
        match filter.standing {
            None => {}
            Some(Standing::Suspended) => with(" AND a.suspended_at > $n", (-1i64).into()),
            Some(Standing::Good) => with(
                " AND a.suspended_at IS NULL AND p.paid = 1 AND (a.plan_until IS NULL OR a.plan_until > $n)",
                now.into(),
            ),
            Some(Standing::PlanRequired) => {
                with(" AND a.suspended_at IS NULL AND (p.no IS NULL OR p.paid = 0 OR a.plan_until <= $n)", now.into())
            }
        }
        with(" ORDER BY a.handle LIMIT $n", page.rows().into());
        let rows = self.pools().rows(AssertSqlSafe(sql), values).await?;
        let lines = rows.iter().map(account_line_of).collect::<Result<Vec<_>>>()?;
        Ok(page.page(ACCOUNTS, lines, |line| line.account.handle.to_string()))
    }
    /// What stands beside an account.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the store fails.
    pub async fn account_line(&self, account: Id<Account>) -> Result<AccountLine> {
        let sql = format!("{} WHERE a.id = $1", with_columns(ACCOUNT, COUNTS));
        account_line_of(&self.pools().row(AssertSqlSafe(sql), values![account]).await?.ok_or(StoreError::NotFound)?)
    }
    /// Plans by handle, with how many accounts are on them.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn plan_overview(&self, page: &PageRequest) -> Result<Page<PlanLine>> {
        let after = page.after(PLANS)?.unwrap_or_default();
        let select = with_columns(PLAN, "(SELECT COUNT(*) FROM accounts a WHERE a.plan_no = p.no)");
        let sql = format!("{select} WHERE p.handle > $1 ORDER BY p.handle LIMIT $2");
        let rows = self.pools().rows(AssertSqlSafe(sql), values![after, page.rows()]).await?;
        let lines = rows.iter().map(plan_line_of).collect::<Result<Vec<_>>>()?;
        Ok(page.page(PLANS, lines, |line| line.plan.handle.to_string()))
    }
    /// How many accounts are on a plan, and how many keys of theirs are switched on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn plan_holds(&self, plan: Id<Plan>) -> Result<(u64, u64)> {
        let sql = "SELECT (SELECT COUNT(*) FROM accounts a WHERE a.plan_no = p.no),
                          (SELECT COUNT(*) FROM keys k JOIN accounts a ON a.no = k.account_no
                           WHERE a.plan_no = p.no AND k.state = 'active')
                   FROM plans p WHERE p.id = $1";
        let Some(row) = self.pools().row(sql, values![plan]).await? else { return Ok((0, 0)) };
        let mut columns = row.columns();
        Ok((columns.next()?, columns.next()?))
    }
    /// Users whose name or address contains `search` without regard to case, oldest first.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn user_search(&self, search: &str, page: &PageRequest) -> Result<Page<User>> {
        let after = page.after_number(USERS)?.unwrap_or(0);
        if search.len() > LONGEST_SEARCH {
            return Ok(Page { data: Vec::new(), next_cursor: None });
        }
        let sql = format!(
            "SELECT no, {USER_COLUMNS} FROM users u
             WHERE u.no > $1 AND u.search_text LIKE $2 ESCAPE '!' ORDER BY u.no LIMIT $3"
        );
        let values = values![after, like_pattern(&search.to_lowercase()), page.rows()];
        let rows = self.pools().rows(AssertSqlSafe(sql), values).await?;
        page.numbered(USERS, &rows, read_user)
    }
    /// The user of a mail address.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn user_by_email(&self, email: &Email) -> Result<Option<Id<User>>> {
        let sql = "SELECT id FROM users WHERE email_key = $1";
        self.pools().row(sql, values![email_key(email)]).await?.map(|row| row.columns().next()).transpose()
    }
    /// What stops when this user is disabled.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the store fails.
    pub async fn user_holds(&self, user: Id<User>) -> Result<UserHolds> {
        let sql = "SELECT
                (SELECT COUNT(*) FROM keys k WHERE k.created_by = u.no AND k.state = 'active'),
                (SELECT COUNT(*) FROM access_tokens t WHERE t.user_no = u.no AND t.revoked_at IS NULL
                    AND (t.expires_at IS NULL OR t.expires_at > $2)),
                (SELECT COUNT(*) FROM sessions s WHERE s.user_no = u.no AND s.expires_at > $2)
             FROM users u WHERE u.id = $1";
        let now: Timestamp = self.world().now();
        let row = self.pools().row(sql, values![user, now]).await?.ok_or(StoreError::NotFound)?;
        let mut columns = row.columns();
        Ok(UserHolds { keys: columns.next()?, tokens: columns.next()?, sessions: columns.next()? })
    }
}
