//! The content of one file or object: a text, however long, or an archive, whose members are contents again.
//!
//! Memory is bounded: a text is read in pieces that overlap by as much as a key may be spread over, an archive member by member.
//! What an archive may unpack to is bounded as well; beyond that it is named as not read to its end.

use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read, Seek, SeekFrom},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::read::MultiGzDecoder;
use memchr::memchr_iter;

use crate::{
    Find, Finder,
    finder::{MOST_BEFORE, MOST_BEHIND, SHORTEST},
    piece::Piece,
    place::{Findings, Found, Part, Position},
};

/// Archives inside of archives inside of archives.
const MOST_DEPTH: u32 = 6;
/// What one file may unpack to, everything inside counted.
const MOST_UNPACKED: u64 = 4 << 30;
/// Members of one file, everything inside counted.
const MOST_MEMBERS: u64 = 1_000_000;
/// A ZIP archive inside of another archive is read into memory: up to this size.
const MOST_INNER_ZIP: u64 = 256 << 20;

/// Whom finds are handed to: the member's name, what of it, where, and the find.
pub(crate) type Sink<'a> = dyn FnMut(&str, Part, Option<Position>, Find) + 'a;

/// Searches contents; one for each thread.
pub(crate) struct Contents<'a> {
    finder: &'a Finder,
    findings: &'a Findings,
    /// Buffers that are not in use.
    pool: Vec<Piece>,
    /// What each file may unpack to.
    most_unpacked: u64,
    /// What the file at hand may still unpack.
    unpacks: Arc<AtomicU64>,
    members: u64,
    depth: u32,
}

/// What an archive is told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Archive {
    Zip,
    Gzip,
    Tar,
    /// Known, and not looked into.
    Closed(&'static str),
}

impl Archive {
    fn of(head: &[u8]) -> Option<Self> {
        const CLOSED: [(&[u8], &str); 5] = [
            (b"\xfd7zXZ\0", "xz"),
            (b"\x28\xb5\x2f\xfd", "Zstandard"),
            (b"BZh", "bzip2"),
            (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
            (b"Rar!\x1a\x07", "RAR"),
        ];
        match head {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Self::Zip),
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            _ if head.get(257..262) == Some(b"ustar") => Some(Self::Tar),
            // "BZh" alone may begin a text: the block's own mark stands behind it.
            [b'B', b'Z', b'h', _, rest @ ..] if !rest.starts_with(b"\x31\x41\x59\x26\x53\x59") => None,
            _ => CLOSED.into_iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| Self::Closed(name)),
        }
    }
}

impl<'a> Contents<'a> {
    pub(crate) fn new(finder: &'a Finder, findings: &'a Findings) -> Self {
        Self {
            finder,
            findings,
            pool: Vec::new(),
            most_unpacked: MOST_UNPACKED,
            unpacks: Arc::default(),
            members: 0,
            depth: 0,
        }
    }

    /// Searches a file by its name and content, and adds what is found.
    pub(crate) fn file(&mut self, name: &str, file: &mut File) {
        let findings = self.findings;
        let mut add =
            |name: &str, part, position, find| findings.add(Found::in_file(name.to_owned(), part, position, find));
        self.begin();
        self.name(name, &mut add);
        let mut piece = self.pool.pop().unwrap_or_default();
        let outcome = match piece.fill(file) {
            Ok(true) => {
                findings.count_read(0);
                self.bytes(name, piece.text(), &mut add);
                Ok(())
            }
            Ok(false) => {
                findings.count_read(0);
                match Archive::of(piece.text()) {
                    Some(Archive::Zip) => {
                        file.seek(SeekFrom::Start(0)).and_then(|_| self.zip(name, BufReader::new(file), &mut add))
                    }
                    archive => self.long(name, archive, &mut piece, file, &mut add),
                }
            }
            Err(error) => Err(error),
        };
        self.pool.push(piece);
        if let Err(error) = outcome {
            findings.unread(name, error);
        }
    }

    /// Searches a stream, and adds what is found.
    pub(crate) fn stream(&mut self, name: &str, reader: &mut dyn Read) {
        let findings = self.findings;
        let mut add =
            |name: &str, part, position, find| findings.add(Found::in_file(name.to_owned(), part, position, find));
        self.begin();
        findings.count_read(0);
        if let Err(error) = self.member(name, reader, &mut add) {
            findings.unread(name, error);
        }
    }

