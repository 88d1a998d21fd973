//! The finder: bytes in, keys out. Pure.
//!
//! A few quick passes over the bytes look for what any spelling of a prefix must contain; each hit is then read
//! character by character (`text`, `base64`) and believed only if form and checksum fit, so that a hit too
//! many costs nanoseconds and a look-alike is never a find. The passes, for the prefix `tg`:
//!
//! 1. `tg`: whatever comes behind it, be it escaped or apart;
//! 2. `g_` and `a_` with something else than letters before: the prefix itself lies apart;
//! 3. its characters escaped, and it in base64 (at three alignments, once or twice, or of UTF-16), hexadecimal and UTF-16: a few
//!    dozen literals at once;
//! 4. line breaks inside of base64, where those literals may be cut.

use aho_corasick::{AhoCorasick, Span, packed};
use memchr::memmem;
use tollgate_core::secret::{CHECKSUM_LENGTH, ID_LENGTH, LONGEST, Prefix, SECRET_LENGTH};
use zeroize::Zeroizing;

use crate::{
    base64::{ALIGNMENTS, Layer},
    key::{Form, FoundKey},
    text::{MOST_GLUE, MOST_SPAN, escape, glue, is_key_byte, key_at},
};

/// The fewest bytes that hold a key: with the shortest prefix, as it is.
pub(crate) const SHORTEST: usize = 2 + 1 + ID_LENGTH + 1 + SECRET_LENGTH + CHECKSUM_LENGTH;
/// How far before the place that gives a key away it may begin.
pub(crate) const MOST_BEFORE: usize = 2 * MOST_GLUE;
/// How far behind that place it may end.
pub(crate) const MOST_BEHIND: usize = MOST_SPAN + MOST_GLUE;
/// How far before an escaped character of a prefix its first one may stand.
const MOST_BEFORE_ESCAPE: usize = 48;
/// How many literals one pass looks for: what vector instructions do well.
const MOST_LITERALS: usize = 48;
/// The shortest line of base64 that a break is looked for behind.
const SHORTEST_LINE: usize = 47;
/// Bytes between two looks whether this is base64, and bytes of a look: a line of [`SHORTEST_LINE`] cannot be missed.
const STRIDE: usize = 32;
const LOOK: usize = 16;

/// A key in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Find {
    /// Where it begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// How it is written.
    pub form: Form,
    /// The key.
    pub key: FoundKey,
}

/// Looks for the keys and access tokens of some prefixes.
#[derive(Debug, Clone)]
pub struct Finder {
    prefixes: Vec<OnePrefix>,
}

impl Finder {
    /// A finder for these prefixes; each costs passes of its own.
    #[must_use]
    pub fn new(prefixes: &[Prefix]) -> Self {
        Self { prefixes: prefixes.iter().map(OnePrefix::new).collect() }
    }
    /// All keys in `text`, in the order in which they begin, each once a place.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Vec<Find> {
        let mut finds = Vec::new();
        if text.len() < SHORTEST {
            return finds;
        }
        for prefix in &self.prefixes {
            prefix.find(text, &mut finds);
        }
        if finds.len() > 1 {
            finds.sort_by_key(|find| (find.start, find.end));
            // One key seen in two ways, such as a literal in its whole and in its part.
            finds.dedup_by(|next, find| next.key == find.key && next.start < find.end);
        }
        finds
    }
}

/// What finding a literal means.
#[derive(Debug, Clone)]
enum Meaning {
    /// One of the first characters, escaped: the key begins here or a little before.
    Escape,
    /// The first characters in UTF-16 or UTF-32, from the first to the last that is not zero: the same in both byte orders.
    Wide,
    /// The prefix in hexadecimal digits.
    Hex,
    /// The prefix in base64; the outermost layer first.
    Base64(Vec<Layer>),
}

/// A searcher for many literals.
#[derive(Debug, Clone)]
enum Searcher {
    Packed(packed::Searcher),
    /// Where there are no vector instructions for it.
    Automaton(Box<AhoCorasick>),
}

