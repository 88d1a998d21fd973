//! A buffer that a stream is read through piece by piece. It is made and filled with zeros once, then used for many files.

use std::io::{self, Read};

/// Bytes of a piece.
const SIZE: usize = 512 << 10;

/// The piece at hand.
#[derive(Debug)]
pub(crate) struct Piece {
    buffer: Box<[u8]>,
    length: usize,
}

impl Default for Piece {
    fn default() -> Self {
        Self { buffer: vec![0; SIZE].into_boxed_slice(), length: 0 }
    }
}

impl Piece {
    /// What was read.
    pub(crate) fn text(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
    /// Reads from the beginning until the piece is full; whether that was all there is.
    pub(crate) fn fill(&mut self, reader: &mut (impl Read + ?Sized)) -> io::Result<bool> {
        self.length = 0;
        self.go_on(reader)
    }
    /// Keeps what stands from `kept` on and reads more behind it; whether that was all there is.
    pub(crate) fn slide(&mut self, kept: usize, reader: &mut (impl Read + ?Sized)) -> io::Result<bool> {
        let kept = kept.min(self.length);
        self.buffer.copy_within(kept..self.length, 0);
        self.length -= kept;
        self.go_on(reader)
    }
    fn go_on(&mut self, reader: &mut (impl Read + ?Sized)) -> io::Result<bool> {
        loop {
            let Some(free) = self.buffer.get_mut(self.length..).filter(|free| !free.is_empty()) else {
                return Ok(false);
            };
            match reader.read(free) {
                Ok(0) => return Ok(true),
                Ok(count) => self.length += count.min(free.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
