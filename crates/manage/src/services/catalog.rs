//! Models and upstreams. Operators change them; customers see the models, never who serves them.

use serde::Deserialize;
use tollgate_core::{
    Actor, Id, Model, ModelKind, Upstream, World,
    catalog::{BaseUrl, Engine, OnClientGone},
    money::PriceList,
    name::{Label, ModelName, Slug},
    seal::{MasterKey, SecretText},
};
use tollgate_store::{
    Page, PageRequest, Store, StoreError,
    catalog::{ModelEdit, NewModel, NewUpstream, ServedByName, UpstreamEdit},
};
use utoipa::ToSchema;

use super::{Confirmed, Noun, ServiceError, Services};
use crate::{extract::present, principal::Principal};

/// The longest credential of an upstream, in bytes.
const LONGEST_CREDENTIAL: usize = 8_192;
/// The greatest context window and output ceiling, in tokens.
const MOST_TOKENS: u64 = 1_000_000_000_000;

/// An upstream to be made, or to be brought to this state.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamInput {
    /// What operators call it.
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "gpu-a")]
    pub name: Slug,
    /// Where it is: what stands before `/chat/completions`.
    #[schema(value_type = String, example = "http://10.0.0.5:8000/v1")]
    pub base_url: BaseUrl,
    /// Its own credential. Kept encrypted, never shown again.
    #[serde(default)]
    #[schema(value_type = Option<String>, write_only, example = "<the upstream's own key>")]
    pub credential: Option<SecretText>,
    /// What runs on it: `openai`, `vllm`, `sglang`, `anthropic` or `other`.
    #[serde(default = "engine_default")]
    #[schema(value_type = String, default = "other", example = "vllm")]
    pub engine: Engine,
    /// What happens to it when a client hangs up: `cancel` or `drain`.
    #[serde(default = "on_client_gone_default")]
    #[schema(value_type = String, default = "cancel", example = "cancel")]
    pub on_client_gone: OnClientGone,
    /// Whether requests may go there.
    #[serde(default = "enabled_default")]
    #[schema(default = true, example = true)]
    pub enabled: bool,
}
const fn engine_default() -> Engine {
    Engine::Other
}
const fn on_client_gone_default() -> OnClientGone {
    OnClientGone::Cancel
}
const fn enabled_default() -> bool {
    true
}

/// What changes in an upstream; what is not named stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamChange {
    /// Another address.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, example = "http://10.0.0.6:8000/v1")]
    pub base_url: Option<BaseUrl>,
    /// Another credential; null: none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, write_only, example = "<the upstream's own key>")]
    pub credential: Option<Option<SecretText>>,
    /// Another engine.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, example = "vllm")]
    pub engine: Option<Engine>,
    /// Another policy.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, example = "drain")]
    pub on_client_gone: Option<OnClientGone>,
    /// Whether requests may go there.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false, example = false)]
    pub enabled: Option<bool>,
}

/// An upstream that serves a model.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServedByInput {
    /// The upstream's name.
    #[schema(value_type = String, example = "gpu-a")]
    pub upstream: Slug,
    /// What the upstream calls the model; not named: the same.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Qwen/Qwen3-32B")]
    pub model: Option<ModelName>,
    /// Its share of the requests beside the others'; 0: only when no other is healthy.
    #[serde(default = "weight_default")]
    #[schema(default = 1, maximum = 1_000_000, example = 1)]
    pub weight: u32,
}
const fn weight_default() -> u32 {
    1
}

/// A model to be made, or to be brought to this state.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelInput {
    /// What clients call it; cannot be changed later.
    #[schema(value_type = String, min_length = 1, max_length = 128, example = "qwen3-32b")]
    pub name: ModelName,
    /// Its name for people.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Qwen3 32B")]
    pub title: Option<Label>,
    /// What it does: `chat`, `embedding`, `rerank`, `transcription`, `speech` or `image`; cannot be changed later.
    #[schema(value_type = String, example = "chat")]
    pub kind: ModelKind,
    /// Input and output together, in tokens.
    #[serde(default)]
    #[schema(minimum = 1, example = 32768)]
    pub context_window: Option<u64>,
    /// The most output of one request, in tokens.
    #[serde(default)]
    #[schema(minimum = 1, example = 8192)]
    pub max_output_tokens: Option<u64>,
    /// What it costs; not named: nothing.
    #[serde(default)]
    #[schema(schema_with = price_schema)]
    pub price: PriceList,
    /// Who serves it, at most 64.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub served_by: Vec<ServedByInput>,
}

