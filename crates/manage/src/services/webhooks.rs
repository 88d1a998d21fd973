//! Endpoints that notices are posted to: an account's are its owners', the deployment's the operators'. A secret is shown once.

use std::time::Duration;

use serde::Deserialize;
use tollgate_core::{
    Id,
    account::AccountAction,
    name::Label,
    notice::{Delivery, DeliveryProblem, Webhook},
    seal::SecretText,
};
use tollgate_store::{
    Page, PageRequest,
    notices::{Claim, DeliveryView, Due},
    webhooks::{NewWebhook, WebhookEdit, WebhookView, WebhooksOf},
};
use utoipa::ToSchema;

use super::{Grace, LONGEST_GRACE, Noun, ServiceError, Services, grace_of};
use crate::{
    notify::{Attempted, HOLD, RETRIES, may_be_endpoint, new_secret},
    principal::{Access, Principal},
};

/// How long both secrets sign after a rotation that says nothing else.
const USUAL_OVERLAP: Duration = Duration::from_secs(86_400);
/// The longest `Idempotency-Key`, in bytes.
const LONGEST_IDEMPOTENCY_KEY: usize = 255;

/// An endpoint to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookInput {
    /// What you call it.
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "security team")]
    pub name: Label,
    /// Where notices are posted: `https://` and a public address.
    #[schema(max_length = 2048, example = "https://hooks.example.com/tollgate")]
    pub url: String,
    /// The account that it belongs to, by name or id.
    #[serde(default)]
    #[schema(example = "default")]
    pub account: Option<String>,
    /// Operators: one of the deployment, which hears of every account.
    #[serde(default)]
    #[schema(example = false)]
    pub deployment: bool,
}

/// What changes in an endpoint; what is not named stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookChange {
    /// A new name.
    #[serde(default, deserialize_with = "crate::extract::present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, example = "security team")]
    pub name: Option<Label>,
    /// Another address.
    #[serde(default, deserialize_with = "crate::extract::present")]
    #[schema(max_length = 2048, example = "https://hooks.example.com/tollgate")]
    pub url: Option<String>,
    /// Switches it on or off.
    #[serde(default, deserialize_with = "crate::extract::present")]
    #[schema(example = true)]
    pub enabled: Option<bool>,
}

/// How an endpoint's secret is rotated.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookRotateInput {
    /// How long the secret from before signs too, beside the new one: a text such as `"24h"`, or seconds; at most 30 days. Not
    /// named: a day.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "24h")]
    pub overlap: Option<Grace>,
}

/// An endpoint at the one moment at which its secret is there.
#[derive(Debug)]
pub struct WebhookShown {
    /// Its secret, to be shown once.
    pub secret: SecretText,
    /// What is kept of it.
    pub webhook: WebhookView,
}

/// What came of an attempt that somebody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptAnswer {
    /// The id of the delivery.
    pub delivery: Id<Delivery>,
    /// When it began.
    pub at: tollgate_core::Timestamp,
    /// How long it took.
    pub duration_ms: u64,
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
    /// Why it failed; absent: it arrived.
    pub problem: Option<DeliveryProblem>,
}

impl AttemptAnswer {
    fn of(delivery: Id<Delivery>, attempted: &Attempted) -> Self {
        let duration_ms = u64::try_from(attempted.duration.as_millis()).unwrap_or(u64::MAX);
        Self { delivery, at: attempted.at, duration_ms, status: attempted.status, problem: attempted.problem }
    }
}

impl Services {
    /// The standing in the account within which an endpoint is looked for; `None`: the operator's, in all.
    async fn webhooks_scope(
        &self,
        principal: &Principal,
        account: Option<&str>,
    ) -> Result<Option<Access>, ServiceError> {
        let scope = principal.scope(self, account).await?;
        if let Some(access) = &scope {
            access.require(AccountAction::WebhooksManage)?;
        }
        Ok(scope)
    }
    fn endpoint_checked(&self, url: &str, of_deployment: bool) -> Result<(), ServiceError> {
        let allow_private = of_deployment || self.notifier.allows_private();
        may_be_endpoint(url, allow_private).map_err(|why| ServiceError::invalid("url", why))
    }

