//! The templates with samples of the worst kind.

use std::collections::HashMap;

use tollgate_core::{
    Id, KeyStatus, Timestamp, Units, World,
    money::{Cost, Currency},
    name::Label,
    secret::KeyHint,
    usage::{Bucket, UsageRow, UsageSums},
    world::{Clock, Entropy},
};

use super::*;
use crate::{
    pages::{Lang, Look},
    services::{UsageChart, UsageCosts, UsagePart, UsageSeries},
};

const NOW: &str = "2026-11-20T09:30:00Z";

struct Still;
impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW.parse().unwrap()
    }
}
impl Entropy for Still {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

fn names() -> [String; 4] {
    [
        "<script>alert(1)</script>".to_owned(),
        "\"quoted\" 'twice' & <b>".to_owned(),
        "👩‍🚀".repeat(40),
        "שלום \u{202e}abc\u{202c} العربية".to_owned(),
    ]
}

fn overview(until: &str) -> UsageOverview {
    let world = World::new(Still, Still);
    let sums = UsageSums {
        requests: 50,
        failed: 1,
        units: Units { input: 1_000, output: 2_000, cached_input: 10, reasoning: 20, audio_ms: 1_500, images: 3 },
        cost: Cost::from_nanos(1_234_567_890),
        by_class: [46, 2, 1, 1],
    };
    let id = Id::new(&world);
    let lines: Vec<UsageRow> = names()
        .iter()
        .map(|name| UsageRow {
            start: NOW.parse().unwrap(),
            end: NOW.parse().unwrap(),
            account: None,
            key: Some((id, name.parse::<Label>().unwrap(), hint())),
            model: Some("qwen3-32b".parse().unwrap()),
            sums,
            costs: None,
        })
        .collect();
    let series = (0..lines.len()).map(|at| UsageSeries { part: UsagePart::Line(at), amounts: vec![1] });
    let others = UsageSeries { part: UsagePart::Others, amounts: vec![2] };
    UsageOverview {
        chart: UsageChart {
            bucket: Bucket::Day,
            of_requests: false,
            ticks: vec![NOW.parse().unwrap()],
            series: series.chain([others]).collect(),
        },
        lines,
        others: Some((sums, Some(1_234))),
        total: sums,
        complete_until: until.parse().unwrap(),
        statuses: HashMap::from([(id, KeyStatus::Leaked)]),
        accounts: HashMap::new(),
        costs: UsageCosts {
            only: Some(Currency::default()),
            totals: vec![(Currency::default(), sums.cost)],
            ..UsageCosts::default()
        },
    }
}

fn hint() -> KeyHint {
    KeyHint { prefix: "tg".parse().unwrap(), id: "4fZ0aB1cD2eF".parse().unwrap() }
}

fn page(lang: Lang, query: &str, overview: Option<UsageOverview>, empty: Option<Empty>) -> String {
    let (now, t) = (NOW.parse().unwrap(), Usage::of(lang));
    let (question, errors) = Question::read(query, Scope::Account, Zone::utc(), now, t);
    let show = Show { t, lang, question: &question, path: "/a/default/usage", now };
    let world = World::new(Still, Still);
    let keys = names().iter().map(|name| (Id::new(&world), name.parse::<Label>().unwrap(), hint())).collect();
    let choices = UsageChoices { keys, more_keys: true, models: Vec::new() };
    let page = UsagePage {
        chrome: Chrome::bare(Look { lang, ..Look::default() }),
        t,
        title: t.title,
        intro: t.intro,
        form: form(&question, &choices, t, now),
        figures: overview.map(|overview| show.figures(overview)),
        empty,
        query: question.query(),
        live: question.is_live(now),
        zone_known: false,
        errors,
        path: "/a/default/usage".to_owned(),
    };
    page.render().unwrap()
}

#[test]
fn what_people_typed_stays_text_in_both_languages() {
    for lang in Lang::ALL {
        let html = page(lang, "by=model,key", Some(overview(NOW)), None);
        assert!(html.contains(&format!("<html lang=\"{}\"", lang.tag())));
        assert!(!html.contains("<script>") && !html.contains(" style=") && !html.contains("onclick"), "{html}");
        assert!(!html.contains("\"quoted\"") && !html.contains("& <b>"), "{html}");
        // Each in the table, the legend, the head of the chart's table and the choice of keys.
        assert!(html.matches(&"👩‍🚀".repeat(40)).count() >= 4);
        assert!(html.matches("<bdi").count() >= 12);
        let wrong = page(lang, "tz=x&by=%3Cscript%3E&from=%22%3E%3Cb%3E", None, None);
        assert!(!wrong.contains("<script>") && !wrong.contains("\"><b>"), "{wrong}");
    }
}

#[test]
fn every_state_of_the_page_renders() {
    for lang in Lang::ALL {
        let late = page(lang, "", Some(overview("2026-11-20T09:00:00Z")), None);
        assert!(late.contains("09:00:00"), "{late}");
        page(lang, "", Some(overview("1970-01-01T00:00:00Z")), None);
        let empty = |empty| page(lang, "", Some(overview(NOW)), Some(empty));
        let call = "curl 'http://x' -d '{\"model\": \"<m>\"}'".to_owned();
        let ever = empty(Empty::Ever { keys: Some("/a/default/keys".to_owned()), call: Some(call) });
        assert!(ever.contains("id=\"first-call\"") && !ever.contains("<m>") && !ever.contains("id=\"part-table\""));
        empty(Empty::Ever { keys: None, call: None });
        assert!(empty(Empty::Here { text: "-".to_owned(), wider: "range=12m".to_owned() }).contains("range=12m"));
    }
}

#[test]
fn figures_say_all_that_is_beside_tokens() {
    let html = page(Lang::En, "", Some(overview(NOW)), None);
    for text in ["10 cached", "20 reasoning", "1.5 s of audio", "3 images", "≥ 4% partial", "≈ 2% estimated", "leaked"]
    {
        assert!(html.contains(text), "{text}");
    }
    assert!(html.contains("Others (1,234 lines)") && html.contains("1.23 USD") && html.contains("2% of requests"));
}
