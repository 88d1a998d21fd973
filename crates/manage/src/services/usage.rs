//! Usage reports: the question as people ask it, made into one that the store answers.
//!
//! Times are whole minutes, since usage is kept by the minute: `from` is rounded down, `to` up.

mod overview;

use std::time::Duration;

use tollgate_core::{
    Account, Id, Key, No, Timestamp,
    account::AccountAction,
    name::ModelName,
    usage::{Bucket, GroupBy, UsageQuery, UsageRow},
};
use tollgate_store::{Store, StoreError, usage::LatencyRow};

pub use overview::{
    OverviewInput, UsageChart, UsageChoices, UsageCosts, UsageLines, UsageOf, UsageOverview, UsagePart, UsageSeries,
    tokens,
};

use super::{ServiceError, Services, WrittenOff};
use crate::{principal::Principal, span};

/// The most rows of time that a report may ask for.
const MOST_BUCKETS: i64 = 50_000;
/// The most keys or models that a report may be filtered by.
const MOST_FILTERS: usize = 100;
/// What a report begins with that names no beginning.
const USUAL_FROM: &str = "-30d";
/// What an operator names to mean every account.
const EVERY_ACCOUNT: &str = "*";

const MINUTE_MS: i64 = 60_000;

/// A question about usage, as asked.
#[derive(Debug, Default)]
pub struct UsageInput {
    /// RFC 3339, a date of the zone, `now`, or a span before now such as `-7d`. Not named: 30 days ago.
    pub from: Option<String>,
    /// The same; a date is that day's end. Not named: now.
    pub to: Option<String>,
    /// The rows' width; not named: a day.
    pub bucket: Option<Bucket>,
    /// What rows are grouped by.
    pub group_by: Vec<GroupBy>,
    /// Only these keys.
    pub keys: Vec<Id<Key>>,
    /// Only these models.
    pub models: Vec<ModelName>,
    /// The zone of days and months, by its IANA name; not named: UTC.
    pub zone: Option<String>,
    /// The account; an operator may say `*`.
    pub account: Option<String>,
}

/// The answer, with the question as it was understood.
#[derive(Debug)]
pub struct UsageAnswer {
    /// The rows, in order of time.
    pub rows: Vec<UsageRow>,
    /// Everything that ended before is counted.
    pub complete_until: Timestamp,
    /// Of a report on the whole deployment: records of journals that were found to be lost in its time. So many attempts at
    /// most are in no row, since nobody knows whose they were.
    pub lost_records: Option<u64>,
    /// Of all accounts: attempts of nodes that were lost with their disks, in no row.
    pub written_off: Option<WrittenOff>,
    /// The report's beginning.
    pub from: Timestamp,
    /// The report's end.
    pub to: Timestamp,
    /// The rows' width.
    pub bucket: Bucket,
    /// What they are grouped by.
    pub group_by: Vec<GroupBy>,
    /// The zone's name.
    pub zone: String,
}

/// A latency report.
#[derive(Debug)]
pub struct LatencyAnswer {
    /// A row for each model.
    pub rows: Vec<LatencyRow>,
    /// The report's beginning.
    pub from: Timestamp,
    /// The report's end.
    pub to: Timestamp,
}

/// Which end of a day a bare date stands for.
#[derive(Clone, Copy)]
enum DayEnd {
    Begin,
    End,
}

