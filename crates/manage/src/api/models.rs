//! `models`: the catalogue. Everybody sees it; operators change it and see who serves what.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use tollgate_core::{Id, Model, ModelKind, Timestamp, money::PriceList};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, Changed, List, changed, created, list as list_response, one, with_etag};
use crate::{
    extract::{Body, IfMatch, Named, Query, from_text, page},
    principal::Principal,
    services::{ModelChange, ModelInput, Services},
};

/// A model of the catalogue.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
pub(super) struct ModelView {
    #[schema(value_type = String, example = "model_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    id: Id<Model>,
    /// What clients call it.
    #[schema(example = "qwen3-32b")]
    name: String,
    /// Its name for people.
    #[schema(example = "Qwen3 32B")]
    title: Option<String>,
    /// `chat`, `embedding`, `rerank`, `transcription`, `speech` or `image`.
    #[schema(value_type = String, example = "chat")]
    kind: ModelKind,
    /// Input and output together, in tokens.
    #[schema(example = 32768)]
    context_window: Option<u64>,
    /// The most output of one request, in tokens.
    #[schema(example = 8192)]
    max_output_tokens: Option<u64>,
    #[schema(schema_with = crate::services::price_schema)]
    price: PriceList,
    /// Who serves it; operators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    served_by: Option<Vec<ServedByView>>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T08:00:00Z")]
    created_at: Timestamp,
}

/// An upstream that serves a model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServedBy)]
struct ServedByView {
    /// The upstream's name.
    #[schema(example = "gpu-a")]
    upstream: String,
    /// What the upstream calls the model.
    #[schema(example = "Qwen/Qwen3-32B")]
    model: String,
    /// Its share of the requests beside the others'.
    #[schema(example = 1)]
    weight: u32,
}

fn view(principal: &Principal) -> impl Fn(Model) -> ModelView {
    let operator = principal.is_operator();
    move |model| ModelView {
        id: model.id,
        name: model.name.to_string(),
        title: model.title.map(|title| title.to_string()),
        kind: model.kind,
        context_window: model.context_window,
        max_output_tokens: model.max_output_tokens,
        price: model.price,
        served_by: operator.then(|| {
            let served = model.served_by.into_iter().map(|served| ServedByView {
                upstream: served.upstream.to_string(),
                model: served.model.to_string(),
                weight: served.weight,
            });
            served.collect()
        }),
        created_at: model.created_at,
    }
}

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// The `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
    /// Rows of a page, 1 to 1,000; else 50.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<u32>, example = 50)]
    pub(super) limit: Option<u32>,
}

/// List the models that the account may use, by name.
#[utoipa::path(get, path = "/api/v1/models", operation_id = "model_list", tag = "models", params(PageQuery),
    responses((status = 200, body = List<ModelView>)), extensions(("x-access" = json!("user"))))]
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    Query(query): Query<PageQuery>,
) -> Answer {
    let models = services.model_list(&page(query.cursor, query.limit)?).await?;
    Ok(list_response(models, view(&principal)))
}

/// Make a model.
#[utoipa::path(post, path = "/api/v1/models", operation_id = "model_create", tag = "models", request_body = ModelInput,
    responses((status = 201, body = ModelView), (status = 409, description = "already_exists")),
    extensions(("x-access" = json!("operator"))))]
pub(super) async fn create(
    State(services): State<Services>,
    principal: Principal,
    Body(input): Body<ModelInput>,
) -> Answer {
    principal.require_operator()?;
    let model = services.model_create(&principal, input).await?.value;
    Ok(created(&format!("models/{}", model.id), view(&principal)(model)))
}

/// Show a model.
#[utoipa::path(get, path = "/api/v1/models/{model}", operation_id = "model_show", tag = "models",
    params(("model" = String, Path, description = "name or id; a slash in a name is sent as `%2F`", example = "qwen3-32b")),
    responses((status = 200, body = ModelView)), extensions(("x-access" = json!("user"))))]
pub(super) async fn show(
    State(services): State<Services>,
    principal: Principal,
    Named(model): Named<String>,
) -> Answer {
    let model = services.model_get(&model).await?;
    let version = model.version;
    Ok(one(view(&principal)(model), version))
}

/// Edit a model: its title, windows, prices, or who serves it.
#[utoipa::path(patch, path = "/api/v1/models/{model}", operation_id = "model_edit", tag = "models",
    params(("model" = String, Path, description = "name or id; a slash in a name is sent as `%2F`", example = "qwen3-32b"),
        ("If-Match" = Option<String>, Header, description = "the `etag` that was read; without it the last writer wins", example = "\"3\"")),
    request_body = ModelChange,
    responses((status = 200, body = Changed<ModelView>), (status = 202, body = Changed<ModelView>)),
    extensions(("x-access" = json!("operator"))))]
pub(super) async fn edit(
    State(services): State<Services>,
    principal: Principal,
    Named(model): Named<String>,
    IfMatch(version): IfMatch,
    Body(change): Body<ModelChange>,
) -> Answer {
    let confirmed = services.model_edit(&principal, &model, change, version).await?;
    let version = confirmed.value.version;
    Ok(with_etag(changed(confirmed, view(&principal)), version))
}

/// Withdraw a model: no key may use it from now on; its usage stays.
#[utoipa::path(delete, path = "/api/v1/models/{model}", operation_id = "model_remove", tag = "models",
    params(("model" = String, Path, description = "name or id; a slash in a name is sent as `%2F`", example = "qwen3-32b")),
    responses((status = 200, body = Changed<ModelView>), (status = 202, body = Changed<ModelView>)),
    extensions(("x-access" = json!("operator"))))]
pub(super) async fn remove(
    State(services): State<Services>,
    principal: Principal,
    Named(model): Named<String>,
) -> Answer {
    Ok(changed(services.model_remove(&principal, &model).await?, view(&principal)))
}
