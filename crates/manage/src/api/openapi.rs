//! The OpenAPI 3.1 document: made from the table of endpoints, completed by what is true of all of them.
//!
//! `x-access` of an operation says who may call it: `public`, `user` (anybody signed in), `session` (anybody signed in to
//! the console, no access token), `read` (every role in the
//! account), `member` (members and owners; members only for their own keys), `owner`, or `operator`.

use axum::response::{IntoResponse, Response};
use http::header;
use serde_json::{Value, json};
use utoipa::openapi::{
    Components, InfoBuilder, OpenApi, OpenApiBuilder, RefOr,
    schema::Schema,
    security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    tag::TagBuilder,
};

use crate::problem::{CODES, Problem};

/// What each tag is about.
const TAGS: [(&str, &str); 13] = [
    ("keys", "API keys for inference"),
    ("leaks", "Keys and access tokens that were found in public"),
    ("usage", "What was used"),
    ("models", "The catalogue"),
    ("me", "Who the caller is"),
    ("tokens", "Access tokens for this API and the CLI"),
    ("accounts", "Who pays (operators)"),
    ("users", "People and programs that manage (operators; owners see their members)"),
    ("plans", "What accounts subscribe to (operators)"),
    ("upstreams", "Servers that serve models (operators)"),
    ("nodes", "Running processes (operators)"),
    ("audit", "Who did what (operators and owners)"),
    ("webhooks", "Where notices are posted (owners and operators)"),
];

const DESCRIPTION: &str = "Keys, usage and everything around them. Send an access token as `Authorization: Bearer …`; an API key for \
inference is refused here. Bodies and answers are JSON; an unknown field is a 400. Errors are \
`application/problem+json` (RFC 9457) with a stable `code`. A call that takes something away answers `200` with \
`effective` once no node admits by the old state, or `202` with `pending` where that was not proven in time.";

/// The document before the endpoints.
pub(super) fn skeleton() -> OpenApi {
    use utoipa::{PartialSchema, ToSchema};
    let mut components = Components::new();
    let mut schemas: Vec<(String, RefOr<Schema>)> = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components
        .security_schemes
        .insert("access_token".to_owned(), SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)).into());
    let cookie = ApiKeyValue::with_description(
        "tollgate_session",
        "the console's session; `__Host-tollgate_session` under https",
    );
    components.security_schemes.insert("session".to_owned(), SecurityScheme::ApiKey(ApiKey::Cookie(cookie)).into());
    let info = InfoBuilder::new()
        .title("Tollgate management API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(utoipa::openapi::License::new("Apache-2.0 OR MIT")));
    let none: [&str; 0] = [];
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .security(Some([SecurityRequirement::new("access_token", none), SecurityRequirement::new("session", none)]))
        .tags(Some(TAGS.map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build())))
        .build()
}

/// The whole document, its maps in alphabetical order.
fn document_value() -> Value {
    let (_, openapi) = super::table().split_for_parts();
    let mut document = serde_json::to_value(openapi).unwrap_or_default();
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        let operations = paths.iter_mut().filter_map(|(path, item)| Some((path.clone(), item.as_object_mut()?)));
        for (path, item) in operations {
            for (method, operation) in item.iter_mut() {
                complete(&path, method, operation);
            }
        }
    }
    document
}

/// Adds to an operation what is true of all of its sort: which errors it can meet.
fn complete(path: &str, method: &str, operation: &mut Value) {
    let access = operation.get("x-access").and_then(Value::as_str).unwrap_or_default().to_owned();
    if access == "public" {
        operation["security"] = json!([{}]);
    }
    // A body that may be left out is not one that may be null.
    if let Some(schema) = operation.pointer_mut("/requestBody/content/application~1json/schema")
        && let Some(object) = schema.pointer("/oneOf/0").cloned()
        && schema.pointer("/oneOf/1/type") == Some(&json!("null"))
    {
        *schema = object;
    }
    let has_body = operation.get("requestBody").is_some();
    let has_if_match = operation.to_string().contains("\"If-Match\"");
    let fits = |status: u16| match status {
        408 | 413 | 415 => has_body,
        _ if access == "public" => false,
        401 | 500 | 503 => true,
        400 => has_body || operation.get("parameters").is_some(),
        403 => access != "user" || method != "get",
        404 => path.contains('{') || operation.to_string().contains("\"account\""),
        412 => has_if_match,
        429 => path.contains("/password"),
        _ => false,
    };
    let statuses: Vec<u16> = CODES.iter().map(|known| known.status).filter(|status| fits(*status)).collect();
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for status in statuses {
        let codes: Vec<_> = CODES.iter().filter(|known| known.status == status).map(|known| known.code).collect();
        responses.entry(status.to_string()).or_insert_with(|| json!({ "description": codes.join(", ") }));
    }
    let content = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
    for (_, response) in responses.iter_mut().filter(|(status, _)| status.starts_with(['4', '5'])) {
        response["content"] = content.clone();
    }
    for (status, response) in responses.iter_mut().filter(|(status, _)| status.starts_with('2')) {
        if response.get("description").and_then(Value::as_str).is_none_or(str::is_empty) {
            response["description"] = json!(match status.as_str() {
                "201" => "Made.",
                "202" => "Done, but not proven to be in force everywhere.",
                "204" => "Gone.",
                _ => "Done.",
            });
        }
    }
}

/// The OpenAPI 3.1 document of the management API: pretty, stable, with a line's end at its end.
#[must_use]
pub fn openapi_json() -> String {
    let mut text = serde_json::to_string_pretty(&document_value()).unwrap_or_default();
    text.push('\n');
    text
}

/// Every endpoint as method (`GET`) and path (`/api/v1/keys/{id}`), in the document's order.
#[must_use]
pub fn endpoints() -> Vec<(String, String)> {
    let document = document_value();
    let paths = document.get("paths").and_then(Value::as_object);
    let operations = paths.into_iter().flatten().flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, _)| (method.to_ascii_uppercase(), path.clone()))
    });
    operations.collect()
}

/// Show this document, OpenAPI 3.1.
#[utoipa::path(get, path = "/api/v1/openapi.json", operation_id = "openapi_show", tag = "me",
    responses((status = 200, content((Object = "application/json")))), extensions(("x-access" = json!("public"))))]
pub(super) async fn document() -> Response {
    static TEXT: std::sync::LazyLock<String> = std::sync::LazyLock::new(openapi_json);
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, TEXT.as_str()).into_response()
}
