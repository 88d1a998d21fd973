//! The fake upstream: OpenAI-shaped, keeps its own count, and can stall, cut and lie.
//!
//! A request says itself how it wants to be treated, in the member `fake` of its body (the gateway passes unknown
//! members through); what it leaves out comes from [`FakeUpstream::set`], else from [`Script::default`].
//! [`render`] is the whole of what is sent for a script, so that a test can compare bytes.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use base64ct::{Base64, Encoding as _};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::TcpListener,
    sync::{mpsc, watch},
};

/// How usage is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageTold {
    /// As OpenAI does.
    Right,
    /// Not at all.
    Never,
    /// All zeros, and it says so.
    Zero,
    /// `total_tokens` is not the sum.
    WrongTotal,
    /// Numbers below zero.
    Negative,
    /// The final figures twice.
    Twice,
}

/// What an upstream does with one request.
#[derive(Debug, Clone)]
pub struct Script {
    /// The status; from 400 on with an error body.
    pub status: u16,
    /// The code in an error body.
    pub code: String,
    /// Chunks with content of a stream.
    pub chunks: u64,
    /// Tokens of input that it counts.
    pub input: u64,
    /// Tokens of output that it counts for a whole answer.
    pub output: u64,
    /// Of the input: from the cache.
    pub cached: u64,
    /// Of the output: reasoning.
    pub reasoning: u64,
    /// How usage is told.
    pub usage: UsageTold,
    /// A further member of the usage object.
    pub usage_more: Option<Value>,
    /// Whether the chunks before the last carry `"usage":null` when usage is asked for, as OpenAI's do.
    pub usage_null: bool,
    /// Stalls before this chunk until [`FakeUpstream::release`].
    pub stall_at: Option<u64>,
    /// Breaks the connection before this chunk.
    pub cut_at: Option<u64>,
    /// Stalls before the head of the reply until [`FakeUpstream::release`].
    pub slow_head: bool,
    /// Milliseconds between chunks.
    pub pace_ms: u64,
    /// Redirects there.
    pub redirect: Option<String>,
    /// Answers with this text in place of JSON.
    pub garbage: Option<String>,
    /// A first line of this length.
    pub huge_line: u64,
    /// Claims a content-encoding.
    pub encoding: Option<String>,
    /// Refuses a request that has a member of this name, as strict servers do.
    pub refuses: Option<String>,
    /// Says `retry-after`.
    pub retry_after: Option<String>,
    /// Closes the connection after the reply without saying so.
    pub hang_up_after: bool,
    /// The text of an answer that is not streamed.
    pub text: String,
    /// The text of a chat's answer, streamed or not.
    pub says: Option<String>,
    /// Says what a message orders between `SAY<<` and `>>`, as a model does that was talked into it.
    pub obeys: bool,
    /// The request asks for embeddings in base64.
    pub base64: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            status: 200,
            code: "some_code".into(),
            chunks: 5,
            input: 7,
            output: 5,
            cached: 0,
            reasoning: 0,
            usage: UsageTold::Right,
            usage_more: None,
            usage_null: true,
            stall_at: None,
            cut_at: None,
            slow_head: false,
            pace_ms: 0,
            redirect: None,
            garbage: None,
            huge_line: 0,
            encoding: None,
            refuses: None,
            retry_after: None,
            hang_up_after: false,
            text: "Hello there.".into(),
            says: None,
            obeys: false,
            base64: false,
        }
    }
}

