//! `tollgate scan`: a repository with 1,000 planted keys, other people's code without any, hooks, reports.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use tollgate_tests::{
    Value,
    cli::{Ran, finish},
    leak::{FORMS, Keys, base64, zip},
    node::command,
};

/// Keys in all.
const PLANTED: usize = 1_000;
/// Ways in which a repository holds a key beside the content of a file that is there.
const PLACES: [&str; 9] = [
    "deleted file",
    "earlier version",
    "other branch",
    "file's name",
    "commit message",
    "tag message",
    "stash",
    "amended away",
    "staged only",
];

/// A git repository in a directory of its own.
struct Repository(TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }
    fn path(&self) -> &Path {
        self.0.path()
    }
    fn git(&self, arguments: &[&str]) {
        self.git_with(arguments, "2030-01-31T12:00:00+01:00");
    }
    fn git_with(&self, arguments: &[&str], date: &str) {
        let mut git = Command::new("git");
        git.args(arguments).current_dir(self.path()).env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
        for (name, value) in [
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_AUTHOR_NAME", "Ada"),
            ("GIT_AUTHOR_EMAIL", "ada@example.com"),
            ("GIT_AUTHOR_DATE", date),
            ("GIT_COMMITTER_NAME", "Ada"),
            ("GIT_COMMITTER_EMAIL", "ada@example.com"),
            ("GIT_COMMITTER_DATE", date),
        ] {
            git.env(name, value);
        }
        let ran = git.output().expect("git");
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    fn commit(&self, message: &str) {
        self.git(&["add", "--all", "--force"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }
    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn scan(directory: &Path, arguments: &[&str]) -> Ran {
    let mut command = command();
    command.arg("scan").args(arguments).current_dir(directory);
    finish(command, None)
}

fn scan_input(arguments: &[&str], input: &str) -> Ran {
    let mut command = command();
    command.args(["scan", "--stdin"]).args(arguments);
    finish(command, Some(input))
}

/// What is said of a key.
fn hint(key: &str) -> String {
    let (prefix, rest) = key.split_once('_').unwrap();
    format!("{prefix}_{}…", &rest[..12])
}

#[track_caller]
fn tells_no_key<'k>(ran: &Ran, keys: impl IntoIterator<Item = &'k String>) {
    for key in keys {
        let secret = &key[key.len() - 49..];
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "a key is told");
    }
}

/// A key of which it is known where it is.
struct Planted {
    key: String,
    form: &'static str,
    file: Option<String>,
    line: Option<u64>,
}

/// A repository with `PLANTED` keys in all forms and places, as many look-alikes, packed.
fn repository_with_keys() -> (Repository, Vec<Planted>, Vec<String>) {
    let (repository, mut keys) = (Repository::new(), Keys::new(1));
    let ways = FORMS.len() + PLACES.len();
    let mut planted: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let names = || FORMS.iter().map(|form| form.name).chain(PLACES);
    for (number, name) in names().cycle().take(PLANTED).enumerate() {
        // Keys and access tokens.
        planted.entry(name).or_default().push(keys.key(if (number / ways).is_multiple_of(2) { "tg" } else { "tga" }));
    }
    let mut known = Vec::new();
    let mut decoys = Vec::new();
    let mut plant = |form: &'static str, file: Option<String>, line, key: &String| {
        known.push(Planted { key: key.clone(), form, file, line });
    };

    repository.write("README.md", "Nothing.\n");
    repository.commit("Begin");
    for form in FORMS {
        for (number, key) in planted[form.name].iter().enumerate() {
            let file = format!("files/{number}/{}", form.file);
            repository.write(&file, (form.content)(key, &mut keys));
            let decoy = keys.look_alike("tg");
            repository.write(&format!("decoys/{number}/{}", form.file), (form.content)(&decoy, &mut keys));
            decoys.push(decoy);
            plant(form.name, Some(file), form.at_line, key);
        }
    }
    repository.commit("All forms");

    for (number, key) in planted["deleted file"].iter().enumerate() {
        let file = format!("deleted/{number}.env");
        repository.write(&file, format!("A=1\nKEY={key}\n"));
        plant("deleted file", Some(file), Some(2), key);
    }
    for (number, key) in planted["earlier version"].iter().enumerate() {
        let file = format!("versions/{number}.toml");
        repository.write(&file, format!("key = '{key}'\n{}", "x = 1\n".repeat(400)));
        plant("earlier version", Some(file), Some(1), key);
    }
    repository.commit("By mistake");
    repository.git(&["rm", "-r", "--quiet", "deleted"]);
    for number in 0..planted["earlier version"].len() {
        repository.write(&format!("versions/{number}.toml"), format!("key = ''\n{}", "x = 1\n".repeat(400)));
    }
    repository.commit("Taken back");

    repository.git(&["switch", "--quiet", "--create", "feature"]);
    for (number, key) in planted["other branch"].iter().enumerate() {
        let file = format!("branch/{number}.rs");
        repository.write(&file, format!("const KEY: &str = \"{key}\";\n"));
        plant("other branch", Some(file), Some(1), key);
    }
    repository.commit("On a branch");
    repository.git(&["switch", "--quiet", "main"]);
    for key in &planted["file's name"] {
        repository.write(&format!("names/{key}.json"), "{}\n");
        plant("file's name", Some(format!("names/{}.json", hint(key))), None, key);
    }
    repository.commit("Names");
    for key in &planted["commit message"] {
        let message = format!("Try it\n\ncurl -H 'Authorization: Bearer {key}'");
        repository.git(&["commit", "--quiet", "--allow-empty", "--message", &message]);
        plant("commit message", None, Some(3), key);
    }
    for (number, key) in planted["tag message"].iter().enumerate() {
        let tag = format!("v{number}");
        repository.git(&["tag", "--annotate", &tag, "--message", &format!("Release with {key}")]);
        plant("tag message", Some(tag), Some(1), key);
    }
    for (number, key) in planted["stash"].iter().enumerate() {
        let file = format!("stashed/{number}.env");
        repository.write(&file, format!("KEY={key}\n"));
        plant("stash", Some(file), Some(1), key);
    }
    repository.git(&["add", "--all"]);
    repository.git(&["stash", "--quiet"]);
    for (number, key) in planted["amended away"].iter().enumerate() {
        let file = format!("amended/{number}.env");
        repository.write(&file, format!("KEY={key}\n"));
        plant("amended away", Some(file), Some(1), key);
    }
    repository.commit("Too much");
    repository.git(&["rm", "-r", "--quiet", "amended"]);
    repository.git(&["commit", "--quiet", "--amend", "--allow-empty", "--message", "Less"]);
    // A log's lines would expire with time.
    repository.git(&["-c", "gc.reflogExpire=never", "-c", "gc.reflogExpireUnreachable=never", "gc", "--quiet"]);
    // Behind the packing: loose, and in no commit.
    for (number, key) in planted["staged only"].iter().enumerate() {
        let file = format!("staged/{number}.env");
        repository.write(&file, format!("\nKEY={key}\n"));
        plant("staged only", Some(file), Some(2), key);
    }
    repository.git(&["add", "--all"]);
    (repository, known, decoys)
}

