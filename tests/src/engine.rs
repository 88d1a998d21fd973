//! SQLite and PostgreSQL: a database of its own for each test.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
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
    /// The first column of a statement's rows, as text: for what no answer shows.
    ///
    /// # Panics
    /// When the engine refuses it.
    #[must_use]
    pub fn rows(&self, statement: &str) -> Vec<String> {
        let text = match self {
            Self::Sqlite(path) => {
                let script = "import sqlite3, sys\n\
                    for row in sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True).execute(sys.argv[2]): print(row[0])";
                let output = Command::new("python3").args(["-c", script]).arg(path).arg(statement).output();
                let output = output.expect("python3");
                assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
                String::from_utf8_lossy(&output.stdout).into_owned()
            }
            Self::Postgres(_) => psql(&self.url(), statement),
        };
        text.lines().map(str::to_owned).collect()
    }
    /// PostgreSQL alone: runs a statement beside the test, which may take its time.
    ///
    /// # Panics
    /// When there is no `psql`.
    #[must_use]
    pub fn beside(&self, statement: &str) -> Child {
        let mut psql = Command::new(program("psql"));
        psql.args([&self.url(), "-qXAtc", statement]).stdout(Stdio::null()).spawn().expect("psql")
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
    /// Keeps everybody else from even reading these tables of a PostgreSQL database, until the lock is dropped.
    ///
    /// # Panics
    /// On SQLite, where nobody can; when PostgreSQL does not answer.
    #[must_use]
    pub fn lock(&self, tables: &[&str]) -> Lock {
        assert!(matches!(self, Self::Postgres(_)), "a reader of SQLite waits for nobody");
        let mut psql = Command::new(program("psql"));
        psql.args([self.url().as_str(), "-qXAt"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut session = psql.spawn().expect("psql");
        let script = format!("BEGIN; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE; SELECT 'locked';\n", tables.join(", "));
        session.stdin.as_mut().expect("input").write_all(script.as_bytes()).expect("psql reads");
        let mut line = String::new();
        BufReader::new(session.stdout.as_mut().expect("output")).read_line(&mut line).expect("psql answers");
        assert_eq!(line.trim(), "locked");
        Lock { session, url: self.url() }
    }
    /// The cluster's port.
    #[must_use]
    pub fn cluster_port() -> u16 {
        let url = cluster_url();
        let port = url.rsplit_once('/').and_then(|(server, _)| server.rsplit_once(':')).map(|(_, port)| port);
        port.and_then(|port| port.parse().ok()).expect("a URL with a port")
    }
}

/// A lock on tables of PostgreSQL; let go of when dropped.
#[derive(Debug)]
pub struct Lock {
    session: Child,
    url: String,
}

impl Lock {
    /// How many statements wait for it.
    ///
    /// # Panics
    /// When PostgreSQL does not say.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let sql = "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database \
                   WHERE NOT granted AND d.datname = current_database()";
        psql(&self.url, sql).trim().parse().expect("a number")
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // At the end of its input it ends, and its transaction with it.
        drop(self.session.stdin.take());
        let _ = self.session.wait();
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
