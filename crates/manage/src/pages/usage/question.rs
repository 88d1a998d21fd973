//! What a usage page is asked, read from its address: each part wrong or right by itself, so that a wrong one is named and
//! the others are kept. The same type writes the addresses of the page's links.

use jiff::civil::Date;
use tollgate_core::{
    Id, Key, Timestamp,
    name::{Handle, ModelName},
    usage::Bucket,
};

use super::zones::Zone;
use crate::{
    pages::{FieldErrors, encode, texts::Usage},
    services::UsageLines,
};

/// Most days of a range.
const MOST_DAYS: i64 = 3_660;
/// Most days of a table of days.
const MOST_DAYS_BY_DAY: i64 = 400;
/// Most days of a table of hours.
const MOST_DAYS_BY_HOUR: i64 = 7;
/// The longest part of an address that is shown again, in bytes.
const LONGEST_PART: usize = 512;

/// A range that has a name, or the two dates of one's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preset {
    Today,
    Yesterday,
    Last7Days,
    Last30Days,
    ThisMonth,
    LastMonth,
    Last12Months,
    Custom,
}

impl Preset {
    pub(super) const ALL: [Self; 8] = [
        Self::Today,
        Self::Yesterday,
        Self::Last7Days,
        Self::Last30Days,
        Self::ThisMonth,
        Self::LastMonth,
        Self::Last12Months,
        Self::Custom,
    ];
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Today => "today",
            Self::Yesterday => "yesterday",
            Self::Last7Days => "7d",
            Self::Last30Days => "30d",
            Self::ThisMonth => "month",
            Self::LastMonth => "last_month",
            Self::Last12Months => "12m",
            Self::Custom => "custom",
        }
    }
    pub(super) const fn label(self, t: &'static Usage) -> &'static str {
        match self {
            Self::Today => t.today,
            Self::Yesterday => t.yesterday,
            Self::Last7Days => t.last_7_days,
            Self::Last30Days => t.last_30_days,
            Self::ThisMonth => t.this_month,
            Self::LastMonth => t.last_month,
            Self::Last12Months => t.last_12_months,
            Self::Custom => t.custom,
        }
    }
    /// The first and the last day, whole days of the zone, so that reports are read from coarse sums.
    fn days(self, today: Date) -> Result<(Date, Date), jiff::Error> {
        let ago = |days: i32| today.checked_sub(jiff::Span::new().try_days(days)?);
        Ok(match self {
            Self::Today | Self::Custom => (today, today),
            Self::Yesterday => (ago(1)?, ago(1)?),
            Self::Last7Days => (ago(6)?, today),
            Self::Last30Days => (ago(29)?, today),
            Self::ThisMonth => (today.first_of_month(), today),
            Self::LastMonth => {
                let last = today.first_of_month().yesterday()?;
                (last.first_of_month(), last)
            }
            Self::Last12Months => (today.first_of_month().checked_sub(jiff::Span::new().try_months(11)?)?, today),
        })
    }
}

/// A column that the table can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Account,
    Model,
    Key,
    Time,
    Input,
    Output,
    Total,
    Requests,
    Failed,
    Cost,
}

impl Column {
    pub(super) const ALL: [Self; 10] = [
        Self::Account,
        Self::Model,
        Self::Key,
        Self::Time,
        Self::Input,
        Self::Output,
        Self::Total,
        Self::Requests,
        Self::Failed,
        Self::Cost,
    ];
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Model => "model",
            Self::Key => "key",
            Self::Time => "time",
            Self::Input => "input",
            Self::Output => "output",
            Self::Total => "total",
            Self::Requests => "requests",
            Self::Failed => "failed",
            Self::Cost => "cost",
        }
    }
    /// Amounts are sorted from the largest at first, words and times from the first.
    pub(super) const fn is_amount(self) -> bool {
        !matches!(self, Self::Account | Self::Model | Self::Key | Self::Time)
    }
}

/// Which of the two pages is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// One account's.
    Account,
    /// The whole deployment's.
    Deployment,
}

