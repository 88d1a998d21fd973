//! Accounts, plans and users: made and changed by operators; an account's owner sees its members.

use serde::{Deserialize, Serialize};
use tollgate_core::{
    Account, Id, Plan, Role, Timestamp, User,
    account::{AccountAction, AuditEntry},
    leak::OnLeak,
    name::{Email, Handle, Label},
};
use tollgate_store::{
    Page, PageRequest, StoreError,
    accounts::{AccountEdit, NewAccount, NewOwner, NewPlan, NewUser, PlanEdit, UserEdit},
    audit::AuditFilter,
};
use utoipa::ToSchema;

use super::{Confirmed, Noun, ServiceError, Services, check_idempotency_key};
use crate::{
    extract::present,
    principal::{Access, Principal, account_by_name},
};

/// The most accounts that one call puts a user into.
const MOST_MEMBERSHIPS: usize = 100;

/// An account to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountInput {
    /// Its name in addresses and commands, of `a-z 0-9 -`; cannot be changed later.
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "acme")]
    pub handle: Handle,
    /// Its name for people; not named: the handle.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Acme Ltd")]
    pub name: Option<Label>,
    /// Its plan; not named: none, and so no keys.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "unlimited")]
    pub plan: Option<Handle>,
    /// When the plan lapses; not named: it runs on.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, example = "2030-01-31T12:00:00Z")]
    pub plan_until: Option<Timestamp>,
    /// Its first owner: a user's id, or a mail address, for which a user is made where there is none.
    #[serde(default)]
    #[schema(example = "owner@example.com")]
    pub owner: Option<String>,
}

/// What changes in an account; what is not named stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountChange {
    /// A new name.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, example = "Acme Ltd")]
    pub name: Option<Label>,
    /// Suspends it, or takes that back.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false, example = false)]
    pub suspended: Option<bool>,
    /// Another plan; null: none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, example = "unlimited")]
    pub plan: Option<Option<Handle>>,
    /// When the plan lapses; null: it runs on.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = DateTime, example = "2030-01-31T12:00:00Z")]
    pub plan_until: Option<Option<Timestamp>>,
    /// What happens to its keys that are found in public: `disable`, or `tell`: they go on working, and people are told.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, example = "disable")]
    pub on_leak: Option<OnLeak>,
}

/// A plan to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanInput {
    /// Its code, of `a-z 0-9 -`; cannot be changed later.
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "pro")]
    pub handle: Handle,
    /// Its name for people; not named: the code.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Pro")]
    pub name: Option<Label>,
    /// Whether accounts on it may have keys.
    #[schema(example = true)]
    pub paid: bool,
}

/// What changes in a plan; what is not named stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanChange {
    /// A new name.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, example = "Pro")]
    pub name: Option<Label>,
    /// Whether accounts on it may have keys; counts at once for all of them.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false, example = true)]
    pub paid: Option<bool>,
}

/// A user's part in an account.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MembershipInput {
    /// The account, by name or id.
    #[schema(example = "default")]
    pub account: String,
    /// `owner`, `member` or `viewer`.
    #[schema(value_type = String, example = "member")]
    pub role: Role,
}

/// A user's part in an account, or its end.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MembershipChange {
    /// The account, by name or id.
    #[schema(example = "default")]
    pub account: String,
    /// `owner`, `member` or `viewer`; null takes the user out of the account.
    #[schema(value_type = Option<String>, example = "viewer")]
    pub role: Option<Role>,
}

/// A user to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserInput {
    /// Its name for people.
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "Ada")]
    pub name: Label,
    /// Its mail address, unique.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "ada@example.com")]
    pub email: Option<Email>,
    /// Whether it runs the deployment.
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub operator: bool,
    /// Its accounts.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub memberships: Vec<MembershipInput>,
}

/// What changes in a user; what is not named stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// A new name.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, example = "Ada")]
    pub name: Option<Label>,
    /// A new mail address; null: none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, example = "ada@example.com")]
    pub email: Option<Option<Email>>,
    /// Disables it (its tokens, sessions and keys are dead at once), or takes that back.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false, example = true)]
    pub disabled: Option<bool>,
    /// Whether it runs the deployment.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false, example = false)]
    pub operator: Option<bool>,
    /// Accounts that it comes into, changes its role in, or leaves; others stay.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub memberships: Vec<MembershipChange>,
}

