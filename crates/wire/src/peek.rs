//! What a JSON request body says about itself: model, stream, and what bounds its cost.
//!
//! Invariant: what is checked is what the upstream will read. JSON readers differ in what they do with
//! a member that comes twice (Python takes the last, serde refuses) and with its spelling (Go's
//! `encoding/json` takes `Model` for `model`, pydantic takes `"true"` for `true`); so a body over
//! which they could differ about a member that decides is refused, and the bytes go on as they came.

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;

use crate::json::{Cursor, DEPTH_MAX, Malformed, Text};

/// Why a request body was refused. All are `400 invalid_request`; `Display` is the public message,
/// which says what to do and repeats nothing of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeekError {
    /// No body.
    #[error("The request has no body. Send a JSON object with a \"model\".")]
    Empty,
    /// Opens with a byte order mark, which RFC 8259 forbids and readers treat differently.
    #[error("The request body begins with a byte order mark. Send the JSON as UTF-8 without one.")]
    ByteOrderMark,
    /// Bytes that are not UTF-8.
    #[error("The request body is not UTF-8 from byte {0} on. Send JSON encoded as UTF-8.")]
    NotUtf8(usize),
    /// Not JSON, or more than one JSON text.
    #[error("The request body is not valid JSON from byte {0} on. Send exactly one JSON object.")]
    NotJson(usize),
    /// JSON, but no object.
    #[error("The request body is not a JSON object. Send an object with a \"model\".")]
    NotObject,
    /// Arrays and objects too deep inside each other.
    #[error("The request body is nested more than {DEPTH_MAX} levels deep. Send a flatter one.")]
    TooDeep,
    /// `model` missing or empty.
    #[error(
        "You must name a model: set \"model\" in the request body. GET /v1/models lists those that this key may use."
    )]
    ModelMissing,
    /// `model` is no text.
    #[error("\"model\" must be a string. GET /v1/models lists the models that this key may use.")]
    ModelNotString,
    /// A deciding member comes more than once.
    #[error("\"{0}\" occurs more than once in the request body. Send it once.")]
    Repeated(&'static str),
    /// A name that some readers would take for a deciding member.
    #[error("The request body has a name that differs from \"{0}\" only in upper and lower case. Spell it \"{0}\".")]
    Misspelt(&'static str),
    /// Names further models, which some upstreams (OpenRouter, LiteLLM) would use without this key's
    /// permission having been asked about them.
    #[error("\"{0}\" names models beside \"model\". Name one model, and ask again with another one where you need to.")]
    OtherModels(&'static str),
    /// A deciding member of the wrong type.
    #[error("\"{param}\" must be {wanted}.")]
    WrongType {
        /// The member.
        param: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
}

impl PeekError {
    /// The member of the request that is at fault, for the error's `param`.
    #[must_use]
    pub fn param(&self) -> Option<&'static str> {
        match self {
            Self::ModelMissing | Self::ModelNotString => Some("model"),
            Self::Repeated(param)
            | Self::Misspelt(param)
            | Self::OtherModels(param)
            | Self::WrongType { param, .. } => Some(param),
            _ => None,
        }
    }
}

/// A request body that has been looked through, with what was found. Only [`peek`] makes one, so its
/// places always fit its bytes.
#[derive(Debug, Clone)]
pub struct Peeked {
    pub(crate) body: Bytes,
    /// With its quotes.
    pub(crate) model_at: Range<usize>,
    /// What `model` means, where it is spelt by escapes.
    model_unescaped: Option<Box<str>>,
    /// Behind the last member's value.
    pub(crate) end_of_members: usize,
    pub(crate) stream_options: StreamOptions,
    stream: bool,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    choices: Option<u64>,
}

/// `stream_options` as it stands in the body.
#[derive(Debug, Clone, Default)]
pub(crate) enum StreamOptions {
    #[default]
    Absent,
    Null(Range<usize>),
    Object {
        /// Behind the last member's value, or behind the opening brace.
        end_of_members: usize,
        is_empty: bool,
        include_usage: Option<Switch>,
        continuous_usage_stats: Option<Switch>,
    },
}

/// A boolean member: where its value stands, and whether it is on.
#[derive(Debug, Clone)]
pub(crate) struct Switch {
    pub at: Range<usize>,
    pub on: bool,
}

impl Peeked {
    /// The model that the client names, escapes resolved.
    #[must_use]
    pub fn model(&self) -> &str {
        if let Some(model) = &self.model_unescaped {
            return model;
        }
        let inner = self.model_at.start + 1..self.model_at.end.saturating_sub(1);
        self.body.get(inner).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
    /// Whether the client asks for a stream.
    #[must_use]
    pub fn stream(&self) -> bool {
        self.stream
    }
    /// Whether the client says anything of `stream_options` itself.
    #[must_use]
    pub fn names_stream_options(&self) -> bool {
        matches!(&self.stream_options, StreamOptions::Object { .. })
    }
    /// Whether the client itself asks for the usage chunk at the end of a stream.
    #[must_use]
    pub fn include_usage(&self) -> bool {
        matches!(&self.stream_options, StreamOptions::Object { include_usage: Some(Switch { on: true, .. }), .. })
    }
    /// Whether the client itself asks for running usage in every chunk (an extension of vLLM and SGLang).
    #[must_use]
    pub fn continuous_usage_stats(&self) -> bool {
        matches!(
            &self.stream_options,
            StreamOptions::Object { continuous_usage_stats: Some(Switch { on: true, .. }), .. }
        )
    }
    /// The most output tokens for each choice that the client allows: the larger of `max_tokens` and
    /// `max_completion_tokens`, since upstreams differ in which they heed. `None` where the client set
    /// none that is a plain whole number; the model's own ceiling holds then.
    #[must_use]
    pub fn output_limit(&self) -> Option<u64> {
        self.max_tokens.max(self.max_completion_tokens)
    }
    /// How many answers the client asks for (`n`), at least 1.
    #[must_use]
    pub fn choices(&self) -> u64 {
        self.choices.unwrap_or(1)
    }
    /// The whole body as it came.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

/// Looks through a whole request body once, without building anything.
///
/// # Errors
/// What makes the body one that is refused; see [`PeekError`].
pub fn peek(body: Bytes) -> Result<Peeked, PeekError> {
    if body.is_empty() {
        return Err(PeekError::Empty);
    }
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err(PeekError::ByteOrderMark);
    }
    std::str::from_utf8(&body).map_err(|error| PeekError::NotUtf8(error.valid_up_to()))?;
    let found = look(&body)?;
    let model = found.model.ok_or(PeekError::ModelMissing)?;
    let model_at = model.range();
    let model_unescaped = match model.unescape().ok_or(PeekError::ModelNotString)? {
        text if text.is_empty() => return Err(PeekError::ModelMissing),
        Cow::Borrowed(_) => None,
        Cow::Owned(text) => Some(text.into_boxed_str()),
    };
    Ok(Peeked {
        model_at,
        model_unescaped,
        end_of_members: found.end_of_members,
        stream_options: found.stream_options.unwrap_or_default(),
        stream: found.stream.unwrap_or(false),
        max_tokens: found.max_tokens.flatten(),
        max_completion_tokens: found.max_completion_tokens.flatten(),
        choices: found.n.flatten(),
        body,
    })
}

/// The deciding members: `None` until one has come.
#[derive(Default)]
struct Found<'a> {
    model: Option<Text<'a>>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<Option<u64>>,
    max_completion_tokens: Option<Option<u64>>,
    n: Option<Option<u64>>,
    end_of_members: usize,
}

const DECIDING: [&str; 8] =
    ["model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "models", "fallbacks"];
const SWITCHES: [&str; 2] = ["include_usage", "continuous_usage_stats"];

fn look(body: &[u8]) -> Result<Found<'_>, PeekError> {
    let mut cursor = Cursor::new(body);
    let mut found = Found::default();
    if cursor.next_byte() != Some(b'{') {
        // What is no object may still be no JSON, and that is the better thing to say.
        cursor.skip()?;
        cursor.end()?;
        return Err(PeekError::NotObject);
    }
    let mut members = cursor.enter_object()?;
    while let Some(key) = cursor.key(&mut members)? {
        match spelt(&key, &DECIDING)? {
            Some(param @ "model") => {
                if cursor.next_byte() != Some(b'"') {
                    cursor.skip()?;
                    return Err(PeekError::ModelNotString);
                }
                once(param, &mut found.model, cursor.string()?)?;
            }
            Some(param @ "stream") => once(param, &mut found.stream, switch(&mut cursor, body, param)?.on)?,
            Some(param @ "stream_options") => once(param, &mut found.stream_options, options(&mut cursor, body)?)?,
            Some(param @ "max_tokens") => once(param, &mut found.max_tokens, whole_number(&mut cursor, body)?)?,
            Some(param @ "max_completion_tokens") => {
                once(param, &mut found.max_completion_tokens, whole_number(&mut cursor, body)?)?;
            }
            Some(param @ ("models" | "fallbacks")) => {
                if cursor.next_byte() != Some(b'n') {
                    cursor.skip()?;
                    return Err(PeekError::OtherModels(param));
                }
                cursor.skip()?;
            }
            Some(param) => {
                let is_null = cursor.next_byte() == Some(b'n');
                let n = whole_number(&mut cursor, body)?;
                if !is_null && n.is_none_or(|n| n == 0) {
                    // Cost goes with it, so a text that some upstream would read as a number is not let through.
                    return Err(PeekError::WrongType { param, wanted: "a whole number from 1 up" });
                }
                once(param, &mut found.n, n)?;
            }
            None => cursor.skip()?,
        }
        found.end_of_members = cursor.at();
    }
    cursor.end()?;
    Ok(found)
}

/// Reads `stream_options`.
fn options(cursor: &mut Cursor<'_>, body: &[u8]) -> Result<StreamOptions, PeekError> {
    let param = "stream_options";
    match cursor.next_byte() {
        Some(b'{') => {}
        Some(b'n') => return Ok(StreamOptions::Null(cursor.value()?)),
        _ => {
            cursor.skip()?;
            return Err(PeekError::WrongType { param, wanted: "an object or null" });
        }
    }
    let (mut include_usage, mut continuous_usage_stats) = (None, None);
    let mut members = cursor.enter_object()?;
    let (mut end_of_members, mut is_empty) = (cursor.at(), true);
    while let Some(key) = cursor.key(&mut members)? {
        match spelt(&key, &SWITCHES)? {
            Some(param @ "include_usage") => once(param, &mut include_usage, switch(cursor, body, param)?)?,
            Some(param) => once(param, &mut continuous_usage_stats, switch(cursor, body, param)?)?,
            None => cursor.skip()?,
        }
        (end_of_members, is_empty) = (cursor.at(), false);
    }
    Ok(StreamOptions::Object { end_of_members, is_empty, include_usage, continuous_usage_stats })
}

/// Which of `names` the key is; an error if some reader might take it for one that it is not.
fn spelt(key: &Text<'_>, names: &[&'static str]) -> Result<Option<&'static str>, PeekError> {
    if !key.escaped {
        if let Some(name) = names.iter().find(|name| name.as_bytes() == key.inner) {
            return Ok(Some(name));
        }
        if !key.inner.iter().any(|b| b.is_ascii_uppercase() || !b.is_ascii()) {
            return Ok(None);
        }
    }
    // A name that is no Unicode text is none of ours.
    let Some(text) = key.unescape() else { return Ok(None) };
    for name in names {
        if text == *name {
            return Ok(Some(name));
        }
        if folded(&text).eq(name.chars()) {
            return Err(PeekError::Misspelt(name));
        }
    }
    Ok(None)
}

