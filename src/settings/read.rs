//! Reads typed values from the tree. Each refusal names the place and what was expected there.

use std::{path::PathBuf, str::FromStr, time::Duration};

use super::{
    SettingsError,
    environment::Environment,
    tree::{Item, Origin, Table, Value, join, unknown},
};

/// One table of settings, and where it lies in the tree.
pub struct Section<'a> {
    table: &'a Table,
    path: String,
    origin: &'a Origin,
}

/// Where a secret is to be found.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// Written into the settings.
    Text(String),
    /// In a file.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
}

impl std::fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(_) => f.write_str("(hidden)"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
        }
    }
}

impl<'a> Section<'a> {
    /// The whole tree.
    pub fn root(item: &'a Item) -> Result<Self, SettingsError> {
        Self::of(item, String::new())
    }
    /// A table inside.
    pub fn section(&self, name: &str) -> Result<Section<'a>, SettingsError> {
        Section::of(self.item(name)?, join(&self.path, name))
    }
    /// A list of tables that have these names and no others.
    pub fn sections(&self, name: &str, known: &[&str]) -> Result<Vec<Section<'a>>, SettingsError> {
        let item = self.item(name)?;
        let Value::List(list) = &item.value else { return Err(self.wrong(name, item, "a list of tables")) };
        let path = |index: usize| format!("{}[{}]", join(&self.path, name), index + 1);
        list.iter().enumerate().map(|(index, item)| Section::of(item, path(index))?.only(known)).collect()
    }
    /// This table, if it has no other names than these.
    pub fn only(self, known: &[&str]) -> Result<Self, SettingsError> {
        match self.table.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(self),
            Some((name, item)) => {
                let known: Vec<String> = known.iter().map(|&name| name.to_owned()).collect();
                Err(unknown(known.iter(), name, &join(&self.path, name), item.origin.clone()))
            }
        }
    }
    fn of(item: &'a Item, path: String) -> Result<Self, SettingsError> {
        match &item.value {
            Value::Table(table) => Ok(Self { table, path, origin: &item.origin }),
            other => Err(SettingsError::Type {
                origin: item.origin.clone(),
                setting: path,
                expected: "a table".to_owned(),
                found: other.what().to_owned(),
            }),
        }
    }

    /// Whether this name is set.
    pub fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }
    fn item(&self, name: &str) -> Result<&'a Item, SettingsError> {
        self.table
            .get(name)
            .ok_or_else(|| SettingsError::Missing { origin: self.origin.clone(), setting: join(&self.path, name) })
    }
    /// A text as it stands.
    pub fn text(&self, name: &str) -> Result<&'a str, SettingsError> {
        match self.item(name)? {
            Item { value: Value::Text(text), .. } => Ok(text),
            other => Err(self.wrong(name, other, "a text")),
        }
    }
    /// A list of texts.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, SettingsError> {
        let item = self.item(name)?;
        let wrong = || self.wrong(name, item, "a list of texts");
        let Value::List(list) = &item.value else { return Err(wrong()) };
        let text = |item: &Item| match &item.value {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(wrong()),
        };
        list.iter().map(text).collect()
    }
    /// A text of some form.
    pub fn parsed<T: FromStr>(&self, name: &str) -> Result<T, SettingsError>
    where
        T::Err: std::fmt::Display,
    {
        self.text(name)?.parse().map_err(|error: T::Err| self.invalid(name, error.to_string()))
    }
    /// A text of some form, absent where it is empty or not set.
    pub fn optional<T: FromStr>(&self, name: &str) -> Result<Option<T>, SettingsError>
    where
        T::Err: std::fmt::Display,
    {
        if !self.has(name) || self.text(name)?.is_empty() { Ok(None) } else { self.parsed(name).map(Some) }
    }
    /// A whole number within these bounds.
    pub fn number(&self, name: &str, least: u64, most: u64) -> Result<u64, SettingsError> {
        match self.item(name)? {
            Item { value: Value::Integer(number), .. } => u64::try_from(*number)
                .ok()
                .filter(|number| (least..=most).contains(number))
                .ok_or_else(|| self.invalid(name, format!("must be {least} to {most}, not {number}"))),
            other => Err(self.wrong(name, other, "a whole number")),
        }
    }
    /// `true` or `false`.
    pub fn boolean(&self, name: &str) -> Result<bool, SettingsError> {
        match self.item(name)? {
            Item { value: Value::Boolean(boolean), .. } => Ok(*boolean),
            other => Err(self.wrong(name, other, "true or false")),
        }
    }
    /// A duration such as `10s`, within these bounds.
    pub fn duration(&self, name: &str, least: Duration, most: Duration) -> Result<Duration, SettingsError> {
        const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
        let text = self.text(name)?;
        let ms = quantity(text, &UNITS).ok_or_else(|| {
            self.invalid(name, format!("must be a number and ms, s, m, h or d, such as \"10s\", not {text:?}"))
        })?;
        let duration = Duration::from_millis(ms);
        if duration < least || duration > most {
            return Err(self.invalid(name, format!("must be {least:?} to {most:?}, not {text}")));
        }
        Ok(duration)
    }
    /// A size such as `20MiB`, within these bounds.
    pub fn size(&self, name: &str, least: u64, most: u64) -> Result<u64, SettingsError> {
        const UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
        let text = self.text(name)?;
        let bytes = quantity(text, &UNITS).ok_or_else(|| {
            self.invalid(name, format!("must be a number and B, KiB, MiB or GiB, such as \"20MiB\", not {text:?}"))
        })?;
        if !(least..=most).contains(&bytes) {
            return Err(self.invalid(name, format!("must be {least} to {most} bytes, not {text}")));
        }
        Ok(bytes)
    }
    /// Where a secret is: a text, `{ file = "…" }` or `{ env = "…" }`.
    pub fn secret(&self, name: &str) -> Result<SecretSource, SettingsError> {
        let item = self.item(name)?;
        match &item.value {
            Value::Text(text) => Ok(SecretSource::Text(text.clone())),
            Value::Table(table) => {
                let mut entries = table.iter();
                match (entries.next(), entries.next()) {
                    (Some((key, Item { value: Value::Text(text), .. })), None) if key == "file" => {
                        Ok(SecretSource::File(PathBuf::from(text)))
                    }
                    (Some((key, Item { value: Value::Text(text), .. })), None) if key == "env" => {
                        Ok(SecretSource::Variable(text.clone()))
                    }
                    _ => Err(self.wrong(name, item, "a text, { file = \"…\" } or { env = \"…\" }")),
                }
            }
            _ => Err(self.wrong(name, item, "a text, { file = \"…\" } or { env = \"…\" }")),
        }
    }
    /// The text of a secret; the file's path is taken from `base`. `None` where the file or variable is not there.
    pub fn secret_text(
        &self,
        name: &str,
        base: &std::path::Path,
        environment: &Environment,
    ) -> Result<Option<String>, SettingsError> {
        match self.secret(name)? {
            SecretSource::Text(text) => Ok(Some(text)),
            SecretSource::Variable(variable) => Ok(environment.get(&variable).map(str::to_owned)),
            SecretSource::File(path) => match std::fs::read_to_string(base.join(&path)) {
                Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(self.invalid(name, format!("{} cannot be read: {error}", base.join(path).display()))),
            },
        }
    }

    /// A refusal of this setting's value.
    pub fn invalid(&self, name: &str, problem: String) -> SettingsError {
        let origin = self.table.get(name).map_or(self.origin, |item| &item.origin).clone();
        SettingsError::Invalid { origin, setting: join(&self.path, name), problem }
    }
    fn wrong(&self, name: &str, found: &Item, expected: &str) -> SettingsError {
        SettingsError::Type {
            origin: found.origin.clone(),
            setting: join(&self.path, name),
            expected: expected.to_owned(),
            found: found.value.what().to_owned(),
        }
    }
}

/// A number and one of these units, without anything between or around.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor)?;
    number.parse::<u64>().ok()?.checked_mul(factor)
}
