//! What a worker, an operator and the store see of the journal.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tollgate_core::{
    Id, Timestamp, Units, UsageClass,
    money::PriceList,
    usage::{Journal as LaneId, Lane as WrittenLane, Outcome, Settlement},
};

use super::{
    simulation::{TestWorld, intent, settlement},
    *,
};

const WHILE: Duration = Duration::from_secs(20);

fn open_with(directory: &Path, change: impl FnOnce(&mut Options)) -> Result<Journal, JournalError> {
    let world = TestWorld::new(1).world();
    let mut options = Options::new(Id::new(&world));
    change(&mut options);
    Journal::open(directory, options, world)
}
fn open(directory: &Path) -> Journal {
    open_with(directory, |_| ()).unwrap()
}

#[derive(Debug, Default)]
struct Store {
    watermarks: Mutex<HashMap<Id<LaneId>, u64>>,
    rows: Mutex<Vec<Settlement>>,
    gaps: Mutex<Vec<Gap>>,
    down: AtomicBool,
    /// What was shipped may be lost to a power cut.
    cannot_make_last: AtomicBool,
    /// Lanes that were said to be over.
    ended: Mutex<Vec<WrittenLane>>,
    hangs_after_commit: AtomicBool,
}
impl Store {
    fn rows(&self) -> Vec<Settlement> {
        self.rows.lock().unwrap().clone()
    }
}
impl UsageSink for &Store {
    type Error = &'static str;
    async fn make_last(&self, ended: Option<WrittenLane>) -> Result<(), &'static str> {
        if self.cannot_make_last.load(Ordering::SeqCst) {
            return Err("not on disk");
        }
        self.ended.lock().unwrap().extend(ended);
        Ok(())
    }
    async fn watermark(&self, lane: Id<LaneId>) -> Result<u64, &'static str> {
        if self.down.load(Ordering::SeqCst) {
            return Err("down");
        }
        Ok(self.watermarks.lock().unwrap().get(&lane).copied().unwrap_or_default())
    }
    async fn ship(
        &self,
        WrittenLane { id: lane, .. }: WrittenLane,
        expected: u64,
        new: u64,
        rows: &[Settlement],
        gaps: &[Gap],
    ) -> Result<(), &'static str> {
        if self.down.load(Ordering::SeqCst) {
            return Err("down");
        }
        {
            let mut watermarks = self.watermarks.lock().unwrap_or_else(PoisonError::into_inner);
            let watermark = watermarks.entry(lane).or_default();
            if *watermark != expected {
                return Err("watermark moved");
            }
            *watermark = new;
            self.rows.lock().unwrap().extend_from_slice(rows);
            self.gaps.lock().unwrap().extend_from_slice(gaps);
        }
        if self.hangs_after_commit.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

#[test]
fn a_second_process_is_refused_while_the_first_holds_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    let lane = first.new_lane().unwrap();
    assert!(matches!(open_with(directory.path(), |_| ()), Err(JournalError::InUse(_))));
    drop(first);
    assert!(matches!(open_with(directory.path(), |_| ()), Err(JournalError::InUse(_))), "a lane still writes");
    drop(lane);
    open(directory.path());
}

#[test]
fn a_journal_of_a_newer_version_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let world = TestWorld::new(7).world();
    let (lane, node) = (Id::<LaneId>::new(&world), Id::new(&world));
    let dir = LaneDir::create(directory.path(), lane, node).unwrap();
    let header = record::Header { format: FORMAT + 1, node, lane, segment: 1 };
    fs::write(dir.segment_path(1), record::Encoder::new(lane).header(1, &header)).unwrap();
    let refused = open_with(directory.path(), |_| ()).unwrap_err();
    assert!(matches!(refused, JournalError::TooNew { found, .. } if found == FORMAT + 1), "{refused}");
    assert!(dir.segment_path(1).exists());
}

