//! What is written: intents, progress, settlements, and their bytes.
//!
//! A frame is `len u32 | crc32c u32 | seq u64 | kind u8 | payload`, little endian. `len` counts what
//! follows the checksum; the checksum covers `len` and what follows it, and begins with a seed made
//! of the lane's id, so that stale blocks of another lane never pass for records of this one.
//! Encoding never fails and does not allocate once its buffer has grown to [`FRAME_MOST`]; decoding
//! never panics, and takes exactly the bytes that encoding makes.

use tollgate_core::{
    Id, No, Timestamp, Units, UsageClass,
    account::Account,
    catalog::{Model, Upstream},
    change::Node,
    key::Key,
    money::{Cost, Price, PriceList},
    usage::{Attempt, Journal, Outcome, Request, Settlement},
};
use uuid::Uuid;

/// The version of segments that this code writes and the newest that it reads.
pub const FORMAT: u16 = 1;
/// No frame is longer, in bytes.
pub const FRAME_MOST: usize = 1_024;
/// The longest `upstream_id` kept, in bytes; the rest is cut.
pub const UPSTREAM_ID_MOST: usize = 64;
/// The longest `upstream_usage` kept, in bytes: an object that is longer is left out whole.
pub const UPSTREAM_USAGE_MOST: usize = 768;
/// What an attempt without any limit on its output is taken to produce at most, in tokens: the
/// longest context window on offer anywhere.
pub const OUTPUT_WITHOUT_LIMIT: u64 = 10_000_000;

/// `len`, checksum, `seq` and kind.
pub(super) const FRAME_LEAST: usize = 17;
const BEFORE_BODY: usize = 8;
const MAGIC: [u8; 8] = *b"tollgate";

/// An attempt is about to be sent upstream. Holds enough to settle it without asking anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The attempt.
    pub attempt: Id<Attempt>,
    /// The client's request that it belongs to.
    pub request: Id<Request>,
    /// The key that pays.
    pub key: No<Key>,
    /// Its account.
    pub account: No<Account>,
    /// The model.
    pub model: No<Model>,
    /// The upstream.
    pub upstream: No<Upstream>,
    /// [`tollgate_core::Route::code`].
    pub route: u8,
    /// When the attempt begins.
    pub started_at: Timestamp,
    /// Bytes of the request's body: no more input tokens than these, since a token is at least a byte.
    pub prompt_bytes: u64,
    /// The most output that the request or the model allows, times the answers asked for, in tokens.
    pub max_output_tokens: Option<u64>,
    /// The model's prices at this moment; the currency is the model's and is not kept.
    pub price: PriceList,
}

/// How far an attempt has come; replaces what was said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The attempt.
    pub attempt: Id<Attempt>,
    /// Microseconds since its beginning.
    pub elapsed_us: u64,
    /// The upstream's running figures, where it reports them.
    pub units: Option<Units>,
    /// Pieces of content that came: each is at least a token of output.
    pub content_deltas: u64,
    /// Bytes of the answer's body given to the client.
    pub delivered_bytes: u64,
}

/// One record of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Before the first byte goes upstream.
    Intent(Intent),
    /// Before the bytes that it covers go to the client.
    Progress(Progress),
    /// Before the last byte goes to the client; once per attempt.
    Settlement(Box<Settlement>),
}

impl Record {
    /// The attempt that it is about.
    #[must_use]
    pub fn attempt(&self) -> Id<Attempt> {
        match self {
            Self::Intent(intent) => intent.attempt,
            Self::Progress(progress) => progress.attempt,
            Self::Settlement(settlement) => settlement.attempt,
        }
    }
}

/// The first frame of a segment or of a carry file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub format: u16,
    pub node: Id<Node>,
    pub lane: Id<Journal>,
    /// The segment's number; in a carry file, the last segment that it replaces.
    pub segment: u32,
}

/// What a valid frame holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    Header(Header),
    Record(Record),
}

/// The kinds of frames. Numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Header = 0,
    Intent = 1,
    Progress = 2,
    Settlement = 3,
}

