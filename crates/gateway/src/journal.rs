//! The metering journal of a node: what is known of every attempt, before anybody else learns of it.
//!
//! # Why
//! Usage is counted in the store, but a request must not wait for the store, and must not be lost when
//! the store is down or this process is killed. So each attempt leaves records in files here first, and
//! a shipper carries them to the store later.
//!
//! # Format
//! A *lane* is a directory `<journal>/<uuid>/` with segments `000001.seg`, `000002.seg`, …; it is
//! written by one worker of one process and never reopened for writing. A segment is a header frame and
//! then frames of records, numbered in the lane from 1 without gaps ([`record`] has the bytes):
//!
//! | record | is written | says |
//! |---|---|---|
//! | [`Intent`] | before the first byte goes upstream | who, what, when, bounds and prices |
//! | [`Progress`] | before the bytes that it covers go to the client | running figures |
//! | [`tollgate_core::usage::Settlement`] | before the last byte goes to the client | everything, the intent's facts again |
//!
//! Each is one `write(2)`: once the call returns, a killed process loses nothing. A thread of its own
//! brings them to the disk within [`SYNC_INTERVAL`] and the time of an `fdatasync`; with
//! [`SyncMode::Always`] a worker may wait for that, and all that wait share one.
//!
//! # Invariants
//! 1. *One writer.* The lock on `<journal>/lock` is held as long as anything here lives.
//! 2. *Nothing behind a torn end.* After a failed or short write, or a failed sync, a lane refuses
//!    everything, no lane takes intents any more, and the sync is not repeated (the kernel forgets
//!    pages that it failed to write, so that a second sync would lie).
//! 3. *Shipped is durable.* Only what is on disk is shipped. Else a power cut could take a settlement
//!    from the journal that the store has, and the recovery would settle its attempt again.
//! 4. *Once.* A batch and the lane's watermark are one transaction, which checks the watermark; numbers
//!    of records, and of what recovery makes, never change ([`collect`]).
//! 5. *Enough is kept.* Segments are deleted only when all in them is shipped, the store has it on disk,
//!    and a carry file with the attempts that are still open is; a lane is renamed before it is deleted
//!    (`files`).
//! 6. *Bounded.* Intents are refused when the journal or its disk is full (`space`), so that progress and
//!    settlements of what was admitted still fit; then segments end early, so that they can be deleted
//!    once they are shipped. Memory holds the attempts in flight and one batch a lane.
//!
//! # Recovery
//! At start every lane found is old: it is brought to the disk, read from its beginning, shipped from
//! its watermark on, and what is left open is settled as interrupted: `partial` with the upstream's
//! last running figures, else `estimated` between bounds. Then the lane is deleted. A lane whose writer
//! was dropped while the process lives goes the same way.
//!
//! A broken frame at the end of a lane is a torn tail, which nobody relied on. Anywhere else it is
//! damage: reading goes on at the next whole frame, and the missing numbers are reported as a [`Gap`]
//! and counted. An attempt is lost only if all of its records were.

pub mod ahead;
pub mod collect;
mod files;
mod lane;
pub mod reader;
pub mod record;
pub mod ship;
#[cfg(test)]
mod simulation;
pub(crate) mod space;
#[cfg(test)]
mod tests;

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use tollgate_core::{Id, Timestamp, World, change::Node};

pub use self::{
    ahead::Ahead,
    collect::Batch,
    lane::{LaneWriter, Position},
    reader::Gap,
    record::{Intent, Progress},
    ship::{Shipper, UsageSink},
};
use self::{
    files::{LaneDir, SyncFile, directory_make, directory_sync, lanes_find, lock_open},
    lane::Lane,
    reader::Segments,
    record::{Body, FORMAT, FRAME_MOST, Parsed, parse, seed},
};