#[tokio::test]
async fn what_workers_left_behind_is_shipped_once_and_then_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let world = TestWorld::new(2).world();
    let (done, cut, silent) = (intent(&world), intent(&world), intent(&world));
    let journal = open(directory.path());
    let mut lane = journal.new_lane().unwrap();
    for intent in [&done, &cut, &silent] {
        lane.intent(intent).unwrap();
    }
    let units = Some(Units { input: 9, output: 5, ..Units::default() });
    let progress = Progress { attempt: cut.attempt, elapsed_us: 77, units, content_deltas: 4, delivered_bytes: 100 };
    lane.progress(&progress).unwrap();
    lane.settle(&settlement(&done, 12)).unwrap();
    drop((lane, journal));

    let store = Store::default();
    let journal = open(directory.path());
    assert!(journal.status().bytes() > 0);
    let mut shipper = Shipper::new(&journal, &store);
    assert!(shipper.drain(WHILE).await.complete);
    let rows = store.rows();
    assert_eq!(rows[0], settlement(&done, 12));
    assert_eq!(
        (rows[1].attempt, rows[1].class, rows[1].outcome),
        (cut.attempt, UsageClass::Partial, Outcome::Interrupted)
    );
    assert_eq!((rows[1].units.output, rows[1].total_us, rows[1].output_at_most), (5, 77, 1_000_000));
    assert_eq!((rows[2].attempt, rows[2].class), (silent.attempt, UsageClass::Estimated));
    assert_eq!((rows[2].units.input, rows[2].input_at_most), (0, 100));
    assert_eq!(rows.len(), 3);
    assert_eq!((journal.status().bytes(), journal.status().lanes()), (0, 0));
    drop((shipper, journal));

    let journal = open(directory.path());
    assert!(Shipper::new(&journal, &store).drain(WHILE).await.complete);
    assert_eq!(store.rows().len(), 3);
}

#[test]
fn an_interrupted_attempt_costs_what_its_prices_were() {
    let price = PriceList { output_per_million: "2".parse().unwrap(), ..PriceList::default() };
    let intent = Intent { price, ..intent(&TestWorld::new(3).world()) };
    let units = Some(Units { output: 1_000_000, ..Units::default() });
    let progress = Progress { attempt: intent.attempt, elapsed_us: 1, units, content_deltas: 0, delivered_bytes: 0 };
    assert_eq!(record::interrupted(&intent, Some(&progress)).cost.to_string(), "2.00");
}

#[tokio::test]
async fn a_full_journal_refuses_intents_but_takes_the_end_of_what_it_admitted() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::default();
    let journal = open_with(directory.path(), |options| {
        (options.max_bytes, options.segment_bytes) = (100_000, 8_192);
    })
    .unwrap();
    let world = TestWorld::new(4).world();
    let mut lane = journal.new_lane().unwrap();
    let status = journal.status();
    let (mut admitted, mut seen) = (Vec::new(), vec![status.health()]);
    let refused = loop {
        let next = intent(&world);
        match lane.intent(&next) {
            Ok(_) => admitted.push(next),
            Err(error) => break error,
        }
        seen.push(status.health());
    };
    seen.dedup();
    assert!(matches!(refused, JournalError::Full));
    assert_eq!(seen, [Health::Good, Health::NearlyFull, Health::Full]);
    let attempt = admitted[0].attempt;
    let progress = Progress { attempt, elapsed_us: 1, units: None, content_deltas: 1, delivered_bytes: 1 };
    while lane.progress(&progress).is_ok() {}
    assert!(status.bytes() < 95_000);
    for intent in &admitted {
        lane.settle(&settlement(intent, 1)).unwrap();
    }
    drop(lane);
    let mut shipper = Shipper::new(&journal, &store);
    assert!(shipper.drain(WHILE).await.complete);
    assert_eq!((store.rows().len(), status.health()), (admitted.len(), Health::Good));
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_is_a_full_journal_until_it_has_room_again() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let world = TestWorld::new(4).world();
    let (mut lane, status) = (journal.new_lane().unwrap(), journal.status());
    let admitted = intent(&world);
    lane.intent(&admitted).unwrap();
    status.free_space(10 << 20);
    assert_eq!(status.health(), Health::Full);
    assert!(matches!(lane.intent(&intent(&world)), Err(JournalError::Full)));
    lane.settle(&settlement(&admitted, 1)).unwrap();
    status.free_space(40 << 20);
    assert_eq!(status.health(), Health::Full, "not in and out around one size");
    status.free_space(60 << 20);
    assert_eq!(status.health(), Health::Good);
    lane.intent(&intent(&world)).unwrap();
}

