//! Base64 around keys, without knowing where it begins: three bytes are four characters, so what a prefix looks like depends
//! only on where in a group of three it begins.
//!
//! Keys are made of letters, digits and `_`. None of them, wherever it stands, makes the two characters in which the standard
//! and the URL-safe alphabet differ, nor does its base64 in base64 again: one reader does for both.

use zeroize::Zeroizing;

use crate::text::{MOST_SPAN, Marks, character};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Where in a group of three bytes the first one stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alignment {
    First,
    Second,
    Third,
}

pub(crate) const ALIGNMENTS: [Alignment; 3] = [Alignment::First, Alignment::Second, Alignment::Third];

impl Alignment {
    /// Bits of the first byte that share a character with the byte before it.
    const fn shared_bits(self) -> u32 {
        match self {
            Self::First => 0,
            Self::Second => 4,
            Self::Third => 2,
        }
    }
}

/// One layer of base64: what its content begins with, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layer {
    first: u8,
    alignment: Alignment,
}

impl Layer {
    pub(crate) fn new(content: &[u8], alignment: Alignment) -> Option<Self> {
        Some(Self { first: *content.first()?, alignment })
    }
    /// The bits of the first byte that stand in the character before.
    const fn shared(self) -> (u32, u32) {
        let bits = self.alignment.shared_bits();
        (self.first as u32 >> (8 - bits), bits)
    }

    /// The characters that depend on `content` alone.
    pub(crate) fn literal(self, content: &[u8]) -> Vec<u8> {
        let (_, shared) = self.shared();
        let mut bits = 0u32;
        let mut count = 0;
        let mut characters = Vec::new();
        for (index, byte) in content.iter().enumerate() {
            bits = bits << 8 | u32::from(*byte);
            count += 8;
            if index == 0 {
                count -= shared;
            }
            while count >= 6 {
                count -= 6;
                let value = usize::try_from(bits >> count & 63).unwrap_or_default();
                characters.extend(ALPHABET.get(value));
            }
            bits &= (1 << count) - 1;
        }
        characters
    }

    /// At most `most` bytes of the content that begins with the character at `at`, and where the character ends that
    /// completes each.
    pub(crate) fn peel(self, text: &[u8], at: usize, most: usize) -> (Zeroizing<Vec<u8>>, Vec<usize>) {
        let mut bytes = Zeroizing::new(Vec::with_capacity(most));
        let mut ends = Vec::with_capacity(most);
        let (mut bits, mut count) = self.shared();
        let mut place = at;
        let mut marks = Marks::default();
        while bytes.len() < most {
            let Some((byte, end)) = character(text, place, &mut marks) else { break };
            let Some(value) = value(byte).filter(|_| end - at <= MOST_SPAN) else { break };
            bits = bits << 6 | value;
            count += 6;
            place = end;
            if count >= 8 {
                count -= 8;
                bytes.push(u8::try_from(bits >> count & 0xff).unwrap_or_default());
                ends.push(place);
                bits &= (1 << count) - 1;
            }
        }
        (bytes, ends)
    }
}

/// A character's six bits. `_` ends it: in what keys become there is none.
const fn value(byte: u8) -> Option<u32> {
    Some(match byte {
        b'A'..=b'Z' => byte as u32 - b'A' as u32,
        b'a'..=b'z' => byte as u32 - b'a' as u32 + 26,
        b'0'..=b'9' => byte as u32 - b'0' as u32 + 52,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(content: &str, alignment: Alignment) -> String {
        String::from_utf8(Layer::new(content.as_bytes(), alignment).unwrap().literal(content.as_bytes())).unwrap()
    }

    #[test]
    fn a_prefix_looks_the_same_wherever_it_stands_in_a_group_of_three() {
        // From `printf 'tg_x' | base64` = dGdfeA==, `printf '-tg_x' | base64` = LXRnX3g=, `printf -- '--tg_x' | base64` = LS10Z194.
        assert_eq!(ALIGNMENTS.map(|alignment| literal("tg_", alignment)), ["dGdf", "RnX", "0Z1"]);
        assert_eq!(
            ALIGNMENTS.map(|alignment| literal("tga_", alignment)),
            ["dGdhX", "RnYV", "0Z2Ff"].map(String::from)
        );
    }

    #[test]
    fn what_is_peeled_is_what_was_encoded() {
        for (alignment, encoded, at) in
            [(Alignment::First, "dGdfeA==", 0), (Alignment::Second, "LXRnX3g=", 2), (Alignment::Third, "LS10Z194", 3)]
        {
            let (bytes, ends) = Layer::new(b"tg_x", alignment).unwrap().peel(encoded.as_bytes(), at, 4);
            assert_eq!((bytes.as_slice(), ends.len()), (&b"tg_x"[..], 4), "{alignment:?}");
        }
    }
}
