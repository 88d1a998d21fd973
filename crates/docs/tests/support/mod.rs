//! The documentation that the tests read.

use tollgate_docs::{Docs, Sources, Values};

/// Our pages, about a deployment with two models.
pub fn docs() -> Docs {
    let values = Values {
        product: "Tollgate".into(),
        url: "https://ai.example.com".into(),
        base_url: "https://ai.example.com/v1".into(),
        key_prefix: "tg".into(),
        contact_url: "mailto:sales@example.com".into(),
        model: Some("qwen3-32b".into()),
        models: vec!["qwen3-32b".into(), "bge-m3".into()],
    };
    Docs::new(&Sources::built_in(), &values).unwrap()
}
