//! Markdown to HTML and passages, in one walk over what the parser says.
//!
//! HTML in Markdown is text. Headings get the anchors that GitHub gives them; code blocks a button that copies them; links
//! lead where `link` says, or stay words.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use crate::{
    Heading, Lang, Page, Passage, Values,
    link::{self, Target},
    passage::{Block, LONGEST_PASSAGE},
    source::{VIETNAMESE, picture},
};

/// Markdown as CommonMark has it, with tables and struck words.
pub(crate) const OPTIONS: Options = Options::ENABLE_TABLES.union(Options::ENABLE_STRIKETHROUGH);
/// A page's title where it has no heading.
const NO_TITLE: &str = "…";
/// The longest language of a code block, in characters.
const LONGEST_LANGUAGE: usize = 20;

type Offset<'t> = (Event<'t>, Range<usize>);

/// Makes a page of its source.
pub(crate) fn render(
    path: &str,
    source: &str,
    lang: Lang,
    own: bool,
    values: &Values,
    pages: &BTreeMap<String, Lang>,
) -> (Page, Vec<Passage>) {
    let markdown = values.fill(source, lang);
    let events: Vec<Offset<'_>> = Parser::new_ext(&markdown, OPTIONS).into_offset_iter().collect();
    let headings = headings(&events);
    let title = headings.first().map_or_else(|| NO_TITLE.to_owned(), |heading| heading.text.clone());
    let file = if lang == Lang::Vi { format!("{VIETNAMESE}{path}") } else { path.to_owned() };
    let html = html_of(&file, lang, &events, &headings, pages);
    let passages = passages(path, &title, lang, own, &markdown, &events, &headings);
    let about = passages.iter().flat_map(|passage| &passage.blocks).find(|block| !block.code);
    let summary = about.map(|block| block.text.clone()).unwrap_or_default();
    let headings = headings.into_iter().skip(1).collect();
    (Page { path: path.to_owned(), lang, own, title, summary, html, headings, markdown }, passages)
}

