//! Lists of keys: filtered, searched, in any of four orders, in pages that hold at any number of keys.
//!
//! A page is cut by the order's own value and the row number. What an order goes by is read first, for one page; the rest of
//! a key only for the rows that are shown.

use sqlx::AssertSqlSafe;
use tollgate_core::{
    Account, Id, Key, KeyStatus, Timestamp, User,
    name::Label,
    secret::{self, PublicId},
};

use super::row::{COLUMNS, CREATOR_IS_OUT, FROM, key_of};
use crate::{
    Page, PageRequest, Result, Store, StoreError,
    cursor::{cursor_of, like_pattern},
    value::{Value, values},
};

/// Cursors of key lists.
const LIST: char = 'k';
/// As much of a name as lists are sorted by, in characters; the twin migrations have it too.
const SORTED_BY: usize = 64;
/// The place of a key that never ends among those that do.
const NEVER: i64 = i64::MAX;
/// The place of a key that was never used among those that were.
const UNUSED: i64 = -1;

/// Which keys to list, and in which order.
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    /// Only with this status (at the world's now).
    pub status: Option<KeyStatus>,
    /// Only those whose name, note or public id contains this, without regard to case.
    pub search: Option<String>,
    /// Only those made by this user.
    pub created_by: Option<Id<User>>,
    /// The order; newest first where nothing is said.
    pub order: KeyOrder,
}

/// What keys are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum KeySort {
    /// When they were made.
    #[default]
    Created,
    /// Their names in lower case, by code point.
    Name,
    /// When they were last used; never comes before any time.
    LastUsed,
    /// When they end; never comes behind any time.
    Expiry,
}

/// An order of keys. The default: newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyOrder {
    /// What they are sorted by; the same goes by when they were made.
    pub by: KeySort,
    /// From the least on, not from the greatest.
    pub ascending: bool,
    /// The page *before* the cursor, in the list's own order. `next_cursor` then leads further back.
    pub backwards: bool,
}

impl KeyOrder {
    /// The cursor of the page that begins behind this key (with `backwards`: that ends before it).
    #[must_use]
    pub fn cursor(&self, key: &Key) -> String {
        cursor_of(LIST, &self.place(key))
    }
    /// Where a key stands in this order, as text.
    fn place(&self, key: &Key) -> String {
        let no = key.no.get();
        let at = |at: Option<Timestamp>, none| at.map_or(none, Timestamp::as_millis);
        match self.by {
            KeySort::Created => no.to_string(),
            KeySort::Name => format!("n{no}:{}", sort_name(&key.name)),
            KeySort::LastUsed => format!("u{no}:{}", at(key.last_used_at, UNUSED)),
            KeySort::Expiry => format!("e{no}:{}", at(key.expires_at, NEVER)),
        }
    }
    /// Reads what [`Self::place`] wrote: the value that is sorted by, and the row number.
    fn read(&self, place: &str) -> Option<(Value, i64)> {
        let parts = |mark| place.strip_prefix(mark).and_then(|rest: &str| rest.split_once(':'));
        let number = |(no, value): (&str, &str)| Some((Value::from(value.parse::<i64>().ok()?), no.parse().ok()?));
        match self.by {
            KeySort::Created => place.parse().ok().map(|no: i64| (Value::from(no), no)),
            KeySort::Name => parts('n').and_then(|(no, name)| Some((Value::from(name), no.parse().ok()?))),
            KeySort::LastUsed => parts('u').and_then(number),
            KeySort::Expiry => parts('e').and_then(number),
        }
    }
    const fn column(&self) -> &'static str {
        match self.by {
            KeySort::Created => "k.no",
            KeySort::Name => "k.sort_name",
            KeySort::LastUsed => "COALESCE(s.last_used_at, -1)",
            KeySort::Expiry => "COALESCE(k.expires_at, 9223372036854775807)",
        }
    }
}

/// What a name is sorted by.
pub(super) fn sort_name(name: &Label) -> String {
    name.as_str().to_lowercase().chars().take(SORTED_BY).collect()
}

impl Store {
    /// Keys of the account in the filter's order.
    ///
    /// # Errors
    /// A cursor that is none or of another order, or when the store fails.
    pub async fn key_list(&self, account: Id<Account>, filter: &KeyFilter, page: &PageRequest) -> Result<Page<Key>> {
        let order = &filter.order;
        let column = order.column();
        let mut values = values![account];
        let joined = if order.by == KeySort::LastUsed { "LEFT JOIN key_usage s ON s.key_no = k.no" } else { "" };
        let mut within = format!(
            "SELECT k.no AS no, {column} AS place FROM keys k {joined}
             WHERE k.account_no = (SELECT no FROM accounts WHERE id = $1)"
        );
        let mut with = |condition: &str, value: Value| {
            values.push(value);
            within.push_str(&condition.replace("$n", &format!("${}", values.len())));
        };
        let now = self.world().now();
        match filter.status {
            None => {}
            Some(KeyStatus::Active) => {
                let ends = " AND k.state = 'active' AND (k.expires_at IS NULL OR k.expires_at > $n)";
                with(&format!("{ends} AND NOT {CREATOR_IS_OUT}"), now.into());
            }
            Some(KeyStatus::Expired) => {
                with(&format!(" AND k.state = 'active' AND k.expires_at <= $n AND NOT {CREATOR_IS_OUT}"), now.into());
            }
            Some(KeyStatus::Disabled) => {
                let state = KeyStatus::Disabled.as_str();
                with(&format!(" AND (k.state = $n OR (k.state = 'active' AND {CREATOR_IS_OUT}))"), state.into());
            }
            Some(other) => with(" AND k.state = $n", other.as_str().into()),
        }
        if let Some(search) = &filter.search {
            // Somebody who has a key's whole text finds it by its id; the secret part goes nowhere.
            let pasted = secret::find(search.as_bytes(), 0).map(|found| found.hint.id);
            let search = pasted.as_ref().map_or(search.as_str(), PublicId::as_str);
            with(" AND k.search_text LIKE $n ESCAPE '!'", like_pattern(&search.to_lowercase()).into());
        }
        if let Some(user) = filter.created_by {
            with(" AND k.created_by = (SELECT no FROM users WHERE id = $n)", user.into());
        }
        let rising = order.ascending != order.backwards;
        let (beyond, direction) = if rising { ('>', "") } else { ('<', "DESC") };
        if let Some(place) = page.after(LIST)? {
            let place = order.read(&place).ok_or(StoreError::State("this cursor is not one of this list"))?;
            if order.by == KeySort::Created {
                with(&format!(" AND k.no {beyond} $n"), place.0);
            } else {
                with(&format!(" AND ({column}, k.no) {beyond} ($n, "), place.0);
                with("$n)", place.1.into());
            }
        }
        with(&format!(" ORDER BY {column} {direction}, k.no {direction} LIMIT $n"), page.rows().into());
        let sql = format!(
            "SELECT {COLUMNS} {FROM} JOIN ({within}) l ON l.no = k.no ORDER BY l.place {direction}, l.no {direction}"
        );
        let rows = self.pools().rows(AssertSqlSafe(sql), values).await?;
        let keys = rows.iter().map(|row| key_of(row, now)).collect::<Result<Vec<_>>>()?;
        let mut page = page.page(LIST, keys, |key| order.place(key));
        if order.backwards {
            page.data.reverse();
        }
        Ok(page)
    }
}
