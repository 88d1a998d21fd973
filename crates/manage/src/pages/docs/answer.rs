//! What becomes of a question: an answer that a model writes, where one is set and may be asked, else one of the pages' own
//! sentences. Which of the two it is, is said with it.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::header;
use serde_json::json;
use tollgate_docs::{Answer, Docs, Question, Written};

use super::{ask::Said, edition, raw::MARKDOWN};
use crate::{
    pages::{
        Lang, Streams,
        texts::{self, fill},
    },
    services::{DocsWriting, NotWritten, Outcome, Services, Visitor},
};

/// The media type of server-sent events.
const EVENTS: &str = "text/event-stream";

/// A question at its place.
#[derive(Clone)]
pub(super) struct Put {
    pub(super) docs: Arc<Docs>,
    pub(super) lang: Lang,
    /// The page where it was asked.
    pub(super) page: Option<String>,
    pub(super) question: Question,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    /// The pages' own sentences. Beside lines that a model wrote there are none, and its sources are those that they name.
    pub(super) answer: Answer,
    /// The lines that a model wrote.
    pub(super) written: Vec<Written>,
    /// By whom and of what it is made; nothing where no model is set.
    pub(super) note: Option<String>,
}

impl Put {
    fn extract(&self) -> Answer {
        self.docs.ask(edition(self.lang), self.page.as_deref(), &self.question)
    }

    /// Begins to answer: a model that writes, or the whole answer where none does.
    pub(super) async fn begin(&self, services: &Services, visitor: &Visitor) -> Result<DocsWriting, Box<Answered>> {
        let (lang, t) = (edition(self.lang), texts::Docs::of(self.lang));
        let begun = services.docs_write(&self.docs, lang, self.page.as_deref(), &self.question, visitor).await;
        begun.map_err(|why| {
            let note = match why {
                NotWritten::Off => None,
                NotWritten::TooOften => Some(t.instead_too_often.to_owned()),
                NotWritten::Failed => Some(t.instead_failed.to_owned()),
            };
            Box::new(Answered { answer: self.extract(), written: Vec::new(), note })
        })
    }

    /// The whole answer, when the model has ended.
    pub(super) async fn whole(&self, services: &Services, visitor: &Visitor) -> Answered {
        match self.begin(services, visitor).await {
            Ok(mut writing) => {
                let mut written = Vec::new();
                while let Some(line) = writing.next().await {
                    written.push(line);
                }
                self.ended(&writing, written)
            }
            Err(answered) => *answered,
        }
    }

    /// What a model's answer is, now that it has ended.
    fn ended(&self, writing: &DocsWriting, written: Vec<Written>) -> Answered {
        let (t, extract, model) = (texts::Docs::of(self.lang), self.extract(), writing.model());
        match writing.outcome() {
            Outcome::Stands { left_out, broken } => {
                let mut note = fill(t.written_by, &[&model]);
                if left_out > 0 {
                    note = format!("{note} {}", fill(t.written_left_out, &[&left_out]));
                }
                if broken {
                    note = format!("{note} {}", t.written_broken);
                }
                let answer = Answer { says: true, sentences: Vec::new(), sources: writing.sources(), ..extract };
                Answered { answer, written, note: Some(note) }
            }
            Outcome::Declined => {
                let answer = Answer { says: false, sentences: Vec::new(), ..extract };
                Answered { answer, written: Vec::new(), note: Some(fill(t.written_declined, &[&model])) }
            }
            Outcome::Nothing => {
                Answered { answer: extract, written: Vec::new(), note: Some(t.instead_nothing.to_owned()) }
            }
        }
    }

    /// The whole answer as Markdown.
    pub(super) fn markdown(&self, answered: &Answered) -> String {
        let lines: String = answered.written.iter().map(|line| self.docs.written_markdown(line)).collect();
        [self.docs.question_markdown(&self.question), lines, self.markdown_rest(answered)].concat()
    }

    /// What follows the lines, or stands alone: the sentences, the note, the sources.
    fn markdown_rest(&self, answered: &Answered) -> String {
        let lang = edition(self.lang);
        let no_lines = answered.written.is_empty();
        let said = if no_lines { self.docs.said_markdown(lang, &answered.answer) } else { String::new() };
        let note = answered.note.as_ref().map(|note| format!("*{note}*\n\n")).unwrap_or_default();
        let rest = [said, note, self.docs.sources_markdown(lang, &answered.answer)].concat();
        format!("{}\n", rest.trim_end())
    }
}

/// In which form an answer is streamed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// Markdown, line by line.
    Markdown,
    /// Events for the script of the page: `line` is HTML to add, `whole` what all of it is in the end.
    Events,
}

/// An answer on its way.
struct Running {
    put: Put,
    form: Form,
    begun: bool,
    writing: Option<DocsWriting>,
    written: Vec<Written>,
}

/// The answer as events, also where no model writes one.
pub(super) async fn events(put: Put, services: &Services, visitor: &Visitor) -> Response {
    match put.begin(services, visitor).await {
        Ok(writing) => stream(put, Form::Events, writing),
        Err(answered) => {
            let kind = [(header::CONTENT_TYPE, EVENTS), (header::CACHE_CONTROL, "no-store")];
            (kind, event("whole", &Said::of(*answered).html(put.lang))).into_response()
        }
    }
}

/// The answer as it is written.
pub(super) fn stream(put: Put, form: Form, writing: DocsWriting) -> Response {
    let kind = match form {
        Form::Markdown => MARKDOWN,
        Form::Events => EVENTS,
    };
    let running = Running { put, form, begun: false, writing: Some(writing), written: Vec::new() };
    let body = Body::from_stream(futures_util::stream::unfold(running, Running::step));
    let mut response = ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], body).into_response();
    response.extensions_mut().insert(Streams);
    response
}

impl Running {
    async fn step(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let text = self.next().await?;
        Some((Ok(text.into()), self))
    }

    /// The next piece; none when everything was said.
    async fn next(&mut self) -> Option<String> {
        if !self.begun {
            self.begun = true;
            // Something comes at once: the wait is the model's.
            return Some(match self.form {
                Form::Markdown => self.put.docs.question_markdown(&self.put.question),
                Form::Events => ": the model writes\n\n".to_owned(),
            });
        }
        let writing = self.writing.as_mut()?;
        if let Some(line) = writing.next().await {
            let text = match self.form {
                Form::Markdown => self.put.docs.written_markdown(&line),
                Form::Events => event("line", &Said::line(&line, &writing.sources())),
            };
            self.written.push(line);
            return Some(text);
        }
        let answered = self.put.ended(writing, std::mem::take(&mut self.written));
        self.writing = None;
        Some(match self.form {
            Form::Markdown => self.put.markdown_rest(&answered),
            Form::Events => event("whole", &Said::of(answered).html(self.put.lang)),
        })
    }
}

/// An event of HTML, as JSON: it holds line ends.
fn event(kind: &str, html: &str) -> String {
    format!("event: {kind}\ndata: {}\n\n", json!(html))
}