impl Scope {
    /// What its lines can be, with how that is said in the address; the usual one first.
    pub(super) const fn lines(self) -> &'static [(&'static str, UsageLines)] {
        match self {
            Self::Account => &[
                ("model,key", UsageLines::ModelAndKey),
                ("model", UsageLines::Model),
                ("key", UsageLines::Key),
                ("day", UsageLines::Day),
                ("hour", UsageLines::Hour),
            ],
            Self::Deployment => &[
                ("account", UsageLines::Account),
                ("account,model", UsageLines::AccountAndModel),
                ("model", UsageLines::Model),
                ("day", UsageLines::Day),
                ("hour", UsageLines::Hour),
            ],
        }
    }
}

/// What a page is asked.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) scope: Scope,
    pub(super) preset: Preset,
    /// The first and the last day as they stand in the form: as typed where they are wrong.
    pub(super) first: String,
    pub(super) last: String,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// How many days they are.
    pub(super) days: i64,
    pub(super) zone: Zone,
    pub(super) lines: UsageLines,
    pub(super) key: Option<Id<Key>>,
    pub(super) model: Option<ModelName>,
    pub(super) account: Option<Handle>,
    /// The column and whether the largest or last comes first; none: as the report has it.
    pub(super) sort: Option<(Column, bool)>,
}

impl Question {
    /// Reads an address's query. What is wrong is said in the errors, and the usual stands in its place.
    pub(super) fn read(
        query: &str,
        scope: Scope,
        zone: Zone,
        now: Timestamp,
        t: &'static Usage,
    ) -> (Self, FieldErrors) {
        let mut errors = FieldErrors::default();
        let part = |name: &str| -> Option<String> {
            let found = form_urlencoded::parse(query.as_bytes()).find(|(field, _)| field == name);
            let text = found.map(|(_, value)| value.trim().to_owned())?;
            Some(text).filter(|text| !text.is_empty())
        };
        let zone = match part("tz") {
            None => zone,
            Some(name) => Zone::named(&name).unwrap_or_else(|| {
                errors.add("tz", t.wrong_zone);
                zone
            }),
        };
        let preset = match part("range") {
            None if part("from").is_some() || part("to").is_some() => Preset::Custom,
            None => Preset::Last7Days,
            Some(word) => Preset::ALL.into_iter().find(|preset| preset.as_str() == word).unwrap_or_else(|| {
                errors.add("range", t.wrong_range);
                Preset::Last7Days
            }),
        };
        let lines = match part("by") {
            None => None,
            Some(word) => {
                // In either order, as the API takes it.
                let word = if word == "key,model" { "model,key".to_owned() } else { word };
                let known = scope.lines().iter().find(|(name, _)| *name == word).map(|(_, lines)| *lines);
                if known.is_none() {
                    errors.add("by", t.wrong_by);
                }
                known
            }
        };
        let lines = lines.or_else(|| scope.lines().first().map(|(_, lines)| *lines)).unwrap_or(UsageLines::Model);
        let key = part("key").filter(|_| scope == Scope::Account).and_then(|text| {
            let key = text.parse().ok();
            if key.is_none() {
                errors.add("key", t.no_such_key);
            }
            key
        });
        let model = part("model").and_then(|text| {
            let model = text.parse().ok();
            if model.is_none() {
                errors.add("model", t.no_such_model);
            }
            model
        });
        let account = part("account").filter(|_| scope == Scope::Deployment).and_then(|text| {
            let account = text.parse().ok();
            if account.is_none() {
                errors.add("account", t.no_such_account);
            }
            account
        });
        let sort = part("sort").and_then(|word| {
            let column = Column::ALL.into_iter().find(|column| column.as_str() == word);
            if column.is_none() {
                errors.add("sort", t.wrong_sort);
            }
            column
        });
        let sort = sort.map(|column| match part("dir").as_deref() {
            Some("asc") => (column, false),
            Some("desc") => (column, true),
            _ => (column, column.is_amount()),
        });
        let mut question = Self {
            scope,
            preset,
            first: String::new(),
            last: String::new(),
            from: now,
            to: now,
            days: 1,
            zone,
            lines,
            key,
            model,
            account,
            sort,
        };
        question.set_range(part("from"), part("to"), now, t, &mut errors);
        (question, errors)
    }