#[tokio::test]
async fn a_full_journal_has_room_again_once_it_is_shipped_though_no_segment_is_full() {
    let directory = tempfile::tempdir().unwrap();
    let (store, world) = (Store::default(), TestWorld::new(5).world());
    // As `journal.most` may be set: less than a segment.
    let journal = open_with(directory.path(), |options| options.max_bytes = 100_000).unwrap();
    let (mut lane, mut idle, status) = (journal.new_lane().unwrap(), journal.new_lane().unwrap(), journal.status());
    let mut shipper = Shipper::new(&journal, &store);
    let mut admitted = 0;
    for round in 1..=3 {
        let refused = loop {
            let short = intent(&world);
            if let Err(error) = lane.intent(&short) {
                break error;
            }
            lane.settle(&settlement(&short, 1)).unwrap();
            admitted += 1;
        };
        assert!(matches!(refused, JournalError::Full));
        assert!(matches!(idle.intent(&intent(&world)), Err(JournalError::Full)), "one that has nothing to give up");
        assert!(shipper.drain(WHILE).await.complete);
        assert_eq!((store.rows().len(), status.health()), (admitted, Health::Good), "round {round}");
        assert!(status.bytes() < 2_000, "{}", status.bytes());
    }
    assert!(admitted > 300, "{admitted}");
    let open = intent(&world);
    lane.intent(&open).unwrap();
    drop((lane, idle, shipper, journal));
    let journal = open_with(directory.path(), |_| ()).unwrap();
    assert!(Shipper::new(&journal, &store).drain(WHILE).await.complete);
    assert_eq!((store.rows().len(), store.rows().pop().unwrap().attempt), (admitted + 1, open.attempt));
}

#[tokio::test]
async fn what_settles_while_the_journal_is_full_leaves_few_files() {
    let directory = tempfile::tempdir().unwrap();
    let world = TestWorld::new(5).world();
    let journal = open_with(directory.path(), |options| options.max_bytes = 100_000).unwrap();
    let mut lane = journal.new_lane().unwrap();
    let mut admitted = Vec::new();
    loop {
        let next = intent(&world);
        match lane.intent(&next) {
            Ok(_) => admitted.push(next),
            Err(_) => break,
        }
    }
    for intent_of in &admitted {
        lane.settle(&settlement(intent_of, 1)).unwrap();
        assert!(matches!(lane.intent(&intent(&world)), Err(JournalError::Full)));
    }
    let files = fs::read_dir(directory.path().join(lane.id().uuid().simple().to_string())).unwrap().count();
    assert!(admitted.len() > 300 && files < 15, "{} {files}", admitted.len());
}

#[tokio::test]
async fn a_segment_that_cannot_be_given_up_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let (store, world) = (Store::default(), TestWorld::new(5).world());
    let journal = open(directory.path());
    let (mut lane, status) = (journal.new_lane().unwrap(), journal.status());
    let round = |lane: &mut LaneWriter| {
        for _ in 0..100 {
            let short = intent(&world);
            lane.intent(&short).unwrap();
            lane.settle(&settlement(&short, 1)).unwrap();
        }
    };
    round(&mut lane);
    let next = directory.path().join(lane.id().uuid().simple().to_string()).join("000002.seg");
    fs::create_dir(&next).unwrap();
    status.free_space(0);
    assert!(matches!(lane.intent(&intent(&world)), Err(JournalError::Full)));
    status.free_space(60 << 20);
    round(&mut lane);
    fs::remove_dir(&next).unwrap();
    let mut shipper = Shipper::new(&journal, &store);
    assert!(shipper.drain(WHILE).await.complete);
    let whole = status.bytes();
    status.free_space(0);
    assert!(matches!(lane.intent(&intent(&world)), Err(JournalError::Full)));
    assert!(next.exists() && shipper.drain(WHILE).await.complete);
    assert!(status.bytes() < 1_000 && whole > 40_000, "{whole} {}", status.bytes());
    assert_eq!(store.rows().len(), 200);
}

#[test]
fn segments_fit_into_a_small_journal() {
    let fit = |max_bytes, lanes| {
        let options = Options { max_bytes, ..Options::new(Id::new(&TestWorld::new(1).world())) };
        options.for_lanes(lanes).segment_bytes
    };
    assert_eq!(fit(MAX_BYTES_DEFAULT, 2), SEGMENT_BYTES_DEFAULT);
    assert_eq!(fit(MAX_BYTES_DEFAULT, 64), 2 << 20);
    assert_eq!((fit(64 << 20, 2), fit(1 << 20, 2), fit(1 << 20, 64)), (4 << 20, 64 << 10, 16 << 10));
    assert_eq!(fit(1 << 20, 0), 128 << 10);
}

