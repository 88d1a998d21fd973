//! Programs of `tests/python` that run beside a test: what they say goes, line by line, to a file that is read here.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::eventually;

/// A program that runs; killed when dropped.
#[derive(Debug)]
pub struct Python {
    child: Child,
    out: PathBuf,
    port: u16,
}

impl Python {
    /// Starts `tests/python/<script>` with the file that it is to write to and these arguments, and waits until it has said on
    /// which port it listens.
    ///
    /// # Panics
    /// Without the Python that `cargo xtask test` makes.
    pub async fn start(script: &str, out: &Path, arguments: &[String]) -> Self {
        let python: OsString = env::var_os("TOLLGATE_TEST_PYTHON").expect(
            "this test needs TOLLGATE_TEST_PYTHON, a Python that has the packages of tests/python/requirements.txt: run \
             `cargo xtask test`, which makes one",
        );
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script);
        let _ = fs::remove_file(out);
        let mut command = Command::new(python);
        command.arg(&script).arg(out).args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("the program runs");
        let mut python = Self { child, out: out.to_owned(), port: 0 };
        let said = eventually("the program listens", async || python.lines().into_iter().next()).await;
        python.port = said["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
        python
    }
    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
    /// What it has said since it listens.
    #[must_use]
    pub fn said(&self) -> Vec<Value> {
        self.lines().into_iter().skip(1).collect()
    }
    /// Waits until it has said at least so much.
    pub async fn says(&self, lines: usize) -> Vec<Value> {
        eventually(&format!("the program says {lines} things"), async || {
            Some(self.said()).filter(|said| said.len() >= lines)
        })
        .await
    }
    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.out).unwrap_or_default();
        // A line that is being written is not one yet.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
