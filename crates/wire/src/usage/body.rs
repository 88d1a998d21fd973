//! The usage of an unstreamed reply, read while its bytes go by.
//!
//! A page of embeddings can be a hundred megabytes, and its usage stands at the end. So only the
//! outermost object's structure is followed, and of its members only those that [`read`] looks at are
//! kept, which is all that is ever held; they are read as any other body once the last byte is there.

use memchr::memchr2;

use super::{Endpoint, UsageReport, read};

/// The most that is kept of one body; usage is a few hundred bytes.
pub const KEPT_MAX: usize = 64 * 1024;
/// The longest name that may be one of ours: `usage` spelt by escapes, and room.
const NAME_MAX: usize = 64;

/// Reads the usage of a reply body piece by piece, in bounded memory. Where [`read`] over the
/// whole finds usage, this finds the same.
#[derive(Debug)]
pub struct BodyReader {
    endpoint: Endpoint,
    place: Place,
    /// Objects and arrays open, the outermost counted.
    depth: u64,
    in_string: bool,
    after_backslash: bool,
    /// The member's name as spelt.
    name: Vec<u8>,
    /// Whether the member's value is kept.
    keeps: bool,
    kept: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Name,
    Value,
    Behind,
    /// No JSON object, or more to keep than there may be.
    Lost,
}

