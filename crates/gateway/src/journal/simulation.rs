//! Many attempts, many crashes, one book: whatever happens, every attempt that was sent ends as one
//! row, and the rows say what the upstream knows.
//!
//! A run takes random steps over the real journal and shipper in a real directory: attempts begin,
//! stream and end; workers come and go; the process is killed in the middle of a write; the power
//! fails and takes what was not synced; a sync fails; the store refuses, commits without answering, or
//! commits long after it was given up. Then everything is recovered and shipped, and the rows are
//! compared with the book. [`Mutant`]s are the same with one mistake each, and every one of them must
//! be caught: otherwise the comparison proves nothing.

use std::{
    cell::Cell,
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use tollgate_core::{
    Id, No, Timestamp, Units, UsageClass, World,
    money::{Cost, PriceList},
    usage::{Attempt, Journal as LaneId, Lane as WrittenLane, Outcome, Settlement},
    world::{Clock, Entropy},
};

use super::{Gap, Intent, Journal, LaneWriter, Options, Progress, Shipper, UsageSink};

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutant {
    /// The sink adds rows without looking at the watermark.
    NoWatermarkCheck,
    /// The watermark moves although the rows were not committed.
    WatermarkFirst,
    /// Rows and watermark in two transactions.
    TwoTransactions,
    /// The store forgets watermarks, as after restoring an old backup of that table alone.
    WatermarkForgotten,
    /// Nobody settles what was left open.
    RecoveryDropsIntents,
    /// What was recovered is called exact.
    RecoveredAsExact,
    /// A chunk goes out before its progress is written.
    ForwardFirst,
    /// The end goes out before the settlement is written.
    EndFirst,
    /// A sync that failed counts as done.
    SyncLies,
    /// Segments are deleted without keeping what is open in them.
    NoCarry,
}

impl Mutant {
    const ALL: [Self; 10] = [
        Self::NoWatermarkCheck,
        Self::WatermarkFirst,
        Self::TwoTransactions,
        Self::WatermarkForgotten,
        Self::RecoveryDropsIntents,
        Self::RecoveredAsExact,
        Self::ForwardFirst,
        Self::EndFirst,
        Self::SyncLies,
        Self::NoCarry,
    ];
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
    fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }
}

#[derive(Clone)]
pub(super) struct TestWorld {
    pub now: Arc<AtomicI64>,
    random: Arc<AtomicU64>,
}
impl TestWorld {
    pub fn new(seed: u64) -> Self {
        Self { now: Arc::new(AtomicI64::new(1_800_000_000_000)), random: Arc::new(AtomicU64::new(seed)) }
    }
    pub fn world(&self) -> World {
        World::new(self.clone(), self.clone())
    }
}
impl Clock for TestWorld {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }
}
impl Entropy for TestWorld {
    fn fill(&self, buffer: &mut [u8]) {
        let mut random = Random(self.random.fetch_add(1, Ordering::SeqCst));
        buffer.iter_mut().for_each(|byte| *byte = random.next() as u8);
    }
}

thread_local!(static SYNC_FAILS: Cell<bool> = const { Cell::new(false) });

fn sync_file(_: &File) -> io::Result<()> {
    if SYNC_FAILS.get() { Err(io::Error::other("disk is gone")) } else { Ok(()) }
}

/// A store whose transactions may fail before or after their commit, or be committed late.
#[derive(Clone)]
struct Store(Arc<Mutex<Tables>>);

struct Tables {
    random: Random,
    mutant: Option<Mutant>,
    reliable: bool,
    watermarks: HashMap<Id<LaneId>, u64>,
    rows: Vec<Settlement>,
    output_sum: u64,
    late: Option<Transaction>,
    lost_records: u64,
}

#[derive(Clone)]
struct Transaction {
    lane: Id<LaneId>,
    expected: u64,
    new: u64,
    rows: Vec<Settlement>,
    lost: u64,
}

