//! SQLite and PostgreSQL: a database of its own for each test.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// What the store of a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file in the test's directory.
    Sqlite,
    /// A database in the cluster that `cargo xtask test` started.
    Postgres,
}

/// A test's own database, dropped with it.
#[derive(Debug)]
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// A database by that name.
    Postgres(String),
}

impl Engine {
    /// Makes a new database; `directory` is for its files.
    ///
    /// # Panics
    /// Without a cluster: says how to get one.
    #[must_use]
    pub fn database(self, directory: &Path) -> Database {
        match self {
            Self::Sqlite => Database::Sqlite(directory.join("tollgate.db")),
            Self::Postgres => {
                let name = format!("outside_{}", uuid::Uuid::now_v7().simple());
                psql(&cluster_url(), &format!("CREATE DATABASE {name}"));
                Database::Postgres(name)
            }
        }
    }
}

impl Database {
    /// What a node's `store.url` says.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres(name) => {
                let url = cluster_url();
                let (server, _) = url.rsplit_once('/').expect("a URL with a database");
                format!("{server}/{name}")
            }
        }
    }
    /// The same through another port of this machine (a proxy's).
    #[must_use]
    pub fn url_through(&self, port: u16) -> String {
        let url = self.url();
        let (head, name) = url.rsplit_once('/').expect("a URL with a database");
        let (head, _) = head.rsplit_once(':').expect("a URL with a port");
        format!("{head}:{port}/{name}")
    }
    /// Everything in it, as bytes: to look for what must not be there.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Sqlite(path) => ["", "-wal"]
                .iter()
                .filter_map(|suffix| std::fs::read(format!("{}{suffix}", path.display())).ok())
                .flatten()
                .collect(),
            Self::Postgres(_) => {
                let output = Command::new(program("pg_dump")).arg(self.url()).output().expect("pg_dump");
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                output.stdout
            }
        }
    }
    /// Where all that the engine keeps is, brought to disk: the database's files and its log of changes. Of PostgreSQL
    /// those of the whole cluster, which belong to another user: `None` where this one may not read them.
    ///
    /// # Panics
    /// When PostgreSQL does not say.
    #[must_use]
    pub fn files(&self) -> Option<Vec<PathBuf>> {
        match self {
            Self::Sqlite(path) => {
                Some(["", "-wal", "-shm"].iter().map(|suffix| format!("{}{suffix}", path.display()).into()).collect())
            }
            Self::Postgres(_) => {
                psql(&cluster_url(), "CHECKPOINT");
                let directory = PathBuf::from(psql(&cluster_url(), "SHOW data_directory").trim());
                std::fs::read_dir(&directory).is_ok().then(|| crate::node::files_below(&directory))
            }
        }
    }
    /// The cluster's port.
    #[must_use]
    pub fn cluster_port() -> u16 {
        let url = cluster_url();
        let port = url.rsplit_once('/').and_then(|(server, _)| server.rsplit_once(':')).map(|(_, port)| port);
        port.and_then(|port| port.parse().ok()).expect("a URL with a port")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Self::Postgres(name) = self {
            let _ = Command::new(program("psql"))
                .args([&cluster_url(), "-qXc", &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")])
                .output();
        }
    }
}

fn cluster_url() -> String {
    env::var("TOLLGATE_TEST_POSTGRES").expect(
        "this test needs TOLLGATE_TEST_POSTGRES, a superuser's URL of a throwaway PostgreSQL cluster: run `cargo xtask \
         test`, which starts one",
    )
}

/// One of PostgreSQL's programs: beside the cluster's own, or on `PATH`.
fn program(name: &str) -> PathBuf {
    env::var_os("TOLLGATE_TEST_POSTGRES_BIN").map_or_else(|| name.into(), |directory| Path::new(&directory).join(name))
}

fn psql(url: &str, statement: &str) -> String {
    let output = Command::new(program("psql")).args([url, "-qXAtc", statement]).output().expect("psql");
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