impl Script {
    /// From JSON members, the rest as by default; `output` follows `chunks` unless it is named.
    #[must_use]
    pub fn from_members(members: &Map<String, Value>) -> Self {
        let plain = Self::default();
        let number = |name: &str| members.get(name).and_then(Value::as_u64);
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        let flag = |name: &str| members.get(name).and_then(Value::as_bool);
        let chunks = number("chunks").unwrap_or(plain.chunks);
        for name in members.keys() {
            assert!(Self::NAMES.contains(&name.as_str()), "no such instruction to the fake upstream: {name}");
        }
        Self {
            status: number("status").map_or(plain.status, |status| u16::try_from(status).expect("a status")),
            code: text("code").unwrap_or(plain.code),
            chunks,
            input: number("input").unwrap_or(plain.input),
            output: number("output").unwrap_or(chunks),
            cached: number("cached").unwrap_or(plain.cached),
            reasoning: number("reasoning").unwrap_or(plain.reasoning),
            usage: match text("usage").as_deref() {
                None | Some("right") => UsageTold::Right,
                Some("never") => UsageTold::Never,
                Some("zero") => UsageTold::Zero,
                Some("wrong_total") => UsageTold::WrongTotal,
                Some("negative") => UsageTold::Negative,
                Some("twice") => UsageTold::Twice,
                Some(other) => panic!("no such way to tell usage: {other}"),
            },
            usage_more: members.get("usage_more").cloned(),
            usage_null: flag("usage_null").unwrap_or(plain.usage_null),
            stall_at: number("stall_at"),
            cut_at: number("cut_at"),
            slow_head: flag("slow_head").unwrap_or(false),
            pace_ms: number("pace_ms").unwrap_or(0),
            redirect: text("redirect"),
            garbage: text("garbage"),
            huge_line: number("huge_line").unwrap_or(0),
            encoding: text("encoding"),
            refuses: text("refuses"),
            retry_after: text("retry_after"),
            hang_up_after: flag("hang_up_after").unwrap_or(false),
            text: text("text").unwrap_or(plain.text),
            says: text("says"),
            obeys: flag("obeys").unwrap_or(false),
            base64: false,
        }
    }
    const NAMES: [&str; 24] = [
        "status",
        "code",
        "chunks",
        "input",
        "output",
        "cached",
        "reasoning",
        "usage",
        "usage_null",
        "stall_at",
        "cut_at",
        "slow_head",
        "pace_ms",
        "redirect",
        "garbage",
        "huge_line",
        "encoding",
        "refuses",
        "usage_more",
        "retry_after",
        "hang_up_after",
        "text",
        "says",
        "obeys",
    ];

    /// Its part of what is said that comes with this chunk.
    fn said(&self, at: u64) -> Option<String> {
        let letters: Vec<char> = self.says.as_ref()?.chars().collect();
        let chunks = usize::try_from(self.chunks.max(1)).expect("a count");
        let size = letters.len().div_ceil(chunks).max(1);
        Some(letters.chunks(size).nth(usize::try_from(at).expect("a count")).unwrap_or_default().iter().collect())
    }
    /// What the messages of a request order.
    fn order(body: &Value) -> Option<String> {
        let messages = body["messages"].as_array()?.iter().filter_map(|message| message["content"].as_str());
        messages
            .filter_map(|text| text.split_once("SAY<<")?.1.split_once(">>"))
            .map(|(order, _)| order.to_owned())
            .next_back()
    }

    fn usage(&self, endpoint: Endpoint, input: u64, output: u64) -> Option<Value> {
        let embeddings = endpoint == Endpoint::Embeddings;
        let output = if embeddings { 0 } else { output };
        let told = |input: i128, output: i128, total: i128| {
            let mut usage = json!({"prompt_tokens": input as i64, "total_tokens": total as i64});
            if !embeddings {
                usage["completion_tokens"] = json!(output as i64);
                usage["prompt_tokens_details"] = json!({"cached_tokens": self.cached});
                usage["completion_tokens_details"] = json!({"reasoning_tokens": self.reasoning});
            }
            if let Some(more) = &self.usage_more {
                usage["more"] = more.clone();
            }
            usage
        };
        let (input, output) = (i128::from(input), i128::from(output));
        match self.usage {
            UsageTold::Never => None,
            UsageTold::Right | UsageTold::Twice => Some(told(input, output, input + output)),
            UsageTold::Zero => Some(told(0, 0, 0)),
            UsageTold::WrongTotal => Some(told(input, output, input + output + 1_000)),
            UsageTold::Negative => Some(told(-input, -output, -input - output)),
        }
    }
}

/// The routes that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `chat/completions`
    Chat,
    /// `completions`
    Completions,
    /// `embeddings`
    Embeddings,
}

