//! Pieces of bytes that are given out together.

use bytes::{Bytes, BytesMut};

/// Pieces that become one; a single one is not copied.
#[derive(Default)]
pub(super) struct Gathered {
    first: Bytes,
    all: BytesMut,
}

impl Gathered {
    pub fn push(&mut self, bytes: Bytes) {
        if self.is_empty() {
            self.first = bytes;
        } else if !bytes.is_empty() {
            let first = std::mem::take(&mut self.first);
            self.all.extend_from_slice(&first);
            self.all.extend_from_slice(&bytes);
        }
    }
    pub fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }
    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.all.is_empty()
    }
    pub fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}
