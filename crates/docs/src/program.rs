//! What programs read: answers as Markdown, `llms.txt`, `llms-full.txt`, the sitemap.

use std::fmt::Write as _;

use crate::{Answer, Docs, Edition, Lang, Page, Question, START, Source, Values};

/// An answer: the question, what answers it, and where that stands.
pub(crate) fn answer(address: &str, lang: Lang, question: &Question, answer: &Answer) -> String {
    let (silent, sources, near) = match lang {
        Lang::En => ("The documentation does not say.", "Sources", "What comes nearest"),
        Lang::Vi => ("Tài liệu không nói đến điều này.", "Nguồn", "Nội dung gần nhất"),
    };
    let mut text = format!("# {}\n\n", escaped(question.text()));
    let said: Vec<String> = answer.sentences.iter().map(|sentence| escaped(&sentence.text)).collect();
    text.push_str(if answer.says { "" } else { silent });
    text.push_str(&said.join(" "));
    if !answer.sources.is_empty() {
        let _ = write!(text, "\n\n## {}\n\n", if answer.says { sources } else { near });
    }
    for (at, source) in answer.sources.iter().enumerate() {
        let number = at + 1;
        let _ = write!(
            text,
            "{number}. [{}]({address}{})\n\n   > {}\n\n",
            named(source),
            source.address,
            escaped(&source.excerpt)
        );
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// A source's title and headings.
fn named(source: &Source) -> String {
    let parts = std::iter::once(&source.title).chain(&source.headings);
    parts.map(|part| escaped(part)).collect::<Vec<_>>().join(" › ")
}

/// A text in Markdown, on one line.
fn escaped(text: &str) -> String {
    let text = line(text);
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
