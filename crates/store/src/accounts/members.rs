//! An account's members, as its owners see and change them.
//!
//! An account never loses its last owner this way; only an operator can do that.

use serde_json::json;
use sqlx::AssertSqlSafe;
use tollgate_core::{
    Account, Actor, Id, No, Role, User,
    account::RoleSource,
    name::{Email, Label},
};

use super::{MEMBERS, auth, user_no, users};
use crate::{
    Committed, Page, PageRequest, Result, Store, StoreError,
    engine::Columns,
    value::values,
    write::{Subject, Write},
};

/// A member of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: Id<User>,
    /// Its name.
    pub name: Label,
    /// Its mail address.
    pub email: Option<Email>,
    /// Whether the operator disabled it.
    pub disabled: bool,
    /// What it may do here.
    pub role: Role,
    /// Who gave the role.
    pub source: RoleSource,
}

const MEMBER_COLUMNS: &str = "u.id, u.name, u.email, u.disabled_at, b.role, b.source";
const MEMBER_FROM: &str = "FROM memberships b JOIN users u ON u.no = b.user_no JOIN accounts a ON a.no = b.account_no";

fn read_member(columns: &mut Columns<'_>) -> Result<Member> {
    Ok(Member {
        user: columns.next()?,
        name: columns.next()?,
        email: columns.next()?,
        disabled: columns.next::<Option<i64>>()?.is_some(),
        role: columns.next()?,
        source: columns.next()?,
    })
}

impl Store {
    /// The members of an account, the longest known users first.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn member_list(&self, account: Id<Account>, page: &PageRequest) -> Result<Page<Member>> {
        let after = page.after_number(MEMBERS)?.unwrap_or(0);
        let sql =
            format!("SELECT u.no, {MEMBER_COLUMNS} {MEMBER_FROM} WHERE a.id = $1 AND u.no > $2 ORDER BY u.no LIMIT $3");
        let rows = self.pools().rows(AssertSqlSafe(sql), values![account, after, page.rows()]).await?;
        page.numbered(MEMBERS, &rows, read_member)
    }
    /// A member of an account.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a user who is none, or when the store fails.
    pub async fn member_get(&self, account: Id<Account>, user: Id<User>) -> Result<Member> {
        let row = self.pools().row(AssertSqlSafe(one_member()), values![account, user]).await?;
        read_member(&mut row.ok_or(StoreError::NotFound)?.columns())
    }
    /// Gives a member another role, by hand from then on; with `if_role` only if it still has that one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a user who is no member, [`StoreError::VersionConflict`] for another role,
    /// [`StoreError::State`] for the last owner, or when the store fails.
    pub async fn member_edit(
        &self,
        actor: &Actor,
        account: Id<Account>,
        user: Id<User>,
        role: Role,
        if_role: Option<Role>,
    ) -> Result<Committed<Member>> {
        let mut write = self.write(actor).await?;
        let mut member = read(&mut write, account, user).await?;
        if if_role.is_some_and(|role| role != member.role) {
            return Err(StoreError::VersionConflict);
        }
        if (member.role, member.source) == (role, RoleSource::Hand) {
            return write.unchanged(member).await;
        }
        let (account_no, no) = (auth(&mut write, account).await?.no, user_no(&mut write, user).await?);
        if member.role == Role::Owner && role != Role::Owner {
            another_owner(&mut write, account_no, no).await?;
        }
        users::member_set(&mut write, no, account_no, Some((role, RoleSource::Hand))).await?;
        let detail = json!({ "role": { "from": member.role, "to": role } });
        write.audit("member.edit", Subject::new(user).of(account_no), detail).await?;
        (member.role, member.source) = (role, RoleSource::Hand);
        write.commit(member).await
    }
    /// Takes a member out of an account; its access tokens there are revoked, the keys that it made there are dead at
    /// once.
    ///
    /// # Errors
    /// As [`Self::member_edit`].
    pub async fn member_remove(
        &self,
        actor: &Actor,
        account: Id<Account>,
        user: Id<User>,
    ) -> Result<Committed<Member>> {
        let mut write = self.write(actor).await?;
        let member = read(&mut write, account, user).await?;
        let (account_no, no) = (auth(&mut write, account).await?.no, user_no(&mut write, user).await?);
        if member.role == Role::Owner {
            another_owner(&mut write, account_no, no).await?;
        }
        users::member_set(&mut write, no, account_no, None).await?;
        let now = write.now();
        // They would work for nobody, and again as soon as the user is invited again.
        let sql = "UPDATE access_tokens SET revoked_at = $3
                   WHERE user_no = $1 AND account_no = $2 AND revoked_at IS NULL
                     AND NOT EXISTS (SELECT 1 FROM users u WHERE u.no = $1 AND u.operator = 1)";
        let tokens = write.execute(sql, values![no, account_no, now]).await?;
        users::touch_keys(&mut write, no, false, &[account_no]).await?;
        let detail = json!({ "role": member.role, "tokens_revoked": tokens });
        write.audit("member.remove", Subject::new(user).of(account_no), detail).await?;
        write.commit(member).await
    }
}

fn one_member() -> String {
    format!("SELECT {MEMBER_COLUMNS} {MEMBER_FROM} WHERE a.id = $1 AND u.id = $2")
}

async fn read(write: &mut Write<'_>, account: Id<Account>, user: Id<User>) -> Result<Member> {
    let row = write.row(AssertSqlSafe(one_member()), values![account, user]).await?.ok_or(StoreError::NotFound)?;
    read_member(&mut row.columns())
}

async fn another_owner(write: &mut Write<'_>, account: No<Account>, user: No<User>) -> Result<()> {
    let sql = "SELECT u.no FROM memberships b JOIN users u ON u.no = b.user_no
               WHERE b.account_no = $1 AND b.role = 'owner' AND u.disabled_at IS NULL AND u.no <> $2 LIMIT 1";
    match write.row(sql, values![account, user]).await? {
        Some(_) => Ok(()),
        None => Err(StoreError::State("this is the account's last owner")),
    }
}
