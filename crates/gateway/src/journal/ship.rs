//! Carries settlements from the journal to the store, each once, for as long as it takes.
//!
//! A batch and its lane's watermark are one transaction of the store. Whenever it is not known whether
//! that was committed (an error, a time-out, a cancelled shipper), the watermark is asked first: it
//! tells whether the same batch must go again. A store that is down costs nothing but disk.

use std::{
    convert::Infallible,
    fmt::Display,
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout, timeout_at};
use tollgate_core::{
    Id, Timestamp,
    usage::{Journal as LaneId, Lane as WrittenLane, Settlement},
};

use super::{
    Journal, Shared, Status,
    collect::{Batch, Collector},
    files::LaneDir,
    lane::Lane,
    reader::{Extent, Gap},
};

/// A settlement waits this long at most before it is shipped, while the store answers.
pub const SHIP_INTERVAL: Duration = Duration::from_millis(500);
/// Settlements in one transaction, where the store says nothing else.
pub const BATCH_MOST: usize = 500;
/// Batches of one lane before another has its turn.
const BATCHES_PER_TURN: usize = 20;
/// The store has this long to answer.
const SINK_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest wait after failures; the first is [`SHIP_INTERVAL`], each is twice the one before.
const BACKOFF_MOST: Duration = Duration::from_secs(10);
/// Between two rounds while everything is to be shipped before the end.
const DRAIN_INTERVAL: Duration = Duration::from_millis(20);
/// An attempt's beginning is read from the clock at most this long before its intent is written.
const CLOCK_SLACK: Duration = Duration::from_secs(1);

/// Where usage goes: the store.
pub trait UsageSink: Send + Sync {
    /// Why it did not work; shown in the log.
    type Error: Display + Send;

    /// How many settlements the next batch is to have; asked once for each.
    fn batch_most(&self) -> usize {
        BATCH_MOST
    }

    /// When this has returned, no power cut takes back what was shipped before. Until then one may, watermark and all:
    /// then it is shipped again, so nothing of it is deleted here before. `ended` is a lane that is shipped wholly: it is
    /// deleted next.
    fn make_last(&self, _ended: Option<WrittenLane>) -> impl Future<Output = Result<(), Self::Error>> + Send {
        std::future::ready(Ok(()))
    }

    /// The watermark of a lane; 0 for a lane never heard of.
    fn watermark(&self, lane: Id<LaneId>) -> impl Future<Output = Result<u64, Self::Error>> + Send;

