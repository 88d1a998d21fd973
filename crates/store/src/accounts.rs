//! Accounts, plans, users, memberships and invitations; access tokens; and how people sign in: one-time links, passwords,
//! identities, and the sessions that these open.

mod identities;
mod invitations;
mod members;
mod overview;
mod passwords;
mod plans;
mod row;
mod search;
mod sessions;
mod sign_in;
mod users;

use std::str::FromStr;

use serde_json::json;
use sqlx::AssertSqlSafe;
use tollgate_core::{
    Account, Actor, ChangeKind, Id, No, Role, Timestamp, User,
    account::{AccessToken, AccountAuth},
    leak::OnLeak,
    name::{Email, Handle, Label},
    secret::{KeyHash, PublicId},
};

use self::row::{ACCOUNT, account_of};
pub(crate) use self::row::{ACCOUNT_AUTH, account_auth_of, read_account_auth};
pub(crate) use self::search::make_searchable;
pub use self::{
    identities::{IdentityOutcome, IdentitySignIn},
    invitations::{InvitationAccepted, NewInvitation},
    members::Member,
    overview::{AccountFilter, AccountLine, PlanLine, UserHolds},
    passwords::StoredPassword,
    sessions::{NewSession, SessionView, SignInMethod},
};
use crate::{
    Committed, Page, PageRequest, Result, Store, StoreError,
    value::values,
    write::{Difference, Subject, Write},
};

/// Cursors of account, plan and user lists.
const ACCOUNTS: char = 'a';
const PLANS: char = 'p';
const USERS: char = 'u';
const MEMBERS: char = 'b';
const INVITATIONS: char = 'i';

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Its name in addresses and commands.
    pub handle: Handle,
    /// Its name for people.
    pub name: Label,
    /// The plan that it begins on (by handle), and when that lapses.
    pub plan: Option<(Handle, Option<Timestamp>)>,
    /// Its first owner.
    pub owner: Option<NewOwner>,
}

/// Who is to own a new account.
#[derive(Debug, Clone)]
pub enum NewOwner {
    /// This user.
    Known(Id<User>),
    /// The user of this mail address; where there is none, one of this name is made.
    OfAddress(Email, Label),
}

/// What changes in an account; `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct AccountEdit {
    /// A new name.
    pub name: Option<Label>,
    /// Suspends it or takes it back.
    pub suspended: Option<bool>,
    /// Another plan (by handle), or none.
    pub plan: Option<Option<Handle>>,
    /// When the plan lapses; `Some(None)`: it runs on.
    pub plan_until: Option<Option<Timestamp>>,
    /// What happens to its keys that are found in public. Those that were found stay as they are.
    pub on_leak: Option<OnLeak>,
}

/// A plan to be made.
#[derive(Debug, Clone)]
pub struct NewPlan {
    /// Its code.
    pub handle: Handle,
    /// Its name for people.
    pub name: Label,
    /// Whether accounts on it may have keys.
    pub paid: bool,
}

/// What changes in a plan.
#[derive(Debug, Clone, Default)]
pub struct PlanEdit {
    /// A new name.
    pub name: Option<Label>,
    /// Whether it is a paid one: counts at once for every account on it.
    pub paid: Option<bool>,
}

/// A user to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Its name for people.
    pub name: Label,
    /// Its mail address.
    pub email: Option<Email>,
    /// Whether it runs the deployment.
    pub operator: bool,
    /// Its accounts, by handle.
    pub memberships: Vec<(Handle, Role)>,
    /// A value that no other creation has: a repeat makes no second user.
    pub idempotency_key: Option<String>,
}

/// What changes in a user.
#[derive(Debug, Clone, Default)]
pub struct UserEdit {
    /// A new name.
    pub name: Option<Label>,
    /// A new mail address, or none.
    pub email: Option<Option<Email>>,
    /// Disables it (its tokens, sessions and keys are dead at once) or takes that back.
    pub disabled: Option<bool>,
    /// Whether it runs the deployment. The last operator cannot be taken back or disabled.
    pub operator: Option<bool>,
    /// Sets (or with `None` removes) its role in an account, by handle.
    pub memberships: Vec<(Handle, Option<Role>)>,
}

/// An access token to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Whose it is.
    pub user: Id<User>,
    /// The one account that it works for; `None` only for an operator.
    pub account: Option<Id<Account>>,
    /// What its owner calls it.
    pub name: Label,
    /// The public part of its text.
    pub public_id: PublicId,
    /// The hash of its text.
    pub hash: KeyHash,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// Who a valid token or session stands for.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user, with its memberships.
    pub user: User,
    /// The access token, where it was one.
    pub token: Option<AccessToken>,
}

