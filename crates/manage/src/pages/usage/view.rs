//! Figures as the usage templates show them: numbers as the language writes them, lines in the order asked for.

use std::cmp::Ordering;

use tollgate_core::{
    KeyStatus, Timestamp,
    money::{Cost, Currency},
    usage::{Bucket, UsageRow, UsageSums},
};

use super::{
    question::{Column, Question, Scope},
    zones::Zone,
};
use crate::{
    pages::{
        look::Lang,
        texts::{Usage, fill},
    },
    services::{UsageLines, UsageOverview, UsagePart, tokens},
};

/// From so old on, figures are said to be behind, in milliseconds.
const BEHIND_MS: i64 = 10_000;
/// The smallest cost that is shown: a ten-thousandth of the currency, in nano-units.
const NANOS_SHOWN: u64 = 100_000;
const NANOS_OF_CENT: u64 = 10_000_000;

/// The part of the page below its form.
pub(super) struct Figures {
    /// The range in words.
    pub(super) range: String,
    /// Tiles: what, how much, a remark.
    pub(super) tiles: Vec<Tile>,
    /// How sure the figures are, where they are not all exact.
    pub(super) sureness: Vec<String>,
    /// The chart.
    pub(super) chart: Chart,
    /// The table.
    pub(super) table: Table,
    /// How fresh it is.
    pub(super) fresh: Fresh,
    /// What a screen reader is told after a change.
    pub(super) said: String,
    /// That costs of some lines cannot be shown.
    pub(super) several_currencies: bool,
}

/// One figure in large.
pub(super) struct Tile {
    pub(super) label: &'static str,
    pub(super) value: String,
    /// What the value is in.
    pub(super) unit: String,
    pub(super) note: String,
}

/// How fresh the figures are.
pub(super) struct Fresh {
    /// Until when, on the clocks of the zone; none where the range ended before, or nothing is known.
    pub(super) until: Option<String>,
    pub(super) ago: String,
    pub(super) age_ms: i64,
    /// What is wrong, where they are late.
    pub(super) behind: Option<String>,
}

/// The chart's data, as the table behind it.
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) label: String,
    pub(super) series: Vec<SeriesHead>,
    pub(super) rows: Vec<ChartRow>,
}
/// A series: the class of its colour and its name.
pub(super) struct SeriesHead {
    pub(super) colour: usize,
    pub(super) name: String,
}
/// One bar.
pub(super) struct ChartRow {
    pub(super) label: String,
    /// Each amount as a number and as text.
    pub(super) amounts: Vec<(u64, String)>,
}

/// The table.
pub(super) struct Table {
    pub(super) caption: String,
    pub(super) columns: Vec<Head>,
    pub(super) lines: Vec<Line>,
    pub(super) others: Option<Line>,
    pub(super) total: Line,
    /// How many columns stand before the amounts.
    pub(super) leads: usize,
}
/// A column's head.
pub(super) struct Head {
    pub(super) id: &'static str,
    pub(super) label: &'static str,
    /// The query that sorts by it.
    pub(super) query: String,
    /// `aria-sort`, where the table is sorted by it.
    pub(super) sorted: Option<&'static str>,
    pub(super) number: bool,
}
/// A line of the table.
pub(super) struct Line {
    pub(super) leads: Vec<Lead>,
    pub(super) sums: Sums,
    /// What is not exact: the kind of mark and its words.
    pub(super) marks: Vec<String>,
}
/// What a line is about.
pub(super) struct Lead {
    pub(super) label: &'static str,
    pub(super) name: String,
    pub(super) hint: Option<String>,
    pub(super) status: Option<&'static str>,
    pub(super) is_bad: bool,
    /// Where it leads, and what for.
    pub(super) link: Option<(String, &'static str)>,
}
/// The amounts of a line.
pub(super) struct Sums {
    pub(super) input: String,
    pub(super) cached: Option<String>,
    pub(super) output: String,
    pub(super) reasoning: Option<String>,
    pub(super) total: String,
    pub(super) beside: Vec<String>,
    pub(super) requests: String,
    pub(super) failed: String,
    pub(super) cost: String,
}

/// How a page is to be shown.
pub(super) struct Show<'a> {
    pub(super) t: &'static Usage,
    pub(super) lang: Lang,
    pub(super) question: &'a Question,
    /// The page's own path.
    pub(super) path: &'a str,
    pub(super) now: Timestamp,
}

