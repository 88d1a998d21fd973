//! Reports: the finest cube that a question needs, read in the fewest rows that cover its range, names joined at the end.
//!
//! Rows are not added up by the store: it hands over all rows of some buckets as one text, and they are added here. To
//! group rows of many buckets an engine would sort them, and each row that it hands over alone costs more than to write
//! it into a text and to read it from there. Sums here have room for any number of rows of any size.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
};

use sqlx::AssertSqlSafe;
use tollgate_core::{
    Account, Id, Key, Model, No, Timestamp,
    money::Cost,
    name::{Label, ModelName},
    secret::KeyHint,
    usage::{GroupBy, Units, UsageQuery, UsageRow, UsageSums},
};

use super::{
    UsageTop, buckets,
    cover::{self, Piece, Signs},
    grain::Grain,
};
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
const MOST_PIECES: usize = 256;
/// Most keys or models that a report can be narrowed to.
const MOST_FILTERS: usize = 1_000;
/// Up to so many keys, each one's own line is looked up; for more, the account's lines are walked.
const MOST_LOOKUPS: usize = 32;
/// Most groups among which the largest are chosen.
const MOST_GROUPS_OF_TOP: usize = 250_000;
/// Most numbers of one statement that looks up names.
const MOST_NUMBERS: usize = 500;
const TOO_MANY_FILTERS: StoreError =
    StoreError::State("a usage report is narrowed to at most 1000 keys and 1000 models");

/// The columns of sums: those that a row of chat has, then those that are mostly zero.
const USUAL: [&str; 6] = ["requests", "input", "output", "cached_input", "reasoning", "cost_nanos"];
const SELDOM: [&str; 6] = ["failed", "audio_ms", "images", "partial", "estimated", "unknown"];
const SUMS: usize = USUAL.len() + SELDOM.len();

/// What rows are told apart by: the report's bucket and the grouped row numbers, 0 where not grouped by.
type Group = (i64, i64, i64, i64);
/// Sums in the order of the columns: wide enough for 2^64 rows.
type Sums = [i128; SUMS];

impl Store {
    pub(super) async fn report(&self, query: &UsageQuery) -> Result<Vec<UsageRow>> {
        let edges = buckets::edges(query)?;
        let mut tx = self.pools().snapshot().await?;
        let mut groups = self.sum(&mut tx, query, &edges, Self::MOST_USAGE_ROWS).await?;
        groups.sort_unstable_by_key(|(group, _)| *group);
        rows(&mut tx, &groups, &edges).await
    }

    pub(super) async fn top(&self, query: &UsageQuery, most: usize) -> Result<UsageTop> {
        let edges = buckets::edges(query)?;
        let mut tx = self.pools().snapshot().await?;
        let mut groups = self.sum(&mut tx, query, &edges, MOST_GROUPS_OF_TOP).await?;
        groups.sort_unstable_by_key(|(group, sums)| {
            (Reverse(sums.units.input.saturating_add(sums.units.output)), Reverse(sums.requests), *group)
        });
        let (top, rest) = groups.split_at(most.min(groups.len()));
        let rows = rows(&mut tx, top, &edges).await?;
        let sums = rest.iter().fold(UsageSums::default(), |sum, (_, more)| plus(&sum, more));
        Ok(UsageTop { rows, rest: sums, rest_rows: rest.len() })
    }

    /// The groups that had any attempt, in no order.
    async fn sum(
        &self,
        tx: &mut Tx,
        query: &UsageQuery,
        edges: &[i64],
        most: usize,
    ) -> Result<Vec<(Group, UsageSums)>> {
        if query.keys.len() > MOST_FILTERS || query.models.len() > MOST_FILTERS {
            return Err(TOO_MANY_FILTERS);
        }
        let now = self.world().now().as_millis();
        let mut lines = Lines::new(query, most);
        lines.read(tx, query, &cover::pieces(edges, now, Signs::PlusAndMinus)).await?;
        if lines.subtracted && lines.saturated {
            // A sum that stopped at the greatest integer holds less than its parts: nothing can be taken from it.
            lines = Lines::new(query, most);
            lines.read(tx, query, &cover::pieces(edges, now, Signs::Plus)).await?;
        }
        let groups = lines.groups.into_iter().map(|(group, sums)| (group, usage_sums(&sums)));
        Ok(groups.filter(|(_, sums)| sums.requests > 0).collect())
    }
}

async fn rows(tx: &mut Tx, groups: &[(Group, UsageSums)], edges: &[i64]) -> Result<Vec<UsageRow>> {
    let names = Names::read(tx, groups).await?;
    Ok(groups.iter().map(|(group, sums)| names.row(*group, *sums, edges)).collect())
}

