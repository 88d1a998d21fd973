//! Two sheets of sign-in, profile and members alike: a question before something ends, and a secret that is shown once.

use askama::Template;
use axum::response::Response;
use http::StatusCode;

use super::{Chrome, render};

/// A question before something ends.
#[derive(Template)]
#[template(path = "sign_in/ask.html")]
pub(super) struct Ask {
    pub(super) chrome: Chrome,
    pub(super) title: String,
    /// What will happen.
    pub(super) lines: Vec<&'static str>,
    /// Why it was not done.
    pub(super) wrong: Option<&'static str>,
    pub(super) action: String,
    pub(super) back: String,
    pub(super) button: &'static str,
}

impl Ask {
    pub(super) fn page(&self) -> Response {
        render(if self.wrong.is_none() { StatusCode::OK } else { StatusCode::CONFLICT }, self)
    }
}

/// A secret, this once. Only in an answer to a `POST`: those are not compressed, and not come back to.
#[derive(Template)]
#[template(path = "sign_in/shown.html")]
pub(super) struct Shown {
    pub(super) chrome: Chrome,
    pub(super) title: &'static str,
    pub(super) once: &'static str,
    pub(super) secret: String,
    pub(super) copy: &'static str,
    pub(super) done: &'static str,
    pub(super) done_href: String,
}

#[cfg(test)]
mod tests {
    use super::super::{Lang, Look, hostile};
    use super::*;

    #[test]
    fn hostile_names_stay_text() {
        for lang in Lang::ALL {
            let chrome = || Chrome::bare(Look { lang, ..Look::default() });
            for name in hostile::NAMES {
                let ask = Ask {
                    chrome: chrome(),
                    title: (*name).into(),
                    lines: vec!["l"],
                    wrong: Some("w"),
                    action: "/x".into(),
                    back: "/y".into(),
                    button: "b",
                };
                hostile::check(&ask.render().unwrap(), name);
                let shown = Shown {
                    chrome: chrome(),
                    title: "t",
                    once: "o",
                    secret: (*name).into(),
                    copy: "c",
                    done: "d",
                    done_href: "/z".into(),
                };
                hostile::check(&shown.render().unwrap(), name);
            }
        }
    }
}