/// What a request asks for about usage in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageAsked {
    /// `stream_options.include_usage`
    pub include: bool,
    /// `stream_options.continuous_usage_stats`
    pub continuous: bool,
}

/// Everything that is sent for a script: one piece for each event of a stream, else the body.
#[must_use]
pub fn render(script: &Script, endpoint: Endpoint, model: &str, stream: bool, asked: UsageAsked) -> Vec<Bytes> {
    if let Some(garbage) = &script.garbage {
        return vec![garbage.clone().into()];
    }
    if script.status >= 400 {
        let message = match &script.refuses {
            Some(name) => format!("Unrecognized request argument supplied: {name}"),
            None => format!("the upstream says {}", script.status),
        };
        let error = json!({"error": {"message": message, "type": "upstream_type", "param": null, "code": script.code}});
        return vec![error.to_string().into()];
    }
    if !stream {
        return vec![whole_body(script, endpoint, model).to_string().into()];
    }
    let event = |data: &str| Bytes::from(format!("data: {data}\n\n"));
    let mut pieces = Vec::new();
    if script.huge_line > 0 {
        let length = usize::try_from(script.huge_line).expect("a length");
        pieces.push(event(&"x".repeat(length)));
    }
    for at in 0..script.chunks {
        let usage = if asked.continuous && asked.include {
            script.usage(endpoint, script.input, at + 1).map(|usage| usage.to_string())
        } else {
            (asked.include && script.usage_null).then(|| "null".to_owned())
        };
        let said = script.said(at);
        pieces.push(event(&chunk(endpoint, model, at, at + 1 == script.chunks, said.as_deref(), usage.as_deref())));
    }
    if asked.include
        && let Some(usage) = script.usage(endpoint, script.input, script.output)
    {
        let last = event(&format!("{}\"choices\":[],\"usage\":{usage}}}", chunk_head(endpoint, model)));
        if script.usage == UsageTold::Twice {
            pieces.push(last.clone());
        }
        pieces.push(last);
    }
    pieces.push(Bytes::from_static(b"data: [DONE]\n\n"));
    pieces
}

