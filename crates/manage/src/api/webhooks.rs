//! `webhooks`: endpoints that notices are posted to. An account's are its owners', the deployment's the operators'.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tollgate_core::{
    Id, Notice, Timestamp,
    notice::{Delivery, DeliveryProblem, Webhook},
};
use tollgate_store::{
    notices::{DeliveryAttempt, DeliveryState, DeliveryView as StoredDelivery},
    webhooks::{WebhookState, WebhookView as Stored},
};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, List, created, list as list_response, one, with_etag};
use crate::{
    extract::{Body, IdempotencyKey, IfMatch, Named, NamedBoth, Nothing, OptionalBody, Query, from_text, page},
    pages::{Lang, texts::problem_in_words},
    principal::Principal,
    services::{AttemptAnswer, Services, WebhookChange, WebhookInput, WebhookRotateInput, WebhookShown},
};

/// An endpoint that notices are posted to, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
struct WebhookView {
    #[schema(value_type = String, example = "hook_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    id: Id<Webhook>,
    /// The account that it belongs to, by id; null for one of the deployment, which hears of every account.
    #[schema(example = "acct_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    account: Option<String>,
    #[schema(example = "security team")]
    name: String,
    #[schema(example = "https://hooks.example.com/tollgate")]
    url: String,
    /// `active`; `disabled` by hand; or `failed`: every attempt failed for five days, and nothing is sent any more.
    #[schema(value_type = String, example = "active")]
    status: WebhookState,
    /// Since when every attempt has failed.
    #[schema(value_type = Option<String>, format = DateTime, example = json!(null))]
    failing_since: Option<Timestamp>,
    /// Until when the secret from before the last rotation signs too.
    #[schema(value_type = Option<String>, format = DateTime, example = json!(null))]
    both_secrets_until: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T08:00:00Z")]
    created_at: Timestamp,
}

/// An endpoint with its secret, this once.
#[derive(Serialize, ToSchema)]
struct WebhookCreated {
    /// What its notices are signed with, as the Standard Webhooks specification has it. Keep it now: it is not shown again.
    #[schema(example = "whsec_<base64>")]
    secret: String,
    #[serde(flatten)]
    view: WebhookView,
}

/// A notice on its way to an endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
struct DeliveryView {
    #[schema(value_type = String, example = "dlv_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    id: Id<Delivery>,
    /// The notice's id: the header `webhook-id`.
    #[schema(value_type = String, example = "note_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    notice: Id<Notice>,
    /// The notice's kind.
    #[schema(example = "key.leaked")]
    r#type: String,
    /// `pending`, `sent` or `failed`.
    #[schema(value_type = String, example = "sent")]
    status: DeliveryState,
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T08:00:00Z")]
    created_at: Timestamp,
    /// When it is attempted next, while it is pending.
    #[schema(value_type = Option<String>, format = DateTime, example = json!(null))]
    next_attempt_at: Option<Timestamp>,
    /// What was attempted, the first first.
    attempts: Vec<AttemptView>,
}

/// One attempt to deliver.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeliveryAttempt)]
struct AttemptView {
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T08:00:00Z")]
    at: Timestamp,
    #[schema(example = 84)]
    duration_ms: u64,
    /// The status of the answer, where there was one.
    #[schema(example = 204)]
    status: Option<u16>,
    /// Why it failed, a stable word; null: it arrived.
    #[schema(value_type = Option<String>, example = json!(null))]
    problem: Option<DeliveryProblem>,
    /// The same in words.
    #[schema(example = json!(null))]
    error: Option<String>,
}

/// What came of an attempt that was asked for.
#[derive(Debug, Serialize, ToSchema)]
struct AttemptMade {
    /// The delivery's id.
    #[schema(value_type = String, example = "dlv_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    delivery: Id<Delivery>,
    /// Whether it arrived.
    #[schema(example = true)]
    arrived: bool,
    #[serde(flatten)]
    attempt: AttemptView,
}

fn view(webhook: Stored) -> WebhookView {
    WebhookView {
        id: webhook.id,
        account: webhook.account.map(|(account, _)| account.to_string()),
        name: webhook.name.to_string(),
        url: webhook.url,
        status: webhook.state,
        failing_since: webhook.failing_since,
        both_secrets_until: webhook.rotated_until,
        created_at: webhook.created_at,
    }
}
fn shown(shown: WebhookShown) -> WebhookCreated {
    WebhookCreated { secret: shown.secret.expose().to_owned(), view: view(shown.webhook) }
}
fn attempt(attempt: &DeliveryAttempt) -> AttemptView {
    AttemptView {
        at: attempt.at,
        duration_ms: attempt.duration_ms,
        status: attempt.status,
        problem: attempt.problem,
        error: attempt.problem.map(|problem| problem_in_words(Lang::En, problem, attempt.status)),
    }
}
fn delivery_view(delivery: StoredDelivery) -> DeliveryView {
    DeliveryView {
        id: delivery.id,
        notice: delivery.notice,
        r#type: delivery.kind,
        status: delivery.state,
        created_at: delivery.created_at,
        next_attempt_at: delivery.next_at,
        attempts: delivery.attempts.iter().map(attempt).collect(),
    }
}
fn made(answer: AttemptAnswer) -> Response {
    let AttemptAnswer { delivery, at, duration_ms, status, problem } = answer;
    let attempt = attempt(&DeliveryAttempt { at, duration_ms, status, problem });
    Json(AttemptMade { delivery, arrived: problem.is_none(), attempt }).into_response()
}

