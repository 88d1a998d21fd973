//! The journal's directory: names, listing, carry files, and deletion in an order that a crash at any
//! point leaves readable.
//!
//! ```text
//! journal/lock                      held by the process that uses the directory
//! journal/<lane>/000001.seg …       segments, without gaps in their numbers
//! journal/<lane>/000004.carry       what is still needed of segments 1 to 4, which are deleted
//! journal/<lane>.gone/              a lane that is shipped wholly; deletion goes on at the next start
//! ```

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use tollgate_core::{
    Id,
    change::Node,
    usage::{Journal, Lane},
};
use uuid::Uuid;

use super::reader::Segments;

/// The journal is its owner's alone.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// How a file reaches the disk; tests count and refuse.
pub(super) type SyncFile = fn(&File) -> io::Result<()>;

/// The directory of one lane.
#[derive(Debug, Clone)]
pub(super) struct LaneDir {
    pub lane: Id<Journal>,
    /// Who wrote it, where that can be read.
    pub node: Option<Id<Node>>,
    pub path: PathBuf,
}

/// Makes `path` and what is missing above it.
pub(super) fn directory_make(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)
}

/// Opens the lock file, locked or not.
pub(super) fn lock_open(directory: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(FILE_MODE).open(directory.join("lock"))
}

/// Makes the names in a directory reach the disk.
pub(super) fn directory_sync(path: &Path, sync: SyncFile) -> io::Result<()> {
    sync(&File::open(path)?)
}

/// The lanes in `directory`, oldest first; finishes deletions that a crash broke off.
pub(super) fn lanes_find(directory: &Path) -> io::Result<Vec<LaneDir>> {
    let mut lanes = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        if let Some(lane) = name.strip_suffix(".gone") {
            if lane_parse(lane).is_some() {
                fs::remove_dir_all(entry.path())?;
            }
        } else if let Some(lane) = lane_parse(name) {
            lanes.push(LaneDir { lane, node: None, path: entry.path() });
        }
    }
    lanes.sort_by_key(|lane| lane.lane);
    Ok(lanes)
}

fn lane_parse(name: &str) -> Option<Id<Journal>> {
    let plain = name.len() == 32 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if plain { Uuid::try_parse(name).ok().map(Id::from_uuid) } else { None }
}

fn number_parse(path: &Path, extension: &str) -> Option<u32> {
    if path.extension() != Some(OsStr::new(extension)) {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

impl LaneDir {
    /// Makes the directory of a new lane.
    pub fn create(directory: &Path, lane: Id<Journal>, node: Id<Node>) -> io::Result<Self> {
        let path = directory.join(lane.uuid().simple().to_string());
        fs::DirBuilder::new().mode(DIRECTORY_MODE).create(&path)?;
        Ok(Self { lane, node: Some(node), path })
    }

    /// As the store knows it.
    pub fn as_lane(&self) -> Lane {
        Lane { id: self.lane, node: self.node }
    }

    pub fn segment_path(&self, segment: u32) -> PathBuf {
        self.path.join(format!("{segment:06}.seg"))
    }

    /// Makes a segment that must not exist yet.
    pub fn segment_create(&self, segment: u32) -> io::Result<File> {
        OpenOptions::new().append(true).create_new(true).mode(FILE_MODE).open(self.segment_path(segment))
    }

    /// The numbers of the segments, ascending.
    pub fn segments(&self) -> io::Result<Vec<u32>> {
        self.numbers("seg")
    }

    fn numbers(&self, extension: &str) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            numbers.extend(number_parse(&entry?.path(), extension));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The newest carry file: the last segment that it replaces, and its bytes.
    pub fn carry_read(&self) -> io::Result<Option<(u32, Vec<u8>)>> {
        let Some(&through) = self.numbers("carry")?.last() else { return Ok(None) };
        Ok(Some((through, fs::read(self.carry_path(through))?)))
    }

    fn carry_path(&self, through: u32) -> PathBuf {
        self.path.join(format!("{through:06}.carry"))
    }

    /// Writes the carry file that replaces the segments up to and with `through`, and deletes them.
    /// Returns the difference in bytes. The carry file is on disk, under its name, before anything goes.
    pub fn replace(&self, through: u32, carry: &[u8], sync: SyncFile) -> io::Result<i64> {
        let unfinished = self.path.join("carry.unfinished");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&unfinished)?;
        file.write_all(carry)?;
        sync(&file)?;
        fs::rename(&unfinished, self.carry_path(through))?;
        directory_sync(&self.path, sync)?;
        let mut difference = i64::try_from(carry.len()).unwrap_or(i64::MAX);
        for extension in ["carry", "seg"] {
            for number in self.numbers(extension)? {
                let old = if extension == "seg" { number <= through } else { number < through };
                if old {
                    let path = self.path.join(format!("{number:06}.{extension}"));
                    difference -= i64::try_from(fs::metadata(&path)?.len()).unwrap_or(i64::MAX);
                    fs::remove_file(path)?;
                }
            }
        }
        Ok(difference)
    }

    /// Everything in it reaches the disk; returns how many bytes it is.
    pub fn sync_all(&self, sync: SyncFile) -> io::Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(&self.path)? {
            let file = File::open(entry?.path())?;
            bytes += file.metadata()?.len();
            sync(&file)?;
        }
        directory_sync(&self.path, sync)?;
        Ok(bytes)
    }

    /// Deletes the lane, by its name first: no part of it is ever read again. Returns its bytes.
    pub fn remove(&self, sync: SyncFile) -> io::Result<u64> {
        let gone = self.path.with_extension("gone");
        fs::rename(&self.path, &gone)?;
        if let Some(parent) = gone.parent() {
            directory_sync(parent, sync)?;
        }
        let mut bytes = 0;
        for entry in fs::read_dir(&gone)? {
            bytes += entry?.metadata()?.len();
        }
        if let Err(error) = fs::remove_dir_all(&gone) {
            tracing::warn!(path = %gone.display(), %error, "a shipped journal lane is left to be deleted at the next start");
        }
        Ok(bytes)
    }
}

/// The segments of a lane's directory; keeps the one being read open.
#[derive(Debug)]
pub(super) struct DirSegments {
    directory: LaneDir,
    open: Option<(u32, File)>,
}

impl DirSegments {
    pub const fn new(directory: LaneDir) -> Self {
        Self { directory, open: None }
    }
}

impl Segments for DirSegments {
    fn next_after(&mut self, segment: u32) -> io::Result<Option<u32>> {
        Ok(self.directory.segments()?.into_iter().find(|number| *number > segment))
    }
    fn read_at(&mut self, segment: u32, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let file = match self.open.take() {
            Some((number, file)) if number == segment => file,
            _ => File::open(self.directory.segment_path(segment))?,
        };
        let read = file.read_at(into, offset);
        self.open = Some((segment, file));
        match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.read_at(segment, offset, into),
            read => read,
        }
    }
}
