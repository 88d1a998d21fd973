//! People are told: by a real mail server with TLS and a login, and at an endpoint that checks signatures with the official
//! package.

use std::path::PathBuf;

use tollgate_tests::{
    Engine, FakeUpstream, House, NodeOptions, Python, Value, cli, json, on_both,
    tls::{Authority, Identity, self_signed},
};

on_both!(
    mail_goes_over_starttls_and_over_tls_from_the_first_byte_after_a_login,
    a_mail_server_that_cannot_prove_itself_or_is_not_encrypted_gets_nothing,
    a_signature_is_what_the_official_package_verifies,
    a_test_of_a_webhook_on_the_command_line_says_what_came_of_it,
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
        let house = House::open_bare(engine, FakeUpstream::start().await, |mut options, _| {
            options.environment.push(("SSL_CERT_FILE".into(), self.path("roots.pem").display().to_string()));
            options.environment.push(("MAIL_PASSWORD".into(), PASSWORD.into()));
            options.settings(&mail_settings(tls, port))
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
    tollgate_tests::eventually("the mail is on its way", async || {
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
