//! A page of usage: the largest lines and the sum of the others, the same tokens over time, and how fresh both are.
//!
//! However many keys there are, the store hands over as many lines as are shown; the chart asks for its few series
//! alone. The total is the sum of what stands in the table, so that the page adds up to the last token.

use std::collections::HashMap;

use tollgate_core::{
    Account, Id, Key, KeyStatus, No, Timestamp, Units,
    account::AccountAction,
    money::{Cost, Currency},
    name::{Handle, Label, ModelName},
    secret::KeyHint,
    usage::{Bucket, GroupBy, UsageQuery, UsageRow, UsageSums},
};
use tollgate_store::{ModelCurrency, StoreError};

use super::super::{ServiceError, Services};
use crate::principal::{Access, Principal};

/// Most lines of the table that are not times.
const MOST_LINES: usize = 200;
/// Most series of the chart beside the sum of the others.
const MOST_SERIES: usize = 7;
/// Most keys that a choice among them shows.
const MOST_KEYS_TO_CHOOSE: u32 = 200;
/// Most ticks of the chart; a wider bucket is to be asked for beyond.
const MOST_TICKS: usize = 2_000;

/// Whose usage: the proof that the caller may see it.
#[derive(Debug, Clone, Copy)]
pub enum UsageOf<'a> {
    /// One account's.
    Account(&'a Access),
    /// Everybody's, or one account's, for the operator.
    Deployment(&'a Principal, Option<&'a Account>),
}

impl UsageOf<'_> {
    fn account(self) -> Result<Option<No<Account>>, ServiceError> {
        match self {
            Self::Account(access) => {
                access.require(AccountAction::Read)?;
                Ok(Some(access.account.no))
            }
            Self::Deployment(principal, account) => {
                principal.require_operator()?;
                Ok(account.map(|account| account.no))
            }
        }
    }
}

/// What a line of the table is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageLines {
    /// A model.
    Model,
    /// A key.
    Key,
    /// A model and a key.
    ModelAndKey,
    /// An account.
    Account,
    /// An account and a model.
    AccountAndModel,
    /// A day.
    Day,
    /// An hour.
    Hour,
}

impl UsageLines {
    /// The report's groups.
    #[must_use]
    pub const fn group_by(self) -> &'static [GroupBy] {
        match self {
            Self::Model => &[GroupBy::Model],
            Self::Key => &[GroupBy::Key],
            Self::ModelAndKey => &[GroupBy::Key, GroupBy::Model],
            Self::Account => &[GroupBy::Account],
            Self::AccountAndModel => &[GroupBy::Account, GroupBy::Model],
            Self::Day | Self::Hour => &[],
        }
    }
    /// The width of the report's rows.
    #[must_use]
    pub const fn bucket(self) -> Bucket {
        match self {
            Self::Day => Bucket::Day,
            Self::Hour => Bucket::Hour,
            _ => Bucket::Total,
        }
    }
    const fn is_time(self) -> bool {
        matches!(self, Self::Day | Self::Hour)
    }
}

/// What a page asks for.
#[derive(Debug, Clone)]
pub struct OverviewInput {
    /// From here on.
    pub from: Timestamp,
    /// Up to but not including here.
    pub to: Timestamp,
    /// The zone of days and months.
    pub zone: jiff::tz::TimeZone,
    /// What the lines are.
    pub lines: UsageLines,
    /// The width of the chart's bars; for lines of days or hours it is theirs.
    pub chart: Bucket,
    /// Only this key.
    pub key: Option<Id<Key>>,
    /// Only this model.
    pub model: Option<ModelName>,
}

/// The answer.
#[derive(Debug)]
pub struct UsageOverview {
    /// The lines: the largest first, or in order of time.
    pub lines: Vec<UsageRow>,
    /// The sum of lines that are not shown, and how many they are, where that is known.
    pub others: Option<(UsageSums, Option<usize>)>,
    /// The sum of all.
    pub total: UsageSums,
    /// Tokens over time.
    pub chart: UsageChart,
    /// Everything that ended before is counted.
    pub complete_until: Timestamp,
    /// What the lines' keys are now.
    pub statuses: HashMap<Id<Key>, KeyStatus>,
    /// The lines' accounts.
    pub accounts: HashMap<Id<Account>, (Handle, Label)>,
    /// Costs by currency.
    pub costs: UsageCosts,
}

