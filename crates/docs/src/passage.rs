//! A passage: what stands on a page under one heading. It is what is found, and what an answer is made of.

use unicode_segmentation::UnicodeSegmentation as _;

use crate::{Lang, link};

/// A passage with more characters of text is cut at the end of a block.
pub(crate) const LONGEST_PASSAGE: usize = 2_000;

/// A part of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Passage {
    /// The page's path.
    pub page: String,
    /// The page's title.
    pub title: String,
    /// The language that it is written in.
    pub lang: Lang,
    /// Whether the page is the operator's.
    pub own: bool,
    /// The headings above it below the title, outermost first.
    pub headings: Vec<String>,
    /// The innermost heading's name behind `#`; none for what stands under the title.
    pub anchor: Option<String>,
    /// Its paragraphs, list items, table rows and code blocks, as text.
    pub blocks: Vec<Block>,
    /// The same as Markdown, the heading included.
    pub markdown: String,
    /// How much it counts beside others.
    pub(crate) weight: f32,
}

/// A paragraph, a list item, a table row or a code block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its words.
    pub text: String,
    /// Whether it is code.
    pub code: bool,
}

impl Passage {
    /// Where it is: `/docs/customers/api-keys#rotate-a-key`.
    #[must_use]
    pub fn address(&self) -> String {
        let anchor = self.anchor.as_ref().map(|anchor| format!("#{anchor}")).unwrap_or_default();
        format!("{}{anchor}", link::address(&self.page))
    }
    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        let blocks: Vec<&str> = self.blocks.iter().map(|block| block.text.as_str()).collect();
        blocks.join("\n")
    }
    /// Its prose, or its code.
    pub(crate) fn lines(&self, code: bool) -> String {
        let blocks = self.blocks.iter().filter(|block| block.code == code);
        blocks.map(|block| block.text.as_str()).collect::<Vec<_>>().join("\n")
    }
    /// Its sentences: what is not code, cut as Unicode says (UAX #29).
    pub fn sentences(&self) -> impl Iterator<Item = &str> {
        let prose = self.blocks.iter().filter(|block| !block.code);
        prose.flat_map(|block| block.text.unicode_sentences()).map(str::trim).filter(|sentence| !sentence.is_empty())
    }
    /// The innermost heading, else the page's title.
    #[must_use]
    pub fn heading(&self) -> &str {
        self.headings.last().unwrap_or(&self.title)
    }
}