impl Searcher {
    fn new(literals: &[Literal]) -> Option<Self> {
        let texts = || literals.iter().map(|literal| &literal.text);
        match packed::Config::new().builder().extend(texts()).build() {
            Some(searcher) => Some(Self::Packed(searcher)),
            None => AhoCorasick::new(texts()).ok().map(|automaton| Self::Automaton(Box::new(automaton))),
        }
    }
    fn next(&self, text: &[u8], from: usize) -> Option<usize> {
        match self {
            Self::Packed(searcher) => searcher.find_in(text, Span::from(from..text.len())).map(|found| found.start()),
            Self::Automaton(automaton) => {
                let input = aho_corasick::Input::new(text).range(from..);
                automaton.find(input).map(|found| found.start())
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Literal {
    text: Vec<u8>,
    meaning: Meaning,
}

#[derive(Debug, Clone)]
struct OnePrefix {
    prefix: Prefix,
    /// Its first characters, at most three.
    head: memmem::Finder<'static>,
    /// The last character and the underscore, of keys and of access tokens.
    tails: [memmem::Finder<'static>; 2],
    /// Literals, by searcher.
    groups: Vec<(Searcher, Vec<Literal>)>,
    /// The prefix in base64, to be put together across line breaks.
    broken: Vec<Literal>,
}

impl OnePrefix {
    fn new(prefix: &Prefix) -> Self {
        let text = prefix.as_str().as_bytes();
        let head = text.get(..text.len().min(3)).unwrap_or(text);
        let last = text.last().copied().unwrap_or_default();
        let literals = literals(text, head);
        let broken =
            literals.iter().filter(|literal| matches!(&literal.meaning, Meaning::Base64(layers) if layers.len() == 1));
        let broken = broken.cloned().collect();
        let groups = literals.chunks(MOST_LITERALS).filter_map(|group| Some((Searcher::new(group)?, group.to_vec())));
        Self {
            prefix: *prefix,
            head: memmem::Finder::new(head).into_owned(),
            tails: [&[last, b'_'], b"a_"].map(|tail| memmem::Finder::new(tail).into_owned()),
            groups: groups.collect(),
            broken,
        }
    }

    fn find(&self, text: &[u8], finds: &mut Vec<Find>) {
        self.find_heads(text, finds);
        self.find_tails(text, finds);
        self.find_literals(text, finds);
        self.find_broken_base64(text, finds);
    }

    fn key_at(&self, text: &[u8], start: usize, finds: &mut Vec<Find>) {
        if let Some((key, end, marks)) = key_at(text, start, &self.prefix) {
            finds.push(Find { start, end, form: marks.form(), key });
        }
    }

    /// Pass 1.
    fn find_heads(&self, text: &[u8], finds: &mut Vec<Find>) {
        let head = self.head.needle().len();
        let then = self.prefix.as_str().as_bytes().get(head).copied();
        for start in self.head.find_iter(text) {
            let goes_on = text.get(start + head).is_some_and(|byte| match then {
                Some(then) => *byte == then || !byte.is_ascii_alphanumeric(),
                None => *byte == b'a' || !byte.is_ascii_alphanumeric(),
            });
            if goes_on {
                self.key_at(text, start, finds);
            }
        }
    }

    /// Pass 2.
    fn find_tails(&self, text: &[u8], finds: &mut Vec<Find>) {
        let prefix = self.prefix.as_str().as_bytes();
        let (_, all_but_last) = prefix.split_last().unwrap_or((&0, prefix));
        for (tail, before) in self.tails.iter().zip([all_but_last, prefix]) {
            for at in tail.find_iter(text) {
                // A `>` may end a tag, or begin a quoted line after some `<`: both are tried, a key seen twice is one.
                let [with_tags, without] = [true, false].map(|has_tags| begin_apart(text, at, before, has_tags));
                for start in with_tags.into_iter().chain(without.filter(|start| Some(*start) != with_tags)) {
                    self.key_at(text, start, finds);
                }
            }
        }
    }

    /// Pass 3.
    fn find_literals(&self, text: &[u8], finds: &mut Vec<Find>) {
        for (searcher, literals) in &self.groups {
            let mut from = 0;
            while let Some(at) = searcher.next(text, from) {
                let rest = text.get(at..).unwrap_or_default();
                for literal in literals.iter().filter(|literal| rest.starts_with(&literal.text)) {
                    self.key_behind(text, at, &literal.meaning, finds);
                }
                from = at + 1;
            }
        }
    }

    fn key_behind(&self, text: &[u8], at: usize, meaning: &Meaning, finds: &mut Vec<Find>) {
        match meaning {
            Meaning::Wide => self.key_at(text, at, finds),
            Meaning::Escape => {
                let first = self.prefix.as_str().as_bytes().first().copied().unwrap_or_default();
                for start in at.saturating_sub(MOST_BEFORE_ESCAPE)..=at {
                    // It begins with its first character, not with what may lie before one.
                    if text.get(start) == Some(&first) || escape(text, start).is_some_and(|(byte, _)| byte == first) {
                        self.key_at(text, start, finds);
                    }
                }
            }
            Meaning::Hex => {
                if let Some((bytes, end)) = unhex(text, at)
                    && let Some((key, _, _)) = key_at(&bytes, 0, &self.prefix)
                {
                    finds.push(Find { start: at, end: end.min(at + 2 * key.expose().len()), form: Form::Hex, key });
                }
            }
            Meaning::Base64(layers) => finds.extend(self.key_peeled(text, at, layers)),
        }
    }

    /// The key under layers of base64 whose outermost one begins with the literal at `at`.
    fn key_peeled(&self, text: &[u8], at: usize, layers: &[Layer]) -> Option<Find> {
        let (outer, inner) = layers.split_first()?;
        // A key, its separators in UTF-16, or a layer around it.
        let (bytes, ends) = outer.peel(text, at, 2 * LONGEST);
        let (key, length) = match inner {
            [] => key_at(&bytes, 0, &self.prefix).map(|(key, end, _)| (key, end))?,
            inner => self.key_peeled(&bytes, 0, inner).map(|find| (find.key, find.end))?,
        };
        let form = if inner.is_empty() { Form::Base64 } else { Form::Base64Twice };
        Some(Find { start: at, end: *ends.get(length.checked_sub(1)?)?, form, key })
    }

    /// Pass 4.
    fn find_broken_base64(&self, text: &[u8], finds: &mut Vec<Find>) {
        let mut from = 0;
        while let Some(end) = line_of_base64(text, &mut from) {
            let Some(next) = glue(text, end) else { continue };
            let (line, rest) = (text.get(..end).unwrap_or_default(), text.get(next..).unwrap_or_default());
            for Literal { text: literal, meaning } in &self.broken {
                for cut in 1..literal.len() {
                    let (before, behind) = literal.split_at(cut);
                    if line.ends_with(before) && rest.starts_with(behind) {
                        self.key_behind(text, end - cut, meaning, finds);
                    }
                }
            }
        }
    }
}

/// Where a prefix begins whose last character stands at `last`, the characters in `before` lying apart from it or from one
/// another, whole tags counting as nothing between them if it `has_tags`. `None` where they are not apart, which is pass 1's.
fn begin_apart(text: &[u8], last: usize, before: &[u8], has_tags: bool) -> Option<usize> {
    let mut at = last;
    let mut apart = false;
    for expected in before.iter().rev() {
        let gap = gap_before(text, at, has_tags)?;
        apart |= gap > 0;
        at = at.checked_sub(gap + 1)?;
        if text.get(at) != Some(expected) || last - at > MOST_BEFORE {
            return None;
        }
    }
    apart.then_some(at)
}

/// How many bytes before `at` are no letters or digits, `\n` written as two counting as none, and whole tags if it
/// `has_tags`.
fn gap_before(text: &[u8], at: usize, has_tags: bool) -> Option<usize> {
    let mut place = at;
    loop {
        let byte = *text.get(place.checked_sub(1)?)?;
        if has_tags
            && byte == b'>'
            && let Some(tag) = tag_before(text, place)
        {
            place = tag;
        } else if !is_key_byte(byte) {
            place -= 1;
        } else if matches!(byte, b'n' | b'r' | b't') && place >= 2 && text.get(place - 2) == Some(&b'\\') {
            place -= 2;
        } else {
            return Some(at - place);
        }
        if at - place > MOST_GLUE {
            return None;
        }
    }
}

/// Where the tag begins that ends before `end`.
fn tag_before(text: &[u8], end: usize) -> Option<usize> {
    let from = end.saturating_sub(MOST_GLUE);
    let open = from + text.get(from..end)?.iter().rposition(|byte| *byte == b'<')?;
    (glue(text, open) == Some(end)).then_some(open)
}

/// The end of the next line of base64 that is long enough to be one, at or behind `from`.
fn line_of_base64(text: &[u8], from: &mut usize) -> Option<usize> {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() | (*byte == b'+') | (*byte == b'/');
    loop {
        let look = text.get(*from..)?.first_chunk::<LOOK>()?;
        // All of them, without branches: this is the pass's whole cost.
        if look.iter().fold(true, |all, byte| all & is_base64(byte)) {
            let behind = text.get(*from..)?.iter().take_while(|byte| is_base64(byte)).count();
            let before = text.get(..*from)?.iter().rev().take(SHORTEST_LINE).take_while(|byte| is_base64(byte)).count();
            let end = *from + behind;
            *from = end;
            if before + behind >= SHORTEST_LINE {
                return Some(end);
            }
        } else {
            *from += STRIDE;
        }
    }
}

/// The bytes whose hexadecimal digits begin at `at`, as many as a key may have, and where they end.
fn unhex(text: &[u8], at: usize) -> Option<(Zeroizing<Vec<u8>>, usize)> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut place = at;
    for pair in text.get(at..)?.chunks_exact(2).take(LONGEST) {
        let digit = |index: usize| pair.get(index).and_then(|digit| char::from(*digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else { break };
        bytes.push(u8::try_from(high << 4 | low).ok()?);
        place += 2;
    }
    Some((bytes, place))
}

/// All literals of pass 3.
fn literals(prefix: &[u8], head: &[u8]) -> Vec<Literal> {
    let mut literals: Vec<Literal> = Vec::new();
    let mut add = |text: Vec<u8>, meaning: Meaning| {
        if !literals.iter().any(|literal| literal.text == text) {
            literals.push(Literal { text, meaning });
        }
    };
    for byte in head {
        for text in escapes(*byte) {
            add(text.into_bytes(), Meaning::Escape);
        }
    }
    let key = [prefix, b"_"].concat();
    let token = [prefix, b"a_"].concat();
    let wide = |text: &[u8]| text.iter().flat_map(|byte| [*byte, 0]).collect::<Vec<u8>>();
    for zeros in [1, 3] {
        let apart = |byte: &u8| [vec![*byte], vec![0; zeros]].concat();
        let text = head.iter().flat_map(apart).take((head.len() - 1) * (zeros + 1) + 1);
        add(text.collect(), Meaning::Wide);
    }
    let digits = prefix.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for digits in [digits.to_ascii_uppercase(), digits] {
        // The first digit of `_`, and of the `a` of access tokens.
        for next in ['5', '6'] {
            add(format!("{digits}{next}").into_bytes(), Meaning::Hex);
        }
    }
    for content in [&key, &token] {
        for layer in layers(content) {
            let literal = layer.literal(content);
            for outer in layers(&literal) {
                add(outer.literal(&literal), Meaning::Base64(vec![outer, layer]));
            }
            add(literal, Meaning::Base64(vec![layer]));
        }
    }
    let content = wide(prefix);
    for layer in layers(&content) {
        add(layer.literal(&content), Meaning::Base64(vec![layer]));
    }
    literals
}

fn layers(content: &[u8]) -> impl Iterator<Item = Layer> {
    ALIGNMENTS.into_iter().filter_map(|alignment| Layer::new(content, alignment))
}

/// The ways to escape a character, each without what may be repeated before it.
fn escapes(byte: u8) -> Vec<String> {
    let mut escapes = vec![format!("#{byte};"), format!("\\{byte:03o}")];
    for digits in [format!("{byte:02x}"), format!("{byte:02X}")] {
        for text in [
            format!("%{digits}"),
            format!("u00{digits}"),
            format!("u{{{digits}}}"),
            format!("\\x{digits}"),
            format!("#x{digits}"),
        ] {
            if !escapes.contains(&text) {
                escapes.push(text);
            }
        }
    }
    escapes
}

#[cfg(test)]
mod tests;