#[tokio::test]
async fn shipped_segments_of_a_running_lane_are_deleted_though_an_old_attempt_is_open() {
    let directory = tempfile::tempdir().unwrap();
    let (store, world) = (Store::default(), TestWorld::new(5).world());
    let journal = open_with(directory.path(), |options| options.segment_bytes = 4_096).unwrap();
    let mut shipper = Shipper::new(&journal, &store);
    let mut lane = journal.new_lane().unwrap();
    let long = intent(&world);
    lane.intent(&long).unwrap();
    for round in 1..=5_u64 {
        for _ in 0..40 {
            let short = intent(&world);
            lane.intent(&short).unwrap();
            lane.settle(&settlement(&short, 1)).unwrap();
        }
        assert!(shipper.drain(WHILE).await.complete);
        assert_eq!(store.rows().len() as u64, round * 40);
        assert!(journal.status().bytes() < 6_000, "{}", journal.status().bytes());
    }
    drop((lane, shipper, journal));
    let journal = open(directory.path());
    assert!(Shipper::new(&journal, &store).drain(WHILE).await.complete);
    let last = store.rows().pop().unwrap();
    assert_eq!((last.attempt, last.outcome, store.rows().len()), (long.attempt, Outcome::Interrupted, 201));
}

#[tokio::test]
async fn nothing_is_deleted_while_a_power_cut_could_take_back_what_was_shipped() {
    let directory = tempfile::tempdir().unwrap();
    let (store, world) = (Store::default(), TestWorld::new(5).world());
    let journal = open_with(directory.path(), |options| options.segment_bytes = 4_096).unwrap();
    let mut shipper = Shipper::new(&journal, &store);
    let mut lane = journal.new_lane().unwrap();
    let id = lane.id();
    for _ in 0..80 {
        let short = intent(&world);
        lane.intent(&short).unwrap();
        lane.settle(&settlement(&short, 1)).unwrap();
    }
    store.cannot_make_last.store(true, Ordering::SeqCst);
    assert!(shipper.drain(WHILE).await.complete);
    let whole = journal.status().bytes();
    assert!(store.rows().len() == 80 && whole > 10_000, "{whole}");
    drop(lane);
    shipper.retry_now();
    shipper.pass().await;
    assert_eq!((journal.status().bytes(), journal.status().lanes()), (whole, 1), "a lane that is over stays too");
    store.cannot_make_last.store(false, Ordering::SeqCst);
    assert!(shipper.drain(WHILE).await.complete);
    assert_eq!((journal.status().bytes(), journal.status().lanes()), (0, 0));
    let node = Some(Id::new(&TestWorld::new(1).world()));
    assert_eq!(*store.ended.lock().unwrap(), [WrittenLane { id, node }], "the store may forget it");
}

#[tokio::test]
async fn a_write_that_fails_stops_admission_everywhere_and_the_lane_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, world) = (open(directory.path()), TestWorld::new(6).world());
    let (mut broken, mut healthy) = (journal.new_lane().unwrap(), journal.new_lane().unwrap());
    let admitted = intent(&world);
    healthy.intent(&admitted).unwrap();
    broken.file_replace(OpenOptions::new().write(true).open("/dev/full").unwrap());
    assert!(matches!(broken.intent(&intent(&world)), Err(JournalError::Broken)));
    broken.file_replace(File::create(directory.path().join("well-again")).unwrap());
    assert!(matches!(broken.settle(&settlement(&admitted, 1)), Err(JournalError::Broken)));
    assert_eq!(journal.status().health(), Health::Broken);
    assert!(matches!(healthy.intent(&intent(&world)), Err(JournalError::Broken)));
    assert!(matches!(journal.new_lane(), Err(JournalError::Broken)));
    healthy.settle(&settlement(&admitted, 1)).unwrap();
    let store = Store::default();
    let mut shipper = Shipper::new(&journal, &store);
    drop((broken, healthy));
    let drained = shipper.drain(WHILE).await;
    assert!(!drained.complete, "the broken lane is for the next start");
    assert_eq!(store.rows().len(), 1);
}

