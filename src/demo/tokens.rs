//! The demo models' tokenizer: OpenAI's `o200k_base`, so that counts are those of a real model.
//!
//! It is large and loaded when first used, so a program that never asks a demo model never pays for it.

use bpe_openai::Tokenizer;

fn tokenizer() -> &'static Tokenizer {
    bpe_openai::o200k_base()
}

/// How many tokens a text has.
pub fn count(text: &str) -> u64 {
    u64::try_from(tokenizer().count(text)).unwrap_or(u64::MAX)
}

/// The tokens of a text.
pub fn encode(text: &str) -> Vec<u32> {
    tokenizer().encode(text)
}

/// A text as a model gives it out: one entry per token. A token that ends inside a character has an
/// empty text, and the character comes whole with the token that completes it. Bytes left over at the
/// end, where the last token was cut off inside a character, are dropped.
pub fn pieces(tokens: &[u32]) -> Vec<String> {
    let mut rest = Vec::new();
    tokens
        .iter()
        .map(|token| {
            rest.extend_from_slice(tokenizer().bpe.token_bytes(*token));
            let whole = match std::str::from_utf8(&rest) {
                Ok(text) => text.len(),
                Err(error) => error.valid_up_to(),
            };
            let piece: Vec<u8> = rest.drain(..whole).collect();
            String::from_utf8(piece).unwrap_or_default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_that_openai_publishes_for_o200k() {
        // From the tokenizer's published examples: https://github.com/openai/tiktoken
        assert_eq!(encode("hello world"), [24912, 2375]);
        assert_eq!(count(""), 0);
    }

    #[test]
    fn pieces_give_the_text_back_and_never_half_a_character() {
        for text in ["", "plain words, and more.", "naïve 日本語 🦀🦀🏳️‍🌈", "\u{0}\u{7f}\n\n\t x", &"é".repeat(300)]
        {
            let tokens = encode(text);
            let pieces = pieces(&tokens);
            assert_eq!(pieces.len(), tokens.len());
            assert_eq!(pieces.concat(), text);
        }
    }
}
