//! The documentation for agents: an MCP server at `/docs/mcp` (streamable HTTP), with `search`, `read` and `ask`.
//!
//! It keeps nothing between two requests: there are no sessions, so none can be exhausted or taken over, and nothing outlives
//! its request. It reads what anybody may read and changes nothing, so it asks for no credentials; a web page of another origin
//! is refused all the same, since the pages of a service in a private network are no business of a stranger's page.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{Method, header, request::Parts};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, JsonObject,
        ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
    },
    service::RequestContext,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tollgate_core::secret::redacted;
use tollgate_docs::{
    Docs, Hit, Page, START,
    ask::{LONGEST_GOAL, LONGEST_QUESTION},
    search::LONGEST_QUERY,
};

use super::{answer::Put, ask::question, edition};
use crate::{
    pages::{Lang, Look},
    problem::{Problem, seconds},
    services::{ServiceError, Services, Visitor},
};

/// Where it is.
const PATH: &str = "/docs/mcp";
/// The largest message, in bytes: a question and a goal, and what clients put beside them.
const LARGEST_MESSAGE: usize = 64 << 10;
/// How long a message may take to come and be answered: longer than a model may write.
const LONGEST_CALL: Duration = Duration::from_secs(75);
/// How many passages are found unless the caller says otherwise, and at most.
const USUAL_HITS: usize = 8;
const MOST_HITS: usize = 20;
/// The longest part of a page that is read at once, in characters.
const LONGEST_READ: usize = 60_000;
/// The longest name of a page.
const LONGEST_NAME: usize = 300;
/// What agents are told first.
const INSTRUCTIONS: &str = "The documentation of this deployment: API keys, models, usage, errors, how to call it and how to run it. Use \
    `ask` for a question, `search` to look for a word, `read` for a page or a part of it.";

pub(super) fn router(services: &Services) -> Router<Services> {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_sse_keep_alive(None)
        .with_max_request_body_bytes(LARGEST_MESSAGE)
        // Under which names people reach this deployment is the operator's business; web pages are told by their origin.
        .disable_allowed_hosts()
        .with_allowed_origins(origins(services.public_url.as_deref()))
        .enforce_origin_validation();
    let own = services.clone();
    let server = StreamableHttpService::new(
        move || Ok(Librarian { services: own.clone() }),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    Router::new().route_service(PATH, server).layer(axum::middleware::from_fn_with_state(services.clone(), bounded))
}

/// The origins whose pages may call: this deployment's own, and programs on the reader's machine.
fn origins(public_url: Option<&str>) -> Vec<String> {
    let mut origins: Vec<String> = ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .flat_map(|host| [format!("http://{host}:*"), format!("https://{host}:*")])
        .collect();
    let own = public_url.and_then(|url| url::Url::parse(url).ok());
    let own =
        own.and_then(|url| Some(format!("{}://{}:{}", url.scheme(), url.host_str()?, url.port_or_known_default()?)));
    origins.extend(own);
    origins
}

/// Counts messages by address, and ends one that takes too long.
async fn bounded(State(services): State<Services>, request: Request, next: Next) -> Response {
    if request.method() == Method::POST {
        let (parts, body) = request.into_parts();
        if let Err(error) = services.docs_search_take(&visitor(&parts)) {
            return error.into_response();
        }
        let request = Request::from_parts(parts, body);
        return match tokio::time::timeout(LONGEST_CALL, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::new("request_timeout", "the message did not come, or was not answered, in time")
                .into_response(),
        };
    }
    next.run(request).await
}

fn visitor(parts: &Parts) -> Visitor {
    let address = parts.extensions.get::<crate::PeerAddress>().map(|peer| peer.0);
    let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    Visitor::new(address, agent)
}

/// Serves one message.
#[derive(Clone)]
struct Librarian {
    services: Services,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    query: String,
    limit: Option<usize>,
    lang: Option<String>,
}
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    page: String,
    lang: Option<String>,
}
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    question: String,
    goal: Option<String>,
    lang: Option<String>,
}

