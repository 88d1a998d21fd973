//! The table of a usage page: its columns, its lines in the order asked for, and where each leads.

use std::cmp::Ordering;

use tollgate_core::{
    KeyStatus,
    money::{Cost, Currency},
    usage::{Bucket, UsageRow, UsageSums},
};

use super::{
    super::question::{Column, Question, Scope},
    Show,
};
use crate::{
    pages::{keys::tone_of, texts::fill},
    services::{UsageLines, UsageOverview, tokens},
};

/// The table.
pub(in super::super) struct Table {
    pub(in super::super) caption: String,
    pub(in super::super) columns: Vec<Head>,
    pub(in super::super) lines: Vec<Line>,
    pub(in super::super) others: Option<Line>,
    pub(in super::super) total: Line,
    /// How many columns stand before the amounts.
    pub(in super::super) leads: usize,
}
/// A column's head.
pub(in super::super) struct Head {
    pub(in super::super) id: &'static str,
    pub(in super::super) label: &'static str,
    /// The query that sorts by it.
    pub(in super::super) query: String,
    /// `aria-sort`, where the table is sorted by it.
    pub(in super::super) sorted: Option<&'static str>,
    pub(in super::super) number: bool,
}
/// A line of the table.
pub(in super::super) struct Line {
    pub(in super::super) leads: Vec<Lead>,
    pub(in super::super) sums: Sums,
    /// What is not exact: the kind of mark and its words.
    pub(in super::super) marks: Vec<String>,
}
/// What a line is about.
pub(in super::super) struct Lead {
    pub(in super::super) label: &'static str,
    pub(in super::super) name: String,
    pub(in super::super) hint: Option<String>,
    pub(in super::super) status: Option<&'static str>,
    /// The class of the status's badge.
    pub(in super::super) tone: &'static str,
    /// Where it leads, and what for.
    pub(in super::super) link: Option<(String, &'static str)>,
}
/// The amounts of a line.
pub(in super::super) struct Sums {
    pub(in super::super) input: String,
    pub(in super::super) cached: Option<String>,
    pub(in super::super) output: String,
    pub(in super::super) reasoning: Option<String>,
    pub(in super::super) total: String,
    pub(in super::super) beside: Vec<String>,
    pub(in super::super) requests: String,
    pub(in super::super) failed: String,
    pub(in super::super) cost: String,
}

impl Show<'_> {
    pub(super) fn table(&self, mut overview: UsageOverview) -> Table {
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
            leads: vec![Lead { name, label: "", hint: None, status: None, tone: "", link: None }],
            marks: self.marks(sums),
            sums: self.sums(sums, overview.costs.only.or_else(|| overview.costs.of(self.question.model.as_ref()))),
        };
        let count = |number: usize| self.lang.count(u64::try_from(number).unwrap_or(u64::MAX));
        let others = overview.others.as_ref().map(|(sums, number)| {
            let name =
                number.map_or_else(|| self.t.others.to_owned(), |number| fill(self.t.others_lines, &[&count(number)]));
            summed(name, sums)
        });
        let (all, caption) = match overview.others.as_ref() {
            None if lines.len() == 1 => (1, self.t.table_caption_one),
            None => (lines.len(), self.t.table_caption),
            Some((_, Some(number))) => (lines.len() + number, self.t.table_caption),
            Some((_, None)) => (lines.len(), self.t.table_caption_largest),
        };
        let columns = self.columns();
        Table {
            caption: fill(caption, &[&self.range(), &count(all)]),
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
    pub(super) fn leads(&self, overview: &UsageOverview, row: &UsageRow) -> Vec<Lead> {
        let t = self.t;
        let plain = |label, name: Option<String>| Lead {
            label,
            name: name.unwrap_or_else(|| t.unknown.to_owned()),
            hint: None,
            status: None,
            tone: "",
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
                    tone: status.map_or("", tone_of),
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

    /// What is not exact in a line.
    fn marks(&self, sums: &UsageSums) -> Vec<String> {
        let [_, partial, estimated, unknown] = sums.by_class;
        let classes = [(partial, self.t.partial), (estimated, self.t.estimated), (unknown, self.t.not_known)];
        let there = classes.into_iter().filter(|(number, _)| *number > 0);
        there.map(|(number, text)| fill(text, &[&self.percent(number, sums.requests)])).collect()
    }
}
