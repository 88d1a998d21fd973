//! The full-text index over passages: BM25 by tantivy, in memory, made once.
//!
//! What stands in a title or a heading counts more than in the text. Of the variants of a term the best counts whole, so
//! that a passage does not win by saying the same thing in three ways.

use tantivy::{
    Index as Engine, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, TantivyError, Term as Key,
    collector::TopDocs,
    query::{BooleanQuery, BoostQuery, DisjunctionMaxQuery, Occur, Query, TermQuery},
    schema::{FAST, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions},
    tokenizer::{PreTokenizedString, Token},
};

use crate::{
    Lang, Passage,
    words::{self, Term},
};

/// What the engine may hold while it takes the passages in, in bytes: its least.
const WRITER_BYTES: usize = 15_000_000;
/// What a word counts in a title, a heading and the text …
const IN_TITLE: f32 = 1.6;
const IN_HEADING: f32 = 2.4;
const IN_TEXT: f32 = 1.0;
/// … and in code, which names things rather than explain them.
const IN_CODE: f32 = 0.4;
/// What the other variants and places of a term add to the best one.
const TIE: f32 = 0.5;
/// How many words a prefix may be the beginning of.
const MOST_COMPLETIONS: usize = 24;

/// The index of one language.
pub(crate) struct Index {
    lang: Lang,
    reader: IndexReader,
    places: [(Field, f32); 4],
}

