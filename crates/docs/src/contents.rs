//! The order of the pages, by section: ours from `docs/contents.toml`, with the operator's pages in it.
//!
//! An operator's `contents.toml` has the same form. Its sections come first; one with the title of one of ours adds to that
//! one. Pages of the operator that no contents name stand in a section of their own at the beginning.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::{DocsError, Lang, START, Sources};

/// The section of the operator's pages that no contents name.
const OWN_TITLE: &str = "This service";
const OWN_TITLE_VI: &str = "Dịch vụ này";

/// Pages that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What they are about.
    pub title: String,
    /// Their paths, in order.
    pub pages: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    title: String,
    title_vi: Option<String>,
    pages: Vec<String>,
    /// How much a passage of these pages counts beside others: reference is long, and says in passing what guides explain.
    #[serde(default = "whole")]
    weight: f32,
}
const fn whole() -> f32 {
    1.0
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    section: Vec<Written>,
}

/// The sections as they were written, of pages that are there.
#[derive(Debug)]
pub(crate) struct Contents(Vec<Written>);

/// Whether a text is contents.
pub(crate) fn check(text: &str) -> Result<(), toml::de::Error> {
    toml::from_str::<File>(text).map(drop)
}

impl Contents {
    pub(crate) fn read(sources: &Sources) -> Result<Self, DocsError> {
        let own: File = sources.own_contents().map(toml::from_str).transpose()?.unwrap_or_default();
        let ours: File = toml::from_str(sources.contents())?;
        let mut named = BTreeSet::new();
        let mut sections: Vec<Written> = Vec::new();
        for mut section in own.section.into_iter().chain(ours.section) {
            section.pages.retain(|page| sources.has(page) && page != START && named.insert(page.clone()));
            match sections.iter_mut().find(|before| before.title == section.title) {
                Some(before) => before.pages.append(&mut section.pages),
                None => sections.push(section),
            }
        }
        let left: BTreeSet<&str> = sources.own_paths().filter(|path| !named.contains(*path)).collect();
        let pages: Vec<String> = left.into_iter().map(str::to_owned).collect();
        let title_vi = Some(OWN_TITLE_VI.to_owned());
        sections.insert(0, Written { title: OWN_TITLE.to_owned(), title_vi, pages, weight: whole() });
        sections.retain(|section| !section.pages.is_empty());
        Ok(Self(sections))
    }
    /// In a language; pages that it lacks are left out.
    pub(crate) fn sections(&self, sources: &Sources, lang: Lang) -> Vec<Section> {
        let title = |section: &Written| match lang {
            Lang::En => section.title.clone(),
            Lang::Vi => section.title_vi.clone().unwrap_or_else(|| section.title.clone()),
        };
        let pages = |section: &Written| -> Vec<String> {
            section.pages.iter().filter(|path| sources.page(path, lang).is_some()).cloned().collect()
        };
        let sections = self.0.iter().map(|section| Section { title: title(section), pages: pages(section) });
        sections.filter(|section| !section.pages.is_empty()).collect()
    }
    /// Every page's path with its weight.
    pub(crate) fn weights(&self, sources: &Sources) -> impl Iterator<Item = (String, f32)> {
        let start = sources.has(START).then(|| (START.to_owned(), whole()));
        let weights: BTreeMap<String, f32> = self
            .0
            .iter()
            .flat_map(|section| section.pages.iter().map(|page| (page.clone(), section.weight.clamp(0.0, 10.0))))
            .collect();
        start.into_iter().chain(weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OwnPage;

    fn own(name: &str) -> OwnPage {
        OwnPage { name: name.to_owned(), text: format!("# {name}") }
    }
    fn titles(sources: &Sources, lang: Lang) -> Vec<String> {
        let contents = Contents::read(sources).unwrap();
        contents.sections(sources, lang).into_iter().map(|section| section.title).collect()
    }

    #[test]
    fn every_page_that_is_compiled_in_has_its_place_once() {
        let sources = Sources::built_in();
        let contents = Contents::read(&sources).unwrap();
        let placed: Vec<String> =
            contents.sections(&sources, Lang::En).into_iter().flat_map(|section| section.pages).collect();
        let unique: BTreeSet<&String> = placed.iter().collect();
        assert_eq!(unique.len(), placed.len());
        for name in Sources::built_in_names().map(|name| name.strip_prefix("vi/").unwrap_or(name)) {
            assert!(name == START || placed.iter().any(|page| page == name), "{name} is not in docs/contents.toml");
        }
        let named = toml::from_str::<File>(sources.contents()).unwrap().section;
        let named: usize = named.iter().map(|section| section.pages.len()).sum();
        assert_eq!(named, placed.len(), "docs/contents.toml names a page that is not there");
    }

    #[test]
    fn the_operator_s_pages_come_first_or_where_their_contents_say() {
        let plain = Sources::with([own("prices"), own("customers/usage"), own("index")], None);
        let contents = Contents::read(&plain).unwrap();
        let first = &contents.sections(&plain, Lang::En)[0];
        assert_eq!((first.title.as_str(), &first.pages[..]), ("This service", &["prices".to_owned()][..]));
        assert_eq!(titles(&plain, Lang::Vi)[0], "Dịch vụ này");
        let text = "[[section]]\ntitle = \"Ours\"\npages = [\"prices\", \"nothing\"]\n[[section]]\ntitle = \"Start\"\npages = [\"terms\"]\n";
        let ordered = Sources::with([own("prices"), own("terms")], Some(text.to_owned()));
        let sections = Contents::read(&ordered).unwrap().sections(&ordered, Lang::En);
        assert_eq!((sections[0].title.as_str(), &sections[0].pages[..]), ("Ours", &["prices".to_owned()][..]));
        assert_eq!(sections[1].title, "Start");
        assert_eq!(sections[1].pages[..2], ["terms", "customers/quickstart"]);
    }

    #[test]
    fn contents_that_are_none_are_refused_with_their_line() {
        let sources = Sources::with([own("a")], Some("[[section]]\ntitel = 1\n".to_owned()));
        let error = Contents::read(&sources).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("titel"), "{error}");
    }
}
