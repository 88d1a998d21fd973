//! The way of log lines to standard error, and what stops a secret on it: whatever has the form of a key, an access
//! token, a link or a session with a valid checksum becomes its hint, and is counted. That counter is to stay at zero:
//! anything else is a fault of this program, or a client that puts its key where it does not belong.
//!
//! Invariant: no key passes, also not in pieces: of what is written, the end that may be a key's beginning waits for
//! more, and is never longer than a key. A line without a finding is passed on as it is, in one write.
//!
//! What this does not see: half a key, and a key that was encoded. Nothing logs either; the canary test looks for them.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use prometheus_client::metrics::counter::Counter;
use tollgate_core::secret::{LONGEST, redact};
use tracing_subscriber::fmt::MakeWriter;

/// The way to standard error. All copies count together.
#[derive(Debug, Clone, Default)]
pub struct Redacted {
    /// Secrets that were stopped.
    pub stopped: Counter,
}

impl Redacted {
    /// A writer of one event.
    pub fn line<W: Write>(&self, to: W) -> Line<W> {
        Line { to, waiting: Vec::new(), stopped: self.stopped.clone() }
    }
    /// The same text without secrets.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match clean(text.as_bytes(), &self.stopped) {
            Some(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
            None => Cow::Borrowed(text),
        }
    }
}

impl<'a> MakeWriter<'a> for Redacted {
    type Writer = Line<io::Stderr>;
    fn make_writer(&'a self) -> Self::Writer {
        self.line(io::stderr())
    }
}

/// One event on its way. What still waits goes when it is dropped.
pub struct Line<W: Write> {
    to: W,
    /// The end of what was written so far, if a key could begin there. Subscribers write whole lines: it stays empty.
    waiting: Vec<u8>,
    stopped: Counter,
}

impl<W: Write> Line<W> {
    /// Passes on everything but what has to wait.
    fn pass(&mut self, text: &[u8]) -> io::Result<()> {
        let cleaned = clean(text, &self.stopped);
        let text = cleaned.as_deref().unwrap_or(text);
        let (now, later) = text.split_at(text.len() - unfinished(text));
        self.waiting.extend_from_slice(later);
        self.to.write_all(now)
    }
}

impl<W: Write> Write for Line<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.waiting.is_empty() {
            self.pass(bytes)?;
        } else {
            let mut text = std::mem::take(&mut self.waiting);
            text.extend_from_slice(bytes);
            self.pass(&text)?;
        }
        Ok(bytes.len())
    }
    /// What waits goes on waiting: a key that is written in pieces may be flushed in pieces.
    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W: Write> Drop for Line<W> {
    fn drop(&mut self) {
        // There is nowhere left to say that standard error is closed.
        let _ = self.to.write_all(&self.waiting);
        let _ = self.to.flush();
    }
}

/// The text with hints in place of secrets, each of which is counted; `None` when there are none.
fn clean(text: &[u8], stopped: &Counter) -> Option<Vec<u8>> {
    let (cleaned, count) = redact(text)?;
    stopped.inc_by(count);
    Some(cleaned)
}

/// How many bytes at the end could be the beginning of a key.
fn unfinished(text: &[u8]) -> usize {
    let is_of_key = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
    text.iter().rev().take(LONGEST - 1).take_while(is_of_key).count()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tollgate_core::secret::{PlainKey, Prefix};

    use super::*;
    use crate::world;

    /// A writer that keeps what it was given, write by write.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<Vec<u8>>>>);
    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(bytes.to_vec());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Kept {
        fn writes(&self) -> Vec<String> {
            let writes = self.0.lock().unwrap();
            writes
                .iter()
                .map(|bytes| String::from_utf8(bytes.clone()).unwrap())
                .filter(|text| !text.is_empty())
                .collect()
        }
        fn text(&self) -> String {
            self.writes().concat()
        }
    }

    fn key(prefix: &str) -> (String, String) {
        let prefix: Prefix = prefix.parse().unwrap();
        let key = PlainKey::mint(&prefix, &world::real());
        (key.expose().to_owned(), key.presented().unwrap().hint().to_string())
    }

    #[test]
    fn a_line_without_a_secret_is_one_write_as_it_is() {
        let (redacted, kept) = (Redacted::default(), Kept::default());
        let text = "INFO request key.hint=tg_ABCDEFGHIJKL… route=chat_completions\n";
        let mut line = redacted.line(kept.clone());
        line.write_all(text.as_bytes()).unwrap();
        assert_eq!(line.waiting.capacity(), 0, "nothing was allocated");
        drop(line);
        assert_eq!(kept.writes(), [text]);
        assert_eq!(redacted.stopped.get(), 0);
        assert!(matches!(redacted.text(text), Cow::Borrowed(same) if same == text));
    }

    #[test]
    fn a_secret_becomes_its_hint_and_counts_in_one_write() {
        for prefix in ["tg", "tga", "tgs", "acme42"] {
            let ((key, hint), (other, other_hint)) = (key(prefix), key(prefix));
            let (redacted, kept) = (Redacted::default(), Kept::default());
            let said = format!("failed: \"Bearer {key}\", x{other}y\n");
            redacted.line(kept.clone()).write_all(said.as_bytes()).unwrap();
            assert_eq!(kept.writes(), [format!("failed: \"Bearer {hint}\", x{other_hint}y\n")]);
            assert_eq!(redacted.stopped.get(), 2);
        }
    }

    #[test]
    fn a_secret_in_pieces_is_stopped_wherever_it_is_cut() {
        let (key, hint) = key("tg");
        let said = format!("a {key} b_{key}");
        for first in 0..said.len() {
            for second in [first, first + 1, first + 7, first + 64, said.len()] {
                let second = second.min(said.len());
                let (redacted, kept) = (Redacted::default(), Kept::default());
                let mut line = redacted.line(kept.clone());
                for piece in [&said[..first], &said[first..second], &said[second..]] {
                    line.write_all(piece.as_bytes()).unwrap();
                    line.flush().unwrap();
                    assert!(line.waiting.len() < LONGEST);
                }
                drop(line);
                assert_eq!(kept.text(), format!("a {hint} b_{hint}"), "cut at {first} and {second}");
                assert_eq!(redacted.stopped.get(), 2);
            }
        }
    }

    #[test]
    fn a_long_word_does_not_wait_whole() {
        let (redacted, kept) = (Redacted::default(), Kept::default());
        let mut line = redacted.line(kept.clone());
        for _ in 0..100 {
            line.write_all(&[b'a'; 100]).unwrap();
            assert!(line.waiting.len() < LONGEST);
        }
        drop(line);
        assert_eq!(kept.text(), "a".repeat(10_000));
    }
}
