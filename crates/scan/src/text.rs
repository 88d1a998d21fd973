//! Reads the characters of a key out of a text in which they may be escaped, and may lie apart: JSON, URLs, HTML, Markdown,
//! source code, wrapped lines, UTF-16.
//!
//! It reads generously, since nothing that it makes of a text is believed before form and checksum fit. Whatever the text is,
//! the work for each place is bounded by [`MOST_SPAN`].

use tollgate_core::secret::{CHECKSUM_LENGTH, ID_LENGTH, LONGEST, Prefix, SECRET_LENGTH};
use zeroize::Zeroizing;

use crate::key::{Form, FoundKey};

/// The most bytes between two characters of a key.
pub(crate) const MOST_GLUE: usize = 128;
/// The most bytes that a key may be spread over.
pub(crate) const MOST_SPAN: usize = 8 << 10;
/// The most backslashes before an escape: JSON inside of JSON doubles them each time.
const MOST_BACKSLASHES: usize = 16;
/// How often `%` or `&` may have been escaped itself.
const MOST_LAYERS: usize = 4;

/// What was met on the way.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Marks {
    escaped: bool,
    split: bool,
    wide: bool,
}

impl Marks {
    pub(crate) const fn form(self) -> Form {
        match self {
            Self { wide: true, .. } => Form::Wide,
            Self { escaped: true, .. } => Form::Escaped,
            Self { split: true, .. } => Form::Split,
            _ => Form::Plain,
        }
    }
}

/// Whether a byte is one that keys are made of.
pub(crate) const fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The key or access token of this prefix that begins at `start`, and where it ends.
pub(crate) fn key_at(text: &[u8], start: usize, prefix: &Prefix) -> Option<(FoundKey, usize, Marks)> {
    let mut marks = Marks::default();
    let mut key = Zeroizing::new([0u8; LONGEST]);
    let mut length = 0;
    let mut at = start;
    let mut next = |at: &mut usize| {
        let (byte, end) = character(text, *at, &mut marks)?;
        if end - start > MOST_SPAN {
            return None;
        }
        *key.get_mut(length)? = byte;
        length += 1;
        *at = end;
        Some(byte)
    };
    for expected in prefix.as_str().bytes() {
        if next(&mut at)? != expected {
            return None;
        }
    }
    match next(&mut at)? {
        b'_' => {}
        b'a' if next(&mut at)? == b'_' => {}
        _ => return None,
    }
    for _ in 0..ID_LENGTH {
        next(&mut at).filter(u8::is_ascii_alphanumeric)?;
    }
    next(&mut at).filter(|byte| *byte == b'_')?;
    for _ in 0..SECRET_LENGTH + CHECKSUM_LENGTH {
        next(&mut at).filter(u8::is_ascii_alphanumeric)?;
    }
    let key = FoundKey::checked(key.get(..length)?)?;
    Some((key, at, marks))
}

/// The next character of a key at or behind `at`, and where it ends.
pub(crate) fn character(text: &[u8], at: usize, marks: &mut Marks) -> Option<(u8, usize)> {
    let mut place = at;
    loop {
        let byte = *text.get(place)?;
        if is_key_byte(byte) {
            return Some((byte, place + 1));
        }
        if let Some(escaped) = escape(text, place) {
            marks.escaped = true;
            return Some(escaped);
        }
        let end = glue(text, place)?;
        if byte == 0 {
            marks.wide = true;
        } else {
            marks.split = true;
        }
        if end - at > MOST_GLUE {
            return None;
        }
        place = end;
    }
}

/// The character of a key that is escaped at `at`, and where the escape ends.
pub(crate) fn escape(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let (byte, end) = match text.get(at)? {
        b'%' => {
            let digits = repeated(text, at + 1, b"25");
            hexadecimal(text, digits, 2)?
        }
        // Quoted-printable (RFC 2045).
        b'=' => hexadecimal(text, at + 1, 2)?,
        b'\\' => backslash_escape(text, backslashes(text, at)?)?,
        b'&' => entity(text, repeated(text, at + 1, b"amp;"))?,
        _ => return None,
    };
    is_key_byte(byte).then_some((byte, end))
}

/// What stands behind backslashes: `u005f`, `u{5f}`, `U0000005f`, `x5f`, `137`, `_`.
fn backslash_escape(text: &[u8], at: usize) -> Option<(u8, usize)> {
    match text.get(at)? {
        b'_' => Some((b'_', at + 1)),
        b'u' if text.get(at + 1) == Some(&b'{') => {
            let (byte, end) = braced(text, at + 2)?;
            (text.get(end) == Some(&b'}')).then_some((byte, end + 1))
        }
        b'u' => hexadecimal(text, at + 1, 4),
        b'U' => hexadecimal(text, at + 1, 8),
        b'x' => hexadecimal(text, at + 1, 2),
        b'0'..=b'1' => {
            let digits = text.get(at..at + 3)?;
            let value = digits.iter().try_fold(0u32, |value, digit| {
                matches!(digit, b'0'..=b'7').then(|| value * 8 + u32::from(digit - b'0'))
            })?;
            Some((u8::try_from(value).ok()?, at + 3))
        }
        _ => None,
    }
}