fn instant(
    field: &str,
    text: &str,
    end: DayEnd,
    now: Timestamp,
    zone: &jiff::tz::TimeZone,
) -> Result<Timestamp, ServiceError> {
    if text == "now" {
        return Ok(now);
    }
    if let Some(span) = text.strip_prefix('-') {
        return span::parse(span).map(|span| now.minus(span)).map_err(|error| ServiceError::invalid(field, error));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let wrong = || {
        let rule =
            "a time is RFC 3339 (2030-01-31T12:00:00Z), a date (2030-01-31), \"now\", or a span before now (-7d)";
        ServiceError::invalid(field, rule)
    };
    // Exactly a date: jiff would also take a date with a time and cut the time off.
    if text.len() != 10 {
        return Err(wrong());
    }
    let date: jiff::civil::Date = text.parse().map_err(|_| wrong())?;
    let date = match end {
        DayEnd::Begin => date,
        DayEnd::End => date.tomorrow().map_err(|_| wrong())?,
    };
    Ok(date.to_zoned_datetime(zone.clone()).map_err(|_| wrong())?.timestamp().into())
}

/// `[from, to)` in whole minutes.
fn range(
    from: Option<&str>,
    to: Option<&str>,
    now: Timestamp,
    zone: &jiff::tz::TimeZone,
) -> Result<(Timestamp, Timestamp), ServiceError> {
    let from = instant("from", from.unwrap_or(USUAL_FROM), DayEnd::Begin, now, zone)?;
    let to = to.map_or(Ok(now), |to| instant("to", to, DayEnd::End, now, zone))?;
    let down = |at: Timestamp| at.as_millis() - at.as_millis().rem_euclid(MINUTE_MS);
    let up = |at: Timestamp| down(Timestamp::from_millis(at.as_millis() + MINUTE_MS - 1));
    let (from, to) = (Timestamp::from_millis(down(from)), Timestamp::from_millis(up(to)));
    if from >= to {
        return Err(ServiceError::invalid("from", "from is to be before to"));
    }
    Ok((from, to))
}

fn check_buckets(from: Timestamp, to: Timestamp, bucket: Bucket) -> Result<(), ServiceError> {
    let width = match bucket {
        Bucket::Minute => MINUTE_MS,
        Bucket::Hour => 60 * MINUTE_MS,
        Bucket::Day => 1_440 * MINUTE_MS,
        Bucket::Month => 28 * 1_440 * MINUTE_MS,
        Bucket::Total => return Ok(()),
    };
    if (to.as_millis() - from.as_millis()) / width > MOST_BUCKETS {
        let rule =
            format!("a report has at most {MOST_BUCKETS} rows of time: ask for wider buckets or a shorter range");
        return Err(ServiceError::invalid("bucket", rule));
    }
    Ok(())
}

/// A zone by its IANA name, from the tables compiled in; `UTC` in any case.
pub(crate) fn zone_by_name(name: &str) -> Result<jiff::tz::TimeZone, ServiceError> {
    if name.eq_ignore_ascii_case("utc") || name == "Z" {
        return Ok(jiff::tz::TimeZone::UTC);
    }
    jiff::tz::TimeZone::get(name)
        .map_err(|_| ServiceError::invalid("tz", "tz is a time zone's IANA name such as Asia/Ho_Chi_Minh, or UTC"))
}

/// The row numbers that a filter means: `None` where it names things, but none that is there.
async fn numbers<T, F>(named: usize, look_up: F) -> Result<Option<Vec<T>>, ServiceError>
where
    F: Future<Output = Result<Vec<T>, StoreError>>,
{
    if named == 0 {
        return Ok(Some(Vec::new()));
    }
    let found = look_up.await?;
    Ok(if found.is_empty() { None } else { Some(found) })
}

impl Services {
    /// Whose usage a report is about; `None`: everybody's.
    async fn usage_scope(
        &self,
        principal: &Principal,
        account: Option<&str>,
        by_account: bool,
    ) -> Result<Option<No<Account>>, ServiceError> {
        if principal.is_operator() && (account == Some(EVERY_ACCOUNT) || (account.is_none() && by_account)) {
            return Ok(None);
        }
        let access = principal.access(self, account).await?;
        access.require(AccountAction::Read)?;
        Ok(Some(access.account.no))
    }

    /// A usage report.
    ///
    /// # Errors
    /// A wrong question, a caller who may not, or when the store fails.
    pub async fn usage_report(&self, principal: &Principal, input: UsageInput) -> Result<UsageAnswer, ServiceError> {
        let by_account = input.group_by.contains(&GroupBy::Account);
        let account = self.usage_scope(principal, input.account.as_deref(), by_account).await?;
        for (field, number) in [("key", input.keys.len()), ("model", input.models.len())] {
            if number > MOST_FILTERS {
                return Err(ServiceError::invalid(field, format_args!("at most {MOST_FILTERS} can be named")));
            }
        }
        let zone_name = input.zone.unwrap_or_else(|| "UTC".to_owned());
        let zone = zone_by_name(&zone_name)?;
        let bucket = input.bucket.unwrap_or(Bucket::Day);
        let (from, to) = range(input.from.as_deref(), input.to.as_deref(), self.world.now(), &zone)?;
        check_buckets(from, to, bucket)?;
        let mut group_by = input.group_by;
        group_by.sort_by_key(|by| match by {
            GroupBy::Account => 0,
            GroupBy::Key => 1,
            GroupBy::Model => 2,
        });
        group_by.dedup();
        let store: &Store = self.store();
        // Asked before the rows are read: what they hold may be newer, never older.
        let complete_until = store.usage_complete_until().await?;
        let keys = numbers(input.keys.len(), store.key_numbers(account, &input.keys)).await?;
        let models = numbers(input.models.len(), store.model_numbers(&input.models)).await?;
        let rows = match (keys, models) {
            (Some(keys), Some(models)) => {
                let query = UsageQuery { account, from, to, bucket, group_by: group_by.clone(), keys, models, zone };
                store.usage_report(&query).await.map_err(|error| match error {
                    StoreError::State(why) => ServiceError::invalid("", why),
                    error => error.into(),
                })?
            }
            _ => Vec::new(),
        };
        let (lost_records, written_off) = match account {
            None => (Some(store.journal_records_lost(from, to).await?), Some(self.written_off(from, to).await?)),
            Some(_) => (None, None),
        };
        Ok(UsageAnswer { rows, complete_until, lost_records, written_off, from, to, bucket, group_by, zone: zone_name })
    }

    /// A latency report over whole hours.
    ///
    /// # Errors
    /// A wrong question, a caller who may not, or when the store fails.
    pub async fn usage_latency(
        &self,
        principal: &Principal,
        account: Option<&str>,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<LatencyAnswer, ServiceError> {
        let account = self.usage_scope(principal, account, false).await?;
        let (from, to) = range(from, to, self.world.now(), &jiff::tz::TimeZone::UTC)?;
        let hour = i64::try_from(Duration::from_secs(3_600).as_millis()).unwrap_or(i64::MAX);
        let from = Timestamp::from_millis(from.as_millis() - from.as_millis().rem_euclid(hour));
        let to = Timestamp::from_millis(to.as_millis() + (hour - to.as_millis().rem_euclid(hour)) % hour);
        Ok(LatencyAnswer { rows: self.store().usage_latency(account, from, to).await?, from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_report_begins_and_ends_where_people_mean_it() {
        let now = at("2026-11-20T09:30:15Z");
        let hanoi = zone_by_name("Asia/Ho_Chi_Minh").unwrap();
        let utc = jiff::tz::TimeZone::UTC;
        let said = |from, to, zone| range(Some(from), to, now, zone).unwrap();
        assert_eq!(said("-1h", None, &utc), (at("2026-11-20T08:30:00Z"), at("2026-11-20T09:31:00Z")));
        assert_eq!(
            said("2026-11-01", Some("2026-11-02"), &utc),
            (at("2026-11-01T00:00:00Z"), at("2026-11-03T00:00:00Z"))
        );
        assert_eq!(said("2026-11-01", Some("now"), &hanoi).0, at("2026-10-31T17:00:00Z"));
        assert_eq!(
            said("2026-11-01T00:00:00Z", Some("2026-11-01T00:01:00+00:00"), &utc),
            (at("2026-11-01T00:00:00Z"), at("2026-11-01T00:01:00Z"))
        );
        for (from, to) in [
            ("tomorrow", None),
            ("2026-13-01", None),
            ("-", None),
            ("-7y", None),
            ("2026-11-30", None),
            ("now", Some("-1d")),
            ("2026-11-01 00:00", None),
            ("1700000000", None),
            ("", None),
        ] {
            assert!(range(Some(from), to, now, &utc).is_err(), "{from} {to:?}");
        }
    }

    #[test]
    fn zones_are_names_that_exist() {
        assert!(zone_by_name("utc").is_ok());
        for wrong in ["", "Mars/Olympus", "../../etc/passwd", "+07:00"] {
            assert!(zone_by_name(wrong).is_err(), "{wrong}");
        }
    }
}
