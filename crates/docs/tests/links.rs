//! Every link of every page leads somewhere: to a page and a part of it that are there, to an address that can be one.

#[cfg(test)]
mod support;

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use tollgate_docs::Lang;

    use super::support::docs;

    /// The values of an attribute.
    fn attributes<'h>(html: &'h str, name: &str) -> Vec<&'h str> {
        html.split(&format!(" {name}=\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect()
    }

    #[test]
    fn every_link_leads_to_a_page_and_an_anchor_that_are_there() {
        let docs = docs();
        let mut faults = Vec::new();
        let mut checked = 0;
        for lang in Lang::ALL {
            for page in docs.pages(lang) {
                for link in attributes(&page.html, "href") {
                    checked += 1;
                    let (path, anchor) =
                        link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
                    if path.starts_with("https://") || path.starts_with("http://") || path.starts_with("mailto:") {
                        let host = path.split(['/', ':']).nth(3).unwrap_or(path);
                        if host.is_empty() || path.contains(' ') {
                            faults.push(format!("{}: {link} is no address", page.path));
                        }
                        continue;
                    }
                    let (path, target_lang) = match path.split_once("?lang=") {
                        Some((path, tag)) => (path, Lang::from_tag(tag).unwrap()),
                        None => (path, lang),
                    };
                    let target = match path {
                        "" => Some(page),
                        "/docs" => docs.page(target_lang, "index"),
                        path => path.strip_prefix("/docs/").and_then(|path| docs.page(target_lang, path)),
                    };
                    let Some(target) = target else {
                        faults.push(format!("{}: {link} is not there", page.path));
                        continue;
                    };
                    let ids: BTreeSet<&str> = attributes(&target.html, "id").into_iter().collect();
                    if anchor.is_some_and(|anchor| !ids.contains(anchor)) {
                        faults.push(format!("{} ({}): {link} is no part of it", page.path, lang.tag()));
                    }
                }
            }
        }
        assert!(checked > 100, "links were found: {checked}");
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    /// What is a link in Markdown is one in HTML: a link that leads nowhere would have become words.
    #[test]
    fn no_link_is_lost() {
        let docs = docs();
        let mut faults = Vec::new();
        for lang in Lang::ALL {
            for page in docs.pages(lang) {
                let written = pulldown_cmark::Parser::new(&page.markdown).filter_map(|event| match event {
                    pulldown_cmark::Event::Start(pulldown_cmark::Tag::Link { dest_url, .. }) => {
                        Some(dest_url.to_string())
                    }
                    _ => None,
                });
                let written: Vec<String> = written.collect();
                let made = attributes(&page.html, "href").len();
                if written.len() != made {
                    faults.push(format!("{} ({}): {made} links of {written:?}", page.path, lang.tag()));
                }
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    /// No placeholder is left, and none is misspelt.
    #[test]
    fn every_placeholder_is_filled_in() {
        let docs = docs();
        for lang in Lang::ALL {
            for page in docs.pages(lang) {
                assert!(!page.markdown.contains("{{"), "{}: {:?}", page.path, page.markdown.split("{{").nth(1));
            }
        }
    }

    /// Files of the repository that other Markdown files of it name.
    #[test]
    fn links_of_the_repository_s_own_pages_lead_to_files() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut faults = Vec::new();
        let decisions = std::fs::read_dir(root.join("docs/decisions")).unwrap().map(|entry| entry.unwrap().path());
        let files = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
            .map(|name| root.join(name));
        for file in files.into_iter().chain(decisions) {
            let text = std::fs::read_to_string(&file).unwrap();
            for event in pulldown_cmark::Parser::new(&text) {
                let pulldown_cmark::Event::Start(
                    pulldown_cmark::Tag::Link { dest_url, .. } | pulldown_cmark::Tag::Image { dest_url, .. },
                ) = event
                else {
                    continue;
                };
                let path = dest_url.split('#').next().unwrap_or_default();
                if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
                    continue;
                }
                if !file.parent().unwrap().join(path).exists() {
                    faults.push(format!("{}: {dest_url}", file.display()));
                }
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}
