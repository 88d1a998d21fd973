//! Token counts that a reply reports, by endpoint.
//!
//! Invariants: an explicit zero is zero and an absent figure is `None`; a figure that cannot be right
//! is flagged, never bent; parts (cached, reasoning) are parts and never added to the whole. Where
//! Anthropic's input leaves the cache out, it is put back, so `input` means the same everywhere.

mod body;

pub use body::{BodyReader, KEPT_MAX};

use std::ops::Range;

use crate::json::{Cursor, Malformed};

/// The largest figure that is believed: JSON numbers beyond are not exact everywhere (RFC 8259, section 6).
const FIGURE_MAX: u64 = 1 << 53;

/// What kind of reply it is, which decides where the figures stand and what they are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `chat/completions`.
    ChatCompletions,
    /// `completions`.
    Completions,
    /// `embeddings`.
    Embeddings,
    /// `rerank`, of Jina's or vLLM's shape, or Cohere's.
    Rerank,
    /// `responses`.
    Responses,
    /// Anthropic's `messages`.
    Messages,
}

/// What a reply says it used. An absent figure is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageReport {
    /// Tokens read, from the cache or not.
    pub input: Option<u64>,
    /// Tokens written, reasoning included.
    pub output: Option<u64>,
    /// The upstream's own sum.
    pub total: Option<u64>,
    /// The part of `input` that was read from a cache.
    pub cached_input: Option<u64>,
    /// The part of `input` that was written to a cache.
    pub cache_written: Option<u64>,
    /// The part of `output` that was reasoning.
    pub reasoning: Option<u64>,
    /// Cohere's unit of rerank.
    pub search_units: Option<u64>,
    /// The upstream's object holds figures that have no place here.
    pub says_more: bool,
    /// A figure was negative, fractional, no number or beyond 2^53 (and is left out here), or the
    /// figures contradict each other (and stand here as they came).
    pub suspect: bool,
}

/// What a whole reply body tells of itself. Its texts are the upstream's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told<'a> {
    /// As [`read`] gives it.
    pub usage: Option<UsageReport>,
    /// The object that it was read from, as it stands in the body.
    pub usage_text: Option<&'a [u8]>,
    /// What the upstream calls the answer: its `id`, a string without its quotes, escapes as they are.
    pub id: Option<&'a [u8]>,
}

/// Reads the usage of a whole, unstreamed reply body; [`BodyReader`] does it piece by piece. `None` if it reports none: an error body, a body
/// without usage, or no JSON.
#[must_use]
pub fn read(endpoint: Endpoint, body: &[u8]) -> Option<UsageReport> {
    read_told(endpoint, body).usage
}

/// Reads the usage of a whole, unstreamed reply body, and what stands beside it.
#[must_use]
pub fn read_told(endpoint: Endpoint, body: &[u8]) -> Told<'_> {
    read_body(endpoint, body).unwrap_or_default()
}

fn read_body(endpoint: Endpoint, body: &[u8]) -> Result<Told<'_>, Malformed> {
    let mut cursor = Cursor::new(body);
    let mut members = cursor.enter_object()?;
    let (mut figures, mut is_error) = (None, false);
    let (mut usage_at, mut id): (Range<usize>, _) = (0..0, None);
    while let Some(key) = cursor.key(&mut members)? {
        let (start, is_null) = (cursor.at(), cursor.next_byte() == Some(b'n'));
        if key.is("usage") {
            if let Some(latest) = Figures::read(&mut cursor, body)? {
                (figures, usage_at) = (Some(latest), start..cursor.at());
            }
        } else if key.is("id") && cursor.next_byte() == Some(b'"') {
            id = Some(cursor.string()?.inner);
        } else if endpoint == Endpoint::Rerank && key.is("meta") {
            figures = read_cohere(&mut cursor, body)?.or(figures);
        } else {
            // A response that failed half-way has an `error` beside figures that were used.
            is_error |= key.is("error") && !is_null && endpoint != Endpoint::Responses;
            cursor.skip()?;
        }
    }
    cursor.end()?;
    Ok(match figures.filter(|_| !is_error) {
        Some(figures) => Told { usage: Some(figures.report(endpoint)), usage_text: body.get(usage_at), id },
        None => Told { id, ..Told::default() },
    })
}

/// Cohere's `meta`: `billed_units` has what is charged.
fn read_cohere(cursor: &mut Cursor<'_>, body: &[u8]) -> Result<Option<Figures>, Malformed> {
    let mut found = None;
    if cursor.next_byte() != Some(b'{') {
        cursor.skip()?;
        return Ok(found);
    }
    let mut members = cursor.enter_object()?;
    while let Some(key) = cursor.key(&mut members)? {
        if key.is("billed_units") {
            found = Figures::read(cursor, body)?.or(found);
        } else {
            cursor.skip()?;
        }
    }
    Ok(found)
}

