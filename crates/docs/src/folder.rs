//! Reads the operator's pages from a directory: Markdown files, and `contents.toml` for their order.
//!
//! Bounded in number, size and depth. What is no page (too large, not UTF-8, a name that cannot be an address, a link that
//! leads out of the directory) is left out and told as a [`FolderFault`]; nothing here fails as a whole.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{OwnPage, RESERVED, Sources, contents};

/// The most pages.
pub const MOST_PAGES: usize = 500;
/// The largest page, in bytes.
pub const LARGEST_PAGE: u64 = 512 << 10;
/// All pages together, in bytes.
pub const LARGEST_FOLDER: u64 = 8 << 20;
/// How deep directories may lie in one another.
pub const DEEPEST: usize = 6;
/// The most entries of the directory that are looked at, pages or not.
const MOST_ENTRIES: usize = 5_000;
/// The longest name of a page, in bytes.
const LONGEST_NAME: usize = 120;
/// The name of the order's file.
const CONTENTS: &str = "contents.toml";

/// What was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct FolderFault {
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}
impl FolderFault {
    fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), problem: problem.into() }
    }
}

/// The operator's pages, as they were read.
#[derive(Debug, Default)]
pub struct Folder {
    /// The pages.
    pub pages: Vec<OwnPage>,
    /// Their order, where there is one.
    pub contents: Option<String>,
    /// What was left out.
    pub faults: Vec<FolderFault>,
}

/// Tells whether a directory may hold something else than before: names, sizes and times of what is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderMark(Vec<(PathBuf, u64, Option<SystemTime>)>);

impl Folder {
    /// Reads it.
    #[must_use]
    pub fn read(directory: &Path) -> Self {
        let mut folder = Self::default();
        let root = match fs::canonicalize(directory) {
            Ok(root) => root,
            Err(error) => {
                folder.faults.push(FolderFault::new(directory, error.to_string()));
                return folder;
            }
        };
        let mut left = LARGEST_FOLDER;
        for path in files(&root, &mut folder.faults) {
            let Ok(name) = path.strip_prefix(&root) else { continue };
            let read = page_name(name).and_then(|kind| {
                let text = read(&root, &path, left)?;
                Ok((kind, text))
            });
            match read {
                Ok((Kind::Page(name), text)) if folder.pages.len() < MOST_PAGES => {
                    left = left.saturating_sub(text.len() as u64);
                    folder.pages.push(OwnPage { name, text });
                }
                Ok((Kind::Page(_), _)) => {
                    let problem =
                        format!("there are more than {MOST_PAGES} pages; this one and those after it are left out");
                    folder.faults.push(FolderFault::new(&path, problem));
                    break;
                }
                Ok((Kind::Contents, text)) => match contents::check(&text) {
                    Ok(()) => folder.contents = Some(text),
                    Err(error) => folder.faults.push(FolderFault::new(&path, error.to_string().trim().to_owned())),
                },
                Err(problem) => folder.faults.push(FolderFault::new(&path, problem)),
            }
        }
        folder
    }
    /// What a documentation is made of, with these pages in it.
    #[must_use]
    pub fn sources(&self) -> Sources {
        Sources::with(self.pages.iter().cloned(), self.contents.clone())
    }
    /// What is in the directory now, without reading it.
    #[must_use]
    pub fn mark(directory: &Path) -> FolderMark {
        let Ok(root) = fs::canonicalize(directory) else { return FolderMark::default() };
        let files = files(&root, &mut Vec::new()).into_iter().map(|path| {
            let metadata = fs::metadata(&path).ok();
            let length = metadata.as_ref().map_or(0, fs::Metadata::len);
            (path, length, metadata.and_then(|metadata| metadata.modified().ok()))
        });
        FolderMark(files.collect())
    }
}

/// Every file of the directory that may be a page, in order.
fn files(root: &Path, faults: &mut Vec<FolderFault>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![(root.to_owned(), 0)];
    let mut seen = 0_usize;
    while let Some((directory, depth)) = directories.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                faults.push(FolderFault::new(&directory, error.to_string()));
                continue;
            }
        };
        for entry in entries.flatten() {
            seen += 1;
            if seen > MOST_ENTRIES {
                let problem = format!("more than {MOST_ENTRIES} files: the others are left out");
                faults.push(FolderFault::new(root, problem));
                files.sort();
                return files;
            }
            let path = entry.path();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            // Of a link the kind of what it leads to is taken; where that lies is looked at when it is read.
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            match () {
                () if hidden => {}
                () if is_directory && depth < DEEPEST => directories.push((path, depth + 1)),
                () if is_directory => {
                    faults.push(FolderFault::new(&path, format!("lies more than {DEEPEST} directories deep")));
                }
                () if is_wanted(&path) => files.push(path),
                () => {}
            }
        }
    }
    files.sort();
    files
}

fn is_wanted(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "md") || path.file_name().is_some_and(|name| name == CONTENTS)
}

enum Kind {
    Page(String),
    Contents,
}