/// What the first start of a new store makes.
#[derive(Debug, Clone)]
pub struct Seeded {
    /// The account `default`, on the paid plan `unlimited`, owned by the operator.
    pub account: Id<Account>,
    /// The operator.
    pub operator: Id<User>,
    /// Whether this call made them, or they were there.
    pub made_now: bool,
}

impl Store {
    /// Makes, in a new store, the plan `unlimited`, the account `default` on it and the operator; else finds them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn seed(&self) -> Result<Seeded> {
        let mut write = self.write(&Actor::system("bootstrap")).await?;
        let account = write.row("SELECT id FROM accounts WHERE handle = 'default'", values![]).await?;
        let operator = "SELECT id FROM users WHERE operator = 1 AND disabled_at IS NULL ORDER BY no LIMIT 1";
        let operator = write.row(operator, values![]).await?;
        if let (Some(account), Some(operator)) = (account, operator) {
            let (account, operator) = (account.columns().next()?, operator.columns().next()?);
            return Ok(Seeded { account, operator, made_now: false });
        }
        let plan = plans::insert(&mut write, fixed("unlimited")?, fixed("Unlimited")?, true).await?;
        let default = NewAccount {
            handle: fixed("default")?,
            name: fixed("Default")?,
            plan: Some((plan.handle, None)),
            owner: None,
        };
        let account = insert(&mut write, default).await?;
        let operator = NewUser {
            name: fixed("Operator")?,
            email: None,
            operator: true,
            memberships: vec![(account.handle.clone(), Role::Owner)],
            idempotency_key: None,
        };
        let operator = users::insert(&mut write, operator).await?;
        let seeded = Seeded { account: account.id, operator: operator.id, made_now: true };
        Ok(write.commit(seeded).await?.value)
    }
    /// Makes an account, on its plan and with its owner from the beginning: all of that, or nothing.
    ///
    /// # Errors
    /// [`crate::StoreError::Exists`], an unknown plan or owner, or when the store fails.
    pub async fn account_create(&self, actor: &Actor, new: NewAccount) -> Result<Committed<Account>> {
        let mut write = self.write(actor).await?;
        let owner = new.owner.clone();
        let account = insert(&mut write, new).await?;
        if let Some(owner) = owner {
            own(&mut write, &account.handle, owner).await?;
        }
        write.commit(account).await
    }
    /// An account by id or by handle.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], or when the store fails.
    pub async fn account_get(&self, id_or_handle: &str) -> Result<Account> {
        // Neither an id nor a handle holds anything else: what does not fit is the name of nothing.
        if Id::<Account>::from_str(id_or_handle).is_err() && Handle::from_str(id_or_handle).is_err() {
            return Err(StoreError::NotFound);
        }
        let sql = format!("{ACCOUNT} WHERE a.id = $1 OR a.handle = $1");
        account_of(&self.pools().row(AssertSqlSafe(sql), values![id_or_handle]).await?.ok_or(StoreError::NotFound)?)
    }
    /// All accounts, by handle.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn account_list(&self, page: &PageRequest) -> Result<Page<Account>> {
        let after = page.after(ACCOUNTS)?.unwrap_or_default();
        let sql = format!("{ACCOUNT} WHERE a.handle > $1 ORDER BY a.handle LIMIT $2");
        let rows = self.pools().rows(AssertSqlSafe(sql), values![after, page.rows()]).await?;
        let accounts = rows.iter().map(account_of).collect::<Result<Vec<_>>>()?;
        Ok(page.page(ACCOUNTS, accounts, |account| account.handle.to_string()))
    }
    /// Edits an account.
    ///
    /// # Errors
    /// [`crate::StoreError::VersionConflict`], an unknown plan, or when the store fails.
    pub async fn account_edit(
        &self,
        actor: &Actor,
        id: Id<Account>,
        edit: AccountEdit,
        if_version: Option<i64>,
    ) -> Result<Committed<Account>> {
        let mut write = self.write(actor).await?;
        let account = read(&mut write, id).await?;
        if if_version.is_some_and(|version| version != account.version) {
            return Err(StoreError::VersionConflict);
        }
        let mut difference = Difference::default();
        let mut name = account.name.clone();
        difference.take("name", &mut name, edit.name, |name| json!(name));
        let mut suspended = account.suspended_at.is_some();
        let suspension = difference.take("suspended", &mut suspended, edit.suspended, |suspended| json!(suspended));
        let suspended_at = if suspension { suspended.then_some(write.now()) } else { account.suspended_at };
        let mut plan = account.subscription.as_ref().map(|subscription| subscription.plan_handle.clone());
        let mut until = account.subscription.as_ref().and_then(|subscription| subscription.until);
        let mut standing = suspension;
        if difference.take("plan", &mut plan, edit.plan, |plan| json!(plan)) {
            standing = true;
            // The end belonged to the plan before.
            until = None;
        }
        standing |= difference.take("plan_until", &mut until, edit.plan_until, |until| json!(until));
        let mut on_leak = account.on_leak;
        difference.take("on_leak", &mut on_leak, edit.on_leak, |on_leak| json!(on_leak));
        if plan.is_none() && until.is_some() {
            return Err(StoreError::State("an account without a plan has no end of one"));
        }
        if difference.is_empty() {
            return write.unchanged(account).await;
        }
        let plan_no = match &plan {
            Some(handle) => Some(plans::no(&mut write, handle).await?),
            None => None,
        };
        write
            .execute(
                "UPDATE accounts SET name = $2, suspended_at = $3, plan_no = $4, plan_until = $5, search_text = $6, on_leak = $7,
                    version = version + 1
                 WHERE no = $1",
                values![
                    account.no,
                    &name,
                    suspended_at,
                    plan_no,
                    until,
                    search::of_account(&account.handle, &name),
                    &on_leak
                ],
            )
            .await?;
        if standing {
            write.change(ChangeKind::Account(account.no));
        }
        write.audit("account.edit", Subject::new(id).of(account.no), difference.into_detail()).await?;
        let account = read(&mut write, id).await?;
        write.commit(account).await
    }
}

