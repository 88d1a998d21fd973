//! Where secrets are looked for: files, directories, streams of any length. What is compressed is looked into.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;

use crate::{Canary, Hit};

/// What is read at a time.
const CHUNK: usize = 1 << 20;
/// What begins a gzip stream that holds deflated data.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];
/// Of a gzip stream in the middle of a file, no more than this is looked into.
const MOST_INFLATED: u64 = 64 << 20;

impl Canary {
    /// All of them in a stream, whatever its length.
    ///
    /// # Errors
    /// When it cannot be read on.
    pub fn hits_in(&self, place: &str, stream: impl Read) -> io::Result<Vec<Hit>> {
        self.hits_behind(place, 0, stream)
    }
    /// The same of a stream that begins `base` bytes into its place.
    ///
    /// # Errors
    /// When it cannot be read on.
    pub fn hits_behind(&self, place: &str, mut base: u64, mut stream: impl Read) -> io::Result<Vec<Hit>> {
        let overlap = self.longest.saturating_sub(1);
        let mut hits = Vec::new();
        let mut window = Vec::new();
        loop {
            let read = stream.by_ref().take(CHUNK as u64).read_to_end(&mut window)?;
            hits.extend(self.hits(place, base, &window));
            if read == 0 {
                // What lay in the overlap was seen twice.
                hits.sort();
                hits.dedup();
                return Ok(hits);
            }
            let done = window.len().saturating_sub(overlap);
            window.drain(..done);
            base += done as u64;
        }
    }
    /// All of them in a file, also in the gzip streams in it. A file that is gone holds none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn hits_in_file(&self, path: &Path) -> io::Result<Vec<Hit>> {
        let place = path.display().to_string();
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        self.hits_in(&place, file)
    }
    /// The same with what is compressed in it: such a file has to fit into memory.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn hits_in_file_inflated(&self, path: &Path) -> io::Result<Vec<Hit>> {
        let bytes = std::fs::read(path)?;
        let place = path.display().to_string();
        let mut hits = self.hits(&place, 0, &bytes);
        let starts = bytes.windows(GZIP.len()).enumerate().filter(|(_, window)| *window == GZIP);
        for (at, _) in starts {
            let mut inflated = Vec::new();
            // What only looks like one ends in an error; what came before it is looked at.
            let _ = GzDecoder::new(bytes.get(at..).unwrap_or_default()).take(MOST_INFLATED).read_to_end(&mut inflated);
            hits.extend(self.hits(&format!("{place}, gzip at {at}"), 0, &inflated));
        }
        Ok(hits)
    }
    /// All of them in all files below a directory, but in those that `leave_out` names.
    ///
    /// # Errors
    /// When a file that is still there cannot be read.
    pub fn hits_below(&self, directory: &Path, leave_out: impl Fn(&Path) -> bool) -> io::Result<Vec<Hit>> {
        let mut hits = Vec::new();
        for file in files_below(directory) {
            if !leave_out(&file) {
                hits.extend(self.hits_in_file(&file)?);
            }
        }
        Ok(hits)
    }
}

/// Every file below a directory; links are not followed.
#[must_use]
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(files_below(&entry.path())),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    const SECRET: &str = "sk-upstream-credential-7c1f";

    #[test]
    fn a_secret_across_two_chunks_is_found_once() {
        let canary = Canary::new([SECRET]);
        for before in [CHUNK - SECRET.len() - 1, CHUNK - 10, CHUNK - 1, CHUNK, 3 * CHUNK - 5] {
            let mut bytes = vec![b'.'; before];
            bytes.extend_from_slice(SECRET.as_bytes());
            bytes.extend(vec![b'.'; CHUNK]);
            let hits = canary.hits_in("here", bytes.as_slice()).unwrap();
            assert_eq!(hits.iter().map(|hit| hit.at).collect::<Vec<_>>(), [before as u64]);
        }
    }

    #[test]
    fn what_is_compressed_is_looked_into() {
        let file = std::env::temp_dir().join(format!("canary-{}", std::process::id()));
        let mut bytes = vec![GZIP[0], GZIP[1], GZIP[2], 0, 0];
        let mut encoder = GzEncoder::new(&mut bytes, Compression::default());
        encoder.write_all(format!("<code>{SECRET}</code>").repeat(20).as_bytes()).unwrap();
        encoder.finish().unwrap();
        std::fs::write(&file, &bytes).unwrap();
        let canary = Canary::new([SECRET]);
        assert_eq!(canary.hits_in_file(&file).unwrap(), []);
        assert_eq!(canary.hits_in_file_inflated(&file).unwrap().len(), 20);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(canary.hits_in_file(&file).unwrap(), []);
    }
}
