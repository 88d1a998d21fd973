//! The chart of a page of usage: the largest lines over time, and what all others come to.

use tollgate_core::{
    Account, Id, Key, Timestamp,
    name::ModelName,
    usage::{Bucket, GroupBy, UsageQuery, UsageRow, UsageSums},
};

use super::{OverviewInput, tokens, too_long};
use crate::services::{ServiceError, Services};

/// Most series of the chart beside the sum of the others.
const MOST_SERIES: usize = 7;
/// Most ticks of the chart; a wider bucket is to be asked for beyond.
const MOST_TICKS: usize = 2_000;

/// Amounts over time.
#[derive(Debug)]
pub struct UsageChart {
    /// The width of its bars.
    pub bucket: Bucket,
    /// Whether there are no tokens, and requests are counted instead.
    pub of_requests: bool,
    /// Where its bars begin.
    pub ticks: Vec<Timestamp>,
    /// What they are made of.
    pub series: Vec<UsageSeries>,
}

/// One part of each bar.
#[derive(Debug)]
pub struct UsageSeries {
    /// What it is about.
    pub part: UsagePart,
    /// One amount for each tick.
    pub amounts: Vec<u64>,
}

/// What a part of the bars is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsagePart {
    /// The line of this place.
    Line(usize),
    /// All lines without a part of their own.
    Others,
    /// Input tokens.
    Input,
    /// Output tokens.
    Output,
    /// Requests.
    Requests,
}

/// A part of the bars and how much of a row is in it.
type AmountOfPart = (UsagePart, fn(&UsageSums) -> u64);

impl Services {
    pub(super) async fn usage_chart(
        &self,
        query: &UsageQuery,
        input: &OverviewInput,
        lines: &[UsageRow],
        total: &UsageSums,
    ) -> Result<UsageChart, ServiceError> {
        let of_requests = tokens(total) == 0;
        let amount = |sums: &UsageSums| if of_requests { sums.requests } else { tokens(sums) };
        let bucket = if input.lines.is_time() { input.lines.bucket() } else { input.chart };
        let ticks = ticks(input.from, input.to, bucket, &input.zone)?;
        let mut chart = UsageChart { bucket, of_requests, ticks, series: Vec::new() };
        if input.lines.is_time() {
            let parts: &[AmountOfPart] = if of_requests {
                &[(UsagePart::Requests, |sums| sums.requests)]
            } else {
                &[(UsagePart::Input, |sums| sums.units.input), (UsagePart::Output, |sums| sums.units.output)]
            };
            for (part, amount) in parts {
                chart.push(*part, lines.iter(), amount);
            }
            return Ok(chart);
        }
        let all = UsageQuery { bucket, group_by: Vec::new(), ..query.clone() };
        let all = self.store().usage_report(&all).await.map_err(too_long)?;
        let largest = lines.get(..MOST_SERIES).unwrap_or(lines);
        let rows = self.series_rows(query, bucket, largest).await?;
        for (at, line) in largest.iter().enumerate() {
            let own = rows.iter().filter(|row| {
                (row.account, &row.model) == (line.account, &line.model)
                    && row.key.as_ref().map(|key| key.0) == line.key.as_ref().map(|key| key.0)
            });
            chart.push(UsagePart::Line(at), own, amount);
        }
        if lines.len() > largest.len() {
            chart.push_others(&all, amount);
        }
        Ok(chart)
    }

    /// The rows over time of a few lines.
    async fn series_rows(
        &self,
        query: &UsageQuery,
        bucket: Bucket,
        lines: &[UsageRow],
    ) -> Result<Vec<UsageRow>, ServiceError> {
        let store = self.store();
        let mut query = UsageQuery { bucket, ..query.clone() };
        if lines.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<Id<Key>> = lines.iter().filter_map(|line| line.key.as_ref().map(|key| key.0)).collect();
        if query.keys.is_empty() && !keys.is_empty() {
            query.keys = store.key_numbers(query.account, &keys).await?;
        }
        let models: Vec<ModelName> = lines.iter().filter_map(|line| line.model.clone()).collect();
        if query.models.is_empty() && !models.is_empty() {
            query.models = store.model_numbers(&models).await?;
        }
        if query.account.is_some() || !query.group_by.contains(&GroupBy::Account) {
            return store.usage_report(&query).await.map_err(too_long);
        }
        // A question is about one account or about all of them: of a few, each is asked for alone.
        let mut accounts: Vec<Id<Account>> = lines.iter().filter_map(|line| line.account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        let mut rows = Vec::new();
        for account in accounts {
            let account = store.account_get(&account.to_string()).await?;
            let query = UsageQuery { account: Some(account.no), ..query.clone() };
            rows.append(&mut store.usage_report(&query).await.map_err(too_long)?);
        }
        Ok(rows)
    }
}

impl UsageChart {
    /// The place of a row among the ticks.
    fn place(&self, at: Timestamp) -> usize {
        self.ticks.partition_point(|tick| *tick <= at).saturating_sub(1)
    }
    fn push<'a>(
        &mut self,
        part: UsagePart,
        rows: impl Iterator<Item = &'a UsageRow>,
        amount: impl Fn(&UsageSums) -> u64,
    ) {
        let mut amounts = vec![0u64; self.ticks.len()];
        for row in rows {
            if let Some(sum) = amounts.get_mut(self.place(row.start)) {
                *sum = sum.saturating_add(amount(&row.sums));
            }
        }
        self.series.push(UsageSeries { part, amounts });
    }
    /// What all rows hold more than the series that are there.
    fn push_others(&mut self, all: &[UsageRow], amount: impl Fn(&UsageSums) -> u64) {
        let shown: Vec<u64> = (0..self.ticks.len())
            .map(|at| self.series.iter().filter_map(move |series| series.amounts.get(at)))
            .map(|amounts| amounts.fold(0, |sum: u64, amount| sum.saturating_add(*amount)))
            .collect();
        self.push(UsagePart::Others, all.iter(), amount);
        if let Some(others) = self.series.last_mut() {
            // Asked at two instants: what was counted in between may not make it less than nothing.
            others.amounts.iter_mut().zip(shown).for_each(|(sum, shown)| *sum = sum.saturating_sub(shown));
        }
    }
}

