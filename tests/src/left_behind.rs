//! The secrets that a test saw, and what it left behind, in which none may be.
//!
//! Whatever an answer, a cookie or a command's output says is looked through for keys, tokens, links and sessions; when
//! a node is dropped, its log, its journal and its SQLite database are looked through for them in every form. What is
//! in PostgreSQL's files is looked through by `cargo xtask test` when all tests have ended: it is told of the secrets
//! by the file that `TOLLGATE_TEST_SECRETS` names.

use std::{
    collections::BTreeSet,
    env,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tollgate_canary::{Canary, Hit, of_key_form};

use crate::{NodeOptions, house::CREDENTIAL};

/// What a node's directory holds because it was put there: settings with credentials, the master key, and standard
/// output, which is where the first sign-in link belongs.
const GIVEN: [&str; 3] = ["tollgate.toml", "master.key", "ready"];
/// More hits than these are not shown.
const HITS_SHOWN: usize = 10;

static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Remembers what is of key form in these bytes.
pub fn saw(bytes: &[u8]) {
    for key in of_key_form(bytes) {
        saw_secret(&key.text);
    }
}

/// Remembers a secret of any form.
///
/// # Panics
/// When `cargo xtask test` cannot be told of it.
pub fn saw_secret(secret: &str) {
    let is_new = SEEN.lock().unwrap_or_else(PoisonError::into_inner).insert(secret.to_owned());
    if let (true, Some(list)) = (is_new, env::var_os("TOLLGATE_TEST_SECRETS")) {
        let mut list = File::options().append(true).open(list).expect("the list of secrets");
        list.write_all(format!("{secret}\n").as_bytes()).expect("a line");
    }
}

/// All secrets so far, with the one that the harness itself gives to nodes.
#[must_use]
pub fn secrets() -> BTreeSet<String> {
    let mut secrets = SEEN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    secrets.insert(CREDENTIAL.to_owned());
    secrets
}

/// No secret is in what a node left behind.
///
/// # Panics
/// With what is where.
pub fn check(options: &NodeOptions) {
    let mut secrets = secrets();
    secrets.extend(std::fs::read_to_string(options.directory.join("master.key")).map(|text| text.trim().to_owned()));
    let hits = hits(&Canary::new(secrets.iter().map(String::as_str)), options);
    assert!(hits.is_empty(), "secrets were left behind:\n{}", shown(&hits));
}

/// All secrets in what a node left behind: those that the canary knows, and keys that nobody told it of.
///
/// # Panics
/// When a file cannot be read.
#[must_use]
pub fn hits(canary: &Canary, options: &NodeOptions) -> Vec<Hit> {
    let is_given = |path: &Path| path.file_name().is_some_and(|name| GIVEN.iter().any(|given| name == *given));
    let mut files = crate::node::files_below(&options.directory);
    // A test that leaks on purpose gets its secret to the log by way of the store.
    if let (Some(database), false) = (options.store.strip_prefix("sqlite:"), options.is_leaky) {
        files.extend(["", "-wal", "-shm"].iter().map(|suffix| PathBuf::from(format!("{database}{suffix}"))));
    }
    files.sort();
    files.dedup();
    let mut hits = Vec::new();
    for file in files.iter().filter(|file| !is_given(file)) {
        hits.extend(canary.hits_in_file(file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
        let place = file.display().to_string();
        let unknown = of_key_form(&std::fs::read(file).unwrap_or_default());
        hits.extend(unknown.iter().map(|key| Hit {
            secret: key.text.chars().take(key.tail_at).collect(),
            form: "key form",
            place: place.clone(),
            at: key.at as u64,
        }));
    }
    hits
}

/// The first of them, one a line.
#[must_use]
pub fn shown(hits: &[Hit]) -> String {
    let lines: Vec<String> = hits.iter().take(HITS_SHOWN).map(ToString::to_string).collect();
    format!("{}\n({} in all)", lines.join("\n"), hits.len())
}