/// How long a record waits for the sync that takes it to the disk; the sync itself comes on top.
pub const SYNC_INTERVAL: Duration = Duration::from_millis(25);
/// The size of the journal, where nothing else is set.
pub const MAX_BYTES_DEFAULT: u64 = 1 << 30;
/// The size of a segment, where nothing else is set.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;
/// No segment is made smaller than this, however small the journal is.
const SEGMENT_BYTES_LEAST: u64 = 16 << 10;
/// What part of the journal the segments that are being written may take together: nothing of them is deleted, though all
/// is shipped.
const SEGMENTS_WRITTEN: u64 = 8;
/// The last eighth of the journal is kept for attempts that were admitted,
const INTENTS_STOP_AT: (u64, u64) = (7, 8);
/// and the last sixteenth for their settlements alone.
const PROGRESS_STOPS_AT: (u64, u64) = (15, 16);
/// Of the size at which intents are refused: from here on the journal is nearly full.
const WARN_AT: (u64, u64) = (4, 5);

/// When a record counts as safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncMode {
    /// Once it is in the kernel: survives a killed process.
    #[default]
    Os,
    /// Once it is on the disk: survives a power cut.
    Always,
}

/// How a journal is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// The process that writes.
    pub node: Id<Node>,
    /// No more than this is kept, in bytes.
    pub max_bytes: u64,
    /// A segment is at most this long, in bytes.
    pub segment_bytes: u64,
    /// When a record counts as safe.
    pub sync: SyncMode,
    /// Whether a lane begins only as many attempts as the store was told of: see [`ahead`].
    pub tells: bool,
}

impl Options {
    /// The defaults.
    #[must_use]
    pub fn new(node: Id<Node>) -> Self {
        let (max_bytes, segment_bytes) = (MAX_BYTES_DEFAULT, SEGMENT_BYTES_DEFAULT);
        Self { node, max_bytes, segment_bytes, sync: SyncMode::Os, tells: false }
    }
    /// With segments small enough for a journal of this size that has so many lanes.
    #[must_use]
    pub fn for_lanes(self, lanes: usize) -> Self {
        let share = self.max_bytes / SEGMENTS_WRITTEN / u64::try_from(lanes.max(1)).unwrap_or(u64::MAX);
        Self { segment_bytes: self.segment_bytes.min(share.max(SEGMENT_BYTES_LEAST)), ..self }
    }
}

/// Why the journal did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process holds the lock.
    #[error("the journal {} is used by another process: every node needs a journal directory of its own", .0.display())]
    InUse(PathBuf),
    /// A later version of this program wrote it.
    #[error("the journal {} was written by a newer version (format {found}, this one reads up to {FORMAT}): start that version to ship it", .directory.display())]
    TooNew {
        /// The lane's directory.
        directory: PathBuf,
        /// Its format.
        found: u16,
    },
    /// The file system refused.
    #[error("the journal {}: {source}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its size limit is reached, since nothing could be shipped for long, or its disk is nearly full: admit nothing.
    #[error("the journal is full")]
    Full,
    /// More was begun than the store was told of, which is told with each renewal of the lease: admit nothing until then.
    #[error("the store does not know yet how much is begun here")]
    Untold,
    /// A write or sync failed: admit nothing, and restart.
    #[error("the journal cannot be written")]
    Broken,
}

impl JournalError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), source }
    }
}

/// Whether requests may be admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Yes.
    Good,
    /// Yes, but not for long if nothing can be shipped.
    NearlyFull,
    /// No, until something is shipped, or the disk has room again.
    Full,
    /// No, until a restart.
    Broken,
}

/// What anybody may know of a journal at any time, without waiting.
#[derive(Debug)]
pub struct Status {
    max_bytes: u64,
    bytes: AtomicU64,
    broken: AtomicBool,
    disk_low: AtomicBool,
    pub(crate) lanes: AtomicU64,
    pub(crate) unshipped_records: AtomicU64,
    pub(crate) shipped_settlements: AtomicU64,
    pub(crate) lost_records: AtomicU64,
    pub(crate) ship_failures: AtomicU64,
    pub(crate) complete_until: AtomicI64,
    pub(crate) behind_ms: AtomicU64,
}

