//! Events of a `text/event-stream`, by the parsing rules of the WHATWG HTML standard (section 9.2.6),
//! whatever the chunks that they come in.
//!
//! Invariants: the raw bytes of all events, with what [`Scanner::finish`] gives, are exactly the bytes
//! pushed; where events begin and end does not depend on how those were cut into chunks; an event that
//! lies within one chunk is a slice of it, not a copy.

use std::{borrow::Cow, ops::Range};

use bytes::{Bytes, BytesMut};

/// The longest line that is read, its end not counted.
pub const LINE_MAX: usize = 1024 * 1024;
/// The longest event that is read, all its lines and its closing blank line counted.
pub const EVENT_MAX: usize = 4 * 1024 * 1024;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// The stream has a line or an event over the bounds. Nothing more of it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event stream has a line over {LINE_MAX} bytes or an event over {EVENT_MAX} bytes")]
pub struct TooLong;

/// One event: everything up to and with the blank line that closes it, comments included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    raw: Bytes,
    /// Where it lies in the chunk pushed last, if it lies wholly in there.
    at: Option<Range<usize>>,
    /// Bytes of a byte order mark at its front.
    mark: usize,
}

/// The data of an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// No `data` line: not an event to a client.
    None,
    /// One line: where its value lies in the raw bytes.
    Line(Range<usize>),
    /// Several lines, joined by line feeds.
    Joined(Vec<u8>),
}

impl Event {
    /// Its bytes as they came, the closing blank line included.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }
    /// Its data: the values of its `data` lines, joined by line feeds. `None` if it has no such line:
    /// a client then sees no event.
    #[must_use]
    pub fn data(&self) -> Option<Cow<'_, [u8]>> {
        match self.data_view() {
            Data::None => None,
            Data::Line(at) => self.raw.get(at).map(Cow::Borrowed),
            Data::Joined(data) => Some(Cow::Owned(data)),
        }
    }
    /// Its name: the value of its last `event` line.
    #[must_use]
    pub fn name(&self) -> Option<&[u8]> {
        self.fields().filter(|(name, _)| *name == b"event").last().and_then(|(_, value)| self.raw.get(value))
    }
    /// The lines that are neither data nor blank, without their ends.
    pub(crate) fn other_lines(&self) -> impl Iterator<Item = &[u8]> {
        let is_data = |line: &[u8]| line == b"data" || line.starts_with(b"data:");
        let texts = lines(&self.raw, self.mark).filter_map(|line| self.raw.get(line));
        texts.filter(move |line| !line.is_empty() && !is_data(line))
    }
    pub(crate) fn place(&self) -> Option<&Range<usize>> {
        self.at.as_ref()
    }
    pub(crate) fn data_view(&self) -> Data {
        let mut data = Data::None;
        for (_, at) in self.fields().filter(|(name, _)| *name == b"data") {
            let value = self.raw.get(at.clone()).unwrap_or_default();
            data = match data {
                Data::None => Data::Line(at),
                Data::Line(first) => Data::Joined([self.raw.get(first).unwrap_or_default(), b"\n", value].concat()),
                Data::Joined(mut joined) => {
                    joined.push(b'\n');
                    joined.extend_from_slice(value);
                    Data::Joined(joined)
                }
            };
        }
        data
    }
    /// The lines that are fields: name, and where the value lies. Comments have an empty name.
    fn fields(&self) -> impl Iterator<Item = (&[u8], Range<usize>)> {
        lines(&self.raw, self.mark).map(|line| {
            let text = self.raw.get(line.clone()).unwrap_or_default();
            match memchr::memchr(b':', text) {
                None => (text, line.end..line.end),
                Some(colon) => {
                    let space = usize::from(text.get(colon + 1) == Some(&b' '));
                    (text.get(..colon).unwrap_or_default(), line.start + colon + 1 + space..line.end)
                }
            }
        })
    }
}

/// Where the lines of `raw` from `start` on lie, without their ends.
fn lines(raw: &[u8], start: usize) -> impl Iterator<Item = Range<usize>> {
    let mut at = start;
    std::iter::from_fn(move || {
        let rest = raw.get(at..).filter(|rest| !rest.is_empty())?;
        let start = at;
        let Some(length) = memchr::memchr2(b'\n', b'\r', rest) else {
            at = raw.len();
            return Some(start..at);
        };
        let is_pair = rest.get(length..).is_some_and(|end| end.starts_with(b"\r\n"));
        at += length + 1 + usize::from(is_pair);
        Some(start..start + length)
    })
}

/// Reads events from chunks: [`push`](Self::push) one, take events until there is none, push the next.
#[derive(Debug, Default)]
pub struct Scanner {
    /// The chunk in work; before `from` it has been given out.
    chunk: Bytes,
    from: usize,
    /// Up to here the chunk has been looked at.
    at: usize,
    /// The front of an event that began in an earlier chunk.
    pending: BytesMut,
    /// Bytes of the current line so far.
    line: usize,
    /// A carriage return came last; a line feed behind it belongs to it. Was the line it ended blank?
    after_return: Option<bool>,
    start: Start,
    failed: bool,
}

