//! Where a question's rollup rows are, as SQL.
//!
//! Rows are not added up by the store: it hands over all rows of some buckets as one text, and they are added in `lines`. To
//! group rows of many buckets an engine would sort them, and each row that it hands over alone costs more than to write
//! it into a text and to read it from there.

use std::{collections::BTreeSet, fmt::Write as _};

use tollgate_core::usage::{GroupBy, UsageQuery};

use super::{cover::Piece, grain::Grain, report::Cube};

/// Most pieces of one statement.
pub(super) const MOST_PIECES: usize = 256;
/// Up to so many keys, each one's own line is looked up; for more, the account's lines are walked.
pub(super) const MOST_LOOKUPS: usize = 64;
/// Up to so many buckets, a line is looked up in each of them, by the table's own key.
const MOST_SINGLE: i64 = 64;

/// Which sums are read of a row: those that most rows have, then those that are mostly zero.
pub(super) struct Columns {
    pub(super) usual: &'static [&'static str],
    pub(super) seldom: &'static [&'static str],
}

/// A question as SQL. Numbers stand in the text: SQLite is slow at binding hundreds of parameters.
pub(super) struct Source {
    from: String,
    conditions: String,
    row: String,
    /// What comes before.
    with: String,
    texts: Vec<Text>,
}

/// A piece, and which of its buckets go into one text.
#[derive(Clone, Copy)]
struct Text {
    piece: Piece,
    low: i64,
    high: i64,
}

/// How a question's rows lie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// All lines of a bucket are walked, and there are many.
    Many,
    /// There are few in each bucket.
    Few,
    /// Each wanted line is looked up in one bucket after the other.
    Single,
}

impl Source {
    /// `indexed`: rows say which of the report's buckets they belong to.
    ///
    /// `CROSS JOIN` keeps SQLite to the written order of the tables: for each wanted line and each piece one walk over
    /// neighbouring rows. A plus before a column keeps it from choosing an index by that column.
    pub(super) fn of(query: &UsageQuery, pieces: &[Piece], columns: &Columns, indexed: bool) -> Self {
        let cube = Cube::of(query);
        // Each key once: a line that is named twice would be added twice.
        let keys: BTreeSet<i64> = query.keys.iter().map(|key| key.get()).collect();
        let models: BTreeSet<i64> = query.models.iter().map(|model| model.get()).collect();
        let by_key = !keys.is_empty() && keys.len() <= MOST_LOOKUPS;
        let buckets: i64 = pieces.iter().map(|piece| piece.grain.count(piece.from, piece.to)).sum();
        let way = match query.account {
            Some(_) if by_key && buckets <= MOST_SINGLE => Way::Single,
            _ if by_key => Way::Few,
            Some(_) if !cube.has_key() => Way::Few,
            _ => Way::Many,
        };
        let mut with = String::new();
        let mut from = String::from("usage_rollups r");
        let bucket =
            if way == Way::Single { "r.bucket = piece.low" } else { "r.bucket >= piece.low AND r.bucket < piece.high" };
        let mut conditions = format!("r.cube = {} AND r.grain = piece.grain AND {bucket}", cube.code());
        if by_key {
            with = format!(", line (key_no) AS (VALUES ({}))", list(&keys, "), ("));
            from = format!("line CROSS JOIN {from}");
            conditions.push_str(" AND r.key_no = line.key_no");
        } else if !keys.is_empty() {
            conditions.push_str(&format!(" AND r.key_no IN ({})", list(&keys, ", ")));
        }
        if by_key && way != Way::Single {
            // What the index by key is about.
            conditions.push_str(" AND r.key_no <> 0");
        }
        match query.account {
            Some(account) => {
                let plus = if by_key && way != Way::Single { "+" } else { "" };
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
        Self { from, conditions, row: row(query, columns, indexed), with, texts: texts(pieces, way) }
    }

    /// The statements, each of which hands over signs and texts of rows.
    pub(super) fn statements(&self) -> impl Iterator<Item = String> {
        self.texts.chunks(MOST_PIECES).map(|texts| self.statement(texts))
    }

    fn statement(&self, texts: &[Text]) -> String {
        let Self { from, conditions, row, with, .. } = self;
        let mut sql = String::from("WITH piece (sign, grain, low, high, number, start, width) AS (VALUES ");
        for (at, Text { piece, low, high }) in texts.iter().enumerate() {
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

/// Cuts pieces so that one text does not hold very many rows: the finer a bucket, the fewer of its lines have one.
fn texts(pieces: &[Piece], way: Way) -> Vec<Text> {
    let mut texts = Vec::new();
    for piece in pieces {
        let most = match (piece.grain, way) {
            (_, Way::Single) => 1,
            (Grain::Minute, Way::Many) => 60,
            (Grain::Hour, Way::Many) => 4,
            (_, Way::Many) => 1,
            (Grain::Minute, Way::Few) => 1_440,
            (Grain::Hour, Way::Few) => 168,
            (_, Way::Few) => 31,
        };
        let mut low = piece.from;
        while low < piece.to {
            let mut high = low;
            for _ in 0..most {
                high = if high < piece.to { piece.grain.end(high) } else { high };
            }
            texts.push(Text { piece: *piece, low, high });
            low = high;
        }
    }
    texts
}

fn list(numbers: &BTreeSet<i64>, between: &str) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

/// A rollup row as a text of numbers: the report's bucket where wanted, what is grouped by, the sums.
fn row(query: &UsageQuery, columns: &Columns, indexed: bool) -> String {
    let of_row = |column: &&str| format!("r.{column}");
    let mut usual: Vec<String> = Vec::new();
    if indexed {
        usual.push("piece.number + (r.bucket - piece.start) / piece.width".to_owned());
    }
    for (by, column) in [(GroupBy::Account, "account_no"), (GroupBy::Key, "key_no"), (GroupBy::Model, "model_no")] {
        if query.group_by.contains(&by) {
            usual.push(of_row(&column));
        }
    }
    usual.extend(columns.usual.iter().map(of_row));
    let usual = usual.join(", ");
    if columns.seldom.is_empty() {
        return format!("concat_ws(',', {usual})");
    }
    let seldom = columns.seldom.iter().map(of_row).collect::<Vec<_>>().join(", ");
    let none = columns.seldom.iter().map(|column| format!("r.{column} = 0")).collect::<Vec<_>>().join(" AND ");
    format!("CASE WHEN {none} THEN concat_ws(',', {usual}) ELSE concat_ws(',', {usual}, {seldom}) END")
}
