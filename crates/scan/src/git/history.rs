//! A whole history: every object of the repository, in the order in which they lie in its packs, each once.
//!
//! That is more than what branches and tags lead to, and much faster to read: what was deleted, amended, stashed or rebased
//! away is there as well. Only for what was found is the commit looked for that brought it in ([`super::origin`]).

use std::{
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use gix::{
    ObjectId,
    bstr::ByteSlice as _,
    index::entry::Mode,
    objs::{Kind, TreeRefIter},
    odb::{pack, store::iter::Ordering as ObjectOrder},
};

use super::{GitError, open, origin, unreadable};
use crate::{
    Find, Finder,
    content::Contents,
    place::{Findings, Found, Part, Position},
};

/// Objects that a thread takes at once: neighbours in a pack are made from one another.
const BATCH: usize = 4_096;
/// The most submodules that are named.
const MOST_NAMED: usize = 10;

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
    check_packs(&repository, findings);
    findings.total.fetch_add(u64::try_from(ids.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
    if repository.is_shallow().unwrap_or(false) {
        findings.warn("this clone is shallow: what lies before its first commit is not here (git fetch --unshallow)");
    }
    if is_partial(&repository) {
        findings.warn("this clone is partial: what it left out is not here (clone it without --filter)");
    }
    if let Some(names) = submodules(&repository) {
        let names = findings.shown(&names);
        findings.warn(&format!(
            "submodules have histories of their own, which are not searched: {names} (tollgate scan --git PATH)"
        ));
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

/// Names packs whose index cannot be read: nobody lists what is in them, and without a word it would count as clean.
fn check_packs(repository: &gix::Repository, findings: &Findings) {
    let store = repository.objects.store_ref();
    let alternates = store.alternate_db_paths().unwrap_or_else(|error| {
        findings.unread("objects/info/alternates", error);
        Vec::new()
    });
    for directory in std::iter::once(store.path().to_owned()).chain(alternates) {
        for pack in fs::read_dir(directory.join("pack")).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let index = pack.with_extension("idx");
            if pack.extension().is_some_and(|extension| extension == "pack")
                && pack::index::File::at(&index, repository.object_hash()).is_err()
            {
                findings
                    .unread(&pack.display().to_string(), "its index cannot be read (git index-pack makes a new one)");
            }
        }
    }
}

/// The names of submodules, some of them.
fn submodules(repository: &gix::Repository) -> Option<String> {
    let index = repository.index_or_empty().ok()?;
    let names = index.entries().iter().filter(|entry| entry.mode == Mode::COMMIT).map(|entry| entry.path(&index));
    let mut names: Vec<String> = names.take(MOST_NAMED + 1).map(|name| name.to_str_lossy().into_owned()).collect();
    if names.len() > MOST_NAMED {
        names.truncate(MOST_NAMED);
        names.push("…".to_owned());
    }
    (!names.is_empty()).then(|| names.join(", "))
}

/// Whether objects were left out when it was cloned (`git clone --filter`), to be fetched once somebody needs them.
fn is_partial(repository: &gix::Repository) -> bool {
    let config = repository.config_snapshot();
    let promises = |name: &str| config.boolean(format!("remote.{name}.promisor").as_str()) == Some(true);
    config.string("extensions.partialClone").is_some()
        || repository.remote_names().iter().any(|name| promises(&name.to_str_lossy()))
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