/// What changes in a model; what is not named stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelChange {
    /// Another name for people; null: none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, example = "Qwen3 32B")]
    pub title: Option<Option<Label>>,
    /// Another context window; null: none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1, example = 65536)]
    pub context_window: Option<Option<u64>>,
    /// Another ceiling; null: none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, minimum = 1, example = 8192)]
    pub max_output_tokens: Option<Option<u64>>,
    /// Other prices, all of them; they count for what begins from now on.
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = price_schema, required = false)]
    pub price: Option<PriceList>,
    /// Other upstreams, all of them.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Vec<ServedByInput>, required = false, max_items = 64)]
    pub served_by: Option<Vec<ServedByInput>>,
}

pub(crate) fn price_schema() -> utoipa::openapi::schema::Schema {
    use utoipa::openapi::schema::{ObjectBuilder, Type};
    let amount = |what: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(what)).build();
    ObjectBuilder::new()
        .description(Some(
            "Prices as decimal texts; what is not named costs nothing, but cached input as much as input.",
        ))
        .property("currency", amount("Three letters (ISO 4217); `USD` if not named."))
        .property("input_per_million", amount("Per million input tokens."))
        .property("output_per_million", amount("Per million output tokens."))
        .property("cached_input_per_million", amount("Per million cached input tokens."))
        .property("image_per_million", amount("Per million images."))
        .property("audio_second_per_million", amount("Per million seconds of audio."))
        .examples([serde_json::json!({"currency": "USD", "input_per_million": "0.50", "output_per_million": "1.50"})])
        .build()
        .into()
}

fn served_by(model: &ModelName, inputs: Vec<ServedByInput>) -> Result<Vec<ServedByName>, ServiceError> {
    let invalid = |message: &str| Err(ServiceError::invalid("served_by", message));
    if inputs.len() > Model::MOST_UPSTREAMS {
        return invalid("a model has at most 64 upstreams");
    }
    let mut served = Vec::with_capacity(inputs.len());
    for input in inputs {
        if input.weight > Model::MOST_WEIGHT {
            return invalid("a weight is at most 1000000");
        }
        let one = ServedByName {
            upstream: input.upstream,
            model: input.model.unwrap_or_else(|| model.clone()),
            weight: input.weight,
        };
        if served.iter().any(|other: &ServedByName| other.upstream == one.upstream && other.model == one.model) {
            return invalid("an upstream is named twice with the same model");
        }
        served.push(one);
    }
    Ok(served)
}

fn check_tokens(field: &str, tokens: Option<u64>) -> Result<(), ServiceError> {
    match tokens {
        Some(tokens) if !(1..=MOST_TOKENS).contains(&tokens) => {
            Err(ServiceError::invalid(field, format_args!("{field} is 1 to {MOST_TOKENS}")))
        }
        _ => Ok(()),
    }
}

fn new_model(input: ModelInput) -> Result<NewModel, ServiceError> {
    check_tokens("context_window", input.context_window)?;
    check_tokens("max_output_tokens", input.max_output_tokens)?;
    Ok(NewModel {
        served_by: served_by(&input.name, input.served_by)?,
        name: input.name,
        title: input.title,
        kind: input.kind,
        context_window: input.context_window,
        max_output_tokens: input.max_output_tokens,
        price: input.price,
    })
}

/// A credential becomes a header's value: visible ASCII only.
fn seal(
    credential: &SecretText,
    upstream: Id<Upstream>,
    master_key: &MasterKey,
    world: &World,
) -> Result<Vec<u8>, ServiceError> {
    let text = credential.expose();
    if !(1..=LONGEST_CREDENTIAL).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ServiceError::invalid("credential", "a credential has 1 to 8192 visible ASCII characters"));
    }
    Ok(master_key.seal(credential, &upstream.to_string(), world))
}