/// The figures of one usage object as they stand there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    cached: Option<u64>,
    cache_written: Option<u64>,
    reasoning: Option<u64>,
    /// Anthropic's, beside its input.
    cache_creation_input: Option<u64>,
    cache_read_input: Option<u64>,
    search_units: Option<u64>,
    suspect: bool,
    says_more: bool,
}

impl Figures {
    /// Reads the value that the cursor stands at; `None` if it is no object or has no figure.
    pub fn read(cursor: &mut Cursor<'_>, text: &[u8]) -> Result<Option<Self>, Malformed> {
        if cursor.next_byte() != Some(b'{') {
            cursor.skip()?;
            return Ok(None);
        }
        let mut figures = Self::default();
        let mut members = cursor.enter_object()?;
        while let Some(key) = cursor.key(&mut members)? {
            match key.inner {
                b"prompt_tokens" | b"input_tokens" => figures.input = figures.figure(cursor, text)?,
                b"completion_tokens" | b"output_tokens" => figures.output = figures.figure(cursor, text)?,
                b"total_tokens" => figures.total = figures.figure(cursor, text)?,
                b"cache_creation_input_tokens" => figures.cache_creation_input = figures.figure(cursor, text)?,
                b"cache_read_input_tokens" => figures.cache_read_input = figures.figure(cursor, text)?,
                b"search_units" => figures.search_units = figures.figure(cursor, text)?,
                b"prompt_tokens_details"
                | b"input_tokens_details"
                | b"completion_tokens_details"
                | b"output_tokens_details" => figures.details(cursor, text)?,
                _ => figures.other(cursor, text)?,
            }
        }
        let empty = Self { says_more: figures.says_more, ..Self::default() };
        Ok((figures != empty).then_some(figures))
    }

    /// A member that has no place here: nothing is lost where it says nothing, or zero.
    fn other(&mut self, cursor: &mut Cursor<'_>, text: &[u8]) -> Result<(), Malformed> {
        let value = cursor.value()?;
        self.says_more |= !matches!(text.get(value).unwrap_or_default(), b"null" | b"0" | b"{}" | b"[]");
        Ok(())
    }

    /// What a later report of the same reply changes: its figures count, the others stay (Anthropic
    /// tells input at the start and output, cumulative, at the end).
    pub fn then(self, later: Self) -> Self {
        Self {
            input: later.input.or(self.input),
            output: later.output.or(self.output),
            total: later.total.or(self.total),
            cached: later.cached.or(self.cached),
            cache_written: later.cache_written.or(self.cache_written),
            reasoning: later.reasoning.or(self.reasoning),
            cache_creation_input: later.cache_creation_input.or(self.cache_creation_input),
            cache_read_input: later.cache_read_input.or(self.cache_read_input),
            search_units: later.search_units.or(self.search_units),
            suspect: self.suspect || later.suspect,
            says_more: self.says_more || later.says_more,
        }
    }

    /// The same in the terms of every endpoint.
    pub fn report(self, endpoint: Endpoint) -> UsageReport {
        let mut report = UsageReport {
            input: self.input,
            output: self.output,
            total: self.total,
            cached_input: self.cached,
            cache_written: self.cache_written,
            reasoning: self.reasoning,
            search_units: self.search_units,
            says_more: self.says_more,
            suspect: self.suspect,
        };
        match endpoint {
            Endpoint::Messages => self.put_cache_back(&mut report),
            // All that these take is input.
            Endpoint::Embeddings | Endpoint::Rerank => report.input = self.input.or(self.total),
            _ => {}
        }
        report.suspect |= report.contradicts_itself();
        report
    }

    fn put_cache_back(self, report: &mut UsageReport) {
        report.cached_input = self.cache_read_input;
        report.cache_written = self.cache_creation_input;
        // At most 3 * 2^53, so nothing overflows.
        report.input =
            self.input.map(|input| input + self.cache_read_input.unwrap_or(0) + self.cache_creation_input.unwrap_or(0));
    }

    fn details(&mut self, cursor: &mut Cursor<'_>, text: &[u8]) -> Result<(), Malformed> {
        if cursor.next_byte() != Some(b'{') {
            cursor.skip()?;
            return Ok(());
        }
        let mut members = cursor.enter_object()?;
        while let Some(key) = cursor.key(&mut members)? {
            match key.inner {
                b"cached_tokens" => self.cached = self.figure(cursor, text)?,
                b"cache_write_tokens" => self.cache_written = self.figure(cursor, text)?,
                b"reasoning_tokens" => self.reasoning = self.figure(cursor, text)?,
                _ => self.other(cursor, text)?,
            }
        }
        Ok(())
    }