impl BodyReader {
    /// At the beginning of a body.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            place: Place::Before,
            depth: 0,
            in_string: false,
            after_backslash: false,
            name: Vec::new(),
            keeps: false,
            kept: Vec::new(),
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.place == Place::Lost {
                return;
            }
            let run = if self.in_string { self.string(byte, bytes) } else { self.structure(byte, bytes) };
            bytes = bytes.get(run..).unwrap_or(rest);
        }
    }

    /// The usage, once all bytes have been pushed; `None` as with [`read`].
    #[must_use]
    pub fn finish(mut self) -> Option<UsageReport> {
        if self.place != Place::Behind {
            return None;
        }
        self.kept.insert(0, b'{');
        self.kept.push(b'}');
        read(self.endpoint, &self.kept)
    }

    /// Inside a string; tells how many bytes were taken.
    fn string(&mut self, byte: u8, bytes: &[u8]) -> usize {
        let run = if std::mem::take(&mut self.after_backslash) {
            1
        } else if byte == b'"' {
            self.in_string = false;
            1
        } else if byte == b'\\' {
            self.after_backslash = true;
            1
        } else {
            memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len())
        };
        let taken = bytes.get(..run).unwrap_or_default();
        if self.place == Place::Value {
            self.keep(taken);
        } else if self.in_string && self.name.len() <= NAME_MAX {
            self.name.extend(taken.iter().take(NAME_MAX + 1));
        }
        run
    }

    /// Outside strings; tells how many bytes were taken.
    fn structure(&mut self, byte: u8, bytes: &[u8]) -> usize {
        match (self.place, byte) {
            (Place::Before, b'{') => (self.place, self.depth) = (Place::Name, 1),
            (Place::Name, b'"') => {
                self.in_string = true;
                self.name.clear();
            }
            (Place::Name, b':') => self.value_begins(),
            (Place::Value, b',') if self.depth == 1 => self.place = Place::Name,
            (Place::Name | Place::Value, b'}') if self.depth == 1 => (self.place, self.depth) = (Place::Behind, 0),
            (Place::Value, _) => return self.value(byte, bytes),
            (_, b' ' | b'\n' | b'\t' | b'\r') => {}
            _ => self.place = Place::Lost,
        }
        1
    }

    fn value_begins(&mut self) {
        self.place = Place::Value;
        let is_ours = matches!(&self.name[..], b"usage" | b"error" | b"meta") || self.name.contains(&b'\\');
        self.keeps = is_ours && self.name.len() <= NAME_MAX;
        if self.keeps {
            let comma = if self.kept.is_empty() { "" } else { "," };
            self.kept.extend_from_slice(comma.as_bytes());
            self.kept.push(b'"');
            self.kept.extend_from_slice(&self.name);
            self.kept.extend_from_slice(b"\":");
        }
    }

    fn value(&mut self, byte: u8, bytes: &[u8]) -> usize {
        let mut run = 1;
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 1 => self.depth -= 1,
            b'}' | b']' => self.place = Place::Lost,
            // Numbers, literals and, further in, what stands between them.
            _ => {
                let ends = |b: &u8| matches!(b, b'"' | b'{' | b'}' | b'[' | b']') || *b == b',' && self.depth == 1;
                run = bytes.iter().position(ends).unwrap_or(bytes.len()).max(1);
            }
        }
        self.keep(bytes.get(..run).unwrap_or_default());
        run
    }

    fn keep(&mut self, bytes: &[u8]) {
        if !self.keeps {
            return;
        }
        if self.kept.len() + bytes.len() > KEPT_MAX {
            self.place = Place::Lost;
            return;
        }
        self.kept.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    fn pieces<'a>(endpoint: Endpoint, pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<UsageReport> {
        let mut reader = BodyReader::new(endpoint);
        pieces.into_iter().for_each(|piece| reader.push(piece));
        reader.finish()
    }

    #[test]
    fn a_large_body_is_not_held() {
        let mut reader = BodyReader::new(Endpoint::Embeddings);
        reader.push(br#"{"object":"list","data":[{"embedding":[0.5"#);
        for _ in 0..1_000 {
            reader.push(&b",-0.0123".repeat(1_000));
        }
        reader.push(br#"],"text":""#);
        reader.push(&b"x".repeat(1_000_000));
        reader.push(br#""}],"usage":{"prompt_tokens":7,"total_tokens":7}}"#);
        assert!(reader.kept.capacity() + reader.name.capacity() < 1_000);
        assert_eq!(reader.finish().unwrap().input, Some(7));
    }

    #[test]
    fn a_body_that_ends_early_or_keeps_too_much_gives_no_usage() {
        let body = br#"{"usage":{"prompt_tokens":7}}"#;
        assert!(pieces(Endpoint::ChatCompletions, [&body[..]]).is_some());
        assert_eq!(pieces(Endpoint::ChatCompletions, [&body[..body.len() - 1]]), None);
        assert_eq!(pieces(Endpoint::ChatCompletions, [&body[..], b"{}"]), None);
        assert_eq!(pieces(Endpoint::ChatCompletions, [&br#"{"usage":{"prompt_tokens":1 2}}"#[..]]), None);
        let large = format!(r#"{{"usage":{{"prompt_tokens":7,"x":"{}"}}}}"#, "x".repeat(KEPT_MAX));
        assert_eq!(pieces(Endpoint::ChatCompletions, [large.as_bytes()]), None);
    }

    fn json() -> impl Strategy<Value = String> {
        const LEAVES: &[&str] = &["null", "7", " -1.5e3 ", "\"\"", "\"a\\\"}{\\\\\"", "[]", "{ }", "\"usage\""];
        const NAMES: &[&str] = &[
            "usage",
            "error",
            "meta",
            "billed_units",
            "search_units",
            "prompt_tokens",
            "total_tokens",
            "us\\u0061ge",
            "x\\\"",
            "",
        ];
        let object = |value: BoxedStrategy<String>| {
            proptest::collection::vec((select(NAMES), value), 0..5).prop_map(|members| {
                let members: Vec<_> = members.iter().map(|(name, value)| format!(" \"{name}\" :{value}")).collect();
                format!("{{{} }}", members.join(","))
            })
        };
        let value = select(LEAVES).prop_map(String::from).prop_recursive(3, 16, 5, move |inner| {
            let array =
                proptest::collection::vec(inner.clone(), 0..4).prop_map(|values| format!("[{}]", values.join(" , ")));
            prop_oneof![object(inner.boxed()), array]
        });
        (object(value.boxed()), select(&["", " ", "\n"][..])).prop_map(|(body, blank)| format!("{blank}{body}{blank}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn pieces_give_what_the_whole_gives(body in json(), cuts in proptest::collection::vec(any::<usize>(), 0..8)) {
            for endpoint in [Endpoint::ChatCompletions, Endpoint::Rerank, Endpoint::Responses] {
                let whole = read(endpoint, body.as_bytes());
                prop_assert_eq!(pieces(endpoint, crate::sse::tests::cut(body.as_bytes(), cuts.clone())), whole);
                prop_assert_eq!(pieces(endpoint, body.as_bytes().chunks(1)), whole);
            }
        }
        #[test]
        fn any_bytes_are_taken_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = pieces(Endpoint::Rerank, [&b"{\"usage\":"[..], &bytes[..], b"}"]);
            let _ = pieces(Endpoint::Rerank, [&bytes[..]]);
        }
    }
}
