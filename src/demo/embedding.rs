//! The demo embedding model: vectors of a fixed length, the same for the same text, near each other for
//! texts that share words.
//!
//! Each token and each pair of neighbours adds a vector of signs drawn from its number (random indexing:
//! Kanerva, Kristofersson, Holst, 2000); the sum is brought to length 1.

use serde_json::{Value, json};

use super::{problem::Problem, tokens, words};

/// The name of the model.
pub const MODEL: &str = "demo-embedding";
/// Numbers in a vector.
pub const DIMENSIONS: usize = 256;
/// The longest input, in tokens.
pub const CONTEXT_WINDOW: u64 = 8_192;
/// The most inputs of one request.
const MOST_INPUTS: usize = 2_048;

/// The answer to a request of `embeddings`.
pub fn answer(body: &Value) -> Result<Value, Problem> {
    let inputs = read_inputs(body.get("input").unwrap_or(&Value::Null))?;
    let dimensions = match body.get("dimensions") {
        None | Some(Value::Null) => DIMENSIONS,
        Some(value) => value
            .as_u64()
            .and_then(|dimensions| usize::try_from(dimensions).ok())
            .filter(|dimensions| (1..=DIMENSIONS).contains(dimensions))
            .ok_or_else(|| Problem::field("dimensions", format!("dimensions must be 1 to {DIMENSIONS}.")))?,
    };
    let as_base64 = match body.get("encoding_format").and_then(Value::as_str) {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(Problem::field("encoding_format", "encoding_format must be float or base64.")),
    };
    let mut total = 0u64;
    let mut data = Vec::with_capacity(inputs.len());
    for (index, tokens) in inputs.iter().enumerate() {
        let count = u64::try_from(tokens.len()).unwrap_or(u64::MAX);
        if count > CONTEXT_WINDOW {
            return Err(Problem { param: Some("input"), ..Problem::context(CONTEXT_WINDOW, count) });
        }
        total = total.saturating_add(count);
        let vector = vector(tokens, dimensions);
        let embedding = if as_base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            json!(base64(&bytes))
        } else {
            json!(vector)
        };
        data.push(json!({ "object": "embedding", "index": index, "embedding": embedding }));
    }
    let usage = json!({ "prompt_tokens": total, "total_tokens": total });
    Ok(json!({ "object": "list", "data": data, "model": MODEL, "usage": usage }))
}

/// A text, a list of texts, a list of tokens, or a list of lists of tokens.
fn read_inputs(input: &Value) -> Result<Vec<Vec<u32>>, Problem> {
    let wrong = || Problem::field("input", "input must be a text, a list of texts, or tokens; none of them empty.");
    let token = |value: &Value| value.as_u64().and_then(|token| u32::try_from(token).ok()).ok_or_else(wrong);
    let one = |value: &Value| match value {
        Value::String(text) => Ok(tokens::encode(text)),
        Value::Array(numbers) => numbers.iter().map(token).collect(),
        _ => Err(wrong()),
    };
    let inputs = match input {
        Value::Array(list) if list.iter().any(Value::is_number) => vec![one(input)?],
        Value::Array(list) if list.len() > MOST_INPUTS => {
            return Err(Problem::field("input", format!("input must have at most {MOST_INPUTS} entries.")));
        }
        Value::Array(list) => list.iter().map(one).collect::<Result<Vec<_>, _>>()?,
        _ => vec![one(input)?],
    };
    if inputs.is_empty() || inputs.iter().any(Vec::is_empty) { Err(wrong()) } else { Ok(inputs) }
}

/// The first `dimensions` numbers of the tokens' vector, brought to length 1.
fn vector(tokens: &[u32], dimensions: usize) -> Vec<f32> {
    let mut sum = vec![0i32; DIMENSIONS];
    let mut previous = None;
    for token in tokens {
        add_signs(&mut sum, u64::from(*token), 2);
        if let Some(previous) = previous.replace(*token) {
            add_signs(&mut sum, (u64::from(previous) << 32) | u64::from(*token) | 1 << 63, 1);
        }
    }
    sum.truncate(dimensions);
    let length = sum.iter().map(|number| f64::from(*number) * f64::from(*number)).sum::<f64>().sqrt();
    if length == 0.0 {
        // All sums cancelled out: any fixed vector of length 1 does.
        return (0..dimensions).map(|index| if index == 0 { 1.0 } else { 0.0 }).collect();
    }
    #[expect(clippy::cast_possible_truncation, reason = "a vector is given out in single precision")]
    sum.into_iter().map(|number| (f64::from(number) / length) as f32).collect()
}