#[test]
fn of_1_000_keys_in_a_repository_every_one_is_found_where_it_is() {
    let (repository, known, decoys) = repository_with_keys();
    let packs = repository.path().join(".git/objects/pack").read_dir().unwrap().count();
    assert!(packs > 0, "nothing is packed");
    let ran = scan(repository.path(), &["--git", "--format", "json"]).expect(1);
    let result = ran.json();
    let found = result["found"].as_array().unwrap();
    tells_no_key(&ran, known.iter().map(|planted| &planted.key));

    let by_hint: BTreeMap<&str, &Value> = found.iter().map(|find| (find["hint"].as_str().unwrap(), find)).collect();
    let mut recall: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for planted in &known {
        let (all, hit) = recall.entry(planted.form).or_default();
        *all += 1;
        let Some(find) = by_hint.get(hint(&planted.key).as_str()) else { continue };
        *hit += 1;
        if let Some(file) = &planted.file {
            let told = find["file"].as_str().unwrap();
            assert!(told == file || told.starts_with(&format!("{file}!")), "{}: {find} is not {file}", planted.form);
        }
        if planted.line.is_some() {
            assert_eq!(find["line"].as_u64(), planted.line, "{}: {find}", planted.form);
        }
        let kind = if planted.key.starts_with("tga_") { "access_token" } else { "key" };
        assert_eq!(find["kind"], kind);
        // Who looks for a leak's beginning needs the commit.
        match planted.form {
            "staged only" | "tag message" => assert!(find["commit"].is_null(), "{find}"),
            _ => assert_eq!(
                (find["commit"]["date"].as_str(), find["commit"]["author"].as_str()),
                (Some("2030-01-31T12:00:00+01:00"), Some("Ada")),
                "{find}"
            ),
        }
    }
    println!("recall by form:");
    for (form, (all, hit)) in &recall {
        println!("  {form:28} {hit:3} of {all:3}  {:5.1} %", 100.0 * *hit as f64 / *all as f64);
    }
    let missed: Vec<_> = recall.iter().filter(|(_, (all, hit))| hit < all).collect();
    assert!(missed.is_empty(), "missed: {missed:?}");
    assert!(recall.len() >= 30 && known.len() == PLANTED);

    // Nothing else: no look-alike, and no key twice in one file.
    let planted: BTreeSet<String> = known.iter().map(|planted| hint(&planted.key)).collect();
    let told: BTreeSet<String> = by_hint.keys().map(|hint| (*hint).to_owned()).collect();
    assert_eq!(told, planted);
    assert_eq!(result["summary"]["keys"], PLANTED);
    assert!(decoys.iter().all(|decoy| !told.contains(&hint(decoy))));
}