    /// Makes an endpoint and shows its secret once.
    ///
    /// # Errors
    /// A wrong address, a caller who may not, too many, or when the store fails.
    pub async fn webhook_create(
        &self,
        principal: &Principal,
        input: WebhookInput,
        idempotency_key: Option<String>,
    ) -> Result<WebhookShown, ServiceError> {
        if idempotency_key.as_ref().is_some_and(|key| key.is_empty() || key.len() > LONGEST_IDEMPOTENCY_KEY) {
            return Err(ServiceError::invalid("Idempotency-Key", "an Idempotency-Key has 1 to 255 characters"));
        }
        let account = if input.deployment {
            principal.require_operator()?;
            if input.account.is_some() {
                return Err(ServiceError::invalid("account", "a webhook of the deployment belongs to no account"));
            }
            None
        } else {
            let access = principal.access(self, input.account.as_deref()).await?;
            access.require(AccountAction::WebhooksManage)?;
            Some(access.account.id)
        };
        self.endpoint_checked(&input.url, input.deployment)?;
        let (id, secret) = (Id::<Webhook>::new(&self.world), new_secret(&self.world));
        let sealed = self.master_key().seal(&secret, &id.to_string(), &self.world);
        let new = NewWebhook { id, account, name: input.name, url: input.url, secret: sealed, idempotency_key };
        let webhook = self.store().webhook_create(&principal.actor(), new).await?;
        Ok(WebhookShown { secret, webhook })
    }
    /// Endpoints of an account, of the deployment, or for an operator who names neither, all.
    ///
    /// # Errors
    /// A caller who may not, a wrong cursor, or when the store fails.
    pub async fn webhook_list(
        &self,
        principal: &Principal,
        account: Option<&str>,
        deployment: bool,
        page: &PageRequest,
    ) -> Result<Page<WebhookView>, ServiceError> {
        let of = if deployment {
            principal.require_operator()?;
            if account.is_some() {
                return Err(ServiceError::invalid("account", "a webhook of the deployment belongs to no account"));
            }
            WebhooksOf::Deployment
        } else {
            let scope = self.webhooks_scope(principal, account).await?;
            scope.map_or(WebhooksOf::All, |access| WebhooksOf::Account(access.account.id))
        };
        self.store().webhook_list(of, page).await.map_err(ServiceError::of_list)
    }
    /// An endpoint.
    ///
    /// # Errors
    /// A caller who may not, no such endpoint, or when the store fails.
    pub async fn webhook_get(
        &self,
        principal: &Principal,
        account: Option<&str>,
        id: Id<Webhook>,
    ) -> Result<WebhookView, ServiceError> {
        let scope = self.webhooks_scope(principal, account).await?.map(|access| access.account.id);
        self.store().webhook_get(scope, id).await.map_err(ServiceError::of(Noun::Webhook))
    }
    /// Edits an endpoint, or switches it on or off.
    ///
    /// # Errors
    /// As [`Self::webhook_get`]; a wrong address; [`ServiceError::VersionConflict`].
    pub async fn webhook_edit(
        &self,
        principal: &Principal,
        account: Option<&str>,
        id: Id<Webhook>,
        change: WebhookChange,
        if_version: Option<i64>,
    ) -> Result<WebhookView, ServiceError> {
        let webhook = self.webhook_get(principal, account, id).await?;
        if let Some(url) = &change.url {
            self.endpoint_checked(url, webhook.account.is_none())?;
        }
        let of = webhook.account.map(|(account, _)| account);
        let edit = WebhookEdit { name: change.name, url: change.url, enabled: change.enabled };
        let edited = self.store().webhook_edit(&principal.actor(), of, id, edit, if_version).await;
        edited.map_err(ServiceError::of(Noun::Webhook))
    }
    /// Gives an endpoint another secret and shows it once; the one before signs too for a while.
    ///
    /// # Errors
    /// As [`Self::webhook_get`]; too long an overlap.
    pub async fn webhook_rotate(
        &self,
        principal: &Principal,
        account: Option<&str>,
        id: Id<Webhook>,
        input: WebhookRotateInput,
    ) -> Result<WebhookShown, ServiceError> {
        let webhook = self.webhook_get(principal, account, id).await?;
        let overlap = input.overlap.map_or(Ok(USUAL_OVERLAP), |overlap| grace_of("overlap", overlap))?;
        if overlap > LONGEST_GRACE {
            return Err(ServiceError::invalid("overlap", "overlap is at most 30 days"));
        }
        let secret = new_secret(&self.world);
        let sealed = self.master_key().seal(&secret, &id.to_string(), &self.world);
        let (of, until) = (webhook.account.map(|(account, _)| account), self.world.now().plus(overlap));
        let rotated = self.store().webhook_rotate(&principal.actor(), of, id, sealed, until).await;
        Ok(WebhookShown { secret, webhook: rotated.map_err(ServiceError::of(Noun::Webhook))? })
    }
    /// Removes an endpoint.
    ///
    /// # Errors
    /// As [`Self::webhook_get`].
    pub async fn webhook_remove(
        &self,
        principal: &Principal,
        account: Option<&str>,
        id: Id<Webhook>,
    ) -> Result<WebhookView, ServiceError> {
        let webhook = self.webhook_get(principal, account, id).await?;
        let of = webhook.account.map(|(account, _)| account);
        self.store().webhook_remove(&principal.actor(), of, id).await.map_err(ServiceError::of(Noun::Webhook))
    }
    /// Posts a test to an endpoint, now and once.
    ///
    /// # Errors
    /// As [`Self::webhook_get`]. That it did not arrive is an answer, not an error.
    pub async fn webhook_test(
        &self,
        principal: &Principal,
        account: Option<&str>,
        id: Id<Webhook>,
    ) -> Result<AttemptAnswer, ServiceError> {
        let webhook = self.webhook_get(principal, account, id).await?;
        let of = webhook.account.map(|(account, _)| account);
        let (claim, due) = self.store().webhook_test(&principal.actor(), of, id, HOLD).await?;
        self.attempt_now(claim, due, &[]).await
    }
    /// What was sent to an endpoint, the newest first.
    ///
    /// # Errors
    /// As [`Self::webhook_get`]; a wrong cursor.
    pub async fn delivery_list(
        &self,
        principal: &Principal,
        account: Option<&str>,
        id: Id<Webhook>,
        page: &PageRequest,
    ) -> Result<Page<DeliveryView>, ServiceError> {
        self.webhook_get(principal, account, id).await?;
        self.store().delivery_list(id, page).await.map_err(ServiceError::of_list)
    }
    /// Sends a delivery again, now, under the id that it had. One that waited goes on waiting as before, should it fail.
    ///
    /// # Errors
    /// As [`Self::webhook_get`]; no such delivery; one that is being sent.
    pub async fn delivery_resend(
        &self,
        principal: &Principal,
        account: Option<&str>,
        id: Id<Webhook>,
        delivery: Id<Delivery>,
    ) -> Result<AttemptAnswer, ServiceError> {
        let webhook = self.webhook_get(principal, account, id).await?;
        let of = webhook.account.map(|(account, _)| account);
        let claimed = self.store().delivery_resend(&principal.actor(), of, id, delivery, HOLD).await;
        let (claim, due) = claimed.map_err(ServiceError::of(Noun::Delivery))?;
        self.attempt_now(claim, due, &RETRIES).await
    }
    /// Sends the calling operator a test by mail, now and once.
    ///
    /// # Errors
    /// A caller who may not, or has no mail address; a deployment that sends no mail; or when the store fails.
    pub async fn mail_test(&self, principal: &Principal) -> Result<AttemptAnswer, ServiceError> {
        principal.require_operator()?;
        if !self.notifier.sends_mail() {
            return Err(ServiceError::State("no mail is sent here: set [mail] host in the settings"));
        }
        if principal.user().email.is_none() {
            return Err(ServiceError::State("you have no mail address: set one under Users"));
        }
        let (claim, due) = self.store().mail_test(&principal.actor(), principal.user().id, HOLD).await?;
        self.attempt_now(claim, due, &[]).await
    }

    /// An attempt for somebody who waits for it. It is made to its end also when that one hangs up.
    async fn attempt_now(
        &self,
        claim: Claim,
        due: Due,
        waits: &'static [Duration],
    ) -> Result<AttemptAnswer, ServiceError> {
        let (delivery, notifier) = (due.id, self.notifier.clone());
        let attempt = tokio::spawn(async move { notifier.attempt(&claim, due, waits).await });
        let stopping = |_| ServiceError::State("the node is stopping: it is sent by another, or after its start");
        Ok(AttemptAnswer::of(delivery, &attempt.await.map_err(stopping)??))
    }
}
