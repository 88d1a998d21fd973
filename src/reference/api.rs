//! The management API, from its OpenAPI document: the endpoints by noun, then the objects that they take and answer.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{
    cell,
    schema::{Schemas, link, list, referred, text},
};

const HEAD: &str = "# The management API

Everything that the console and the command line do, programs can do too: keys, usage, accounts, the catalogue. The API is below \
`{{url}}/api/v1`, and `{{url}}/api/v1/openapi.json` is its OpenAPI 3.1 document. To call models, see [the quickstart](../customers/quickstart.md).

## How to call it

Send an [access token](../customers/sign-in.md#get-an-access-token-for-the-command-line) in the header `Authorization: Bearer …`. An API \
key for inference is refused here. Bodies and answers are JSON; a field that is not known is refused with `400`.

- Ids begin with what they are of, such as `key_…`, and times are RFC 3339 in UTC.
- Lists come as pages: send `next_cursor` of one page as `cursor` to get the next. It is null on the last page.
- An error is `application/problem+json` (RFC 9457) with a stable `code`; [the codes](errors.md#codes-of-the-management-api) say what to do.
- A customer's token is bound to one account. An operator names an account with `account`, else it is `default`.

## Changes and their proof

A call that takes something away, such as a revoke, answers `200` with `effective` once no node admits requests by the old state and \
the running streams have ended. `effective` says after how many milliseconds, and which nodes confirmed it.

Where that could not be proven in time, it answers `202` with `pending` instead: the change is saved and spreads, and a node that cannot \
be reached stops serving by itself.
";

/// `docs/reference/api.md`.
pub fn page() -> String {
    let document: Value = serde_json::from_str(&tollgate_manage::openapi_json()).unwrap_or_default();
    let none = Map::new();
    let schemas = document.pointer("/components/schemas").and_then(Value::as_object).unwrap_or(&none);
    let schemas = Schemas(schemas);
    let paths = document.get("paths").and_then(Value::as_object).unwrap_or(&none);
    let mut page = String::from(HEAD);
    for tag in list(&document, "tags") {
        let name = text(tag, "name");
        let _ = write!(page, "\n## {}\n\n{}.\n", capital(name), text(tag, "description"));
        for (path, methods) in paths {
            for (method, operation) in methods.as_object().into_iter().flatten() {
                if list(operation, "tags").first().is_some_and(|tag| tag == name) {
                    endpoint(&mut page, schemas, method, path, operation);
                }
            }
        }
    }
    page.push_str("\n## Objects\n\nWhat endpoints take and answer, in the order of the alphabet.\n");
    for (name, schema) in schemas.described() {
        object(&mut page, schemas, name, schema);
    }
    page
}

/// One endpoint: what it does and who may call it, how it is called, what it answers.
fn endpoint(page: &mut String, schemas: Schemas<'_>, method: &str, path: &str, operation: &Value) {
    let summary = text(operation, "summary");
    let title = title(summary);
    let _ = write!(page, "\n### {title}\n\n`{} {path}`: {}.\n", method.to_uppercase(), who(operation));
    let about = if title.len() + 1 < summary.len() { summary } else { "" };
    for paragraph in [about, text(operation, "description")].into_iter().filter(|text| !text.is_empty()) {
        let _ = write!(page, "\n{}\n", paragraph.replace('\n', " "));
    }
    let parameters = list(operation, "parameters");
    if !parameters.is_empty() {
        page.push_str("\n| parameter | in | type | what it is |\n|---|---|---|---|\n");
        for parameter in parameters {
            let schema = parameter.get("schema").unwrap_or(&Value::Null);
            let (name, place) = (text(parameter, "name"), text(parameter, "in"));
            let (kind, about) = (cell(&schemas.type_of(schema)), cell(text(parameter, "description")));
            let _ = writeln!(page, "| `{name}` | {place} | {} | {about} |", kind.trim_end_matches(" or null"));
        }
    }
    let body = operation.pointer("/requestBody/content/application~1json/schema");
    if let Some(name) = body.and_then(referred) {
        let may =
            if operation.pointer("/requestBody/required") == Some(&Value::Bool(true)) { "" } else { ", or nothing" };
        let _ = write!(page, "\nThe body is {}{may}.\n", link(name));
    }
    let _ = write!(page, "\n```sh\n{}\n```\n", call(schemas, method, path, operation));
    answers(page, operation);
}

/// A heading of an endpoint's summary: its first sentence without what explains it.
fn title(summary: &str) -> &str {
    let end = [". ", ": ", "; "].iter().filter_map(|mark| summary.find(mark)).min().unwrap_or(summary.len());
    summary.get(..end).unwrap_or(summary).trim_end_matches('.')
}

/// Who may call an endpoint.
fn who(operation: &Value) -> &'static str {
    match text(operation, "x-access") {
        "public" => "anybody, without an access token",
        "user" => "everybody who is signed in",
        "session" => "everybody who is signed in to the console; no access token",
        "read" => "every role in the account",
        "member" => "members and owners of the account; members only for their own keys",
        "owner" => "owners of the account",
        _ => "operators",
    }
}

/// A call of an endpoint with `curl`.
fn call(schemas: Schemas<'_>, method: &str, path: &str, operation: &Value) -> String {
    let mut url = path.to_owned();
    for parameter in list(operation, "parameters").iter().filter(|parameter| text(parameter, "in") == "path") {
        let name = text(parameter, "name");
        let example = parameter.get("example").and_then(Value::as_str).unwrap_or(name);
        url = url.replace(&format!("{{{name}}}"), example);
    }
    let how = if method == "get" { String::new() } else { format!("-X {} ", method.to_uppercase()) };
    let mut call = format!("curl {how}{{{{url}}}}{url}");
    match text(operation, "x-access") {
        "public" => {}
        "session" => call.push_str(" \\\n  -H \"Cookie: $SESSION\""),
        _ => call.push_str(" \\\n  -H \"Authorization: Bearer $TOLLGATE_TOKEN\""),
    }
    if let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema") {
        let example = serde_json::to_string_pretty(&schemas.example(schema)).unwrap_or_default();
        let quoted = example.replace('\'', "'\\''");
        let _ = write!(call, " \\\n  -H 'Content-Type: application/json' \\\n  -d '{quoted}'");
    }
    call
}