#[test]
fn files_are_searched_as_git_sees_them_unless_told_not_to() {
    let (repository, mut keys) = (Repository::new(), Keys::new(2));
    let (shown, hidden, ignored, deep, internal) =
        (keys.key("tg"), keys.key("tg"), keys.key("tg"), keys.key("tga"), keys.key("tg"));
    repository.write("src/main.py", format!("KEY = '{shown}'\n"));
    repository.write(".env", format!("KEY={hidden}\n"));
    repository.write("local/.env", format!("KEY={ignored}\n"));
    repository.write(".gitignore", "local/\n");
    repository.write("dist/app.whl", zip("app/inner.jar", &zip("x.properties", format!("\nkey={deep}").as_bytes())));
    repository.write(".git/description", &internal);
    let found = |arguments: &[&str]| {
        let ran = scan(repository.path(), arguments);
        tells_no_key(&ran, [&shown, &hidden, &ignored, &deep, &internal]);
        (ran.code, ran.stdout)
    };
    let line = |place: &str, key: &str| format!("{place}: {} (plain)\n", hint(key));
    let usual = [
        line(".env:1:5", &hidden),
        line("dist/app.whl!app/inner.jar!x.properties:2:5", &deep),
        line("src/main.py:1:8", &shown),
    ];
    assert_eq!(found(&[]), (1, usual.concat()));
    let all = [usual[0].clone(), usual[1].clone(), line("local/.env:1:5", &ignored), usual[2].clone()];
    assert_eq!(found(&["--no-ignore"]), (1, all.concat()));
    assert_eq!(
        found(&["src", ".env", "--quiet"]),
        (1, [line(".env:1:5", &hidden), line("src/main.py:1:8", &shown)].concat())
    );
    assert_eq!(found(&["--prefix", "acme"]), (0, String::new()));
    // Named, it is searched although it is ignored.
    assert_eq!(found(&["local/.env"]), (1, line("local/.env:1:5", &ignored)));
    let clean = scan(repository.path(), &[".gitignore"]).expect(0);
    assert!(clean.stderr.starts_with("No keys found. Searched 1 file or object"), "{clean:?}");
    std::os::unix::fs::symlink("nowhere", repository.path().join("dangling")).unwrap();
    for wrong in [&["not-there"][..], &["dangling"], &["--stdin", "src"], &["--rules", "github", "src"]] {
        scan(repository.path(), wrong).expect(2);
    }
    scan(repository.path(), &["--git", "--staged"]).expect(2);
    scan(Path::new("/"), &["--git", "/proc"]).expect(2);
}

