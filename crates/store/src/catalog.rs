//! Models and upstreams.
//!
//! Rows of removed ones stay, without credentials, since usage names them by row number for ever; a name may be used
//! again, by another row.

mod models;
mod overview;
pub(crate) mod row;
mod upstreams;

use std::str::FromStr;

use sqlx::AssertSqlSafe;
use tollgate_core::{
    Actor, ChangeKind, Id, Model, ModelKind, Upstream,
    catalog::{BaseUrl, Engine, OnClientGone},
    money::PriceList,
    name::{Label, ModelName, Slug},
};

pub use self::overview::{NamingKey, Served};
use self::row::{MODEL, UPSTREAM, model_of, sealed_upstream_of};
use crate::{
    Committed, Page, PageRequest, Result, Store, StoreError,
    value::values,
    write::{Difference, Subject},
};

/// Cursors of upstream and of model lists.
const UPSTREAMS: char = 's';
const MODELS: char = 'm';

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
    /// Other prices: count for attempts that begin from now on. In the same currency, unless nothing was ever charged.
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
        let mut write = self.write(actor).await?;
        let upstream = upstreams::insert(&mut write, new).await?;
        write.commit(upstream).await
    }
    /// An upstream by id or by name.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], or when the store fails.
    pub async fn upstream_get(&self, id_or_name: &str) -> Result<Upstream> {
        let named = Slug::from_str(id_or_name).map_err(|_| StoreError::NotFound)?;
        let sql = format!("{UPSTREAM} WHERE s.removed_at IS NULL AND (s.id = $1 OR s.name = $1) ORDER BY s.id <> $1");
        let row = self.pools().row(AssertSqlSafe(sql), values![&named]).await?;
        Ok(sealed_upstream_of(&row.ok_or(StoreError::NotFound)?)?.upstream)
    }
    /// All upstreams, by name.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn upstream_list(&self, page: &PageRequest) -> Result<Page<Upstream>> {
        let after = page.after(UPSTREAMS)?.unwrap_or_default();
        let sql = format!("{UPSTREAM} WHERE s.removed_at IS NULL AND s.name > $1 ORDER BY s.name LIMIT $2");
        let rows = self.pools().rows(AssertSqlSafe(sql), values![after, page.rows()]).await?;
        let upstreams = rows.iter().map(|row| Ok(sealed_upstream_of(row)?.upstream)).collect::<Result<Vec<_>>>()?;
        Ok(page.page(UPSTREAMS, upstreams, |upstream| upstream.name.to_string()))
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
        let mut write = self.write(actor).await?;
        let mut sealed = upstreams::read(&mut write, id).await?;
        if if_version.is_some_and(|version| version != sealed.upstream.version) {
            return Err(StoreError::VersionConflict);
        }
        if !upstreams::edit(&mut write, &mut sealed, edit).await? {
            return write.unchanged(sealed.upstream).await;
        }
        write.commit(sealed.upstream).await
    }
    /// Removes an upstream that serves no model. Its row number stays taken for usage.
    ///
    /// # Errors
    /// [`crate::StoreError::InUse`], or when the store fails.
    pub async fn upstream_remove(&self, actor: &Actor, id: Id<Upstream>) -> Result<Committed<()>> {
        let mut write = self.write(actor).await?;
        let upstream = upstreams::read(&mut write, id).await?.upstream;
        let sql = "SELECT m.name FROM served_by v JOIN models m ON m.no = v.model_no WHERE v.upstream_no = $1 ORDER BY m.name";
        if let Some(row) = write.row(sql, values![upstream.no]).await? {
            let model: String = row.columns().next()?;
            return Err(StoreError::InUse(format!("it serves the model {model}")));
        }
        let now = write.now();
        write
            .execute(
                "UPDATE upstreams SET removed_at = $2, credential = NULL, version = version + 1 WHERE no = $1",
                values![upstream.no, now],
            )
            .await?;
        write.change(ChangeKind::Upstream(upstream.no));
        write.audit("upstream.remove", Subject::new(id), serde_json::json!({ "name": upstream.name })).await?;
        write.commit(()).await
    }
    /// Makes a model.
    ///
    /// # Errors
    /// [`crate::StoreError::Exists`], an unknown upstream, or when the store fails.
    pub async fn model_create(&self, actor: &Actor, new: NewModel) -> Result<Committed<Model>> {
        let mut write = self.write(actor).await?;
        let model = models::insert(&mut write, new).await?;
        write.commit(model).await
    }
    /// A model by id or by name.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], or when the store fails.
    pub async fn model_get(&self, id_or_name: &str) -> Result<Model> {
        let named = ModelName::from_str(id_or_name).map_err(|_| StoreError::NotFound)?;
        let sql = format!("{MODEL} WHERE m.removed_at IS NULL AND (m.id = $1 OR m.name = $1) ORDER BY m.id <> $1");
        model_of(&self.pools().row(AssertSqlSafe(sql), values![&named]).await?.ok_or(StoreError::NotFound)?)
    }
    /// All models, by name.
    ///
    /// # Errors
    /// A cursor that is none, or when the store fails.
    pub async fn model_list(&self, page: &PageRequest) -> Result<Page<Model>> {
        let after = page.after(MODELS)?.unwrap_or_default();
        let sql = format!("{MODEL} WHERE m.removed_at IS NULL AND m.name > $1 ORDER BY m.name LIMIT $2");
        let rows = self.pools().rows(AssertSqlSafe(sql), values![after, page.rows()]).await?;
        let models = rows.iter().map(model_of).collect::<Result<Vec<_>>>()?;
        Ok(page.page(MODELS, models, |model| model.name.to_string()))
    }
    /// Edits a model.
    ///
    /// # Errors
    /// [`crate::StoreError::VersionConflict`], an unknown upstream, [`crate::StoreError::State`] for another currency of
    /// prices that were charged, or when the store fails.
    pub async fn model_edit(
        &self,
        actor: &Actor,
        id: Id<Model>,
        edit: ModelEdit,
        if_version: Option<i64>,
    ) -> Result<Committed<Model>> {
        let mut write = self.write(actor).await?;
        let mut model = models::read(&mut write, id).await?;
        if if_version.is_some_and(|version| version != model.version) {
            return Err(StoreError::VersionConflict);
        }
        if !models::edit(&mut write, &mut model, edit, Difference::default()).await? {
            return write.unchanged(model).await;
        }
        write.commit(model).await
    }
    /// Withdraws a model: no key may use it from now on, lists of permissions lose it, its usage stays. A model made
    /// later under the same name is another one.
    ///
    /// # Errors
    /// [`crate::StoreError::NotFound`], or when the store fails.
    pub async fn model_remove(&self, actor: &Actor, id: Id<Model>) -> Result<Committed<()>> {
        let mut write = self.write(actor).await?;
        let model = models::read(&mut write, id).await?;
        let now = write.now();
        write
            .execute("UPDATE models SET removed_at = $2, version = version + 1 WHERE no = $1", values![model.no, now])
            .await?;
        write.execute("DELETE FROM served_by WHERE model_no = $1", values![model.no]).await?;
        write.change(ChangeKind::Model(model.no));
        write.audit("model.remove", Subject::new(id), serde_json::json!({ "name": model.name })).await?;
        write.commit(()).await
    }
    /// Brings upstreams and models of the settings file to the written state, in one transaction, idempotently: an
    /// upstream or model of that name is made or edited; others stay. The credential is compared by `same_credential`
    /// (sealed bytes differ each time), so that a start with an unchanged file changes nothing.
    ///
    /// # Errors
    /// An unknown upstream, another currency as in [`Store::model_edit`], or when the store fails.
    pub async fn catalog_apply(
        &self,
        actor: &Actor,
        upstreams: Vec<NewUpstream>,
        models: Vec<NewModel>,
        same_credential: &(dyn Fn(&Upstream, &[u8], &NewUpstream) -> bool + Sync),
    ) -> Result<Committed<()>> {
        let mut write = self.write(actor).await?;
        let mut changed = false;
        for new in upstreams {
            changed |= upstreams::apply(&mut write, new, same_credential).await?;
        }
        for new in models {
            changed |= models::apply(&mut write, new).await?;
        }
        if changed { write.commit(()).await } else { write.unchanged(()).await }
    }
}
