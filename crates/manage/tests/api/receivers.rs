//! Those who are told: an endpoint and a mail server that do as they are bid and write down what they get. A real mail server
//! and the official library for signatures are met by the tests from outside.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A request that an endpoint got.
#[derive(Debug, Clone)]
pub struct Posted {
    pub headers: Vec<(String, String)>,
    pub text: String,
    pub body: Value,
}

impl Posted {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value)
    }
}

/// An endpoint over plain HTTP.
pub struct Endpoint {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Posted>>>,
    answer: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Endpoint {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, answer) = (Arc::<Mutex<Vec<Posted>>>::default(), Arc::new(Mutex::new(String::new())));
        let (into, says) = (Arc::clone(&seen), Arc::clone(&answer));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let posted = read_post(stream, &says).await;
                into.lock().unwrap().push(posted);
            }
        });
        let endpoint = Self { address, seen, answer, task };
        endpoint.answers("204 No Content");
        endpoint
    }
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }
    /// From now on: a status line's end, and headers behind it.
    pub fn answers(&self, status: &str) {
        *self.answer.lock().unwrap() = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
    }
    /// What it got since it was last asked.
    pub fn seen(&self) -> Vec<Posted> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}
impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read_post(stream: TcpStream, says: &Mutex<String>) -> Posted {
    let mut stream = BufReader::new(stream);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or("0", |(_, value)| value);
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    let answer = says.lock().unwrap().clone();
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let text = String::from_utf8(body).unwrap();
    Posted { headers, body: serde_json::from_str(&text).unwrap(), text }
}

/// A mail that a server took.
#[derive(Debug, Clone)]
pub struct Mailed {
    pub to: String,
    pub text: String,
}

/// A mail server without encryption or login.
pub struct MailServer {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Mailed>>>,
    task: JoinHandle<()>,
}

impl MailServer {
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }
    pub async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Mailed>>>::default();
        let into = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let into = Arc::clone(&into);
                tokio::spawn(async move {
                    let _ = talk(stream, &into).await;
                });
            }
        });
        Self { address, seen, task }
    }
    /// What it took since it was last asked, by receiver.
    pub fn seen(&self) -> Vec<Mailed> {
        let mut seen = std::mem::take(&mut *self.seen.lock().unwrap());
        seen.sort_by(|a, b| a.to.cmp(&b.to));
        seen
    }
}
impl Drop for MailServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn talk(stream: TcpStream, into: &Mutex<Vec<Mailed>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 ready\r\n").await?;
    let mut to = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let reply = match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
            "RCPT" if line.contains("nobody@") => "550 no such user\r\n",
            "RCPT" => {
                to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                "250 ok\r\n"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    stream.read_line(&mut text).await?;
                }
                into.lock().unwrap().push(Mailed { to: to.clone(), text });
                "250 taken\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
        stream.write_all(reply.as_bytes()).await?;
    }
}