impl Services {
    /// Makes an account.
    ///
    /// # Errors
    /// A caller who may not, a handle that is taken, an unknown plan, or when the store fails.
    pub async fn account_create(
        &self,
        principal: &Principal,
        input: AccountInput,
    ) -> Result<Confirmed<Account>, ServiceError> {
        principal.require_operator()?;
        let name = match input.name {
            Some(name) => name,
            None => input.handle.as_str().parse().map_err(|error| ServiceError::invalid("name", error))?,
        };
        if input.plan.is_none() && input.plan_until.is_some() {
            return Err(ServiceError::invalid("plan_until", "plan_until needs a plan"));
        }
        let owner = input.owner.as_deref().map(owner_of).transpose()?;
        let plan = input.plan.map(|plan| (plan, input.plan_until));
        let new = NewAccount { handle: input.handle, name, plan, owner };
        let committed = self.store().account_create(&principal.actor(), new).await.map_err(|error| match error {
            StoreError::State(why) => ServiceError::invalid("owner", why),
            error => error.into(),
        })?;
        Ok(Confirmed::extending(self.store(), committed).await)
    }
    /// All accounts.
    ///
    /// # Errors
    /// A wrong cursor, or when the store fails.
    pub async fn account_list(&self, principal: &Principal, page: &PageRequest) -> Result<Page<Account>, ServiceError> {
        principal.require_operator()?;
        self.store().account_list(page).await.map_err(ServiceError::of_list)
    }
    /// An account by id or handle; a customer gets its own.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], also for another's; when the store fails.
    pub async fn account_get(&self, principal: &Principal, id_or_handle: &str) -> Result<Account, ServiceError> {
        let access: Access = principal.access(self, Some(id_or_handle)).await?;
        access.require(AccountAction::Read)?;
        Ok(access.account)
    }
    /// Edits an account.
    ///
    /// # Errors
    /// A caller who may not, another version, an unknown plan, or when the store fails.
    pub async fn account_edit(
        &self,
        principal: &Principal,
        id_or_handle: &str,
        change: AccountChange,
        if_version: Option<i64>,
    ) -> Result<Confirmed<Account>, ServiceError> {
        principal.require_operator()?;
        let account = self.account_get(principal, id_or_handle).await?;
        let restricts = change.suspended.is_some() || change.plan.is_some() || change.plan_until.is_some();
        let edit = AccountEdit {
            name: change.name,
            suspended: change.suspended,
            plan: change.plan,
            plan_until: change.plan_until,
            on_leak: change.on_leak,
        };
        let committed = self.store().account_edit(&principal.actor(), account.id, edit, if_version).await;
        let committed = committed.map_err(ServiceError::of(Noun::Account))?;
        Ok(if restricts {
            Confirmed::restricting(self.store(), committed).await
        } else {
            Confirmed { value: committed.value, effective: None, pending: false }
        })
    }

