//! The effective settings as TOML, with where each was set. No secret gets out: a text where a secret
//! may stand is hidden, a store's URL loses its password.

use std::fmt::Write as _;

use super::tree::{Item, Origin, Table, Value};

/// Names whose text is a secret, wherever they stand.
const SECRETS: [&str; 7] =
    ["master_key", "credential", "client_secret", "password", "github_token", "github_webhook", "gitlab_token"];
const HIDDEN: &str = "\"(hidden)\"";
/// Where the remark about the origin begins, if the value leaves room.
const REMARK_COLUMN: usize = 44;

pub(super) fn document(tree: &Item) -> String {
    let mut text = String::new();
    let Value::Table(sections) = &tree.value else { return text };
    for (section, item) in sections {
        match &item.value {
            Value::Table(table) => {
                let _ = writeln!(text, "[{section}]");
                for (name, item) in table {
                    line(&mut text, name, item);
                }
                text.push('\n');
            }
            Value::List(list) => {
                for item in list {
                    let _ = writeln!(text, "[[{section}]]");
                    if let Value::Table(table) = &item.value {
                        for (name, item) in table {
                            line(&mut text, name, item);
                        }
                    }
                    text.push('\n');
                }
            }
            _ => line(&mut text, section, item),
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Whether the settings file itself holds a secret, rather than saying where one is.
pub(super) fn file_holds_secret(name: &str, item: &Item) -> bool {
    match &item.value {
        Value::Text(text) if matches!(item.origin, Origin::File(..)) => {
            SECRETS.contains(&name) && !text.is_empty() || name == "url" && without_password(text) != *text
        }
        Value::Table(table) => table.iter().any(|(name, item)| file_holds_secret(name, item)),
        Value::List(list) => list.iter().any(|item| file_holds_secret("", item)),
        _ => false,
    }
}

fn line(text: &mut String, name: &str, item: &Item) {
    let value = inline(name, &item.value);
    let setting = format!("{name} = {value}");
    let _ = match &item.origin {
        Origin::Default => writeln!(text, "{setting}"),
        origin => writeln!(text, "{setting:<REMARK_COLUMN$} # {origin}"),
    };
}

fn inline(name: &str, value: &Value) -> String {
    match value {
        Value::Text(text) if SECRETS.contains(&name) && !text.is_empty() => HIDDEN.to_owned(),
        Value::Text(url) if name == "url" => quoted(&without_password(url)),
        Value::Text(text) => quoted(text),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(boolean) => boolean.to_string(),
        Value::List(list) => {
            let items: Vec<_> = list.iter().map(|item| inline("", &item.value)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(table) => inline_table(table),
    }
}

fn inline_table(table: &Table) -> String {
    let items: Vec<_> = table.iter().map(|(name, item)| format!("{name} = {}", inline(name, &item.value))).collect();
    format!("{{ {} }}", items.join(", "))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// `scheme://user:password@host/name?password=…` without the passwords.
pub fn without_password(url: &str) -> String {
    let (url, query) = url.split_once('?').map_or((url, None), |(url, query)| (url, Some(query)));
    let mut shown = match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
        Some((scheme, (user, host))) => match user.split_once(':') {
            Some((user, _)) => format!("{scheme}://{user}:***@{host}"),
            None => format!("{scheme}://{user}@{host}"),
        },
        None => url.to_owned(),
    };
    if let Some(query) = query {
        let hide = |pair: &str| match pair.split_once('=') {
            Some((name, _)) if name.contains("password") => format!("{name}=***"),
            _ => pair.to_owned(),
        };
        let pairs: Vec<_> = query.split('&').map(hide).collect();
        let _ = write!(shown, "?{}", pairs.join("&"));
    }
    shown
}