/// What stands behind `&`: `#95;`, `#x5f;`, `lowbar;`.
fn entity(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let rest = text.get(at..)?;
    if rest.starts_with(b"lowbar;") {
        return Some((b'_', at + 7));
    }
    let rest = rest.strip_prefix(b"#")?;
    let (digits, radix, before) = match rest.first()? {
        b'x' | b'X' => (rest.get(1..)?, 16, at + 2),
        _ => (rest, 10, at + 1),
    };
    let length = digits.iter().take(8).take_while(|digit| char::from(**digit).is_digit(radix)).count();
    let value = u32::from_str_radix(std::str::from_utf8(digits.get(..length)?).ok()?, radix).ok()?;
    (digits.get(length) == Some(&b';')).then_some((u8::try_from(value).ok()?, before + length + 1))
}

/// `count` hexadecimal digits that are an ASCII character's number.
fn hexadecimal(text: &[u8], at: usize, count: usize) -> Option<(u8, usize)> {
    let digits = text.get(at..at + count)?;
    let value = digits.iter().try_fold(0u32, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))?;
    Some((u8::try_from(value).ok()?, at + count))
}

/// One to eight hexadecimal digits.
fn braced(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let count = text.get(at..)?.iter().take(8).take_while(|digit| digit.is_ascii_hexdigit()).count();
    if count == 0 { None } else { hexadecimal(text, at, count) }
}

/// Behind what repeats at `at`.
fn repeated(text: &[u8], at: usize, what: &[u8]) -> usize {
    let mut at = at;
    for _ in 0..MOST_LAYERS {
        if !text.get(at..).is_some_and(|rest| rest.starts_with(what)) {
            break;
        }
        at += what.len();
    }
    at
}

/// Behind the backslashes at `at`.
fn backslashes(text: &[u8], at: usize) -> Option<usize> {
    let count = text.get(at..)?.iter().take_while(|byte| **byte == b'\\').count();
    (count <= MOST_BACKSLASHES).then_some(at + count)
}

/// What may lie between two characters of a key, if it begins at `at`: where it ends.
pub(crate) fn glue(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    match *rest.first()? {
        0 => Some(at + 1),
        b'\r' | b'\n' => Some(line_break(text, at)),
        b'=' if matches!(rest.get(1), Some(b'\r' | b'\n')) => Some(line_break(text, at + 1)),
        b'"' | b'\'' | b'`' => joined(text, at + 1),
        b'\\' => {
            let behind = backslashes(text, at)?;
            match *text.get(behind)? {
                b'\r' | b'\n' => Some(line_break(text, behind)),
                b'n' | b'r' | b't' => Some(behind + 1),
                b'"' | b'\'' => joined(text, behind + 1),
                _ => None,
            }
        }
        // A tag: <wbr>, or the marks of a highlighter.
        b'<' => {
            let end = rest.iter().take(MOST_GLUE).position(|byte| *byte == b'>')?;
            matches!(rest.get(1), Some(b'/' | b'a'..=b'z' | b'A'..=b'Z')).then_some(at + end + 1)
        }
        // The colours of a terminal.
        0x1b if rest.get(1) == Some(&b'[') => {
            let end = rest.iter().skip(2).take(MOST_GLUE).position(u8::is_ascii_alphabetic)?;
            Some(at + 2 + end + 1)
        }
        // What nobody sees: soft hyphen, zero-width space and joiners, word joiner, byte order mark.
        0xc2 if rest.starts_with(b"\xc2\xad") => Some(at + 2),
        0xe2 if matches!(rest.get(1..3), Some(b"\x80\x8b" | b"\x80\x8c" | b"\x80\x8d" | b"\x81\xa0")) => Some(at + 3),
        0xef if rest.starts_with(b"\xef\xbb\xbf") => Some(at + 3),
        b'&' => [&b"&shy;"[..], b"&#173;", b"&#8203;", b"&ZeroWidthSpace;"]
            .iter()
            .find(|entity| rest.starts_with(entity))
            .map(|entity| at + entity.len()),
        _ => None,
    }
}

/// Behind line breaks and what new lines begin with: blanks, or the marks of quotes, comments and patches.
fn line_break(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let is_between = |byte: &u8| matches!(byte, b'\r' | b'\n' | b' ' | b'\t' | b'>' | b'#' | b'*' | b'|' | b'+' | b'-');
    at + rest.iter().take(MOST_GLUE).take_while(|byte| is_between(byte)).count()
}

/// Behind the quote that a string literal goes on with, `at` being behind the one that it paused with: `" + \n "`, `" "`.
fn joined(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let between = |byte: &u8| {
        matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'+' | b'.' | b'&' | b'~' | b'\\' | b'(' | b')' | b'$' | b',')
    };
    let mut count = rest.iter().take(MOST_GLUE).take_while(|byte| between(byte)).count();
    // Python's and C's marks of a literal.
    while count > 0 && matches!(rest.get(count), Some(b'f' | b'r' | b'b' | b'u' | b'L' | b'@')) {
        count += 1;
    }
    let open = rest.get(count).filter(|byte| matches!(byte, b'"' | b'\'' | b'`'));
    (count > 0 && open.is_some()).then_some(at + count + 1)
}
