//! The documentation under `/docs`: each page as HTML and, with `.md`, as Markdown; search; questions and answers; what
//! programs look for first (`/llms.txt`, `/llms-full.txt`, `/sitemap.xml`).
//!
//! Nobody needs to be signed in. Whoever is sees their own menu around the page, and the same page.

mod answer;
mod ask;
mod guest;
mod mcp;
mod query;
mod raw;
mod read;
#[cfg(test)]
mod samples;
mod search;

use axum::{Router, response::Redirect, routing::get};

use super::Lang;
use crate::services::Services;

pub(super) fn router(services: &Services) -> Router<Services> {
    Router::new()
        .merge(mcp::router(services))
        .route("/docs", get(read::start))
        .route("/docs/", get(async || Redirect::permanent("/docs")))
        .route("/docs.md", get(async || Redirect::permanent("/docs/index.md")))
        .route("/docs/search", get(search::page))
        .route("/docs/sitemap.xml", get(raw::sitemap))
        .route("/docs/{*path}", get(read::page))
        .route("/llms.txt", get(raw::llms))
        .route("/docs/llms.txt", get(raw::llms))
        .route("/llms-full.txt", get(raw::llms_full))
        .route("/docs/llms-full.txt", get(raw::llms_full))
        .route("/sitemap.xml", get(raw::sitemap))
}

/// The documentation's word for a language.
const fn edition(lang: Lang) -> tollgate_docs::Lang {
    match lang {
        Lang::En => tollgate_docs::Lang::En,
        Lang::Vi => tollgate_docs::Lang::Vi,
    }
}

/// A link to a page of the documentation.
struct Link {
    href: String,
    title: String,
    here: bool,
}

/// Pages that belong together.
struct Part {
    title: String,
    links: Vec<Link>,
}

/// The sections with their pages, beside every page. A section is open where one is in it.
fn parts(docs: &tollgate_docs::Docs, lang: Lang, here: &str) -> Vec<Part> {
    let lang = edition(lang);
    let link = |path: &String| {
        docs.page(lang, path).map(|page| Link {
            href: page.address(),
            title: page.title.clone(),
            here: page.path == here,
        })
    };
    let part = |section: &tollgate_docs::Section| Part {
        title: section.title.clone(),
        links: section.pages.iter().filter_map(link).collect(),
    };
    docs.sections(lang).iter().map(part).collect()
}
