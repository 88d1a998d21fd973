//! The pages of the documentation with samples of the worst kind: what a page, an address, a search or a question says stays
//! text.

use askama::Template;
use tollgate_docs::{Heading, Hit, Page, search::Piece};

use super::{
    Link, Part,
    ask::{AskBox, Cite, Line, Place, Said, Span},
    read::{NoPage, ReadPage},
    search::{Found, SearchPage},
};
use crate::pages::{Chrome, Lang, Look, hostile, texts};

fn parts(name: &str) -> Vec<Part> {
    vec![Part { title: name.into(), links: vec![link(name), Link { here: true, ..link(name) }] }]
}

fn link(name: &str) -> Link {
    Link { href: format!("/docs/{name}"), title: name.into(), here: false }
}

/// What is rendered from Markdown is HTML already; that it is harmless is proven where it is made.
fn page(name: &str) -> Page {
    Page {
        path: name.into(),
        lang: tollgate_docs::Lang::En,
        own: true,
        title: name.into(),
        summary: name.into(),
        markdown: name.into(),
        html: "<p>rendered</p>".into(),
        headings: Vec::new(),
    }
}

fn said(name: &str) -> Said {
    let span = |code| Span { text: name.into(), code };
    let cites = || vec![Cite { number: 1, href: format!("/docs/{name}") }];
    Said {
        says: true,
        sentences: vec![name.into()],
        lines: vec![
            Line { spans: vec![span(false), span(true)], item: true, cites: cites(), code: None },
            Line { code: Some(name.into()), cites: cites(), ..Line::default() },
        ],
        note: Some(name.into()),
        sources: vec![Place { href: format!("/docs/{name}"), path: name.into(), excerpt: name.into() }],
    }
}

#[test]
fn nothing_that_is_written_searched_or_asked_becomes_markup() {
    for (lang, name) in Lang::ALL.into_iter().flat_map(|lang| hostile::NAMES.iter().map(move |name| (lang, *name))) {
        let (t, chrome) = (texts::Docs::of(lang), || Chrome::bare(Look { lang, ..Look::default() }));
        let read = |ask, stands_in| ReadPage {
            chrome: chrome(),
            t,
            parts: parts(name),
            page: page(name),
            listed: vec![Heading { level: 2, text: name.into(), anchor: "a".into() }],
            before: Some(link(name)),
            after: Some(link(name)),
            stands_in,
            ask,
            streams: !stands_in,
        };
        let answered = |says| {
            let said = Said { says, ..said(name) };
            AskBox { question: name.into(), error: None, answer: Some(said) }
        };
        let refused = AskBox { question: name.into(), error: Some(name.into()), answer: None };
        let hit = Hit {
            address: format!("/docs/{name}"),
            page: name.into(),
            title: name.into(),
            headings: vec![name.into()],
            anchor: None,
            excerpt: vec![Piece { text: name.into(), found: true }, Piece { text: name.into(), found: false }],
            score: 1.0,
        };
        let found = Found { query: name.into(), hits: vec![hit], count: name.into() };
        for html in [
            read(AskBox::default(), false).render().unwrap(),
            read(answered(true), false).render().unwrap(),
            read(answered(false), true).render().unwrap(),
            read(refused, true).render().unwrap(),
            NoPage { chrome: chrome(), t, parts: parts(name), near: vec![link(name)] }.render().unwrap(),
            SearchPage { chrome: chrome(), t, parts: parts(name), found }.render().unwrap(),
        ] {
            hostile::check(&html, name);
        }
    }
}
