//! The names that a report's rows have today, read when all is added up.
//!
//! As with sums, many rows come as one text: a thousand keys cost less than twenty of them would one by one. What is
//! read this way holds neither tabs nor line feeds: names have no control characters.

use std::collections::{BTreeSet, HashMap};

use sqlx::AssertSqlSafe;
use tollgate_core::{
    Account, Id, Key, Timestamp,
    money::{Costs, Currency, PriceList},
    name::{Label, ModelName},
    secret::KeyHint,
    usage::{UsageRow, UsageSums},
};

use super::lines::Group;
use crate::{
    Result, StoreError,
    engine::Tx,
    value::{parsed, prefix_of},
};

/// Most numbers of one statement.
const MOST_NUMBERS: usize = 1_000;

/// The rows of a report, in the order of its groups.
pub(super) async fn rows(tx: &mut Tx, groups: &[(Group, UsageSums)], edges: &[i64]) -> Result<Vec<UsageRow>> {
    let names = Names::read(tx, groups).await?;
    Ok(groups.iter().map(|(group, sums)| names.row(*group, *sums, edges)).collect())
}

/// The names of today. What is unknown has none; its rows stay, so that the sums do.
#[derive(Default)]
struct Names {
    accounts: HashMap<i64, Id<Account>>,
    keys: HashMap<i64, (Id<Key>, Label, KeyHint)>,
    models: HashMap<i64, (ModelName, Currency)>,
}

impl Names {
    async fn read(tx: &mut Tx, groups: &[(Group, UsageSums)]) -> Result<Self> {
        let mut names = Self::default();
        let distinct = |part: fn(&Group) -> i64| -> BTreeSet<i64> {
            groups.iter().map(|(group, _)| part(group)).filter(|no| *no != 0).collect()
        };
        read(tx, "id", "accounts", &distinct(|group| group.1), |no, [id]| {
            names.accounts.insert(no, parsed(id)?);
            Ok(())
        })
        .await?;
        read(
            tx,
            "id, prefix, public_id, name",
            "keys",
            &distinct(|group| group.2),
            |no, [id, prefix, public_id, name]| {
                let hint = KeyHint { prefix: prefix_of(prefix)?, id: parsed(public_id)? };
                names.keys.insert(no, (parsed(id)?, parsed(name)?, hint));
                Ok(())
            },
        )
        .await?;
        read(tx, "name, price", "models", &distinct(|group| group.3), |no, [name, price]| {
            names.models.insert(no, (parsed(name)?, currency_of(price)?));
            Ok(())
        })
        .await?;
        Ok(names)
    }

    fn currency(&self, model: i64) -> Currency {
        self.models.get(&model).map_or(Currency::NONE, |(_, currency)| *currency)
    }

    fn row(&self, (index, account, key, model): Group, sums: UsageSums, edges: &[i64]) -> UsageRow {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let edge = |at: usize| Timestamp::from_millis(edges.get(at).copied().unwrap_or_default());
        UsageRow {
            start: edge(index),
            end: edge(index.saturating_add(1)),
            account: self.accounts.get(&account).copied(),
            key: self.keys.get(&key).cloned(),
            model: self.models.get(&model).map(|(name, _)| name.clone()),
            sums,
            costs: (model != 0).then(|| Costs::of(self.currency(model), sums.cost)),
        }
    }
}

/// The currency of a price list as it is stored.
pub(super) fn currency_of(price: &str) -> Result<Currency> {
    let unreadable = |_| StoreError::Failed("a model's price cannot be read".into());
    serde_json::from_str::<PriceList>(price).map(|price| price.currency).map_err(unreadable)
}

/// Hands over some columns of the rows of these numbers, and the number of each.
async fn read<const COLUMNS: usize>(
    tx: &mut Tx,
    columns: &str,
    table: &str,
    numbers: &BTreeSet<i64>,
    mut take: impl FnMut(i64, [&str; COLUMNS]) -> Result<()>,
) -> Result<()> {
    let unreadable = || StoreError::Failed("a stored name cannot be read".into());
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    for numbers in numbers.chunks(MOST_NUMBERS) {
        let inside = numbers.join(", ");
        let sql =
            format!("SELECT string_agg(concat_ws('\t', no, {columns}), '\n') FROM {table} WHERE no IN ({inside})");
        tx.each(AssertSqlSafe(sql), |columns| {
            let text: Option<String> = columns.next()?;
            for line in text.iter().flat_map(|text| text.split('\n')) {
                let mut parts = line.split('\t');
                let no = parts.next().and_then(|no| no.parse().ok()).ok_or_else(unreadable)?;
                let parts: Vec<&str> = parts.collect();
                take(no, parts.try_into().map_err(|_| unreadable())?)?;
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}
