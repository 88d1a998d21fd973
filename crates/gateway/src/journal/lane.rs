//! A lane: what one worker appends, and what others may know of it.
//!
//! Only the writer appends; it never reads, never waits for the disk and takes no lock but when a
//! segment is full. After a write that failed or came short the lane is broken for good: what stands
//! behind the last whole record is a torn tail, and nothing may be written behind a torn tail.

use std::{
    fs::{self, File},
    io::{self, Write},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

use tokio::sync::watch;
use tollgate_core::{
    Id,
    usage::{Journal, Settlement},
};

use super::{
    JournalError, SEGMENT_BYTES_LEAST, Shared, SyncMode,
    ahead::Count,
    files::{LaneDir, directory_sync},
    record::{Encoder, FORMAT, FRAME_MOST, Header, Intent, Progress},
};

/// The part of a segment that has to be written before it is given up, while there is no room: what is admitted still
/// settles, and is not to leave a file for every few records.
const GIVEN_UP_FROM: u64 = 4;
/// The longest frame of a record.
const RECORD_MOST: u64 = FRAME_MOST as u64;

/// Where a record stands in its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    seq: u64,
}

/// A lane as the syncer and the shipper see it.
#[derive(Debug)]
pub(super) struct Lane {
    pub dir: LaneDir,
    /// The last record that is wholly in the kernel.
    pub written: AtomicU64,
    /// The segment that is being written: nothing comes any more in those before it.
    pub segment: AtomicU32,
    /// Its writer is gone: nothing comes any more.
    pub closed: AtomicBool,
    /// As in [`Synced`], for the writer to look at before each write.
    broken: AtomicBool,
    synced: watch::Sender<Synced>,
    handles: Mutex<Handles>,
}

/// How far a lane is on disk.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Synced {
    /// The last record that is on disk.
    pub seq: u64,
    /// A write or sync failed: that number will not grow any more.
    pub broken: bool,
}

#[derive(Debug, Default)]
struct Handles {
    /// Segments that may not be wholly on disk; the last one is being written.
    segments: Vec<(u32, Arc<File>)>,
    /// The directory has names that may not be on disk.
    names_changed: bool,
}

impl Lane {
    fn new(dir: LaneDir) -> Self {
        Self {
            dir,
            written: AtomicU64::new(0),
            segment: AtomicU32::new(0),
            closed: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            synced: watch::Sender::new(Synced::default()),
            handles: Mutex::default(),
        }
    }

    pub fn synced(&self) -> Synced {
        *self.synced.borrow()
    }

    pub fn break_for_good(&self, shared: &Shared, doing: &'static str, error: &io::Error) {
        shared.status.broken.store(true, Ordering::SeqCst);
        if !self.broken.swap(true, Ordering::SeqCst) {
            tracing::error!(journal.lane = %self.dir.lane, %error, "journal is broken, no request is admitted: {doing} failed");
        }
        self.synced.send_modify(|synced| synced.broken = true);
    }

    /// Brings what is written so far to the disk. A failure is final: after a failed sync the kernel
    /// takes the lost pages for clean, and a second sync would succeed without them.
    pub fn sync(&self, shared: &Shared) {
        let written = self.written.load(Ordering::SeqCst);
        let before = self.synced();
        let (segments, names_changed) = {
            let mut handles = self.handles();
            (handles.segments.clone(), std::mem::take(&mut handles.names_changed))
        };
        if before.broken || (written == before.seq && !names_changed) {
            return;
        }
        let names = || if names_changed { directory_sync(&self.dir.path, shared.sync_file) } else { Ok(()) };
        let result = segments.iter().try_for_each(|(_, file)| (shared.sync_file)(file)).and_then(|()| names());
        if let Err(error) = result {
            // The shipper has counted all of it and removed it between the look at it and this.
            let is_removed = self.closed.load(Ordering::SeqCst) && !self.dir.path.exists();
            if error.kind() == io::ErrorKind::NotFound && is_removed {
                return;
            }
            return self.break_for_good(shared, "sync", &error);
        }
        let newest = segments.last().map_or(0, |(number, _)| *number);
        self.handles().segments.retain(|(number, _)| *number >= newest);
        self.synced.send_modify(|synced| synced.seq = written);
    }