/// Which endpoints to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only this account's, by name or id; an operator who names none sees all.
    #[param(example = "default")]
    account: Option<String>,
    /// Operators: only the deployment's own.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<bool>, example = false)]
    deployment: Option<bool>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 1,000; else 50.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<u32>, example = 50)]
    limit: Option<u32>,
}

/// Where to look.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AccountQuery {
    /// The account that it belongs to, by name or id; an operator needs to name none.
    #[param(example = "default")]
    account: Option<String>,
}

/// Which part of a delivery log.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogQuery {
    /// The account that it belongs to, by name or id; an operator needs to name none.
    #[param(example = "default")]
    account: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 1,000; else 50.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<u32>, example = 50)]
    limit: Option<u32>,
}

/// List webhooks, the oldest first.
#[utoipa::path(get, path = "/api/v1/webhooks", operation_id = "webhook_list", tag = "webhooks", params(ListQuery),
    responses((status = 200, body = List<WebhookView>)), extensions(("x-access" = json!("owner"))))]
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    Query(query): Query<ListQuery>,
) -> Answer {
    let (page, deployment) = (page(query.cursor, query.limit)?, query.deployment.unwrap_or(false));
    Ok(list_response(services.webhook_list(&principal, query.account.as_deref(), deployment, &page).await?, view))
}

/// Make a webhook and show its secret, this once.
///
/// Each notice is posted there as JSON, signed as the Standard Webhooks specification has it; anything but a 2xx is tried
/// again for three days.
#[utoipa::path(post, path = "/api/v1/webhooks", operation_id = "webhook_create", tag = "webhooks",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters, unique in the account", example = "b0a1c2")),
    request_body = WebhookInput,
    responses((status = 201, body = WebhookCreated), (status = 404, description = "not_found: the account"),
        (status = 409, description = "already_created, not_possible")),
    extensions(("x-access" = json!("owner"))))]
pub(super) async fn create(
    State(services): State<Services>,
    principal: Principal,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Body(input): Body<WebhookInput>,
) -> Answer {
    let made = services.webhook_create(&principal, input, idempotency_key).await?;
    let version = made.webhook.version;
    let view = shown(made);
    Ok(with_etag(created(&format!("webhooks/{}", view.view.id), view), version))
}

/// Show a webhook.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}", operation_id = "webhook_show", tag = "webhooks",
    params(("id" = String, Path, example = "hook_019ab0c0d1e27f3a8b4c5d6e7f809a1b"), AccountQuery),
    responses((status = 200, body = WebhookView)), extensions(("x-access" = json!("owner"))))]
pub(super) async fn show(
    State(services): State<Services>,
    principal: Principal,
    Named(id): Named<Id<Webhook>>,
    Query(query): Query<AccountQuery>,
) -> Answer {
    let webhook = services.webhook_get(&principal, query.account.as_deref(), id).await?;
    let version = webhook.version;
    Ok(one(view(webhook), version))
}

/// Edit a webhook: its name, its address, whether anything is sent there. Switching it on forgets that it failed.
#[utoipa::path(patch, path = "/api/v1/webhooks/{id}", operation_id = "webhook_edit", tag = "webhooks",
    params(("id" = String, Path, example = "hook_019ab0c0d1e27f3a8b4c5d6e7f809a1b"), AccountQuery,
        ("If-Match" = Option<String>, Header, description = "the `etag` that was read; without it the last writer wins", example = "\"3\"")),
    request_body = WebhookChange,
    responses((status = 200, body = WebhookView)), extensions(("x-access" = json!("owner"))))]
pub(super) async fn edit(
    State(services): State<Services>,
    principal: Principal,
    Named(id): Named<Id<Webhook>>,
    Query(query): Query<AccountQuery>,
    IfMatch(version): IfMatch,
    Body(change): Body<WebhookChange>,
) -> Answer {
    let webhook = services.webhook_edit(&principal, query.account.as_deref(), id, change, version).await?;
    let version = webhook.version;
    Ok(one(view(webhook), version))
}