#[test]
fn what_cannot_be_read_is_named_and_stops_nothing() {
    let (repository, mut keys) = (Repository::new(), Keys::new(3));
    let key = keys.key("tg");
    let mut torn = zip("a.env", format!("KEY={key}").as_bytes());
    torn.truncate(torn.len() - 30);
    repository.write("a.zip", torn);
    repository.write("b.7z", b"7z\xbc\xaf\x27\x1c\0\x04");
    repository.write("c.env", format!("KEY={key}\n"));
    let ran = scan(repository.path(), &[]).expect(1);
    assert!(ran.stdout.contains("c.env:1:5"), "{ran:?}");
    for said in ["a.zip", "b.7z: not looked into (7-Zip)", "NOT searched, or not to the end: 2."] {
        assert!(ran.stderr.contains(said), "{said}: {ran:?}");
    }
}

#[test]
fn what_is_not_there_of_a_history_is_named_and_never_called_clean() {
    let (repository, mut keys) = (Repository::new(), Keys::new(10));
    let (key, staged) = (keys.key("tg"), keys.key("tg"));
    repository.write("a.env", format!("KEY={key}\n"));
    repository.commit("By mistake");
    repository.git(&["rm", "--quiet", "a.env"]);
    repository.commit("Taken back");
    repository.git(&["config", "uploadpack.allowFilter", "true"]);
    repository.git(&["gc", "--quiet"]);
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file://{}", repository.path().display());
    let clone = |name: &str, how: &[&str]| {
        let path = directory.path().join(name);
        repository.git(&[&["clone", "--quiet"], how, &[&url, path.to_str().unwrap()]].concat());
        path
    };
    let history = |path: &Path| scan(path, &["--git"]);

    let whole = clone("whole", &[]);
    assert!(history(&whole).expect(1).stdout.starts_with("a.env:1:5: "));
    let shallow = history(&clone("shallow", &["--depth=1"])).expect(0);
    assert!(shallow.stderr.contains("shallow"), "{shallow:?}");
    let partial = history(&clone("partial", &["--filter=blob:none", "--no-checkout"])).expect(0);
    assert!(partial.stderr.contains("partial"), "{partial:?}");

    // A worktree of its own branch, where something is staged: searched from either, with what is known of it.
    let tree = directory.path().join("tree");
    repository.git(&["worktree", "add", "--quiet", "--detach", tree.to_str().unwrap()]);
    fs::write(tree.join("staged.env"), format!("\nKEY={staged}\n")).unwrap();
    repository.git(&["-C", tree.to_str().unwrap(), "add", "staged.env"]);
    for path in [repository.path(), &tree] {
        let found = history(path).expect(1).stdout;
        assert!(found.contains("a.env:1:5: ") && found.contains("staged.env:2:5: "), "{found}");
    }
    let outer = Repository::new();
    outer.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &url, "inner"]);
    outer.commit("With another");
    let ran = history(outer.path()).expect(0);
    assert!(ran.stderr.contains("submodules have histories of their own, which are not searched: inner"), "{ran:?}");

    // A pack that nobody can list.
    let packs: Vec<PathBuf> =
        whole.join(".git/objects/pack").read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    let index = packs.iter().find(|file| file.extension().is_some_and(|extension| extension == "idx")).unwrap();
    fs::remove_file(index).unwrap();
    let ran = history(&whole).expect(0);
    assert!(ran.stderr.contains("its index cannot be read") && ran.stderr.contains("NOT searched"), "{ran:?}");
}

#[test]
fn a_commit_with_a_key_is_stopped_by_the_hook() {
    let (repository, mut keys) = (Repository::new(), Keys::new(4));
    let (old, new) = (keys.key("tg"), keys.key("tg"));
    repository.write("old.env", format!("KEY={old}\n"));
    repository.commit("Before the hook");
    let hook = "#!/bin/sh\nexec \"$TOLLGATE\" scan --staged --quiet\n";
    repository.write(".git/hooks/pre-commit", hook);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(repository.path().join(".git/hooks/pre-commit"), executable).unwrap();
    let commit = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "--message", "m"])
            .args(arguments);
        git.current_dir(repository.path()).env("TOLLGATE", tollgate_tests::node::binary());
        git.env("GIT_CONFIG_GLOBAL", "/dev/null");
        finish(git, None)
    };
    // What stands in HEAD already is not this commit's doing.
    repository.write("app.py", "print(1)\n");
    repository.git(&["add", "app.py"]);
    commit(&[]).expect(0);
    repository.write("app.py", format!("KEY = '{new}'\n"));
    commit(&["--allow-empty"]).expect(0); // not staged
    let stopped = commit(&["--all"]).expect(1); // staged in an index of its own
    // git hands what a hook prints to standard error.
    assert!(stopped.stderr.contains(&format!("app.py:1:8: {}", hint(&new))), "{stopped:?}");
    assert!(!stopped.stderr.contains(&hint(&old)), "{stopped:?}");
    tells_no_key(&stopped, [&new, &old]);
}

