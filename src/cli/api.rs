//! The client of a running server's management API.
//!
//! What goes wrong becomes a [`Failure`] whose exit code says whether the server was there, refused us, or
//! said no. A token never appears in one.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, value::RawValue};
use tollgate_core::World;
use ureq::http;

use super::{
    failure::Failure,
    json::{Json, Page},
    screen::Screen,
};
use crate::settings::Environment;

/// Connecting takes at most this long.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// A whole call: a revoke may wait for a lease to run out on a node that cannot be reached.
const CALL_TIME: Duration = Duration::from_secs(90);
/// The largest answer that is read: a usage report of the largest size fits.
const MOST_ANSWER_BYTES: u64 = 256 << 20;
/// Rows of one page of a list.
const PAGE: usize = 500;

/// Arguments of every command that asks a server.
#[derive(Debug, Args)]
pub struct ServerArguments {
    /// The server's address
    #[arg(
        long,
        global = true,
        env = "TOLLGATE_URL",
        hide_env_values = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    #[arg(help_heading = "Server")]
    pub url: String,
    /// Print what the API answered, as JSON
    #[arg(long, global = true, help_heading = "Server")]
    pub json: bool,
}

/// A server, a token, and where to write.
pub struct Api {
    agent: ureq::Agent,
    base: String,
    token: String,
    /// Where results go.
    pub screen: Screen,
    /// The clock.
    pub world: World,
}

/// What a call says beside its path.
#[derive(Default)]
pub struct Call<'a> {
    query: Vec<(&'a str, String)>,
    body: Option<Value>,
    accept: Option<&'a str>,
    if_match: Option<String>,
}

impl<'a> Call<'a> {
    /// With a JSON body.
    pub fn with(body: Value) -> Self {
        Self { body: Some(body), ..Self::default() }
    }
    /// With a parameter in the query, if it is given.
    #[must_use]
    pub fn query(mut self, name: &'a str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }
    /// Only for a thing that is still as it was read.
    #[must_use]
    pub fn if_match(mut self, etag: Option<String>) -> Self {
        self.if_match = etag;
        self
    }
    /// Asks for another type than JSON.
    #[must_use]
    pub fn accept(mut self, media_type: &'a str) -> Self {
        self.accept = Some(media_type);
        self
    }
}

/// What came back.
pub struct Answer {
    /// `202`: done, but not proven on every node yet.
    pub pending: bool,
    /// The text as it came.
    pub text: String,
    /// The version of the thing.
    pub etag: Option<String>,
}

impl Answer {
    /// The text as JSON.
    pub fn json(&self) -> Result<Json, Failure> {
        Json::parse(&self.text).map_err(|_| no_json())
    }
}

impl Api {
    /// From the arguments and `TOLLGATE_TOKEN`.
    pub fn new(arguments: &ServerArguments, environment: &Environment, world: World) -> Result<Self, Failure> {
        let base = arguments.url.trim_end_matches('/');
        if !base.starts_with("http://") && !base.starts_with("https://") {
            let message =
                format!("{base:?} is no address of a server: TOLLGATE_URL is http://HOST:PORT or https://HOST");
            return Err(Failure::Usage(message));
        }
        let token = environment.get("TOLLGATE_TOKEN").map(str::trim).unwrap_or_default();
        if token.is_empty() {
            let message = "TOLLGATE_TOKEN is not set: it is an access token of yours.\n\
                An operator makes one with `export TOLLGATE_TOKEN=$(tollgate bootstrap)`";
            return Err(Failure::Refused(message.to_owned()));
        }
        Ok(Self {
            agent: agent(CONNECT_TIME, CALL_TIME),
            base: base.to_owned(),
            token: token.to_owned(),
            screen: Screen::real(environment, arguments.json),
            world,
        })
    }

