//! What the settings take, refuse, and say about it.

use super::*;

fn load(text: &str, environment: Environment) -> Result<Settings, SettingsError> {
    Settings::from_parts(Some("/etc/tollgate/tollgate.toml".into()), text, &Arguments::default(), &environment)
}
fn refusal(text: &str) -> String {
    load(text, Environment::default()).unwrap_err().to_string()
}
fn refusal_of_variable(name: &str, value: &str) -> String {
    load("", Environment::from([(name, value)])).unwrap_err().to_string()
}

#[test]
fn the_defaults_are_complete_and_valid() {
    let settings = load("", Environment::default()).unwrap();
    assert_eq!(settings.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(settings.store_url.expose(), "sqlite:/etc/tollgate/tollgate-data/tollgate.db");
    assert_eq!(settings.journal, Path::new("/etc/tollgate/tollgate-data/journal"));
    assert_eq!(settings.lease, Duration::from_secs(10));
    assert_eq!(settings.limits.body_size, 20 << 20);
    assert!(matches!(&settings.master_key, MasterKeySetting::MissingFile(path)
        if path == Path::new("/etc/tollgate/tollgate-data/master.key")));
}

#[test]
fn an_unknown_setting_is_refused_with_its_line_and_the_nearest_name() {
    for (text, message) in [
        (
            "\n[listen]\nadress = \"x\"",
            "tollgate.toml:3: there is no setting listen.adress; did you mean listen.address?",
        ),
        ("[liste]\naddress = \"x\"", "tollgate.toml:1: there is no setting liste; did you mean listen?"),
        (
            "[[models]]\nname = \"m\"\nkind = \"chat\"\nserved-by = []",
            "tollgate.toml:4: there is no setting models[1].served-by; did you mean models[1].served_by?",
        ),
        (
            "[[models]]\nname = \"m\"\nkind = \"chat\"\nprice = { input_per_milion = \"1\" }",
            "tollgate.toml:4: there is no setting models[1].price.input_per_milion; \
             did you mean models[1].price.input_per_million?",
        ),
        (
            "[fleet]\nzzzzzzzz = 1",
            "tollgate.toml:2: there is no setting fleet.zzzzzzzz; \
             tollgate.default.toml lists all settings (`tollgate config --defaults`)",
        ),
    ] {
        assert_eq!(refusal(text), format!("/etc/tollgate/{message}"));
    }
}

#[test]
fn a_value_of_another_type_is_refused_with_its_line() {
    for (text, message) in [
        ("[listen]\naddress = 8080", ":2: listen.address must be a text, not a whole number"),
        ("\nlisten = \"x\"", ":2: listen must be a table, not a text"),
        ("[store]\nconnections = \"8\"", ":2: store.connections must be a whole number, not a text"),
        ("[store]\nconnections = 0", ":2: store.connections: must be 1 to 1000, not 0"),
        (
            "[store]\nconnections = 1.5",
            ":2: this value must be a text, a whole number, true, false, a list or a table, not a number with a fraction",
        ),
        (
            "[fleet]\nlease = \"10\"",
            ":2: fleet.lease: must be a number and ms, s, m, h or d, such as \"10s\", not \"10\"",
        ),
        ("[fleet]\nlease = \"1s\"", ":2: fleet.lease: must be 2s to 3600s, not 1s"),
        (
            "[listen]\naddress = \"here\"",
            ":2: listen.address: must be an IP address and a port, such as \"127.0.0.1:8080\", not \"here\"",
        ),
        (
            "[keys]\nmaster_key = 5",
            ":2: keys.master_key must be a text, { file = \"…\" } or { env = \"…\" }, not a whole number",
        ),
        ("[keys]\nprefix = \"T\"", ":2: keys.prefix: a key prefix has 2 to 12 of a-z and 0-9"),
        ("upstreams = [1]", ":1: upstreams[1] must be a table, not a whole number"),
        ("[[upstreams]]\nname = \"a\"", ":1: upstreams[1].base_url is missing"),
        (
            "[[models]]\nname = \"m\"\nkind = \"chat\"\nprice = { input_per_million = 5 }",
            ":4: models[1].price.input_per_million must be a text, not a whole number",
        ),
    ] {
        assert_eq!(refusal(text), format!("/etc/tollgate/tollgate.toml{message}"));
    }
    assert!(refusal("[listen\n").starts_with("/etc/tollgate/tollgate.toml:1: "));
}

#[test]
fn the_environment_sets_every_type_and_wins_over_the_file() {
    let environment = Environment::from([
        ("TOLLGATE__LISTEN__ADDRESS", "0.0.0.0:1234"),
        ("TOLLGATE__STORE__CONNECTIONS", "3"),
        ("TOLLGATE__KEYS__MASTER_KEY", &"ab".repeat(32)),
        ("TOLLGATE__UPSTREAMS", "[{ name = \"a\", base_url = \"http://x/v1\", credential = { env = \"A_KEY\" } }]"),
        ("A_KEY", "secret-a"),
        ("TOLLGATE_URL", "http://not.a.setting"),
    ]);
    let settings = load("[listen]\naddress = \"127.0.0.1:1\"", environment).unwrap();
    assert_eq!(settings.listen, "0.0.0.0:1234".parse().unwrap());
    assert_eq!(settings.store_connections, 3);
    assert!(matches!(&settings.master_key, MasterKeySetting::Present(key) if key.expose() == &[0xab; 32]));
    assert_eq!(settings.upstreams[0].credential.as_ref().unwrap().expose(), "secret-a");
    let by_file = load("", Environment::from([("TOLLGATE__KEYS__MASTER_KEY__FILE", "/run/k")])).unwrap();
    assert!(!by_file.file_holds_secret());
    assert!(matches!(&by_file.master_key, MasterKeySetting::MissingFile(path) if path == Path::new("/run/k")));
}

#[test]
fn a_mistyped_variable_stops_the_start() {
    assert_eq!(
        refusal_of_variable("TOLLGATE__LISTEN__ADRESS", "x"),
        "environment variable TOLLGATE__LISTEN__ADRESS: there is no setting listen.adress; did you mean listen.address?"
    );
    assert_eq!(
        refusal_of_variable("TOLLGATE__STORE__CONNECTIONS", "many"),
        "environment variable TOLLGATE__STORE__CONNECTIONS: store.connections must be a whole number, not a text"
    );
    for (name, value) in [
        ("TOLLGATE__", "x"),
        ("TOLLGATE__LISTEN", "x"),
        ("TOLLGATE__LISTEN__ADDRESS__X", "x"),
        ("TOLLGATE__KEYS__MASTER_KEY__FILE__X", "x"),
        ("TOLLGATE__STORE__CONNECTIONS", "1\nx = 2"),
    ] {
        let message = refusal_of_variable(name, value);
        assert!(message.starts_with(&format!("environment variable {name}: ")), "{message}");
    }
}

#[test]
fn secrets_come_from_texts_files_and_variables_and_are_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("gpu.key"), "from-file\n").unwrap();
    let text = "[store]\nurl = \"postgres://app:hunter2@db/x?sslpassword=hunter3\"\n\
        [keys]\nmaster_key = \"1111111111111111111111111111111111111111111111111111111111111111\"\n\
        [[upstreams]]\nname = \"a\"\nbase_url = \"http://a/v1\"\ncredential = \"from-text\"\n\
        [[upstreams]]\nname = \"b\"\nbase_url = \"http://b/v1\"\ncredential = { file = \"gpu.key\" }\n";
    let file = directory.path().join("tollgate.toml");
    let settings = Settings::from_parts(Some(file), text, &Arguments::default(), &Environment::default()).unwrap();
    let credentials: Vec<_> =
        settings.upstreams.iter().map(|upstream| upstream.credential.as_ref().unwrap().expose()).collect();
    assert_eq!(credentials, ["from-text", "from-file"]);
    assert!(settings.file_holds_secret());
    let shown = format!("{}{settings:?}", settings.show());
    for secret in ["hunter2", "hunter3", "1111", "from-text", "from-file"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(settings.show().contains("url = \"postgres://app:***@db/x?sslpassword=***\""), "{shown}");
    assert!(settings.show().contains("credential = { file = \"gpu.key\" }"), "{shown}");
}

