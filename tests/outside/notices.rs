//! People are told: by a real mail server with TLS and a login, and at an endpoint that checks signatures with the official
//! package.

use std::path::PathBuf;

use tollgate_tests::{
    Engine, House, NodeOptions, Python, Value, cli, eventually,
    github::{FakeGithub, entry},
    json, on_both,
    tls::{Authority, Identity, self_signed},
};

on_both!(
    mail_goes_over_starttls_and_over_tls_from_the_first_byte_after_a_login,
    a_mail_server_that_cannot_prove_itself_or_is_not_encrypted_gets_nothing,
    a_signature_is_what_the_official_package_verifies,
    a_test_of_a_webhook_on_the_command_line_says_what_came_of_it,
    of_a_leaked_key_its_owner_and_operators_are_told_once_by_mail_and_at_their_endpoints,
);

const PASSWORD: &str = "mail-password-9d2e";

/// A directory with an authority that the node trusts.
struct Mailroom {
    directory: tempfile::TempDir,
    authority: Authority,
}

impl Mailroom {
    fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new(&directory.path().join("roots.pem"));
        Self { directory, authority }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
    /// A mail server with this certificate.
    async fn server(&self, tls: &str, identity: &Identity, more: &[&str]) -> Python {
        let (certificate, key) = (self.path("cert.pem"), self.path("key.pem"));
        identity.write(&certificate, &key);
        let mut arguments = vec![
            format!("tls={tls}"),
            format!("cert={}", certificate.display()),
            format!("key={}", key.display()),
            "user=tollgate".to_owned(),
            format!("password={PASSWORD}"),
        ];
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        Python::start("mail_server.py", &self.path("mail"), &arguments).await
    }
    /// A node that sends its mail to that port.
    async fn house(&self, engine: Engine, tls: &str, port: u16) -> House {
        self.house_with(engine, tls, port, |options| options).await
    }
    /// The same with other options.
    async fn house_with(
        &self,
        engine: Engine,
        tls: &str,
        port: u16,
        change: impl FnOnce(NodeOptions) -> NodeOptions,
    ) -> House {
        let house = House::open_with(engine, |mut options, _| {
            options.environment.push(("SSL_CERT_FILE".into(), self.path("roots.pem").display().to_string()));
            options.environment.push(("MAIL_PASSWORD".into(), PASSWORD.into()));
            change(options.settings(&mail_settings(tls, port)))
        })
        .await;
        for user in house.api("GET", "users").send().await.expect(200).json()["data"].as_array().unwrap() {
            if user["operator"] == true {
                let path = format!("users/{}", user["id"].as_str().unwrap());
                let address = json!({"email": "operator@example.com"});
                house.api("PATCH", &path).json(&address).send().await.expect(200);
            }
        }
        house
    }
}

fn mail_settings(tls: &str, port: u16) -> String {
    format!(
        "[mail]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"{tls}\"\nusername = \"tollgate\"\n\
         password = {{ env = \"MAIL_PASSWORD\" }}\nfrom = \"Tollgate <tollgate@example.com>\"\ntimeout = \"20s\"\n"
    )
}

async fn test_mail(house: &House) -> Value {
    // The bootstrap token is of the operator whose address was set.
    house.api("POST", "mail/test").json(&json!({})).send().await.expect(200).json()
}

async fn mail_goes_over_starttls_and_over_tls_from_the_first_byte_after_a_login(engine: Engine) {
    for tls in ["starttls", "implicit"] {
        let room = Mailroom::open();
        let server = room.server(tls, &room.authority.certify(&["127.0.0.1"]), &[]).await;
        let house = room.house(engine, tls, server.port()).await;
        let tested = test_mail(&house).await;
        assert_eq!(tested["arrived"], true, "{tls}: {tested}");
        let mails = server.said();
        let [mail] = mails.as_slice() else { panic!("{mails:?}") };
        assert_eq!((&mail["encrypted"], &mail["user"]), (&json!(true), &json!("tollgate")));
        assert_eq!((&mail["from"], &mail["to"]), (&json!("tollgate@example.com"), &json!(["operator@example.com"])));
        let headers = &mail["headers"];
        assert_eq!(
            (&headers["auto-submitted"], &headers["subject"]),
            (&json!("auto-generated"), &json!("This is a test"))
        );
        assert_eq!(headers["message-id"], format!("<{}@example.com>", tested["delivery"].as_str().unwrap()));
        assert!(mail["text"].as_str().unwrap().contains("Mail from this service reaches you"), "{mail}");
        assert!(mail["html"].as_str().unwrap().starts_with("<!doctype html>"), "{mail}");
        // Doctor greets the server and logs in, and sends nothing.
        let said = doctor(&house);
        assert!(said.contains("answers, and takes the login"), "{said}");
        assert_eq!(server.said().len(), 1);
        assert!(!house.node.log().contains(PASSWORD));
    }
}

