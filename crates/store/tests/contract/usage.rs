//! Usage: counted once, reported as the same sums however it is asked for.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use tollgate_core::{
    Account, Id, Key, Model, ModelKind, No, Timestamp, Units, UsageClass,
    money::{Cost, Currency, PriceList},
    name::ModelName,
    usage::{Bucket, GroupBy, Outcome, Settlement, UsageQuery, UsageRow, UsageSums},
};
use tollgate_store::{
    StoreError,
    catalog::{ModelEdit, NewModel},
    usage::{JournalGap, LANES_KEPT, LATENCY_LIMITS_MS, Shipped},
};

use crate::support::*;

contract! {
    a_batch_counts_once_however_often_it_is_shipped,
    two_shippers_of_one_journal_count_it_once,
    usage_of_unknown_things_counts_and_stops_nothing,
    what_a_journal_has_lost_is_remembered_once_with_its_batch,
    an_attempt_that_is_there_already_is_not_counted_again,
    absurd_figures_saturate_and_stop_nothing,
    an_absurd_figure_elsewhere_in_the_month_changes_no_report,
    reports_are_what_a_naive_sum_says,
    the_largest_pairs_of_many_are_found_whether_usage_is_even_or_not,
    many_processes_may_add_to_the_same_rows,
    latency_falls_into_bins_by_model,
    old_rows_go_in_steps_and_hours_stay,
    a_day_of_request_rows_goes_as_a_whole,
    what_an_upstream_told_is_kept_with_its_attempt,
    costs_are_told_by_currency_and_a_charged_model_keeps_its_own,
    a_journal_that_ended_is_forgotten_after_long_and_what_comes_back_is_not_counted_again,
    an_absurd_question_is_refused,
}

fn query(from: &str, to: &str, bucket: Bucket, group_by: &[GroupBy]) -> UsageQuery {
    UsageQuery {
        account: None,
        from: named(from),
        to: named(to),
        bucket,
        group_by: group_by.to_vec(),
        keys: Vec::new(),
        models: Vec::new(),
        zone: TimeZone::UTC,
    }
}

async fn a_batch_counts_once_however_often_it_is_shipped(fixture: Fixture) {
    let store = &fixture.store;
    let account = store.seed().await.unwrap().account;
    let account = store.account_get(&account.to_string()).await.unwrap();
    let key = make_key(&fixture, account.id, "k").await;
    let model = make_model(&fixture, "m").await;
    let at = "2026-05-04T12:00:30Z";
    let batch: Vec<_> = (0..100).map(|_| settlement(&fixture.world, account.no, key.no, model.no, at)).collect();
    let journal = Id::new(&fixture.world);
    assert_eq!(store.journal_watermark(journal).await.unwrap(), 0);
    assert_eq!(store.usage_ship(journal, 0, 240, &batch).await.unwrap(), Shipped::Counted);
    for _ in 0..4 {
        let again = store.usage_ship(journal, 0, 240, &batch).await.unwrap();
        assert_eq!(again, Shipped::Before { watermark: 240 });
    }
    assert_eq!(store.journal_watermark(journal).await.unwrap(), 240);
    let report = query("2026-05-04T12:00:00Z", "2026-05-04T13:00:00Z", Bucket::Hour, &[GroupBy::Key, GroupBy::Model]);
    let rows = store.usage_report(&report).await.unwrap();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!(row.start, named::<Timestamp>("2026-05-04T12:00:00Z"));
    assert_eq!(row.key, Some((key.id, key.name.clone(), key.hint())));
    assert_eq!((row.model.as_ref(), row.account), (Some(&model.name), None));
    assert_eq!((row.sums.requests, row.sums.units.input, row.sums.cost.nanos()), (100, 1_000, 700_000));
    assert_eq!(row.sums.by_class, [100, 0, 0, 0]);
    assert_eq!(store.key_recent_requests(key.no).await.unwrap(), (100, 100));
    assert_eq!(store.key_get(None, key.id).await.unwrap().last_used_at, Some(named(at)));
}

struct Customer {
    account: Account,
    keys: Vec<Key>,
}

/// An account with keys of its own.
async fn customer(fixture: &Fixture, handle: &str, keys: usize) -> Customer {
    let store = &fixture.store;
    store.seed().await.unwrap();
    let new =
        tollgate_store::accounts::NewAccount { handle: named(handle), name: named(handle), plan: None, owner: None };
    let account = value(store.account_create(&system(), new).await);
    let plan = tollgate_store::accounts::AccountEdit { plan: Some(Some(named("unlimited"))), ..Default::default() };
    value(store.account_edit(&system(), account.id, plan, None).await);
    let mut made = Vec::new();
    for at in 0..keys {
        made.push(make_key(fixture, account.id, &format!("{handle} {at}")).await);
    }
    Customer { account, keys: made }
}

