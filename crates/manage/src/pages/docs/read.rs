//! A page, to be read by people; with `.md` behind its address, by programs.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tollgate_docs::{Heading, Question, START, source::picture};

use super::{
    Link, Part,
    answer::{self, Form, Put},
    ask::{AskBox, Said, question},
    edition,
    guest::Guest,
    parts,
    query::Asked,
    raw,
};
use crate::{
    pages::{Chrome, Paged, render, texts},
    problem::Problem,
    services::{ServiceError, Services},
};

/// The most headings in the list of what is on a page.
const MOST_LISTED: usize = 40;

#[derive(Template)]
#[template(path = "docs/page.html")]
pub(super) struct ReadPage {
    pub(super) chrome: Chrome,
    pub(super) t: &'static texts::Docs,
    pub(super) parts: Vec<Part>,
    pub(super) page: tollgate_docs::Page,
    /// What is on the page: its headings of the second level.
    pub(super) listed: Vec<Heading>,
    pub(super) before: Option<Link>,
    pub(super) after: Option<Link>,
    /// Whether English stands in for a page that is not translated.
    pub(super) stands_in: bool,
    pub(super) ask: AskBox,
    /// Whether a model writes answers: they come line by line then.
    pub(super) streams: bool,
}

#[derive(Template)]
#[template(path = "docs/not_found.html")]
pub(super) struct NoPage {
    pub(super) chrome: Chrome,
    pub(super) t: &'static texts::Docs,
    pub(super) parts: Vec<Part>,
    /// What the address may have meant.
    pub(super) near: Vec<Link>,
}

pub(super) async fn start(
    services: State<Services>,
    guest: Guest,
    headers: HeaderMap,
    asked: Result<Asked, ServiceError>,
) -> Paged {
    page(services, Path(START.to_owned()), guest, headers, asked).await
}

pub(super) async fn page(
    State(services): State<Services>,
    Path(path): Path<String>,
    guest: Guest,
    headers: HeaderMap,
    asked: Result<Asked, ServiceError>,
) -> Paged {
    if let Some(bytes) = picture(&path) {
        return Ok(raw::picture(bytes));
    }
    match path.strip_suffix(".md") {
        // A program's errors are for programs.
        Some(path) => {
            let answer = async { markdown(&services, path, &guest, &headers, &asked?).await };
            Ok(answer.await.unwrap_or_else(IntoResponse::into_response))
        }
        None => html(&services, &path, &guest, &headers, &asked?).await,
    }
}

async fn markdown(
    services: &Services,
    path: &str,
    guest: &Guest,
    headers: &HeaderMap,
    asked: &Asked,
) -> Result<Response, ServiceError> {
    let look = asked.look(guest.look);
    let lang = edition(look.lang);
    if asked.ask.is_some() {
        services.docs_question_take(&guest.visitor)?;
    }
    let docs = services.docs().await?;
    let Some(page) = docs.page(lang, path) else {
        let near = docs.search(lang, &words_of(path), 1);
        let near = near.first().map(|hit| format!("; nearest: /docs/{}.md", hit.page)).unwrap_or_default();
        let detail = format!("there is no such page; /llms.txt lists them all{near}");
        return Ok(Problem::new("not_found", detail).into_response());
    };
    let Some(ask) = &asked.ask else { return Ok(raw::page(headers, page)) };
    let question = question(ask, asked.goal.as_deref())?;
    let put = Put { lang: look.lang, page: Some(page.path.clone()), question, docs };
    Ok(match put.begin(services, &guest.visitor).await {
        Ok(writing) => answer::stream(put, Form::Markdown, writing),
        Err(answered) => raw::answer(put.markdown(&answered)),
    })
}

async fn html(services: &Services, path: &str, guest: &Guest, headers: &HeaderMap, asked: &Asked) -> Paged {
    let look = asked.look(guest.look);
    let lang = edition(look.lang);
    if asked.ask.is_some() {
        services.docs_question_take(&guest.visitor)?;
    }
    let docs = services.docs().await?;
    let t = texts::Docs::of(look.lang);
    let parts = parts(&docs, look.lang, path);
    let Some(page) = docs.page(lang, path) else {
        let hits = docs.search(lang, &words_of(path), MOST_NEAR).into_iter();
        let mut near: Vec<Link> = Vec::new();
        for page in hits.filter_map(|hit| docs.page(lang, &hit.page)) {
            let href = page.address();
            if near.iter().all(|link| link.href != href) {
                near.push(Link { href, title: page.title.clone(), here: false });
            }
        }
        return Ok(render(StatusCode::NOT_FOUND, &NoPage { chrome: guest.chrome(look), t, parts, near }));
    };
    let ask = match asked.ask.as_deref().map(|ask| (ask, Question::new(ask, asked.goal.as_deref()))) {
        None => AskBox::default(),
        Some((ask, Err(error))) => AskBox::refused(ask, look.lang, error),
        Some((ask, Ok(question))) => {
            let put = Put { docs: docs.clone(), lang: look.lang, page: Some(path.to_owned()), question };
            if headers.get(header::ACCEPT).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream")) {
                return Ok(answer::events(put, services, &guest.visitor).await);
            }
            let answered = put.whole(services, &guest.visitor).await;
            AskBox { answer: Some(Said::of(answered)), ..AskBox::of(ask) }
        }
    };
    let status = if ask.error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let link = |page: &tollgate_docs::Page| Link { href: page.address(), title: page.title.clone(), here: false };
    let (before, after) = docs.around(lang, path);
    let listed = page.headings.iter().filter(|heading| heading.level == 2).take(MOST_LISTED);
    let read = ReadPage {
        chrome: guest.chrome(look),
        t,
        parts,
        page: page.clone(),
        listed: listed.cloned().collect(),
        before: before.map(link),
        after: after.map(link),
        stands_in: page.lang != lang && !page.own,
        ask,
        streams: services.docs.has_model(),
    };
    let mut response = render(status, &read);
    let vary = HeaderValue::from_static("accept-language, cookie");
    response.headers_mut().insert(header::VARY, vary);
    Ok(response)
}

/// How many pages are named where one is not there.
const MOST_NEAR: usize = 5;

/// The words of an address.
fn words_of(path: &str) -> String {
    path.chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect::<String>() + " "
}
