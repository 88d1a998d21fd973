//! Names that people may give to things and that must stay text: samples for the tests of templates.

/// Names that would break a page which forgot to escape or to wrap.
pub(crate) const NAMES: &[&str] = &[
    "<script>alert(1)</script>",
    "\"onmouseover=alert(1) '`{{7*7}}${7*7}</textarea></title>&amp;",
    "👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀",
    "مرحبا \u{202e}abc",
];

/// Fails where a page is none, or where the name (if there is one) is in it as something else than text.
pub(crate) fn check(html: &str, name: &str) {
    assert!(html.starts_with("<!doctype html>") && html.contains("</html>"), "{html}");
    assert!(!html.contains("<script>") && !html.contains(" style=") && !html.contains("\"onmouseover"), "{html}");
    if name.is_empty() {
        return;
    }
    if name.is_ascii() {
        assert!(!html.contains(name), "{html}");
    } else {
        assert!(html.contains(name), "{html}");
    }
}