#[test]
fn a_key_that_spans_the_pieces_of_a_long_stream_is_found_at_its_place() {
    let mut keys = Keys::new(5);
    for before in (512 * 1_024 - 9_000..512 * 1_024 + 200).step_by(83) {
        let key = keys.key("tg");
        let encoded = base64(format!("{key}:"));
        let input = format!("{}\n{key}\n{}\n{encoded}", "é".repeat(before / 2), "x".repeat(700_000));
        let result = scan_input(&["--format", "json"], &input).expect(1).json();
        let places: Vec<_> = result["found"].as_array().unwrap().iter().map(|find| &find["line"]).collect();
        assert_eq!(places, [2, 4], "{before}");
    }
}

#[test]
fn other_peoples_code_raises_no_alarm() {
    let rustc = String::from_utf8(Command::new("rustc").arg("-vV").output().unwrap().stdout).unwrap();
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--format-version=1", "--all-features"])
        // What only other platforms need was never downloaded.
        .args(["--filter-platform", host])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let sources: Vec<PathBuf> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| package["source"].is_string())
        .map(|package| Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned())
        .filter(|path| path.is_dir())
        .collect();
    assert!(sources.len() > 100, "the build's own sources are there");
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap().stdout;
    // The toolchain's documentation, hundreds of megabytes of HTML, where it was installed with it.
    let documentation = PathBuf::from(String::from_utf8(sysroot).unwrap().trim()).join("share/doc");
    let trees = sources.iter().chain(documentation.is_dir().then_some(&documentation));
    let arguments: Vec<&str> = trees.map(|path| path.to_str().unwrap()).collect();
    let ran = scan(Path::new("/"), &[&["--no-ignore"], &arguments[..]].concat()).expect(0);
    println!("{}", ran.stderr.lines().last().unwrap_or_default());
}

#[test]
fn code_scanning_gets_a_sarif_log() {
    let (repository, mut keys) = (Repository::new(), Keys::new(6));
    repository.write("a dir/ä.env", format!("KEY={}\n", keys.key("tga")));
    let log = scan(repository.path(), &["--format", "sarif"]).expect(1).json();
    let result = &log["runs"][0]["results"][0];
    assert_eq!((&log["version"], &result["ruleId"]), (&"2.1.0".into(), &"leaked-access-token".into()));
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "a%20dir/%C3%A4.env");
    assert_eq!((place["region"]["startLine"].as_u64(), place["region"]["startColumn"].as_u64()), (Some(1), Some(5)));
    let clean = scan(repository.path(), &["--format", "sarif", ".git/description"]).expect(0).json();
    assert_eq!(clean["runs"][0]["results"].as_array().map(Vec::len), Some(0), "a log without results is a log");
}

