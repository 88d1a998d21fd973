//! The command line: each noun, exit codes, what goes to standard output, questions, wrong input.

use std::process::Command;

use tollgate_tests::{
    Engine, House, NodeOptions,
    cli::{self, Cli, Ran, finish, run_into_closed_pipe},
    house::bootstrap,
    json, on_both,
};

on_both!(
    the_key_nouns_from_making_to_revoking,
    a_created_key_is_alone_on_standard_output,
    the_operators_nouns_make_change_show_and_remove,
    usage_comes_as_table_csv_and_json,
    exit_codes_tell_scripts_what_happened,
    wrong_input_of_every_command_is_refused_with_words,
    revoking_asks_first_and_without_a_terminal_refuses,
    bootstrap_works_beside_a_running_server_and_without_one,
    the_doctor_says_what_is_well_and_what_is_not,
);

/// What no command may ever do.
#[track_caller]
fn is_clean(ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        assert!(
            !text.contains("panicked") && !text.contains('\u{1b}'),
            "a panic, or colours without a terminal: {ran:?}"
        );
    }
}

async fn the_key_nouns_from_making_to_revoking(engine: Engine) {
    let house = House::open(engine).await;
    let cli = house.cli();
    let key = cli.run(&["keys", "create", "--name", "ci", "--models", "chat-a,chat-b"]).expect(0).stdout;
    let key = key.trim_end();
    assert_eq!(house.ask(key, "chat-a").await, "200");
    let hint = &key[..15];
    let listed = cli.run(&["keys", "list"]).expect(0);
    assert!(
        listed.stdout.contains("ci") && listed.stdout.contains(hint) && listed.stdout.contains("active"),
        "{listed:?}"
    );
    let as_json = cli.run(&["keys", "list", "--json"]).expect(0);
    let api = house.api("GET", "keys").send().await.expect(200);
    assert_eq!(as_json.stdout.trim_end(), String::from_utf8_lossy(&api.body), "as the API said it");
    let id = as_json.json()["data"][0]["id"].as_str().unwrap().to_owned();
    // By id, by hint, by name.
    for name in [id.as_str(), hint, "ci"] {
        let shown = cli.run(&["keys", "show", name]).expect(0);
        assert!(shown.stdout.contains(&id), "{name}: {shown:?}");
    }
    assert_eq!(cli.run(&["keys", "show", "ci", "--json"]).expect(0).json()["id"], id.as_str());
    cli.run(&["keys", "edit", &id, "--models", "chat-a", "--name", "ci-2", "--note", "narrower"]).expect(0);
    assert_eq!(house.ask(key, "chat-b").await, "403 model_not_permitted");
    cli.run(&["keys", "disable", "ci-2"]).expect(0);
    assert_eq!(house.ask(key, "chat-a").await, "401 api_key_disabled");
    cli.run(&["keys", "enable", "ci-2"]).expect(0);
    let rotated = cli.run(&["keys", "rotate", "ci-2", "--grace", "0s"]).expect(0).stdout;
    assert_eq!(house.ask(rotated.trim_end(), "chat-a").await, "200");
    assert_eq!(house.ask(key, "chat-a").await, "401 invalid_api_key");
    let revoked = cli.run(&["keys", "revoke", "ci-2", "--yes"]).expect(0);
    assert_eq!(house.ask(rotated.trim_end(), "chat-a").await, "401 api_key_revoked");
    assert!(!revoked.stderr.contains(&key[16..]), "{revoked:?}");
    let listed = cli.run(&["keys", "list", "--status", "revoked"]).expect(0);
    assert!(listed.stdout.contains("ci-2"), "{listed:?}");
    is_clean(&listed);
}