fn new_upstream(
    input: UpstreamInput,
    id: Id<Upstream>,
    master_key: &MasterKey,
    world: &World,
) -> Result<NewUpstream, ServiceError> {
    let credential = input.credential.map(|credential| seal(&credential, id, master_key, world)).transpose()?;
    Ok(NewUpstream {
        id,
        name: input.name,
        base_url: input.base_url,
        credential,
        engine: input.engine,
        on_client_gone: input.on_client_gone,
        enabled: input.enabled,
    })
}

/// Brings upstreams and models to the state that the settings file names, idempotently; others stay as they are.
///
/// # Errors
/// A wrong input, an unknown upstream, or when the store fails.
pub async fn catalog_apply(
    store: &Store,
    master_key: &MasterKey,
    world: &World,
    upstreams: Vec<UpstreamInput>,
    models: Vec<ModelInput>,
) -> Result<(), ServiceError> {
    let mut new_upstreams = Vec::with_capacity(upstreams.len());
    for input in upstreams {
        // A credential is sealed for an id: an upstream that is there keeps its own.
        let id = match store.upstream_get(input.name.as_str()).await {
            Ok(there) => there.id,
            Err(StoreError::NotFound) => Id::new(world),
            Err(error) => return Err(error.into()),
        };
        new_upstreams.push(new_upstream(input, id, master_key, world)?);
    }
    let new_models = models.into_iter().map(new_model).collect::<Result<Vec<_>, _>>()?;
    let same_credential = |there: &Upstream, sealed: &[u8], wanted: &NewUpstream| {
        let old = master_key.open(sealed, &there.id.to_string()).ok();
        let new = wanted.credential.as_ref().and_then(|sealed| master_key.open(sealed, &wanted.id.to_string()).ok());
        old.is_some() && old == new
    };
    let committed =
        store.catalog_apply(&Actor::system("settings"), new_upstreams, new_models, &same_credential).await?;
    // At start nothing serves yet on this node, and other nodes learn it from the log.
    Confirmed::extending(store, committed).await;
    Ok(())
}

impl Services {
    /// Models of the catalogue, by name. Everybody who is signed in sees them.
    ///
    /// # Errors
    /// A wrong cursor, or when the store fails.
    pub async fn model_list(&self, page: &PageRequest) -> Result<Page<Model>, ServiceError> {
        self.store().model_list(page).await.map_err(ServiceError::of_list)
    }
    /// A model by id or name.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], or when the store fails.
    pub async fn model_get(&self, id_or_name: &str) -> Result<Model, ServiceError> {
        self.store().model_get(id_or_name).await.map_err(ServiceError::of(Noun::Model))
    }
    /// Makes a model.
    ///
    /// # Errors
    /// A wrong input, a name that is taken, or when the store fails.
    pub async fn model_create(
        &self,
        principal: &Principal,
        input: ModelInput,
    ) -> Result<Confirmed<Model>, ServiceError> {
        principal.require_operator()?;
        let committed =
            self.store().model_create(&principal.actor(), new_model(input)?).await.map_err(unknown_upstream)?;
        Ok(Confirmed::extending(self.store(), committed).await)
    }
    /// Edits a model.
    ///
    /// # Errors
    /// A wrong input, another version, or when the store fails.
    pub async fn model_edit(
        &self,
        principal: &Principal,
        id_or_name: &str,
        change: ModelChange,
        if_version: Option<i64>,
    ) -> Result<Confirmed<Model>, ServiceError> {
        principal.require_operator()?;
        let model = self.model_get(id_or_name).await?;
        check_tokens("context_window", change.context_window.flatten())?;
        check_tokens("max_output_tokens", change.max_output_tokens.flatten())?;
        let edit = ModelEdit {
            title: change.title,
            context_window: change.context_window,
            max_output_tokens: change.max_output_tokens,
            price: change.price,
            served_by: change.served_by.map(|inputs| served_by(&model.name, inputs)).transpose()?,
        };
        let committed = self.store().model_edit(&principal.actor(), model.id, edit, if_version).await;
        Ok(Confirmed::restricting(self.store(), committed.map_err(unknown_upstream)?).await)
    }
    /// Withdraws a model.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], or when the store fails.
    pub async fn model_remove(
        &self,
        principal: &Principal,
        id_or_name: &str,
    ) -> Result<Confirmed<Model>, ServiceError> {
        principal.require_operator()?;
        let model = self.model_get(id_or_name).await?;
        let committed = self.store().model_remove(&principal.actor(), model.id).await;
        let committed = committed.map_err(ServiceError::of(Noun::Model))?;
        Ok(Confirmed::restricting(self.store(), committed).await.map(|()| model))
    }

