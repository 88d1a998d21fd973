//! Users and their memberships.

use serde_json::json;
use sqlx::AssertSqlSafe;
use tollgate_core::{
    Account, Actor, ChangeKind, Id, No, Role, User,
    account::RoleSource,
    name::{Email, Handle},
};

use super::{
    NewUser, USERS, UserEdit, account_no,
    row::{USER, USER_COLUMNS, read_user, user_of},
    search,
};
use crate::{
    Committed, Page, PageRequest, Result, Store, StoreError,
    value::{storable, values},
    write::{Difference, Subject, Write},
};

impl Store {
    /// Makes a user.
    ///
    /// # Errors
    /// [`crate::StoreError::Exists`] (the mail address), [`crate::StoreError::AlreadyCreated`] (its idempotency key), an
    /// unknown account, or when the store fails.
    pub async fn user_create(&self, actor: &Actor, new: NewUser) -> Result<User> {
        let mut write = self.write(actor).await?;
        if let Some(used) = &new.idempotency_key {
            storable(Some(used))?;
            let sql = "SELECT id FROM users WHERE idempotency_key = $1";
            if let Some(row) = write.row(sql, values![used.as_str()]).await? {
                return Err(StoreError::AlreadyCreated(row.columns().next()?));
            }
        }
        let user = insert(&mut write, new).await?;
        Ok(write.commit(user).await?.value)
    }
    /// A user.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], or when the store fails.
    pub async fn user_get(&self, id: Id<User>) -> Result<User> {
        let sql = format!("{USER} WHERE u.id = $1");
        user_of(&self.pools().row(AssertSqlSafe(sql), values![id]).await?.ok_or(StoreError::NotFound)?)
    }
    /// All users, oldest first; with `account` only its members.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn user_list(&self, account: Option<Id<Account>>, page: &PageRequest) -> Result<Page<User>> {
        let after = page.after_number(USERS)?.unwrap_or(0);
        let sql = format!(
            "SELECT no, {USER_COLUMNS} FROM users u
             WHERE u.no > $1 AND ($2 = '' OR EXISTS (SELECT 1 FROM memberships b JOIN accounts a ON a.no = b.account_no
                                                     WHERE b.user_no = u.no AND a.id = $2))
             ORDER BY u.no LIMIT $3"
        );
        let account = account.map(|account| account.to_string()).unwrap_or_default();
        let rows = self.pools().rows(AssertSqlSafe(sql), values![after, account, page.rows()]).await?;
        page.numbered(USERS, &rows, read_user)
    }
    /// Notes the language that a user chose for itself, as a tag (`vi`). No write in the sense of the audit log: it changes
    /// nothing that anybody may do.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn user_language_set(&self, id: Id<User>, language: &'static str) -> Result<()> {
        let mut tx = self.pools().begin().await?;
        let sql = "UPDATE users SET language = $2 WHERE id = $1 AND (language IS NULL OR language <> $2)";
        tx.execute(sql, values![id, language]).await?;
        tx.commit().await
    }
    /// Edits a user. Disabling one, or taking its membership away, ends what it may do at once: the keys that it made
    /// there are dead as long as that lasts.
    ///
    /// # Errors
    /// [`crate::StoreError::State`] for the last operator, or when the store fails.
    pub async fn user_edit(
        &self,
        actor: &Actor,
        id: Id<User>,
        edit: UserEdit,
        if_version: Option<i64>,
    ) -> Result<Committed<User>> {
        let mut write = self.write(actor).await?;
        let (user, changed) = self::edit(&mut write, id, edit, if_version).await?;
        if changed { write.commit(user).await } else { write.unchanged(user).await }
    }
}