#[test]
fn detect_secrets_finds_keys_by_our_rule() {
    let python = env::var_os("TOLLGATE_TEST_PYTHON").expect(
        "this test needs TOLLGATE_TEST_PYTHON, a Python that has the packages of tests/python: run `cargo xtask test`, which \
         makes one",
    );
    let (repository, mut keys) = (Repository::new(), Keys::new(7));
    let (key, token, other) = (keys.key("acme"), keys.key("acmea"), keys.key("tg"));
    repository.write("app.txt", format!("first\nuse {key} here\nor {token}\nnot {other}\n"));
    let rule = scan(repository.path(), &["--rules", "detect-secrets", "--prefix", "acme"]).expect(0).stdout;
    repository.write("rule/tollgate_keys.py", rule);
    let mut detect = Command::new(python);
    detect.args(["-m", "detect_secrets", "scan", "--all-files", "--plugin", "rule/tollgate_keys.py", "app.txt"]);
    let found = finish(
        {
            detect.current_dir(repository.path());
            detect
        },
        None,
    )
    .expect(0)
    .json();
    let ours = found["results"]["app.txt"].as_array().expect("finds").iter();
    let lines: BTreeSet<u64> = ours
        .filter(|find| find["type"] == "Tollgate API key or access token")
        .map(|find| find["line_number"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, BTreeSet::from([2, 3]), "{found}");
}

/// gitleaks itself; of the others what can be had of them, see `tests/python/rules.py`.
#[test]
fn other_scanners_find_keys_by_our_rules() {
    let python = env::var_os("TOLLGATE_TEST_PYTHON").expect(
        "this test needs TOLLGATE_TEST_PYTHON, a Python that has the packages of tests/python: run `cargo xtask test`, which \
         makes one",
    );
    let (directory, mut keys) = (tempfile::tempdir().unwrap(), Keys::new(9));
    let (key, token, other) = (keys.key("acme"), keys.key("acmea"), keys.key("tg"));
    let (one, two) = (keys.key("acme"), keys.key("old"));
    let longer = format!("{}0", keys.key("acme"));
    let lines = format!(
        "first\nuse {key} here\nor {token}\nnot {other}\nnor {longer}\n\nAPI_KEY=\"{one}\"\nhttps://a.example/?k={two}&x=1\n"
    );
    fs::write(directory.path().join("app.txt"), lines).unwrap();
    let tools = ["gitleaks", "trufflehog", "gitguardian", "github"];
    for tool in tools {
        let rule = scan(directory.path(), &["--rules", tool, "--prefix", "acme", "--prefix", "old"]).expect(0).stdout;
        fs::write(directory.path().join(tool), rule).unwrap();
    }
    let mut check = Command::new(python);
    check.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python/rules.py"));
    check.arg(directory.path()).arg(directory.path().join("app.txt"));
    let found = finish(check, None).expect(0).json();
    for tool in tools {
        assert_eq!(found[tool], serde_json::json!([2, 3, 7, 8]), "{tool}: {found}");
    }
}

/// Answers one request with a status; hands over its first line and its body.
fn answer_once(status: &'static str) -> (String, std::thread::JoinHandle<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let (head, body) = loop {
            let mut some = [0; 4_096];
            let count = stream.read(&mut some).unwrap();
            request.extend_from_slice(&some[..count]);
            let text = String::from_utf8_lossy(&request).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if Some(body.len()) == length {
                break (head.to_owned(), body.to_owned());
            }
        };
        stream
            .write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes())
            .unwrap();
        (head.lines().next().unwrap_or_default().to_owned(), serde_json::from_str(&body).unwrap())
    });
    (url, server)
}

#[test]
fn each_key_is_reported_once_with_where_it_was() {
    let (repository, mut keys) = (Repository::new(), Keys::new(8));
    let (one, two) = (keys.key("tg"), keys.key("tga"));
    repository.write("a.env", format!("A={one}\nB={two}\nC={one}\n"));
    let (url, server) = answer_once("202 Accepted");
    let ran = scan(repository.path(), &["--report", "--url", &url, "--found-at", "https://example.com/repo"]).expect(1);
    let (line, body) = server.join().unwrap();
    assert_eq!(line, "POST /leaks HTTP/1.1");
    assert_eq!(body, serde_json::json!({"keys": [one, two], "found_at": "https://example.com/repo"}));
    assert!(ran.stderr.contains("Reported 2 keys"), "{ran:?}");
    tells_no_key(&ran, [&one, &two]);

    let (url, server) = answer_once("429 Too Many Requests");
    let ran = scan(repository.path(), &["--report", "--url", &url]).expect(4);
    let body = server.join().unwrap().1;
    let here = repository.path().canonicalize().unwrap();
    assert_eq!(body["found_at"], here.to_str().unwrap(), "without an address: the path");
    assert!(ran.stderr.contains("0 of 2 keys were reported") && ran.stdout.contains("a.env:1:3"), "{ran:?}");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    scan(repository.path(), &["--report", "--url", &format!("http://{free}")]).expect(3);
    // Nothing found, nothing sent.
    scan(repository.path(), &["--report", "--url", &format!("http://{free}"), "--prefix", "acme"]).expect(0);
}
