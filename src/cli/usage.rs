//! `tollgate usage`: the report of the usage page.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use serde_json::Value;
use tollgate_core::money::Price;

use super::{
    api::{Api, Call},
    failure::Failure,
    keys::AccountArgument,
    screen::Entry,
    words,
};

#[derive(Debug, Args)]
pub struct UsageArguments {
    /// From when: 2030-01-31, 2030-01-31T12:00:00Z, or -7d for seven days ago [default: -30d]
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    from: Option<String>,
    /// Until when; a date counts to its end [default: now]
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    to: Option<String>,
    /// What the rows are: any of key, model, account, and one of minute, hour, day, month
    #[arg(long, value_name = "A,B", value_delimiter = ',', default_value = "key,model")]
    by: Vec<By>,
    /// Only this key, by id
    #[arg(long)]
    key: Option<String>,
    /// Only this model
    #[arg(long)]
    model: Option<String>,
    /// The zone of days and months, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// How it is written
    #[arg(long, default_value = "table")]
    format: Format,
    #[command(flatten)]
    account: AccountArgument,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Account,
    Key,
    Model,
    Minute,
    Hour,
    Day,
    Month,
}

impl By {
    const fn word(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Key => "key",
            Self::Model => "model",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }
    const fn title(self) -> &'static str {
        match self {
            Self::Account => "~ACCOUNT",
            Self::Key => "~KEY",
            Self::Model => "~MODEL",
            Self::Minute => "MINUTE",
            Self::Hour => "HOUR",
            Self::Day => "DAY",
            Self::Month => "MONTH",
        }
    }
    const fn is_time(self) -> bool {
        matches!(self, Self::Minute | Self::Hour | Self::Day | Self::Month)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Csv,
    Json,
}

pub fn run(arguments: &UsageArguments, api: &Api) -> Result<(), Failure> {
    let mut times = arguments.by.iter().filter(|by| by.is_time());
    let time = times.next().copied();
    if times.next().is_some() {
        return Err(Failure::Usage("--by takes one of minute, hour, day and month".to_owned()));
    }
    let groups: Vec<&str> = arguments.by.iter().filter(|by| !by.is_time()).map(|by| by.word()).collect();
    let format = if api.screen.json() { Format::Json } else { arguments.format };
    let call = Call::default()
        .query("from", arguments.from.as_ref())
        .query("to", arguments.to.as_ref())
        .query("bucket", Some(time.map_or("total", By::word)))
        .query("group_by", (!groups.is_empty()).then(|| groups.join(",")))
        .query("key", arguments.key.as_ref())
        .query("model", arguments.model.as_ref())
        .query("tz", arguments.tz.as_ref())
        .query("account", arguments.account.account.as_ref())
        .accept(if format == Format::Csv { "text/csv" } else { "application/json" });
    let answer = api.get("usage", call)?;
    match format {
        Format::Csv => api.screen.print(&answer.text),
        Format::Json => api.screen.print_json(&answer.json()?),
        Format::Table => {
            let report = answer.json()?;
            table(arguments, time, &report, api)
        }
    }
}

fn table(arguments: &UsageArguments, time: Option<By>, report: &Value, api: &Api) -> Result<(), Failure> {
    let rows = report.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut columns: Vec<&str> = arguments.by.iter().map(|by| by.title()).collect();
    // A column of zeros says less than the room that it takes.
    let fields: Vec<(&str, &str)> = [
        (">REQUESTS", "requests"),
        (">FAILED", "failed"),
        (">INPUT", "input_tokens"),
        (">OUTPUT", "output_tokens"),
        (">TOTAL", "total_tokens"),
    ]
    .into_iter()
    .filter(|(_, field)| *field != "failed" || sum(rows, field) > 0)
    .collect();
    columns.extend(fields.iter().map(|(title, _)| title));
    columns.push(">COST");
    let line = |row: &Value| -> Vec<Entry> {
        let mut cells: Vec<Entry> = arguments.by.iter().map(|by| group(*by, time, row).into()).collect();
        cells.extend(fields.iter().map(|(_, field)| Entry::from(words::number(row, field))));
        cells.push(cost(row).into());
        cells
    };
    let mut lines: Vec<Vec<Entry>> = rows.iter().map(line).collect();
    if lines.len() > 1 && !arguments.by.is_empty() {
        lines.push(total(arguments.by.len(), &fields, rows));
    }
    api.screen.table(&columns, lines, "Nothing was used in this time.")?;
    let complete = words::time(report, "complete_until");
    if !complete.is_empty() {
        api.screen.say(&format!("Complete until {complete}."));
    }
    Ok(())
}

