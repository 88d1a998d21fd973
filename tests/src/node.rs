//! The `serve` process: started, signalled, killed; its output and its files.

use std::{
    env,
    fs::{self, File},
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::Value;

use crate::{Http, eventually, left_behind, within};

/// Lines of a node's log that are shown when its test fails.
const LOG_LINES_SHOWN: usize = 8;

/// How long a node may take to tell its metrics before it counts as one that does not run.
const METRICS_PATIENCE: Duration = Duration::from_secs(5);

/// How a node is to be started.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Where its files are: settings, journal, output.
    pub directory: PathBuf,
    /// `store.url`.
    pub store: String,
    /// More settings, as TOML tables.
    pub settings: String,
    /// Members of tables that the harness writes itself, by the table's name.
    pub members: Vec<(&'static str, String)>,
    /// More variables of the environment.
    pub environment: Vec<(String, String)>,
    /// The test brings secrets on their way to the log, to see them stopped.
    pub is_leaky: bool,
}

/// A running node; killed when dropped.
#[derive(Debug)]
pub struct Node {
    child: Child,
    options: NodeOptions,
    ready: Value,
    http: Http,
}

/// The binary under test.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn binary() -> PathBuf {
    let named = env::var_os("TOLLGATE_BIN").map(PathBuf::from);
    let beside = env::current_exe().ok().and_then(|exe| Some(exe.parent()?.parent()?.join("tollgate")));
    let binary = named.or(beside).expect("a directory");
    assert!(binary.is_file(), "{} is not there: run `cargo xtask test`, which builds it", binary.display());
    binary
}

/// The binary with an environment that holds nothing of the caller's.
#[must_use]
pub fn command() -> Command {
    let mut command = Command::new(binary());
    command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
    command
}

