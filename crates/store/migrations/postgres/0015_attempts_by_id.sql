-- Twin of ../sqlite/0015_attempts_by_id.sql.
-- An attempt's id begins with its time: old rows are found by it, and a second order of all rows need not be kept.
DROP INDEX usage_attempts_by_start;
