//! The demo models' server: real HTTP on loopback, on a thread and runtime of its own, so that to the
//! gateway it is an upstream like any other.
//!
//! It stops generating when its client hangs up: an answer is made by the body that is sent, and
//! that body is dropped with the connection. A credential of its own keeps the machine's other users out.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore, time::Instant};
use tollgate_core::{World, seal::SecretText};

use super::{
    chat::{self, Answer, Shape},
    embedding,
    problem::Problem,
};

/// The largest body of a request.
const MOST_BODY_BYTES: usize = 8 << 20;
/// The most connections at a time.
const MOST_CONNECTIONS: usize = 4_096;
/// How long a request's header may take.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// The wait before the next try when no connection could be accepted (no file descriptor is free).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const STACK_BYTES: usize = 1 << 20;

type Body = BoxBody<Bytes, Infallible>;

/// How fast the models answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Before the first token.
    pub first: Duration,
    /// Between tokens.
    pub token: Duration,
}

impl Pace {
    /// As fast as people like to read along: 40 tokens a second after 150 ms.
    pub const HUMAN: Self = Self { first: Duration::from_millis(150), token: Duration::from_millis(25) };
}
impl std::str::FromStr for Pace {
    type Err = String;
    /// Milliseconds before the first token and between tokens: `150:25`; `0` is without any wait.
    fn from_str(text: &str) -> Result<Self, String> {
        let (first, token) = text.split_once(':').unwrap_or((text, text));
        let ms = |text: &str| text.parse().map(Duration::from_millis);
        match (ms(first), ms(token)) {
            (Ok(first), Ok(token)) => Ok(Self { first, token }),
            _ => Err("a pace is FIRST:TOKEN in milliseconds, such as 150:25, or 0".to_owned()),
        }
    }
}

/// The running server; it ends when this is dropped.
pub struct DemoServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it wants to see in `Authorization: Bearer`.
    pub credential: SecretText,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    world: World,
    pace: Pace,
    credential: SecretText,
}

impl DemoServer {
    /// Listens on a free loopback port and serves from then on.
    pub fn start(world: World, pace: Pace) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let credential = SecretText::new(format!("demo-{}", random_hex(&world, 16)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let shared = Arc::new(Shared { world, pace, credential: credential.clone() });
        let thread =
            std::thread::Builder::new().name("demo-models".to_owned()).stack_size(STACK_BYTES).spawn(move || {
                runtime.block_on(async move {
                    tokio::select! {
                        () = accept(listener, shared) => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self { address, credential, stop: Some(stop), thread: Some(thread) })
    }
    /// The base URL to register.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}
impl Drop for DemoServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the demo models cannot listen");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the demo models could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        // The runtime owns these tasks and drops them with the server.
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(respond(&shared, request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIME)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the demo models ended");
            }
            drop(place);
        });
    }
}

async fn respond(shared: &Shared, request: Request<Incoming>) -> Response<Body> {
    match answer(shared, request).await {
        Ok(response) => response,
        Err(problem) => json_response(problem.status, &problem.body()),
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Result<Response<Body>, Problem> {
    check_credential(shared, &request)?;
    let path = request.uri().path().trim_start_matches("/v1").to_owned();
    match (request.method(), path.as_str()) {
        (&Method::GET, "/models") => {
            let models: Vec<Value> = MODELS.iter().map(|name| model(name, shared)).collect();
            Ok(json_response(StatusCode::OK, &json!({ "object": "list", "data": models })))
        }
        (&Method::POST, "/chat/completions") => complete(shared, Shape::Chat, request).await,
        (&Method::POST, "/completions") => complete(shared, Shape::Text, request).await,
        (&Method::POST, "/embeddings") => {
            let body = read_body(request, embedding::MODEL).await?;
            let answer = embedding::answer(&body)?;
            tokio::time::sleep(shared.pace.first).await;
            Ok(json_response(StatusCode::OK, &answer))
        }
        (method, path) => {
            let message = format!("The demo models have no {method} {path}.");
            Err(Problem::request(StatusCode::NOT_FOUND, message, Some("unknown_url")))
        }
    }
}

/// The models that are served here.
pub const MODELS: [&str; 2] = [chat::MODEL, embedding::MODEL];

fn model(name: &str, shared: &Shared) -> Value {
    json!({ "id": name, "object": "model", "created": shared.world.now().as_millis() / 1_000, "owned_by": "tollgate-demo" })
}

fn check_credential(shared: &Shared, request: &Request<Incoming>) -> Result<(), Problem> {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer "));
    if given == Some(shared.credential.expose()) {
        return Ok(());
    }
    let message = "The demo models answer the gateway only: ask Tollgate's own address, with a key of Tollgate's.";
    Err(Problem::request(StatusCode::UNAUTHORIZED, message, Some("invalid_api_key")))
}

async fn read_body(request: Request<Incoming>, expected: &str) -> Result<Value, Problem> {
    let unreadable = |message: String| Problem::request(StatusCode::BAD_REQUEST, message, None);
    let body = Limited::new(request.into_body(), MOST_BODY_BYTES).collect().await;
    let body = body.map_err(|error| unreadable(format!("The body cannot be read: {error}.")))?.to_bytes();
    let body: Value =
        serde_json::from_slice(&body).map_err(|error| unreadable(format!("The body is not JSON: {error}.")))?;
    match body.get("model").and_then(Value::as_str) {
        Some(model) if model == expected => Ok(body),
        Some(model) => {
            let message = format!("The model `{model}` does not exist here or is of another kind; use `{expected}`.");
            Err(Problem::request(StatusCode::NOT_FOUND, message, Some("model_not_found")))
        }
        None => Err(Problem::field("model", "model must be a text.")),
    }
}

async fn complete(shared: &Shared, shape: Shape, request: Request<Incoming>) -> Result<Response<Body>, Problem> {
    let started = Instant::now();
    let body = read_body(request, chat::MODEL).await?;
    let id = random_hex(&shared.world, 12);
    let answer = Answer::to(shape, &body, &id, shared.world.now().as_millis() / 1_000)?;
    if answer.stream {
        return Ok(event_stream(answer, shared.pace, started));
    }
    tokio::time::sleep_until(due(shared.pace, started, answer.completion_tokens())).await;
    Ok(json_response(StatusCode::OK, &answer.whole()))
}

/// When this many tokens are out.
fn due(pace: Pace, started: Instant, tokens: usize) -> Instant {
    started + pace.first + pace.token.saturating_mul(u32::try_from(tokens).unwrap_or(u32::MAX))
}

fn event_stream(answer: Answer, pace: Pace, started: Instant) -> Response<Body> {
    let events = stream::unfold((answer, 0usize), move |(answer, index)| async move {
        let count = answer.chunk_count();
        if index > count {
            return None;
        }
        let event = if index < count {
            tokio::time::sleep_until(due(pace, started, answer.tokens_until(index))).await;
            format!("data: {}\n\n", text_of(&answer.chunk(index)))
        } else {
            "data: [DONE]\n\n".to_owned()
        };
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(event))), (answer, index + 1)))
    });
    let mut response = Response::new(StreamBody::new(events).boxed());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-cache"));
    response
}

