//! Which commit brought a find in, under which name, when.
//!
//! Commits are walked from the oldest; each tree is looked into once, when the first commit has it, so the whole walk costs as
//! much as there are different trees. It ends early when all finds are told.

use std::collections::{BTreeMap, HashMap, HashSet};

use gix::{
    ObjectId,
    bstr::{BStr, BString, ByteSlice as _},
    objs::{CommitRefIter, Kind, TreeRefIter},
    prelude::FindExt as _,
    revision::walk::Sorting,
    traverse::commit::simple::CommitTimeOrder,
};

use super::history::Hit;
use crate::place::{Commit, Findings, Found, Part};

/// The deepest directory that is looked into.
const MOST_DEPTH: usize = 1_024;
/// Hexadecimal digits of an object's id where it stands for a name.
const SHORT_ID: usize = 12;
/// The most worktrees that are asked what they have checked out and staged.
const MOST_WORKTREES: usize = 256;

/// An object with finds, and the first place in which a commit has it.
#[derive(Default)]
struct Wanted {
    hits: Vec<Hit>,
    /// The place in the order of commits, with the commit.
    first: Option<(usize, Commit)>,
    path: BString,
}

/// Adds the hits to the findings, one for each key and file: the first version that has it.
pub(super) fn tell(repository: &gix::Repository, hits: Vec<Hit>, findings: &Findings) {
    let mut wanted: HashMap<ObjectId, Wanted> = HashMap::new();
    for hit in hits {
        wanted.entry(hit.object).or_default().hits.push(hit);
    }
    let mut search = Search { repository, left: wanted.len(), wanted, seen: HashSet::new(), buffers: Vec::new() };
    search.commits();
    search.index();
    let mut told: BTreeMap<(String, Part, String), (usize, Found)> = BTreeMap::new();
    let mut all: Vec<Wanted> = search.wanted.into_values().collect();
    all.sort_by_key(|wanted| wanted.first.as_ref().map_or(usize::MAX, |(order, _)| *order));
    for Wanted { hits, first, path } in all {
        let (order, commit) = first.map_or((usize::MAX, None), |(order, commit)| (order, Some(commit)));
        for hit in hits {
            let found = found(hit, path.as_bstr(), commit.clone());
            let key = (found.file.clone(), found.part, found.key.expose().to_owned());
            match told.get_mut(&key) {
                // The same version again (another line), or a later one.
                Some((same, _)) if *same == order => {}
                Some((_, first)) => first.more += 1,
                None => {
                    told.insert(key, (order, found));
                }
            }
        }
    }
    for (_, found) in told.into_values() {
        findings.add(found);
    }
}

fn found(hit: Hit, path: &BStr, commit: Option<Commit>) -> Found {
    let path = path.to_str_lossy();
    let file = match hit.part {
        Part::TagMessage | Part::ReferenceName => hit.name.clone(),
        Part::CommitMessage => String::new(),
        _ if commit.is_none() && path.is_empty() => format!("object {:.SHORT_ID$}", hit.object.to_string()) + &hit.name,
        // A name in a tree, or in an archive's.
        Part::FileName if !hit.name.starts_with('!') && !path.is_empty() => format!("{path}/{}", hit.name),
        Part::FileName | Part::Content => format!("{path}{}", hit.name),
    };
    let commit = match hit.part {
        Part::TagMessage | Part::ReferenceName => None,
        _ => commit,
    };
    Found { key: hit.find.key, form: hit.find.form, file, part: hit.part, position: hit.position, commit, more: 0 }
}

struct Search<'a> {
    repository: &'a gix::Repository,
    wanted: HashMap<ObjectId, Wanted>,
    /// How many of them no commit is known of.
    left: usize,
    /// Trees that were looked into.
    seen: HashSet<ObjectId>,
    buffers: Vec<Vec<u8>>,
}

