//! Reads a lane in order and says what is missing.
//!
//! Never panics, whatever the bytes; never returns a record that the lane's writer did not make, and
//! none twice; reads on behind damage, byte by byte until a frame fits again. Numbers are dense, so
//! that every missing record is known: by a [`Gap`], or as the torn end of a lane that is over.

use std::io;

use tollgate_core::{Id, usage::Journal};

use super::record::{Body, FRAME_MOST, Parsed, Record, parse, seed};

/// Bytes read at once.
const CHUNK: usize = 256 * 1_024;
/// Numbers of records stay below this; see [`super::collect`] for what is above.
pub const SEQ_END: u64 = 1 << 62;

/// Where a lane's segments are: files, or memory in tests.
pub trait Segments {
    /// The least segment number greater than `segment`.
    ///
    /// # Errors
    /// As the file system gives them.
    fn next_after(&mut self, segment: u32) -> io::Result<Option<u32>>;
    /// Reads some bytes of `segment` from `offset` on; 0 is its end for now.
    ///
    /// # Errors
    /// As the file system gives them.
    fn read_at(&mut self, segment: u32, offset: u64, into: &mut [u8]) -> io::Result<usize>;
}

/// Segments in memory, numbered from 1.
impl Segments for &[Vec<u8>] {
    fn next_after(&mut self, segment: u32) -> io::Result<Option<u32>> {
        Ok((usize::try_from(segment).unwrap_or(usize::MAX) < self.len()).then(|| segment + 1))
    }
    fn read_at(&mut self, segment: u32, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let index = usize::try_from(segment).unwrap_or(usize::MAX).wrapping_sub(1);
        let bytes = self.get(index).map(Vec::as_slice).unwrap_or_default();
        let rest = bytes.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Ok(count)
    }
}

/// Records that were written once and cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The segment where it begins.
    pub segment: u32,
    /// The byte in that segment where it begins.
    pub offset: u64,
    /// The number of the first missing record.
    pub first_seq: u64,
    /// How many are missing. Zero: nothing but foreign bytes between two records.
    pub lost: u64,
}

/// How far a lane may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// It is being written: up to and with this number, which is known to be wholly written.
    UpTo(u64),
    /// It is over: all, and a broken end is a torn tail.
    Whole,
}

/// The next thing in a lane.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// A record and its number.
    Record(u64, Record),
    /// Something is missing.
    Gap(Gap),
    /// No more, or none yet. In a lane that is over, so many bytes at its end were no records.
    End {
        /// Bytes of the torn tail.
        torn: u64,
    },
}

/// A place in a lane, from which it is read on.
#[derive(Debug)]
pub struct LaneReader<S> {
    segments: S,
    seed: u32,
    expected: u64,
    /// The segment being read, or the one before the first.
    segment: u32,
    segment_first_seq: u64,
    opened: bool,
    /// The offset of `window[start]` in the segment.
    offset: u64,
    window: Vec<u8>,
    start: usize,
    skipped: Option<Skipped>,
}

/// Bytes that are no frame, since the last record.
#[derive(Debug, Clone, Copy)]
struct Skipped {
    segment: u32,
    offset: u64,
    bytes: u64,
}

impl<S: Segments> LaneReader<S> {
    /// At the beginning of what is left of `lane`: behind `segment`, where record `first_seq` comes next
    /// (0 and 1 in a lane of which nothing has been deleted).
    pub fn new(lane: Id<Journal>, segments: S, segment: u32, first_seq: u64) -> Self {
        Self {
            segments,
            seed: seed(lane),
            expected: first_seq,
            segment,
            segment_first_seq: first_seq,
            opened: false,
            offset: 0,
            window: Vec::new(),
            start: 0,
            skipped: None,
        }
    }

    /// The number of the last record that was read or found missing.
    pub const fn read_to(&self) -> u64 {
        self.expected.saturating_sub(1)
    }

    /// The segment being read; all before it have been read.
    pub const fn segment(&self) -> u32 {
        self.segment
    }

    /// The number of that segment's first record.
    pub const fn segment_first_seq(&self) -> u64 {
        self.segment_first_seq
    }

