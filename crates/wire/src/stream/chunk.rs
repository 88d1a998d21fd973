//! What the data of one event of a streamed reply tells, and where its usage stands.

use std::ops::Range;

use crate::{
    json::{Cursor, Malformed, Text},
    usage::{Endpoint, Figures},
};

/// What one event tells.
#[derive(Debug, Default)]
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
        facts.deltas = choices.map_or(0, |choices: Choices| choices.with_content);
        facts.is_usage_chunk = has_usage && choices.is_some_and(|choices| choices.count == 0);
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
#[derive(Clone, Copy)]
struct Choices {
    count: u64,
    with_content: u64,
}

/// Reads the value of `choices`; `None` if it is no array.
fn read_choices(cursor: &mut Cursor<'_>) -> Result<Option<Choices>, Malformed> {
    if cursor.next_byte() != Some(b'[') {
        cursor.skip()?;
        return Ok(None);
    }
    let mut choices = Choices { count: 0, with_content: 0 };
    let mut elements = cursor.enter_array()?;
    while cursor.element(&mut elements)? {
        choices.count += 1;
        choices.with_content += u64::from(read_choice(cursor)?);
    }
    Ok(Some(choices))
}

/// Whether a choice has content.
fn read_choice(cursor: &mut Cursor<'_>) -> Result<bool, Malformed> {
    if cursor.next_byte() != Some(b'{') {
        cursor.skip()?;
        return Ok(false);
    }
    let mut has_content = false;
    let mut members = cursor.enter_object()?;
    while let Some(key) = cursor.key(&mut members)? {
        if key.is("delta") && cursor.next_byte() == Some(b'{') {
            has_content |= read_delta(cursor)?;
        } else {
            has_content |= read_content(cursor)? && key.is("text");
        }
    }
    Ok(has_content)
}

/// Whether a delta has anything but a role: text, reasoning, a refusal, a tool call, audio, whatever they are called.
fn read_delta(cursor: &mut Cursor<'_>) -> Result<bool, Malformed> {
    let mut has_content = false;
    let mut members = cursor.enter_object()?;
    while let Some(key) = cursor.key(&mut members)? {
        has_content |= read_content(cursor)? && !key.is("role");
    }
    Ok(has_content)
}

/// Whether the value is a string, array or object that is not empty.
fn read_content(cursor: &mut Cursor<'_>) -> Result<bool, Malformed> {
    let holds = matches!(cursor.next_byte(), Some(b'"' | b'{' | b'['));
    Ok(cursor.value()?.len() > 2 && holds)
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