/// What an endpoint answers, by status.
fn answers(page: &mut String, operation: &Value) {
    page.push('\n');
    let responses = operation.get("responses").and_then(Value::as_object).into_iter().flatten();
    let (good, bad): (Vec<_>, Vec<_>) = responses.partition(|(status, _)| status.starts_with('2'));
    for (status, response) in good {
        let said = text(response, "description").trim_end_matches('.');
        let body = response.pointer("/content/application~1json/schema").and_then(referred);
        let body = body.map_or_else(String::new, |name| format!(" {}", capital(&link(name))));
        let csv = if response.pointer("/content/text~1csv").is_some() { " Or CSV." } else { "" };
        let body = if body.is_empty() { body } else { format!("{body}.") };
        let _ = writeln!(page, "- `{status}` {said}.{body}{csv}");
    }
    let errors = bad.into_iter().map(|(status, response)| {
        let codes = text(response, "description");
        let (codes, why) = codes.split_once(':').map_or((codes, ""), |(codes, why)| (codes, why.trim()));
        let codes = codes.split(", ").map(|code| format!("`{code}`"));
        let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
        format!("`{status}` {}{why}", codes.collect::<Vec<_>>().join(", "))
    });
    let errors: Vec<_> = errors.collect();
    if !errors.is_empty() {
        let _ = writeln!(page, "- Errors: {}.", errors.join("; "));
    }
}

/// An object: its fields and an example.
fn object(page: &mut String, schemas: Schemas<'_>, name: &str, schema: &Value) {
    let about = text(schema, "description").replace('\n', " ");
    let about = if about.is_empty() { String::new() } else { format!("{about}\n\n") };
    let _ = write!(page, "\n### Object {name}\n\n{about}{}", schemas.table(schema));
    let example = schemas.example(schema);
    if example.is_object() {
        let example = serde_json::to_string_pretty(&example).unwrap_or_default();
        let _ = write!(page, "```json\n{example}\n```\n");
    }
}

/// The text with a capital at its beginning.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_has_a_place_with_a_call() {
        let page = page();
        let endpoints = tollgate_manage::endpoints();
        assert!(endpoints.len() > 50);
        for (method, path) in &endpoints {
            let line = format!("\n`{method} {path}`: ");
            let (_, behind) = page.split_once(&line).unwrap_or_else(|| panic!("{line} is not on the page"));
            let section = behind.split("\n### ").next().unwrap();
            assert!(section.contains("```sh\ncurl ") && section.contains("\n- `2"), "{method} {path}");
        }
    }

    #[test]
    fn every_link_inside_the_page_leads_to_a_heading() {
        let page = page();
        for target in page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            let is_there = page.lines().any(|line| {
                line.starts_with('#') && line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-") == target
            });
            assert!(is_there, "#{target}");
        }
    }

    #[test]
    fn a_title_is_a_summary_without_what_explains_it() {
        assert_eq!(title("Edit a key: its name. More."), "Edit a key");
        assert_eq!(title("List keys, by name."), "List keys, by name");
    }
}
