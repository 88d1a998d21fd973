//! A question and its answer, as they stand on a page.

use askama::Template;
use tollgate_docs::{Question, QuestionError, Source, Written, ask::LONGEST_QUESTION};

use super::answer::Answered;
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
    /// The lines that a model wrote.
    pub(super) lines: Vec<Line>,
    /// By whom and of what it is made.
    pub(super) note: Option<String>,
    /// Where they stand.
    pub(super) sources: Vec<Place>,
}

/// A line that a model wrote.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Words and code inside them, in turn.
    pub(super) spans: Vec<Span>,
    /// A block of code.
    pub(super) code: Option<String>,
    /// Whether it is an item of a list.
    pub(super) item: bool,
    /// What it cites.
    pub(super) cites: Vec<Cite>,
}

/// A part of a line.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) text: String,
    pub(super) code: bool,
}

/// A source by its number.
#[derive(Debug)]
pub(super) struct Cite {
    pub(super) number: usize,
    pub(super) href: String,
}

/// Where an answer stands.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) href: String,
    /// Title and headings.
    pub(super) path: String,
    pub(super) excerpt: String,
}

#[derive(Template)]
#[template(path = "docs/answer.html")]
struct AnswerPart<'s> {
    t: &'static texts::Docs,
    said: &'s Said,
}

#[derive(Template)]
#[template(path = "docs/line.html")]
struct LinePart<'l> {
    line: &'l Line,
}

/// A question, or what is wrong with it.
pub(super) fn question(ask: &str, goal: Option<&str>) -> Result<Question, ServiceError> {
    Question::new(ask, goal).map_err(|error| {
        let field = if error == QuestionError::GoalTooLong { "goal" } else { "ask" };
        ServiceError::invalid(field, format_args!("{field}: {error}"))
    })
}

impl AskBox {
    /// A question that is shown again.
    pub(super) fn of(ask: &str) -> Self {
        Self { question: ask.chars().take(LONGEST_QUESTION).collect(), ..Self::default() }
    }
    /// What is wrong with it.
    pub(super) fn refused(ask: &str, lang: Lang, error: QuestionError) -> Self {
        let t = texts::Docs::of(lang);
        let error = match error {
            QuestionError::Empty => t.ask_empty.to_owned(),
            QuestionError::TooLong | QuestionError::GoalTooLong => fill(t.ask_too_long, &[&LONGEST_QUESTION]),
        };
        Self { error: Some(error), ..Self::of(ask) }
    }
}

impl Said {
    pub(super) fn of(answered: Answered) -> Self {
        let Answered { answer, written, note } = answered;
        let lines = written.iter().map(|line| Line::of(line, &answer.sources)).collect();
        let place = |source: Source| {
            let parts = std::iter::once(source.title).chain(source.headings);
            Place { href: source.address, path: parts.collect::<Vec<_>>().join(" › "), excerpt: source.excerpt }
        };
        Self {
            says: answer.says,
            sentences: answer.sentences.into_iter().map(|sentence| sentence.text).collect(),
            lines,
            note,
            sources: answer.sources.into_iter().map(place).collect(),
        }
    }
    /// The answer as a part of a page.
    pub(super) fn html(&self, lang: Lang) -> String {
        AnswerPart { t: texts::Docs::of(lang), said: self }.render().unwrap_or_default()
    }
    /// A line that a model wrote as a part of a page, with the sources that are known by then.
    pub(super) fn line(written: &Written, sources: &[Source]) -> String {
        LinePart { line: &Line::of(written, sources) }.render().unwrap_or_default()
    }
}

impl Line {
    fn of(written: &Written, sources: &[Source]) -> Self {
        let cite = |at: &usize| sources.get(*at).map(|source| Cite { number: at + 1, href: source.address.clone() });
        match written {
            Written::Line { text, item, sources: named } => {
                let spans =
                    text.split('`').enumerate().map(|(at, part)| Span { text: part.to_owned(), code: at % 2 == 1 });
                let spans = spans.filter(|span| !span.text.is_empty()).collect();
                Self { spans, item: *item, cites: named.iter().filter_map(cite).collect(), code: None }
            }
            Written::Code { text, source, .. } => {
                Self { code: Some(text.clone()), cites: cite(source).into_iter().collect(), ..Self::default() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_model_says_becomes_markup() {
        let hostile = "<script>alert('x')</script>\"& `<img src=x>` {{ t }}";
        let source = Source {
            page: "p".into(),
            title: hostile.into(),
            headings: vec![hostile.into()],
            anchor: None,
            address: "/docs/p\"><script>".into(),
            excerpt: hostile.into(),
            own: true,
        };
        let written = [
            Written::Line { text: hostile.into(), item: true, sources: vec![0, 7] },
            Written::Code { language: "html".into(), text: hostile.into(), source: 0 },
        ];
        let answer =
            tollgate_docs::Answer { says: true, confidence: 1.0, sentences: Vec::new(), sources: vec![source] };
        let answered = Answered { answer, written: written.to_vec(), note: Some(hostile.into()) };
        let sources = answered.answer.sources.clone();
        let html = Said::of(answered).html(Lang::En) + &Said::line(&written[0], &sources);
        assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
        assert!(html.contains(">[1]</a>") && !html.contains("[8]"), "a source that is not there is not cited: {html}");
        assert!(html.contains("<code>&lt;img") || html.contains("<code>&#60;img"), "{html}");
    }
}
