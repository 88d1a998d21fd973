//! Sheets that many areas have alike: a question before something happens, and a name with a new text.

use askama::Template;
use axum::response::Response;
use http::StatusCode;

use super::{
    Chrome, FieldErrors, Lang, render,
    texts::{Errors, OpCommon},
};

/// A question before something happens.
pub(super) struct Confirm {
    /// Whose words.
    pub(super) lang: Lang,
    /// What is asked.
    pub(super) title: String,
    /// What will happen.
    pub(super) lines: Vec<String>,
    /// What it happens to, by name.
    pub(super) named: Vec<String>,
    /// How many more there are.
    pub(super) more: Option<String>,
    /// Where the form goes.
    pub(super) action: String,
    /// Where Cancel leads.
    pub(super) back: String,
    /// The button's words.
    pub(super) button: &'static str,
    /// Something stops by it.
    pub(super) harmful: bool,
    /// It can be done at all; else only why not is said.
    pub(super) possible: bool,
    /// The version of what was asked about, where its state decides.
    pub(super) version: Option<i64>,
}

#[derive(Template)]
#[template(path = "operator/confirm.html")]
struct ConfirmPage {
    chrome: Chrome,
    e: &'static Errors,
    errors: FieldErrors,
    title: String,
    lines: Vec<String>,
    named: Vec<String>,
    more: Option<String>,
    action: String,
    back: String,
    button: &'static str,
    harmful: bool,
    possible: bool,
    version: Option<i64>,
}

impl Confirm {
    /// An empty one, to be filled in.
    pub(super) const fn new(lang: Lang) -> Self {
        Self {
            lang,
            title: String::new(),
            lines: Vec::new(),
            named: Vec::new(),
            more: None,
            action: String::new(),
            back: String::new(),
            button: "",
            harmful: true,
            possible: true,
            version: None,
        }
    }
    /// The page of the question.
    pub(super) fn page(self, chrome: Chrome) -> Response {
        self.render(chrome, FieldErrors::default(), StatusCode::OK)
    }
    /// The page again, saying why it was not done.
    pub(super) fn refused(self, chrome: Chrome, why: &str) -> Response {
        let mut errors = FieldErrors::default();
        errors.add("", why);
        self.render(chrome, errors, StatusCode::UNPROCESSABLE_ENTITY)
    }
    fn render(self, chrome: Chrome, errors: FieldErrors, status: StatusCode) -> Response {
        let page = ConfirmPage {
            chrome,
            e: Errors::of(self.lang),
            errors,
            title: self.title,
            lines: self.lines,
            named: self.named,
            more: self.more,
            action: self.action,
            back: self.back,
            button: self.button,
            harmful: self.harmful,
            possible: self.possible,
            version: self.version,
        };
        render(status, &page)
    }
}

/// One name in one field.
pub(super) struct Rename {
    /// The heading.
    pub(super) title: &'static str,
    /// The field's words.
    pub(super) label: &'static str,
    /// Where the form goes.
    pub(super) action: String,
    /// Where Cancel leads.
    pub(super) back: String,
    /// The version that was read.
    pub(super) version: i64,
}

#[derive(Template)]
#[template(path = "operator/rename.html")]
struct RenamePage {
    chrome: Chrome,
    c: &'static OpCommon,
    e: &'static Errors,
    title: &'static str,
    label: &'static str,
    action: String,
    back: String,
    version: i64,
    now: Option<String>,
    typed: String,
    errors: FieldErrors,
}

impl Rename {
    /// The page, with what was typed, and what it is now where somebody else changed it.
    pub(super) fn page(self, chrome: Chrome, typed: &str, now: Option<String>, errors: FieldErrors) -> Response {
        let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let lang = chrome.look.lang;
        let page = RenamePage {
            chrome,
            c: OpCommon::of(lang),
            e: Errors::of(lang),
            title: self.title,
            label: self.label,
            action: self.action,
            back: self.back,
            version: self.version,
            now,
            typed: typed.to_owned(),
            errors,
        };
        render(status, &page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::{Look, hostile};

    #[test]
    fn hostile_names_stay_text_in_both_languages() {
        for lang in Lang::ALL {
            let chrome = || Chrome::bare(Look { lang, ..Look::default() });
            for name in hostile::NAMES {
                let mut errors = FieldErrors::default();
                errors.add("name", *name);
                let text = || (*name).to_owned();
                let confirm = ConfirmPage {
                    chrome: chrome(),
                    e: Errors::of(lang),
                    errors: errors.clone(),
                    title: text(),
                    lines: vec![text()],
                    named: vec![text()],
                    more: Some(text()),
                    action: "/x".into(),
                    back: "/y".into(),
                    button: "z",
                    harmful: true,
                    possible: true,
                    version: Some(1),
                };
                hostile::check(&confirm.render().unwrap(), name);
                let rename = RenamePage {
                    chrome: chrome(),
                    c: OpCommon::of(lang),
                    e: Errors::of(lang),
                    title: "t",
                    label: "l",
                    action: "/x".into(),
                    back: "/y".into(),
                    version: 1,
                    now: Some(text()),
                    typed: text(),
                    errors,
                };
                hostile::check(&rename.render().unwrap(), name);
            }
        }
    }
}
