//! The twin migrations make the same tables, however many processes bring them up to date at once.

use std::collections::BTreeSet;

use sqlx::{Connection as _, Row as _};
use tollgate_store::{PageRequest, Store, StoreError, StoreOptions, accounts::AccountFilter};

use crate::support::*;

contract! {
    many_processes_may_open_a_new_store_at_once,
    a_store_of_a_newer_program_is_refused,
    keys_from_before_prefixes_were_kept_get_the_prefix_of_the_day,
    what_an_older_program_wrote_is_found_after_the_next_start,
}

async fn many_processes_may_open_a_new_store_at_once(fixture: Fixture) {
    // The fixture's store is open already: a second file or database stands in for a new one.
    let url = fixture.fresh_url().await;
    let opening = (0..8).map(|_| {
        let (url, world) = (url.clone(), fixture.world.clone());
        tokio::spawn(async move { Store::open(options(&url), world).await.unwrap() })
    });
    let mut clusters = BTreeSet::new();
    for store in opening.collect::<Vec<_>>() {
        let store = store.await.unwrap();
        store.ping().await.unwrap();
        if clusters.is_empty() {
            clusters.insert(store.node_join(&named("n"), "1").await.unwrap().cluster);
        }
        store.close().await;
    }
}

async fn a_store_of_a_newer_program_is_refused(fixture: Fixture) {
    let sql = "INSERT INTO schema_steps (version, at) VALUES (1000, 0)";
    execute(&fixture, sql).await;
    let opened = Store::open(options(&fixture.url), fixture.world.clone()).await;
    assert!(matches!(opened, Err(StoreError::State(text)) if text.contains("newer")));
}

async fn keys_from_before_prefixes_were_kept_get_the_prefix_of_the_day(fixture: Fixture) {
    let account = fixture.store.seed().await.unwrap().account;
    let key = make_key(&fixture, account, "old").await;
    // The store as the first step left it, with a key in it.
    fixture.store.close().await;
    for sql in ["ALTER TABLE keys DROP COLUMN prefix", "DELETE FROM schema_steps WHERE version = 2"] {
        execute(&fixture, sql).await;
    }
    let with = |prefix| StoreOptions { key_prefix: named(prefix), ..options(&fixture.url) };
    for later in ["acme", "other"] {
        let store = Store::open(with(later), fixture.world.clone()).await.unwrap();
        let hint = store.key_get(None, key.id).await.unwrap().hint().to_string();
        assert_eq!(hint, format!("acme_{}…", key.public_id), "kept from then on");
        store.close().await;
    }
}

async fn what_an_older_program_wrote_is_found_after_the_next_start(fixture: Fixture) {
    fixture.store.seed().await.unwrap();
    make_user(&fixture, "Ánh", &[]).await;
    for sql in ["UPDATE accounts SET search_text = ''", "UPDATE users SET search_text = ''"] {
        execute(&fixture, sql).await;
    }
    let store = fixture.open_another().await;
    let filter = AccountFilter { search: Some("DEFAULT".into()), ..AccountFilter::default() };
    assert_eq!(store.account_overview(&filter, &PageRequest::default()).await.unwrap().data.len(), 1);
    assert_eq!(store.user_search("ánh", &PageRequest::default()).await.unwrap().data.len(), 1);
    store.close().await;
}

/// Past the store, as another program would.
pub async fn execute(fixture: &Fixture, sql: &'static str) {
    match fixture.url.strip_prefix("sqlite:") {
        Some(path) => {
            let mut file = sqlx::SqliteConnection::connect(&format!("sqlite://{path}")).await.unwrap();
            sqlx::query(sql).execute(&mut file).await.unwrap();
        }
        None => {
            let mut server = sqlx::PgConnection::connect(&fixture.url).await.unwrap();
            sqlx::query(sql).execute(&mut server).await.unwrap();
        }
    }
}

/// The one number that a statement gives, past the store.
pub async fn number(fixture: &Fixture, sql: &'static str) -> i64 {
    match fixture.url.strip_prefix("sqlite:") {
        Some(path) => {
            let mut file = sqlx::SqliteConnection::connect(&format!("sqlite://{path}")).await.unwrap();
            sqlx::query(sql).fetch_one(&mut file).await.unwrap().get(0)
        }
        None => {
            let mut server = sqlx::PgConnection::connect(&fixture.url).await.unwrap();
            sqlx::query(sql).fetch_one(&mut server).await.unwrap().get(0)
        }
    }
}

