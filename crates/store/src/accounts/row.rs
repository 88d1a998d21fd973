//! Rows of accounts, plans, users and tokens.

use tollgate_core::{
    Account, Membership, Plan, User,
    account::{AccessToken, AccountAuth, PaidUntil, Subscription},
};

use crate::{
    Result,
    engine::{Columns, Row},
    value::parsed,
};

/// What [`account_of`] reads.
pub(super) const ACCOUNT: &str =
    "SELECT a.no, a.id, a.handle, a.name, a.suspended_at, p.id, p.handle, p.paid, a.plan_until, a.on_leak,
    a.created_at, a.version FROM accounts a LEFT JOIN plans p ON p.no = a.plan_no";

pub(super) fn account_of(row: &Row) -> Result<Account> {
    read_account(&mut row.columns())
}

pub(super) fn read_account(columns: &mut Columns<'_>) -> Result<Account> {
    Ok(Account {
        no: columns.next()?,
        id: columns.next()?,
        handle: columns.next()?,
        name: columns.next()?,
        suspended_at: columns.next()?,
        subscription: subscription(columns)?,
        on_leak: columns.next()?,
        created_at: columns.next()?,
        version: columns.next()?,
    })
}

fn subscription(columns: &mut Columns<'_>) -> Result<Option<Subscription>> {
    let (plan, plan_handle, paid, until): (Option<_>, Option<_>, Option<bool>, _) =
        (columns.next()?, columns.next()?, columns.next()?, columns.next()?);
    Ok(plan.zip(plan_handle).map(|(plan, plan_handle)| Subscription {
        plan,
        plan_handle,
        paid: paid.unwrap_or_default(),
        until,
    }))
}

/// What [`account_auth_of`] reads.
pub(crate) const ACCOUNT_AUTH: &str = "SELECT a.no, a.suspended_at, p.paid, a.plan_until
    FROM accounts a LEFT JOIN plans p ON p.no = a.plan_no";

pub(crate) fn account_auth_of(row: &Row) -> Result<AccountAuth> {
    read_account_auth(&mut row.columns())
}

/// From the columns that [`ACCOUNT_AUTH`] has.
pub(crate) fn read_account_auth(columns: &mut Columns<'_>) -> Result<AccountAuth> {
    let (no, suspended_at, paid): (_, Option<i64>, Option<bool>) = (columns.next()?, columns.next()?, columns.next()?);
    let until = columns.next()?;
    let paid_until = PaidUntil::from_option(paid.unwrap_or_default().then_some(until));
    Ok(AccountAuth { no, suspended: suspended_at.is_some(), paid_until })
}

/// What [`plan_of`] reads.
pub(super) const PLAN: &str = "SELECT p.id, p.handle, p.name, p.paid, p.created_at, p.version FROM plans p";

pub(super) fn plan_of(row: &Row) -> Result<Plan> {
    read_plan(&mut row.columns())
}

pub(super) fn read_plan(columns: &mut Columns<'_>) -> Result<Plan> {
    Ok(Plan {
        id: columns.next()?,
        handle: columns.next()?,
        name: columns.next()?,
        paid: columns.next()?,
        created_at: columns.next()?,
        version: columns.next()?,
    })
}

/// What [`read_user`] reads, of `users u`. Ids, handles, roles and sources hold neither blanks nor commas.
pub(super) const USER_COLUMNS: &str = "u.id, u.name, u.email, u.operator, u.disabled_at,
    (SELECT string_agg(c.id || ' ' || c.handle || ' ' || b.role || ' ' || b.source, ',' ORDER BY c.handle)
     FROM memberships b JOIN accounts c ON c.no = b.account_no WHERE b.user_no = u.no),
    u.created_at, u.version";
pub(super) const USER: &str = "SELECT u.id, u.name, u.email, u.operator, u.disabled_at,
    (SELECT string_agg(c.id || ' ' || c.handle || ' ' || b.role || ' ' || b.source, ',' ORDER BY c.handle)
     FROM memberships b JOIN accounts c ON c.no = b.account_no WHERE b.user_no = u.no),
    u.created_at, u.version FROM users u";

pub(super) fn user_of(row: &Row) -> Result<User> {
    read_user(&mut row.columns())
}

pub(super) fn read_user(columns: &mut Columns<'_>) -> Result<User> {
    Ok(User {
        id: columns.next()?,
        name: columns.next()?,
        email: columns.next()?,
        operator: columns.next()?,
        disabled_at: columns.next()?,
        memberships: memberships(&columns.next::<Option<String>>()?.unwrap_or_default())?,
        created_at: columns.next()?,
        version: columns.next()?,
    })
}

fn memberships(text: &str) -> Result<Vec<Membership>> {
    text.split(',')
        .filter(|one| !one.is_empty())
        .map(|one| {
            let mut parts = one.split(' ');
            let mut part = || parts.next().unwrap_or_default();
            Ok(Membership {
                account: parsed(part())?,
                account_handle: parsed(part())?,
                role: parsed(part())?,
                source: parsed(part())?,
            })
        })
        .collect()
}

/// What [`read_token`] reads.
pub(super) const TOKEN_COLUMNS: &str = "t.id, t.name, u.id, a.id, t.created_at, t.expires_at, t.revoked_at";
pub(super) const TOKEN_FROM: &str = "FROM access_tokens t JOIN users u ON u.no = t.user_no
    LEFT JOIN accounts a ON a.no = t.account_no";
pub(super) const TOKEN: &str = "SELECT t.id, t.name, u.id, a.id, t.created_at, t.expires_at, t.revoked_at
    FROM access_tokens t JOIN users u ON u.no = t.user_no LEFT JOIN accounts a ON a.no = t.account_no";

pub(super) fn read_token(columns: &mut Columns<'_>) -> Result<AccessToken> {
    Ok(AccessToken {
        id: columns.next()?,
        name: columns.next()?,
        user: columns.next()?,
        account: columns.next()?,
        created_at: columns.next()?,
        expires_at: columns.next()?,
        revoked_at: columns.next()?,
    })
}
