//! `usage`: what was used, as JSON or CSV.

use std::collections::HashMap;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use tollgate_core::{
    Account, Id, Key, Timestamp,
    money::{Cost, Costs, Currency},
    name::ModelName,
    secret::KeyHint,
    usage::{Bucket, GroupBy, UsageRow, UsageSums},
};
use tollgate_store::usage::LATENCY_LIMITS_MS;
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use crate::{
    extract::{Query, many},
    principal::Principal,
    services::{ServiceError, Services, UsageAnswer, UsageInput, WrittenOff},
};

/// Sums of attempts in one bucket of time and one group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageRow)]
struct UsageOut<'r> {
    /// The bucket's beginning.
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T00:00:00Z")]
    start: &'r str,
    /// The bucket's end.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T00:00:00Z")]
    end: &'r str,
    /// The account, where grouped by.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "acct_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    account: Option<Id<Account>>,
    /// The key, where grouped by.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "key_019ab0c0d1e27f3a8b4c5d6e7f809a1b")]
    key: Option<Id<Key>>,
    /// The key's name now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "nightly-batch")]
    key_name: Option<&'r str>,
    /// The beginning of the key's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "tg_4fZ0aB1cD2eF…")]
    key_hint: Option<KeyHint>,
    /// The model, where grouped by.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "qwen3-32b")]
    model: Option<&'r str>,
    /// Attempts, failed ones included.
    #[schema(example = 100)]
    requests: u64,
    #[schema(example = 2)]
    failed: u64,
    /// Cached ones included.
    #[schema(example = 51000)]
    input_tokens: u64,
    /// Reasoning included.
    #[schema(example = 20400)]
    output_tokens: u64,
    /// Input and output.
    #[schema(example = 71400)]
    total_tokens: u64,
    #[schema(example = 1000)]
    cached_input_tokens: u64,
    #[schema(example = 0)]
    reasoning_tokens: u64,
    #[schema(example = 0.0)]
    audio_seconds: f64,
    #[schema(example = 0)]
    images: u64,
    /// A decimal text. Null where it is in several currencies, which are never added up: see `costs`.
    #[schema(value_type = Option<String>, example = "0.0561")]
    cost: Option<Cost>,
    /// The currency of `cost`, in three letters (ISO 4217). Null where it is in several, or nothing in none of them.
    #[schema(value_type = Option<String>, example = "USD")]
    currency: Option<Currency>,
    /// The cost in each currency, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, example = json!([{"currency": "EUR", "cost": "0.0561"}, {"currency": "USD", "cost": "1.20"}]))]
    costs: Vec<CostOut>,
    shares: Shares,
}

/// A cost in one currency.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageCost)]
struct CostOut {
    #[schema(value_type = String, example = "EUR")]
    currency: Currency,
    #[schema(value_type = String, example = "0.0561")]
    cost: Cost,
}

/// How surely the row is known: each class's part of the attempts, 0 to 1, together 1.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageShares)]
struct Shares {
    /// The upstream's own final figures.
    #[schema(example = 0.98)]
    exact: f64,
    /// The upstream's last running figures: a lower bound.
    #[schema(example = 0.01)]
    partial: f64,
    /// No figures of the upstream: a guess between bounds.
    #[schema(example = 0.0)]
    estimated: f64,
    /// Nothing is known but that there was an attempt.
    #[schema(example = 0.01)]
    unknown: f64,
}

/// A usage report, with the question as it was understood.
#[derive(Debug, Serialize, ToSchema)]
struct UsageReport<'r> {
    /// The rows in order of time, then account, key and model; those without any attempt are left out.
    data: Vec<UsageOut<'r>>,
    /// Always null: a report is one page of at most 100,000 rows.
    #[schema(example = json!(null))]
    next_cursor: Option<String>,
    /// Everything that ended before is counted.
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T09:30:00Z")]
    complete_until: Timestamp,
    /// Of a report on all accounts: records of nodes' journals that were found damaged in this time. At most so many
    /// attempts are in no row, since nobody knows whose they were; `nodes/journal-gaps` has the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 0)]
    lost_records: Option<u64>,
    /// Of a report on all accounts: attempts that nodes may have begun in this time and had not counted when they were lost
    /// with their disks and written off. They are in no row, since nobody knows whose they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    written_off: Option<Bounds>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T00:00:00Z")]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T00:00:00Z")]
    to: Timestamp,
    #[schema(value_type = String, example = "day")]
    bucket: Bucket,
    #[schema(value_type = Vec<String>, example = json!(["key", "model"]))]
    group_by: Vec<GroupBy>,
    #[schema(example = "UTC")]
    tz: String,
}