/// Adds up rollup rows by group.
struct Lines {
    groups: HashMap<Group, Sums>,
    /// By account, key and model.
    grouped: [bool; 3],
    most: usize,
    /// A row was subtracted.
    subtracted: bool,
    /// A row stood at the greatest integer.
    saturated: bool,
}

impl Lines {
    fn new(query: &UsageQuery, most: usize) -> Self {
        let grouped = [GroupBy::Account, GroupBy::Key, GroupBy::Model].map(|by| query.group_by.contains(&by));
        Self { groups: HashMap::new(), grouped, most, subtracted: false, saturated: false }
    }

    async fn read(&mut self, tx: &mut Tx, query: &UsageQuery, pieces: &[Piece]) -> Result<()> {
        let source = Source::of(query);
        for texts in texts(pieces, source.few).chunks(MOST_PIECES) {
            tx.each(AssertSqlSafe(source.statement(texts)), |columns| {
                let sign: i64 = columns.next()?;
                match columns.next::<Option<String>>()? {
                    Some(rows) => rows.split(';').try_for_each(|row| self.add(sign, row)),
                    None => Ok(()),
                }
            })
            .await?;
        }
        Ok(())
    }

    /// Adds a row: the report's bucket, what is grouped by, the usual sums, and the others where one is not zero.
    fn add(&mut self, sign: i64, row: &str) -> Result<()> {
        let mut numbers = row.split(',').map(number);
        let mut next = || numbers.next().unwrap_or_else(|| Err(unreadable()));
        let index = next()?;
        let mut part = |grouped: bool| if grouped { next() } else { Ok(0) };
        let [account, key, model] = self.grouped;
        let group = (index, part(account)?, part(key)?, part(model)?);
        let sums = self.groups.entry(group).or_default();
        let mut count = 0;
        for (sum, number) in sums.iter_mut().zip(&mut numbers) {
            let number = number?;
            self.saturated |= number == i64::MAX;
            *sum += i128::from(sign * number);
            count += 1;
        }
        self.subtracted |= sign < 0;
        if (count != USUAL.len() && count != SUMS) || numbers.next().is_some() {
            return Err(unreadable());
        }
        if self.groups.len() > self.most { Err(super::TOO_MANY_ROWS) } else { Ok(()) }
    }
}

fn unreadable() -> StoreError {
    StoreError::Failed("a stored sum cannot be read".into())
}

/// A number that is not negative. By hand: a report of some size has a million of them.
fn number(text: &str) -> Result<i64> {
    let digit = |number: i64, byte: u8| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(i64::from(byte - b'0')),
        _ => None,
    };
    let number = if text.is_empty() { None } else { text.bytes().try_fold(0, digit) };
    number.ok_or_else(unreadable)
}

/// Cuts pieces so that one text does not hold very many rows: the finer a bucket, the fewer of its lines have one.
fn texts(pieces: &[Piece], few: bool) -> Vec<(Piece, i64, i64)> {
    let mut texts = Vec::new();
    for piece in pieces {
        let most = match (piece.grain, few) {
            (Grain::Minute, false) => 60,
            (Grain::Hour, false) => 4,
            (_, false) => 1,
            (Grain::Minute, true) => 1_440,
            (Grain::Hour, true) => 168,
            (_, true) => 31,
        };
        let mut low = piece.from;
        while low < piece.to {
            let mut high = low;
            for _ in 0..most {
                high = if high < piece.to { piece.grain.end(high) } else { high };
            }
            texts.push((*piece, low, high));
            low = high;
        }
    }
    texts
}

/// Where a question's rows are, as SQL. Numbers stand in the text: SQLite is slow at binding hundreds of parameters.
struct Source {
    from: String,
    conditions: String,
    row: String,
    /// A bucket holds few rows.
    few: bool,
    /// What comes before.
    with: String,
}

