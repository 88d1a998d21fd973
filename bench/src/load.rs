//! Keep-alive clients that send one request over and over, with as little work of their own as possible.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The longest load of one measurement.
const LONGEST: Duration = Duration::from_secs(120);

/// A chat request as bytes.
pub fn chat(key: &str, model: &str, stream: bool) -> Vec<u8> {
    let stream = if stream { ",\"stream\":true" } else { "" };
    let body = format!(
        r#"{{"model":"{model}","messages":[{{"role":"system","content":"You are a helpful assistant."}},{{"role":"user","content":"Hello! Please answer in one short sentence."}}],"temperature":0.7,"max_tokens":100{stream}}}"#
    );
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends `request` `count` times over `connections` connections; returns how long it took. Each must be answered 200.
pub fn run(address: SocketAddr, request: &[u8], connections: usize, count: u64) -> anyhow::Result<Duration> {
    run_each(address, vec![request.to_vec()], 200, connections, count)
}

/// Sends `requests` in turn, `count` in all; each must be answered with this status.
pub fn run_each(
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    status: u16,
    connections: usize,
    count: u64,
) -> anyhow::Result<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let left = Arc::new(AtomicU64::new(count));
    let requests: Arc<[Vec<u8>]> = requests.into();
    let began = Instant::now();
    runtime.block_on(async {
        let client = || client(address, Arc::clone(&requests), status, Arc::clone(&left));
        let clients: Vec<_> = (0..connections).map(|_| tokio::spawn(client())).collect();
        for client in clients {
            tokio::time::timeout(LONGEST, client).await.context("the load took too long")???;
        }
        anyhow::Ok(())
    })?;
    Ok(began.elapsed())
}

async fn client(
    address: SocketAddr,
    requests: Arc<[Vec<u8>]>,
    expected: u16,
    left: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    let mut connection = Connection::open(address).await?;
    let take = |left: u64| left.checked_sub(1);
    while let Ok(left) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
        let at = usize::try_from(left)? % requests.len();
        let status = connection.send(requests.get(at).context("a request")?).await?;
        ensure!(status == expected, "status {status}: {}", connection.last_body());
    }
    Ok(())
}

/// A connection that is kept alive.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Opens one.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 << 10) })
    }
    /// The beginning of the last answer's body, to say why something was refused.
    pub fn last_body(&self) -> String {
        let body = find(&self.buffer, b"\r\n\r\n").and_then(|end| self.buffer.get(end + 4..)).unwrap_or_default();
        String::from_utf8_lossy(body).chars().take(200).collect()
    }
    /// Sends a request, reads the whole answer, returns its status.
    pub async fn send(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the server hung up");
            let Some(end) = find(&self.buffer, b"\r\n\r\n") else { continue };
            let head = self.buffer.get(..end).unwrap_or_default();
            let whole = match header_value(head, "content-length").and_then(|text| text.parse::<usize>().ok()) {
                Some(length) => self.buffer.len() >= end + 4 + length,
                None => self.buffer.ends_with(b"\r\n0\r\n\r\n"),
            };
            if whole {
                let status = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
                return status.and_then(|digits| digits.parse().ok()).context("a status");
            }
        }
    }
}

/// Where `needle` begins.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// A header's value; the name in lower case.
pub fn header_value<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(head).ok()?;
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
