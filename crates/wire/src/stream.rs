//! A streamed reply on its way to the client: what it counts, and what of it the client gets.
//!
//! Invariants: the bytes forwarded do not depend on how the upstream's were cut into chunks; a client
//! that did not ask for usage gets the bytes that it would have got had Tollgate not asked for it
//! either; the event that ends the reply, and all behind it, come apart from what precedes them, so
//! that the settlement can be written in between; usage that comes again replaces, and is never added.

mod chunk;

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::{
    sse::{Data, Event, Scanner, TooLong},
    usage::{Endpoint, Figures, UsageReport},
};
use chunk::{Facts, Reader, UsageMember};

/// What of the usage in a stream the client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageShown {
    /// All of it: the upstream was asked for what the client asked for.
    AsSent,
    /// The final figures, as the client asked; the running ones, for which only Tollgate asked, become
    /// the `null` that OpenAI's API sends in their place.
    FinalOnly,
    /// None: only Tollgate asked.
    Hidden,
}

impl UsageShown {
    /// What fits a request that was changed by `asked` on its way upstream.
    #[must_use]
    pub fn of(request: &crate::peek::Peeked, asked: crate::splice::StreamUsage) -> Self {
        use crate::splice::StreamUsage;
        match asked {
            StreamUsage::AsSent => Self::AsSent,
            _ if !request.include_usage() => Self::Hidden,
            StreamUsage::Continuous if !request.continuous_usage_stats() => Self::FinalOnly,
            _ => Self::AsSent,
        }
    }
}

/// What a stream has told so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Observed {
    /// The latest cumulative figures.
    pub usage: Option<UsageReport>,
    /// Whether those are the upstream's last word: they came in a chunk of their own, or the reply is complete.
    pub usage_is_final: bool,
    /// Pieces of content that came: about one for each token. Zero until the first content.
    pub deltas: u64,
    /// The event that ends a complete reply has come.
    pub done: bool,
    /// The upstream reported an error in the stream. Its event was forwarded.
    pub upstream_error: bool,
}

/// What goes to the client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forward {
    /// Goes as soon as what was observed is in the journal.
    pub before_terminal: Bytes,
    /// The event that ends the reply and all behind it: goes when the settlement is in the journal.
    /// Empty while the reply goes on.
    pub terminal: Bytes,
}

/// The upstream's stream has a line or event over the bounds of [`crate::sse`]; it cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Broken {
    /// The events before it, for the client.
    pub before: Bytes,
    #[source]
    cause: TooLong,
}

/// The most that is kept of an answer's id, in bytes.
pub const ID_MAX: usize = 256;
/// The longest usage object that is kept, in bytes.
pub const USAGE_TEXT_MAX: usize = 4_096;

/// Takes an upstream's event stream chunk by chunk and gives what goes to the client.
#[derive(Debug)]
pub struct StreamMeter {
    endpoint: Endpoint,
    shown: UsageShown,
    scanner: Scanner,
    figures: Option<Figures>,
    observed: Observed,
    /// The object of the latest figures, where these do not say all of it.
    usage_text: Vec<u8>,
    id: Vec<u8>,
    reader: Reader,
    /// Kept for its memory only.
    copied: BytesMut,
}

impl StreamMeter {
    /// At the beginning of a stream.
    #[must_use]
    pub fn new(endpoint: Endpoint, shown: UsageShown) -> Self {
        Self {
            endpoint,
            shown,
            scanner: Scanner::new(),
            figures: None,
            observed: Observed::default(),
            usage_text: Vec::new(),
            id: Vec::new(),
            reader: Reader::default(),
            copied: BytesMut::new(),
        }
    }

