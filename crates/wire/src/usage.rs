//! Token counts that a reply reports, by endpoint.
//!
//! Invariants: an explicit zero is zero and an absent figure is `None`; a figure that cannot be right
//! is flagged, never bent; parts (cached, reasoning) are parts and never added to the whole. Where
//! Anthropic's input leaves the cache out, it is put back, so `input` means the same everywhere.

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
    /// A figure was negative, fractional, no number or beyond 2^53 (and is left out here), or the
    /// figures contradict each other (and stand here as they came).
    pub suspect: bool,
}

/// Reads the usage of a whole, unstreamed reply body. `None` if it reports none: an error body, a body
/// without usage, or no JSON.
#[must_use]
pub fn read(endpoint: Endpoint, body: &[u8]) -> Option<UsageReport> {
    read_body(endpoint, body).ok().flatten().map(|figures| figures.report(endpoint))
}

fn read_body(endpoint: Endpoint, body: &[u8]) -> Result<Option<Figures>, Malformed> {
    let mut cursor = Cursor::new(body);
    let mut members = cursor.enter_object()?;
    let (mut figures, mut is_error) = (None, false);
    while let Some(key) = cursor.key(&mut members)? {
        let is_null = cursor.next_byte() == Some(b'n');
        if key.is("usage") {
            figures = Figures::read(&mut cursor, body)?.or(figures);
        } else if endpoint == Endpoint::Rerank && key.is("meta") {
            figures = read_cohere(&mut cursor, body)?.or(figures);
        } else {
            // A response that failed half-way has an `error` beside figures that were used.
            is_error |= key.is("error") && !is_null && endpoint != Endpoint::Responses;
            cursor.skip()?;
        }
    }
    cursor.end()?;
    Ok(figures.filter(|_| !is_error))
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
                _ => cursor.skip()?,
            }
        }
        Ok((figures != Self::default()).then_some(figures))
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
                _ => cursor.skip()?,
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