fn group(by: By, time: Option<By>, row: &Value) -> String {
    match by {
        By::Account => words::text(row, "account").to_owned(),
        By::Key => match (words::text(row, "key_name"), words::text(row, "key_hint")) {
            ("", hint) => hint.to_owned(),
            (name, _) => name.to_owned(),
        },
        By::Model => words::text(row, "model").to_owned(),
        _ => {
            // The beginning of the bucket, as long as it says something: in the report's own zone.
            let length = match time {
                Some(By::Month) => 7,
                Some(By::Day) => 10,
                _ => 16,
            };
            let start = words::text(row, "start");
            start.get(..length).unwrap_or(start).replace('T', " ")
        }
    }
}

/// What a row costs, by currency: decimal texts, which are exact.
fn costs(row: &Value) -> Vec<(&str, &str)> {
    let several = row.get("costs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let one = std::slice::from_ref(row);
    let parts = if several.is_empty() { one } else { several };
    parts.iter().map(|part| (words::text(part, "currency"), words::text(part, "cost"))).collect()
}

fn cost(row: &Value) -> String {
    shown(costs(row).into_iter().map(|(currency, cost)| (currency, cost.to_owned())))
}

/// Amounts with their currencies; those in different ones are not added up.
fn shown<'a>(costs: impl Iterator<Item = (&'a str, String)>) -> String {
    let parts: Vec<String> = costs.map(|(currency, cost)| format!("{cost} {currency}").trim_end().to_owned()).collect();
    parts.join(" + ")
}

fn total(groups: usize, fields: &[(&str, &str)], rows: &[Value]) -> Vec<Entry> {
    let mut cells: Vec<Entry> = vec!["total".into()];
    cells.extend((1..groups).map(|_| Entry::from("")));
    cells.extend(fields.iter().map(|(_, field)| Entry::from(words::grouped(&sum(rows, field).to_string()))));
    cells.push(total_cost(rows).into());
    cells
}

fn sum(rows: &[Value], field: &str) -> u64 {
    rows.iter().filter_map(|row| row.get(field)?.as_u64()).fold(0, u64::saturating_add)
}

/// The sum of decimal costs in each currency, exact; empty where one is no decimal.
fn total_cost(rows: &[Value]) -> String {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (currency, cost) in rows.iter().flat_map(costs) {
        let Ok(price) = cost.parse::<Price>() else { return String::new() };
        let sum = sums.entry(currency).or_default();
        *sum = sum.saturating_add(price.nanos());
    }
    // What costs nothing may be in no currency: it adds none.
    if sums.len() > 1 {
        sums.retain(|_, nanos| *nanos > 0);
    }
    shown(sums.into_iter().map(|(currency, nanos)| (currency, Price::from_nanos(nanos).to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sums_are_exact() {
        let row = |cost: &str| json!({ "requests": 1, "cost": cost, "currency": "USD" });
        assert_eq!(total_cost(&[row("0.10"), row("0.20"), row("0.000000001")]), "0.300000001 USD");
        assert_eq!(total_cost(&[row("0.10"), row("?")]), "");
    }

    #[test]
    fn costs_in_several_currencies_stand_beside_one_another() {
        let one = json!({ "cost": "0.10", "currency": "USD" });
        let nothing = json!({ "cost": "0.00", "currency": null });
        let parts = json!([{ "currency": "EUR", "cost": "1.00" }, { "currency": "USD", "cost": "2.00" }]);
        let both = json!({ "cost": null, "currency": null, "costs": parts });
        assert_eq!([cost(&one), cost(&nothing), cost(&both)], ["0.10 USD", "0.00", "1.00 EUR + 2.00 USD"]);
        assert_eq!(total_cost(&[one, nothing.clone(), both]), "1.00 EUR + 2.10 USD");
        assert_eq!(total_cost(&[nothing.clone(), nothing]), "0.00");
    }

    #[test]
    fn a_bucket_is_named_as_far_as_it_says_something() {
        let row = json!({ "start": "2030-01-31T12:00:00Z" });
        assert_eq!(group(By::Day, Some(By::Day), &row), "2030-01-31");
        assert_eq!(group(By::Hour, Some(By::Hour), &row), "2030-01-31 12:00");
        assert_eq!(group(By::Month, Some(By::Month), &row), "2030-01");
    }
}
