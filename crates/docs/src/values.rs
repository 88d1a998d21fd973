//! This deployment's values, put into pages where `{{name}}` stands.
//!
//! A value is text, never Markdown: in prose what has a meaning there is escaped, in code it stands as it is, in a link's
//! address it is percent-encoded. Characters that could end the code or the line they stand in are no part of any value.

use std::{fmt::Write as _, ops::Range};

use pulldown_cmark::{Event, Parser, Tag};

use crate::{Lang, render::OPTIONS};

/// The longest value, in characters.
const LONGEST_VALUE: usize = 2_000;
/// How many models are named in a list.
const MOST_MODELS_NAMED: usize = 30;
/// Stands where a deployment has no model yet.
const NO_MODEL: &str = "MODEL";

/// What pages say of this deployment: nothing that a stranger may not know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    /// The program's name.
    pub product: String,
    /// Where people reach it, without a slash at the end.
    pub url: String,
    /// What clients take as their base URL.
    pub base_url: String,
    /// What keys begin with.
    pub key_prefix: String,
    /// Where to ask for a plan.
    pub contact_url: String,
    /// The model that samples use.
    pub model: Option<String>,
    /// The models that are offered.
    pub models: Vec<String>,
}

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Prose,
    Code,
    Address,
}

/// What the pages may name.
pub const PLACEHOLDERS: [&str; 7] = ["base_url", "url", "key_prefix", "contact_url", "model", "models", "product"];

impl Values {
    /// The page with the values in it. What is no placeholder stays as it stands.
    #[must_use]
    pub fn fill(&self, page: &str, lang: Lang) -> String {
        let places = Places::of(page);
        let mut filled = String::with_capacity(page.len() + page.len() / 8);
        let mut at = 0;
        while let Some((before, behind)) = page.get(at..).and_then(|rest| rest.split_once("{{")) {
            let begins = at + before.len();
            filled.push_str(before);
            let value =
                behind.split_once("}}").and_then(|(name, _)| Some((name, self.value(name, places.at(begins), lang)?)));
            match value {
                Some((name, value)) => {
                    filled.push_str(&value);
                    at = begins + name.len() + "{{}}".len();
                }
                None => {
                    filled.push_str("{{");
                    at = begins + "{{".len();
                }
            }
        }
        filled.push_str(page.get(at..).unwrap_or_default());
        filled
    }

    fn value(&self, name: &str, place: Place, lang: Lang) -> Option<String> {
        let text = match name {
            "base_url" => &self.base_url,
            "url" => &self.url,
            "key_prefix" => &self.key_prefix,
            "contact_url" => &self.contact_url,
            "product" => &self.product,
            "model" => self.model.as_deref().unwrap_or(NO_MODEL),
            "models" => return Some(self.list(place, lang)),
            _ => return None,
        };
        Some(placed(text, place))
    }

    /// The models, each as code.
    fn list(&self, place: Place, lang: Lang) -> String {
        if self.models.is_empty() {
            return match lang {
                Lang::En => "none yet".to_owned(),
                Lang::Vi => "chưa có".to_owned(),
            };
        }
        let quote = if place == Place::Prose { "`" } else { "" };
        let named = self.models.iter().take(MOST_MODELS_NAMED);
        let named: Vec<String> = named
            .map(|model| format!("{quote}{}{quote}", placed(model, if quote.is_empty() { place } else { Place::Code })))
            .collect();
        let mut list = named.join(", ");
        let left = self.models.len().saturating_sub(MOST_MODELS_NAMED);
        if left > 0 {
            let _ = match lang {
                Lang::En => write!(list, " and {left} more"),
                Lang::Vi => write!(list, " và {left} mô hình khác"),
            };
        }
        list
    }
}

/// Where in a page code, text and links stand.
struct Places {
    code: Vec<Range<usize>>,
    prose: Vec<Range<usize>>,
    links: Vec<Range<usize>>,
}

impl Places {
    fn of(page: &str) -> Self {
        let mut places = Self { code: Vec::new(), prose: Vec::new(), links: Vec::new() };
        for (event, range) in Parser::new_ext(page, OPTIONS).into_offset_iter() {
            match event {
                Event::Code(_) | Event::Start(Tag::CodeBlock(_)) => places.code.push(range),
                Event::Text(_) => places.prose.push(range),
                Event::Start(Tag::Link { .. } | Tag::Image { .. }) => places.links.push(range),
                _ => {}
            }
        }
        places
    }
    fn at(&self, position: usize) -> Place {
        let stands_in = |ranges: &[Range<usize>]| ranges.iter().any(|range| range.contains(&position));
        match () {
            () if stands_in(&self.code) => Place::Code,
            () if stands_in(&self.prose) || !stands_in(&self.links) => Place::Prose,
            () => Place::Address,
        }
    }
}