impl Search<'_> {
    fn commits(&mut self) {
        let tips = tips(self.repository);
        let newest_first = Sorting::ByCommitTime(CommitTimeOrder::NewestFirst);
        let Ok(walk) = self.repository.rev_walk(tips).sorting(newest_first).all() else { return };
        let mut commits: Vec<ObjectId> = walk.flatten().map(|commit| commit.id).collect();
        commits.reverse();
        let mut buffer = Vec::new();
        for (order, id) in commits.into_iter().enumerate() {
            if self.left == 0 {
                return;
            }
            let Ok(object) = self.repository.objects.find(&id, &mut buffer) else { continue };
            if object.kind != Kind::Commit {
                continue;
            }
            let commit = CommitRefIter::from_bytes(object.data, id.kind());
            let mut fields = commit;
            let Ok(tree) = fields.tree_id() else { continue };
            let mut made = None;
            let mut commit = || made.get_or_insert_with(|| (order, described(id, commit))).clone();
            self.meet(id, BStr::new(""), &mut commit);
            self.tree(tree, &mut BString::default(), 0, &mut commit);
        }
    }

    /// What is staged belongs to no commit, but has a name.
    fn index(&mut self) {
        if self.left == 0 {
            return;
        }
        for worktree in worktrees(self.repository) {
            let Ok(index) = worktree.index_or_empty() else { continue };
            for entry in index.entries() {
                if let Some(wanted) = self.wanted.get_mut(&entry.id)
                    && wanted.first.is_none()
                {
                    wanted.path = entry.path(&index).to_owned();
                }
            }
        }
    }

    fn meet(&mut self, id: ObjectId, path: &BStr, commit: &mut dyn FnMut() -> (usize, Commit)) {
        if let Some(wanted) = self.wanted.get_mut(&id)
            && wanted.first.is_none()
        {
            wanted.first = Some(commit());
            wanted.path = path.to_owned();
            self.left -= 1;
        }
    }

    fn tree(&mut self, id: ObjectId, path: &mut BString, depth: usize, commit: &mut dyn FnMut() -> (usize, Commit)) {
        if depth > MOST_DEPTH || !self.seen.insert(id) {
            return;
        }
        self.meet(id, path.as_bstr(), commit);
        let mut buffer = self.buffers.pop().unwrap_or_default();
        if let Ok(object) = self.repository.objects.find(&id, &mut buffer)
            && object.kind == Kind::Tree
        {
            for entry in TreeRefIter::from_bytes(object.data, id.kind()).flatten() {
                let length = path.len();
                if length > 0 {
                    path.push(b'/');
                }
                path.extend_from_slice(entry.filename);
                if entry.mode.is_tree() {
                    self.tree(entry.oid.to_owned(), path, depth + 1, commit);
                } else if !entry.mode.is_commit() {
                    self.meet(entry.oid.to_owned(), path.as_bstr(), commit);
                }
                path.truncate(length);
            }
        }
        self.buffers.push(buffer);
    }
}

/// The repository as each of its worktrees has it, this one first: what is checked out and staged differs.
fn worktrees(repository: &gix::Repository) -> Vec<gix::Repository> {
    let all = repository.worktrees_including_main().into_iter().flatten().flatten().take(MOST_WORKTREES);
    std::iter::once(repository.clone()).chain(all).collect()
}

/// Where the walk begins: every reference, the `HEAD` of each worktree, and what their logs remember (stashes are of those).
fn tips(repository: &gix::Repository) -> Vec<ObjectId> {
    let mut tips = Vec::new();
    if let Ok(references) = repository.references()
        && let Ok(references) = references.all()
    {
        references.flatten().for_each(|reference| remembered(reference, &mut tips));
    }
    for worktree in worktrees(repository) {
        if let Ok(head) = worktree.find_reference("HEAD") {
            remembered(head, &mut tips);
        }
    }
    tips.sort_unstable();
    tips.dedup();
    // What a log remembers may be gone, and a tag may be one of a file.
    tips.retain(|id| repository.find_header(*id).is_ok_and(|header| header.kind() == Kind::Commit));
    tips
}

/// What a reference names, and what its log says that it named before.
fn remembered(mut reference: gix::Reference<'_>, tips: &mut Vec<ObjectId>) {
    let mut log = reference.log_iter();
    if let Ok(Some(lines)) = log.all() {
        tips.extend(lines.flatten().flat_map(|line| [line.previous_oid(), line.new_oid()]));
    }
    tips.extend(reference.peel_to_id().ok().map(gix::Id::detach));
}

fn described(id: ObjectId, commit: CommitRefIter<'_>) -> Commit {
    let author = commit.author().ok();
    let time = author.and_then(|author| author.time().ok());
    Commit {
        id: id.to_string(),
        author: author.map(|author| author.name.to_str_lossy().into_owned()).unwrap_or_default(),
        date: time.map(|time| time.format_or_unix(gix::date::time::format::ISO8601_STRICT)).unwrap_or_default(),
    }
}