/// Where the bars of a chart begin: hours on the zone's clocks, its days, its months, as the store's reports have them.
fn ticks(
    from: Timestamp,
    to: Timestamp,
    bucket: Bucket,
    zone: &jiff::tz::TimeZone,
) -> Result<Vec<Timestamp>, ServiceError> {
    const HOUR_MS: i64 = 3_600_000;
    let mut ticks = Vec::new();
    let mut at = from;
    while at < to {
        if ticks.len() >= MOST_TICKS {
            return Err(ServiceError::invalid("from", "the range is too long for so narrow rows"));
        }
        ticks.push(at);
        let local = at.to_jiff().to_zoned_datetime(zone.clone());
        let date = match bucket {
            Bucket::Day => local.date().tomorrow(),
            Bucket::Month => local.date().last_of_month().tomorrow(),
            Bucket::Total => break,
            Bucket::Hour | Bucket::Minute => {
                let clock = at.as_millis() + i64::from(local.offset().seconds()) * 1_000;
                at = Timestamp::from_millis(at.as_millis() - clock.rem_euclid(HOUR_MS) + HOUR_MS);
                continue;
            }
        };
        let next = date.and_then(|date| date.to_zoned_datetime(zone.clone()));
        let next = next.map_err(|_| ServiceError::invalid("to", "a report ends before the year 9999"))?;
        at = Timestamp::from(next.timestamp()).max(Timestamp::from_millis(at.as_millis() + 1));
    }
    Ok(ticks)
}

#[cfg(test)]
mod tests {
    use tollgate_core::Units;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn bars_begin_where_the_zone_s_hours_days_and_months_do() {
        let zone = |name| jiff::tz::TimeZone::get(name).unwrap();
        let of = |from, to, bucket, name| {
            let ticks = ticks(at(from), at(to), bucket, &zone(name)).unwrap();
            ticks.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            of("2026-03-28T23:00:00Z", "2026-03-30T22:00:00Z", Bucket::Day, "Europe/Berlin"),
            ["2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"]
        );
        assert_eq!(
            of("2026-01-01T18:30:00Z", "2026-01-01T20:30:00Z", Bucket::Hour, "Asia/Kolkata"),
            ["2026-01-01T18:30:00Z", "2026-01-01T19:30:00Z"]
        );
        assert_eq!(
            of("2025-12-31T17:00:00Z", "2026-02-28T17:00:00Z", Bucket::Month, "Asia/Ho_Chi_Minh"),
            ["2025-12-31T17:00:00Z", "2026-01-31T17:00:00Z"]
        );
        let long = ticks(at("2000-01-01T00:00:00Z"), at("2030-01-01T00:00:00Z"), Bucket::Day, &zone("UTC"));
        assert!(long.is_err());
    }

    #[test]
    fn what_has_no_part_of_its_own_is_the_others_and_never_less_than_nothing() {
        let row = |start: &str, input: u64| UsageRow {
            start: at(start),
            end: at(start),
            account: None,
            key: None,
            model: None,
            sums: UsageSums { requests: 1, units: Units { input, ..Units::default() }, ..UsageSums::default() },
            costs: None,
        };
        let (first, second) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let ticks = vec![at(first), at(second)];
        let mut chart = UsageChart { bucket: Bucket::Day, of_requests: false, ticks, series: Vec::new() };
        chart.push(UsagePart::Line(0), [row(first, 5), row(second, 9)].iter(), tokens);
        chart.push_others(&[row(first, 8), row(second, 7)], tokens);
        let amounts: Vec<_> = chart.series.iter().map(|series| series.amounts.clone()).collect();
        assert_eq!(amounts, [vec![5, 9], vec![3, 0]]);
    }
}
