//! A whole history: every object of the repository, in the order in which they lie in its packs, each once.
//!
//! That is more than what branches and tags lead to, and much faster to read: what was deleted, amended, stashed or rebased
//! away is there as well. Only for what was found is the commit looked for that brought it in ([`super::origin`]).

use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use gix::{
    ObjectId,
    bstr::ByteSlice as _,
    objs::{Kind, TreeRefIter},
    odb::store::iter::Ordering as ObjectOrder,
};

use super::{GitError, open, origin, unreadable};
use crate::{
    Find, Finder,
    content::Contents,
    place::{Findings, Found, Part, Position},
};

/// Objects that a thread takes at once: neighbours in a pack are made from one another.
const BATCH: usize = 4_096;

/// A find in an object whose commit is not known yet.
pub(super) struct Hit {
    pub(super) object: ObjectId,
    pub(super) part: Part,
    /// Behind the file's name: the member of an archive; for a name in a tree, that name; for a tag, its name.
    pub(super) name: String,
    pub(super) position: Option<Position>,
    pub(super) find: Find,
}

/// Searches all objects of the repository that `path` lies in, and the names of its references.
///
/// # Errors
/// If there is no repository, or its objects cannot be listed.
pub fn scan_history(path: &Path, threads: usize, finder: &Finder, findings: &Findings) -> Result<(), GitError> {
    let repository = open(path, false)?;
    let shared = repository.clone().into_sync();
    let objects = repository.objects.iter().map_err(unreadable(&repository))?;
    let objects = objects.with_ordering(ObjectOrder::PackAscendingOffsetThenLooseLexicographical);
    let mut ids = Vec::new();
    for id in objects {
        match id {
            Ok(id) => ids.push(id),
            Err(error) => findings.unread("an object", error),
        }
    }
    findings.total.fetch_add(u64::try_from(ids.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
    if repository.is_shallow().unwrap_or(false) {
        findings.warn("this clone is shallow: what lies before its first commit is not here (git fetch --unshallow)");
    }
    let next = AtomicUsize::new(0);
    let hits = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let repository = shared.to_thread_local();
                let mut reader = Reader { contents: Contents::new(finder, findings), findings, hits: Vec::new() };
                let mut buffer = Vec::new();
                loop {
                    let from = next.fetch_add(BATCH, Ordering::Relaxed);
                    let Some(rest) = ids.get(from..).filter(|rest| !rest.is_empty()) else { break };
                    for id in rest.iter().take(BATCH) {
                        reader.read(*id, &repository, &mut buffer);
                    }
                }
                hits.lock().unwrap_or_else(std::sync::PoisonError::into_inner).append(&mut reader.hits);
            });
        }
    });
    scan_reference_names(&repository, finder, findings);
    let hits = hits.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !hits.is_empty() {
        origin::tell(&repository, hits, findings);
    }
    Ok(())
}

fn scan_reference_names(repository: &gix::Repository, finder: &Finder, findings: &Findings) {
    let Ok(references) = repository.references() else { return };
    let Ok(references) = references.all() else { return };
    for reference in references.flatten() {
        let name = reference.name().as_bstr().to_str_lossy();
        for find in finder.find(name.as_bytes()) {
            findings.add(Found::in_file(name.clone().into_owned(), Part::ReferenceName, None, find));
        }
    }
}

struct Reader<'a> {
    contents: Contents<'a>,
    findings: &'a Findings,
    hits: Vec<Hit>,
}

impl Reader<'_> {
    fn read(&mut self, id: ObjectId, repository: &gix::Repository, buffer: &mut Vec<u8>) {
        use gix::prelude::FindExt as _;
        let (kind, bytes) = match repository.objects.find(&id, buffer) {
            Ok(object) => (object.kind, object.data),
            Err(error) => return self.findings.unread(&format!("object {id}"), error),
        };
        self.findings.count_read(0);
        let hits = &mut self.hits;
        let mut hit = |name: &str, part, position, find| {
            hits.push(Hit { object: id, part, name: name.to_owned(), position, find });
        };
        match kind {
            Kind::Blob => self.contents.whole("", bytes, &mut hit),
            Kind::Tree => {
                self.findings.count_bytes(bytes.len());
                // Names lie in it as they are; which one it is matters only where there is a find.
                if self.contents.has_key(bytes) {
                    for entry in TreeRefIter::from_bytes(bytes, id.kind()).flatten() {
                        self.contents.name(&entry.filename.to_str_lossy(), &mut hit);
                    }
                }
            }
            Kind::Commit | Kind::Tag => {
                let message = bytes.find(b"\n\n").map_or(bytes.len(), |at| at + 2);
                let (head, message) = bytes.split_at_checked(message).unwrap_or((bytes, &[]));
                let part = if kind == Kind::Tag { Part::TagMessage } else { Part::CommitMessage };
                let tag = head.lines().find_map(|line| line.strip_prefix(b"tag ")).unwrap_or_default().to_str_lossy();
                for (text, has_lines) in [(head, false), (message, true)] {
                    self.contents.text_in_memory(text, &mut |position, find| {
                        hit(&tag, part, position.filter(|_| has_lines), find);
                    });
                }
            }
        }
    }
}