    /// Makes a plan.
    ///
    /// # Errors
    /// A caller who may not, a code that is taken, or when the store fails.
    pub async fn plan_create(&self, principal: &Principal, input: PlanInput) -> Result<Plan, ServiceError> {
        principal.require_operator()?;
        let name = match input.name {
            Some(name) => name,
            None => input.handle.as_str().parse().map_err(|error| ServiceError::invalid("name", error))?,
        };
        let new = NewPlan { handle: input.handle, name, paid: input.paid };
        Ok(self.store().plan_create(&principal.actor(), new).await?)
    }
    /// All plans.
    ///
    /// # Errors
    /// A caller who may not, a wrong cursor, or when the store fails.
    pub async fn plan_list(&self, principal: &Principal, page: &PageRequest) -> Result<Page<Plan>, ServiceError> {
        principal.require_operator()?;
        self.store().plan_list(page).await.map_err(ServiceError::of_list)
    }
    /// A plan by id or code.
    ///
    /// # Errors
    /// A caller who may not, [`ServiceError::NotFound`], or when the store fails.
    pub async fn plan_get(&self, principal: &Principal, id_or_handle: &str) -> Result<Plan, ServiceError> {
        principal.require_operator()?;
        self.store().plan_get(id_or_handle).await.map_err(ServiceError::of(Noun::Plan))
    }
    /// Edits a plan.
    ///
    /// # Errors
    /// A caller who may not, another version, or when the store fails.
    pub async fn plan_edit(
        &self,
        principal: &Principal,
        id_or_handle: &str,
        change: PlanChange,
        if_version: Option<i64>,
    ) -> Result<Confirmed<Plan>, ServiceError> {
        let plan = self.plan_get(principal, id_or_handle).await?;
        let edit = PlanEdit { name: change.name, paid: change.paid };
        let committed = self.store().plan_edit(&principal.actor(), plan.id, edit, if_version).await;
        Ok(Confirmed::restricting(self.store(), committed.map_err(ServiceError::of(Noun::Plan))?).await)
    }
    /// Removes a plan that no account is on.
    ///
    /// # Errors
    /// [`ServiceError::InUse`], or when the store fails.
    pub async fn plan_remove(&self, principal: &Principal, id_or_handle: &str) -> Result<(), ServiceError> {
        let plan = self.plan_get(principal, id_or_handle).await?;
        self.store().plan_remove(&principal.actor(), plan.id).await.map_err(ServiceError::of(Noun::Plan))
    }

