//! `upstreams`: the servers that serve models. Operators only; a credential goes in and never comes out.

use axum::{extract::State, response::IntoResponse};
use serde::Serialize;
use tollgate_core::{
    Id, Timestamp, Upstream,
    catalog::{Engine, OnClientGone},
};
use utoipa::ToSchema;

use super::{Answer, Changed, List, changed, created, list as list_response, models::PageQuery, one, with_etag};
use crate::{
    UpstreamHealthView,
    extract::{Body, IfMatch, Named, Nothing, OptionalBody, Query, page},
    principal::Principal,
    services::{Services, UpstreamChange, UpstreamInput, UpstreamTest},
};

/// A server that serves models.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Upstream)]
struct UpstreamView {
    #[schema(value_type = String, example = "up_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    id: Id<Upstream>,
    /// What operators call it.
    #[schema(example = "gpu-a")]
    name: String,
    /// Where it is.
    #[schema(example = "http://10.0.0.5:8000/v1")]
    base_url: String,
    /// Whether it has a credential; the credential itself is never shown.
    #[schema(example = true)]
    has_credential: bool,
    /// `openai`, `vllm`, `sglang`, `anthropic` or `other`.
    #[schema(value_type = String, example = "vllm")]
    engine: Engine,
    /// `cancel` or `drain`.
    #[schema(value_type = String, example = "cancel")]
    on_client_gone: OnClientGone,
    /// Whether requests may go there.
    #[schema(example = true)]
    enabled: bool,
    /// How it is, as the node sees it that answers; null while nothing is known.
    health: Option<UpstreamHealthView>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T08:00:00Z")]
    created_at: Timestamp,
}

fn view(services: &Services) -> impl Fn(Upstream) -> UpstreamView {
    let health = services.upstream_health.clone();
    move |upstream| UpstreamView {
        id: upstream.id,
        health: health.health(upstream.name.as_str()),
        name: upstream.name.to_string(),
        base_url: upstream.base_url.to_string(),
        has_credential: upstream.has_credential,
        engine: upstream.engine,
        on_client_gone: upstream.on_client_gone,
        enabled: upstream.enabled,
        created_at: upstream.created_at,
    }
}

/// List upstreams, by name.
#[utoipa::path(get, path = "/api/v1/upstreams", operation_id = "upstream_list", tag = "upstreams", params(PageQuery),
    responses((status = 200, body = List<UpstreamView>)), extensions(("x-access" = json!("operator"))))]
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    Query(query): Query<PageQuery>,
) -> Answer {
    let upstreams = services.upstream_list(&principal, &page(query.cursor, query.limit)?).await?;
    Ok(list_response(upstreams, view(&services)))
}

/// Make an upstream.
#[utoipa::path(post, path = "/api/v1/upstreams", operation_id = "upstream_create", tag = "upstreams",
    request_body = UpstreamInput,
    responses((status = 201, body = UpstreamView), (status = 409, description = "already_exists")),
    extensions(("x-access" = json!("operator"))))]
pub(super) async fn create(
    State(services): State<Services>,
    principal: Principal,
    Body(input): Body<UpstreamInput>,
) -> Answer {
    let upstream = services.upstream_create(&principal, input).await?.value;
    Ok(created(&format!("upstreams/{}", upstream.id), view(&services)(upstream)))
}

/// Show an upstream.
#[utoipa::path(get, path = "/api/v1/upstreams/{upstream}", operation_id = "upstream_show", tag = "upstreams",
    params(("upstream" = String, Path, description = "name or id", example = "gpu-a")),
    responses((status = 200, body = UpstreamView)), extensions(("x-access" = json!("operator"))))]
pub(super) async fn show(
    State(services): State<Services>,
    principal: Principal,
    Named(upstream): Named<String>,
) -> Answer {
    let upstream = services.upstream_get(&principal, &upstream).await?;
    let version = upstream.version;
    Ok(one(view(&services)(upstream), version))
}

/// Edit an upstream: its address, credential, engine, policy, or whether requests may go there.
#[utoipa::path(patch, path = "/api/v1/upstreams/{upstream}", operation_id = "upstream_edit", tag = "upstreams",
    params(("upstream" = String, Path, description = "name or id", example = "gpu-a"),
        ("If-Match" = Option<String>, Header, description = "the `etag` that was read; without it the last writer wins", example = "\"3\"")),
    request_body = UpstreamChange,
    responses((status = 200, body = Changed<UpstreamView>), (status = 202, body = Changed<UpstreamView>)),
    extensions(("x-access" = json!("operator"))))]
pub(super) async fn edit(
    State(services): State<Services>,
    principal: Principal,
    Named(upstream): Named<String>,
    IfMatch(version): IfMatch,
    Body(change): Body<UpstreamChange>,
) -> Answer {
    let confirmed = services.upstream_edit(&principal, &upstream, change, version).await?;
    let version = confirmed.value.version;
    Ok(with_etag(changed(confirmed, view(&services)), version))
}

/// Try an upstream now: ask it for its models with its own credential, and compare them with the catalogue.
///
/// Always 200 where there is such an upstream; `verdict` says what came of it.
#[utoipa::path(post, path = "/api/v1/upstreams/{upstream}/test", operation_id = "upstream_test", tag = "upstreams",
    params(("upstream" = String, Path, description = "name or id", example = "gpu-a")),
    responses((status = 200, body = UpstreamTest)), extensions(("x-access" = json!("operator"))))]
pub(super) async fn test(
    State(services): State<Services>,
    principal: Principal,
    Named(upstream): Named<String>,
    OptionalBody(Nothing {}): OptionalBody<Nothing>,
) -> Answer {
    Ok(axum::Json(services.upstream_test(&principal, &upstream).await?).into_response())
}

/// Remove an upstream that serves no model.
#[utoipa::path(delete, path = "/api/v1/upstreams/{upstream}", operation_id = "upstream_remove", tag = "upstreams",
    params(("upstream" = String, Path, description = "name or id", example = "gpu-a")),
    responses((status = 200, body = Changed<UpstreamView>), (status = 202, body = Changed<UpstreamView>),
        (status = 409, description = "in_use")),
    extensions(("x-access" = json!("operator"))))]
pub(super) async fn remove(
    State(services): State<Services>,
    principal: Principal,
    Named(upstream): Named<String>,
) -> Answer {
    Ok(changed(services.upstream_remove(&principal, &upstream).await?, view(&services)))
}
