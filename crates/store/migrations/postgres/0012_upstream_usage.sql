-- Twin of ../sqlite/0012_upstream_usage.sql: a test compares what both make.

-- The upstream's usage object as it came, where it says more than the columns do, or cannot be believed.
ALTER TABLE usage_attempts ADD COLUMN upstream_usage TEXT COLLATE "C";
