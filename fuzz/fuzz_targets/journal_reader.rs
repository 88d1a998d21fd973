//! Any bytes as a lane's segments, and a lane's own segments with any damage: reading never panics and
//! ends, gives no record that was not written, none twice, and says which are missing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::{Id, No, Timestamp, money::PriceList};
use tollgate_gateway::journal::{
    Intent, Progress,
    reader::{Extent, Item, LaneReader},
    record::{Record, segment_bytes},
};

const RECORDS: u64 = 12;
const PER_SEGMENT: usize = 4;

fn record(number: u8) -> Record {
    let (attempt, request) = (Id::from_parts(i64::from(number / 2), &[3; 10]), Id::from_parts(0, &[number; 10]));
    let (key, account, model, upstream) = (No::new(i64::from(number)), No::new(2), No::new(3), No::new(4));
    let (started_at, max_output_tokens) = (Timestamp::from_millis(i64::from(number)), Some(u64::from(number)));
    if number % 2 == 0 {
        let (route, prompt_bytes, price) = (number, u64::from(number), PriceList::default());
        Record::Intent(Intent {
            attempt,
            request,
            key,
            account,
            model,
            upstream,
            route,
            started_at,
            prompt_bytes,
            max_output_tokens,
            price,
        })
    } else {
        Record::Progress(Progress { attempt, elapsed_us: 1, units: None, content_deltas: 2, delivered_bytes: 3 })
    }
}

fn read(segments: &[Vec<u8>], extent: Extent) -> Vec<(u64, Record)> {
    let mut reader = LaneReader::new(Id::from_parts(1, &[2; 10]), segments, 0, 1);
    let (mut records, mut next) = (Vec::new(), 1);
    loop {
        match reader.next(extent).expect("memory can be read") {
            Item::Record(seq, record) => {
                assert_eq!(seq, next);
                next += 1;
                records.push((seq, record));
            }
            Item::Gap(gap) => {
                assert_eq!(gap.first_seq, next);
                next += gap.lost;
            }
            Item::End { .. } => {
                assert_eq!(reader.read_to(), next - 1);
                return records;
            }
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    assert!(read(&[bytes.to_vec()], Extent::Whole).is_empty(), "a record without its checksum");

    let written: Vec<Record> = (0..RECORDS as u8).map(record).collect();
    let (node, lane) = (Id::from_parts(0, &[1; 10]), Id::from_parts(1, &[2; 10]));
    let parts = written.chunks(PER_SEGMENT).zip(1..);
    let mut segments: Vec<Vec<u8>> = parts
        .map(|(part, number)| segment_bytes(node, lane, number, u64::from(number - 1) * PER_SEGMENT as u64 + 1, part))
        .collect();
    // Each five bytes are one damage: what, in which segment, where, and with what.
    for damage in bytes.chunks_exact(5) {
        let &[what, segment, high, low, with] = damage else { continue };
        let length = segments.len();
        let bytes = &mut segments[usize::from(segment) % length];
        if bytes.is_empty() {
            continue;
        }
        let at = usize::from(u16::from_be_bytes([high, low])) % bytes.len();
        let end = (at + usize::from(with)).min(bytes.len());
        match what % 6 {
            0 => bytes[at] ^= with,
            1 => bytes.truncate(at),
            2 => bytes.insert(at, with),
            3 => drop(bytes.drain(at..end)),
            4 if bytes.len() < 10_000 => bytes.extend_from_within(at..end),
            _ => bytes[at..end].fill(0),
        }
    }
    for extent in [Extent::Whole, Extent::UpTo(RECORDS / 2), Extent::UpTo(RECORDS)] {
        for (seq, record) in read(&segments, extent) {
            assert_eq!(Some(&record), written.get(seq as usize - 1), "record {seq}");
        }
    }
});
