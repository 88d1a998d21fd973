//! What the data of one event of a streamed reply tells, and where its usage stands.

use std::ops::Range;

use crate::{
    json::{Cursor, Malformed, Text},
    usage::{Endpoint, Figures},
};

/// What one event tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub figures: Option<Figures>,
    /// Where those stand.
    pub figures_at: Range<usize>,
    /// Where the text of the answer's `id` stands; empty where it was not read.
    pub id_at: Range<usize>,
    /// `choices` is there and empty, and `usage` is an object: the chunk exists for the figures alone.
    pub is_usage_chunk: bool,
    /// Choices, or other parts of the answer, that got content by this event.
    pub deltas: u64,
    pub is_error: bool,
    /// The reply is complete with this event.
    pub is_terminal: bool,
}

/// A `usage` member of the data's object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UsageMember {
    /// What to cut so that the object is as if it had no such member: one comma goes along.
    pub cut: Range<usize>,
    pub value: Range<usize>,
    pub is_null: bool,
}

/// Reads the events of one stream.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The top-level `usage` members of the event read last.
    pub usage: Vec<UsageMember>,
    /// The chunk read last up to the value of its `choices`, with no usage or error in it. Most
    /// upstreams open all chunks of a stream with the same bytes, which then need not be read again.
    front: Vec<u8>,
    alike: Alike,
}

/// A chunk that was read, around its one text. Most chunks of a stream differ from the one before in that text alone, and
/// then tell the same but for whether it is empty: no JSON text means something else for a string in it that is longer.
#[derive(Debug, Default)]
struct Alike {
    /// Up to the text's opening quote. Empty: nothing is remembered.
    before: Vec<u8>,
    /// From behind its closing quote.
    after: Vec<u8>,
    /// The usage members, all behind the text: places count from its end.
    usage: Vec<UsageMember>,
}

impl Alike {
    /// Remembers a chunk that has no content but the text, which stands at `text`, no figures and no error.
    fn keep(&mut self, data: &[u8], text: &Range<usize>, usage: &[UsageMember]) {
        let (before, after) = (data.get(..text.start).unwrap_or_default(), data.get(text.end..).unwrap_or_default());
        let is_short = before.len() <= FRONT_MAX && after.len() <= FRONT_MAX;
        self.before.clear();
        if is_short && usage.iter().all(|member| member.cut.start >= text.end) {
            self.before.extend_from_slice(before);
            self.after.clear();
            self.after.extend_from_slice(after);
            self.usage.clear();
            self.usage.extend(usage.iter().map(|member| member.moved(text.end, 0)));
        }
    }
    /// The text of a chunk that differs from the remembered one in it alone.
    fn text<'d>(&self, data: &'d [u8]) -> Option<Text<'d>> {
        if self.before.is_empty() || !data.starts_with(&self.before) || !data.ends_with(&self.after) {
            return None;
        }
        let text = Cursor::resume(data, self.before.len()).0.string().ok()?;
        (text.range().end + self.after.len() == data.len()).then_some(text)
    }
}

impl UsageMember {
    /// With places counted from `to` that were counted from `from`.
    fn moved(&self, from: usize, to: usize) -> Self {
        let place = |at: &Range<usize>| at.start - from + to..at.end - from + to;
        Self { cut: place(&self.cut), value: place(&self.value), is_null: self.is_null }
    }
}

impl Facts {
    /// Takes the value of a `usage` member: the last one counts.
    fn usage(&mut self, cursor: &mut Cursor<'_>, data: &[u8]) -> Result<(), Malformed> {
        let start = cursor.at();
        if let Some(figures) = Figures::read(cursor, data)? {
            (self.figures, self.figures_at) = (Some(figures), start..cursor.at());
        }
        Ok(())
    }
}

/// A string without its quotes.
fn inside(text: &Text<'_>) -> Range<usize> {
    let Range { start, end } = text.range();
    start + 1..end - 1
}

/// The longest front that is remembered.
const FRONT_MAX: usize = 1024;