    fn handles(&self) -> MutexGuard<'_, Handles> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing end of a lane, owned by one worker. Dropping it ends the lane: whatever it left open
/// is then settled as interrupted.
#[derive(Debug)]
pub struct LaneWriter {
    encoder: Encoder,
    out: Output,
    count: Arc<Count>,
}

#[derive(Debug)]
struct Output {
    shared: Arc<Shared>,
    lane: Arc<Lane>,
    segment: Segment,
    next_seq: u64,
}

/// The segment that is being written.
#[derive(Debug)]
struct Segment {
    number: u32,
    file: Arc<File>,
    bytes: u64,
}

impl LaneWriter {
    pub(super) fn create(shared: Arc<Shared>) -> Result<Self, JournalError> {
        let id = Id::<Journal>::new(&shared.world);
        let failed = |error| JournalError::io(&shared.directory, error);
        let dir = LaneDir::create(&shared.directory, id, shared.options.node).map_err(failed)?;
        directory_sync(&shared.directory, shared.sync_file).map_err(failed)?;
        let (lane, mut encoder) = (Arc::new(Lane::new(dir)), Encoder::new(id));
        let first = Segment::create(&shared, &lane, &mut encoder, 1, 1).map_err(failed)?;
        shared.lanes().push(Arc::clone(&lane));
        let count = shared.ahead.lane(shared.options.tells);
        Ok(Self { encoder, count, out: Output { shared, lane, segment: first, next_seq: 1 } })
    }

    /// The lane's id.
    #[must_use]
    pub fn id(&self) -> Id<Journal> {
        self.out.lane.dir.lane
    }

    /// Writes that an attempt is about to be sent; it may be sent once this has returned.
    /// Its progress and settlement belong in the same lane.
    ///
    /// # Errors
    /// [`JournalError::Full`], [`JournalError::Untold`] and [`JournalError::Broken`]: do not send, do not admit.
    pub fn intent(&mut self, intent: &Intent) -> Result<Position, JournalError> {
        let status = &self.out.shared.status;
        if status.broken.load(Ordering::Relaxed) {
            return Err(JournalError::Broken);
        }
        if status.takes_no_intents() {
            self.segment_give_up();
            return Err(JournalError::Full);
        }
        if !self.count.may_begin(&self.out.shared.ahead) {
            return Err(JournalError::Untold);
        }
        self.segment_turn()?;
        let position = self.out.append(self.encoder.intent(self.out.next_seq, intent))?;
        self.count.begin();
        Ok(position)
    }

    /// Writes how far an attempt has come; bytes that it covers may be forwarded once this has returned.
    ///
    /// # Errors
    /// [`JournalError::Full`]: only the bound for the case of a crash suffers, the attempt may go on.
    /// [`JournalError::Broken`]: end the attempt.
    pub fn progress(&mut self, progress: &Progress) -> Result<Position, JournalError> {
        let status = &self.out.shared.status;
        if status.bytes() >= status.progress_below() {
            return Err(JournalError::Full);
        }
        self.segment_turn()?;
        self.out.append(self.encoder.progress(self.out.next_seq, progress))
    }

    /// Writes how an attempt ended, once per attempt; the answer's end may be forwarded once this has
    /// returned. Never refused for size.
    ///
    /// # Errors
    /// [`JournalError::Broken`]: the attempt will be settled as interrupted at the next start.
    pub fn settle(&mut self, settlement: &Settlement) -> Result<Position, JournalError> {
        self.segment_turn()?;
        self.out.append(self.encoder.settlement(self.out.next_seq, settlement))
    }

    /// Waits until `position` is on disk, where [`SyncMode::Always`] asks for that; else returns at once.
    /// Borrows nothing, so that the lane may be written meanwhile.
    ///
    /// # Errors
    /// [`JournalError::Broken`]: it may never be.
    pub fn durable(&self, position: Position) -> impl Future<Output = Result<(), JournalError>> + Send + use<> {
        let (shared, lane) = (Arc::clone(&self.out.shared), Arc::clone(&self.out.lane));
        async move {
            if shared.options.sync == SyncMode::Os {
                return Ok(());
            }
            let mut synced = lane.synced.subscribe();
            shared.sync_soon();
            loop {
                let now = *synced.borrow_and_update();
                if now.seq >= position.seq {
                    return Ok(());
                }
                if now.broken || synced.changed().await.is_err() {
                    return Err(JournalError::Broken);
                }
            }
        }
    }