    fn set_range(
        &mut self,
        first: Option<String>,
        last: Option<String>,
        now: Timestamp,
        t: &'static Usage,
        errors: &mut FieldErrors,
    ) {
        let today = self.zone.clock(now).date();
        let cut = |text: &str| text.chars().take(LONGEST_PART).collect::<String>();
        let mut days = self.preset.days(today).unwrap_or((today, today));
        if self.preset == Preset::Custom {
            let mut date = |field, text: Option<String>| match text {
                None => {
                    errors.add(field, t.date_needed);
                    (String::new(), None)
                }
                // Exactly a date: jiff would also take one with a time and cut the time off.
                Some(text) => match text.parse::<Date>().ok().filter(|date| text.len() == 10 && date.year() >= 1970) {
                    Some(date) => (date.to_string(), Some(date)),
                    None => {
                        errors.add(field, t.wrong_date);
                        (cut(&text), None)
                    }
                },
            };
            let (first_text, first) = date("from", first);
            let (last_text, last) = date("to", last);
            (self.first, self.last) = (first_text, last_text);
            let (Some(first), Some(last)) = (first, last) else { return };
            days = (first, last);
            if first > last {
                errors.add("to", t.wrong_order);
                return;
            }
        } else {
            (self.first, self.last) = (days.0.to_string(), days.1.to_string());
        }
        self.days = i64::from((days.1 - days.0).get_days()) + 1;
        let most = match self.lines {
            UsageLines::Hour => MOST_DAYS_BY_HOUR,
            UsageLines::Day => MOST_DAYS_BY_DAY,
            _ => MOST_DAYS,
        };
        if self.days > most {
            match self.lines {
                UsageLines::Hour => errors.add("by", t.too_long_for_hours),
                UsageLines::Day => errors.add("by", t.too_long_for_days),
                _ => errors.add("to", t.too_long),
            }
        }
        let begin =
            |date: Date| date.to_zoned_datetime(self.zone.rules.clone()).map(|at| Timestamp::from(at.timestamp()));
        match (begin(days.0), days.1.tomorrow().and_then(begin)) {
            (Ok(from), Ok(to)) if from < to => (self.from, self.to) = (from, to),
            _ => errors.add("to", t.wrong_date),
        }
    }