/// In what the costs of a report are.
#[derive(Debug, Default)]
pub struct UsageCosts {
    /// The currency of all costs; none where models are priced in several.
    pub only: Option<Currency>,
    /// The total in each currency, by its letters.
    pub totals: Vec<(Currency, Cost)>,
    /// The currency of each model; none where a name stands for two.
    pub by_model: HashMap<ModelName, Option<Currency>>,
}

impl UsageCosts {
    /// The currency of a line; none where it holds several, or it is not known.
    #[must_use]
    pub fn of(&self, model: Option<&ModelName>) -> Option<Currency> {
        self.only.or_else(|| self.by_model.get(model?).copied().flatten())
    }
}

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

/// What there is to choose from.
#[derive(Debug, Default)]
pub struct UsageChoices {
    /// The newest keys of the account.
    pub keys: Vec<(Id<Key>, Label, KeyHint)>,
    /// Whether there are more keys.
    pub more_keys: bool,
    /// The catalogue's models by name, withdrawn ones too.
    pub models: Vec<ModelCurrency>,
}

/// The total of a row: input and output tokens.
#[must_use]
pub const fn tokens(sums: &UsageSums) -> u64 {
    sums.units.input.saturating_add(sums.units.output)
}

/// A part of the bars and how much of a row is in it.
type AmountOfPart = (UsagePart, fn(&UsageSums) -> u64);

fn add(sum: &mut UsageSums, more: &UsageSums) {
    let Units { input, output, cached_input, reasoning, audio_ms, images } = more.units;
    sum.requests = sum.requests.saturating_add(more.requests);
    sum.failed = sum.failed.saturating_add(more.failed);
    sum.units = Units {
        input: sum.units.input.saturating_add(input),
        output: sum.units.output.saturating_add(output),
        cached_input: sum.units.cached_input.saturating_add(cached_input),
        reasoning: sum.units.reasoning.saturating_add(reasoning),
        audio_ms: sum.units.audio_ms.saturating_add(audio_ms),
        images: sum.units.images.saturating_add(images),
    };
    sum.cost = sum.cost.plus(more.cost);
    for (sum, more) in sum.by_class.iter_mut().zip(more.by_class) {
        *sum = sum.saturating_add(more);
    }
}

impl Services {
    /// A page of usage.
    ///
    /// # Errors
    /// [`ServiceError::Invalid`] names `key` or `model` where there is no such thing, `from` where the range is too long;
    /// a caller who may not; when the store fails.
    pub async fn usage_overview(
        &self,
        of: UsageOf<'_>,
        input: &OverviewInput,
        choices: &UsageChoices,
    ) -> Result<UsageOverview, ServiceError> {
        let account = of.account()?;
        let store = self.store();
        // Asked before the rows are read: what they hold may be newer, never older.
        let complete_until = store.usage_complete_until().await?;
        let query = self.narrowed(account, input).await?;
        let (lines, others) = if input.lines.is_time() {
            (store.usage_report(&query).await.map_err(too_long)?, None)
        } else {
            let top = store.usage_top(&query, MOST_LINES).await.map_err(too_long)?;
            let none_left = top.rest_rows.map_or(top.rest.requests == 0, |number| number == 0);
            (top.rows, (!none_left).then_some((top.rest, top.rest_rows)))
        };
        let mut total = UsageSums::default();
        let rest = others.as_ref().map(|(rest, _)| rest);
        lines.iter().map(|line| &line.sums).chain(rest).for_each(|more| add(&mut total, more));
        let chart = self.usage_chart(&query, input, &lines, &total).await?;
        let mut keys: Vec<Id<Key>> = lines.iter().filter_map(|line| line.key.as_ref().map(|key| key.0)).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut named: Vec<Id<Account>> = lines.iter().filter_map(|line| line.account).collect();
        named.sort_unstable();
        named.dedup();
        Ok(UsageOverview {
            statuses: store.key_statuses(&keys).await?,
            accounts: store.account_captions(&named).await?,
            costs: self.usage_costs(&query, &total, &choices.models).await?,
            lines,
            others,
            total,
            chart,
            complete_until,
        })
    }