/// How many attempts, as far as can be known.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Bounds {
    /// So many for certain.
    #[schema(example = 12)]
    pub at_least: u64,
    /// No more than this.
    #[schema(example = 4_012)]
    pub at_most: u64,
}

/// Times of one model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LatencyRow)]
struct LatencyOut {
    #[schema(example = "qwen3-32b")]
    model: String,
    /// Attempts by time to the first byte of the answer, one more entry than there are limits.
    first_byte: Vec<u64>,
    /// Attempts by total time.
    total: Vec<u64>,
}

/// Histograms of times.
#[derive(Debug, Serialize, ToSchema)]
struct LatencyReport {
    data: Vec<LatencyOut>,
    #[schema(example = json!(null))]
    next_cursor: Option<String>,
    /// The upper limits of the bins, in milliseconds; one bin without limit follows.
    #[schema(example = json!([1, 2, 5]))]
    limits_ms: Vec<u64>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T00:00:00Z")]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T00:00:00Z")]
    to: Timestamp,
}

#[expect(clippy::cast_precision_loss, reason = "shares are shown with six places")]
fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { (part as f64 / of as f64 * 1e6).round() / 1e6 }
}
#[expect(clippy::cast_precision_loss, reason = "milliseconds of audio stay below 2^53")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// A row's cost in its one currency, or in each of several.
fn costs(costs: Option<&Costs>) -> (Option<(Cost, Option<Currency>)>, Vec<CostOut>) {
    match costs.map(|costs| (costs.only(), costs)) {
        Some((Some(only), _)) => (Some(only), Vec::new()),
        Some((None, several)) => {
            let charged = several.iter().filter(|(_, cost)| *cost != Cost::default());
            (None, charged.map(|(currency, cost)| CostOut { currency, cost }).collect())
        }
        None => (None, Vec::new()),
    }
}

/// The edges of a report's buckets as texts: few, however many rows there are.
struct Edges(HashMap<Timestamp, String>);

impl Edges {
    fn of(rows: &[UsageRow]) -> Self {
        let mut edges = HashMap::new();
        for at in rows.iter().flat_map(|row| [row.start, row.end]) {
            edges.entry(at).or_insert_with(|| at.to_string());
        }
        Self(edges)
    }
    fn text(&self, at: Timestamp) -> &str {
        self.0.get(&at).map_or("", String::as_str)
    }
}

impl<'r> UsageOut<'r> {
    fn new(row: &'r UsageRow, edges: &'r Edges) -> Self {
        let UsageSums { requests, failed, units, by_class: [exact, partial, estimated, unknown], .. } = row.sums;
        let (only, costs) = costs(row.costs.as_ref());
        let (key, key_name, key_hint) = match &row.key {
            Some((id, name, hint)) => (Some(*id), Some(name.as_str()), Some(*hint)),
            None => (None, None, None),
        };
        Self {
            start: edges.text(row.start),
            end: edges.text(row.end),
            account: row.account,
            key,
            key_name,
            key_hint,
            model: row.model.as_ref().map(ModelName::as_str),
            requests,
            failed,
            input_tokens: units.input,
            output_tokens: units.output,
            total_tokens: units.input.saturating_add(units.output),
            cached_input_tokens: units.cached_input,
            reasoning_tokens: units.reasoning,
            audio_seconds: seconds(units.audio_ms),
            images: units.images,
            cost: only.map(|(cost, _)| cost),
            currency: only.and_then(|(_, currency)| currency),
            costs,
            shares: Shares {
                exact: share(exact, requests),
                partial: share(partial, requests),
                estimated: share(estimated, requests),
                unknown: share(unknown, requests),
            },
        }
    }
}

