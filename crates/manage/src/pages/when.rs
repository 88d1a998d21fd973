//! Times as pages show them: exact and in UTC as they come, in the reader's own zone where the script runs.

use std::fmt;

use askama::filters::HtmlSafe;
use tollgate_core::Timestamp;

/// A time; in a template it becomes a `<time>` element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct When(pub(crate) Timestamp);

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // RFC 3339 and digits alone: nothing here needs escaping.
        let text = self.0.to_string();
        let shown = text.get(..16).unwrap_or(&text).replace('T', " ");
        // A narrow column breaks it between day and time, not before the zone.
        write!(f, "<time datetime=\"{text}\">{shown}\u{a0}UTC</time>")
    }
}
impl HtmlSafe for When {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_to_the_minute_and_kept_whole() {
        let when = When("2026-11-20T08:05:09.123Z".parse().unwrap());
        assert_eq!(when.to_string(), "<time datetime=\"2026-11-20T08:05:09.123Z\">2026-11-20 08:05\u{a0}UTC</time>");
    }
}
