//! Statements with many rows of values. They come in a few fixed sizes, so that prepared statements are used again.
//!
//! Here the engines' texts differ in how a parameter is written. SQLite keeps the names of named ones (`$1`) in a list and
//! walks it for each that is bound: with 1,536 of them that took most of the time of the whole insert. Its plain `?` has
//! no name. PostgreSQL knows only `$1`.

use std::fmt::Write as _;

use sqlx::AssertSqlSafe;

use crate::{
    Result, StoreEngine,
    engine::{Row, Tx},
    value::Value,
};

/// Most parameters of one statement: SQLite's limit is 32,766, PostgreSQL's 65,535; longer statements gain nothing.
const MOST_PARAMETERS: usize = 2_048;

/// `INSERT … VALUES` and what stands around the rows.
pub(crate) struct Insert {
    /// Up to and including `VALUES `.
    pub(crate) head: &'static str,
    /// Parameters of a row.
    pub(crate) columns: usize,
    /// Behind the rows: ` ON CONFLICT …`.
    pub(crate) tail: &'static str,
}

/// Inserts all rows.
pub(crate) async fn execute(tx: &mut Tx, insert: &Insert, rows: Vec<Vec<Value>>) -> Result<u64> {
    let mut changed = 0;
    for (sql, values) in statements(tx.engine(), insert, rows) {
        changed += tx.execute(AssertSqlSafe(sql), values).await?;
    }
    Ok(changed)
}

/// Inserts all rows and collects what the statement returns.
pub(crate) async fn returning(tx: &mut Tx, insert: &Insert, rows: Vec<Vec<Value>>) -> Result<Vec<Row>> {
    let mut returned = Vec::new();
    for (sql, values) in statements(tx.engine(), insert, rows) {
        returned.append(&mut tx.rows(AssertSqlSafe(sql), values).await?);
    }
    Ok(returned)
}

/// Cuts the rows into statements of a power of two rows each.
fn statements(engine: StoreEngine, insert: &Insert, rows: Vec<Vec<Value>>) -> Vec<(String, Vec<Value>)> {
    let most = largest_power_of_two(MOST_PARAMETERS / insert.columns.max(1));
    let mut statements = Vec::new();
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let size = most.min(largest_power_of_two(rows.len()));
        let values = rows.by_ref().take(size).flatten().collect();
        statements.push((text(engine, insert, size), values));
    }
    statements
}

fn largest_power_of_two(most: usize) -> usize {
    1 << most.max(1).ilog2()
}

fn text(engine: StoreEngine, insert: &Insert, rows: usize) -> String {
    let mut sql = String::with_capacity(insert.head.len() + insert.tail.len() + rows * insert.columns * 6);
    sql.push_str(insert.head);
    let mut number = 1;
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..insert.columns {
            // Writing to a String cannot fail.
            let _ = match engine {
                StoreEngine::Sqlite => write!(sql, "{}?", if column == 0 { "" } else { ", " }),
                StoreEngine::Postgres => write!(sql, "{}${number}", if column == 0 { "" } else { ", " }),
            };
            number += 1;
        }
        sql.push(')');
    }
    sql.push_str(insert.tail);
    sql
}

/// `$first, $first+1, …`: the inside of an `IN (…)`.
pub(crate) fn placeholders(first: usize, count: usize) -> String {
    let mut text = String::with_capacity(count * 5);
    for number in first..first + count {
        let _ = write!(text, "{}${number}", if number == first { "" } else { ", " });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_powers_of_two() {
        let insert = Insert { head: "INSERT INTO t VALUES ", columns: 2, tail: " RETURNING a" };
        let rows = |count: usize| (0..count).map(|_| vec![Value::from(1i64), Value::from(2i64)]).collect::<Vec<_>>();
        let sizes = |count| -> Vec<_> {
            statements(StoreEngine::Sqlite, &insert, rows(count)).iter().map(|(_, v)| v.len() / 2).collect()
        };
        assert_eq!(sizes(0), Vec::<usize>::new());
        assert_eq!(sizes(11), [8, 2, 1]);
        assert_eq!(sizes(2_049), [1_024, 1_024, 1]);
        let texts = [StoreEngine::Postgres, StoreEngine::Sqlite].map(|engine| text(engine, &insert, 2));
        assert_eq!(texts[0], "INSERT INTO t VALUES ($1, $2), ($3, $4) RETURNING a");
        assert_eq!(texts[1], "INSERT INTO t VALUES (?, ?), (?, ?) RETURNING a");
        assert_eq!(placeholders(3, 2), "$3, $4");
    }
}