/// Edits a user as a part of a write; what it is then, and whether anything changed.
pub(super) async fn edit(
    write: &mut Write<'_>,
    id: Id<User>,
    edit: UserEdit,
    if_version: Option<i64>,
) -> Result<(User, bool)> {
    let (no, mut user) = read(write, id).await?;
    if if_version.is_some_and(|version| version != user.version) {
        return Err(StoreError::VersionConflict);
    }
    let mut difference = Difference::default();
    difference.take("name", &mut user.name, edit.name, |name| json!(name));
    // Whoever sets an address by hand vouches for it, and a role is then by hand, even where they stay the same.
    let (vouched, by_hand) = (edit.email.is_some(), edit.operator.is_some());
    // Told without the address itself: the audit log outlives the user's wish to be forgotten.
    if difference.take("email", &mut user.email, edit.email, |email| json!(email.is_some())) {
        email_free(write, user.email.as_ref(), no).await?;
    }
    let mut disabled = user.disabled_at.is_some();
    let disabling = difference.take("disabled", &mut disabled, edit.disabled, |disabled| json!(disabled));
    if disabling {
        user.disabled_at = disabled.then_some(write.now());
    }
    let operating = difference.take("operator", &mut user.operator, edit.operator, |operator| json!(operator));
    if (disabling || operating) && !(user.operator && user.disabled_at.is_none()) {
        another_operator(write, no).await?;
    }
    let moved = set_memberships(write, no, &user, &edit.memberships, RoleSource::Hand, &mut difference).await?;
    let (proven, operator_source) = provenance(write, no).await?;
    if vouched && !proven {
        difference.note("email_proven", json!(true));
    }
    if by_hand && operator_source == RoleSource::Group {
        difference.note("operator_source", json!(RoleSource::Hand));
    }
    if difference.is_empty() {
        return Ok((user, false));
    }
    write
        .execute(
            "UPDATE users SET name = $2, email = $3, email_key = $4, operator = $5, disabled_at = $6, search_text = $9,
                email_proven = CASE WHEN $7 = 1 THEN 1 ELSE email_proven END,
                operator_source = CASE WHEN $8 = 1 THEN 'hand' ELSE operator_source END, version = version + 1
             WHERE no = $1",
            values![
                no,
                &user.name,
                user.email.as_ref(),
                user.email.as_ref().map(email_key),
                user.operator,
                user.disabled_at,
                vouched,
                by_hand,
                search::of_user(&user.name, user.email.as_ref())
            ],
        )
        .await?;
    if disabling {
        write.execute("DELETE FROM sessions WHERE user_no = $1", values![no]).await?;
        write.execute("DELETE FROM sign_in_links WHERE user_no = $1", values![no]).await?;
    }
    touch_keys(write, no, disabling || operating, &moved).await?;
    write.audit("user.edit", Subject::new(id), difference.into_detail()).await?;
    Ok((read(write, id).await?.1, true))
}

pub(super) async fn insert(write: &mut Write<'_>, new: NewUser) -> Result<User> {
    email_free(write, new.email.as_ref(), No::new(0)).await?;
    let (id, now) = (write.new_id::<User>(), write.now());
    let row = write
        .row(
            "INSERT INTO users (id, name, email, email_key, operator, created_at, search_text, idempotency_key, version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1) RETURNING no",
            values![
                id,
                &new.name,
                new.email.as_ref(),
                new.email.as_ref().map(email_key),
                new.operator,
                now,
                search::of_user(&new.name, new.email.as_ref()),
                new.idempotency_key
            ],
        )
        .await?;
    let no = row.ok_or_else(|| StoreError::Failed("a user was not made".into()))?.columns().next()?;
    let (_, user) = read(write, id).await?;
    let wanted: Vec<_> = new.memberships.into_iter().map(|(handle, role)| (handle, Some(role))).collect();
    let mut difference = Difference::default();
    difference.note("name", json!(new.name));
    difference.note("operator", json!(new.operator));
    set_memberships(write, no, &user, &wanted, RoleSource::Hand, &mut difference).await?;
    write.audit("user.create", Subject::new(id), difference.into_detail()).await?;
    Ok(read(write, id).await?.1)
}

/// What decides whether the keys that this user made live has changed, in these accounts or in all: they are read anew.
pub(super) async fn touch_keys(write: &mut Write<'_>, user: No<User>, all: bool, moved: &[No<Account>]) -> Result<()> {
    let sql = "SELECT no, account_no FROM keys WHERE created_by = $1 ORDER BY no";
    for row in write.rows(sql, values![user]).await? {
        let mut columns = row.columns();
        let (key, account) = (columns.next()?, columns.next()?);
        if all || moved.contains(&account) {
            write.change(ChangeKind::Key(key));
        }
    }
    Ok(())
}

