//! The codes of errors, of the inference API and of the management API.

use std::fmt::Write as _;

use tollgate_gateway::ErrorCode;
use tollgate_manage::PROBLEM_CODES;

use super::cell;

const HEAD: &str = "# Error codes

Every error has an HTTP status, a stable `code` for programs, and words that say what to do next. Switch on `code`: the words may \
change. This page lists the codes of both APIs.

Every answer has the header `x-request-id`, by which the operator finds the request in the log.
";

const INFERENCE: &str = "
## Codes of the inference API

The API below `{{base_url}}` answers with OpenAI's shape: `{\"error\": {\"message\", \"type\", \"param\", \"code\"}}`. Each code below \
leads to what you can do about it. A message may say more than the one shown here, such as which model or header is meant.

| code | status | `type` | when | message |
|---|---|---|---|---|
";

const MANAGEMENT: &str = "
## Codes of the management API

The API below `{{url}}/api/v1` answers with `application/problem+json` (RFC 9457). The code stands in `code`, and in `type` as \
`urn:tollgate:problem:CODE`; `detail` says what happened and what to do, `field` which part of the request is wrong.

```json
{
  \"type\": \"urn:tollgate:problem:invalid_request\",
  \"title\": \"The request is not valid\",
  \"status\": 400,
  \"code\": \"invalid_request\",
  \"detail\": \"name: a name has 1 to 200 characters, no control characters, and no blanks at its ends\",
  \"field\": \"name\"
}
```

An answer `429` or `503` has the header `retry-after`, in seconds.
";

/// `docs/reference/errors.md`.
pub fn page() -> String {
    let mut text = [HEAD, INFERENCE].concat();
    for code in ErrorCode::ALL {
        let (name, status, kind) = (code.as_str(), code.status(), code.openai_type());
        let (when, message) = (cell(code.when()), cell(code.message()));
        let _ = writeln!(
            text,
            "| [`{name}`](../customers/fix-errors.md#{name}) | {status} | `{kind}` | {when} | {message} |"
        );
    }
    text.push_str(MANAGEMENT);
    for known in PROBLEM_CODES {
        let (code, status, title) = (known.code, known.status, inside(known.title));
        let _ = write!(text, "\n### {code}\n\nStatus {status}: {title}. {}\n", known.advice);
    }
    text
}

/// A title inside a sentence.
fn inside(title: &str) -> String {
    let mut chars = title.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_on_errors_says_what_to_do_about_every_code_of_inference() {
        let page = include_str!("../../docs/customers/fix-errors.md");
        for code in ErrorCode::ALL {
            let (name, status) = (code.as_str(), code.status());
            let section = page.split_once(&format!("\n## {name}\n\nStatus {status}"));
            assert!(section.is_some(), "docs/customers/fix-errors.md has no section {name}, status {status}");
        }
    }

    #[test]
    fn every_code_of_management_says_what_to_do() {
        for known in PROBLEM_CODES {
            assert!(known.advice.ends_with('.') && known.advice.len() > known.title.len(), "{known:?}");
            assert!(page().contains(&format!("\n### {}\n\nStatus {}: ", known.code, known.status)), "{known:?}");
        }
    }
}
