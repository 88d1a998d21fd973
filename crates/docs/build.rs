//! Lists the documentation's pages and pictures, so that what is added to `docs/` is in the program without being named
//! anywhere.
//!
//! Not among them: decisions, which are for whoever changes the program.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What is no page of the documentation, below `docs/`.
const NOT_SERVED: [&str; 1] = ["decisions"];

fn main() -> io::Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").canonicalize()?;
    println!("cargo:rerun-if-changed={}", docs.display());
    let mut files = Vec::new();
    collect(&docs, &docs, &mut files)?;
    files.sort();
    let list = |ending: &str, name: fn(&Path) -> String, include: &str| -> String {
        let files = files.iter().filter(|file| file.extension().is_some_and(|own| own == ending));
        let line = |file: &PathBuf| {
            format!("    ({:?}, {include}!({:?})),\n", name(file), docs.join(file).display().to_string())
        };
        format!("&[\n{}]\n", files.map(line).collect::<String>())
    };
    let pages = list("md", |file| file.with_extension("").display().to_string(), "include_str");
    let pictures = list("png", |file| file.display().to_string(), "include_bytes");
    #[expect(clippy::disallowed_methods, reason = "cargo tells a build script so where to write")]
    let out = std::env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo names no OUT_DIR"))?;
    fs::write(Path::new(&out).join("pages.rs"), pages)?;
    fs::write(Path::new(&out).join("pictures.rs"), pictures)
}

fn collect(root: &Path, directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let Ok(name) = path.strip_prefix(root) else { continue };
        if NOT_SERVED.iter().any(|other| name == Path::new(other)) {
            continue;
        }
        if path.is_dir() {
            println!("cargo:rerun-if-changed={}", path.display());
            collect(root, &path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "md" || ending == "png") {
            println!("cargo:rerun-if-changed={}", path.display());
            files.push(name.to_owned());
        }
    }
    Ok(())
}