/// The tools, with what they take as JSON Schema.
fn tools() -> [Tool; 3] {
    let lang = json!({"type": "string", "enum": ["en", "vi"], "description": "The language: en unless named."});
    [
        tool(
            "search",
            "Search the documentation",
            "Find passages of the documentation by words, best first, with their addresses and excerpts.",
            json!({
                "query": {"type": "string", "minLength": 1, "maxLength": LONGEST_QUERY, "description": "Words to look for."},
                "limit": {"type": "integer", "minimum": 1, "maximum": MOST_HITS, "description": "How many passages: 8 unless named."},
                "lang": lang,
            }),
            &["query"],
        ),
        tool(
            "read",
            "Read a page",
            "Read a page of the documentation as Markdown, or the part of it behind #: customers/api-keys#rotate-a-key. The page index lists the others.",
            json!({
                "page": {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME, "description": "A page's name or address, as search gives it."},
                "lang": lang,
            }),
            &["page"],
        ),
        tool(
            "ask",
            "Ask a question",
            "Answer a question from the documentation alone, with its sources. Says so where the documentation does not say.",
            json!({
                "question": {"type": "string", "minLength": 1, "maxLength": LONGEST_QUESTION, "description": "The question, as one would ask a person."},
                "goal": {"type": "string", "maxLength": LONGEST_GOAL, "description": "What it is asked for."},
                "lang": lang,
            }),
            &["question"],
        ),
    ]
}

fn tool(name: &'static str, title: &str, about: &'static str, properties: Value, required: &[&str]) -> Tool {
    let schema =
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    let schema: JsonObject = schema.as_object().cloned().unwrap_or_default();
    let hints =
        ToolAnnotations::with_title(title).read_only(true).destructive(false).idempotent(true).open_world(false);
    Tool::new(name, about, Arc::new(schema)).with_title(title).with_annotations(hints)
}

impl ServerHandler for Librarian {
    fn get_info(&self) -> ServerConfig {
        let server = Implementation::new("tollgate-docs", self.services.version);
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(server)
            .with_instructions(INSTRUCTIONS)
    }
    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools().to_vec()))
    }
    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools().into_iter().find(|tool| tool.name == name)
    }
    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let parts = context.extensions.get::<Parts>();
        let visitor = parts.map_or_else(|| Visitor::new(None, None), visitor);
        let look = parts.map(|parts| Look::of(&parts.headers)).unwrap_or_default();
        let arguments = Value::Object(call.arguments.unwrap_or_default());
        let called = match call.name.as_ref() {
            "search" => self.search(&look, arguments).await,
            "read" => self.read(&look, arguments).await,
            "ask" => self.ask(&look, &visitor, arguments).await,
            _ => {
                return Err(ErrorData::invalid_params(
                    "there is no such tool: tools/list lists search, read and ask",
                    None,
                ));
            }
        };
        // What is wrong with a call is for whoever made it to read: a model that corrects itself.
        let result = called.unwrap_or_else(|error| CallToolResult::error(vec![ContentBlock::text(told(&error))]));
        Ok(result.into())
    }
}

/// What went wrong, in words for whoever called.
fn told(error: &ServiceError) -> String {
    match error {
        ServiceError::TooManyAttempts { retry_after } => {
            format!("too many questions came from this address; try again in {} s", seconds(*retry_after))
        }
        ServiceError::Internal(_) | ServiceError::Unavailable(_) => {
            "the documentation cannot be read right now; try again".to_owned()
        }
        other => redacted(&other.to_string()).into_owned(),
    }
}

fn arguments<T: DeserializeOwned>(arguments: Value) -> Result<T, ServiceError> {
    serde_json::from_value(arguments).map_err(|error| ServiceError::invalid("arguments", error))
}

fn language(look: &Look, named: Option<&str>) -> Result<Lang, ServiceError> {
    match named {
        None => Ok(look.lang),
        Some(tag) => Lang::from_tag(tag).ok_or_else(|| ServiceError::invalid("lang", "lang is \"en\" or \"vi\"")),
    }
}

impl Librarian {
    async fn search(&self, look: &Look, given: Value) -> Result<CallToolResult, ServiceError> {
        let Search { query, limit, lang } = arguments(given)?;
        let lang = language(look, lang.as_deref())?;
        if query.trim().is_empty() || query.chars().count() > LONGEST_QUERY {
            return Err(ServiceError::invalid("query", format_args!("query has 1 to {LONGEST_QUERY} characters")));
        }
        let limit = limit.unwrap_or(USUAL_HITS);
        if !(1..=MOST_HITS).contains(&limit) {
            return Err(ServiceError::invalid("limit", format_args!("limit is 1 to {MOST_HITS}")));
        }
        let docs = self.services.docs().await?;
        let hits = docs.search(edition(lang), &query, limit);
        let found: Vec<_> = hits.iter().map(|hit| found(&docs, hit)).collect();
        let mut text: String = found.iter().map(line).collect();
        if text.is_empty() {
            text = "Nothing was found. Try other words, or ask.".to_owned();
        }
        Ok(both(text, json!({"hits": found})))
    }