async fn ship(fixture: &Fixture, batch: &[Settlement]) {
    let journal = Id::new(&fixture.world);
    assert_eq!(fixture.store.usage_ship(journal, 0, 1, batch).await.unwrap(), Shipped::Counted);
}

/// All there is, as one row.
async fn total(fixture: &Fixture) -> UsageSums {
    let all = query("2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z", Bucket::Total, &[]);
    fixture.store.usage_report(&all).await.unwrap().first().map(|row| row.sums).unwrap_or_default()
}

async fn two_shippers_of_one_journal_count_it_once(fixture: Fixture) {
    let customer = customer(&fixture, "c", 1).await;
    let at = "2026-05-04T12:00:30Z";
    let one = || settlement(&fixture.world, customer.account.no, customer.keys[0].no, No::new(1), at);
    let journal = Id::new(&fixture.world);
    let batches: Vec<Vec<_>> = (0..6).map(|_| (0..20).map(|_| one()).collect()).collect();
    let other = fixture.open_another().await;
    let shippers = [fixture.store.clone(), other].map(|store| {
        let batches = batches.clone();
        tokio::spawn(async move {
            let mut counted = 0;
            for (at, batch) in (0u64..).zip(&batches) {
                match store.usage_ship(journal, at, at + 1, batch).await.unwrap() {
                    Shipped::Counted => counted += 1,
                    Shipped::Before { watermark } => assert!(watermark > at),
                }
            }
            counted
        })
    });
    let mut counted = 0;
    for shipper in shippers {
        counted += shipper.await.unwrap();
    }
    assert_eq!((counted, total(&fixture).await.requests), (6, 120));
    // A batch from beyond the watermark is not counted: what lies between would be lost.
    let beyond = fixture.store.usage_ship(journal, 9, 10, &[one()]).await.unwrap();
    assert_eq!(beyond, Shipped::Before { watermark: 6 });
    assert!(matches!(fixture.store.usage_ship(journal, 6, 6, &[]).await, Err(StoreError::State(_))));
    assert_eq!(fixture.store.usage_ship(journal, 6, 7, &[]).await.unwrap(), Shipped::Counted);
}

async fn what_a_journal_has_lost_is_remembered_once_with_its_batch(fixture: Fixture) {
    let store = &fixture.store;
    let customer = customer(&fixture, "c", 1).await;
    let one =
        || settlement(&fixture.world, customer.account.no, customer.keys[0].no, No::new(1), "2026-05-04T12:00:30Z");
    let journal = Id::new(&fixture.world);
    let (first, second) = (JournalGap { first: 3, records: 2 }, JournalGap { first: 9, records: 1 });
    assert_eq!(store.journal_gaps(10).await.unwrap(), []);
    let batch = [one()];
    for expected in [Shipped::Counted, Shipped::Before { watermark: 6 }] {
        assert_eq!(store.usage_ship_damaged(journal, 0, 6, &batch, &[first]).await.unwrap(), expected);
    }
    // One alone, with nothing to count, and one of a batch that is refused.
    assert_eq!(store.usage_ship_damaged(journal, 6, 9, &[], &[second]).await.unwrap(), Shipped::Counted);
    let never = JournalGap { first: 100, records: 5 };
    let refused = store.usage_ship_damaged(journal, 99, 105, &[], &[never]).await.unwrap();
    assert_eq!(refused, Shipped::Before { watermark: 9 });
    let mut gaps: Vec<_> = store.journal_gaps(10).await.unwrap().iter().map(|lost| (lost.journal, lost.gap)).collect();
    gaps.sort_by_key(|(_, gap)| gap.first);
    assert_eq!(gaps, [(journal, first), (journal, second)]);
    assert_eq!(total(&fixture).await.requests, 1);
}

async fn usage_of_unknown_things_counts_and_stops_nothing(fixture: Fixture) {
    let at = "2026-05-04T12:00:30Z";
    let mut unknown = settlement(&fixture.world, No::new(77), No::new(88), No::new(99), at);
    unknown.upstream_id = Some("a\u{0}b".into());
    ship(&fixture, &[unknown]).await;
    let by = [GroupBy::Account, GroupBy::Key, GroupBy::Model];
    let report = query("2026-05-04T00:00:00Z", "2026-05-05T00:00:00Z", Bucket::Day, &by);
    let rows = fixture.store.usage_report(&report).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].account, rows[0].key.clone(), rows[0].model.clone()), (None, None, None));
    assert_eq!(rows[0].sums.requests, 1);
}

