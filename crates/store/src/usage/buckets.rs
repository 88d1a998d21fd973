//! The edges of a report's buckets: minutes of UTC, hours, calendar days and months of its zone.

use jiff::{civil::Date, tz::TimeZone};
use tollgate_core::usage::{Bucket, UsageQuery};

use super::{
    TOO_MANY_ROWS,
    grain::{Grain, MINUTE_MS},
};
use crate::{Result, StoreError};

/// Most buckets of one report, empty ones too: two years of minutes.
const MOST_BUCKETS: usize = 1_100_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// The edges in Unix milliseconds, one more than there are buckets; none for an empty range. The range is cut to whole
/// minutes: rollups know nothing finer.
pub(super) fn edges(query: &UsageQuery) -> Result<Vec<i64>> {
    let floor = |ms: i64| Grain::Minute.floor(ms);
    let (from, to) = (floor(query.from.as_millis()), floor(query.to.as_millis()));
    let mut edges = Vec::new();
    if from >= to {
        return Ok(edges);
    }
    edges.push(from);
    let mut at = from;
    while at < to {
        let next = match query.bucket {
            Bucket::Total => to,
            Bucket::Minute => at + MINUTE_MS,
            Bucket::Hour => next_hour(at, &query.zone),
            Bucket::Day => next_date(at, &query.zone, Date::tomorrow)?,
            Bucket::Month => next_date(at, &query.zone, |date| date.last_of_month().tomorrow())?,
        };
        // A zone's edge may fall on a second in the days of local mean time; and an edge always lies ahead.
        at = floor(next).max(at + MINUTE_MS).min(to);
        edges.push(at);
        if edges.len() > MOST_BUCKETS {
            return Err(TOO_MANY_ROWS);
        }
    }
    Ok(edges)
}

/// The next full hour on the clocks of the zone.
fn next_hour(at: i64, zone: &TimeZone) -> i64 {
    let offset = zone.to_offset(timestamp(at)).seconds();
    let local = at + i64::from(offset) * 1_000;
    at - local.rem_euclid(HOUR_MS) + HOUR_MS
}

/// The beginning of the date that `next` gives. A midnight that a change of clocks leaves out begins after the gap.
fn next_date(at: i64, zone: &TimeZone, next: impl Fn(Date) -> std::result::Result<Date, jiff::Error>) -> Result<i64> {
    let date = timestamp(at).to_zoned_datetime(zone.clone()).date();
    let begin = next(date).and_then(|date| date.to_zoned_datetime(zone.clone()));
    begin
        .map(|begin| begin.timestamp().as_millisecond())
        .map_err(|_| StoreError::State("a usage report ends before the year 9999"))
}

fn timestamp(ms: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use tollgate_core::Timestamp;

    use super::*;

    fn edges_of(from: &str, to: &str, bucket: Bucket, zone: &str) -> Vec<String> {
        let query = UsageQuery {
            account: None,
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            bucket,
            group_by: vec![],
            keys: vec![],
            models: vec![],
            zone: TimeZone::get(zone).unwrap(),
        };
        edges(&query).unwrap().into_iter().map(|ms| Timestamp::from_millis(ms).to_string()).collect()
    }

    #[test]
    fn days_follow_the_clocks_of_the_zone_through_a_change_of_time() {
        assert_eq!(
            edges_of("2026-03-28T12:00:30Z", "2026-03-30T23:00:00Z", Bucket::Day, "Europe/Berlin"),
            [
                "2026-03-28T12:00:00Z",
                "2026-03-28T23:00:00Z",
                "2026-03-29T22:00:00Z",
                "2026-03-30T22:00:00Z",
                "2026-03-30T23:00:00Z"
            ]
        );
        assert_eq!(
            edges_of("2026-01-01T00:00:00Z", "2026-01-01T20:00:00Z", Bucket::Day, "Asia/Kolkata"),
            ["2026-01-01T00:00:00Z", "2026-01-01T18:30:00Z", "2026-01-01T20:00:00Z"]
        );
        assert_eq!(
            edges_of("2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z", Bucket::Hour, "Asia/Kolkata"),
            ["2026-01-01T00:00:00Z", "2026-01-01T00:30:00Z", "2026-01-01T01:30:00Z", "2026-01-01T02:00:00Z"]
        );
        assert_eq!(
            edges_of("2026-01-15T00:00:00Z", "2026-03-01T00:00:00Z", Bucket::Month, "UTC"),
            ["2026-01-15T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"]
        );
        assert!(edges_of("2026-01-15T00:00:10Z", "2026-01-15T00:00:50Z", Bucket::Total, "UTC").is_empty());
    }

    #[test]
    fn a_report_of_too_many_buckets_is_refused() {
        let query = UsageQuery {
            account: None,
            from: Timestamp::default(),
            to: Timestamp::MAX,
            bucket: Bucket::Minute,
            group_by: vec![],
            keys: vec![],
            models: vec![],
            zone: TimeZone::UTC,
        };
        assert!(edges(&query).is_err());
        assert!(edges(&UsageQuery { bucket: Bucket::Total, ..query }).is_ok());
    }
}
