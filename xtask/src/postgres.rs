//! PostgreSQL's programs, found or installed, and a throwaway cluster.
//!
//! The cluster lives in a temporary directory, listens on a free port of 127.0.0.1 only, and never runs as
//! root. Its guard is a shell that waits for the end of a pipe which this process holds: whichever way this
//! process ends (also by `kill -9`), the guard stops the server and removes the directory.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{
    apt::{self, is_root, user_id},
    run, say,
};

/// The oldest release that Tollgate knows.
const OLDEST: u32 = 14;
/// How often another free port is tried, since another program may take it first.
const START_TRIES: u32 = 3;
/// Who runs the cluster where this program is root and there is no `postgres`.
const UNPRIVILEGED_USER: &str = "tollgate-test";

/// The directory that holds `initdb`, `postgres` and `psql` of one release.
pub struct Programs {
    directory: PathBuf,
    version: String,
}

impl Programs {
    /// Finds them on `PATH` or where Debian, Red Hat or Homebrew put them, else installs them through apt (as root).
    /// `pretend_missing` hides the found ones, so that the installing way is tried.
    pub fn find_or_install(pretend_missing: bool) -> Result<Self> {
        if let Some(found) = Self::find().filter(|_| !pretend_missing) {
            return Ok(found);
        }
        install()?;
        Self::find().context("apt-get installed postgresql, but its programs are not where they are looked for")
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
    /// Their version, as `15.18`.
    pub fn version(&self) -> &str {
        &self.version
    }

    fn find() -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let on_path = env::split_paths(&path).collect::<Vec<_>>();
        let mut packaged = [
            "/usr/lib/postgresql",
            "/usr/pgsql",
            "/opt/homebrew/opt",
            "/usr/local/opt",
            "/home/linuxbrew/.linuxbrew/opt",
        ]
        .iter()
        .filter_map(|parent| fs::read_dir(parent).ok())
        .flat_map(|entries| entries.filter_map(Result::ok))
        .map(|entry| entry.path().join("bin"))
        .collect::<Vec<_>>();
        packaged.push("/usr/local/pgsql/bin".into());
        let packaged = packaged.into_iter().filter_map(Self::at).max_by_key(Self::major);
        on_path.into_iter().filter_map(Self::at).find(|found| found.major() >= OLDEST).or(packaged)
    }
    fn at(directory: PathBuf) -> Option<Self> {
        let complete = ["initdb", "postgres", "psql"].iter().all(|program| directory.join(program).is_file());
        let output = complete.then(|| Command::new(directory.join("postgres")).arg("--version").output().ok())??;
        // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
        let version = String::from_utf8(output.stdout).ok()?.split_whitespace().nth(2)?.to_owned();
        let found = Self { directory, version };
        (found.major() >= OLDEST).then_some(found)
    }
    fn major(&self) -> u32 {
        self.version.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
    }
}

/// Installs PostgreSQL through apt, or says what to install.
fn install() -> Result<()> {
    if !apt::is_usable()? {
        bail!(
            "PostgreSQL {OLDEST} or newer is needed and was not found on PATH, in /usr/lib/postgresql or in Homebrew. \
             Install it: `sudo apt-get install postgresql` (Debian, Ubuntu), `sudo dnf install postgresql-server` \
             (Fedora), `brew install postgresql` (macOS)"
        );
    }
    say("installing PostgreSQL: apt-get install postgresql");
    apt::install(&["postgresql"])
}

/// A running throwaway cluster; stopped and removed when dropped.
pub struct Cluster {
    guard: Child,
    url: String,
    directory: PathBuf,
}

