//! The scanner, by the standard's examples, at its bounds, and against a plain reading of the standard.

use proptest::{prelude::*, sample::select};

use super::*;

/// Name and data of an event as a client sees it.
type Seen = (String, String);

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// All events of the chunks, and what is left at their end.
fn scan<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Option<Event>) {
    let mut scanner = Scanner::new();
    let mut events = Vec::new();
    for chunk in chunks {
        scanner.push(Bytes::copy_from_slice(chunk));
        while let Some(event) = scanner.next_event().unwrap() {
            events.push(event);
        }
    }
    (events, scanner.finish())
}

fn seen(events: &[Event]) -> Vec<Seen> {
    let has_data = |event: &&Event| event.data().is_some();
    events.iter().filter(has_data).map(|e| (text(e.name().unwrap_or_default()), text(&e.data().unwrap()))).collect()
}

fn seen_in(stream: &str) -> Vec<Seen> {
    seen(&scan([stream.as_bytes()]).0)
}

fn event(name: &str, data: &str) -> Seen {
    (name.into(), data.into())
}

/// The parsing rules of the standard, read plainly; a stream's unfinished last event is dropped.
fn as_the_standard_says(stream: &str) -> Vec<Seen> {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let lines = stream.replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut name, mut data) = (Vec::new(), String::new(), None::<String>);
    for line in lines.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        if line.is_empty() {
            if let Some(mut data) = data.take() {
                data.pop();
                events.push((std::mem::take(&mut name), data));
            }
            name.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => name = value.into(),
            "data" => {
                let data = data.get_or_insert_default();
                data.push_str(value);
                data.push('\n');
            }
            _ => {}
        }
    }
    events
}

#[test]
fn the_standards_examples_are_read_as_it_says() {
    assert_eq!(seen_in("data: YHOO\ndata: +2\ndata: 10\n\n"), [event("", "YHOO\n+2\n10")]);
    let stream = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
    assert_eq!(seen_in(stream), [event("", "first event"), event("", "second event"), event("", " third event")]);
    assert_eq!(seen_in("data\n\ndata\ndata\n\ndata:"), [event("", ""), event("", "\n")]);
    assert_eq!(seen_in("data:test\n\ndata: test\n\n"), [event("", "test"), event("", "test")]);
    assert_eq!(seen_in("event: add\ndata: 73857293\n\n"), [event("add", "73857293")]);
}

#[test]
fn every_line_end_ends_a_line_and_a_mark_only_opens_the_stream() {
    for stream in ["data: a\r\n\r\ndata: b\r\n\r\n", "data: a\r\rdata: b\r\r", "data: a\r\n\ndata: b\n\r\n"] {
        assert_eq!(scan([stream.as_bytes(), b":"]).0.len(), 2, "{stream:?}");
        assert_eq!(seen(&scan([stream.as_bytes(), b":"]).0), [event("", "a"), event("", "b")]);
    }
    assert_eq!(seen_in("\u{feff}data: a\n\n\u{feff}data: b\n\ndata: c\n\n"), [event("", "a"), event("", "c")]);
}

#[test]
fn an_event_within_one_chunk_is_a_slice_of_it() {
    let chunk = Bytes::from_static(b"data: a\n\ndata: b\n\nda");
    let mut scanner = Scanner::new();
    scanner.push(chunk.clone());
    let first = scanner.next_event().unwrap().unwrap();
    assert_eq!((first.raw().as_ptr(), &first.raw()[..]), (chunk.as_ptr(), &b"data: a\n\n"[..]));
    assert_eq!(scanner.next_event().unwrap().unwrap().raw().as_ptr(), chunk[9..].as_ptr());
    assert_eq!(scanner.next_event().unwrap(), None);
    scanner.push(Bytes::from_static(b"ta: c\n\n"));
    assert_eq!(&scanner.next_event().unwrap().unwrap().raw()[..], b"data: c\n\n");
}

#[test]
fn a_chunk_pushed_before_the_last_was_used_up_is_read_behind_it() {
    let mut scanner = Scanner::new();
    scanner.push(Bytes::from_static(b"data: a\n\ndata: b"));
    assert_eq!(&scanner.next_event().unwrap().unwrap().raw()[..], b"data: a\n\n");
    scanner.push(Bytes::from_static(b"\n\ndata: c\n\n"));
    let rest: Vec<_> = std::iter::from_fn(|| scanner.next_event().unwrap()).map(|e| text(e.raw())).collect();
    assert_eq!(rest, ["data: b\n\n", "data: c\n\n"]);
}

