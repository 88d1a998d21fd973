//! What is in a process's memory, as a core file would hold it: every part that it may write, read through
//! `/proc/PID/mem` while it stands still. Linux only.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
};

use tollgate_canary::{Canary, Hit};

use crate::Node;

/// A part of a process's memory: whence, up to where, and what it is.
struct Part {
    from: u64,
    to: u64,
    name: String,
}

/// All secrets of the canary in a node's memory. The node stands still meanwhile.
///
/// # Errors
/// When this user may not read it.
pub fn hits(node: &Node, canary: &Canary) -> io::Result<Vec<Hit>> {
    node.freeze();
    let hits = hits_of(node, canary);
    node.signal(rustix::process::Signal::CONT);
    hits
}

fn hits_of(node: &Node, canary: &Canary) -> io::Result<Vec<Hit>> {
    let pid = node.pid().as_raw_nonzero();
    let mut memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut hits = Vec::new();
    for part in parts(&fs::read_to_string(format!("/proc/{pid}/maps"))?) {
        memory.seek(SeekFrom::Start(part.from))?;
        let readable = Readable((&memory).take(part.to - part.from));
        hits.extend(canary.hits_behind(&part.name, part.from, readable)?);
    }
    Ok(hits)
}

/// The writable parts of `/proc/PID/maps`.
fn parts(maps: &str) -> Vec<Part> {
    let part = |line: &str| {
        let mut words = line.split_whitespace();
        let (from, to) = words.next()?.split_once('-')?;
        let is_writable = words.next()?.starts_with("rw");
        let name = words.nth(3).unwrap_or("anonymous memory").to_owned();
        let number = |text| u64::from_str_radix(text, 16).ok();
        is_writable.then_some(Part { from: number(from)?, to: number(to)?, name })
    };
    maps.lines().filter_map(part).collect()
}

/// A part that ends where it cannot be read on: guard pages are in no core either.
struct Readable<R>(R);

impl<R: Read> Read for Readable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.0.read(buffer).unwrap_or(0))
    }
}
