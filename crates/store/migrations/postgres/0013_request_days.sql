-- Twin of ../sqlite/0013_request_days.sql.
-- Request rows in a partition for each day, so that a day is dropped as a whole: see usage/days.rs. What is there stays where
-- it is, as the partition of all that has none of its own.
ALTER TABLE usage_attempts RENAME TO usage_attempts_rest;
CREATE TABLE usage_attempts (LIKE usage_attempts_rest, PRIMARY KEY (attempt)) PARTITION BY RANGE (attempt);
ALTER TABLE usage_attempts ATTACH PARTITION usage_attempts_rest DEFAULT;
