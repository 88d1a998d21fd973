//! The reference pages of the documentation: each made from what it is about, so that none can say something else.
//!
//! | page | made from |
//! |---|---|
//! | [`api`] | the OpenAPI document of the management API |
//! | [`cli`] | the help of the command line |
//! | [`settings`] | `tollgate.default.toml` |
//! | [`errors`] | the codes of both APIs |
//!
//! `cargo xtask reference` writes them into `docs/reference`; a test fails when one of them is stale.

mod api;
mod cli;
mod errors;
mod schema;
mod settings;

use clap::ValueEnum;

/// A reference page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReferencePage {
    /// The management API
    Api,
    /// The command line
    Cli,
    /// The settings
    Settings,
    /// The codes of errors
    Errors,
}

impl ReferencePage {
    /// The page as Markdown, with a line's end at its end.
    pub fn text(self) -> String {
        let text = match self {
            Self::Api => api::page(),
            Self::Cli => cli::page(),
            Self::Settings => settings::page(),
            Self::Errors => errors::page(),
        };
        format!("{}\n", text.trim_end())
    }
}

/// A table's cell: a bar would end it, a line's end the table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn written(page: ReferencePage) -> String {
        let name = page.to_possible_value().unwrap().get_name().to_owned();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/reference/{name}.md"));
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    #[test]
    fn every_reference_page_is_what_the_program_says() {
        for &page in ReferencePage::value_variants() {
            assert!(written(page) == page.text(), "the page {page:?} is stale: `cargo xtask reference` renews it");
        }
    }

    #[test]
    fn no_reference_page_has_a_heading_twice() {
        for &page in ReferencePage::value_variants() {
            let text = page.text();
            let mut seen = BTreeSet::new();
            let mut is_code = false;
            for line in text.lines() {
                is_code ^= line.starts_with("```");
                if !is_code && line.starts_with('#') {
                    assert!(seen.insert(line.trim_start_matches('#').to_lowercase()), "{page:?}: {line}");
                }
            }
            assert!(seen.len() > 10, "{page:?} has {} headings", seen.len());
        }
    }

    #[test]
    fn a_cell_stays_one() {
        assert_eq!(cell("a | b\nc"), "a \\| b c");
    }
}