impl Tables {
    fn commit(&mut self, transaction: Transaction) -> Result<(), &'static str> {
        let Transaction { lane, expected, new, rows, lost } = transaction;
        let watermark = self.watermarks.get(&lane).copied().unwrap_or_default();
        if watermark != expected && self.mutant != Some(Mutant::NoWatermarkCheck) {
            return Err("watermark moved");
        }
        assert!(new > expected && i64::try_from(new).is_ok());
        for mut row in rows {
            match self.mutant {
                Some(Mutant::RecoveryDropsIntents) if row.outcome == Outcome::Interrupted => continue,
                Some(Mutant::RecoveredAsExact) => row.class = UsageClass::Exact,
                _ => {}
            }
            self.output_sum += row.units.output;
            self.rows.push(row);
        }
        self.lost_records += lost;
        if self.mutant != Some(Mutant::TwoTransactions) || !self.random.percent(10) {
            self.watermarks.insert(lane, new);
        }
        Ok(())
    }
}

impl UsageSink for Store {
    type Error = &'static str;

    async fn watermark(&self, lane: Id<LaneId>) -> Result<u64, &'static str> {
        let mut tables = self.0.lock().unwrap();
        if !tables.reliable && tables.random.percent(5) {
            return Err("down");
        }
        Ok(tables.watermarks.get(&lane).copied().unwrap_or_default())
    }

    async fn ship(
        &self,
        WrittenLane { id: lane, .. }: WrittenLane,
        expected: u64,
        new: u64,
        rows: &[Settlement],
        gaps: &[Gap],
    ) -> Result<(), &'static str> {
        let mut tables = self.0.lock().unwrap();
        if let Some(late) = tables.late.take() {
            let _refused_if_it_comes_too_late = tables.commit(late);
        }
        let lost = gaps.iter().map(|gap| gap.lost).sum();
        let transaction = Transaction { lane, expected, new, rows: rows.to_vec(), lost };
        match if tables.reliable { 99 } else { tables.random.below(100) } {
            0..10 => {
                if tables.mutant == Some(Mutant::WatermarkFirst) {
                    tables.watermarks.insert(lane, new);
                }
                Err("down")
            }
            10..20 => tables.commit(transaction).and(Err("no answer")),
            20..30 => {
                tables.late = Some(transaction);
                Err("no answer yet")
            }
            _ => tables.commit(transaction),
        }
    }
}

/// What the upstream and the client know of an attempt.
#[derive(Debug, Default)]
struct Truth {
    reports_usage: bool,
    /// Tokens that the upstream made, and the pieces in which they came.
    generated: u64,
    deltas: u64,
    /// The lower bound that the records so far give, and what of it is on disk.
    bound: u64,
    bound_synced: u64,
    /// The lower bound that covers what the client holds.
    held: u64,
    end_seen: bool,
    settled: bool,
    intent_synced: bool,
    settled_synced: bool,
    /// The power failed before the intent, or the settlement, was on disk.
    may_be_missing: bool,
    may_be_unsettled: bool,
}

struct Run {
    random: Random,
    mutant: Option<Mutant>,
    directory: tempfile::TempDir,
    world: TestWorld,
    store: Store,
    book: HashMap<Id<Attempt>, Truth>,
    synced_lengths: HashMap<PathBuf, u64>,
    process: Option<Process>,
}

/// What dies with a process.
struct Process {
    workers: Vec<Worker>,
    shipper: Shipper<Store>,
    journal: Journal,
}

struct Worker {
    lane: LaneWriter,
    in_flight: Vec<Intent>,
}

const STEPS: u64 = 250;
const WORKERS: usize = 2;
const SEGMENT_BYTES: u64 = 2_500;

impl Run {
    fn new(seed: u64, mutant: Option<Mutant>) -> Self {
        let mut random = Random(seed);
        let tables = Tables {
            random: Random(random.next()),
            mutant,
            reliable: false,
            watermarks: HashMap::new(),
            rows: Vec::new(),
            output_sum: 0,
            late: None,
            lost_records: 0,
        };
        let world = TestWorld::new(random.next());
        Self {
            random,
            mutant,
            // In memory where there is such a place: power cuts are played, no disk is needed.
            directory: tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap(),
            world,
            store: Store(Arc::new(Mutex::new(tables))),
            book: HashMap::new(),
            synced_lengths: HashMap::new(),
            process: None,
        }
    }

