//! Where links lead: to pages, to parts of them, to this service, or elsewhere by a scheme that does nothing by itself.

use std::collections::BTreeMap;

use crate::{Lang, source::VIETNAMESE};

/// Schemes of addresses elsewhere.
const SCHEMES: [&str; 3] = ["https", "http", "mailto"];
/// Where pages are served.
pub(crate) const BASE: &str = "/docs";

/// What a link is made to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// An address, as it goes into the page.
    To(String),
    /// Nowhere: its words stay.
    Nowhere,
}

/// Where a link in a file of a language leads: `customers/usage`, or `vi/customers/usage`. `pages` are the paths that there
/// are, each with the language that it is read in.
pub(crate) fn target(file: &str, lang: Lang, link: &str, pages: &BTreeMap<String, Lang>) -> Target {
    // Browsers leave tabs and line breaks in an address out: `java\nscript:` would be one.
    if link.chars().any(|c| c.is_control()) || link.contains('\\') {
        return Target::Nowhere;
    }
    let (before, anchor) = link.split_once('#').map_or((link, None), |(before, anchor)| (before, Some(anchor)));
    let scheme = before.split(['/', '?']).next().and_then(|first| first.split_once(':')).map(|(scheme, _)| scheme);
    if let Some(scheme) = scheme {
        let is_known = SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known));
        return if is_known { Target::To(link.to_owned()) } else { Target::Nowhere };
    }
    if before.starts_with("//") {
        return Target::Nowhere;
    }
    if before.is_empty() || before.starts_with('/') {
        return Target::To(link.to_owned());
    }
    let path = path(file, before).and_then(|path| path.strip_suffix(".md").map(str::to_owned));
    match path.map(|path| path.strip_prefix(VIETNAMESE).map(str::to_owned).unwrap_or(path)) {
        Some(path) => match (pages.get(&path), anchor) {
            (Some(_), None) => Target::To(address(&path)),
            (Some(other), Some(anchor)) if *other == lang => Target::To(format!("{}#{anchor}", address(&path))),
            // Headings are named in their language: this part is on the page in ours.
            (Some(_), Some(anchor)) => Target::To(format!("{}?lang={}#{anchor}", address(&path), lang.tag())),
            (None, _) => Target::Nowhere,
        },
        None => Target::Nowhere,
    }
}

/// A page's address.
pub(crate) fn address(path: &str) -> String {
    if path == crate::START { BASE.to_owned() } else { format!("{BASE}/{path}") }
}

/// The path that a relative one is, from a file; none where it leaves the documentation.
pub(crate) fn path(file: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(page: &str, link: &str) -> Option<String> {
        let pages = ["index", "customers/api-keys", "operators/install"].map(|path| (path.to_owned(), Lang::En)).into();
        match target(page, Lang::En, link, &pages) {
            Target::To(address) => Some(address),
            Target::Nowhere => None,
        }
    }

    #[test]
    fn links_between_files_are_links_between_pages() {
        assert_eq!(to("index", "customers/api-keys.md#rotate-a-key").unwrap(), "/docs/customers/api-keys#rotate-a-key");
        assert_eq!(to("operators/install", "../customers/api-keys.md").unwrap(), "/docs/customers/api-keys");
        assert_eq!(to("operators/install", "../index.md").unwrap(), "/docs");
        assert_eq!(to("vi/index", "customers/api-keys.md").unwrap(), "/docs/customers/api-keys");
        assert_eq!(to("vi/customers/x", "../../operators/install.md").unwrap(), "/docs/operators/install");
        assert_eq!(to("operators/install", "#tls").unwrap(), "#tls");
        assert_eq!(to("operators/install", "/me").unwrap(), "/me");
        for nowhere in ["nothing.md", "../../README.md", "../../../x.md", "install.txt", "../.."] {
            assert_eq!(to("operators/install", nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn a_part_of_a_translated_page_is_linked_to_in_the_language_that_names_it() {
        let pages = [("customers/usage".to_owned(), Lang::Vi)].into();
        let to = |link: &str| target("operators/install", Lang::En, link, &pages);
        assert_eq!(to("../customers/usage.md#export"), Target::To("/docs/customers/usage?lang=en#export".to_owned()));
        assert_eq!(to("../customers/usage.md"), Target::To("/docs/customers/usage".to_owned()));
    }

    #[test]
    fn only_harmless_schemes_lead_elsewhere() {
        for fine in ["https://example.com/a?b=c:d#e", "HTTP://example.com", "mailto:a@example.com"] {
            assert_eq!(to("index", fine).as_deref(), Some(fine));
        }
        for bad in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java\nscript:alert(1)",
            "\u{1}javascript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "//evil.example",
            "\\\\evil.example",
            "/\\evil.example",
            "blob:x",
        ] {
            assert_eq!(to("index", bad), None, "{bad:?}");
        }
    }
}