    /// What the stream has told up to the last chunk pushed.
    #[must_use]
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// The object that [`Observed::usage`] was read from, as it came, where it is
    /// [worth keeping](UsageReport::is_worth_keeping_whole); else empty.
    #[must_use]
    pub fn usage_text(&self) -> &[u8] {
        &self.usage_text
    }
    /// What the upstream calls the answer: its first `id`, escapes as they are, at most [`ID_MAX`] bytes of it.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    /// Takes the next chunk, as large or small as it came. An event that is not complete is kept back
    /// until it is.
    ///
    /// # Errors
    /// A line or event is over the bounds. The stream must be ended then.
    pub fn push(&mut self, chunk: Bytes) -> Result<Forward, Broken> {
        if self.observed.done {
            return Ok(Forward { before_terminal: Bytes::new(), terminal: chunk });
        }
        let mut out = Output { chunk: chunk.clone(), run: 0..0, copied: std::mem::take(&mut self.copied) };
        self.scanner.push(chunk);
        let mut terminal = Bytes::new();
        loop {
            match self.scanner.next_event() {
                Ok(None) => break,
                Ok(Some(event)) => {
                    self.event(&event, &mut out);
                    if self.observed.done {
                        terminal = behind(&event, self.scanner.take_rest(), &out.chunk);
                        break;
                    }
                }
                Err(cause) => return Err(Broken { before: out.take().0, cause }),
            }
        }
        let (before_terminal, memory) = out.take();
        self.copied = memory;
        Ok(Forward { before_terminal, terminal })
    }

    /// Takes note that the upstream's stream is at its end: what was kept back as incomplete is read and
    /// forwarded. Whether the reply was complete stands in [`Observed::done`].
    pub fn finish(&mut self) -> Forward {
        let mut forward = Forward::default();
        if self.observed.done {
            return forward;
        }
        if let Some(event) = self.scanner.finish() {
            let mut out = Output { chunk: Bytes::new(), run: 0..0, copied: BytesMut::new() };
            self.event(&event, &mut out);
            forward.before_terminal = out.take().0;
            if self.observed.done {
                forward.terminal = event.raw().clone();
            }
        }
        forward
    }

    /// Reads one event and writes what the client gets of it, unless it is the one that ends the reply.
    fn event(&mut self, event: &Event, out: &mut Output) {
        let view = event.data_view();
        let data = data_of(event, &view);
        // What cannot be read is not ours to mend: the client gets it as it came.
        let facts = data.and_then(|data| self.reader.read(self.endpoint, data).ok());
        let Some(facts) = facts else { return out.copy(event, 0..event.raw().len()) };
        self.observe(&facts);
        self.keep_texts(&facts, data.unwrap_or_default());
        if facts.is_terminal || self.shown == UsageShown::Hidden && facts.is_usage_chunk {
            return;
        }
        let mut edits = edits(self.shown, &facts, &self.reader.usage).peekable();
        if edits.peek().is_none() {
            return out.copy(event, 0..event.raw().len());
        }
        match (&view, data) {
            (Data::Line(at), _) => {
                let mut done = 0;
                for (cut, with) in edits {
                    out.copy(event, done..at.start + cut.start);
                    out.put(with);
                    done = at.start + cut.end;
                }
                out.copy(event, done..event.raw().len());
            }
            (_, Some(data)) => put_rewritten(event, data, edits, out),
            _ => {}
        }
    }

    fn keep_texts(&mut self, facts: &Facts, data: &[u8]) {
        if self.id.is_empty() && !facts.id_at.is_empty() {
            let id = data.get(facts.id_at.clone()).unwrap_or_default();
            self.id.extend_from_slice(id.get(..ID_MAX).unwrap_or(id));
        }
        if facts.figures.is_some()
            && let Some(usage) = &self.observed.usage
        {
            self.usage_text.clear();
            let text = data.get(facts.figures_at.clone()).unwrap_or_default();
            if usage.is_worth_keeping_whole() && text.len() <= USAGE_TEXT_MAX {
                self.usage_text.extend_from_slice(text);
            }
        }
    }