/// Remove a webhook: what waits for it is not sent.
#[utoipa::path(delete, path = "/api/v1/webhooks/{id}", operation_id = "webhook_remove", tag = "webhooks",
    params(("id" = String, Path, example = "hook_019ab0c0d1e27f3a8b4c5d6e7f809a1b"), AccountQuery),
    responses((status = 200, body = WebhookView)), extensions(("x-access" = json!("owner"))))]
pub(super) async fn remove(
    State(services): State<Services>,
    principal: Principal,
    Named(id): Named<Id<Webhook>>,
    Query(query): Query<AccountQuery>,
) -> Answer {
    Ok(Json(view(services.webhook_remove(&principal, query.account.as_deref(), id).await?)).into_response())
}

/// Give a webhook another secret and show it, this once. The one before signs too for a while: each notice then has both
/// signatures.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/rotate", operation_id = "webhook_rotate", tag = "webhooks",
    params(("id" = String, Path, example = "hook_019ab0c0d1e27f3a8b4c5d6e7f809a1b"), AccountQuery),
    request_body = Option<WebhookRotateInput>,
    responses((status = 200, body = WebhookCreated)), extensions(("x-access" = json!("owner"))))]
pub(super) async fn rotate(
    State(services): State<Services>,
    principal: Principal,
    Named(id): Named<Id<Webhook>>,
    Query(query): Query<AccountQuery>,
    OptionalBody(input): OptionalBody<WebhookRotateInput>,
) -> Answer {
    let rotated = services.webhook_rotate(&principal, query.account.as_deref(), id, input).await?;
    let version = rotated.webhook.version;
    Ok(one(shown(rotated), version))
}

/// Post a test to a webhook, now and once, also to one that is switched off.
///
/// Always 200 where there is such a webhook; `arrived` says what came of it.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/test", operation_id = "webhook_test", tag = "webhooks",
    params(("id" = String, Path, example = "hook_019ab0c0d1e27f3a8b4c5d6e7f809a1b"), AccountQuery),
    responses((status = 200, body = AttemptMade)), extensions(("x-access" = json!("owner"))))]
pub(super) async fn test(
    State(services): State<Services>,
    principal: Principal,
    Named(id): Named<Id<Webhook>>,
    Query(query): Query<AccountQuery>,
    OptionalBody(Nothing {}): OptionalBody<Nothing>,
) -> Answer {
    Ok(made(services.webhook_test(&principal, query.account.as_deref(), id).await?))
}

/// List what was sent to a webhook, the newest first; what is over is kept for 30 days, at most 1,000 of them.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries", operation_id = "delivery_list", tag = "webhooks",
    params(("id" = String, Path, example = "hook_019ab0c0d1e27f3a8b4c5d6e7f809a1b"), LogQuery),
    responses((status = 200, body = List<DeliveryView>)), extensions(("x-access" = json!("owner"))))]
pub(super) async fn deliveries(
    State(services): State<Services>,
    principal: Principal,
    Named(id): Named<Id<Webhook>>,
    Query(query): Query<LogQuery>,
) -> Answer {
    let page = page(query.cursor, query.limit)?;
    Ok(list_response(services.delivery_list(&principal, query.account.as_deref(), id, &page).await?, delivery_view))
}

/// Send a delivery again, now, under the same `webhook-id`. `arrived` says what came of it.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/deliveries/{delivery}/resend", operation_id = "delivery_resend",
    tag = "webhooks",
    params(("id" = String, Path, example = "hook_019ab0c0d1e27f3a8b4c5d6e7f809a1b"),
        ("delivery" = String, Path, example = "dlv_019ab0c0d1e27f3a8b4c5d6e7f809a1b"), AccountQuery),
    responses((status = 200, body = AttemptMade), (status = 409, description = "not_possible: it is being sent")),
    extensions(("x-access" = json!("owner"))))]
pub(super) async fn resend(
    State(services): State<Services>,
    principal: Principal,
    NamedBoth(id, delivery): NamedBoth<Id<Webhook>, Id<Delivery>>,
    Query(query): Query<AccountQuery>,
    OptionalBody(Nothing {}): OptionalBody<Nothing>,
) -> Answer {
    Ok(made(services.delivery_resend(&principal, query.account.as_deref(), id, delivery).await?))
}

/// Send yourself a test by mail, now and once. `arrived` says whether the mail server took it.
#[utoipa::path(post, path = "/api/v1/mail/test", operation_id = "mail_test", tag = "webhooks",
    responses((status = 200, body = AttemptMade), (status = 409, description = "not_possible: no mail is sent here, or you have no address")),
    extensions(("x-access" = json!("operator"))))]
pub(super) async fn mail_test(
    State(services): State<Services>,
    principal: Principal,
    OptionalBody(Nothing {}): OptionalBody<Nothing>,
) -> Answer {
    Ok(made(services.mail_test(&principal).await?))
}