async fn an_attempt_that_is_there_already_is_not_counted_again(fixture: Fixture) {
    let customer = customer(&fixture, "c", 1).await;
    let at = "2026-05-04T12:00:30Z";
    let one = || settlement(&fixture.world, customer.account.no, customer.keys[0].no, No::new(1), at);
    let (first, second) = (one(), one());
    ship(&fixture, &[first.clone(), first.clone()]).await;
    ship(&fixture, &[first, second]).await;
    assert_eq!(total(&fixture).await.requests, 2);
    // Nor is a key that is asked for twice.
    let all = query("2026-05-04T00:00:00Z", "2026-05-05T00:00:00Z", Bucket::Total, &[]);
    let twice = UsageQuery { keys: vec![customer.keys[0].no; 3], ..all };
    assert_eq!(fixture.store.usage_report(&twice).await.unwrap()[0].sums.requests, 2);
}

async fn absurd_figures_saturate_and_stop_nothing(fixture: Fixture) {
    let customer = customer(&fixture, "c", 2).await;
    let most = u64::MAX;
    let absurd = |key: usize, at: &str| Settlement {
        units: Units { input: most, output: 1 << 62, cached_input: 1, reasoning: 0, audio_ms: most, images: 3 },
        cost: Cost::from_nanos(i64::MAX),
        output_at_most: most,
        total_us: most,
        ..settlement(&fixture.world, customer.account.no, customer.keys[key].no, No::new(1), at)
    };
    let (first, second) = ("2026-05-04T12:00:30Z", "2026-05-04T13:00:30Z");
    ship(&fixture, &[absurd(0, first), absurd(1, first)]).await;
    ship(&fixture, &[absurd(0, first), absurd(0, second)]).await;
    let sums = total(&fixture).await;
    assert_eq!((sums.requests, sums.units.cached_input, sums.units.images), (4, 4, 12));
    let top = u64::try_from(i64::MAX).unwrap();
    assert!(sums.units.input >= top && sums.units.output >= top && sums.cost.nanos() == i64::MAX);
    // Several rows, each at the top, are summed by the report itself.
    let report = query("2026-05-04T12:00:00Z", "2026-05-04T12:05:00Z", Bucket::Total, &[GroupBy::Account]);
    let mut report = UsageQuery { keys: customer.keys.iter().map(|key| key.no).collect(), ..report };
    let rows = fixture.store.usage_report(&report).await.unwrap();
    assert_eq!((rows.len(), rows[0].sums.requests, rows[0].sums.cost.nanos()), (1, 3, i64::MAX));
    report.keys.clear();
    assert_eq!(fixture.store.usage_report(&report).await.unwrap()[0].sums.requests, 3);
}

async fn an_absurd_figure_elsewhere_in_the_month_changes_no_report(fixture: Fixture) {
    let customer = customer(&fixture, "c", 1).await;
    let one = |at: &str| settlement(&fixture.world, customer.account.no, customer.keys[0].no, No::new(1), at);
    let absurd = |at: &str| Settlement {
        units: Units { input: u64::MAX, ..Units::default() },
        cost: Cost::from_nanos(i64::MAX),
        ..one(at)
    };
    let later = ["2026-03-30T10:00:00Z", "2026-05-20T10:00:00Z", "2026-05-20T10:00:10Z"];
    ship(&fixture, &later.map(absurd)).await;
    ship(&fixture, &["2026-03-02T10:00:00Z", "2026-05-02T10:00:00Z"].map(one)).await;
    // The months' rows stand at the greatest integer: taking the later days from them would leave nothing.
    for (from, to) in
        [("2026-03-01T00:00:00Z", "2026-03-29T00:00:00Z"), ("2026-05-01T00:00:00Z", "2026-05-04T12:35:00Z")]
    {
        let rows = fixture.store.usage_report(&query(from, to, Bucket::Total, &[GroupBy::Key])).await.unwrap();
        let sums = rows[0].sums;
        assert_eq!((sums.requests, sums.units.input, sums.cost.nanos()), (1, 10, 7_000), "{from}");
    }
}

