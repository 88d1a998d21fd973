//! A cursor over one JSON text (RFC 8259) that knows where everything lies and builds nothing.
//!
//! serde_json would read the values as well, but it tells neither where a member begins nor how its
//! name was spelt, and both decide here: a member is cut out or replaced at its exact bytes, and a
//! name spelt by escapes is the same name. The grammar accepted is serde_json's (a property test
//! holds them together), with depth bounded at [`DEPTH_MAX`] by a bit stack instead of recursion.
//! Strings may hold any bytes from 0x20 up: who needs UTF-8 checks it on the whole text.

use std::{borrow::Cow, ops::Range};

/// Objects and arrays inside each other, the outermost counted.
pub(crate) const DEPTH_MAX: u32 = 64;

/// Why the text cannot be read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Not JSON from this byte on.
    At(usize),
    /// More than [`DEPTH_MAX`] deep.
    TooDeep,
}

/// A string as it stands in the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    /// Where its opening quote stands.
    pub start: usize,
    /// What stands between the quotes.
    pub inner: &'a [u8],
    /// Whether that has escapes.
    pub escaped: bool,
}

impl<'a> Text<'a> {
    /// The opening quote to past the closing one.
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.inner.len() + 2
    }
    /// The string that is meant; nothing if it is no Unicode text.
    pub fn unescape(&self) -> Option<Cow<'a, str>> {
        if !self.escaped {
            return std::str::from_utf8(self.inner).ok().map(Cow::Borrowed);
        }
        let mut quoted = Vec::with_capacity(self.inner.len() + 2);
        quoted.push(b'"');
        quoted.extend_from_slice(self.inner);
        quoted.push(b'"');
        serde_json::from_slice::<String>(&quoted).ok().map(Cow::Owned)
    }
    /// Whether this is `name`, however spelt.
    pub fn is(&self, name: &str) -> bool {
        if self.escaped { self.unescape().is_some_and(|text| text == name) } else { self.inner == name.as_bytes() }
    }
}

/// Reads from the front; every method leaves the cursor behind what it read.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Cursor<'a> {
    /// At the first byte that is not blank.
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut cursor = Self { bytes, at: 0, depth: 0 };
        cursor.blank();
        cursor
    }
    /// In the outermost object, before a value, as if all up to `at` had been read.
    pub fn resume(bytes: &'a [u8], at: usize) -> (Self, Members) {
        let mut cursor = Self { bytes, at, depth: 1 };
        cursor.blank();
        (cursor, Members { first: false })
    }
    /// How many bytes have been read.
    pub fn at(&self) -> usize {
        self.at
    }
    /// The byte that comes next.
    pub fn next_byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
    /// Goes into the object that stands here; then [`key`](Self::key) until there is none.
    pub fn enter_object(&mut self) -> Result<Members, Malformed> {
        self.enter(b'{')
    }
    /// Goes into the array that stands here; then [`element`](Self::element) until there is none.
    pub fn enter_array(&mut self) -> Result<Members, Malformed> {
        self.enter(b'[')
    }
    /// The next member's name, with the cursor at its value, which the caller must read; `None` past the closing brace.
    pub fn key(&mut self, members: &mut Members) -> Result<Option<Text<'a>>, Malformed> {
        if !self.more(members, b'}')? {
            return Ok(None);
        }
        self.name().map(Some)
    }
    /// Whether the cursor is at a further element, which the caller must read; `false` past the closing bracket.
    pub fn element(&mut self, members: &mut Members) -> Result<bool, Malformed> {
        self.more(members, b']')
    }
    /// Reads the string that stands here.
    pub fn string(&mut self) -> Result<Text<'a>, Malformed> {
        let start = self.at;
        self.expect(b'"')?;
        let mut escaped = false;
        loop {
            self.at += plain_run(self.bytes.get(self.at..).unwrap_or_default());
            match self.next_byte() {
                Some(b'"') => {
                    let inner = self.bytes.get(start + 1..self.at).unwrap_or_default();
                    self.at += 1;
                    return Ok(Text { start, inner, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return self.malformed(),
            }
        }
    }
    /// Reads whatever value stands here and tells where it lies.
    pub fn value(&mut self) -> Result<Range<usize>, Malformed> {
        let start = self.at;
        // One bit for each open level, the innermost lowest: is it an object?
        let (mut objects, mut open) = (0u64, 0u32);
        loop {
            match self.next_byte() {
                Some(b'"') => drop(self.string()?),
                Some(bracket @ (b'{' | b'[')) => {
                    self.at += 1;
                    self.blank();
                    let is_object = bracket == b'{';
                    if self.depth + open >= DEPTH_MAX {
                        return Err(Malformed::TooDeep);
                    }
                    if self.next_byte() == Some(if is_object { b'}' } else { b']' }) {
                        self.at += 1;
                    } else {
                        objects = (objects << 1) | u64::from(is_object);
                        open += 1;
                        if is_object {
                            self.name()?;
                        }
                        continue;
                    }
                }
                _ => self.scalar()?,
            }
            // A value has ended; close what ends with it.
            loop {
                if open == 0 {
                    return Ok(start..self.at);
                }
                self.blank();
                let in_object = objects & 1 == 1;
                match self.next_byte() {
                    Some(b',') => {
                        self.at += 1;
                        self.blank();
                        if in_object {
                            self.name()?;
                        }
                        break;
                    }
                    Some(b'}') if in_object => {}
                    Some(b']') if !in_object => {}
                    _ => return self.malformed(),
                }
                self.at += 1;
                open -= 1;
                objects >>= 1;
            }
        }
    }
    /// Reads past whatever value stands here.
    pub fn skip(&mut self) -> Result<(), Malformed> {
        self.value().map(|_| ())
    }
    /// Makes sure that only blanks remain.
    pub fn end(&mut self) -> Result<(), Malformed> {
        self.blank();
        if self.at == self.bytes.len() { Ok(()) } else { self.malformed() }
    }

    fn enter(&mut self, bracket: u8) -> Result<Members, Malformed> {
        self.expect(bracket)?;
        if self.depth >= DEPTH_MAX {
            return Err(Malformed::TooDeep);
        }
        self.depth += 1;
        Ok(Members { first: true })
    }
    fn more(&mut self, members: &mut Members, close: u8) -> Result<bool, Malformed> {
        self.blank();
        if self.next_byte() == Some(close) {
            self.at += 1;
            self.depth = self.depth.saturating_sub(1);
            return Ok(false);
        }
        if !std::mem::take(&mut members.first) {
            self.expect(b',')?;
            self.blank();
        }
        Ok(true)
    }
    /// A member's name and the colon.
    fn name(&mut self) -> Result<Text<'a>, Malformed> {
        let name = self.string()?;
        self.blank();
        self.expect(b':')?;
        self.blank();
        Ok(name)
    }
    #[inline]
    fn blank(&mut self) {
        if self.next_byte().is_some_and(|b| b <= b' ') {
            self.blanks();
        }
    }
    #[cold]
    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.next_byte() {
            self.at += 1;
        }
    }
    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.next_byte() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            self.malformed()
        }
    }
    fn escape(&mut self) -> Result<(), Malformed> {
        self.at += 1;
        match self.next_byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.next_byte().is_some_and(|b| b.is_ascii_hexdigit()) {
                        return self.malformed();
                    }
                    self.at += 1;
                }
            }
            _ => return self.malformed(),
        }
        Ok(())
    }
    fn scalar(&mut self) -> Result<(), Malformed> {
        match self.next_byte() {
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => self.malformed(),
        }
    }
    fn literal(&mut self, word: &[u8]) -> Result<(), Malformed> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            Ok(())
        } else {
            self.malformed()
        }
    }
    fn number(&mut self) -> Result<(), Malformed> {
        if self.next_byte() == Some(b'-') {
            self.at += 1;
        }
        if self.next_byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.next_byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.next_byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.next_byte() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }
    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while self.next_byte().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { self.malformed() }
    }
    fn malformed<T>(&self) -> Result<T, Malformed> {
        Err(Malformed::At(self.at))
    }
}