    /// The next record, gap or end.
    ///
    /// # Errors
    /// As the file system gives them; reading may be tried again.
    pub fn next(&mut self, extent: Extent) -> io::Result<Item> {
        loop {
            let limit = match extent {
                Extent::UpTo(limit) => limit,
                Extent::Whole => u64::MAX,
            };
            if self.expected > limit {
                return Ok(Item::End { torn: 0 });
            }
            if !self.opened && !self.open_next()? {
                return Ok(self.end(extent));
            }
            self.fill()?;
            let bytes = self.window.get(self.start..).unwrap_or_default();
            let frame = match parse(self.seed, bytes) {
                Parsed::Frame(frame) if frame.seq >= self.expected && frame.seq < SEQ_END => frame,
                // The window holds all there is: the segment ends here, cleanly or not.
                Parsed::Short if bytes.is_empty() || matches!(extent, Extent::UpTo(_)) => {
                    let rest = bytes.len();
                    self.skip_note(rest);
                    if !self.open_next()? {
                        return Ok(self.end(extent));
                    }
                    continue;
                }
                Parsed::Frame(_) | Parsed::Short | Parsed::Bad => {
                    self.skip_note(1);
                    self.advance(1);
                    continue;
                }
            };
            let (seq, length) = (frame.seq, frame.length);
            if seq > self.expected || self.skipped.is_some() {
                return Ok(self.gap_until(seq));
            }
            let (is_header, body) = (frame.is_header(), frame.body());
            let place = (self.segment, self.offset);
            self.advance(length);
            match body {
                Some(Body::Record(record)) => {
                    self.expected = seq + 1;
                    return Ok(Item::Record(seq, record));
                }
                _ if is_header => self.segment_first_seq = seq,
                _ => {
                    self.expected = seq + 1;
                    return Ok(Item::Gap(Gap { segment: place.0, offset: place.1, first_seq: seq, lost: 1 }));
                }
            }
        }
    }

    fn end(&mut self, extent: Extent) -> Item {
        match extent {
            // Known to be written, and not there.
            Extent::UpTo(limit) => self.gap_until(limit.saturating_add(1)),
            Extent::Whole => Item::End { torn: self.skipped.map_or(0, |skipped| skipped.bytes) },
        }
    }
    fn gap_until(&mut self, seq: u64) -> Item {
        let (segment, offset) =
            self.skipped.take().map_or((self.segment, self.offset), |skipped| (skipped.segment, skipped.offset));
        let gap = Gap { segment, offset, first_seq: self.expected, lost: seq - self.expected };
        self.expected = seq;
        Item::Gap(gap)
    }
    fn open_next(&mut self) -> io::Result<bool> {
        let Some(next) = self.segments.next_after(self.segment)? else { return Ok(false) };
        self.segment = next;
        self.segment_first_seq = self.expected;
        self.opened = true;
        self.offset = 0;
        self.start = 0;
        self.window.clear();
        Ok(true)
    }
    /// Makes the window hold the longest frame, or all up to the segment's end.
    fn fill(&mut self) -> io::Result<()> {
        while self.window.len() - self.start < FRAME_MOST {
            self.window.drain(..self.start);
            self.start = 0;
            let held = self.window.len();
            let from = self.offset + u64::try_from(held).unwrap_or_default();
            self.window.resize(held + CHUNK, 0);
            let into = self.window.get_mut(held..).unwrap_or_default();
            let read = self.segments.read_at(self.segment, from, into);
            self.window.truncate(held + read.as_ref().copied().unwrap_or_default());
            if read? == 0 {
                break;
            }
        }
        Ok(())
    }
    fn advance(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.window.len());
        self.offset += u64::try_from(bytes).unwrap_or_default();
    }
    fn skip_note(&mut self, bytes: usize) {
        if bytes > 0 {
            let bytes = u64::try_from(bytes).unwrap_or_default();
            let here = Skipped { segment: self.segment, offset: self.offset, bytes: 0 };
            self.skipped.get_or_insert(here).bytes += bytes;
        }
    }
}
