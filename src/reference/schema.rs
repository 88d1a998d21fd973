//! Schemas of the OpenAPI document in words: a value's type, an object's fields, an example of it.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::cell;

/// Where objects are described in the document.
const OBJECTS: &str = "#/components/schemas/";
/// How deep an example goes: no object of ours is deeper, and one that held itself would have no end.
const DEEPEST: usize = 8;

/// The objects of a document, by name.
#[derive(Clone, Copy)]
pub struct Schemas<'a>(pub &'a Map<String, Value>);

/// A value's text under a name.
pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A value's list under a name.
pub fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The name of the object that a schema refers to.
pub fn referred(schema: &Value) -> Option<&str> {
    schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix(OBJECTS))
}

/// The object behind `List_Key` and `Changed_Key`, which are described once for all.
fn wrapped(name: &str) -> Option<(&str, &str)> {
    name.split_once('_').filter(|(how, _)| ["List", "Changed"].contains(how))
}

/// A link to where an object is described.
pub fn link(name: &str) -> String {
    match wrapped(name) {
        Some(("List", of)) => format!("a page of a list of [{of}](#object-{})", of.to_lowercase()),
        Some((_, of)) => {
            format!("[{of}](#object-{}) with [what proves the change](#changes-and-their-proof)", of.to_lowercase())
        }
        None => format!("[{name}](#object-{})", name.to_lowercase()),
    }
}

impl<'a> Schemas<'a> {
    /// The objects that are described one by one, in order.
    pub fn described(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.0.iter().map(|(name, schema)| (name.as_str(), schema)).filter(|(name, _)| wrapped(name).is_none())
    }

    /// The schema itself, or the object that it refers to.
    fn resolved<'s>(self, schema: &'s Value) -> &'s Value
    where
        'a: 's,
    {
        referred(schema).and_then(|name| self.0.get(name)).unwrap_or(schema)
    }

    /// An object's fields: name, schema, whether it must be there.
    fn fields<'s>(self, schema: &'s Value) -> Vec<(&'s str, &'s Value, bool)>
    where
        'a: 's,
    {
        let schema = self.resolved(schema);
        let required = list(schema, "required");
        let own = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let own = own.map(|(name, field)| (name.as_str(), field, required.iter().any(|one| one == name)));
        let parts = list(schema, "allOf").iter().flat_map(|part| self.fields(part));
        parts.chain(own).collect()
    }

    /// What type a value is of, in words.
    pub fn type_of(self, schema: &Value) -> String {
        if let Some(name) = referred(schema) {
            return link(name);
        }
        let choices = list(schema, "oneOf");
        if !choices.is_empty() {
            return choices.iter().map(|choice| self.type_of(choice)).collect::<Vec<_>>().join(" or ");
        }
        let words = list(schema, "enum");
        if !words.is_empty() {
            return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        }
        let kinds = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(kind)) => vec![kind.as_str()],
            _ => Vec::new(),
        };
        let kinds = kinds.into_iter().map(|kind| match (kind, text(schema, "format")) {
            ("string", "date-time") => "time".to_owned(),
            ("string", _) => "text".to_owned(),
            ("integer", _) => "whole number".to_owned(),
            ("boolean", _) => "true or false".to_owned(),
            ("array", _) => format!("list of {}", schema.get("items").map_or_else(String::new, |of| self.type_of(of))),
            (other, _) => other.to_owned(),
        });
        kinds.collect::<Vec<_>>().join(" or ")
    }

    /// A table of an object's fields, or its words; nothing where it has neither.
    pub fn table(self, schema: &Value) -> String {
        let fields = self.fields(schema);
        if fields.is_empty() {
            let kind = self.type_of(self.resolved(schema));
            return if kind.is_empty() { String::new() } else { format!("One of {kind}.\n\n") };
        }
        let is_sent = is_sent(self.resolved(schema));
        let mut table = String::from("| field | type | what it is |\n|---|---|---|\n");
        for (name, field, is_required) in fields {
            let must = if is_sent && is_required { "Required. " } else { "" };
            // Beside a reference or a choice, its description stands with it.
            let about = std::iter::once(field).chain(list(field, "oneOf")).map(|one| text(one, "description"));
            let about = about.clone().find(|about| !about.is_empty()).unwrap_or_default();
            let (kind, about, bounds) = (cell(&self.type_of(field)), cell(about), bounds(field));
            let what = [format!("{must}{about}"), bounds].into_iter().filter(|part| !part.is_empty());
            let _ = writeln!(table, "| `{name}` | {kind} | {} |", what.collect::<Vec<_>>().join(" ").trim());
        }
        table.push('\n');
        table
    }

    /// An example of a value: its own, or made of its fields'.
    pub fn example(self, schema: &Value) -> Value {
        self.example_at(schema, 0)
    }

    fn example_at(self, schema: &Value, depth: usize) -> Value {
        if let Some(example) = schema.get("example").or_else(|| list(schema, "examples").first()) {
            return example.clone();
        }
        if depth > DEEPEST {
            return Value::Null;
        }
        let schema = self.resolved(schema);
        if let Some(choice) = list(schema, "oneOf").first() {
            return self.example_at(choice, depth + 1);
        }
        if let Some(word) = list(schema, "enum").first() {
            return word.clone();
        }
        let fields = self.fields(schema);
        if !fields.is_empty() {
            let examples =
                fields.into_iter().map(|(name, field, must)| (name, self.example_at(field, depth + 1), must));
            // What may be left out of a body is left out where there is nothing to say.
            let said = examples.filter(|(_, example, must)| *must || !is_sent(schema) || !example.is_null());
            return said.map(|(name, example, _)| (name.to_owned(), example)).collect::<Map<_, _>>().into();
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("array") => schema.get("items").map_or(json!([]), |of| json!([self.example_at(of, depth + 1)])),
            Some("object") => json!({}),
            Some("boolean") => json!(false),
            Some("integer" | "number") => json!(0),
            Some("string") => json!("text"),
            _ => Value::Null,
        }
    }
}

/// Whether an object is one that is sent: it may hold nothing else.
fn is_sent(schema: &Value) -> bool {
    schema.get("additionalProperties") == Some(&json!(false))
}

/// What bounds a value has, in words.
fn bounds(schema: &Value) -> String {
    let number = |name: &str| schema.get(name).and_then(Value::as_u64);
    let range = |least: Option<u64>, most: Option<u64>, of: &str| match (least, most) {
        (Some(least), Some(most)) => format!("{least} to {most}{of}."),
        (None, Some(most)) => format!("At most {most}{of}."),
        (Some(least), None) if least > 0 => format!("At least {least}{of}."),
        _ => String::new(),
    };
    let default = schema.get("default").map_or_else(String::new, |value| format!("Default: `{value}`."));
    let parts = [
        range(number("minLength"), number("maxLength"), " characters"),
        range(number("minItems"), number("maxItems"), " of them"),
        range(number("minimum"), number("maximum"), ""),
        default,
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}
