//! What the data of one event of a streamed reply tells, and where its usage stands.

use std::ops::Range;

use crate::{
    json::{Cursor, Malformed},
    usage::{Endpoint, Figures},
};

/// What one event tells.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub figures: Option<Figures>,
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

/// Reads the data of an event; the places of its top-level `usage` members go to `members`.
pub(super) fn read(endpoint: Endpoint, data: &[u8], members: &mut Vec<UsageMember>) -> Result<Facts, Malformed> {
    if data.trim_ascii() == b"[DONE]" {
        return Ok(Facts { is_terminal: true, ..Facts::default() });
    }
    let mut facts = match endpoint {
        Endpoint::Messages | Endpoint::Responses => read_typed(data)?,
        _ => read_chunk(data, members)?,
    };
    if facts.is_error {
        // What an error says it used is not what the answer used.
        facts.figures = None;
        facts.deltas = 0;
    }
    Ok(facts)
}

/// A chunk of `chat/completions` or `completions`.
fn read_chunk(data: &[u8], found: &mut Vec<UsageMember>) -> Result<Facts, Malformed> {
    let mut facts = Facts::default();
    let (mut no_choices, mut has_usage) = (false, false);
    let mut cursor = Cursor::new(data);
    let mut members = cursor.enter_object()?;
    let mut kept_end = None;
    // A member that nothing stays in front of takes the comma behind it along, up to the next name.
    let mut leading = false;
    while let Some(key) = cursor.key(&mut members)? {
        if let Some(last) = found.last_mut().filter(|_| leading) {
            last.cut.end = key.start;
        }
        leading = false;
        if key.is("usage") {
            let start = cursor.at();
            let is_null = cursor.next_byte() == Some(b'n');
            has_usage |= cursor.next_byte() == Some(b'{');
            facts.figures = Figures::read(&mut cursor, data)?.or(facts.figures);
            leading = kept_end.is_none();
            let cut = kept_end.unwrap_or(key.start)..cursor.at();
            found.push(UsageMember { cut, value: start..cursor.at(), is_null });
            // The next one's cut begins where this one's ends.
            kept_end = kept_end.map(|_| cursor.at());
            continue;
        }
        if key.is("choices") && cursor.next_byte() == Some(b'[') {
            let (choices, deltas) = read_choices(&mut cursor)?;
            no_choices = choices == 0;
            facts.deltas = deltas;
        } else {
            facts.is_error |= key.is("error") && cursor.next_byte() != Some(b'n');
            cursor.skip()?;
        }
        kept_end = Some(cursor.at());
    }
    cursor.end()?;
    facts.is_usage_chunk = no_choices && has_usage;
    Ok(facts)
}

/// How many choices there are, and how many of them got content.
fn read_choices(cursor: &mut Cursor<'_>) -> Result<(u64, u64), Malformed> {
    let (mut choices, mut deltas) = (0, 0);
    let mut elements = cursor.enter_array()?;
    while cursor.element(&mut elements)? {
        choices += 1;
        if cursor.next_byte() != Some(b'{') {
            cursor.skip()?;
            continue;
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
        deltas += u64::from(has_content);
    }
    Ok((choices, deltas))
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
            b"usage" => facts.figures = Figures::read(&mut cursor, data)?.or(facts.figures),
            b"response" | b"message" if cursor.next_byte() == Some(b'{') => {
                let mut inner = cursor.enter_object()?;
                while let Some(key) = cursor.key(&mut inner)? {
                    if key.is("usage") {
                        facts.figures = Figures::read(&mut cursor, data)?.or(facts.figures);
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
