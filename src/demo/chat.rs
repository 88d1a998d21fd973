//! The demo chat model: reads a request of `chat/completions` or `completions`, and gives its answer
//! whole or in chunks. The chunks' texts together are the whole answer's text.

use serde_json::{Value, json};

use super::{
    problem::Problem,
    reply::{Choice, CompletionDetails, Content, Delta, PromptDetails, Reply, Usage},
    tokens, words,
};

/// The name of the model.
pub const MODEL: &str = "demo-chat";
/// Input and output together, in tokens.
pub const CONTEXT_WINDOW: u64 = 32_768;
/// Output of a request that names no limit, and the most of any, in tokens.
pub const MOST_OUTPUT: u64 = 8_192;
/// Tokens around each message, and behind the last, as OpenAI's cookbook counts them
/// (How to count tokens with tiktoken).
const PER_MESSAGE: u64 = 3;
const BEHIND_MESSAGES: u64 = 3;
const MOST_MESSAGES: usize = 2_048;
const MOST_STOPS: usize = 4;

/// Which of the two routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `chat/completions`
    Chat,
    /// `completions`
    Text,
}

/// An answer, ready to be given out.
#[derive(Debug, Clone)]
pub struct Answer {
    shape: Shape,
    prompt_tokens: u64,
    pieces: Vec<String>,
    finish_reason: &'static str,
    /// Whether it is to be streamed.
    pub stream: bool,
    include_usage: bool,
    running_usage: bool,
    id: String,
    created: i64,
}

impl Answer {
    /// The answer to a request. `id` and `created` come from the server.
    pub fn to(shape: Shape, body: &Value, id: &str, created: i64) -> Result<Self, Problem> {
        let (prompt_tokens, prompt, seed) = match shape {
            Shape::Chat => read_messages(body)?,
            Shape::Text => read_prompt(body)?,
        };
        if prompt_tokens >= CONTEXT_WINDOW {
            return Err(Problem::context(CONTEXT_WINDOW, prompt_tokens));
        }
        if body.get("n").is_some_and(|n| !n.is_null() && n.as_u64() != Some(1)) {
            return Err(Problem::field("n", "This model gives one answer to a request: n must be 1."));
        }
        let mut text = words::answer(&prompt, seed);
        if wants_json(body)? {
            text = json!({ "answer": text }).to_string();
        }
        if let Some(at) = read_stops(body)?.iter().filter_map(|stop| text.find(stop.as_str())).min() {
            text.truncate(at);
        }
        let mut tokens = tokens::encode(&text);
        let most = read_most(body)?.min(CONTEXT_WINDOW - prompt_tokens);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let cut = tokens.len() > most;
        tokens.truncate(most);
        let options = body.get("stream_options");
        let option = |name: &str| options.and_then(|options| options.get(name)?.as_bool()).unwrap_or(false);
        let prefix = if shape == Shape::Chat { "chatcmpl" } else { "cmpl" };
        Ok(Self {
            shape,
            prompt_tokens,
            pieces: tokens::pieces(&tokens),
            finish_reason: if cut { "length" } else { "stop" },
            stream: boolean(body, "stream")?,
            include_usage: option("include_usage"),
            running_usage: option("continuous_usage_stats"),
            id: format!("{prefix}-{id}"),
            created,
        })
    }

    /// How many tokens it has.
    pub fn completion_tokens(&self) -> usize {
        self.pieces.len()
    }