    /// Has it write to another file from now on.
    #[cfg(test)]
    pub(super) fn file_replace(&mut self, file: File) {
        let file = Arc::new(file);
        self.out.lane.handles().segments = vec![(self.out.segment.number, Arc::clone(&file))];
        self.out.segment.file = file;
    }

    /// Begins another segment where the present one might not hold one more record.
    fn segment_turn(&mut self) -> Result<(), JournalError> {
        let (held, most) = (self.out.segment.bytes, self.out.shared.options.segment_bytes);
        if !self.out.segment.has_records() || held + RECORD_MOST <= most {
            return Ok(());
        }
        self.segment_next().map_err(|error| {
            self.out.lane.break_for_good(&self.out.shared, "a new segment", &error);
            JournalError::Broken
        })
    }
    /// Begins another segment, so that the shipper may delete the present one: there is no room, and no record will come
    /// that fills it. Where this fails, the present one goes on.
    fn segment_give_up(&mut self) {
        let least = SEGMENT_BYTES_LEAST.min(self.out.shared.options.segment_bytes / GIVEN_UP_FROM);
        if self.out.segment.has_records()
            && self.out.segment.bytes >= least
            && let Err(error) = self.segment_next()
        {
            tracing::debug!(%error, "a journal segment is not given up");
        }
    }
    fn segment_next(&mut self) -> io::Result<()> {
        let Output { shared, lane, segment, next_seq } = &mut self.out;
        *segment = Segment::create(shared, lane, &mut self.encoder, segment.number + 1, *next_seq)?;
        Ok(())
    }
}

impl Segment {
    /// Makes a segment with its header; record `seq` comes first in it. Where this fails, there is none.
    fn create(shared: &Shared, lane: &Lane, encoder: &mut Encoder, number: u32, seq: u64) -> io::Result<Self> {
        let file = Arc::new(lane.dir.segment_create(number)?);
        let header = Header { format: FORMAT, node: shared.options.node, lane: lane.dir.lane, segment: number };
        let frame = encoder.header(seq, &header);
        if let Err(error) = write_whole(&file, frame) {
            if let Err(error) = fs::remove_file(lane.dir.segment_path(number)) {
                lane.break_for_good(shared, "the removal of a segment", &error);
            }
            return Err(error);
        }
        let bytes = u64::try_from(frame.len()).unwrap_or_default();
        shared.status.bytes_add(bytes);
        {
            let mut handles = lane.handles();
            handles.segments.push((number, Arc::clone(&file)));
            handles.names_changed = true;
        }
        lane.segment.store(number, Ordering::SeqCst);
        Ok(Self { number, file, bytes })
    }
    /// Whether it holds more than its header. A few small records may be taken for none.
    fn has_records(&self) -> bool {
        self.bytes > RECORD_MOST
    }
}

/// Writes a frame in one go: what is written in two may be torn where nobody looks for it.
fn write_whole(mut file: &File, frame: &[u8]) -> io::Result<()> {
    loop {
        match file.write(frame) {
            Ok(count) if count == frame.len() => return Ok(()),
            Ok(_) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Output {
    fn append(&mut self, frame: &[u8]) -> Result<Position, JournalError> {
        self.write(frame)?;
        let seq = self.next_seq;
        self.next_seq += 1;
        self.lane.written.store(seq, Ordering::SeqCst);
        self.shared.sync_later();
        Ok(Position { seq })
    }

    fn write(&mut self, frame: &[u8]) -> Result<(), JournalError> {
        if self.lane.broken.load(Ordering::Relaxed) {
            return Err(JournalError::Broken);
        }
        if let Err(error) = write_whole(&self.segment.file, frame) {
            self.lane.break_for_good(&self.shared, "write", &error);
            return Err(JournalError::Broken);
        }
        let count = u64::try_from(frame.len()).unwrap_or_default();
        self.segment.bytes += count;
        self.shared.status.bytes_add(count);
        Ok(())
    }
}

impl Drop for LaneWriter {
    fn drop(&mut self) {
        self.out.lane.closed.store(true, Ordering::SeqCst);
        self.out.shared.sync_soon();
    }
}