/// What to report.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReportQuery {
    /// From here on: RFC 3339, a date of `tz`, or a span before now; else 30 days ago. Rounded down to a minute.
    #[param(example = "-7d")]
    from: Option<String>,
    /// Up to but not including here: the same, or `now`, which is also what is meant where it is not named; a date is
    /// that day's end. Rounded up to a minute.
    #[param(example = "now")]
    to: Option<String>,
    /// The rows' width: `minute`, `hour`, `day` (the usual), `month` or `total`.
    #[serde(default, deserialize_with = "bucket")]
    #[param(value_type = Option<String>, example = "day")]
    bucket: Option<Bucket>,
    /// What rows are grouped by beside time: `key`, `model`, `account`; several with commas or repeated.
    #[serde(default, deserialize_with = "groups")]
    #[param(value_type = Vec<String>, required = false, style = Form, explode = false, example = json!(["key", "model"]))]
    group_by: Vec<GroupBy>,
    /// Only these keys, by id; repeated or with commas, at most 100.
    #[serde(default, deserialize_with = "many")]
    #[param(value_type = Vec<String>, required = false, example = json!([]))]
    key: Vec<Id<Key>>,
    /// Only these models, by name; repeated or with commas, at most 100.
    #[serde(default, deserialize_with = "many")]
    #[param(value_type = Vec<String>, required = false, example = json!([]))]
    model: Vec<ModelName>,
    /// The zone of days and months, by its IANA name; else `UTC`.
    #[param(example = "UTC")]
    tz: Option<String>,
    /// Operators: the account, by name or id, or `*` for all; else `default`, or all where grouped by account.
    #[param(example = "default")]
    account: Option<String>,
}
fn bucket<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Bucket>, D::Error> {
    Bucket::deserialize(from).map(Some)
}
fn groups<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<GroupBy>, D::Error> {
    let words: Vec<String> = many(from)?;
    let read = |word: &String| match word.as_str() {
        "account" => Ok(GroupBy::Account),
        "key" => Ok(GroupBy::Key),
        "model" => Ok(GroupBy::Model),
        _ => Err(serde::de::Error::custom("group_by is made of account, key and model")),
    };
    words.iter().map(read).collect()
}

/// Report usage by time, key, model and account.
///
/// Deleted and renamed keys keep their rows. With `Accept: text/csv` the answer is CSV (RFC 4180) with the same
/// columns, `shares` as four, and no `cost` where `currency` names several; a text that a spreadsheet would take for a
/// formula gets an apostrophe before it.
#[utoipa::path(get, path = "/api/v1/usage", operation_id = "usage_report", tag = "usage", params(ReportQuery),
    responses((status = 200, content((UsageReport = "application/json"), (String = "text/csv")))),
    extensions(("x-access" = json!("read"))))]
pub(super) async fn report(
    State(services): State<Services>,
    principal: Principal,
    Query(query): Query<ReportQuery>,
    headers: HeaderMap,
) -> Answer {
    let input = UsageInput {
        from: query.from,
        to: query.to,
        bucket: query.bucket,
        group_by: query.group_by,
        keys: query.key,
        models: query.model,
        zone: query.tz,
        account: query.account,
    };
    let answer = services.usage_report(&principal, input).await?;
    let as_csv = wants_csv(&headers);
    // A large report is rendered off the runtime that also answers revocations.
    let rendered = tokio::task::spawn_blocking(move || render(answer, as_csv)).await;
    rendered.map_err(|_| ServiceError::State("the report could not be rendered"))
}

fn render(answer: UsageAnswer, as_csv: bool) -> Response {
    let edges = Edges::of(&answer.rows);
    let data: Vec<_> = answer.rows.iter().map(|row| UsageOut::new(row, &edges)).collect();
    if as_csv {
        let until = answer.complete_until.to_string();
        let kind = [
            (header::CONTENT_TYPE.as_str(), "text/csv; charset=utf-8; header=present"),
            (header::CONTENT_DISPOSITION.as_str(), "attachment; filename=\"usage.csv\""),
            ("x-complete-until", until.as_str()),
        ];
        return (kind, csv(&data, &answer.group_by)).into_response();
    }
    Json(UsageReport {
        data,
        next_cursor: None,
        complete_until: answer.complete_until,
        lost_records: answer.lost_records,
        written_off: answer.written_off.map(|WrittenOff { at_least, at_most }| Bounds { at_least, at_most }),
        from: answer.from,
        to: answer.to,
        bucket: answer.bucket,
        group_by: answer.group_by,
        tz: answer.zone,
    })
    .into_response()
}