impl Status {
    fn new(max_bytes: u64) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            max_bytes,
            bytes: zero(),
            broken: AtomicBool::new(false),
            disk_low: AtomicBool::new(false),
            lanes: zero(),
            unshipped_records: zero(),
            shipped_settlements: zero(),
            lost_records: zero(),
            ship_failures: zero(),
            complete_until: AtomicI64::new(0),
            behind_ms: zero(),
        }
    }
    /// Whether requests may be admitted.
    pub fn health(&self) -> Health {
        let (bytes, below) = (self.bytes(), self.intents_below());
        if self.broken.load(Ordering::Relaxed) {
            Health::Broken
        } else if self.takes_no_intents() {
            Health::Full
        } else if bytes >= part(below, WARN_AT) {
            Health::NearlyFull
        } else {
            Health::Good
        }
    }
    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
    /// Lanes that hold anything unshipped or may yet.
    pub fn lanes(&self) -> u64 {
        self.lanes.load(Ordering::Relaxed)
    }
    /// Records written and not yet seen to be shipped, or to need no shipping.
    pub fn unshipped_records(&self) -> u64 {
        self.unshipped_records.load(Ordering::Relaxed)
    }
    /// Settlements shipped by this process.
    pub fn shipped_settlements(&self) -> u64 {
        self.shipped_settlements.load(Ordering::Relaxed)
    }
    /// Records found to be damaged. Not zero is an alarm.
    pub fn lost_records(&self) -> u64 {
        self.lost_records.load(Ordering::Relaxed)
    }
    /// Tries to ship that failed.
    pub fn ship_failures(&self) -> u64 {
        self.ship_failures.load(Ordering::Relaxed)
    }
    /// Every attempt of this node that began before this is in the store, as far as this process can
    /// know; while lanes of earlier processes are not yet read, the time when the oldest was made.
    pub fn complete_until(&self) -> Timestamp {
        Timestamp::from_millis(self.complete_until.load(Ordering::Relaxed))
    }
    /// How long ago the store last had everything that was written until then.
    pub fn behind(&self) -> Duration {
        Duration::from_millis(self.behind_ms.load(Ordering::Relaxed))
    }

    fn takes_no_intents(&self) -> bool {
        self.bytes() >= self.intents_below() || self.disk_low.load(Ordering::Relaxed)
    }
    fn intents_below(&self) -> u64 {
        part(self.max_bytes, INTENTS_STOP_AT)
    }
    fn progress_below(&self) -> u64 {
        part(self.max_bytes, PROGRESS_STOPS_AT)
    }
    fn bytes_add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
    fn bytes_change(&self, difference: i64) {
        let change = |bytes: u64| Some(bytes.saturating_add_signed(difference));
        let _always_some = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }
}

fn part(whole: u64, (of, parts): (u64, u64)) -> u64 {
    whole / parts * of + whole % parts * of / parts
}

/// What the journal, its lanes, its syncer and its shipper share.
#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    options: Options,
    world: World,
    sync_file: SyncFile,
    status: Arc<Status>,
    ahead: Arc<Ahead>,
    lanes: Mutex<Vec<Arc<Lane>>>,
    dirty: AtomicBool,
    urgent: AtomicBool,
    stop: AtomicBool,
    syncer: OnceLock<Thread>,
    _lock: File,
}

impl Shared {
    fn lanes(&self) -> MutexGuard<'_, Vec<Arc<Lane>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Something was written: it is synced within the interval.
    fn sync_later(&self) {
        if !self.dirty.load(Ordering::SeqCst) && !self.dirty.swap(true, Ordering::SeqCst) {
            self.syncer_wake();
        }
    }
    /// Somebody waits for the disk.
    fn sync_soon(&self) {
        self.urgent.store(true, Ordering::SeqCst);
        self.dirty.store(true, Ordering::SeqCst);
        self.syncer_wake();
    }
    fn syncer_wake(&self) {
        if let Some(thread) = self.syncer.get() {
            thread.unpark();
        }
    }
    fn sync_all(&self) {
        // Cleared before the lanes are looked at: a write behind that look makes it dirty again.
        self.dirty.store(false, Ordering::SeqCst);
        let lanes = self.lanes().clone();
        for lane in lanes {
            lane.sync(self);
        }
    }
    fn sync_until_stopped(&self) {
        while !self.stop.load(Ordering::SeqCst) {
            if !self.dirty.load(Ordering::SeqCst) {
                thread::park();
                continue;
            }
            let until = Instant::now() + SYNC_INTERVAL;
            while !self.urgent.swap(false, Ordering::SeqCst) && !self.stop.load(Ordering::SeqCst) {
                match until.checked_duration_since(Instant::now()) {
                    Some(rest) if !rest.is_zero() => thread::park_timeout(rest),
                    _ => break,
                }
            }
            self.sync_all();
        }
    }
}