    /// The whole answer as one body.
    pub fn whole(&self) -> Reply<'_> {
        let text = self.pieces.concat();
        let (object, content) = match self.shape {
            Shape::Chat => ("chat.completion", Content::Message { role: "assistant", content: text, refusal: None }),
            Shape::Text => ("text_completion", Content::Text(text)),
        };
        self.reply(object, Some((content, Some(self.finish_reason))), Some(Some(self.usage(self.pieces.len()))))
    }

    /// How many events the stream has, the closing `[DONE]` left out.
    pub fn chunk_count(&self) -> usize {
        self.opening() + self.pieces.len() + 1 + usize::from(self.include_usage)
    }

    /// How many tokens have been given out with the event at `index`.
    pub fn tokens_until(&self, index: usize) -> usize {
        (index + 1).saturating_sub(self.opening()).min(self.pieces.len())
    }

    /// The event at `index` of the stream.
    pub fn chunk(&self, index: usize) -> Reply<'_> {
        let given = self.tokens_until(index);
        let end = self.opening() + self.pieces.len();
        let object = match self.shape {
            Shape::Chat => "chat.completion.chunk",
            Shape::Text => "text_completion",
        };
        if index > end {
            return self.reply(object, None, Some(Some(self.usage(given))));
        }
        let piece = index.checked_sub(self.opening()).and_then(|index| self.pieces.get(index)).cloned();
        let content = match self.shape {
            Shape::Chat if index == end => Content::Delta(Delta::default()),
            Shape::Chat if index < self.opening() => {
                Content::Delta(Delta { role: Some("assistant"), content: Some(String::new()) })
            }
            Shape::Chat => Content::Delta(Delta { role: None, content: piece }),
            Shape::Text => Content::Text(piece.unwrap_or_default()),
        };
        let usage = if self.running_usage { Some(Some(self.usage(given))) } else { self.include_usage.then_some(None) };
        self.reply(object, Some((content, (index == end).then_some(self.finish_reason))), usage)
    }

    /// A chat's stream opens with an event that has the role and no text.
    const fn opening(&self) -> usize {
        match self.shape {
            Shape::Chat => 1,
            Shape::Text => 0,
        }
    }
    fn reply(
        &self,
        object: &'static str,
        choice: Option<(Content, Option<&'static str>)>,
        usage: Option<Option<Usage>>,
    ) -> Reply<'_> {
        let choice = choice.map(|(content, finish_reason)| Choice { index: 0, content, logprobs: None, finish_reason });
        Reply {
            id: &self.id,
            object,
            created: self.created,
            model: MODEL,
            choices: choice.into_iter().collect(),
            usage,
            system_fingerprint: "tollgate-demo",
        }
    }
    fn usage(&self, completion_tokens: usize) -> Usage {
        let completion_tokens = u64::try_from(completion_tokens).unwrap_or(u64::MAX);
        Usage {
            prompt_tokens: self.prompt_tokens,
            completion_tokens,
            total_tokens: self.prompt_tokens.saturating_add(completion_tokens),
            prompt_tokens_details: PromptDetails::default(),
            completion_tokens_details: CompletionDetails::default(),
        }
    }
}

/// Tokens of all messages, the text to answer, and the seed of the answer.
fn read_messages(body: &Value) -> Result<(u64, String, u64), Problem> {
    let Some(messages) = body.get("messages").and_then(Value::as_array) else {
        return Err(Problem::field("messages", "messages must be a list of messages."));
    };
    if messages.is_empty() || messages.len() > MOST_MESSAGES {
        return Err(Problem::field("messages", format!("messages must have 1 to {MOST_MESSAGES} entries.")));
    }
    let mut tokens = BEHIND_MESSAGES;
    let mut asked = String::new();
    let mut texts = Vec::with_capacity(messages.len());
    for message in messages {
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        if !["system", "developer", "user", "assistant", "tool", "function"].contains(&role) {
            let message = "each message needs a role: system, developer, user, assistant, tool or function.";
            return Err(Problem::field("messages", message));
        }
        let text = read_content(message.get("content").unwrap_or(&Value::Null))?;
        tokens = tokens.saturating_add(PER_MESSAGE + tokens::count(role) + tokens::count(&text));
        if role == "user" {
            asked.clone_from(&text);
        }
        texts.push(text);
    }
    let seed = words::seed(texts.iter().map(String::as_str));
    Ok((tokens, asked, seed))
}

fn read_content(content: &Value) -> Result<String, Problem> {
    let part = |part: &Value| match (part.get("type").and_then(Value::as_str), part.get("text").and_then(Value::as_str))
    {
        (Some("text"), Some(text)) => Ok(text.to_owned()),
        _ => Err(Problem::field(
            "messages",
            "demo-chat reads text only: each part must be {\"type\":\"text\",\"text\":…}.",
        )),
    };
    match content {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => parts.iter().map(part).collect(),
        _ => Err(Problem::field("messages", "content must be a text or a list of parts.")),
    }
}