    /// Searches a whole content that is in memory.
    pub(crate) fn whole(&mut self, name: &str, bytes: &[u8], sink: &mut Sink<'_>) {
        self.begin();
        self.bytes(name, bytes, sink);
    }

    /// Searches a file's name.
    pub(crate) fn name(&self, name: &str, sink: &mut Sink<'_>) {
        // Nearly all names are too short to hold one.
        if name.split('/').all(|part| part.len() < SHORTEST) {
            return;
        }
        for find in self.finder.find(name.as_bytes()) {
            sink(name, Part::FileName, None, find);
        }
    }

    /// Whether there is a key in a text.
    pub(crate) fn has_key(&self, text: &[u8]) -> bool {
        !self.finder.find(text).is_empty()
    }

    /// Searches a text that is no archive, whatever it begins with.
    pub(crate) fn text_in_memory(&self, text: &[u8], sink: &mut dyn FnMut(Option<Position>, Find)) {
        self.findings.count_bytes(text.len());
        let mut cursor = TextCursor::default();
        for find in self.finder.find(text) {
            sink(Some(cursor.position(text, find.start)), find);
        }
    }

    fn begin(&mut self) {
        self.unpacks = Arc::new(AtomicU64::new(self.most_unpacked));
        self.members = MOST_MEMBERS;
        self.depth = 0;
    }

    /// A content in memory.
    fn bytes(&mut self, name: &str, bytes: &[u8], sink: &mut Sink<'_>) {
        let outcome = match Archive::of(bytes) {
            Some(Archive::Zip) => self.zip(name, Cursor::new(bytes), sink),
            Some(archive) => self.unpacked(name, archive, &mut &*bytes, sink),
            None => Ok(()),
        };
        if let Err(error) = &outcome {
            self.findings.unread(name, error);
        }
        // What only begins like an archive may be a text all the same.
        if outcome.is_err() || !matches!(Archive::of(bytes), Some(Archive::Zip | Archive::Gzip | Archive::Tar)) {
            self.text_in_memory(bytes, &mut |position, find| sink(name, Part::Content, position, find));
        }
    }

    /// A member of an archive, or a stream.
    fn member(&mut self, name: &str, reader: &mut dyn Read, sink: &mut Sink<'_>) -> io::Result<()> {
        let mut piece = self.pool.pop().unwrap_or_default();
        let outcome = match piece.fill(reader) {
            Ok(true) => {
                self.bytes(name, piece.text(), sink);
                Ok(())
            }
            Ok(false) => match Archive::of(piece.text()) {
                Some(Archive::Zip) => {
                    let mut whole = piece.text().to_vec();
                    reader.take(MOST_INNER_ZIP).read_to_end(&mut whole).and_then(|_| {
                        if u64::try_from(whole.len()).unwrap_or(u64::MAX) > MOST_INNER_ZIP {
                            return Err(io::Error::other("larger than a ZIP archive inside of another may be"));
                        }
                        self.zip(name, Cursor::new(whole.as_slice()), sink)
                    })
                }
                archive => self.long(name, archive, &mut piece, reader, sink),
            },
            Err(error) => Err(error),
        };
        self.pool.push(piece);
        outcome
    }

    /// What goes on behind its first piece and is no ZIP archive.
    fn long(
        &mut self,
        name: &str,
        archive: Option<Archive>,
        piece: &mut Piece,
        reader: &mut dyn Read,
        sink: &mut Sink<'_>,
    ) -> io::Result<()> {
        match archive {
            None => self.text(name, piece, reader, sink),
            Some(archive) => self.unpacked(name, archive, &mut piece.text().chain(reader), sink),
        }
    }

