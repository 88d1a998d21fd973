//! A year of usage in a store: many keys, each using every model in some minutes, summed up as the store sums it up.

/// How much is used, and by whom.
#[derive(Clone, Copy)]
pub enum Shape {
    /// Every key uses every model alike, in one minute of each week.
    Even,
    /// As in life: the key of place k uses a k-th as much as the first, a key's n-th model an n-th of an n-th as much as
    /// its first; every one of them in one minute of each month.
    Uneven,
}

impl Shape {
    /// In how many minutes a key uses a model, so many days apart.
    const fn minutes(self) -> (u64, u64) {
        match self {
            Self::Even => (52, 7),
            Self::Uneven => (12, 30),
        }
    }
    /// Input tokens of such a minute; output and cost follow.
    const fn input(self) -> &'static str {
        match self {
            Self::Even => "3000",
            Self::Uneven => {
                "3000000 / ((1 + keys.i * 7919 % 10007) * (1 + (keys.i + models.no) % 20) * (1 + (keys.i + models.no) % 20))"
            }
        }
    }
}

/// The SQL that fills an SQLite store in which there is one key: `keys` copies of it, with two models each, and their year.
pub fn script(keys: u64, shape: Shape) -> String {
    let sums = "sum(requests), sum(failed), sum(input), sum(output), sum(cached_input), sum(reasoning), sum(audio_ms), sum(images), \
        sum(cost_nanos), sum(exact), sum(partial), sum(estimated), sum(unknown)";
    let ((minutes, days), input) = (shape.minutes(), shape.input());
    let mut script = format!(
        "BEGIN;
        CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999) SELECT i FROM n;
        INSERT INTO keys (id, public_id, account_no, name, all_models, state, created_at, created_by, hash, search_text, version, prefix, sort_name, expires_at)
        SELECT 'key_' || lower(hex(randomblob(16))), substr(lower(hex(randomblob(6))), 1, 12), account_no, 'key ' || i, 0, state,
               created_at, created_by, randomblob(32), 'key ' || i, 1, prefix, 'key ' || i,
               CASE WHEN i % 3 = 0 THEN (unixepoch() + 86400 + i * 7919 % 31536000) * 1000 END
        FROM n CROSS JOIN (SELECT * FROM keys LIMIT 1) WHERE i < {keys};
        INSERT INTO key_models (key_no, model_no)
        SELECT keys.no, models.no FROM keys CROSS JOIN (SELECT no FROM models ORDER BY no LIMIT 2) AS models
        WHERE keys.name LIKE 'key %';
        INSERT INTO key_usage SELECT no, (unixepoch() - no * 7919 % 31536000) * 1000, 156 FROM keys WHERE name LIKE 'key %';
        INSERT OR IGNORE INTO usage_accounts SELECT account_no FROM keys LIMIT 1;
        INSERT INTO usage_rollups
        SELECT 4, 0, account_no, bucket, key_no, model_no, 3, 0, used, used * 3 / 10, used / 30, used / 60, 0, 0, used * 950, 3, 0, 0, 0
        FROM (SELECT keys.account_no, keys.no AS key_no, models.no AS model_no, {input} AS used,
                     (unixepoch() - 86400 * ({days} * n.i + (keys.no + models.no) % {days})
                      - 60 * ((keys.no * 7919 + models.no * 104729 + n.i) % 1440)) / 60 * 60000 AS bucket
              FROM (SELECT i FROM n WHERE i < {minutes}) AS n,
                   (SELECT no, account_no, CAST(substr(name, 5) AS INTEGER) AS i FROM keys WHERE name LIKE 'key %') AS keys, models);"
    );
    let start = |unit: &str| format!("unixepoch(bucket / 1000, 'unixepoch', {unit}) * 1000");
    let quarter = "'start of month', '-' || ((strftime('%m', bucket / 1000, 'unixepoch') - 1) % 3) || ' months'";
    for (grain, bucket) in [
        (1, "bucket / 3600000 * 3600000".to_owned()),
        (2, start("'start of day'")),
        (3, start("'start of month'")),
        (4, start(quarter)),
        (5, start("'start of year'")),
    ] {
        script.push_str(&format!(
            "INSERT INTO usage_rollups SELECT cube, {grain}, account_no, {bucket} AS b, key_no, model_no, {sums} \
             FROM usage_rollups WHERE cube = 4 AND grain = {} GROUP BY account_no, b, key_no, model_no;",
            grain - 1
        ));
    }
    for (cube, key, model) in [(1, "0", "0"), (2, "0", "model_no"), (3, "key_no", "0")] {
        script.push_str(&format!(
            "INSERT INTO usage_rollups SELECT {cube}, grain, account_no, bucket, {key} AS k, {model} AS m, {sums} \
             FROM usage_rollups WHERE cube = 4 GROUP BY grain, account_no, bucket, k, m;"
        ));
    }
    script.push_str("COMMIT; ANALYZE;");
    script
}
