//! Finds passages as somebody types: the last word may be unfinished.

use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization as _;

use crate::{
    Edition, Passage,
    words::{self, Term},
};

/// More characters of a query than these are not read.
pub const LONGEST_QUERY: usize = 200;
/// How many passages of one page are shown.
const MOST_OF_A_PAGE: usize = 3;
/// How many passages are looked at for those that are shown.
const CANDIDATES: usize = 64;
/// About how many characters of a passage are shown.
const EXCERPT: usize = 180;

/// A passage that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Where it is: `/docs/customers/api-keys#rotate-a-key`.
    pub address: String,
    /// The page's path.
    pub page: String,
    /// The page's title.
    pub title: String,
    /// The headings above it, outermost first.
    pub headings: Vec<String>,
    /// Its name behind `#`.
    pub anchor: Option<String>,
    /// What stands there, with what was looked for marked.
    pub excerpt: Vec<Piece>,
    /// How well it fits, beside the others.
    pub score: f32,
}

/// A piece of an excerpt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its text.
    pub text: String,
    /// Whether it is what was looked for.
    pub found: bool,
}

pub(crate) fn search(edition: &Edition, query: &str, limit: usize) -> Vec<Hit> {
    let query: String = query.chars().take(LONGEST_QUERY).collect();
    let terms = typed(edition, &query);
    let mut by_page: BTreeMap<&str, usize> = BTreeMap::new();
    let mut hits = Vec::new();
    for (passage, score) in ranked(edition, &terms, CANDIDATES) {
        let of_page = by_page.entry(&passage.page).or_default();
        *of_page += 1;
        if *of_page <= MOST_OF_A_PAGE && hits.len() < limit {
            hits.push(hit(passage, score, &terms));
        }
    }
    hits
}

/// The passages with most of these terms, best first.
pub(crate) fn ranked<'e>(edition: &'e Edition, terms: &[Term], limit: usize) -> Vec<(&'e Passage, f32)> {
    let found = edition.index.find(terms, limit).into_iter();
    let mut found: Vec<(&Passage, f32)> = found
        .filter_map(|(at, score)| edition.passages.get(at).map(|passage| (passage, score * passage.weight)))
        .collect();
    found.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    found
}

/// What is looked for: the last word as the beginning of words, unless a blank ends it.
fn typed(edition: &Edition, query: &str) -> Vec<Term> {
    let lang = edition.index.lang();
    let mut terms = words::question(query, lang);
    edition.index.even(&mut terms);
    let query: String = query.nfc().collect();
    let last = query.split(|c: char| !c.is_alphanumeric()).next_back().filter(|last| !last.is_empty());
    let Some(last) = last else { return terms };
    let small = last.to_lowercase();
    let mut beginnings = vec![words::fold(&small)];
    beginnings.extend(words::words(&small, lang).into_iter().map(|word| word.term));
    let mut completions: Vec<String> =
        beginnings.iter().flat_map(|beginning| edition.index.completions(beginning)).collect();
    completions.sort();
    completions.dedup();
    let own: Vec<String> = words::words(last, lang).into_iter().map(|word| word.term).collect();
    let is_own = |term: &Term| term.counts && term.variants.iter().any(|(text, _)| own.contains(text));
    let of_prefix = |text: String| {
        let weight = if own.contains(&text) { 1.0 } else { 0.8 };
        (text, weight)
    };
    match terms.iter_mut().find(|term| is_own(term)) {
        Some(term) => {
            let more = completions.into_iter().filter(|text| !own.contains(text)).map(of_prefix);
            term.variants.extend(more);
        }
        None if !completions.is_empty() => {
            let variants = completions.into_iter().map(of_prefix).collect();
            terms.push(Term { variants, weight: 1.0, counts: true });
        }
        None => {}
    }
    terms
}

fn hit(passage: &Passage, score: f32, terms: &[Term]) -> Hit {
    Hit {
        address: passage.address(),
        page: passage.page.clone(),
        title: passage.title.clone(),
        headings: passage.headings.clone(),
        anchor: passage.anchor.clone(),
        excerpt: excerpt(passage, terms, EXCERPT),
        score,
    }
}

/// The part of a passage that has most of what was looked for.
pub(crate) fn excerpt(passage: &Passage, terms: &[Term], length: usize) -> Vec<Piece> {
    let of_terms = |text: &str| -> Vec<(usize, usize)> {
        let words = words::words(text, passage.lang);
        let is_found = |term: &Option<String>| {
            term.as_ref().is_some_and(|term| terms.iter().any(|own| own.variants.iter().any(|(text, _)| text == term)))
        };
        let found = words.iter().filter(|word| is_found(&Some(word.term.clone())) || is_found(&word.exact));
        found.map(|word| (word.from, word.to)).collect()
    };
    let text = passage.text();
    let best = text
        .split('\n')
        .map(|line| (line, of_terms(line)))
        .reduce(|best, line| if line.1.len() > best.1.len() { line } else { best });
    let Some((line, found)) = best else { return Vec::new() };
    // From a little before the first word that was found.
    let before = length / 4;
    let from = found.first().map_or(0, |(from, _)| *from);
    let from = line.get(..from).map_or(0, |head| cut(head, before));
    let to = line
        .get(from..)
        .map_or(line.len(), |rest| from + rest.char_indices().nth(length).map_or(rest.len(), |(at, _)| at));
    let mut pieces = Vec::new();
    let mut add = |text: Option<&str>, found: bool| {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            pieces.push(Piece { text: text.to_owned(), found });
        }
    };
    add((from > 0).then_some("… "), false);
    let mut at = from;
    for (begins, ends) in found.into_iter().filter(|(begins, ends)| *begins >= from && *ends <= to) {
        add(line.get(at..begins), false);
        add(line.get(begins..ends), true);
        at = ends;
    }
    add(line.get(at..to), false);
    add((to < line.len()).then_some(" …"), false);
    pieces
}

/// Where the last so many characters of a text begin, at a word's beginning.
fn cut(text: &str, characters: usize) -> usize {
    let Some((at, _)) = text.char_indices().rev().nth(characters) else { return 0 };
    let rest = text.get(at..).unwrap_or_default();
    rest.find(' ').map_or(at, |blank| at + blank + 1)
}