/// A name that stands in this program.
fn fixed<T: FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| StoreError::Failed("a built-in name is none".into()))
}

async fn insert(write: &mut Write<'_>, new: NewAccount) -> Result<Account> {
    let taken = write.row("SELECT no FROM accounts WHERE handle = $1", values![&new.handle]).await?;
    if taken.is_some() {
        return Err(StoreError::Exists("an account of this name"));
    }
    let (plan, until) = new.plan.map_or((None, None), |(plan, until)| (Some(plan), until));
    let plan_no = match &plan {
        Some(handle) => Some(plans::no(write, handle).await?),
        None => None,
    };
    let (id, now) = (write.new_id(), write.now());
    write
        .execute(
            "INSERT INTO accounts (id, handle, name, plan_no, plan_until, created_at, search_text, version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 1)",
            values![id, &new.handle, &new.name, plan_no, until, now, search::of_account(&new.handle, &new.name)],
        )
        .await?;
    let account = read(write, id).await?;
    write.change(ChangeKind::Account(account.no));
    let detail = json!({ "handle": new.handle, "name": new.name, "plan": plan, "plan_until": until });
    write.audit("account.create", Subject::new(id).of(account.no), detail).await?;
    Ok(account)
}

/// Makes somebody the owner of a new account.
async fn own(write: &mut Write<'_>, account: &Handle, owner: NewOwner) -> Result<()> {
    let user = match owner {
        NewOwner::Known(user) => user,
        NewOwner::OfAddress(email, name) => match users::of_address(write, &email).await? {
            Some(user) => user,
            None => {
                let memberships = vec![(account.clone(), Role::Owner)];
                let new = NewUser { name, email: Some(email), operator: false, memberships, idempotency_key: None };
                return users::insert(write, new).await.map(drop);
            }
        },
    };
    match users::read(write, user).await {
        Err(StoreError::NotFound) => return Err(StoreError::Unknown { kind: "owner", name: user.to_string() }),
        Err(error) => return Err(error),
        Ok((_, user)) if user.disabled_at.is_some() => return Err(StoreError::State("the owner is disabled")),
        Ok(_) => {}
    }
    let memberships = vec![(account.clone(), Some(Role::Owner))];
    users::edit(write, user, UserEdit { memberships, ..UserEdit::default() }, None).await.map(drop)
}

async fn read(write: &mut Write<'_>, id: Id<Account>) -> Result<Account> {
    let sql = format!("{ACCOUNT} WHERE a.id = $1");
    account_of(&write.row(AssertSqlSafe(sql), values![id]).await?.ok_or(StoreError::NotFound)?)
}

/// What decides whether an account's keys work.
pub(crate) async fn auth(write: &mut Write<'_>, id: Id<Account>) -> Result<AccountAuth> {
    let sql = format!("{ACCOUNT_AUTH} WHERE a.id = $1");
    account_auth_of(&write.row(AssertSqlSafe(sql), values![id]).await?.ok_or(StoreError::NotFound)?)
}

/// A user's row number.
pub(crate) async fn user_no(write: &mut Write<'_>, id: Id<User>) -> Result<No<User>> {
    let row = write.row("SELECT no FROM users WHERE id = $1", values![id]).await?;
    row.ok_or_else(|| StoreError::Unknown { kind: "user", name: id.to_string() })?.columns().next()
}

/// An account's row number by its handle.
async fn account_no(write: &mut Write<'_>, handle: &Handle) -> Result<No<Account>> {
    let row = write.row("SELECT no FROM accounts WHERE handle = $1", values![handle]).await?;
    row.ok_or_else(|| StoreError::Unknown { kind: "account", name: handle.to_string() })?.columns().next()
}