/// A column: its table, its name, what it holds, whether it must hold something.
type Column = (String, String, String, bool);
/// A unique index or primary key: its table and columns.
type Unique = (String, Vec<String>);

#[test]
fn both_engines_have_the_same_tables_columns_and_unique_indexes() {
    let (sent, received) = std::sync::mpsc::channel();
    let sqlite = sent.clone();
    // A case takes no captures: the two descriptions meet here.
    *SQLITE.lock().unwrap() = Some(sqlite);
    *POSTGRES.lock().unwrap() = Some(sent);
    run_on_sqlite(describe_sqlite);
    run_on_postgres(describe_postgres);
    let (sqlite, postgres) = (received.recv().unwrap(), received.recv().unwrap());
    assert!(sqlite.0.len() > 100 && sqlite.1.len() > 20, "{sqlite:?}");
    assert_eq!(sqlite, postgres);
}

type Description = (BTreeSet<Column>, BTreeSet<Unique>);
static SQLITE: std::sync::Mutex<Option<std::sync::mpsc::Sender<Description>>> = std::sync::Mutex::new(None);
static POSTGRES: std::sync::Mutex<Option<std::sync::mpsc::Sender<Description>>> = std::sync::Mutex::new(None);

async fn describe_sqlite(fixture: Fixture) {
    let path = fixture.url.strip_prefix("sqlite:").unwrap();
    let mut file = sqlx::SqliteConnection::connect(&format!("sqlite://{path}")).await.unwrap();
    let columns = sqlx::query(
        "SELECT t.name, c.name, c.type, c.\"notnull\" FROM sqlite_schema t JOIN pragma_table_info(t.name) c
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%'",
    );
    let columns = columns.fetch_all(&mut file).await.unwrap();
    let columns = columns.iter().map(|row| {
        let ty: String = row.get(2);
        let ty = match ty.as_str() {
            "INTEGER" | "BIGINT" => "integer",
            "TEXT" => "text",
            "BLOB" => "bytes",
            other => panic!("{other}"),
        };
        (row.get(0), row.get(1), ty.to_owned(), row.get::<i64, _>(3) != 0)
    });
    let unique = sqlx::query(
        "SELECT t.name, (SELECT group_concat(c.name, ',') FROM pragma_index_info(i.name) c)
         FROM sqlite_schema t JOIN pragma_index_list(t.name) i
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND i.\"unique\" = 1
         UNION ALL
         SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND c.pk = 1
           AND (SELECT count(*) FROM pragma_table_info(t.name) k WHERE k.pk > 0) = 1",
    );
    let unique = unique.fetch_all(&mut file).await.unwrap();
    let unique = unique.iter().map(|row| (row.get(0), split(row.get(1))));
    let description = (columns.collect(), unique.collect());
    SQLITE.lock().unwrap().take().unwrap().send(description).unwrap();
}

async fn describe_postgres(fixture: Fixture) {
    let mut server = sqlx::PgConnection::connect(&fixture.url).await.unwrap();
    let columns = sqlx::query(
        "SELECT table_name::text, column_name::text, data_type::text, is_nullable::text FROM information_schema.columns
         WHERE table_schema = 'public'
           AND table_name::text NOT IN (SELECT relname::text FROM pg_class WHERE relispartition)",
    );
    let columns = columns.fetch_all(&mut server).await.unwrap();
    let columns = columns.iter().map(|row| {
        let ty: String = row.get(2);
        let ty = match ty.as_str() {
            "bigint" => "integer",
            "text" => "text",
            "bytea" => "bytes",
            other => panic!("{other}"),
        };
        (row.get(0), row.get(1), ty.to_owned(), row.get::<String, _>(3) == "NO")
    });
    let unique = sqlx::query(
        "SELECT t.relname::text,
                (SELECT string_agg(a.attname::text, ',' ORDER BY k.place)
                 FROM unnest(i.indkey::int[]) WITH ORDINALITY k (number, place)
                 JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number)
         FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
         WHERE i.indisunique AND n.nspname = 'public' AND NOT t.relispartition",
    );
    let unique = unique.fetch_all(&mut server).await.unwrap();
    let unique = unique.iter().map(|row| (row.get(0), split(row.get(1))));
    let description = (columns.collect(), unique.collect());
    POSTGRES.lock().unwrap().take().unwrap().send(description).unwrap();
}

fn split(columns: String) -> Vec<String> {
    columns.split(',').map(str::to_owned).collect()
}
