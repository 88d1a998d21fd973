//! Keys by their form alone: `<prefix>_<12>_<43><6>`, where the last six are CRC-32 (IEEE) of everything before, in
//! base 62.

/// What stands in the middle.
const ID: usize = 12;
/// The secret and its checksum.
const TAIL: usize = 43 + 6;
const CHECKSUM: usize = 6;
/// A key's prefix, with the letter of tokens and links.
const PREFIX: std::ops::RangeInclusive<usize> = 2..=13;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A text that has the form and the checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyForm {
    /// All of it.
    pub text: String,
    /// Where it begins.
    pub at: usize,
    /// Where in it its secret part begins.
    pub tail_at: usize,
}

/// All keys, access tokens, links and sessions in plain text.
#[must_use]
pub fn of_key_form(bytes: &[u8]) -> Vec<KeyForm> {
    let mut found: Vec<KeyForm> = Vec::new();
    for (second, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'_') {
        found.extend(around(bytes, second));
    }
    found
}

/// The one whose second underscore is this.
fn around(bytes: &[u8], second: usize) -> Option<KeyForm> {
    let first = second.checked_sub(ID + 1).filter(|first| bytes.get(*first) == Some(&b'_'))?;
    let (tail, end) = (second + 1, second + 1 + TAIL);
    let alphanumeric = |part: &[u8]| part.iter().all(u8::is_ascii_alphanumeric);
    if !alphanumeric(bytes.get(first + 1..second)?) || !alphanumeric(bytes.get(tail..end)?) {
        return None;
    }
    PREFIX.filter_map(|length| first.checked_sub(length)).find_map(|at| {
        let (body, checksum) = (bytes.get(at..end - CHECKSUM)?, bytes.get(end - CHECKSUM..end)?);
        let fits = checksum_of(body) == checksum;
        let text = String::from_utf8(bytes.get(at..end)?.to_vec()).ok()?;
        fits.then_some(KeyForm { text, at, tail_at: tail - at })
    })
}

fn checksum_of(body: &[u8]) -> Vec<u8> {
    let mut rest = crc32fast::hash(body) as usize;
    let mut digits: Vec<u8> = (0..CHECKSUM)
        .filter_map(|_| {
            let digit = DIGITS.get(rest % 62).copied();
            rest /= 62;
            digit
        })
        .collect();
    digits.reverse();
    digits
}

/// A made-up key, completed.
#[cfg(test)]
pub fn with_checksum(body: &str) -> String {
    let whole = body.find('_').unwrap() + 1 + ID + 1 + TAIL - CHECKSUM;
    let padded = format!("{body:0<whole$}");
    let checksum = checksum_of(padded.as_bytes());
    padded + std::str::from_utf8(&checksum).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_checksum_alone() {
        let key = with_checksum("tga_0123456789AB_secret");
        assert_eq!(key.len(), 4 + ID + 1 + TAIL);
        let text = format!("cookie={key}; path=/ {} word_{key}", &key[..60]);
        let found = of_key_form(text.as_bytes());
        assert_eq!(found.iter().map(|found| found.at).collect::<Vec<_>>(), [7, text.len() - key.len()]);
        assert!(found.iter().all(|found| found.text == key && found.tail_at == 17));
        assert_eq!(of_key_form(text.replace("secret", "secreT").as_bytes()), []);
    }
}
