//! Requests, streams and raw bytes over HTTP, on connections that the test holds in its hand.

use std::{net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

use crate::{DEADLINE, left_behind};

/// A server's address. Each request gets a connection of its own, unless it is sent on a [`Connection`].
#[derive(Debug, Clone, Copy)]
pub struct Http {
    address: SocketAddr,
}

/// A request in the making.
#[derive(Debug, Clone)]
pub struct Request {
    address: SocketAddr,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A whole reply.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// A reply whose body is still coming. Dropping it closes the connection: the client hangs up.
#[derive(Debug)]
pub struct Streaming {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    body: Incoming,
    gathered: BytesMut,
    _connection: Connection,
}

/// A connection that is kept alive.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Http {
    /// For `http://ADDRESS`, with or without a path behind.
    #[must_use]
    pub fn at(url: &str) -> Self {
        let rest = url.strip_prefix("http://").unwrap_or(url);
        let authority = rest.split('/').next().unwrap_or_default();
        Self { address: authority.parse().unwrap_or_else(|_| panic!("not an address: {url}")) }
    }
    /// The server's address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
    /// A request.
    #[must_use]
    pub fn request(&self, method: &str, path: &str) -> Request {
        let method = method.parse().expect("a method");
        Request { address: self.address, method, path: path.to_owned(), headers: HeaderMap::new(), body: Bytes::new() }
    }
    /// A GET.
    #[must_use]
    pub fn get(&self, path: &str) -> Request {
        self.request("GET", path)
    }
    /// A POST of JSON.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Request {
        self.request("POST", path).json(body)
    }
    /// A connection for several requests.
    pub async fn connect(&self) -> std::io::Result<Connection> {
        Connection::open(self.address).await
    }
    /// Sends bytes as they are, and reads until the server closes, or for `patience` without anything new.
    pub async fn raw(&self, bytes: &[u8], patience: Duration) -> Bytes {
        let mut stream = TcpStream::connect(self.address).await.expect("connect");
        let mut answer = BytesMut::new();
        // A server that refuses early may close before it has read everything.
        let _ = stream.write_all(bytes).await;
        while let Ok(Ok(1..)) = timeout(patience, stream.read_buf(&mut answer)).await {}
        answer.freeze()
    }
    /// A bare TCP connection.
    pub async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connect")
    }
}

impl Request {
    /// With a key or token.
    #[must_use]
    pub fn bearer(self, secret: &str) -> Self {
        self.header("authorization", &format!("Bearer {secret}"))
    }
    /// With one more header; the same name twice is sent twice.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header's name");
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a header's value"));
        self
    }
    /// With a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        let bytes = serde_json::to_vec(body).expect("JSON");
        self.header("content-type", "application/json").body(bytes)
    }
    /// With these bytes as body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
    fn into_http(self) -> http::Request<Full<Bytes>> {
        let mut request = http::Request::builder().method(self.method).uri(&self.path);
        let headers = request.headers_mut().expect("a path that is a URI");
        *headers = self.headers;
        headers.entry("host").or_insert_with(|| self.address.to_string().parse().expect("host"));
        request.body(Full::new(self.body)).expect("a request")
    }
    /// Sends it and reads the whole reply; an error when the connection breaks.
    pub async fn try_send(self) -> anyhow::Result<Reply> {
        let address = self.address;
        timeout(DEADLINE, async move { Connection::open(address).await?.send(self).await }).await?
    }
    /// Sends it and reads the whole reply.
    pub async fn send(self) -> Reply {
        let shown = format!("{} {}", self.method, self.path);
        self.try_send().await.unwrap_or_else(|error| panic!("{shown}: {error:#}"))
    }
    /// Sends it and returns at the head of the reply; an error when the connection breaks.
    pub async fn try_stream(self) -> anyhow::Result<Streaming> {
        let address = self.address;
        timeout(DEADLINE, async move {
            let mut connection = Connection::open(address).await?;
            let response = connection.sender.send_request(self.into_http()).await?;
            let (head, body) = response.into_parts();
            Ok(Streaming {
                status: head.status,
                headers: head.headers,
                body,
                gathered: BytesMut::new(),
                _connection: connection,
            })
        })
        .await?
    }
    /// Sends it and returns at the head of the reply.
    pub async fn stream(self) -> Streaming {
        let shown = format!("{} {}", self.method, self.path);
        self.try_stream().await.unwrap_or_else(|error| panic!("{shown}: {error:#}"))
    }
}

impl Connection {
    async fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(std::io::Error::other)?;
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self { sender, driver })
    }
    /// Sends a request and reads the whole reply.
    pub async fn send(&mut self, request: Request) -> anyhow::Result<Reply> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request.into_http()).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        for cookie in head.headers.get_all("set-cookie") {
            left_behind::saw(cookie.as_bytes());
        }
        left_behind::saw(&body);
        Ok(Reply { status: head.status, headers: head.headers, body })
    }
}

impl Reply {
    /// Its body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
    /// A header as text, empty when absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
    /// The code of an error: OpenAI's shape, or a problem's.
    #[must_use]
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let code = body["error"]["code"].as_str().or(body["code"].as_str());
        code.unwrap_or_default().to_owned()
    }
    /// Status and code of an error, to compare with one word: `401 invalid_api_key`.
    #[must_use]
    pub fn answer(&self) -> String {
        format!("{} {}", self.status.as_u16(), self.code()).trim().to_owned()
    }
    /// The same reply, checked to have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self}");
        self
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.headers, String::from_utf8_lossy(&self.body))
    }
}

impl Streaming {
    /// The next bytes of the body; `None` at its end, an error when it breaks off.
    pub async fn next_bytes(&mut self) -> anyhow::Result<Option<Bytes>> {
        loop {
            match timeout(DEADLINE, self.body.frame()).await? {
                None => return Ok(None),
                Some(frame) => match frame?.into_data() {
                    Ok(data) => return Ok(Some(data)),
                    Err(_trailers) => {}
                },
            }
        }
    }
    /// The next event's data (`data: …`), without the prefix; `None` at the end.
    pub async fn next_event(&mut self) -> anyhow::Result<Option<String>> {
        loop {
            if let Some(at) = self.gathered.windows(2).position(|pair| pair == b"\n\n") {
                let event = self.gathered.split_to(at + 2);
                let text = String::from_utf8_lossy(&event).trim().to_owned();
                return Ok(Some(text.strip_prefix("data: ").unwrap_or(&text).to_owned()));
            }
            match self.next_bytes().await? {
                Some(bytes) => self.gathered.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }
    /// All events up to the end.
    pub async fn events(&mut self) -> anyhow::Result<Vec<String>> {
        let mut events = Vec::new();
        while let Some(event) = self.next_event().await? {
            events.push(event);
        }
        Ok(events)
    }
    /// All bytes up to the end.
    pub async fn rest(&mut self) -> anyhow::Result<Bytes> {
        let mut all = std::mem::take(&mut self.gathered);
        while let Some(bytes) = self.next_bytes().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all.freeze())
    }
}
