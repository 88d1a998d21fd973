//! The bodies of `GET models` and `GET models/{model}`, in OpenAI's shape.

use bytes::Bytes;
use serde::Serialize;

/// One model as a client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelEntry<'a> {
    /// The public name.
    pub id: &'a str,
    /// When it entered the catalogue, in Unix seconds.
    pub created: i64,
    /// Who offers it.
    pub owned_by: &'a str,
}

#[derive(Serialize)]
struct Object<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    owned_by: &'a str,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Object<'a>>,
}

impl<'a> From<ModelEntry<'a>> for Object<'a> {
    fn from(entry: ModelEntry<'a>) -> Self {
        Self { id: entry.id, object: "model", created: entry.created, owned_by: entry.owned_by }
    }
}

/// The body of `GET models`, in the order given.
#[must_use]
pub fn list<'a>(models: impl IntoIterator<Item = ModelEntry<'a>>) -> Bytes {
    body(&List { object: "list", data: models.into_iter().map(Object::from).collect() })
}

/// The body of `GET models/{model}`.
#[must_use]
pub fn one(model: ModelEntry<'_>) -> Bytes {
    body(&Object::from(model))
}

fn body(value: &impl Serialize) -> Bytes {
    // Text and numbers under fixed names: serialising them cannot fail.
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const QWEN: ModelEntry<'static> = ModelEntry { id: "qwen3-32b", created: 1_700_000_000, owned_by: "tollgate" };

    #[test]
    fn a_list_has_openais_shape() {
        insta::assert_snapshot!(String::from_utf8_lossy(&list([QWEN])), @r#"{"object":"list","data":[{"id":"qwen3-32b","object":"model","created":1700000000,"owned_by":"tollgate"}]}"#);
        insta::assert_snapshot!(String::from_utf8_lossy(&list([])), @r#"{"object":"list","data":[]}"#);
    }

    #[test]
    fn one_model_has_openais_shape_and_its_name_is_escaped() {
        let odd = ModelEntry { id: "a\"b", ..QWEN };
        insta::assert_snapshot!(String::from_utf8_lossy(&one(odd)), @r#"{"id":"a\"b","object":"model","created":1700000000,"owned_by":"tollgate"}"#);
    }
}