/// What a file is, by its name below the directory.
fn page_name(name: &Path) -> Result<Kind, String> {
    if name == Path::new(CONTENTS) {
        return Ok(Kind::Contents);
    }
    let rule = "a page's name has small letters, digits, - and _";
    let name = name.to_str().and_then(|name| name.strip_suffix(".md")).ok_or(rule)?;
    let fits = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
    };
    if name.len() > LONGEST_NAME {
        return Err(format!("a page's name has at most {LONGEST_NAME} characters"));
    }
    if !name.split('/').all(fits) {
        return Err(rule.to_owned());
    }
    let path = name.strip_prefix("vi/").unwrap_or(name);
    match path.split('/').next() {
        Some(first) if RESERVED.contains(&first) => Err(format!("/docs/{first} is served by the program itself")),
        _ => Ok(Kind::Page(name.to_owned())),
    }
}

/// A file's text, if it lies in the directory and is not too large.
fn read(root: &Path, path: &Path, left: u64) -> Result<String, String> {
    let words = |error: io::Error| error.to_string();
    let real = fs::canonicalize(path).map_err(words)?;
    if !real.starts_with(root) {
        return Err("is a link that leads out of the directory".to_owned());
    }
    // Opened by where it really lies: what is a link by now is none of ours any more.
    let file = fs::File::open(&real).map_err(words)?;
    let metadata = file.metadata().map_err(words)?;
    if !metadata.is_file() {
        return Err("is no file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_PAGE + 1).read_to_end(&mut bytes).map_err(words)?;
    let length = bytes.len() as u64;
    if length > LARGEST_PAGE {
        return Err(format!("has more than {} KiB", LARGEST_PAGE >> 10));
    }
    if length > left {
        return Err(format!("all pages together have more than {} MiB", LARGEST_FOLDER >> 20));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        format!("is not UTF-8: byte {} is none of its characters", error.utf8_error().valid_up_to() + 1)
    })?;
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(directory: &Path, name: &str, text: impl AsRef<[u8]>) {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fn names(folder: &Folder) -> Vec<&str> {
        folder.pages.iter().map(|page| page.name.as_str()).collect()
    }

    #[test]
    fn pages_are_read_and_what_is_none_is_told() {
        let outside = tempfile::tempdir().unwrap();
        let home = tempfile::tempdir().unwrap();
        let directory = home.path();
        write(outside.path(), "secret.md", "# Secret");
        write(directory, "prices.md", "\u{feff}# Prices");
        write(directory, "vi/prices.md", "# Giá");
        write(directory, "customers/usage.md", "# Ours");
        write(directory, "notes.txt", "none of it");
        write(directory, ".draft.md", "# Draft");
        write(directory, "Bad Name.md", "# x");
        write(directory, "search.md", "# x");
        write(directory, "vi/mcp/x.md", "# x");
        write(directory, "bytes.md", [b'#', b' ', 0xff, 0xfe]);
        write(directory, "empty.md", " \n");
        write(directory, "large.md", vec![b'a'; usize::try_from(LARGEST_PAGE).unwrap() + 1]);
        write(directory, "contents.toml", "[[section]]\ntitle = \"A\"\npages = [\"prices\"]\n");
        symlink(outside.path().join("secret.md"), directory.join("leak.md")).unwrap();
        symlink(outside.path(), directory.join("out")).unwrap();
        symlink(directory.join("prices.md"), directory.join("costs.md")).unwrap();
        symlink("loop.md", directory.join("loop.md")).unwrap();
        write(directory, "a/b/c/d/e/f/g/deep.md", "# x");
        let folder = Folder::read(directory);
        assert_eq!(names(&folder), ["costs", "customers/usage", "prices", "vi/prices"]);
        assert_eq!(folder.pages[2].text, "# Prices");
        assert!(folder.contents.is_some());
        let told: Vec<String> = folder.faults.iter().map(ToString::to_string).collect();
        for (name, word) in [
            ("Bad Name.md", "small letters"),
            ("search.md", "served by the program"),
            ("mcp/x.md", "served by the program"),
            ("bytes.md", "not UTF-8: byte 3"),
            ("empty.md", "is empty"),
            ("large.md", "more than 512 KiB"),
            ("leak.md", "leads out of"),
            ("loop.md", ""),
            ("f/g", "deep"),
        ] {
            assert!(told.iter().any(|fault| fault.contains(name) && fault.contains(word)), "{name}: {told:#?}");
        }
        assert_eq!(told.len(), 9, "{told:#?}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_one_fault() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::read(&home.path().join("nothing"));
        assert_eq!((folder.pages.len(), folder.faults.len()), (0, 1));
    }

    #[test]
    fn more_pages_than_may_be_and_wrong_contents_are_told() {
        let home = tempfile::tempdir().unwrap();
        for number in 0..=MOST_PAGES {
            write(home.path(), &format!("p{number:04}.md"), "# x");
        }
        write(home.path(), "contents.toml", "nonsense");
        let folder = Folder::read(home.path());
        assert_eq!(folder.pages.len(), MOST_PAGES);
        assert!(folder.contents.is_none());
        assert_eq!(folder.faults.len(), 2);
    }

    #[test]
    fn a_change_is_seen_by_the_mark() {
        let home = tempfile::tempdir().unwrap();
        write(home.path(), "a.md", "# a");
        let before = Folder::mark(home.path());
        assert_eq!(before, Folder::mark(home.path()));
        write(home.path(), "a.md", "# a longer one");
        let changed = Folder::mark(home.path());
        assert_ne!(before, changed);
        fs::remove_file(home.path().join("a.md")).unwrap();
        assert_ne!(changed, Folder::mark(home.path()));
    }
}