    fn start(&mut self) -> &mut Process {
        if self.process.is_none() {
            let options = Options { segment_bytes: SEGMENT_BYTES, ..Options::new(Id::new(&self.world.world())) };
            let directory = self.directory.path().join("journal");
            let journal = Journal::open_without_syncer(&directory, options, self.world.world(), sync_file).unwrap();
            self.note_lengths();
            let shipper = Shipper::new(&journal, self.store.clone());
            let workers = (0..WORKERS).map(|_| Worker::new(&journal)).collect();
            self.process = Some(Process { workers, shipper, journal });
        }
        self.process.as_mut().unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let list = |path: &Path| fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        let lanes: Vec<PathBuf> = list(&self.directory.path().join("journal"));
        lanes.iter().flat_map(|lane| list(lane)).collect()
    }

    fn note_lengths(&mut self) {
        for path in self.files() {
            self.synced_lengths.insert(path.clone(), fs::metadata(path).unwrap().len());
        }
    }

    async fn step(&mut self) {
        self.world.now.fetch_add(self.random.below(40) as i64, Ordering::SeqCst);
        let worker = self.random.index(WORKERS);
        match self.random.below(1_000) {
            0..200 => self.begin(worker),
            200..550 => self.stream(worker),
            550..750 => self.end(worker),
            750..850 => self.sync(),
            850..960 => self.ship().await,
            960..968 => {
                let process = self.start();
                process.workers[worker] = Worker::new(&process.journal);
            }
            968..985 => self.kill(),
            985..996 => self.power_cut(),
            _ => self.sync_failure(),
        }
    }

    fn begin(&mut self, worker: usize) {
        let (world, reports_usage) = (self.world.world(), self.random.percent(70));
        let intent = intent(&world);
        let worker = &mut self.start().workers[worker];
        worker.lane.intent(&intent).unwrap();
        let attempt = intent.attempt;
        worker.in_flight.push(intent);
        self.book.insert(attempt, Truth { reports_usage, ..Truth::default() });
    }

    fn stream(&mut self, worker: usize) {
        let (tokens, pick, mutant) = (1 + self.random.below(9), self.random.next() as usize, self.mutant);
        let forget = mutant == Some(Mutant::ForwardFirst) && self.random.percent(50);
        self.start();
        let (Some(process), book) = (&mut self.process, &mut self.book) else { return };
        let Worker { lane, in_flight } = &mut process.workers[worker];
        if in_flight.is_empty() {
            return;
        }
        let intent = &in_flight[pick % in_flight.len()];
        let truth = book.get_mut(&intent.attempt).unwrap();
        truth.generated += tokens;
        truth.deltas += 1;
        let bound = if truth.reports_usage { truth.generated } else { truth.deltas };
        if forget {
            truth.held = bound;
            return;
        }
        let units = truth.reports_usage.then(|| Units { input: 10, output: bound, ..Units::default() });
        let (content_deltas, elapsed_us, delivered_bytes) = (truth.deltas, 5, 7);
        lane.progress(&Progress { attempt: intent.attempt, elapsed_us, units, content_deltas, delivered_bytes })
            .unwrap();
        truth.bound = bound;
        truth.held = bound;
    }

    fn end(&mut self, worker: usize) {
        let (pick, mutant) = (self.random.next() as usize, self.mutant);
        let early = mutant == Some(Mutant::EndFirst) && self.random.percent(50);
        self.start();
        let (Some(process), book) = (&mut self.process, &mut self.book) else { return };
        let Worker { lane, in_flight } = &mut process.workers[worker];
        if in_flight.is_empty() {
            return;
        }
        let index = pick % in_flight.len();
        let truth = book.get_mut(&in_flight[index].attempt).unwrap();
        if early {
            truth.end_seen = true;
            return;
        }
        let intent = in_flight.swap_remove(index);
        lane.settle(&settlement(&intent, truth.generated)).unwrap();
        truth.settled = true;
        truth.end_seen = true;
    }

    fn sync(&mut self) {
        self.start().journal.shared.sync_all();
        if self.mutant != Some(Mutant::SyncLies) {
            self.note_lengths();
        }
        for truth in self.book.values_mut() {
            truth.intent_synced = true;
            truth.settled_synced = truth.settled;
            truth.bound_synced = truth.bound;
        }
    }