/// As Go's `encoding/json` compares names: by simple case folding, in which two signs outside ASCII have letters in it.
fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    })
}

fn once<T>(param: &'static str, place: &mut Option<T>, value: T) -> Result<(), PeekError> {
    if place.replace(value).is_some() { Err(PeekError::Repeated(param)) } else { Ok(()) }
}

/// A boolean or null, which is off. Anything else is refused, since pydantic would take `"yes"` and `1` for true.
fn switch(cursor: &mut Cursor<'_>, body: &[u8], param: &'static str) -> Result<Switch, PeekError> {
    let at = cursor.value()?;
    match body.get(at.clone()) {
        Some(b"true") => Ok(Switch { at, on: true }),
        Some(b"false" | b"null") => Ok(Switch { at, on: false }),
        _ => Err(PeekError::WrongType { param, wanted: "true or false" }),
    }
}

/// A whole number without sign, fraction or exponent; `None` for anything else.
fn whole_number(cursor: &mut Cursor<'_>, body: &[u8]) -> Result<Option<u64>, PeekError> {
    let at = cursor.value()?;
    Ok(body.get(at).and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(|text| text.parse().ok()))
}

impl From<Malformed> for PeekError {
    fn from(error: Malformed) -> Self {
        match error {
            Malformed::At(at) => Self::NotJson(at),
            Malformed::TooDeep => Self::TooDeep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peeked(body: &'static str) -> Result<Peeked, PeekError> {
        peek(Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn finds_what_decides_and_reads_nothing_else() {
        let body = r#" { "messages" : [{"model":"no","stream":1,"n":[]}], "model" : "qwen3-32b", "stream":true,
            "stream_options":{"include_usage":true,"x":{"include_usage":false}},"max_tokens":16,"max_completion_tokens":32,"n":2} "#;
        let peeked = peeked(body).unwrap();
        assert_eq!((peeked.model(), peeked.stream(), peeked.include_usage()), ("qwen3-32b", true, true));
        assert_eq!((peeked.output_limit(), peeked.choices()), (Some(32), 2));
        assert!(!peeked.continuous_usage_stats());
    }

    #[test]
    fn what_is_absent_or_null_is_off() {
        for body in
            [r#"{"model":"a"}"#, r#"{"model":"a","stream":null,"stream_options":null,"max_tokens":null,"n":null}"#]
        {
            let peeked = peeked(body).unwrap();
            assert_eq!(
                (peeked.stream(), peeked.include_usage(), peeked.output_limit(), peeked.choices()),
                (false, false, None, 1)
            );
        }
    }

    #[test]
    fn names_are_compared_as_meant_not_as_spelt() {
        assert_eq!(peeked(r#"{"mod\u0065l":"qw\u0065n\u00e9\/\ud83d\ude80"}"#).unwrap().model(), "qwené/🚀");
        assert_eq!(peeked(r#"{"model":"a","mod\u0065l":"b"}"#).unwrap_err(), PeekError::Repeated("model"));
        assert_eq!(peeked(r#"{"model":"a","\u004dodel":"b"}"#).unwrap_err(), PeekError::Misspelt("model"));
    }

    #[test]
    fn a_body_that_readers_could_read_differently_is_refused() {
        use PeekError::*;
        const BOOLEAN: &str = "true or false";
        for (body, error) in [
            (r#"{"model":"a","model":"a"}"#, Repeated("model")),
            (r#"{"model":"a","stream":true,"stream":true}"#, Repeated("stream")),
            (r#"{"model":"a","stream_options":null,"stream_options":{}}"#, Repeated("stream_options")),
            (
                r#"{"model":"a","stream_options":{"include_usage":true,"include_usage":true}}"#,
                Repeated("include_usage"),
            ),
            (r#"{"model":"a","max_tokens":1,"max_tokens":null}"#, Repeated("max_tokens")),
            (r#"{"model":"a","Model":"b"}"#, Misspelt("model")),
            (r#"{"MODEL":"b"}"#, Misspelt("model")),
            (r#"{"model":"a","ſtream":true}"#, Misspelt("stream")),
            (r#"{"model":"a","max_to\u212aens":1}"#, Misspelt("max_tokens")),
            (r#"{"model":"a","N":1}"#, Misspelt("n")),
            (r#"{"model":"a","stream_options":{"Include_Usage":true}}"#, Misspelt("include_usage")),
            (r#"{"model":"a","stream":"true"}"#, WrongType { param: "stream", wanted: BOOLEAN }),
            (r#"{"model":"a","stream":1}"#, WrongType { param: "stream", wanted: BOOLEAN }),
            (
                r#"{"model":"a","stream_options":[]}"#,
                WrongType { param: "stream_options", wanted: "an object or null" },
            ),
            (
                r#"{"model":"a","stream_options":{"include_usage":"yes"}}"#,
                WrongType { param: "include_usage", wanted: BOOLEAN },
            ),
            (r#"{"model":"a","n":"5"}"#, WrongType { param: "n", wanted: "a whole number from 1 up" }),
            (r#"{"model":"a","n":0}"#, WrongType { param: "n", wanted: "a whole number from 1 up" }),
            (r#"{"model":"a","n":1.0}"#, WrongType { param: "n", wanted: "a whole number from 1 up" }),
        ] {
            assert_eq!(peeked(body).unwrap_err(), error, "{body}");
            assert!(error.param().is_some() && error.to_string().contains(error.param().unwrap()));
        }
    }

    #[test]
    fn a_limit_that_is_no_plain_number_counts_as_none() {
        for limit in ["\"1000000\"", "1e9", "-1", "1.5", "99999999999999999999", "[]"] {
            let body = format!(r#"{{"model":"a","max_tokens":{limit}}}"#);
            assert_eq!(peek(body.into()).unwrap().output_limit(), None, "{limit}");
        }
    }

    #[test]
    fn a_model_that_is_missing_or_no_text_is_refused() {
        use PeekError::*;
        for (body, error) in [
            ("{}", ModelMissing),
            (r#"{"messages":[{"model":"a"}]}"#, ModelMissing),
            (r#"{"model":""}"#, ModelMissing),
            (r#"{"model":null}"#, ModelNotString),
            (r#"{"model":["a"]}"#, ModelNotString),
            (r#"{"model":1}"#, ModelNotString),
            (r#"{"model":"\ud800"}"#, ModelNotString),
        ] {
            assert_eq!(peeked(body).unwrap_err(), error, "{body}");
            assert_eq!(error.param(), Some("model"));
        }
    }

    #[test]
    fn models_beside_the_model_that_is_checked_are_refused() {
        use PeekError::{Misspelt, OtherModels};
        for (body, error) in [
            (r#"{"model":"a","models":["b"]}"#, OtherModels("models")),
            (r#"{"models":"b","model":"a"}"#, OtherModels("models")),
            (r#"{"model":"a","fallbacks":[{"model":"b"}]}"#, OtherModels("fallbacks")),
            (r#"{"model":"a","\u006dodels":[]}"#, OtherModels("models")),
            (r#"{"model":"a","Models":["b"]}"#, Misspelt("models")),
        ] {
            assert_eq!(peeked(body).unwrap_err(), error, "{body}");
            assert!(error.param().is_some());
        }
        assert!(peeked(r#"{"model":"a","models":null,"messages":[{"models":["b"]}]}"#).is_ok());
    }

    #[test]
    fn a_body_that_is_not_one_json_object_is_refused() {
        use PeekError::*;
        for (body, error) in [
            (&b""[..], Empty),
            (b"\xef\xbb\xbf{\"model\":\"a\"}", ByteOrderMark),
            (b"{\"model\":\"a\",\"x\":\"\xff\"}", NotUtf8(18)),
            (b"{\"model\":\"a\"}{}", NotJson(13)),
            (b"{\"model\":\"a\"}\0", NotJson(13)),
            (b"{\"model\":\"a\",}", NotJson(13)),
            (b"{\"model\":\"a\"", NotJson(12)),
            (b"{'model':'a'}", NotJson(1)),
            (b"{\"model\":\"a\",\"t\":NaN}", NotJson(17)),
            (b"model=a", NotJson(0)),
            (b"   ", NotJson(3)),
            (b"[{\"model\":\"a\"}]", NotObject),
            (b"\"model\"", NotObject),
            (b"null", NotObject),
        ] {
            assert_eq!(peek(Bytes::from_static(body)).unwrap_err(), error, "{}", body.escape_ascii());
            assert_eq!(error.param(), None);
        }
        let deep = format!(r#"{{"model":"a","x":{}}}"#, "[".repeat(1_000_000));
        assert_eq!(peek(deep.into()).unwrap_err(), TooDeep);
    }

    #[test]
    fn no_message_repeats_the_body() {
        for body in [r#"{"model":7,"k":"tg_secret"}"#, r#"{"tg_secret"}"#, r#"{"model":"a","stream":"tg_secret"}"#] {
            assert!(!peeked(body).unwrap_err().to_string().contains("tg_secret"));
        }
    }
}