impl Cluster {
    /// Makes and starts one.
    pub fn start(programs: &Programs) -> Result<Self> {
        let user = unprivileged_user()?;
        let mut tried = 0;
        loop {
            tried += 1;
            match Self::start_once(programs, user.as_deref()) {
                Ok(cluster) => return Ok(cluster),
                Err(error) if tried < START_TRIES => say(&format!("{error:#}; trying again")),
                Err(error) => return Err(error),
            }
        }
    }
    fn start_once(programs: &Programs, user: Option<&str>) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut guard = as_user(user, "sh");
        guard
            .args(["-c", GUARD, "guard"])
            .arg(&programs.directory)
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .current_dir("/")
            // Ctrl-C goes to the whole foreground group: the guard must outlive it to clean up.
            .process_group(0);
        let mut guard = guard.spawn().context("cannot run sh")?;
        let mut ready = String::new();
        let stdout = guard.stdout.take().context("the guard has no stdout")?;
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let mut cluster = Self { guard, url, directory: PathBuf::new() };
        BufReader::new(stdout).read_line(&mut ready)?;
        cluster.directory = ready.trim().strip_prefix("ready ").context("PostgreSQL did not start")?.into();
        Ok(cluster)
    }

    /// A superuser's URL.
    pub fn url(&self) -> &str {
        &self.url
    }
    /// Its directory: its log, and its files in `data`.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
    /// Runs a statement in its database `postgres`.
    pub fn sql(&self, programs: &Programs, statement: &str) -> Result<()> {
        run(Command::new(programs.directory.join("psql")).args([self.url(), "-qXc", statement]))
    }
    /// Stops it and waits until it is gone.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        if let Err(error) = self.guard.wait() {
            say(&format!("the PostgreSQL cluster may still run: {error}"));
        }
    }
}

/// Makes the cluster in a directory of its own, says `ready` and where when it answers (for at most a minute), runs it until
/// standard input ends, then stops it at once and removes the directory.
const GUARD: &str = r#"
programs=$1 port=$2
directory=$(mktemp -d /tmp/tollgate-postgres-XXXXXX) || exit 1
trap 'rm -rf "$directory"' EXIT
trap '' INT HUP
"$programs/initdb" --pgdata="$directory/data" --username=postgres --auth=trust --encoding=UTF8 --locale=C \
    --no-sync >"$directory/initdb.log" 2>&1 || { cat "$directory/initdb.log" >&2; exit 1; }
"$programs/postgres" -D "$directory/data" -p "$port" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories="$directory" -c fsync=off -c synchronous_commit=on -c full_page_writes=off \
    -c max_connections=300 -c shared_buffers=64MB >"$directory/log" 2>&1 </dev/null &
server=$!
tries=0
until "$programs/psql" -h 127.0.0.1 -p "$port" -U postgres -d postgres -qtc 'SELECT 1' >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ $tries -gt 600 ] || ! kill -0 $server 2>/dev/null; then
        cat "$directory/log" >&2
        kill -QUIT $server 2>/dev/null
        exit 1
    fi
    sleep 0.1
done
echo "ready $directory"
cat >/dev/null
kill -QUIT $server 2>/dev/null
wait $server 2>/dev/null
exit 0
"#;

/// As root: the user who runs the cluster, since PostgreSQL refuses to run as root.
fn unprivileged_user() -> Result<Option<String>> {
    if !is_root()? {
        return Ok(None);
    }
    for name in ["postgres", UNPRIVILEGED_USER] {
        if user_id(Some(name))?.is_some() {
            return Ok(Some(name.to_owned()));
        }
    }
    say(&format!("making the system user {UNPRIVILEGED_USER}, since PostgreSQL refuses to run as root"));
    run(Command::new("useradd").args(["--system", "--no-create-home", "--shell", "/bin/sh", UNPRIVILEGED_USER]))?;
    Ok(Some(UNPRIVILEGED_USER.to_owned()))
}

/// `program`, run by `user` where one is named.
fn as_user(user: Option<&str>, program: &str) -> Command {
    let Some(user) = user else {
        return Command::new(program);
    };
    let is_there = |name: &str| {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).any(|directory| {
            fs::metadata(directory.join(name)).is_ok_and(|file| file.permissions().mode() & 0o111 != 0)
        })
    };
    let mut command;
    if is_there("setpriv") {
        command = Command::new("setpriv");
        command.arg(format!("--reuid={user}")).arg(format!("--regid={user}")).args(["--init-groups", program]);
    } else {
        command = Command::new("runuser");
        command.args(["-u", user, "--", program]);
    }
    command
}
