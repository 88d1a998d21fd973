//! What programs read: answers as Markdown, `llms.txt`, `llms-full.txt`, the sitemap.

use std::fmt::Write as _;

use crate::{Answer, Docs, Edition, Lang, Page, Question, START, Source, Values, Written};

/// An answer: the question, what answers it, and where that stands.
pub(crate) fn answer(address: &str, lang: Lang, question: &Question, answer: &Answer) -> String {
    let text = [asked(question), said(lang, answer), sources(address, lang, answer)].concat();
    format!("{}\n", text.trim_end())
}

/// The question.
pub(crate) fn asked(question: &Question) -> String {
    format!("# {}\n\n", escaped(question.text()))
}

/// What answers it, or that nothing does.
pub(crate) fn said(lang: Lang, answer: &Answer) -> String {
    if !answer.says {
        let silent = match lang {
            Lang::En => "The documentation does not say.",
            Lang::Vi => "Tài liệu không nói đến điều này.",
        };
        return format!("{silent}\n\n");
    }
    let said: Vec<String> = answer.sentences.iter().map(|sentence| escaped(&sentence.text)).collect();
    format!("{}\n\n", said.join(" "))
}

/// A line that a model wrote, with the numbers of its sources.
pub(crate) fn written(written: &Written) -> String {
    match written {
        Written::Line { text, item, sources } => {
            let parts = text.split('`').enumerate();
            let parts = parts.map(|(at, part)| if at % 2 == 1 { format!("`{part}`") } else { escaped_part(part) });
            let cited: String = sources.iter().map(|source| format!(" [{}]", source + 1)).collect();
            format!("{}{}{cited}\n\n", if *item { "- " } else { "" }, parts.collect::<String>())
        }
        Written::Code { language, text, .. } => format!("```{language}\n{text}\n```\n\n"),
    }
}

/// Where it stands, or what comes nearest.
pub(crate) fn sources(address: &str, lang: Lang, answer: &Answer) -> String {
    let title = match (lang, answer.says) {
        (Lang::En, true) => "Sources",
        (Lang::En, false) => "What comes nearest",
        (Lang::Vi, true) => "Nguồn",
        (Lang::Vi, false) => "Nội dung gần nhất",
    };
    let mut text = if answer.sources.is_empty() { String::new() } else { format!("## {title}\n\n") };
    for (source, number) in answer.sources.iter().zip(1..) {
        let excerpt = escaped(&source.excerpt);
        let _ = write!(text, "{number}. [{}]({address}{})\n\n   > {excerpt}\n\n", named(source), source.address);
    }
    text
}

/// A source's title and headings.
fn named(source: &Source) -> String {
    let parts = std::iter::once(&source.title).chain(&source.headings);
    parts.map(|part| escaped(part)).collect::<Vec<_>>().join(" › ")
}

/// A text in Markdown, on one line.
fn escaped(text: &str) -> String {
    escaped_part(&line(text))
}

/// A part of a line in Markdown: its blanks stay.
fn escaped_part(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = ' ';
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        // Inside a word a low line has no meaning: `keys_not_current` stays as it is.
        let in_word = before.is_alphanumeric() && letters.peek().is_some_and(|next| next.is_alphanumeric());
        if matches!(letter, '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '&' | '~') || letter == '_' && !in_word {
            escaped.push('\\');
        }
        escaped.push(letter);
        before = letter;
    }
    escaped
}

/// <https://llmstxt.org>: a title, a summary, and sections of links to Markdown.
pub(crate) fn llms(edition: &Edition, values: &Values) -> String {
    let address = &values.url;
    let page = |path: &str| edition.pages.iter().find(|page| page.path == path);
    let mut text = format!("# {}\n", escaped(&values.product));
    if let Some(start) = page(START) {
        let _ = write!(text, "\n> {}\n", escaped(&start.summary));
    }
    let (how, ask) = match edition.lang {
        Lang::En => (
            "Each page is Markdown at its address with `.md`, in Vietnamese too (`?lang=vi`).",
            "A question is answered from these pages, with its sources",
        ),
        Lang::Vi => (
            "Mỗi trang đều có bản Markdown ở địa chỉ có đuôi `.md`, cả bằng tiếng Anh (`?lang=en`).",
            "Câu hỏi được trả lời từ chính các trang này, kèm nguồn",
        ),
    };
    let _ = write!(text, "\n{how} {ask}: `{address}/docs/index.md?ask=…`\n");
    for section in &edition.sections {
        let _ = write!(text, "\n## {}\n\n", escaped(&section.title));
        for page in section.pages.iter().filter_map(|path| page(path)) {
            let _ = writeln!(
                text,
                "- [{}]({address}{}): {}",
                escaped(&page.title),
                page.markdown_address(),
                escaped(&page.summary)
            );
        }
    }
    text
}

/// Every page's Markdown, each under its address.
pub(crate) fn llms_full(edition: &Edition, address: &str) -> String {
    let mut text = String::new();
    for page in &edition.pages {
        let _ = write!(text, "<!-- {address}{} -->\n\n{}\n\n", page.address(), page.markdown.trim());
    }
    text
}

/// <https://sitemaps.org>: each page, with its other languages as search engines read them.
pub(crate) fn sitemap(docs: &Docs) -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\" \
         xmlns:xhtml=\"http://www.w3.org/1999/xhtml\">\n",
    );
    let address = in_xml(&docs.values().url);
    for page in docs.pages(Lang::En) {
        let here = format!("{address}{}", in_xml(&page.address()));
        let _ = write!(text, "<url><loc>{here}</loc>");
        if docs.page(Lang::Vi, &page.path).is_some_and(|page: &Page| page.lang == Lang::Vi) {
            for lang in Lang::ALL.map(Lang::tag) {
                let _ = write!(text, "<xhtml:link rel=\"alternate\" hreflang=\"{lang}\" href=\"{here}?lang={lang}\"/>");
            }
        }
        text.push_str("</url>\n");
    }
    text.push_str("</urlset>\n");
    text
}

/// A text on one line.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text in XML.
fn in_xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&apos;")
}