async fn a_created_key_is_alone_on_standard_output(engine: Engine) {
    let house = House::open(engine).await;
    let script = format!(
        "KEY=$('{}' keys create --name k --models all) && printf '[%s]' \"$KEY\"",
        tollgate_tests::node::binary().display()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("TOLLGATE_URL", house.url()).env("TOLLGATE_TOKEN", &house.token);
    let ran = finish(shell, None).expect(0);
    let key = ran.stdout.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap();
    assert_eq!(house.ask(key, "chat-a").await, "200", "{ran:?}");
    assert!(!ran.stderr.contains(key), "shown once, in one place: {ran:?}");
}

async fn the_operators_nouns_make_change_show_and_remove(engine: Engine) {
    let house = House::open(engine).await;
    let cli = house.cli();
    let base_url = house.upstream.base_url();
    let ok = |arguments: &[&str]| {
        let ran = cli.run(arguments).expect(0);
        is_clean(&ran);
        ran.stdout
    };
    // A credential comes from a file or a pipe, never from the arguments, which others on the machine can read.
    let added = ["upstreams", "add", "gpu-b", "--base-url", &base_url, "--engine", "openai", "--credential-file", "-"];
    cli.run_with_input(&added, "sk-from-a-pipe\n").expect(0);
    assert!(ok(&["upstreams", "list"]).contains("gpu-b"));
    let shown = ok(&["upstreams", "show", "gpu-b", "--json"]);
    assert!(!shown.contains("sk-from-a-pipe"), "{shown}");
    ok(&[
        "models",
        "add",
        "m",
        "--kind",
        "chat",
        "--served-by",
        "upstream=gpu-b,model=there,weight=2",
        "--input-price",
        "0.10",
        "--output-price",
        "0.20",
    ]);
    let key = ok(&["keys", "create", "--name", "k", "--models", "m"]);
    assert_eq!(house.ask(key.trim_end(), "m").await, "200");
    let seen = house.upstream.last();
    assert_eq!(
        (seen.model.as_str(), seen.headers["authorization"].to_str().unwrap()),
        ("there", "Bearer sk-from-a-pipe")
    );
    assert!(ok(&["models", "list"]).contains("chat-a"));
    ok(&["models", "edit", "m", "--title", "A model"]);
    assert!(ok(&["models", "show", "m"]).contains("A model"));
    cli.run(&["upstreams", "remove", "gpu-b", "--yes"]).expect(1);
    ok(&["upstreams", "edit", "gpu-b", "--disable"]);
    assert_eq!(house.ask(key.trim_end(), "m").await, "503 no_healthy_upstream");
    ok(&["models", "remove", "m", "--yes"]);
    ok(&["upstreams", "remove", "gpu-b", "--yes"]);
    // Plans, accounts, users, tokens.
    ok(&["plans", "add", "pro", "--paid"]);
    ok(&["accounts", "add", "acme", "--name", "Acme", "--plan", "pro"]);
    assert!(ok(&["accounts", "list"]).contains("acme") && ok(&["accounts", "show", "acme"]).contains("pro"));
    ok(&["users", "add", "--name", "Ada", "--email", "ada@example.com", "--member", "acme=owner"]);
    let user =
        serde_json::from_str::<tollgate_tests::Value>(&ok(&["users", "show", "ada@example.com", "--json"])).unwrap();
    let token = ok(&["tokens", "create", "--name", "t", "--account", "acme", "--user", user["id"].as_str().unwrap()]);
    let ada = Cli::new(&house.url(), token.trim_end());
    let key = ada.run(&["keys", "create", "--name", "hers", "--models", "all"]).expect(0).stdout;
    assert_eq!(house.ask(key.trim_end(), "chat-a").await, "200");
    ada.run(&["accounts", "list"]).expect(4);
    ok(&["accounts", "edit", "acme", "--no-plan"]);
    assert_eq!(house.ask(key.trim_end(), "chat-a").await, "402 plan_required");
    assert!(ok(&["keys", "list", "--account", "acme"]).contains("active (no paid plan)"));
    let refused = ada.run(&["keys", "create", "--name", "more", "--models", "all"]).expect(1);
    assert!(refused.stderr.contains("plan_required") && refused.stderr.contains("sales@example.com"), "{refused:?}");
    ok(&["accounts", "edit", "acme", "--plan", "pro"]);
    ok(&["users", "edit", "ada@example.com", "--disable"]);
    assert!(house.ask(key.trim_end(), "chat-a").await.starts_with("401"));
    let listed = ok(&["keys", "list", "--account", "acme", "--status", "disabled"]);
    assert!(listed.contains("disabled (its maker is disabled)"), "{listed}");
    ada.run(&["keys", "list"]).expect(4);
    assert!(ok(&["nodes", "list"]).lines().count() >= 2);
    let audit = ok(&["audit", "list", "--action", "account."]);
    assert!(audit.contains("account.edit") && !audit.contains("key.create"), "{audit}");
}

async fn usage_comes_as_table_csv_and_json(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key_with(json!({"name": "reporter", "models": ["chat-a"]})).await;
    house.chat(&key.key, "chat-a", json!({"fake": {"input": 1_234, "output": 5}})).send().await.expect(200);
    house.usage_of(1).await;
    let table = house.cli().run(&["usage"]).expect(0);
    for word in ["reporter", "chat-a", "1,234"] {
        assert!(table.stdout.contains(word), "{word}: {}", table.stdout);
    }
    is_clean(&table);
    let csv = house.cli().run(&["usage", "--by", "model,key,day", "--format", "csv"]).expect(0).stdout;
    assert!(csv.starts_with("start,end,") && csv.lines().count() == 2 && csv.contains("1234"), "{csv}");
    let report = house.cli().run(&["usage", "--from", "-1d", "--format", "json"]).expect(0).json();
    assert_eq!(report["data"][0]["input_tokens"], 1_234, "{report}");
    assert_eq!(house.cli().run(&["usage", "--json"]).expect(0).json()["data"][0]["requests"], 1);
}

async fn exit_codes_tell_scripts_what_happened(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key(&["chat-a"]).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = Cli::new(&format!("http://{free}"), &house.token);
    house.cli().run(&["keys", "list"]).expect(0);
    house.cli().run(&["keys", "show", "no such key"]).expect(1);
    house.cli().run(&["keys", "lsit"]).expect(2);
    nobody.run(&["keys", "list"]).expect(3);
    for token in ["", "nonsense", &key.key] {
        let refused = Cli::new(&house.url(), token).run(&["keys", "list"]).expect(4);
        assert!(!refused.stderr.contains(&key.key), "{refused:?}");
    }
    // Whoever reads has had enough: no failure, no words.
    let enough = run_into_closed_pipe(house.cli().command(&["models", "list"]));
    assert!(enough.stderr.is_empty() && [0, -1].contains(&enough.code), "{enough:?}");
    let json = house.cli().run(&["keys", "show", "key_00000000000000000000000000000000", "--json"]).expect(1);
    assert!(json.stdout.is_empty() || json.json()["code"].is_string(), "{json:?}");
}

async fn wrong_input_of_every_command_is_refused_with_words(engine: Engine) {
    let house = House::open(engine).await;
    let cli = house.cli();
    let huge = "x".repeat(50_000);
    let foreign = "key_0198c0ffee0070008000000000000000";
    let wrong: &[(&[&str], i32)] = &[
        (&["keys"], 2),
        (&["keys", "create"], 2),
        (&["keys", "create", "--name", "k"], 2),
        (&["keys", "create", "--name", "", "--models", "all"], 1),
        (&["keys", "create", "--name", &huge, "--models", "all"], 1),
        (&["keys", "create", "--name", "k", "--models", "no-such-model"], 1),
        (&["keys", "create", "--name", "k", "--models", ""], 2),
        (&["keys", "create", "--name", "k", "--models", "all", "--expires", "yesterday"], 2),
        (&["keys", "create", "--name", "k", "--models", "all", "--account", "nobody"], 1),
        (&["keys", "show"], 2),
        (&["keys", "show", foreign], 1),
        (&["keys", "show", "../../healthz"], 1),
        (&["keys", "show", &huge], 1),
        (&["keys", "edit", foreign], 2),
        (&["keys", "edit", foreign, "--name", "x"], 1),
        (&["keys", "revoke", foreign, "--yes"], 1),
        (&["keys", "rotate", foreign, "--grace", "soon"], 2),
        (&["keys", "rotate", foreign], 1),
        (&["keys", "disable", foreign], 1),
        (&["keys", "enable", foreign], 1),
        (&["keys", "list", "--limit", "-1"], 2),
        (&["keys", "list", "--status", "asleep"], 1),
        (&["usage", "--by", "colour"], 2),
        (&["usage", "--from", "yesterday"], 1),
        (&["usage", "--tz", "Mars/Base"], 1),
        (&["usage", "--format", "xml"], 2),
        (&["models", "add", "m"], 2),
        (&["models", "add", "m", "--kind", "poetry"], 2),
        (&["models", "add", "m", "--kind", "chat", "--served-by", "nobody"], 1),
        (&["models", "add", "m", "--kind", "chat", "--input-price", "-1"], 2),
        (&["models", "add", "chat-a", "--kind", "chat"], 1),
        (&["models", "show", "nothing"], 1),
        (&["models", "edit", "nothing", "--title", "x"], 1),
        (&["models", "remove", "nothing", "--yes"], 1),
        (&["upstreams", "add", "u", "--base-url", "ftp://x"], 2),
        (&["upstreams", "add", "bad name", "--base-url", "http://x"], 2),
        (&["upstreams", "add", "fake", "--base-url", "http://x"], 1),
        (&["upstreams", "add", "u", "--base-url", "http://x", "--credential-file", "/nonexistent"], 1),
        (&["upstreams", "show", "nothing"], 1),
        (&["upstreams", "remove", "nothing", "--yes"], 1),
        (&["plans", "add", "Bad Handle"], 2),
        (&["plans", "show", "nothing"], 1),
        (&["accounts", "add", "default"], 1),
        (&["accounts", "show", "nothing"], 1),
        (&["accounts", "edit", "nothing", "--suspend"], 1),
        (&["users", "add"], 2),
        (&["users", "add", "--name", "U", "--email", "no mail"], 2),
        (&["users", "add", "--name", "U", "--member", "nobody=owner"], 1),
        (&["users", "show", "nobody"], 1),
        (&["tokens", "revoke", "nothing", "--yes"], 1),
        (&["audit", "list", "--from", "yesterday"], 2),
        (&["serve", "--config", "/nonexistent.toml"], 2),
        (&["serve", "--listen", "nowhere"], 2),
        (&["bootstrap", "--config", "/nonexistent.toml"], 2),
        (&["config", "--config", "/nonexistent.toml"], 2),
        (&["completions", "teletype"], 2),
        (&["--no-such-flag"], 2),
        (&[], 2),
    ];
    let mut unlike = Vec::new();
    for (arguments, code) in wrong {
        let ran = cli.run(arguments);
        is_clean(&ran);
        // Whether the program or the server finds the fault is not for scripts: both say no. Silence is the fault.
        if ran.code != *code && !(matches!(ran.code, 1 | 2) && matches!(code, 1 | 2)) || ran.stderr.trim().is_empty() {
            let shown: Vec<String> = arguments.iter().map(|argument| argument.chars().take(40).collect()).collect();
            unlike.push(format!("{shown:?}: {code} expected, {} {}", ran.code, ran.stderr));
        }
        assert!(ran.stdout.is_empty(), "results only on standard output: {arguments:?} {ran:?}");
    }
    assert!(unlike.is_empty(), "{}", unlike.join("\n"));
}

async fn revoking_asks_first_and_without_a_terminal_refuses(engine: Engine) {
    let house = House::open(engine).await;
    let key = house.key_with(json!({"name": "precious", "models": ["chat-a"]})).await;
    for _ in 0..3 {
        house.ask(&key.key, "chat-a").await;
    }
    house.usage_of(3).await;
    // Nobody to ask: a script that forgot `--yes` has ended nothing.
    let refused = house.cli().run(&["keys", "revoke", "precious"]).expect(2);
    assert!(refused.stderr.contains("--yes"), "{refused:?}");
    let refused = house.cli().run_with_input(&["keys", "revoke", "precious"], "y\n").expect(2);
    assert!(refused.stderr.contains("--yes"), "{refused:?}");
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    house.usage_of(4).await;
    // On a terminal it says what would stop, and takes nothing but a yes for one.
    for (answer, status) in [("", "200"), ("n", "200"), ("yes", "401 api_key_revoked")] {
        let asked = on_a_terminal(&house, &["keys", "revoke", "precious"], answer);
        assert!(asked.stdout.contains("precious") && asked.stdout.contains("used"), "{asked:?}");
        assert!(asked.stdout.contains('4') || !answer.is_empty(), "from how many requests: {asked:?}");
        assert_eq!(house.ask(&key.key, "chat-a").await, status, "{asked:?}");
        let requests = house.upstream.count().0;
        house.usage_of(requests).await;
    }
}

/// Runs a command on a pseudo-terminal and types one line.
fn on_a_terminal(house: &House, arguments: &[&str], line: &str) -> Ran {
    let script = "import os, pty, sys\n\
        pid, terminal = pty.fork()\n\
        if pid == 0:\n    os.execv(sys.argv[2], sys.argv[2:])\n\
        seen, typed = b'', False\n\
        while True:\n    \
            try: data = os.read(terminal, 4096)\n    \
            except OSError: break\n    \
            if not data: break\n    \
            seen += data\n    \
            if not typed and b'for ever?' in seen:\n        \
                os.write(terminal, sys.argv[1].encode() + b'\\n'); typed = True\n\
        sys.stdout.buffer.write(seen)\n\
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n";
    let mut python = Command::new("python3");
    python.args(["-c", script, line]).arg(tollgate_tests::node::binary()).args(arguments);
    python.env("TOLLGATE_URL", house.url()).env("TOLLGATE_TOKEN", &house.token).env("NO_COLOR", "1");
    finish(python, None)
}

async fn bootstrap_works_beside_a_running_server_and_without_one(engine: Engine) {
    let house = House::open(engine).await;
    let second = bootstrap(house.node.options());
    house.api_as(&second, "GET", "keys").send().await.expect(200);
    let House { node, upstream, token, database, directory } = house;
    let options = node.kill();
    let third = bootstrap(&options);
    let house = House { node: options.start().await, upstream, token, database, directory };
    house.api_as(&third, "GET", "keys").send().await.expect(200);
}

async fn the_doctor_says_what_is_well_and_what_is_not(engine: Engine) {
    let house = House::open(engine).await;
    let settings = house.node.options().directory.join("tollgate.toml").display().to_string();
    let well = cli::run(house.directory.path(), &["doctor", "--config", &settings]);
    assert_eq!(well.code, 0, "{well:?}");
    for (docs, about, says) in [
        ("model = \"chat-a\"", "", ""),
        ("model = \"chat-z\"", "docs.model", "chat-z"),
        ("model = \"embed-a\"", "docs.model", "embedding"),
        ("model = \"chat-a\"\naccount = \"nobody\"", "docs.account", "nobody"),
    ] {
        let settings = house.node.options().clone().settings(&format!("[docs]\n{docs}")).write().display().to_string();
        let ran = cli::run(house.directory.path(), &["doctor", "--json", "--config", &settings]);
        assert_eq!(ran.code, i32::from(!about.is_empty()), "{docs}: {ran:?}");
        let findings = ran.json();
        let mut faults = findings["data"].as_array().unwrap().iter().filter(|finding| finding["verdict"] == "FAULT");
        let fault = faults.next();
        assert_eq!(fault.map_or("", |fault| fault["about"].as_str().unwrap()), about, "{findings}");
        assert!(fault.is_none_or(|fault| fault["found"].as_str().unwrap().contains(says)), "{findings}");
        assert!(faults.next().is_none(), "{findings}");
    }
    let settings = house.node.options().write().display().to_string();
    house.upstream.go_down().await;
    let unwell = cli::run(house.directory.path(), &["doctor", "--config", &settings]);
    assert_eq!(unwell.code, 1, "an upstream does not answer: {unwell:?}");
    assert!(unwell.stdout.contains("fake") || unwell.stderr.contains("fake"), "{unwell:?}");
    is_clean(&unwell);
}

#[test]
fn the_doctor_names_each_fault_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = format!("postgres://nobody@{free}/nothing");
    let options = |name: &str, store: &str| NodeOptions::new(&directory.path().join(name), store.to_owned());
    let local = |name: &str| format!("sqlite:{}", directory.path().join(name).join("tollgate.db").display());
    let of = |options: &NodeOptions| {
        let settings = options.write().display().to_string();
        let ran = cli::run(directory.path(), &["doctor", "--json", "--config", &settings]);
        let findings = ran.json();
        assert_eq!(findings["healthy"], ran.code == 0, "{ran:?}");
        let fault = findings["data"].as_array().unwrap().iter().find(|finding| finding["verdict"] == "FAULT").cloned();
        (ran.code, fault.unwrap_or_default())
    };
    let well = options("well", &local("well"));
    assert_eq!(of(&well).0, 0);
    let mistyped = options("mistyped", &local("mistyped")).member("limits", "body_sise = \"1MiB\"");
    let readable = options("readable", &local("readable"));
    drop(readable.write());
    let master_key = readable.directory.join("master.key");
    std::fs::set_permissions(&master_key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    for (options, about, says, advises) in [
        (&mistyped, "configuration", "limits.body_size", "tollgate config --defaults"),
        (&options("away", &away), "store", "", "store.url"),
        (&readable, "master key file", "may read", "chmod 600"),
    ] {
        let (code, fault) = of(options);
        assert_eq!((code, fault["about"].as_str()), (1, Some(about)), "{fault}");
        assert!(fault["found"].as_str().unwrap().contains(says), "{fault}");
        assert!(fault["advice"].as_str().unwrap().contains(advises), "{fault}");
    }
}

#[test]
fn what_is_printed_needs_no_server() {
    let directory = tempfile::tempdir().unwrap();
    let print = |arguments: &[&str]| cli::run(directory.path(), arguments).expect(0).stdout;
    assert!(print(&["--version"]).starts_with("tollgate "));
    for noun in
        ["keys", "usage", "models", "upstreams", "plans", "accounts", "users", "nodes", "audit", "serve", "demo"]
    {
        assert!(print(&["--help"]).contains(noun), "{noun}");
        assert!(print(&[noun, "--help"]).contains("Usage:"), "{noun}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(print(&["completions", shell]).contains("tollgate"), "{shell}");
    }
    assert!(print(&["man"]).contains(".TH"));
    let settings = NodeOptions::new(directory.path(), "postgres://user:pa55word@db/tollgate".to_owned()).write();
    let shown = print(&["config", "--config", &settings.display().to_string()]);
    assert!(shown.contains("[keys]") && !shown.contains("pa55word"), "{shown}");
}
