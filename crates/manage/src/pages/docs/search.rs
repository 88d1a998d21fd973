//! What is found: as a page of its own, and below the field in the header as somebody types.

use askama::Template;
use axum::extract::State;
use http::StatusCode;
use tollgate_docs::{Docs, Hit};

use super::{Part, edition, guest::Guest, parts, query::Asked};
use crate::{
    pages::{
        Chrome, Lang, Paged, render,
        texts::{self, fill},
    },
    services::{ServiceError, Services},
};

/// How many passages are shown.
const MOST_HITS: usize = 12;

/// What was found for what.
pub(super) struct Found {
    /// What was searched for.
    pub(super) query: String,
    /// The passages, best first.
    pub(super) hits: Vec<Hit>,
    /// How many there are, in words; nothing where nothing was searched for.
    pub(super) count: String,
}

impl Found {
    fn of(docs: &Docs, lang: Lang, query: &str) -> Self {
        let t = texts::Docs::of(lang);
        let query = query.trim();
        let hits = docs.search(edition(lang), query, MOST_HITS);
        let count = match hits.len() {
            _ if query.is_empty() => String::new(),
            0 => t.found_none.to_owned(),
            1 => t.found_one.to_owned(),
            many => fill(t.found_many, &[&many]),
        };
        let query = query.chars().take(tollgate_docs::search::LONGEST_QUERY).collect();
        Self { query, hits, count }
    }
}

#[derive(Template)]
#[template(path = "docs/search.html")]
pub(super) struct SearchPage {
    pub(super) chrome: Chrome,
    pub(super) t: &'static texts::Docs,
    pub(super) parts: Vec<Part>,
    pub(super) found: Found,
}

pub(super) async fn page(State(services): State<Services>, guest: Guest, asked: Result<Asked, ServiceError>) -> Paged {
    let asked = asked?;
    services.docs_search_take(&guest.visitor)?;
    let look = asked.look(guest.look);
    let docs = services.docs().await?;
    let page = SearchPage {
        chrome: guest.chrome(look),
        t: texts::Docs::of(look.lang),
        parts: parts(&docs, look.lang, ""),
        found: Found::of(&docs, look.lang, asked.q.as_deref().unwrap_or_default()),
    };
    Ok(render(StatusCode::OK, &page))
}