    /// Reads.
    pub fn get(&self, path: &str, call: Call<'_>) -> Result<Answer, Failure> {
        self.call(http::Method::GET, path, call)
    }
    /// Makes or does.
    pub fn post(&self, path: &str, call: Call<'_>) -> Result<Answer, Failure> {
        self.call(http::Method::POST, path, call)
    }
    /// Changes.
    pub fn patch(&self, path: &str, call: Call<'_>) -> Result<Answer, Failure> {
        self.call(http::Method::PATCH, path, call)
    }
    /// Removes.
    pub fn delete(&self, path: &str, call: Call<'_>) -> Result<Answer, Failure> {
        self.call(http::Method::DELETE, path, call)
    }
    /// A list, page by page, up to `limit` rows; says so where there are more. With `--json` it is printed.
    pub fn list(&self, path: &str, query: &[(&str, Option<String>)], limit: usize) -> Result<Vec<Value>, Failure> {
        let (rows, cursor) = self.pages(path, query, limit)?;
        if self.screen.json() {
            self.screen.print_json(&Json::list(&rows, cursor.as_deref()).map_err(|_| no_json())?)?;
        } else if cursor.is_some() {
            self.screen.say(&format!("The first {limit}; --limit shows more."));
        }
        values(&rows)
    }
    /// A list that has no pages. With `--json` it is printed.
    pub fn whole(&self, path: &str, call: Call<'_>) -> Result<Vec<Value>, Failure> {
        let list = self.get(path, call)?.json()?;
        if self.screen.json() {
            self.screen.print_json(&list)?;
        }
        match list.into_value().get_mut("data").map(Value::take) {
            Some(Value::Array(rows)) => Ok(rows),
            _ => Ok(Vec::new()),
        }
    }
    /// The address of a page of the server.
    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
    /// A list's rows, up to `limit`, not to be shown.
    pub fn rows(&self, path: &str, query: &[(&str, Option<String>)], limit: usize) -> Result<Vec<Value>, Failure> {
        values(&self.pages(path, query, limit)?.0)
    }
    fn pages(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
        limit: usize,
    ) -> Result<(Vec<Box<RawValue>>, Option<String>), Failure> {
        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut call = Call::default().query("limit", Some(PAGE.min(limit - rows.len())));
            for (name, value) in query {
                call = call.query(name, value.as_ref());
            }
            let page = self.get(path, call.query("cursor", cursor.as_ref()))?;
            let page: Page = serde_json::from_str(&page.text).map_err(|_| no_json())?;
            rows.extend(page.data);
            cursor = page.next_cursor;
            if cursor.is_none() || rows.len() >= limit {
                return Ok((rows, cursor));
            }
        }
    }