/// Makes the frames of one lane in a buffer that is used again and again.
#[derive(Debug)]
pub(super) struct Encoder {
    seed: u32,
    buffer: Vec<u8>,
}

impl Encoder {
    pub fn new(lane: Id<Journal>) -> Self {
        Self { seed: seed(lane), buffer: Vec::with_capacity(FRAME_MOST) }
    }

    /// The header frame; `first_seq` is the number of the record that follows it.
    pub fn header(&mut self, first_seq: u64, header: &Header) -> &[u8] {
        self.begin(first_seq, Kind::Header);
        self.bytes(&MAGIC);
        self.bytes(&header.format.to_le_bytes());
        self.bytes(header.node.uuid().as_bytes());
        self.bytes(header.lane.uuid().as_bytes());
        self.bytes(&header.segment.to_le_bytes());
        self.finish()
    }

    pub fn record(&mut self, seq: u64, record: &Record) -> &[u8] {
        match record {
            Record::Intent(intent) => self.intent(seq, intent),
            Record::Progress(progress) => self.progress(seq, progress),
            Record::Settlement(settlement) => self.settlement(seq, settlement),
        }
    }

    pub fn intent(&mut self, seq: u64, intent: &Intent) -> &[u8] {
        self.begin(seq, Kind::Intent);
        self.bytes(intent.attempt.uuid().as_bytes());
        self.bytes(intent.request.uuid().as_bytes());
        for no in [intent.key.get(), intent.account.get(), intent.model.get(), intent.upstream.get()] {
            self.i64(no);
        }
        self.byte(intent.route);
        self.i64(intent.started_at.as_millis());
        self.u64(intent.prompt_bytes);
        self.option(intent.max_output_tokens);
        let price = &intent.price;
        self.u64(price.input_per_million.nanos());
        self.u64(price.output_per_million.nanos());
        for part in [price.cached_input_per_million, price.image_per_million, price.audio_second_per_million] {
            self.option(part.map(Price::nanos));
        }
        self.finish()
    }

    pub fn progress(&mut self, seq: u64, progress: &Progress) -> &[u8] {
        self.begin(seq, Kind::Progress);
        self.bytes(progress.attempt.uuid().as_bytes());
        self.u64(progress.elapsed_us);
        self.byte(u8::from(progress.units.is_some()));
        if let Some(units) = &progress.units {
            self.units(units);
        }
        self.u64(progress.content_deltas);
        self.u64(progress.delivered_bytes);
        self.finish()
    }

    pub fn settlement(&mut self, seq: u64, settlement: &Settlement) -> &[u8] {
        self.begin(seq, Kind::Settlement);
        self.bytes(settlement.attempt.uuid().as_bytes());
        self.bytes(settlement.request.uuid().as_bytes());
        for no in [settlement.key.get(), settlement.account.get(), settlement.model.get(), settlement.upstream.get()] {
            self.i64(no);
        }
        self.byte(settlement.route);
        self.i64(settlement.started_at.as_millis());
        self.units(&settlement.units);
        self.byte(settlement.class.code());
        self.u64(settlement.output_at_most);
        self.u64(settlement.input_at_most);
        self.byte(u8::from(settlement.suspect));
        self.byte(settlement.outcome.code());
        self.bytes(&settlement.status.to_le_bytes());
        self.option(settlement.first_byte_us);
        self.u64(settlement.total_us);
        self.i64(settlement.cost.nanos());
        match settlement.upstream_id.as_deref() {
            None => self.byte(u8::MAX),
            Some(text) => {
                let kept = text.get(..text.floor_char_boundary(UPSTREAM_ID_MOST)).unwrap_or_default();
                self.byte(u8::try_from(kept.len()).unwrap_or_default());
                self.bytes(kept.as_bytes());
            }
        }
        // To the end of the frame: nothing where there is none, as in frames from before it was kept.
        if let Some(text) = settlement.upstream_usage.as_deref().filter(|text| text.len() <= UPSTREAM_USAGE_MOST) {
            self.bytes(text.as_bytes());
        }
        self.finish()
    }

