//! What the operator's pages show beside the things themselves: counts, names, today's sums, what a change would stop.

use std::collections::HashMap;

use tollgate_core::{
    Account, Id, Model, No, Plan, Timestamp, Upstream, User,
    account::AuditEntry,
    name::{Email, Slug},
    usage::{Bucket, UsageQuery, UsageSums},
};
use tollgate_store::{
    Page, PageRequest,
    accounts::{AccountFilter, AccountLine, PlanLine, UserHolds},
    catalog::{NamingKey, Served},
};

use super::{Noun, ServiceError, Services};
use crate::principal::Principal;

/// How many keys are named before the rest is only counted.
const MOST_NAMED_KEYS: u32 = 20;
const DAY_MS: i64 = 86_400_000;

/// The deployment at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance {
    /// Nodes that hold a lease.
    pub serving: usize,
    /// Upstreams that requests may go to.
    pub enabled: usize,
    /// Those of them that are not known to be ill.
    pub healthy: usize,
    /// Everybody's usage since midnight in UTC.
    pub today: UsageSums,
}

/// Most upstreams that are looked at for [`Glance`].
const MOST_GLANCED: u32 = PageRequest::MOST;

impl Services {
    /// The deployment at a glance.
    ///
    /// # Errors
    /// A caller who may not, or when the store fails.
    pub async fn glance(&self, principal: &Principal) -> Result<Glance, ServiceError> {
        principal.require_operator()?;
        let now = self.world.now();
        let day = now.as_millis() - now.as_millis().rem_euclid(DAY_MS);
        let query = UsageQuery {
            account: None,
            from: Timestamp::from_millis(day),
            to: Timestamp::from_millis(day + DAY_MS),
            bucket: Bucket::Total,
            group_by: Vec::new(),
            keys: Vec::new(),
            models: Vec::new(),
            zone: jiff::tz::TimeZone::UTC,
        };
        let today = self.store().usage_report(&query).await?.first().map(|row| row.sums).unwrap_or_default();
        let nodes = self.store().node_list().await?;
        let upstreams = self.store().upstream_list(&PageRequest { cursor: None, limit: MOST_GLANCED }).await?.data;
        let enabled = upstreams.iter().filter(|upstream| upstream.enabled);
        let is_healthy = |upstream: &&Upstream| {
            self.upstream_health.health(upstream.name.as_str()).is_none_or(|health| health.healthy)
        };
        Ok(Glance {
            serving: nodes.iter().filter(|node| node.active).count(),
            enabled: enabled.clone().count(),
            healthy: enabled.filter(is_healthy).count(),
            today,
        })
    }

    /// Accounts with what stands beside them.
    ///
    /// # Errors
    /// A caller who may not, a wrong cursor, or when the store fails.
    pub async fn account_overview(
        &self,
        principal: &Principal,
        filter: &AccountFilter,
        page: &PageRequest,
    ) -> Result<Page<AccountLine>, ServiceError> {
        principal.require_operator()?;
        self.store().account_overview(filter, page).await.map_err(ServiceError::of_list)
    }
    /// An account by id or handle, with what stands beside it.
    ///
    /// # Errors
    /// A caller who may not, [`ServiceError::NotFound`], or when the store fails.
    pub async fn account_line(&self, principal: &Principal, named: &str) -> Result<AccountLine, ServiceError> {
        principal.require_operator()?;
        let account: Account = self.account_get(principal, named).await?;
        self.store().account_line(account.id).await.map_err(ServiceError::of(Noun::Account))
    }
    /// Plans with how many accounts are on them.
    ///
    /// # Errors
    /// A caller who may not, a wrong cursor, or when the store fails.
    pub async fn plan_overview(
        &self,
        principal: &Principal,
        page: &PageRequest,
    ) -> Result<Page<PlanLine>, ServiceError> {
        principal.require_operator()?;
        self.store().plan_overview(page).await.map_err(ServiceError::of_list)
    }
    /// How many accounts are on a plan, and how many of their keys are switched on.
    ///
    /// # Errors
    /// A caller who may not, or when the store fails.
    pub async fn plan_holds(&self, principal: &Principal, plan: Id<Plan>) -> Result<(u64, u64), ServiceError> {
        principal.require_operator()?;
        Ok(self.store().plan_holds(plan).await?)
    }
    /// Users whose name or address contains a text.
    ///
    /// # Errors
    /// A caller who may not, a wrong cursor, or when the store fails.
    pub async fn user_search(
        &self,
        principal: &Principal,
        search: &str,
        page: &PageRequest,
    ) -> Result<Page<User>, ServiceError> {
        principal.require_operator()?;
        self.store().user_search(search, page).await.map_err(ServiceError::of_list)
    }
    /// What stops when a user is disabled.
    ///
    /// # Errors
    /// A caller who may not, [`ServiceError::NotFound`], or when the store fails.
    pub async fn user_holds(&self, principal: &Principal, user: Id<User>) -> Result<UserHolds, ServiceError> {
        principal.require_operator()?;
        self.store().user_holds(user).await.map_err(ServiceError::of(Noun::User))
    }
    /// The user of a mail address.
    ///
    /// # Errors
    /// A caller who may not, or when the store fails.
    pub async fn user_by_email(&self, principal: &Principal, email: &Email) -> Result<Option<Id<User>>, ServiceError> {
        principal.require_operator()?;
        Ok(self.store().user_by_email(email).await?)
    }
    /// Keys whose list names a model: how many, and the first of them.
    ///
    /// # Errors
    /// A caller who may not, or when the store fails.
    pub async fn model_naming_keys(
        &self,
        principal: &Principal,
        model: No<Model>,
    ) -> Result<(u64, Vec<NamingKey>), ServiceError> {
        principal.require_operator()?;
        Ok(self.store().model_naming_keys(model, MOST_NAMED_KEYS).await?)
    }
    /// The models that an upstream serves.
    ///
    /// # Errors
    /// A caller who may not, or when the store fails.
    pub async fn upstream_serves(
        &self,
        principal: &Principal,
        upstream: No<Upstream>,
    ) -> Result<Vec<Served>, ServiceError> {
        principal.require_operator()?;
        Ok(self.store().upstream_serves(upstream).await?)
    }
    /// How many models each upstream serves.
    ///
    /// # Errors
    /// A caller who may not, or when the store fails.
    pub async fn upstream_model_counts(&self, principal: &Principal) -> Result<HashMap<i64, u64>, ServiceError> {
        principal.require_operator()?;
        let counts = self.store().upstream_model_counts().await?;
        Ok(counts.into_iter().map(|(upstream, models)| (upstream.get(), models)).collect())
    }
    /// The names of all upstreams.
    ///
    /// # Errors
    /// A caller who may not, or when the store fails.
    pub async fn upstream_names(&self, principal: &Principal) -> Result<Vec<Slug>, ServiceError> {
        principal.require_operator()?;
        Ok(self.store().upstream_names().await?)
    }
    /// What people call the subjects of these entries, and the accounts that they belong to, now.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn audit_names(&self, entries: &[AuditEntry]) -> Result<HashMap<String, String>, ServiceError> {
        let accounts: Vec<String> = entries.iter().filter_map(|entry| entry.account).map(|id| id.to_string()).collect();
        let mut ids: Vec<&str> =
            entries.iter().map(|entry| entry.subject.as_str()).chain(accounts.iter().map(String::as_str)).collect();
        ids.sort_unstable();
        ids.dedup();
        Ok(self.store().names_of(&ids).await?)
    }
}