impl Reader {
    /// What the data of one event tells.
    pub fn read(&mut self, endpoint: Endpoint, data: &[u8]) -> Result<Facts, Malformed> {
        self.usage.clear();
        if data.trim_ascii() == b"[DONE]" {
            return Ok(Facts { is_terminal: true, ..Facts::default() });
        }
        let facts = match endpoint {
            Endpoint::Messages | Endpoint::Responses => read_typed(data),
            _ => self.read_chunk(data),
        };
        match facts {
            // What an error says it used is not what the answer used.
            Ok(facts) if facts.is_error => Ok(Facts { figures: None, deltas: 0, ..facts }),
            Ok(facts) => Ok(facts),
            Err(malformed) => {
                self.usage.clear();
                Err(malformed)
            }
        }
    }

    /// A chunk of `chat/completions` or `completions`.
    fn read_chunk(&mut self, data: &[u8]) -> Result<Facts, Malformed> {
        let mut facts = Facts::default();
        if let Some(text) = self.alike.text(data) {
            let end = text.range().end;
            self.usage.extend(self.alike.usage.iter().map(|member| member.moved(0, end)));
            facts.deltas = u64::from(!text.inner.is_empty());
            return Ok(facts);
        }
        let mut places = Places::default();
        let (mut choices, mut has_usage) = (None, false);
        let (mut cursor, mut members);
        if !self.front.is_empty() && data.starts_with(&self.front) {
            (cursor, members) = Cursor::resume(data, self.front.len());
            choices = read_choices(&mut cursor)?;
            places.kept(cursor.at());
        } else {
            cursor = Cursor::new(data);
            members = cursor.enter_object()?;
        }
        while let Some(key) = cursor.key(&mut members)? {
            let (start, first) = (cursor.at(), cursor.next_byte());
            places.name(key.start, &mut self.usage);
            if key.is("usage") {
                facts.usage(&mut cursor, data)?;
                has_usage |= first == Some(b'{');
                let value = start..cursor.at();
                let cut = places.cut(key.start, cursor.at());
                self.usage.push(UsageMember { cut, value, is_null: first == Some(b'n') });
                continue;
            }
            if key.is("choices") {
                if self.usage.is_empty() && !facts.is_error && start <= FRONT_MAX {
                    self.front.clear();
                    self.front.extend_from_slice(data.get(..start).unwrap_or_default());
                }
                choices = read_choices(&mut cursor)?;
            } else if key.is("id") && first == Some(b'"') {
                facts.id_at = inside(&cursor.string()?);
            } else {
                facts.is_error |= key.is("error") && first != Some(b'n');
                cursor.skip()?;
            }
            places.kept(cursor.at());
        }
        cursor.end()?;
        facts.deltas = choices.as_ref().map_or(0, |choices: &Choices| choices.with_content);
        facts.is_usage_chunk = has_usage && choices.as_ref().is_some_and(|choices| choices.count == 0);
        if let Some(Choices { count: 1, text: Some(text), .. }) = &choices
            && facts.figures.is_none()
            && !facts.is_error
        {
            self.alike.keep(data, text, &self.usage);
        }
        Ok(facts)
    }
}

/// Where the members stand that stay, so that one that goes takes one comma along.
#[derive(Default)]
struct Places {
    /// Where the last member ends; none while none stays.
    end: Option<usize>,
    /// The last member goes, and none before it stays: it takes what follows along, up to the next name.
    is_leading: bool,
}

impl Places {
    /// A name begins.
    fn name(&mut self, start: usize, usage: &mut [UsageMember]) {
        if std::mem::take(&mut self.is_leading)
            && let Some(last) = usage.last_mut()
        {
            last.cut.end = start;
        }
    }
    /// The member that ends here stays.
    fn kept(&mut self, end: usize) {
        self.end = Some(end);
    }
    /// What to cut so that this member goes.
    fn cut(&mut self, start: usize, end: usize) -> Range<usize> {
        match &mut self.end {
            // The next one's cut begins where this one's ends.
            Some(before) => std::mem::replace(before, end)..end,
            None => {
                self.is_leading = true;
                start..end
            }
        }
    }
}