    fn begin(&mut self, seq: u64, kind: Kind) {
        self.buffer.clear();
        self.buffer.extend_from_slice(&[0; BEFORE_BODY]);
        self.u64(seq);
        self.byte(kind as u8);
    }
    fn finish(&mut self) -> &[u8] {
        let length = u32::try_from(self.buffer.len().saturating_sub(BEFORE_BODY)).unwrap_or_default().to_le_bytes();
        let body = self.buffer.get(BEFORE_BODY..).unwrap_or_default();
        let checksum = checksum(self.seed, length, body).to_le_bytes();
        for (place, byte) in self.buffer.iter_mut().zip(length.into_iter().chain(checksum)) {
            *place = byte;
        }
        &self.buffer
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }
    fn byte(&mut self, byte: u8) {
        self.buffer.push(byte);
    }
    fn u64(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }
    fn i64(&mut self, number: i64) {
        self.bytes(&number.to_le_bytes());
    }
    fn option(&mut self, number: Option<u64>) {
        self.byte(u8::from(number.is_some()));
        if let Some(number) = number {
            self.u64(number);
        }
    }
    fn units(&mut self, units: &Units) {
        let Units { input, output, cached_input, reasoning, audio_ms, images } = *units;
        for number in [input, output, cached_input, reasoning, audio_ms, images] {
            self.u64(number);
        }
    }
}

/// What stands at the beginning of some bytes.
#[derive(Debug)]
pub(super) enum Parsed<'a> {
    /// A whole frame with a right checksum.
    Frame(Frame<'a>),
    /// Perhaps the beginning of a frame.
    Short,
    /// No frame.
    Bad,
}

/// A frame whose checksum is right.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub seq: u64,
    /// Of the whole frame, in bytes.
    pub length: usize,
    kind: u8,
    payload: &'a [u8],
}

impl Frame<'_> {
    /// Whether it is a header, which has the number of the next record and takes none itself.
    pub const fn is_header(&self) -> bool {
        self.kind == Kind::Header as u8
    }
    /// What it holds; `None` is nothing that this version knows.
    pub fn body(&self) -> Option<Body> {
        let mut payload = Decoder(self.payload);
        let body = match self.kind {
            0 => Body::Header(payload.header()?),
            1 => Body::Record(Record::Intent(payload.intent()?)),
            2 => Body::Record(Record::Progress(payload.progress()?)),
            3 => Body::Record(Record::Settlement(Box::new(payload.settlement()?))),
            _ => return None,
        };
        payload.0.is_empty().then_some(body)
    }
}

/// Looks for a frame of the lane with this [`seed`] at the beginning of `bytes`.
pub(super) fn parse(seed: u32, bytes: &[u8]) -> Parsed<'_> {
    let Some((&length_bytes, rest)) = bytes.split_first_chunk::<4>() else { return Parsed::Short };
    let length = usize::try_from(u32::from_le_bytes(length_bytes)).unwrap_or(usize::MAX);
    if !(FRAME_LEAST - BEFORE_BODY..=FRAME_MOST - BEFORE_BODY).contains(&length) {
        return Parsed::Bad;
    }
    let Some((&written, rest)) = rest.split_first_chunk::<4>() else { return Parsed::Short };
    let Some(body) = rest.get(..length) else { return Parsed::Short };
    if checksum(seed, length_bytes, body) != u32::from_le_bytes(written) {
        return Parsed::Bad;
    }
    let mut fields = Decoder(body);
    let (Some(seq), Some(kind)) = (fields.u64(), fields.byte()) else { return Parsed::Bad };
    Parsed::Frame(Frame { seq, length: length + BEFORE_BODY, kind, payload: fields.0 })
}

/// Where the checksums of a lane begin.
pub(super) fn seed(lane: Id<Journal>) -> u32 {
    crc32c::crc32c(lane.uuid().as_bytes())
}

