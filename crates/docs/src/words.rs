//! Words as they are compared: in small letters and without diacritics; English ones by their stem; with others that mean
//! the same. Vietnamese words are written in syllables, so that two that stand side by side are a term as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use serde::Deserialize;
use tantivy::tokenizer::{Language, SimpleTokenizer, Stemmer, TextAnalyzer, Token, TokenStream as _};
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use crate::Lang;

/// A longer word is no word: it is left out.
const LONGEST_WORD: usize = 80;
/// The most terms that a question is looked up by.
pub(crate) const MOST_TERMS: usize = 48;
/// What a word of the same meaning counts.
const SAME: f32 = 0.75;
/// What a word counts that was typed with diacritics and stands there with others.
const FOLDED: f32 = 0.45;
/// What two words side by side count beside each of them.
const PAIR: f32 = 0.5;
/// Marks the terms that keep their diacritics.
const EXACT: char = '=';

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// As it is compared.
    pub(crate) term: String,
    /// With its diacritics, marked, where it has any.
    pub(crate) exact: Option<String>,
    /// Where it stands, in bytes.
    pub(crate) from: usize,
    /// Where it ends.
    pub(crate) to: usize,
}

impl Word {
    /// With its diacritics, marked; as it is where it has none.
    fn exact(&self) -> &str {
        self.exact.as_ref().unwrap_or(&self.term)
    }
}

/// What a question is looked up by: any of these, with what it counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Term {
    /// The terms of the index that it may be, the word itself first.
    pub(crate) variants: Vec<(String, f32)>,
    /// How much it counts beside the others.
    pub(crate) weight: f32,
    /// Whether a text that lacks it may say something else: false for two words side by side, whose parts count by themselves.
    pub(crate) counts: bool,
}

/// What is said in other words.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Words that every question has.
    stop: Vec<String>,
    /// Words, or two of them, that mean the same here.
    same: Vec<Vec<String>>,
}

/// A language's thesaurus, in the form of terms.
struct Thesaurus {
    stop: BTreeSet<String>,
    /// The same without diacritics.
    stop_folded: BTreeSet<String>,
    /// By the word with and without its diacritics.
    same: BTreeMap<String, BTreeSet<String>>,
}

static THESAURI: LazyLock<[Thesaurus; 2]> = LazyLock::new(|| {
    [(Lang::En, include_str!("../words/en.toml")), (Lang::Vi, include_str!("../words/vi.toml"))]
        .map(|(lang, text)| Thesaurus::new(lang, text))
});

fn thesaurus(lang: Lang) -> &'static Thesaurus {
    let [en, vi] = &*THESAURI;
    match lang {
        Lang::En => en,
        Lang::Vi => vi,
    }
}

impl Thesaurus {
    fn new(lang: Lang, text: &str) -> Self {
        // A test reads both files: what is none of them is an empty one here.
        let written = toml::from_str(text).unwrap_or(Written { stop: Vec::new(), same: Vec::new() });
        // With its diacritics, and without.
        let term = |text: &String| -> (String, String) {
            let words = words(text, lang);
            let exact: Vec<&str> = words.iter().map(Word::exact).collect();
            let folded: Vec<&str> = words.iter().map(|word| word.term.as_str()).collect();
            (exact.join(" "), folded.join(" "))
        };
        let mut same: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for group in &written.same {
            let terms: BTreeSet<(String, String)> = group.iter().map(term).collect();
            for (exact, folded) in &terms {
                let others = || terms.iter().map(|(other, _)| other).filter(|other| *other != exact).cloned();
                same.entry(exact.clone()).or_default().extend(others());
                same.entry(folded.clone()).or_default().extend(others());
            }
        }
        let (stop, stop_folded) = written.stop.iter().map(term).unzip();
        Self { stop, stop_folded, same }
    }
}

/// A text without diacritics.
pub(crate) fn fold(text: &str) -> String {
    let letters = text.nfd().filter(|c| !is_combining_mark(*c));
    letters
        .map(|c| match c {
            'đ' => 'd',
            'Đ' => 'D',
            c => c,
        })
        .collect()
}