/// What `choices` holds.
#[derive(Default)]
struct Choices {
    count: u64,
    with_content: u64,
    /// Where the text of the last one stands, quotes included, if that has no other content.
    text: Option<Range<usize>>,
}

/// What a choice holds.
#[derive(Default)]
struct Content {
    /// Its text, empty or not.
    text: Option<Range<usize>>,
    /// The text is not empty.
    has_text: bool,
    has_other: bool,
}

impl Content {
    /// Takes the value of a member that is content if it is not empty: the first one that is a string and may be the text
    /// is it.
    fn take(&mut self, cursor: &mut Cursor<'_>, may_be_text: bool) -> Result<(), Malformed> {
        let first = cursor.next_byte();
        let value = cursor.value()?;
        let is_empty = value.len() <= 2 || !matches!(first, Some(b'"' | b'{' | b'['));
        if may_be_text && first == Some(b'"') && self.text.is_none() {
            (self.text, self.has_text) = (Some(value), !is_empty);
        } else {
            self.has_other |= !is_empty;
        }
        Ok(())
    }
}

/// Reads the value of `choices`; `None` if it is no array.
fn read_choices(cursor: &mut Cursor<'_>) -> Result<Option<Choices>, Malformed> {
    if cursor.next_byte() != Some(b'[') {
        cursor.skip()?;
        return Ok(None);
    }
    let mut choices = Choices::default();
    let mut elements = cursor.enter_array()?;
    while cursor.element(&mut elements)? {
        let Content { text, has_text, has_other } = read_choice(cursor)?;
        choices.count += 1;
        choices.with_content += u64::from(has_text || has_other);
        choices.text = text.filter(|_| !has_other);
    }
    Ok(Some(choices))
}

/// Reads a choice for its content.
fn read_choice(cursor: &mut Cursor<'_>) -> Result<Content, Malformed> {
    let mut content = Content::default();
    if cursor.next_byte() != Some(b'{') {
        cursor.skip()?;
        return Ok(content);
    }
    let mut members = cursor.enter_object()?;
    while let Some(key) = cursor.key(&mut members)? {
        if key.is("delta") && cursor.next_byte() == Some(b'{') {
            read_delta(cursor, &mut content)?;
        } else if key.is("text") {
            content.take(cursor, true)?;
        } else {
            cursor.skip()?;
        }
    }
    Ok(content)
}

/// Reads a delta, of which anything but a role is content: text, reasoning, a refusal, a tool call, audio, whatever they
/// are called.
fn read_delta(cursor: &mut Cursor<'_>, content: &mut Content) -> Result<(), Malformed> {
    let mut members = cursor.enter_object()?;
    while let Some(key) = cursor.key(&mut members)? {
        if key.is("role") {
            cursor.skip()?;
        } else {
            content.take(cursor, key.is("content"))?;
        }
    }
    Ok(())
}