fn doctor(house: &House) -> String {
    let options: &NodeOptions = house.node.options();
    let mut command = tollgate_tests::node::command();
    command.args(["doctor", "--config"]).arg(options.directory.join("tollgate.toml"));
    command.envs(options.environment.iter().map(|(name, value)| (name, value)));
    cli::finish(command, None).stdout
}

async fn a_mail_server_that_cannot_prove_itself_or_is_not_encrypted_gets_nothing(engine: Engine) {
    let room = Mailroom::open();
    let right = room.authority.certify(&["127.0.0.1"]);
    for (served, asked, identity, more, problem) in [
        ("starttls", "starttls", self_signed(&["127.0.0.1"]), &[][..], "tls"),
        ("implicit", "implicit", room.authority.certify(&["elsewhere.example"]), &[], "tls"),
        ("none", "starttls", self_signed(&["127.0.0.1"]), &[], "tls"),
        ("starttls", "starttls", right, &["password=another"], "login"),
    ] {
        let server = room.server(served, &identity, more).await;
        let house = room.house(engine, asked, server.port()).await;
        let tested = test_mail(&house).await;
        assert_eq!((&tested["arrived"], &tested["problem"]), (&json!(false), &json!(problem)), "{served}: {tested}");
        assert!(server.said().is_empty(), "{served}: {:?}", server.said());
        assert!(doctor(&house).contains("FAULT"));
    }
}

async fn a_signature_is_what_the_official_package_verifies(engine: Engine) {
    let house = House::open(engine).await;
    let secret_file = house.directory.path().join("secret");
    let out = house.directory.path().join("posted");
    let keep = |answer: &Value| std::fs::write(&secret_file, answer["secret"].as_str().unwrap()).unwrap();
    let receiver = Python::start("webhook_receiver.py", &out, &[secret_file.display().to_string()]).await;
    let url = format!("http://127.0.0.1:{}/hook", receiver.port());
    let new = json!({"name": "team", "url": url, "deployment": true});
    let made = house.api("POST", "webhooks").json(&new).send().await.expect(201).json();
    keep(&made);
    let path = format!("webhooks/{}", made["id"].as_str().unwrap());
    let test = async || house.api("POST", &format!("{path}/test")).json(&json!({})).send().await.expect(200).json();
    assert_eq!(test().await["arrived"], true);
    let said = receiver.says(1).await;
    assert_eq!((&said[0]["verified"], &said[0]["altered"]), (&json!(true), &json!(false)), "{said:?}");
    assert_eq!(said[0]["body"]["type"], "test");
    // During the overlap both secrets verify what is sent; without it only the new one.
    let rotate = async |overlap: &str| {
        let body = json!({ "overlap": overlap });
        house.api("POST", &format!("{path}/rotate")).json(&body).send().await.expect(200).json()
    };
    let second = rotate("1h").await;
    assert_eq!(test().await["arrived"], true, "the secret from before");
    keep(&second);
    assert_eq!(test().await["arrived"], true, "the new secret");
    let third = rotate("0s").await;
    assert_eq!(test().await["status"], 401, "the secret from before, without overlap");
    keep(&third);
    assert_eq!(test().await["arrived"], true);
}