    /// How wide the chart's bars are.
    pub(super) const fn bars(&self) -> Bucket {
        match self.days {
            ..=2 => Bucket::Hour,
            3..=100 => Bucket::Day,
            _ => Bucket::Month,
        }
    }
    /// Whether the range reaches to now, so that its figures still grow.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.to
    }
    /// How the lines are called in the address.
    pub(super) fn by(&self) -> &'static str {
        self.scope.lines().iter().find(|(_, lines)| *lines == self.lines).map_or("", |(name, _)| name)
    }
    /// The query of an address that asks this.
    pub(super) fn query(&self) -> String {
        let mut query = format!("range={}", self.preset.as_str());
        let mut add = |name: &str, value: &str| {
            query.push('&');
            query.push_str(name);
            query.push('=');
            query.push_str(&encode(value));
        };
        if self.preset == Preset::Custom {
            add("from", &self.first);
            add("to", &self.last);
        }
        add("tz", &self.zone.name);
        add("by", self.by());
        if let Some(account) = &self.account {
            add("account", account.as_str());
        }
        if let Some(key) = self.key {
            add("key", &key.to_string());
        }
        if let Some(model) = &self.model {
            add("model", model.as_str());
        }
        if let Some((column, down)) = self.sort {
            add("sort", column.as_str());
            add("dir", if down { "desc" } else { "asc" });
        }
        query
    }
    /// The same question, changed.
    pub(super) fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::Lang;

    const NOW: &str = "2026-11-20T18:30:00Z";

    fn read(query: &str, scope: Scope) -> (Question, FieldErrors) {
        Question::read(query, scope, Zone::utc(), NOW.parse().unwrap(), Usage::of(Lang::En))
    }
    fn range(query: &str) -> (String, String) {
        let (question, errors) = read(query, Scope::Account);
        assert!(errors.is_empty(), "{query}: {errors:?}");
        (question.from.to_string(), question.to.to_string())
    }

    #[test]
    fn ranges_are_whole_days_of_the_zone() {
        let is = |query: &str, from: &str, to: &str| assert_eq!(range(query), (from.into(), to.into()), "{query}");
        is("", "2026-11-14T00:00:00Z", "2026-11-21T00:00:00Z");
        is("range=today", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z");
        // In Hanoi it is the 21st already.
        is("range=today&tz=Asia/Ho_Chi_Minh", "2026-11-20T17:00:00Z", "2026-11-21T17:00:00Z");
        is("range=yesterday", "2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z");
        is("range=30d", "2026-10-22T00:00:00Z", "2026-11-21T00:00:00Z");
        is("range=month", "2026-11-01T00:00:00Z", "2026-11-21T00:00:00Z");
        is("range=last_month", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z");
        is("range=12m", "2025-12-01T00:00:00Z", "2026-11-21T00:00:00Z");
        is("range=custom&from=2026-02-01&to=2026-02-01", "2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z");
        is("from=2026-02-01&to=2026-02-03", "2026-02-01T00:00:00Z", "2026-02-04T00:00:00Z");
        is("range=7d&from=nonsense&to=", "2026-11-14T00:00:00Z", "2026-11-21T00:00:00Z");
    }

    #[test]
    fn each_wrong_part_is_named_and_the_others_are_kept() {
        for (query, field) in [
            ("range=week", "range"),
            ("range=custom&from=2026-13-01&to=2026-02-01", "from"),
            ("range=custom&from=2026-01-01T10:00&to=2026-02-01", "from"),
            ("range=custom&from=0001-01-01&to=2026-02-01", "from"),
            ("range=custom&from=2026-01-01", "to"),
            ("range=custom&from=2026-01-02&to=2026-01-01", "to"),
            ("range=custom&from=1999-01-01&to=2026-01-01", "to"),
            ("range=custom&from=2026-01-01&to=9999-12-31", "to"),
            ("tz=Mars/Base", "tz"),
            ("by=upstream", "by"),
            ("by=account", "by"),
            ("by=hour&range=30d", "by"),
            ("by=day&from=2020-01-01&to=2026-01-01", "by"),
            ("key=nothing", "key"),
            ("key=%00", "key"),
            ("model=a%20b", "model"),
            ("sort=colour", "sort"),
        ] {
            let (question, errors) = read(&format!("{query}&dir=asc"), Scope::Account);
            assert!(errors.get(field).is_some(), "{query}: {errors:?}");
            assert!(question.query().starts_with("range="), "{query}");
        }
        let (question, errors) = read("tz=Mars/Base&model=m-1&range=month", Scope::Account);
        assert_eq!((question.preset, question.zone.name.as_str()), (Preset::ThisMonth, "UTC"));
        assert_eq!((question.model.unwrap().as_str(), errors.get("model")), ("m-1", None));
        assert!(read("by=account,model&account=acme", Scope::Deployment).1.is_empty());
        assert!(read("account=%3Cscript%3E", Scope::Deployment).1.get("account").is_some());
    }

    #[test]
    fn an_address_that_the_page_writes_asks_the_same() {
        for (query, scope) in [
            ("range=7d&tz=UTC&by=model%2Ckey", Scope::Account),
            ("range=custom&from=2026-01-01&to=2026-01-31&tz=Asia%2FHo_Chi_Minh&by=key", Scope::Account),
            ("range=today&tz=UTC&by=hour&sort=cost&dir=desc", Scope::Account),
            ("range=12m&tz=UTC&by=account&account=acme&model=m%2Fa", Scope::Deployment),
        ] {
            let (question, errors) = read(query, scope);
            assert!(errors.is_empty(), "{query}: {errors:?}");
            assert_eq!(question.query(), query);
        }
    }
}