/// Every heading, in order; each with an anchor of its own.
fn headings(events: &[Offset<'_>]) -> Vec<Heading> {
    let mut headings: Vec<Heading> = Vec::new();
    let mut taken = BTreeSet::new();
    let mut open: Option<(u8, String)> = None;
    for (event, _) in events {
        match (event, &mut open) {
            (Event::Start(Tag::Heading { level, .. }), _) => open = Some((*level as u8, String::new())),
            (Event::End(TagEnd::Heading(_)), _) => {
                if let Some((level, text)) = open.take() {
                    let slug = slug(&text);
                    let free = |name: &String| !taken.contains(name);
                    let anchor = std::iter::once(slug.clone()).chain((1..).map(|n| format!("{slug}-{n}"))).find(free);
                    let anchor = anchor.unwrap_or_default();
                    taken.insert(anchor.clone());
                    headings.push(Heading { level, text: text.trim().to_owned(), anchor });
                }
            }
            (event, Some((_, text))) => text.push_str(words_of(event)),
            _ => {}
        }
    }
    headings
}

/// The words that an event stands for.
fn words_of<'e>(event: &'e Event<'_>) -> &'e str {
    match event {
        Event::Text(text) | Event::Code(text) | Event::Html(text) | Event::InlineHtml(text) => text,
        Event::SoftBreak | Event::HardBreak => " ",
        _ => "",
    }
}

/// A heading's name behind `#`, as GitHub makes it: small letters, digits, `-` and `_`, blanks as `-`.
fn slug(text: &str) -> String {
    let letters = text.trim().chars().flat_map(char::to_lowercase);
    let kept = letters.filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
    if slug.is_empty() { "section".to_owned() } else { slug }
}

fn html_of(
    file: &str,
    lang: Lang,
    events: &[Offset<'_>],
    headings: &[Heading],
    pages: &BTreeMap<String, Lang>,
) -> String {
    let mut made: Vec<Event<'_>> = Vec::with_capacity(events.len());
    let mut headings = headings.iter();
    let mut left_out = Vec::new();
    let mut code: Option<(String, String)> = None;
    let mut codes = 0;
    let mut image: Option<(CowStr<'_>, String)> = None;
    for (event, _) in events {
        match event.clone() {
            Event::Start(Tag::CodeBlock(kind)) => {
                codes += 1;
                code = Some((language(&kind), String::new()));
            }
            Event::End(TagEnd::CodeBlock) => {
                let (language, text) = code.take().unwrap_or_default();
                made.push(Event::Html(code_block(lang, codes, &language, &text).into()));
            }
            event if image.is_some() && event != Event::End(TagEnd::Image) => {
                if let Some((_, words)) = &mut image {
                    words.push_str(words_of(&event));
                }
            }
            event if code.is_some() => {
                if let Some((_, text)) = &mut code {
                    text.push_str(words_of(&event));
                }
            }
            Event::Html(text) | Event::InlineHtml(text) => made.push(Event::Text(text)),
            Event::Start(Tag::HtmlBlock) => made.push(Event::Start(Tag::Paragraph)),
            Event::End(TagEnd::HtmlBlock) => made.push(Event::End(TagEnd::Paragraph)),
            Event::Start(Tag::Heading { level, .. }) => {
                let id = headings.next().map(|heading| CowStr::from(heading.anchor.clone()));
                made.push(Event::Start(Tag::Heading { level, id, classes: Vec::new(), attrs: Vec::new() }));
            }
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                match link::target(file, lang, &dest_url, pages) {
                    Target::To(address) => {
                        left_out.push(false);
                        made.push(Event::Start(Tag::Link { link_type, dest_url: address.into(), title, id }));
                    }
                    Target::Nowhere => left_out.push(true),
                }
            }
            Event::End(TagEnd::Link) => {
                if left_out.pop() == Some(false) {
                    made.push(Event::End(TagEnd::Link));
                }
            }
            Event::Start(Tag::Image { dest_url, .. }) => image = Some((dest_url, String::new())),
            Event::End(TagEnd::Image) => {
                if let Some((path, words)) = image.take() {
                    made.push(shown(file, &path, words));
                }
            }
            Event::Start(Tag::Table(alignments)) => {
                made.push(Event::Html("<div class=\"table-scroll\" tabindex=\"0\">".into()));
                made.push(Event::Start(Tag::Table(alignments)));
            }
            Event::End(TagEnd::Table) => {
                made.push(Event::End(TagEnd::Table));
                made.push(Event::Html("</div>\n".into()));
            }
            event => made.push(event),
        }
    }
    let mut text = String::new();
    html::push_html(&mut text, made.into_iter());
    text
}

/// A picture of ours; of any other the words: nothing is loaded from elsewhere. One whose name ends in `-light.png` has a
/// twin for the dark theme.
fn shown<'e>(file: &str, path: &str, words: String) -> Event<'e> {
    let Some(path) = link::path(file, path).filter(|path| picture(path).is_some()) else {
        return Event::Text(words.into());
    };
    let dark = path.strip_suffix("-light.png").map(|name| format!("{name}-dark.png"));
    let dark = dark.filter(|dark| picture(dark).is_some());
    let element = |path: &str, class: &str| {
        let (width, height) = picture(path).and_then(size).unwrap_or_default();
        format!(
            "<img src=\"{}/{}\" alt=\"{}\" width=\"{width}\" height=\"{height}\" loading=\"lazy\"{class}>",
            link::BASE,
            escaped(path),
            escaped(&words)
        )
    };
    Event::InlineHtml(CowStr::from(match &dark {
        Some(dark) => element(&path, " class=\"on-light\"") + &element(dark, " class=\"on-dark\""),
        None => element(&path, ""),
    }))
}

/// Width and height of a PNG: the first of its chunks (PNG specification, 11.2.2).
fn size(png: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| Some(u32::from_be_bytes(png.get(at..at + 4)?.try_into().ok()?));
    Some((number(16)?, number(20)?))
}

/// A text in an element or in an attribute.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The first word behind a fence.
fn language(kind: &CodeBlockKind<'_>) -> String {
    match kind {
        CodeBlockKind::Fenced(info) => {
            let word = info.split_whitespace().next().unwrap_or_default();
            word.chars().filter(char::is_ascii_alphanumeric).take(LONGEST_LANGUAGE).collect()
        }
        CodeBlockKind::Indented => String::new(),
    }
}

/// A block of code with a button that copies it where the script runs.
fn code_block(lang: Lang, number: usize, language: &str, text: &str) -> String {
    let escaped = escaped(text);
    let (label, copy) = match lang {
        Lang::En => ("Code", "Copy"),
        Lang::Vi => ("Mã", "Sao chép"),
    };
    let shown = if language.is_empty() { label } else { language };
    format!(
        "<div class=\"code\"><pre tabindex=\"0\" role=\"region\" aria-label=\"{label} {number}: {shown}\"><code id=\"code-{number}\">{escaped}</code></pre>\
         <button type=\"button\" class=\"button small\" data-copy-from=\"code-{number}\" data-needs-script hidden aria-label=\"{copy}: {label} {number}\"><span data-label>{copy}</span></button></div>\n"
    )
}

/// Gathers passages.
struct Gather<'t> {
    markdown: &'t str,
    /// The passage without what is gathered: page, title, language.
    blank: Passage,
    /// The headings above, with their levels.
    above: Vec<(u8, String)>,
    begins: usize,
    current: Passage,
    text: String,
    done: Vec<Passage>,
}

fn passages(
    path: &str,
    title: &str,
    lang: Lang,
    own: bool,
    markdown: &str,
    events: &[Offset<'_>],
    headings: &[Heading],
) -> Vec<Passage> {
    let blank = Passage {
        page: path.to_owned(),
        title: title.to_owned(),
        lang,
        own,
        headings: Vec::new(),
        anchor: None,
        blocks: Vec::new(),
        markdown: String::new(),
        weight: 1.0,
    };
    let current = blank.clone();
    let mut gather =
        Gather { markdown, blank, above: Vec::new(), begins: 0, current, text: String::new(), done: Vec::new() };
    let mut headings = headings.iter().enumerate();
    let (mut in_heading, mut in_code) = (false, false);
    for (event, range) in events {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                gather.block(false);
                if let Some((number, heading)) = headings.next() {
                    gather.heading(number, *level, heading, range.start);
                }
                in_heading = true;
            }
            Event::End(TagEnd::Heading(_)) => in_heading = false,
            _ if in_heading => {}
            Event::Start(Tag::CodeBlock(_)) => {
                gather.block(false);
                in_code = true;
            }
            Event::End(TagEnd::CodeBlock) => {
                gather.block(true);
                in_code = false;
            }
            Event::End(TagEnd::TableCell) => gather.text.push_str(" · "),
            Event::Start(Tag::List(_) | Tag::Item | Tag::Paragraph) if !in_code => gather.block(false),
            Event::End(TagEnd::Paragraph | TagEnd::Item | TagEnd::TableRow | TagEnd::TableHead | TagEnd::HtmlBlock) => {
                gather.block(false);
                gather.cut_if_long(range.end);
            }
            event => gather.text.push_str(words_of(event)),
        }
    }
    gather.block(false);
    gather.finish(markdown.len());
    gather.done
}

