//! Reports: the finest cube that a question needs, read in the coarsest grains that fit its range, names joined at the end.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::AssertSqlSafe;
use tollgate_core::{
    Account, Id, Key, Model, No, Timestamp,
    money::Cost,
    name::{Label, ModelName},
    secret::KeyHint,
    usage::{GroupBy, Units, UsageQuery, UsageRow, UsageSums},
};

use super::{buckets, grain, grain::Piece};
use crate::{
    Result, Store, StoreError,
    bulk::placeholders,
    engine::{Columns, Tx},
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
    fn of(query: &UsageQuery) -> Self {
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

/// Most pieces of one statement.
const MOST_PIECES: usize = 400;
/// Most keys or models that a report can be narrowed to.
const MOST_FILTERS: usize = 1_000;
/// Up to so many keys, each one's own line is looked up; for more, the account's lines are walked.
const MOST_LOOKUPS: usize = 32;
/// Most numbers of one statement that looks up names.
const MOST_NUMBERS: usize = 500;

/// The columns of sums, in the order of [`read_sums`].
const SUMS: [&str; 13] = [
    "requests",
    "failed",
    "input",
    "output",
    "cached_input",
    "reasoning",
    "audio_ms",
    "images",
    "cost_nanos",
    "exact",
    "partial",
    "estimated",
    "unknown",
];

/// What rows are told apart by: the report's bucket and the grouped row numbers, 0 where not grouped by.
type Group = (i64, i64, i64, i64);

impl Store {
    pub(super) async fn report(&self, query: &UsageQuery) -> Result<Vec<UsageRow>> {
        if query.keys.len() > MOST_FILTERS || query.models.len() > MOST_FILTERS {
            return Err(StoreError::State("a usage report is narrowed to at most 1000 keys and 1000 models"));
        }
        let edges = buckets::edges(query)?;
        let pieces = grain::pieces(&edges);
        let mut tx = self.pools().snapshot().await?;
        let groups = match sum(&mut tx, query, &pieces, Width::Plain).await {
            Err(error) if error.is_overflow() => {
                // A failed statement ends a PostgreSQL transaction.
                drop(tx);
                tx = self.pools().snapshot().await?;
                sum(&mut tx, query, &pieces, Width::Halves).await?
            }
            groups => groups?,
        };
        let names = Names::read(&mut tx, &groups).await?;
        let mut groups: Vec<(Group, UsageSums)> = groups.into_iter().collect();
        groups.sort_unstable_by_key(|(group, _)| *group);
        Ok(groups.into_iter().map(|(group, sums)| names.row(group, sums, &edges)).collect())
    }
}

/// How sums are asked for.
#[derive(Clone, Copy)]
enum Width {
    /// As 64-bit integers: an overflow is an error of the statement.
    Plain,
    /// The upper and lower halves apart, to be put together here: any number of rows of any size. Twice the work.
    Halves,
}

async fn sum(tx: &mut Tx, query: &UsageQuery, pieces: &[Piece], width: Width) -> Result<HashMap<Group, UsageSums>> {
    let mut groups: HashMap<Group, UsageSums> = HashMap::new();
    // All grains in one statement: the store adds them up, and hands over each group once.
    for pieces in pieces.chunks(MOST_PIECES) {
        let (sql, values) = statement(query, pieces, width);
        for row in &tx.rows(AssertSqlSafe(sql), values).await? {
            let mut columns = row.columns();
            let mut grouped = |by: Option<GroupBy>| match by {
                Some(by) if !query.group_by.contains(&by) => Ok(0),
                _ => columns.next(),
            };
            let group = (
                grouped(None)?,
                grouped(Some(GroupBy::Account))?,
                grouped(Some(GroupBy::Key))?,
                grouped(Some(GroupBy::Model))?,
            );
            let more = read_sums(&mut columns, width)?;
            let sums = groups.entry(group).or_default();
            *sums = plus(sums, &more);
        }
        if groups.len() > Store::MOST_USAGE_ROWS {
            return Err(super::TOO_MANY_ROWS);
        }
    }
    Ok(groups)
}

/// `CROSS JOIN` keeps SQLite to the written order of the tables: for each wanted line and each piece one walk over
/// neighbouring rows. A plus before a column keeps it from choosing an index by that column.
fn statement(query: &UsageQuery, pieces: &[Piece], width: Width) -> (String, Vec<Value>) {
    let mut values = values![];
    let mut bind = |value: Value| {
        values.push(value);
        values.len()
    };
    let mut sql = String::from("WITH piece (grain, number, low, high, width) AS (VALUES ");
    for (at, piece) in pieces.iter().enumerate() {
        let numbers = [piece.grain.code(), piece.index, piece.from, piece.to, piece.width];
        let numbers = numbers.map(|int| format!("${}", bind(int.into())));
        sql.push_str(&format!("{}({})", if at == 0 { "" } else { ", " }, numbers.join(", ")));
    }
    sql.push(')');
    // Each key once: a line that is named twice would be added twice.
    let keys: BTreeSet<i64> = query.keys.iter().map(|key| key.get()).collect();
    let by_key = !keys.is_empty() && keys.len() <= MOST_LOOKUPS;
    let mut from = String::from("piece CROSS JOIN usage_rollups r");
    let mut conditions = format!(
        "r.cube = ${} AND r.grain = piece.grain AND r.bucket >= piece.low AND r.bucket < piece.high",
        bind(Cube::of(query).code().into()),
    );
    if by_key {
        let numbers: Vec<String> = keys.iter().map(|key| format!("(${})", bind((*key).into()))).collect();
        sql.push_str(&format!(", line (key_no) AS (VALUES {})", numbers.join(", ")));
        from = format!("line CROSS JOIN {from}");
        conditions.push_str(" AND r.key_no = line.key_no AND r.key_no <> 0");
    }
    match query.account {
        Some(account) => {
            let plus = if by_key { "+" } else { "" };
            conditions.push_str(&format!(" AND {plus}r.account_no = ${}", bind(account.into())));
        }
        None if by_key => {}
        None => {
            from = format!("usage_accounts s CROSS JOIN {from}");
            conditions.push_str(" AND r.account_no = s.account_no");
        }
    }
    let mut only = |column: &str, numbers: Vec<Value>| {
        if !numbers.is_empty() {
            let first = numbers.into_iter().map(&mut bind).collect::<Vec<_>>();
            let inside = placeholders(first.first().copied().unwrap_or(1), first.len());
            conditions.push_str(&format!(" AND r.{column} IN ({inside})"));
        }
    };
    if !by_key {
        only("key_no", keys.iter().map(|key| Value::from(*key)).collect());
    }
    only("model_no", query.models.iter().map(|model| Value::from(*model)).collect());
    let mut group = vec!["piece.number + (r.bucket - piece.low) / piece.width"];
    for (by, column) in [(GroupBy::Account, "r.account_no"), (GroupBy::Key, "r.key_no"), (GroupBy::Model, "r.model_no")]
    {
        if query.group_by.contains(&by) {
            group.push(column);
        }
    }
    let sums: Vec<String> = SUMS
        .iter()
        .map(|sum| match width {
            Width::Plain => format!("CAST(SUM(r.{sum}) AS BIGINT)"),
            Width::Halves => {
                format!("CAST(SUM(r.{sum} >> 32) AS BIGINT), CAST(SUM(r.{sum} & 4294967295) AS BIGINT)")
            }
        })
        .collect();
    let limit = bind(Value::from(i64::try_from(Store::MOST_USAGE_ROWS + 1).unwrap_or(i64::MAX)));
    sql.push_str(&format!(
        " SELECT {}, {} FROM {from} WHERE {conditions} GROUP BY {} LIMIT ${limit}",
        group.join(", "),
        sums.join(", "),
        group.join(", ")
    ));
    (sql, values)
}

fn read_sums(columns: &mut Columns<'_>, width: Width) -> Result<UsageSums> {
    let mut next = || -> Result<u64> {
        match width {
            Width::Plain => columns.next(),
            Width::Halves => {
                let (high, low): (i64, i64) = (columns.next()?, columns.next()?);
                Ok(u64::try_from((i128::from(high) << 32) + i128::from(low)).unwrap_or(u64::MAX))
            }
        }
    };
    Ok(UsageSums {
        requests: next()?,
        failed: next()?,
        units: Units {
            input: next()?,
            output: next()?,
            cached_input: next()?,
            reasoning: next()?,
            audio_ms: next()?,
            images: next()?,
        },
        cost: Cost::from_nanos(i64::try_from(next()?).unwrap_or(i64::MAX)),
        by_class: [next()?, next()?, next()?, next()?],
    })
}

fn plus(a: &UsageSums, b: &UsageSums) -> UsageSums {
    let mut by_class = a.by_class;
    for (sum, more) in by_class.iter_mut().zip(b.by_class) {
        *sum = sum.saturating_add(more);
    }
    UsageSums {
        requests: a.requests.saturating_add(b.requests),
        failed: a.failed.saturating_add(b.failed),
        units: Units {
            input: a.units.input.saturating_add(b.units.input),
            output: a.units.output.saturating_add(b.units.output),
            cached_input: a.units.cached_input.saturating_add(b.units.cached_input),
            reasoning: a.units.reasoning.saturating_add(b.units.reasoning),
            audio_ms: a.units.audio_ms.saturating_add(b.units.audio_ms),
            images: a.units.images.saturating_add(b.units.images),
        },
        cost: a.cost.plus(b.cost),
        by_class,
    }
}

/// The names of today. What is unknown has none; its rows stay, so that the sums do.
#[derive(Default)]
struct Names {
    accounts: HashMap<i64, Id<Account>>,
    keys: HashMap<i64, (Id<Key>, Label, KeyHint)>,
    models: HashMap<i64, ModelName>,
}

impl Names {
    async fn read(tx: &mut Tx, groups: &HashMap<Group, UsageSums>) -> Result<Self> {
        let mut names = Self::default();
        let distinct = |part: fn(&Group) -> i64| -> Vec<i64> {
            let numbers: HashSet<i64> = groups.keys().map(part).filter(|no| *no != 0).collect();
            numbers.into_iter().collect()
        };
        read(tx, "SELECT no, id FROM accounts WHERE no", &distinct(|group| group.1), |columns| {
            names.accounts.insert(columns.next()?, columns.next()?);
            Ok(())
        })
        .await?;
        read(tx, "SELECT no, id, name, prefix, public_id FROM keys WHERE no", &distinct(|group| group.2), |columns| {
            let (no, id, name) = (columns.next()?, columns.next()?, columns.next()?);
            names.keys.insert(no, (id, name, KeyHint { prefix: columns.next()?, id: columns.next()? }));
            Ok(())
        })
        .await?;
        read(tx, "SELECT no, name FROM models WHERE no", &distinct(|group| group.3), |columns| {
            names.models.insert(columns.next()?, columns.next()?);
            Ok(())
        })
        .await?;
        Ok(names)
    }

    fn row(&self, (index, account, key, model): Group, sums: UsageSums, edges: &[i64]) -> UsageRow {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let edge = |at: usize| Timestamp::from_millis(edges.get(at).copied().unwrap_or_default());
        UsageRow {
            start: edge(index),
            end: edge(index.saturating_add(1)),
            account: self.accounts.get(&account).copied(),
            key: self.keys.get(&key).cloned(),
            model: self.models.get(&model).cloned(),
            sums,
        }
    }
}

async fn read(
    tx: &mut Tx,
    select: &str,
    numbers: &[i64],
    mut take: impl FnMut(&mut Columns<'_>) -> Result<()>,
) -> Result<()> {
    for numbers in numbers.chunks(MOST_NUMBERS) {
        let sql = format!("{select} IN ({})", placeholders(1, numbers.len()));
        let values = numbers.iter().map(|no| Value::from(*no)).collect();
        for row in &tx.rows(AssertSqlSafe(sql), values).await? {
            take(&mut row.columns())?;
        }
    }
    Ok(())
}

impl Store {
    /// Row numbers by a text column.
    pub(super) async fn numbers_by<K>(&self, select: &str, first: Vec<Value>, texts: &[String]) -> Result<Vec<No<K>>> {
        let mut numbers = Vec::with_capacity(texts.len());
        for texts in texts.chunks(MOST_NUMBERS) {
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