    /// One figure: absent if null, flagged if it is nothing that can be counted.
    fn figure(&mut self, cursor: &mut Cursor<'_>, text: &[u8]) -> Result<Option<u64>, Malformed> {
        let at = cursor.value()?;
        let literal = text.get(at).unwrap_or_default();
        if literal == b"null" {
            return Ok(None);
        }
        let figure = std::str::from_utf8(literal).ok().and_then(|text| text.parse().ok()).filter(|n| *n <= FIGURE_MAX);
        self.suspect |= figure.is_none();
        Ok(figure)
    }
}

impl UsageReport {
    /// Whether what it was read from says more than input, output and their cached and reasoning parts, or something that
    /// cannot be believed.
    #[must_use]
    pub fn is_worth_keeping_whole(&self) -> bool {
        self.suspect || self.says_more || self.cache_written.is_some_and(|n| n > 0) || self.search_units.is_some()
    }
    fn contradicts_itself(&self) -> bool {
        let part_over_whole =
            |part: Option<u64>, whole: Option<u64>| matches!((part, whole), (Some(part), Some(whole)) if part > whole);
        let sum = self.input.map(|input| input + self.output.unwrap_or(0));
        matches!((sum, self.total), (Some(sum), Some(total)) if sum != total)
            || part_over_whole(self.cached_input, self.input)
            || part_over_whole(self.cache_written, self.input)
            || part_over_whole(self.reasoning, self.output)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read_value(endpoint: Endpoint, body: &Value) -> Option<UsageReport> {
        read(endpoint, body.to_string().as_bytes())
    }
    fn chat(usage: Value) -> Option<UsageReport> {
        read_value(
            Endpoint::ChatCompletions,
            &json!({"id": "x", "choices": [{"message": {"content": "\"usage\":{}"}}], "usage": usage}),
        )
    }
    const ALL: [Endpoint; 6] = [
        Endpoint::ChatCompletions,
        Endpoint::Completions,
        Endpoint::Embeddings,
        Endpoint::Rerank,
        Endpoint::Responses,
        Endpoint::Messages,
    ];

    #[test]
    fn chat_usage_is_read_with_its_parts() {
        let usage = json!({
            "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 80, "cache_write_tokens": 10, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 30},
        });
        let report = UsageReport {
            input: Some(100),
            output: Some(50),
            total: Some(150),
            cached_input: Some(80),
            cache_written: Some(10),
            reasoning: Some(30),
            search_units: None,
            says_more: false,
            suspect: false,
        };
        assert_eq!(chat(usage), Some(report));
    }

    #[test]
    fn what_has_no_place_among_the_figures_is_told_with_the_object_and_the_id() {
        let plain = r#"{ "prompt_tokens":3, "completion_tokens":4, "prompt_tokens_details":null, "completion_tokens_details":{"audio_tokens":0,"reasoning_tokens":1}, "x":{} }"#;
        let body = format!(r#"{{"id":"chatcmpl-7","choices":[{{"id":"no"}}],"usage":{plain}}}"#);
        let told = read_told(Endpoint::ChatCompletions, body.as_bytes());
        assert_eq!((told.id, told.usage_text), (Some(&b"chatcmpl-7"[..]), Some(plain.as_bytes())));
        assert!(!told.usage.unwrap().is_worth_keeping_whole());
        for more in [
            json!({"prompt_tokens": 3, "completion_tokens": 4, "service_tier": "priority"}),
            json!({"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"audio_tokens": 2}}),
            json!({"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cache_write_tokens": 2}}),
            json!({"prompt_tokens": 3, "completion_tokens": -4}),
        ] {
            assert!(chat(more.clone()).unwrap().is_worth_keeping_whole(), "{more}");
        }
        assert_eq!(chat(json!({"service_tier": "priority"})), None, "no figure, no usage");
        let error = r#"{"id":"a","error":{"message":"x"},"usage":{"prompt_tokens":3}}"#;
        let told = read_told(Endpoint::ChatCompletions, error.as_bytes());
        assert_eq!((told.id, told.usage_text, told.usage), (Some(&b"a"[..]), None, None));
        assert_eq!(read_told(Endpoint::ChatCompletions, br#"{"id":7,"usage":null}"#), Told::default());
    }

    #[test]
    fn responses_usage_is_read_also_of_a_response_that_failed() {
        let body = json!({
            "object": "response", "status": "failed", "error": {"code": "server_error"},
            "usage": {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 2}, "output_tokens": 7,
                "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 12},
        });
        let report = read_value(Endpoint::Responses, &body).unwrap();
        assert_eq!(
            (report.input, report.output, report.cached_input, report.reasoning, report.suspect),
            (Some(5), Some(7), Some(2), Some(3), false)
        );
    }

    #[test]
    fn anthropics_input_gets_its_cache_back() {
        let usage = json!({"input_tokens": 10, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 300, "output_tokens": 4, "service_tier": "standard"});
        let report = read_value(Endpoint::Messages, &json!({"type": "message", "usage": usage})).unwrap();
        assert_eq!(
            (report.input, report.output, report.cached_input, report.cache_written),
            (Some(330), Some(4), Some(300), Some(20))
        );
        assert!(!report.suspect);
    }

    #[test]
    fn what_has_only_input_has_no_output() {
        let embeddings =
            json!({"data": [{"embedding": [0.1, -2e-5]}], "usage": {"prompt_tokens": 8, "total_tokens": 8}});
        let jina = json!({"results": [], "usage": {"total_tokens": 8}});
        for report in [read_value(Endpoint::Embeddings, &embeddings), read_value(Endpoint::Rerank, &jina)] {
            let report = report.unwrap();
            assert_eq!((report.input, report.output, report.total, report.suspect), (Some(8), None, Some(8), false));
        }
        let cohere =
            json!({"results": [], "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 3}}});
        assert_eq!(read_value(Endpoint::Rerank, &cohere).unwrap().search_units, Some(3));
    }

    #[test]
    fn explicit_zero_is_zero_and_absent_is_absent() {
        let report = chat(json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})).unwrap();
        assert_eq!((report.input, report.output, report.total), (Some(0), Some(0), Some(0)));
        let report =
            chat(json!({"prompt_tokens": 3, "completion_tokens": null, "prompt_tokens_details": null})).unwrap();
        assert_eq!((report.input, report.output, report.cached_input, report.suspect), (Some(3), None, None, false));
        assert_eq!((chat(json!({})), chat(Value::Null), chat(json!([1]))), (None, None, None));
    }

    #[test]
    fn a_figure_that_cannot_be_is_flagged_and_left_out() {
        for wrong in
            [json!(-5), json!(1.5), json!("12"), json!((1u64 << 53) + 1), json!(1e300), json!([1]), json!(true)]
        {
            let report = chat(json!({"prompt_tokens": 3, "completion_tokens": wrong})).unwrap();
            assert_eq!((report.input, report.output, report.suspect), (Some(3), None, true), "{wrong}");
        }
        assert!(!chat(json!({"prompt_tokens": 1u64 << 53})).unwrap().suspect);
    }

    #[test]
    fn figures_that_contradict_each_other_are_flagged_and_stand() {
        for usage in [
            json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 8}),
            json!({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}),
            json!({"prompt_tokens": 3, "completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 5}}),
        ] {
            let report = chat(usage).unwrap();
            assert_eq!((report.input, report.suspect), (Some(3), true));
        }
    }

    #[test]
    fn error_bodies_and_what_is_no_json_give_no_usage() {
        let usage = json!({"prompt_tokens": 3, "completion_tokens": 4});
        assert_eq!(read_value(Endpoint::ChatCompletions, &json!({"usage": usage, "error": {"message": "x"}})), None);
        assert!(read_value(Endpoint::ChatCompletions, &json!({"usage": usage, "error": null})).is_some());
        let cut = json!({"usage": usage}).to_string();
        assert_eq!(read(Endpoint::ChatCompletions, &cut.as_bytes()[..cut.len() - 1]), None);
        for endpoint in ALL {
            for body in [&b""[..], b"null", b"[]", b"<html>", b"{\"usage\":", b"\xff"] {
                assert_eq!(read(endpoint, body), None);
            }
        }
    }

    #[test]
    fn the_last_usage_of_a_body_wins() {
        let body = br#"{"usage":{"prompt_tokens":1},"usage":{"prompt_tokens":2},"usage":null}"#;
        assert_eq!(read(Endpoint::ChatCompletions, body).unwrap().input, Some(2));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let inside = [b"{\"usage\":{\"prompt_tokens\":", &bytes[..], b"}}"].concat();
            for endpoint in ALL {
                let _ = (read(endpoint, &bytes), read(endpoint, &inside));
            }
        }
        #[test]
        fn no_figure_is_ever_bent(input in any::<u64>(), output in any::<i64>(), cached in any::<u64>()) {
            for endpoint in ALL {
                let usage = json!({"input_tokens": input, "output_tokens": output, "cache_read_input_tokens": cached, "input_tokens_details": {"cached_tokens": cached}});
                let report = read_value(endpoint, &json!({"usage": usage})).unwrap();
                prop_assert!(report.output.is_none_or(|n| i64::try_from(n) == Ok(output)));
                prop_assert!(report.suspect || report.output.is_some());
                let whole = if endpoint == Endpoint::Messages { input.saturating_add(cached) } else { input };
                prop_assert!(report.input.is_none_or(|n| n == whole) || report.suspect);
            }
        }
    }
}
