//! What the API answered: read like any value, and printed as it came, its fields in the API's own order.

use std::ops::Deref;

use serde_json::{Value, value::RawValue};

/// Blanks for each level, on a terminal.
const INDENT: &str = "  ";

/// An answer of the API.
#[derive(Debug)]
pub struct Json {
    value: Value,
    text: String,
}

/// A page of a list, its rows as they came.
#[derive(serde::Deserialize)]
pub struct Page {
    pub data: Vec<Box<RawValue>>,
    #[serde(default)]
    pub next_cursor: Option<String>,
}

impl Json {
    /// From its text; no text is null.
    pub fn parse(text: &str) -> serde_json::Result<Self> {
        let text = if text.is_empty() { "null" } else { text };
        Ok(Self { value: serde_json::from_str(text)?, text: text.to_owned() })
    }
    /// A list of these rows.
    pub fn list(rows: &[Box<RawValue>], next_cursor: Option<&str>) -> serde_json::Result<Self> {
        let rows: Vec<&str> = rows.iter().map(|row| row.get()).collect();
        Self::parse(&format!("{{\"data\":[{}],\"next_cursor\":{}}}", rows.join(","), Value::from(next_cursor)))
    }
    /// For programs: in one line.
    pub fn line(&self) -> String {
        reformatted(&self.text, false)
    }
    /// For people's eyes: indented.
    pub fn lines(&self) -> String {
        reformatted(&self.text, true)
    }
    /// To be taken apart.
    pub fn into_value(self) -> Value {
        self.value
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self { text: value.to_string(), value }
    }
}
impl Deref for Json {
    type Target = Value;
    fn deref(&self) -> &Value {
        &self.value
    }
}

/// The same JSON with other blanks between its parts. `text` has been parsed: it is valid.
fn reformatted(text: &str, indented: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut depth = 0_usize;
    let (mut in_string, mut escaped) = (false, false);
    let turn = |out: &mut String, depth: usize| {
        if indented {
            out.push('\n');
            out.push_str(&INDENT.repeat(depth));
        }
    };
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                out.push(c);
            }
            c if c.is_ascii_whitespace() => {}
            '{' | '[' => {
                out.push(c);
                while rest.next_if(char::is_ascii_whitespace).is_some() {}
                if rest.peek().is_some_and(|next| matches!(next, '}' | ']')) {
                    out.extend(rest.next());
                } else {
                    depth += 1;
                    turn(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                turn(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                turn(&mut out, depth);
            }
            ':' if indented => out.push_str(": "),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_printed_as_it_came_with_other_blanks_only() {
        let text = "{ \"z\": [ ], \"a\":{\"s\":\"a\\\\\\\"{,: ]\",\"n\":1.50,\"l\":[1,\n2]} ,\"e\":{}}";
        let json = Json::parse(text).unwrap();
        assert_eq!(json.line(), r#"{"z":[],"a":{"s":"a\\\"{,: ]","n":1.50,"l":[1,2]},"e":{}}"#);
        let lines = "{\n  \"z\": [],\n  \"a\": {\n    \"s\": \"a\\\\\\\"{,: ]\",\n    \"n\": 1.50,\n    \"l\": [\n      1,\n      2\n    ]\n  },\n  \"e\": {}\n}";
        assert_eq!(json.lines(), lines);
        for text in [json.line(), json.lines()] {
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), *json);
        }
        assert_eq!(Json::parse("").unwrap().line(), "null");
    }

    #[test]
    fn rows_of_several_pages_are_one_list() {
        let page: Page = serde_json::from_str(r#"{"data":[{"b":1,"a":2}],"next_cursor":null}"#).unwrap();
        let list = Json::list(&page.data, Some("k\"1")).unwrap();
        assert_eq!(list.line(), r#"{"data":[{"b":1,"a":2}],"next_cursor":"k\"1"}"#);
    }
}
