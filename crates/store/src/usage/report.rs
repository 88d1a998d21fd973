//! Reports: the coarsest cube that a question needs, and who reads it: sums are added up in `lines`, names joined at the end.

use sqlx::AssertSqlSafe;
use tollgate_core::{
    Model, No,
    name::ModelName,
    usage::{GroupBy, UsageQuery, UsageRow},
};

use super::{buckets, costs, lines, names};
use crate::{
    Result, Store,
    bulk::placeholders,
    value::{Value, values},
};

/// Which of account, key and model a rollup row is about; the account always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cube {
    Account,
    AccountModel,
    AccountKey,
    AccountKeyModel,
}

impl Cube {
    pub(super) const ALL: [Self; 4] = [Self::Account, Self::AccountModel, Self::AccountKey, Self::AccountKeyModel];

    /// Its number in the store.
    pub(super) const fn code(self) -> i64 {
        match self {
            Self::Account => 1,
            Self::AccountModel => 2,
            Self::AccountKey => 3,
            Self::AccountKeyModel => 4,
        }
    }
    pub(super) const fn has_key(self) -> bool {
        matches!(self, Self::AccountKey | Self::AccountKeyModel)
    }
    pub(super) const fn has_model(self) -> bool {
        matches!(self, Self::AccountModel | Self::AccountKeyModel)
    }
    /// The coarsest one that can answer.
    pub(super) fn of(query: &UsageQuery) -> Self {
        let key = query.group_by.contains(&GroupBy::Key) || !query.keys.is_empty();
        let model = query.group_by.contains(&GroupBy::Model) || !query.models.is_empty();
        match (key, model) {
            (false, false) => Self::Account,
            (false, true) => Self::AccountModel,
            (true, false) => Self::AccountKey,
            (true, true) => Self::AccountKeyModel,
        }
    }
}

/// Most texts of one statement that looks up row numbers.
const MOST_TEXTS: usize = 500;

impl Store {
    pub(super) fn now_ms(&self) -> i64 {
        self.world().now().as_millis()
    }

    pub(super) async fn report(&self, query: &UsageQuery) -> Result<Vec<UsageRow>> {
        let edges = buckets::edges(query)?;
        let mut tx = self.pools().snapshot().await?;
        let (now, most) = (self.now_ms(), Self::MOST_USAGE_ROWS);
        let mut groups = lines::sums(&mut tx, query, &edges, now, most).await?;
        groups.sort_unstable_by_key(|(group, _)| *group);
        let mut rows = names::rows(&mut tx, &groups, &edges).await?;
        costs::fill(&mut tx, query, &edges, now, most, &groups, &mut rows).await?;
        Ok(rows)
    }
}

impl Store {
    /// Row numbers by a text column.
    pub(super) async fn numbers_by<K>(&self, select: &str, first: Vec<Value>, texts: &[String]) -> Result<Vec<No<K>>> {
        let mut numbers = Vec::with_capacity(texts.len());
        for texts in texts.chunks(MOST_TEXTS) {
            let mut values = first.clone();
            let inside = placeholders(values.len() + 1, texts.len());
            values.extend(texts.iter().map(|text| Value::from(text.as_str())));
            for row in &self.pools().rows(AssertSqlSafe(format!("{select} IN ({inside})")), values).await? {
                numbers.push(row.columns().next()?);
            }
        }
        Ok(numbers)
    }
    /// Row numbers of models of this name, withdrawn ones too.
    pub(super) async fn models_named(&self, names: &[ModelName]) -> Result<Vec<No<Model>>> {
        let texts: Vec<String> = names.iter().map(ToString::to_string).collect();
        self.numbers_by("SELECT no FROM models WHERE name", values![], &texts).await
    }
}