/// An event of `responses` or `messages`, which says by `type` what it is.
fn read_typed(data: &[u8]) -> Result<Facts, Malformed> {
    let mut facts = Facts::default();
    let mut cursor = Cursor::new(data);
    let mut members = cursor.enter_object()?;
    while let Some(key) = cursor.key(&mut members)? {
        match key.inner {
            b"type" if cursor.next_byte() == Some(b'"') => match cursor.string()?.inner {
                b"response.completed" | b"response.incomplete" | b"response.failed" | b"message_stop" => {
                    facts.is_terminal = true;
                }
                b"error" => facts.is_error = true,
                kind => facts.deltas += u64::from(kind.ends_with(b".delta") || kind == b"content_block_delta"),
            },
            b"usage" => facts.usage(&mut cursor, data)?,
            b"response" | b"message" if cursor.next_byte() == Some(b'{') => {
                let mut inner = cursor.enter_object()?;
                while let Some(key) = cursor.key(&mut inner)? {
                    if key.is("usage") {
                        facts.usage(&mut cursor, data)?;
                    } else if key.is("id") && cursor.next_byte() == Some(b'"') {
                        facts.id_at = inside(&cursor.string()?);
                    } else {
                        cursor.skip()?;
                    }
                }
            }
            _ => cursor.skip()?,
        }
    }
    cursor.end()?;
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    /// A chunk with T in place of its text.
    fn form() -> impl Strategy<Value = String> {
        let opening = select(&["{\"id\":\"c\",", "{ ", "{\"usage\":null,", "{\"usage\":{\"prompt_tokens\":1},"][..]);
        let members = [
            "\"content\":T",
            "\"role\":\"a\",\"content\":T",
            "\"content\":T,\"refusal\":null",
            "\"content\":T,\"x\":\"y\"",
            "\"reasoning\":T",
            "\"content\":\"\",\"content\":T",
            "\"content\":[T]",
            "",
        ];
        let choices = [
            "[{\"delta\":{D}}]",
            "[{\"index\":0,\"delta\":{D},\"finish_reason\":null}]",
            "[{\"text\":T}]",
            "[{\"delta\":{D},\"text\":T}]",
            "[{\"delta\":{D}},{\"delta\":{}}]",
            "[]",
            "null",
        ];
        let endings = [
            "}",
            ",\"usage\":null}",
            ", \"usage\" : null }",
            ",\"usage\":{\"prompt_tokens\":1}}",
            ",\"error\":null}",
            ",\"error\":{}}",
            ",\"choices\":[{\"text\":\"z\"}]}",
            ",\"usage\":null,\"usage\":null}",
        ];
        (opening, select(members.to_vec()), select(choices.to_vec()), select(endings.to_vec())).prop_map(
            |(opening, member, choices, ending)| {
                let choices = choices.replace('D', member);
                format!("{opening}\"choices\":{choices}{ending}")
            },
        )
    }
    /// Chunks of two forms at most, so that many differ in their text alone; some have another byte changed.
    fn chunks() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let text = prop_oneof![Just(String::new()), "[a-z\"\\\\,}é ]{0,6}", Just("\\\"}}]}".to_owned())];
        let change = proptest::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>()));
        let drawn = proptest::collection::vec((any::<bool>(), text, change), 1..12);
        ([form(), form()], drawn).prop_map(|([one, other], drawn)| {
            let chunk = |(first, text, change): (bool, String, Option<(prop::sample::Index, u8)>)| {
                let form = if first { &one } else { &other };
                let mut chunk = form.replace('T', &format!("\"{text}\"")).into_bytes();
                if let Some((at, byte)) = change {
                    let at = at.index(chunk.len());
                    chunk[at] = byte;
                }
                chunk
            };
            drawn.into_iter().map(chunk).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn what_was_read_before_changes_nothing_of_what_a_chunk_tells(chunks in chunks()) {
            let mut reader = Reader::default();
            for (at, chunk) in chunks.iter().enumerate() {
                let mut alone = Reader::default();
                let told = reader.read(Endpoint::ChatCompletions, chunk);
                // An id is told once.
                let without_id = |facts: Facts| Facts { id_at: 0..0, ..facts };
                let expected = alone.read(Endpoint::ChatCompletions, chunk).map(without_id);
                prop_assert_eq!(told.map(without_id), expected, "{} {}", at, String::from_utf8_lossy(chunk));
                prop_assert_eq!(&reader.usage, &alone.usage, "{} {}", at, String::from_utf8_lossy(chunk));
            }
        }
    }

    #[test]
    fn chunks_that_differ_in_their_text_alone_are_not_read_again() {
        let mut reader = Reader::default();
        let chunk = |text: &str| format!("{{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}],\"usage\":null}}");
        reader.read(Endpoint::ChatCompletions, chunk("a").as_bytes()).unwrap();
        assert!(reader.alike.text(chunk("another \\\" one").as_bytes()).is_some());
        assert!(reader.alike.text(chunk("a\",\"more\":\"b").as_bytes()).is_none());
    }
}