    /// In one transaction: fails unless the lane's watermark is `expected` (0: none yet), adds all
    /// settlements to the usage tables, and sets the watermark to `new`, at most `i64::MAX`. `gaps` are
    /// records of the lane that cannot be read: there may be attempts of which nothing is known.
    ///
    /// A watermark must outlive its lane by more than the longest delay of a transaction (keep it for
    /// days): a first try that was given up may arrive after the lane is gone, and finds `0` to be the
    /// watermark of a lane that was forgotten.
    fn ship(
        &self,
        lane: WrittenLane,
        expected: u64,
        new: u64,
        settlements: &[Settlement],
        gaps: &[Gap],
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// What [`Shipper::drain`] left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Everything is in the store.
    pub complete: bool,
    /// Records that wait for the next start.
    pub unshipped_records: u64,
}

/// Ships all lanes of a journal. Reads files, so it belongs on a runtime that carries no requests.
#[derive(Debug)]
pub struct Shipper<S> {
    shared: Arc<Shared>,
    sink: S,
    lanes: Vec<ShippedLane>,
}

#[derive(Debug)]
struct ShippedLane {
    dir: LaneDir,
    /// The writer's side; `None` is a lane of an earlier process.
    live: Option<Arc<Lane>>,
    collector: Option<Collector>,
    /// A batch was given to the sink and no answer came.
    unsure: bool,
    failures: u32,
    not_before: Option<Instant>,
    sample: Option<(Timestamp, u64)>,
    /// Everything written until then is shipped.
    caught_up: Timestamp,
    gone: bool,
}

/// Why a lane could not go on; tried again later.
#[derive(Debug, thiserror::Error)]
enum ShipError {
    #[error("{0}")]
    Sink(String),
    #[error("the store gave no answer in time")]
    Timeout,
    #[error("its watermark is {found}, neither {after} nor {up_to}: it is read anew from there")]
    Moved { found: u64, after: u64, up_to: u64 },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl<S: UsageSink> Shipper<S> {
    /// For the lanes of `journal`, those of earlier processes and those to come. One per journal.
    pub fn new(journal: &Journal, sink: S) -> Self {
        let old = std::mem::take(&mut *journal.old.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let lanes = old.into_iter().map(|dir| ShippedLane::new(dir, None)).collect();
        Self { shared: Arc::clone(&journal.shared), sink, lanes }
    }

    /// Ships until it is dropped. Dropping is safe at any point.
    pub async fn run(&mut self) -> Infallible {
        loop {
            if self.pass().await {
                tokio::task::yield_now().await;
            } else {
                sleep(SHIP_INTERVAL).await;
            }
        }
    }

    /// Ships everything there is, for `within` at most: when all workers have dropped their lanes,
    /// nothing is left behind.
    pub async fn drain(&mut self, within: Duration) -> Drained {
        let until = Instant::now() + within;
        loop {
            self.shared.sync_soon();
            self.retry_now();
            let in_time = timeout_at(until, self.pass()).await.is_ok();
            self.status_update();
            let unshipped_records = self.shared.status.unshipped_records();
            let complete = self.lanes.iter().all(ShippedLane::is_shipped);
            let hopeless = self.lanes.iter().all(|lane| lane.is_shipped() || lane.is_stuck());
            if hopeless || !in_time || timeout_at(until, sleep(DRAIN_INTERVAL)).await.is_err() {
                return Drained { complete, unshipped_records };
            }
        }
    }

    /// One round over all lanes; whether there is more to ship at once.
    pub async fn pass(&mut self) -> bool {
        self.adopt();
        let mut more = false;
        for lane in &mut self.lanes {
            if lane.not_before.is_some_and(|at| at > Instant::now()) {
                continue;
            }
            match lane.turn(&self.sink, &self.shared).await {
                Ok(lane_has_more) => {
                    more |= lane_has_more;
                    (lane.failures, lane.not_before) = (0, None);
                }
                Err(error) => lane.failed(&error, &self.shared.status),
            }
        }
        self.lanes.retain(|lane| !lane.gone);
        self.status_update();
        more
    }

    /// Forgets how long lanes that failed were to wait.
    pub(super) fn retry_now(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.not_before = None);
    }

    fn adopt(&mut self) {
        let shared = self.shared.lanes();
        for live in shared.iter() {
            if !self.lanes.iter().any(|lane| lane.dir.lane == live.dir.lane) {
                self.lanes.push(ShippedLane::new(live.dir.clone(), Some(Arc::clone(live))));
            }
        }
    }

    fn status_update(&self) {
        let now = self.shared.world.now();
        let status = &self.shared.status;
        let sum = self.lanes.iter().map(ShippedLane::unshipped_records).sum();
        let complete_until = self.lanes.iter().map(ShippedLane::complete_until).min().unwrap_or(now);
        let caught_up = self.lanes.iter().map(|lane| lane.caught_up).min().unwrap_or(now);
        let behind = now.as_millis().saturating_sub(caught_up.as_millis());
        status.unshipped_records.store(sum, Ordering::Relaxed);
        status.complete_until.store(complete_until.as_millis(), Ordering::Relaxed);
        status.behind_ms.store(u64::try_from(behind).unwrap_or_default(), Ordering::Relaxed);
        status.lanes.store(u64::try_from(self.lanes.len()).unwrap_or_default(), Ordering::Relaxed);
    }
}

impl ShippedLane {
    fn new(dir: LaneDir, live: Option<Arc<Lane>>) -> Self {
        // Nothing was written in a lane before it was made, and its id says when that was.
        let (seconds, nanos) = dir.lane.uuid().get_timestamp().map_or((0, 0), |made| made.to_unix());
        let made_at = Duration::new(seconds, nanos).as_millis();
        let caught_up = Timestamp::from_millis(i64::try_from(made_at).unwrap_or_default());
        let (collector, not_before, sample) = (None, None, None);
        Self { dir, live, collector, unsure: false, failures: 0, not_before, sample, caught_up, gone: false }
    }

    fn failed(&mut self, error: &ShipError, status: &Status) {
        let wait = SHIP_INTERVAL.saturating_mul(1 << self.failures.min(16)).min(BACKOFF_MOST);
        self.failures += 1;
        self.not_before = Some(Instant::now() + wait);
        status.ship_failures.fetch_add(1, Ordering::Relaxed);
        let retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(journal.lane = %self.dir.lane, failures = self.failures, retry_ms, %error, "usage is not shipped");
    }

    /// How far may be read now: of a lane that is written, what is on disk.
    fn extent(&self) -> Extent {
        let Some(live) = &self.live else { return Extent::Whole };
        // In this order: nothing is written behind the mark that the writer is gone.
        let closed = live.closed.load(Ordering::SeqCst);
        let written = live.written.load(Ordering::SeqCst);
        let synced = live.synced();
        let over = closed && synced.seq == written && !synced.broken;
        if over { Extent::Whole } else { Extent::UpTo(synced.seq) }
    }