    /// What a page's filters offer: the newest keys of the account, the chosen one, and the catalogue's models.
    ///
    /// # Errors
    /// A caller who may not; when the store fails.
    pub async fn usage_choices(&self, of: UsageOf<'_>, chosen: Option<Id<Key>>) -> Result<UsageChoices, ServiceError> {
        of.account()?;
        let mut choices = UsageChoices::default();
        if let UsageOf::Account(access) = of {
            let account = &access.account;
            choices.keys = self.store().key_captions(account.no, MOST_KEYS_TO_CHOOSE + 1).await?;
            let most = usize::try_from(MOST_KEYS_TO_CHOOSE).unwrap_or(usize::MAX);
            choices.more_keys = choices.keys.len() > most;
            choices.keys.truncate(most);
            if let Some(chosen) = chosen.filter(|chosen| choices.keys.iter().all(|key| key.0 != *chosen)) {
                match self.store().key_get(Some(account.id), chosen).await {
                    Ok(key) => {
                        let hint = KeyHint { prefix: key.prefix, id: key.public_id };
                        choices.keys.push((key.id, key.name, hint));
                    }
                    Err(StoreError::NotFound) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        choices.models = self.store().model_currencies().await?;
        Ok(choices)
    }

    /// Whether anything was ever counted.
    ///
    /// # Errors
    /// A caller who may not; when the store fails.
    pub async fn usage_is_there(&self, of: UsageOf<'_>) -> Result<bool, ServiceError> {
        let query = UsageQuery {
            account: of.account()?,
            from: Timestamp::default(),
            to: Timestamp::MAX,
            bucket: Bucket::Total,
            group_by: Vec::new(),
            keys: Vec::new(),
            models: Vec::new(),
            zone: jiff::tz::TimeZone::UTC,
        };
        Ok(!self.store().usage_report(&query).await?.is_empty())
    }

    /// The store's question for the lines.
    async fn narrowed(&self, account: Option<No<Account>>, input: &OverviewInput) -> Result<UsageQuery, ServiceError> {
        let mut query = UsageQuery {
            account,
            from: input.from,
            to: input.to,
            bucket: input.lines.bucket(),
            group_by: input.lines.group_by().to_vec(),
            keys: Vec::new(),
            models: Vec::new(),
            zone: input.zone.clone(),
        };
        if let Some(key) = input.key {
            query.keys = self.store().key_numbers(account, &[key]).await?;
            if query.keys.is_empty() {
                return Err(ServiceError::invalid("key", "there is no such key"));
            }
        }
        if let Some(model) = &input.model {
            query.models = self.store().model_numbers(std::slice::from_ref(model)).await?;
            if query.models.is_empty() {
                return Err(ServiceError::invalid("model", "there is no such model"));
            }
        }
        Ok(query)
    }

    async fn usage_chart(
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

    async fn usage_costs(
        &self,
        query: &UsageQuery,
        total: &UsageSums,
        models: &[ModelCurrency],
    ) -> Result<UsageCosts, ServiceError> {
        let mut costs = UsageCosts::default();
        for ModelCurrency { name, currency, .. } in models {
            // Where a withdrawn model's name is used again in another currency, its line holds both.
            let known = costs.by_model.entry(name.clone()).or_insert(Some(*currency));
            *known = known.filter(|known| known == currency);
        }
        let mut currencies = costs.by_model.values();
        let first = currencies.next().copied().unwrap_or(Some(Currency::default()));
        if currencies.all(|currency| *currency == first) {
            costs.only = first;
        }
        if let Some(only) = costs.only {
            costs.totals.push((only, total.cost));
            return Ok(costs);
        }
        let by_model = UsageQuery { bucket: Bucket::Total, group_by: vec![GroupBy::Model], ..query.clone() };
        for row in self.store().usage_report(&by_model).await.map_err(too_long)? {
            let Some(currency) = costs.of(row.model.as_ref()) else { continue };
            match costs.totals.iter_mut().find(|(known, _)| *known == currency) {
                Some((_, sum)) => *sum = sum.plus(row.sums.cost),
                None => costs.totals.push((currency, row.sums.cost)),
            }
        }
        costs.totals.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
        Ok(costs)
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

fn too_long(error: StoreError) -> ServiceError {
    match error {
        StoreError::State(why) => ServiceError::invalid("from", why),
        error => error.into(),
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
