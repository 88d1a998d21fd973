//! Turns the records of a lane into the settlements that the store gets, each once.
//!
//! A settlement has the number of its record. When a lane is over, the attempts that were left open
//! are settled as interrupted, in the order of their intents, with the number `SEQ_END + seq` of the
//! intent: so one watermark covers both, and a repeated recovery gives the same numbers to the same
//! attempts, whatever part of it had been shipped. A batch stays as it is until it is acknowledged.

use std::{collections::HashMap, io};

use tollgate_core::{
    Id, Timestamp,
    usage::{Attempt, Settlement},
};
use uuid::Uuid;

use super::{
    files::{DirSegments, LaneDir, SyncFile},
    reader::{Extent, Gap, Item, LaneReader, SEQ_END},
    record::{Body, Encoder, FORMAT, Header, Intent, Parsed, Progress, Record, interrupted, parse, seed},
};

/// Records read for a batch, for each settlement that fits in it.
const READ_PER_SETTLEMENT: usize = 8;
/// The watermark of a lane of which nothing more may be shipped; fits the store's signed integers.
const ALL: u64 = i64::MAX.cast_unsigned();

/// What is shipped in one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The lane's watermark before.
    pub after: u64,
    /// The lane's watermark behind it.
    pub up_to: u64,
    /// The settlements, in order.
    pub settlements: Vec<Settlement>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

impl Batch {
    /// Whether there is nothing to ship.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settlements.is_empty() && self.gaps.is_empty()
    }
}

/// Follows one lane. Holds the attempts in flight, one batch, and no more.
#[derive(Debug)]
pub(super) struct Collector {
    dir: LaneDir,
    reader: LaneReader<DirSegments>,
    open: HashMap<Id<Attempt>, Open>,
    watermark: u64,
    batch: Batch,
    sealed: bool,
    reached_end: bool,
    /// What is open in a lane that is over, last first.
    left_open: Option<Vec<Open>>,
    replaced_through: u32,
}

#[derive(Debug, Clone)]
struct Open {
    seq: u64,
    intent: Intent,
    progress: Option<Progress>,
}

impl Collector {
    /// At the beginning of what is left of a lane, of which everything up to `watermark` is shipped.
    pub fn open(dir: LaneDir, watermark: u64) -> io::Result<Self> {
        let carry = dir.carry_read()?.map(|(through, bytes)| Carry::parse(&dir, through, &bytes));
        let carry = carry.unwrap_or_else(|| Carry { through: 0, first_seq: 1, open: HashMap::new() });
        let reader = LaneReader::new(dir.lane, DirSegments::new(dir.clone()), carry.through, carry.first_seq);
        let batch = Batch { after: watermark, up_to: watermark, ..Batch::default() };
        Ok(Self {
            reader,
            dir,
            open: carry.open,
            watermark,
            batch,
            sealed: false,
            reached_end: false,
            left_open: None,
            replaced_through: carry.through,
        })
    }

    /// Makes the batch to ship next; the same one until [`Self::shipped`]. An empty one needs no shipping.
    pub fn collect(&mut self, extent: Extent, most: usize) -> io::Result<()> {
        if !self.sealed {
            self.read(extent, most)?;
            if self.reached_end && extent == Extent::Whole && self.batch.is_empty() {
                self.settle_the_rest(most);
            }
            self.sealed = !self.batch.is_empty();
        }
        Ok(())
    }

    /// The batch to ship next.
    pub const fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The batch is committed.
    pub fn shipped(&mut self) {
        self.watermark = self.batch.up_to;
        self.batch = Batch { after: self.watermark, up_to: self.watermark, ..Batch::default() };
        self.sealed = false;
    }

    /// Whether the last batch ended where there was nothing more to read for now.
    pub const fn reached_end(&self) -> bool {
        self.reached_end
    }

    /// Whether the lane is over and all of it is shipped.
    pub fn finished(&self) -> bool {
        !self.sealed && self.left_open.as_ref().is_some_and(Vec::is_empty)
    }

    /// The number up to which nothing is left to ship.
    pub fn shipped_to(&self) -> u64 {
        if self.sealed { self.watermark } else { self.reader.read_to().max(self.watermark) }
    }

    /// The beginning of the oldest attempt that is read but not shipped.
    pub fn oldest_unshipped(&self) -> Option<Timestamp> {
        let open = self.open.values().chain(self.left_open.iter().flatten()).map(|open| open.intent.started_at);
        open.chain(self.batch.settlements.iter().map(|settlement| settlement.started_at)).min()
    }

    /// Goes on to segment `written`, where all before it, in which nothing is written any more, is read.
    pub fn segment_turn(&mut self, written: u32) -> io::Result<()> {
        while self.batch.is_empty() && self.reader.segment() < written {
            let before = self.reader.segment();
            self.reader.turn()?;
            if self.reader.segment() == before {
                break;
            }
        }
        Ok(())
    }
    /// Whether there are segments before the one being read, and all in them is shipped.
    pub fn has_read_segments(&self) -> bool {
        let through = self.reader.segment().saturating_sub(1);
        !self.sealed && self.batch.is_empty() && through > self.replaced_through && self.left_open.is_none()
    }

