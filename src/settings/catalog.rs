//! `[[upstreams]]` and `[[models]]`.

use std::path::Path;

use tollgate_core::{
    ModelKind,
    catalog::{BaseUrl, Engine, Model, OnClientGone},
    money::{Currency, Price, PriceList},
    name::{Label, ModelName, Slug},
    seal::SecretText,
};

use super::{Environment, SettingsError, read::Section};

/// One of `[[upstreams]]`.
#[derive(Debug, Clone)]
pub struct UpstreamSetting {
    /// `name`
    pub name: Slug,
    /// `base_url`
    pub base_url: BaseUrl,
    /// `credential`
    pub credential: Option<SecretText>,
    /// `engine`
    pub engine: Engine,
    /// `on_client_gone`
    pub on_client_gone: OnClientGone,
    /// `enabled`
    pub enabled: bool,
}

/// One of `[[models]]`.
#[derive(Debug, Clone)]
pub struct ModelSetting {
    /// `name`
    pub name: ModelName,
    /// `title`
    pub title: Option<Label>,
    /// `kind`
    pub kind: ModelKind,
    /// `context_window`
    pub context_window: Option<u64>,
    /// `max_output_tokens`
    pub max_output_tokens: Option<u64>,
    /// `price`
    pub price: PriceList,
    /// `served_by`: upstream, its name for the model, weight
    pub served_by: Vec<(Slug, ModelName, u32)>,
}

const UPSTREAM: [&str; 6] = ["name", "base_url", "credential", "engine", "on_client_gone", "enabled"];
const MODEL: [&str; 7] = ["name", "title", "kind", "context_window", "max_output_tokens", "price", "served_by"];
const SERVED_BY: [&str; 3] = ["upstream", "model", "weight"];
const MOST_TOKENS: u64 = 1 << 40;

pub(super) fn upstreams(
    root: &Section<'_>,
    base: &Path,
    environment: &Environment,
) -> Result<Vec<UpstreamSetting>, SettingsError> {
    let mut upstreams: Vec<UpstreamSetting> = Vec::new();
    for section in root.sections("upstreams", &UPSTREAM)? {
        let upstream = UpstreamSetting {
            name: section.parsed("name")?,
            base_url: section.parsed("base_url")?,
            credential: credential(&section, base, environment)?,
            engine: section.optional("engine")?.unwrap_or(Engine::Other),
            on_client_gone: section.optional("on_client_gone")?.unwrap_or(OnClientGone::Cancel),
            enabled: !section.has("enabled") || section.boolean("enabled")?,
        };
        if upstreams.iter().any(|other| other.name == upstream.name) {
            return Err(section.invalid("name", format!("{} is there twice", upstream.name)));
        }
        upstreams.push(upstream);
    }
    Ok(upstreams)
}

/// A credential that is named but not there stops the start: without it every request would be refused upstream.
fn credential(
    section: &Section<'_>,
    base: &Path,
    environment: &Environment,
) -> Result<Option<SecretText>, SettingsError> {
    if !section.has("credential") {
        return Ok(None);
    }
    let missing = || {
        let source = section.secret("credential").map(|source| format!("{source:?}")).unwrap_or_default();
        section.invalid("credential", format!("{source} is not there or empty"))
    };
    let text = section.secret_text("credential", base, environment)?.filter(|text| !text.is_empty());
    let text = text.ok_or_else(missing)?;
    if text.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err(section.invalid("credential", "has characters that a header cannot carry".to_owned()));
    }
    Ok(Some(SecretText::new(text)))
}

pub(super) fn models(root: &Section<'_>) -> Result<Vec<ModelSetting>, SettingsError> {
    let mut models: Vec<ModelSetting> = Vec::new();
    for section in root.sections("models", &MODEL)? {
        let tokens = |name: &str| {
            if section.has(name) { section.number(name, 1, MOST_TOKENS).map(Some) } else { Ok(None) }
        };
        let model = ModelSetting {
            name: section.parsed("name")?,
            title: section.optional("title")?,
            kind: section.parsed("kind")?,
            context_window: tokens("context_window")?,
            max_output_tokens: tokens("max_output_tokens")?,
            price: price(&section)?,
            served_by: served_by(&section)?,
        };
        if models.iter().any(|other| other.name == model.name) {
            return Err(section.invalid("name", format!("{} is there twice", model.name)));
        }
        models.push(model);
    }
    Ok(models)
}

fn served_by(model: &Section<'_>) -> Result<Vec<(Slug, ModelName, u32)>, SettingsError> {
    if !model.has("served_by") {
        return Ok(Vec::new());
    }
    let servers = model.sections("served_by", &SERVED_BY)?;
    if servers.len() > Model::MOST_UPSTREAMS {
        return Err(model.invalid("served_by", format!("has more than {} upstreams", Model::MOST_UPSTREAMS)));
    }
    let server = |section: Section<'_>| {
        let weight =
            if section.has("weight") { section.number("weight", 0, u64::from(Model::MOST_WEIGHT))? } else { 1 };
        let name = section.optional("model")?.map_or_else(|| model.parsed("name"), Ok)?;
        Ok((section.parsed("upstream")?, name, u32::try_from(weight).unwrap_or(Model::MOST_WEIGHT)))
    };
    servers.into_iter().map(server).collect()
}

fn price(model: &Section<'_>) -> Result<PriceList, SettingsError> {
    if !model.has("price") {
        return Ok(PriceList::default());
    }
    let known = [
        "currency",
        "input_per_million",
        "output_per_million",
        "cached_input_per_million",
        "image_per_million",
        "audio_second_per_million",
    ];
    let section = model.section("price")?.only(&known)?;
    Ok(PriceList {
        currency: section.optional::<Currency>("currency")?.unwrap_or_default(),
        input_per_million: section.optional::<Price>("input_per_million")?.unwrap_or_default(),
        output_per_million: section.optional::<Price>("output_per_million")?.unwrap_or_default(),
        cached_input_per_million: section.optional("cached_input_per_million")?,
        image_per_million: section.optional("image_per_million")?,
        audio_second_per_million: section.optional("audio_second_per_million")?,
    })
}
