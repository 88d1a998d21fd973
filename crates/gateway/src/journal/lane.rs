//! A lane: what one worker appends, and what others may know of it.
//!
//! Only the writer appends; it never reads, never waits for the disk and takes no lock but when a
//! segment is full. After a write that failed or came short the lane is broken for good: what stands
//! behind the last whole record is a torn tail, and nothing may be written behind a torn tail.

use std::{
    fs::File,
    io::{self, Write},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::watch;
use tollgate_core::{
    Id,
    usage::{Journal, Settlement},
};

use super::{
    JournalError, Shared, SyncMode,
    files::{LaneDir, directory_sync},
    record::{Encoder, FORMAT, FRAME_MOST, Header, Intent, Progress},
};

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
}

#[derive(Debug)]
struct Output {
    shared: Arc<Shared>,
    lane: Arc<Lane>,
    file: Arc<File>,
    segment: u32,
    segment_bytes: u64,
    next_seq: u64,
}

impl LaneWriter {
    pub(super) fn create(shared: Arc<Shared>) -> Result<Self, JournalError> {
        let id = Id::<Journal>::new(&shared.world);
        let failed = |error| JournalError::io(&shared.directory, error);
        let dir = LaneDir::create(&shared.directory, id).map_err(failed)?;
        directory_sync(&shared.directory, shared.sync_file).map_err(failed)?;
        let file = Arc::new(dir.segment_create(1).map_err(failed)?);
        let lane = Arc::new(Lane::new(dir));
        let out = Output { shared, lane, file, segment: 1, segment_bytes: 0, next_seq: 1 };
        let mut writer = Self { encoder: Encoder::new(id), out };
        writer.segment_begin()?;
        writer.out.shared.lanes().push(Arc::clone(&writer.out.lane));
        Ok(writer)
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
    /// [`JournalError::Full`] and [`JournalError::Broken`]: do not send, do not admit.
    pub fn intent(&mut self, intent: &Intent) -> Result<Position, JournalError> {
        let status = &self.out.shared.status;
        if status.broken.load(Ordering::Relaxed) {
            return Err(JournalError::Broken);
        }
        if status.takes_no_intents() {
            return Err(JournalError::Full);
        }
        self.segment_turn()?;
        self.out.append(self.encoder.intent(self.out.next_seq, intent))
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
        self.out.lane.handles().segments = vec![(self.out.segment, Arc::clone(&file))];
        self.out.file = file;
    }

    fn segment_turn(&mut self) -> Result<(), JournalError> {
        let out = &mut self.out;
        let most = u64::try_from(FRAME_MOST).unwrap_or_default();
        let has_records = out.segment_bytes > most;
        if !has_records || out.segment_bytes + most <= out.shared.options.segment_bytes {
            return Ok(());
        }
        match out.lane.dir.segment_create(out.segment + 1) {
            Ok(file) => {
                out.file = Arc::new(file);
                out.segment += 1;
                out.segment_bytes = 0;
                self.segment_begin()
            }
            Err(error) => {
                out.lane.break_for_good(&out.shared, "a new segment", &error);
                Err(JournalError::Broken)
            }
        }
    }

    fn segment_begin(&mut self) -> Result<(), JournalError> {
        let out = &mut self.out;
        {
            let mut handles = out.lane.handles();
            handles.segments.push((out.segment, Arc::clone(&out.file)));
            handles.names_changed = true;
        }
        let header =
            Header { format: FORMAT, node: out.shared.options.node, lane: out.lane.dir.lane, segment: out.segment };
        out.write(self.encoder.header(out.next_seq, &header))
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
        let result = loop {
            match (&*self.file).write(frame) {
                Ok(count) if count == frame.len() => break Ok(count),
                Ok(_) => break Err(io::Error::from(io::ErrorKind::WriteZero)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        match result {
            Ok(count) => {
                let count = u64::try_from(count).unwrap_or_default();
                self.segment_bytes += count;
                self.shared.status.bytes_add(count);
                Ok(())
            }
            Err(error) => {
                self.lane.break_for_good(&self.shared, "write", &error);
                Err(JournalError::Broken)
            }
        }
    }
}

impl Drop for LaneWriter {
    fn drop(&mut self) {
        self.out.lane.closed.store(true, Ordering::SeqCst);
        self.out.shared.sync_soon();
    }
}