fn read_prompt(body: &Value) -> Result<(u64, String, u64), Problem> {
    let prompt = match body.get("prompt") {
        Some(Value::String(text)) => Some(text.as_str()),
        Some(Value::Array(texts)) => match texts.as_slice() {
            [Value::String(text)] => Some(text.as_str()),
            _ => None,
        },
        _ => None,
    };
    let Some(prompt) = prompt else {
        return Err(Problem::field("prompt", "prompt must be a text, or a list of one text."));
    };
    Ok((tokens::count(prompt), prompt.to_owned(), words::seed([prompt].into_iter())))
}

fn boolean(body: &Value, name: &'static str) -> Result<bool, Problem> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(Problem::field(name, format!("{name} must be true or false."))),
    }
}

/// The most tokens of output: the newer name wins.
fn read_most(body: &Value) -> Result<u64, Problem> {
    for name in ["max_completion_tokens", "max_tokens"] {
        match body.get(name) {
            None | Some(Value::Null) => {}
            Some(value) => {
                let most = value.as_u64().filter(|most| *most > 0);
                let wrong = || Problem::field(name, format!("{name} must be a whole number of at least 1."));
                return most.map(|most| most.min(MOST_OUTPUT)).ok_or_else(wrong);
            }
        }
    }
    Ok(MOST_OUTPUT)
}

fn read_stops(body: &Value) -> Result<Vec<String>, Problem> {
    let wrong = || Problem::field("stop", format!("stop must be a text or a list of up to {MOST_STOPS} texts."));
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(wrong);
    let stops: Vec<String> = match body.get("stop") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(stops)) if stops.len() <= MOST_STOPS => stops.iter().map(text).collect::<Result<_, _>>()?,
        Some(stop) => vec![text(stop)?],
    };
    Ok(stops.into_iter().filter(|stop| !stop.is_empty()).collect())
}

