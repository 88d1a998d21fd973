//! What of a report's costs is in which currency.
//!
//! A rollup row knows no currency: its model does, and keeps it (see `catalog`). So where all models have the same one,
//! nothing more is to be read; otherwise the report is read once more by model, in the same snapshot.

use std::collections::{BTreeSet, HashMap};

use tollgate_core::{
    money::{Costs, Currency},
    usage::{GroupBy, UsageQuery, UsageRow, UsageSums},
};

use super::{
    lines::{self, Group},
    names::currency_of,
};
use crate::{Result, engine::Tx};

/// Fills in the costs of a report's rows, which are in the order of `groups`.
pub(super) async fn fill(
    tx: &mut Tx,
    query: &UsageQuery,
    edges: &[i64],
    now: i64,
    most: usize,
    groups: &[(Group, UsageSums)],
    rows: &mut [UsageRow],
) -> Result<()> {
    let Some(currencies) = fill_alike(tx, rows).await? else { return Ok(()) };
    let mut by_model = query.clone();
    by_model.group_by.push(GroupBy::Model);
    let mut costs: HashMap<Group, Costs> = HashMap::new();
    for ((index, account, key, model), sums) in lines::sums(tx, &by_model, edges, now, most).await? {
        let currency = currencies.get(&model).copied().unwrap_or(Currency::NONE);
        costs.entry((index, account, key, 0)).or_default().add(currency, sums.cost);
    }
    for (row, (group, _)) in rows.iter_mut().zip(groups) {
        row.costs = Some(costs.remove(group).unwrap_or_default());
    }
    Ok(())
}

/// Fills in what needs no further reading: where all models have one currency. Else says which each has.
pub(super) async fn fill_alike(tx: &mut Tx, rows: &mut [UsageRow]) -> Result<Option<HashMap<i64, Currency>>> {
    if rows.iter().all(|row| row.costs.is_some()) {
        return Ok(None);
    }
    let currencies = currencies(tx).await?;
    let different: BTreeSet<Currency> = currencies.values().copied().collect();
    let mut different = different.into_iter();
    let (only, None) = (different.next(), different.next()) else { return Ok(Some(currencies)) };
    let only = only.unwrap_or_default();
    rows.iter_mut().for_each(|row| row.costs = Some(Costs::of(only, row.sums.cost)));
    Ok(None)
}

/// The currency of each model that there is or was.
async fn currencies(tx: &mut Tx) -> Result<HashMap<i64, Currency>> {
    let mut currencies = HashMap::new();
    tx.each("SELECT no, price FROM models", |columns| {
        let (no, price): (i64, String) = (columns.next()?, columns.next()?);
        currencies.insert(no, currency_of(&price)?);
        Ok(())
    })
    .await?;
    Ok(currencies)
}
