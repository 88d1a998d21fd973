//! What operators see of models and upstreams beside their rows: who serves what, and which keys a removal touches.

use sqlx::AssertSqlSafe;
use tollgate_core::{
    Id, Model, No, Upstream,
    name::{Handle, Label, ModelName, Slug},
    secret::{Prefix, PublicId},
};

use super::row::{UPSTREAM, sealed_upstream_of};
use crate::{Result, Store, StoreError, keyring::SealedUpstream, value::values};

/// A model that an upstream serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The model's id.
    pub id: Id<Model>,
    /// What clients call it.
    pub name: ModelName,
    /// What the upstream calls it.
    pub there: ModelName,
    /// Its share of the requests.
    pub weight: u32,
}

/// A key whose list of models names a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamingKey {
    /// The account that owns it.
    pub account: Handle,
    /// Its name.
    pub name: Label,
    /// The prefix of its text.
    pub prefix: Prefix,
    /// The public part of its text.
    pub public_id: PublicId,
}

impl Store {
    /// The models that an upstream serves, by name; at most 1,000 of them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn upstream_serves(&self, upstream: No<Upstream>) -> Result<Vec<Served>> {
        let sql = "SELECT m.id, m.name, v.model, v.weight FROM served_by v JOIN models m ON m.no = v.model_no
                   WHERE v.upstream_no = $1 AND m.removed_at IS NULL ORDER BY m.name, v.position LIMIT 1000";
        let rows = self.pools().rows(sql, values![upstream]).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns();
                Ok(Served {
                    id: columns.next()?,
                    name: columns.next()?,
                    there: columns.next()?,
                    weight: u32::try_from(columns.next::<u64>()?).unwrap_or(u32::MAX),
                })
            })
            .collect()
    }
    /// How many models each upstream serves that serves any, by the upstream's row number.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn upstream_model_counts(&self) -> Result<Vec<(No<Upstream>, u64)>> {
        let sql = "SELECT upstream_no, COUNT(DISTINCT model_no) FROM served_by GROUP BY upstream_no";
        let rows = self.pools().rows(sql, values![]).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns();
                Ok((columns.next()?, columns.next()?))
            })
            .collect()
    }
    /// The names of all upstreams, for a form's choice; at most 1,000.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn upstream_names(&self) -> Result<Vec<Slug>> {
        let sql = "SELECT name FROM upstreams WHERE removed_at IS NULL ORDER BY name LIMIT 1000";
        self.pools().rows(sql, values![]).await?.iter().map(|row| row.columns().next()).collect()
    }
    /// An upstream with its credential as sealed at rest, to be opened where a request is to be made.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the store fails.
    pub async fn upstream_sealed(&self, id: Id<Upstream>) -> Result<SealedUpstream> {
        let sql = format!("{UPSTREAM} WHERE s.removed_at IS NULL AND s.id = $1");
        sealed_upstream_of(&self.pools().row(AssertSqlSafe(sql), values![id]).await?.ok_or(StoreError::NotFound)?)
    }
    /// Keys that are not revoked and whose list names this model: how many, and the first `limit` of them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn model_naming_keys(&self, model: No<Model>, limit: u32) -> Result<(u64, Vec<NamingKey>)> {
        let from = "FROM key_models p JOIN keys k ON k.no = p.key_no JOIN accounts a ON a.no = k.account_no
                    WHERE p.model_no = $1 AND k.state <> 'revoked' AND k.all_models = 0";
        let row = self.pools().row(AssertSqlSafe(format!("SELECT COUNT(*) {from}")), values![model]).await?;
        let count = row.map_or(Ok(0), |row| row.columns().next())?;
        let sql = format!("SELECT a.handle, k.name, k.prefix, k.public_id {from} ORDER BY a.handle, k.no LIMIT $2");
        let rows = self.pools().rows(AssertSqlSafe(sql), values![model, limit]).await?;
        let keys = rows.iter().map(|row| {
            let mut columns = row.columns();
            Ok(NamingKey {
                account: columns.next()?,
                name: columns.next()?,
                prefix: columns.next()?,
                public_id: columns.next()?,
            })
        });
        Ok((count, keys.collect::<Result<_>>()?))
    }
}
