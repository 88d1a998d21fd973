//! Any event stream in any chunks: the scanner finds the same events, their bytes are those that came
//! in, and the meter forwards the same bytes and counts the same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tollgate_wire::{
    Endpoint, Observed, StreamMeter, UsageShown,
    sse::{Event, Scanner},
};

type Seen = (Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

fn seen(event: &Event) -> Seen {
    (event.raw().to_vec(), event.data().map(|data| data.to_vec()), event.name().map(<[u8]>::to_vec))
}

fn scan(chunks: &[&[u8]]) -> Vec<Seen> {
    let (mut scanner, mut events) = (Scanner::new(), Vec::new());
    for chunk in chunks {
        scanner.push(Bytes::copy_from_slice(chunk));
        while let Some(event) = scanner.next_event().expect("fuzz inputs are short") {
            events.push(seen(&event));
        }
    }
    events.extend(scanner.finish().as_ref().map(seen));
    events
}

fn meter(chunks: &[&[u8]], endpoint: Endpoint, shown: UsageShown) -> (Vec<u8>, Vec<u8>, Observed) {
    let mut meter = StreamMeter::new(endpoint, shown);
    let (mut before, mut terminal) = (Vec::new(), Vec::new());
    for chunk in chunks {
        let forward = meter.push(Bytes::copy_from_slice(chunk)).expect("fuzz inputs are short");
        before.extend_from_slice(&forward.before_terminal);
        terminal.extend_from_slice(&forward.terminal);
    }
    let forward = meter.finish();
    before.extend_from_slice(&forward.before_terminal);
    terminal.extend_from_slice(&forward.terminal);
    (before, terminal, *meter.observed())
}

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (cuts, stream) = input;
    let mut chunks = Vec::new();
    let mut rest = &stream[..];
    for cut in cuts {
        let (chunk, after) = rest.split_at(usize::from(cut).min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks.push(rest);

    let whole = scan(&[&stream]);
    assert_eq!(whole, scan(&chunks));
    assert_eq!(whole.iter().flat_map(|(raw, ..)| raw).copied().collect::<Vec<_>>(), stream);
    for endpoint in [Endpoint::ChatCompletions, Endpoint::Responses, Endpoint::Messages] {
        for shown in [UsageShown::AsSent, UsageShown::FinalOnly, UsageShown::Hidden] {
            let forwarded = meter(&[&stream], endpoint, shown);
            assert_eq!(forwarded, meter(&chunks, endpoint, shown));
            if shown == UsageShown::AsSent {
                assert_eq!([forwarded.0, forwarded.1].concat(), stream);
            }
        }
    }
});