impl Source {
    /// `CROSS JOIN` keeps SQLite to the written order of the tables: for each wanted line and each piece one walk over
    /// neighbouring rows. A plus before a column keeps it from choosing an index by that column.
    fn of(query: &UsageQuery) -> Self {
        let cube = Cube::of(query);
        // Each key once: a line that is named twice would be added twice.
        let keys: BTreeSet<i64> = query.keys.iter().map(|key| key.get()).collect();
        let models: BTreeSet<i64> = query.models.iter().map(|model| model.get()).collect();
        let by_key = !keys.is_empty() && keys.len() <= MOST_LOOKUPS;
        let mut with = String::new();
        let mut from = String::from("usage_rollups r");
        let mut conditions = format!(
            "r.cube = {} AND r.grain = piece.grain AND r.bucket >= piece.low AND r.bucket < piece.high",
            cube.code()
        );
        if by_key {
            with = format!(", line (key_no) AS (VALUES ({}))", list(&keys, "), ("));
            from = format!("line CROSS JOIN {from}");
            conditions.push_str(" AND r.key_no = line.key_no AND r.key_no <> 0");
        } else if !keys.is_empty() {
            conditions.push_str(&format!(" AND r.key_no IN ({})", list(&keys, ", ")));
        }
        match query.account {
            Some(account) => {
                let plus = if by_key { "+" } else { "" };
                conditions.push_str(&format!(" AND {plus}r.account_no = {}", account.get()));
            }
            None if by_key => {}
            None => {
                from = format!("usage_accounts s CROSS JOIN {from}");
                conditions.push_str(" AND r.account_no = s.account_no");
            }
        }
        if !models.is_empty() {
            conditions.push_str(&format!(" AND r.model_no IN ({})", list(&models, ", ")));
        }
        Self { from, conditions, row: row(query), few: by_key || (query.account.is_some() && !cube.has_key()), with }
    }

    fn statement(&self, texts: &[(Piece, i64, i64)]) -> String {
        let Self { from, conditions, row, with, .. } = self;
        let mut sql = String::from("WITH piece (sign, grain, low, high, number, start, width) AS (VALUES ");
        for (at, (piece, low, high)) in texts.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let Piece { grain, sign, index, from, width, .. } = piece;
            // PostgreSQL takes the width of a column from the first row. Writing to a String cannot fail.
            let cast = |int: i64| if at == 0 { format!("CAST({int} AS BIGINT)") } else { int.to_string() };
            let numbers = [*sign, grain.code(), *low, *high, *index, *from, *width].map(cast);
            let _ = write!(sql, "{comma}({})", numbers.join(", "));
        }
        let _ = write!(
            sql,
            "){with} SELECT piece.sign, (SELECT string_agg({row}, ';') FROM {from} WHERE {conditions}) FROM piece"
        );
        sql
    }
}

fn list(numbers: &BTreeSet<i64>, between: &str) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

/// A rollup row as a text of numbers.
fn row(query: &UsageQuery) -> String {
    let mut group = String::from("piece.number + (r.bucket - piece.start) / piece.width");
    for (by, column) in [(GroupBy::Account, "account_no"), (GroupBy::Key, "key_no"), (GroupBy::Model, "model_no")] {
        if query.group_by.contains(&by) {
            let _ = write!(group, ", r.{column}");
        }
    }
    let usual = USUAL.map(|sum| format!("r.{sum}")).join(", ");
    let seldom = SELDOM.map(|sum| format!("r.{sum}")).join(", ");
    let none = SELDOM.map(|sum| format!("r.{sum} = 0")).join(" AND ");
    format!(
        "CASE WHEN {none} THEN concat_ws(',', {group}, {usual}) ELSE concat_ws(',', {group}, {usual}, {seldom}) END"
    )
}

fn usage_sums(sums: &Sums) -> UsageSums {
    let [requests, input, output, cached_input, reasoning, cost, failed, audio_ms, images, partial, estimated, unknown] =
        sums.map(|sum| u64::try_from(sum.max(0)).unwrap_or(u64::MAX));
    UsageSums {
        requests,
        failed,
        units: Units { input, output, cached_input, reasoning, audio_ms, images },
        cost: Cost::from_nanos(i64::try_from(cost).unwrap_or(i64::MAX)),
        // Each attempt has one class.
        by_class: [
            requests.saturating_sub(partial).saturating_sub(estimated).saturating_sub(unknown),
            partial,
            estimated,
            unknown,
        ],
    }
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
    async fn read(tx: &mut Tx, groups: &[(Group, UsageSums)]) -> Result<Self> {
        let mut names = Self::default();
        let distinct = |part: fn(&Group) -> i64| -> BTreeSet<i64> {
            groups.iter().map(|(group, _)| part(group)).filter(|no| *no != 0).collect()
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
    numbers: &BTreeSet<i64>,
    mut take: impl FnMut(&mut Columns<'_>) -> Result<()>,
) -> Result<()> {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    for numbers in numbers.chunks(MOST_NUMBERS) {
        tx.each(AssertSqlSafe(format!("{select} IN ({})", numbers.join(", "))), &mut take).await?;
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
