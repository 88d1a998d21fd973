//! A question and its answer, as they stand on a page.

use tollgate_docs::{Answer, Docs, Question, QuestionError, ask::LONGEST_QUESTION};

use super::edition;
use crate::{
    pages::{
        Lang,
        texts::{self, fill},
    },
    services::ServiceError,
};

/// The box that asks, and what came of it.
#[derive(Debug, Default)]
pub(super) struct AskBox {
    /// What was asked.
    pub(super) question: String,
    /// What is wrong with it.
    pub(super) error: Option<String>,
    /// The answer.
    pub(super) answer: Option<Said>,
}

/// An answer in words.
#[derive(Debug)]
pub(super) struct Said {
    /// Whether the documentation says it.
    pub(super) says: bool,
    /// The sentences, each as it stands in its source.
    pub(super) sentences: Vec<String>,
    /// Where they stand.
    pub(super) sources: Vec<Place>,
}

/// Where an answer stands.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) href: String,
    /// Title and headings.
    pub(super) path: String,
    pub(super) excerpt: String,
}

/// A question, or what is wrong with it.
pub(super) fn question(ask: &str, goal: Option<&str>) -> Result<Question, ServiceError> {
    Question::new(ask, goal).map_err(|error| {
        let field = if error == QuestionError::GoalTooLong { "goal" } else { "ask" };
        ServiceError::invalid(field, format_args!("{field}: {error}"))
    })
}

impl AskBox {
    /// Asks.
    pub(super) fn ask(docs: &Docs, lang: Lang, page: &str, ask: &str, goal: Option<&str>) -> Self {
        let t = texts::Docs::of(lang);
        let own = ask.chars().take(LONGEST_QUESTION).collect();
        match Question::new(ask, goal) {
            Ok(question) => {
                let answer = docs.ask(edition(lang), Some(page), &question);
                Self { question: own, error: None, answer: Some(Said::of(answer)) }
            }
            Err(QuestionError::Empty) => Self { question: own, error: Some(t.ask_empty.to_owned()), answer: None },
            Err(QuestionError::TooLong | QuestionError::GoalTooLong) => {
                let text = fill(t.ask_too_long, &[&LONGEST_QUESTION]);
                Self { question: own, error: Some(text), answer: None }
            }
        }
    }
}

impl Said {
    fn of(answer: Answer) -> Self {
        let place = |source: tollgate_docs::Source| {
            let parts = std::iter::once(source.title).chain(source.headings);
            Place { href: source.address, path: parts.collect::<Vec<_>>().join(" › "), excerpt: source.excerpt }
        };
        Self {
            says: answer.says,
            sentences: answer.sentences.into_iter().map(|sentence| sentence.text).collect(),
            sources: answer.sources.into_iter().map(place).collect(),
        }
    }
}
