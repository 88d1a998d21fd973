//! The neighbour: nginx as a reverse proxy that checks the header by a `map`.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::Context;

use crate::{
    neighbour::find_or_install,
    scene::{free_port, wait_until_it_listens},
};

/// A running nginx; killed when dropped.
pub struct Nginx {
    child: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Nginx {
    /// Starts it before `upstream`; only `key` is let in.
    pub fn start(upstream: SocketAddr, key: &str, workers: usize) -> anyhow::Result<Self> {
        let program = program()?;
        let directory = tempfile::tempdir()?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let settings = directory.path().join("nginx.conf");
        fs::write(&settings, settings_text(upstream, key, workers, address, directory.path()))?;
        let child = Command::new(program)
            .arg("-c")
            .arg(&settings)
            .arg("-p")
            .arg(directory.path())
            .stderr(Stdio::null())
            .spawn()?;
        let nginx = Self { child, address, _directory: directory };
        wait_until_it_listens(address)?;
        Ok(nginx)
    }
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
    /// Its master process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its workers only when it is asked, not when it is killed.
        let _ =
            rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

fn settings_text(upstream: SocketAddr, key: &str, workers: usize, address: SocketAddr, directory: &Path) -> String {
    let directory = directory.display();
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        r#"{user}
daemon off;
worker_processes {workers};
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 100000000;
    map_hash_bucket_size 256;
    map $http_authorization $allowed {{ default 0; "Bearer {key}" 1; }}
    upstream mock {{ server {upstream}; keepalive 128; keepalive_requests 100000000; }}
    server {{
        listen {address} reuseport;
        location / {{
            if ($allowed = 0) {{ return 401; }}
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            # As streams need it: with buffering, chunks would wait for each other.
            proxy_buffering off;
        }}
    }}
}}
"#
    )
}

fn program() -> anyhow::Result<PathBuf> {
    find_or_install("nginx", "nginx-light")
}

/// Its version, for the table.
pub fn version() -> anyhow::Result<String> {
    let output = Command::new(program()?).arg("-v").output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(text.trim().rsplit('/').next().context("a version")?.to_owned())
}