    /// The handle of an account that a body names.
    async fn membership_handle(&self, id_or_handle: &str) -> Result<Handle, ServiceError> {
        match account_by_name(self.store(), id_or_handle).await {
            Ok(account) => Ok(account.handle),
            Err(StoreError::NotFound) => {
                Err(ServiceError::invalid("memberships", format_args!("there is no account {id_or_handle:?}")))
            }
            Err(error) => Err(error.into()),
        }
    }
    /// Makes a user.
    ///
    /// # Errors
    /// A caller who may not, a mail address that is taken, an unknown account, a repeated `idempotency_key`, or when the
    /// store fails.
    pub async fn user_create(
        &self,
        principal: &Principal,
        input: UserInput,
        idempotency_key: Option<String>,
    ) -> Result<User, ServiceError> {
        principal.require_operator()?;
        check_idempotency_key(idempotency_key.as_deref())?;
        check_memberships(input.memberships.len())?;
        let mut memberships = Vec::with_capacity(input.memberships.len());
        for membership in input.memberships {
            memberships.push((self.membership_handle(&membership.account).await?, membership.role));
        }
        check_once(memberships.iter().map(|(handle, _)| handle))?;
        let new =
            NewUser { name: input.name, email: input.email, operator: input.operator, memberships, idempotency_key };
        Ok(self.store().user_create(&principal.actor(), new).await?)
    }
    /// Users: an operator's all, or those of the account that it names; an owner's own account's members.
    ///
    /// # Errors
    /// A caller who may not, a wrong cursor, or when the store fails.
    pub async fn user_list(
        &self,
        principal: &Principal,
        account: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<User>, ServiceError> {
        let scope = principal.scope(self, account).await?;
        scope.as_ref().map_or(Ok(()), |access| access.require(AccountAction::MembersRead))?;
        let within = scope.map(|access| access.account.id);
        let mut users = self.store().user_list(within, page).await.map_err(ServiceError::of_list)?;
        if !principal.is_operator() {
            users.data.iter_mut().for_each(|user| hide_other_accounts(user, within));
        }
        Ok(users)
    }
    /// A user: an operator's any, an owner's own account's member, everybody's own.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], or when the store fails.
    pub async fn user_get(&self, principal: &Principal, id: Id<User>) -> Result<User, ServiceError> {
        let mut user = self.store().user_get(id).await.map_err(ServiceError::of(Noun::User))?;
        if principal.is_operator() {
            return Ok(user);
        }
        let access = principal.access(self, None).await?;
        let within = Some(access.account.id);
        if id != principal.user().id {
            if !user.memberships.iter().any(|membership| Some(membership.account) == within) {
                return Err(ServiceError::NotFound(Noun::User));
            }
            access.require(AccountAction::MembersRead)?;
        }
        hide_other_accounts(&mut user, within);
        Ok(user)
    }
    /// Edits a user.
    ///
    /// # Errors
    /// A caller who may not, the last operator, an unknown account, or when the store fails.
    pub async fn user_edit(
        &self,
        principal: &Principal,
        id: Id<User>,
        change: UserChange,
        if_version: Option<i64>,
    ) -> Result<Confirmed<User>, ServiceError> {
        principal.require_operator()?;
        check_memberships(change.memberships.len())?;
        let mut memberships = Vec::with_capacity(change.memberships.len());
        for membership in change.memberships {
            memberships.push((self.membership_handle(&membership.account).await?, membership.role));
        }
        check_once(memberships.iter().map(|(handle, _)| handle))?;
        let edit = UserEdit {
            name: change.name,
            email: change.email,
            disabled: change.disabled,
            operator: change.operator,
            memberships,
        };
        let committed = self.store().user_edit(&principal.actor(), id, edit, if_version).await;
        Ok(Confirmed::restricting(self.store(), committed.map_err(ServiceError::of(Noun::User))?).await)
    }

    /// The audit log, newest first: an operator's all, or the account's that it names; an owner's own account's.
    ///
    /// # Errors
    /// A caller who may not, a wrong cursor, or when the store fails.
    pub async fn audit_list(
        &self,
        principal: &Principal,
        account: Option<&str>,
        mut filter: AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditEntry>, ServiceError> {
        let scope = principal.scope(self, account).await?;
        scope.as_ref().map_or(Ok(()), |access| access.require(AccountAction::MembersRead))?;
        filter.account = scope.map(|access| access.account.id);
        let mut entries = self.store().audit_list(&filter, page).await.map_err(ServiceError::of_list)?;
        if !principal.is_operator() {
            self.hide_operators(principal, &mut entries.data).await?;
        }
        Ok(entries)
    }
    /// An account's owner learns that an operator did something, and neither from where nor with which token.
    async fn hide_operators(&self, principal: &Principal, entries: &mut [AuditEntry]) -> Result<(), ServiceError> {
        let own = principal.user().id.to_string();
        let actors: Vec<&str> = entries.iter().map(|entry| entry.actor.as_str()).filter(|id| *id != own).collect();
        let operators = self.store().operators_among(&actors).await?;
        // Nor from where somebody reported a leaked key.
        let is_hidden = |actor: &str| operators.contains(actor) || actor == "system:leaks";
        for entry in entries.iter_mut().filter(|entry| is_hidden(&entry.actor)) {
            (entry.address, entry.token) = (None, None);
        }
        Ok(())
    }
}

/// Whom a text means as the owner of a new account.
fn owner_of(text: &str) -> Result<NewOwner, ServiceError> {
    if let Ok(user) = text.parse::<Id<User>>() {
        return Ok(NewOwner::Known(user));
    }
    let invalid = |_| ServiceError::invalid("owner", "an owner is a user's id or a mail address");
    let email: Email = text.parse().map_err(invalid)?;
    let name = email.as_str().split('@').next().unwrap_or_default().parse();
    Ok(NewOwner::OfAddress(email, name.map_err(|error| ServiceError::invalid("owner", error))?))
}
/// An owner learns nothing of what else its members belong to.
fn hide_other_accounts(user: &mut User, within: Option<Id<Account>>) {
    user.memberships.retain(|membership| Some(membership.account) == within);
}
fn check_memberships(number: usize) -> Result<(), ServiceError> {
    if number > MOST_MEMBERSHIPS {
        return Err(ServiceError::invalid("memberships", "one call names at most 100 accounts"));
    }
    Ok(())
}
fn check_once<'a>(handles: impl Iterator<Item = &'a Handle>) -> Result<(), ServiceError> {
    let mut seen = std::collections::HashSet::new();
    for handle in handles {
        if !seen.insert(handle) {
            return Err(ServiceError::invalid("memberships", format_args!("the account {handle} is named twice")));
        }
    }
    Ok(())
}
