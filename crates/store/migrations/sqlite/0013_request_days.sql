-- Twin of ../postgres/0013_request_days.sql, which makes partitions: SQLite has none, and its one table stays.
SELECT 1;
