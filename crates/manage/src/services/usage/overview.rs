//! A page of usage: the largest lines and the sum of the others, the same tokens over time, and how fresh both are.
//!
//! However many keys there are, the store hands over as many lines as are shown; the chart asks for its few series
//! alone. The total is the sum of what stands in the table, so that the page adds up to the last token.

mod chart;

use std::collections::HashMap;

use tollgate_core::{
    Account, Id, Key, KeyStatus, No, Timestamp, Units,
    account::AccountAction,
    money::{Cost, Costs, Currency},
    name::{Handle, Label, ModelName},
    secret::KeyHint,
    usage::{Bucket, GroupBy, UsageQuery, UsageRow, UsageSums},
};
use tollgate_store::{ModelCurrency, StoreError};

pub use self::chart::{UsageChart, UsagePart, UsageSeries};
use super::super::{ServiceError, Services};
use crate::principal::{Access, Principal};

/// Most lines of the table that are not times.
const MOST_LINES: usize = 200;
/// Most keys that a choice among them shows.
const MOST_KEYS_TO_CHOOSE: u32 = 200;

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
        let mut totals = Costs::default();
        for row in self.store().usage_report(&by_model).await.map_err(too_long)? {
            row.costs.iter().flat_map(Costs::iter).for_each(|(currency, cost)| totals.add(currency, cost));
        }
        costs.totals = totals.iter().collect();
        Ok(costs)
    }
}

fn too_long(error: StoreError) -> ServiceError {
    match error {
        StoreError::State(why) => ServiceError::invalid("from", why),
        error => error.into(),
    }
}