fn checksum(seed: u32, length: [u8; 4], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &length), body)
}

struct Decoder<'a>(&'a [u8]);

impl Decoder<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (&taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(taken)
    }
    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }
    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }
    fn option(&mut self) -> Option<Option<u64>> {
        if self.flag()? { self.u64().map(Some) } else { Some(None) }
    }
    fn uuid(&mut self) -> Option<Uuid> {
        self.take().map(Uuid::from_bytes)
    }
    fn time(&mut self) -> Option<Timestamp> {
        let ms = self.i64()?;
        let time = Timestamp::from_millis(ms);
        (time.as_millis() == ms).then_some(time)
    }
    fn units(&mut self) -> Option<Units> {
        Some(Units {
            input: self.u64()?,
            output: self.u64()?,
            cached_input: self.u64()?,
            reasoning: self.u64()?,
            audio_ms: self.u64()?,
            images: self.u64()?,
        })
    }
    fn header(&mut self) -> Option<Header> {
        if self.take()? != MAGIC {
            return None;
        }
        Some(Header {
            format: self.take().map(u16::from_le_bytes)?,
            node: Id::from_uuid(self.uuid()?),
            lane: Id::from_uuid(self.uuid()?),
            segment: self.take().map(u32::from_le_bytes)?,
        })
    }
    fn intent(&mut self) -> Option<Intent> {
        Some(Intent {
            attempt: Id::from_uuid(self.uuid()?),
            request: Id::from_uuid(self.uuid()?),
            key: No::new(self.i64()?),
            account: No::new(self.i64()?),
            model: No::new(self.i64()?),
            upstream: No::new(self.i64()?),
            route: self.byte()?,
            started_at: self.time()?,
            prompt_bytes: self.u64()?,
            max_output_tokens: self.option()?,
            price: PriceList {
                input_per_million: Price::from_nanos(self.u64()?),
                output_per_million: Price::from_nanos(self.u64()?),
                cached_input_per_million: self.option()?.map(Price::from_nanos),
                image_per_million: self.option()?.map(Price::from_nanos),
                audio_second_per_million: self.option()?.map(Price::from_nanos),
                ..PriceList::default()
            },
        })
    }
    fn progress(&mut self) -> Option<Progress> {
        Some(Progress {
            attempt: Id::from_uuid(self.uuid()?),
            elapsed_us: self.u64()?,
            units: if self.flag()? { Some(self.units()?) } else { None },
            content_deltas: self.u64()?,
            delivered_bytes: self.u64()?,
        })
    }
    fn settlement(&mut self) -> Option<Settlement> {
        Some(Settlement {
            attempt: Id::from_uuid(self.uuid()?),
            request: Id::from_uuid(self.uuid()?),
            key: No::new(self.i64()?),
            account: No::new(self.i64()?),
            model: No::new(self.i64()?),
            upstream: No::new(self.i64()?),
            route: self.byte()?,
            started_at: self.time()?,
            units: self.units()?,
            class: UsageClass::from_code(self.byte()?)?,
            output_at_most: self.u64()?,
            input_at_most: self.u64()?,
            suspect: self.flag()?,
            outcome: Outcome::from_code(self.byte()?)?,
            status: self.take().map(u16::from_le_bytes)?,
            first_byte_us: self.option()?,
            total_us: self.u64()?,
            cost: Cost::from_nanos(self.i64()?),
            upstream_id: self.upstream_id()?,
            upstream_usage: self.upstream_usage()?,
        })
    }
    fn upstream_usage(&mut self) -> Option<Option<String>> {
        let text = std::mem::take(&mut self.0);
        if text.len() > UPSTREAM_USAGE_MOST {
            return None;
        }
        if text.is_empty() { Some(None) } else { String::from_utf8(text.to_vec()).ok().map(Some) }
    }
    fn upstream_id(&mut self) -> Option<Option<String>> {
        match usize::from(self.byte()?) {
            0xff => Some(None),
            length if length <= UPSTREAM_ID_MOST => {
                let (text, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                String::from_utf8(text.to_vec()).ok().map(Some)
            }
            _ => None,
        }
    }
}