/// Whether somebody else than the user itself vouched for its address, and who made it an operator.
pub(super) async fn provenance(write: &mut Write<'_>, user: No<User>) -> Result<(bool, RoleSource)> {
    let row = write.row("SELECT email_proven, operator_source FROM users WHERE no = $1", values![user]).await?;
    let row = row.ok_or(StoreError::NotFound)?;
    let mut columns = row.columns();
    Ok((columns.next()?, columns.next()?))
}

pub(super) async fn read(write: &mut Write<'_>, id: Id<User>) -> Result<(No<User>, User)> {
    let sql = format!("SELECT no, {USER_COLUMNS} FROM users u WHERE u.id = $1");
    let row = write.row(AssertSqlSafe(sql), values![id]).await?.ok_or(StoreError::NotFound)?;
    let mut columns = row.columns();
    Ok((columns.next()?, read_user(&mut columns)?))
}

pub(super) fn email_key(email: &Email) -> String {
    email.as_str().to_lowercase()
}

/// The user of a mail address.
pub(super) async fn of_address(write: &mut Write<'_>, email: &Email) -> Result<Option<Id<User>>> {
    let row = write.row("SELECT id FROM users WHERE email_key = $1", values![email_key(email)]).await?;
    row.map(|row| row.columns().next()).transpose()
}

async fn email_free(write: &mut Write<'_>, email: Option<&Email>, user: No<User>) -> Result<()> {
    let Some(email) = email else { return Ok(()) };
    let sql = "SELECT no FROM users WHERE email_key = $1 AND no <> $2";
    match write.row(sql, values![email_key(email), user]).await? {
        Some(_) => Err(StoreError::Exists("a user of this mail address")),
        None => Ok(()),
    }
}

pub(super) async fn another_operator(write: &mut Write<'_>, user: No<User>) -> Result<()> {
    let was = write.row("SELECT no FROM users WHERE no = $1 AND operator = 1 AND disabled_at IS NULL", values![user]);
    if was.await?.is_none() {
        return Ok(());
    }
    let sql = "SELECT no FROM users WHERE operator = 1 AND disabled_at IS NULL AND no <> $1 LIMIT 1";
    match write.row(sql, values![user]).await? {
        Some(_) => Ok(()),
        None => Err(StoreError::State("this is the last operator")),
    }
}

/// Sets a membership, or with `None` takes it away.
pub(super) async fn member_set(
    write: &mut Write<'_>,
    user: No<User>,
    account: No<Account>,
    wanted: Option<(Role, RoleSource)>,
) -> Result<()> {
    let changed = match wanted {
        Some((role, source)) => {
            let sql = "INSERT INTO memberships (user_no, account_no, role, source) VALUES ($1, $2, $3, $4)
                       ON CONFLICT (user_no, account_no) DO UPDATE SET role = excluded.role, source = excluded.source";
            write.execute(sql, values![user, account, role.as_str(), source.as_str()])
        }
        None => write.execute("DELETE FROM memberships WHERE user_no = $1 AND account_no = $2", values![user, account]),
    };
    changed.await.map(drop)
}

/// Sets and removes memberships; the accounts where the user became a member or ceased to be one.
pub(super) async fn set_memberships(
    write: &mut Write<'_>,
    no: No<User>,
    user: &User,
    wanted: &[(Handle, Option<Role>)],
    source: RoleSource,
    difference: &mut Difference,
) -> Result<Vec<No<Account>>> {
    let mut moved = Vec::new();
    for (handle, role) in wanted {
        let account = account_no(write, handle).await?;
        let held = user.memberships.iter().find(|membership| membership.account_handle == *handle);
        let wanted = role.map(|role| (role, source));
        if held.map(|membership| (membership.role, membership.source)) == wanted {
            continue;
        }
        member_set(write, no, account, wanted).await?;
        let from = held.map(|membership| membership.role);
        let detail = match source {
            RoleSource::Group => json!({ "from": from, "to": role, "source": source }),
            RoleSource::Hand => json!({ "from": from, "to": role }),
        };
        difference.note(&format!("membership:{handle}"), detail);
        if held.is_some() != role.is_some() {
            moved.push(account);
        }
    }
    Ok(moved)
}