    async fn ship(&mut self) {
        let backup = self.directory.path().join("backup");
        for path in self.files() {
            let copy = backup.join(path.parent().unwrap().file_name().unwrap()).join(path.file_name().unwrap());
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            if !copy.exists() {
                fs::hard_link(path, copy).unwrap();
            }
        }
        let shipper = &mut self.start().shipper;
        shipper.retry_now();
        shipper.pass().await;
        for path in self.files() {
            if path.extension().is_some_and(|extension| extension == "carry") {
                self.synced_lengths.insert(path.clone(), fs::metadata(path).unwrap().len());
            }
        }
    }

    /// The kernel keeps what was written; the write in hand may be there in part.
    fn kill(&mut self) {
        let Some(process) = self.process.take() else { return };
        let lanes: Vec<PathBuf> = process.workers.iter().map(|w| self.lane_path(w.lane.id())).collect();
        drop(process);
        for lane in lanes {
            if self.random.percent(50) {
                let mut segments: Vec<PathBuf> =
                    fs::read_dir(lane).unwrap().map(|entry| entry.unwrap().path()).collect();
                segments.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
                let last = segments.iter().max().unwrap();
                let mut torn = fs::read(last).unwrap();
                torn.truncate(self.random.index(200));
                OpenOptions::new().append(true).open(last).unwrap().write_all(&torn).unwrap();
            }
        }
        self.restart_troubles();
    }

    /// What was not synced is lost from some point on, or reads as zeroes; a deletion may be undone.
    fn power_cut(&mut self) {
        let Some(process) = self.process.take() else { return };
        drop(process);
        for path in self.files() {
            let synced = self.synced_lengths.get(&path).copied().unwrap_or_default();
            let length = fs::metadata(&path).unwrap().len();
            if length > synced {
                let kept = synced + self.random.below(length - synced + 1);
                let file = OpenOptions::new().write(true).open(&path).unwrap();
                file.set_len(kept).unwrap();
                if self.random.percent(30) {
                    file.set_len(length).unwrap();
                }
                if synced == 0 && self.random.percent(30) {
                    fs::remove_file(&path).unwrap();
                }
            }
        }
        self.undelete();
        for truth in self.book.values_mut() {
            truth.may_be_missing |= !truth.intent_synced;
            truth.may_be_unsettled |= truth.settled && !truth.settled_synced;
            truth.held = truth.held.min(truth.bound_synced);
            // What has survived this has survived.
            (truth.intent_synced, truth.settled_synced, truth.bound_synced) = (true, truth.settled, truth.bound);
        }
        self.restart_troubles();
    }

    fn undelete(&mut self) {
        let backup = self.directory.path().join("backup");
        for lane in fs::read_dir(&backup).into_iter().flatten() {
            let lane = lane.unwrap();
            let target = self.directory.path().join("journal").join(lane.file_name());
            for file in fs::read_dir(lane.path()).unwrap() {
                let file = file.unwrap();
                let path = target.join(file.file_name());
                let was_deleted = target.is_dir() && !path.exists() && self.synced_lengths.contains_key(&path);
                if was_deleted && self.random.percent(40) {
                    fs::hard_link(file.path(), path).unwrap();
                }
            }
        }
    }

    fn sync_failure(&mut self) {
        self.start();
        SYNC_FAILS.set(true);
        let process = self.start();
        process.journal.shared.sync_all();
        let broken = process.journal.status().health() == super::Health::Broken;
        SYNC_FAILS.set(false);
        if broken {
            // Admits nothing more; the kernel has forgotten the pages that it could not write.
            self.power_cut();
        }
    }

    fn restart_troubles(&mut self) {
        if self.mutant == Some(Mutant::WatermarkForgotten) && self.random.percent(20) {
            self.store.0.lock().unwrap().watermarks.clear();
        }
        if self.mutant == Some(Mutant::NoCarry) {
            for path in self.files() {
                if path.extension().is_some_and(|extension| extension == "carry") {
                    let keep = fs::read(&path).unwrap();
                    // The header alone: what was open is gone.
                    fs::write(&path, &keep[..71.min(keep.len())]).unwrap();
                }
            }
        }
    }