#[test]
fn a_lane_that_is_removed_while_it_is_synced_breaks_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open_without_syncer(
        directory.path(),
        Options::new(Id::from_parts(0, &[0; 10])),
        TestWorld::new(9).world(),
        File::sync_data,
    )
    .unwrap();
    // Its name is not on disk yet when the shipper, which has nothing left to ship, removes it.
    drop(journal.new_lane().unwrap());
    let lane = lanes_find(directory.path()).unwrap().remove(0);
    lane.remove(File::sync_data).unwrap();
    journal.shared.sync_all();
    assert_eq!(journal.status().health(), Health::Good);
    // One that is still written to is another matter.
    let _writer = journal.new_lane().unwrap();
    let lane = lanes_find(directory.path()).unwrap().remove(0);
    lane.remove(File::sync_data).unwrap();
    journal.shared.sync_all();
    assert_eq!(journal.status().health(), Health::Broken);
}

#[tokio::test]
async fn a_sync_that_fails_is_not_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open_with(directory.path(), |options| options.sync = SyncMode::Always).unwrap();
    let world = TestWorld::new(8).world();
    let mut lane = journal.new_lane().unwrap();
    let safe = lane.intent(&intent(&world)).unwrap();
    lane.durable(safe).await.unwrap();
    // A pipe can be written but not synced.
    let (_reader, writer) = io::pipe().unwrap();
    lane.file_replace(File::from(std::os::fd::OwnedFd::from(writer)));
    let unsafe_one = lane.intent(&intent(&world)).unwrap();
    assert!(matches!(lane.durable(unsafe_one).await, Err(JournalError::Broken)));
    assert_eq!(journal.status().health(), Health::Broken);
    lane.durable(safe).await.unwrap();
    assert!(matches!(lane.settle(&settlement(&intent(&world), 1)), Err(JournalError::Broken)));
}

#[tokio::test]
async fn everything_written_reaches_the_disk_without_being_asked() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let mut lane = journal.new_lane().unwrap();
    lane.intent(&intent(&TestWorld::new(9).world())).unwrap();
    let live = journal.shared.lanes()[0].clone();
    tokio::time::timeout(WHILE, async {
        while live.synced().seq < 1 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_store_that_is_down_delays_usage_and_loses_none() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, clock, store) = (open(directory.path()), TestWorld::new(10), Store::default());
    let mut lane = journal.new_lane().unwrap();
    let mut shipper = Shipper::new(&journal, &store);
    store.down.store(true, Ordering::SeqCst);
    let attempt = intent(&clock.world());
    lane.intent(&attempt).unwrap();
    lane.settle(&settlement(&attempt, 3)).unwrap();
    let drained = shipper.drain(Duration::from_millis(200)).await;
    assert_eq!(drained, ship::Drained { complete: false, unshipped_records: 2 });
    assert!(journal.status().ship_failures() > 0);
    store.down.store(false, Ordering::SeqCst);
    drop(lane);
    assert!(shipper.drain(WHILE).await.complete);
    assert_eq!(store.rows(), [settlement(&attempt, 3)]);
}

#[tokio::test]
async fn a_shipper_stopped_in_the_middle_of_a_commit_asks_before_it_ships_again() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, world, store) = (open(directory.path()), TestWorld::new(11).world(), Store::default());
    let mut lane = journal.new_lane().unwrap();
    let mut shipper = Shipper::new(&journal, &store);
    let attempt = intent(&world);
    lane.intent(&attempt).unwrap();
    lane.settle(&settlement(&attempt, 3)).unwrap();
    drop(lane);
    store.hangs_after_commit.store(true, Ordering::SeqCst);
    assert!(!shipper.drain(Duration::from_millis(500)).await.complete);
    assert_eq!(store.rows().len(), 1);
    store.hangs_after_commit.store(false, Ordering::SeqCst);
    assert!(shipper.drain(WHILE).await.complete);
    assert_eq!(store.rows().len(), 1);
}

#[tokio::test]
async fn usage_is_complete_until_the_oldest_attempt_in_flight() {
    let directory = tempfile::tempdir().unwrap();
    let (clock, store) = (TestWorld::new(12), Store::default());
    let options = Options::new(Id::new(&clock.world()));
    let journal = Journal::open(directory.path(), options, clock.world()).unwrap();
    let mut shipper = Shipper::new(&journal, &store);
    let mut lane = journal.new_lane().unwrap();
    clock.now.fetch_add(5_000, Ordering::SeqCst);
    let attempt = intent(&clock.world());
    lane.intent(&attempt).unwrap();
    clock.now.fetch_add(60_000, Ordering::SeqCst);
    assert!(shipper.drain(WHILE).await.complete);
    assert_eq!(journal.status().complete_until(), attempt.started_at);
    lane.settle(&settlement(&attempt, 1)).unwrap();
    assert!(shipper.drain(WHILE).await.complete);
    let now = Timestamp::from_millis(clock.now.load(Ordering::SeqCst));
    assert_eq!(journal.status().complete_until(), now.minus(Duration::from_secs(1)));
    assert_eq!(journal.status().behind(), Duration::ZERO);
}