/// The lengths of the events before the error, if there is one.
fn lengths(stream: &[u8], chunk: usize) -> (Vec<usize>, bool) {
    let (mut scanner, mut found) = (Scanner::new(), Vec::new());
    for chunk in stream.chunks(chunk) {
        scanner.push(Bytes::copy_from_slice(chunk));
        loop {
            match scanner.next_event() {
                Ok(Some(event)) => found.push(event.raw().len()),
                Ok(None) => break,
                Err(TooLong) => {
                    assert_eq!((scanner.next_event(), scanner.finish()), (Err(TooLong), None));
                    return (found, true);
                }
            }
        }
    }
    (found, false)
}

#[test]
fn lines_and_events_are_bounded_at_any_chunking() {
    let line = |length: usize| [b"data: ", &b"x".repeat(length - 6)[..], b"\n"].concat();
    let longest = line(LINE_MAX);
    let quarters = [longest.repeat(3), line(LINE_MAX - 5)].concat();
    let streams = [
        ([b"data: a\n\n", &longest[..], b"\n"].concat(), false),
        ([b"data: a\n\n", &line(LINE_MAX + 1)[..], b"\n"].concat(), true),
        ([b"data: a\n\n", &line(LINE_MAX + 1)[..LINE_MAX + 1]].concat(), true),
        ([b"data: a\n\n", &quarters[..], b"\n"].concat(), false),
        ([b"data: a\n\n", &quarters[..], b":\n\n"].concat(), true),
    ];
    for (stream, fails) in &streams {
        for chunk in [stream.len(), 1 << 20, 70_001, 16_384] {
            let (found, failed) = lengths(stream, chunk);
            assert_eq!((found.first(), failed), (Some(&9), *fails), "{} bytes in chunks of {chunk}", stream.len());
        }
    }
    let (found, _) = lengths(&streams[3].0, 16_384);
    assert_eq!(found, [9, EVENT_MAX]);
}

fn stream() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "data: ", "data:", "data", "event: x", "event", "id: 1", ":", " ", "a", "é", "\n", "\n", "\n\n", "\r", "\r\n",
        "\r\n\r\n", "\u{feff}", "[DONE]",
    ];
    let mark = select(&["", "", "\u{feff}"][..]);
    (mark, proptest::collection::vec(select(PIECES), 0..40))
        .prop_map(|(mark, pieces)| format!("{mark}{}", pieces.concat()))
}

/// A text cut at any of its bytes.
pub(crate) fn cut(stream: &[u8], mut at: Vec<usize>) -> Vec<&[u8]> {
    at.iter_mut().for_each(|at| *at %= stream.len() + 1);
    at.sort_unstable();
    let mut chunks = Vec::new();
    let mut done = 0;
    for at in at {
        chunks.push(&stream[done..at]);
        done = at;
    }
    chunks.push(&stream[done..]);
    chunks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn events_are_those_of_the_standard_at_any_chunking(stream in stream(), cuts in proptest::collection::vec(any::<usize>(), 0..20)) {
        // What follows a last carriage return decides about it, so something does.
        let stream = stream + ":z";
        let (whole, rest) = scan([stream.as_bytes()]);
        let bytes: Vec<_> = whole.iter().chain(&rest).flat_map(|event| event.raw().to_vec()).collect();
        prop_assert_eq!(text(&bytes), &stream[..]);
        prop_assert_eq!(seen(&whole), as_the_standard_says(&stream));

        let bare = |(events, rest): (Vec<Event>, Option<Event>)| -> Vec<_> {
            events.into_iter().map(Some).chain([rest]).flatten().map(|e| (text(e.raw()), e.data().map(|d| text(&d)))).collect()
        };
        prop_assert_eq!(bare(scan(cut(stream.as_bytes(), cuts))), bare((whole.clone(), rest.clone())));
        prop_assert_eq!(bare(scan(stream.as_bytes().chunks(1))), bare((whole, rest)));
    }
}