impl Index {
    pub(crate) fn new(lang: Lang, passages: &[Passage]) -> Result<Self, TantivyError> {
        let mut schema = Schema::builder();
        let indexing = TextFieldIndexing::default().set_index_option(IndexRecordOption::WithFreqs);
        let text = TextOptions::default().set_indexing_options(indexing);
        let number = schema.add_u64_field(NUMBER, FAST);
        let places = [("title", IN_TITLE), ("heading", IN_HEADING), ("text", IN_TEXT), ("code", IN_CODE)]
            .map(|(name, weight)| (schema.add_text_field(name, text.clone()), weight));
        let engine = Engine::create_in_ram(schema.build());
        let mut writer: IndexWriter = engine.writer_with_num_threads(1, WRITER_BYTES)?;
        let [(title, _), (heading, _), (body, _), (code, _)] = places;
        for (at, passage) in passages.iter().enumerate() {
            let mut document = TantivyDocument::default();
            document.add_u64(number, at as u64);
            document.add_pre_tokenized_text(title, tokens(&passage.title, passage.lang));
            document.add_pre_tokenized_text(heading, tokens(&passage.headings.join("\n"), passage.lang));
            document.add_pre_tokenized_text(body, tokens(&passage.lines(false), passage.lang));
            document.add_pre_tokenized_text(code, tokens(&passage.lines(true), passage.lang));
            writer.add_document(document)?;
        }
        writer.commit()?;
        writer.wait_merging_threads()?;
        let reader = engine.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self { lang, reader, places })
    }

    pub(crate) const fn lang(&self) -> Lang {
        self.lang
    }

    /// The passages that have most of these terms, best first: each with its score. Nothing where the engine fails, which in
    /// memory it does not.
    pub(crate) fn find(&self, terms: &[Term], limit: usize) -> Vec<(usize, f32)> {
        self.try_find(terms, limit).unwrap_or_default()
    }

    fn try_find(&self, terms: &[Term], limit: usize) -> Result<Vec<(usize, f32)>, TantivyError> {
        if terms.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        let searcher = self.reader.searcher();
        let query = BooleanQuery::new(terms.iter().map(|term| (Occur::Should, self.any_of(term))).collect());
        let found = searcher.search(&query, &TopDocs::with_limit(limit).order_by_score())?;
        let mut passages = Vec::with_capacity(found.len());
        for (score, address) in found {
            let numbers = searcher.segment_reader(address.segment_ord).fast_fields().u64(NUMBER)?;
            if let Some(number) = numbers.first(address.doc_id).and_then(|number| usize::try_from(number).ok()) {
                passages.push((number, score));
            }
        }
        Ok(passages)
    }

    /// A term's variants in all places.
    fn any_of(&self, term: &Term) -> Box<dyn Query> {
        let variants = term.variants.iter().flat_map(|(text, weight)| {
            self.places.iter().map(move |(field, place)| {
                let query = TermQuery::new(Key::from_field_text(*field, text), IndexRecordOption::WithFreqs);
                Box::new(BoostQuery::new(Box::new(query), weight * place * term.weight)) as Box<dyn Query>
            })
        });
        Box::new(DisjunctionMaxQuery::with_tie_breaker(variants.collect(), TIE))
    }

    /// How much it tells that a passage has a term: the rarer, the more (BM25's inverse document frequency).
    pub(crate) fn rarity(&self, term: &str) -> f32 {
        let searcher = self.reader.searcher();
        let having = |field: Field| searcher.doc_freq(&Key::from_field_text(field, term)).unwrap_or_default();
        let having = self.places.iter().map(|(field, _)| having(*field)).max().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "a documentation has far fewer passages than 2^24")]
        let (having, all) = (having as f32, searcher.num_docs() as f32);
        (1.0 + (all - having + 0.5).max(0.0) / (having + 0.5)).ln()
    }
    /// Whether any passage has the term.
    pub(crate) fn knows(&self, term: &str) -> bool {
        let searcher = self.reader.searcher();
        let knows = |field: Field| searcher.doc_freq(&Key::from_field_text(field, term)).is_ok_and(|count| count > 0);
        self.places.iter().any(|(field, _)| knows(*field))
    }

    /// The rarity of a term's own word; where that stands nowhere, of the most usual word of the same meaning.
    pub(crate) fn rarity_of(&self, term: &Term) -> Option<f32> {
        let mut known = term.variants.iter().map(|(text, _)| text).filter(|text| self.knows(text));
        let own = term.variants.first().map(|(text, _)| text).filter(|text| self.knows(text));
        own.map(|text| self.rarity(text)).or_else(|| known.by_ref().map(|text| self.rarity(text)).reduce(f32::min))
    }
    /// Takes from words of the same meaning what they would count only for being rarer than the one that was used.
    pub(crate) fn even(&self, terms: &mut [Term]) {
        for term in terms {
            let Some(rarity) = self.rarity_of(term) else { continue };
            for (text, weight) in term.variants.iter_mut().skip(1) {
                let own = self.rarity(text);
                if own > rarity {
                    *weight *= rarity / own;
                }
            }
        }
    }

    /// Single words of the passages that begin so.
    pub(crate) fn completions(&self, prefix: &str) -> Vec<String> {
        let mut found = Vec::new();
        if prefix.is_empty() {
            return found;
        }
        let searcher = self.reader.searcher();
        for segment in searcher.segment_readers() {
            for (field, _) in &self.places {
                let Ok(inverted) = segment.inverted_index(*field) else { continue };
                let Ok(mut stream) = inverted.terms().range().ge(prefix).into_stream() else { continue };
                while stream.advance() {
                    let Ok(term) = std::str::from_utf8(stream.key()) else { continue };
                    if !term.starts_with(prefix) || found.len() >= MOST_COMPLETIONS {
                        break;
                    }
                    if !term.contains(' ') && !found.iter().any(|known| known == term) {
                        found.push(term.to_owned());
                    }
                }
            }
        }
        found
    }
}

const NUMBER: &str = "number";

/// A text as the engine takes it: terms at their words' places.
fn tokens(text: &str, lang: Lang) -> PreTokenizedString {
    let words = words::words(text, lang);
    let token = |(at, term): (usize, String)| Token {
        offset_from: words.get(at).map_or(0, |word| word.from),
        offset_to: words.get(at).map_or(0, |word| word.to),
        position: at,
        text: term,
        position_length: 1,
    };
    PreTokenizedString { text: String::new(), tokens: words::terms(&words).map(token).collect() }
}
