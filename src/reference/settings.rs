//! The settings, from the file of defaults: a setting's reason is the comment above it.
//!
//! The file is read as the text that it is, since a TOML parser would lose the comments. What it takes for settings is
//! compared with what the parser finds.

use std::fmt::Write as _;

use crate::settings::Settings;

/// What stands before the sections.
const HEAD: &str = "# Settings

Every setting of `tollgate serve`, its default, its reason, and its name in the environment. A `tollgate.toml` of your own holds \
only what differs; `tollgate config` prints what is in force and where it was set.
";

/// A part of the file: a section's header or one setting, or some that share their comment.
#[derive(Debug, Default, PartialEq, Eq)]
struct Part {
    comment: Vec<String>,
    table: Option<String>,
    settings: Vec<(String, String)>,
}

/// The file's parts, in its order. A comment belongs to what follows it without an empty line.
fn parts(file: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut part = Part::default();
    let mut end = |part: &mut Part| {
        let part = std::mem::take(part);
        if part != Part::default() {
            parts.push(part);
        }
    };
    for line in file.lines() {
        if let Some(comment) = line.strip_prefix('#') {
            if part.table.is_some() || !part.settings.is_empty() {
                end(&mut part);
            }
            part.comment.push(comment.strip_prefix(' ').unwrap_or(comment).to_owned());
        } else if let Some(table) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            part.table = Some(table.to_owned());
            end(&mut part);
        } else if let Some((name, default)) = line.split_once(" = ") {
            part.settings.push((name.to_owned(), default.to_owned()));
        } else {
            end(&mut part);
        }
    }
    end(&mut part);
    parts
}

/// Paragraphs of a comment, and its examples as TOML.
fn prose(comment: &[String]) -> String {
    let mut text = String::new();
    for paragraph in comment.split(|line| line.is_empty()) {
        if paragraph.first().is_some_and(|line| line.starts_with("[[")) {
            let _ = write!(text, "```toml settings\n{}\n```\n\n", paragraph.join("\n"));
        } else {
            // What stands between such marks is no markup: a mail address, for one.
            let _ = write!(text, "{}\n\n", paragraph.join(" ").replace('<', "\\<"));
        }
    }
    text
}

/// The lists that a comment has examples of, each once.
fn lists(comment: &[String]) -> Vec<String> {
    let mut names: Vec<String> =
        comment.iter().filter(|line| line.starts_with("[[")).map(|line| format!("`{line}`")).collect();
    names.dedup();
    names
}

/// A setting's name in the environment.
fn variable(path: &str) -> String {
    format!("TOLLGATE__{}", path.replace('.', "__").to_uppercase())
}

/// `docs/reference/settings.md`.
pub fn page() -> String {
    let mut text = String::from(HEAD);
    let mut table = String::new();
    for (number, part) in parts(Settings::defaults_text()).into_iter().enumerate() {
        match &part.table {
            Some(name) => {
                let _ = write!(text, "\n## `[{name}]`\n\n");
                name.clone_into(&mut table);
            }
            // What the file says of itself.
            None if number == 0 => text.push_str("\n## Where settings come from\n\n"),
            None if part.settings.is_empty() => {
                let _ = write!(text, "\n## {}\n\n", lists(&part.comment).join(" and "));
            }
            None => {}
        }
        for (name, _) in &part.settings {
            let _ = write!(text, "\n### {table}.{name}\n\n");
        }
        text.push_str(&prose(&part.comment));
        for (name, default) in &part.settings {
            let path = format!("{table}.{name}");
            let of = if part.settings.len() > 1 { format!(" of `{path}`") } else { String::new() };
            let _ = write!(text, "Default{of}: `{default}`. In the environment: `{}`.\n\n", variable(&path));
        }
    }
    while let Some(at) = text.find("\n\n\n") {
        text.replace_range(at..=at, "");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_place_of_its_own_with_its_variable() {
        let page = page();
        let file: toml::Table = toml::from_str(Settings::defaults_text()).unwrap();
        let mut count = 0;
        let mut open = vec![(String::new(), &file)];
        while let Some((path, table)) = open.pop() {
            for (name, value) in table {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match value {
                    toml::Value::Table(table) if !table.contains_key("file") => open.push((path, table)),
                    _ => {
                        count += 1;
                        let heading = format!("\n### {path}\n");
                        let found = page.split_once(&heading).unwrap_or_else(|| panic!("{path} is not on the page")).1;
                        let section = found.split("\n## ").next().unwrap();
                        assert!(section.contains(&format!("`{}`", variable(&path))), "{path}");
                    }
                }
            }
        }
        assert!(count > 40 && page.matches("\n### ").count() == count, "{count} settings");
    }

    #[test]
    fn a_comment_belongs_to_what_follows_it() {
        let file =
            "# About.\n\n# The part.\n[a]\n# One,\n# and on.\nx = 1\n# Both.\ny = \"\"\nz = 2\n\n# [[list]]\n# n = 1\n";
        let part = |comment: &[&str], table: Option<&str>, settings: &[(&str, &str)]| Part {
            comment: comment.iter().map(|&line| line.to_owned()).collect(),
            table: table.map(str::to_owned),
            settings: settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
        };
        assert_eq!(
            parts(file),
            [
                part(&["About."], None, &[]),
                part(&["The part."], Some("a"), &[]),
                part(&["One,", "and on."], None, &[("x", "1")]),
                part(&["Both."], None, &[("y", "\"\""), ("z", "2")]),
                part(&["[[list]]", "n = 1"], None, &[]),
            ]
        );
        assert_eq!(
            prose(&["a".into(), "b".into(), String::new(), "[[c]]".into()]),
            "a b\n\n```toml settings\n[[c]]\n```\n\n"
        );
    }
}