    fn lane_path(&self, lane: Id<LaneId>) -> PathBuf {
        self.directory.path().join("journal").join(lane.uuid().simple().to_string())
    }

    /// Everything is recovered and shipped.
    async fn finish(&mut self) {
        if self.random.percent(50) {
            self.kill();
        }
        self.start().workers.clear();
        for round in 0..400 {
            self.store.0.lock().unwrap().reliable = round > 50;
            let process = self.start();
            process.journal.shared.sync_all();
            process.shipper.retry_now();
            process.shipper.pass().await;
            if process.journal.status().lanes() == 0 {
                assert_eq!(process.journal.status().bytes(), 0);
                assert_eq!(process.journal.status().unshipped_records(), 0);
                return;
            }
        }
        panic!("something is never shipped");
    }

    /// The first line of the book that the rows contradict.
    fn audit(&self) -> Result<(), String> {
        let tables = self.store.0.lock().unwrap();
        let mut rows: HashMap<Id<Attempt>, Vec<&Settlement>> = HashMap::new();
        tables.rows.iter().for_each(|row| rows.entry(row.attempt).or_default().push(row));
        for (attempt, truth) in &self.book {
            let row = match rows.remove(attempt).as_deref() {
                Some([row]) => *row,
                None if truth.may_be_missing => continue,
                rows => return Err(format!("{} rows of an attempt", rows.map_or(0, <[_]>::len))),
            };
            let lower = row.units.output;
            if row.class == UsageClass::Exact {
                if lower != truth.generated {
                    return Err("an exact row is not the upstream's count".into());
                }
                continue;
            }
            if (truth.settled || truth.end_seen) && !truth.may_be_unsettled {
                return Err("the client saw the end, and the row is not exact".into());
            }
            if row.outcome != Outcome::Interrupted || lower > truth.generated || row.output_at_most < truth.generated {
                return Err("the truth is not within the bounds".into());
            }
            if lower < truth.held {
                return Err("the client holds more than the lower bound".into());
            }
        }
        if !rows.is_empty() {
            return Err("a row of no attempt".into());
        }
        let sum: u64 = tables.rows.iter().map(|row| row.units.output).sum();
        if sum == tables.output_sum { Ok(()) } else { Err("the sum is not the sum of the rows".into()) }
    }
}

impl Worker {
    fn new(journal: &Journal) -> Self {
        Self { lane: journal.new_lane().unwrap(), in_flight: Vec::new() }
    }
}

pub(super) fn intent(world: &World) -> Intent {
    Intent {
        attempt: Id::new(world),
        request: Id::new(world),
        key: No::new(1),
        account: No::new(2),
        model: No::new(3),
        upstream: No::new(4),
        route: 1,
        started_at: world.now(),
        prompt_bytes: 100,
        max_output_tokens: Some(1_000_000),
        price: PriceList::default(),
    }
}

pub(super) fn settlement(intent: &Intent, output: u64) -> Settlement {
    Settlement {
        attempt: intent.attempt,
        request: intent.request,
        key: intent.key,
        account: intent.account,
        model: intent.model,
        upstream: intent.upstream,
        route: intent.route,
        started_at: intent.started_at,
        units: Units { input: 10, output, ..Units::default() },
        class: UsageClass::Exact,
        output_at_most: output,
        input_at_most: 10,
        suspect: false,
        outcome: Outcome::Complete,
        status: 200,
        first_byte_us: Some(900),
        total_us: 5_000,
        cost: Cost::from_nanos(1),
        upstream_id: Some("chatcmpl-1".into()),
        upstream_usage: None,
    }
}

fn run(seed: u64, mutant: Option<Mutant>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut run = Run::new(seed, mutant);
        for _ in 0..STEPS {
            run.step().await;
        }
        run.finish().await;
        run.audit()
    })
}

#[test]
fn every_attempt_ends_as_one_row_whatever_crashes() {
    for seed in 0..300 {
        assert_eq!(run(seed, None), Ok(()), "seed {seed}");
    }
}

#[test]
fn every_mistake_is_caught() {
    for mutant in Mutant::ALL {
        let caught = (0..300).find_map(|seed| run(seed, Some(mutant)).err());
        assert!(caught.is_some(), "{mutant:?} was not caught");
    }
}
