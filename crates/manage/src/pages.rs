//! The console: pages for people, rendered here, over the same services as the API.
//!
//! How a page is made:
//! - It is a struct with a template and a `chrome` ([`Chrome`]: header, menu, navigation, notices). Handlers take a
//!   [`Viewer`] (somebody signed in), `viewer.enter(&services, &account)` for a page of an account, and return
//!   [`Paged`]; an error goes up with `?` and is put into words by [`failure`].
//! - What people send arrives as a [`Form`], which is refused unless a page of ours sent it. A form that is wrong is shown
//!   again with 422, what was typed, and [`FieldErrors`]; one that was right ends with `viewer.go(…)` or
//!   `viewer.go_saying(…, Flash::…)`, so that a reload repeats nothing.
//! - Every task is a page of its own whose part is `<section id="sheet">`; a link with `data-dialog` opens that part as a
//!   dialog where the script runs. Nothing needs the script.
//! - Words stand in [`texts`] alone, in both languages; times are a [`When`]; counts go through `look.lang.count(…)`.
//! - No inline script or style: the policy below forbids both. Our own files are in `assets/`.

mod address;
mod ask;
mod assets;
mod chrome;
mod docs;
mod failure;
mod flash;
mod form;
mod home;
#[cfg(test)]
pub(crate) mod hostile;
mod invitation;
mod keys;
mod look;
mod me;
mod members;
mod models;
mod once;
mod operator;
mod sheet;
mod sign_in;
pub(crate) mod texts;
mod usage;
mod viewer;
mod webhooks;
mod when;

use askama::Template;
use axum::{
    Router,
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use tower_http::compression::{CompressionLayer, Predicate, predicate::SizeAbove};

use crate::{principal::Principal, services::Services};

pub(crate) use chrome::{Chrome, Place};
pub(crate) use failure::{Paged, not_found};
pub(crate) use flash::Flash;
pub(crate) use form::{FieldErrors, Form};
pub(crate) use look::{Lang, Look, cookie};
pub(crate) use viewer::{Viewer, safe_next};
pub(crate) use when::When;

/// Pages smaller than this go out as they are, in bytes.
const WORTH_COMPRESSING: u64 = 1_024;

pub(crate) fn router(services: &Services) -> Router<Services> {
    Router::new()
        .merge(docs::router(services))
        .merge(home::router())
        .merge(keys::router())
        .merge(models::router())
        .merge(operator::router())
        .merge(invitation::router())
        .merge(me::router())
        .merge(members::router())
        .merge(sign_in::router())
        .merge(usage::router())
        .merge(webhooks::router())
        .route("/assets/{name}", get(assets::serve))
        .route("/preferences", post(home::preferences))
        .layer(axum::middleware::from_fn_with_state(services.clone(), failure::dress))
        .layer(axum::middleware::from_fn(page_headers))
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(WORTH_COMPRESSING).and(MayCompress)))
}

/// Only answers to `GET` are compressed. A secret is shown in answers to `POST` alone: beside text of an attacker's choosing,
/// its compressed length would tell of it.
#[derive(Debug, Clone, Copy)]
struct MayCompress;
#[derive(Debug, Clone, Copy)]
struct AnswersGet;
/// An answer that comes piece by piece: each is to leave at once, which a compressor would not let it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Streams;

impl Predicate for MayCompress {
    fn should_compress<B: http_body::Body>(&self, response: &http::Response<B>) -> bool {
        let said = response.extensions();
        said.get::<AnswersGet>().is_some() && said.get::<Streams>().is_none()
    }
}

async fn page_headers(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let is_get = request.method() == Method::GET;
    let said = request.headers().get(header::COOKIE).is_some_and(|_| Flash::of(request.headers()).is_some());
    let mut response = next.run(request).await;
    if is_get {
        response.extensions_mut().insert(AnswersGet);
    }
    let is_page =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if said
        && is_page
        && let Ok(value) = HeaderValue::from_str(&Flash::said())
    {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    set_page_headers(&mut response);
    response
}

fn set_page_headers(response: &mut Response) {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let fixed = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: with it a browser sends `Origin: null` from our own forms, and over plain http there is no
        // `Sec-Fetch-Site` to go by. Nothing leaves this origin either way.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Renders a page.
pub(crate) fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a page did not render");
            (StatusCode::INTERNAL_SERVER_ERROR, "this page could not be made").into_response()
        }
    }
}

/// A text as a part of a query.
pub(crate) fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The account that "My Account" leads to where none is at hand: the first of one's own, an operator's `default`.
pub(crate) fn home_account(principal: &Principal) -> Option<String> {
    let own = principal.user().memberships.first().map(|own| own.account_handle.to_string());
    own.or_else(|| principal.is_operator().then(|| crate::principal::DEFAULT_ACCOUNT.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        fs,
        path::{Path, PathBuf},
    };

    const ROOT: &str = env!("CARGO_MANIFEST_DIR");
    /// Templates that a test renders by the function that makes them.
    const BY_FUNCTION: [&str; 4] = ["docs/answer.html", "docs/line.html", "mail/letter.html", "mail/letter.txt"];

    fn files_below(directory: &Path, list: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files_below(&path, list) } else { list.push(path) }
        }
    }
    fn read_below(directory: &str) -> BTreeMap<PathBuf, String> {
        let (root, mut list) = (Path::new(ROOT).join(directory), Vec::new());
        files_below(&root, &mut list);
        let text = |path: &PathBuf| fs::read_to_string(path).unwrap();
        list.iter().map(|path| (path.strip_prefix(&root).unwrap().to_owned(), text(path))).collect()
    }
    /// The tests of a source file: its own, and those beside it in files of their own.
    fn tests_of(path: &Path, sources: &BTreeMap<PathBuf, String>) -> String {
        let beside = |other: &Path| {
            let is_tests = matches!(other.file_name().and_then(|name| name.to_str()), Some("samples.rs" | "tests.rs"));
            is_tests && [path.parent().unwrap(), path.with_extension("").as_path()].contains(&other.parent().unwrap())
        };
        let own = sources[path].split_once("#[cfg(test)]").map_or("", |(_, tests)| tests);
        let others = sources.iter().filter(|(other, _)| beside(other)).map(|(_, text)| text.as_str());
        [own].into_iter().chain(others).collect()
    }

    /// By the sources: a page's struct is made in the tests of its file, or in `samples.rs` or `tests.rs` beside it.
    #[test]
    fn every_template_is_rendered_with_samples() {
        let (sources, templates) = (read_below("src"), read_below("templates"));
        let mut known = BTreeSet::new();
        for (path, text) in &sources {
            for rest in text.split("#[template(path = \"").skip(1) {
                let Some((template, rest)) = rest.split_once('"') else { continue };
                let name = rest.split_once("struct ").unwrap().1;
                let name: String = name.chars().take_while(|c| c.is_alphanumeric()).collect();
                known.insert(template.to_owned());
                let is_made = tests_of(path, &sources).contains(&format!("{name} {{"));
                assert!(is_made || BY_FUNCTION.contains(&template), "no test makes {name} of {}", path.display());
            }
        }
        // A template that no page has is part of another one.
        for path in templates.keys().map(|path| path.to_str().unwrap()).filter(|path| !known.contains(*path)) {
            let named = format!("\"{path}\"");
            assert!(templates.values().any(|text| text.contains(&named)), "{path} is part of no page");
        }
        assert!(known.len() > 40, "{known:?}");
    }
}
