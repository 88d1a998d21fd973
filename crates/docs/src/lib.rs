//! Tollgate's documentation: what the pages are, how they are read, found and asked. No HTTP, no store, no clock.
//!
//! A [`Docs`] is whole and never changes: pages with this deployment's values in them, their HTML, and an index over their
//! passages, in each language. Where a page of the operator or a value changes, another one is made ([`Docs::new`]) and takes
//! its place; so a request only looks up what is there.
//!
//! What comes from elsewhere is text: values are escaped as they are put into a page, HTML in Markdown is shown as it is
//! written, links lead to pages, to this service, or by `https:`, `http:` and `mailto:`. An answer is made of sentences that
//! stand in the passages it names, so that it cannot say what is not there.
//!
//! | module | holds |
//! |---|---|
//! | [`source`] | the pages that are compiled in, and those of the operator over them |
//! | [`folder`] | reads the operator's pages from a directory |
//! | [`values`] | this deployment's values, put into pages |
//! | `contents` | the order of the pages, by section |
//! | [`page`] | a page: Markdown, HTML, headings |
//! | [`passage`] | what is found: a part of a page under one heading |
//! | `render` | Markdown to HTML and passages |
//! | `link` | where links lead |
//! | `words` | words as they are compared: folded, stemmed, with others of the same meaning |
//! | `index` | the full-text index |
//! | [`search`] | finds passages as somebody types |
//! | [`ask`] | answers a question from passages, or says that they do not |
//! | [`written`] | an answer that a model writes: what it is told, and which of its lines stand |
//! | `program` | what programs read: `llms.txt`, `llms-full.txt`, the sitemap |

pub mod ask;
mod contents;
pub mod folder;
mod index;
mod link;
pub mod page;
pub mod passage;
mod program;
mod render;
pub mod search;
pub mod source;
pub mod values;
mod words;
pub mod written;

use std::collections::BTreeMap;

pub use ask::{Answer, Question, QuestionError, Sentence, Source};
pub use contents::Section;
pub use folder::{Folder, FolderFault};
pub use page::{Heading, Page};
pub use passage::Passage;
pub use search::{Hit, Piece};
pub use source::{OwnPage, Sources};
pub use values::Values;
pub use written::{Draft, Reader, Written};

use contents::Contents;
use index::Index;

/// What a passage of the start page counts, which names everything and explains nothing.
const START_PAGE: f32 = 0.7;
/// What a passage counts of a page that is not in the reader's language.
const STANDS_IN: f32 = 0.6;
/// The name of the start page.
pub const START: &str = "index";
/// Names below `/docs/` that are no pages.
pub const RESERVED: [&str; 3] = ["search", "mcp", "sitemap"];

/// A language of the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lang {
    /// English: every page.
    #[default]
    En,
    /// Vietnamese: where a page is not translated, the English one stands in for it.
    Vi,
}

impl Lang {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::En, Self::Vi];
    /// Its BCP 47 tag.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Vi => "vi",
        }
    }
    /// Of a tag such as `vi` or `vi-VN`.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        Self::ALL.into_iter().find(|lang| primary.eq_ignore_ascii_case(lang.tag()))
    }
}