#[tokio::test]
async fn a_damaged_settlement_is_reported_and_its_attempt_settled_from_its_intent() {
    let directory = tempfile::tempdir().unwrap();
    let world = TestWorld::new(13).world();
    let journal = open(directory.path());
    let mut lane = journal.new_lane().unwrap();
    let attempts = [intent(&world), intent(&world)];
    for attempt in &attempts {
        lane.intent(attempt).unwrap();
        lane.settle(&settlement(attempt, 3)).unwrap();
    }
    let path = journal.shared.lanes()[0].dir.segment_path(1);
    drop((lane, journal));
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1; // within the first settlement
    fs::write(&path, bytes).unwrap();

    let store = Store::default();
    let journal = open(directory.path());
    assert!(Shipper::new(&journal, &store).drain(WHILE).await.complete);
    let rows = store.rows();
    assert_eq!((rows[0].attempt, rows[0].class), (attempts[1].attempt, UsageClass::Exact));
    assert_eq!((rows[1].attempt, rows[1].class), (attempts[0].attempt, UsageClass::Estimated));
    let gaps = store.gaps.lock().unwrap();
    assert_eq!((gaps[0].segment, gaps[0].first_seq, gaps[0].lost, gaps.len()), (1, 2, 1, 1));
    assert_eq!(journal.status().lost_records(), 1);
}

#[tokio::test]
async fn a_lane_is_of_the_node_that_wrote_it_whoever_ships_it() {
    let directory = tempfile::tempdir().unwrap();
    let world = TestWorld::new(5).world();
    let (first, next) = (Id::<Node>::new(&world), Id::<Node>::new(&world));
    let journal = open_with(directory.path(), |options| options.node = first).unwrap();
    let (mut used, unused) = (journal.new_lane().unwrap(), journal.new_lane().unwrap());
    used.intent(&intent(&world)).unwrap();
    let mut ids = [used.id(), unused.id()];
    drop((used, unused));
    drop(journal);
    // As if the first segment's header were damaged: the next one says it too.
    let (used, unused) = (ids[0].uuid().simple().to_string(), ids[1].uuid().simple().to_string());
    fs::copy(directory.path().join(&unused).join("000001.seg"), directory.path().join(&unused).join("000002.seg"))
        .unwrap();
    OpenOptions::new().write(true).open(directory.path().join(&unused).join("000001.seg")).unwrap().set_len(3).unwrap();
    assert!(directory.path().join(used).exists());
    let store = Store::default();
    let journal = open_with(directory.path(), |options| options.node = next).unwrap();
    Shipper::new(&journal, &store).drain(WHILE).await;
    assert_eq!(store.rows().len(), 1);
    let mut ended = store.ended.lock().unwrap().clone();
    ended.sort_by_key(|lane| lane.id);
    ids.sort();
    assert_eq!(ended, ids.map(|id| WrittenLane { id, node: Some(first) }));
}

#[test]
fn a_lane_begins_no_more_than_the_store_was_told() {
    let directory = tempfile::tempdir().unwrap();
    let world = TestWorld::new(6).world();
    let journal = open_with(directory.path(), |options| options.tells = true).unwrap();
    let mut lane = journal.new_lane().unwrap();
    assert!(matches!(lane.intent(&intent(&world)), Err(JournalError::Untold)));
    let ahead = journal.ahead();
    let asked = ahead.ask();
    let most = asked.most();
    assert_eq!((asked.begun(), asked.lanes()), (0, 1));
    ahead.told(asked);
    for _ in 0..most {
        lane.intent(&intent(&world)).unwrap();
    }
    let last = intent(&world);
    assert!(matches!(lane.intent(&last), Err(JournalError::Untold)));
    assert_eq!(ahead.ask().begun(), most);
    lane.settle(&settlement(&last, 1)).unwrap();
}