impl Show<'_> {
    /// All of it.
    pub(super) fn figures(&self, overview: UsageOverview) -> Figures {
        let total = overview.total;
        let range = self.range();
        let said = fill(self.t.updated, &[&range, &self.lang.count(tokens(&total)), &self.lang.count(total.requests)]);
        Figures {
            range,
            tiles: self.tiles(&overview),
            sureness: self.sureness(&total),
            chart: self.chart(&overview),
            fresh: self.fresh(overview.complete_until),
            said,
            several_currencies: overview.costs.only.is_none()
                && overview.lines.iter().any(|line| overview.costs.of(line.model.as_ref()).is_none()),
            table: self.table(overview),
        }
    }

    /// The range in words: its days and the zone.
    fn range(&self) -> String {
        let zone = &self.question.zone;
        let first = self.date(zone, self.question.from);
        let last = self.date(zone, Timestamp::from_millis(self.question.to.as_millis() - 1));
        if first == last { format!("{first} · {}", zone.name) } else { format!("{first} – {last} · {}", zone.name) }
    }
    /// A day in words.
    pub(super) fn date(&self, zone: &Zone, at: Timestamp) -> String {
        let at = zone.clock(at);
        match self.lang {
            Lang::En => at.strftime("%b %-d, %Y").to_string(),
            Lang::Vi => at.strftime("%d/%m/%Y").to_string(),
        }
    }
    /// When a bar or a line begins.
    fn begins(&self, bucket: Bucket, at: Timestamp) -> String {
        let local = self.question.zone.clock(at);
        let format = match (bucket, self.lang) {
            (Bucket::Hour | Bucket::Minute, Lang::En) => "%b %-d, %H:%M",
            (Bucket::Hour | Bucket::Minute, Lang::Vi) => "%d/%m %H:%M",
            (Bucket::Month, Lang::En) => "%b %Y",
            (Bucket::Month, Lang::Vi) => "%m/%Y",
            (_, Lang::En) => "%a, %b %-d, %Y",
            (_, Lang::Vi) => "%d/%m/%Y",
        };
        let mut text = local.strftime(format).to_string();
        // When clocks are put back, an hour comes twice: its distance from UTC tells which it is.
        let other = self.question.zone.clock(Timestamp::from_millis(at.as_millis() - 3_600_000));
        let next = self.question.zone.clock(Timestamp::from_millis(at.as_millis() + 3_600_000));
        let twice = [other, next].iter().any(|near| near.datetime() == local.datetime());
        if bucket == Bucket::Hour && twice {
            text.push_str(&format!(" ({})", super::zones::offset_text(local.offset().seconds())));
        }
        text
    }

    fn tiles(&self, overview: &UsageOverview) -> Vec<Tile> {
        let (t, sums) = (self.t, &overview.total);
        let units = sums.units;
        let count =
            |label, number| Tile { label, value: self.lang.count(number), unit: String::new(), note: String::new() };
        let part = |text, number: u64| if number > 0 { fill(text, &[&self.lang.count(number)]) } else { String::new() };
        let mut tiles = vec![
            count(t.total_tokens, tokens(sums)),
            Tile { note: part(t.cached, units.cached_input), ..count(t.input_tokens, units.input) },
            Tile { note: part(t.reasoning, units.reasoning), ..count(t.output_tokens, units.output) },
        ];
        if units.audio_ms > 0 {
            let value = fill(t.audio_seconds, &[&self.seconds(units.audio_ms)]);
            tiles.push(Tile { label: t.audio, value, unit: String::new(), note: String::new() });
        }
        if units.images > 0 {
            tiles.push(count(t.images, units.images));
        }
        tiles.push(count(t.requests, sums.requests));
        let note = if sums.failed > 0 {
            fill(t.share_of_requests, &[&self.percent(sums.failed, sums.requests)])
        } else {
            String::new()
        };
        tiles.push(Tile { note, ..count(t.failed, sums.failed) });
        for (currency, cost) in &overview.costs.totals {
            let (value, unit) = (self.cost(*cost, None), currency.to_string());
            tiles.push(Tile { label: t.cost, value, unit, note: String::new() });
        }
        tiles
    }

    /// A line for each class of figures, where not all are exact.
    fn sureness(&self, total: &UsageSums) -> Vec<String> {
        let [exact, partial, estimated, unknown] = total.by_class;
        if partial == 0 && estimated == 0 && unknown == 0 {
            return Vec::new();
        }
        let t = self.t;
        let classes = [
            (exact, t.sure_exact),
            (partial, t.sure_partial),
            (estimated, t.sure_estimated),
            (unknown, t.sure_unknown),
        ];
        let there = classes.into_iter().filter(|(number, _)| *number > 0);
        there.map(|(number, text)| fill("{} {}", &[&self.percent(number, total.requests), &text])).collect()
    }
    /// What is not exact in a line.
    fn marks(&self, sums: &UsageSums) -> Vec<String> {
        let [_, partial, estimated, unknown] = sums.by_class;
        let classes = [(partial, self.t.partial), (estimated, self.t.estimated), (unknown, self.t.not_known)];
        let there = classes.into_iter().filter(|(number, _)| *number > 0);
        there.map(|(number, text)| fill(text, &[&self.percent(number, sums.requests)])).collect()
    }

    fn chart(&self, overview: &UsageOverview) -> Chart {
        let chart = &overview.chart;
        let title = if chart.of_requests { self.t.chart_requests } else { self.t.chart_tokens };
        let mut own = 0;
        let series = chart.series.iter().map(|series| {
            own += 1;
            let (colour, name) = match series.part {
                UsagePart::Line(at) => {
                    (own, overview.lines.get(at).map_or_else(String::new, |line| self.name(overview, line)))
                }
                UsagePart::Others => (8, self.t.others.to_owned()),
                UsagePart::Input => (1, self.t.input_tokens.to_owned()),
                UsagePart::Output => (2, self.t.output_tokens.to_owned()),
                UsagePart::Requests => (1, self.t.requests.to_owned()),
            };
            SeriesHead { colour, name }
        });
        let series = series.collect();
        let rows = chart.ticks.iter().enumerate().map(|(at, tick)| ChartRow {
            label: self.begins(chart.bucket, *tick),
            amounts: chart
                .series
                .iter()
                .map(|series| series.amounts.get(at).copied().unwrap_or_default())
                .map(|amount| (amount, self.lang.count(amount)))
                .collect(),
        });
        Chart { title, label: fill(self.t.chart_is, &[&title, &self.range()]), rows: rows.collect(), series }
    }
    /// A line's name in the chart.
    fn name(&self, overview: &UsageOverview, line: &UsageRow) -> String {
        let leads = self.leads(overview, line);
        let mut names = leads.into_iter().map(|lead| lead.name);
        let first = names.next().unwrap_or_default();
        names.fold(first, |all, name| format!("{all} · {name}"))
    }

    fn fresh(&self, until: Timestamp) -> Fresh {
        let age_ms = (self.now.as_millis() - until.as_millis()).max(0);
        let mut fresh = Fresh { until: None, ago: String::new(), age_ms, behind: None };
        if until >= self.question.to {
            return fresh;
        }
        if until == Timestamp::default() {
            fresh.behind = Some(self.t.behind_unknown.to_owned());
            return fresh;
        }
        let local = self.question.zone.clock(until);
        let today = self.question.zone.clock(self.now).date() == local.date();
        let clock = local.strftime("%H:%M:%S").to_string();
        let clock = if today { clock } else { format!("{} {clock}", self.date(&self.question.zone, until)) };
        fresh.ago = self.ago(age_ms / 1_000);
        if age_ms >= BEHIND_MS {
            fresh.behind = Some(fill(self.t.behind, &[&clock]));
        }
        fresh.until = Some(fill(self.t.complete_until, &[&clock]));
        fresh
    }
    fn ago(&self, seconds: i64) -> String {
        let number = |number: i64| self.lang.count(number.unsigned_abs());
        match seconds {
            1 => fill(self.t.one_second_ago, &[&number(1)]),
            ..=0 | 2..=119 => fill(self.t.seconds_ago, &[&number(seconds)]),
            120..=7_199 => fill(self.t.minutes_ago, &[&number(seconds / 60)]),
            _ => fill(self.t.hours_ago, &[&number(seconds / 3_600)]),
        }
    }

    fn table(&self, mut overview: UsageOverview) -> Table {
        let mut rows = std::mem::take(&mut overview.lines);
        if let Some((column, down)) = self.question.sort {
            rows.sort_by(|a, b| {
                let order = self.order(&overview, column, a, b);
                if down { order.reverse() } else { order }
            });
        }
        let lines: Vec<Line> = rows
            .iter()
            .map(|row| Line {
                leads: self.leads(&overview, row),
                marks: self.marks(&row.sums),
                sums: self.sums(&row.sums, overview.costs.of(row.model.as_ref())),
            })
            .collect();
        let summed = |name: String, sums: &UsageSums| Line {
            leads: vec![Lead { name, label: "", hint: None, status: None, is_bad: false, link: None }],
            marks: self.marks(sums),
            sums: self.sums(sums, overview.costs.only.or_else(|| overview.costs.of(self.question.model.as_ref()))),
        };
        let others = overview.others.as_ref().map(|(sums, number)| {
            let number = u64::try_from(*number).unwrap_or(u64::MAX);
            summed(fill(self.t.others_lines, &[&self.lang.count(number)]), sums)
        });
        let all = lines.len() + overview.others.as_ref().map_or(0, |(_, number)| *number);
        let all = u64::try_from(all).unwrap_or(u64::MAX);
        let caption = if all == 1 { self.t.table_caption_one } else { self.t.table_caption };
        let columns = self.columns();
        Table {
            caption: fill(caption, &[&self.range(), &self.lang.count(all)]),
            leads: columns.iter().filter(|column| !column.number).count(),
            columns,
            others,
            total: summed(self.t.total.to_owned(), &overview.total),
            lines,
        }
    }
    fn columns(&self) -> Vec<Head> {
        let t = self.t;
        let leads: &[Column] = match self.question.lines {
            UsageLines::Model => &[Column::Model],
            UsageLines::Key => &[Column::Key],
            UsageLines::ModelAndKey => &[Column::Model, Column::Key],
            UsageLines::Account => &[Column::Account],
            UsageLines::AccountAndModel => &[Column::Account, Column::Model],
            UsageLines::Day | UsageLines::Hour => &[Column::Time],
        };
        let amounts = [Column::Input, Column::Output, Column::Total, Column::Requests, Column::Failed, Column::Cost];
        // Without a wish: the largest first, or in order of time.
        let usual = if leads == [Column::Time] { (Column::Time, false) } else { (Column::Total, true) };
        let sorted = self.question.sort.unwrap_or(usual);
        let columns = leads.iter().chain(&amounts).map(|column| Head {
            id: column.as_str(),
            label: match column {
                Column::Account => t.account,
                Column::Model => t.model,
                Column::Key => t.key,
                Column::Time if self.question.lines == UsageLines::Hour => t.hour,
                Column::Time => t.day,
                Column::Input => t.input_tokens,
                Column::Output => t.output_tokens,
                Column::Total => t.total_usage,
                Column::Requests => t.requests,
                Column::Failed => t.failures,
                Column::Cost => t.cost,
            },
            query: {
                let down = if sorted.0 == *column { !sorted.1 } else { column.is_amount() };
                self.question.with(|question| question.sort = Some((*column, down))).query()
            },
            sorted: (sorted.0 == *column).then_some(if sorted.1 { "descending" } else { "ascending" }),
            number: column.is_amount(),
        });
        columns.collect()
    }
    fn order(&self, overview: &UsageOverview, column: Column, a: &UsageRow, b: &UsageRow) -> Ordering {
        let account = |row: &UsageRow| {
            row.account.and_then(|id| overview.accounts.get(&id)).map(|(_, name)| name.as_str().to_lowercase())
        };
        let key = |row: &UsageRow| row.key.as_ref().map(|(_, name, _)| name.as_str().to_lowercase());
        let model = |row: &UsageRow| row.model.as_ref().map(|model| model.as_str().to_lowercase());
        match column {
            Column::Account => account(a).cmp(&account(b)),
            Column::Key => key(a).cmp(&key(b)),
            Column::Model => model(a).cmp(&model(b)),
            Column::Time => a.start.cmp(&b.start),
            Column::Input => a.sums.units.input.cmp(&b.sums.units.input),
            Column::Output => a.sums.units.output.cmp(&b.sums.units.output),
            Column::Total => tokens(&a.sums).cmp(&tokens(&b.sums)),
            Column::Requests => a.sums.requests.cmp(&b.sums.requests),
            Column::Failed => a.sums.failed.cmp(&b.sums.failed),
            Column::Cost => a.sums.cost.cmp(&b.sums.cost),
        }
    }

    /// What a line is about, in the order of the columns.
    fn leads(&self, overview: &UsageOverview, row: &UsageRow) -> Vec<Lead> {
        let t = self.t;
        let plain = |label, name: Option<String>| Lead {
            label,
            name: name.unwrap_or_else(|| t.unknown.to_owned()),
            hint: None,
            status: None,
            is_bad: false,
            link: None,
        };
        let only = |question: Question| format!("{}?{}", self.path, question.query());
        let model = || Lead {
            link: row
                .model
                .clone()
                .filter(|_| self.question.model.is_none())
                .map(|model| (only(self.question.with(|question| question.model = Some(model))), t.only_model)),
            ..plain(t.model, row.model.as_ref().map(ToString::to_string))
        };
        let key = || match &row.key {
            None => plain(t.key, None),
            Some((id, name, hint)) => {
                let status = overview.statuses.get(id).copied();
                Lead {
                    hint: Some(hint.to_string()),
                    status: status.and_then(|status| self.status(status)),
                    is_bad: matches!(status, Some(KeyStatus::Revoked | KeyStatus::Leaked)),
                    link: self
                        .question
                        .key
                        .is_none()
                        .then(|| (only(self.question.with(|question| question.key = Some(*id))), t.only_key)),
                    ..plain(t.key, Some(name.to_string()))
                }
            }
        };
        let account = || {
            let caption = row.account.and_then(|id| overview.accounts.get(&id));
            Lead {
                hint: caption.map(|(handle, _)| handle.to_string()),
                link: caption.map(|(handle, _)| (self.account_usage(handle.as_str()), t.open_account)),
                ..plain(t.account, caption.map(|(_, name)| name.to_string()))
            }
        };
        match self.question.lines {
            UsageLines::Model => vec![model()],
            UsageLines::Key => vec![key()],
            UsageLines::ModelAndKey => vec![model(), key()],
            UsageLines::Account => vec![account()],
            UsageLines::AccountAndModel => vec![account(), model()],
            UsageLines::Day => vec![plain(t.day, Some(self.begins(Bucket::Day, row.start)))],
            UsageLines::Hour => vec![plain(t.hour, Some(self.begins(Bucket::Hour, row.start)))],
        }
    }
    /// The same range on an account's own page.
    fn account_usage(&self, handle: &str) -> String {
        let question = self.question.with(|question| {
            question.scope = Scope::Account;
            question.lines = UsageLines::ModelAndKey;
            (question.account, question.sort) = (None, None);
        });
        format!("/a/{handle}/usage?{}", question.query())
    }
    /// The word for a key that is not active.
    const fn status(&self, status: KeyStatus) -> Option<&'static str> {
        match status {
            KeyStatus::Active => None,
            KeyStatus::Disabled => Some(self.t.status_disabled),
            KeyStatus::Expired => Some(self.t.status_expired),
            KeyStatus::Revoked => Some(self.t.status_revoked),
            KeyStatus::Leaked => Some(self.t.status_leaked),
        }
    }

    fn sums(&self, sums: &UsageSums, currency: Option<Currency>) -> Sums {
        let units = sums.units;
        let part = |text, number: u64| (number > 0).then(|| fill(text, &[&self.lang.count(number)]));
        let audio = (units.audio_ms > 0).then(|| fill(self.t.audio_seconds, &[&self.seconds(units.audio_ms)]));
        Sums {
            input: self.lang.count(units.input),
            cached: part(self.t.cached, units.cached_input),
            output: self.lang.count(units.output),
            reasoning: part(self.t.reasoning, units.reasoning),
            total: self.lang.count(tokens(sums)),
            beside: audio.into_iter().chain(part(self.t.image_count, units.images)).collect(),
            requests: self.lang.count(sums.requests),
            failed: self.lang.count(sums.failed),
            cost: match currency {
                None if sums.cost == Cost::default() => self.cost(sums.cost, None),
                None => "—".to_owned(),
                Some(currency) => self.cost(sums.cost, Some(currency)),
            },
        }
    }

    const fn point(&self) -> char {
        match self.lang {
            Lang::En => '.',
            Lang::Vi => ',',
        }
    }
    /// Seconds with a tenth.
    fn seconds(&self, ms: u64) -> String {
        let tenths = ms.saturating_add(50) / 100;
        format!("{}{}{}", self.lang.count(tenths / 10), self.point(), tenths % 10)
    }
    /// A share in whole percent; never 0 or 100 where it is not that.
    fn percent(&self, part: u64, of: u64) -> String {
        let (part, of) = (u128::from(part), u128::from(of.max(1)));
        let percent = (part * 100 + of / 2) / of;
        if percent == 0 && part > 0 {
            return self.t.below_one.to_owned();
        }
        format!("{}%", if percent >= 100 && part < of { 99 } else { percent })
    }
    /// An amount of money: to the cent, below one to the ten-thousandth. The CSV has every place.
    fn cost(&self, cost: Cost, currency: Option<Currency>) -> String {
        let nanos = cost.nanos().unsigned_abs();
        let finest = nanos.saturating_add(NANOS_SHOWN / 2) / NANOS_SHOWN;
        let amount = if nanos > 0 && nanos < NANOS_SHOWN {
            format!("< 0{}0001", self.point())
        } else if finest < 10_000 && !finest.is_multiple_of(100) {
            format!("0{}{finest:04}", self.point())
        } else {
            let cents = nanos.saturating_add(NANOS_OF_CENT / 2) / NANOS_OF_CENT;
            format!("{}{}{:02}", self.lang.count(cents / 100), self.point(), cents % 100)
        };
        let sign = if cost.nanos() < 0 { "−" } else { "" };
        currency.map_or_else(|| format!("{sign}{amount}"), |currency| format!("{sign}{amount} {currency}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-20T18:30:00Z";

    fn with_show<T>(lang: Lang, query: &str, look: impl FnOnce(&Show<'_>) -> T) -> T {
        let (now, t) = (NOW.parse().unwrap(), Usage::of(lang));
        let question = Question::read(query, Scope::Account, Zone::utc(), now, t).0;
        look(&Show { t, lang, question: &question, path: "/a/x/usage", now })
    }

    #[test]
    fn money_is_shown_to_the_cent_and_small_money_finer() {
        let shown =
            |lang, nanos| with_show(lang, "", |show| show.cost(Cost::from_nanos(nanos), Some(Currency::default())));
        for (nanos, text) in [
            (0, "0.00 USD"),
            (1, "< 0.0001 USD"),
            (99_999, "< 0.0001 USD"),
            (100_000, "0.0001 USD"),
            (1_500_000, "0.0015 USD"),
            (500_000_000, "0.50 USD"),
            (999_990_000, "1.00 USD"),
            (1_234_567_890_000, "1,234.57 USD"),
        ] {
            assert_eq!(shown(Lang::En, nanos), text, "{nanos}");
        }
        assert_eq!(shown(Lang::Vi, 1_234_567_890_000), "1.234,57 USD");
    }

    #[test]
    fn shares_are_never_rounded_to_all_or_nothing() {
        let percent = |part, of| with_show(Lang::En, "", |show| show.percent(part, of));
        assert_eq!(
            [(0, 5), (1, 1_000), (1, 50), (999, 1_000), (5, 5), (0, 0)].map(|(part, of)| percent(part, of)),
            ["0%", "below 1%", "2%", "99%", "100%", "0%"]
        );
    }

    #[test]
    fn what_is_late_says_so_and_what_is_past_is_whole() {
        let fresh = |query: &str, until: &str| with_show(Lang::En, query, |show| show.fresh(until.parse().unwrap()));
        let good = fresh("range=today", "2026-11-20T18:29:58Z");
        assert_eq!((good.until.as_deref(), good.ago.as_str()), (Some("Complete until 18:29:58,"), "2 seconds ago"));
        assert!(good.behind.is_none());
        let late = fresh("range=today", "2026-11-20T18:25:00Z");
        assert_eq!(late.ago, "5 minutes ago");
        assert!(late.behind.unwrap().contains("18:25:00"));
        assert!(fresh("range=today", "1970-01-01T00:00:00Z").behind.is_some());
        let past = fresh("range=yesterday", "2026-11-20T18:25:00Z");
        assert!(past.until.is_none() && past.behind.is_none());
        // Behind since a day before: the day is said too.
        assert!(fresh("", "2026-11-19T18:25:00Z").until.unwrap().contains("Nov 19"));
    }

    #[test]
    fn an_hour_that_comes_twice_says_which_it_is() {
        let label =
            |at: &str| with_show(Lang::En, "tz=Europe/Berlin", |show| show.begins(Bucket::Hour, at.parse().unwrap()));
        assert_eq!(label("2026-10-25T00:00:00Z"), "Oct 25, 02:00 (UTC+02:00)");
        assert_eq!(label("2026-10-25T01:00:00Z"), "Oct 25, 02:00 (UTC+01:00)");
        assert_eq!(label("2026-10-25T02:00:00Z"), "Oct 25, 03:00");
    }
}
