//! The documentation's pictures of the console: taken by a browser test, made small, kept in `docs/screenshots`.

use std::{ffi::OsStr, fs, path::Path};

use anyhow::{Context, Result, ensure};

use crate::{browser::Browser, cargo, run, say};

/// The test that takes them. It compares them with those that are kept, and fails where a name is new.
const TEST: &str = "the_documentations_pictures_are_those_that_are_taken_here";
/// How hard they are made small, of 0 to 6.
const EFFORT: u8 = 5;

/// Takes all pictures and puts them in place of those that are kept.
pub fn take() -> Result<()> {
    let browser = Browser::find_or_install(false)?;
    let tollgate = cargo::build_tollgate()?;
    let taken = cargo::target_directory()?.join("pictures");
    if taken.is_dir() {
        fs::remove_dir_all(&taken)?;
    }
    let mut test = cargo::test_runner(Some(TEST), Some("tollgate-tests"));
    let tested = run(browser.hand_to(&mut test).env("TOLLGATE_BIN", &tollgate));
    let pictures = pngs(&taken).with_context(|| format!("{TEST} took no pictures"))?;
    ensure!(!pictures.is_empty(), "{TEST} took no pictures");
    let kept = cargo::root()?.join("docs/screenshots");
    for old in pngs(&kept)? {
        fs::remove_file(old)?;
    }
    let mut size = 0;
    for picture in &pictures {
        let name = picture.file_name().context("a picture has a name")?;
        let small = oxipng::optimize_from_memory(&fs::read(picture)?, &oxipng::Options::from_preset(EFFORT))?;
        size += small.len();
        fs::write(kept.join(name), small)?;
    }
    say(&format!("docs/screenshots has {} pictures of {} KiB", pictures.len(), size / 1_024));
    if tested.is_err() {
        say("the test compares with the pictures from before: where it failed for another reason, it says so above");
    }
    Ok(())
}

/// The PNG files of a directory.
fn pngs(directory: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("png")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