/// A report as a CSV file of this name (visible ASCII without quotes).
pub(crate) fn csv_file(answer: UsageAnswer, name: &str) -> Response {
    let mut response = render(answer, true);
    if let Ok(value) = http::HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// Whether CSV is named in `Accept` before JSON or anything.
fn wants_csv(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
    kinds.into_iter().find(|kind| matches!(*kind, "text/csv" | "application/json" | "*/*")) == Some("text/csv")
}

fn csv(rows: &[UsageOut<'_>], group_by: &[GroupBy]) -> String {
    let by = |group: GroupBy| group_by.contains(&group);
    let mut columns = vec!["start", "end"];
    if by(GroupBy::Account) {
        columns.push("account");
    }
    if by(GroupBy::Key) {
        columns.extend(["key", "key_name", "key_hint"]);
    }
    if by(GroupBy::Model) {
        columns.push("model");
    }
    columns.extend([
        "requests",
        "failed",
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "cached_input_tokens",
        "reasoning_tokens",
        "audio_seconds",
        "images",
        "cost",
        "currency",
        "exact",
        "partial",
        "estimated",
        "unknown",
    ]);
    let mut text = columns.join(",");
    text.push_str("\r\n");
    for row in rows {
        let mut cells = vec![row.start.to_string(), row.end.to_string()];
        if by(GroupBy::Account) {
            cells.push(row.account.map(|id| id.to_string()).unwrap_or_default());
        }
        if by(GroupBy::Key) {
            cells.push(row.key.map(|id| id.to_string()).unwrap_or_default());
            cells.push(csv_text(row.key_name.unwrap_or_default()));
            cells.push(csv_text(&row.key_hint.map(|hint| hint.to_string()).unwrap_or_default()));
        }
        if by(GroupBy::Model) {
            cells.push(csv_text(row.model.unwrap_or_default()));
        }
        let counts = [
            row.requests,
            row.failed,
            row.input_tokens,
            row.output_tokens,
            row.total_tokens,
            row.cached_input_tokens,
            row.reasoning_tokens,
        ];
        cells.extend(counts.map(|count| count.to_string()));
        cells.extend([row.audio_seconds.to_string(), row.images.to_string()]);
        // A column of amounts is there to be added up: what is in several currencies is none.
        cells.push(row.cost.map(|cost| cost.to_string()).unwrap_or_default());
        let one = row.currency.iter().copied();
        let currencies: Vec<_> =
            one.chain(row.costs.iter().map(|cost| cost.currency)).map(|one| one.to_string()).collect();
        cells.push(currencies.join(" "));
        let shares = [row.shares.exact, row.shares.partial, row.shares.estimated, row.shares.unknown];
        cells.extend(shares.map(|share| share.to_string()));
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

/// A text that somebody chose, as a cell: quoted where needed (RFC 4180), and never taken for a formula (OWASP, CSV
/// injection).
fn csv_text(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guarded = if formula { format!("'{text}") } else { text.to_owned() };
    if guarded.contains([',', '"', '\r', '\n']) { format!("\"{}\"", guarded.replace('"', "\"\"")) } else { guarded }
}

/// The range of a latency report.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LatencyQuery {
    /// As in `usage`; rounded down to an hour.
    #[param(example = "-7d")]
    from: Option<String>,
    /// As in `usage`; rounded up to an hour.
    #[param(example = "now")]
    to: Option<String>,
    /// Operators: the account, by name or id, or `*` for all; else `default`.
    #[param(example = "default")]
    account: Option<String>,
}

/// Report times to the first byte and in total, as histograms by model.
#[utoipa::path(get, path = "/api/v1/usage/latency", operation_id = "usage_latency", tag = "usage", params(LatencyQuery),
    responses((status = 200, body = LatencyReport)), extensions(("x-access" = json!("read"))))]
pub(super) async fn latency(
    State(services): State<Services>,
    principal: Principal,
    Query(query): Query<LatencyQuery>,
) -> Answer {
    let (account, from, to) = (query.account.as_deref(), query.from.as_deref(), query.to.as_deref());
    let answer = services.usage_latency(&principal, account, from, to).await?;
    let data = answer.rows.into_iter().map(|row| LatencyOut {
        model: row.model.to_string(),
        first_byte: row.first_byte,
        total: row.total,
    });
    Ok(Json(LatencyReport {
        data: data.collect(),
        next_cursor: None,
        limits_ms: LATENCY_LIMITS_MS.to_vec(),
        from: answer.from,
        to: answer.to,
    })
    .into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_become_a_formula_or_a_second_cell() {
        for (name, cell) in [
            ("plain", "plain"),
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-2", "'-2"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""),
        ] {
            assert_eq!(csv_text(name), cell);
        }
    }

    #[test]
    fn csv_is_chosen_by_name_only() {
        let wants = |accept: &'static str| {
            wants_csv(&HeaderMap::from_iter([(header::ACCEPT, http::HeaderValue::from_static(accept))]))
        };
        assert!(wants("text/csv"));
        assert!(wants("text/csv; q=1, */*"));
        assert!(!wants("*/*"));
        assert!(!wants("application/json, text/csv"));
        assert!(!wants_csv(&HeaderMap::new()));
    }
}
