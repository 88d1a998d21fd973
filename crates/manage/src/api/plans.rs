//! `plans`: what accounts subscribe to. Operators only.

use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use serde::Serialize;
use tollgate_core::{Id, Plan, Timestamp};
use utoipa::ToSchema;

use super::{Answer, Changed, List, changed, created, list as list_response, models::PageQuery, one, with_etag};
use crate::{
    extract::{Body, IfMatch, Named, Query, page},
    principal::Principal,
    services::{PlanChange, PlanInput, Services},
};

/// What accounts subscribe to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plan)]
struct PlanView {
    #[schema(value_type = String, example = "plan_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    id: Id<Plan>,
    /// Its code.
    #[schema(example = "pro")]
    handle: String,
    /// Its name for people.
    #[schema(example = "Pro")]
    name: String,
    /// Whether accounts on it may have keys.
    #[schema(example = true)]
    paid: bool,
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T08:00:00Z")]
    created_at: Timestamp,
}

fn view(plan: Plan) -> PlanView {
    PlanView {
        id: plan.id,
        handle: plan.handle.to_string(),
        name: plan.name.to_string(),
        paid: plan.paid,
        created_at: plan.created_at,
    }
}

/// List plans, by code.
#[utoipa::path(get, path = "/api/v1/plans", operation_id = "plan_list", tag = "plans", params(PageQuery),
    responses((status = 200, body = List<PlanView>)), extensions(("x-access" = json!("operator"))))]
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    Query(query): Query<PageQuery>,
) -> Answer {
    Ok(list_response(services.plan_list(&principal, &page(query.cursor, query.limit)?).await?, view))
}

/// Make a plan.
#[utoipa::path(post, path = "/api/v1/plans", operation_id = "plan_create", tag = "plans", request_body = PlanInput,
    responses((status = 201, body = PlanView), (status = 409, description = "already_exists")),
    extensions(("x-access" = json!("operator"))))]
pub(super) async fn create(
    State(services): State<Services>,
    principal: Principal,
    Body(input): Body<PlanInput>,
) -> Answer {
    let plan = services.plan_create(&principal, input).await?;
    Ok(created(&format!("plans/{}", plan.id), view(plan)))
}

/// Show a plan.
#[utoipa::path(get, path = "/api/v1/plans/{plan}", operation_id = "plan_show", tag = "plans",
    params(("plan" = String, Path, description = "code or id", example = "pro")),
    responses((status = 200, body = PlanView)), extensions(("x-access" = json!("operator"))))]
pub(super) async fn show(State(services): State<Services>, principal: Principal, Named(plan): Named<String>) -> Answer {
    let plan = services.plan_get(&principal, &plan).await?;
    let version = plan.version;
    Ok(one(view(plan), version))
}

/// Edit a plan. That it is paid, or not any more, counts at once for every account on it.
#[utoipa::path(patch, path = "/api/v1/plans/{plan}", operation_id = "plan_edit", tag = "plans",
    params(("plan" = String, Path, description = "code or id", example = "pro"),
        ("If-Match" = Option<String>, Header, description = "the `etag` that was read; without it the last writer wins", example = "\"3\"")),
    request_body = PlanChange,
    responses((status = 200, body = Changed<PlanView>), (status = 202, body = Changed<PlanView>)),
    extensions(("x-access" = json!("operator"))))]
pub(super) async fn edit(
    State(services): State<Services>,
    principal: Principal,
    Named(plan): Named<String>,
    IfMatch(version): IfMatch,
    Body(change): Body<PlanChange>,
) -> Answer {
    let confirmed = services.plan_edit(&principal, &plan, change, version).await?;
    let version = confirmed.value.version;
    Ok(with_etag(changed(confirmed, view), version))
}

/// Remove a plan that no account is on.
#[utoipa::path(delete, path = "/api/v1/plans/{plan}", operation_id = "plan_remove", tag = "plans",
    params(("plan" = String, Path, description = "code or id", example = "pro")),
    responses((status = 204), (status = 409, description = "in_use")),
    extensions(("x-access" = json!("operator"))))]
pub(super) async fn remove(
    State(services): State<Services>,
    principal: Principal,
    Named(plan): Named<String>,
) -> Answer {
    services.plan_remove(&principal, &plan).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