fn chunk_head(endpoint: Endpoint, model: &str) -> String {
    let object = if endpoint == Endpoint::Chat { "chat.completion.chunk" } else { "text_completion" };
    format!(r#"{{"id":"fake-1","object":"{object}","created":1700000000,"model":"{model}","system_fingerprint":null,"#)
}

fn chunk(endpoint: Endpoint, model: &str, at: u64, last: bool, said: Option<&str>, usage: Option<&str>) -> String {
    let finish = if last { r#""stop""# } else { "null" };
    // A character of several bytes, an escape and a quoted newline in each: what a careless scanner breaks.
    let usual = format!("w\\u00f6rd \u{1f680} \\n\\\"{at} ");
    let text = said.map_or(usual, |said| {
        let quoted = Value::from(said).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    });
    let choice = if endpoint == Endpoint::Chat {
        format!(r#"{{"index":0,"delta":{{"content":"{text}"}},"logprobs":null,"finish_reason":{finish}}}"#)
    } else {
        format!(r#"{{"index":0,"text":"{text}","logprobs":null,"finish_reason":{finish}}}"#)
    };
    let usage = usage.map(|usage| format!(r#","usage":{usage}"#)).unwrap_or_default();
    format!("{}\"choices\":[{choice}]{usage}}}", chunk_head(endpoint, model))
}

/// An embedding: numbers, or their bytes in base64 where the request wants that, as OpenAI's own packages do.
fn vector(base64: bool) -> Value {
    const NUMBERS: [f32; 3] = [0.5, -0.25, 1.0];
    if !base64 {
        return json!(NUMBERS);
    }
    json!(Base64::encode_string(&NUMBERS.map(f32::to_le_bytes).concat()))
}

fn whole_body(script: &Script, endpoint: Endpoint, model: &str) -> Value {
    let mut body = match endpoint {
        Endpoint::Chat => json!({"id": "fake-1", "object": "chat.completion", "created": 1_700_000_000, "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": script.says.as_ref().unwrap_or(&script.text)}, "logprobs": null, "finish_reason": "stop"}]}),
        Endpoint::Completions => {
            json!({"id": "fake-1", "object": "text_completion", "created": 1_700_000_000, "model": model,
            "choices": [{"index": 0, "text": script.text, "logprobs": null, "finish_reason": "stop"}]})
        }
        Endpoint::Embeddings => json!({"object": "list", "model": model,
            "data": [{"object": "embedding", "index": 0, "embedding": vector(script.base64)}]}),
    };
    if let Some(usage) = script.usage(endpoint, script.input, script.output) {
        body["usage"] = usage;
    }
    body
}

/// One request as the upstream saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The path.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Value,
    /// Its body as it came.
    pub bytes: Bytes,
    /// The model that it named.
    pub model: String,
    /// Whether it asked for a stream.
    pub stream: bool,
    /// Tokens of input that were told, or would have been.
    pub input: u64,
    /// Tokens of output generated so far.
    pub output: u64,
    /// Everything was handed to the network.
    pub finished: bool,
    /// The other side hung up before the end.
    pub gone: bool,
    /// The status.
    pub status: u16,
}

impl Seen {
    /// What programs of other languages need of it; `user` is the request's own field.
    fn line(&self) -> Value {
        json!({"model": self.model, "input": self.input, "output": self.output, "status": self.status, "user": self.body["user"]})
    }
}

/// A running fake upstream. `GET /ledger` gives its ledger to programs of other languages.
#[derive(Clone)]
pub struct FakeUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    ledger: Mutex<Vec<Seen>>,
    usual: Mutex<Map<String, Value>>,
    released: watch::Sender<u64>,
    connections: AtomicU64,
    down: watch::Sender<bool>,
    listening: watch::Sender<bool>,
}

impl FakeUpstream {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let shared = Arc::new(Shared {
            ledger: Mutex::default(),
            usual: Mutex::default(),
            released: watch::channel(0).0,
            connections: AtomicU64::new(0),
            down: watch::channel(false).0,
            listening: watch::channel(true).0,
        });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut listener = Some(listener);
            let mut switch = accepting.down.subscribe();
            loop {
                let accepted = match &listener {
                    Some(listening) => tokio::select! {
                        accepted = listening.accept() => accepted,
                        _ = switch.wait_for(|down| *down) => {
                            // Connections are refused, not taken and dropped: nobody worked on anything.
                            listener = None;
                            accepting.listening.send_replace(false);
                            continue;
                        }
                    },
                    None => {
                        let _ = switch.wait_for(|down| !*down).await;
                        listener = TcpListener::bind(address).await.ok();
                        accepting.listening.send_replace(listener.is_some());
                        continue;
                    }
                };
                let Ok((stream, _)) = accepted else { return };
                accepting.connections.fetch_add(1, Ordering::Relaxed);
                let shared = Arc::clone(&accepting);
                tokio::spawn(async move {
                    let mut down = shared.down.subscribe();
                    let _ = stream.set_nodelay(true);
                    let hang_up = Arc::new(tokio::sync::Notify::new());
                    let answering = Arc::clone(&shared);
                    let hanging = Arc::clone(&hang_up);
                    let service =
                        service_fn(move |request| answer(Arc::clone(&answering), Arc::clone(&hanging), request));
                    let connection = hyper::server::conn::http1::Builder::new()
                        .keep_alive(true)
                        .serve_connection(TokioIo::new(stream), service);
                    tokio::select! {
                        _ = connection => {}
                        () = hang_up.notified() => {}
                        _ = down.wait_for(|down| *down) => {}
                    }
                });
            }
        });
        Self { address, shared }
    }
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
    /// Its base URL.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
    /// What it does with requests that do not say: members as of `fake`.
    pub fn set(&self, members: Value) {
        *self.shared.usual.lock().expect("lock") = members.as_object().cloned().expect("an object");
    }
    /// Lets everything that stalls go on.
    pub fn release(&self) {
        self.shared.released.send_modify(|count| *count += 1);
    }
    /// Breaks every connection and refuses new ones, until [`Self::come_back`].
    pub async fn go_down(&self) {
        self.shared.down.send_replace(true);
        let _ = self.shared.listening.subscribe().wait_for(|listening| !listening).await;
    }
    /// Takes connections again.
    pub async fn come_back(&self) {
        self.shared.down.send_replace(false);
        let _ = self.shared.listening.subscribe().wait_for(|listening| *listening).await;
    }
    /// Everything that it saw, in order.
    #[must_use]
    pub fn ledger(&self) -> Vec<Seen> {
        self.shared.ledger.lock().expect("lock").clone()
    }
    /// What it saw last.
    #[must_use]
    pub fn last(&self) -> Seen {
        self.ledger().pop().expect("a request")
    }
    /// Requests, tokens of input and tokens of output of the whole ledger.
    #[must_use]
    pub fn count(&self) -> (u64, u64, u64) {
        let ledger = self.shared.ledger.lock().expect("lock");
        ledger.iter().fold((0, 0, 0), |(n, input, output), seen| (n + 1, input + seen.input, output + seen.output))
    }
    /// How many connections were made to it.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

