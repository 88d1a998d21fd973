//! Settings as a tree of values, each of which knows where it was set.
//!
//! The tree of the defaults defines which settings there are and of which type: [`Item::overlay`]
//! refuses everything else, naming the place and the nearest known name.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use toml::de::{DeTable, DeValue};

use super::SettingsError;

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the compiled-in defaults.
    Default,
    /// In a file, on a line.
    File(Arc<Path>, usize),
    /// In a variable of the environment.
    Environment(String),
    /// On the command line.
    Argument(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Argument(name) => f.write_str(name),
        }
    }
}

/// A value and where it was set.
#[derive(Clone)]
pub struct Item {
    /// The value.
    pub value: Value,
    /// Where.
    pub origin: Origin,
}

/// The types of TOML that settings have.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// A list.
    List(Vec<Item>),
    /// A table.
    Table(Table),
}

impl fmt::Debug for Item {
    // It may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Item({})", self.origin)
    }
}
impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// Settings by name.
pub type Table = BTreeMap<String, Item>;

/// Settings that take a secret: a text, or a table that says where the secret is.
const SECRETS: [&str; 7] = [
    "store.url",
    "keys.master_key",
    "sign_in.oidc.client_secret",
    "mail.password",
    "leaks.github_token",
    "leaks.github_webhook",
    "leaks.gitlab_token",
];
/// How far a mistyped name may be from a known one to be offered, in edits.
const NEAREST: usize = 3;