/// What the naive model knows of an attempt.
fn naive(batch: &[Settlement], query: &UsageQuery) -> BTreeMap<(Timestamp, i64, i64, i64), UsageSums> {
    let minute = |at: Timestamp| at.as_millis() - at.as_millis().rem_euclid(60_000);
    let (from, to) = (minute(query.from), minute(query.to));
    let mut groups: BTreeMap<_, UsageSums> = BTreeMap::new();
    for settled in batch {
        let at = settled.started_at.as_millis();
        let inside = (from..to).contains(&at)
            && query.account.is_none_or(|account| account == settled.account)
            && (query.keys.is_empty() || query.keys.contains(&settled.key))
            && (query.models.is_empty() || query.models.contains(&settled.model));
        if !inside {
            continue;
        }
        let local = jiff::Timestamp::from_millisecond(at).unwrap().to_zoned_datetime(query.zone.clone());
        let start = match query.bucket {
            Bucket::Total => jiff::Timestamp::from_millisecond(from).unwrap(),
            Bucket::Minute => jiff::Timestamp::from_millisecond(minute(settled.started_at)).unwrap(),
            Bucket::Hour => {
                let offset = |ms: i64| {
                    i64::from(query.zone.to_offset(jiff::Timestamp::from_millisecond(ms).unwrap()).seconds()) * 1_000
                };
                let mut start = at - (at + offset(at)).rem_euclid(3_600_000);
                // An hour ends where the clocks are changed by half of one (Lord Howe).
                while offset(start) != offset(at) {
                    start += 60_000;
                }
                jiff::Timestamp::from_millisecond(start).unwrap()
            }
            Bucket::Day => local.start_of_day().unwrap().timestamp(),
            Bucket::Month => local.first_of_month().unwrap().start_of_day().unwrap().timestamp(),
        };
        let start = Timestamp::from_millis(start.as_millisecond().max(from));
        let by = |by: GroupBy, no: i64| if query.group_by.contains(&by) { no } else { 0 };
        let group = (
            start,
            by(GroupBy::Account, settled.account.get()),
            by(GroupBy::Key, settled.key.get()),
            by(GroupBy::Model, settled.model.get()),
        );
        let sums = groups.entry(group).or_default();
        sums.requests += 1;
        sums.failed += u64::from(settled.failed());
        sums.units.input += settled.units.input;
        sums.units.output += settled.units.output;
        sums.units.cached_input += settled.units.cached_input;
        sums.units.reasoning += settled.units.reasoning;
        sums.units.audio_ms += settled.units.audio_ms;
        sums.units.images += settled.units.images;
        sums.cost = sums.cost.plus(settled.cost);
        sums.by_class[usize::from(settled.class.code()) - 1] += 1;
    }
    groups
}

/// A random attempt: of these keys and models, in the two years around a change of clocks.
fn attempt(customers: usize, keys: usize, models: usize) -> impl Strategy<Value = (usize, usize, usize, i64, u64, u8)> {
    let minutes = 1_767_225_600i64 / 60..1_798_761_600 / 60;
    let clustered = prop_oneof![minutes, 29_580_000i64..29_583_000];
    (0..customers, 0..keys, 0..models, clustered, 0u64..1_000, 0u8..20)
}

