//! What the usage templates show above and around the table: the range in words, tiles, how sure and how fresh the figures
//! are, the chart.

mod amounts;
mod table;

use tollgate_core::{
    Timestamp,
    usage::{Bucket, UsageRow, UsageSums},
};

pub(super) use self::table::Table;
use super::{question::Question, zones::Zone};
use crate::{
    pages::{
        look::Lang,
        texts::{Usage, fill},
    },
    services::{UsageOverview, UsagePart, tokens},
};

/// From so old on, figures are said to be behind, in milliseconds.
const BEHIND_MS: i64 = 10_000;

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
}

#[cfg(test)]
mod tests {
    use super::{super::question::Scope, *};

    const NOW: &str = "2026-11-20T18:30:00Z";

    pub(super) fn with_show<T>(lang: Lang, query: &str, look: impl FnOnce(&Show<'_>) -> T) -> T {
        let (now, t) = (NOW.parse().unwrap(), Usage::of(lang));
        let question = Question::read(query, Scope::Account, Zone::utc(), now, t).0;
        look(&Show { t, lang, question: &question, path: "/a/x/usage", now })
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