impl NodeOptions {
    /// Of a node with its files in `directory`.
    #[must_use]
    pub fn new(directory: &Path, store: String) -> Self {
        let directory = directory.to_owned();
        let (settings, members, environment) = (String::new(), Vec::new(), Vec::new());
        Self { directory, store, settings, members, environment, is_leaky: false }
    }
    /// With more settings, as TOML tables.
    #[must_use]
    pub fn settings(mut self, settings: &str) -> Self {
        self.settings.push_str(settings);
        self.settings.push('\n');
        self
    }
    /// With one more member in a table that the harness writes itself (`fleet`, `keys`, …).
    #[must_use]
    pub fn member(mut self, table: &'static str, line: &str) -> Self {
        self.members.push((table, line.to_owned()));
        self
    }
    /// Of a node that will have to stop secrets on their way to its log.
    #[must_use]
    pub const fn leaky(mut self) -> Self {
        self.is_leaky = true;
        self
    }
    /// The settings file, written.
    ///
    /// # Panics
    /// When the disk is full.
    #[must_use]
    pub fn write(&self) -> PathBuf {
        let directory = self.directory.display();
        let own = [
            ("data", format!("directory = \"{directory}\"")),
            ("store", format!("url = \"{}\"", self.store)),
            ("journal", format!("directory = \"{directory}/journal\"")),
            ("keys", format!("master_key = {{ file = \"{directory}/master.key\" }}")),
        ];
        let mut text = String::new();
        let mut tables: Vec<&str> = own.iter().map(|(table, _)| *table).collect();
        tables.extend(self.members.iter().map(|(table, _)| *table));
        tables.sort_unstable();
        tables.dedup();
        for table in tables {
            text.push_str(&format!("[{table}]\n"));
            let lines =
                own.iter().map(|(of, line)| (*of, line)).chain(self.members.iter().map(|(of, line)| (*of, line)));
            for (_, line) in lines.filter(|(of, _)| *of == table) {
                text.push_str(line);
                text.push('\n');
            }
        }
        text.push_str(&self.settings);
        let path = self.directory.join("tollgate.toml");
        fs::create_dir_all(&self.directory).expect("a directory");
        fs::write(&path, text).expect("settings");
        let master_key = self.directory.join("master.key");
        if !master_key.exists() {
            write_master_key(&master_key);
        }
        path
    }
    /// Starts the process and waits until it says that it is ready.
    pub async fn start(&self) -> Node {
        match self.try_start().await {
            Ok(node) => node,
            Err(output) => panic!("the node did not start:\n{output}"),
        }
    }
    /// Starts the process; its output, when it ends before it is ready.
    pub async fn try_start(&self) -> Result<Node, String> {
        let settings = self.write();
        let log = self.directory.join("log");
        let ready = self.directory.join("ready");
        let mut child = command()
            .args(["serve", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--json", "--config"])
            .arg(&settings)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.directory)
            .stdout(File::create(&ready).expect("a file"))
            .stderr(File::options().append(true).create(true).open(&log).expect("a file"))
            .spawn()
            .expect("the binary runs");
        let said = eventually("the node is ready or has ended", async || {
            let text = fs::read_to_string(&ready).unwrap_or_default();
            if let Some(line) = text.lines().next().filter(|_| text.contains('\n')) {
                return Some(Ok(line.to_owned()));
            }
            let ended = child.try_wait().expect("wait");
            ended.map(|status| Err(format!("{status}\n{}", fs::read_to_string(&log).unwrap_or_default())))
        })
        .await;
        let said: Value = match said {
            Ok(line) => serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?,
            Err(output) => return Err(output),
        };
        let url = said["url"].as_str().ok_or_else(|| format!("no url: {said}"))?;
        left_behind::saw(said.to_string().as_bytes());
        let node = Node { child, options: self.clone(), http: Http::at(url), ready: said };
        eventually("/readyz answers 200", async || {
            let reply = node.http.get("/readyz").try_send().await.ok()?;
            (reply.status == 200).then_some(())
        })
        .await;
        Ok(node)
    }
}

impl Node {
    /// Its inference and management listener.
    #[must_use]
    pub const fn http(&self) -> Http {
        self.http
    }
    /// What it printed when it was ready.
    #[must_use]
    pub const fn ready(&self) -> &Value {
        &self.ready
    }
    /// Its options.
    #[must_use]
    pub const fn options(&self) -> &NodeOptions {
        &self.options
    }
    /// Its process.
    ///
    /// # Panics
    /// Never: a process has an id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("kill");
    }
    /// Stops it where it stands (`SIGSTOP`), and waits until it does.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let stopped = waitpid(Some(self.pid()), WaitOptions::UNTRACED).expect("wait").expect("a status");
        assert!(stopped.1.stopped(), "{stopped:?}");
    }
    /// Waits until it has ended by itself, for at most `patience`.
    pub async fn ended(mut self, patience: Duration) -> ExitStatus {
        within(patience, "the node ends", async || self.child.try_wait().expect("wait")).await
    }
    /// `kill -9`, and waits until it is gone.
    pub fn kill(mut self) -> NodeOptions {
        self.check_log();
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
        self.options.clone()
    }
    /// `SIGTERM`, and waits until it is gone, for at most `patience`.
    pub async fn terminate(self, patience: Duration) -> ExitStatus {
        self.check_log();
        self.signal(Signal::TERM);
        self.ended(patience).await
    }
    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.options.directory.join("log")).unwrap_or_default()
    }
    /// How many secrets it stopped on their way to its log; `None` where it answers no longer.
    #[must_use]
    pub fn secrets_stopped(&self) -> Option<u64> {
        let address: SocketAddr =
            self.ready["metrics"].as_str()?.strip_prefix("http://")?.split('/').next()?.parse().ok()?;
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(METRICS_PATIENCE)).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let count = answer.lines().find_map(|line| line.strip_prefix("tollgate_secret_in_log_total "));
        Some(count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no such counter: {answer}")))
    }
    /// What is wrong when a secret was on its way to the log. A node that does not run cannot be asked.
    fn log_fault(&self) -> Option<String> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().next());
        if self.options.is_leaky || matches!(state, Some("T" | "Z") | None) {
            return None;
        }
        let stopped = self.secrets_stopped().filter(|stopped| *stopped > 0)?;
        Some(format!("{stopped} secrets were on their way to the log, in which they are hints:\n{}", self.log()))
    }
    /// No secret was on its way to the log so far.
    fn check_log(&self) {
        if let Some(fault) = self.log_fault() {
            panic!("{fault}");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let fault = if std::thread::panicking() { None } else { self.log_fault() };
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            assert!(fault.is_none(), "{}", fault.unwrap_or_default());
            left_behind::check(&self.options);
        } else {
            let log = self.log();
            // Tests poll: what that leaves in the log tells nothing.
            let lines: Vec<&str> = log.lines().filter(|line| !line.contains("/api/v1/")).collect();
            let end = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            eprintln!("--- the node's log, its end:\n{}\n---", end.join("\n"));
        }
    }
}

/// 32 bytes as 64 hexadecimal digits, as a deployment on PostgreSQL has to make them.
fn write_master_key(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let digits = format!("{}{}", uuid::Uuid::now_v7().simple(), uuid::Uuid::now_v7().simple());
    fs::write(path, digits).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a mode");
}

/// Every file below `directory`.
#[must_use]
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}
