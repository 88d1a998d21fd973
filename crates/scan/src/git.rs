//! Git repositories: what is staged, and the whole history. Read through `gix`, without the `git` program, and only read.

mod history;
mod origin;

use std::path::{Path, PathBuf};

use gix::{bstr::ByteSlice as _, index::entry::Mode, sec::trust::Mapping};

use crate::{
    Finder,
    content::Contents,
    place::{Findings, Found},
};

pub use history::scan_history;

/// The largest object that is read into memory.
const OBJECT_LIMIT: &str = "gitoxide.objects.allocLimit=1g";
/// Replaced objects are read as they are: `git replace` hides nothing.
const NO_REPLACEMENTS: &str = "core.useReplaceRefs=false";

/// Why a repository cannot be scanned.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is none.
    #[error("{} is in no git repository: {why}", path.display())]
    None {
        /// Where it was looked for.
        path: PathBuf,
        /// What the library says.
        why: String,
    },
    /// It is damaged.
    #[error("the repository {} cannot be read: {why}", path.display())]
    Unreadable {
        /// Where it is.
        path: PathBuf,
        /// What the library says.
        why: String,
    },
}

/// Opens the repository that `path` lies in. `for_hook`: as git says in the environment of its hooks, where the index may be
/// another than the usual one.
fn open(path: &Path, for_hook: bool) -> Result<gix::Repository, GitError> {
    let options = || gix::open::Options::default().config_overrides([OBJECT_LIMIT, NO_REPLACEMENTS]);
    let trust = Mapping { full: options(), reduced: options() };
    let opened = match for_hook {
        true => gix::ThreadSafeRepository::discover_with_environment_overrides_opts(path, Default::default(), trust),
        false => gix::ThreadSafeRepository::discover_opts(path, Default::default(), trust),
    };
    match opened {
        Ok(repository) => Ok(repository.to_thread_local()),
        Err(error) => Err(GitError::None { path: path.to_owned(), why: error.to_string() }),
    }
}

fn unreadable<E: std::fmt::Display>(repository: &gix::Repository) -> impl Fn(E) -> GitError {
    let path = repository.workdir().unwrap_or_else(|| repository.git_dir()).to_owned();
    move |error| GitError::Unreadable { path: path.clone(), why: error.to_string() }
}

/// Searches what a commit made now would change: the staged files that are not as in `HEAD`.
///
/// # Errors
/// If `path` lies in no repository, or its index cannot be read.
pub fn scan_staged(path: &Path, finder: &Finder, findings: &Findings) -> Result<(), GitError> {
    let repository = open(path, true)?;
    let index = repository.index_or_empty().map_err(unreadable(&repository))?;
    let head = repository.head_tree_id_or_empty().map_err(unreadable(&repository))?;
    let head = repository.index_from_tree(&head).map_err(unreadable(&repository))?;
    let mut contents = Contents::new(finder, findings);
    for entry in index.entries() {
        let path = entry.path(&index);
        let is_file = [Mode::FILE, Mode::FILE_EXECUTABLE, Mode::SYMLINK].contains(&entry.mode);
        if !is_file || head.entry_by_path(path).is_some_and(|before| before.id == entry.id) {
            continue;
        }
        let name = path.to_str_lossy();
        let mut add =
            |name: &str, part, position, find| findings.add(Found::in_file(name.to_owned(), part, position, find));
        contents.name(&name, &mut add);
        match repository.find_object(entry.id) {
            Ok(object) => {
                findings.count_read(0);
                contents.whole(&name, &object.data, &mut add);
            }
            Err(error) => findings.unread(&name, error),
        }
    }
    Ok(())
}
