//! Usage: counted once, reported as the same sums however it is asked for.

use tollgate_core::{
    Id, Timestamp,
    usage::{Bucket, GroupBy, UsageQuery},
};
use tollgate_store::usage::Shipped;

use crate::support::*;

contract! {
    a_batch_counts_once_however_often_it_is_shipped,
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
        zone: jiff::tz::TimeZone::UTC,
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
    assert_eq!(row.key, Some((key.id, key.name.clone(), key.public_id)));
    assert_eq!((row.model.as_ref(), row.account), (Some(&model.name), None));
    assert_eq!((row.sums.requests, row.sums.units.input, row.sums.cost.nanos()), (100, 1_000, 700_000));
    assert_eq!(row.sums.by_class, [100, 0, 0, 0]);
    assert_eq!(store.key_recent_requests(key.no).await.unwrap(), (100, 100));
    assert_eq!(store.key_get(None, key.id).await.unwrap().last_used_at, Some(named(at)));
}