/// A node's journal, open. Drop the lanes first, then the shipper, then this.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    old: Mutex<Vec<LaneDir>>,
    syncer: Option<JoinHandle<()>>,
}

impl Journal {
    /// Opens the journal in `directory`, which is made where missing, for this process alone; brings to
    /// the disk what an earlier process left, and starts the thread that syncs.
    ///
    /// # Errors
    /// [`JournalError::InUse`], [`JournalError::TooNew`], [`JournalError::Io`].
    pub fn open(directory: &Path, options: Options, world: World) -> Result<Self, JournalError> {
        let mut journal = Self::open_without_syncer(directory, options, world, File::sync_data)?;
        let shared = Arc::clone(&journal.shared);
        let thread = thread::Builder::new().name("journal-sync".into()).spawn(move || shared.sync_until_stopped());
        let handle = thread.map_err(|error| JournalError::io(directory, error))?;
        let _set_once = journal.shared.syncer.set(handle.thread().clone());
        journal.syncer = Some(handle);
        Ok(journal)
    }

    fn open_without_syncer(
        directory: &Path,
        options: Options,
        world: World,
        sync_file: SyncFile,
    ) -> Result<Self, JournalError> {
        let failed = |error| JournalError::io(directory, error);
        directory_make(directory).map_err(failed)?;
        let lock = lock_open(directory).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::InUse(directory.to_path_buf())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let status = Arc::new(Status::new(options.max_bytes));
        let mut old = lanes_find(directory).map_err(failed)?;
        for lane in &mut old {
            lane.node = header_read(lane)?;
            // A killed process leaves records in the kernel: only on disk may they be shipped.
            let bytes = lane.sync_all(sync_file).map_err(|error| JournalError::io(&lane.path, error))?;
            status.bytes_add(bytes);
        }
        directory_sync(directory, sync_file).map_err(failed)?;
        status.lanes.store(u64::try_from(old.len()).unwrap_or_default(), Ordering::Relaxed);
        let shared = Shared {
            directory: directory.to_path_buf(),
            options,
            world,
            sync_file,
            status,
            ahead: Arc::default(),
            lanes: Mutex::default(),
            dirty: AtomicBool::new(false),
            urgent: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            syncer: OnceLock::new(),
            _lock: lock,
        };
        Ok(Self { shared: Arc::new(shared), old: Mutex::new(old), syncer: None })
    }

    /// A new lane, for one worker.
    ///
    /// # Errors
    /// [`JournalError::Io`], [`JournalError::Broken`].
    pub fn new_lane(&self) -> Result<LaneWriter, JournalError> {
        if self.shared.status.broken.load(Ordering::SeqCst) {
            return Err(JournalError::Broken);
        }
        LaneWriter::create(Arc::clone(&self.shared))
    }

    /// How much is begun, and how much may be.
    #[must_use]
    pub fn ahead(&self) -> Arc<Ahead> {
        Arc::clone(&self.shared.ahead)
    }
    /// What may be known at any time; stays readable when the journal is gone.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.shared.status)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.syncer_wake();
        if let Some(syncer) = self.syncer.take() {
            // A panic of the syncer has been printed; there is nobody left to tell.
            let _joined = syncer.join();
            self.shared.sync_all();
        }
    }
}

/// Looks at the beginnings of a lane's segments, until one can be read: who wrote the lane.
fn header_read(lane: &LaneDir) -> Result<Option<Id<Node>>, JournalError> {
    let failed = |error| JournalError::io(&lane.path, error);
    let mut segments = files::DirSegments::new(lane.clone());
    let mut segment = 0;
    while let Some(next) = segments.next_after(segment).map_err(failed)? {
        segment = next;
        let mut bytes = [0; FRAME_MOST];
        let read = segments.read_at(segment, 0, &mut bytes).map_err(failed)?;
        if let Parsed::Frame(frame) = parse(seed(lane.lane), bytes.get(..read).unwrap_or_default())
            && let Some(Body::Header(header)) = frame.body()
        {
            let (directory, found) = (lane.path.clone(), header.format);
            return if found > FORMAT { Err(JournalError::TooNew { directory, found }) } else { Ok(Some(header.node)) };
        }
    }
    Ok(None)
}