/// Why a documentation cannot be made of its sources.
#[derive(Debug, thiserror::Error)]
pub enum DocsError {
    /// The order of the pages cannot be read.
    #[error("contents.toml: {0}")]
    Contents(#[from] toml::de::Error),
    /// The full-text index cannot be made.
    #[error("the index of the documentation: {0}")]
    Index(#[from] tantivy::TantivyError),
}

/// The whole documentation of a deployment, as it is now.
pub struct Docs {
    values: Values,
    editions: [Edition; Lang::ALL.len()],
}

/// The documentation in one language.
struct Edition {
    lang: Lang,
    sections: Vec<Section>,
    /// The start page, then by section.
    pages: Vec<Page>,
    passages: Vec<Passage>,
    index: Index,
}

impl Docs {
    /// Makes it of its sources, with these values in it.
    ///
    /// # Errors
    /// When the operator's `contents.toml` is none, or the index fails. Pages cannot fail: whatever is written there is shown.
    pub fn new(sources: &Sources, values: &Values) -> Result<Self, DocsError> {
        let contents = Contents::read(sources)?;
        let [en, vi] = Lang::ALL.map(|lang| Edition::new(sources, values, &contents, lang));
        Ok(Self { values: values.clone(), editions: [en?, vi?] })
    }

    fn edition(&self, lang: Lang) -> &Edition {
        let [en, vi] = &self.editions;
        match lang {
            Lang::En => en,
            Lang::Vi => vi,
        }
    }
    /// The sections in order, each with the paths of its pages.
    #[must_use]
    pub fn sections(&self, lang: Lang) -> &[Section] {
        &self.edition(lang).sections
    }
    /// Every page: the start page, then by section. [`Page::lang`] tells where English stands in.
    #[must_use]
    pub fn pages(&self, lang: Lang) -> &[Page] {
        &self.edition(lang).pages
    }
    /// The page of this path, such as `customers/api-keys`; the start page is [`START`].
    #[must_use]
    pub fn page(&self, lang: Lang, path: &str) -> Option<&Page> {
        self.pages(lang).iter().find(|page| page.path == path)
    }
    /// The pages before and after this one, in reading order.
    #[must_use]
    pub fn around(&self, lang: Lang, path: &str) -> (Option<&Page>, Option<&Page>) {
        let pages = self.pages(lang);
        let Some(at) = pages.iter().position(|page| page.path == path) else { return (None, None) };
        (at.checked_sub(1).and_then(|before| pages.get(before)), pages.get(at + 1))
    }
    /// Every passage, in reading order.
    #[must_use]
    pub fn passages(&self, lang: Lang) -> &[Passage] {
        &self.edition(lang).passages
    }
    /// Passages in which somebody who types this may find it, best first. The last word may be unfinished.
    #[must_use]
    pub fn search(&self, lang: Lang, query: &str, limit: usize) -> Vec<Hit> {
        search::search(self.edition(lang), query, limit)
    }
    /// Answers from the passages alone. `page` is where the question was asked.
    #[must_use]
    pub fn ask(&self, lang: Lang, page: Option<&str>, question: &Question) -> Answer {
        ask::ask(self.edition(lang), page, question)
    }
    /// The passages that an answer is made of, best first, with how sure one may be that they hold it: 0 to 1. What a model
    /// is given to write an answer from.
    #[must_use]
    pub fn evidence(&self, lang: Lang, page: Option<&str>, question: &Question, limit: usize) -> (Vec<&Passage>, f32) {
        ask::evidence(self.edition(lang), page, question, limit)
    }
    /// What a model is told to write an answer from, and how what it says is read; nothing where the documentation does not
    /// say anyway.
    #[must_use]
    pub fn draft(&self, lang: Lang, page: Option<&str>, question: &Question) -> Option<Draft> {
        let edition = self.edition(lang);
        let (passages, confidence) = ask::evidence(edition, page, question, written::MOST_PASSAGES);
        let is_held = confidence >= ask::LEAST_CONFIDENCE;
        let terms = ask::terms(edition, question);
        is_held.then(|| Draft::new(&self.values.product, lang, question, &passages, &terms))
    }
    /// This deployment's values, as they stand in the pages.
    #[must_use]
    pub const fn values(&self) -> &Values {
        &self.values
    }
    /// An answer as Markdown, with its sources as whole addresses.
    #[must_use]
    pub fn answer_markdown(&self, lang: Lang, question: &Question, answer: &Answer) -> String {
        program::answer(&self.values.url, lang, question, answer)
    }
    /// The parts of an answer as Markdown: the question as a heading.
    #[must_use]
    pub fn question_markdown(&self, question: &Question) -> String {
        program::asked(question)
    }
    /// Its sentences, or that the documentation does not say.
    #[must_use]
    pub fn said_markdown(&self, lang: Lang, answer: &Answer) -> String {
        program::said(lang, answer)
    }
    /// A line that a model wrote.
    #[must_use]
    pub fn written_markdown(&self, written: &Written) -> String {
        program::written(written)
    }
    /// Its sources, with whole addresses.
    #[must_use]
    pub fn sources_markdown(&self, lang: Lang, answer: &Answer) -> String {
        program::sources(&self.values.url, lang, answer)
    }
    /// `llms.txt` (llmstxt.org): what there is, for programs.
    #[must_use]
    pub fn llms(&self, lang: Lang) -> String {
        program::llms(self.edition(lang), &self.values)
    }
    /// Every page's Markdown in one text.
    #[must_use]
    pub fn llms_full(&self, lang: Lang) -> String {
        program::llms_full(self.edition(lang), &self.values.url)
    }
    /// The sitemap (sitemaps.org): each page with its languages.
    #[must_use]
    pub fn sitemap(&self) -> String {
        program::sitemap(self)
    }
}

impl Edition {
    fn new(sources: &Sources, values: &Values, contents: &Contents, lang: Lang) -> Result<Self, DocsError> {
        let sections = contents.sections(sources, lang);
        let weights: BTreeMap<String, f32> = contents.weights(sources).collect();
        let language = |path: &String| sources.page(path, lang).map(|(_, lang, _)| (path.clone(), lang));
        let known: BTreeMap<String, Lang> = weights.keys().filter_map(language).collect();
        let paths = std::iter::once(START.to_owned()).chain(sections.iter().flat_map(|section| section.pages.clone()));
        let (mut pages, mut passages) = (Vec::new(), Vec::new());
        let edition = lang;
        for path in paths {
            let Some((text, lang, own)) = sources.page(&path, lang) else { continue };
            let (page, mut own_passages) = render::render(&path, text, lang, own, values, &known);
            // Where English stands in, what is written in the reader's language goes first.
            let of_language = if page.lang == edition { 1.0 } else { STANDS_IN };
            let of_page = if path == START && !own { START_PAGE } else { 1.0 };
            let weight = weights.get(&path).copied().unwrap_or(1.0) * of_language * of_page;
            own_passages.iter_mut().for_each(|passage| passage.weight = weight);
            passages.append(&mut own_passages);
            pages.push(page);
        }
        let index = Index::new(lang, &passages)?;
        Ok(Self { lang, sections, pages, passages, index })
    }
}
