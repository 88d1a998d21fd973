//! A keep-alive upstream, as a process of its own: a small JSON answer, or a stream of 100 chunks in one burst.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::load::{find, header_value};

/// Chunks of a stream.
const CHUNKS: usize = 100;

/// The process; killed when dropped.
pub struct Mock {
    child: Child,
    address: SocketAddr,
}

impl Mock {
    /// Starts it.
    pub fn start() -> anyhow::Result<Self> {
        let mut child =
            Command::new(std::env::current_exe()?).arg("mock").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
        Ok(Self { child, address: line.trim().parse()? })
    }
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The role of the child process.
pub fn serve() -> anyhow::Result<()> {
    // The parent holds the other end: when it is gone, so is this process.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let answers: &'static Answers = Box::leak(Box::new(Answers::new()));
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(connection(stream, answers));
        }
    })
}

struct Answers {
    plain: Vec<u8>,
    stream: Vec<u8>,
}

impl Answers {
    fn new() -> Self {
        let body = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there, how can I help you today?"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":10,"total_tokens":19}}"#;
        let plain = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream =
            String::from("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
        let mut chunk = |data: &str| {
            let event = format!("data: {data}\n\n");
            stream.push_str(&format!("{:x}\r\n{event}\r\n", event.len()));
        };
        for at in 0..CHUNKS {
            chunk(&format!(
                r#"{{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{{"index":0,"delta":{{"content":" word{at}"}},"finish_reason":null}}],"usage":null}}"#
            ));
        }
        chunk(
            r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":100,"total_tokens":109}}"#,
        );
        chunk("[DONE]");
        stream.push_str("0\r\n\r\n");
        Self { plain: plain.into_bytes(), stream: stream.into_bytes() }
    }
}

async fn connection(mut stream: TcpStream, answers: &Answers) {
    let mut buffer = Vec::with_capacity(16 << 10);
    loop {
        let (end, length) = loop {
            if let Some(end) = find(&buffer, b"\r\n\r\n") {
                let head = buffer.get(..end).unwrap_or_default();
                let length = header_value(head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0usize);
                if buffer.len() >= end + 4 + length {
                    break (end + 4, length);
                }
            }
            if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
                return;
            }
        };
        let body = buffer.get(end..end + length).unwrap_or_default();
        let answer = if find(body, b"\"stream\":true").is_some() { &answers.stream } else { &answers.plain };
        if stream.write_all(answer).await.is_err() {
            return;
        }
        buffer.drain(..end + length);
    }
}