/// The words of a text, in order.
pub(crate) fn words(text: &str, lang: Lang) -> Vec<Word> {
    let mut found = Vec::new();
    let mut analyzer = match lang {
        Lang::En => TextAnalyzer::builder(SimpleTokenizer::default())
            .filter(Small)
            .filter(Stemmer::new(Language::English))
            .build(),
        Lang::Vi => TextAnalyzer::builder(SimpleTokenizer::default()).filter(Small).build(),
    };
    let mut stream = analyzer.token_stream(text);
    while let Some(token) = stream.next() {
        if token.text.len() > LONGEST_WORD || token.text.is_empty() {
            continue;
        }
        let folded = fold(&token.text);
        let exact = (folded != token.text).then(|| format!("{EXACT}{}", token.text));
        found.push(Word { term: folded, exact, from: token.offset_from, to: token.offset_to });
    }
    found
}

/// Small letters, without the marks of English possessives.
#[derive(Debug, Clone)]
struct Small;
#[derive(Debug, Clone)]
struct SmallTokenizer<T>(T);
struct SmallStream<S>(S);

impl tantivy::tokenizer::TokenFilter for Small {
    type Tokenizer<T: tantivy::tokenizer::Tokenizer> = SmallTokenizer<T>;
    fn transform<T: tantivy::tokenizer::Tokenizer>(self, tokenizer: T) -> SmallTokenizer<T> {
        SmallTokenizer(tokenizer)
    }
}
impl<T: tantivy::tokenizer::Tokenizer> tantivy::tokenizer::Tokenizer for SmallTokenizer<T> {
    type TokenStream<'a> = SmallStream<T::TokenStream<'a>>;
    fn token_stream<'a>(&'a mut self, text: &'a str) -> Self::TokenStream<'a> {
        SmallStream(self.0.token_stream(text))
    }
}
impl<S: tantivy::tokenizer::TokenStream> tantivy::tokenizer::TokenStream for SmallStream<S> {
    fn advance(&mut self) -> bool {
        let more = self.0.advance();
        if more {
            let small = self.0.token().text.to_lowercase();
            self.0.token_mut().text = small;
        }
        more
    }
    fn token(&self) -> &Token {
        self.0.token()
    }
    fn token_mut(&mut self) -> &mut Token {
        self.0.token_mut()
    }
}

/// The terms that a text is found by.
pub(crate) fn terms(words: &[Word]) -> impl Iterator<Item = (usize, String)> {
    words.iter().enumerate().flat_map(|(at, word)| {
        let exact = words.get(at + 1).map(|next| pair(word, next));
        let folded =
            words.get(at + 1).map(|next| folded_pair(word, next)).filter(|folded| exact.as_ref() != Some(folded));
        [Some(word.term.clone()), word.exact.clone(), exact, folded].into_iter().flatten().map(move |term| (at, term))
    })
}

/// Two words side by side; with their diacritics, which tell Vietnamese words apart.
fn pair(first: &Word, second: &Word) -> String {
    format!("{} {}", first.exact(), second.exact())
}
/// The same without diacritics.
fn folded_pair(first: &Word, second: &Word) -> String {
    format!("{} {}", first.term, second.term)
}

/// What a question is looked up by.
pub(crate) fn question(text: &str, lang: Lang) -> Vec<Term> {
    let text: String = text.nfc().collect();
    let words = words(&text, lang);
    let thesaurus = thesaurus(lang);
    let typed_plain = lang == Lang::Vi && words.iter().all(|word| word.exact.is_none());
    let known = |key: &str| thesaurus.same.get(key);
    let is_stop = |word: &Word| {
        thesaurus.stop.contains(word.exact()) || typed_plain && thesaurus.stop_folded.contains(&word.term)
    };
    let all_stop = words.iter().all(is_stop);
    let mut terms = Vec::new();
    let mut taken = BTreeSet::new();
    let mut covered = None;
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1);
        if let Some(next) = next {
            let both = pair(word, next);
            if let Some(same) = known(&both) {
                covered = Some(at + 1);
                let mut variants = vec![(both.clone(), 1.0)];
                variants.extend(same.iter().map(|other| (other.clone(), SAME)));
                if taken.insert(both) {
                    terms.push(Term { variants, weight: 1.0, counts: true });
                }
                continue;
            }
            if !(is_stop(word) && is_stop(next)) {
                let mut variants = vec![(both.clone(), 1.0)];
                if typed_plain {
                    variants.push((folded_pair(word, next), 1.0));
                }
                if taken.insert(both) {
                    terms.push(Term { variants, weight: PAIR, counts: false });
                }
            }
        }
        if covered == Some(at) || is_stop(word) && !all_stop {
            continue;
        }
        if taken.insert(word.exact().to_owned()) {
            terms.push(Term { variants: variants(word, lang, thesaurus), weight: 1.0, counts: true });
        }
    }
    terms.truncate(MOST_TERMS);
    terms
}