    /// Deletes those segments; what is still open of them goes into a carry file. Returns the difference in bytes.
    pub fn replace_read_segments(&mut self, sync: SyncFile) -> io::Result<i64> {
        if !self.has_read_segments() {
            return Ok(0);
        }
        let through = self.reader.segment().saturating_sub(1);
        let carry = self.carry(through);
        let difference = self.dir.replace(through, &carry, sync)?;
        self.replaced_through = through;
        Ok(difference)
    }

    fn read(&mut self, extent: Extent, most: usize) -> io::Result<()> {
        self.reached_end = false;
        for _ in 0..most.saturating_mul(READ_PER_SETTLEMENT) {
            if self.batch.settlements.len() >= most || self.batch.gaps.len() >= most {
                break;
            }
            match self.reader.next(extent)? {
                Item::Record(seq, record) => self.take(seq, record),
                Item::Gap(gap) => self.miss(gap),
                Item::End { torn } => {
                    if torn > 0 {
                        tracing::info!(journal.lane = %self.dir.lane, bytes = torn, "journal lane ends in a torn record");
                    }
                    self.reached_end = true;
                    break;
                }
            }
        }
        // A lane with recovered rows has its watermark above all numbers of records.
        self.batch.up_to = self.reader.read_to().max(self.watermark);
        Ok(())
    }

    fn take(&mut self, seq: u64, record: Record) {
        match record {
            Record::Intent(intent) => {
                let open = Open { seq, progress: None, intent };
                self.open.insert(open.intent.attempt, open);
            }
            Record::Progress(progress) => {
                if let Some(open) = self.open.get_mut(&progress.attempt) {
                    open.progress = Some(progress);
                }
            }
            Record::Settlement(settlement) => {
                self.open.remove(&settlement.attempt);
                if seq > self.watermark {
                    self.batch.settlements.push(*settlement);
                }
            }
        }
    }

    fn miss(&mut self, gap: Gap) {
        let Gap { segment, offset, first_seq, lost } = gap;
        let last = first_seq.saturating_add(lost).saturating_sub(1);
        if lost > 0 && last <= self.watermark {
            return; // reported before
        }
        tracing::error!(journal.lane = %self.dir.lane, segment, offset, first_seq, lost, "journal is damaged");
        if lost > 0 {
            self.batch.gaps.push(gap);
        }
    }

    fn settle_the_rest(&mut self, most: usize) {
        let (watermark, read_to) = (self.watermark, self.reader.read_to());
        if self.left_open.is_none() && watermark > read_to && watermark < SEQ_END {
            // The disk lost what it had said to hold. What is open here may be settled there: nothing of
            // it may count again.
            self.open.clear();
            let gap =
                Gap { segment: self.reader.segment(), offset: 0, first_seq: read_to + 1, lost: watermark - read_to };
            self.left_open = Some(Vec::new());
            self.miss(gap);
            self.batch.up_to = ALL;
            return;
        }
        let open = &mut self.open;
        let left_open = self.left_open.get_or_insert_with(|| {
            let mut rest: Vec<Open> =
                open.drain().map(|(_, open)| open).filter(|open| SEQ_END + open.seq > watermark).collect();
            rest.sort_by_key(|open| std::cmp::Reverse(open.seq));
            rest
        });
        let take = left_open.split_off(left_open.len().saturating_sub(most));
        for open in take.iter().rev() {
            self.batch.settlements.push(interrupted(&open.intent, open.progress.as_ref()));
            self.batch.up_to = SEQ_END + open.seq;
        }
    }

    fn carry(&self, through: u32) -> Vec<u8> {
        let first_seq = self.reader.segment_first_seq();
        let header = Header { format: FORMAT, node: Id::from_uuid(Uuid::nil()), lane: self.dir.lane, segment: through };
        let mut encoder = Encoder::new(self.dir.lane);
        let mut carry = encoder.header(first_seq, &header).to_vec();
        let mut open: Vec<&Open> = self.open.values().filter(|open| open.seq < first_seq).collect();
        open.sort_by_key(|open| open.seq);
        for open in open {
            carry.extend_from_slice(encoder.intent(open.seq, &open.intent));
            if let Some(progress) = &open.progress {
                carry.extend_from_slice(encoder.progress(open.seq, progress));
            }
        }
        carry
    }
}

/// What a carry file says.
struct Carry {
    through: u32,
    first_seq: u64,
    open: HashMap<Id<Attempt>, Open>,
}

impl Carry {
    /// A file that is damaged gives what stands before the damage; it was whole when it got its name.
    fn parse(dir: &LaneDir, through: u32, mut bytes: &[u8]) -> Self {
        let mut carry = Self { through, first_seq: 1, open: HashMap::new() };
        let seed = seed(dir.lane);
        while let Parsed::Frame(frame) = parse(seed, bytes) {
            match frame.body() {
                Some(Body::Header(_)) => carry.first_seq = frame.seq,
                Some(Body::Record(Record::Intent(intent))) => {
                    carry.open.insert(intent.attempt, Open { seq: frame.seq, intent, progress: None });
                }
                Some(Body::Record(Record::Progress(progress))) => {
                    if let Some(open) = carry.open.get_mut(&progress.attempt) {
                        open.progress = Some(progress);
                    }
                }
                Some(Body::Record(Record::Settlement(_))) | None => {}
            }
            bytes = bytes.get(frame.length..).unwrap_or_default();
        }
        if !bytes.is_empty() {
            tracing::error!(journal.lane = %dir.lane, segment = through, "journal carry file is damaged, attempts may be lost");
        }
        carry
    }
}
