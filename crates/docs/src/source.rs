//! The pages' sources: those that are compiled in, and the operator's over them. And the pictures.

use std::collections::BTreeMap;

use crate::{Lang, START};

/// Every page of `docs/`, by its name without `.md`.
const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));
/// Every picture, by its path below `docs/`.
const PICTURES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/pictures.rs"));
/// Their order.
const CONTENTS: &str = include_str!("../../../docs/contents.toml");
/// What Vietnamese pages' names begin with.
pub(crate) const VIETNAMESE: &str = "vi/";

/// A picture of the pages: a PNG by its path, such as `screenshots/keys-light.png`.
#[must_use]
pub fn picture(path: &str) -> Option<&'static [u8]> {
    let at = PICTURES.binary_search_by(|(known, _)| (*known).cmp(path)).ok()?;
    PICTURES.get(at).map(|(_, bytes)| *bytes)
}

/// A page of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPage {
    /// Its name without `.md`, such as `customers/api-keys` or `vi/index`.
    pub name: String,
    /// Its Markdown.
    pub text: String,
}

/// What a documentation is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    own: BTreeMap<String, String>,
    own_contents: Option<String>,
}

impl Sources {
    /// The pages that are compiled in.
    #[must_use]
    pub fn built_in() -> Self {
        Self::default()
    }
    /// The same with the operator's pages beside and in place of them, and, where there is one, the operator's order.
    #[must_use]
    pub fn with(own: impl IntoIterator<Item = OwnPage>, contents: Option<String>) -> Self {
        Self { own: own.into_iter().map(|page| (page.name, page.text)).collect(), own_contents: contents }
    }

    /// The order that is compiled in.
    pub(crate) const fn contents(&self) -> &'static str {
        CONTENTS
    }
    /// The operator's own order.
    pub(crate) fn own_contents(&self) -> Option<&str> {
        self.own_contents.as_deref()
    }
    /// The paths of the operator's pages, whatever their language; the start page is none of them.
    pub(crate) fn own_paths(&self) -> impl Iterator<Item = &str> {
        self.own.keys().map(|name| name.strip_prefix(VIETNAMESE).unwrap_or(name)).filter(|path| *path != START)
    }
    /// Whether there is such a page in any language.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.page(path, Lang::Vi).is_some()
    }
    /// A page's text in this language, else in English; with its language, and whether it is the operator's.
    ///
    /// An English page of the operator goes before our Vietnamese one: what it overrides would be said otherwise there.
    pub(crate) fn page(&self, path: &str, lang: Lang) -> Option<(&str, Lang, bool)> {
        let vietnamese = format!("{VIETNAMESE}{path}");
        let own = |name: &str, lang| self.own.get(name).map(|text| (text.as_str(), lang, true));
        let ours = |name: &str, lang| {
            let at = PAGES.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
            PAGES.get(at).map(|(_, text)| (*text, lang, false))
        };
        match lang {
            Lang::En => own(path, Lang::En).or_else(|| ours(path, Lang::En)),
            Lang::Vi => own(&vietnamese, Lang::Vi)
                .or_else(|| own(path, Lang::En))
                .or_else(|| ours(&vietnamese, Lang::Vi))
                .or_else(|| ours(path, Lang::En)),
        }
    }
    /// The names of the pages that are compiled in, `vi/…` among them.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        PAGES.iter().map(|(name, _)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(name: &str, text: &str) -> OwnPage {
        OwnPage { name: name.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn pages_are_sorted_so_that_each_is_found() {
        let sources = Sources::built_in();
        assert!(PAGES.is_sorted_by_key(|(name, _)| *name) && PAGES.len() > 20);
        for name in Sources::built_in_names() {
            let path = name.strip_prefix(VIETNAMESE).unwrap_or(name);
            assert!(sources.has(path), "{name}");
        }
        assert!(!sources.has("customers/nothing") && !sources.has("decisions/0001-lanes") && !sources.has("cli"));
    }

    #[test]
    fn pictures_are_found_by_their_path() {
        assert!(PICTURES.is_sorted_by_key(|(path, _)| *path));
        assert!(PICTURES.iter().all(|(path, bytes)| picture(path) == Some(bytes) && bytes.starts_with(b"\x89PNG")));
        assert_eq!(picture("screenshots/../index.md"), None);
    }

    #[test]
    fn a_page_that_is_not_translated_is_english_and_the_operator_s_goes_first() {
        let sources = Sources::built_in();
        let lang = |sources: &Sources, path, lang| sources.page(path, lang).map(|(_, lang, own)| (lang, own));
        assert_eq!(lang(&sources, "customers/api-keys", Lang::Vi), Some((Lang::Vi, false)));
        assert_eq!(lang(&sources, "operators/install", Lang::Vi), Some((Lang::En, false)));
        let over = Sources::with([own("customers/api-keys", "# Ours")], None);
        assert_eq!(over.page("customers/api-keys", Lang::En), Some(("# Ours", Lang::En, true)));
        assert_eq!(over.page("customers/api-keys", Lang::Vi), Some(("# Ours", Lang::En, true)));
        let both = Sources::with([own("customers/api-keys", "# Ours"), own("vi/customers/api-keys", "# Của ta")], None);
        assert_eq!(both.page("customers/api-keys", Lang::Vi), Some(("# Của ta", Lang::Vi, true)));
        assert_eq!(both.own_paths().collect::<Vec<_>>(), ["customers/api-keys", "customers/api-keys"]);
    }
}