#[test]
fn a_credential_that_is_named_but_not_there_stops_the_start() {
    assert_eq!(
        refusal("[[upstreams]]\nname = \"a\"\nbase_url = \"http://a\"\ncredential = { env = \"NOT_SET\" }"),
        "/etc/tollgate/tollgate.toml:4: upstreams[1].credential: variable NOT_SET is not there or empty"
    );
}

#[test]
fn what_is_shown_reads_back_as_the_same_settings() {
    let text = "[log]\nlevel = \"warn\"\n[[models]]\nname = \"m\"\nkind = \"chat\"\n\
        served_by = [{ upstream = \"a\", weight = 2 }]\nprice = { currency = \"EUR\", input_per_million = \"0.5\" }\n";
    let shown = load(text, Environment::default()).unwrap().show();
    assert!(
        shown.contains("level = \"warn\"                               # /etc/tollgate/tollgate.toml:2"),
        "{shown}"
    );
    let again = load(&shown, Environment::default()).unwrap();
    assert_eq!(again.models[0].price.currency.as_str(), "EUR");
    assert_eq!(again.models[0].served_by, [("a".parse().unwrap(), "m".parse().unwrap(), 2)]);
    assert_eq!(again.log_level, "warn");
}

#[test]
fn an_identity_provider_is_set_whole_or_not_at_all() {
    assert!(load("", Environment::default()).unwrap().sign_in.oidc.is_none());
    let provider = "[sign_in.oidc]\nissuer = \"https://login.example.com\"\nclient_id = \"tollgate\"\n";
    let groups = "[[sign_in.oidc.groups]]\ngroup = \"gpu\"\naccount = \"default\"\nrole = \"member\"\n\
        [[sign_in.oidc.groups]]\ngroup = \"root\"\noperator = true\n";
    let secret = "client_secret = { env = \"OIDC_SECRET\" }\n";
    let environment = || Environment::from([("OIDC_SECRET", "hunter2")]);
    let settings = load(&format!("{provider}{secret}{groups}"), environment()).unwrap();
    let oidc = settings.sign_in.oidc.clone().unwrap();
    assert_eq!(oidc.client_secret.as_ref().unwrap().expose(), "hunter2");
    assert_eq!(
        (oidc.scopes.join(" "), oidc.groups_claim.as_str(), oidc.create_users),
        ("email profile".into(), "groups", false)
    );
    assert_eq!((oidc.groups.len(), oidc.groups[1].operator), (2, true));
    assert!(!format!("{settings:?}{}", settings.show()).contains("hunter2"));
    assert!(load(provider, Environment::default()).unwrap().sign_in.oidc.unwrap().client_secret.is_none());
    let written = load(&format!("{provider}client_secret = \"hunter3\"\n"), Environment::default()).unwrap();
    assert!(written.file_holds_secret() && !format!("{written:?}{}", written.show()).contains("hunter3"));
    for (text, said) in [
        ("[sign_in.oidc]\nissuer = \"http://login.example.com\"\nclient_id = \"t\"", "must begin with https://"),
        ("[sign_in.oidc]\nissuer = \"https://login.example.com\"", "client_id: is empty"),
        (&format!("{provider}{secret}"), "the file or variable that it names is not there"),
        (&format!("{provider}scopes = [1]"), "must be a list of texts"),
        (&format!("{provider}[[sign_in.oidc.groups]]\ngroup = \"g\""), "gives account and role, or operator = true"),
        (&format!("{provider}[[sign_in.oidc.groups]]\ngroup = \"g\"\naccount = \"a\""), "which role in that account?"),
        (
            &format!("{provider}[[sign_in.oidc.groups]]\ngroup = \"g\"\nrole = \"king\""),
            "a role is owner, member or viewer",
        ),
        (&format!("{provider}[[sign_in.oidc.groups]]\ngroups = \"g\""), "did you mean sign_in.oidc.groups[1].group?"),
        ("[sign_in]\nsession_idle = \"1s\"", "must be 120s"),
    ] {
        assert!(refusal(text).contains(said), "{text}: {}", refusal(text));
    }
}

