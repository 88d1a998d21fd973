//! Where a page of a list begins: the sort key of the last row of the page before, as opaque hexadecimal text.
//!
//! Pages are cut by that key and not by a count, so rows made or removed meanwhile neither repeat nor hide others.

use crate::{
    Page, PageRequest, Result, StoreError,
    engine::{Columns, Row},
};

/// The longest sort key, in bytes: 64 characters of a key's name and its number.
const LONGEST: usize = 280;
const NO_CURSOR: StoreError = StoreError::State("this cursor is not one of this list");

impl PageRequest {
    /// How many rows to ask for: one more than the page, to know whether another follows.
    pub(crate) fn rows(&self) -> i64 {
        i64::try_from(self.size() + 1).unwrap_or(i64::MAX)
    }
    fn size(&self) -> usize {
        let size = if self.limit == 0 { Self::USUAL } else { self.limit.min(Self::MOST) };
        usize::try_from(size).unwrap_or(1)
    }
    /// The text behind which this page begins; `None` for the first page. `list` tells cursors of lists apart.
    pub(crate) fn after(&self, list: char) -> Result<Option<String>> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let digits = cursor.strip_prefix(list).filter(|digits| digits.len() <= 2 * LONGEST).ok_or(NO_CURSOR)?;
        Ok(Some(text_of_hex(digits).ok_or(NO_CURSOR)?))
    }
    /// The number below which (newest first) or above which this page begins.
    pub(crate) fn after_number(&self, list: char) -> Result<Option<i64>> {
        self.after(list)?.map(|text| text.parse().map_err(|_| NO_CURSOR)).transpose()
    }
    /// Cuts the page to size; the row too many becomes the next cursor.
    pub(crate) fn page<T>(&self, list: char, mut rows: Vec<T>, key: impl Fn(&T) -> String) -> Page<T> {
        let more = rows.len() > self.size();
        rows.truncate(self.size());
        let next_cursor = rows.last().filter(|_| more).map(|last| cursor_of(list, &key(last)));
        Page { data: rows, next_cursor }
    }
    /// The page of rows that begin with their row number, by which the list is sorted.
    pub(crate) fn numbered<T>(
        &self,
        list: char,
        rows: &[Row],
        read: impl Fn(&mut Columns<'_>) -> Result<T>,
    ) -> Result<Page<T>> {
        let numbered = |row: &Row| {
            let mut columns = row.columns();
            Ok((columns.next::<i64>()?, read(&mut columns)?))
        };
        let page = self.page(list, rows.iter().map(numbered).collect::<Result<_>>()?, |(no, _)| no.to_string());
        Ok(Page { data: page.data.into_iter().map(|(_, one)| one).collect(), next_cursor: page.next_cursor })
    }
}

/// The cursor of what stands at this sort key.
pub(crate) fn cursor_of(list: char, key: &str) -> String {
    format!("{list}{}", hex_of(key))
}

/// A pattern for `LIKE … ESCAPE '!'` that finds `text` anywhere, its own wildcards meaning themselves.
pub(crate) fn like_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    // No stored text has a NUL: one in the pattern finds nothing, and PostgreSQL would refuse it.
    for c in text.chars().map(|c| if c == '\0' { '\u{1}' } else { c }) {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

fn hex_of(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn text_of_hex(digits: &str) -> Option<String> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? * 16 + digit(low)?),
            _ => None,
        })
        .collect();
    String::from_utf8(bytes?).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_behind_the_last_row_of_its_page_and_of_no_other_list() {
        let first = PageRequest { cursor: None, limit: 2 };
        assert_eq!(first.rows(), 3);
        let page = first.page('k', vec![9i64, 8, 7], i64::to_string);
        assert_eq!(page.data, [9, 8]);
        let next = PageRequest { cursor: page.next_cursor, limit: 2 };
        assert_eq!(next.after_number('k').unwrap(), Some(8));
        assert!(next.after_number('u').is_err());
        assert_eq!(next.page('k', vec![7i64], i64::to_string).next_cursor, None);
        for wrong in ["", "k0", "kzz", "k00", "k\u{e9}", &format!("k{}", "30".repeat(300)), "kff"] {
            let page = PageRequest { cursor: Some(wrong.into()), limit: 0 };
            assert!(matches!(page.after('k'), Err(StoreError::State(_))), "{wrong}");
        }
    }
}