    fn observe(&mut self, facts: &Facts) {
        let observed = &mut self.observed;
        if let Some(figures) = facts.figures {
            let latest = match (self.endpoint, self.figures) {
                (Endpoint::Messages, Some(earlier)) => earlier.then(figures),
                _ => figures,
            };
            self.figures = Some(latest);
            observed.usage = Some(latest.report(self.endpoint));
            observed.usage_is_final = facts.is_usage_chunk;
        }
        observed.deltas += facts.deltas;
        observed.upstream_error |= facts.is_error;
        if facts.is_terminal {
            observed.done = true;
            // An error may be followed by `[DONE]`; running figures stay running ones then.
            observed.usage_is_final |= observed.usage.is_some() && !observed.upstream_error;
        }
    }
}

fn data_of<'a>(event: &'a Event, view: &'a Data) -> Option<&'a [u8]> {
    match view {
        Data::None => None,
        Data::Line(at) => event.raw().get(at.clone()),
        Data::Joined(data) => Some(data),
    }
}

/// What to replace in an event's data, in order.
fn edits<'a>(
    shown: UsageShown,
    facts: &Facts,
    members: &'a [UsageMember],
) -> impl Iterator<Item = (Range<usize>, &'static [u8])> + use<'a> {
    let hides_running = shown == UsageShown::FinalOnly && !facts.is_usage_chunk;
    members.iter().filter_map(move |member| match shown {
        UsageShown::Hidden => Some((member.cut.clone(), &b""[..])),
        UsageShown::FinalOnly if hides_running && !member.is_null => Some((member.value.clone(), &b"null"[..])),
        _ => None,
    })
}

/// The event that ends the reply, and what has come behind it.
fn behind(event: &Event, rest: Bytes, chunk: &Bytes) -> Bytes {
    match event.place() {
        Some(at) => chunk.slice(at.start.min(chunk.len())..),
        None if rest.is_empty() => event.raw().clone(),
        None => [&event.raw()[..], &rest[..]].concat().into(),
    }
}

/// An event whose data came in several lines: its other lines as they are, then the data as changed.
fn put_rewritten(
    event: &Event,
    data: &[u8],
    edits: impl Iterator<Item = (Range<usize>, &'static [u8])>,
    out: &mut Output,
) {
    let mut changed = Vec::with_capacity(data.len());
    let mut done = 0;
    for (cut, with) in edits {
        changed.extend_from_slice(data.get(done..cut.start).unwrap_or_default());
        changed.extend_from_slice(with);
        done = cut.end;
    }
    changed.extend_from_slice(data.get(done..).unwrap_or_default());
    for line in event.other_lines() {
        out.put(line);
        out.put(b"\n");
    }
    for line in changed.split(|b| *b == b'\n') {
        out.put(b"data: ");
        out.put(line);
        out.put(b"\n");
    }
    out.put(b"\n");
}

/// What goes to the client of one chunk: a slice of it while that is one run, a copy once it is not.
struct Output {
    chunk: Bytes,
    run: Range<usize>,
    copied: BytesMut,
}

impl Output {
    /// A part of an event as it came.
    fn copy(&mut self, event: &Event, part: Range<usize>) {
        let Some(place) = event.place() else {
            return self.put(event.raw().get(part).unwrap_or_default());
        };
        let part = place.start + part.start..place.start + part.end;
        if part.is_empty() {
        } else if self.run.end == part.start && !self.run.is_empty() {
            self.run.end = part.end;
        } else {
            self.end_run();
            self.run = part;
        }
    }
    fn put(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.end_run();
            self.copied.extend_from_slice(bytes);
        }
    }
    fn end_run(&mut self) {
        let run = std::mem::replace(&mut self.run, 0..0);
        if !run.is_empty() {
            self.copied.reserve(self.chunk.len());
            self.copied.extend_from_slice(self.chunk.get(run).unwrap_or_default());
        }
    }
    /// What was written, and memory to go on with.
    fn take(mut self) -> (Bytes, BytesMut) {
        if self.copied.is_empty() {
            let run = self.run.start.min(self.chunk.len())..self.run.end.min(self.chunk.len());
            return (self.chunk.slice(run), self.copied);
        }
        self.end_run();
        (self.copied.split().freeze(), self.copied)
    }
}

#[cfg(test)]
mod tests;