    /// Ships some batches; whether there are more.
    async fn turn<S: UsageSink>(&mut self, sink: &S, shared: &Shared) -> Result<bool, ShipError> {
        for _ in 0..BATCHES_PER_TURN {
            if !self.batch_ship(sink, shared).await? {
                self.tidy(sink, shared).await?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ships a batch; whether there may be another one.
    async fn batch_ship<S: UsageSink>(&mut self, sink: &S, shared: &Shared) -> Result<bool, ShipError> {
        let extent = self.extent();
        if self.sample.is_none() {
            let written = self.live.as_ref().map_or(0, |live| live.written.load(Ordering::SeqCst));
            self.sample = Some((shared.world.now(), written));
        }
        if self.collector.is_none() {
            let watermark = answer(sink.watermark(self.dir.lane)).await?;
            self.collector = Some(Collector::open(self.dir.clone(), watermark)?);
        }
        let Some(collector) = &mut self.collector else { return Ok(false) };
        collector.collect(extent, sink.batch_most().max(1))?;
        let Batch { after, up_to, settlements, gaps } = collector.batch();
        if settlements.is_empty() && gaps.is_empty() {
            return Ok(!collector.reached_end());
        }
        let (after, up_to) = (*after, *up_to);
        let mut committed = false;
        if self.unsure {
            let found = answer(sink.watermark(self.dir.lane)).await?;
            committed = found == up_to;
            self.unsure = false;
            if !committed && found != after {
                self.collector = None;
                return Err(ShipError::Moved { found, after, up_to });
            }
        }
        if !committed {
            self.unsure = true;
            answer(sink.ship(self.dir.as_lane(), after, up_to, settlements, gaps)).await?;
            self.unsure = false;
        }
        let lost = gaps.iter().map(|gap| gap.lost).fold(0, u64::saturating_add);
        let count = u64::try_from(settlements.len()).unwrap_or_default();
        shared.status.lost_records.fetch_add(lost, Ordering::Relaxed);
        shared.status.shipped_settlements.fetch_add(count, Ordering::Relaxed);
        collector.shipped();
        Ok(true)
    }

    /// When nothing is left to ship for now: notes the time, and deletes what nobody needs.
    async fn tidy<S: UsageSink>(&mut self, sink: &S, shared: &Shared) -> Result<(), ShipError> {
        let Some(collector) = &mut self.collector else { return Ok(()) };
        if let Some((at, written)) = self.sample
            && collector.shipped_to() >= written
        {
            self.caught_up = at;
            self.sample = None;
        }
        if let Some(live) = &self.live {
            collector.segment_turn(live.segment.load(Ordering::SeqCst))?;
        }
        if collector.finished() || collector.has_read_segments() {
            answer(sink.make_last(collector.finished().then(|| self.dir.as_lane()))).await?;
        }
        if collector.finished() {
            let bytes = self.dir.remove(shared.sync_file)?;
            shared.status.bytes_change(-i64::try_from(bytes).unwrap_or(i64::MAX));
            shared.lanes().retain(|lane| lane.dir.lane != self.dir.lane);
            self.gone = true;
        } else {
            let difference = collector.replace_read_segments(shared.sync_file)?;
            shared.status.bytes_change(difference);
        }
        Ok(())
    }

    fn unshipped_records(&self) -> u64 {
        let Some(live) = &self.live else { return 0 };
        let written = live.written.load(Ordering::SeqCst);
        written.saturating_sub(self.collector.as_ref().map_or(0, Collector::shipped_to))
    }

    /// Whether nothing that is in the lane now needs shipping.
    fn is_shipped(&self) -> bool {
        let over = self.live.as_ref().is_none_or(|live| live.closed.load(Ordering::SeqCst));
        !over && self.unshipped_records() == 0
    }

    /// Whether what is left in it has to wait for the next start.
    fn is_stuck(&self) -> bool {
        let Some(live) = &self.live else { return false };
        let synced = live.synced();
        synced.broken && self.collector.as_ref().is_some_and(|collector| collector.shipped_to() >= synced.seq)
    }

    fn complete_until(&self) -> Timestamp {
        let oldest = self.collector.as_ref().and_then(Collector::oldest_unshipped).unwrap_or(Timestamp::MAX);
        oldest.min(self.caught_up.minus(CLOCK_SLACK))
    }
}

async fn answer<T, E: Display>(asked: impl Future<Output = Result<T, E>>) -> Result<T, ShipError> {
    match timeout(SINK_TIMEOUT, asked).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(ShipError::Sink(error.to_string())),
        Err(_elapsed) => Err(ShipError::Timeout),
    }
}