/// The bytes of a whole segment, as a lane's writer makes them: for tests and for looking at damage.
#[must_use]
pub fn segment_bytes(node: Id<Node>, lane: Id<Journal>, segment: u32, first_seq: u64, records: &[Record]) -> Vec<u8> {
    let mut encoder = Encoder::new(lane);
    let mut bytes = encoder.header(first_seq, &Header { format: FORMAT, node, lane, segment }).to_vec();
    for (seq, record) in (first_seq..).zip(records) {
        bytes.extend_from_slice(encoder.record(seq, record));
    }
    bytes
}

/// The settlement of an attempt that nobody settled: its process ended in the middle. A function of
/// the two records alone, so that a repeated recovery says the same.
pub(super) fn interrupted(intent: &Intent, progress: Option<&Progress>) -> Settlement {
    let running = progress.and_then(|progress| progress.units);
    let deltas = progress.map_or(0, |progress| progress.content_deltas);
    let units = running.unwrap_or(Units { output: deltas, ..Units::default() });
    Settlement {
        attempt: intent.attempt,
        request: intent.request,
        key: intent.key,
        account: intent.account,
        model: intent.model,
        upstream: intent.upstream,
        route: intent.route,
        started_at: intent.started_at,
        units,
        class: if running.is_some() { UsageClass::Partial } else { UsageClass::Estimated },
        output_at_most: intent.max_output_tokens.unwrap_or(OUTPUT_WITHOUT_LIMIT).max(units.output),
        input_at_most: intent.prompt_bytes.max(units.input),
        suspect: false,
        outcome: Outcome::Interrupted,
        status: 0,
        first_byte_us: None,
        total_us: progress.map_or(0, |progress| progress.elapsed_us),
        cost: intent.price.cost(&units),
        upstream_id: None,
        upstream_usage: None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uuid() -> impl Strategy<Value = Uuid> {
        any::<[u8; 16]>().prop_map(Uuid::from_bytes)
    }
    fn units() -> impl Strategy<Value = Units> {
        any::<[u64; 6]>().prop_map(|[input, output, cached_input, reasoning, audio_ms, images]| Units {
            input,
            output,
            cached_input,
            reasoning,
            audio_ms,
            images,
        })
    }
    fn time() -> impl Strategy<Value = Timestamp> {
        (0..=Timestamp::MAX.as_millis()).prop_map(Timestamp::from_millis)
    }
    prop_compose! {
        fn intent()(ids in (uuid(), uuid()), nos in any::<[i64; 4]>(), route: u8, started_at in time(), prompt_bytes: u64,
            max_output_tokens: Option<u64>, prices in any::<(u64, u64, Option<u64>, Option<u64>, Option<u64>)>()) -> Intent {
            Intent {
                attempt: Id::from_uuid(ids.0), request: Id::from_uuid(ids.1),
                key: No::new(nos[0]), account: No::new(nos[1]), model: No::new(nos[2]), upstream: No::new(nos[3]),
                route, started_at, prompt_bytes, max_output_tokens,
                price: PriceList {
                    input_per_million: Price::from_nanos(prices.0),
                    output_per_million: Price::from_nanos(prices.1),
                    cached_input_per_million: prices.2.map(Price::from_nanos),
                    image_per_million: prices.3.map(Price::from_nanos),
                    audio_second_per_million: prices.4.map(Price::from_nanos),
                    ..PriceList::default()
                },
            }
        }
    }
    prop_compose! {
        fn progress()(attempt in uuid(), units in proptest::option::of(units()), rest in any::<[u64; 3]>()) -> Progress {
            Progress { attempt: Id::from_uuid(attempt), units, elapsed_us: rest[0], content_deltas: rest[1], delivered_bytes: rest[2] }
        }
    }
    prop_compose! {
        fn settlement()(intent in intent(), units in units(), class in 0..4_usize, outcome in 0..5_usize, most in any::<[u64; 2]>(), suspect: bool,
            status: u16, first_byte_us: Option<u64>, total_us: u64, cost: i64, upstream_id in proptest::option::of(".{0,16}"), upstream_usage in proptest::option::of(".{1,64}")) -> Settlement {
            Settlement {
                units, class: UsageClass::ALL[class], outcome: Outcome::ALL[outcome], output_at_most: most[0], input_at_most: most[1],
                suspect, status, first_byte_us, total_us, cost: Cost::from_nanos(cost), upstream_id, upstream_usage,
                ..interrupted(&intent, None)
            }
        }
    }
    /// Any record, with short upstream ids.
    pub fn record() -> impl Strategy<Value = Record> {
        prop_oneof![
            intent().prop_map(Record::Intent),
            progress().prop_map(Record::Progress),
            settlement().prop_map(|settlement| Record::Settlement(Box::new(settlement))),
        ]
    }
    proptest! {
        #[test]
        fn a_record_reads_back_as_it_was_written(lane in uuid(), seq: u64, record in record()) {
            let lane = Id::from_uuid(lane);
            let mut encoder = Encoder::new(lane);
            let bytes = encoder.record(seq, &record).to_vec();
            prop_assert!(bytes.len() <= FRAME_MOST && bytes.len() > FRAME_LEAST);
            let Parsed::Frame(frame) = parse(seed(lane), &bytes) else { panic!("no frame") };
            prop_assert_eq!((frame.seq, frame.length), (seq, bytes.len()));
            prop_assert_eq!(frame.body(), Some(Body::Record(record)));
            let another = Id::from_uuid(Uuid::from_u128(lane.uuid().as_u128() ^ 1));
            prop_assert!(matches!(parse(seed(another), &bytes), Parsed::Bad), "another lane took it for its own");
        }

        #[test]
        fn any_bytes_are_a_frame_or_none_but_never_a_panic(bytes: Vec<u8>) {
            if let Parsed::Frame(frame) = parse(0, &bytes) {
                frame.body();
            }
        }
    }

    #[test]
    fn a_long_upstream_id_is_cut_between_characters_and_a_long_usage_object_left_out() {
        let intent = Intent {
            attempt: Id::from_uuid(Uuid::nil()),
            request: Id::from_uuid(Uuid::nil()),
            key: No::new(1),
            account: No::new(1),
            model: No::new(1),
            upstream: No::new(1),
            route: 1,
            started_at: Timestamp::default(),
            prompt_bytes: 10,
            max_output_tokens: None,
            price: PriceList::default(),
        };
        let lane = Id::from_uuid(Uuid::nil());
        let upstream_usage = Some("x".repeat(UPSTREAM_USAGE_MOST));
        let settlement =
            Settlement { upstream_id: Some("aé".repeat(40)), upstream_usage, ..interrupted(&intent, None) };
        assert_eq!((settlement.input_at_most, settlement.output_at_most), (10, OUTPUT_WITHOUT_LIMIT));
        let mut encoder = Encoder::new(lane);
        let Parsed::Frame(frame) = parse(seed(lane), encoder.settlement(1, &settlement)) else { panic!("no frame") };
        let Some(Body::Record(Record::Settlement(back))) = frame.body() else { panic!("no settlement") };
        assert_eq!(back.upstream_id, Some("aé".repeat(21) + "a"));
        assert_eq!(back.upstream_usage, settlement.upstream_usage);
        assert!(frame.length <= FRAME_MOST);
        let long = Settlement { upstream_usage: Some("x".repeat(UPSTREAM_USAGE_MOST + 1)), ..settlement };
        let Parsed::Frame(frame) = parse(seed(lane), encoder.settlement(1, &long)) else { panic!("no frame") };
        let Some(Body::Record(Record::Settlement(back))) = frame.body() else { panic!("no settlement") };
        assert_eq!(back.upstream_usage, None, "half an object says nothing");
    }
}
