//! Files and directories, walked by all threads.
//!
//! Hidden files are read, `.git` is not. What `.gitignore` and git's own exclude files name is left out inside of git
//! repositories, unless told not to; symbolic links are not followed, except where a link itself was named.

use std::{fs::File, io::Read, path::Path};

use ignore::{WalkBuilder, WalkState};

use crate::{Finder, content::Contents, place::Findings};

/// How files are looked for.
#[derive(Debug, Clone, Copy)]
pub struct FileOptions {
    /// Read what git ignores, too.
    pub ignored: bool,
    /// How many threads read.
    pub threads: usize,
}

/// Searches files and whole directories. What cannot be read is counted and named, and stops nothing.
pub fn scan_files(roots: &[impl AsRef<Path>], options: FileOptions, finder: &Finder, findings: &Findings) {
    let Some((first, others)) = roots.split_first() else { return };
    let mut walk = WalkBuilder::new(first);
    for root in others {
        walk.add(root);
    }
    walk.standard_filters(false)
        .git_ignore(!options.ignored)
        .git_exclude(!options.ignored)
        .git_global(!options.ignored)
        .parents(!options.ignored)
        .filter_entry(|entry| entry.depth() == 0 || entry.file_name() != ".git")
        .threads(options.threads);
    walk.build_parallel().run(|| {
        let mut contents = Contents::new(finder, findings);
        Box::new(move |entry| {
            match entry {
                Ok(entry) => {
                    // A pipe that was named is read; one that is met would be waited for.
                    let is_read =
                        entry.file_type().is_some_and(|kind| kind.is_file() || entry.depth() == 0 && !kind.is_dir());
                    if is_read {
                        scan_file(entry.path(), &mut contents, findings);
                    }
                }
                Err(error) => findings.unread("", error),
            }
            WalkState::Continue
        })
    });
}

fn scan_file(path: &Path, contents: &mut Contents<'_>, findings: &Findings) {
    let shown = path.strip_prefix("./").unwrap_or(path).to_string_lossy();
    match File::open(path) {
        Ok(mut file) => contents.file(&shown, &mut file),
        Err(error) => findings.unread(&shown, error),
    }
}

/// Searches a stream, such as standard input.
pub fn scan_stream(name: &str, mut reader: impl Read, finder: &Finder, findings: &Findings) {
    Contents::new(finder, findings).stream(name, &mut reader);
}