/// The stream's very beginning, where a byte order mark may stand.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Start {
    #[default]
    Undecided,
    /// The first event is still to come, and has this many bytes of mark.
    Marked(usize),
    Past,
}

impl Scanner {
    /// A scanner at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next chunk. Events of the last one that were not taken come first.
    pub fn push(&mut self, chunk: Bytes) {
        let left = self.chunk.len().saturating_sub(self.from);
        if left == 0 {
            self.chunk = chunk;
            (self.from, self.at) = (0, 0);
            return;
        }
        let mut joined = BytesMut::with_capacity(left + chunk.len());
        joined.extend_from_slice(self.chunk.get(self.from..).unwrap_or_default());
        joined.extend_from_slice(&chunk);
        self.chunk = joined.freeze();
        self.at = self.at.saturating_sub(self.from);
        self.from = 0;
    }

    /// The next event that is complete; `None` when the next chunk is needed.
    ///
    /// # Errors
    /// A line or event over the bounds, now and ever after.
    pub fn next_event(&mut self) -> Result<Option<Event>, TooLong> {
        if self.failed {
            return Err(TooLong);
        }
        let found = self.advance();
        if self.line > LINE_MAX || self.event_length() > EVENT_MAX {
            self.failed = true;
            self.pending = BytesMut::new();
            return Err(TooLong);
        }
        if found {
            return Ok(Some(self.take()));
        }
        self.pending.extend_from_slice(self.chunk.get(self.from..).unwrap_or_default());
        self.chunk = Bytes::new();
        (self.from, self.at) = (0, 0);
        Ok(None)
    }

    /// What the stream ended on without a blank line, once all events have been taken. A client drops
    /// it; it may still tell something. The scanner is at the beginning of a new stream afterwards.
    pub fn finish(&mut self) -> Option<Event> {
        if self.failed {
            return None;
        }
        let chunk = std::mem::take(&mut self.chunk);
        self.pending.extend_from_slice(chunk.get(self.from..).unwrap_or_default());
        let raw = std::mem::take(&mut self.pending).freeze();
        let marked = match self.start {
            Start::Marked(mark) => mark,
            _ => 0,
        };
        *self = Self::default();
        (!raw.is_empty()).then_some(Event { raw, at: None, mark: marked })
    }

    /// What of the chunk in work has not been given out, which is given up with this.
    pub(crate) fn take_rest(&mut self) -> Bytes {
        let chunk = std::mem::take(&mut self.chunk);
        chunk.slice(self.from.min(chunk.len())..)
    }
    fn event_length(&self) -> usize {
        self.pending.len() + self.at - self.from
    }

    /// Looks on until an event is complete (true), a bound is passed or the chunk is at its end.
    fn advance(&mut self) -> bool {
        if self.start == Start::Undecided && !self.decide_start() {
            return false;
        }
        loop {
            if let Some(was_blank) = self.after_return {
                let Some(byte) = self.chunk.get(self.at) else { return false };
                self.at += usize::from(*byte == b'\n');
                self.after_return = None;
                if was_blank {
                    return true;
                }
            }
            let rest = self.chunk.get(self.at..).unwrap_or_default();
            let Some(length) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.line += rest.len();
                self.at = self.chunk.len();
                return false;
            };
            let is_return = rest.get(length) == Some(&b'\r');
            self.line += length;
            self.at += length + 1;
            if self.line > LINE_MAX {
                return false;
            }
            let is_blank = std::mem::take(&mut self.line) == 0;
            if is_return {
                self.after_return = Some(is_blank);
            } else if is_blank {
                return true;
            }
        }
    }

    /// Whether a byte order mark opens the stream; false while too few bytes have come to tell.
    fn decide_start(&mut self) -> bool {
        let mut opening = [0; BOM.len()];
        let come = self.pending.iter().chain(self.chunk.iter());
        let length = opening.iter_mut().zip(come).map(|(place, byte)| *place = *byte).count();
        let opening = opening.get(..length).unwrap_or_default();
        if opening.len() < BOM.len() && BOM.starts_with(opening) {
            self.at = self.chunk.len();
            return false;
        }
        let mark = if opening == BOM { BOM.len() } else { 0 };
        // Bytes kept back while undecided are the mark's, unless there is none after all.
        self.line = self.pending.len().saturating_sub(mark);
        self.at = mark.saturating_sub(self.pending.len());
        self.start = Start::Marked(mark);
        true
    }

    /// The complete event that ends at `at`.
    fn take(&mut self) -> Event {
        let range = self.from..self.at;
        self.from = self.at;
        let mark = match std::mem::replace(&mut self.start, Start::Past) {
            Start::Marked(mark) => mark,
            _ => 0,
        };
        if self.pending.is_empty() {
            return Event { raw: self.chunk.slice(range.clone()), at: Some(range), mark };
        }
        self.pending.extend_from_slice(self.chunk.get(range).unwrap_or_default());
        Event { raw: self.pending.split().freeze(), at: None, mark }
    }
}

#[cfg(test)]
pub(crate) mod tests;
