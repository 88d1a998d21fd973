//! What a report prints beside the ids that it names: today's names, states and currencies, a few at a time.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use tollgate_core::{
    Account, Id, Key, KeyStatus, No, Timestamp,
    key::KeyState,
    money::{Currency, PriceList},
    name::{Handle, Label, ModelName},
    secret::KeyHint,
};

use crate::{
    Result, Store, StoreError,
    bulk::placeholders,
    keys::row::CREATOR_IS_OUT,
    value::{Value, values},
};

/// Most ids of one statement.
const MOST_IDS: usize = 500;
/// Most models that are read.
const MOST_MODELS: i64 = 5_000;

/// A model's name and the currency of its price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCurrency {
    /// The name; a withdrawn model's may be taken again by another one.
    pub name: ModelName,
    /// The currency.
    pub currency: Currency,
    /// Whether it is withdrawn.
    pub withdrawn: bool,
}

impl Store {
    /// What these keys are now; unknown ones are left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn key_statuses(&self, ids: &[Id<Key>]) -> Result<HashMap<Id<Key>, KeyStatus>> {
        let now = self.world().now();
        let mut statuses = HashMap::with_capacity(ids.len());
        for ids in ids.chunks(MOST_IDS) {
            let sql = format!(
                "SELECT k.id, k.state, k.expires_at, CAST(CASE WHEN {CREATOR_IS_OUT} THEN 1 ELSE 0 END AS BIGINT) FROM keys k
                 WHERE k.id IN ({})",
                placeholders(1, ids.len())
            );
            let ids = ids.iter().map(|id| Value::from(*id)).collect();
            for row in &self.pools().rows(AssertSqlSafe(sql), ids).await? {
                let mut columns = row.columns();
                let (id, word): (_, String) = (columns.next()?, columns.next()?);
                let ends: Option<Timestamp> = columns.next()?;
                let is_out: i64 = columns.next()?;
                let status = match word.as_str() {
                    "active" if is_out == 1 => KeyStatus::Disabled,
                    "active" => KeyState::Active.status(ends, now),
                    word => KeyStatus::ALL
                        .into_iter()
                        .find(|status| status.as_str() == word)
                        .ok_or_else(|| StoreError::Failed("a key's state cannot be read".into()))?,
                };
                statuses.insert(id, status);
            }
        }
        Ok(statuses)
    }
    /// The newest keys of an account, ended ones too: what a choice among them shows.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn key_captions(&self, account: No<Account>, most: u32) -> Result<Vec<(Id<Key>, Label, KeyHint)>> {
        let sql = "SELECT id, name, prefix, public_id FROM keys WHERE account_no = $1 ORDER BY no DESC LIMIT $2";
        let rows = self.pools().rows(sql, values![account, i64::from(most)]).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns();
                let (id, name) = (columns.next()?, columns.next()?);
                Ok((id, name, KeyHint { prefix: columns.next()?, id: columns.next()? }))
            })
            .collect()
    }
    /// Handles and names of these accounts; unknown ones are left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn account_captions(&self, ids: &[Id<Account>]) -> Result<HashMap<Id<Account>, (Handle, Label)>> {
        let mut captions = HashMap::with_capacity(ids.len());
        for ids in ids.chunks(MOST_IDS) {
            let sql = format!("SELECT id, handle, name FROM accounts WHERE id IN ({})", placeholders(1, ids.len()));
            let ids = ids.iter().map(|id| Value::from(*id)).collect();
            for row in &self.pools().rows(AssertSqlSafe(sql), ids).await? {
                let mut columns = row.columns();
                captions.insert(columns.next()?, (columns.next()?, columns.next()?));
            }
        }
        Ok(captions)
    }
    /// In which currency each model is priced, withdrawn ones too, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn model_currencies(&self) -> Result<Vec<ModelCurrency>> {
        let sql = "SELECT name, price, removed_at FROM models ORDER BY name, no LIMIT $1";
        let rows = self.pools().rows(sql, values![MOST_MODELS]).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns();
                let (name, price): (_, String) = (columns.next()?, columns.next()?);
                let unreadable = |_| StoreError::Failed("a model's price cannot be read".into());
                let price: PriceList = serde_json::from_str(&price).map_err(unreadable)?;
                let removed_at: Option<Timestamp> = columns.next()?;
                Ok(ModelCurrency { name, currency: price.currency, withdrawn: removed_at.is_some() })
            })
            .collect()
    }
}