    fn call(&self, method: http::Method, path: &str, call: Call<'_>) -> Result<Answer, Failure> {
        let query: Vec<String> =
            call.query.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
        let question = if query.is_empty() { "" } else { "?" };
        let url = format!("{}/api/v1/{path}{question}{}", self.base, query.join("&"));
        let body = call.body.map(|body| body.to_string());
        let mut request = http::Request::builder()
            .method(method)
            .uri(url)
            .header(http::header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(http::header::ACCEPT, call.accept.unwrap_or("application/json"));
        if body.is_some() {
            request = request.header(http::header::CONTENT_TYPE, "application/json");
        }
        if let Some(etag) = call.if_match {
            request = request.header(http::header::IF_MATCH, etag);
        }
        let request = request.body(body.unwrap_or_default());
        let request = request.map_err(|_| Failure::Usage("this token or address cannot be sent".to_owned()))?;
        let sent = self.agent.run(request);
        let response = sent.map_err(|error| unreachable(&self.base, &error))?;
        let (parts, mut body) = response.into_parts();
        let text = body.with_config().limit(MOST_ANSWER_BYTES).read_to_string();
        let text = text.map_err(|error| unreachable(&self.base, &error))?;
        if parts.status.is_success() {
            let etag = parts.headers.get(http::header::ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
            return Ok(Answer { pending: parts.status == http::StatusCode::ACCEPTED, text, etag });
        }
        if self.screen.json() && !text.is_empty() {
            self.screen.print(&text)?;
        }
        Err(refusal(parts.status.as_u16(), &text))
    }
}

/// An HTTP client that reports statuses as answers and follows no redirect: a token goes where it was sent to.
pub fn agent(connect: Duration, whole: Duration) -> ureq::Agent {
    let tls = ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build();
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .allow_non_standard_methods(true)
        .timeout_connect(Some(connect))
        .timeout_global(Some(whole))
        .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .build()
        .new_agent()
}

fn no_json() -> Failure {
    Failure::No("the answer is not JSON: is TOLLGATE_URL the address of a Tollgate?".to_owned())
}

fn values(rows: &[Box<RawValue>]) -> Result<Vec<Value>, Failure> {
    rows.iter().map(|row| serde_json::from_str(row.get()).map_err(|_| no_json())).collect()
}

fn unreachable(base: &str, error: &ureq::Error) -> Failure {
    let error = match error {
        ureq::Error::Io(error) => error.kind().to_string(),
        other => other.to_string(),
    };
    Failure::Unreachable(format!(
        "no Tollgate answers at {base} ({error}).\nStart one with `tollgate demo` or `tollgate serve`, \
         or point TOLLGATE_URL at the one that runs"
    ))
}

/// What the server said no with. Its problem document says it best.
fn refusal(status: u16, body: &str) -> Failure {
    let problem: Value = serde_json::from_str(body).unwrap_or_default();
    let field = |name: &str| problem.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let mut message = match field("detail").or(field("title")) {
        Some(text) => text.trim_end_matches('.').to_owned(),
        None => format!("the server answered with status {status}"),
    };
    if let Some(code) = field("code") {
        message.push_str(&format!(" ({code})"));
    }
    if let Some(contact) = field("contact_url") {
        message.push_str(&format!("; contact {}", contact.trim_start_matches("mailto:")));
    }
    match status {
        401 => Failure::Refused(format!("{message}. TOLLGATE_TOKEN must be a valid access token of this deployment")),
        403 => Failure::Refused(message),
        _ => Failure::No(message),
    }
}

/// A text as one segment of a path or one value of a query (RFC 3986: unreserved characters stay).
pub fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(url: &str, token: &str) -> Result<Api, Failure> {
        let arguments = ServerArguments { url: url.to_owned(), json: false };
        Api::new(&arguments, &Environment::from([("TOLLGATE_TOKEN", token)]), crate::world::real())
    }

    #[test]
    fn each_way_to_fail_has_its_exit_code() {
        assert_eq!(api("127.0.0.1:8080", "t").err().unwrap().code(), 2);
        assert_eq!(api("http://127.0.0.1:8080", "").err().unwrap().code(), 4);
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let nobody = api(&format!("http://{free}"), "t").unwrap().get("keys", Call::default()).err().unwrap();
        assert_eq!(nobody.code(), 3);
        assert!(nobody.message().unwrap().contains("tollgate demo"));
        for (status, code) in [(400, 1), (401, 4), (402, 1), (403, 4), (404, 1), (409, 1), (412, 1), (503, 1)] {
            assert_eq!(refusal(status, "").code(), code);
        }
    }

    #[test]
    fn a_problem_is_said_in_its_own_words() {
        let body = r#"{"title":"Plan required","detail":"This account has no paid plan.","code":"plan_required",
            "contact_url":"mailto:sales@example.com"}"#;
        let refusal = refusal(402, body);
        assert_eq!(refusal.message(), Some("This account has no paid plan (plan_required); contact sales@example.com"));
        assert_eq!(super::refusal(500, "<html>").message(), Some("the server answered with status 500"));
    }

    #[test]
    fn names_are_one_segment_of_a_path() {
        assert_eq!(percent_encoded("Qwen/Qwen3:x@1+2"), "Qwen%2FQwen3%3Ax%401%2B2");
        assert_eq!(percent_encoded("../é?#"), "..%2F%C3%A9%3F%23");
    }
}