/// The words of a text that tell something, each once: without those that every question has.
pub(crate) fn telling(text: &str, lang: Lang) -> BTreeSet<String> {
    let stop = &thesaurus(lang).stop;
    words(text, lang).into_iter().filter(|word| !stop.contains(word.exact())).map(|word| word.term).collect()
}

fn variants(word: &Word, lang: Lang, thesaurus: &Thesaurus) -> Vec<(String, f32)> {
    let mut variants = match &word.exact {
        Some(exact) => vec![(exact.clone(), 1.0), (word.term.clone(), FOLDED)],
        None => vec![(word.term.clone(), 1.0)],
    };
    if lang == Lang::Vi {
        // English pages stand in for those that are not translated.
        let english = words(&word.term, Lang::En).into_iter().map(|stem| (stem.term, 1.0));
        variants.extend(english.filter(|(stem, _)| *stem != word.term));
    }
    variants.extend(thesaurus.same.get(word.exact()).into_iter().flatten().map(|other| (other.clone(), SAME)));
    variants
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, lang: Lang) -> Vec<String> {
        words(text, lang).into_iter().map(|word| word.term).collect()
    }

    #[test]
    fn words_are_stemmed_in_english_and_folded_in_vietnamese() {
        assert_eq!(of("Revoking the API keys' naïve uses", Lang::En), ["revok", "the", "api", "key", "naiv", "use"]);
        assert_eq!(of("keys_not_current, --served-by", Lang::En), ["key", "not", "current", "serv", "by"]);
        assert_eq!(of("Thu hồi ĐƯỢC mật khẩu", Lang::Vi), ["thu", "hoi", "duoc", "mat", "khau"]);
        let word = words("đổi", Lang::Vi).remove(0);
        assert_eq!((word.exact.as_deref(), word.from, word.to), (Some("=đổi"), 0, "đổi".len()));
        assert!(
            of("", Lang::En).is_empty() && of("?!", Lang::Vi).is_empty() && of(&"a".repeat(200), Lang::En).is_empty()
        );
    }

    #[test]
    fn both_thesauri_can_be_read_and_hold_no_word_twice_in_a_group() {
        for (lang, text) in [(Lang::En, include_str!("../words/en.toml")), (Lang::Vi, include_str!("../words/vi.toml"))]
        {
            let written: Written = toml::from_str(text).unwrap();
            for group in &written.same {
                assert!(group.len() > 1, "{group:?}");
                for entry in group {
                    assert!((1..=2).contains(&words(entry, lang).len()), "{entry}: one word or two");
                }
            }
        }
    }

    #[test]
    fn a_question_is_its_words_without_those_that_every_question_has() {
        let terms = question("How do I revoke my key?", Lang::En);
        let counted: Vec<&str> =
            terms.iter().filter(|term| term.counts).map(|term| term.variants[0].0.as_str()).collect();
        assert_eq!(counted, ["revok", "key"]);
        assert!(terms.iter().any(|term| !term.counts && term.variants[0].0 == "my key"));
        assert!(terms[0..].iter().any(|term| term.variants.iter().any(|(word, _)| word == "delet")));
        assert!(!question("how do I", Lang::En).is_empty(), "only such words: then they are what is looked for");
        assert!(question(&"word ".repeat(1_000), Lang::En).len() <= MOST_TERMS);
        let plain = question("thu hoi", Lang::Vi);
        assert!(plain.iter().any(|term| term.variants.iter().any(|(word, _)| word == "thu hoi")));
    }
}