    async fn read(&self, look: &Look, given: Value) -> Result<CallToolResult, ServiceError> {
        let Read { page: name, lang } = arguments(given)?;
        let lang = edition(language(look, lang.as_deref())?);
        if name.chars().count() > LONGEST_NAME {
            return Err(ServiceError::invalid("page", format_args!("page has at most {LONGEST_NAME} characters")));
        }
        let docs = self.services.docs().await?;
        let (path, anchor) = page_of(&docs, &name);
        let Some(page) = docs.page(lang, path) else {
            return Err(ServiceError::invalid("page", "there is no such page; read index, or search"));
        };
        let text = match anchor {
            None => page.markdown.clone(),
            Some(anchor) => {
                let parts = docs.passages(lang).iter().filter(|passage| passage.page == page.path);
                let parts: Vec<&str> = parts
                    .filter(|passage| passage.anchor.as_deref() == Some(anchor))
                    .map(|passage| passage.markdown.as_str())
                    .collect();
                if parts.is_empty() {
                    return Err(ServiceError::invalid(
                        "page",
                        format_args!("the page has no such part; it has {}", anchors(page)),
                    ));
                }
                parts.join("\n\n")
            }
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(cut(text, page))]))
    }

    async fn ask(&self, look: &Look, visitor: &Visitor, given: Value) -> Result<CallToolResult, ServiceError> {
        let Ask { question: asked, goal, lang } = arguments(given)?;
        let lang = language(look, lang.as_deref())?;
        let question = question(&asked, goal.as_deref())?;
        self.services.docs_question_take(visitor)?;
        let docs = self.services.docs().await?;
        let address = docs.values().url.clone();
        let put = Put { docs, lang, page: None, question };
        let answered = put.whole(&self.services, visitor).await;
        let sources: Vec<_> = answered
            .answer
            .sources
            .iter()
            .map(|source| json!({"title": source.title, "page": source.page, "address": format!("{address}{}", source.address)}))
            .collect();
        let data = json!({"says": answered.answer.says, "sources": sources});
        Ok(both(put.markdown(&answered), data))
    }
}

/// A text, and the same as data.
fn both(text: String, data: Value) -> CallToolResult {
    let mut result = CallToolResult::structured(data);
    result.content = vec![ContentBlock::text(text)];
    result
}

fn found(docs: &Docs, hit: &Hit) -> Value {
    let excerpt: String = hit.excerpt.iter().map(|piece| piece.text.as_str()).collect();
    let anchor = hit.anchor.as_ref().map(|anchor| format!("#{anchor}")).unwrap_or_default();
    let above: Vec<&str> = std::iter::once(&hit.title).chain(&hit.headings).map(String::as_str).collect();
    json!({
        "page": format!("{}{anchor}", hit.page),
        "title": above.join(" › "),
        "address": format!("{}{}", docs.values().url, hit.address),
        "excerpt": excerpt,
    })
}

fn line(found: &Value) -> String {
    let text = |name: &str| found.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("- {} (page: {})\n  {}\n", text("title"), text("page"), text("excerpt"))
}

/// The page and the part that a name or an address means.
fn page_of<'n>(docs: &Docs, name: &'n str) -> (&'n str, Option<&'n str>) {
    let name = name.trim();
    let name = name.strip_prefix(docs.values().url.as_str()).unwrap_or(name);
    let (path, anchor) = name.split_once('#').map_or((name, None), |(path, anchor)| (path, Some(anchor)));
    let path = path.trim_matches('/');
    let path = path.strip_prefix("docs/").unwrap_or(if path == "docs" { START } else { path });
    (path.strip_suffix(".md").unwrap_or(path), anchor.filter(|anchor| !anchor.is_empty()))
}

/// The parts of a page.
fn anchors(page: &Page) -> String {
    page.headings.iter().map(|heading| format!("#{}", heading.anchor)).collect::<Vec<_>>().join(" ")
}

/// A text that may be read at once; of a longer one its beginning, and how to read on.
fn cut(text: String, page: &Page) -> String {
    match text.char_indices().nth(LONGEST_READ) {
        None => text,
        Some((end, _)) => {
            let beginning = text.get(..end).unwrap_or_default();
            format!("{beginning}\n\n[Cut here. Read a part of {}: {}]", page.path, anchors(page))
        }
    }
}
