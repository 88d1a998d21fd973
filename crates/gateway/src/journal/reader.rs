//! Reads a lane in order and says what is missing.
//!
//! Never panics, whatever the bytes; never returns a record that the lane's writer did not make, and
//! none twice; reads on behind damage, byte by byte until a frame fits again. Numbers are dense, so
//! that every missing record is known: by a [`Gap`], or as the torn end of a lane that is over.

use std::io;

use tollgate_core::{Id, usage::Journal};

use super::record::{Body, Parsed, Record, parse, seed};

/// Bytes held at once, of each lane.
const WINDOW: usize = 64 * 1_024;
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
    end: usize,
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
            window: vec![0; WINDOW],
            start: 0,
            end: 0,
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
            let bytes = self.window.get(self.start..self.end).unwrap_or_default();
            let (held, short, frame) = match parse(self.seed, bytes) {
                Parsed::Frame(frame) if frame.seq >= self.expected && frame.seq < SEQ_END => {
                    (bytes.len(), false, Some((frame.seq, frame.length, frame.is_header(), frame.body())))
                }
                Parsed::Frame(_) | Parsed::Bad => (bytes.len(), false, None),
                Parsed::Short => (bytes.len(), true, None),
            };
            let Some((seq, length, is_header, body)) = frame else {
                if short && self.read_more()? {
                    continue;
                }
                if short && (held == 0 || extent != Extent::Whole) {
                    // The segment ends here, cleanly or not.
                    self.skip_note(held);
                    if !self.open_next()? {
                        return Ok(self.end(extent));
                    }
                } else if self.skipped.is_none() && self.start > 0 {
                    // Perhaps these bytes were read while they were written: look again.
                    (self.start, self.end) = (0, 0);
                } else {
                    self.skip_note(1);
                    self.advance(1);
                }
                continue;
            };
            if seq > self.expected || self.skipped.is_some() {
                return Ok(self.gap_until(seq));
            }
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

    /// Goes on to the next segment, if there is one and the present one is read to its end. Only to be called where it is
    /// known that nothing more is written to the present one.
    ///
    /// # Errors
    /// As the file system gives them; may be tried again.
    pub fn turn(&mut self) -> io::Result<()> {
        if self.opened && self.skipped.is_none() && self.start == self.end && !self.read_more()? {
            self.open_next()?;
        }
        Ok(())
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
        (self.start, self.end) = (0, 0);
        Ok(true)
    }
    /// Reads what fits in the window; whether anything came.
    fn read_more(&mut self) -> io::Result<bool> {
        self.window.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let from = self.offset + u64::try_from(self.end).unwrap_or_default();
        let into = self.window.get_mut(self.end..).unwrap_or_default();
        let read = self.segments.read_at(self.segment, from, into)?;
        self.end = (self.end + read).min(self.window.len());
        Ok(read > 0)
    }
    fn advance(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.end);
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

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::Index};
    use uuid::Uuid;

    use super::{super::record::segment_bytes, *};
    use crate::journal::record::tests::record;

    fn lane() -> Id<Journal> {
        Id::from_uuid(Uuid::from_u128(0x0198_0000))
    }
    /// The lane's segments, `per_segment` records in each.
    fn written(records: &[Record], per_segment: usize) -> Vec<Vec<u8>> {
        let node = Id::from_uuid(Uuid::nil());
        let parts = records.chunks(per_segment).enumerate();
        parts.map(|(i, part)| segment_bytes(node, lane(), i as u32 + 1, (i * per_segment) as u64 + 1, part)).collect()
    }
    /// Reads up to the end; every number up to there is a record or in a gap, in order.
    fn read(segments: &[Vec<u8>], extent: Extent) -> (Vec<(u64, Record)>, Vec<Gap>, u64) {
        let segments = segments.to_vec();
        let mut reader = LaneReader::new(lane(), segments.as_slice(), 0, 1);
        let (mut records, mut gaps, mut next) = (Vec::new(), Vec::new(), 1);
        loop {
            match reader.next(extent).unwrap() {
                Item::Record(seq, record) => {
                    assert_eq!(seq, next);
                    next += 1;
                    records.push((seq, record));
                }
                Item::Gap(gap) => {
                    assert_eq!(gap.first_seq, next);
                    next += gap.lost;
                    gaps.push(gap);
                }
                Item::End { torn } => {
                    assert_eq!(reader.read_to(), next - 1);
                    return (records, gaps, torn);
                }
            }
        }
    }
    #[derive(Debug, Clone)]
    enum Damage {
        Flip(Index, Index, u8),
        Cut(Index, Index),
        Insert(Index, Index, Vec<u8>),
        Remove(Index, Index, usize),
        Repeat(Index, Index, usize),
        Zeroes(Index, Index),
    }
    fn damage() -> impl Strategy<Value = Damage> {
        use Damage::{Cut, Flip, Insert, Remove, Repeat, Zeroes};
        let place = || (any::<Index>(), any::<Index>());
        prop_oneof![
            (place(), 1_u8..).prop_map(|((s, o), bits)| Flip(s, o, bits)),
            place().prop_map(|(s, o)| Cut(s, o)),
            (place(), vec(any::<u8>(), 1..40)).prop_map(|((s, o), bytes)| Insert(s, o, bytes)),
            (place(), 1..300_usize).prop_map(|((s, o), n)| Remove(s, o, n)),
            (place(), 1..600_usize).prop_map(|((s, o), n)| Repeat(s, o, n)),
            place().prop_map(|(s, o)| Zeroes(s, o)),
        ]
    }
    fn apply(segments: &mut [Vec<u8>], damage: &Damage) {
        let (Damage::Flip(s, o, _)
        | Damage::Cut(s, o)
        | Damage::Insert(s, o, _)
        | Damage::Remove(s, o, _)
        | Damage::Repeat(s, o, _)
        | Damage::Zeroes(s, o)) = damage;
        let bytes = &mut segments[s.index(segments.len())];
        if bytes.is_empty() {
            return;
        }
        let at = o.index(bytes.len());
        match damage {
            Damage::Flip(_, _, bits) => bytes[at] ^= bits,
            Damage::Cut(..) => bytes.truncate(at),
            Damage::Insert(_, _, more) => drop(bytes.splice(at..at, more.iter().copied())),
            Damage::Remove(_, _, n) => drop(bytes.drain(at..(at + n).min(bytes.len()))),
            Damage::Repeat(_, _, n) => bytes.extend_from_within(at..(at + n).min(bytes.len())),
            Damage::Zeroes(..) => bytes[at..].fill(0),
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_in_order_and_nothing_else(records in vec(record(), 1..40), per_segment in 1..12_usize) {
            let (read, gaps, torn) = read(&written(&records, per_segment), Extent::Whole);
            prop_assert_eq!(read.into_iter().map(|(_, record)| record).collect::<Vec<_>>(), records);
            prop_assert!(gaps.is_empty() && torn == 0);
        }

        #[test]
        fn a_lane_cut_anywhere_at_its_end_gives_the_records_before_the_cut(records in vec(record(), 1..20), per_segment in 1..8_usize, at: Index) {
            let mut segments = written(&records, per_segment);
            let last = segments.last_mut().unwrap();
            last.truncate(at.index(last.len()));
            let (read, gaps, _) = read(&segments, Extent::Whole);
            prop_assert!(gaps.is_empty());
            prop_assert!(read.len() < records.len() && read.len() + per_segment >= records.len());
            prop_assert!(read.iter().zip(&records).all(|((_, read), written)| read == written));
        }

        #[test]
        fn damage_costs_records_but_never_makes_one(records in vec(record(), 1..30), per_segment in 1..12_usize, damages in vec(damage(), 1..5)) {
            let mut segments = written(&records, per_segment);
            damages.iter().for_each(|damage| apply(&mut segments, damage));
            let (read, _, _) = read(&segments, Extent::Whole);
            for (seq, record) in &read {
                prop_assert_eq!(Some(record), records.get(*seq as usize - 1));
            }
        }

        #[test]
        fn one_flipped_bit_costs_one_record_at_most_and_says_which(records in vec(record(), 2..20), per_segment in 1..8_usize, s: Index, o: Index, bit in 0..8_u8) {
            let mut segments = written(&records, per_segment);
            apply(&mut segments, &Damage::Flip(s, o, 1 << bit));
            let (read, gaps, torn) = read(&segments, Extent::Whole);
            let missing: Vec<u64> = (1..=records.len() as u64).filter(|seq| read.iter().all(|(read, _)| read != seq)).collect();
            prop_assert!(missing.len() <= 1 && gaps.len() <= 1);
            if let Some(gap) = gaps.first() {
                prop_assert_eq!(gap.lost, missing.len() as u64);
                prop_assert!(missing.iter().all(|seq| *seq == gap.first_seq));
                prop_assert_eq!(gap.segment as usize, s.index(segments.len()) + 1);
            } else {
                prop_assert!(torn > 0 && missing.iter().all(|seq| *seq == records.len() as u64));
            }
        }

        #[test]
        fn a_lane_being_written_is_read_up_to_the_mark_however_damaged(records in vec(record(), 1..30), per_segment in 1..12_usize, mark: Index, damages in vec(damage(), 0..3)) {
            let mut segments = written(&records, per_segment);
            damages.iter().for_each(|damage| apply(&mut segments, damage));
            let mark = mark.index(records.len()) as u64 + 1;
            let (read, gaps, _) = read(&segments, Extent::UpTo(mark));
            let covered = read.len() as u64 + gaps.iter().map(|gap| gap.lost).sum::<u64>();
            prop_assert!(covered >= mark, "{covered} of {mark}");
            if damages.is_empty() {
                prop_assert!(read.len() as u64 == mark && gaps.is_empty());
            }
        }

        #[test]
        fn foreign_bytes_hold_no_record(segments in vec(vec(any::<u8>(), 0..2_000), 0..4)) {
            let (read, gaps, _) = read(&segments, Extent::Whole);
            prop_assert!(read.is_empty() && gaps.is_empty());
        }
    }
}
