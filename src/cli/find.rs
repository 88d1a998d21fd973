//! Finds the one thing that is meant by what was typed.

use serde_json::Value;

use super::{api::Api, failure::Failure, words};

/// Rows that are looked through.
const MOST_ROWS: usize = 1_000;
/// The most rows of a list.
const MOST_LIMIT: usize = 100_000;

/// `--limit`: at least one row.
pub fn parse_limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=MOST_LIMIT).contains(limit));
    limit.ok_or_else(|| format!("1 to {MOST_LIMIT}"))
}

/// The id of the only row of a list that fits.
pub fn one_id(
    api: &Api,
    list: &str,
    query: &[(&str, Option<String>)],
    noun: &str,
    typed: &str,
    fits: impl Fn(&Value) -> bool,
) -> Result<String, Failure> {
    let rows = api.rows(list, query, MOST_ROWS)?;
    let found: Vec<&str> = rows.iter().filter(|row| fits(row)).map(|row| words::text(row, "id")).collect();
    match found.as_slice() {
        [id] => Ok((*id).to_owned()),
        [] => Err(Failure::No(format!("there is no {noun} {typed:?}; `tollgate {list} list` shows them"))),
        several => {
            Err(Failure::No(format!("{typed:?} is the name of several: say which by id\n  {}", several.join("\n  "))))
        }
    }
}