/// Where in an object or array its reader is.
pub(crate) struct Members {
    first: bool,
}

/// How many bytes at the front are neither quote, backslash nor control character, eight at a time
/// (Mycroft's test for a zero byte; a borrow can only mark a byte above a true hit, and the lowest is taken).
fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let zero_byte = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let mut length = 0;
    let mut rest = bytes;
    while let Some((chunk, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let hits = control | zero_byte(word ^ (ONES * u64::from(b'"'))) | zero_byte(word ^ (ONES * u64::from(b'\\')));
        if hits != 0 {
            return length + (hits.trailing_zeros() / 8) as usize;
        }
        length += 8;
        rest = after;
    }
    length + rest.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn whole(text: &[u8]) -> Result<(), Malformed> {
        let mut cursor = Cursor::new(text);
        cursor.skip()?;
        cursor.end()
    }

    #[test]
    fn nesting_is_bounded_and_bytes_are_not() {
        let nested = |n: usize| [b"[".repeat(n), b"]".repeat(n)].concat();
        assert_eq!(whole(&nested(64)), Ok(()));
        assert_eq!(whole(&nested(65)), Err(Malformed::TooDeep));
        assert_eq!(whole(&b"[".repeat(10_000_000)), Err(Malformed::TooDeep));
        assert_eq!(whole(format!("\"{}\"", "é".repeat(1_000_000)).as_bytes()), Ok(()));
    }

    #[test]
    fn a_malformed_text_is_refused_where_it_goes_wrong() {
        for (text, at) in [
            ("", 0),
            ("[1,]", 3),
            ("{\"a\" 1}", 5),
            ("01", 1),
            ("\"\t\"", 1),
            ("\"\\x\"", 2),
            ("-", 1),
            ("1.", 2),
            ("nul", 0),
            ("[1 2]", 3),
            ("{]", 1),
            ("[}", 1),
            ("1 1", 2),
            ("\"\\u12", 5),
        ] {
            assert_eq!(whole(text.as_bytes()), Err(Malformed::At(at)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn accepts_what_serde_json_accepts(text in "([\\[\\]{}:,\"\\\\ue0-9.+\\-truefalsn \n\t\u{1}é]|\"[a-z]\":|null|\\[\\]|\\{\\}|-?[0-9.e+]+){0,24}") {
            prop_assert_eq!(whole(text.as_bytes()).is_ok(), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
        }
        #[test]
        fn finds_the_end_of_a_plain_run(text in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b'\\'), Just(0x1f), Just(0x20), Just(0x80), Just(0xa2), any::<u8>()], 0..40)) {
            let slow = text.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20).unwrap_or(text.len());
            prop_assert_eq!(plain_run(&text), slow);
        }
    }
}
