//! Splicing, by examples and against a model of documents made of known parts.

use proptest::{prelude::*, sample::select};
use serde_json::Value;

use super::*;
use crate::peek::peek;

fn spliced(body: &str, changes: &Changes<'_>) -> String {
    String::from_utf8(splice(&peek(body.to_owned().into()).unwrap(), changes).to_vec()).unwrap()
}
const FINAL: Changes<'static> = Changes { model: None, stream_usage: StreamUsage::Final };
const CONTINUOUS: Changes<'static> = Changes { model: None, stream_usage: StreamUsage::Continuous };

#[test]
fn a_body_that_needs_no_change_is_not_copied() {
    let body = Bytes::from_static(br#"{"mod\u0065l":"\u0061","stream":true,"stream_options":{"include_usage":true}}"#);
    let peeked = peek(body.clone()).unwrap();
    let same = splice(&peeked, &Changes { model: Some("a"), stream_usage: StreamUsage::Final });
    assert_eq!((same.as_ptr(), same.len()), (body.as_ptr(), body.len()));
}

#[test]
fn the_model_is_renamed_in_its_place() {
    let body = r#"{ "x":"a", "model" : "a" , "y":[{"model":"a"}]}"#;
    let changes = Changes { model: Some("Qwen/\"3\""), ..Changes::default() };
    assert_eq!(spliced(body, &changes), r#"{ "x":"a", "model" : "Qwen/\"3\"" , "y":[{"model":"a"}]}"#);
}

#[test]
fn usage_is_switched_on_in_streams_only() {
    assert_eq!(spliced(r#"{"model":"a"}"#, &CONTINUOUS), r#"{"model":"a"}"#);
    assert_eq!(spliced(r#"{"model":"a","stream":false}"#, &CONTINUOUS), r#"{"model":"a","stream":false}"#);
}

#[test]
fn usage_is_switched_on_whatever_the_options_are() {
    let with = |options: &str| format!(r#"{{"model":"a","stream":true{options} }}"#);
    for (before, after, continuous) in [
        (
            "",
            r#","stream_options":{"include_usage":true}"#,
            r#","stream_options":{"include_usage":true,"continuous_usage_stats":true}"#,
        ),
        (
            r#","stream_options": null"#,
            r#","stream_options": {"include_usage":true}"#,
            r#","stream_options": {"include_usage":true,"continuous_usage_stats":true}"#,
        ),
        (
            r#","stream_options":{ }"#,
            r#","stream_options":{"include_usage":true }"#,
            r#","stream_options":{"include_usage":true,"continuous_usage_stats":true }"#,
        ),
        (
            r#","stream_options":{"x": 1 }"#,
            r#","stream_options":{"x": 1,"include_usage":true }"#,
            r#","stream_options":{"x": 1,"include_usage":true,"continuous_usage_stats":true }"#,
        ),
        (
            r#","stream_options":{"include_usage": false}"#,
            r#","stream_options":{"include_usage": true}"#,
            r#","stream_options":{"include_usage": true,"continuous_usage_stats":true}"#,
        ),
        (
            r#","stream_options":{"include_usage":null,"x":1}"#,
            r#","stream_options":{"include_usage":true,"x":1}"#,
            r#","stream_options":{"include_usage":true,"x":1,"continuous_usage_stats":true}"#,
        ),
        (
            r#","stream_options":{"include_usage":true}"#,
            r#","stream_options":{"include_usage":true}"#,
            r#","stream_options":{"include_usage":true,"continuous_usage_stats":true}"#,
        ),
        (
            r#","stream_options":{"continuous_usage_stats":false}"#,
            r#","stream_options":{"continuous_usage_stats":false,"include_usage":true}"#,
            r#","stream_options":{"continuous_usage_stats":true,"include_usage":true}"#,
        ),
    ] {
        assert_eq!(spliced(&with(before), &FINAL), with(after));
        assert_eq!(spliced(&with(before), &CONTINUOUS), with(continuous));
    }
}

/// A member of an object: what it is, blanks, name as spelt, blanks, value, blanks.
#[derive(Debug, Clone)]
struct Part {
    kind: &'static str,
    before: &'static str,
    name: String,
    around_colon: &'static str,
    value: String,
    after: &'static str,
}

/// The text of an object with these members; an empty one has `blank` inside.
fn text_of(parts: &[Part], blank: &str) -> String {
    let text = |p: &Part| format!("{}{}{}:{}{}{}", p.before, p.name, p.around_colon, p.around_colon, p.value, p.after);
    let members: Vec<_> = parts.iter().map(text).collect();
    format!("{{{}{}}}", if parts.is_empty() { blank } else { "" }, members.join(","))
}

/// The same with `members` put in behind the last value.
fn with_members(mut parts: Vec<Part>, blank: &str, members: &[&str]) -> String {
    let members = members.join(",");
    match parts.last_mut() {
        None => format!("{{{members}{blank}}}"),
        Some(last) => {
            if !members.is_empty() {
                last.value = format!("{},{members}", last.value);
            }
            text_of(&parts, blank)
        }
    }
}

#[derive(Debug, Clone)]
enum Options {
    Absent,
    Null,
    Object(Vec<Part>, &'static str),
}

#[derive(Debug, Clone)]
struct Document {
    /// `stream_options` without its value, which `options` has.
    parts: Vec<Part>,
    options: Options,
}

impl Document {
    fn text(&self) -> String {
        let options = match &self.options {
            Options::Object(parts, blank) => text_of(parts, blank),
            _ => "null".into(),
        };
        text_of(
            &self.with(|part| {
                if part.kind == "stream_options" {
                    part.value = options.clone()
                }
            }),
            "",
        )
    }
    fn with(&self, change: impl Fn(&mut Part)) -> Vec<Part> {
        let mut parts = self.parts.clone();
        parts.iter_mut().for_each(change);
        parts
    }
    fn is_on(&self, kind: &str) -> bool {
        self.parts.iter().any(|part| part.kind == kind && part.value == "true")
    }
    /// What splicing should make of it.
    fn expected(&self, model: &str, wanted: &[&'static str]) -> String {
        let wanted = if self.is_on("stream") { wanted } else { &[] };
        let switched_on = |name: &str| format!("\"{name}\":true");
        let all: Vec<_> = wanted.iter().map(|name| switched_on(name)).collect();
        let options = match &self.options {
            Options::Object(parts, blank) => {
                let mut parts = parts.clone();
                for part in parts.iter_mut().filter(|part| wanted.contains(&part.kind)) {
                    part.value = "true".into();
                }
                let is_missing = |name: &&&str| !parts.iter().any(|part| part.kind == **name);
                let missing: Vec<_> = wanted.iter().filter(is_missing).map(|name| switched_on(name)).collect();
                let missing: Vec<_> = missing.iter().map(String::as_str).collect();
                if missing.is_empty() { text_of(&parts, blank) } else { with_members(parts, blank, &missing) }
            }
            _ if wanted.is_empty() => "null".into(),
            _ => format!("{{{}}}", all.join(",")),
        };
        let parts = self.with(|part| match part.kind {
            "model" => part.value = format!("\"{model}\""),
            "stream_options" => part.value.clone_from(&options),
            _ => {}
        });
        match self.options {
            Options::Absent if !wanted.is_empty() => {
                with_members(parts, "", &[&format!("\"stream_options\":{options}")])
            }
            _ => text_of(&parts, ""),
        }
    }
}

fn blanks() -> impl Strategy<Value = &'static str> {
    select(&["", "", " ", "\n\t", " \r\n "][..])
}

fn part(kind: &'static str, name: &str, values: impl Strategy<Value = String> + 'static) -> BoxedStrategy<Part> {
    let first = name.chars().next().unwrap();
    let names = vec![format!("\"{name}\""), format!("\"\\u{:04x}{}\"", first as u32, &name[first.len_utf8()..])];
    (blanks(), select(names), blanks(), values, blanks())
        .prop_map(move |(before, name, around_colon, value, after)| Part {
            kind,
            before,
            name,
            around_colon,
            value,
            after,
        })
        .boxed()
}

fn one_of(values: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(values).prop_map(String::from)
}

fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        one_of(&["null", "true", "-0.5e+7", "12", "\"\"", "{}", "[]", "\"\\\\\"", "\"\\\"model\\\":\\\"x\\\"\""]),
        any::<String>().prop_map(|text| Value::from(text).to_string()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let name = select(&["model", "stream", "include_usage", "x"][..]);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|values| format!("[ {} ]", values.join(" ,"))),
            proptest::collection::vec((name, inner), 0..4).prop_map(|members| {
                let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\" :{value}")).collect();
                format!("{{ {} }}", members.join(", "))
            }),
        ]
    })
}

fn others() -> impl Strategy<Value = Vec<Part>> {
    const NAMES: &[&str] = &["messages", "modules", "mode", "ünï", "temperature"];
    proptest::collection::vec(select(NAMES).prop_flat_map(|name| part("", name, any_json())), 0..4)
}

fn options() -> impl Strategy<Value = Options> {
    let switch = |name| proptest::option::of(part(name, name, one_of(&["true", "false", "null"])));
    let object = (switch("include_usage"), switch("continuous_usage_stats"), others(), blanks())
        .prop_flat_map(|(usage, running, others, blank)| {
            let parts: Vec<_> = usage.into_iter().chain(running).chain(others).collect();
            (Just(parts).prop_shuffle(), Just(blank))
        })
        .prop_map(|(parts, blank)| Options::Object(parts, blank));
    prop_oneof![Just(Options::Absent), Just(Options::Null), object]
}

fn document() -> impl Strategy<Value = Document> {
    let model = part("model", "model", one_of(&["\"a\"", "\"\\u0061\"", "\"Qwen/Qwen3\""]));
    let stream = proptest::option::of(part("stream", "stream", one_of(&["true", "true", "false", "null"])));
    (model, stream, others(), options(), part("stream_options", "stream_options", Just(String::new())))
        .prop_flat_map(|(model, stream, others, options, part)| {
            let part = Some(part).filter(|_| !matches!(options, Options::Absent));
            let parts: Vec<_> = std::iter::once(model).chain(stream).chain(others).chain(part).collect();
            (Just(parts).prop_shuffle(), Just(options))
        })
        .prop_map(|(parts, options)| Document { parts, options })
}

proptest! {
    #[test]
    fn only_what_must_change_changes(document in document()) {
        let text = document.text();
        let value: Value = serde_json::from_str(&text).unwrap();
        for (stream_usage, wanted) in [
            (StreamUsage::AsSent, &[][..]),
            (StreamUsage::Final, &["include_usage"][..]),
            (StreamUsage::Continuous, &["include_usage", "continuous_usage_stats"][..]),
        ] {
            let result = spliced(&text, &Changes { model: Some("other/model"), stream_usage });
            prop_assert_eq!(&result, &document.expected("other/model", wanted));

            let mut expected = value.clone();
            expected["model"] = "other/model".into();
            for name in wanted.iter().filter(|_| document.is_on("stream")) {
                expected["stream_options"][name] = true.into();
            }
            prop_assert_eq!(serde_json::from_str::<Value>(&result).unwrap(), expected);
        }
    }

    #[test]
    fn peek_reads_what_serde_json_reads(document in document()) {
        let text = document.text();
        let value: Value = serde_json::from_str(&text).unwrap();
        let peeked = peek(text.into()).unwrap();
        prop_assert_eq!(peeked.model(), value["model"].as_str().unwrap());
        prop_assert_eq!(peeked.stream(), value["stream"] == true);
        prop_assert_eq!(peeked.include_usage(), value["stream_options"]["include_usage"] == true);
        prop_assert_eq!(peeked.continuous_usage_stats(), value["stream_options"]["continuous_usage_stats"] == true);
    }

    #[test]
    fn a_second_model_is_refused_wherever_it_stands(
        document in document(), second in part("", "model", any_json()), at in any::<prop::sample::Index>(),
    ) {
        let mut document = document;
        document.parts.insert(at.index(document.parts.len() + 1), second);
        prop_assert!(peek(document.text().into()).is_err());
    }

    #[test]
    fn peek_takes_any_bytes_and_only_json(bytes in proptest::collection::vec(any::<u8>(), 0..64), document in document(), at in any::<prop::sample::Index>()) {
        // As they are, and in the place of a byte of a document.
        let text = document.text().into_bytes();
        let at = at.index(text.len());
        for body in [bytes.clone(), [&text[..at], &bytes[..], &text[at + 1..]].concat()] {
            if peek(body.clone().into()).is_ok() {
                prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok());
            }
        }
    }
}
