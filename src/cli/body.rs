//! The body of a call, of the fields that were given.

use serde::Serialize;
use serde_json::{Map, Value};

use super::failure::Failure;

/// A JSON object that is being put together.
#[derive(Default)]
pub struct Body(Map<String, Value>);

impl Body {
    /// Sets a field, if it is given.
    #[must_use]
    pub fn set(mut self, field: &str, value: Option<impl Serialize>) -> Self {
        let value = value.and_then(|value| serde_json::to_value(value).ok());
        self.0.extend(value.map(|value| (field.to_owned(), value)));
        self
    }
    /// Sets a field to a text, or to nothing where the text is empty.
    #[must_use]
    pub fn set_or_clear(self, field: &str, text: Option<&String>) -> Self {
        self.set(field, text.map(|text| if text.is_empty() { Value::Null } else { Value::from(text.as_str()) }))
    }
    /// The object.
    pub fn done(self) -> Value {
        Value::Object(self.0)
    }
    /// The object of an edit, which must change something.
    pub fn change(self) -> Result<Value, Failure> {
        if self.0.is_empty() {
            return Err(Failure::Usage("nothing to change: say what, with one of the options in --help".to_owned()));
        }
        Ok(self.done())
    }
}
