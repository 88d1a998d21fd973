//! A release build of the server on SQLite with a key, before the mock upstream.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tollgate_tests::{Http, NodeOptions, house::bootstrap};

use crate::mock::Mock;

/// How long anything may take to start.
const START: Duration = Duration::from_secs(120);

/// A server's directory and how to start it there.
pub struct Scene {
    directory: tempfile::TempDir,
    options: NodeOptions,
    settings: PathBuf,
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    address: SocketAddr,
    /// From the start to the first 200 of `/readyz`.
    pub ready_after: Duration,
}

impl Scene {
    /// A new directory; `models` are served by the mock upstream.
    pub fn new(mock: Option<&Mock>, models: u64) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let store = format!("sqlite:{}", directory.path().join("tollgate.db").display());
        let mut options = NodeOptions::new(directory.path(), store).member("log", "level = \"warn\"");
        if let Some(mock) = mock {
            let mut settings = format!(
                "[[upstreams]]\nname = \"mock\"\nbase_url = \"http://{}/v1\"\nengine = \"openai\"\n",
                mock.address()
            );
            for at in 0..models {
                settings.push_str(&format!(
                    "[[models]]\nname = \"m{at}\"\nkind = \"chat\"\nserved_by = [{{ upstream = \"mock\", model = \"m\", weight = 1 }}]\n"
                ));
            }
            options = options.settings(&settings);
        }
        let settings = options.write();
        Ok(Self { directory, options, settings })
    }
    /// With one more member in a table of the settings.
    pub fn with(self, table: &'static str, line: &str) -> Self {
        let options = self.options.member(table, line);
        let settings = options.write();
        Self { options, settings, ..self }
    }
    /// Starts the server and waits until it is ready.
    pub fn start(&self) -> anyhow::Result<Server> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let began = Instant::now();
        let child = tollgate_tests::node::command()
            .args(["serve", "--listen", &address.to_string(), "--metrics", "127.0.0.1:0", "--config"])
            .arg(&self.settings)
            .current_dir(self.directory.path())
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.directory.path().join("log"))?)
            .spawn()?;
        let mut server = Server { child, address, ready_after: Duration::ZERO };
        while !is_ready(address) {
            if let Some(status) = server.child.try_wait()? {
                bail!("{status}: {}", fs::read_to_string(self.directory.path().join("log"))?);
            }
            if began.elapsed() > START {
                bail!("not ready after {START:?}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        server.ready_after = began.elapsed();
        Ok(server)
    }
    /// A new operator's access token.
    pub fn token(&self) -> String {
        bootstrap(&self.options)
    }
    /// Runs SQL on the store while the server does not run.
    pub fn sql(&self, script: &str) -> anyhow::Result<()> {
        let program = "import sqlite3, sys\n\
            db = sqlite3.connect(sys.argv[1])\n\
            db.execute('PRAGMA journal_mode = WAL'); db.execute('PRAGMA synchronous = OFF'); db.execute('PRAGMA cache_size = -500000')\n\
            db.executescript(sys.stdin.read()); db.commit(); db.execute('PRAGMA wal_checkpoint(TRUNCATE)'); db.close()\n";
        let mut python = Command::new("python3")
            .args(["-c", program])
            .arg(self.directory.path().join("tollgate.db"))
            .stdin(Stdio::piped())
            .spawn()
            .context("python3 fills the store")?;
        std::io::Write::write_all(&mut python.stdin.take().context("stdin")?, script.as_bytes())?;
        let status = python.wait()?;
        anyhow::ensure!(status.success(), "the store could not be filled: {status}");
        Ok(())
    }
}

impl Server {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    /// Ends it in good order.
    pub fn stop(mut self) -> anyhow::Result<()> {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }
    /// Its management API.
    pub fn http(&self) -> Http {
        Http::at(&self.address.to_string())
    }
    /// Makes a key for these models (`"all"` or a list); its text.
    pub fn key(&self, token: &str, models: &Value) -> anyhow::Result<String> {
        let request = self.http().post("/api/v1/keys", &json!({"name": "bench", "models": models})).bearer(token);
        let reply = block_on(request.try_send())??;
        let key = reply.json()["key"].as_str().map(str::to_owned);
        key.with_context(|| reply.to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a future to its end.
pub fn block_on<F: Future>(future: F) -> anyhow::Result<F::Output> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future))
}

/// A port that nobody listens on.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until someone listens there.
pub fn wait_until_it_listens(address: SocketAddr) -> anyhow::Result<()> {
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        anyhow::ensure!(began.elapsed() < START, "nobody listens at {address}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn is_ready(address: SocketAddr) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut status = [0; 12];
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n").is_ok()
        && stream.read_exact(&mut status).is_ok()
        && status.ends_with(b"200")
}
