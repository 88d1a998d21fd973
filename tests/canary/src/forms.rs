//! The forms in which a secret may lie somewhere: as it is, and encoded in each way that programs around us encode.

/// A form's name and the secret in it.
pub type Form = (&'static str, Vec<u8>);

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const FOR_URLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const NAMES: [[&str; 3]; 2] =
    [["base64 at 0", "base64 at 1", "base64 at 2"], ["base64url at 0", "base64url at 1", "base64url at 2"]];

/// What to look for: the secret in every form, as it looks in the middle of something longer.
#[must_use]
pub fn of(secret: &[u8]) -> Vec<Form> {
    let mut forms = byte_by_byte(secret);
    for (alphabet, names) in [STANDARD, FOR_URLS].into_iter().zip(NAMES) {
        for (before, name) in names.into_iter().enumerate() {
            forms.push((name, base64_in_the_middle(secret, before, alphabet)));
        }
    }
    forms
}

/// A whole text in every form: to see that what is in it is found.
#[must_use]
pub fn whole(text: &[u8]) -> Vec<Form> {
    let mut forms = byte_by_byte(text);
    forms.push(("base64", base64(text, STANDARD)));
    forms.push(("base64url", base64(text, FOR_URLS)));
    forms
}

/// The forms in which each byte stands for itself.
fn byte_by_byte(text: &[u8]) -> Vec<Form> {
    let each = |form: fn(u8) -> String| text.iter().flat_map(|byte| form(*byte).into_bytes()).collect::<Vec<u8>>();
    let joined = |between: &str| {
        let numbers: Vec<String> = text.iter().map(u8::to_string).collect();
        numbers.join(between).into_bytes()
    };
    vec![
        ("plain", text.to_vec()),
        ("hex", each(|byte| format!("{byte:02x}"))),
        ("upper-case hex", each(|byte| format!("{byte:02X}"))),
        ("percent-escaped", each(|byte| format!("%{byte:02x}"))),
        ("percent-escaped in upper case", each(|byte| format!("%{byte:02X}"))),
        ("JSON-escaped", each(|byte| format!("\\u00{byte:02x}"))),
        ("JSON-escaped in upper case", each(|byte| format!("\\u00{byte:02X}"))),
        ("HTML-escaped", each(|byte| format!("&#{byte};"))),
        ("HTML-escaped in hex", each(|byte| format!("&#x{byte:x};"))),
        ("UTF-16, little end first", text.iter().flat_map(|byte| [*byte, 0]).collect()),
        ("UTF-16, big end first", text.iter().flat_map(|byte| [0, *byte]).collect()),
        ("list of numbers", joined(", ")),
        ("list of numbers without blanks", joined(",")),
        ("backwards", text.iter().rev().copied().collect()),
    ]
}

fn base64(text: &[u8], alphabet: &[u8; 64]) -> Vec<u8> {
    let digits = (text.len() * 8).div_ceil(6);
    (0..digits).map(|at| digit(text, at, alphabet)).collect()
}

/// The digits that the secret alone decides, with `before` other bytes before it (modulo 3).
fn base64_in_the_middle(secret: &[u8], before: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let text: Vec<u8> = std::iter::repeat_n(0, before).chain(secret.iter().copied()).collect();
    ((before * 8).div_ceil(6)..text.len() * 8 / 6).map(|at| digit(&text, at, alphabet)).collect()
}

/// The digit at this place: six bits.
fn digit(text: &[u8], at: usize, alphabet: &[u8; 64]) -> u8 {
    let byte = |index: usize| u16::from(text.get(index).copied().unwrap_or_default());
    let (index, shift) = (at * 6 / 8, at * 6 % 8);
    let pair = (byte(index) << 8) | byte(index + 1);
    let value = usize::from(pair >> (10 - shift)) & 63;
    alphabet.get(value).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (text, encoded) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(text.as_bytes(), STANDARD), encoded.as_bytes(), "{text}");
        }
        assert_eq!(base64(&[0xfb, 0xff], FOR_URLS), b"-_8");
    }

    #[test]
    fn in_the_middle_only_what_is_decided_stands() {
        assert_eq!(base64_in_the_middle(b"foobar", 0, STANDARD), b"Zm9vYmFy");
        // "xfoobar" and "yfoobar": the first digits and the last differ by what is around.
        assert_eq!(base64_in_the_middle(b"foobar", 1, STANDARD), b"Zvb2Jhc");
        assert!(base64(b"xfoobar!", STANDARD).windows(7).any(|window| window == b"Zvb2Jhc"));
    }
}