    /// A text, piece by piece.
    fn text(&mut self, name: &str, piece: &mut Piece, reader: &mut dyn Read, sink: &mut Sink<'_>) -> io::Result<()> {
        let mut before = TextCursor::default();
        let mut done = 0;
        let mut is_last = false;
        loop {
            let text = piece.text();
            // A find near the end is left to the next piece, which has all of it.
            let until = if is_last { text.len() } else { text.len().saturating_sub(MOST_BEHIND) };
            let mut cursor = before;
            for find in self.finder.find(text) {
                if (done..until).contains(&find.start) {
                    sink(name, Part::Content, Some(cursor.position(text, find.start)), find);
                }
            }
            if is_last {
                self.findings.count_bytes(text.len());
                return Ok(());
            }
            let kept = until.saturating_sub(MOST_BEFORE);
            before.pass(text.get(..kept).unwrap_or_default());
            before.at = 0;
            self.findings.count_bytes(kept);
            done = until - kept;
            is_last = piece.slide(kept, reader)?;
        }
    }

    fn deeper(&mut self) -> io::Result<()> {
        if self.depth == MOST_DEPTH {
            return Err(io::Error::other(format!("archives lie in one another more than {MOST_DEPTH} deep")));
        }
        self.depth += 1;
        Ok(())
    }
    fn next_member(&mut self) -> io::Result<()> {
        self.members = self.members.checked_sub(1).ok_or_else(|| io::Error::other("too many members"))?;
        Ok(())
    }
    fn metered<R: Read>(&self, inner: R) -> Metered<R> {
        Metered { inner, left: Arc::clone(&self.unpacks) }
    }

    /// Any archive that is read from its beginning to its end.
    fn unpacked(&mut self, name: &str, archive: Archive, reader: &mut dyn Read, sink: &mut Sink<'_>) -> io::Result<()> {
        match archive {
            Archive::Closed(kind) => {
                self.findings.unread(name, format!("not looked into ({kind})"));
                Ok(())
            }
            Archive::Gzip => {
                self.deeper()?;
                let mut unpacked = self.metered(MultiGzDecoder::new(reader));
                let outcome = self.member(name, &mut unpacked, sink);
                self.depth -= 1;
                outcome
            }
            Archive::Tar => {
                self.deeper()?;
                let outcome = self.tar(name, reader, sink);
                self.depth -= 1;
                outcome
            }
            Archive::Zip => Err(io::Error::other("a ZIP archive is read from its end")),
        }
    }

    fn tar(&mut self, name: &str, reader: &mut dyn Read, sink: &mut Sink<'_>) -> io::Result<()> {
        let mut archive = tar::Archive::new(self.metered(reader));
        for entry in archive.entries()? {
            let mut entry = entry?;
            self.next_member()?;
            let inner = format!("{name}!{}", String::from_utf8_lossy(&entry.path_bytes()));
            self.inner_name(&inner, name, sink);
            if let Err(error) = self.member(&inner, &mut entry, sink) {
                self.findings.unread(&inner, &error);
                // The archive itself ends there; the next entry would say the same.
                return Err(error);
            }
        }
        Ok(())
    }

    fn zip<R: Read + Seek>(&mut self, name: &str, reader: R, sink: &mut Sink<'_>) -> io::Result<()> {
        self.deeper()?;
        let outcome = self.zip_members(name, reader, sink);
        self.depth -= 1;
        outcome
    }

    fn zip_members<R: Read + Seek>(&mut self, name: &str, reader: R, sink: &mut Sink<'_>) -> io::Result<()> {
        let mut archive = zip::ZipArchive::new(reader)?;
        for index in 0..archive.len() {
            self.next_member()?;
            let file = match archive.name_for_index(index) {
                Some(Ok(file)) => file.into_owned(),
                _ => format!("member {index}"),
            };
            if file.ends_with('/') {
                continue;
            }
            let inner = format!("{name}!{file}");
            self.inner_name(&inner, name, sink);
            let outcome = match archive.by_index(index) {
                Ok(member) => {
                    let mut member = self.metered(member);
                    self.member(&inner, &mut member, sink)
                }
                Err(error) => Err(error.into()),
            };
            if let Err(error) = outcome {
                self.findings.unread(&inner, &error);
            }
            if self.unpacks.load(Ordering::Relaxed) == 0 {
                return Err(too_large());
            }
        }
        Ok(())
    }

    /// The name of a member, its archive's own left out.
    fn inner_name(&self, inner: &str, archive: &str, sink: &mut Sink<'_>) {
        let name = inner.get(archive.len()..).unwrap_or_default();
        for find in self.finder.find(name.as_bytes()) {
            sink(inner, Part::FileName, None, find);
        }
    }
}