/// Serialising what we made ourselves does not fail.
fn text_of(body: &impl Serialize) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

fn json_response(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(text_of(body))).boxed());
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn random_hex(world: &World, bytes: usize) -> String {
    use std::fmt::Write as _;
    let mut random = vec![0u8; bytes];
    world.fill(&mut random);
    random.iter().fold(String::with_capacity(bytes * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Pace = Pace { first: Duration::ZERO, token: Duration::ZERO };

    /// Status and text of an answer.
    fn ask(server: &DemoServer, path: &str, credential: &str, body: Option<Value>) -> (u16, String) {
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", server.base_url()))
            .header(header::AUTHORIZATION, format!("Bearer {credential}"))
            .body(body.map(|body| body.to_string()).unwrap_or_default())
            .unwrap();
        let agent = crate::cli::agent(Duration::from_secs(10), Duration::from_secs(60));
        let mut response = agent.run(request).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    #[test]
    fn it_answers_over_http_whole_and_as_a_stream_and_refuses_strangers() {
        let server = DemoServer::start(crate::world::real(), AT_ONCE).unwrap();
        let credential = server.credential.expose();
        let (status, models) = ask(&server, "/models", credential, None);
        assert!(status == 200 && MODELS.iter().all(|name| models.contains(name)), "{models}");
        assert_eq!(ask(&server, "/models", "guessed", None).0, 401);
        assert_eq!(ask(&server, "/nowhere", credential, None).0, 404);
        let chat = |model: &str, stream: bool| json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": "count to 3" }] });
        let (status, whole) = ask(&server, "/chat/completions", credential, Some(chat(chat::MODEL, false)));
        assert!(status == 200 && whole.contains("\"1, 2, 3\""), "{whole}");
        let (status, events) = ask(&server, "/chat/completions", credential, Some(chat(chat::MODEL, true)));
        assert!(status == 200 && events.ends_with("data: [DONE]\n\n"), "{events}");
        let (status, error) = ask(&server, "/chat/completions", credential, Some(chat(embedding::MODEL, false)));
        assert!(status == 404 && error.contains("model_not_found"), "{error}");
        assert_eq!(ask(&server, "/embeddings", credential, Some(json!({ "model": embedding::MODEL }))).0, 400);
    }

    #[test]
    fn a_stream_ends_with_its_client_and_the_server_with_its_owner() {
        let pace = Pace { first: Duration::ZERO, token: Duration::from_secs(3_600) };
        let server = DemoServer::start(crate::world::real(), pace).unwrap();
        let body =
            json!({ "model": chat::MODEL, "stream": true, "messages": [{ "role": "user", "content": "hello" }] });
        let request = Request::post(format!("{}/chat/completions", server.base_url()))
            .header(header::AUTHORIZATION, format!("Bearer {}", server.credential.expose()))
            .body(body.to_string())
            .unwrap();
        let response = crate::cli::agent(Duration::from_secs(10), Duration::from_secs(60)).run(request).unwrap();
        drop(response);
        // An answer that takes hours does not hold the server up.
        drop(server);
    }

    #[test]
    fn a_pace_is_two_numbers_of_milliseconds() {
        assert_eq!("150:25".parse(), Ok(Pace::HUMAN));
        assert_eq!("0".parse(), Ok(AT_ONCE));
        for wrong in ["", "fast", "1:", "-1:2", "1:2:3"] {
            assert!(wrong.parse::<Pace>().is_err(), "{wrong}");
        }
    }
}