/// On PostgreSQL the claim of a node that died runs out, since another one may live: minutes that no test waits for. The
/// contract of the store has that case, with its clock turned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_a_killed_node_was_sending_is_sent_after_its_start() {
    let room = Mailroom::open();
    let identity = room.authority.certify(&["127.0.0.1"]);
    let server = room.server("starttls", &identity, &["mute=1"]).await;
    let house = room.house(Engine::Sqlite, "starttls", server.port()).await;
    let test = tokio::spawn(house.api("POST", "mail/test").json(&json!({})).try_send());
    eventually("the mail is on its way", async || {
        let audit = house.api("GET", "audit?action=mail.test").send().await.expect(200).json();
        (!audit["data"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    let port = server.port();
    let options = house.node.kill();
    test.abort();
    drop(server);
    let server = room.server("starttls", &identity, &[&format!("port={port}")]).await;
    let node = options.start().await;
    let mails = server.says(1).await;
    assert_eq!(mails[0]["to"], json!(["operator@example.com"]));
    drop(node);
    assert_eq!(server.said().len(), 1);
}

async fn a_test_of_a_webhook_on_the_command_line_says_what_came_of_it(engine: Engine) {
    let house = House::open(engine).await;
    let cli = house.cli();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = cli.run(&["webhooks", "add", "--name", "h", "--endpoint", &format!("https://{nobody}/")]).expect(1);
    assert!(refused.stderr.contains("private network"), "{refused:?}");
    let added =
        cli.run(&["webhooks", "add", "--name", "h", "--endpoint", &format!("http://{nobody}/"), "--deployment"]);
    let added = added.expect(0);
    assert!(added.stdout.starts_with("whsec_") && added.stdout.lines().count() == 1, "{added:?}");
    let list = cli.run(&["webhooks", "list", "--json"]).expect(0).json();
    let id = list["data"][0]["id"].as_str().unwrap().to_owned();
    let tested = cli.run(&["webhooks", "test", &id]).expect(1);
    assert!(tested.stderr.contains("No connection"), "{tested:?}");
    let log = cli.run(&["webhooks", "deliveries", &id]).expect(0);
    assert!(log.stdout.contains("No connection") && log.stdout.contains("failed"), "{log:?}");
    let delivery = cli.run(&["webhooks", "deliveries", &id, "--json"]).expect(0).json();
    let delivery = delivery["data"][0]["id"].as_str().unwrap().to_owned();
    cli.run(&["webhooks", "resend", &id, &delivery]).expect(1);
    assert!(cli.run(&["webhooks", "edit", &id, "--disable"]).expect(0).stdout.contains("disabled"));
    assert!(cli.run(&["webhooks", "rotate", &id]).expect(0).stdout.starts_with("whsec_"));
    assert!(cli.run(&["webhooks", "show", &id]).expect(0).stdout.contains("(of the deployment)"));
    cli.run(&["webhooks", "remove", &id, "--yes"]).expect(0);
    cli.run(&["webhooks", "show", &id]).expect(1);
    cli.run(&["mail", "test"]).expect(1);
}

/// An endpoint of somebody: who posts to it, and what came.
struct Endpoint {
    receiver: Python,
    secret: PathBuf,
}

impl Endpoint {
    async fn start(house: &House, name: &str) -> Self {
        let secret = house.directory.path().join(format!("{name}-secret"));
        let arguments = [secret.display().to_string()];
        let receiver = Python::start("webhook_receiver.py", &house.directory.path().join(name), &arguments).await;
        Self { receiver, secret }
    }
    /// Makes the webhook that posts to it.
    async fn register(&self, house: &House, more: Value) {
        let mut new = json!({"name": "h", "url": format!("http://127.0.0.1:{}/", self.receiver.port())});
        new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = house.api("POST", "webhooks").json(&new).send().await.expect(201).json();
        std::fs::write(&self.secret, made["secret"].as_str().unwrap()).unwrap();
    }
}

/// Signs in by a link, and chooses the language of the console.
async fn chooses_vietnamese(house: &House, user: &str) {
    let link = house.api("POST", &format!("users/{user}/sign-in-links")).send().await.expect(201).json();
    let path = link["url"].as_str().unwrap().trim_start_matches(&house.url()).to_owned();
    let post = |path: &str| house.http().request("POST", path).header("origin", &house.url());
    let signed_in = post(&path).send().await;
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap().to_owned();
    let form = post("/preferences").header("cookie", &cookie);
    let form = form.header("content-type", "application/x-www-form-urlencoded").body("lang=vi&next=/");
    form.send().await.expect(303);
}

async fn of_a_leaked_key_its_owner_and_operators_are_told_once_by_mail_and_at_their_endpoints(engine: Engine) {
    let (room, github) = (Mailroom::open(), FakeGithub::start().await);
    let server = room.server("starttls", &room.authority.certify(&["127.0.0.1"]), &[]).await;
    let setting = github.setting();
    let house = room.house_with(engine, "starttls", server.port(), |options| options.member("leaks", &setting)).await;
    let ours = Endpoint::start(&house, "ours").await;
    ours.register(&house, json!({"deployment": true})).await;
    // Two accounts: what is one's is not told to the other.
    for (handle, role, email) in [
        ("acme", "owner", "ann@acme.example"),
        ("acme", "viewer", "vic@acme.example"),
        ("other", "owner", "olga@other.example"),
    ] {
        let account = json!({"handle": handle, "name": handle, "plan": "unlimited"});
        house.api("POST", "accounts").json(&account).send().await;
        let membership = json!([{"account": handle, "role": role}]);
        let user = json!({"name": email, "email": email, "memberships": membership});
        let user = house.api("POST", "users").json(&user).send().await.expect(201).json();
        if handle == "acme" && role == "owner" {
            chooses_vietnamese(&house, user["id"].as_str().unwrap()).await;
        }
    }
    let key = house.key_with(json!({"account": "acme", "name": "In a repository", "models": ["chat-a"]})).await;
    assert_eq!(house.ask(&key.key, "chat-a").await, "200");
    let place = "https://github.com/acme/shop/blob/main/config.py";
    let entries = json!([entry(&key.key, place)]);
    let answer = github.report(house.http(), &entries).send().await.expect(200).json();
    assert_eq!(answer[0]["label"], "true_positive", "{answer}");
    assert_eq!(house.ask(&key.key, "chat-a").await, "401 api_key_leaked");

    let mails = server.says(2).await;
    let mut receivers: Vec<_> = mails.iter().map(|mail| mail["to"][0].as_str().unwrap()).collect();
    receivers.sort_unstable();
    assert_eq!(receivers, ["ann@acme.example", "operator@example.com"], "{mails:?}");
    for mail in &mails {
        let text = mail["text"].as_str().unwrap();
        let (subject, advice) = match mail["to"][0].as_str() {
            Some("ann@acme.example") => {
                ("API Key “In a repository” bị lộ công khai và đã bị vô hiệu hóa", "Tạo API Key mới")
            }
            _ => ("API key “In a repository” was found in public and is disabled", "Create a new API key"),
        };
        assert_eq!(mail["headers"]["subject"], subject, "{mail}");
        assert!(text.contains(advice) && mail["html"].as_str().unwrap().contains(advice), "{mail}");
        assert!(text.contains(place) && text.contains(&key.key[..15]) && text.contains("/a/acme/keys"), "{text}");
        assert!(!mail.to_string().contains(&key.key));
    }
    let posted = ours.receiver.says(1).await;
    let (body, verified) = (&posted[0]["body"], &posted[0]["verified"]);
    assert_eq!((verified, &body["type"]), (&json!(true), &json!("key.leaked")), "{posted:?}");
    let data = &body["data"];
    assert_eq!((&data["key"], &data["disabled"]), (&json!(key.id), &json!(true)), "{body}");
    assert_eq!((&data["found_at"], &data["source"]), (&json!(place), &json!("github")), "{body}");
    assert!(!posted[0].to_string().contains(&key.key));

    // Again by each way, then another key: what comes after is of the other key alone.
    github.report(house.http(), &entries).send().await.expect(200);
    house.http().post("/leaks", &json!({"keys": [key.key]})).send().await.expect(202);
    house.api("POST", "leaks").json(&json!({"keys": [key.key], "found_at": "elsewhere"})).send().await.expect(200);
    let next = house.key_with(json!({"account": "acme", "name": "Next", "models": ["chat-a"]})).await;
    house.api("POST", "leaks").json(&json!({"keys": [next.key]})).send().await.expect(200);
    let mails = server.says(4).await;
    assert_eq!(mails.len(), 4, "{mails:?}");
    assert!(mails[2..].iter().all(|mail| mail["headers"]["subject"].as_str().unwrap().contains("“Next”")), "{mails:?}");
    let posted = ours.receiver.says(2).await;
    assert_eq!((posted.len(), &posted[1]["body"]["data"]["key"]), (2, &json!(next.id)), "{posted:?}");
}