fn add_signs(sum: &mut [i32], number: u64, weight: i32) {
    let mut state = number;
    for chunk in sum.chunks_mut(64) {
        let bits = words::next(&mut state);
        for (index, value) in chunk.iter_mut().enumerate() {
            *value += if bits >> index & 1 == 0 { weight } else { -weight };
        }
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = usize::try_from(bits >> (18 - 6 * digit) & 63).unwrap_or(0);
            let used = digit <= chunk.len();
            text.push(if used { ALPHABET.get(index).copied().map_or('=', char::from) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors(body: Value) -> Vec<Vec<f64>> {
        let answer = answer(&body).unwrap();
        let numbers = |entry: &Value| {
            entry["embedding"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
        };
        answer["data"].as_array().unwrap().iter().map(numbers).collect()
    }
    fn likeness(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn vectors_have_length_one_and_are_near_for_texts_that_share_words() {
        let texts = ["the cat sat on the mat", "a cat sat on a mat", "quarterly revenue forecast"];
        let vectors = vectors(json!({ "input": texts }));
        for vector in &vectors {
            assert_eq!(vector.len(), DIMENSIONS);
            assert!((likeness(vector, vector) - 1.0).abs() < 1e-5);
        }
        assert!(likeness(&vectors[0], &vectors[1]) > 0.4);
        assert!(likeness(&vectors[0], &vectors[2]) < 0.2);
    }

    #[test]
    fn tokens_and_their_text_have_the_same_vector() {
        let tokens = tokens::encode("hello world");
        assert_eq!(vectors(json!({ "input": tokens })), vectors(json!({ "input": "hello world" })));
        assert_eq!(vectors(json!({ "input": [tokens] })), vectors(json!({ "input": ["hello world"] })));
    }

    #[test]
    fn fewer_dimensions_are_the_first_ones_at_length_one() {
        let short = &vectors(json!({ "input": "hello", "dimensions": 8 }))[0];
        let whole = &vectors(json!({ "input": "hello" }))[0];
        assert_eq!(short.len(), 8);
        assert!((likeness(short, short) - 1.0).abs() < 1e-5);
        assert!(short.iter().zip(whole).all(|(a, b)| a.signum() == b.signum()));
    }

    #[test]
    fn base64_holds_the_same_numbers_as_little_endian_floats() {
        assert_eq!([&b""[..], b"f", b"fo", b"foo", b"foob"].map(base64), ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
        let answer = answer(&json!({ "input": "hello", "encoding_format": "base64", "dimensions": 3 })).unwrap();
        let floats = &vectors(json!({ "input": "hello", "dimensions": 3 }))[0];
        #[expect(clippy::cast_possible_truncation)]
        let bytes: Vec<u8> = floats.iter().flat_map(|number| (*number as f32).to_le_bytes()).collect();
        assert_eq!(answer["data"][0]["embedding"], base64(&bytes));
    }

    #[test]
    fn usage_is_what_the_tokenizer_counts() {
        let answer = answer(&json!({ "input": ["hello world", "hello"] })).unwrap();
        assert_eq!(answer["usage"]["prompt_tokens"], tokens::count("hello world") + tokens::count("hello"));
    }

    #[test]
    fn wrong_requests_are_refused_by_field() {
        for (body, param) in [
            (json!({}), "input"),
            (json!({ "input": "" }), "input"),
            (json!({ "input": [] }), "input"),
            (json!({ "input": ["a", ""] }), "input"),
            (json!({ "input": [1, "a"] }), "input"),
            (json!({ "input": [-1] }), "input"),
            (json!({ "input": {} }), "input"),
            (json!({ "input": "a", "dimensions": 0 }), "dimensions"),
            (json!({ "input": "a", "dimensions": 257 }), "dimensions"),
            (json!({ "input": "a", "encoding_format": "hex" }), "encoding_format"),
            (json!({ "input": "word ".repeat(9_000) }), "input"),
        ] {
            assert_eq!(answer(&body).unwrap_err().param, Some(param));
        }
    }
}