fn too_large() -> io::Error {
    io::Error::other("unpacks to more than is looked into")
}

/// A reader of what was packed, which ends with an error where it gives more than it may.
struct Metered<R> {
    inner: R,
    left: Arc<AtomicU64>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let left = self.left.load(Ordering::Relaxed).saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        self.left.store(left, Ordering::Relaxed);
        if left == 0 { Err(too_large()) } else { Ok(count) }
    }
}

/// Counts lines and characters up to places that are asked for in order.
#[derive(Debug, Clone, Copy, Default)]
struct TextCursor {
    at: usize,
    /// Line breaks before `at`.
    lines: u64,
    /// Characters between the last of them and `at`.
    characters: u64,
}

impl TextCursor {
    fn pass(&mut self, text: &[u8]) {
        let breaks = memchr_iter(b'\n', text).count();
        let rest = match memchr::memrchr(b'\n', text) {
            Some(last) => {
                self.characters = 0;
                text.get(last + 1..).unwrap_or_default()
            }
            None => text,
        };
        // Bytes that go on with a character of UTF-8 are none of their own.
        let characters = rest.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        self.lines += u64::try_from(breaks).unwrap_or(u64::MAX);
        self.characters += u64::try_from(characters).unwrap_or(u64::MAX);
        self.at += text.len();
    }
    fn position(&mut self, text: &[u8], at: usize) -> Position {
        self.pass(text.get(self.at..at).unwrap_or_default());
        Position { line: self.lines + 1, column: self.characters + 1 }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        sync::{Mutex, mpsc},
    };

    use flate2::{Compression, write::GzEncoder};
    use tollgate_core::secret::{Prefix, checksum_of};

    use super::*;

    fn key() -> Vec<u8> {
        let head = b"tg_abcdefghijkl_0123456789012345678901234567890123456789012";
        [&head[..], &checksum_of(head)].concat()
    }
    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(content).unwrap();
        packed.finish().unwrap()
    }
    /// Places, and what was said.
    fn search(content: &[u8], most_unpacked: u64) -> (Vec<Option<Position>>, Vec<String>) {
        let finder = Finder::new(&[Prefix::default()]);
        let (said, heard) = mpsc::channel();
        let said = Mutex::new(said);
        let findings = Findings::new(&finder, move |text| said.lock().unwrap().send(text.to_owned()).unwrap());
        let mut contents = Contents::new(&finder, &findings);
        contents.most_unpacked = most_unpacked;
        let mut reader = content;
        contents.stream("x", &mut reader);
        drop(contents);
        (findings.into_found().iter().map(|found| found.position).collect(), heard.try_iter().collect())
    }

    #[test]
    fn what_unpacks_to_more_than_it_may_is_searched_up_to_there_and_named() {
        let zeros = vec![0; 8 << 20];
        let packed = gzip(&[&b"a\n"[..], &key(), &zeros, &key()].concat());
        let first = Some(Position { line: 2, column: 1 });
        let (places, said) = search(&packed, 4 << 20);
        assert_eq!(places, [first]);
        assert_eq!(said, ["x: unpacks to more than is looked into"]);
        let (places, said) = search(&packed, 16 << 20);
        assert_eq!((places.len(), said.len()), (2, 0));
    }

    #[test]
    fn archives_in_one_another_are_opened_up_to_a_depth() {
        let nested = |depth: u32| (0..depth).fold(key(), |content, _| gzip(&content));
        assert_eq!(search(&nested(MOST_DEPTH), MOST_UNPACKED).0.len(), 1);
        let (places, said) = search(&nested(MOST_DEPTH + 1), MOST_UNPACKED);
        assert_eq!((places.len(), said.len()), (0, 1));
    }

    #[test]
    fn what_only_begins_like_an_archive_is_searched_as_a_text() {
        for magic in [&b"PK\x03\x04"[..], b"\x1f\x8b\x08", b"BZh9", b"7z\xbc\xaf\x27\x1c"] {
            let (places, _) = search(&[magic, b" ", &key()].concat(), MOST_UNPACKED);
            assert_eq!(places.len(), 1, "{magic:?}");
        }
    }
}