async fn answer(
    shared: Arc<Shared>,
    hang_up: Arc<tokio::sync::Notify>,
    request: http::Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, std::io::Error>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let path = head.uri.path().to_owned();
    let endpoint = match path.as_str() {
        "/v1/chat/completions" => Endpoint::Chat,
        "/v1/completions" => Endpoint::Completions,
        "/v1/embeddings" => Endpoint::Embeddings,
        "/v1/models" => {
            return Ok(Response::new(whole(r#"{"object":"list","data":[]}"#.into())));
        }
        "/ledger" => {
            let ledger = shared.ledger.lock().expect("lock").iter().map(Seen::line).collect::<Value>();
            return Ok(Response::new(whole(ledger.to_string().into())));
        }
        _ => {
            let mut response = Response::new(whole("no such route".into()));
            *response.status_mut() = StatusCode::NOT_FOUND;
            return Ok(response);
        }
    };
    let json: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let mut members = shared.usual.lock().expect("lock").clone();
    members.extend(json["fake"].as_object().cloned().unwrap_or_default());
    let mut script = Script::from_members(&members);
    if script.refuses.as_ref().is_some_and(|name| !json[name].is_null()) {
        script.status = 400;
    }
    script.base64 = json["encoding_format"] == "base64";
    if script.obeys {
        script.says = Some(Script::order(&json).unwrap_or_else(|| "NO ANSWER".to_owned()));
    }
    let stream = json["stream"].as_bool().unwrap_or(false) && script.status < 400;
    let model = json["model"].as_str().unwrap_or_default().to_owned();
    let options = &json["stream_options"];
    let asked = UsageAsked {
        include: options["include_usage"].as_bool().unwrap_or(false),
        continuous: options["continuous_usage_stats"].as_bool().unwrap_or(false),
    };
    let counts = script.status < 400;
    let index = {
        let mut ledger = shared.ledger.lock().expect("lock");
        ledger.push(Seen {
            path,
            headers: head.headers,
            body: json.clone(),
            bytes,
            model: model.clone(),
            stream,
            input: if counts { script.input } else { 0 },
            output: 0,
            finished: false,
            gone: false,
            status: script.status,
        });
        ledger.len() - 1
    };
    let mut entry = Entry { shared: Arc::clone(&shared), index, done: false };
    let mut released = shared.released.subscribe();
    released.borrow_and_update();
    if script.slow_head {
        let _ = released.changed().await;
    }
    let mut response = Response::builder().status(if script.redirect.is_some() { 307 } else { script.status });
    let kind = if stream { "text/event-stream; charset=utf-8" } else { "application/json" };
    response = response.header("content-type", kind).header("x-upstream-secret", "internal");
    for (name, value) in
        [("location", &script.redirect), ("content-encoding", &script.encoding), ("retry-after", &script.retry_after)]
    {
        if let Some(value) = value {
            response = response.header(name, value);
        }
    }
    let pieces = render(&script, endpoint, &model, stream, asked);
    if !stream {
        if script.cut_at.is_some() {
            // A promise of more than comes.
            let (sender, body) = body_by_pieces();
            let half = pieces[0].slice(..pieces[0].len() / 2);
            let response = response.header("content-length", pieces[0].len()).body(body);
            tokio::spawn(async move {
                let _ = sender.send(Ok(half)).await;
                let _ = sender.send(Err(std::io::Error::other("cut"))).await;
                drop(entry);
            });
            return response.map_err(std::io::Error::other);
        }
        if counts {
            let output = if endpoint == Endpoint::Embeddings { 0 } else { script.output };
            entry.update(|seen| seen.output = output);
        }
        entry.finish();
        if script.hang_up_after {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                hang_up.notify_one();
            });
        }
        return response.body(whole(pieces[0].clone())).map_err(std::io::Error::other);
    }
    let (sender, body) = body_by_pieces();
    tokio::spawn(async move {
        let content = usize::try_from(script.chunks).unwrap_or(usize::MAX);
        for (at, piece) in pieces.into_iter().enumerate() {
            let at_chunk = u64::try_from(at).ok();
            if script.stall_at == at_chunk {
                tokio::select! {
                    _ = released.changed() => {}
                    () = sender.closed() => return,
                }
            }
            if script.cut_at == at_chunk {
                let _ = sender.send(Err(std::io::Error::other("cut"))).await;
                return;
            }
            if script.pace_ms > 0 && at > 0 {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(script.pace_ms)) => {}
                    () = sender.closed() => return,
                }
            }
            if at < content {
                let whole = script.output;
                let so_far = at_chunk.unwrap_or(0) + 1;
                let last = at + 1 == content;
                entry.update(|seen| seen.output = if last { whole } else { so_far.min(whole) });
            }
            if sender.send(Ok(piece)).await.is_err() {
                return;
            }
        }
        entry.finish();
    });
    response.body(body).map_err(std::io::Error::other)
}