#[test]
fn mail_is_off_until_it_has_a_server_and_then_complete() {
    let off = load("", Environment::default()).unwrap().notify;
    assert!(off.mail.is_none() && !off.allow_private);
    let mail = "[mail]\nhost = \"mail.example.com\"\nfrom = \"Tollgate <tollgate@example.com>\"\n";
    let login = "username = \"t\"\npassword = { env = \"MAIL_PASSWORD\" }\n";
    let environment = Environment::from([("MAIL_PASSWORD", "hunter2")]);
    let settings = load(&format!("{mail}{login}"), environment).unwrap();
    let options = settings.notify.mail.clone().unwrap();
    let (username, password) = options.login.as_ref().unwrap();
    use tollgate_manage::notify::MailTls::StartTls;
    assert_eq!((username.as_str(), password.expose(), options.tls), ("t", "hunter2", StartTls));
    assert!(!format!("{settings:?}").contains("hunter2"));
    let written = load(&format!("{mail}username = \"t\"\npassword = \"hunter3\"\n"), Environment::default()).unwrap();
    assert!(!written.show().contains("hunter3") && written.file_holds_secret());
    for (text, said) in [
        (&format!("{mail}{login}") as &str, "the file or variable that it names is not there"),
        (&format!("{mail}password = \"p\"\n"), "is empty, but there is a password"),
        (&format!("{mail}tls = \"none\"\n"), "only where the host is this machine"),
        (&format!("{mail}tls = \"ssl\"\n"), "must be \"starttls\", \"implicit\" or \"none\""),
        (&format!("{mail}language = \"xx\"\n"), "must be \"en\" or \"vi\""),
        ("[mail]\nhost = \"mail.example.com\"\n", "must be a mail address"),
        ("[mail]\nhots = \"mail.example.com\"\n", "did you mean mail.host?"),
        ("[webhooks]\nallow_private = \"yes\"\n", "true or false"),
    ] {
        let error = load(text, Environment::default()).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn secrets_of_leaks_may_stand_in_files_and_variables() {
    let secrets = ["github_token", "github_webhook", "gitlab_token"];
    let named: String = secrets.map(|name| format!("{name} = {{ env = \"A_SECRET\" }}\n")).concat();
    let settings = load(&format!("[leaks]\n{named}"), Environment::from([("A_SECRET", "hunter2-hunter2-hunter2")]));
    let settings = settings.unwrap();
    let leaks = &settings.leaks;
    for secret in [&leaks.github_token, &leaks.github_webhook, &leaks.gitlab_token] {
        assert_eq!(secret.as_ref().unwrap().expose(), "hunter2-hunter2-hunter2");
    }
    assert!(!format!("{settings:?}{}", settings.show()).contains("hunter2") && !settings.file_holds_secret());
    for name in secrets {
        let missing = load(&format!("[leaks]\n{name} = {{ file = \"not-there\" }}\n"), Environment::default());
        assert!(missing.unwrap_err().to_string().contains("is not there"), "{name}");
    }
}