/// A value as it may stand there.
fn placed(text: &str, place: Place) -> String {
    let plain = text.chars().filter(|c| !c.is_control() && !matches!(c, '`' | '|')).take(LONGEST_VALUE);
    let mut placed = String::with_capacity(text.len() + 8);
    for letter in plain {
        match place {
            Place::Code => placed.push(letter),
            Place::Prose => {
                let begins_a_list = placed.is_empty() && matches!(letter, '-' | '+' | '=')
                    || letter == '.' && placed.bytes().all(|byte| byte.is_ascii_digit());
                if begins_a_list
                    || matches!(
                        letter,
                        '\\' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '#' | '!' | '~' | '{' | '}' | '(' | ')' | '$'
                    )
                {
                    placed.push('\\');
                }
                placed.push(letter);
            }
            Place::Address
                if letter.is_whitespace()
                    || matches!(letter, '(' | ')' | '<' | '>' | '"' | '\'' | '\\' | '{' | '}') =>
            {
                for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(placed, "%{byte:02X}");
                }
            }
            Place::Address => placed.push(letter),
        }
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        Values {
            product: "Tollgate".into(),
            url: "https://ai.example.com".into(),
            base_url: "https://ai.example.com/v1".into(),
            key_prefix: "tg".into(),
            contact_url: "mailto:sales@example.com".into(),
            model: Some("qwen3-32b".into()),
            models: vec!["qwen3-32b".into(), "embed_small".into()],
        }
    }

    #[test]
    fn values_stand_in_prose_code_and_links() {
        let page = "Send to `{{base_url}}` ([{{url}}]({{url}}), [ask]({{contact_url}})): {{models}}. {{nothing}} {{model\n\n```sh\ncurl {{base_url}}/x -d '{{model}}' {{models}}\n```\n";
        let filled = values().fill(page, Lang::En);
        assert_eq!(
            filled,
            "Send to `https://ai.example.com/v1` ([https://ai.example.com](https://ai.example.com), [ask](mailto:sales@example.com)): \
             `qwen3-32b`, `embed_small`. {{nothing}} {{model\n\n```sh\ncurl https://ai.example.com/v1/x -d 'qwen3-32b' qwen3-32b, embed_small\n```\n"
        );
    }

    #[test]
    fn a_deployment_without_models_says_so_and_many_are_counted() {
        let empty = Values { model: None, models: Vec::new(), ..values() };
        assert_eq!(empty.fill("{{models}} `{{model}}`", Lang::En), "none yet `MODEL`");
        assert_eq!(empty.fill("{{models}}", Lang::Vi), "chưa có");
        let many = Values { models: (0..33).map(|n| format!("m{n}")).collect(), ..values() };
        assert!(many.fill("{{models}}", Lang::En).ends_with("`m29` and 3 more"));
    }

    /// However hostile, a value is the text that it is.
    #[test]
    fn a_value_is_text_wherever_it_stands() {
        let hostile = "x](javascript:alert(1)) <script>alert(1)</script> **b** _i_ `c` | \n\n# h\n\n[l](http://evil.example) &lt; {{url}} \"' \\";
        let values = Values { url: hostile.into(), base_url: hostile.into(), models: vec![hostile.into()], ..values() };
        let page = "Prose {{url}} and `{{base_url}}`, [text {{url}}](https://a.example/{{base_url}}) {{models}}\n\n| a | b |\n|---|---|\n| {{url}} | `{{base_url}}` |\n\n```text\n{{url}}\n```\n";
        let filled = values.fill(page, Lang::En);
        let mut html = String::new();
        pulldown_cmark::html::push_html(&mut html, Parser::new_ext(&filled, OPTIONS));
        for markup in ["<script", "<strong>", "<em>", "<h1", "evil.example\"", "href=\"javascript", "<del>"] {
            assert!(!html.contains(markup), "{markup} in {html}");
        }
        assert_eq!(html.matches("<a ").count(), 1, "{html}");
        assert_eq!(html.matches("<code").count(), 4, "{html}");
        assert_eq!(html.matches("<td>").count(), 2, "{html}");
    }
}