/// The ledger's line of a request; says that the other side is gone when dropped before the end.
struct Entry {
    shared: Arc<Shared>,
    index: usize,
    done: bool,
}

impl Entry {
    fn update(&self, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.shared.ledger.lock().expect("lock").get_mut(self.index) {
            change(seen);
        }
    }
    fn finish(&mut self) {
        self.done = true;
        self.update(|seen| seen.finished = true);
    }
}
impl Drop for Entry {
    fn drop(&mut self) {
        if !self.done {
            self.update(|seen| seen.gone = true);
        }
    }
}

fn whole(body: Bytes) -> BoxBody<Bytes, std::io::Error> {
    http_body_util::Full::new(body).map_err(|never: Infallible| match never {}).boxed()
}

type Piece = Result<Bytes, std::io::Error>;

/// A body that is sent piece by piece; closed when the connection is gone.
fn body_by_pieces() -> (mpsc::Sender<Piece>, BoxBody<Bytes, std::io::Error>) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, BodyExt::boxed(StreamBody::new(BodyOfPieces(Mutex::new(Pieces { receiver, cut: None })))))
}

struct BodyOfPieces(Mutex<Pieces>);

impl futures_util::Stream for BodyOfPieces {
    type Item = Result<Frame<Bytes>, std::io::Error>;
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.lock().expect("lock").poll(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

struct Pieces {
    receiver: mpsc::Receiver<Piece>,
    /// The error that the body ends with, held back for one turn.
    cut: Option<std::io::Error>,
}

impl Pieces {
    /// hyper drops what it has not flushed when a body fails, and flushes when a body has nothing ready: before an error
    /// there is one turn of nothing, or the pieces before the cut would leave only if the sender was slow enough.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        if let Some(cut) = self.cut.take() {
            return Poll::Ready(Some(Err(cut)));
        }
        match self.receiver.poll_recv(context) {
            Poll::Ready(Some(Err(cut))) => {
                self.cut = Some(cut);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            other => other,
        }
    }
}

/// A server that is no HTTP server: reads a little, says `words`, hangs up.
pub async fn babbler(words: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 64];
                let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await;
                let _ = stream.write_all(words).await;
            });
        }
    });
    address
}