fn wants_json(body: &Value) -> Result<bool, Problem> {
    match body.get("response_format").and_then(|format| format.get("type")).and_then(Value::as_str) {
        Some("json_object") => Ok(true),
        Some("json_schema") => {
            Err(Problem::field("response_format", "demo-chat gives text and json_object, but no json_schema."))
        }
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: Value) -> Result<Answer, Problem> {
        let shape = if body.get("prompt").is_some() { Shape::Text } else { Shape::Chat };
        Answer::to(shape, &body, "1", 0)
    }
    fn ask(text: &str, more: Value) -> Value {
        let mut body = json!({ "model": MODEL, "messages": [{ "role": "user", "content": text }] });
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        body
    }
    fn whole(answer: &Answer) -> Value {
        serde_json::to_value(answer.whole()).unwrap()
    }
    fn chunk(answer: &Answer, index: usize) -> Value {
        serde_json::to_value(answer.chunk(index)).unwrap()
    }
    fn text_of(answer: &Answer) -> String {
        let whole = whole(answer);
        let choice = &whole["choices"][0];
        choice["message"]["content"].as_str().or(choice["text"].as_str()).unwrap().to_owned()
    }
    fn streamed(answer: &Answer) -> String {
        let texts = (0..answer.chunk_count()).map(|index| {
            let chunk = chunk(answer, index);
            let choice = &chunk["choices"][0];
            choice["delta"]["content"].as_str().or(choice["text"].as_str()).unwrap_or_default().to_owned()
        });
        texts.collect()
    }

    #[test]
    fn what_is_streamed_is_what_would_have_been_answered_whole() {
        for prompt in ["Tell me about 日本語 and 🦀 crabs", "Say 🏳️‍🌈 naïve", "A long story about bridges"]
        {
            for body in [ask(prompt, json!({})), json!({ "prompt": prompt })] {
                let answer = answer(body).unwrap();
                assert_eq!(streamed(&answer), text_of(&answer));
            }
        }
    }

    #[test]
    fn usage_is_what_the_tokenizer_counts() {
        let answer = answer(ask("Explain bridges", json!({ "stream_options": { "include_usage": true } }))).unwrap();
        let usage = whole(&answer)["usage"].clone();
        assert_eq!(usage["prompt_tokens"], 3 + tokens::count("user") + tokens::count("Explain bridges") + 3);
        assert_eq!(usage["completion_tokens"], tokens::count(&text_of(&answer)));
        let last = chunk(&answer, answer.chunk_count() - 1);
        assert_eq!(last["choices"], json!([]));
        assert_eq!(last["usage"], usage);
    }

    #[test]
    fn a_stream_without_include_usage_has_no_usage_and_ends_with_its_reason() {
        let answer = answer(ask("Explain bridges", json!({}))).unwrap();
        for index in 0..answer.chunk_count() {
            assert_eq!(chunk(&answer, index).get("usage"), None);
        }
        assert_eq!(chunk(&answer, 0)["choices"][0]["delta"], json!({ "role": "assistant", "content": "" }));
        assert_eq!(chunk(&answer, answer.chunk_count() - 1)["choices"][0]["finish_reason"], "stop");
    }

    #[test]
    fn running_usage_grows_by_one_with_each_piece() {
        let answer =
            answer(ask("Explain bridges", json!({ "stream_options": { "continuous_usage_stats": true } }))).unwrap();
        assert_eq!(chunk(&answer, 0)["usage"]["completion_tokens"], 0);
        assert_eq!(chunk(&answer, 1)["usage"]["completion_tokens"], 1);
        assert_eq!(chunk(&answer, 7)["usage"]["completion_tokens"], 7);
    }

    #[test]
    fn limits_and_stops_are_kept() {
        let cut = answer(ask("Explain bridges", json!({ "max_tokens": 5 }))).unwrap();
        assert_eq!(whole(&cut)["usage"]["completion_tokens"], 5);
        assert_eq!(whole(&cut)["choices"][0]["finish_reason"], "length");
        let newer = answer(ask("Explain bridges", json!({ "max_tokens": 5, "max_completion_tokens": 3 }))).unwrap();
        assert_eq!(newer.completion_tokens(), 3);
        let stopped = answer(ask("count to 9", json!({ "stop": [", 4", ", 7"] }))).unwrap();
        assert_eq!(text_of(&stopped), "1, 2, 3");
        assert_eq!(whole(&stopped)["choices"][0]["finish_reason"], "stop");
        let exact = answer(ask("Say hi", json!({ "max_tokens": 1 }))).unwrap();
        assert_eq!(whole(&exact)["choices"][0]["finish_reason"], "stop");
        let json_answer = answer(ask("Say hi", json!({ "response_format": { "type": "json_object" } }))).unwrap();
        assert_eq!(text_of(&json_answer), r#"{"answer":"hi"}"#);
    }

    #[test]
    fn wrong_requests_are_refused_by_field() {
        for (body, param) in [
            (json!({}), "messages"),
            (json!({ "messages": [] }), "messages"),
            (json!({ "messages": "hi" }), "messages"),
            (json!({ "messages": [{ "role": "robot", "content": "x" }] }), "messages"),
            (json!({ "messages": [{ "role": "user", "content": 5 }] }), "messages"),
            (json!({ "messages": [{ "role": "user", "content": [{ "type": "image_url" }] }] }), "messages"),
            (json!({ "prompt": ["a", "b"] }), "prompt"),
            (ask("x", json!({ "n": 2 })), "n"),
            (ask("x", json!({ "max_tokens": 0 })), "max_tokens"),
            (ask("x", json!({ "max_tokens": -1 })), "max_tokens"),
            (ask("x", json!({ "stop": 5 })), "stop"),
            (ask("x", json!({ "stop": ["a", "b", "c", "d", "e"] })), "stop"),
            (ask("x", json!({ "stream": "yes" })), "stream"),
            (ask("x", json!({ "response_format": { "type": "json_schema" } })), "response_format"),
        ] {
            assert_eq!(answer(body.clone()).unwrap_err().param, Some(param), "{body}");
        }
        let long = answer(ask(&"word ".repeat(40_000), json!({}))).unwrap_err();
        assert_eq!(long.code, Some("context_length_exceeded"));
    }
}
