//! A page as it is read.

use crate::{Lang, link};

/// A page, with this deployment's values in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its name in addresses: `customers/api-keys`.
    pub path: String,
    /// The language that it is written in.
    pub lang: Lang,
    /// Whether it is the operator's.
    pub own: bool,
    /// Its first heading, as text.
    pub title: String,
    /// Its first paragraph, as text: what it is about.
    pub summary: String,
    /// Its Markdown.
    pub markdown: String,
    /// The same as HTML, for inside an element: no markup of its source but what Markdown makes.
    pub html: String,
    /// Its headings but the first, in order.
    pub headings: Vec<Heading>,
}

/// A heading of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// 2 to 6; 1 where a page has a second one.
    pub level: u8,
    /// Its words.
    pub text: String,
    /// Its name behind `#`.
    pub anchor: String,
}

impl Page {
    /// Where it is served: `/docs/customers/api-keys`.
    #[must_use]
    pub fn address(&self) -> String {
        link::address(&self.path)
    }
    /// Where its Markdown is served: `/docs/customers/api-keys.md`.
    #[must_use]
    pub fn markdown_address(&self) -> String {
        format!("{}/{}.md", link::BASE, self.path)
    }
}