impl Gather<'_> {
    /// A block ends.
    fn block(&mut self, code: bool) {
        let text = std::mem::take(&mut self.text);
        let text = if code { text.trim_end() } else { text.trim_matches([' ', '·', '\n']) };
        if !text.trim().is_empty() {
            self.current.blocks.push(Block { text: text.to_owned(), code });
        }
    }
    /// A heading begins another passage; the first one is the page's title.
    fn heading(&mut self, number: usize, level: HeadingLevel, heading: &Heading, at: usize) {
        if number > 0 || !self.current.blocks.is_empty() {
            self.finish(at);
        }
        let level = level as u8;
        self.above.retain(|(above, _)| *above < level);
        if number > 0 {
            self.above.push((level, heading.text.clone()));
        }
        self.current = Passage {
            headings: self.above.iter().map(|(_, text)| text.clone()).collect(),
            anchor: (number > 0).then(|| heading.anchor.clone()),
            ..self.blank.clone()
        };
        self.begins = at;
    }
    /// The passage ends here; one without text is none.
    fn finish(&mut self, at: usize) {
        let markdown = self.markdown.get(self.begins..at).unwrap_or_default().trim();
        self.current.markdown = markdown.to_owned();
        let next = Passage { blocks: Vec::new(), markdown: String::new(), ..self.current.clone() };
        let done = std::mem::replace(&mut self.current, next);
        if !done.blocks.is_empty() {
            self.done.push(done);
        }
        self.begins = at;
    }
    fn cut_if_long(&mut self, at: usize) {
        let length: usize = self.current.blocks.iter().map(|block| block.text.chars().count()).sum();
        if length > LONGEST_PASSAGE && at > self.begins {
            self.finish(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(source: &str) -> (Page, Vec<Passage>) {
        let pages = ["index", "customers/usage"].map(|path| (path.to_owned(), Lang::En)).into();
        render("customers/x", source, Lang::En, false, &Values::default(), &pages)
    }

    #[test]
    fn a_page_is_html_with_anchors_links_and_code_to_copy() {
        let (page, _) = rendered(
            "# Keys & *more*\n\nAbout **it**.\n\n## Rotate a `key`\n\n[usage](usage.md#a), [gone](gone.md)\n\n```sh run\necho \"<x>\"\n```\n\n## Rotate a key\n",
        );
        assert_eq!((page.title.as_str(), page.summary.as_str()), ("Keys & more", "About it."));
        let anchors: Vec<_> = page.headings.iter().map(|heading| heading.anchor.as_str()).collect();
        assert_eq!(anchors, ["rotate-a-key", "rotate-a-key-1"]);
        for part in [
            "<h1 id=\"keys--more\">Keys &amp; <em>more</em></h1>",
            "<h2 id=\"rotate-a-key\">Rotate a <code>key</code></h2>",
            "<a href=\"/docs/customers/usage#a\">usage</a>, gone</p>",
            "aria-label=\"Code 1: sh\"><code id=\"code-1\">echo &quot;&lt;x&gt;&quot;\n</code>",
            "data-copy-from=\"code-1\"",
        ] {
            assert!(page.html.contains(part), "{part} in {}", page.html);
        }
    }

    #[test]
    fn html_in_markdown_is_shown_and_never_run() {
        let source = "# <script>alert(1)</script>\n\n<img src=x onerror=alert(1)> text <b>bold</b> &lt;i&gt; \"q\"\n\n<iframe\nsrc=x>\n\n[a](javascript:alert(1)) [b](<java script:alert(1)>) ![p](https://evil.example/p.png) <javascript:alert(1)> <https://example.com>\n\n```\"><script>\n</code></pre><script>\n```\n\n[r]: javascript:alert(1)\n[r] [t](https://example.com \"\\\"><script>\")\n\n| <i>a</i> |\n|---|\n| <u>b</u> |\n";
        let (page, passages) = rendered(source);
        for markup in ["<script", "<img", "<b>", "<iframe", "<i>", "<u>", "\"javascript:", "evil.example"] {
            assert!(!page.html.contains(markup), "{markup} in {}", page.html);
        }
        assert!(page.html.contains("<a href=\"https://example.com\">https://example.com</a>"), "{}", page.html);
        assert_eq!(page.html.matches("<a ").count(), 2, "{}", page.html);
        assert!(page.html.contains("&lt;b&gt;bold&lt;/b&gt;"));
        assert!(passages.iter().all(|passage| passage.anchor.is_none()));
    }

    #[test]
    fn a_passage_is_what_stands_under_one_heading() {
        let (_, passages) = rendered(
            "# T\n\nIntro. More\nof it.\n\n## A\n\n- one\n- two\n  - three\n\n```sh\nrun\n```\n\n### A1\n\n| k | v |\n|---|---|\n| `x` | y |\n\n## B\n\n## C\n\nEnd.\n",
        );
        let seen: Vec<_> = passages
            .iter()
            .map(|passage| (passage.headings.join(">"), passage.anchor.as_deref(), passage.text()))
            .collect();
        assert_eq!(
            seen,
            [
                (String::new(), None, "Intro. More of it.".to_owned()),
                ("A".to_owned(), Some("a"), "one\ntwo\nthree\nrun".to_owned()),
                ("A>A1".to_owned(), Some("a1"), "k · v\nx · y".to_owned()),
                ("C".to_owned(), Some("c"), "End.".to_owned()),
            ]
        );
        assert_eq!(passages[0].sentences().collect::<Vec<_>>(), ["Intro.", "More of it."]);
        assert_eq!(passages[1].sentences().collect::<Vec<_>>(), ["one", "two", "three"]);
        assert_eq!(passages[1].markdown, "## A\n\n- one\n- two\n  - three\n\n```sh\nrun\n```");
        assert_eq!(passages[1].address(), "/docs/customers/x#a");
    }

    #[test]
    fn pictures_are_ours_or_words() {
        let (page, _) = rendered(
            "# T\n\n![The <list> of \"keys\"](../screenshots/keys-light.png) ![gone](../screenshots/gone.png) ![out](../../README.md)\n",
        );
        for theme in ["light", "dark"] {
            let picture = format!(
                "<img src=\"/docs/screenshots/keys-{theme}.png\" alt=\"The &lt;list&gt; of &quot;keys&quot;\" width=\""
            );
            assert!(page.html.contains(&picture), "{}", page.html);
            assert!(page.html.contains(&format!("class=\"on-{theme}\"")), "{}", page.html);
        }
        assert_eq!(page.html.matches("<img").count(), 2);
        assert!(page.html.contains("> gone out</p>"), "{}", page.html);
    }

    #[test]
    fn a_long_passage_is_cut_between_blocks_and_nothing_is_lost() {
        let paragraph = "word ".repeat(100);
        let source = format!("# T\n\n## A\n\n{}", format!("{paragraph}\n\n").repeat(12));
        let (_, passages) = rendered(&source);
        assert!(passages.len() >= 3);
        assert!(passages.iter().all(|passage| passage.anchor.as_deref() == Some("a")));
        let blocks: usize = passages.iter().map(|passage| passage.blocks.len()).sum();
        assert_eq!(blocks, 12);
    }

    /// The elements that a page may be made of.
    const ELEMENTS: [&str; 27] = [
        "a",
        "blockquote",
        "br",
        "button",
        "code",
        "del",
        "div",
        "em",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "img",
        "li",
        "ol",
        "p",
        "pre",
        "span",
        "strong",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
    ];

    proptest::proptest! {
        /// Whatever is written, a page is made of harmless elements, and its links lead nowhere harmful.
        #[test]
        fn whatever_is_written_is_a_harmless_page(
            source in "(<script|<img src=x onerror=|javascript:|\\[x\\]\\(|\\{\\{url\\}\\}|```|\n|[-#*_`<>\\[\\]()|!&;:\"' a-zđế]){0,60}",
            url in "[ -~]{0,40}",
        ) {
            let pages = [("index".to_owned(), Lang::En)].into();
            let values = Values { url, ..Values::default() };
            let (page, _) = render("index", &source, Lang::En, true, &values, &pages);
            for tag in page.html.split('<').skip(1) {
                let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
                proptest::prop_assert!(ELEMENTS.contains(&name.as_str()) || ["tr", "ul"].contains(&name.as_str()), "<{tag}");
            }
            for link in page.html.split(" href=\"").skip(1) {
                proptest::prop_assert!(!link.to_lowercase().starts_with("javascript:"), "{link}");
            }
        }
    }

    #[test]
    fn a_page_without_anything_is_a_page() {
        let (page, passages) = rendered("");
        assert_eq!((page.title.as_str(), page.html.as_str(), passages.len()), ("…", "", 0));
        let (page, passages) = rendered("no heading\n");
        assert_eq!((page.title.as_str(), passages.len()), ("…", 1));
    }
}
