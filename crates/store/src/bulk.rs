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

/// A statement that is ready: its text and its parameters.
pub(crate) struct Statement {
    sql: String,
    values: Vec<Value>,
}

/// Inserts all rows.
pub(crate) async fn execute(tx: &mut Tx, insert: &Insert, rows: Vec<Vec<Value>>) -> Result<u64> {
    let values = rows.into_iter().flatten().collect();
    run(tx, statements(tx.engine(), insert, values)).await
}

/// Runs statements that were made before; how many rows they changed.
pub(crate) async fn run(tx: &mut Tx, statements: Vec<Statement>) -> Result<u64> {
    let mut changed = 0;
    for Statement { sql, values } in statements {
        changed += tx.execute(AssertSqlSafe(sql), values).await?;
    }
    Ok(changed)
}

/// Inserts all rows and collects what the statement returns.
pub(crate) async fn returning(tx: &mut Tx, insert: &Insert, values: Vec<Value>) -> Result<Vec<Row>> {
    let mut returned = Vec::new();
    for Statement { sql, values } in statements(tx.engine(), insert, values) {
        returned.append(&mut tx.rows(AssertSqlSafe(sql), values).await?);
    }
    Ok(returned)
}

/// The statements that insert rows, whose values come one row after the other: each of a power of two rows.
pub(crate) fn statements(engine: StoreEngine, insert: &Insert, values: Vec<Value>) -> Vec<Statement> {
    let columns = insert.columns.max(1);
    let most = largest_power_of_two(MOST_PARAMETERS / columns);
    let mut statements = Vec::new();
    let mut values = values.into_iter();
    while values.len() >= columns {
        let size = most.min(largest_power_of_two(values.len() / columns));
        let values = values.by_ref().take(size * columns).collect();
        statements.push(Statement { sql: text(engine, insert, size), values });
    }
    statements
}

fn largest_power_of_two(most: usize) -> usize {
    1 << most.max(1).ilog2()
}

fn text(engine: StoreEngine, insert: &Insert, rows: usize) -> String {
    let mut sql = String::with_capacity(insert.head.len() + insert.tail.len() + rows * (insert.columns * 6 + 4));
    sql.push_str(insert.head);
    // All rows of SQLite's are alike.
    let plain = format!("({})", vec!["?"; insert.columns].join(", "));
    for row in 0..rows {
        sql.push_str(if row == 0 { "" } else { ", " });
        match engine {
            StoreEngine::Sqlite => sql.push_str(&plain),
            StoreEngine::Postgres => {
                sql.push('(');
                numbers(&mut sql, row * insert.columns + 1, insert.columns);
                sql.push(')');
            }
        }
    }
    sql.push_str(insert.tail);
    sql
}

/// `$first, $first+1, …`: the inside of an `IN (…)`.
pub(crate) fn placeholders(first: usize, count: usize) -> String {
    let mut text = String::with_capacity(count * 5);
    numbers(&mut text, first, count);
    text
}

fn numbers(text: &mut String, first: usize, count: usize) {
    for number in first..first + count {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}${number}", if number == first { "" } else { ", " });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_powers_of_two() {
        let insert = Insert { head: "INSERT INTO t VALUES ", columns: 2, tail: " RETURNING a" };
        let values = |rows: usize| vec![Value::from(1i64); rows * 2];
        let sizes = |rows| -> Vec<_> {
            statements(StoreEngine::Sqlite, &insert, values(rows)).iter().map(|one| one.values.len() / 2).collect()
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