impl Value {
    /// What it is, with its article, for messages.
    pub const fn what(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Boolean(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl Item {
    /// Reads a TOML document; `origin` is given the line of each value.
    pub fn parse(text: &str, origin: &dyn Fn(usize) -> Origin) -> Result<Self, SettingsError> {
        let lines = Lines::of(text);
        let table = DeTable::parse(text).map_err(|error| SettingsError::Syntax {
            origin: origin(error.span().map_or(1, |span| lines.number(span.start))),
            message: error.message().to_owned(),
        })?;
        let value = table_of(table.get_ref(), &lines, origin)?;
        Ok(Self { value: Value::Table(value), origin: origin(1) })
    }

    /// Lays `over` on this tree, setting by setting.
    pub fn overlay(&mut self, over: Self, path: &str) -> Result<(), SettingsError> {
        let wrong = |expected: &'static str, found: &Self| SettingsError::Type {
            origin: found.origin.clone(),
            setting: path.to_owned(),
            expected: expected.to_owned(),
            found: found.value.what().to_owned(),
        };
        if is_secret(path) {
            return match over.value {
                Value::Text(_) | Value::Table(_) => {
                    *self = over;
                    Ok(())
                }
                _ => Err(wrong("a text, { file = \"…\" } or { env = \"…\" }", &over)),
            };
        }
        match (&mut self.value, over.value) {
            (Value::Table(known), Value::Table(given)) => {
                for (name, item) in given {
                    let path = join(path, &name);
                    match known.get_mut(&name) {
                        Some(here) => here.overlay(item, &path)?,
                        None => return Err(unknown(known.keys(), &name, &path, item.origin)),
                    }
                }
                Ok(())
            }
            (here, value) if here.what() == value.what() => {
                *here = value;
                self.origin = over.origin;
                Ok(())
            }
            (here, value) => Err(wrong(here.what(), &Self { value, origin: over.origin })),
        }
    }

    /// Lays one variable of the environment on this tree: `path` is its name behind `TOLLGATE__`.
    pub fn overlay_variable(&mut self, variable: &str, path: &str, text: &str) -> Result<(), SettingsError> {
        let origin = Origin::Environment(variable.to_owned());
        let names: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
        let mut here: Option<&Self> = Some(self);
        let mut reached = String::new();
        for name in &names {
            if is_secret(&reached) {
                here = None;
                break;
            }
            let Some(Self { value: Value::Table(known), .. }) = here else {
                return Err(SettingsError::Unknown { origin, setting: names.join("."), nearest: Some(reached) });
            };
            let path = join(&reached, name);
            here = known.get(name);
            if here.is_none() {
                return Err(unknown(known.keys(), name, &path, origin));
            }
            reached = path;
        }
        let value = match here.map(|item| &item.value) {
            Some(Value::Integer(_) | Value::Boolean(_) | Value::List(_)) => variable_value(text, &origin),
            Some(Value::Table(_)) if !is_secret(&reached) => variable_value(text, &origin),
            Some(Value::Table(_) | Value::Text(_)) | None => Value::Text(text.to_owned()),
        };
        let over = names.into_iter().rev().fold(Self { value, origin: origin.clone() }, |item, name| Self {
            value: Value::Table(Table::from([(name, item)])),
            origin: origin.clone(),
        });
        self.overlay(over, "")
    }
}

/// A value that is not a text: written as in TOML. What is not TOML stays a text, and is refused as one.
fn variable_value(text: &str, origin: &Origin) -> Value {
    let parsed = Item::parse(&format!("value = {text}"), &|_| origin.clone());
    match parsed.map(|item| item.value) {
        // A line break in the text could have added more than the value.
        Ok(Value::Table(mut table)) if table.len() == 1 => {
            table.remove("value").map_or(Value::Text(text.to_owned()), |item| item.value)
        }
        _ => Value::Text(text.to_owned()),
    }
}

fn is_secret(path: &str) -> bool {
    SECRETS.contains(&path)
}

/// `section.name`.
pub fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The refusal of a name that is not known, with the nearest one that is.
pub fn unknown<'a>(known: impl Iterator<Item = &'a String>, name: &str, path: &str, origin: Origin) -> SettingsError {
    let nearest = known
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .filter(|(distance, known)| *distance <= NEAREST && *distance < known.len())
        .min()
        .map(|(_, nearest)| match path.rsplit_once('.') {
            Some((section, _)) => join(section, nearest),
            None => nearest.clone(),
        });
    SettingsError::Unknown { origin, setting: path.to_owned(), nearest }
}

fn table_of(table: &DeTable<'_>, lines: &Lines, origin: &dyn Fn(usize) -> Origin) -> Result<Table, SettingsError> {
    let entry = |name: &toml::Spanned<std::borrow::Cow<'_, str>>, value: &toml::Spanned<DeValue<'_>>| {
        let at = origin(lines.number(name.span().start));
        Ok((name.get_ref().clone().into_owned(), Item { value: value_of(value, lines, origin, &at)?, origin: at }))
    };
    table.iter().map(|(name, value)| entry(name, value)).collect()
}

fn value_of(
    value: &toml::Spanned<DeValue<'_>>,
    lines: &Lines,
    origin: &dyn Fn(usize) -> Origin,
    at: &Origin,
) -> Result<Value, SettingsError> {
    let wrong = |found: &str| SettingsError::Type {
        origin: at.clone(),
        setting: "this value".to_owned(),
        expected: "a text, a whole number, true, false, a list or a table".to_owned(),
        found: found.to_owned(),
    };
    Ok(match value.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => {
            let digits = i64::from_str_radix(number.as_str(), number.radix());
            Value::Integer(digits.map_err(|_| wrong("a number beyond 64 bits"))?)
        }
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Float(_) => return Err(wrong("a number with a fraction")),
        DeValue::Datetime(_) => return Err(wrong("a date")),
        DeValue::Array(list) => {
            let item = |value: &toml::Spanned<DeValue<'_>>| {
                let at = origin(lines.number(value.span().start));
                Ok(Item { value: value_of(value, lines, origin, &at)?, origin: at })
            };
            Value::List(list.iter().map(item).collect::<Result<_, SettingsError>>()?)
        }
        DeValue::Table(table) => Value::Table(table_of(table, lines, origin)?),
    })
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1).collect())
    }
    /// The number of the line, from 1, that holds this byte.
    fn number(&self, byte: usize) -> usize {
        self.0.partition_point(|start| *start <= byte) + 1
    }
}