    /// Upstreams, by name.
    ///
    /// # Errors
    /// A caller who may not, a wrong cursor, or when the store fails.
    pub async fn upstream_list(
        &self,
        principal: &Principal,
        page: &PageRequest,
    ) -> Result<Page<Upstream>, ServiceError> {
        principal.require_operator()?;
        self.store().upstream_list(page).await.map_err(ServiceError::of_list)
    }
    /// An upstream by id or name.
    ///
    /// # Errors
    /// A caller who may not, [`ServiceError::NotFound`], or when the store fails.
    pub async fn upstream_get(&self, principal: &Principal, id_or_name: &str) -> Result<Upstream, ServiceError> {
        principal.require_operator()?;
        self.store().upstream_get(id_or_name).await.map_err(ServiceError::of(Noun::Upstream))
    }
    /// Makes an upstream.
    ///
    /// # Errors
    /// A wrong input, a name that is taken, or when the store fails.
    pub async fn upstream_create(
        &self,
        principal: &Principal,
        input: UpstreamInput,
    ) -> Result<Confirmed<Upstream>, ServiceError> {
        principal.require_operator()?;
        let new = new_upstream(input, Id::new(&self.world), self.master_key(), &self.world)?;
        let committed = self.store().upstream_create(&principal.actor(), new).await?;
        Ok(Confirmed::extending(self.store(), committed).await)
    }
    /// Edits an upstream.
    ///
    /// # Errors
    /// A wrong input, another version, or when the store fails.
    pub async fn upstream_edit(
        &self,
        principal: &Principal,
        id_or_name: &str,
        change: UpstreamChange,
        if_version: Option<i64>,
    ) -> Result<Confirmed<Upstream>, ServiceError> {
        let upstream = self.upstream_get(principal, id_or_name).await?;
        let sealed = |credential: SecretText| seal(&credential, upstream.id, self.master_key(), &self.world);
        let edit = UpstreamEdit {
            base_url: change.base_url,
            credential: change.credential.map(|credential| credential.map(sealed).transpose()).transpose()?,
            engine: change.engine,
            on_client_gone: change.on_client_gone,
            enabled: change.enabled,
        };
        let committed = self.store().upstream_edit(&principal.actor(), upstream.id, edit, if_version).await;
        Ok(Confirmed::restricting(self.store(), committed.map_err(ServiceError::of(Noun::Upstream))?).await)
    }
    /// Removes an upstream that serves no model.
    ///
    /// # Errors
    /// [`ServiceError::InUse`], or when the store fails.
    pub async fn upstream_remove(
        &self,
        principal: &Principal,
        id_or_name: &str,
    ) -> Result<Confirmed<Upstream>, ServiceError> {
        let upstream = self.upstream_get(principal, id_or_name).await?;
        let committed = self.store().upstream_remove(&principal.actor(), upstream.id).await;
        let committed = committed.map_err(ServiceError::of(Noun::Upstream))?;
        Ok(Confirmed::restricting(self.store(), committed).await.map(|()| upstream))
    }
}

/// In a model's body an unknown upstream stands in `served_by`.
fn unknown_upstream(error: StoreError) -> ServiceError {
    match error {
        StoreError::Unknown { kind, name } => {
            ServiceError::invalid("served_by", format_args!("there is no {kind} {name:?}"))
        }
        StoreError::NotFound => ServiceError::NotFound(Noun::Model),
        error => error.into(),
    }
}
