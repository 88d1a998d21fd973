//! Models and upstreams.

use tollgate_core::{
    Actor, Id, Model, ModelKind, Upstream,
    catalog::{BaseUrl, Engine, OnClientGone},
    money::PriceList,
    name::{Label, ModelName, Slug},
};

use crate::{Committed, Page, PageRequest, Result, Store};

/// An upstream to be made, or to be brought to this state.
#[derive(Debug, Clone)]
pub struct NewUpstream {
    /// The id to be given to it, since the credential is sealed for it.
    pub id: Id<Upstream>,
    /// What operators call it.
    pub name: Slug,
    /// Where it is.
    pub base_url: BaseUrl,
    /// Its credential, sealed for the context of the id's text.
    pub credential: Option<Vec<u8>>,
    /// What runs on it.
    pub engine: Engine,
    /// What happens when a client hangs up.
    pub on_client_gone: OnClientGone,
    /// Whether requests may go there.
    pub enabled: bool,
}

/// What changes in an upstream.
#[derive(Debug, Clone, Default)]
pub struct UpstreamEdit {
    /// Another address.
    pub base_url: Option<BaseUrl>,
    /// Another credential (sealed), or none.
    pub credential: Option<Option<Vec<u8>>>,
    /// Another engine.
    pub engine: Option<Engine>,
    /// Another policy.
    pub on_client_gone: Option<OnClientGone>,
    /// Whether requests may go there.
    pub enabled: Option<bool>,
}

/// An upstream of a model, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedByName {
    /// The upstream's name.
    pub upstream: Slug,
    /// What the upstream calls the model.
    pub model: ModelName,
    /// Its weight.
    pub weight: u32,
}

/// A model to be made, or to be brought to this state.
#[derive(Debug, Clone)]
pub struct NewModel {
    /// What clients call it.
    pub name: ModelName,
    /// Its name for people.
    pub title: Option<Label>,
    /// What it does.
    pub kind: ModelKind,
    /// Input and output together, in tokens.
    pub context_window: Option<u64>,
    /// The most output of one request, in tokens.
    pub max_output_tokens: Option<u64>,
    /// What it costs.
    pub price: PriceList,
    /// Who serves it.
    pub served_by: Vec<ServedByName>,
}

/// What changes in a model.
#[derive(Debug, Clone, Default)]
pub struct ModelEdit {
    /// Another name for people, or none.
    pub title: Option<Option<Label>>,
    /// Another context window, or none.
    pub context_window: Option<Option<u64>>,
    /// Another ceiling, or none.
    pub max_output_tokens: Option<Option<u64>>,
    /// Other prices: count for attempts that begin from now on.
    pub price: Option<PriceList>,
    /// Other upstreams.
    pub served_by: Option<Vec<ServedByName>>,
}

impl Store {
    /// Makes an upstream.
    ///
    /// # Errors
    /// [`crate::StoreError::Exists`], or when the store fails.
    pub async fn upstream_create(&self, actor: &Actor, new: NewUpstream) -> Result<Committed<Upstream>> {
        let _ = (actor, new);
        todo!()
    }
    /// An upstream by id or by name.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], or when the store fails.
    pub async fn upstream_get(&self, id_or_name: &str) -> Result<Upstream> {
        let _ = id_or_name;
        todo!()
    }
    /// All upstreams, by name.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn upstream_list(&self, page: &PageRequest) -> Result<Page<Upstream>> {
        let _ = page;
        todo!()
    }
    /// Edits an upstream.
    ///
    /// # Errors
    /// [`crate::StoreError::VersionConflict`], or when the store fails.
    pub async fn upstream_edit(
        &self,
        actor: &Actor,
        id: Id<Upstream>,
        edit: UpstreamEdit,
        if_version: Option<i64>,
    ) -> Result<Committed<Upstream>> {
        let _ = (actor, id, edit, if_version);
        todo!()
    }
    /// Removes an upstream that serves no model. Its row number stays taken for usage.
    ///
    /// # Errors
    /// [`crate::StoreError::InUse`], or when the store fails.
    pub async fn upstream_remove(&self, actor: &Actor, id: Id<Upstream>) -> Result<Committed<()>> {
        let _ = (actor, id);
        todo!()
    }
    /// Makes a model.
    ///
    /// # Errors
    /// [`crate::StoreError::Exists`], an unknown upstream, or when the store fails.
    pub async fn model_create(&self, actor: &Actor, new: NewModel) -> Result<Committed<Model>> {
        let _ = (actor, new);
        todo!()
    }
    /// A model by id or by name.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], or when the store fails.
    pub async fn model_get(&self, id_or_name: &str) -> Result<Model> {
        let _ = id_or_name;
        todo!()
    }
    /// All models, by name.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn model_list(&self, page: &PageRequest) -> Result<Page<Model>> {
        let _ = page;
        todo!()
    }
    /// Edits a model.
    ///
    /// # Errors
    /// [`crate::StoreError::VersionConflict`], an unknown upstream, or when the store fails.
    pub async fn model_edit(
        &self,
        actor: &Actor,
        id: Id<Model>,
        edit: ModelEdit,
        if_version: Option<i64>,
    ) -> Result<Committed<Model>> {
        let _ = (actor, id, edit, if_version);
        todo!()
    }
    /// Withdraws a model: no key may use it from now on, lists of permissions lose it, its usage stays. A model made
    /// later under the same name is another one.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], or when the store fails.
    pub async fn model_remove(&self, actor: &Actor, id: Id<Model>) -> Result<Committed<()>> {
        let _ = (actor, id);
        todo!()
    }
    /// Brings upstreams and models of the settings file to the written state, in one transaction, idempotently: an
    /// upstream or model of that name is made or edited; others stay. The credential is compared by `same_credential`
    /// (sealed bytes differ each time), so that a start with an unchanged file changes nothing.
    ///
    /// # Errors
    /// An unknown upstream, or when the store fails.
    pub async fn catalog_apply(
        &self,
        actor: &Actor,
        upstreams: Vec<NewUpstream>,
        models: Vec<NewModel>,
        same_credential: &(dyn Fn(&Upstream, &[u8], &NewUpstream) -> bool + Sync),
    ) -> Result<Committed<()>> {
        let _ = (actor, upstreams, models, same_credential);
        todo!()
    }
}