async fn reports_are_what_a_naive_sum_says(fixture: Fixture) {
    let (a, b) = (customer(&fixture, "a", 3).await, customer(&fixture, "b", 3).await);
    let customers = [a, b];
    let mut models = Vec::new();
    for name in ["m1", "m2", "m3"] {
        models.push(make_model(&fixture, name).await);
    }
    let names: BTreeMap<i64, ModelName> =
        models.iter().map(|model: &Model| (model.no.get(), model.name.clone())).collect();
    let mut runner = TestRunner::deterministic();
    let mut all = Vec::new();
    for _ in 0..4 {
        let strategy = proptest::collection::vec(attempt(2, 3, 3), 1..200);
        let batch: Vec<Settlement> = strategy
            .new_tree(&mut runner)
            .unwrap()
            .current()
            .into_iter()
            .map(|(customer, key, model, minute, units, kind)| {
                let customer = &customers[customer];
                let (key, model) = (customer.keys[key].no, models[model].no);
                let at = Timestamp::from_millis(minute * 60_000 + i64::from(kind) * 2_999);
                Settlement {
                    units: Units { input: units, output: units / 3, reasoning: units / 7, ..Units::default() },
                    class: UsageClass::ALL[usize::from(kind) % 4],
                    outcome: Outcome::ALL[usize::from(kind) % 5],
                    status: if kind == 19 { 500 } else { 200 },
                    cost: Cost::from_nanos(i64::try_from(units).unwrap() * 13),
                    ..settlement(&fixture.world, customer.account.no, key, model, &at.to_string())
                }
            })
            .collect();
        ship(&fixture, &batch).await;
        all.extend(batch);
    }
    let zones =
        ["UTC", "Asia/Ho_Chi_Minh", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"];
    let buckets = [Bucket::Minute, Bucket::Hour, Bucket::Day, Bucket::Month, Bucket::Total];
    let question = (
        prop_oneof![
            Just((1_767_225_600i64, 1_798_761_600i64)),
            (1_766_000_000i64..1_799_000_000, 1_766_000_000i64..1_799_000_000),
            // Until now, as most questions are; there is usage of later than now, too.
            (1_766_000_000i64..1_777_000_000, Just(1_777_898_100i64)),
        ],
        (0..zones.len(), 0..buckets.len(), proptest::bits::u8::between(0, 3)),
        (0usize..3, proptest::bits::u8::between(0, 6), proptest::bits::u8::between(0, 3)),
    );
    for _ in 0..200 {
        let ((from, to), (zone, bucket, groups), (account, keys, wanted)) =
            question.new_tree(&mut runner).unwrap().current();
        let keys = if keys.is_multiple_of(3) { 0 } else { keys };
        let all_keys = customers.iter().flat_map(|customer| &customer.keys);
        let picked = |bits: u8, at: usize| bits & (1 << at) != 0;
        let by = [GroupBy::Account, GroupBy::Key, GroupBy::Model].into_iter().enumerate();
        let query = UsageQuery {
            account: customers.get(account).map(|customer| customer.account.no),
            from: Timestamp::from_millis(from.min(to) * 1_000),
            to: Timestamp::from_millis(to.max(from) * 1_000),
            bucket: buckets[bucket],
            group_by: by.filter(|(at, _)| picked(groups, *at)).map(|(_, by)| by).collect(),
            keys: all_keys.enumerate().filter(|(at, _)| picked(keys, *at)).map(|(_, key)| key.no).collect(),
            models: models
                .iter()
                .enumerate()
                .filter(|(at, _)| picked(wanted, *at))
                .map(|(_, model)| model.no)
                .collect(),
            zone: TimeZone::get(zones[zone]).unwrap(),
        };
        let rows = fixture.store.usage_report(&query).await.unwrap();
        let expected = naive(&all, &query);
        let seen = |row: &UsageRow| {
            let account = row.account.and_then(|id| customers.iter().find(|customer| customer.account.id == id));
            let mut keys = customers.iter().flat_map(|customer| &customer.keys);
            let key = row.key.as_ref().and_then(|(id, _, _)| keys.find(|key| key.id == *id));
            let model = row.model.as_ref().and_then(|name| names.iter().find(|(_, known)| *known == name));
            let model = model.map_or(0, |(no, _)| *no);
            let account = account.map_or(0, |customer| customer.account.no.get());
            ((row.start, account, key.map_or(0, |key| key.no.get()), model), row.sums)
        };
        let seen: Vec<_> = rows.iter().map(seen).collect();
        let expected: Vec<_> = expected.into_iter().collect();
        let first_difference = seen.iter().zip(&expected).find(|(seen, expected)| seen != expected);
        assert!(first_difference.is_none(), "{first_difference:?} {query:?}");
        assert_eq!(seen.len(), expected.len(), "{query:?}");
        assert!(rows.iter().all(|row| row.start < row.end && row.end <= query.to));
        let top = fixture.store.usage_top(&query, 5).await.unwrap();
        let tokens = |row: &UsageRow| row.sums.units.input + row.sums.units.output;
        assert!(top.rows.is_sorted_by_key(|row| std::cmp::Reverse(tokens(row))), "{query:?}");
        assert_eq!(top.rows.len(), rows.len().min(5));
        assert!(top.rest_rows.is_none_or(|rest| top.rows.len() + rest == rows.len()), "{query:?}");
        let least = top.rows.iter().map(tokens).min().unwrap_or_default();
        let mut others = rows;
        others.retain(|row| !top.rows.contains(row));
        assert!(others.iter().all(|row| tokens(row) <= least), "{query:?}");
        let sum = |part: fn(&UsageSums) -> u64| others.iter().map(|row| part(&row.sums)).sum::<u64>();
        assert_eq!(top.rest.units.input, sum(|sums| sums.units.input));
        assert_eq!(top.rest.failed, sum(|sums| sums.failed));
        assert_eq!(top.rest.by_class.iter().sum::<u64>(), sum(|sums| sums.requests));
    }
}

async fn the_largest_pairs_of_many_are_found_whether_usage_is_even_or_not(fixture: Fixture) {
    let customer = customer(&fixture, "c", 0).await;
    let at = |key: u64| if key.is_multiple_of(2) { "2026-05-04T12:00:00Z" } else { "2026-01-04T12:00:00Z" };
    let one = |key: u64, model: i64, input: u64| Settlement {
        units: Units { input, ..Units::default() },
        ..settlement(&fixture.world, customer.account.no, No::new(i64::try_from(key).unwrap()), No::new(model), at(key))
    };
    // Of the keys from 1 to 600 each uses less than the one before; of those from 1001 to 1600 all use the same.
    let uneven = (1..=600).flat_map(|key| [one(key, 1, 9_000_000 / key), one(key, 2, 1_000_000 / key)]);
    ship(&fixture, &uneven.collect::<Vec<_>>()).await;
    let by = [GroupBy::Key, GroupBy::Model];
    let year = query("2026-01-01T00:00:00Z", "2026-05-04T12:30:00Z", Bucket::Total, &by);
    let year = UsageQuery { account: Some(customer.account.no), ..year };
    let check = async |counted: bool| {
        let all = fixture.store.usage_report(&year).await.unwrap();
        let mut sizes: Vec<u64> = all.iter().map(|row| row.sums.units.input).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let top = fixture.store.usage_top(&year, 40).await.unwrap();
        let seen: Vec<u64> = top.rows.iter().map(|row| row.sums.units.input).collect();
        assert_eq!(seen, sizes[..40]);
        assert_eq!(top.rest.units.input, sizes[40..].iter().sum::<u64>());
        assert_eq!(top.rest.requests, u64::try_from(all.len() - 40).unwrap());
        assert_eq!(top.rest_rows, counted.then_some(all.len() - 40));
    };
    // Those that are not among the largest were not even counted: they were not read.
    check(false).await;
    let even = (1_001..=1_600).flat_map(|key| [one(key, 1, 20_000_000), one(key, 2, 20_000_000)]);
    ship(&fixture, &even.collect::<Vec<_>>()).await;
    check(true).await;
}

async fn many_processes_may_add_to_the_same_rows(fixture: Fixture) {
    let customer = customer(&fixture, "c", 5).await;
    let other = fixture.open_another().await;
    let shippers = (0..16usize).map(|shipper| {
        let store = if shipper % 2 == 0 { fixture.store.clone() } else { other.clone() };
        let world = fixture.world.clone();
        let account = customer.account.no;
        let mut keys: Vec<_> = customer.keys.iter().map(|key| key.no).collect();
        keys.rotate_left(shipper % 5);
        tokio::spawn(async move {
            let journal = Id::new(&world);
            for at in 0..4 {
                let batch: Vec<_> = (0..25)
                    .map(|n: i64| {
                        let key = keys[usize::try_from(n).unwrap() % 5];
                        settlement(&world, account, key, No::new(1 + n % 3), "2026-05-04T12:00:30Z")
                    })
                    .collect();
                assert_eq!(store.usage_ship(journal, at, at + 1, &batch).await.unwrap(), Shipped::Counted);
            }
        })
    });
    for shipper in shippers.collect::<Vec<_>>() {
        shipper.await.unwrap();
    }
    let sums = total(&fixture).await;
    assert_eq!((sums.requests, sums.units.input, sums.units.output), (1_600, 16_000, 8_000));
}

async fn latency_falls_into_bins_by_model(fixture: Fixture) {
    let customer = customer(&fixture, "c", 1).await;
    let model = make_model(&fixture, "m").await;
    let one = |at: &str| settlement(&fixture.world, customer.account.no, customer.keys[0].no, model.no, at);
    let slow = Settlement { first_byte_us: None, total_us: 61_000_000, ..one("2026-05-04T12:59:59Z") };
    ship(&fixture, &[one("2026-05-04T12:00:00Z"), slow, one("2026-05-04T14:00:00Z")]).await;
    let hours = |from: &str, to: &str| (named::<Timestamp>(from), named::<Timestamp>(to));
    for account in [None, Some(customer.account.no)] {
        let (from, to) = hours("2026-05-04T12:30:00Z", "2026-05-04T13:00:00Z");
        let rows = fixture.store.usage_latency(account, from, to).await.unwrap();
        assert_eq!((rows.len(), &rows[0].model), (1, &model.name));
        let place = |ms: u64| LATENCY_LIMITS_MS.iter().position(|limit| ms <= *limit).unwrap();
        assert_eq!(rows[0].first_byte.iter().sum::<u64>(), 1);
        assert_eq!(rows[0].first_byte[place(2)], 1);
        assert_eq!((rows[0].total[place(250)], rows[0].total[LATENCY_LIMITS_MS.len()]), (1, 1));
    }
    let (from, to) = hours("2026-05-04T12:00:00Z", "2026-05-05T00:00:00Z");
    assert!(fixture.store.usage_latency(Some(No::new(1)), from, to).await.unwrap().is_empty());
    assert_eq!(fixture.store.usage_latency(None, from, to).await.unwrap()[0].total.iter().sum::<u64>(), 3);
}

async fn old_rows_go_in_steps_and_hours_stay(fixture: Fixture) {
    let customer = customer(&fixture, "c", 1).await;
    let one = |at: &str| settlement(&fixture.world, customer.account.no, customer.keys[0].no, No::new(1), at);
    // The last row that goes, the first that stays.
    let edges = ["2026-04-30T23:59:59.999Z", "2026-05-01T00:00:00Z", "2026-05-04T12:00:00Z"].map(one);
    let batch: Vec<_> = (0..2_500).map(|_| one("2026-03-01T10:10:00Z")).chain(edges).collect();
    ship(&fixture, &batch).await;
    let before = named("2026-05-01T00:00:00Z");
    // 2,501 request rows and two minutes in each of four cubes.
    assert_eq!(fixture.store.usage_prune(before, before).await.unwrap(), 2_509);
    assert_eq!(crate::schema::number(&fixture, "SELECT count(*) FROM usage_attempts").await, 2);
    assert_eq!(fixture.store.usage_prune(before, before).await.unwrap(), 0);
    assert_eq!(total(&fixture).await.requests, 2_503);
    let hour = query("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z", Bucket::Hour, &[]);
    assert_eq!(fixture.store.usage_report(&hour).await.unwrap()[0].sums.requests, 2_500);
    assert_eq!(fixture.store.key_recent_requests(customer.keys[0].no).await.unwrap(), (1, 1));
}

async fn a_day_of_request_rows_goes_as_a_whole(fixture: Fixture) {
    let store = &fixture.store;
    let customer = customer(&fixture, "c", 1).await;
    let one = |at: &str| settlement(&fixture.world, customer.account.no, customer.keys[0].no, No::new(1), at);
    let rows = async || crate::schema::number(&fixture, "SELECT count(*) FROM usage_attempts").await;
    fixture.hands.set("2026-05-04T12:00:00Z");
    store.usage_days_make().await.unwrap();
    // Who comes second finds them made.
    store.usage_days_make().await.unwrap();
    ship(&fixture, &[one("2026-05-04T12:00:00Z"), one("2026-05-04T12:00:00Z")]).await;
    fixture.hands.set("2026-05-05T00:00:00Z");
    store.usage_days_make().await.unwrap();
    let twice = one("2026-05-05T00:00:00Z");
    ship(&fixture, &[twice.clone(), one("2026-05-05T00:00:00Z")]).await;
    // Counted once in partitions too.
    ship(&fixture, &[twice, one("2026-05-05T00:00:00Z")]).await;
    // Nobody made a partition for this one.
    fixture.hands.set("2027-01-01T00:00:00Z");
    ship(&fixture, &[one("2027-01-01T00:00:00Z")]).await;
    assert_eq!((rows().await, total(&fixture).await.requests), (6, 6));
    let never = Timestamp::default();
    let on_postgres = fixture.url.starts_with("postgres");
    if on_postgres {
        let rest = crate::schema::number(&fixture, "SELECT count(*) FROM usage_attempts_rest").await;
        assert_eq!(rest, 1, "each of the others lies in its day");
    }
    store.usage_prune(named("2026-05-04T23:59:59Z"), never).await.unwrap();
    assert_eq!(rows().await, if on_postgres { 6 } else { 4 }, "a day goes when all of it may");
    store.usage_prune(named("2026-05-05T00:00:00Z"), never).await.unwrap();
    assert_eq!(rows().await, 4);
    store.usage_prune(named("2028-01-01T00:00:00Z"), never).await.unwrap();
    assert_eq!((rows().await, total(&fixture).await.requests), (0, 6), "sums stay");
    // Rows that were there before their day got a partition keep it from getting one, and count on.
    ship(&fixture, &[one("2027-01-01T00:00:00Z")]).await;
    store.usage_days_make().await.unwrap();
    ship(&fixture, &[one("2027-01-01T00:00:00Z")]).await;
    assert_eq!(rows().await, 2);
}

async fn what_an_upstream_told_is_kept_with_its_attempt(fixture: Fixture) {
    let one = || settlement(&fixture.world, No::new(1), No::new(1), No::new(1), "2026-05-04T12:00:00Z");
    let silent = Settlement { upstream_id: None, upstream_usage: None, ..one() };
    let hostile = Settlement { upstream_usage: Some("a\u{0}b".into()), ..one() };
    ship(&fixture, &[one(), silent, hostile]).await;
    let number = async |sql: &'static str| crate::schema::number(&fixture, sql).await;
    let told = r#"SELECT count(*) FROM usage_attempts WHERE upstream_id = 'chatcmpl-1' AND upstream_usage = '{"prompt_tokens":1,"x":"é"}'"#;
    assert_eq!(number(told).await, 1);
    let silent = "SELECT count(*) FROM usage_attempts WHERE upstream_id IS NULL AND upstream_usage IS NULL";
    assert_eq!(number(silent).await, 1);
    assert_eq!(number("SELECT count(*) FROM usage_attempts WHERE upstream_usage LIKE 'a_b'").await, 1);
}

async fn costs_are_told_by_currency_and_a_charged_model_keeps_its_own(fixture: Fixture) {
    let store = &fixture.store;
    let customer = customer(&fixture, "c", 1).await;
    let (account, key) = (customer.account.no, customer.keys[0].no);
    let euros = PriceList { currency: named("EUR"), input_per_million: named("1"), ..PriceList::default() };
    let model = async |name: &str, price: PriceList| {
        let new = NewModel {
            name: named(name),
            title: None,
            kind: ModelKind::Chat,
            context_window: None,
            max_output_tokens: None,
            price,
            served_by: Vec::new(),
        };
        store.model_create(&system(), new).await.unwrap().value
    };
    let (free, paid) = (model("free", PriceList::default()).await, model("paid", euros).await);
    let at = "2026-05-04T12:00:00Z";
    let one = |model: &Model, nanos: i64| Settlement {
        cost: Cost::from_nanos(nanos),
        ..settlement(&fixture.world, account, key, model.no, at)
    };
    ship(&fixture, &[one(&free, 0), one(&paid, 5), one(&paid, 6)]).await;
    let day = |by: &[GroupBy]| query("2026-05-04T00:00:00Z", "2026-05-05T00:00:00Z", Bucket::Day, by);
    let costs = async |by: &[GroupBy]| -> Vec<_> {
        let rows = store.usage_report(&day(by)).await.unwrap();
        rows.iter().map(|row| row.costs.clone().unwrap().only()).collect()
    };
    let (usd, eur) = (named::<Currency>("USD"), named::<Currency>("EUR"));
    let nothing = Cost::default();
    assert_eq!(costs(&[GroupBy::Model]).await, [Some((nothing, Some(usd))), Some((Cost::from_nanos(11), Some(eur)))]);
    assert_eq!(costs(&[GroupBy::Key]).await, [Some((Cost::from_nanos(11), Some(eur)))]);
    let price = |currency| ModelEdit { price: Some(PriceList { currency, ..euros }), ..ModelEdit::default() };
    let refused = store.model_edit(&system(), paid.id, price(usd), None).await;
    assert!(matches!(refused, Err(StoreError::State(_))), "{refused:?}");
    let given_away =
        ModelEdit { price: Some(PriceList { currency: eur, ..PriceList::default() }), ..ModelEdit::default() };
    drop(store.model_edit(&system(), paid.id, given_away, None).await.unwrap());
    let refused = store.model_edit(&system(), paid.id, price(usd), None).await;
    assert!(matches!(refused, Err(StoreError::State(_))), "what was charged was in euros: {refused:?}");
    // Nothing was ever charged for the other one.
    drop(store.model_edit(&system(), free.id, price(named("VND")), None).await.unwrap());
    ship(&fixture, &[one(&free, 7)]).await;
    assert_eq!(costs(&[]).await, [None], "two currencies are no one amount");
}

async fn a_journal_that_ended_is_forgotten_after_long_and_what_comes_back_is_not_counted_again(fixture: Fixture) {
    let store = &fixture.store;
    let customer = customer(&fixture, "c", 1).await;
    let one = |at: &str| settlement(&fixture.world, customer.account.no, customer.keys[0].no, No::new(1), at);
    let (ended, running) = (Id::new(&fixture.world), Id::new(&fixture.world));
    let batch = [one("2026-05-04T12:30:00Z"), one("2026-05-04T12:31:00Z")];
    assert_eq!(store.usage_ship(ended, 0, 2, &batch).await.unwrap(), Shipped::Counted);
    assert_eq!(store.usage_ship(running, 0, 1, &[one("2026-05-04T12:30:00Z")]).await.unwrap(), Shipped::Counted);
    store.usage_make_last(Some(ended.into())).await.unwrap();
    let week = std::time::Duration::from_secs(7 * 86_400);
    fixture.hands.forward(LANES_KEPT - week);
    assert_eq!(store.journals_prune().await.unwrap(), 0);
    assert_eq!(store.usage_ship(ended, 0, 2, &batch).await.unwrap(), Shipped::Before { watermark: 2 });
    fixture.hands.forward(week * 2);
    assert_eq!(store.journals_prune().await.unwrap(), 1);
    assert_eq!(store.journal_watermark(ended).await.unwrap(), 0);
    // A lane that was never said to be over is known for ever, however long it is silent.
    assert_eq!(store.journal_watermark(running).await.unwrap(), 1);
    let now = fixture.world.now();
    store.usage_prune(now, now).await.unwrap();
    // Its directory comes back from a backup; the request rows that would tell are gone as well.
    let again = store.usage_ship(ended, 0, 2, &batch).await;
    assert!(matches!(again, Err(StoreError::State(text)) if text.contains("backup")), "{again:?}");
    // What is new counts, in new lanes and in silent ones.
    let recent = || Settlement { started_at: now, ..one("2026-05-04T12:30:00Z") };
    assert_eq!(store.usage_ship(Id::new(&fixture.world), 0, 1, &[recent()]).await.unwrap(), Shipped::Counted);
    assert_eq!(store.usage_ship(running, 1, 2, &[recent()]).await.unwrap(), Shipped::Counted);
    assert_eq!(total(&fixture).await.requests, 5);
}

async fn an_absurd_question_is_refused(fixture: Fixture) {
    let refused = async |query: UsageQuery| {
        let answer = fixture.store.usage_report(&query).await;
        assert!(matches!(answer, Err(StoreError::State(_))), "{answer:?}");
    };
    refused(query("1970-01-01T00:00:00Z", "9999-12-30T00:00:00Z", Bucket::Minute, &[])).await;
    let all = query("1970-01-01T00:00:00Z", "9999-12-30T00:00:00Z", Bucket::Total, &[]);
    refused(UsageQuery { keys: vec![No::new(1); 5_000], ..all.clone() }).await;
    assert!(fixture.store.usage_report(&all).await.unwrap().is_empty());
    let backwards = query("2026-05-05T00:00:00Z", "2026-05-04T00:00:00Z", Bucket::Hour, &[]);
    assert!(fixture.store.usage_report(&backwards).await.unwrap().is_empty());
}
